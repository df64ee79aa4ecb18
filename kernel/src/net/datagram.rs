//! Datagrams between sockets of the VM: a queue for each socket. A full one makes its senders wait; nothing is dropped.

use std::collections::VecDeque;
use std::sync::Arc;

use event_listener::{Event, EventListener};
use parking_lot::Mutex;

use super::Address;
use crate::Errno;
use crate::limits::{Accountant, Charge, Limit};
use crate::wait::{SysError, SysResult, Wait};

/// What a datagram costs besides its bytes, so that empty ones are bounded too.
const OVERHEAD_BYTES: usize = 128;

/// One datagram that waits.
struct Datagram {
    bytes: Box<[u8]>,
    sender: Option<Address>,
    _charge: Charge,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Datagram>,
    bytes: usize,
    closed: bool,
    /// What a datagram that was sent met with, or none.
    error: Option<Errno>,
}

/// What a socket for datagrams has received.
pub(super) struct Mailbox {
    state: Mutex<State>,
    /// Notified when a datagram comes, or an error, or nothing more will come.
    changed: Event,
    /// Notified when there is room again.
    room: Event,
    capacity: usize,
}

/// What was received; the bytes are in the buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// How many bytes are in the buffer.
    pub count: usize,
    /// How long the datagram was; for a stream the same.
    pub length: usize,
    /// Who sent the datagram. None: a stream, or a sender without a name.
    pub sender: Option<Address>,
}

impl Received {
    /// Bytes of a stream.
    pub(super) fn stream(count: usize) -> Self {
        Self { count, length: count, sender: None }
    }
}

impl Mailbox {
    pub(super) fn new(capacity: usize) -> Self {
        Self { state: Mutex::default(), changed: Event::new(), room: Event::new(), capacity }
    }

    /// Puts a datagram in. Errors: `EMSGSIZE` (it would not even fit into an empty queue), `ENOBUFS`, `ECONNREFUSED` (closed).
    pub(super) fn put(&self, accountant: &Arc<Accountant>, bytes: &[u8], sender: Option<Address>) -> SysResult<()> {
        let size = bytes.len() + OVERHEAD_BYTES;
        if size > self.capacity {
            return Err(Errno::Msgsize.into());
        }
        let mut state = self.state.lock();
        if state.closed {
            return Err(Errno::Connrefused.into());
        }
        if state.bytes + size > self.capacity {
            return Err(SysError::Wait(Wait::on(self.room.listen())));
        }
        let charge = accountant.charge(Limit::SocketBytes, size as u64)?;
        state.queue.push_back(Datagram { bytes: bytes.into(), sender, _charge: charge });
        state.bytes += size;
        drop(state);
        self.changed.notify(usize::MAX);
        Ok(())
    }

    /// Takes the oldest datagram. None: there is none; the listener was made under the same lock. Errors: what a sent one met with.
    pub(super) fn take(&self, buffer: &mut [u8], peek: bool) -> Result<Result<Received, EventListener>, Errno> {
        let mut state = self.state.lock();
        if let Some(errno) = state.error.take() {
            return Err(errno);
        }
        let Some(datagram) = state.queue.front() else {
            if state.closed {
                return Ok(Ok(Received::stream(0)));
            }
            return Ok(Err(self.changed.listen()));
        };
        let count = datagram.bytes.len().min(buffer.len());
        buffer[..count].copy_from_slice(&datagram.bytes[..count]);
        let length = datagram.bytes.len();
        if peek {
            return Ok(Ok(Received { count, length, sender: datagram.sender.clone() }));
        }
        let taken = state.queue.pop_front();
        state.bytes -= length + OVERHEAD_BYTES;
        drop(state);
        self.room.notify(usize::MAX);
        let sender = taken.and_then(|datagram| datagram.sender);
        Ok(Ok(Received { count, length, sender }))
    }

    /// Whether a receive would not wait.
    pub(super) fn is_readable(&self) -> bool {
        let state = self.state.lock();
        !state.queue.is_empty() || state.error.is_some() || state.closed
    }

    /// Whether there is room for an ordinary datagram.
    pub(super) fn has_room(&self) -> bool {
        let state = self.state.lock();
        state.closed || state.bytes + OVERHEAD_BYTES <= self.capacity / 2
    }

    pub(super) fn has_error(&self) -> bool {
        self.state.lock().error.is_some()
    }

    pub(super) fn take_error(&self) -> Option<Errno> {
        self.state.lock().error.take()
    }

    /// Tells the socket's owner that a datagram it sent met with nobody.
    pub(super) fn refuse(&self, errno: Errno) {
        self.state.lock().error = Some(errno);
        self.changed.notify(usize::MAX);
    }

    /// Nothing more comes in. What waits can still be received.
    pub(super) fn close(&self) {
        self.state.lock().closed = true;
        self.changed.notify(usize::MAX);
        self.room.notify(usize::MAX);
    }

    pub(super) fn listen(&self) -> EventListener {
        self.changed.listen()
    }

    pub(super) fn listen_room(&self) -> EventListener {
        self.room.listen()
    }
}
