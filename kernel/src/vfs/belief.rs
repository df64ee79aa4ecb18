//! For how long what a backend said is believed.
//!
//! A backend gives lifetimes with its answers. What is remembered of one is believed while its time is not up and nothing was told since: every
//! belief carries the stamp of its mount (and of its directory, for names), which moves on when a backend tells of a change.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

/// Nanoseconds since the first question. The host's own monotonic clock: what guests may see of time has nothing to do with it.
fn now_ns() -> u64 {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    u64::try_from(START.elapsed().as_nanos()).unwrap_or(u64::MAX - 1).min(u64::MAX - 1)
}

/// Until when something is believed, and under which stamp.
#[derive(Debug, Default)]
pub(super) struct Belief {
    /// 0: not at all; `u64::MAX`: for ever.
    until_ns: AtomicU64,
    stamp: AtomicU64,
}

impl Belief {
    /// A belief that begins now.
    pub(super) fn new(lifetime_ns: u64, stamp: u64) -> Self {
        let belief = Self::default();
        belief.renew(lifetime_ns, stamp);
        belief
    }

    /// Begins anew.
    pub(super) fn renew(&self, lifetime_ns: u64, stamp: u64) {
        let until = match lifetime_ns {
            0 | u64::MAX => lifetime_ns,
            // Never the largest number, which means for ever.
            _ => now_ns().saturating_add(lifetime_ns).min(u64::MAX - 1),
        };
        self.stamp.store(stamp, Relaxed);
        self.until_ns.store(until, Relaxed);
    }

    /// Whether it holds, under the stamp of now.
    pub(super) fn holds(&self, stamp: u64) -> bool {
        let until = self.until_ns.load(Relaxed);
        until != 0 && self.stamp.load(Relaxed) == stamp && (until == u64::MAX || now_ns() < until)
    }

    /// Whether it was ever given, or was ended since.
    pub(super) fn is_any(&self) -> bool {
        self.until_ns.load(Relaxed) != 0
    }

    /// Ends it.
    pub(super) fn end(&self) {
        self.until_ns.store(0, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_holds_for_its_time_and_under_its_stamp() {
        assert!(!Belief::new(0, 1).holds(1));
        let forever = Belief::new(u64::MAX, 1);
        assert!(forever.holds(1) && !forever.holds(2));
        let short = Belief::new(5_000_000, 1);
        assert!(short.holds(1));
        std::thread::sleep(std::time::Duration::from_millis(6));
        assert!(!short.holds(1));
        short.renew(u64::MAX - 1, 3);
        assert!(short.holds(3));
        short.end();
        assert!(!short.holds(3) && !short.is_any());
    }
}
