//! A backend with one planted bug over any other: what the kit must find.
//!
//! Each [`Bug`] is a mistake that real filesystems have made. [`Broken`] makes it and passes everything else on.

mod bug;
mod data;
mod names;
mod view;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use eyot_backend::{
    AttributeChanges, Attributes, Content, DirectoryEntry, Errno, Filesystem, FilesystemInfo, FilesystemStatus, Handle,
    Node, NodeKind, OpenFlags, Ownership, RenameFlags, Timestamp,
};

pub use bug::Bug;

/// A backend that has one bug, or none.
pub struct Broken {
    inner: Arc<dyn Filesystem>,
    bug: Option<Bug>,
    notes: Mutex<Notes>,
}

/// What some bugs remember.
#[derive(Default)]
struct Notes {
    /// Sizes that are told though they are no longer so.
    sizes: HashMap<Node, u64>,
    /// Times that are told though they have moved on, by the time that is hidden.
    changed: HashMap<Node, (Timestamp, Timestamp)>,
    modified: HashMap<Node, (Timestamp, Timestamp)>,
    /// Bytes that were cut away, and where they were.
    cut: HashMap<Node, (u64, Vec<u8>)>,
    /// What a file held when its name was taken away.
    deleted: HashMap<(Node, String), Vec<u8>>,
    /// Directories that were taken away.
    dead: HashSet<Node>,
    /// What had a name before.
    absent: HashSet<(Node, String)>,
    /// Open files that count as released.
    released: HashSet<(Node, Handle)>,
    /// Handles that were made up, and what they stand for.
    handles: HashMap<Handle, Handle>,
    handle_next: Handle,
}

impl Broken {
    /// `inner` with a bug.
    pub fn new(inner: Arc<dyn Filesystem>, bug: Bug) -> Self {
        Self { inner, bug: Some(bug), notes: Mutex::default() }
    }

    /// `inner` as it is, through the same code.
    pub fn sound(inner: Arc<dyn Filesystem>) -> Self {
        Self { inner, bug: None, notes: Mutex::default() }
    }

    fn is(&self, bug: Bug) -> bool {
        self.bug == Some(bug)
    }

    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads a whole file, as far as it is short.
    fn bytes_of(&self, node: Node, offset: u64) -> Vec<u8> {
        const BYTES_MAX: u64 = 1 << 20;
        let size = self.inner.getattr(node).map_or(0, |found| found.size);
        let mut bytes = vec![0; usize::try_from(size.saturating_sub(offset).min(BYTES_MAX)).unwrap_or(0)];
        let Ok(handle) = self.inner.open(node, OpenFlags::READ) else { return Vec::new() };
        let count = self.inner.read(node, handle, offset, &mut bytes).unwrap_or(0);
        self.inner.release(node, handle);
        bytes.truncate(count);
        bytes
    }

    /// Writes into a file past all bugs.
    fn put(&self, node: Node, offset: u64, bytes: &[u8]) {
        if let Ok(handle) = self.inner.open(node, OpenFlags::all()) {
            let _ = self.inner.write(node, handle, offset, bytes);
            self.inner.release(node, handle);
        }
    }
}

impl Filesystem for Broken {
    fn info(&self) -> FilesystemInfo {
        self.inner.info()
    }

    fn lookup(&self, dir: Node, name: &str) -> Result<Attributes, Errno> {
        self.find(dir, name)
    }

    fn forget(&self, node: Node, count: u64) {
        self.give_back(node, count);
    }

    fn getattr(&self, node: Node) -> Result<Attributes, Errno> {
        self.inner.getattr(node).map(|found| self.shown(found))
    }

    fn setattr(&self, node: Node, changes: &AttributeChanges) -> Result<Attributes, Errno> {
        self.change(node, changes).map(|found| self.shown(found))
    }

    fn create(&self, dir: Node, name: &str, owner: Ownership) -> Result<Attributes, Errno> {
        self.make_file(dir, name, owner).map(|made| self.shown(made))
    }

