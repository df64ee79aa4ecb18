//! Sockets of the network that was granted: the kernel's side of `eyot_backend::Sockets`. What a network answers is checked; what is false is `EIO`.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Weak};

use event_listener::{Event, EventListener};
use parking_lot::Mutex;

use super::Domain;
use super::datagram::Received;
use super::names::Names;
use super::network::{Network, Published};
use super::stream::{Take, copy_out};
use crate::Errno;
use crate::backend::{
    DATAGRAM_BYTES_MAX, SOCKET_CHUNK_BYTES_MAX, Shutdown, SocketCapabilities, SocketId, SocketKind, SocketOption,
    SocketReadiness, SocketWatcher, Sockets,
};
use crate::policy::network::{NetworkPolicy, Reachable, Resolvable};
use crate::process::Readiness;
use crate::wait::{SysError, SysResult, Wait};

/// The most that is kept of a stream for `peek` and `wait-all`.
const PEEK_BYTES_MAX: usize = 64 << 10;

/// A network under its rules.
pub(crate) struct Outside {
    sockets: Arc<dyn Sockets>,
    capabilities: SocketCapabilities,
    wakers: Arc<Wakers>,
    pub(super) policy: NetworkPolicy,
    redirects: HashMap<SocketAddr, SocketAddr>,
    published: Vec<Published>,
    pub(super) names: Names,
}

/// Who waits for which socket.
#[derive(Default)]
struct Wakers {
    events: Mutex<HashMap<SocketId, Arc<Event>>>,
}

impl SocketWatcher for Wakers {
    fn ready(&self, socket: SocketId, _: SocketReadiness) {
        // What is not known was closed, or never was: news of it is nobody's.
        let event = self.events.lock().get(&socket).cloned();
        if let Some(event) = event {
            event.notify(usize::MAX);
        }
    }
}

/// Where a guest may go, after the rules were asked.
pub(super) enum Permit {
    /// To this address.
    Address(Reachable),
    /// To this host, by its name.
    Host(Resolvable, u16),
}

impl Outside {
    /// The network that was granted, if any.
    pub(super) fn new(network: Network) -> Option<Arc<Self>> {
        let sockets = network.sockets?;
        let info = sockets.info();
        let wakers = Arc::new(Wakers::default());
        let watcher: Weak<Wakers> = Arc::downgrade(&wakers);
        sockets.watch(watcher);
        Some(Arc::new(Self {
            sockets,
            capabilities: info.capabilities,
            wakers,
            policy: NetworkPolicy::new(network.rules),
            redirects: network.redirects.into_iter().collect(),
            published: network.published,
            names: Names::new(),
        }))
    }

    pub(super) fn can(&self, capability: SocketCapabilities) -> bool {
        self.capabilities.contains(capability)
    }

    /// Asks the rules. Errors: `EACCES`.
    pub(super) fn permit(&self, to: SocketAddr) -> Result<Permit, Errno> {
        if let Some(&redirected) = self.redirects.get(&to) {
            // A grant of its own: the embedder named this very address.
            return Ok(Permit::Address(Reachable::granted(redirected)));
        }
        if let Some(name) = self.names.behind(to.ip()) {
            return self.policy.check_host(&name, to.port()).map(|host| Permit::Host(host, to.port()));
        }
        self.policy.check(to, &self.names.of(to.ip())).map(Permit::Address)
    }

    /// Whether the rules let `sender` be heard. Nothing is logged: strangers decide how often it is asked.
    pub(super) fn hears(&self, sender: SocketAddr) -> bool {
        self.policy.allows(sender, &self.names.of(sender.ip()))
    }

    /// Whether a redirection leads from `from` to `to`: what comes back from there belongs to it.
    pub(super) fn leads_to(&self, from: SocketAddr, to: SocketAddr) -> bool {
        self.redirects.get(&from) == Some(&to)
    }

    /// Where the port of a socket that is bound to no address is reached from outside.
    pub(super) fn published(&self, kind: SocketKind, port: u16) -> Option<SocketAddr> {
        self.published.iter().find(|known| known.kind == kind && known.port == port).map(|known| known.outside)
    }

    /// Makes a socket. Errors: the network's; `ENETUNREACH` for what it cannot do.
    pub(super) fn open(self: &Arc<Self>, kind: SocketKind, to: SocketAddr) -> Result<Arc<External>, Errno> {
        let needed = match kind {
            SocketKind::Stream => SocketCapabilities::STREAMS,
            SocketKind::Datagram => SocketCapabilities::DATAGRAMS,
        };
        if !self.can(needed) || (to.is_ipv6() && !self.can(SocketCapabilities::IPV6)) {
            return Err(Errno::Netunreach);
        }
        self.adopt(self.sockets.open(kind, Domain::family_for(to))?)
    }

