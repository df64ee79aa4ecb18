//! Which socket of the VM has which port.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use super::Socket;
use super::address::Protocol;
use crate::Errno;

/// The ports that are given out when none is asked for: Linux's `ip_local_port_range`.
const EPHEMERAL: std::ops::Range<u32> = 32_768..61_000;

struct Entry {
    id: u64,
    address: IpAddr,
    v6_only: bool,
    reuse: bool,
    listening: bool,
    socket: Weak<Socket>,
}

#[derive(Default)]
struct Table {
    ports: HashMap<(Protocol, u16), Vec<Entry>>,
    next_id: u64,
    next_port: u32,
}

/// The ports of one VM.
#[derive(Default)]
pub(super) struct Ports {
    table: Mutex<Table>,
}

/// A port that is taken. Dropped, it is free again.
pub(super) struct Binding {
    ports: Arc<Ports>,
    protocol: Protocol,
    address: SocketAddr,
    id: u64,
}

/// Who asks for a port.
pub(super) struct Claim {
    pub(super) protocol: Protocol,
    pub(super) address: SocketAddr,
    pub(super) v6_only: bool,
    pub(super) reuse: bool,
    pub(super) socket: Weak<Socket>,
}

/// Whether two addresses of one port are in each other's way.
fn overlap(entry: &Entry, address: IpAddr, v6_only: bool) -> bool {
    match (entry.address, address) {
        (IpAddr::V4(a), IpAddr::V4(b)) => a == b || a.is_unspecified() || b.is_unspecified(),
        (IpAddr::V6(a), IpAddr::V6(b)) => a == b || a.is_unspecified() || b.is_unspecified(),
        // `::` takes IPv4 in as well, unless it was told not to.
        (IpAddr::V6(a), IpAddr::V4(_)) => a.is_unspecified() && !entry.v6_only,
        (IpAddr::V4(_), IpAddr::V6(b)) => b.is_unspecified() && !v6_only,
    }
}

impl Table {
    fn is_free(&self, claim: &Claim, port: u16) -> bool {
        let Some(entries) = self.ports.get(&(claim.protocol, port)) else { return true };
        entries.iter().filter(|entry| overlap(entry, claim.address.ip(), claim.v6_only)).all(|entry| {
            // SO_REUSEADDR of both, and nobody listens (socket(7)).
            entry.reuse && claim.reuse && !entry.listening
        })
    }

    fn free_port(&mut self, claim: &Claim) -> Option<u16> {
        let span = EPHEMERAL.end - EPHEMERAL.start;
        for _ in 0..span {
            let port = EPHEMERAL.start + self.next_port % span;
            self.next_port = self.next_port.wrapping_add(1);
            // Two anonymous ports never share, whatever their sockets say.
            if !self.ports.contains_key(&(claim.protocol, port as u16)) {
                return Some(port as u16);
            }
        }
        None
    }
}

impl Ports {
    /// Takes a port; 0: one that is free. Errors: `EADDRINUSE`.
    pub(super) fn bind(self: &Arc<Self>, claim: Claim) -> Result<Binding, Errno> {
        let mut table = self.table.lock();
        let port = match claim.address.port() {
            0 => table.free_port(&claim).ok_or(Errno::Addrinuse)?,
            port if table.is_free(&claim, port) => port,
            _ => return Err(Errno::Addrinuse),
        };
        table.next_id += 1;
        let id = table.next_id;
        let entry = Entry {
            id,
            address: claim.address.ip(),
            v6_only: claim.v6_only,
            reuse: claim.reuse,
            listening: false,
            socket: claim.socket,
        };
        table.ports.entry((claim.protocol, port)).or_default().push(entry);
        let mut address = claim.address;
        address.set_port(port);
        Ok(Binding { ports: self.clone(), protocol: claim.protocol, address, id })
    }

    /// The socket that `to` leads to: one with this very address, else one with none.
    pub(super) fn find(&self, protocol: Protocol, to: SocketAddr) -> Option<Arc<Socket>> {
        let table = self.table.lock();
        let entries = table.ports.get(&(protocol, to.port()))?;
        let exact = |entry: &&Entry| entry.address == to.ip();
        let any = |entry: &&Entry| {
            entry.address.is_unspecified()
                && (entry.address.is_ipv6() == to.is_ipv6() || (to.is_ipv4() && !entry.v6_only))
        };
        // The latest of several that share a port, as for datagrams on Linux; of streams the one that listens.
        let best = |fits: &dyn Fn(&&Entry) -> bool| {
            let mut of = entries.iter().rev().filter(|entry| fits(entry));
            of.clone().find(|entry| entry.listening).or_else(|| of.next()).and_then(|entry| entry.socket.upgrade())
        };
        best(&exact).or_else(|| best(&any))
    }
}

impl Binding {
    /// The address, with its port.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Marks the port as one that is listened on. Errors: `EADDRINUSE` when another socket that shares it listens.
    pub(super) fn set_listening(&self, listening: bool) -> Result<(), Errno> {
        let mut table = self.ports.table.lock();
        let entries = table.ports.get_mut(&(self.protocol, self.address.port())).ok_or(Errno::Inval)?;
        let own = entries.iter().position(|entry| entry.id == self.id).ok_or(Errno::Inval)?;
        let (address, v6_only) = (entries[own].address, entries[own].v6_only);
        let taken = |entry: &Entry| entry.id != self.id && entry.listening && overlap(entry, address, v6_only);
        if listening && entries.iter().any(taken) {
            return Err(Errno::Addrinuse);
        }
        entries[own].listening = listening;
        Ok(())
    }
}

impl Drop for Binding {
    fn drop(&mut self) {
        let mut table = self.ports.table.lock();
        let key = (self.protocol, self.address.port());
        if let Some(entries) = table.ports.get_mut(&key) {
            entries.retain(|entry| entry.id != self.id);
            if entries.is_empty() {
                table.ports.remove(&key);
            }
        }
    }
}
