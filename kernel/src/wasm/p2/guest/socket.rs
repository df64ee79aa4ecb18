//! `eyot:kernel/socket`.

use super::super::bindings::kernel::eyot::kernel::socket::{
    Address, Description, DescriptorFlags, Domain, Errno as WitErrno, Host, IpAddress, IpSocketAddress, ReceiveFlags,
    Received, SendFlags, ShutdownDirection, SocketKind, SocketOption,
};
use super::super::failure::{Failure, done, kernel_errno, unless_killed, waiting};
use super::super::sockets::{ip_in, ip_out};
use super::super::streams::read_buffer;
use super::convert;
use crate::syscall::{socket, types};
use crate::wasm::process::Guest;

type Answer<T> = Result<T, Failure>;

impl Host for Guest {
    fn socket(&mut self, domain: Domain, kind: SocketKind, flags: DescriptorFlags) -> Answer<u32> {
        let flags = convert::descriptor_flags_in(flags);
        done(socket::socket(&self.task, domain_in(domain), kind_in(kind), flags))
    }

    fn socketpair(&mut self, kind: SocketKind, flags: DescriptorFlags) -> Answer<(u32, u32)> {
        done(socket::socketpair(&self.task, kind_in(kind), convert::descriptor_flags_in(flags)))
    }

    fn bind(&mut self, fd: u32, address: Address) -> Answer<()> {
        done(socket::bind(&self.task, fd, &address_in(address)))
    }

    fn listen(&mut self, fd: u32, backlog: u32) -> Answer<()> {
        done(socket::listen(&self.task, fd, backlog))
    }

    async fn accept(&mut self, fd: u32, flags: DescriptorFlags) -> Answer<(u32, Address)> {
        let task = self.task();
        let flags = convert::descriptor_flags_in(flags);
        let (fd, peer) = waiting(task, || socket::accept(task, fd, flags)).await?;
        Ok((fd, address_out(peer)))
    }

    async fn connect(&mut self, fd: u32, address: Address) -> Answer<()> {
        let task = self.task();
        let address = address_in(address);
        waiting(task, || socket::connect(task, fd, &address)).await
    }

    async fn send(&mut self, fd: u32, bytes: Vec<u8>, flags: SendFlags, to: Option<Address>) -> Answer<u32> {
        let task = self.task();
        let (flags, to) = (send_flags_in(flags), to.map(address_in));
        let count = waiting(task, || socket::send(task, fd, &bytes, flags, to.as_ref())).await;
        // No more than the list's length, which a u32 counts.
        unless_killed(task, count.map(|count| count as u32))
    }

    async fn recv(&mut self, fd: u32, length: u32, flags: ReceiveFlags) -> Answer<Received> {
        let task = self.task();
        let flags = receive_flags_in(flags);
        let mut buffer = read_buffer(length.into());
        let received = waiting(task, || socket::recv(task, fd, &mut buffer, flags)).await?;
        buffer.truncate(received.count);
        let length = u32::try_from(received.length).unwrap_or(u32::MAX);
        Ok(Received { bytes: buffer, length, sender: received.sender.map(address_out) })
    }

    fn shutdown(&mut self, fd: u32, how: ShutdownDirection) -> Answer<()> {
        let how = match how {
            ShutdownDirection::Receive => types::Shutdown::Receive,
            ShutdownDirection::Send => types::Shutdown::Send,
            ShutdownDirection::Both => types::Shutdown::Both,
        };
        done(socket::shutdown(&self.task, fd, how))
    }

    fn local_address(&mut self, fd: u32) -> Answer<Address> {
        done(socket::local_address(&self.task, fd)).map(address_out)
    }

    fn peer_address(&mut self, fd: u32) -> Answer<Address> {
        done(socket::peer_address(&self.task, fd)).map(address_out)
    }

    fn get_option(&mut self, fd: u32, option: SocketOption) -> Answer<u64> {
        done(socket::get_option(&self.task, fd, option_in(option)))
    }

    fn set_option(&mut self, fd: u32, option: SocketOption, value: u64) -> Answer<()> {
        done(socket::set_option(&self.task, fd, option_in(option), value))
    }

