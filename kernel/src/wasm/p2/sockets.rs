//! `wasi:sockets`, so that programs which could use them start: nothing makes a socket yet, every attempt answers `not-supported`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

use wasmtime::component::Resource;

use super::bindings::wasi::wasi::io::streams::{InputStream, OutputStream};
use super::bindings::wasi::wasi::sockets::network::{IpAddress, IpAddressFamily, IpSocketAddress, Network};
use super::bindings::wasi::wasi::sockets::{
    instance_network, ip_name_lookup, network, tcp, tcp_create_socket, udp, udp_create_socket,
};
use super::failure::NoSockets;
use super::poll::Pollable;
use crate::wasm::process::Guest;

/// An address of IPv4 in WIT's form, or else of IPv6.
pub(super) type WitIp = Result<(u8, u8, u8, u8), (u16, u16, u16, u16, u16, u16, u16, u16)>;

pub(super) fn ip_out(address: IpAddr) -> WitIp {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, c, d] = v4.octets();
            Ok((a, b, c, d))
        }
        IpAddr::V6(v6) => {
            let [a, b, c, d, e, f, g, h] = v6.segments();
            Err((a, b, c, d, e, f, g, h))
        }
    }
}

pub(super) fn ip_in(address: WitIp, port: u16, scope: u32) -> SocketAddr {
    match address {
        Ok((a, b, c, d)) => SocketAddr::new(Ipv4Addr::new(a, b, c, d).into(), port),
        Err((a, b, c, d, e, f, g, h)) => {
            SocketAddr::V6(SocketAddrV6::new(Ipv6Addr::new(a, b, c, d, e, f, g, h), port, 0, scope))
        }
    }
}

type Tcp = Resource<tcp::TcpSocket>;
type Udp = Resource<udp::UdpSocket>;
type Incoming = Resource<udp::IncomingDatagramStream>;
type Outgoing = Resource<udp::OutgoingDatagramStream>;
type Lookup = Resource<ip_name_lookup::ResolveAddressStream>;

/// Functions that can only fail.
macro_rules! unsupported {
    ($(fn $name:ident($($type:ty),*) -> $answer:ty;)*) => {
        $(fn $name(&mut self, $(_: $type),*) -> Result<$answer, NoSockets> {
            Err(NoSockets)
        })*
    };
}

/// What a call on a socket that cannot be there becomes.
fn no_socket<T>() -> wasmtime::Result<T> {
    Err(wasmtime::Error::msg("there are no sockets"))
}

impl network::HostNetwork for Guest {
    fn drop(&mut self, _: Resource<Network>) -> wasmtime::Result<()> {
        Ok(())
    }
}

impl instance_network::Host for Guest {
    fn instance_network(&mut self) -> wasmtime::Result<Resource<Network>> {
        Ok(Resource::new_own(0))
    }
}

impl ip_name_lookup::Host for Guest {
    unsupported! {
        fn resolve_addresses(Resource<Network>, String) -> Lookup;
    }
}

impl ip_name_lookup::HostResolveAddressStream for Guest {
    unsupported! {
        fn resolve_next_address(Lookup) -> Option<IpAddress>;
    }

    fn subscribe(&mut self, _: Lookup) -> wasmtime::Result<Resource<Pollable>> {
        no_socket()
    }

    fn drop(&mut self, _: Lookup) -> wasmtime::Result<()> {
        Ok(())
    }
}

impl tcp_create_socket::Host for Guest {
    unsupported! {
        fn create_tcp_socket(IpAddressFamily) -> Tcp;
    }
}

impl tcp::Host for Guest {}

