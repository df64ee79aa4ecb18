//! The network of a VM: its own loopback and Unix-domain sockets, and what the embedder granted of the outside.
//!
//! ```text
//! socket.rs     a socket: what it is, its name, readiness, options      connect.rs   bind, listen, accept, connect
//! transfer.rs   send, receive, shutdown                                  ports.rs     which socket has which port
//! stream.rs, datagram.rs, backlog.rs   queues between sockets of the VM: the loopback
//! outside.rs    sockets of the granted network, what it answers checked  names.rs     names of hosts
//! network.rs    what an embedder grants                                  address.rs   addresses
//! ```
//! Loopback addresses (127.0.0.0/8, ::1) and names never leave the VM. What leaves it needs a proof of `policy::network`, which `outside.rs` demands.
//!
//! Lock order: a socket's `inner`, then the queues' locks; never two sockets' `inner` at once, and no lock of the port table is held while a socket's is taken.

mod address;
mod backlog;
mod connect;
mod datagram;
mod names;
mod network;
mod options;
mod outside;
mod ports;
mod socket;
mod stream;
mod transfer;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use crate::Errno;
use crate::limits::Accountant;
use crate::wait::SysResult;

pub use address::{Address, Domain};
pub use datagram::Received;
pub use network::Network;
pub use socket::Socket;

pub(crate) use connect::{Peer, Place};
pub(crate) use socket::pair;
pub(crate) use stream::Take;

use outside::Outside;
use ports::Ports;

/// What the sockets of one VM share.
pub(crate) struct Net {
    accountant: Arc<Accountant>,
    ports: Arc<Ports>,
    /// Abstract names of Unix-domain sockets.
    abstracts: Arc<Mutex<HashMap<String, Weak<Socket>>>>,
    outside: Option<Arc<Outside>>,
}

impl Net {
    /// The network of a VM.
    pub(crate) fn new(network: Network, accountant: Arc<Accountant>) -> Arc<Self> {
        let outside = Outside::new(network);
        Arc::new(Self { accountant, ports: Arc::default(), abstracts: Arc::default(), outside })
    }

    /// The socket with an abstract name. Errors: `ECONNREFUSED`.
    pub(crate) fn find_abstract(&self, name: &str) -> Result<Arc<Socket>, Errno> {
        let found = self.abstracts.lock().get(name).and_then(Weak::upgrade);
        found.ok_or(Errno::Connrefused)
    }

    /// The addresses of a name. Errors: `ENOENT`, `EACCES`, `EAGAIN`, and the network's.
    pub(crate) fn resolve(&self, name: &str) -> SysResult<Vec<IpAddr>> {
        if let Some(own) = names::known_without_asking(name) {
            return Ok(own);
        }
        match &self.outside {
            None => {
                crate::policy::network::host_name(name).ok_or(Errno::Noent)?;
                tracing::info!(name, "there is no network to look a name up in");
                Err(Errno::Acces.into())
            }
            Some(outside) => outside.resolve(&outside.policy.check_name(name)?),
        }
    }
}
