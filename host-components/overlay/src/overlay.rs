//! The overlay itself.
//!
//! # Locks, in their order
//! 1. An inode's `copying`: held while it is copied up, one at a time. Whoever holds a lock further down never asks for it.
//! 2. `tree`: held by what locks more than one directory (`rename`, `rmdir`).
//! 3. A directory's `entries`. Whoever does not hold `tree` holds at most one.
//! 4. An inode's `names`, one at a time.
//! 5. Leaves: the table of inodes, the open files, the kept listings, the index, the making of the work directory.
//!
//! A copy of a file's bytes is made under the file's own `copying` and nothing else, so it keeps nobody waiting but those who want that file in the
//! upper. Layers are called under a directory's lock, so that what they say of one name is of one moment; they never call back.

use std::sync::Arc;

use eyot_backend::{Attributes, Capabilities, Errno, Filesystem, FilesystemInfo, Node};
use parking_lot::Mutex;

use crate::files::Files;
use crate::index::Index;
use crate::inode::{Inode, Makings, Part};
use crate::layer::Layer;
use crate::listing::Listings;
use crate::table::Table;
use crate::work::Work;

/// The most layers.
pub const LAYERS_MAX: usize = 128;

/// A stack of filesystems that looks like one; see the [crate](crate)'s description.
///
/// ```
/// use std::sync::Arc;
/// use eyot_backend::{Filesystem, Ownership};
/// use eyot_memfs::Memfs;
/// use eyot_overlay::Overlay;
///
/// let (upper, lower) = (Arc::new(Memfs::new()), Arc::new(Memfs::new()));
/// let owner = Ownership { mode: 0o644, uid: 0, gid: 0 };
/// lower.create(lower.info().root, "old", owner)?;
///
/// let overlay = Overlay::new(upper, vec![lower.clone()])?;
/// let root = overlay.info().root;
/// overlay.create(root, "new", owner)?;
/// overlay.unlink(root, "old")?;
/// assert!(overlay.lookup(root, "old").is_err() && lower.lookup(lower.info().root, "old").is_ok());
/// # Ok::<(), eyot_backend::Errno>(())
/// ```
pub struct Overlay {
    /// Topmost first; the upper, if there is one, is the first.
    pub(crate) layers: Vec<Layer>,
    /// Where the lowers begin in `layers`.
    pub(crate) lowers_from: usize,
    pub(crate) writable: bool,
    pub(crate) table: Arc<Table>,
    pub(crate) root: Arc<Inode>,
    pub(crate) tree: Mutex<()>,
    pub(crate) work: Work,
    pub(crate) index: Index,
    pub(crate) files: Files,
    pub(crate) listings: Listings,
}

impl Overlay {
    /// Stacks `upper`, which takes all changes, over `lowers`, topmost first, of which none is ever changed. An upper that cannot be written to makes an
    /// overlay that cannot. Errors: `EINVAL` for more than [`LAYERS_MAX`] layers, and those of the upper when what an earlier overlay left in it is read.
    pub fn new(upper: Arc<dyn Filesystem>, lowers: Vec<Arc<dyn Filesystem>>) -> Result<Self, Errno> {
        let mut layers = vec![upper];
        layers.extend(lowers);
        let overlay = Self::over(layers, 1)?;
        overlay.adopt_work()?;
        overlay.load_index()?;
        Ok(overlay)
    }

    /// Stacks `lowers`, topmost first, to be read only. Errors: `EINVAL` for none, or for more than [`LAYERS_MAX`] layers.
    pub fn read_only(lowers: Vec<Arc<dyn Filesystem>>) -> Result<Self, Errno> {
        Self::over(lowers, 0)
    }

    fn over(layers: Vec<Arc<dyn Filesystem>>, lowers_from: usize) -> Result<Self, Errno> {
        if layers.is_empty() || layers.len() > LAYERS_MAX {
            return Err(Errno::Inval);
        }
        let layers: Vec<_> = layers.into_iter().map(Layer::new).collect();
        let writable = lowers_from == 1 && layers.first().is_some_and(|upper| upper.can(Capabilities::WRITABLE));
        let table = Arc::new(Table::new(layers.len()));
        let mut parts: Vec<_> =
            layers.iter().enumerate().map(|(layer, of)| Part { layer, held: of.hold_root() }).collect();
        let lowers = parts.split_off(lowers_from);
        let root = table.intern(Makings {
            kind: eyot_backend::NodeKind::Directory,
            upper: parts.pop().map(|part| part.held),
            lower_path: (!lowers.is_empty()).then(|| "".into()),
            lowers: lowers.into(),
            at: None,
            redirected: false,
        })?;
        table.hold(&root);
        Ok(Self {
            layers,
            lowers_from,
            writable,
            table,
            root,
            tree: Mutex::new(()),
            work: Work::default(),
            index: Index::default(),
            files: Files::default(),
            listings: Listings::default(),
        })
    }

