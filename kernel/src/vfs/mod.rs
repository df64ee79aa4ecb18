//! The filesystem as guests see it: one tree of names over mounted backends, and one resolver.
//!
//! A [`Dentry`] is a name, an [`Inode`] a file, a [`Mount`] a backend. The resolver (`resolve.rs`) walks; `tree.rs` changes the tree; files that are open belong to
//! [`process`](crate::process). `/dev` and `/proc` are filesystems of the kernel's own.

mod belief;
mod children;
mod dentry;
pub(crate) mod devfs;
mod inode;
mod mount;
mod pages;
pub(crate) mod procfs;
mod resolve;
mod special;
mod tree;
mod waiting;

use std::collections::VecDeque;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

pub use dentry::Dentry;
pub use inode::{Inode, Permissions};
pub use mount::{Mount, MountOptions};
pub(crate) use pages::CachedFile;
pub use pages::Caching;
pub use resolve::{Access, End, Found, PATH_BYTES_MAX, SYMLINKS_MAX, WalkFlags, Walker};
pub(crate) use special::{Jump, Special};
pub(crate) use tree::{New, Opened};

use crate::Errno;
use crate::backend::Filesystem;
use crate::limits::{Accountant, Limit};
use mount::{MountTable, Mounted};
use pages::PageCache;

/// How many entries are looked at for one that can go, for each that comes.
const EVICTIONS_MAX: usize = 8;

/// The tree of one VM.
pub struct Vfs {
    root: Arc<Dentry>,
    mounts: MountTable,
    /// Held while a directory moves, so that two moves never make a cycle.
    rename: Mutex<()>,
    /// The entries that are remembered though nobody uses them, oldest first.
    remembered: Mutex<VecDeque<Weak<Dentry>>>,
    pages: Arc<PageCache>,
    accountant: Arc<Accountant>,
}

impl Vfs {
    /// A tree whose root is `fs`.
    pub fn new(fs: Arc<dyn Filesystem>, options: MountOptions, accountant: Arc<Accountant>) -> Result<Self, Errno> {
        let charge = accountant.charge(Limit::Mounts, 1)?;
        let pages = PageCache::new(accountant.clone());
        let (_, root) = Mount::new(fs, options, None, None, &pages, charge)?;
        Ok(Self {
            root,
            mounts: MountTable::default(),
            rename: Mutex::new(()),
            remembered: Mutex::default(),
            pages,
            accountant,
        })
    }

    /// The root directory.
    pub fn root(&self) -> Arc<Dentry> {
        self.root.clone()
    }

    fn is_root(&self, place: &Arc<Dentry>) -> bool {
        Arc::ptr_eq(place, &self.root)
    }

    /// Mounts a filesystem on a directory. Errors: `ENOTDIR`, `EBUSY`, `ENOSPC` (too many mounts), and `EIO` when the backend's root is no directory.
    pub fn mount(&self, point: &Arc<Dentry>, fs: Arc<dyn Filesystem>, options: MountOptions) -> Result<(), Errno> {
        self.mount_special(point, fs, options, None)
    }

    pub(crate) fn mount_special(
        &self,
        point: &Arc<Dentry>,
        fs: Arc<dyn Filesystem>,
        options: MountOptions,
        special: Option<Arc<dyn Special>>,
    ) -> Result<(), Errno> {
        if !point.inode().is_dir() {
            return Err(Errno::Notdir);
        }
        let charge = self.accountant.charge(Limit::Mounts, 1)?;
        let (mount, root) = Mount::new(fs, options, Some(point.clone()), special, &self.pages, charge)?;
        self.mounts.insert(point, Mounted { mount, root })
    }

    /// Takes the mount whose root is `root` away; open files on it go on. Errors: `EINVAL` when it is no mount's root or the VM's.
    pub fn unmount(&self, root: &Arc<Dentry>) -> Result<(), Errno> {
        let point = root.inode().mount().covers.clone().filter(|_| root.is_mount_root()).ok_or(Errno::Inval)?;
        let unmounted = self.mounts.remove(&point).ok_or(Errno::Inval)?;
        if let Err(errno) = unmounted.mount.write_back() {
            tracing::warn!(kind = %unmounted.mount.info().kind, %errno, "what was written is held back past the unmount");
        }
        Ok(())
    }

    /// The root of what is mounted on an entry of a directory.
    pub(crate) fn mounted_at(&self, dir: &Arc<Dentry>, name: &str) -> Option<Arc<Dentry>> {
        let mut point = dir.lock().get(name)?.clone();
        let mut root = None;
        while point.is_covered()
            && let Some(over) = self.mounts.at(&point)
        {
            root = Some(over.clone());
            point = over;
        }
        root
    }

    /// Makes everything durable that every mount holds back: sync(2). Errors: the first that a backend answered, after all were asked.
    pub fn sync(&self) -> Result<(), Errno> {
        let flushed = self.pages.flush();
        let mounted = self.mounts.all();
        let mounts = std::iter::once(self.root.inode().mount()).chain(mounted.iter().map(|mounted| &mounted.mount));
        let results: Vec<_> = mounts.map(|mount| mount.fs.sync()).collect();
        std::iter::once(flushed).chain(results).collect()
    }

    /// One line per mount, as `/proc/mounts` has them (proc_pid_mounts(5)).
    pub(crate) fn mounts_text(&self) -> String {
        let line = |path: &str, mount: &Mount| {
            let access = if mount.read_only() { "ro" } else { "rw" };
            format!("{kind} {path} {kind} {access} 0 0\n", kind = mount.info().kind)
        };
        let mut text = line("/", self.root.inode().mount());
        for mounted in self.mounts.all() {
            if let Some(path) = mounted.mount.covers.as_ref().and_then(|point| self.path_of(point).ok()) {
                // Blanks in paths are octal escapes there.
                let path =
                    path.replace('\\', "\\134").replace(' ', "\\040").replace('\t', "\\011").replace('\n', "\\012");
                text.push_str(&line(&path, &mounted.mount));
            }
        }
        text
    }

    /// Keeps an entry for later walks, and forgets the oldest ones past the limit.
    fn remember(&self, entry: &Arc<Dentry>) {
        let max = usize::try_from(self.accountant.max(Limit::CachedEntries)).unwrap_or(usize::MAX);
        self.remembered.lock().push_back(Arc::downgrade(entry));
        // One comes, one goes; a second attempt or more makes good for those that were in use when their turn was.
        for _ in 0..EVICTIONS_MAX {
            let mut remembered = self.remembered.lock();
            let oldest = if remembered.len() > max { remembered.pop_front() } else { return };
            drop(remembered);
            if let Some(entry) = oldest.and_then(|entry| entry.upgrade())
                && !entry.evict()
            {
                self.remembered.lock().push_back(Arc::downgrade(&entry));
            }
        }
    }
}

impl Drop for Vfs {
    fn drop(&mut self) {
        self.pages.finish();
    }
}
