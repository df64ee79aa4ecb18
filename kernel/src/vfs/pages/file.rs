//! The pages of one file, and what is known of it.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use event_listener::{Event, EventListener, Listener};
use parking_lot::{Mutex, MutexGuard};

use super::chunk::{BLOCK, BLOCK_BYTES, Chunk};
use super::{CachedFile, MountPages};
use crate::Errno;
use crate::backend::{Attributes, Timestamp};
use crate::limits::Charge;
use crate::runtime;
use crate::vfs::belief::Belief;
use crate::vfs::{Inode, Mount};

/// What the cache holds of one file.
pub(in crate::vfs) struct FilePages {
    state: Mutex<State>,
    /// Something that others may wait for has ended: a fill, a flush.
    event: Event,
    /// Whether contents are believed without asking for attributes.
    valid: Belief,
    /// The lifetime that attributes came with last.
    lifetime_ns: AtomicU64,
    /// How many flushes failed.
    pub(super) failures: AtomicU64,
}

/// What is known of one file's contents.
#[derive(Default)]
pub(super) struct State {
    pub(super) slots: BTreeMap<u64, Slot>,
    /// What the backend told last.
    known: Known,
    /// This mount changed the contents since then.
    pub(super) own_data: bool,
    /// This mount changed something else since then.
    own_rest: bool,
    last_ticket: u64,
    pub(super) dirty: Dirtiness,
    /// One of those that may be alone: a flush, a cut.
    pub(super) alone: bool,
    /// The errno of the last flush that failed.
    pub(super) failure: Option<Errno>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Known {
    /// How long the file is in the backend.
    stored: u64,
    modified: Timestamp,
    changed: Timestamp,
    stamp: u64,
}

/// What was written and not flushed yet.
#[derive(Default)]
pub(super) struct Dirtiness {
    /// How many blocks are dirty or on their way to the backend.
    pub(super) blocks: u64,
    /// Up to where it was written.
    pub(super) end: u64,
    /// When it was written last, as guests see it.
    pub(super) modified: Timestamp,
    /// A guest was told that time.
    pub(super) seen: bool,
    /// Who wrote, with the backend's handle. Holds the inode while anything is dirty.
    pub(super) writer: Option<Arc<CachedFile>>,
    /// The number under which the file is listed.
    pub(super) listed: Option<u64>,
    /// A flush was started by another thread, so that who writes does not wait for it.
    pub(super) pushed: bool,
    /// When a flush failed first.
    pub(super) failing_since: Option<Instant>,
}

/// One block's place.
pub(super) enum Slot {
    /// Being filled by the holder of this ticket.
    Busy(u64),
    /// Being written past the cache by the holder of this ticket.
    Claimed(u64),
    /// There.
    Held(Block),
}

/// One block: the bytes that the file has there. Past them it has zeroes, up to its end.
pub(super) struct Block {
    pub(super) chunk: Arc<Chunk>,
    /// Where it begins in the chunk.
    pub(super) at: usize,
    pub(super) length: usize,
    /// What the backend does not have yet.
    pub(super) dirty: Option<Dirty>,
    /// What is on its way to the backend.
    pub(super) flushing: Option<Dirty>,
}

/// A part of a block that was written.
pub(super) struct Dirty {
    pub(super) range: Range<usize>,
    _charge: Charge,
}

impl Dirty {
    pub(super) fn new(range: Range<usize>, charge: Charge) -> Self {
        Self { range, _charge: charge }
    }
}

impl Slot {
    pub(super) fn is_claimed(&self) -> bool {
        matches!(self, Slot::Claimed(_))
    }
}

impl Block {
    pub(super) fn clean(chunk: Arc<Chunk>, at: usize, length: usize) -> Self {
        Self { chunk, at, length, dirty: None, flushing: None }
    }

    pub(super) fn is_clean(&self) -> bool {
        self.dirty.is_none() && self.flushing.is_none()
    }

    /// The bytes that it has.
    pub(super) fn bytes(&self) -> &[u8] {
        self.chunk.bytes.get(self.at..self.at + self.length).unwrap_or_default()
    }

    /// Puts bytes into the block, if it alone holds a chunk that is large enough.
    pub(super) fn put(&mut self, within: usize, bytes: &[u8]) -> bool {
        if self.at != 0 {
            return false;
        }
        let Some(chunk) = Arc::get_mut(&mut self.chunk).filter(|chunk| chunk.bytes.len() == BLOCK_BYTES) else {
            return false;
        };
        let Some(target) = chunk.bytes.get_mut(within..within + bytes.len()) else { return false };
        target.copy_from_slice(bytes);
        // Between the end of the block and what is written may be what a cut took away.
        if let Some(gap) = chunk.bytes.get_mut(self.length..within) {
            gap.fill(0);
        }
        self.length = self.length.max(within + bytes.len());
        true
    }

