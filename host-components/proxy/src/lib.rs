//! Networks of Eyot behind a proxy: [`ProxyNet`] makes every connection through a SOCKS5 server (RFC 1928, 1929) or by HTTP's `CONNECT` (RFC 9110), over any other network.
//!
//! Names are looked up by the proxy: the network has the capability `NAMES`, and the kernel's rules are asked by name. Only streams that connect: no listening, no datagrams.
//!
//! The dialogue with the proxy goes on whenever the kernel asks after a socket; news of the network below are the news of this one, with the same numbers.

mod http;
mod socks5;
mod tunnel;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Weak};

use eyot_backend::{
    AddressFamily, Errno, ReceivedFrom, Shutdown, SocketCapabilities, SocketId, SocketKind, SocketOption,
    SocketReadiness, SocketWatcher, Sockets, SocketsInfo,
};
use parking_lot::{Mutex, RwLock};

pub use tunnel::Credentials;
use tunnel::{Dialogue, Target, Tunnel};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Socks5,
    HttpConnect,
}

/// A network behind a proxy.
pub struct ProxyNet {
    below: Arc<dyn Sockets>,
    kind: Kind,
    proxy: SocketAddr,
    credentials: Option<Credentials>,
    tunnels: RwLock<HashMap<SocketId, Arc<Mutex<Tunnel>>>>,
}

impl ProxyNet {
    /// Through the SOCKS5 server at `proxy`, which is reached over `below`.
    pub fn socks5(below: Arc<dyn Sockets>, proxy: SocketAddr) -> Self {
        Self::new(below, proxy, Kind::Socks5)
    }

    /// Through the HTTP proxy at `proxy`, which is reached over `below`.
    pub fn http_connect(below: Arc<dyn Sockets>, proxy: SocketAddr) -> Self {
        Self::new(below, proxy, Kind::HttpConnect)
    }

    fn new(below: Arc<dyn Sockets>, proxy: SocketAddr, kind: Kind) -> Self {
        Self { below, kind, proxy, credentials: None, tunnels: RwLock::default() }
    }

    /// Who the proxy is told one is.
    pub fn credentials(mut self, credentials: Credentials) -> Self {
        self.credentials = Some(credentials);
        self
    }

    fn tunnel(&self, socket: SocketId) -> Result<Arc<Mutex<Tunnel>>, Errno> {
        self.tunnels.read().get(&socket).cloned().ok_or(Errno::Notsock)
    }

    fn begin(&self, socket: SocketId, target: Target) -> Result<(), Errno> {
        let tunnel = self.tunnel(socket)?;
        let mut tunnel = tunnel.lock();
        let dialogue = match self.kind {
            Kind::Socks5 => Dialogue::Socks5(socks5::Socks5::new(&target, self.credentials.as_ref())?),
            Kind::HttpConnect => Dialogue::Http(http::Connect::new(&target, self.credentials.as_ref())),
        };
        tunnel.begin(&*self.below, socket, self.proxy, target, dialogue)
    }

    /// A tunnel that is open. Errors: `EAGAIN` while it is being made, and how that failed.
    fn open_tunnel(&self, socket: SocketId) -> Result<Arc<Mutex<Tunnel>>, Errno> {
        let tunnel = self.tunnel(socket)?;
        tunnel.lock().advance(&*self.below, socket)?;
        Ok(tunnel)
    }
}

impl Sockets for ProxyNet {
    fn info(&self) -> SocketsInfo {
        let kind = match self.kind {
            Kind::Socks5 => "socks5",
            Kind::HttpConnect => "http-connect",
        };
        let capabilities = SocketCapabilities::STREAMS | SocketCapabilities::NAMES | SocketCapabilities::IPV6;
        SocketsInfo { capabilities, kind: kind.into() }
    }

    fn watch(&self, watcher: Weak<dyn SocketWatcher>) {
        self.below.watch(watcher);
    }

