//! Streams between two sockets of the VM: a ring of bytes for each direction.

use std::collections::VecDeque;
use std::sync::Arc;

use event_listener::{Event, EventListener};
use parking_lot::Mutex;

use crate::Errno;
use crate::backend::Shutdown;
use crate::limits::{Accountant, Charge, Limit};
use crate::process::Readiness;
use crate::wait::{SysError, SysResult, Wait};

/// How a receive takes its bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Take {
    /// They stay there.
    pub(crate) peek: bool,
    /// Wait until the buffer is full, or as full as a full ring makes it.
    pub(crate) all: bool,
}

/// One direction.
struct Direction {
    bytes: VecDeque<u8>,
    capacity: usize,
    /// Nothing more is written: its writer said so, or closed, or the connection broke.
    ended: bool,
    /// Its reader wants nothing more.
    deaf: bool,
    /// Its reader closed.
    gone: bool,
}

/// What belongs to one side.
#[derive(Default)]
struct Side {
    /// Notified when what this side could do changed.
    changed: Event,
    error: Mutex<Option<Errno>>,
}

/// A connection: direction 0 goes from side 0 to side 1.
struct Connection {
    directions: [Mutex<Direction>; 2],
    sides: [Side; 2],
    /// Whether a close is told as TCP tells it, and not as unix(7) has it.
    tcp: bool,
    _charge: Charge,
}

/// One end of a connection. Dropped, it is closed.
pub(super) struct StreamEnd {
    connection: Arc<Connection>,
    side: usize,
}

/// A pair of ends. `capacities`: how many bytes each may have waiting to be received. Errors: `ENOBUFS`.
pub(super) fn pair(
    accountant: &Arc<Accountant>,
    capacities: [usize; 2],
    tcp: bool,
) -> Result<(StreamEnd, StreamEnd), Errno> {
    let [first, second] = capacities;
    let charge = accountant.charge(Limit::SocketBytes, (first as u64).saturating_add(second as u64))?;
    let direction =
        |capacity| Mutex::new(Direction { bytes: VecDeque::new(), capacity, ended: false, deaf: false, gone: false });
    let directions = [direction(second), direction(first)];
    let connection = Arc::new(Connection { directions, sides: Default::default(), tcp, _charge: charge });
    Ok((StreamEnd { connection: connection.clone(), side: 0 }, StreamEnd { connection, side: 1 }))
}

impl Direction {
    /// Room from which on a writer is told that there is some: a quarter, so that a reader does not wake it for every few bytes.
    fn enough_room(&self) -> bool {
        self.capacity - self.bytes.len() >= self.capacity.div_ceil(4)
    }
}

impl StreamEnd {
    fn outgoing(&self) -> &Mutex<Direction> {
        &self.connection.directions[self.side]
    }

    fn incoming(&self) -> &Mutex<Direction> {
        &self.connection.directions[1 - self.side]
    }

    fn own(&self) -> &Side {
        &self.connection.sides[self.side]
    }

    fn peer(&self) -> &Side {
        &self.connection.sides[1 - self.side]
    }

