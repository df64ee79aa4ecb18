//! The thread that commits what nobody else did.

#[cfg(not(target_family = "wasm"))]
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Signal {
    Idle,
    Changed,
    Stop,
}

/// How the thread is told.
pub(crate) struct Flusher {
    signal: Mutex<Signal>,
    told: Condvar,
    /// Spares who changes something the lock: whether the thread knows already.
    knows: std::sync::atomic::AtomicBool,
}

impl Flusher {
    pub(crate) fn new() -> Self {
        Self { signal: Mutex::new(Signal::Idle), told: Condvar::new(), knows: false.into() }
    }

    /// There is something to commit.
    pub(crate) fn wake(&self) {
        use std::sync::atomic::Ordering::AcqRel;
        if self.knows.load(std::sync::atomic::Ordering::Relaxed) || self.knows.swap(true, AcqRel) {
            return;
        }
        let mut signal = self.signal.lock();
        if *signal == Signal::Idle {
            *signal = Signal::Changed;
            self.told.notify_one();
        }
    }

    /// Whether there is something to commit; asked where there is no thread that waits for it.
    #[cfg(target_family = "wasm")]
    pub(crate) fn has_work(&self) -> bool {
        self.knows.load(std::sync::atomic::Ordering::Relaxed)
    }

    /// It is about to be committed.
    #[cfg(target_family = "wasm")]
    pub(crate) fn takes_work(&self) {
        self.knows.store(false, std::sync::atomic::Ordering::Relaxed);
        *self.signal.lock() = Signal::Idle;
    }

    pub(crate) fn stop(&self) {
        *self.signal.lock() = Signal::Stop;
        self.told.notify_one();
    }

    /// Waits for a change and then for `delay`; answers whether to go on.
    #[cfg(not(target_family = "wasm"))]
    pub(crate) fn wait(&self, delay: Duration) -> bool {
        let mut signal = self.signal.lock();
        while *signal == Signal::Idle {
            self.told.wait(&mut signal);
        }
        if *signal == Signal::Stop {
            return false;
        }
        *signal = Signal::Idle;
        self.told.wait_for(&mut signal, delay);
        // What changes from here on is told again, though this round may still take it along.
        self.knows.store(false, std::sync::atomic::Ordering::Release);
        *signal != Signal::Stop
    }
}
