//! The host's network as a network of Eyot: [`HostNet`].
//!
//! Sockets of the host that never block. One thread of the process, for all networks, waits for their readiness (`mio`) and tells the kernel; names are looked up by the host's
//! resolver on a few threads of their own. What may be reached is the kernel's affair: whoever holds a [`HostNet`] reaches everything the host does, its loopback too.

#![cfg(unix)]

mod lookup;
mod options;
mod poller;
mod socket;

use std::collections::HashMap;
use std::io::Read;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Weak};

use eyot_backend::{
    AddressFamily, Errno, ReceivedFrom, Shutdown, SocketCapabilities, SocketId, SocketKind, SocketOption,
    SocketReadiness, SocketWatcher, Sockets, SocketsInfo,
};
use parking_lot::RwLock;

use lookup::Lookup;
use socket::HostSocket;

/// The most sockets of one network unless told otherwise: well below what a process may have open.
const SOCKETS_MAX_DEFAULT: usize = 4096;

/// What a number stands for.
#[derive(Clone)]
enum Entry {
    Socket(Arc<HostSocket>),
    Lookup(Arc<Lookup>),
}

/// What the poller and the threads that look names up know of a network.
struct Shared {
    entries: RwLock<HashMap<SocketId, Entry>>,
    watcher: RwLock<Option<Weak<dyn SocketWatcher>>>,
}

impl Shared {
    fn tell(&self, socket: SocketId, readiness: SocketReadiness) {
        let watcher = self.watcher.read().as_ref().and_then(Weak::upgrade);
        if let Some(watcher) = watcher {
            watcher.ready(socket, readiness);
        }
    }
}

/// The host's network.
pub struct HostNet {
    shared: Arc<Shared>,
    sockets_max: usize,
}

impl HostNet {
    /// The network of the host that this process runs on. Errors: the host gives no thread or no epoll.
    pub fn new() -> std::io::Result<Self> {
        poller::start()?;
        let shared = Shared { entries: RwLock::default(), watcher: RwLock::new(None) };
        Ok(Self { shared: Arc::new(shared), sockets_max: SOCKETS_MAX_DEFAULT })
    }

    /// Sets how many sockets and lookups there may be at once (`EMFILE` beyond).
    pub fn sockets_max(mut self, max: usize) -> Self {
        self.sockets_max = max;
        self
    }

    fn socket(&self, id: SocketId) -> Result<Arc<HostSocket>, Errno> {
        match self.shared.entries.read().get(&id) {
            Some(Entry::Socket(socket)) => Ok(socket.clone()),
            _ => Err(Errno::Notsock),
        }
    }

    fn check_room(&self) -> Result<(), Errno> {
        if self.shared.entries.read().len() < self.sockets_max { Ok(()) } else { Err(Errno::Mfile) }
    }

    /// Gives a socket a number, and has its readiness told from now on.
    fn adopt(&self, socket: socket2::Socket, kind: SocketKind) -> Result<SocketId, Errno> {
        let id = poller::next_id();
        let socket = Arc::new(HostSocket { socket, kind });
        // Known before the first news of it can come.
        self.shared.entries.write().insert(id, Entry::Socket(socket.clone()));
        if let Err(error) = poller::register(id, &socket.socket, &self.shared) {
            self.shared.entries.write().remove(&id);
            return Err(Errno::from(&error));
        }
        Ok(id)
    }
}

/// An answer of the host.
fn answer<T>(result: std::io::Result<T>) -> Result<T, Errno> {
    result.map_err(|error| match error.kind() {
        std::io::ErrorKind::WouldBlock => Errno::Again,
        _ => Errno::from(&error),
    })
}

/// Calls again when a signal of the host interrupted it.
fn retry<T>(mut call: impl FnMut() -> std::io::Result<T>) -> Result<T, Errno> {
    loop {
        match call() {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            result => return answer(result),
        }
    }
}

impl Sockets for HostNet {
    fn info(&self) -> SocketsInfo {
        let capabilities = SocketCapabilities::all() - SocketCapabilities::NAMES;
        SocketsInfo { capabilities, kind: "hostnet".into() }
    }

    fn watch(&self, watcher: Weak<dyn SocketWatcher>) {
        *self.shared.watcher.write() = Some(watcher);
    }

    fn open(&self, kind: SocketKind, family: AddressFamily) -> Result<SocketId, Errno> {
        self.check_room()?;
        self.adopt(answer(socket::open(kind, family))?, kind)
    }

    fn bind(&self, socket: SocketId, local: SocketAddr) -> Result<(), Errno> {
        answer(self.socket(socket)?.socket.bind(&local.into()))
    }

    fn connect(&self, socket: SocketId, remote: SocketAddr) -> Result<(), Errno> {
        // Not called again after a signal: the connection is under way then.
        match self.socket(socket)?.socket.connect(&remote.into()) {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => Err(Errno::Inprogress),
            result => answer(result),
        }
    }

