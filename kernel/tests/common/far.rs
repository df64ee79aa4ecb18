//! A backend that is far away, or says so: memfs with lifetimes, delays, failures and counters.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use eyot_backend::{
    AttributeChanges, Attributes, Change, DirectoryEntry, Errno, Filesystem, FilesystemInfo, FilesystemStatus, Handle,
    Node, NodeKind, OpenFlags, Ownership, RenameFlags, Watcher,
};
use eyot_kernel::limits::Limit;
use eyot_kernel::vm::{Caching, MountOptions};
use eyot_memfs::Memfs;

use super::World;

/// What it was asked since it was last looked at.
#[derive(Debug, Default)]
pub struct Counters {
    pub reads: AtomicU64,
    pub bytes_read: AtomicU64,
    pub writes: AtomicU64,
    pub getattrs: AtomicU64,
    pub setattrs: AtomicU64,
    pub fsyncs: AtomicU64,
}

/// What answers to a read look like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Answers {
    #[default]
    Right,
    /// Half of what there is.
    Short,
    /// One byte more than was asked for.
    Long,
}

pub struct Far {
    pub files: Memfs,
    pub lifetime_ns: u64,
    /// Whether it says that it may wait.
    pub waits: bool,
    pub delay: Mutex<Duration>,
    pub count: Counters,
    pub answers: Mutex<Answers>,
    /// The errno of every write, if any.
    pub write_fails: Mutex<Option<Errno>>,
    /// Reads that go past this offset fail.
    pub reads_fail_from: AtomicU64,
    /// One read or write in so many fails.
    pub fails_one_in: AtomicU64,
    pub open: AtomicU64,
    calls: AtomicU64,
    watcher: Mutex<Option<Weak<dyn Watcher>>>,
}

impl Far {
    pub fn new(lifetime_ns: u64, waits: bool) -> Arc<Self> {
        Arc::new(Self {
            files: Memfs::builder().bytes_max(1 << 30).build(),
            lifetime_ns,
            waits,
            delay: Mutex::default(),
            count: Counters::default(),
            answers: Mutex::default(),
            write_fails: Mutex::default(),
            reads_fail_from: AtomicU64::new(u64::MAX),
            fails_one_in: AtomicU64::new(0),
            open: AtomicU64::new(0),
            calls: AtomicU64::new(0),
            watcher: Mutex::default(),
        })
    }

    /// A VM that has it at `/m`.
    pub fn world(self: &Arc<Self>, cache: Caching, limits: &[(Limit, u64)]) -> World {
        World::with(|mut builder| {
            for &(limit, max) in limits {
                builder = builder.limit(limit, max);
            }
            builder.mount("/m", self.clone(), MountOptions { cache, ..MountOptions::default() })
        })
    }

    /// The node of a file in its root.
    pub fn node(&self, name: &str) -> Node {
        let found = self.files.lookup(self.files.info().root, name).unwrap();
        self.files.forget(found.node, 1);
        found.node
    }

    /// A file's contents, as the backend has them.
    pub fn contents(&self, name: &str) -> Vec<u8> {
        let node = self.node(name);
        let mut bytes = vec![0; usize::try_from(self.files.getattr(node).unwrap().size).unwrap()];
        let handle = self.files.open(node, OpenFlags::READ).unwrap();
        let mut done = 0;
        while done < bytes.len() {
            let end = bytes.len().min(done + (1 << 20));
            done += self.files.read(node, handle, done as u64, &mut bytes[done..end]).unwrap();
        }
        self.files.release(node, handle);
        bytes
    }

    /// Makes or replaces a file from outside.
    pub fn put(&self, name: &str, bytes: &[u8]) {
        let root = self.files.info().root;
        let owner = Ownership { mode: 0o644, uid: 0, gid: 0 };
        if let Ok(made) = self.files.create(root, name, owner) {
            self.files.forget(made.node, 1);
        }
        let node = self.node(name);
        let cut = AttributeChanges { size: Some(bytes.len() as u64), ..AttributeChanges::default() };
        self.files.setattr(node, &cut).unwrap();
        let handle = self.files.open(node, OpenFlags::WRITE).unwrap();
        let mut done = 0;
        while done < bytes.len() {
            let end = bytes.len().min(done + (1 << 20));
            done += self.files.write(node, handle, done as u64, &bytes[done..end]).unwrap();
        }
        self.files.release(node, handle);
    }

    /// Tells the kernel of a change.
    pub fn tell(&self, change: &Change) {
        let watcher = self.watcher.lock().unwrap().clone().expect("the kernel watches");
        watcher.upgrade().expect("the mount is there").changed(change);
    }

    /// How often it was asked to read since the last time.
    pub fn reads(&self) -> u64 {
        self.count.reads.swap(0, Relaxed)
    }

    /// How often it was asked to write since the last time.
    pub fn writes(&self) -> u64 {
        self.count.writes.swap(0, Relaxed)
    }

    fn out(&self, attributes: Attributes) -> Attributes {
        Attributes { lifetime_ns: self.lifetime_ns, ..attributes }
    }

    fn wait(&self) {
        let delay = *self.delay.lock().unwrap();
        if !delay.is_zero() {
            std::thread::sleep(delay);
        }
    }

