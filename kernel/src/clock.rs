//! The VM's clocks.

use std::time::{Duration, Instant};

use crate::backend::Timestamp;

/// The time of day and the monotonic clock, in steps of what the VM was granted.
#[derive(Clone, Debug)]
pub struct Clock {
    booted: Instant,
    booted_at: Timestamp,
    resolution_ns: u64,
}

impl Clock {
    /// A clock that starts now and advances in steps of `resolution_ns` (at least 1).
    pub fn new(resolution_ns: u64) -> Self {
        Self { booted: Instant::now(), booted_at: Timestamp::now(), resolution_ns: resolution_ns.max(1) }
    }

    /// The steps in nanoseconds.
    pub fn resolution_ns(&self) -> u64 {
        self.resolution_ns
    }

    /// When the VM was made.
    pub fn booted_at(&self) -> Timestamp {
        self.booted_at
    }

    /// The time of day.
    pub fn realtime(&self) -> Timestamp {
        let now = Timestamp::now();
        if self.resolution_ns == 1 {
            return now;
        }
        let step = i64::try_from(self.resolution_ns).unwrap_or(i64::MAX);
        let nanos = now.as_nanos();
        Timestamp::from_nanos(nanos - nanos.rem_euclid(step))
    }

    /// Nanoseconds since the VM was made.
    pub fn monotonic_ns(&self) -> u64 {
        let elapsed = u64::try_from(self.booted.elapsed().as_nanos()).unwrap_or(u64::MAX);
        elapsed - elapsed % self.resolution_ns
    }

    /// Hundredths of a second between the making of the VM and `when`.
    pub(crate) fn ticks_at(&self, when: Instant) -> u128 {
        when.saturating_duration_since(self.booted).as_millis() / 10
    }

    /// The host's point in time at which the monotonic clock reaches `deadline_ns`; none when that is past what the host can tell.
    pub fn instant(&self, deadline_ns: u64) -> Option<Instant> {
        self.booted.checked_add(Duration::from_nanos(deadline_ns))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_monotonic_clock_advances_in_its_steps() {
        let clock = Clock::new(1000);
        let first = clock.monotonic_ns();
        assert_eq!(first % 1000, 0);
        std::thread::sleep(Duration::from_millis(2));
        assert!(clock.monotonic_ns() >= first + 1_000_000);
        assert_eq!(clock.realtime().nanoseconds % 1000, 0);
        assert!(clock.instant(5).unwrap() > clock.instant(4).unwrap());
    }
}
