//! For how long a component may compute in all.
//!
//! The epoch ends one stretch of computing that does not end ([`watch`](crate::plugin::watch)). What it does not see is a component that yields now and then and
//! goes on at once: it is never long at work, and never done.

use std::time::{Duration, Instant};

/// What a component has computed since it last came to an end of something.
pub(super) struct Budget {
    /// For one call.
    call_time_max: Duration,
    spent: Duration,
    paused_at: Option<Instant>,
}

impl Budget {
    pub(super) fn new(call_time_max: Duration) -> Self {
        Self { call_time_max, spent: Duration::ZERO, paused_at: None }
    }

    /// It has been at work from `begin` to `end`. `ended`: a call was finished. Answers whether it may go on: each call in flight may take its time, and what
    /// it did for none may take as long as one call. A pause counts as much as work.
    pub(super) fn worked(&mut self, begin: Instant, end: Instant, ended: bool, in_flight: usize) -> bool {
        if let Some(paused_at) = self.paused_at.replace(end) {
            self.spent = self.spent.saturating_sub(begin.saturating_duration_since(paused_at));
        }
        if ended {
            self.spent = Duration::ZERO;
        }
        self.spent = self.spent.saturating_add(end.saturating_duration_since(begin));
        let calls = u32::try_from(in_flight).unwrap_or(u32::MAX).saturating_add(1);
        self.spent <= self.call_time_max.saturating_mul(calls)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_without_an_end_runs_out_and_pauses_and_ends_refill() {
        let start = Instant::now();
        let at = |ms: u64| start + Duration::from_millis(ms);
        let mut budget = Budget::new(Duration::from_secs(1));
        assert!(budget.worked(at(0), at(900), false, 0));
        assert!(budget.worked(at(1800), at(2700), false, 0), "a pause as long as the work");
        assert!(!budget.worked(at(2700), at(2900), false, 0));
        assert!(budget.worked(at(2900), at(3000), false, 1), "there is a call that it may be for");
        assert!(budget.worked(at(3000), at(3900), true, 0), "a call was finished");
        assert!(!budget.worked(at(3900), at(4100), false, 0));
    }
}
