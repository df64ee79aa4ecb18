//! Memory of the cache: what was read in one call, or one block that was written.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Weak};

use super::PageCache;
use super::file::FilePages;
use crate::limits::{Charge, Limit};
use crate::vfs::Inode;

/// The unit of the cache.
pub(super) const BLOCK_BYTES: usize = 16 << 10;
/// The same, for offsets.
pub(super) const BLOCK: u64 = BLOCK_BYTES as u64;

/// Bytes of one or more blocks that lie behind each other. They change only while one block alone holds them.
pub(super) struct Chunk {
    pub(super) bytes: Vec<u8>,
    /// Whether it was read since the clock's hand last passed.
    used: AtomicBool,
    owner: Weak<Inode>,
    /// The first of its blocks.
    pub(super) first: u64,
    /// None: past the limit, for a moment (a block that is dirty already must take what is written).
    _charge: Option<Charge>,
}

impl Chunk {
    pub(super) fn touch(&self) {
        // Looked at first: the line stays shared while it is set already.
        if !self.used.load(Relaxed) {
            self.used.store(true, Relaxed);
        }
    }

    /// Whether it was used since the last question.
    pub(super) fn take_used(&self) -> bool {
        self.used.swap(false, Relaxed)
    }

    pub(super) fn owner(&self) -> Option<Arc<Inode>> {
        self.owner.upgrade()
    }
}

/// Room for a chunk.
pub(super) struct Room {
    pub(super) bytes: Vec<u8>,
    charge: Option<Charge>,
}

impl Room {
    pub(super) fn into_chunk(self, owner: &Arc<Inode>, first: u64) -> Arc<Chunk> {
        Arc::new(Chunk {
            bytes: self.bytes,
            used: AtomicBool::new(false),
            owner: Arc::downgrade(owner),
            first,
            _charge: self.charge,
        })
    }
}

impl PageCache {
    /// Room for `length` bytes, all zero. Blocks that were not used for long make it; `None`: there is no room. Called without locks.
    pub(super) fn room(&self, length: usize) -> Option<Room> {
        if length as u64 > self.accountant.max(Limit::PageCacheBytes) {
            return None;
        }
        let charge = loop {
            match self.accountant.charge(Limit::PageCacheBytes, length as u64) {
                Ok(charge) => break charge,
                Err(_) if self.clock.evict_one() => {}
                Err(_) => return None,
            }
        };
        Some(Room { bytes: zeroed(length)?, charge: Some(charge) })
    }

    /// One block that is not charged.
    pub(super) fn room_past_the_limit(&self) -> Option<Room> {
        Some(Room { bytes: zeroed(BLOCK_BYTES)?, charge: None })
    }

    /// What is clean can go from now on.
    pub(super) fn offer(&self, chunk: &Arc<Chunk>) {
        self.clock.push(chunk);
    }
}

fn zeroed(length: usize) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(length).ok()?;
    bytes.resize(length, 0);
    Some(bytes)
}

impl FilePages {
    /// How many blocks a chunk of so many bytes holds.
    pub(super) fn blocks_of(bytes: usize) -> u64 {
        (bytes as u64).div_ceil(BLOCK)
    }
}
