//! What is told of a component that goes wrong.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use eyot_backend::Errno;

use super::answers::Lie;
use super::load::reason;

/// Tells of one component.
pub(super) struct Reporter {
    name: String,
    /// Whether a false answer was reported: once is enough.
    reported: AtomicBool,
}

impl Reporter {
    pub(super) fn new(name: String) -> Self {
        Self { name, reported: AtomicBool::new(false) }
    }

    /// It trapped, timed out or broke the ABI.
    #[cold]
    pub(super) fn retired(&self, function: &'static str, error: &wasmtime::Error) {
        let reason = reason(error);
        tracing::warn!(plugin = %self.name, function, %reason, "backend retired: its mounts answer EIO from now on");
    }

    /// It answered what cannot be true.
    #[cold]
    pub(super) fn lied(&self, function: &'static str, lie: Lie) -> Errno {
        if !self.reported.swap(true, Relaxed) {
            tracing::warn!(plugin = %self.name, function, answer = lie, "backend answered what cannot be true: EIO (reported once)");
        }
        Errno::Io
    }
}
