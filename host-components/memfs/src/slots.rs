//! Where the inodes are: a table that grows and whose slots never move, each with its own lock.
//!
//! A node's number is its slot's index plus one in the low 32 bits, and above them how often the slot was used before, so that a number is
//! not given again for a long time and an old one is noticed. The first slots are the image's nodes, in their order.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use eyot_backend::{Errno, Node};
use parking_lot::{Mutex, RwLock};

use crate::inode::Inode;

/// How many slots the first chunk has; each later one has twice as many as the one before.
const FIRST_CHUNK_SLOTS: u64 = 64;
/// So many chunks hold 2^32 - 64 slots.
const CHUNKS: usize = 26;
/// A number stays below 2^53, which JavaScript's numbers hold exactly.
const GENERATION_MASK: u32 = (1 << 21) - 1;

/// What a slot holds.
#[derive(Default)]
pub(crate) enum State {
    /// Nothing was ever put here: the image's node, where there is one.
    #[default]
    Fresh,
    /// An inode.
    Own(Box<Inode>),
    /// An inode was here.
    Gone,
}

#[derive(Default)]
pub(crate) struct Content {
    generation: u32,
    pub(crate) state: State,
}

#[derive(Default)]
pub(crate) struct Slot {
    /// How many lookups the kernel holds. Raised only while the name that was looked up cannot go (under its directory's lock) or while it is above zero already.
    pub(crate) held: AtomicU64,
    pub(crate) content: RwLock<Content>,
}

pub(crate) struct Slots {
    chunks: [OnceLock<Box<[Slot]>>; CHUNKS],
    /// Slots that were used and are free. A leaf lock: nothing is locked while it is held.
    free: Mutex<Vec<u32>>,
    next: AtomicU32,
}

/// A number taken apart.
#[derive(Clone, Copy)]
pub(crate) struct Key {
    pub(crate) index: u32,
    generation: u32,
}

impl Key {
    pub(crate) fn new(node: Node) -> Result<Self, Errno> {
        let index = (node as u32).checked_sub(1).ok_or(Errno::Stale)?;
        let generation = u32::try_from(node >> 32).map_err(|_| Errno::Stale)?;
        Ok(Self { index, generation })
    }

    pub(crate) fn node(self) -> Node {
        u64::from(self.generation) << 32 | (u64::from(self.index) + 1)
    }

    /// Whether this number is the one that the slot has now.
    pub(crate) fn fits(self, content: &Content) -> Result<(), Errno> {
        if content.generation == self.generation { Ok(()) } else { Err(Errno::Stale) }
    }
}

impl Slots {
    /// A table whose first `reserved` slots are the image's.
    pub(crate) fn new(reserved: u32) -> Self {
        Self {
            chunks: [const { OnceLock::new() }; CHUNKS],
            free: Mutex::new(Vec::new()),
            next: AtomicU32::new(reserved),
        }
    }

    /// The slot at `index`. Its chunk is made when it is first asked for.
    pub(crate) fn get(&self, index: u32) -> Option<&Slot> {
        let place = u64::from(index) + FIRST_CHUNK_SLOTS;
        let chunk = place.ilog2() - FIRST_CHUNK_SLOTS.ilog2();
        let slots = FIRST_CHUNK_SLOTS << chunk;
        let chunk = self.chunks.get(chunk as usize)?;
        let chunk = chunk.get_or_init(|| std::iter::repeat_with(Slot::default).take(slots as usize).collect());
        chunk.get((place - slots) as usize)
    }

    /// The slot of a number that came from outside: one that was given out.
    pub(crate) fn of(&self, key: Key) -> Result<&Slot, Errno> {
        if key.index >= self.next.load(Ordering::Acquire) {
            return Err(Errno::Stale);
        }
        self.get(key.index).ok_or(Errno::Stale)
    }

    /// Puts an inode into a free slot, held once.
    pub(crate) fn put(&self, inode: Inode) -> Result<Node, Errno> {
        let freed = self.free.lock().pop();
        let index = match freed {
            Some(index) => index,
            None => self
                .next
                .fetch_update(Ordering::AcqRel, Ordering::Acquire, |next| next.checked_add(1))
                .map_err(|_| Errno::Nospc)?,
        };
        let slot = self.get(index).ok_or(Errno::Nospc)?;
        let mut content = slot.content.write();
        content.state = State::Own(Box::new(inode));
        slot.held.store(1, Ordering::Release);
        Ok(Key { index, generation: content.generation }.node())
    }

    /// Empties a slot whose lock the caller holds, and answers what was in it. A slot of the image (index below `reserved`) is not used again.
    pub(crate) fn vacate(&self, index: u32, reserved: u32, content: &mut Content) -> Option<Box<Inode>> {
        let State::Own(inode) = std::mem::replace(&mut content.state, State::Gone) else { return None };
        content.generation = (content.generation + 1) & GENERATION_MASK;
        if index >= reserved {
            self.free.lock().push(index);
        }
        Some(inode)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_do_not_overlap() {
        let slots = Slots::new(0);
        let mut seen = std::collections::HashSet::new();
        for index in 0..5000 {
            assert!(seen.insert(std::ptr::from_ref(slots.get(index).unwrap()) as usize));
        }
        assert!(slots.get(u32::MAX).is_none());
        assert!(slots.of(Key::new(1).unwrap()).is_err(), "a number that was never given out");
        assert!(Key::new(0).is_err() && Key::new(1 << 32).is_err());
        assert_eq!(Key::new(7 << 32 | 9).unwrap().node(), 7 << 32 | 9);
    }
}