    fn open(&self, kind: SocketKind, _: AddressFamily) -> Result<SocketId, Errno> {
        if kind != SocketKind::Stream {
            return Err(Errno::Protonosupport);
        }
        // Of the proxy's family, whatever the far side's is.
        let id = self.below.open(kind, AddressFamily::of(self.proxy.ip()))?;
        self.tunnels.write().insert(id, Arc::default());
        Ok(id)
    }

    fn bind(&self, _: SocketId, _: SocketAddr) -> Result<(), Errno> {
        Err(Errno::Notsup)
    }

    fn connect(&self, socket: SocketId, remote: SocketAddr) -> Result<(), Errno> {
        self.begin(socket, Target::Address(remote))
    }

    fn connect_name(&self, socket: SocketId, host: &str, port: u16) -> Result<(), Errno> {
        self.begin(socket, Target::Host(host.to_owned(), port))
    }

    fn listen(&self, _: SocketId, _: u32) -> Result<(), Errno> {
        Err(Errno::Notsup)
    }

    fn accept(&self, _: SocketId) -> Result<(SocketId, SocketAddr), Errno> {
        Err(Errno::Notsup)
    }

    fn send(&self, socket: SocketId, bytes: &[u8]) -> Result<usize, Errno> {
        self.open_tunnel(socket)?;
        self.below.send(socket, bytes)
    }

    fn recv(&self, socket: SocketId, buffer: &mut [u8]) -> Result<usize, Errno> {
        match self.open_tunnel(socket)?.lock().left_over(buffer) {
            0 => self.below.recv(socket, buffer),
            count => Ok(count),
        }
    }

    fn send_to(&self, _: SocketId, _: &[u8], _: Option<SocketAddr>) -> Result<(), Errno> {
        Err(Errno::Notsup)
    }

    fn recv_from(&self, _: SocketId, _: &mut [u8]) -> Result<ReceivedFrom, Errno> {
        Err(Errno::Notsup)
    }

    fn shutdown(&self, socket: SocketId, how: Shutdown) -> Result<(), Errno> {
        self.open_tunnel(socket).map_err(|_| Errno::Notconn)?;
        self.below.shutdown(socket, how)
    }

    fn readiness(&self, socket: SocketId) -> SocketReadiness {
        let Ok(tunnel) = self.tunnel(socket) else { return SocketReadiness::ERROR };
        let mut tunnel = tunnel.lock();
        if tunnel.is_idle() {
            return SocketReadiness::WRITABLE | SocketReadiness::HANG_UP;
        }
        match tunnel.advance(&*self.below, socket) {
            Ok(()) => {
                let mut ready = self.below.readiness(socket);
                ready.set(
                    SocketReadiness::READABLE,
                    ready.contains(SocketReadiness::READABLE) || tunnel.has_left_over(),
                );
                ready
            }
            Err(Errno::Again) => SocketReadiness::empty(),
            Err(_) => SocketReadiness::WRITABLE | SocketReadiness::READABLE | SocketReadiness::ERROR,
        }
    }

    fn take_error(&self, socket: SocketId) -> Option<Errno> {
        let tunnel = self.tunnel(socket).ok()?;
        let error = tunnel.lock().take_error();
        error.or_else(|| self.below.take_error(socket))
    }

    fn local_address(&self, socket: SocketId) -> Result<SocketAddr, Errno> {
        self.below.local_address(socket)
    }

    fn peer_address(&self, socket: SocketId) -> Result<SocketAddr, Errno> {
        self.open_tunnel(socket).map_err(|_| Errno::Notconn)?.lock().peer()
    }

    fn get_option(&self, socket: SocketId, option: SocketOption) -> Result<u64, Errno> {
        self.below.get_option(socket, option)
    }

    fn set_option(&self, socket: SocketId, option: SocketOption, value: u64) -> Result<(), Errno> {
        self.below.set_option(socket, option, value)
    }

    fn close(&self, socket: SocketId) {
        self.tunnels.write().remove(&socket);
        self.below.close(socket);
    }
}

#[cfg(test)]
mod tests;
