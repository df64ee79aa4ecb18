//! Where the answer of one call is waited for.

use std::sync::Arc;
use std::time::Instant;

use parking_lot::{Condvar, Mutex};

/// What is known of the answer.
enum State<T> {
    Awaited,
    Answered(T),
    /// Nobody will answer any more.
    Gone,
    /// Nobody waits any more.
    GivenUp,
}

struct Slot<T> {
    state: Mutex<State<T>>,
    told: Condvar,
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoAnswer {
    /// The instance is retired.
    Gone,
    /// The time is up.
    TimedOut,
}

/// The side that waits.
pub(super) struct Reply<T>(Arc<Slot<T>>);

/// The side that answers. When it is dropped without an answer, the other side learns that there will be none.
pub(super) struct Answer<T>(Arc<Slot<T>>);

/// The two sides of one answer.
pub(super) fn pair<T>() -> (Answer<T>, Reply<T>) {
    let slot = Arc::new(Slot { state: Mutex::new(State::Awaited), told: Condvar::new() });
    (Answer(slot.clone()), Reply(slot))
}

impl<T> Reply<T> {
    /// The answer, if it is there or will never be.
    pub(super) fn now(&self) -> Option<Result<T, NoAnswer>> {
        take(&mut self.0.state.lock())
    }

    /// Waits for the answer. When the time is up, it is given up.
    pub(super) fn wait_until(self, deadline: Instant) -> Result<T, NoAnswer> {
        let mut state = self.0.state.lock();
        loop {
            if let Some(answer) = take(&mut state) {
                return answer;
            }
            if self.0.told.wait_until(&mut state, deadline).timed_out() {
                return take(&mut state).unwrap_or_else(|| {
                    *state = State::GivenUp;
                    Err(NoAnswer::TimedOut)
                });
            }
        }
    }
}

fn take<T>(state: &mut State<T>) -> Option<Result<T, NoAnswer>> {
    match std::mem::replace(state, State::Gone) {
        State::Answered(answer) => Some(Ok(answer)),
        State::Gone => Some(Err(NoAnswer::Gone)),
        awaited @ (State::Awaited | State::GivenUp) => {
            *state = awaited;
            None
        }
    }
}

impl<T> Answer<T> {
    /// Whether it has not been given up.
    pub(super) fn is_awaited(&self) -> bool {
        matches!(*self.0.state.lock(), State::Awaited)
    }

    /// Answers. An answer that nobody waits for any more comes back.
    pub(super) fn send(self, answer: T) -> Result<(), T> {
        let mut state = self.0.state.lock();
        if !matches!(*state, State::Awaited) {
            return Err(answer);
        }
        *state = State::Answered(answer);
        drop(state);
        self.0.told.notify_one();
        Ok(())
    }
}

impl<T> Drop for Answer<T> {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        if matches!(*state, State::Awaited) {
            *state = State::Gone;
            drop(state);
            self.0.told.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn an_answer_comes_once_its_absence_is_told_and_a_late_one_comes_back() {
        let soon = || Instant::now() + Duration::from_secs(60);
        let (answer, reply) = pair();
        assert!(reply.now().is_none());
        answer.send(1).unwrap();
        assert_eq!(reply.now(), Some(Ok(1)));
        assert_eq!(reply.wait_until(soon()), Err(NoAnswer::Gone), "it came once");

        let (answer, reply) = pair::<u8>();
        let dropper = std::thread::spawn(|| drop(answer));
        assert_eq!(reply.wait_until(soon()), Err(NoAnswer::Gone));
        dropper.join().unwrap();

        let (answer, reply) = pair();
        assert_eq!(reply.wait_until(Instant::now()), Err(NoAnswer::TimedOut));
        assert_eq!(answer.send(1), Err(1));
    }
}
