//! The filesystem itself: how a node is reached and locked.
//!
//! # Locks, in their order
//! 1. `tree`: held by what locks more than one directory (`rename`, `rmdir`).
//! 2. A directory's slot. Whoever does not hold `tree` holds at most one.
//! 3. The slot of anything but a directory, at most one at a time.
//! 4. The slots' free list.
//!
//! So two threads can wait for each other only over directories, and then one of them holds `tree` and the other holds nothing the
//! first could be waiting for. A lock is held for one lookup, one copy of at most a mebibyte, or one page of a listing, never across a call out.

use std::sync::Arc;

use eyot_backend::{Errno, Node, Ownership, Timestamp};
use parking_lot::{Mutex, RwLockWriteGuard};

use crate::clock::Clock;
use crate::data::Under;
use crate::directory::Directory;
use crate::image::{BaseImage, BaseNode};
use crate::inode::{Body, Inode};
use crate::quota::{INODE_BYTES, Quota};
use crate::slots::{Content, Key, Slot, Slots, State};

/// How many bytes a filesystem may take when nothing else is said: 1 GiB, so that a guest cannot take the host's memory.
pub const BYTES_MAX_DEFAULT: u64 = 1 << 30;
/// How many inodes may be made when nothing else is said.
pub const INODES_MAX_DEFAULT: u64 = 1 << 20;
/// The root directory's number.
pub(crate) const ROOT: Node = 1;

/// A filesystem in memory, empty at first or over a [`BaseImage`] that it shares with others.
///
/// ```
/// use eyot_backend::{Filesystem, Ownership};
/// use eyot_memfs::Memfs;
///
/// let fs = Memfs::builder().bytes_max(64 << 20).build();
/// let owner = Ownership { mode: 0o644, uid: 0, gid: 0 };
/// let file = fs.create(fs.info().root, "hello", owner)?.node;
/// assert_eq!(fs.write(file, 0, 0, b"hello")?, 5);
/// assert_eq!(fs.getattr(file)?.size, 5);
/// # Ok::<(), eyot_backend::Errno>(())
/// ```
///
/// **Over an image** nothing is copied when the filesystem is made. A node is the image's until it is changed; then its record is copied, and of
/// a file's bytes the chunks of 64 KiB that are written. The quota counts what is the filesystem's own.
///
/// **Access times** are kept as Linux's `relatime` does: a read is noted when it is the first since the last change. Reading what is still
/// the image's notes nothing.
pub struct Memfs {
    pub(crate) slots: Slots,
    pub(crate) image: Option<Arc<BaseImage>>,
    pub(crate) quota: Quota,
    pub(crate) tree: Mutex<()>,
    pub(crate) clock: Clock,
    pub(crate) shared: bool,
}

/// What a [`Memfs`] is made of.
#[derive(Clone)]
pub struct MemfsBuilder {
    bytes_max: u64,
    inodes_max: u64,
    root: Ownership,
    image: Option<Arc<BaseImage>>,
    clock: Clock,
    shared: bool,
}

impl Default for MemfsBuilder {
    fn default() -> Self {
        Self {
            bytes_max: BYTES_MAX_DEFAULT,
            inodes_max: INODES_MAX_DEFAULT,
            root: Ownership { mode: 0o755, uid: 0, gid: 0 },
            image: None,
            clock: Clock::default(),
            shared: false,
        }
    }
}

impl MemfsBuilder {
    /// The ceiling of memory for contents, names and inodes ([`BYTES_MAX_DEFAULT`]). Beyond it `ENOSPC`.
    pub fn bytes_max(mut self, bytes_max: u64) -> Self {
        self.bytes_max = bytes_max;
        self
    }

    /// The ceiling of inodes, the image's and the root not counted ([`INODES_MAX_DEFAULT`]). Beyond it `ENOSPC`.
    pub fn inodes_max(mut self, inodes_max: u64) -> Self {
        self.inodes_max = inodes_max;
        self
    }

    /// Mode and owner of the root directory (0755, root). An image brings its own root.
    pub fn root(mut self, root: Ownership) -> Self {
        self.root = root;
        self
    }

    /// The image under it.
    pub fn image(mut self, image: Arc<BaseImage>) -> Self {
        self.image = Some(image);
        self
    }

    /// The clock for timestamps; without one, the host's.
    pub fn clock(mut self, now: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        self.clock = Clock::new(now);
        self
    }

    /// Says that more than one kernel will mount this filesystem: then none of them may keep what it has seen.
    pub fn shared_between_vms(mut self) -> Self {
        self.shared = true;
        self
    }

    /// The filesystem.
    pub fn build(self) -> Memfs {
        let reserved = self.image.as_ref().map_or(0, |image| image.node_count());
        let memfs = Memfs {
            slots: Slots::new(reserved),
            image: self.image,
            quota: Quota::new(self.bytes_max, self.inodes_max),
            tree: Mutex::new(()),
            clock: self.clock,
            shared: self.shared,
        };
        if reserved == 0 {
            let root = Inode::new(Body::Directory(Directory::new()), self.root, memfs.clock.now());
            // The root is never charged and never freed; the first slot of an empty table is there.
            let _ = memfs.slots.put(root);
        }
        memfs
    }
}

