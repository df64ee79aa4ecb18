//! Directory entries: the tree of names that the kernel remembers.
//!
//! Ownership runs downwards: a directory's entry owns those of its children, a child knows its parent weakly. The lock on a directory's children is also
//! the directory's lock: it is held while the backend looks a name up in it or changes it, so that what is remembered is what is there.
//!
//! Lock order: the tree's rename lock, then directories' children (two of them by address), then an entry's place.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Weak};

use parking_lot::{Mutex, MutexGuard, RwLock};

use super::Inode;
use super::belief::Belief;
use super::children::Children;
use crate::{Errno, runtime};

struct Place {
    parent: Weak<Dentry>,
    name: Box<str>,
}

/// A name in a directory and the inode it leads to.
pub struct Dentry {
    inode: Arc<Inode>,
    place: RwLock<Place>,
    children: Mutex<Children>,
    /// Something is mounted here.
    covered: AtomicBool,
    /// Its name was taken away.
    gone: AtomicBool,
    /// That the name leads here.
    belief: Belief,
}

impl Dentry {
    pub(super) fn root(inode: Arc<Inode>) -> Arc<Self> {
        Self::new(inode, Weak::new(), "")
    }

    fn new(inode: Arc<Inode>, parent: Weak<Dentry>, name: &str) -> Arc<Self> {
        Arc::new(Self {
            inode,
            place: RwLock::new(Place { parent, name: name.into() }),
            children: Mutex::default(),
            covered: AtomicBool::new(false),
            gone: AtomicBool::new(false),
            belief: Belief::default(),
        })
    }

    /// The inode.
    pub fn inode(&self) -> &Arc<Inode> {
        &self.inode
    }

    /// The name in the parent directory; empty for the root of a mount.
    pub fn name(&self) -> Box<str> {
        self.place.read().name.clone()
    }

    /// The parent within the same mount.
    pub(super) fn parent(&self) -> Option<Arc<Dentry>> {
        self.place.read().parent.upgrade()
    }

    /// Whether its name was taken away.
    pub fn is_gone(&self) -> bool {
        self.gone.load(Relaxed)
    }

    pub(super) fn is_covered(&self) -> bool {
        self.covered.load(Relaxed)
    }

    pub(super) fn set_covered(&self, covered: bool) {
        self.covered.store(covered, Relaxed);
    }

    /// Whether this is the root of its mount.
    pub(super) fn is_mount_root(&self) -> bool {
        self.inode.node() == self.inode.mount().info.root
    }

    /// Whether the name is believed to lead here, without asking the backend again.
    pub(super) fn is_believed(&self, dir: &Dentry) -> bool {
        self.belief.holds(dir.inode.names_stamp())
    }

    /// The backend just said that the name leads here.
    fn believe(&self, dir: &Dentry) {
        self.belief.renew(dir.inode.mount().info.entry_lifetime_ns, dir.inode.names_stamp());
    }

    /// Locks the directory.
    pub(super) fn lock(&self) -> MutexGuard<'_, Children> {
        // Whoever holds it may be waiting in a backend.
        self.children.try_lock().unwrap_or_else(|| runtime::wait(|| self.children.lock()))
    }

    /// Locks two directories in the one order that is allowed. The second is `None` when both are the same.
    pub(super) fn lock_two<'a>(
        a: &'a Arc<Dentry>,
        b: &'a Arc<Dentry>,
    ) -> (MutexGuard<'a, Children>, Option<MutexGuard<'a, Children>>) {
        if Arc::ptr_eq(a, b) {
            return (a.lock(), None);
        }
        if Arc::as_ptr(a) < Arc::as_ptr(b) {
            let first = a.lock();
            (first, Some(b.lock()))
        } else {
            let second = b.lock();
            (a.lock(), Some(second))
        }
    }

    /// Adds the child `name`, or answers the one that is there when it leads to the same inode.
    pub(super) fn adopt(
        self: &Arc<Self>,
        children: &mut Children,
        name: &str,
        inode: Arc<Inode>,
    ) -> Result<Arc<Dentry>, Errno> {
        if self.is_gone() {
            return Err(Errno::Noent);
        }
        if let Some(known) = children.get(name) {
            if Arc::ptr_eq(known.inode(), &inode) {
                known.believe(self);
                return Ok(known.clone());
            }
            known.gone.store(true, Relaxed);
        }
        let child = Dentry::new(inode, Arc::downgrade(self), name);
        child.believe(self);
        children.insert(name, child.clone());
        Ok(child)
    }

    /// Forgets the child `name`, whose name was taken away. The caller drops it after the lock.
    pub(super) fn disown(children: &mut Children, name: &str) -> Option<Arc<Dentry>> {
        let child = children.remove(name)?;
        child.gone.store(true, Relaxed);
        Some(child)
    }

    /// Moves a child to another place.
    pub(super) fn settle(self: &Arc<Self>, parent: &Arc<Dentry>, children: &mut Children, name: &str) {
        *self.place.write() = Place { parent: Arc::downgrade(parent), name: name.into() };
        self.believe(parent);
        if let Some(replaced) = children.insert(name, self.clone())
            && !Arc::ptr_eq(&replaced, self)
        {
            replaced.gone.store(true, Relaxed);
        }
    }

    pub(super) fn mark_gone(&self) {
        self.gone.store(true, Relaxed);
    }

    /// Forgets a child that nobody uses, to save memory. Answers whether it is gone.
    pub(super) fn evict(self: &Arc<Self>) -> bool {
        let Some(parent) = self.parent() else { return true };
        let mut children = parent.lock();
        let name = self.name();
        let Some(known) = children.get(&name).filter(|known| Arc::ptr_eq(known, self)) else { return true };
        // One count is the map's, one the caller's; an entry with children of its own is in use by them. Only tried: the
        // order of locks would have two directories locked by address.
        let childless = self.children.try_lock().is_some_and(|children| children.is_empty());
        if Arc::strong_count(known) > 2 || self.is_covered() || !childless {
            return false;
        }
        children.remove(&name);
        true
    }
}

impl Drop for Dentry {
    /// Takes the tree below apart without recursion: a guest may have made it deeper than the host's stack.
    fn drop(&mut self) {
        let mut pending: Vec<Arc<Dentry>> = self.children.get_mut().take_all().collect();
        while let Some(child) = pending.pop() {
            if let Some(mut child) = Arc::into_inner(child) {
                pending.extend(child.children.get_mut().take_all());
            }
        }
    }
}