    /// recv(2). Errors: `ECONNRESET`.
    pub(super) fn recv(&self, buffer: &mut [u8], take: Take) -> SysResult<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let mut incoming = self.incoming().lock();
        let wanted = if take.all { buffer.len().min(incoming.capacity) } else { 1 };
        let closed = incoming.ended || incoming.deaf;
        if incoming.bytes.len() < wanted && !closed {
            return Err(SysError::Wait(Wait::on(self.listen())));
        }
        if incoming.bytes.is_empty() {
            return match self.take_error() {
                Some(errno) => Err(errno.into()),
                None => Ok(0),
            };
        }
        let had_room = incoming.enough_room();
        let count = copy_out(&mut incoming.bytes, buffer, take.peek);
        let told = !had_room && incoming.enough_room();
        drop(incoming);
        if told {
            self.peer().changed.notify(usize::MAX);
        }
        Ok(count)
    }

    /// send(2): takes what fits. Errors: `EPIPE`, `ECONNRESET`.
    pub(super) fn send(&self, bytes: &[u8]) -> SysResult<usize> {
        let tcp = self.connection.tcp;
        let mut outgoing = self.outgoing().lock();
        if tcp && let Some(errno) = self.take_error() {
            return Err(errno.into());
        }
        if outgoing.ended || (!tcp && (outgoing.gone || outgoing.deaf)) {
            return Err(Errno::Pipe.into());
        }
        if bytes.is_empty() {
            return Ok(0);
        }
        if outgoing.gone {
            // TCP: the peer has closed. The bytes are under way, and what comes back says that nobody takes them.
            outgoing.ended = true;
            *self.own().error.lock() = Some(Errno::Pipe);
            drop(outgoing);
            self.own().changed.notify(usize::MAX);
            return Ok(bytes.len());
        }
        let count = bytes.len().min(outgoing.capacity - outgoing.bytes.len());
        if count == 0 {
            return Err(SysError::Wait(Wait::on(self.listen())));
        }
        outgoing.bytes.extend(&bytes[..count]);
        drop(outgoing);
        self.peer().changed.notify(usize::MAX);
        Ok(count)
    }

    /// shutdown(2).
    pub(super) fn shutdown(&self, how: Shutdown) {
        if how.sends() {
            self.outgoing().lock().ended = true;
        }
        if how.receives() {
            self.incoming().lock().deaf = true;
        }
        self.peer().changed.notify(usize::MAX);
        self.own().changed.notify(usize::MAX);
    }

    /// What could be done now without waiting.
    pub(super) fn readiness(&self) -> Readiness {
        let mut ready = Readiness::empty();
        let error = self.own().error.lock().is_some();
        let (heard_all, gone) = {
            let incoming = self.incoming().lock();
            let closed = incoming.ended || incoming.deaf;
            ready.set(Readiness::READABLE, closed || !incoming.bytes.is_empty() || error);
            (closed, incoming.ended)
        };
        let outgoing = self.outgoing().lock();
        let closed = outgoing.ended || outgoing.gone || outgoing.deaf;
        ready.set(Readiness::WRITABLE, closed || outgoing.enough_room() || error);
        let said_all = outgoing.ended || (!self.connection.tcp && outgoing.gone);
        ready.set(Readiness::HANG_UP, (heard_all && outgoing.ended) || (gone && said_all));
        ready.set(Readiness::ERROR, error);
        ready
    }

    /// Listens for a change of readiness.
    pub(super) fn listen(&self) -> EventListener {
        self.own().changed.listen()
    }

    /// The error that happened between calls.
    pub(super) fn take_error(&self) -> Option<Errno> {
        self.own().error.lock().take()
    }

    /// Whether the peer is still there.
    pub(super) fn is_connected(&self) -> bool {
        let outgoing = self.outgoing().lock();
        !(outgoing.gone && outgoing.ended)
    }
}

impl Drop for StreamEnd {
    fn drop(&mut self) {
        let mut incoming = self.incoming().lock();
        incoming.gone = true;
        if !std::mem::take(&mut incoming.bytes).is_empty() {
            // Bytes that nobody will read: the peer is told that the connection broke.
            incoming.ended = true;
            *self.peer().error.lock() = Some(Errno::Connreset);
        }
        drop(incoming);
        self.outgoing().lock().ended = true;
        self.peer().changed.notify(usize::MAX);
    }
}

/// Copies from a ring, whose bytes are taken out unless they are to stay.
pub(super) fn copy_out(from: &mut VecDeque<u8>, to: &mut [u8], stay: bool) -> usize {
    let count = from.len().min(to.len());
    let (front, back) = from.as_slices();
    let first = front.len().min(count);
    to[..first].copy_from_slice(&front[..first]);
    to[first..count].copy_from_slice(&back[..count - first]);
    if !stay {
        from.drain(..count);
    }
    count
}
