//! A socket: socket(7), ip(7), tcp(7), udp(7), unix(7).

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Weak};

use parking_lot::{Mutex, RwLock};

use super::backlog::{Backlog, Route};
use super::datagram::Mailbox;
use super::options::{self, Options};
use super::outside::External;
use super::ports::Binding;
use super::stream::{self, StreamEnd};
use super::{Address, Domain, Net};
use crate::Errno;
use crate::backend::{SocketKind, SocketOption};
use crate::limits::{Charge, Limit};
use crate::process::Readiness;
use crate::vfs::Dentry;
use crate::wait::Wait;

/// A socket of a VM.
pub struct Socket {
    pub(super) net: Arc<Net>,
    pub(super) domain: Domain,
    pub(super) kind: SocketKind,
    pub(super) options: Mutex<Options>,
    pub(super) inner: RwLock<Inner>,
    _charge: Charge,
}

/// What changes in a socket's life.
pub(super) struct Inner {
    pub(super) name: Name,
    pub(super) role: Role,
    /// An error that nobody was told yet.
    pub(super) error: Option<Errno>,
}

/// What a socket is called.
pub(super) enum Name {
    None,
    Port(Binding),
    /// A socket's file. It is held so that its inode stays known to lead here.
    Path(String, #[expect(dead_code, reason = "held")] Arc<Dentry>),
    Abstract(AbstractName),
}

/// An abstract name that is taken. Dropped, it is free again.
pub(super) struct AbstractName {
    pub(super) names: Arc<Mutex<HashMap<String, Weak<Socket>>>>,
    pub(super) name: String,
}

impl Drop for AbstractName {
    fn drop(&mut self) {
        self.names.lock().remove(&self.name);
    }
}

/// What a socket does.
pub(super) enum Role {
    /// A stream that is not connected.
    Idle,
    /// A stream that takes connections: of the VM, and from outside when its port is published.
    Listening(Arc<Backlog>, Option<Arc<External>>),
    /// A stream to another socket of the VM.
    Stream(StreamEnd, Route),
    /// A stream to outside; the peer's address as the guest named it. Whether it is still being made.
    Outside { external: Arc<External>, peer: SocketAddr, connecting: bool },
    /// Datagrams.
    Datagrams(Datagrams),
}

pub(super) struct Datagrams {
    pub(super) mailbox: Arc<Mailbox>,
    pub(super) peer: Option<DatagramPeer>,
    /// The socket outside, once there is one.
    pub(super) external: Option<Arc<External>>,
    /// Whether nothing more is sent.
    pub(super) silent: bool,
}

#[derive(Clone)]
pub(super) enum DatagramPeer {
    Ip(SocketAddr),
    Unix(Weak<Socket>, String),
}

/// A connection that was taken.
pub(crate) struct Accepted {
    /// The new socket.
    pub(crate) socket: Arc<Socket>,
    /// Who it is with.
    pub(crate) peer: Address,
}

impl Socket {
    /// A new socket. Errors: `ENFILE`.
    pub(crate) fn new(net: &Arc<Net>, domain: Domain, kind: SocketKind) -> Result<Arc<Self>, Errno> {
        Self::with_role(net, domain, kind, Options::default(), None, Name::None)
    }

    pub(super) fn with_role(
        net: &Arc<Net>,
        domain: Domain,
        kind: SocketKind,
        options: Options,
        role: Option<Role>,
        name: Name,
    ) -> Result<Arc<Self>, Errno> {
        let charge = net.accountant.charge(Limit::Sockets, 1)?;
        let role = role.unwrap_or_else(|| match kind {
            SocketKind::Stream => Role::Idle,
            SocketKind::Datagram => {
                let mailbox = Arc::new(Mailbox::new(options.receive_buffer(kind)));
                Role::Datagrams(Datagrams { mailbox, peer: None, external: None, silent: false })
            }
        });
        let inner = RwLock::new(Inner { name, role, error: None });
        Ok(Arc::new(Self { net: net.clone(), domain, kind, options: Mutex::new(options), inner, _charge: charge }))
    }

    /// The family of its addresses.
    pub fn domain(&self) -> Domain {
        self.domain
    }

    /// What goes through it.
    pub fn kind(&self) -> SocketKind {
        self.kind
    }

    /// Whether it listens.
    pub fn is_listening(&self) -> bool {
        matches!(self.inner.read().role, Role::Listening(..))
    }