    fn mkdir(&self, dir: Node, name: &str, owner: Ownership) -> Result<Attributes, Errno> {
        self.make_directory(dir, name, owner).map(|made| self.shown(made))
    }

    fn symlink(&self, dir: Node, name: &str, target: &str, owner: Ownership) -> Result<Attributes, Errno> {
        let target = self.target(target);
        self.inner.symlink(dir, &self.name(name), &target, owner)
    }

    fn make_node(
        &self,
        dir: Node,
        name: &str,
        kind: NodeKind,
        device: u64,
        owner: Ownership,
    ) -> Result<Attributes, Errno> {
        let device = if self.is(Bug::DeviceOf16Bits) { device & 0xffff } else { device };
        if self.is(Bug::SpecialIsFile) && kind == NodeKind::Socket {
            return self.inner.create(dir, name, owner);
        }
        self.inner.make_node(dir, &self.name(name), kind, device, owner)
    }

    fn link(&self, target: Node, dir: Node, name: &str) -> Result<Attributes, Errno> {
        self.add_name(target, dir, name).map(|linked| self.shown(linked))
    }

    fn unlink(&self, dir: Node, name: &str) -> Result<(), Errno> {
        self.take_name(dir, name)
    }

    fn rmdir(&self, dir: Node, name: &str) -> Result<(), Errno> {
        self.take_directory(dir, name)
    }

    fn rename(
        &self,
        from_dir: Node,
        from_name: &str,
        to_dir: Node,
        to_name: &str,
        how: RenameFlags,
    ) -> Result<(), Errno> {
        self.move_name(from_dir, &self.name(from_name), to_dir, &self.name(to_name), how)
    }

    fn readlink(&self, node: Node) -> Result<String, Errno> {
        self.inner.readlink(node)
    }

    fn open(&self, node: Node, how: OpenFlags) -> Result<Handle, Errno> {
        self.open_file(node, how)
    }

    fn release(&self, node: Node, handle: Handle) {
        self.release_file(node, handle);
    }

    fn read(&self, node: Node, handle: Handle, offset: u64, buffer: &mut [u8]) -> Result<usize, Errno> {
        self.read_file(node, handle, offset, buffer)
    }

    fn write(&self, node: Node, handle: Handle, offset: u64, bytes: &[u8]) -> Result<usize, Errno> {
        self.write_file(node, handle, offset, bytes)
    }

    fn fsync(&self, node: Node, handle: Handle, data_only: bool) -> Result<(), Errno> {
        if self.is(Bug::FsyncUnsupported) {
            return Err(Errno::Nosys);
        }
        self.inner.fsync(node, self.handle(handle), data_only)
    }

    fn readdir(&self, dir: Node, cookie: u64, entries_max: usize) -> Result<Vec<DirectoryEntry>, Errno> {
        self.list(dir, cookie, entries_max)
    }

    fn statfs(&self) -> Result<FilesystemStatus, Errno> {
        let mut status = self.inner.statfs()?;
        if self.is(Bug::MoreFreeThanThere) {
            status.blocks_free = status.blocks + 1;
        }
        Ok(status)
    }

    fn getxattr(&self, node: Node, name: &str) -> Result<Vec<u8>, Errno> {
        let value = self.inner.getxattr(node, name);
        if self.is(Bug::XattrErrno) { value.map_err(|_| Errno::Noent) } else { value }
    }

    fn setxattr(&self, node: Node, name: &str, value: &[u8]) -> Result<(), Errno> {
        self.set_xattr(node, name, value)
    }

    fn listxattr(&self, node: Node) -> Result<Vec<String>, Errno> {
        let mut names = self.inner.listxattr(node)?;
        if self.is(Bug::XattrListForgetsLast) && names.len() > 1 {
            names.pop();
        }
        Ok(names)
    }

    fn removexattr(&self, node: Node, name: &str) -> Result<(), Errno> {
        self.inner.removexattr(node, name)
    }

    fn content(&self, node: Node) -> Option<Content> {
        self.inner.content(node)
    }
}
