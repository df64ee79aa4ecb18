//! send(2), recv(2), shutdown(2).

use std::net::SocketAddr;
use std::sync::Arc;

use super::address::{Protocol, destination, is_own, source};
use super::connect::Peer;
use super::datagram::{Mailbox, Received};
use super::outside::External;
use super::socket::{DatagramPeer, Name, Role};
use super::stream::Take;
use super::{Address, Domain, Socket};
use crate::Errno;
use crate::backend::{DATAGRAM_BYTES_MAX, Shutdown, SocketKind, SocketOption};
use crate::wait::{SysError, SysResult};

/// A receiver's queue, and the address that the sender has for it.
type Delivery = (Arc<Mailbox>, Option<Address>);

impl Socket {
    /// write(2), and send(2) without an address.
    pub(crate) fn send(self: &Arc<Self>, bytes: &[u8]) -> SysResult<usize> {
        enum Way {
            Outside(Arc<External>),
            Datagram(DatagramPeer),
        }
        let way = match &self.inner.read().role {
            Role::Stream(end, _) => return end.send(bytes),
            Role::Outside { external, .. } => Way::Outside(external.clone()),
            Role::Idle if self.domain == Domain::Unix => return Err(Errno::Notconn.into()),
            // Linux: a TCP socket that was never connected has a broken pipe.
            Role::Idle | Role::Listening(..) => return Err(Errno::Pipe.into()),
            Role::Datagrams(datagrams) => match datagrams.peer.clone() {
                None if self.domain == Domain::Unix => return Err(Errno::Notconn.into()),
                None => return Err(Errno::Destaddrreq.into()),
                Some(peer) => Way::Datagram(peer),
            },
        };
        match way {
            Way::Datagram(peer) => self.send_datagram(bytes, peer),
            Way::Outside(external) => {
                self.once_connected()?;
                external.send(bytes)
            }
        }
    }

    /// A connection to outside that is still being made: wait for it. Errors: how it failed.
    fn once_connected(&self) -> SysResult<()> {
        let connecting = matches!(self.inner.read().role, Role::Outside { connecting: true, .. });
        if connecting { self.finish_connecting() } else { Ok(()) }
    }

    /// sendto(2). Errors: `EISCONN` (a stream), `EMSGSIZE`, `EACCES`, `ECONNREFUSED`.
    pub(crate) fn send_to(self: &Arc<Self>, bytes: &[u8], to: Peer) -> SysResult<usize> {
        if self.kind == SocketKind::Stream {
            return match &self.inner.read().role {
                // TCP takes no notice of the address.
                Role::Stream(end, _) if self.domain != Domain::Unix => end.send(bytes),
                Role::Stream(..) | Role::Outside { .. } => Err(Errno::Isconn.into()),
                _ if self.domain == Domain::Unix => Err(Errno::Notsup.into()),
                _ => Err(Errno::Pipe.into()),
            };
        }
        let peer = match to {
            Peer::Ip(_) if self.domain == Domain::Unix => return Err(Errno::Inval.into()),
            Peer::Unix(..) if self.domain != Domain::Unix => return Err(Errno::Afnosupport.into()),
            Peer::Unix(target, _) if target.kind != SocketKind::Datagram => return Err(Errno::Prototype.into()),
            Peer::Unix(target, name) => DatagramPeer::Unix(Arc::downgrade(&target), name),
            Peer::Ip(to) => {
                let v6_only = self.options.lock().is_on(SocketOption::V6Only);
                let to = destination(self.domain.accept(to, v6_only)?);
                if to.port() == 0 {
                    return Err(Errno::Inval.into());
                }
                DatagramPeer::Ip(to)
            }
        };
        self.send_datagram(bytes, peer)
    }

