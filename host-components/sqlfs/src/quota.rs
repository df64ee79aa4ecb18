//! How much a filesystem may hold.
//!
//! Bytes are counted in two places: what is in the database (`stored`, changed where rows change), and what waits in memory (`reserved`, changed where
//! buffers grow). A write reserves before it takes bytes, so that carrying them into the database later cannot fail for want of space.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use eyot_backend::Errno;

/// What an inode counts beside its contents, in bytes.
pub(crate) const INODE_BYTES: u64 = 256;
/// What an entry counts beside its name, in bytes.
pub(crate) const ENTRY_BYTES: u64 = 64;

pub(crate) struct Quota {
    stored: AtomicU64,
    reserved: AtomicU64,
    inodes: AtomicU64,
    bytes_max: u64,
    inodes_max: u64,
}

impl Quota {
    pub(crate) fn new(bytes_max: u64, inodes_max: u64, stored: u64, inodes: u64) -> Self {
        Self {
            stored: AtomicU64::new(stored),
            reserved: AtomicU64::new(0),
            inodes: AtomicU64::new(inodes),
            bytes_max,
            inodes_max,
        }
    }

    /// Reserves `count` bytes.
    pub(crate) fn reserve(&self, count: u64) -> Result<(), Errno> {
        let room = self.bytes_max.saturating_sub(self.stored.load(Relaxed));
        let update = |reserved: u64| reserved.checked_add(count).filter(|&sum| sum <= room);
        self.reserved.fetch_update(Relaxed, Relaxed, update).map(drop).map_err(|_| Errno::Nospc)
    }

    /// Reserves even beyond the ceiling, where refusing would lose what is there.
    pub(crate) fn reserve_always(&self, count: u64) {
        self.reserved.fetch_add(count, Relaxed);
    }

    /// Gives a reservation back.
    pub(crate) fn release(&self, count: u64) {
        let _ = self.reserved.fetch_update(Relaxed, Relaxed, |reserved| Some(reserved.saturating_sub(count)));
    }

    pub(crate) fn reserved(&self) -> u64 {
        self.reserved.load(Relaxed)
    }

    /// Whether `count` more bytes of rows fit now.
    pub(crate) fn fits(&self, count: u64) -> Result<(), Errno> {
        let used = self.bytes_used();
        if used.checked_add(count).is_some_and(|sum| sum <= self.bytes_max) { Ok(()) } else { Err(Errno::Nospc) }
    }

    /// Rows came.
    pub(crate) fn store(&self, count: u64) {
        self.stored.fetch_add(count, Relaxed);
    }

    /// Rows went.
    pub(crate) fn unstore(&self, count: u64) {
        let _ = self.stored.fetch_update(Relaxed, Relaxed, |stored| Some(stored.saturating_sub(count)));
    }

    pub(crate) fn stored(&self) -> u64 {
        self.stored.load(Relaxed)
    }

    /// Puts right what was counted wrong.
    pub(crate) fn set(&self, stored: u64, inodes: u64) {
        self.stored.store(stored, Relaxed);
        self.inodes.store(inodes, Relaxed);
    }

    /// Whether one more inode fits. The caller holds the writer, so that the answer stays true.
    pub(crate) fn inode_fits(&self) -> Result<(), Errno> {
        if self.inodes.load(Relaxed) < self.inodes_max { Ok(()) } else { Err(Errno::Nospc) }
    }

    pub(crate) fn inode_came(&self) {
        self.inodes.fetch_add(1, Relaxed);
    }

    pub(crate) fn inode_went(&self) {
        let _ = self.inodes.fetch_update(Relaxed, Relaxed, |inodes| Some(inodes.saturating_sub(1)));
    }

    pub(crate) fn inodes(&self) -> u64 {
        self.inodes.load(Relaxed)
    }

    pub(crate) fn bytes_used(&self) -> u64 {
        self.stored().saturating_add(self.reserved())
    }

    pub(crate) fn maxima(&self) -> (u64, u64) {
        (self.bytes_max, self.inodes_max)
    }
}
