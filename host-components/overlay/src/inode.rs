//! An inode of the overlay: the nodes of the layers that make it up.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use eyot_backend::{Attributes, Errno, Filesystem, Node, NodeKind};
use parking_lot::{Mutex, RwLock};
use smallvec::SmallVec;

use crate::layer::Held;
use crate::table::Table;

/// A node of a layer: the layer's place, 0 for the topmost, and the node's number there.
pub(crate) type Identity = (usize, Node);

/// The directories of the layers that one directory merges, topmost first.
pub(crate) type Stack = SmallVec<[Identity; 4]>;

/// What a walk through the layers found of one name, topmost first.
pub(crate) type Parts = SmallVec<[Part; 2]>;

/// [`Inode::subdirs`] when nobody counted them.
const NOT_COUNTED: u64 = u64::MAX;

/// A node of a layer that is part of an inode.
pub(crate) struct Part {
    pub(crate) layer: usize,
    pub(crate) held: Held,
}

impl Part {
    pub(crate) fn identity(&self) -> Identity {
        (self.layer, self.held.node)
    }
}

/// Where an inode of the lowers goes when it is copied up, and what became of its names.
#[derive(Default)]
pub(crate) struct Names {
    /// The directory and the name that it was found by; `None` once it is in the upper, or has lost that name.
    pub(crate) at: Option<(Arc<Inode>, Box<str>)>,
    /// How many of its names in the lowers are covered by something in the upper.
    pub(crate) lost: u32,
    /// How many more are about to be.
    pub(crate) losing: u32,
    /// Its record in the index.
    pub(crate) record: Option<Record>,
}

/// A record of the index.
#[derive(Clone, Copy)]
pub(crate) struct Record {
    pub(crate) id: u64,
    /// How many of the lowers' names it says are covered.
    pub(crate) lost: u32,
}

/// An inode.
pub(crate) struct Inode {
    pub(crate) number: Node,
    /// Unlike the number, never given again.
    pub(crate) serial: u64,
    pub(crate) kind: NodeKind,
    /// Its node in the upper: set when it is made or copied up, and never again.
    pub(crate) upper: OnceLock<Held>,
    /// Its nodes in the lowers: at most one, but for a directory.
    pub(crate) lowers: Box<[Part]>,
    /// The path by which the lowers have this directory.
    pub(crate) lower_path: Option<Box<str>>,
    /// A leaf lock but for small writes to the index.
    pub(crate) names: Mutex<Names>,
    /// Held while it is copied up.
    pub(crate) copying: Mutex<()>,
    /// Of a directory: held for reading while a name is looked up, for writing while one is changed.
    pub(crate) entries: RwLock<()>,
    /// Whether this directory was removed.
    pub(crate) dead: AtomicBool,
    /// Whether the directory in the upper says which of the lowers' it covers.
    pub(crate) redirected: AtomicBool,
    /// Counts the changes of a directory's entries.
    version: AtomicU64,
    subdirs: AtomicU64,
    table: Arc<Table>,
}

/// What an [`Inode`] is made of.
pub(crate) struct Makings {
    pub(crate) kind: NodeKind,
    pub(crate) upper: Option<Held>,
    pub(crate) lowers: Box<[Part]>,
    pub(crate) lower_path: Option<Box<str>>,
    pub(crate) at: Option<(Arc<Inode>, Box<str>)>,
    pub(crate) redirected: bool,
}

impl Makings {
    /// The node that the inode is known by.
    pub(crate) fn identity(&self) -> Option<Identity> {
        let upper = self.upper.as_ref().map(|held| (0, held.node));
        upper.or_else(|| self.lowers.first().map(Part::identity))
    }
}