    /// Takes another chunk, with the same bytes.
    pub(super) fn move_to(&mut self, mut chunk: Arc<Chunk>) {
        if let Some(target) = Arc::get_mut(&mut chunk).and_then(|chunk| chunk.bytes.get_mut(..self.length)) {
            target.copy_from_slice(self.bytes());
            self.chunk = chunk;
            self.at = 0;
        }
    }
}

impl State {
    /// How long the file is, as guests see it.
    pub(super) fn size(&self) -> u64 {
        if self.is_dirty() { self.known.stored.max(self.dirty.end) } else { self.known.stored }
    }

    /// How long the file is in the backend.
    pub(super) fn stored(&self) -> u64 {
        self.known.stored
    }

    pub(super) fn is_dirty(&self) -> bool {
        self.dirty.blocks > 0
    }

    /// Marks blocks, none of which is there, as being filled. Answers the ticket.
    pub(super) fn mark(&mut self, blocks: Range<u64>) -> u64 {
        self.mark_as(blocks, Slot::Busy)
    }

    /// Takes blocks away and marks them as being written past the cache. Answers the ticket.
    pub(super) fn claim(&mut self, blocks: Range<u64>) -> u64 {
        self.mark_as(blocks, Slot::Claimed)
    }

    fn mark_as(&mut self, blocks: Range<u64>, slot: impl Fn(u64) -> Slot) -> u64 {
        self.last_ticket += 1;
        for index in blocks {
            self.slots.insert(index, slot(self.last_ticket));
        }
        self.last_ticket
    }

    /// Ends the mark of one block, if it is still there; `block` takes its place.
    pub(super) fn unmark(&mut self, index: u64, ticket: u64, block: Option<Block>) {
        if let Entry::Occupied(mut entry) = self.slots.entry(index)
            && matches!(entry.get(), Slot::Busy(theirs) | Slot::Claimed(theirs) if *theirs == ticket)
        {
            match block {
                Some(block) => drop(entry.insert(Slot::Held(block))),
                None => drop(entry.remove()),
            }
        }
    }

    /// The first block from `index` on that is there or marked.
    pub(super) fn next_taken(&self, index: u64) -> u64 {
        self.slots.range(index..).next().map_or(u64::MAX, |(index, _)| *index)
    }

    /// Drops everything that the backend has too. Marks go with it: what they fill is not kept. Claims stay: nobody may fill those blocks meanwhile.
    fn drop_clean(&mut self) {
        self.slots.retain(|_, slot| match slot {
            Slot::Held(block) => !block.is_clean(),
            Slot::Busy(_) => false,
            Slot::Claimed(_) => true,
        });
    }

    /// The file was made so long.
    pub(super) fn cut_to(&mut self, size: u64) {
        self.known.stored = size;
        self.dirty.end = self.dirty.end.min(size);
    }

