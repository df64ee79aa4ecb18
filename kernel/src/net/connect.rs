//! bind(2), listen(2), accept(2), connect(2).

use std::net::SocketAddr;
use std::sync::Arc;

use super::address::{Protocol, destination, is_own, source};
use super::backlog::{Backlog, Pending, Route};
use super::outside::External;
use super::ports::{Binding, Claim};
use super::socket::{AbstractName, Accepted, DatagramPeer, Datagrams, Inner, Name, Role};
use super::{Address, Domain, Socket, stream};
use crate::Errno;
use crate::backend::{SocketKind, SocketOption};
use crate::limits::Limit;
use crate::vfs::Dentry;
use crate::wait::{SysError, SysResult, Wait};

/// What a socket is bound to.
pub(crate) enum Place {
    /// An address.
    Ip(SocketAddr),
    /// A file that was made for it, and its path.
    Path(Arc<Dentry>, String),
    /// An abstract name.
    Abstract(String),
}

/// What a socket is connected to.
pub(crate) enum Peer {
    /// An address.
    Ip(SocketAddr),
    /// A socket of the VM, and its name.
    Unix(Arc<Socket>, String),
}

/// A connection that is not made yet: what to wait for, and the error for who does not wait.
pub(crate) struct Unfinished {
    /// What to wait for before the next call.
    pub(crate) wait: Wait,
    /// `EINPROGRESS`, `EALREADY` or `EAGAIN`.
    pub(crate) errno: Errno,
}

impl Inner {
    fn is_named(&self) -> bool {
        !matches!(self.name, Name::None)
    }

    fn bound(&self) -> Option<SocketAddr> {
        match &self.name {
            Name::Port(binding) => Some(binding.address()),
            _ => None,
        }
    }
}

impl Socket {
    // --- names ---

    /// Whether it could be bound: asked before a file is made for it. Errors: `EINVAL`.
    pub(crate) fn check_unbound(&self) -> Result<(), Errno> {
        let inner = self.inner.read();
        let fresh = matches!(inner.role, Role::Idle | Role::Datagrams(_)) || self.domain == Domain::Unix;
        if inner.is_named() || !fresh { Err(Errno::Inval) } else { Ok(()) }
    }

    /// bind(2). Errors: `EINVAL` (it has a name), `EADDRINUSE`, `EADDRNOTAVAIL`, `EAFNOSUPPORT`.
    pub(crate) fn bind(self: &Arc<Self>, place: Place) -> Result<(), Errno> {
        self.check_unbound()?;
        let name = match place {
            Place::Ip(address) => {
                if self.domain == Domain::Unix {
                    return Err(Errno::Inval);
                }
                let address = self.domain.accept(address, self.options.lock().is_on(SocketOption::V6Only))?;
                if !address.ip().is_unspecified() && !is_own(address.ip()) {
                    return Err(Errno::Addrnotavail);
                }
                Name::Port(self.claim(address)?)
            }
            Place::Path(dentry, path) => {
                dentry.inode().socket.set(Arc::downgrade(self)).map_err(|_| Errno::Addrinuse)?;
                Name::Path(path, dentry)
            }
            Place::Abstract(name) => {
                let names = self.net.abstracts.clone();
                let mut taken = names.lock();
                if taken.contains_key(&name) {
                    return Err(Errno::Addrinuse);
                }
                taken.insert(name.clone(), Arc::downgrade(self));
                drop(taken);
                Name::Abstract(AbstractName { names, name })
            }
        };
        self.set_name(name)?;
        self.publish()
    }

    fn set_name(&self, name: Name) -> Result<(), Errno> {
        let mut inner = self.inner.write();
        if inner.is_named() {
            drop(inner);
            drop(name);
            return Err(Errno::Inval);
        }
        inner.name = name;
        Ok(())
    }

    fn claim(self: &Arc<Self>, address: SocketAddr) -> Result<Binding, Errno> {
        let options = *self.options.lock();
        self.net.ports.bind(Claim {
            protocol: Protocol::of(self.kind),
            address,
            v6_only: options.is_on(SocketOption::V6Only),
            reuse: options.is_on(SocketOption::ReuseAddress),
            socket: Arc::downgrade(self),
        })
    }