    fn listen(&self, socket: SocketId, backlog: u32) -> Result<(), Errno> {
        answer(self.socket(socket)?.socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX)))
    }

    fn accept(&self, socket: SocketId) -> Result<(SocketId, SocketAddr), Errno> {
        let listening = self.socket(socket)?;
        self.check_room()?;
        let (accepted, peer) = retry(|| listening.socket.accept())?;
        answer(accepted.set_nonblocking(true))?;
        let peer = peer.as_socket().ok_or(Errno::Io)?;
        Ok((self.adopt(accepted, SocketKind::Stream)?, peer))
    }

    fn send(&self, socket: SocketId, bytes: &[u8]) -> Result<usize, Errno> {
        let socket = self.socket(socket)?;
        retry(|| socket.socket.send_with_flags(bytes, socket::SEND_FLAGS))
    }

    fn recv(&self, socket: SocketId, buffer: &mut [u8]) -> Result<usize, Errno> {
        let socket = self.socket(socket)?;
        retry(|| (&socket.socket).read(buffer))
    }

    fn send_to(&self, socket: SocketId, bytes: &[u8], to: Option<SocketAddr>) -> Result<(), Errno> {
        let socket = self.socket(socket)?;
        let sent = match to {
            Some(to) => retry(|| socket.socket.send_to_with_flags(bytes, &to.into(), socket::SEND_FLAGS))?,
            None => retry(|| socket.socket.send_with_flags(bytes, socket::SEND_FLAGS))?,
        };
        if sent == bytes.len() { Ok(()) } else { Err(Errno::Io) }
    }

    fn recv_from(&self, socket: SocketId, buffer: &mut [u8]) -> Result<ReceivedFrom, Errno> {
        let socket = self.socket(socket)?;
        retry(|| socket.recv_from(buffer))
    }

    fn shutdown(&self, socket: SocketId, how: Shutdown) -> Result<(), Errno> {
        let how = match how {
            Shutdown::Receive => std::net::Shutdown::Read,
            Shutdown::Send => std::net::Shutdown::Write,
            Shutdown::Both => std::net::Shutdown::Both,
        };
        answer(self.socket(socket)?.socket.shutdown(how))
    }

    fn readiness(&self, socket: SocketId) -> SocketReadiness {
        let entry = self.shared.entries.read().get(&socket).cloned();
        match entry {
            Some(Entry::Socket(socket)) => socket.readiness(),
            Some(Entry::Lookup(lookup)) if lookup.is_done() => SocketReadiness::READABLE,
            Some(Entry::Lookup(_)) => SocketReadiness::empty(),
            None => SocketReadiness::ERROR,
        }
    }

    fn take_error(&self, socket: SocketId) -> Option<Errno> {
        let socket = self.socket(socket).ok()?;
        match socket.socket.take_error() {
            Ok(error) => error.as_ref().map(Errno::from),
            Err(error) => Some(Errno::from(&error)),
        }
    }

    fn local_address(&self, socket: SocketId) -> Result<SocketAddr, Errno> {
        answer(self.socket(socket)?.socket.local_addr())?.as_socket().ok_or(Errno::Inval)
    }

    fn peer_address(&self, socket: SocketId) -> Result<SocketAddr, Errno> {
        answer(self.socket(socket)?.socket.peer_addr())?.as_socket().ok_or(Errno::Notconn)
    }

    fn get_option(&self, socket: SocketId, option: SocketOption) -> Result<u64, Errno> {
        answer(options::get(&self.socket(socket)?.socket, option))
    }

    fn set_option(&self, socket: SocketId, option: SocketOption, value: u64) -> Result<(), Errno> {
        answer(options::set(&self.socket(socket)?.socket, option, value))
    }

    fn close(&self, socket: SocketId) {
        let entry = self.shared.entries.write().remove(&socket);
        if let Some(Entry::Socket(known)) = &entry {
            poller::deregister(socket, &known.socket);
        }
    }

    fn lookup(&self, name: &str) -> Result<SocketId, Errno> {
        self.check_room()?;
        let id = poller::next_id();
        let lookup = Arc::new(Lookup::new(name.to_owned()));
        self.shared.entries.write().insert(id, Entry::Lookup(lookup.clone()));
        lookup::begin(id, lookup, &self.shared).inspect_err(|_| {
            self.shared.entries.write().remove(&id);
        })?;
        Ok(id)
    }

    fn answer(&self, lookup: SocketId) -> Result<Vec<IpAddr>, Errno> {
        match self.shared.entries.read().get(&lookup) {
            Some(Entry::Lookup(lookup)) => lookup.answer(),
            _ => Err(Errno::Notsock),
        }
    }
}

impl Drop for HostNet {
    fn drop(&mut self) {
        let entries = std::mem::take(&mut *self.shared.entries.write());
        for (id, entry) in entries {
            if let Entry::Socket(socket) = entry {
                poller::deregister(id, &socket.socket);
            }
        }
    }
}

#[cfg(test)]
mod tests;
