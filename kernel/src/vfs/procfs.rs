//! `/proc`: processes and the VM as files (proc(5)). Contents are made when a file is opened, by `procfs/text.rs`.

mod text;

use std::sync::{Arc, Weak};

use super::{Jump, Special};
use crate::Errno;
use crate::backend::{
    Attributes, Capabilities, DirectoryEntry, Filesystem, FilesystemInfo, FilesystemStatus, Handle, Node, NodeKind,
    Timestamp, refuse_calls,
};
use crate::process::{Pid, ProcessTable, Task};

/// What a node of `/proc` is. Packed into the node's number: see [`Entry::node`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Entry {
    Root,
    /// A file of the VM: an index into [`text::GLOBAL`].
    Global(u32),
    /// `/proc/self`.
    SelfLink,
    /// `/proc/mounts`, a link to the reader's own.
    MountsLink,
    /// `/proc/PID`.
    Process(Pid),
    /// A file of a process: an index into [`text::PROCESS`].
    File(Pid, u32),
    /// `/proc/PID/cwd`, `root`, `exe`: an index into [`LINKS`].
    Link(Pid, u32),
    /// `/proc/PID/fd`.
    Descriptors(Pid),
    /// `/proc/PID/fd/N`.
    Descriptor(Pid, u32),
}

const LINKS: [&str; 3] = ["cwd", "root", "exe"];
const CWD: u32 = 0;
const ROOT_LINK: u32 = 1;

/// Number of the first cookie that stands for a process in the root's listing.
const PROCESS_COOKIES: u64 = 1 << 16;

impl Entry {
    /// The number: process, then class, then index.
    fn node(self) -> Node {
        let pack =
            |pid: Pid, class: u64, index: u32| ((pid as u64) << 32) | (class << 24) | u64::from(index & 0xff_ffff);
        match self {
            Entry::Root => pack(0, 1, 0),
            Entry::Global(index) => pack(0, 2, index),
            Entry::SelfLink => pack(0, 3, 0),
            Entry::MountsLink => pack(0, 4, 0),
            Entry::Process(pid) => pack(pid, 5, 0),
            Entry::File(pid, index) => pack(pid, 6, index),
            Entry::Link(pid, index) => pack(pid, 7, index),
            Entry::Descriptors(pid) => pack(pid, 8, 0),
            Entry::Descriptor(pid, fd) => pack(pid, 9, fd),
        }
    }

    fn of(node: Node) -> Result<Self, Errno> {
        let pid = Pid::try_from(node >> 32).map_err(|_| Errno::Noent)?;
        let index = (node & 0xff_ffff) as u32;
        match (node >> 24) & 0xff {
            1 => Ok(Entry::Root),
            2 => Ok(Entry::Global(index)),
            3 => Ok(Entry::SelfLink),
            4 => Ok(Entry::MountsLink),
            5 => Ok(Entry::Process(pid)),
            6 => Ok(Entry::File(pid, index)),
            7 => Ok(Entry::Link(pid, index)),
            8 => Ok(Entry::Descriptors(pid)),
            9 => Ok(Entry::Descriptor(pid, index)),
            _ => Err(Errno::Noent),
        }
    }

    fn process(self) -> Option<Pid> {
        match self {
            Entry::Process(pid)
            | Entry::File(pid, _)
            | Entry::Link(pid, _)
            | Entry::Descriptors(pid)
            | Entry::Descriptor(pid, _) => Some(pid),
            _ => None,
        }
    }
}

/// The filesystem behind `/proc`.
pub(crate) struct Procfs {
    processes: Weak<ProcessTable>,
    booted: Timestamp,
}

impl Procfs {
    pub(crate) fn new(processes: &Arc<ProcessTable>, booted: Timestamp) -> Self {
        Self { processes: Arc::downgrade(processes), booted }
    }

    fn task(&self, pid: Pid) -> Result<Arc<Task>, Errno> {
        self.processes.upgrade().and_then(|table| table.get(pid)).ok_or(Errno::Noent)
    }