/// A node to read: the filesystem's own, or still the image's.
pub(crate) enum View<'a> {
    Own(&'a Inode),
    Image(&'a BaseImage, BaseNode),
}

/// A node to change, locked.
pub(crate) struct Locked<'a> {
    content: RwLockWriteGuard<'a, Content>,
    slot: &'a Slot,
    key: Key,
}

impl Locked<'_> {
    pub(crate) fn inode(&mut self) -> Result<&mut Inode, Errno> {
        match &mut self.content.state {
            State::Own(inode) => Ok(inode),
            _ => Err(Errno::Stale),
        }
    }
}

impl Default for Memfs {
    fn default() -> Self {
        Self::new()
    }
}

impl Memfs {
    /// An empty filesystem with the default limits.
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// A filesystem over `image` with the default limits.
    pub fn over(image: Arc<BaseImage>) -> Self {
        Self::builder().image(image).build()
    }

    /// A filesystem with other limits.
    pub fn builder() -> MemfsBuilder {
        MemfsBuilder::default()
    }

    pub(crate) fn reserved(&self) -> u32 {
        self.image.as_ref().map_or(0, |image| image.node_count())
    }

    /// Looks at a node under its lock.
    pub(crate) fn view<T>(&self, node: Node, look: impl FnOnce(View<'_>) -> Result<T, Errno>) -> Result<T, Errno> {
        let key = Key::new(node)?;
        let slot = self.slots.of(key)?;
        let content = slot.content.read();
        key.fits(&content)?;
        match &content.state {
            State::Own(inode) => look(View::Own(inode)),
            State::Fresh => {
                let image = self.image.as_deref().ok_or(Errno::Stale)?;
                look(View::Image(image, image.node(key.index).ok_or(Errno::Stale)?))
            }
            State::Gone => Err(Errno::Stale),
        }
    }

    /// Locks a node to change it; a node of the image is copied first.
    pub(crate) fn lock(&self, node: Node) -> Result<Locked<'_>, Errno> {
        let key = Key::new(node)?;
        let slot = self.slots.of(key)?;
        let mut content = slot.content.write();
        key.fits(&content)?;
        match content.state {
            State::Own(_) => {}
            State::Fresh => content.state = State::Own(Box::new(self.copy(key.index)?)),
            State::Gone => return Err(Errno::Stale),
        }
        Ok(Locked { content, slot, key })
    }

    fn copy(&self, index: u32) -> Result<Inode, Errno> {
        let image = self.image.as_deref().ok_or(Errno::Stale)?;
        let base = image.node(index).ok_or(Errno::Stale)?;
        let inode = Inode::of_image(image, index, &base);
        let contents = match &inode.body {
            Body::Directory(directory) => directory.charged_bytes(),
            Body::Symlink(target) => target.len() as u64,
            _ => 0,
        };
        self.quota.charge_always(INODE_BYTES + contents);
        Ok(inode)
    }

    /// Counts a lookup of a node. The caller makes sure that it stays meanwhile: it holds the lock of a directory that names it.
    pub(crate) fn hold(&self, node: Node) -> Result<(), Errno> {
        let slot = self.slots.of(Key::new(node)?)?;
        slot.held.fetch_add(1, std::sync::atomic::Ordering::AcqRel);
        Ok(())
    }

    /// Takes lookups back, and lets the inode go when neither a lookup nor a name is left.
    pub(crate) fn unhold(&self, node: Node, count: u64) {
        use std::sync::atomic::Ordering::{AcqRel, Acquire};
        let Ok(key) = Key::new(node) else { return };
        let Ok(slot) = self.slots.of(key) else { return };
        {
            let content = slot.content.read();
            if key.fits(&content).is_err() {
                return;
            }
            let before = slot.held.fetch_update(AcqRel, Acquire, |held| Some(held.saturating_sub(count)));
            if before.is_ok_and(|before| before > count) {
                return;
            }
            // With a name left it stays, which is the common case; no name can come back once the last is gone.
            if !matches!(&content.state, State::Own(inode) if inode.links == 0) {
                return;
            }
        }
        let mut content = slot.content.write();
        if key.fits(&content).is_ok() && matches!(&content.state, State::Own(inode) if inode.links == 0) {
            self.free(key, slot, &mut content);
        }
    }

    /// Lets an inode without a name go, unless a lookup holds it.
    pub(crate) fn let_go(&self, mut locked: Locked<'_>) {
        self.free(locked.key, locked.slot, &mut locked.content);
    }

    fn free(&self, key: Key, slot: &Slot, content: &mut Content) {
        if slot.held.load(std::sync::atomic::Ordering::Acquire) > 0 || key.node() == ROOT {
            return;
        }
        if let Some(inode) = self.slots.vacate(key.index, self.reserved(), content) {
            inode.refund(&self.quota);
        }
    }

    /// The bytes of the image that show through in a file.
    pub(crate) fn shown(&self, under: Option<Under>) -> &[u8] {
        let (Some(under), Some(image)) = (under, self.image.as_deref()) else { return &[] };
        let bytes = image.node(under.index).map(|node| image.data(&node)).unwrap_or_default();
        usize::try_from(under.limit).ok().and_then(|limit| bytes.get(..limit)).unwrap_or(bytes)
    }
}