    /// Begins to look a name up.
    pub(super) fn lookup(self: &Arc<Self>, name: &Resolvable) -> Result<Arc<External>, Errno> {
        self.adopt(self.sockets.lookup(name.name())?)
    }

    /// Takes a number that the network gave out. Errors: `EIO` for one that is in use.
    fn adopt(self: &Arc<Self>, id: SocketId) -> Result<Arc<External>, Errno> {
        let changed = Arc::new(Event::new());
        let mut events = self.wakers.events.lock();
        if id == 0 || events.contains_key(&id) {
            tracing::warn!(id, "a network gave out the number of a socket twice");
            return Err(Errno::Io);
        }
        events.insert(id, changed.clone());
        drop(events);
        Ok(Arc::new(External {
            outside: self.clone(),
            id,
            changed,
            peeked: Mutex::default(),
            peeked_datagram: Mutex::default(),
        }))
    }
}

/// A socket or lookup of the network. Dropped, it is closed.
pub(super) struct External {
    outside: Arc<Outside>,
    id: SocketId,
    changed: Arc<Event>,
    /// Bytes of a stream that were looked at before they were taken.
    peeked: Mutex<VecDeque<u8>>,
    /// A datagram that was looked at before it was taken.
    peeked_datagram: Mutex<Option<(Box<[u8]>, SocketAddr)>>,
}

impl Drop for External {
    fn drop(&mut self) {
        // First forgotten, then closed: the number may come back at once.
        self.outside.wakers.events.lock().remove(&self.id);
        self.outside.sockets.close(self.id);
    }
}

impl External {
    fn sockets(&self) -> &dyn Sockets {
        &*self.outside.sockets
    }

    /// Calls until there is an answer: again after the listener was made, so that no news is lost in between.
    fn attempt<T>(&self, mut call: impl FnMut(&dyn Sockets, SocketId) -> Result<T, Errno>) -> SysResult<T> {
        match call(self.sockets(), self.id) {
            Err(Errno::Again) => {}
            answer => return Ok(answer?),
        }
        let listener = self.changed.listen();
        match call(self.sockets(), self.id) {
            Err(Errno::Again) => Err(SysError::Wait(Wait::on(listener))),
            answer => Ok(answer?),
        }
    }

    pub(super) fn connect(&self, permit: &Permit) -> Result<(), Errno> {
        match permit {
            Permit::Address(address) => self.sockets().connect(self.id, address.address()),
            Permit::Host(host, port) => self.sockets().connect_name(self.id, host.name(), *port),
        }
    }

    /// Whether a connection that was begun is made. Errors: how it failed.
    pub(super) fn connected(&self) -> SysResult<()> {
        let done = |ready: SocketReadiness| {
            ready.intersects(SocketReadiness::WRITABLE | SocketReadiness::ERROR | SocketReadiness::HANG_UP)
        };
        if !done(self.sockets().readiness(self.id)) {
            let listener = self.changed.listen();
            if !done(self.sockets().readiness(self.id)) {
                return Err(SysError::Wait(Wait::on(listener)));
            }
        }
        match self.sockets().take_error(self.id) {
            Some(errno) => Err(errno.into()),
            None => Ok(()),
        }
    }

    pub(super) fn bind(&self, address: SocketAddr) -> Result<(), Errno> {
        self.sockets().bind(self.id, address)
    }

    pub(super) fn listen_for(&self, backlog: u32) -> Result<(), Errno> {
        self.sockets().listen(self.id, backlog)
    }

    pub(super) fn accept(&self) -> SysResult<(Arc<External>, SocketAddr)> {
        let (id, peer) = self.attempt(|sockets, id| sockets.accept(id))?;
        Ok((self.outside.adopt(id)?, peer))
    }

    pub(super) fn send(&self, bytes: &[u8]) -> SysResult<usize> {
        let bytes = &bytes[..bytes.len().min(SOCKET_CHUNK_BYTES_MAX)];
        match self.attempt(|sockets, id| sockets.send(id, bytes))? {
            count if count > bytes.len() || (count == 0 && !bytes.is_empty()) => Err(Errno::Io.into()),
            count => Ok(count),
        }
    }

