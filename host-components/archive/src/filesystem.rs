//! The backend's face: what can be read is, and every change is refused.

use eyot_backend::{
    Attributes, CHUNK_BYTES_MAX, Capabilities, Content, DirectoryEntry, Errno, Filesystem, FilesystemInfo,
    FilesystemStatus, Handle, Node, OpenFlags, refuse_calls,
};

use crate::archive::Archive;
use crate::builder::{NAME_BYTES_MAX, PATH_BYTES_MAX};
use crate::tree::{Kind, NodeRecord};

/// The block size that `statfs` answers, in bytes: tar's and zip's own unit is smaller, the page is what counts.
const BLOCK_BYTES: u32 = 4096;
/// The most entries of one listing.
const LISTING_ENTRIES_MAX: usize = 4096;
/// The root's number.
const ROOT: Node = 1;

impl Archive {
    fn node(&self, node: Node) -> Result<(u32, &NodeRecord), Errno> {
        self.tree.node(node).ok_or(Errno::Stale)
    }

    fn directory(&self, node: Node) -> Result<&NodeRecord, Errno> {
        let (_, record) = self.node(node)?;
        if record.kind == Kind::Directory { Ok(record) } else { Err(Errno::Notdir) }
    }

    fn attributes(&self, index: u32) -> Result<Attributes, Errno> {
        let node = self.tree.nodes.get(index as usize).ok_or(Errno::Io)?;
        Ok(self.tree.attributes(index, node))
    }
}

impl Filesystem for Archive {
    refuse_calls!(
        Errno::Rofs: setattr create mkdir symlink make_node link unlink rmdir rename write setxattr removexattr
    );

    fn info(&self) -> FilesystemInfo {
        FilesystemInfo {
            root: ROOT,
            capabilities: Capabilities::HARD_LINKS
                | Capabilities::SYMLINKS
                | Capabilities::XATTRS
                | Capabilities::SPARSE
                | Capabilities::CASE_SENSITIVE,
            entry_lifetime_ns: u64::MAX,
            absence_lifetime_ns: u64::MAX,
            kind: "archive".into(),
        }
    }

    fn lookup(&self, dir: Node, name: &str) -> Result<Attributes, Errno> {
        let child = self.tree.find(self.directory(dir)?, name).ok_or(Errno::Noent)?;
        self.attributes(child)
    }

    fn forget(&self, _node: Node, _count: u64) {
        // Every number is good for as long as the archive is mounted.
    }

    fn getattr(&self, node: Node) -> Result<Attributes, Errno> {
        let (index, record) = self.node(node)?;
        Ok(self.tree.attributes(index, record))
    }

    fn readlink(&self, node: Node) -> Result<String, Errno> {
        let (_, record) = self.node(node)?;
        if record.kind != Kind::Symlink {
            return Err(Errno::Inval);
        }
        if self.tree.packed(record).is_none() {
            return Ok(self.tree.target(record).to_owned());
        }
        // Zip keeps targets as it keeps files.
        let length = usize::try_from(record.length).ok().filter(|length| *length <= PATH_BYTES_MAX);
        let mut target = vec![0; length.ok_or(Errno::Nametoolong)?];
        self.read_file(record, 0, &mut target)?;
        String::from_utf8(target).map_err(|_| Errno::Ilseq)
    }

    fn open(&self, node: Node, how: OpenFlags) -> Result<Handle, Errno> {
        let (_, record) = self.node(node)?;
        match record.kind {
            Kind::File => {}
            Kind::Directory => return Err(Errno::Isdir),
            Kind::Symlink => return Err(Errno::Loop),
            _ => return Err(Errno::Nxio),
        }
        if how.contains(OpenFlags::WRITE) {
            return Err(Errno::Rofs);
        }
        self.check_file(record)?;
        Ok(0)
    }

    fn release(&self, _node: Node, _handle: Handle) {}

    fn read(&self, node: Node, _handle: Handle, offset: u64, buffer: &mut [u8]) -> Result<usize, Errno> {
        let (_, record) = self.node(node)?;
        match record.kind {
            Kind::File => {}
            Kind::Directory => return Err(Errno::Isdir),
            _ => return Err(Errno::Inval),
        }
        let length = buffer.len().min(CHUNK_BYTES_MAX);
        self.read_file(record, offset, buffer.get_mut(..length).unwrap_or_default())
    }

    fn fsync(&self, node: Node, _handle: Handle, _data_only: bool) -> Result<(), Errno> {
        self.node(node).map(|_| ())
    }

    fn readdir(&self, dir: Node, cookie: u64, entries_max: usize) -> Result<Vec<DirectoryEntry>, Errno> {
        let entries = self.tree.entries(self.directory(dir)?);
        let skip = usize::try_from(cookie).unwrap_or(usize::MAX);
        let page = (1..).zip(entries).skip(skip).take(entries_max.min(LISTING_ENTRIES_MAX));
        page.map(|(cookie, entry)| {
            let name = self.tree.name(entry).to_owned();
            Ok(DirectoryEntry { name, cookie, attributes: self.attributes(entry.node)? })
        })
        .collect()
    }

    fn statfs(&self) -> Result<FilesystemStatus, Errno> {
        Ok(FilesystemStatus {
            block_size: BLOCK_BYTES,
            blocks: self.source.len().div_ceil(BLOCK_BYTES.into()),
            blocks_free: 0,
            files: self.tree.nodes.len() as u64,
            files_free: 0,
            name_max: NAME_BYTES_MAX as u32,
        })
    }

    fn getxattr(&self, node: Node, name: &str) -> Result<Vec<u8>, Errno> {
        let (_, record) = self.node(node)?;
        let xattrs = self.tree.extra(record).map(|extra| &*extra.xattrs).unwrap_or_default();
        let found = xattrs.iter().find(|(own, _)| own == name);
        found.map(|(_, value)| value.clone()).ok_or(Errno::Nodata)
    }

    fn listxattr(&self, node: Node) -> Result<Vec<String>, Errno> {
        let (_, record) = self.node(node)?;
        let xattrs = self.tree.extra(record).map(|extra| &*extra.xattrs).unwrap_or_default();
        Ok(xattrs.iter().map(|(name, _)| name.clone()).collect())
    }

    fn content(&self, node: Node) -> Option<Content> {
        let (_, record) = self.node(node).ok()?;
        self.content_of(record)
    }
}
