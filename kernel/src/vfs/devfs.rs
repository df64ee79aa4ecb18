//! `/dev`: a fixed tree of device nodes and links. What a device does when it is opened is `process/device.rs`'s affair.

use crate::Errno;
use crate::backend::{
    AttributeChanges, Attributes, Capabilities, DirectoryEntry, Filesystem, FilesystemInfo, FilesystemStatus, Handle,
    Node, NodeKind, Timestamp, refuse_calls,
};
use crate::process::device;

enum Entry {
    Device(u64),
    Link(&'static str),
}

const ENTRIES: &[(&str, Entry)] = &[
    ("null", Entry::Device(device::NULL)),
    ("zero", Entry::Device(device::ZERO)),
    ("full", Entry::Device(device::FULL)),
    ("random", Entry::Device(device::RANDOM)),
    ("urandom", Entry::Device(device::URANDOM)),
    ("tty", Entry::Device(device::TTY)),
    ("fd", Entry::Link("/proc/self/fd")),
    ("stdin", Entry::Link("/proc/self/fd/0")),
    ("stdout", Entry::Link("/proc/self/fd/1")),
    ("stderr", Entry::Link("/proc/self/fd/2")),
];

const ROOT: Node = 1;
const FIRST: Node = 2;

/// The filesystem behind `/dev`.
pub(crate) struct Devfs {
    booted: Timestamp,
}

impl Devfs {
    pub(crate) fn new(booted: Timestamp) -> Self {
        Self { booted }
    }

    fn entry(node: Node) -> Result<&'static Entry, Errno> {
        let index = node.checked_sub(FIRST).and_then(|index| usize::try_from(index).ok()).ok_or(Errno::Noent)?;
        ENTRIES.get(index).map(|(_, entry)| entry).ok_or(Errno::Noent)
    }
}

impl Filesystem for Devfs {
    refuse_calls!(Errno::Rofs: create mkdir symlink make_node link unlink rmdir rename);
    // Device nodes are opened by the kernel, and nothing here is a regular file.
    refuse_calls!(Errno::Nxio: open read write);

    fn info(&self) -> FilesystemInfo {
        FilesystemInfo {
            root: ROOT,
            capabilities: Capabilities::CASE_SENSITIVE,
            entry_lifetime_ns: u64::MAX,
            absence_lifetime_ns: u64::MAX,
            kind: "devtmpfs".into(),
        }
    }

    fn lookup(&self, dir: Node, name: &str) -> Result<Attributes, Errno> {
        if dir != ROOT {
            return Err(Errno::Notdir);
        }
        let index = ENTRIES.iter().position(|(known, _)| *known == name).ok_or(Errno::Noent)?;
        self.getattr(FIRST + index as u64)
    }

    fn forget(&self, _node: Node, _count: u64) {}

    fn getattr(&self, node: Node) -> Result<Attributes, Errno> {
        let (kind, mode, device, size) = if node == ROOT {
            (NodeKind::Directory, 0o755, 0, 0)
        } else {
            match Self::entry(node)? {
                Entry::Device(number) => (NodeKind::CharacterDevice, 0o666, *number, 0),
                Entry::Link(target) => (NodeKind::Symlink, 0o777, 0, target.len() as u64),
            }
        };
        Ok(Attributes {
            node,
            kind,
            mode,
            links: 1,
            uid: 0,
            gid: 0,
            device,
            size,
            blocks: 0,
            accessed: self.booted,
            modified: self.booted,
            changed: self.booted,
            created: self.booted,
            lifetime_ns: u64::MAX,
        })
    }

    fn setattr(&self, node: Node, changes: &AttributeChanges) -> Result<Attributes, Errno> {
        // `> /dev/null` cuts the file: nothing to cut.
        if *changes == (AttributeChanges { size: Some(0), ..AttributeChanges::default() }) {
            return self.getattr(node);
        }
        Err(Errno::Perm)
    }

    fn readlink(&self, node: Node) -> Result<String, Errno> {
        match Self::entry(node)? {
            Entry::Link(target) => Ok((*target).to_owned()),
            Entry::Device(_) => Err(Errno::Inval),
        }
    }

    fn release(&self, _node: Node, _handle: Handle) {}

    fn fsync(&self, _node: Node, _handle: Handle, _data_only: bool) -> Result<(), Errno> {
        Ok(())
    }

    fn readdir(&self, dir: Node, cookie: u64, entries_max: usize) -> Result<Vec<DirectoryEntry>, Errno> {
        if dir != ROOT {
            return Err(Errno::Notdir);
        }
        let start = usize::try_from(cookie).unwrap_or(usize::MAX).min(ENTRIES.len());
        (start..ENTRIES.len())
            .take(entries_max)
            .map(|index| {
                let attributes = self.getattr(FIRST + index as u64)?;
                Ok(DirectoryEntry { name: ENTRIES[index].0.into(), cookie: index as u64 + 1, attributes })
            })
            .collect()
    }

    fn statfs(&self) -> Result<FilesystemStatus, Errno> {
        Ok(FilesystemStatus { block_size: 4096, blocks: 0, blocks_free: 0, files: 0, files_free: 0, name_max: 255 })
    }
}