    /// Bytes of a stream.
    pub(super) fn recv(&self, buffer: &mut [u8], take: Take) -> SysResult<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let mut peeked = self.peeked.lock();
        if take == Take::default() {
            if !peeked.is_empty() {
                return Ok(copy_out(&mut peeked, buffer, false));
            }
            drop(peeked);
            let length = buffer.len().min(SOCKET_CHUNK_BYTES_MAX);
            return self.recv_now(&mut buffer[..length]);
        }
        let wanted = if take.all { buffer.len().min(PEEK_BYTES_MAX) } else { 1 };
        while peeked.len() < wanted {
            let mut piece = [0; 4096];
            let room = (PEEK_BYTES_MAX - peeked.len()).min(piece.len());
            match self.recv_now(&mut piece[..room]) {
                Ok(0) => break,
                Ok(count) => peeked.extend(&piece[..count]),
                // What came before the error is told first; the error comes again or is the end.
                Err(SysError::Errno(_)) if !peeked.is_empty() => break,
                Err(error) => return Err(error),
            }
        }
        Ok(copy_out(&mut peeked, buffer, take.peek))
    }

    fn recv_now(&self, buffer: &mut [u8]) -> SysResult<usize> {
        match self.attempt(|sockets, id| sockets.recv(id, buffer))? {
            count if count > buffer.len() => Err(Errno::Io.into()),
            count => Ok(count),
        }
    }

    /// Sends a datagram to where it may go.
    pub(super) fn send_to(&self, bytes: &[u8], to: &Permit) -> SysResult<()> {
        if bytes.len() > DATAGRAM_BYTES_MAX {
            return Err(Errno::Msgsize.into());
        }
        let Permit::Address(address) = to else { return Err(Errno::Netunreach.into()) };
        self.attempt(|sockets, id| sockets.send_to(id, bytes, Some(address.address())))
    }

    /// Receives a datagram of those that `welcome` lets in; the others are dropped, as a firewall does.
    pub(super) fn recv_from(
        &self,
        domain: Domain,
        buffer: &mut [u8],
        peek: bool,
        welcome: &dyn Fn(SocketAddr) -> bool,
    ) -> SysResult<Received> {
        let mut kept = self.peeked_datagram.lock();
        if kept.is_none() {
            if !peek {
                drop(kept);
                let (count, length, sender) = self.next_datagram(buffer, welcome)?;
                return Ok(Received { count, length, sender: Some(domain.show(sender)) });
            }
            let mut whole = vec![0; DATAGRAM_BYTES_MAX];
            let (count, _, sender) = self.next_datagram(&mut whole, welcome)?;
            whole.truncate(count);
            *kept = Some((whole.into(), sender));
        }
        let Some((bytes, sender)) = &*kept else { return Err(Errno::Io.into()) };
        let (length, sender) = (bytes.len(), Some(domain.show(*sender)));
        let count = length.min(buffer.len());
        buffer[..count].copy_from_slice(&bytes[..count]);
        if !peek {
            *kept = None;
        }
        Ok(Received { count, length, sender })
    }

    /// The next datagram that is let in: bytes in the buffer, its length, its sender.
    fn next_datagram(
        &self,
        buffer: &mut [u8],
        welcome: &dyn Fn(SocketAddr) -> bool,
    ) -> SysResult<(usize, usize, SocketAddr)> {
        loop {
            let received = self.attempt(|sockets, id| sockets.recv_from(id, buffer))?;
            if received.count > buffer.len() || received.count > received.length {
                return Err(Errno::Io.into());
            }
            if welcome(received.sender) {
                return Ok((received.count, received.length, received.sender));
            }
        }
    }

    pub(super) fn shutdown(&self, how: Shutdown) -> Result<(), Errno> {
        self.sockets().shutdown(self.id, how)
    }

    pub(super) fn readiness(&self) -> Readiness {
        let theirs = self.sockets().readiness(self.id);
        let mut ready = Readiness::empty();
        let peeked = !self.peeked.lock().is_empty() || self.peeked_datagram.lock().is_some();
        ready.set(Readiness::READABLE, peeked || theirs.contains(SocketReadiness::READABLE));
        ready.set(Readiness::WRITABLE, theirs.contains(SocketReadiness::WRITABLE));
        ready.set(Readiness::HANG_UP, theirs.contains(SocketReadiness::HANG_UP));
        ready.set(Readiness::ERROR, theirs.contains(SocketReadiness::ERROR));
        ready
    }

    pub(super) fn listen(&self) -> EventListener {
        self.changed.listen()
    }

    pub(super) fn take_error(&self) -> Option<Errno> {
        self.sockets().take_error(self.id)
    }

    pub(super) fn local_address(&self) -> Result<SocketAddr, Errno> {
        self.sockets().local_address(self.id)
    }

    pub(super) fn get_option(&self, option: SocketOption) -> Result<u64, Errno> {
        self.sockets().get_option(self.id, option)
    }

    pub(super) fn set_option(&self, option: SocketOption, value: u64) -> Result<(), Errno> {
        self.sockets().set_option(self.id, option, value)
    }

    /// The answer of a lookup.
    pub(super) fn answer(&self) -> SysResult<Vec<IpAddr>> {
        self.attempt(|sockets, id| sockets.answer(id))
    }
}