impl tcp::HostTcpSocket for Guest {
    unsupported! {
        fn start_bind(Tcp, Resource<Network>, IpSocketAddress) -> ();
        fn finish_bind(Tcp) -> ();
        fn start_connect(Tcp, Resource<Network>, IpSocketAddress) -> ();
        fn finish_connect(Tcp) -> (Resource<InputStream>, Resource<OutputStream>);
        fn start_listen(Tcp) -> ();
        fn finish_listen(Tcp) -> ();
        fn accept(Tcp) -> (Tcp, Resource<InputStream>, Resource<OutputStream>);
        fn local_address(Tcp) -> IpSocketAddress;
        fn remote_address(Tcp) -> IpSocketAddress;
        fn set_listen_backlog_size(Tcp, u64) -> ();
        fn keep_alive_enabled(Tcp) -> bool;
        fn set_keep_alive_enabled(Tcp, bool) -> ();
        fn keep_alive_idle_time(Tcp) -> u64;
        fn set_keep_alive_idle_time(Tcp, u64) -> ();
        fn keep_alive_interval(Tcp) -> u64;
        fn set_keep_alive_interval(Tcp, u64) -> ();
        fn keep_alive_count(Tcp) -> u32;
        fn set_keep_alive_count(Tcp, u32) -> ();
        fn hop_limit(Tcp) -> u8;
        fn set_hop_limit(Tcp, u8) -> ();
        fn receive_buffer_size(Tcp) -> u64;
        fn set_receive_buffer_size(Tcp, u64) -> ();
        fn send_buffer_size(Tcp) -> u64;
        fn set_send_buffer_size(Tcp, u64) -> ();
        fn shutdown(Tcp, tcp::ShutdownType) -> ();
    }

    fn is_listening(&mut self, _: Tcp) -> wasmtime::Result<bool> {
        no_socket()
    }

    fn address_family(&mut self, _: Tcp) -> wasmtime::Result<IpAddressFamily> {
        no_socket()
    }

    fn subscribe(&mut self, _: Tcp) -> wasmtime::Result<Resource<Pollable>> {
        no_socket()
    }

    fn drop(&mut self, _: Tcp) -> wasmtime::Result<()> {
        Ok(())
    }
}

impl udp_create_socket::Host for Guest {
    unsupported! {
        fn create_udp_socket(IpAddressFamily) -> Udp;
    }
}

impl udp::Host for Guest {}

impl udp::HostUdpSocket for Guest {
    unsupported! {
        fn start_bind(Udp, Resource<Network>, IpSocketAddress) -> ();
        fn finish_bind(Udp) -> ();
        fn stream(Udp, Option<IpSocketAddress>) -> (Incoming, Outgoing);
        fn local_address(Udp) -> IpSocketAddress;
        fn remote_address(Udp) -> IpSocketAddress;
        fn unicast_hop_limit(Udp) -> u8;
        fn set_unicast_hop_limit(Udp, u8) -> ();
        fn receive_buffer_size(Udp) -> u64;
        fn set_receive_buffer_size(Udp, u64) -> ();
        fn send_buffer_size(Udp) -> u64;
        fn set_send_buffer_size(Udp, u64) -> ();
    }

    fn address_family(&mut self, _: Udp) -> wasmtime::Result<IpAddressFamily> {
        no_socket()
    }

    fn subscribe(&mut self, _: Udp) -> wasmtime::Result<Resource<Pollable>> {
        no_socket()
    }

    fn drop(&mut self, _: Udp) -> wasmtime::Result<()> {
        Ok(())
    }
}

impl udp::HostIncomingDatagramStream for Guest {
    unsupported! {
        fn receive(Incoming, u64) -> Vec<udp::IncomingDatagram>;
    }

    fn subscribe(&mut self, _: Incoming) -> wasmtime::Result<Resource<Pollable>> {
        no_socket()
    }

    fn drop(&mut self, _: Incoming) -> wasmtime::Result<()> {
        Ok(())
    }
}

impl udp::HostOutgoingDatagramStream for Guest {
    unsupported! {
        fn check_send(Outgoing) -> u64;
        fn send(Outgoing, Vec<udp::OutgoingDatagram>) -> u64;
    }

    fn subscribe(&mut self, _: Outgoing) -> wasmtime::Result<Resource<Pollable>> {
        no_socket()
    }

    fn drop(&mut self, _: Outgoing) -> wasmtime::Result<()> {
        Ok(())
    }
}