    fn may_fail(&self) -> Result<(), Errno> {
        let one_in = self.fails_one_in.load(Relaxed);
        let call = self.calls.fetch_add(1, Relaxed);
        let random = (call + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33;
        if one_in > 0 && random.is_multiple_of(one_in) { Err(Errno::Io) } else { Ok(()) }
    }
}

impl Filesystem for Far {
    fn info(&self) -> FilesystemInfo {
        let lifetime = self.lifetime_ns;
        FilesystemInfo { entry_lifetime_ns: lifetime, absence_lifetime_ns: lifetime, ..self.files.info() }
    }
    fn may_wait(&self) -> bool {
        self.waits
    }
    fn worth_caching(&self) -> bool {
        true
    }
    fn watch(&self, watcher: Weak<dyn Watcher>) {
        *self.watcher.lock().unwrap() = Some(watcher);
    }
    fn lookup(&self, dir: Node, name: &str) -> Result<Attributes, Errno> {
        self.files.lookup(dir, name).map(|found| self.out(found))
    }
    fn getattr(&self, node: Node) -> Result<Attributes, Errno> {
        self.count.getattrs.fetch_add(1, Relaxed);
        self.files.getattr(node).map(|found| self.out(found))
    }
    fn setattr(&self, node: Node, changes: &AttributeChanges) -> Result<Attributes, Errno> {
        self.count.setattrs.fetch_add(1, Relaxed);
        self.may_fail()?;
        self.files.setattr(node, changes).map(|found| self.out(found))
    }
    fn create(&self, dir: Node, name: &str, owner: Ownership) -> Result<Attributes, Errno> {
        self.files.create(dir, name, owner).map(|made| self.out(made))
    }
    fn mkdir(&self, dir: Node, name: &str, owner: Ownership) -> Result<Attributes, Errno> {
        self.files.mkdir(dir, name, owner).map(|made| self.out(made))
    }
    fn symlink(&self, dir: Node, name: &str, target: &str, owner: Ownership) -> Result<Attributes, Errno> {
        self.files.symlink(dir, name, target, owner).map(|made| self.out(made))
    }
    fn make_node(
        &self,
        dir: Node,
        name: &str,
        kind: NodeKind,
        device: u64,
        owner: Ownership,
    ) -> Result<Attributes, Errno> {
        self.files.make_node(dir, name, kind, device, owner).map(|made| self.out(made))
    }
    fn link(&self, target: Node, dir: Node, name: &str) -> Result<Attributes, Errno> {
        self.files.link(target, dir, name).map(|linked| self.out(linked))
    }
    fn forget(&self, node: Node, count: u64) {
        self.files.forget(node, count);
    }
    fn unlink(&self, dir: Node, name: &str) -> Result<(), Errno> {
        self.files.unlink(dir, name)
    }
    fn rmdir(&self, dir: Node, name: &str) -> Result<(), Errno> {
        self.files.rmdir(dir, name)
    }
    fn rename(&self, from: Node, name: &str, to: Node, new: &str, how: RenameFlags) -> Result<(), Errno> {
        self.files.rename(from, name, to, new, how)
    }
    fn readlink(&self, node: Node) -> Result<String, Errno> {
        self.files.readlink(node)
    }
    fn open(&self, node: Node, how: OpenFlags) -> Result<Handle, Errno> {
        self.open.fetch_add(1, Relaxed);
        self.files.open(node, how)
    }
    fn release(&self, node: Node, handle: Handle) {
        self.open.fetch_sub(1, Relaxed);
        self.files.release(node, handle);
    }
    fn read(&self, node: Node, handle: Handle, offset: u64, buffer: &mut [u8]) -> Result<usize, Errno> {
        self.count.reads.fetch_add(1, Relaxed);
        self.wait();
        self.may_fail()?;
        if offset + buffer.len() as u64 > self.reads_fail_from.load(Relaxed) {
            return Err(Errno::Io);
        }
        let count = self.files.read(node, handle, offset, buffer)?;
        self.count.bytes_read.fetch_add(count as u64, Relaxed);
        match *self.answers.lock().unwrap() {
            Answers::Right => Ok(count),
            Answers::Short => Ok(count / 2),
            Answers::Long => Ok(buffer.len() + 1),
        }
    }
    fn write(&self, node: Node, handle: Handle, offset: u64, bytes: &[u8]) -> Result<usize, Errno> {
        self.count.writes.fetch_add(1, Relaxed);
        self.wait();
        self.may_fail()?;
        if let Some(errno) = *self.write_fails.lock().unwrap() {
            return Err(errno);
        }
        self.files.write(node, handle, offset, bytes)
    }
    fn fsync(&self, node: Node, handle: Handle, data_only: bool) -> Result<(), Errno> {
        self.count.fsyncs.fetch_add(1, Relaxed);
        self.files.fsync(node, handle, data_only)
    }
    fn readdir(&self, dir: Node, cookie: u64, entries_max: usize) -> Result<Vec<DirectoryEntry>, Errno> {
        self.files.readdir(dir, cookie, entries_max)
    }
    fn statfs(&self) -> Result<FilesystemStatus, Errno> {
        self.files.statfs()
    }
}