    fn send_datagram(self: &Arc<Self>, bytes: &[u8], to: DatagramPeer) -> SysResult<usize> {
        if self.domain != Domain::Unix && bytes.len() > DATAGRAM_BYTES_MAX {
            return Err(Errno::Msgsize.into());
        }
        if let Role::Datagrams(datagrams) = &self.inner.read().role {
            if datagrams.silent {
                return Err(Errno::Pipe.into());
            }
            if let Some(errno) = datagrams.mailbox.take_error() {
                return Err(errno.into());
            }
        }
        let delivery = match &to {
            DatagramPeer::Unix(target, _) => {
                let target = target.upgrade().ok_or(Errno::Connrefused)?;
                Some(self.deliver_unix(&target)?)
            }
            DatagramPeer::Ip(to) if is_own(to.ip()) => self.deliver_own(*to)?,
            DatagramPeer::Ip(to) => {
                self.send_outside(bytes, *to)?;
                return Ok(bytes.len());
            }
        };
        match delivery {
            Some((mailbox, sender)) => match mailbox.put(&self.net.accountant, bytes, sender) {
                Ok(()) => Ok(bytes.len()),
                Err(SysError::Errno(Errno::Connrefused)) if self.domain != Domain::Unix => self.nobody_there(bytes),
                Err(error) => Err(error),
            },
            None => self.nobody_there(bytes),
        }
    }

    /// UDP: nobody has the port. Who is connected learns of it with the next call (ICMP's port unreachable); others never.
    fn nobody_there(&self, bytes: &[u8]) -> SysResult<usize> {
        if let Role::Datagrams(datagrams) = &self.inner.read().role
            && datagrams.peer.is_some()
        {
            datagrams.mailbox.refuse(Errno::Connrefused);
        }
        Ok(bytes.len())
    }

    fn deliver_unix(&self, target: &Arc<Socket>) -> Result<Delivery, Errno> {
        let own = match self.local_address() {
            Address::Unix(name) if name.is_empty() => None,
            name => Some(name),
        };
        let inner = target.inner.read();
        let Role::Datagrams(datagrams) = &inner.role else { return Err(Errno::Prototype) };
        if let Some(DatagramPeer::Unix(peer, _)) = &datagrams.peer
            && !std::ptr::eq(peer.as_ptr(), self)
        {
            // It is connected to another one.
            return Err(Errno::Perm);
        }
        Ok((datagrams.mailbox.clone(), own))
    }

    fn deliver_own(self: &Arc<Self>, to: SocketAddr) -> Result<Option<Delivery>, Errno> {
        let from = source(self.bound_or_bind()?, to.ip());
        let Some(target) = self.net.ports.find(Protocol::Udp, to) else { return Ok(None) };
        let inner = target.inner.read();
        let Role::Datagrams(datagrams) = &inner.role else { return Ok(None) };
        match &datagrams.peer {
            // Connected to another one: it hears nobody else.
            Some(DatagramPeer::Ip(peer)) if *peer != from => Ok(None),
            _ => Ok(Some((datagrams.mailbox.clone(), Some(target.domain.show(from))))),
        }
    }

    fn send_outside(self: &Arc<Self>, bytes: &[u8], to: SocketAddr) -> SysResult<()> {
        let outside = self.net.outside.as_ref().ok_or(Errno::Netunreach)?;
        let bound = self.bound_or_bind()?;
        if !bound.ip().is_unspecified() {
            return Err(Errno::Inval.into());
        }
        let permit = outside.permit(to)?;
        let existing = match &self.inner.read().role {
            Role::Datagrams(datagrams) => datagrams.external.clone(),
            _ => return Err(Errno::Inval.into()),
        };
        let external = match existing {
            Some(external) => external,
            None => {
                let external = outside.open(SocketKind::Datagram, to)?;
                self.hand_on_options(&external);
                self.set_external(external)
            }
        };
        external.send_to(bytes, &permit)
    }

    /// The socket outside: this one, or another that came first.
    fn set_external(&self, external: Arc<External>) -> Arc<External> {
        match &mut self.inner.write().role {
            Role::Datagrams(datagrams) => datagrams.external.get_or_insert(external).clone(),
            _ => external,
        }
    }

