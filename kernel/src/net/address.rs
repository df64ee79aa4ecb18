//! Addresses of sockets, as guests see them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::Errno;
use crate::backend::{AddressFamily, SocketKind};

/// The family of a socket's addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Domain {
    /// IPv4.
    Ipv4,
    /// IPv6.
    Ipv6,
    /// Names in the VM.
    Unix,
}

/// A socket's address.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Address {
    /// Of IPv4 or IPv6.
    Ip(SocketAddr),
    /// A path; empty: no name; with a NUL at its start: an abstract name.
    Unix(String),
}

impl Address {
    /// A Unix-domain socket without a name.
    pub const UNNAMED: Address = Address::Unix(String::new());

    /// The address of IPv4 or IPv6. Errors: `EAFNOSUPPORT`.
    pub fn ip(&self) -> Result<SocketAddr, Errno> {
        match self {
            Address::Ip(address) => Ok(*address),
            Address::Unix(_) => Err(Errno::Afnosupport),
        }
    }
}

/// A transport of the internet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Protocol {
    Tcp,
    Udp,
}

impl Protocol {
    pub(super) const fn of(kind: SocketKind) -> Self {
        match kind {
            SocketKind::Stream => Protocol::Tcp,
            SocketKind::Datagram => Protocol::Udp,
        }
    }
}

impl Domain {
    /// No address, in this family.
    pub(super) fn unspecified(self) -> SocketAddr {
        match self {
            Domain::Ipv6 => SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), 0),
            Domain::Ipv4 | Domain::Unix => SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0),
        }
    }

    /// The kernel's form of an address that a guest named: IPv4 in IPv6's clothes is IPv4. Errors: `EAFNOSUPPORT`, `ENETUNREACH` (IPv4 for a socket that has nothing to do with it).
    pub(super) fn accept(self, address: SocketAddr, v6_only: bool) -> Result<SocketAddr, Errno> {
        match (self, address) {
            (Domain::Ipv4, SocketAddr::V4(_)) => Ok(address),
            (Domain::Ipv6, SocketAddr::V6(v6)) => match v6.ip().to_ipv4_mapped() {
                Some(_) if v6_only => Err(Errno::Netunreach),
                Some(v4) => Ok(SocketAddr::new(v4.into(), v6.port())),
                None => Ok(address),
            },
            _ => Err(Errno::Afnosupport),
        }
    }

    /// The guest's form of an address.
    pub(super) fn show(self, address: SocketAddr) -> Address {
        match (self, address) {
            (Domain::Ipv6, SocketAddr::V4(v4)) => {
                Address::Ip(SocketAddr::new(v4.ip().to_ipv6_mapped().into(), v4.port()))
            }
            _ => Address::Ip(address),
        }
    }

    /// The family of sockets outside that speak to `address`.
    pub(super) fn family_for(address: SocketAddr) -> AddressFamily {
        AddressFamily::of(address.ip())
    }
}

/// Whether an address is one of the VM's own.
pub(super) fn is_own(address: IpAddr) -> bool {
    address.is_loopback()
}

/// Where a connection to `to` comes from, for a socket bound to `bound`: no address means that of the other side.
pub(super) fn source(bound: SocketAddr, to: IpAddr) -> SocketAddr {
    let address = match (bound.ip().is_unspecified(), to) {
        (false, _) => bound.ip(),
        (true, IpAddr::V4(_)) => Ipv4Addr::LOCALHOST.into(),
        (true, IpAddr::V6(_)) => Ipv6Addr::LOCALHOST.into(),
    };
    SocketAddr::new(address, bound.port())
}

/// The address that a send to `to` reaches: to no address is to the VM itself, as on Linux.
pub(super) fn destination(to: SocketAddr) -> SocketAddr {
    match to.ip() {
        IpAddr::V4(address) if address.is_unspecified() => SocketAddr::new(Ipv4Addr::LOCALHOST.into(), to.port()),
        IpAddr::V6(address) if address.is_unspecified() => SocketAddr::new(Ipv6Addr::LOCALHOST.into(), to.port()),
        _ => to,
    }
}
