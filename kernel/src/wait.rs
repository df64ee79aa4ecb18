//! How a system call says "not yet", and how its caller waits.
//!
//! Every system call is a plain function that either finishes or answers [`SysError::Wait`] with the events that could make it finish. The
//! executor then waits in its own way - a wasm guest's fiber is suspended, a JavaScript thread parks - and calls again. So a call that need not
//! wait pays for nothing, and no lock is ever held across a wait. The listeners were made while the call still held the lock under which
//! it saw that it must wait: no wake-up is lost in between.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Instant;

use event_listener::EventListener;
use smallvec::SmallVec;

use crate::Errno;

/// Why a system call did not finish.
#[derive(Debug)]
pub enum SysError {
    /// It failed.
    Errno(Errno),
    /// It cannot finish yet: wait, then call again with the same arguments.
    Wait(Wait),
}

impl From<Errno> for SysError {
    fn from(errno: Errno) -> Self {
        SysError::Errno(errno)
    }
}

/// What a system call answers.
pub type SysResult<T> = Result<T, SysError>;

/// What a system call is waiting for: any of some events, or a point in time.
#[derive(Debug, Default)]
pub struct Wait {
    listeners: SmallVec<[EventListener; 2]>,
    deadline: Option<Instant>,
}

/// Why waiting ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Woken {
    /// An event came, or the deadline passed: call again.
    Ready,
    /// The task was killed: unwind.
    Killed,
}

impl Wait {
    /// Waits for one event.
    pub fn on(listener: EventListener) -> Self {
        let mut listeners = SmallVec::new();
        listeners.push(listener);
        Self { listeners, deadline: None }
    }

    /// Waits for a point in time.
    pub fn until(deadline: Instant) -> Self {
        Self { listeners: SmallVec::new(), deadline: Some(deadline) }
    }

    /// Adds one more event that ends the wait.
    pub fn or(mut self, listener: EventListener) -> Self {
        self.listeners.push(listener);
        self
    }

    /// Ends the wait at `deadline` at the latest.
    pub fn or_until(mut self, deadline: Option<Instant>) -> Self {
        self.deadline = match (self.deadline, deadline) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        self
    }

    /// The point in time at which the wait ends by itself.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    fn poll_events(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        for listener in &mut self.listeners {
            if Pin::new(listener).poll(cx).is_ready() {
                return Poll::Ready(());
            }
        }
        Poll::Pending
    }

    /// Waits on a fiber or in any other future, on the kernel's runtime.
    pub async fn suspend(mut self) {
        let deadline = self.deadline;
        let events = std::future::poll_fn(move |cx| self.poll_events(cx));
        match deadline {
            None => events.await,
            Some(deadline) => {
                let _ = tokio::time::timeout_at(deadline.into(), events).await;
            }
        }
    }

    /// Waits by parking the calling thread.
    pub fn park(mut self) {
        let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
        let mut cx = Context::from_waker(&waker);
        loop {
            if self.poll_events(&mut cx).is_ready() {
                return;
            }
            match self.deadline {
                None => std::thread::park(),
                Some(deadline) => {
                    let now = Instant::now();
                    if now >= deadline {
                        return;
                    }
                    std::thread::park_timeout(deadline - now);
                }
            }
        }
    }
}

struct Unpark(std::thread::Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.unpark();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use event_listener::Event;
    use std::time::Duration;

    #[test]
    fn a_parked_thread_wakes_by_event() {
        let event = Arc::new(Event::new());
        let wait = Wait::on(event.listen());
        let notifier = event.clone();
        let thread = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(10));
            notifier.notify(usize::MAX);
        });
        wait.park();
        thread.join().unwrap();
    }

    #[test]
    fn a_notification_between_listen_and_park_is_not_lost() {
        let event = Event::new();
        let wait = Wait::on(event.listen());
        event.notify(usize::MAX);
        wait.park();
    }

    #[test]
    fn a_deadline_ends_the_wait_and_the_earlier_one_counts() {
        let start = Instant::now();
        let wait = Wait::until(start + Duration::from_secs(60)).or_until(Some(start + Duration::from_millis(5)));
        wait.park();
        assert!(start.elapsed() >= Duration::from_millis(5));
        assert!(start.elapsed() < Duration::from_secs(10));
    }
}