    fn find(&self, dir: Entry, name: &str) -> Result<Entry, Errno> {
        let index = |names: &[&str]| names.iter().position(|known| *known == name).map(|index| index as u32);
        match dir {
            Entry::Root => match name {
                "self" => Ok(Entry::SelfLink),
                "mounts" => Ok(Entry::MountsLink),
                _ => match index(&text::GLOBAL) {
                    Some(index) => Ok(Entry::Global(index)),
                    None => Ok(Entry::Process(self.task(number(name)?)?.pid())),
                },
            },
            Entry::Process(pid) => match name {
                "fd" => Ok(Entry::Descriptors(pid)),
                _ => (index(&text::PROCESS).map(|index| Entry::File(pid, index)))
                    .or_else(|| index(&LINKS).map(|index| Entry::Link(pid, index)))
                    .ok_or(Errno::Noent),
            },
            Entry::Descriptors(pid) => {
                let fd = u32::try_from(number(name)?).map_err(|_| Errno::Noent)?;
                self.task(pid)?.file(fd).map_err(|_| Errno::Noent)?;
                Ok(Entry::Descriptor(pid, fd))
            }
            _ => Err(Errno::Notdir),
        }
    }

    fn list(&self, dir: Entry) -> Result<Vec<(u64, String, Entry)>, Errno> {
        let mut entries = Vec::new();
        let mut add = |name: &str, entry| entries.push((entries.len() as u64 + 1, name.to_owned(), entry));
        match dir {
            Entry::Root => {
                add("self", Entry::SelfLink);
                add("mounts", Entry::MountsLink);
                for (index, name) in text::GLOBAL.iter().enumerate() {
                    add(name, Entry::Global(index as u32));
                }
                let tasks = self.processes.upgrade().map(|table| table.all()).unwrap_or_default();
                for pid in tasks.iter().map(|task| task.pid()) {
                    entries.push((PROCESS_COOKIES + pid as u64, pid.to_string(), Entry::Process(pid)));
                }
            }
            Entry::Process(pid) => {
                self.task(pid)?;
                add("fd", Entry::Descriptors(pid));
                for (index, name) in text::PROCESS.iter().enumerate() {
                    add(name, Entry::File(pid, index as u32));
                }
                for (index, name) in LINKS.iter().enumerate() {
                    add(name, Entry::Link(pid, index as u32));
                }
            }
            Entry::Descriptors(pid) => {
                for fd in self.task(pid)?.fds().numbers() {
                    entries.push((u64::from(fd) + 1, fd.to_string(), Entry::Descriptor(pid, fd)));
                }
            }
            _ => return Err(Errno::Notdir),
        }
        Ok(entries)
    }

    fn attributes(&self, entry: Entry) -> Result<Attributes, Errno> {
        let (kind, mode) = match entry {
            Entry::Root | Entry::Process(_) => (NodeKind::Directory, 0o555),
            Entry::Descriptors(_) => (NodeKind::Directory, 0o500),
            Entry::Global(_) => (NodeKind::File, 0o444),
            Entry::File(_, index) => (NodeKind::File, if text::is_private(index) { 0o400 } else { 0o444 }),
            Entry::SelfLink | Entry::MountsLink | Entry::Link(..) | Entry::Descriptor(..) => (NodeKind::Symlink, 0o777),
        };
        let owner = match entry.process() {
            Some(pid) => self.task(pid)?.credentials(),
            None => crate::process::Credentials::ROOT,
        };
        Ok(Attributes {
            node: entry.node(),
            kind,
            mode,
            links: 1,
            uid: owner.uid,
            gid: owner.gid,
            device: 0,
            size: 0,
            blocks: 0,
            accessed: self.booted,
            modified: self.booted,
            changed: self.booted,
            created: self.booted,
            lifetime_ns: 0,
        })
    }
}

fn number(name: &str) -> Result<Pid, Errno> {
    let plain = name.bytes().all(|byte| byte.is_ascii_digit()) && (name == "0" || !name.starts_with('0'));
    name.parse().ok().filter(|_| plain).ok_or(Errno::Noent)
}

