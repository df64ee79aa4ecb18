//! `eyot:kernel/socket` as a component sees it.

use super::super::bindings::kernel::eyot::kernel::socket::{
    Address, DescriptorFlags, Domain, Errno, Host, IpAddress, IpSocketAddress, ReceiveFlags, SendFlags,
    ShutdownDirection, SocketKind, SocketOption,
};
use super::super::failure::Failure;
use super::{block, stage};

#[test]
fn a_component_serves_and_calls_itself() {
    let mut stage = stage();
    let guest = &mut stage.guest;
    let none = DescriptorFlags::empty();
    let local = |port| Address::Ip(IpSocketAddress { address: IpAddress::Ipv4((127, 0, 0, 1)), port, scope: 0 });
    let server = Host::socket(guest, Domain::Ipv4, SocketKind::Stream, none).unwrap();
    Host::bind(guest, server, local(80)).unwrap();
    Host::listen(guest, server, 1).unwrap();
    assert!(Host::describe(guest, server).unwrap().listening);
    let client = Host::socket(guest, Domain::Ipv4, SocketKind::Stream, none).unwrap();
    block(Host::connect(guest, client, local(80))).unwrap();
    let (accepted, peer) = block(Host::accept(guest, server, none)).unwrap();
    let Address::Ip(peer) = peer else { panic!("no address of the internet") };
    assert!(matches!(Host::local_address(guest, client).unwrap(), Address::Ip(own) if own.port == peer.port));
    assert_eq!(block(Host::send(guest, client, b"hello".to_vec(), SendFlags::empty(), None)).unwrap(), 5);
    let received = block(Host::recv(guest, accepted, 3, ReceiveFlags::PEEK)).unwrap();
    assert_eq!((received.bytes.as_slice(), received.length), (&b"hel"[..], 3));
    Host::shutdown(guest, client, ShutdownDirection::Send).unwrap();
    assert_eq!(block(Host::recv(guest, accepted, 9, ReceiveFlags::WAIT_ALL)).unwrap().bytes, b"hello");
    assert_eq!(block(Host::recv(guest, accepted, 9, ReceiveFlags::empty())).unwrap().bytes, b"");
    Host::set_option(guest, client, SocketOption::KeepAlive, 1).unwrap();
    assert_eq!(Host::get_option(guest, client, SocketOption::KeepAlive).unwrap(), 1);
    assert_eq!(block(Host::resolve(guest, "localhost".into())).unwrap().len(), 2);
    let third = Host::socket(guest, Domain::Ipv4, SocketKind::Stream, none).unwrap();
    let refused = block(Host::connect(guest, third, local(81)));
    assert!(matches!(refused, Err(Failure::Errno(crate::Errno::Connrefused))));
    let datagrams = Host::socket(guest, Domain::Ipv4, SocketKind::Datagram, none).unwrap();
    block(Host::connect(guest, datagrams, local(81))).unwrap();
    block(Host::send(guest, datagrams, b"x".to_vec(), SendFlags::NO_WAIT, None)).unwrap();
    assert_eq!(Host::take_error(guest, datagrams).unwrap(), Some(Errno::Connrefused));
}