    /// What could be done now without waiting.
    pub fn readiness(&self) -> Readiness {
        let inner = self.inner.read();
        let mut ready = match &inner.role {
            // As Linux has it: neither connected nor failed.
            Role::Idle => Readiness::WRITABLE | Readiness::HANG_UP,
            Role::Listening(backlog, external) => {
                let outside = external.as_ref().is_some_and(|it| it.readiness().contains(Readiness::READABLE));
                if outside || !backlog.is_empty() { Readiness::READABLE } else { Readiness::empty() }
            }
            Role::Stream(end, _) => end.readiness(),
            Role::Outside { external, .. } => external.readiness(),
            Role::Datagrams(datagrams) => datagrams.readiness(),
        };
        if inner.error.is_some() {
            ready |= Readiness::ERROR | Readiness::READABLE | Readiness::WRITABLE;
        }
        ready
    }

    /// Adds to a wait what tells of a change of readiness.
    pub(crate) fn listen_ready(&self, interest: Readiness, wait: Wait) -> Wait {
        let inner = self.inner.read();
        match &inner.role {
            Role::Idle => wait,
            Role::Listening(backlog, external) => with_external(wait.or(backlog.listen()), external.as_deref()),
            Role::Stream(end, _) => wait.or(end.listen()),
            Role::Outside { external, .. } => wait.or(external.listen()),
            Role::Datagrams(datagrams) => {
                let mut wait = with_external(wait.or(datagrams.mailbox.listen()), datagrams.external.as_deref());
                if interest.contains(Readiness::WRITABLE)
                    && let Some(peer) = datagrams.unix_peer()
                    && let Some(mailbox) = peer.try_mailbox()
                {
                    wait = wait.or(mailbox.listen_room());
                }
                wait
            }
        }
    }

    /// The queue of a socket for datagrams, unless it is being changed at this moment.
    pub(super) fn try_mailbox(&self) -> Option<Arc<Mailbox>> {
        match &self.inner.try_read_recursive()?.role {
            Role::Datagrams(datagrams) => Some(datagrams.mailbox.clone()),
            _ => None,
        }
    }

    /// The error that happened between calls (`SO_ERROR`), told once.
    pub fn take_error(&self) -> Option<Errno> {
        if let Some(errno) = self.inner.write().error.take() {
            return Some(errno);
        }
        let inner = self.inner.read();
        match &inner.role {
            Role::Stream(end, _) => end.take_error(),
            Role::Datagrams(datagrams) => {
                datagrams.mailbox.take_error().or_else(|| datagrams.external.as_ref().and_then(|it| it.take_error()))
            }
            Role::Outside { connecting: true, .. } => {
                drop(inner);
                // How the connection ended is found out and kept for whoever connects, and told here.
                match self.finish_connecting() {
                    Err(crate::wait::SysError::Errno(errno)) => Some(errno),
                    _ => None,
                }
            }
            Role::Outside { external, .. } => external.take_error(),
            Role::Idle | Role::Listening(..) => None,
        }
    }

    /// getsockname(2).
    pub fn local_address(&self) -> Address {
        let inner = self.inner.read();
        let bound = match &inner.name {
            Name::Port(binding) => Some(binding.address()),
            _ => None,
        };
        let any = || Address::Ip(bound.unwrap_or(self.domain.unspecified()));
        match (&inner.name, &inner.role) {
            (Name::Path(name, _) | Name::Abstract(AbstractName { name, .. }), _) => Address::Unix(name.clone()),
            (_, Role::Stream(_, Route::Ip(local, _))) => self.domain.show(*local),
            (_, Role::Stream(_, Route::Unix(local, _))) => Address::Unix(local.clone()),
            _ if self.domain == Domain::Unix => Address::UNNAMED,
            (_, Role::Outside { external, .. }) => {
                external.local_address().map_or_else(|_| any(), |it| self.domain.show(it))
            }
            (_, Role::Datagrams(Datagrams { peer: Some(DatagramPeer::Ip(to)), .. }))
                if super::address::is_own(to.ip()) =>
            {
                self.domain.show(super::address::source(bound.unwrap_or(self.domain.unspecified()), to.ip()))
            }
            _ => any(),
        }
    }