    /// The port of an IP socket, taken now if it has none.
    pub(super) fn bound_or_bind(self: &Arc<Self>) -> Result<SocketAddr, Errno> {
        if let Some(bound) = self.inner.read().bound() {
            return Ok(bound);
        }
        let binding = self.claim(self.domain.unspecified())?;
        let address = binding.address();
        match self.set_name(Name::Port(binding)) {
            Ok(()) => Ok(address),
            // Somebody else bound it in between.
            Err(errno) => self.inner.read().bound().ok_or(errno),
        }
    }

    /// Opens the outside of a published port of a socket for datagrams, which is bound to no address.
    fn publish(&self) -> Result<(), Errno> {
        let Some((outside, address)) = self.published() else { return Ok(()) };
        if self.kind != SocketKind::Datagram {
            return Ok(());
        }
        let external = outside.open(SocketKind::Datagram, address)?;
        external.bind(address)?;
        if let Role::Datagrams(datagrams) = &mut self.inner.write().role {
            datagrams.external = Some(external);
        }
        Ok(())
    }

    fn published(&self) -> Option<(&Arc<super::Outside>, SocketAddr)> {
        let outside = self.net.outside.as_ref()?;
        let bound = self.inner.read().bound().filter(|bound| bound.ip().is_unspecified())?;
        outside.published(self.kind, bound.port()).map(|address| (outside, address))
    }

    // --- listening ---

    /// listen(2). Errors: `ENOTSUP` (datagrams), `EINVAL` (connected; no name), `EADDRINUSE`.
    pub(crate) fn listen(self: &Arc<Self>, backlog: u32) -> Result<(), Errno> {
        if self.kind == SocketKind::Datagram {
            return Err(Errno::Notsup);
        }
        let max = u64::from(backlog).min(self.net.accountant.max(Limit::BacklogPerSocket)) as usize;
        match &self.inner.read().role {
            Role::Idle => {}
            Role::Listening(queue, _) => {
                queue.resize(max);
                return Ok(());
            }
            _ => return Err(Errno::Inval),
        }
        if self.domain == Domain::Unix && !self.inner.read().is_named() {
            return Err(Errno::Inval);
        }
        if self.domain != Domain::Unix {
            self.bound_or_bind()?;
        }
        if let Name::Port(binding) = &self.inner.read().name {
            binding.set_listening(true)?;
        }
        let external = self.listen_outside(max).inspect_err(|_| {
            if let Name::Port(binding) = &self.inner.read().name {
                // It does not listen after all; taking that back cannot be in anybody's way.
                let _ = binding.set_listening(false);
            }
        })?;
        let mut inner = self.inner.write();
        match inner.role {
            Role::Idle => {
                inner.role = Role::Listening(Arc::new(Backlog::new(max)), external);
                Ok(())
            }
            _ => Err(Errno::Inval),
        }
    }

    /// The socket outside that takes connections for a published port.
    fn listen_outside(&self, backlog: usize) -> Result<Option<Arc<External>>, Errno> {
        let Some((outside, address)) = self.published() else { return Ok(None) };
        let external = outside.open(SocketKind::Stream, address)?;
        // A port that is published is one that its server may take again at once.
        let _ = external.set_option(SocketOption::ReuseAddress, 1);
        external.bind(address)?;
        external.listen_for(u32::try_from(backlog).unwrap_or(u32::MAX).max(1))?;
        Ok(Some(external))
    }

