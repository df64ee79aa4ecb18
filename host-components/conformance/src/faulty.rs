//! A backend whose calls fail now and then: what lies under a backend that is made of others.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use eyot_backend::{
    AttributeChanges, Attributes, Content, DirectoryEntry, Errno, Filesystem, FilesystemInfo, FilesystemStatus, Handle,
    Node, NodeKind, OpenFlags, Ownership, RenameFlags,
};

use crate::random::Random;

/// A backend whose calls fail when it is told to, before they do anything.
///
/// ```
/// use std::sync::Arc;
/// use eyot_backend::{Errno, Filesystem};
/// use eyot_conformance::Faulty;
///
/// # fn check(inner: Arc<dyn Filesystem>) {
/// let faulty = Faulty::new(inner);
/// faulty.fail_once_after(0, Errno::Io);
/// assert_eq!(faulty.statfs(), Err(Errno::Io));
/// assert!(faulty.statfs().is_ok());
/// # }
/// ```
pub struct Faulty {
    inner: Arc<dyn Filesystem>,
    calls: AtomicU64,
    /// The call that fails; `u64::MAX`: none.
    at: AtomicU64,
    /// One call in so many fails at random; 0: none.
    one_in: AtomicU64,
    errno: AtomicU64,
    failures: AtomicU64,
}

impl Faulty {
    /// `inner`, and nothing fails yet.
    pub fn new(inner: Arc<dyn Filesystem>) -> Self {
        Self {
            inner,
            calls: AtomicU64::new(0),
            at: AtomicU64::new(u64::MAX),
            one_in: AtomicU64::new(0),
            errno: AtomicU64::new(Errno::Io.linux().unsigned_abs().into()),
            failures: AtomicU64::new(0),
        }
    }

    /// Lets one call fail, after so many that do not.
    pub fn fail_once_after(&self, calls: u64, errno: Errno) {
        self.errno.store(errno.linux().unsigned_abs().into(), Ordering::Relaxed);
        self.at.store(self.calls.load(Ordering::Relaxed).saturating_add(calls), Ordering::Relaxed);
    }

    /// Lets one call in so many fail from now on, which ones follows from the count of calls.
    pub fn fail_one_in(&self, calls: u64, errno: Errno) {
        self.errno.store(errno.linux().unsigned_abs().into(), Ordering::Relaxed);
        self.one_in.store(calls, Ordering::Relaxed);
    }

    /// Lets nothing fail any more.
    pub fn heal(&self) {
        self.at.store(u64::MAX, Ordering::Relaxed);
        self.one_in.store(0, Ordering::Relaxed);
    }

    /// How many calls failed because they were told to.
    pub fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    fn pass(&self) -> Result<&dyn Filesystem, Errno> {
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        let one_in = self.one_in.load(Ordering::Relaxed);
        if call == self.at.load(Ordering::Relaxed) || one_in > 0 && Random::new(call).one_in(one_in) {
            self.failures.fetch_add(1, Ordering::Relaxed);
            let number = i32::try_from(self.errno.load(Ordering::Relaxed)).unwrap_or_default();
            return Err(Errno::from_linux(number).unwrap_or(Errno::Io));
        }
        Ok(&*self.inner)
    }
}

macro_rules! fallible {
    ($($name:ident($($arg:ident: $ty:ty),*) -> $ret:ty;)*) => {
        $(fn $name(&self, $($arg: $ty),*) -> Result<$ret, Errno> { self.pass()?.$name($($arg),*) })*
    };
}

impl Filesystem for Faulty {
    fn info(&self) -> FilesystemInfo {
        self.inner.info()
    }

    fn forget(&self, node: Node, count: u64) {
        self.inner.forget(node, count);
    }

    fn release(&self, node: Node, handle: Handle) {
        self.inner.release(node, handle);
    }

    fn content(&self, node: Node) -> Option<Content> {
        self.inner.content(node)
    }

    fallible! {
        lookup(dir: Node, name: &str) -> Attributes;
        getattr(node: Node) -> Attributes;
        setattr(node: Node, changes: &AttributeChanges) -> Attributes;
        create(dir: Node, name: &str, owner: Ownership) -> Attributes;
        mkdir(dir: Node, name: &str, owner: Ownership) -> Attributes;
        symlink(dir: Node, name: &str, target: &str, owner: Ownership) -> Attributes;
        make_node(dir: Node, name: &str, kind: NodeKind, device: u64, owner: Ownership) -> Attributes;
        link(target: Node, dir: Node, name: &str) -> Attributes;
        unlink(dir: Node, name: &str) -> ();
        rmdir(dir: Node, name: &str) -> ();
        rename(from_dir: Node, from_name: &str, to_dir: Node, to_name: &str, how: RenameFlags) -> ();
        readlink(node: Node) -> String;
        open(node: Node, how: OpenFlags) -> Handle;
        read(node: Node, handle: Handle, offset: u64, buffer: &mut [u8]) -> usize;
        write(node: Node, handle: Handle, offset: u64, bytes: &[u8]) -> usize;
        fsync(node: Node, handle: Handle, data_only: bool) -> ();
        readdir(dir: Node, cookie: u64, entries_max: usize) -> Vec<DirectoryEntry>;
        statfs() -> FilesystemStatus;
        getxattr(node: Node, name: &str) -> Vec<u8>;
        setxattr(node: Node, name: &str, value: &[u8]) -> ();
        listxattr(node: Node) -> Vec<String>;
        removexattr(node: Node, name: &str) -> ();
    }
}
