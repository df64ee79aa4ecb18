//! One socket of the host.

use std::io;
use std::mem::MaybeUninit;

use eyot_backend::{AddressFamily, ReceivedFrom, SocketKind, SocketReadiness};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use socket2::{Domain, Protocol, Socket, Type};

/// No signal ends the host when a peer is gone.
pub(crate) const SEND_FLAGS: i32 = libc::MSG_NOSIGNAL;

pub(crate) struct HostSocket {
    pub(crate) socket: Socket,
    pub(crate) kind: SocketKind,
}

/// A socket that never blocks and no program of the host's inherits.
pub(crate) fn open(kind: SocketKind, family: AddressFamily) -> io::Result<Socket> {
    let domain = match family {
        AddressFamily::Ipv4 => Domain::IPV4,
        AddressFamily::Ipv6 => Domain::IPV6,
    };
    let socket = match kind {
        SocketKind::Stream => Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?,
        SocketKind::Datagram => Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?,
    };
    socket.set_nonblocking(true)?;
    if family == AddressFamily::Ipv6 {
        // The kernel opens a socket for each family.
        socket.set_only_v6(true)?;
    }
    Ok(socket)
}

impl HostSocket {
    /// What it is ready for now: poll(2) without waiting.
    pub(crate) fn readiness(&self) -> SocketReadiness {
        let mut fds = [PollFd::new(&self.socket, PollFlags::IN | PollFlags::OUT)];
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        if poll(&mut fds, Some(&now)).is_err() {
            return SocketReadiness::empty();
        }
        let [fd] = fds;
        let events = fd.revents();
        let mut ready = SocketReadiness::empty();
        ready.set(SocketReadiness::READABLE, events.intersects(PollFlags::IN | PollFlags::HUP));
        ready.set(SocketReadiness::WRITABLE, events.contains(PollFlags::OUT));
        ready.set(SocketReadiness::HANG_UP, events.contains(PollFlags::HUP));
        ready.set(SocketReadiness::ERROR, events.contains(PollFlags::ERR));
        ready
    }

    /// A datagram, and how long it was in truth.
    pub(crate) fn recv_from(&self, buffer: &mut [u8]) -> io::Result<ReceivedFrom> {
        if self.kind != SocketKind::Datagram {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let room = buffer.len();
        // SAFETY: bytes that are initialised may be seen as bytes that may be not, and `recv_from` writes only initialised ones there.
        let place = unsafe { &mut *(std::ptr::from_mut::<[u8]>(buffer) as *mut [MaybeUninit<u8>]) };
        // With this flag Linux tells the whole length, also of what did not fit.
        let (length, sender) = self.socket.recv_from_with_flags(place, libc::MSG_TRUNC)?;
        let sender = sender.as_socket().ok_or(io::ErrorKind::InvalidData)?;
        Ok(ReceivedFrom { count: length.min(room), length, sender })
    }
}