    /// getpeername(2). Errors: `ENOTCONN`.
    pub fn peer_address(&self) -> Result<Address, Errno> {
        match &self.inner.read().role {
            Role::Stream(end, Route::Ip(_, peer)) if end.is_connected() => Ok(self.domain.show(*peer)),
            Role::Stream(end, Route::Unix(_, peer)) if end.is_connected() => Ok(Address::Unix(peer.clone())),
            Role::Outside { peer, connecting: false, .. } => Ok(self.domain.show(*peer)),
            Role::Datagrams(Datagrams { peer: Some(peer), .. }) => Ok(match peer {
                DatagramPeer::Ip(address) => self.domain.show(*address),
                DatagramPeer::Unix(_, name) => Address::Unix(name.clone()),
            }),
            _ => Err(Errno::Notconn),
        }
    }

    /// getsockopt(2). Errors: `ENOPROTOOPT`, `ENOTSUP`.
    pub fn get_option(&self, option: SocketOption) -> Result<u64, Errno> {
        options::check_known(self.domain, self.kind, option)?;
        if let Some(external) = self.external() {
            // What the network does not know is what was set here.
            match external.get_option(option) {
                Err(Errno::Noprotoopt | Errno::Notsup) => {}
                answer => return answer,
            }
        }
        Ok(self.options.lock().get(self.kind, option))
    }

    /// setsockopt(2). Errors: `ENOPROTOOPT`, `ENOTSUP`, `EINVAL`.
    pub fn set_option(&self, option: SocketOption, value: u64) -> Result<(), Errno> {
        options::check_known(self.domain, self.kind, option)?;
        let value = options::check_value(option, value)?;
        if option == SocketOption::V6Only && !matches!(self.inner.read().name, Name::None) {
            return Err(Errno::Inval);
        }
        if let Some(external) = self.external() {
            match external.set_option(option, value) {
                Err(Errno::Noprotoopt | Errno::Notsup) => {}
                answer => answer?,
            }
        }
        self.options.lock().set(option, value);
        Ok(())
    }

    fn external(&self) -> Option<Arc<External>> {
        match &self.inner.read().role {
            Role::Outside { external, .. } => Some(external.clone()),
            Role::Datagrams(datagrams) => datagrams.external.clone(),
            _ => None,
        }
    }
}

fn with_external(wait: Wait, external: Option<&External>) -> Wait {
    match external {
        Some(external) => wait.or(external.listen()),
        None => wait,
    }
}

impl Datagrams {
    fn unix_peer(&self) -> Option<Arc<Socket>> {
        match &self.peer {
            Some(DatagramPeer::Unix(peer, _)) => peer.upgrade(),
            _ => None,
        }
    }

    fn readiness(&self) -> Readiness {
        let mut ready = Readiness::empty();
        let outside = self.external.as_ref().map_or(Readiness::empty(), |external| external.readiness());
        ready.set(Readiness::READABLE, self.mailbox.is_readable() || outside.contains(Readiness::READABLE));
        let full = self.unix_peer().and_then(|peer| peer.try_mailbox()).is_some_and(|mailbox| !mailbox.has_room());
        ready.set(Readiness::WRITABLE, !full);
        ready.set(Readiness::ERROR, self.mailbox.has_error() || outside.contains(Readiness::ERROR));
        ready
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        match &self.inner.get_mut().role {
            Role::Listening(backlog, _) => backlog.close(),
            Role::Datagrams(datagrams) => datagrams.mailbox.close(),
            _ => {}
        }
    }
}

/// Two Unix-domain sockets that are connected to each other. Errors: `ENFILE`, `ENOBUFS`.
pub(crate) fn pair(net: &Arc<Net>, kind: SocketKind) -> Result<(Arc<Socket>, Arc<Socket>), Errno> {
    match kind {
        SocketKind::Stream => {
            let capacities = [options::STREAM_BUFFER_BYTES; 2];
            let (first, second) = stream::pair(&net.accountant, capacities, false)?;
            let make = |end| {
                let role = Role::Stream(end, Route::Unix(String::new(), String::new()));
                Socket::with_role(net, Domain::Unix, kind, Options::default(), Some(role), Name::None)
            };
            Ok((make(first)?, make(second)?))
        }
        SocketKind::Datagram => {
            let (first, second) = (Socket::new(net, Domain::Unix, kind)?, Socket::new(net, Domain::Unix, kind)?);
            first.set_datagram_peer(DatagramPeer::Unix(Arc::downgrade(&second), String::new()));
            second.set_datagram_peer(DatagramPeer::Unix(Arc::downgrade(&first), String::new()));
            Ok((first, second))
        }
    }
}