    /// How many inodes the overlay knows now, the root counted. Those are what the kernel holds, the directories above those of them that were not copied up,
    /// and the files of the lowers whose several names the index keeps together.
    pub fn inode_count(&self) -> usize {
        self.table.len()
    }

    /// How many files of the lowers the index keeps together; each stays looked up in its layer for as long as the overlay lives.
    pub fn index_count(&self) -> usize {
        self.index.len()
    }

    pub(crate) fn has_upper(&self) -> bool {
        self.lowers_from == 1
    }

    /// The upper. Errors: `EROFS`.
    pub(crate) fn upper(&self) -> Result<&Layer, Errno> {
        self.layers.first().filter(|_| self.writable).ok_or(Errno::Rofs)
    }

    pub(crate) fn is_root(&self, inode: &Inode) -> bool {
        inode.number == self.root.number
    }

    /// A directory that the kernel holds. Errors: `ESTALE`, `ENOTDIR`.
    pub(crate) fn dir(&self, node: Node) -> Result<Arc<Inode>, Errno> {
        let inode = self.table.get(node)?;
        if inode.is_dir() { Ok(inode) } else { Err(Errno::Notdir) }
    }

    /// The attributes of an inode. The caller holds no directory's lock.
    pub(crate) fn attributes(&self, inode: &Inode) -> Result<Attributes, Errno> {
        self.dress(inode, inode.top()?.getattr()?)
    }

    /// The attributes of an inode, which are those of its topmost node but for the number and the links. The caller holds no directory's lock.
    pub(crate) fn dress(&self, inode: &Inode, top: Attributes) -> Result<Attributes, Errno> {
        if top.kind != inode.kind {
            return Err(Errno::Stale);
        }
        if !inode.is_dir() {
            return Ok(inode.dressed(top));
        }
        let (node, alone) = (inode.number, inode.stack().len() == 1);
        if inode.is_dead() {
            return Ok(Attributes { node, links: 0, ..top });
        }
        if alone && !self.is_root(inode) {
            return Ok(Attributes { node, ..top });
        }
        let links = u32::try_from(self.count_subdirs(inode)?.saturating_add(2)).unwrap_or(u32::MAX);
        let lifetime_ns = top.lifetime_ns.min(self.shortest(|info| info.entry_lifetime_ns));
        Ok(Attributes { node, links, lifetime_ns, ..top })
    }

    /// The shortest of the layers' lifetimes.
    pub(crate) fn shortest(&self, lifetime: impl Fn(&FilesystemInfo) -> u64) -> u64 {
        self.layers.iter().map(|layer| lifetime(&layer.info)).min().unwrap_or(0)
    }

    /// What the overlay can do: what the upper can, of what the layers show.
    pub(crate) fn capabilities(&self) -> Capabilities {
        let first = self.layers.first().map_or(Capabilities::empty(), |layer| layer.info.capabilities);
        let all = self.layers.iter().fold(Capabilities::all(), |all, layer| all & layer.info.capabilities);
        let any = self.layers.iter().fold(Capabilities::empty(), |any, layer| any | layer.info.capabilities);
        // Who changes a layer says so to its own mount, not to this one; and locks would have to be taken in all layers at once.
        let never = Capabilities::EVENTS | Capabilities::LOCKS;
        let mut can = if self.has_upper() { first } else { any };
        can.set(Capabilities::WRITABLE, self.writable);
        can.set(Capabilities::CASE_SENSITIVE, all.contains(Capabilities::CASE_SENSITIVE));
        can - never
    }
}

impl Drop for Overlay {
    /// Gives everything back to the layers.
    fn drop(&mut self) {
        self.files.clear();
        self.index.clear();
        self.table.clear();
    }
}