    fn take_error(&mut self, fd: u32) -> Answer<Option<WitErrno>> {
        Ok(done(socket::take_error(&self.task, fd))?.map(kernel_errno))
    }

    fn describe(&mut self, fd: u32) -> Answer<Description> {
        let description = done(socket::describe(&self.task, fd))?;
        let domain = match description.domain {
            types::Domain::Ipv4 => Domain::Ipv4,
            types::Domain::Ipv6 => Domain::Ipv6,
            types::Domain::Unix => Domain::Unix,
        };
        let kind = match description.kind {
            types::SocketKind::Stream => SocketKind::Stream,
            types::SocketKind::Datagram => SocketKind::Datagram,
        };
        Ok(Description { domain, kind, listening: description.listening })
    }

    async fn resolve(&mut self, name: String) -> Answer<Vec<IpAddress>> {
        let task = self.task();
        let addresses = waiting(task, || socket::resolve(task, &name)).await?;
        let out = |address| match ip_out(address) {
            Ok(v4) => IpAddress::Ipv4(v4),
            Err(v6) => IpAddress::Ipv6(v6),
        };
        Ok(addresses.into_iter().map(out).collect())
    }
}

fn send_flags_in(flags: SendFlags) -> types::SendFlags {
    let mut ours = types::SendFlags::empty();
    ours.set(types::SendFlags::NO_WAIT, flags.contains(SendFlags::NO_WAIT));
    ours.set(types::SendFlags::NO_SIGNAL, flags.contains(SendFlags::NO_SIGNAL));
    ours
}

fn receive_flags_in(flags: ReceiveFlags) -> types::ReceiveFlags {
    let mut ours = types::ReceiveFlags::empty();
    ours.set(types::ReceiveFlags::PEEK, flags.contains(ReceiveFlags::PEEK));
    ours.set(types::ReceiveFlags::WAIT_ALL, flags.contains(ReceiveFlags::WAIT_ALL));
    ours.set(types::ReceiveFlags::NO_WAIT, flags.contains(ReceiveFlags::NO_WAIT));
    ours
}

fn domain_in(domain: Domain) -> types::Domain {
    match domain {
        Domain::Ipv4 => types::Domain::Ipv4,
        Domain::Ipv6 => types::Domain::Ipv6,
        Domain::Unix => types::Domain::Unix,
    }
}

fn kind_in(kind: SocketKind) -> types::SocketKind {
    match kind {
        SocketKind::Stream => types::SocketKind::Stream,
        SocketKind::Datagram => types::SocketKind::Datagram,
    }
}

fn option_in(option: SocketOption) -> types::SocketOption {
    use SocketOption as W;
    use types::SocketOption as O;
    match option {
        W::NoDelay => O::NoDelay,
        W::KeepAlive => O::KeepAlive,
        W::KeepAliveIdle => O::KeepAliveIdle,
        W::KeepAliveInterval => O::KeepAliveInterval,
        W::KeepAliveCount => O::KeepAliveCount,
        W::ReuseAddress => O::ReuseAddress,
        W::V6Only => O::V6Only,
        W::Broadcast => O::Broadcast,
        W::SendBuffer => O::SendBuffer,
        W::ReceiveBuffer => O::ReceiveBuffer,
        W::HopLimit => O::HopLimit,
    }
}

fn address_in(address: Address) -> types::Address {
    match address {
        Address::Unix(name) => types::Address::Unix(name),
        Address::Ip(IpSocketAddress { address, port, scope }) => types::Address::Ip(match address {
            IpAddress::Ipv4(octets) => ip_in(Ok(octets), port, 0),
            IpAddress::Ipv6(groups) => ip_in(Err(groups), port, scope),
        }),
    }
}

fn address_out(address: types::Address) -> Address {
    match address {
        types::Address::Unix(name) => Address::Unix(name),
        types::Address::Ip(ip) => {
            let scope = match ip {
                std::net::SocketAddr::V4(_) => 0,
                std::net::SocketAddr::V6(v6) => v6.scope_id(),
            };
            let address = match ip_out(ip.ip()) {
                Ok(v4) => IpAddress::Ipv4(v4),
                Err(v6) => IpAddress::Ipv6(v6),
            };
            Address::Ip(IpSocketAddress { address, port: ip.port(), scope })
        }
    }
}
