//! The trait of a network: `wit/backend/socket.wit` as Rust.

use std::net::{IpAddr, SocketAddr};
use std::sync::Weak;

use bitflags::bitflags;

use crate::Errno;

/// The longest piece of one `send` or `recv` of a stream, in bytes.
pub const SOCKET_CHUNK_BYTES_MAX: usize = 1 << 20;

/// The longest datagram, in bytes: UDP's over IPv4.
pub const DATAGRAM_BYTES_MAX: usize = 65_507;

/// The most addresses of one answer that are looked at.
pub const ANSWER_ADDRESSES_MAX: usize = 64;

/// The number of a socket or of a lookup. 0 is never one.
pub type SocketId = u64;

/// What goes through a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SocketKind {
    /// A stream of bytes: TCP.
    Stream,
    /// Datagrams: UDP.
    Datagram,
}

/// The family of a socket's addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AddressFamily {
    /// IPv4.
    Ipv4,
    /// IPv6.
    Ipv6,
}

impl AddressFamily {
    /// The family of an address.
    pub const fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => AddressFamily::Ipv4,
            IpAddr::V6(_) => AddressFamily::Ipv6,
        }
    }
}

/// Which directions of a connection are closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Shutdown {
    /// Nothing more is received.
    Receive,
    /// Nothing more is sent: the peer sees the end once it has read everything.
    Send,
    /// Both.
    Both,
}

impl Shutdown {
    /// Whether nothing more is received.
    pub const fn receives(self) -> bool {
        matches!(self, Shutdown::Receive | Shutdown::Both)
    }

    /// Whether nothing more is sent.
    pub const fn sends(self) -> bool {
        matches!(self, Shutdown::Send | Shutdown::Both)
    }
}

/// Options. Each has a number as its value: 0 and 1 for switches, bytes for sizes, seconds for times.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SocketOption {
    /// A switch: small pieces are sent at once (`TCP_NODELAY`).
    NoDelay,
    /// A switch: whether a silent peer is asked if it is there (`SO_KEEPALIVE`).
    KeepAlive,
    /// Seconds of silence before the first question.
    KeepAliveIdle,
    /// Seconds between questions.
    KeepAliveInterval,
    /// Questions without an answer before the connection counts as lost.
    KeepAliveCount,
    /// A switch: `bind` may take an address that an old connection still holds (`SO_REUSEADDR`).
    ReuseAddress,
    /// A switch: an IPv6 socket has nothing to do with IPv4 (`IPV6_V6ONLY`).
    V6Only,
    /// A switch: datagrams may go to a broadcast address.
    Broadcast,
    /// Bytes that wait to be sent at most.
    SendBuffer,
    /// Bytes that wait to be received at most.
    ReceiveBuffer,
    /// How many routers a packet may pass.
    HopLimit,
}

impl SocketOption {
    /// Every option.
    pub const ALL: &'static [SocketOption] = &[
        SocketOption::NoDelay,
        SocketOption::KeepAlive,
        SocketOption::KeepAliveIdle,
        SocketOption::KeepAliveInterval,
        SocketOption::KeepAliveCount,
        SocketOption::ReuseAddress,
        SocketOption::V6Only,
        SocketOption::Broadcast,
        SocketOption::SendBuffer,
        SocketOption::ReceiveBuffer,
        SocketOption::HopLimit,
    ];
}

bitflags! {
    /// What a socket or lookup is ready for.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct SocketReadiness: u8 {
        /// A receive, an accept or the answer of a lookup would not answer `EAGAIN`.
        const READABLE = 1;
        /// A send would not, or a connection was made or failed.
        const WRITABLE = 1 << 1;
        /// Both directions are closed.
        const HANG_UP = 1 << 2;
        /// [`Sockets::take_error`] has something to tell.
        const ERROR = 1 << 3;
    }

    /// What a backend can do. What is not named here the kernel answers for with `EOPNOTSUPP` without a call.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct SocketCapabilities: u8 {
        /// Streams can be connected.
        const STREAMS = 1;
        /// Streams can listen.
        const LISTENING = 1 << 1;
        /// Datagrams.
        const DATAGRAMS = 1 << 2;
        /// Names can be looked up.
        const LOOKUPS = 1 << 3;
        /// IPv6.
        const IPV6 = 1 << 4;
        /// Streams are connected by name ([`Sockets::connect_name`]), because names are looked up elsewhere, as behind a proxy.
        const NAMES = 1 << 5;
    }
}

/// What the kernel must know of a network before its first call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SocketsInfo {
    /// What it can do.
    pub capabilities: SocketCapabilities,
    /// A short name for messages, such as `hostnet`.
    pub kind: String,
}

/// What `recv_from` answers; the bytes are in the buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReceivedFrom {
    /// How many bytes are in the buffer.
    pub count: usize,
    /// How long the datagram was.
    pub length: usize,
    /// Who sent it.
    pub sender: SocketAddr,
}

/// Who wants to know of readiness: the kernel, for one network.
pub trait SocketWatcher: Send + Sync {
    /// Is told, from any thread, that an operation on a socket is worth a call again. It never calls the backend and never blocks.
    fn ready(&self, socket: SocketId, readiness: SocketReadiness);
}

