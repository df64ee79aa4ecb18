//! Mounted filesystems and the table that says where they are mounted.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Weak};

use parking_lot::{Mutex, RwLock};

use super::pages::{Caching, MountPages, PageCache};
use super::special::Special;
use super::{Dentry, Inode};
use crate::Errno;
use crate::backend::{Capabilities, Change, Filesystem, FilesystemInfo, Node, NodeKind, Watcher};
use crate::limits::Charge;
use crate::process::Task;

/// How a filesystem is mounted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MountOptions {
    /// Changes fail with `EROFS`.
    pub read_only: bool,
    /// What is kept of the contents of its files.
    pub cache: Caching,
}

/// One mounted filesystem.
pub struct Mount {
    id: u64,
    pub(crate) fs: Arc<dyn Filesystem>,
    pub(crate) info: FilesystemInfo,
    options: MountOptions,
    /// The cache of its files' contents, where it has one.
    pages: Option<MountPages>,
    stamp: AtomicU64,
    pub(super) inodes: Mutex<HashMap<Node, Weak<Inode>>>,
    /// The directory that the root covers; none for the VM's root.
    pub(super) covers: Option<Arc<Dentry>>,
    /// What the kernel's own filesystems answer beyond the backend interface.
    pub(super) special: Option<Arc<dyn Special>>,
    _charge: Charge,
}

impl Mount {
    /// Asks the backend what it is and makes the root entry.
    pub(super) fn new(
        fs: Arc<dyn Filesystem>,
        options: MountOptions,
        covers: Option<Arc<Dentry>>,
        special: Option<Arc<dyn Special>>,
        cache: &Arc<PageCache>,
        charge: Charge,
    ) -> Result<(Arc<Mount>, Arc<Dentry>), Errno> {
        static NEXT_ID: AtomicU64 = AtomicU64::new(1);
        let fs = super::waiting::as_called(fs);
        let mut info = fs.info();
        if !info.capabilities.contains(Capabilities::CASE_SENSITIVE) {
            // Names that differ by case are one to the backend: what happens to one happens to others that the kernel remembers apart.
            info.entry_lifetime_ns = 0;
            info.absence_lifetime_ns = 0;
        }
        let read_only = options.read_only || !info.capabilities.contains(Capabilities::WRITABLE);
        let pages = MountPages::of(cache, &*fs, options.cache, read_only);
        let mount = Arc::new(Mount {
            id: NEXT_ID.fetch_add(1, Relaxed),
            fs,
            info,
            options,
            pages,
            stamp: AtomicU64::new(0),
            inodes: Mutex::default(),
            covers,
            special,
            _charge: charge,
        });
        let watcher: Weak<dyn Watcher> = Arc::downgrade(&(mount.clone() as Arc<dyn Watcher>));
        mount.fs.watch(watcher);
        let root = mount.fs.getattr(mount.info.root)?;
        if root.kind != NodeKind::Directory || root.node != mount.info.root {
            return Err(Errno::Io);
        }
        let inode = Inode::of(&mount, &root)?;
        let dentry = Dentry::root(inode);
        Ok((mount, dentry))
    }

    /// The mount's number: unique in the host process; `st_dev`.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// What the backend said of itself.
    pub fn info(&self) -> &FilesystemInfo {
        &self.info
    }

    /// How its files' contents are cached.
    pub(super) fn pages(&self) -> Option<&MountPages> {
        self.pages.as_ref()
    }

    /// Writes to the backend what is held back. Errors: the first of the backend's, after all was tried.
    pub(super) fn write_back(&self) -> Result<(), Errno> {
        self.pages.as_ref().map_or(Ok(()), |pages| pages.write_back(self.id))
    }

    /// What beliefs of this mount carry; another one when the backend told that everything changed.
    pub(super) fn stamp(&self) -> u64 {
        self.stamp.load(Relaxed)
    }

    /// The contents of a file that is made when it is opened; none for ordinary files.
    pub(crate) fn snapshot(&self, node: Node, task: &Task) -> Option<Result<Vec<u8>, Errno>> {
        self.special.as_ref()?.snapshot(node, task)
    }

    /// Whether it can be changed.
    pub fn read_only(&self) -> bool {
        self.options.read_only || !self.info.capabilities.contains(Capabilities::WRITABLE)
    }

    /// Errors: `EROFS`.
    pub fn check_writable(&self) -> Result<(), Errno> {
        if self.read_only() { Err(Errno::Rofs) } else { Ok(()) }
    }

    /// Errors: `ENOTSUP` (for what Linux answers `EPERM`: a filesystem that cannot do it).
    pub(super) fn check_can(&self, capability: Capabilities) -> Result<(), Errno> {
        if self.info.capabilities.contains(capability) { Ok(()) } else { Err(Errno::Perm) }
    }
}

impl Watcher for Mount {
    fn changed(&self, change: &Change) {
        let of = |node| self.inodes.lock().get(node).and_then(Weak::upgrade);
        match change {
            Change::Node(node) => of(node).iter().for_each(|inode| inode.changed_outside()),
            Change::Entry { dir, .. } => of(dir).iter().for_each(|inode| inode.names_changed()),
            Change::Everything => drop(self.stamp.fetch_add(1, Relaxed)),
        }
    }

    fn write_back(&self) -> Result<(), Errno> {
        Mount::write_back(self)
    }
}

/// Where filesystems are mounted.
#[derive(Default)]
pub(super) struct MountTable {
    /// By the address of the covered directory's entry, which lives as long as the mount holds it.
    by_point: RwLock<HashMap<usize, Mounted>>,
}

#[derive(Clone)]
pub(super) struct Mounted {
    pub(super) mount: Arc<Mount>,
    pub(super) root: Arc<Dentry>,
}

impl MountTable {
    pub(super) fn at(&self, point: &Arc<Dentry>) -> Option<Arc<Dentry>> {
        self.by_point.read().get(&(Arc::as_ptr(point) as usize)).map(|mounted| mounted.root.clone())
    }

    pub(super) fn insert(&self, point: &Arc<Dentry>, mounted: Mounted) -> Result<(), Errno> {
        let mut table = self.by_point.write();
        match table.entry(Arc::as_ptr(point) as usize) {
            std::collections::hash_map::Entry::Occupied(_) => Err(Errno::Busy),
            std::collections::hash_map::Entry::Vacant(slot) => {
                slot.insert(mounted);
                point.set_covered(true);
                Ok(())
            }
        }
    }

    pub(super) fn remove(&self, point: &Arc<Dentry>) -> Option<Mounted> {
        let removed = self.by_point.write().remove(&(Arc::as_ptr(point) as usize));
        if removed.is_some() {
            point.set_covered(false);
        }
        removed
    }

    pub(super) fn all(&self) -> Vec<Mounted> {
        let mut all: Vec<_> = self.by_point.read().values().cloned().collect();
        all.sort_by_key(|mounted| mounted.mount.id());
        all
    }
}