    /// recv(2) and recvfrom(2); read(2) without flags. Errors: `ENOTCONN`, `ECONNRESET`, `ECONNREFUSED`.
    pub(crate) fn recv(&self, buffer: &mut [u8], take: Take) -> SysResult<Received> {
        let external = match &self.inner.read().role {
            Role::Stream(end, _) => return end.recv(buffer, take).map(Received::stream),
            Role::Outside { external, .. } => Some(external.clone()),
            Role::Idle if self.domain == Domain::Unix => return Err(Errno::Inval.into()),
            Role::Idle | Role::Listening(..) => return Err(Errno::Notconn.into()),
            Role::Datagrams(_) => None,
        };
        match external {
            Some(external) => {
                self.once_connected()?;
                external.recv(buffer, take).map(Received::stream)
            }
            None => self.recv_datagram(buffer, take.peek),
        }
    }

    fn recv_datagram(&self, buffer: &mut [u8], peek: bool) -> SysResult<Received> {
        let (mailbox, external, peer) = match &self.inner.read().role {
            Role::Datagrams(datagrams) => {
                (datagrams.mailbox.clone(), datagrams.external.clone(), datagrams.peer.clone())
            }
            _ => return Err(Errno::Notconn.into()),
        };
        let wait = match mailbox.take(buffer, peek)? {
            Ok(received) => return Ok(received),
            Err(listener) => crate::wait::Wait::on(listener),
        };
        let Some(external) = external else { return Err(SysError::Wait(wait)) };
        let published = matches!(&self.inner.read().name, Name::Port(binding)
            if self.net.outside.as_ref().is_some_and(|it| it.published(self.kind, binding.address().port()).is_some()));
        let welcome = |sender: SocketAddr| match &peer {
            Some(DatagramPeer::Ip(peer)) => {
                sender == *peer || self.net.outside.as_ref().is_some_and(|outside| outside.leads_to(*peer, sender))
            }
            _ => published || self.net.outside.as_ref().is_some_and(|outside| outside.hears(sender)),
        };
        match external.recv_from(self.domain, buffer, peek, &welcome) {
            Err(SysError::Wait(_)) => {
                let wait = wait.or(external.listen());
                match external.recv_from(self.domain, buffer, peek, &welcome) {
                    Err(SysError::Wait(_)) => Err(SysError::Wait(wait)),
                    other => other,
                }
            }
            other => other,
        }
    }

    /// shutdown(2). Errors: `ENOTCONN`.
    pub(crate) fn shutdown(&self, how: Shutdown) -> Result<(), Errno> {
        if self.kind == SocketKind::Datagram {
            return self.shutdown_datagrams(how);
        }
        let external = match &self.inner.read().role {
            Role::Stream(end, _) => {
                if !end.is_connected() {
                    return Err(Errno::Notconn);
                }
                end.shutdown(how);
                return Ok(());
            }
            Role::Outside { connecting: true, .. } | Role::Idle => return Err(Errno::Notconn),
            Role::Outside { external, .. } => Some(external.clone()),
            Role::Listening(..) | Role::Datagrams(_) => None,
        };
        match external {
            Some(external) => external.shutdown(how),
            None => {
                if how.receives() {
                    self.stop_listening();
                }
                Ok(())
            }
        }
    }

    fn shutdown_datagrams(&self, how: Shutdown) -> Result<(), Errno> {
        let Role::Datagrams(datagrams) = &mut self.inner.write().role else { return Ok(()) };
        if datagrams.peer.is_none() && self.domain != Domain::Unix {
            return Err(Errno::Notconn);
        }
        datagrams.silent |= how.sends();
        if how.receives() {
            datagrams.mailbox.close();
        }
        Ok(())
    }

    /// A listening socket that receives no more takes no connections, and could be connected itself (tcp(7)).
    fn stop_listening(&self) {
        let mut inner = self.inner.write();
        if !matches!(inner.role, Role::Listening(..)) {
            return;
        }
        if let Name::Port(binding) = &inner.name {
            // Nothing listens any more: no other can be in the way.
            let _ = binding.set_listening(false);
        }
        let role = std::mem::replace(&mut inner.role, Role::Idle);
        drop(inner);
        if let Role::Listening(backlog, _) = &role {
            backlog.close();
        }
    }
}