/// A network: it makes connections and passes bytes.
///
/// What may be reached the kernel has decided before it calls. Descriptors, blocking, `peek`, SIGPIPE, Unix-domain sockets and the VM's own loopback are the kernel's.
///
/// **No call blocks.** It is called from many threads at once; what is not ready answers `EAGAIN`. After `EAGAIN`, or `EINPROGRESS` from `connect`, the backend tells its
/// [`SocketWatcher`] when the socket is worth a call again. It may tell more often. What became ready between the answer and the news is told all the same: no wake-up is lost.
///
/// **Half-closed connections.** A peer that has sent everything is a `recv` of 0 bytes, again and again. A connection that broke is one `ECONNRESET` (or `ETIMEDOUT`), then the end.
///
/// **Closing.** [`close`](Self::close) may come at any time, also while other threads are in calls on the socket. The number may be given out again only after it.
///
/// The kernel checks what comes back: a count above the buffer's length, or a number that is in use, is `EIO`.
pub trait Sockets: Send + Sync + 'static {
    /// What this network can do. Asked once.
    fn info(&self) -> SocketsInfo;

    /// Who is told of readiness from now on. Called before the first socket is opened; once more when another watcher takes over.
    fn watch(&self, watcher: Weak<dyn SocketWatcher>);

    /// Makes a socket. Errors: `EAFNOSUPPORT`, `EPROTONOSUPPORT`, `EMFILE`, `ENOMEM`.
    fn open(&self, kind: SocketKind, family: AddressFamily) -> Result<SocketId, Errno>;

    /// Gives it a local address; port 0: any that is free. Errors: `EADDRINUSE`, `EADDRNOTAVAIL`, `EINVAL` (it has one), `EACCES`.
    fn bind(&self, socket: SocketId, local: SocketAddr) -> Result<(), Errno>;

    /// Connects a stream, or sets the peer of a datagram socket. Errors: `EINPROGRESS` (the usual answer for a stream: `WRITABLE` is told at the end, and
    /// [`take_error`](Self::take_error) says how it ended), `ECONNREFUSED`, `ENETUNREACH`, `EHOSTUNREACH`, `ETIMEDOUT`, `EISCONN`, `EALREADY`.
    fn connect(&self, socket: SocketId, remote: SocketAddr) -> Result<(), Errno>;

    /// Connects a stream to a host by its name; asked only of a network with [`SocketCapabilities::NAMES`].
    fn connect_name(&self, _socket: SocketId, _host: &str, _port: u16) -> Result<(), Errno> {
        Err(Errno::Notsup)
    }

    /// Lets a stream take connections; at most `backlog` wait to be accepted. Errors: `EADDRINUSE`, `EINVAL`.
    fn listen(&self, socket: SocketId, backlog: u32) -> Result<(), Errno>;

    /// Takes a connection: a socket of its own, and who it is with. Errors: `EAGAIN`, `ECONNABORTED`, `EINVAL` (it does not listen), `EMFILE`.
    fn accept(&self, socket: SocketId) -> Result<(SocketId, SocketAddr), Errno>;

    /// Sends bytes, at most [`SOCKET_CHUNK_BYTES_MAX`]; answers how many were taken, at least one unless there were none. Errors: `EAGAIN`, `EPIPE`, `ECONNRESET`, `ENOTCONN`.
    fn send(&self, socket: SocketId, bytes: &[u8]) -> Result<usize, Errno>;

    /// Receives into `buffer`, at most [`SOCKET_CHUNK_BYTES_MAX`] long; answers how many. 0: the peer has sent everything. Errors: `EAGAIN`, `ECONNRESET`, `ENOTCONN`, `ETIMEDOUT`.
    fn recv(&self, socket: SocketId, buffer: &mut [u8]) -> Result<usize, Errno>;

    /// Sends one datagram, whole; without `to` to the connected peer. Errors: `EAGAIN`, `EMSGSIZE`, `EDESTADDRREQ`, `ENETUNREACH`, `ECONNREFUSED` (of an earlier one).
    fn send_to(&self, socket: SocketId, bytes: &[u8], to: Option<SocketAddr>) -> Result<(), Errno>;

    /// Receives one datagram; what does not fit into `buffer` is lost. Errors: `EAGAIN`, `ECONNREFUSED` (of one that was sent).
    fn recv_from(&self, socket: SocketId, buffer: &mut [u8]) -> Result<ReceivedFrom, Errno>;

    /// Closes directions. Errors: `ENOTCONN`.
    fn shutdown(&self, socket: SocketId, how: Shutdown) -> Result<(), Errno>;

    /// What a socket or lookup is ready for now.
    fn readiness(&self, socket: SocketId) -> SocketReadiness;

    /// The error that happened between calls (`SO_ERROR`), told once.
    fn take_error(&self, socket: SocketId) -> Option<Errno>;

    /// Its own address. Errors: `EINVAL`.
    fn local_address(&self, socket: SocketId) -> Result<SocketAddr, Errno>;

    /// Its peer's. Errors: `ENOTCONN`.
    fn peer_address(&self, socket: SocketId) -> Result<SocketAddr, Errno>;

    /// The value of an option. Errors: `ENOPROTOOPT`.
    fn get_option(&self, socket: SocketId, option: SocketOption) -> Result<u64, Errno>;

    /// Sets an option. Errors: `ENOPROTOOPT`, `EINVAL`.
    fn set_option(&self, socket: SocketId, option: SocketOption, value: u64) -> Result<(), Errno>;

    /// The last use of a socket or lookup is over. What was sent is still delivered, as far as the network does it.
    fn close(&self, socket: SocketId);

    /// Begins to look a host's name up. `READABLE` is told when there is an answer. Errors: `EAGAIN` (too many lookups), `ENOTSUP`.
    fn lookup(&self, _name: &str) -> Result<SocketId, Errno> {
        Err(Errno::Notsup)
    }

    /// The addresses that were found, best first, at least one. Errors: `EAGAIN`, `ENOENT` (there is no such name), `ETIMEDOUT`, `EIO`.
    fn answer(&self, _lookup: SocketId) -> Result<Vec<IpAddr>, Errno> {
        Err(Errno::Notsup)
    }
}