impl Inode {
    pub(crate) fn new(number: Node, serial: u64, makings: Makings, table: &Arc<Table>) -> Self {
        let upper = OnceLock::new();
        if let Some(held) = makings.upper {
            let _ = upper.set(held);
        }
        Self {
            number,
            serial,
            kind: makings.kind,
            upper,
            lowers: makings.lowers,
            lower_path: makings.lower_path,
            names: Mutex::new(Names { at: makings.at, ..Names::default() }),
            copying: Mutex::new(()),
            entries: RwLock::new(()),
            dead: AtomicBool::new(false),
            redirected: AtomicBool::new(makings.redirected),
            version: AtomicU64::new(0),
            subdirs: AtomicU64::new(NOT_COUNTED),
            table: Arc::clone(table),
        }
    }

    pub(crate) fn is_dir(&self) -> bool {
        self.kind == NodeKind::Directory
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.dead.load(Ordering::Acquire)
    }

    /// The node in the upper. Errors: `EIO`; the caller has copied it up.
    pub(crate) fn upper_node(&self) -> Result<Node, Errno> {
        self.upper.get().map(|held| held.node).ok_or(Errno::Io)
    }

    /// The node whose attributes and contents are the inode's.
    pub(crate) fn top(&self) -> Result<&Held, Errno> {
        self.upper.get().or_else(|| self.lowers.first().map(|part| &part.held)).ok_or(Errno::Io)
    }

    pub(crate) fn top_fs(&self) -> Result<(&dyn Filesystem, Node), Errno> {
        self.top().map(|held| (held.fs(), held.node))
    }

    pub(crate) fn stack(&self) -> Stack {
        let upper = self.upper.get().map(|held| (0, held.node));
        upper.into_iter().chain(self.lowers.iter().map(Part::identity)).collect()
    }

    pub(crate) fn lower_stack(&self) -> Stack {
        self.lowers.iter().map(Part::identity).collect()
    }

    pub(crate) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// Notes a change of the entries, by which this directory has so many more subdirectories. The caller holds `entries` for writing.
    pub(crate) fn changed(&self, more_subdirs: i64) {
        self.version.fetch_add(1, Ordering::AcqRel);
        let subdirs = self.subdirs.load(Ordering::Acquire);
        if subdirs != NOT_COUNTED {
            self.subdirs.store(subdirs.saturating_add_signed(more_subdirs), Ordering::Release);
        }
    }

    pub(crate) fn subdirs(&self) -> Option<u64> {
        Some(self.subdirs.load(Ordering::Acquire)).filter(|&subdirs| subdirs != NOT_COUNTED)
    }

    /// Keeps the number of subdirectories. The caller has held `entries` since before it counted.
    pub(crate) fn counted(&self, subdirs: u64) {
        self.subdirs.store(subdirs, Ordering::Release);
    }

    /// Notes that this directory was removed. The caller holds `entries` for writing.
    pub(crate) fn bury(&self) {
        self.dead.store(true, Ordering::Release);
        self.changed(0);
        let at = self.names.lock().at.take();
        drop(at);
    }

    /// The attributes of a file or a special file, which are `top`'s but for the number and the links.
    pub(crate) fn dressed(&self, top: Attributes) -> Attributes {
        let names = self.names.lock();
        let links = match (self.upper.get(), &names.record, self.lowers.first()) {
            (Some(_), None, _) | (_, _, None) => top.links,
            // One of the upper's names is the index's.
            (Some(_), Some(_), Some(lower)) => {
                let left = lower.held.getattr().map_or(0, |lower| lower.links.saturating_sub(names.lost));
                top.links.saturating_sub(1).saturating_add(left)
            }
            (None, _, Some(_)) => top.links.saturating_sub(names.lost),
        };
        Attributes { node: self.number, links, ..top }
    }
}

impl Drop for Inode {
    fn drop(&mut self) {
        self.table.remove(self);
        // A directory keeps those above it, which may be many: one after the other, not one inside the other.
        let mut above = self.names.get_mut().at.take();
        while let Some((parent, _)) = above {
            above = Arc::into_inner(parent).and_then(|mut parent| parent.names.get_mut().at.take());
        }
    }
}