    /// accept(2). Errors: `EINVAL` (it does not listen), `ENOTSUP` (datagrams), `ENFILE`, `ECONNABORTED`.
    pub(crate) fn accept(self: &Arc<Self>) -> SysResult<Accepted> {
        let (backlog, external) = match &self.inner.read().role {
            Role::Listening(backlog, external) => (backlog.clone(), external.clone()),
            Role::Datagrams(_) => return Err(Errno::Notsup.into()),
            _ => return Err(Errno::Inval.into()),
        };
        let options = *self.options.lock();
        let take = |role, peer| -> SysResult<Accepted> {
            let socket = Socket::with_role(&self.net, self.domain, self.kind, options, Some(role), Name::None)?;
            Ok(Accepted { socket, peer })
        };
        let wait = match backlog.pop()? {
            Ok(Pending { end, route }) => {
                let peer = match &route {
                    Route::Ip(_, peer) => self.domain.show(*peer),
                    Route::Unix(_, peer) => Address::Unix(peer.clone()),
                };
                return take(Role::Stream(end, route), peer);
            }
            Err(listener) => Wait::on(listener),
        };
        let Some(external) = external else { return Err(SysError::Wait(wait)) };
        match external.accept() {
            Ok((external, peer)) => take(Role::Outside { external, peer, connecting: false }, self.domain.show(peer)),
            Err(SysError::Wait(_)) => {
                let wait = wait.or(external.listen());
                // Looked at again: the listener is new.
                match external.accept() {
                    Err(SysError::Wait(_)) => Err(SysError::Wait(wait)),
                    Ok((external, peer)) => {
                        take(Role::Outside { external, peer, connecting: false }, self.domain.show(peer))
                    }
                    Err(errno) => Err(errno),
                }
            }
            Err(errno) => Err(errno),
        }
    }

    // --- connecting ---

    /// connect(2). Errors: `ECONNREFUSED`, `EISCONN`, `EACCES`, `EAFNOSUPPORT`, `EPROTOTYPE`, and the network's.
    pub(crate) fn connect(self: &Arc<Self>, peer: Peer) -> Result<Option<Unfinished>, Errno> {
        if matches!(self.inner.read().role, Role::Outside { connecting: true, .. }) {
            return match self.finish_connecting() {
                Ok(()) => Ok(None),
                Err(SysError::Errno(errno)) => Err(errno),
                Err(SysError::Wait(wait)) => Ok(Some(Unfinished { wait, errno: Errno::Already })),
            };
        }
        match &self.inner.read().role {
            Role::Idle | Role::Datagrams(_) => {}
            Role::Listening(..) if self.domain == Domain::Unix => return Err(Errno::Inval),
            Role::Listening(..) | Role::Stream(..) | Role::Outside { .. } => return Err(Errno::Isconn),
        }
        let done = |errno| {
            move |result: SysResult<()>| match result {
                Ok(()) => Ok(None),
                Err(SysError::Errno(errno)) => Err(errno),
                Err(SysError::Wait(wait)) => Ok(Some(Unfinished { wait, errno })),
            }
        };
        match (peer, self.kind) {
            (Peer::Ip(_), _) if self.domain == Domain::Unix => Err(Errno::Inval),
            (Peer::Unix(..), _) if self.domain != Domain::Unix => Err(Errno::Afnosupport),
            (Peer::Unix(target, _), _) if target.kind != self.kind => Err(Errno::Prototype),
            (Peer::Unix(target, name), SocketKind::Stream) => done(Errno::Again)(self.connect_unix(&target, name)),
            (Peer::Unix(target, name), SocketKind::Datagram) => {
                self.set_datagram_peer(DatagramPeer::Unix(Arc::downgrade(&target), name));
                Ok(None)
            }
            (Peer::Ip(to), kind) => {
                let to = self.domain.accept(to, self.options.lock().is_on(SocketOption::V6Only))?;
                let to = destination(to);
                match (kind, is_own(to.ip())) {
                    (SocketKind::Datagram, own) => self.connect_datagrams(to, own).map(|()| None),
                    (SocketKind::Stream, true) => done(Errno::Again)(self.connect_own(to)),
                    (SocketKind::Stream, false) => done(Errno::Inprogress)(self.connect_outside(to)),
                }
            }
        }
    }

    fn connect_own(self: &Arc<Self>, to: SocketAddr) -> SysResult<()> {
        let target = self.net.ports.find(Protocol::Tcp, to).ok_or(Errno::Connrefused)?;
        let backlog = target.backlog().ok_or(Errno::Connrefused)?;
        backlog.check_room()?;
        let from = source(self.bound_or_bind()?, to.ip());
        self.join(&target, &backlog, Route::Ip(from, to), Route::Ip(to, from))
    }

