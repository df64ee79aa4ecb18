//! How much a filesystem may take.

use std::sync::atomic::{AtomicU64, Ordering};

use eyot_backend::Errno;

/// What an inode is charged beside its contents, in bytes: its record, its slot and the allocator's share.
pub(crate) const INODE_BYTES: u64 = 384;
/// What a directory entry is charged beside its name, in bytes.
pub(crate) const ENTRY_BYTES: u64 = 96;
/// What an extended attribute is charged beside its name and value, in bytes.
pub(crate) const XATTR_BYTES: u64 = 96;

/// Two counters with a ceiling each. They are exact at rest; between threads they never pass the ceiling.
pub(crate) struct Quota {
    bytes: Counter,
    inodes: Counter,
}

struct Counter {
    used: AtomicU64,
    max: u64,
}

impl Counter {
    /// Takes `want`, or what is left of it when that is at least `least`.
    fn take(&self, want: u64, least: u64) -> Option<u64> {
        let mut taken = 0;
        let update = |used: u64| {
            taken = want.min(self.max.saturating_sub(used));
            (taken >= least).then_some(used.saturating_add(taken))
        };
        self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, update).ok()?;
        Some(taken)
    }

    fn give_back(&self, count: u64) {
        let update = |used: u64| Some(used.saturating_sub(count));
        let _ = self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, update);
    }

    fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }
}

impl Quota {
    pub(crate) fn new(bytes_max: u64, inodes_max: u64) -> Self {
        let counter = |max| Counter { used: AtomicU64::new(0), max };
        Self { bytes: counter(bytes_max), inodes: counter(inodes_max) }
    }

    /// Charges `count` bytes.
    pub(crate) fn charge(&self, count: u64) -> Result<(), Errno> {
        self.bytes.take(count, count).map(drop).ok_or(Errno::Nospc)
    }

    /// Charges `want` bytes, or as many as are left, when they are at least `least`; answers how many.
    pub(crate) fn charge_up_to(&self, want: u64, least: u64) -> Result<u64, Errno> {
        self.bytes.take(want, least).ok_or(Errno::Nospc)
    }

    /// Charges `count` bytes even beyond the ceiling: for the copy of a node of the image, whose number is bounded by the image, so that
    /// taking a file away never fails for want of space.
    pub(crate) fn charge_always(&self, count: u64) {
        let update = |used: u64| Some(used.saturating_add(count));
        let _ = self.bytes.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, update);
    }

    pub(crate) fn refund(&self, count: u64) {
        self.bytes.give_back(count);
    }

    /// Charges one inode and its record.
    pub(crate) fn charge_inode(&self) -> Result<(), Errno> {
        self.inodes.take(1, 1).ok_or(Errno::Nospc)?;
        self.charge(INODE_BYTES).inspect_err(|_| self.inodes.give_back(1))
    }

    pub(crate) fn refund_inode(&self) {
        self.inodes.give_back(1);
        self.refund(INODE_BYTES);
    }

    /// Bytes used, and the ceiling.
    pub(crate) fn bytes(&self) -> (u64, u64) {
        (self.bytes.used(), self.bytes.max)
    }

    /// Inodes used, and the ceiling.
    pub(crate) fn inodes(&self) -> (u64, u64) {
        (self.inodes.used(), self.inodes.max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_charge_fits_or_changes_nothing() {
        let quota = Quota::new(1000, 1);
        quota.charge(600).unwrap();
        assert_eq!(quota.charge(401), Err(Errno::Nospc));
        assert_eq!(quota.charge_up_to(600, 401), Err(Errno::Nospc));
        assert_eq!(quota.charge_up_to(600, 1), Ok(400));
        assert_eq!(quota.bytes(), (1000, 1000));
        assert_eq!(quota.charge_up_to(1, 1), Err(Errno::Nospc));
        quota.refund(1000);
        quota.charge_inode().unwrap();
        assert_eq!(quota.charge_inode(), Err(Errno::Nospc));
        assert_eq!((quota.inodes().0, quota.bytes().0), (1, INODE_BYTES));
        quota.refund_inode();
        quota.charge_always(5000);
        assert_eq!(quota.charge_inode(), Err(Errno::Nospc));
        assert_eq!((quota.inodes().0, quota.bytes().0), (0, 5000));
    }
}
