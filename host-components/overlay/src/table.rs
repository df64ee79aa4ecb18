//! Which inodes there are: by number, and by the nodes of the layers that make them up.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use eyot_backend::{Errno, Node};
use parking_lot::RwLock;

use crate::inode::{Identity, Inode, Makings};

/// The inodes. The lock is a leaf: nothing is called, and no inode dropped, while it is held.
pub(crate) struct Table {
    inner: RwLock<Inner>,
    layers: u64,
}

#[derive(Default)]
struct Inner {
    /// What the kernel holds, and how often.
    held: HashMap<Node, (Arc<Inode>, AtomicU64)>,
    /// What there is.
    by_number: HashMap<Node, Known>,
    by_identity: HashMap<Identity, Known>,
    serial_last: u64,
}

/// An inode that there is, or that is on its way out.
struct Known {
    inode: Weak<Inode>,
    number: Node,
    serial: u64,
}

impl Known {
    fn new(inode: &Arc<Inode>) -> Self {
        Self { inode: Arc::downgrade(inode), number: inode.number, serial: inode.serial }
    }

    fn is_alive(&self) -> bool {
        self.inode.strong_count() > 0
    }
}

impl Table {
    pub(crate) fn new(layers: usize) -> Self {
        Self { inner: RwLock::default(), layers: layers as u64 }
    }

    /// An inode that the kernel holds. Errors: `ESTALE`.
    pub(crate) fn get(&self, node: Node) -> Result<Arc<Inode>, Errno> {
        self.inner.read().held.get(&node).map(|(inode, _)| Arc::clone(inode)).ok_or(Errno::Stale)
    }

    /// The inode that a layer's node is part of.
    pub(crate) fn find(&self, identity: Identity) -> Option<Arc<Inode>> {
        self.inner.read().by_identity.get(&identity).and_then(|known| known.inode.upgrade())
    }

    /// The inode that is made of this, new or known already. Errors: `ESTALE` when the known one is of another kind.
    pub(crate) fn intern(self: &Arc<Self>, makings: Makings) -> Result<Arc<Inode>, Errno> {
        let identity = makings.identity().ok_or(Errno::Io)?;
        let kind = makings.kind;
        let same = |known: Arc<Inode>| if known.kind == kind { Ok(known) } else { Err(Errno::Stale) };
        if let Some(known) = self.find(identity) {
            return same(known);
        }
        let mut inner = self.inner.write();
        if let Some(known) = inner.by_identity.get(&identity).and_then(|known| known.inode.upgrade()) {
            drop(inner);
            return same(known);
        }
        let number = inner.free_number(self.encode(identity));
        inner.serial_last += 1;
        let inode = Arc::new(Inode::new(number, inner.serial_last, makings, self));
        inner.by_number.insert(number, Known::new(&inode));
        inner.by_identity.insert(identity, Known::new(&inode));
        Ok(inode)
    }

    /// Notes that this node is part of the inode as well.
    pub(crate) fn alias(&self, identity: Identity, inode: &Arc<Inode>) {
        self.inner.write().by_identity.insert(identity, Known::new(inode));
    }

    /// Counts a lookup.
    pub(crate) fn hold(&self, inode: &Arc<Inode>) {
        if let Some((_, count)) = self.inner.read().held.get(&inode.number) {
            count.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let mut inner = self.inner.write();
        let entry = inner.held.entry(inode.number).or_insert_with(|| (Arc::clone(inode), AtomicU64::new(0)));
        *entry.1.get_mut() += 1;
    }

    /// Gives lookups back.
    pub(crate) fn forget(&self, node: Node, count: u64) {
        {
            // What is still held afterwards needs no more than a look at the table.
            let inner = self.inner.read();
            let Some((_, held)) = inner.held.get(&node) else { return };
            let keeps = |held: u64| held.checked_sub(count).filter(|&left| left > 0);
            if held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, keeps).is_ok() {
                return;
            }
        }
        let mut inner = self.inner.write();
        let Entry::Occupied(mut entry) = inner.held.entry(node) else { return };
        let held = entry.get_mut().1.get_mut();
        *held = held.saturating_sub(count);
        let gone = (*held == 0).then(|| entry.remove());
        drop(inner);
        drop(gone);
    }

    /// The number that the inode of this node has, or would get.
    pub(crate) fn number(&self, identity: Identity) -> Node {
        let inner = self.inner.read();
        match inner.by_identity.get(&identity) {
            Some(known) if known.is_alive() => known.number,
            _ => inner.free_number(self.encode(identity)),
        }
    }

    /// Takes an inode out that is on its way out.
    pub(crate) fn remove(&self, inode: &Inode) {
        let mut inner = self.inner.write();
        // Another may have taken the place already.
        let is_it = |known: &Known| known.serial == inode.serial;
        if inner.by_number.get(&inode.number).is_some_and(is_it) {
            inner.by_number.remove(&inode.number);
        }
        for identity in inode.stack() {
            if inner.by_identity.get(&identity).is_some_and(is_it) {
                inner.by_identity.remove(&identity);
            }
        }
    }

    /// Lets everything go that the kernel holds.
    pub(crate) fn clear(&self) {
        let held = std::mem::take(&mut self.inner.write().held);
        drop(held);
    }

    /// How many inodes there are: for tests.
    pub(crate) fn len(&self) -> usize {
        self.inner.read().by_number.len()
    }

    /// A number for a node, by which it is known again in a later listing or lookup.
    fn encode(&self, (layer, node): Identity) -> Node {
        const HIGHEST: u64 = 1 << 63;
        let layer = layer as u64;
        match node.checked_mul(self.layers).and_then(|number| number.checked_add(layer)) {
            Some(number) if number < HIGHEST && number != 0 => number,
            // Two rounds of a 64-bit finaliser; `free_number` makes up for what it cannot tell apart.
            _ => {
                let mut mix = node ^ layer.rotate_left(56);
                for _ in 0..2 {
                    mix = (mix ^ mix >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd);
                }
                mix | HIGHEST
            }
        }
    }
}

impl Inner {
    /// `number`, or the next one that no living inode has.
    fn free_number(&self, mut number: Node) -> Node {
        while number == 0 || self.by_number.get(&number).is_some_and(Known::is_alive) {
            number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
        }
        number
    }
}
