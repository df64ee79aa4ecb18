//! Options of sockets: what was set, what holds otherwise, and which socket knows which.

use super::Domain;
use crate::Errno;
use crate::backend::{SocketKind, SocketOption};

/// How much a stream may have waiting to be received unless told otherwise: what a pipe holds.
pub(super) const STREAM_BUFFER_BYTES: usize = 64 << 10;

/// How much a socket for datagrams may have waiting: Linux's `rmem_default`.
const DATAGRAM_BUFFER_BYTES: usize = 212_992;

/// The bounds of a buffer's size.
const BUFFER_BYTES_MIN: u64 = 4096;
const BUFFER_BYTES_MAX: u64 = 4 << 20;

/// The options of one socket.
#[derive(Clone, Copy, Default)]
pub(super) struct Options {
    set: [Option<u64>; SocketOption::ALL.len()],
}

/// What Linux bounds these to (tcp(7)).
const KEEP_ALIVE_SECONDS_MAX: u64 = 32_767;
const KEEP_ALIVE_COUNT_MAX: u64 = 127;

impl Options {
    /// The value, and otherwise what holds from the start.
    pub(super) fn get(&self, kind: SocketKind, option: SocketOption) -> u64 {
        self.set[option as usize].unwrap_or(match option {
            SocketOption::KeepAliveIdle => 7200,
            SocketOption::KeepAliveInterval => 75,
            SocketOption::KeepAliveCount => 9,
            SocketOption::HopLimit => 64,
            SocketOption::SendBuffer | SocketOption::ReceiveBuffer => match kind {
                SocketKind::Stream => STREAM_BUFFER_BYTES as u64,
                SocketKind::Datagram => DATAGRAM_BUFFER_BYTES as u64,
            },
            _ => 0,
        })
    }

    pub(super) fn is_on(&self, option: SocketOption) -> bool {
        self.set[option as usize].is_some_and(|value| value != 0)
    }

    /// The receive buffer's size in bytes, within its bounds.
    pub(super) fn receive_buffer(&self, kind: SocketKind) -> usize {
        self.get(kind, SocketOption::ReceiveBuffer) as usize
    }

    /// Sets a value that was checked.
    pub(super) fn set(&mut self, option: SocketOption, value: u64) {
        self.set[option as usize] = Some(value);
    }

    /// What was set, for a socket outside that takes this one's place.
    pub(super) fn all_set(&self) -> impl Iterator<Item = (SocketOption, u64)> + '_ {
        SocketOption::ALL.iter().filter_map(|&option| self.set[option as usize].map(|value| (option, value)))
    }
}

/// Whether a socket knows an option. Errors: `ENOPROTOOPT`, `ENOTSUP`.
pub(super) fn check_known(domain: Domain, kind: SocketKind, option: SocketOption) -> Result<(), Errno> {
    use SocketOption as O;
    match option {
        O::NoDelay | O::KeepAliveIdle | O::KeepAliveInterval | O::KeepAliveCount => match (domain, kind) {
            (Domain::Unix, _) => Err(Errno::Notsup),
            (_, SocketKind::Datagram) => Err(Errno::Noprotoopt),
            _ => Ok(()),
        },
        O::V6Only if domain != Domain::Ipv6 => Err(Errno::Noprotoopt),
        O::HopLimit if domain == Domain::Unix => Err(Errno::Notsup),
        _ => Ok(()),
    }
}

/// A value as it is kept. Errors: `EINVAL`.
pub(super) fn check_value(option: SocketOption, value: u64) -> Result<u64, Errno> {
    use SocketOption as O;
    let within = |max: u64| if (1..=max).contains(&value) { Ok(value) } else { Err(Errno::Inval) };
    match option {
        O::NoDelay | O::KeepAlive | O::ReuseAddress | O::V6Only | O::Broadcast => Ok(u64::from(value != 0)),
        O::KeepAliveIdle | O::KeepAliveInterval => within(KEEP_ALIVE_SECONDS_MAX),
        O::KeepAliveCount => within(KEEP_ALIVE_COUNT_MAX),
        O::HopLimit => within(255),
        O::SendBuffer | O::ReceiveBuffer => Ok(value.clamp(BUFFER_BYTES_MIN, BUFFER_BYTES_MAX)),
    }
}
