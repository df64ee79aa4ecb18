//! Inodes: what the kernel holds of a backend's nodes, and the count that it owes back.

use std::sync::atomic::{
    AtomicU32, AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;

use super::Mount;
use super::belief::Belief;
use super::pages::FilePages;
use crate::Errno;
use crate::backend::{AttributeChanges, Attributes, Filesystem, Node, NodeKind};
use crate::net::Socket;
use crate::process::Pipe;

/// One node of a mounted filesystem, while the kernel holds it.
pub struct Inode {
    mount: Arc<Mount>,
    node: Node,
    kind: NodeKind,
    device: u64,
    lookups: AtomicU64,
    mode: AtomicU32,
    uid: AtomicU32,
    gid: AtomicU32,
    /// The attributes as last told, and whether they are believed. Boxed: most mounts' are asked for each time.
    told: Mutex<Option<Box<Attributes>>>,
    belief: Belief,
    /// Counts changes that go through this mount, so that an answer from before one is not taken for one from after it.
    version: AtomicU64,
    /// Counts what the backend told of names of this directory.
    names: AtomicU64,
    /// What is kept of a file's contents, on a mount with a cache.
    pages: Option<Box<FilePages>>,
    /// Held while a write appends, so that two appends never land on the same offset.
    pub(crate) append: Mutex<()>,
    /// The pipe behind a FIFO, made when it is first opened.
    pub(crate) fifo: OnceLock<Arc<Pipe>>,
    /// The socket that is bound to this name.
    pub(crate) socket: OnceLock<std::sync::Weak<Socket>>,
}

/// What permission checks need to know of an inode.
#[derive(Clone, Copy, Debug)]
pub struct Permissions {
    /// The low 12 bits of `st_mode`.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

impl Inode {
    /// The inode for an answer of the backend that counted as one lookup.
    pub(super) fn of(mount: &Arc<Mount>, attributes: &Attributes) -> Result<Arc<Inode>, Errno> {
        if attributes.node == 0 {
            return Err(Errno::Io);
        }
        let mut table = mount.inodes.lock();
        if let Some(inode) = table.get(&attributes.node).and_then(std::sync::Weak::upgrade) {
            inode.lookups.fetch_add(1, Relaxed);
            if inode.kind != attributes.kind {
                // The backend gave the number of a living node to another file. Nothing that is built on it can be right.
                return Err(Errno::Stale);
            }
            inode.remember(attributes);
            if let Some(pages) = &inode.pages {
                pages.glanced(attributes);
            }
            return Ok(inode);
        }
        let inode = Arc::new(Inode {
            mount: mount.clone(),
            node: attributes.node,
            kind: attributes.kind,
            device: attributes.device,
            lookups: AtomicU64::new(1),
            mode: AtomicU32::new(attributes.mode & 0o7777),
            uid: AtomicU32::new(attributes.uid),
            gid: AtomicU32::new(attributes.gid),
            told: Mutex::new(None),
            belief: Belief::default(),
            version: AtomicU64::new(0),
            names: AtomicU64::new(0),
            pages: (attributes.kind == NodeKind::File && mount.pages().is_some()).then(|| Box::new(FilePages::new())),
            append: Mutex::new(()),
            fifo: OnceLock::new(),
            socket: OnceLock::new(),
        });
        inode.believe(attributes, 0, mount.stamp());
        table.insert(attributes.node, Arc::downgrade(&inode));
        Ok(inode)
    }

    fn remember(&self, attributes: &Attributes) {
        self.mode.store(attributes.mode & 0o7777, Relaxed);
        self.uid.store(attributes.uid, Relaxed);
        self.gid.store(attributes.gid, Relaxed);
    }

    /// The mount it is on.
    pub fn mount(&self) -> &Arc<Mount> {
        &self.mount
    }

    /// The backend.
    pub(crate) fn fs(&self) -> &dyn Filesystem {
        &*self.mount.fs
    }

    /// What is kept of its contents; none where the mount has no cache.
    pub(in crate::vfs) fn pages(&self) -> Option<&FilePages> {
        self.pages.as_deref()
    }

    /// Its number.
    pub fn node(&self) -> Node {
        self.node
    }

    /// What it is; fixed for its life.
    pub fn kind(&self) -> NodeKind {
        self.kind
    }

    /// The device number of a device node.
    pub fn device(&self) -> u64 {
        self.device
    }

    /// Whether it is a directory.
    pub fn is_dir(&self) -> bool {
        self.kind == NodeKind::Directory
    }

    /// Mode and owner, as last told by the backend. Every walk and every `stat` on a filesystem that others change asks anew.
    pub fn permissions(&self) -> Permissions {
        Permissions { mode: self.mode.load(Relaxed), uid: self.uid.load(Relaxed), gid: self.gid.load(Relaxed) }
    }

    /// The attributes: remembered, while they are believed, or asked of the backend. What was written and is held back shows in them.
    pub fn attributes(&self) -> Result<Attributes, Errno> {
        let mut attributes = self.backend_attributes()?;
        if let Some(pages) = &self.pages {
            pages.show(&self.mount, &mut attributes);
        }
        Ok(attributes)
    }

    /// The length of the file, as guests see it.
    pub(crate) fn size(&self) -> Result<u64, Errno> {
        match &self.pages {
            // As `attributes`, but nobody was shown a time.
            Some(pages) => Ok(pages.size_over(&self.mount, self.backend_attributes()?.size)),
            None => Ok(self.attributes()?.size),
        }
    }

    /// The attributes that the backend has.
    pub(in crate::vfs) fn backend_attributes(&self) -> Result<Attributes, Errno> {
        let stamp = self.mount.stamp();
        if self.belief.holds(stamp)
            && let Some(attributes) = self.told.lock().as_deref()
        {
            return Ok(*attributes);
        }
        let version = self.version.load(Acquire);
        let attributes = self.fs().getattr(self.node)?;
        if attributes.kind != self.kind {
            return Err(Errno::Stale);
        }
        self.remember(&attributes);
        self.believe(&attributes, version, stamp);
        Ok(attributes)
    }

    /// Keeps attributes that the backend told while the version was `version`.
    fn believe(&self, attributes: &Attributes, version: u64, stamp: u64) {
        if let Some(pages) = &self.pages {
            pages.told(&self.mount, attributes, stamp, || self.version.load(Acquire) == version);
        }
        if attributes.lifetime_ns == 0 {
            return;
        }
        let mut told = self.told.lock();
        if self.version.load(Acquire) == version {
            *told = Some(Box::new(*attributes));
            self.belief.renew(attributes.lifetime_ns, stamp);
        }
    }

    /// Something that went through this mount, or that the backend told of, changed the attributes. Called after the change.
    pub(crate) fn changed(&self) {
        self.advance();
        if let Some(pages) = &self.pages {
            pages.changed();
        }
        self.end_belief();
    }

    /// What is known may be wrong, though nothing was changed through this mount.
    pub(in crate::vfs) fn distrust(&self) {
        self.advance();
        if let Some(pages) = &self.pages {
            pages.distrust();
        }
        self.end_belief();
    }

    /// The backend told of a change.
    pub(super) fn changed_outside(&self) {
        self.advance();
        if let Some(pages) = &self.pages {
            pages.changed_outside();
        }
        self.end_belief();
    }

    /// An answer from before is not taken from now on.
    pub(in crate::vfs) fn advance(&self) {
        self.version.fetch_add(1, Release);
    }

    fn end_belief(&self) {
        // Under the lock: an answer from before is being kept, and is then dropped, or sees the new version.
        if self.belief.is_any() || self.told.is_locked() {
            let _told = self.told.lock();
            self.belief.end();
        }
    }

    /// The file was read. Its access time moves on where it lies behind the other times, as with Linux's `relatime`.
    pub(crate) fn was_read(&self) {
        if self.belief.is_any() {
            let behind = |told: &Attributes| told.accessed <= told.modified || told.accessed <= told.changed;
            let moves = self.told.lock().as_deref().is_some_and(behind);
            if moves {
                self.distrust();
            }
        }
    }

    /// The file was opened. Contents that nothing but an open validates are validated by the next read.
    pub(crate) fn opened(&self) {
        if let Some(pages) = &self.pages
            && !self.belief.holds(self.mount.stamp())
        {
            pages.distrust();
        }
    }

    /// Writes to the backend what is held back. Errors: the backend's.
    pub(crate) fn write_back(&self) -> Result<(), Errno> {
        self.pages.as_ref().map_or(Ok(()), |pages| pages.flush())
    }

    /// What beliefs in names of this directory carry.
    pub(super) fn names_stamp(&self) -> u64 {
        // Both only grow: the sum is the same only while neither does.
        self.mount.stamp().wrapping_add(self.names.load(Relaxed))
    }

    /// The backend told of a change of this directory's names.
    pub(super) fn names_changed(&self) {
        self.names.fetch_add(1, Relaxed);
        self.changed();
    }

    /// Changes attributes. Errors: `EROFS`, and the backend's.
    pub fn change(&self, changes: &AttributeChanges) -> Result<Attributes, Errno> {
        self.mount.check_writable()?;
        let change = || {
            let (version, stamp) = (self.version.load(Acquire), self.mount.stamp());
            Ok((self.fs().setattr(self.node, changes)?, version, stamp))
        };
        let (attributes, version, stamp) = match &self.pages {
            Some(pages) => pages.change_attributes(self, changes, change)?,
            None => change()?,
        };
        self.changed();
        self.remember(&attributes);
        // Nothing else changed meanwhile: the answer is what the attributes are now. One step is this change's, and one that of a cut of what is kept.
        let steps = 1 + u64::from(self.pages.is_some() && changes.size.is_some());
        if attributes.kind == self.kind && self.version.load(Acquire) == version + steps {
            self.believe(&attributes, version + steps, stamp);
        }
        Ok(attributes)
    }
}

impl Drop for Inode {
    fn drop(&mut self) {
        let mut table = self.mount.inodes.lock();
        // Another inode may have taken the place while this one was on its way out.
        if table.get(&self.node).is_some_and(|entry| entry.strong_count() == 0) {
            table.remove(&self.node);
        }
        drop(table);
        if self.node != self.mount.info.root {
            self.mount.fs.forget(self.node, self.lookups.load(Relaxed));
        }
    }
}
