//! How many calls are in flight, and how many bytes they carry.

use std::sync::Arc;
use std::time::Instant;

use parking_lot::{Condvar, Mutex};

use super::reply::NoAnswer;
use crate::runtime;

/// The most calls in flight of one instance. Beyond them callers wait for their turn.
pub(super) const CALLS_MAX: usize = 256;
/// The most bytes that the calls in flight carry or ask for: 32 of the largest reads and writes.
const BYTES_MAX: usize = 32 << 20;

#[derive(Default)]
struct State {
    calls: usize,
    bytes: usize,
    closed: bool,
}

/// Lets calls in.
#[derive(Default)]
pub(super) struct Admission {
    state: Mutex<State>,
    freed: Condvar,
}

/// A call's place, which it gives back when it has been answered or will never be.
pub(super) struct Permit {
    admission: Arc<Admission>,
    bytes: usize,
}

impl Admission {
    /// Lets a call in that carries or asks for so many bytes; waits for its turn.
    pub(super) fn admit(self: &Arc<Self>, bytes: usize, deadline: Instant) -> Result<Permit, NoAnswer> {
        let bytes = bytes.min(BYTES_MAX);
        let mut state = self.state.lock();
        if !state.closed && !state.has_room(bytes) {
            drop(state);
            return runtime::wait(|| self.wait_for_room(bytes, deadline));
        }
        self.take(&mut state, bytes)
    }

    fn wait_for_room(self: &Arc<Self>, bytes: usize, deadline: Instant) -> Result<Permit, NoAnswer> {
        let mut state = self.state.lock();
        while !state.closed && !state.has_room(bytes) {
            if self.freed.wait_until(&mut state, deadline).timed_out() {
                return Err(NoAnswer::TimedOut);
            }
        }
        self.take(&mut state, bytes)
    }

    fn take(self: &Arc<Self>, state: &mut State, bytes: usize) -> Result<Permit, NoAnswer> {
        if state.closed {
            return Err(NoAnswer::Gone);
        }
        state.calls += 1;
        state.bytes += bytes;
        Ok(Permit { admission: self.clone(), bytes })
    }

    /// Lets nobody in any more.
    pub(super) fn close(&self) {
        self.state.lock().closed = true;
        self.freed.notify_all();
    }

    /// How many calls are in flight.
    pub(super) fn calls(&self) -> usize {
        self.state.lock().calls
    }
}

impl State {
    fn has_room(&self, bytes: usize) -> bool {
        self.calls < CALLS_MAX && self.bytes + bytes <= BYTES_MAX
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut state = self.admission.state.lock();
        state.calls -= 1;
        state.bytes -= self.bytes;
        drop(state);
        // All: what the first of them needs may be more than what came free, and what the second needs less.
        self.admission.freed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn calls_and_bytes_are_bounded_and_closing_wakes_all() {
        let admission = Arc::new(Admission::default());
        let admit = |bytes| admission.admit(bytes, Instant::now() + Duration::from_millis(5));
        let mut all: Vec<_> = (0..CALLS_MAX).map(|_| admit(0).unwrap()).collect();
        assert_eq!(admit(0).err(), Some(NoAnswer::TimedOut));
        all.truncate(10);
        let half = admit(BYTES_MAX / 2 + 1).unwrap();
        assert_eq!(admit(BYTES_MAX / 2).err(), Some(NoAnswer::TimedOut));
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| admission.admit(usize::MAX, Instant::now() + Duration::from_secs(60)));
            drop(half);
            drop(waits.join().unwrap().unwrap());
            let _all = admit(BYTES_MAX).unwrap();
            let waits = scope.spawn(|| admission.admit(1, Instant::now() + Duration::from_secs(60)));
            admission.close();
            assert_eq!(waits.join().unwrap().err(), Some(NoAnswer::Gone));
        });
        all.clear();
        assert_eq!(admission.calls(), 0);
    }
}