impl Special for Procfs {
    fn follow(&self, node: Node, task: &Task) -> Option<Result<Jump, Errno>> {
        let vfs = &task.kernel().vfs;
        let jump = match Entry::of(node).ok()? {
            Entry::SelfLink => Ok(Jump::Path(task.pid().to_string())),
            Entry::MountsLink => Ok(Jump::Path("self/mounts".into())),
            Entry::Link(pid, CWD) => self.visible(pid, task).map(|other| Jump::Place(other.cwd())),
            Entry::Link(pid, ROOT_LINK) => self.visible(pid, task).map(|_| Jump::Place(vfs.root())),
            Entry::Link(pid, _) => self.visible(pid, task).map(|other| Jump::Path(other.startup().executable.clone())),
            Entry::Descriptor(pid, fd) => {
                self.visible(pid, task).and_then(|other| other.file(fd).map_err(|_| Errno::Noent)).map(Jump::File)
            }
            _ => return None,
        };
        Some(jump)
    }

    fn snapshot(&self, node: Node, task: &Task) -> Option<Result<Vec<u8>, Errno>> {
        match Entry::of(node).ok()? {
            Entry::Global(index) => Some(text::global(index, task.kernel())),
            Entry::File(pid, index) => Some(self.task(pid).and_then(|other| text::process(index, &other))),
            _ => None,
        }
    }
}

impl Procfs {
    /// Another process's links may be followed by its owner. Errors: `ENOENT`, `EACCES`.
    fn visible(&self, pid: Pid, task: &Task) -> Result<Arc<Task>, Errno> {
        let other = self.task(pid)?;
        let uid = task.credentials().uid;
        if uid == 0 || uid == other.credentials().uid { Ok(other) } else { Err(Errno::Acces) }
    }
}

impl Filesystem for Procfs {
    refuse_calls!(Errno::Acces: create mkdir symlink make_node open write);
    refuse_calls!(Errno::Perm: setattr link unlink rmdir rename);
    // Every file here is a snapshot that the kernel takes, and every link is followed by the kernel, for the process that follows it.
    refuse_calls!(Errno::Io: read);
    refuse_calls!(Errno::Inval: readlink);

    fn info(&self) -> FilesystemInfo {
        FilesystemInfo {
            root: Entry::Root.node(),
            // Writable, so that what fails says what Linux says: `EACCES`, not `EROFS`.
            capabilities: Capabilities::CASE_SENSITIVE | Capabilities::WRITABLE,
            entry_lifetime_ns: 0,
            absence_lifetime_ns: 0,
            kind: "proc".into(),
        }
    }

    fn lookup(&self, dir: Node, name: &str) -> Result<Attributes, Errno> {
        self.attributes(self.find(Entry::of(dir)?, name)?)
    }

    fn forget(&self, _node: Node, _count: u64) {}

    fn getattr(&self, node: Node) -> Result<Attributes, Errno> {
        self.attributes(Entry::of(node)?)
    }

    fn release(&self, _node: Node, _handle: Handle) {}

    fn fsync(&self, _node: Node, _handle: Handle, _data_only: bool) -> Result<(), Errno> {
        Ok(())
    }

    fn readdir(&self, dir: Node, cookie: u64, entries_max: usize) -> Result<Vec<DirectoryEntry>, Errno> {
        let listed = self.list(Entry::of(dir)?)?;
        let after = listed.into_iter().filter(|(at, ..)| *at > cookie);
        // A process that ends while it is listed is left out.
        let told = after.filter_map(|(cookie, name, entry)| {
            self.attributes(entry).ok().map(|attributes| DirectoryEntry { name, cookie, attributes })
        });
        Ok(told.take(entries_max).collect())
    }

    fn statfs(&self) -> Result<FilesystemStatus, Errno> {
        Ok(FilesystemStatus { block_size: 4096, blocks: 0, blocks_free: 0, files: 0, files_free: 0, name_max: 255 })
    }
}
