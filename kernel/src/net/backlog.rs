//! Connections that wait to be accepted.

use std::collections::VecDeque;
use std::net::SocketAddr;

use event_listener::{Event, EventListener};
use parking_lot::Mutex;

use super::stream::StreamEnd;
use crate::Errno;
use crate::wait::{SysError, SysResult, Wait};

/// Where a connection comes from and leads to.
#[derive(Clone, Debug)]
pub(super) enum Route {
    /// Between two addresses: the caller's, then the listener's.
    Ip(SocketAddr, SocketAddr),
    /// Between two names.
    Unix(String, String),
}

/// A connection that was made and not accepted yet.
pub(super) struct Pending {
    pub(super) end: StreamEnd,
    pub(super) route: Route,
}

struct State {
    queue: VecDeque<Pending>,
    max: usize,
    closed: bool,
}

/// The queue of a listening socket.
pub(super) struct Backlog {
    state: Mutex<State>,
    arrived: Event,
    room: Event,
}

impl Backlog {
    /// A queue for `max` connections, and one more, as Linux counts.
    pub(super) fn new(max: usize) -> Self {
        let state = State { queue: VecDeque::new(), max, closed: false };
        Self { state: Mutex::new(state), arrived: Event::new(), room: Event::new() }
    }

    pub(super) fn resize(&self, max: usize) {
        self.state.lock().max = max;
        self.room.notify(usize::MAX);
    }

    /// Whether there is room, or a wait for it. Errors: `ECONNREFUSED`.
    pub(super) fn check_room(&self) -> SysResult<()> {
        let state = self.state.lock();
        match state.closed {
            true => Err(Errno::Connrefused.into()),
            false if state.queue.len() > state.max => Err(SysError::Wait(Wait::on(self.room.listen()))),
            false => Ok(()),
        }
    }

    /// Adds a connection. Errors: `ECONNREFUSED`.
    pub(super) fn push(&self, pending: Pending) -> SysResult<()> {
        let mut state = self.state.lock();
        if state.closed {
            return Err(Errno::Connrefused.into());
        }
        if state.queue.len() > state.max {
            return Err(SysError::Wait(Wait::on(self.room.listen())));
        }
        state.queue.push_back(pending);
        drop(state);
        self.arrived.notify(usize::MAX);
        Ok(())
    }

    /// Takes the oldest connection; without one a listener that was made under the same lock. Errors: `EINVAL` (it listens no longer).
    pub(super) fn pop(&self) -> Result<Result<Pending, EventListener>, Errno> {
        let mut state = self.state.lock();
        let Some(pending) = state.queue.pop_front() else {
            return if state.closed { Err(Errno::Inval) } else { Ok(Err(self.arrived.listen())) };
        };
        drop(state);
        self.room.notify(usize::MAX);
        Ok(Ok(pending))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.state.lock().queue.is_empty()
    }

    pub(super) fn listen(&self) -> EventListener {
        self.arrived.listen()
    }

    /// Takes no more connections; those that wait are broken off.
    pub(super) fn close(&self) {
        let mut state = self.state.lock();
        state.closed = true;
        let waiting = std::mem::take(&mut state.queue);
        drop(state);
        drop(waiting);
        self.arrived.notify(usize::MAX);
        self.room.notify(usize::MAX);
    }
}
