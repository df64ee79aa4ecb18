//! When a backend that failed is started again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::backend::Filesystem;
use crate::plugin::{PluginError, PluginFilesystem};

/// The wait before the second attempt; it doubles with each.
const DELAY_MIN: Duration = Duration::from_millis(100);
/// The longest wait between attempts.
const DELAY_MAX: Duration = Duration::from_secs(30);
/// An instance that served for this long has recovered: the next failure begins with the shortest wait again.
const RECOVERED_AFTER: Duration = Duration::from_secs(60);

/// Starts an instance anew.
pub type Starter = Arc<dyn Fn() -> Result<PluginFilesystem, PluginError> + Send + Sync>;

/// The waits between attempts to start a backend that failed.
pub(super) struct BackOff {
    delay: Duration,
    last: Option<Instant>,
}

impl BackOff {
    pub(super) fn new() -> Self {
        Self { delay: Duration::ZERO, last: None }
    }

    /// Whether an attempt may be made now; one that may is counted as made.
    pub(super) fn may_try(&mut self, now: Instant) -> bool {
        if let Some(last) = self.last {
            let since = now.saturating_duration_since(last);
            if since >= RECOVERED_AFTER.max(self.delay) {
                self.delay = Duration::ZERO;
            } else if since < self.delay {
                return false;
            }
        }
        self.last = Some(now);
        self.delay = (self.delay * 2).clamp(DELAY_MIN, DELAY_MAX);
        true
    }
}

/// What watches over a backend: how to tell that it failed, and how to start another.
pub(super) struct Supervisor {
    pub(super) starter: Option<Starter>,
    pub(super) back_off: BackOff,
    /// The component that serves, while one does.
    pub(super) plugin: Option<Arc<PluginFilesystem>>,
}

impl Supervisor {
    /// Whether the component that serves was retired.
    pub(super) fn has_failed(&self) -> bool {
        self.plugin.as_ref().is_some_and(|plugin| plugin.is_retired())
    }
}

/// As the kernel sees it.
pub(super) fn as_filesystem(plugin: &Arc<PluginFilesystem>) -> Arc<dyn Filesystem> {
    plugin.clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_and_end_with_recovery() {
        let start = Instant::now();
        let at = |ms: u64| start + Duration::from_millis(ms);
        let mut back_off = BackOff::new();
        assert!(back_off.may_try(at(0)));
        assert!(!back_off.may_try(at(99)));
        assert!(back_off.may_try(at(100)));
        assert!(!back_off.may_try(at(299)));
        assert!(back_off.may_try(at(300)));
        let mut now = 300;
        for _ in 0..20 {
            now += 30_000;
            assert!(back_off.may_try(at(now)));
        }
        assert!(!back_off.may_try(at(now + 29_999)));
        assert!(back_off.may_try(at(now + 60_000)));
        assert!(back_off.may_try(at(now + 60_100)));
    }
}
