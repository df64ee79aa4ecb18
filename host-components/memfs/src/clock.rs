//! The time for timestamps.

use std::sync::Arc;

use eyot_backend::Timestamp;

/// Where the time comes from: a function that was given, or the host.
#[derive(Clone, Default)]
pub(crate) struct Clock(Option<Arc<dyn Fn() -> Timestamp + Send + Sync>>);

impl Clock {
    pub(crate) fn new(now: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(now)))
    }

    pub(crate) fn now(&self) -> Timestamp {
        match &self.0 {
            Some(now) => now(),
            None => host(),
        }
    }
}

#[cfg(not(target_family = "wasm"))]
fn host() -> Timestamp {
    Timestamp::now()
}

/// A component has no clock but the one it is given.
#[cfg(target_family = "wasm")]
fn host() -> Timestamp {
    Timestamp::default()
}