    /// The backend's file was written up to `end`.
    pub(super) fn stored_to(&mut self, end: u64) {
        self.known.stored = self.known.stored.max(end);
    }
}

impl FilePages {
    pub(in crate::vfs) fn new() -> Self {
        Self {
            state: Mutex::default(),
            event: Event::new(),
            valid: Belief::default(),
            lifetime_ns: AtomicU64::new(0),
            failures: AtomicU64::new(0),
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// Listens for the end of what is under way. Called under the lock; waited for without.
    pub(super) fn listen(&self) -> EventListener {
        self.event.listen()
    }

    pub(super) fn tell(&self) {
        self.event.notify(usize::MAX);
    }

    /// How the inode's mount is cached.
    pub(super) fn mount(inode: &Inode) -> Result<&MountPages, Errno> {
        inode.mount().pages().ok_or(Errno::Io)
    }

    /// Whether writes to the file are held back.
    pub(super) fn writes_back(&self, mount: &MountPages) -> bool {
        mount.writes_back(self.lifetime_ns.load(Relaxed))
    }

    /// How long the file is, where that is believed or can be asked. `None`: nothing of it can be kept.
    pub(super) fn view(&self, inode: &Inode, mount: &MountPages) -> Result<Option<u64>, Errno> {
        // Twice: the first answer may be from before a change.
        for _ in 0..2 {
            if self.valid.holds(inode.mount().stamp()) {
                return Ok(Some(self.lock().size()));
            }
            if mount.lifetime_ns(self.lifetime_ns.load(Relaxed)) == 0 && !self.lock().is_dirty() {
                return Ok(None);
            }
            inode.backend_attributes()?;
        }
        let state = self.lock();
        Ok(state.is_dirty().then(|| state.size()))
    }

    /// The backend told attributes. They are taken unless `is_current` says that something changed meanwhile.
    pub(in crate::vfs) fn told(
        &self,
        mount: &Mount,
        attributes: &Attributes,
        stamp: u64,
        is_current: impl FnOnce() -> bool,
    ) {
        let Some(pages) = mount.pages() else { return };
        let lifetime_ns = attributes.lifetime_ns;
        let mut state = self.lock();
        if !is_current() {
            return;
        }
        let now = Known { stored: attributes.size, modified: attributes.modified, changed: attributes.changed, stamp };
        let before = std::mem::replace(&mut state.known, now);
        let own_data = std::mem::take(&mut state.own_data) && lifetime_ns == u64::MAX;
        let own_rest = std::mem::take(&mut state.own_rest);
        let same = (before.stored, before.modified) == (now.stored, now.modified)
            && (before.changed == now.changed || own_rest);
        if before.stamp != stamp || !(same || own_data) {
            state.drop_clean();
        }
        self.lifetime_ns.store(lifetime_ns, Relaxed);
        self.valid.renew(pages.lifetime_ns(lifetime_ns), stamp);
    }

    /// A lookup came with attributes, which may be from before a change. If they are not what is known, they are asked for anew.
    pub(in crate::vfs) fn glanced(&self, attributes: &Attributes) {
        let state = self.lock();
        let known = (state.known.stored, state.known.modified, state.known.changed);
        if known != (attributes.size, attributes.modified, attributes.changed) {
            self.valid.end();
        }
    }

    /// Something about the file changed through this mount: its attributes are to be asked for anew.
    pub(in crate::vfs) fn changed(&self) {
        let mut state = self.lock();
        state.own_rest = true;
        self.valid.end();
    }

    /// The backend told that the contents changed.
    pub(in crate::vfs) fn changed_outside(&self) {
        let mut state = self.lock();
        state.drop_clean();
        self.valid.end();
    }

    /// This mount wrote past the cache, up to `end`. The inode's version moves under the lock: an answer from before is not taken.
    pub(super) fn wrote(&self, inode: &Inode, blocks: Range<u64>) {
        let mut state = self.lock();
        inode.advance();
        state.own_data = true;
        let inside: Vec<u64> = state.slots.range(blocks).map(|(index, _)| *index).collect();
        for index in inside {
            let stays = match state.slots.get(&index) {
                Some(Slot::Held(block)) => !block.is_clean(),
                Some(Slot::Claimed(_)) => true,
                Some(Slot::Busy(_)) | None => false,
            };
            if !stays {
                state.slots.remove(&index);
            }
        }
        self.valid.end();
    }

    /// What was written shows in attributes that the backend told, flushed meanwhile or not.
    pub(in crate::vfs) fn show(&self, mount: &Mount, attributes: &mut Attributes) {
        let mut state = self.lock();
        attributes.size = self.size_now(&state, mount, attributes.size);
        attributes.blocks = attributes.blocks.max(state.dirty.end.div_ceil(512));
        if !state.is_dirty() {
            return;
        }
        attributes.modified = attributes.modified.max(state.dirty.modified);
        attributes.changed = attributes.changed.max(state.dirty.modified);
        state.dirty.seen = true;
    }

    /// The length of a file that the backend says is so long.
    pub(in crate::vfs) fn size_over(&self, mount: &Mount, told: u64) -> u64 {
        self.size_now(&self.lock(), mount, told)
    }

    /// What the backend told may be from before a flush that has ended since, and then nothing is dirty any more that would say so. Where writes are held back, what is known
    /// under the lock is kept in step with every flush, and `told` was taken into it where it was newer.
    fn size_now(&self, state: &State, mount: &Mount, told: u64) -> u64 {
        match mount.pages() {
            Some(pages) if self.writes_back(pages) => state.size(),
            _ if state.is_dirty() => state.dirty.end.max(told),
            _ => told,
        }
    }

    /// Ends belief in what is known; nothing is dropped.
    pub(in crate::vfs) fn distrust(&self) {
        self.valid.end();
    }

    /// Drops a chunk's blocks, to make room. Answers whether nothing of the file holds it any more.
    pub(super) fn evict(&self, chunk: &Arc<Chunk>) -> bool {
        let blocks = chunk.first..chunk.first + Self::blocks_of(chunk.bytes.len());
        let mut state = self.lock();
        let mut held = false;
        for index in blocks {
            let Entry::Occupied(entry) = state.slots.entry(index) else { continue };
            if let Slot::Held(block) = entry.get()
                && Arc::ptr_eq(&block.chunk, chunk)
            {
                if block.is_clean() {
                    entry.remove();
                } else {
                    held = true;
                }
            }
        }
        !held
    }

    /// Whether anything is dirty.
    pub(in crate::vfs) fn is_dirty(&self) -> bool {
        self.lock().is_dirty()
    }
}

/// Waits for the end of something that was under way; the thread's other fibers go on meanwhile.
pub(super) fn wait(listener: EventListener) {
    runtime::wait(|| listener.wait());
}

/// The block of an offset, and where in it.
pub(super) fn place(offset: u64) -> (u64, usize) {
    (offset / BLOCK, (offset % BLOCK) as usize)
}