    fn connect_unix(self: &Arc<Self>, target: &Arc<Socket>, name: String) -> SysResult<()> {
        let backlog = target.backlog().ok_or(Errno::Connrefused)?;
        backlog.check_room()?;
        let Address::Unix(own) = self.local_address() else { return Err(Errno::Inval.into()) };
        self.join(target, &backlog, Route::Unix(own.clone(), name.clone()), Route::Unix(name, own))
    }

    /// Makes the connection: the other side finds its end in the backlog. Routes hold the own address first.
    fn join(&self, target: &Socket, backlog: &Backlog, ours: Route, theirs: Route) -> SysResult<()> {
        let capacities =
            [self.options.lock().receive_buffer(self.kind), target.options.lock().receive_buffer(self.kind)];
        let (end, other) = stream::pair(&self.net.accountant, capacities, self.domain != Domain::Unix)?;
        let mut inner = self.inner.write();
        if !matches!(inner.role, Role::Idle) {
            return Err(Errno::Isconn.into());
        }
        backlog.push(Pending { end: other, route: theirs })?;
        inner.role = Role::Stream(end, ours);
        Ok(())
    }

    fn backlog(&self) -> Option<Arc<Backlog>> {
        match &self.inner.read().role {
            Role::Listening(backlog, _) => Some(backlog.clone()),
            _ => None,
        }
    }

    fn connect_outside(&self, to: SocketAddr) -> SysResult<()> {
        let outside = self.net.outside.as_ref().ok_or(Errno::Netunreach)?;
        if self.inner.read().bound().is_some_and(|bound| !bound.ip().is_unspecified()) {
            // Bound to the loopback: nothing outside can be reached from there.
            return Err(Errno::Inval.into());
        }
        let permit = outside.permit(to)?;
        let external = outside.open(SocketKind::Stream, to)?;
        self.hand_on_options(&external);
        let answer = external.connect(&permit);
        let connecting = match answer {
            Ok(()) => false,
            Err(Errno::Inprogress | Errno::Again) => true,
            Err(errno) => return Err(errno.into()),
        };
        let mut inner = self.inner.write();
        if !matches!(inner.role, Role::Idle) {
            return Err(Errno::Isconn.into());
        }
        inner.role = Role::Outside { external, peer: to, connecting };
        drop(inner);
        if connecting { self.finish_connecting() } else { Ok(()) }
    }

    pub(super) fn hand_on_options(&self, external: &External) {
        for (option, value) in self.options.lock().all_set() {
            // A network that does not know an option does without it.
            let _ = external.set_option(option, value);
        }
    }

    /// Looks how a connection to outside went. Errors: how it failed; the socket can then be connected anew.
    pub(super) fn finish_connecting(&self) -> SysResult<()> {
        let external = match &self.inner.read().role {
            Role::Outside { external, connecting: true, .. } => external.clone(),
            _ => return Ok(()),
        };
        let result = external.connected();
        if matches!(result, Err(SysError::Wait(_))) {
            return result;
        }
        let mut inner = self.inner.write();
        if let Role::Outside { external: ours, connecting, .. } = &mut inner.role
            && Arc::ptr_eq(ours, &external)
        {
            *connecting = false;
            if result.is_err() {
                inner.role = Role::Idle;
            }
        }
        result
    }

    fn connect_datagrams(self: &Arc<Self>, to: SocketAddr, own: bool) -> Result<(), Errno> {
        if !own {
            // What may not be reached is refused here, before the first datagram.
            self.net.outside.as_ref().ok_or(Errno::Netunreach)?.permit(to)?;
        }
        if to.port() == 0 && !own {
            return Err(Errno::Inval);
        }
        self.bound_or_bind()?;
        self.set_datagram_peer(DatagramPeer::Ip(to));
        Ok(())
    }

    pub(super) fn set_datagram_peer(&self, to: DatagramPeer) {
        if let Role::Datagrams(Datagrams { peer, .. }) = &mut self.inner.write().role {
            *peer = Some(to);
        }
    }
}
