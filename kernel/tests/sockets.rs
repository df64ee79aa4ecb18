//! Sockets on the VM's own loopback: what each call answers, what ends a connection, and the limits.

mod common;

use std::net::SocketAddr;
use std::sync::Arc;

use common::{World, now, waits};
use eyot_kernel::Errno;
use eyot_kernel::limits::Limit;
use eyot_kernel::process::{Readiness, Task};
use eyot_kernel::syscall::types::{
    Address, DescriptorFlags, Domain, PollRequest, ReceiveFlags, SendFlags, Shutdown, SocketKind, SocketOption,
};
use eyot_kernel::syscall::{descriptor, fs, socket};
use eyot_kernel::wait::SysResult;

const NONE: DescriptorFlags = DescriptorFlags::empty();

fn at(text: &str) -> Address {
    Address::Ip(text.parse().unwrap())
}

fn ip(address: Address) -> SocketAddr {
    match address {
        Address::Ip(address) => address,
        Address::Unix(name) => panic!("{name} is no address"),
    }
}

fn tcp(task: &Task) -> u32 {
    now(socket::socket(task, Domain::Ipv4, SocketKind::Stream, NONE)).unwrap()
}

fn udp(task: &Task) -> u32 {
    now(socket::socket(task, Domain::Ipv4, SocketKind::Datagram, NONE)).unwrap()
}

/// A listening socket and its address.
fn listener(task: &Task, backlog: u32) -> (u32, Address) {
    let fd = tcp(task);
    now(socket::bind(task, fd, &at("127.0.0.1:0"))).unwrap();
    now(socket::listen(task, fd, backlog)).unwrap();
    (fd, now(socket::local_address(task, fd)).unwrap())
}

/// Both ends of a connection.
fn connected(task: &Task) -> (u32, u32) {
    let (listening, address) = listener(task, 1);
    let client = tcp(task);
    now(socket::connect(task, client, &address)).unwrap();
    let (server, _) = now(socket::accept(task, listening, NONE)).unwrap();
    now(descriptor::close(task, listening)).unwrap();
    (client, server)
}

fn send(task: &Task, fd: u32, bytes: &[u8]) -> SysResult<usize> {
    socket::send(task, fd, bytes, SendFlags::NO_SIGNAL, None)
}

fn recv(task: &Task, fd: u32, length: usize) -> SysResult<Vec<u8>> {
    recv_with(task, fd, length, ReceiveFlags::empty())
}

fn recv_with(task: &Task, fd: u32, length: usize, flags: ReceiveFlags) -> SysResult<Vec<u8>> {
    let mut buffer = vec![0; length];
    let received = socket::recv(task, fd, &mut buffer, flags)?;
    buffer.truncate(received.count);
    Ok(buffer)
}

fn ready(task: &Task, fd: u32) -> Readiness {
    let interest = Readiness::READABLE | Readiness::WRITABLE;
    now(descriptor::poll(task, &[PollRequest { fd, interest }], Some(0))).unwrap()[0]
}

#[test]
fn a_connection_carries_bytes_both_ways() {
    World::new().run(|task| {
        let (listening, address) = listener(task, 8);
        assert!(waits(socket::accept(task, listening, NONE)));
        let client = tcp(task);
        now(socket::connect(task, client, &address)).unwrap();
        assert!(ready(task, listening).contains(Readiness::READABLE));
        let (server, peer) = now(socket::accept(task, listening, DescriptorFlags::CLOSE_ON_EXEC)).unwrap();
        assert_eq!(peer, now(socket::local_address(task, client)).unwrap());
        assert_eq!(now(socket::peer_address(task, client)).unwrap(), address);
        assert_eq!(now(socket::local_address(task, server)).unwrap(), address);
        assert_eq!(now(descriptor::get_flags(task, server)).unwrap(), DescriptorFlags::CLOSE_ON_EXEC);
        assert!(waits(recv(task, server, 10)));
        assert_eq!(now(descriptor::write(task, client, b"hello")).unwrap(), 5);
        assert_eq!(now(recv_with(task, server, 3, ReceiveFlags::PEEK)).unwrap(), b"hel");
        let mut buffer = [0; 16];
        assert_eq!(now(descriptor::read(task, server, &mut buffer)).unwrap(), 5);
        assert_eq!(now(send(task, server, b"back")).unwrap(), 4);
        assert_eq!(now(recv(task, client, 16)).unwrap(), b"back");
        assert_eq!(
            now(descriptor::stat(task, client)).unwrap().attributes.kind,
            eyot_kernel::backend::NodeKind::Socket
        );
        assert_eq!(
            now(descriptor::seek(task, client, 0, eyot_kernel::syscall::types::Whence::Start)),
            Err(Errno::Spipe)
        );
    });
}

#[test]
fn a_half_closed_connection_still_answers() {
    World::new().run(|task| {
        let (client, server) = connected(task);
        now(send(task, client, b"last")).unwrap();
        now(socket::shutdown(task, client, Shutdown::Send)).unwrap();
        assert_eq!(now(send(task, client, b"x")), Err(Errno::Pipe));
        assert_eq!(now(recv(task, server, 10)).unwrap(), b"last");
        assert_eq!(now(recv(task, server, 10)).unwrap(), b"");
        assert_eq!(ready(task, server), Readiness::READABLE | Readiness::WRITABLE);
        now(send(task, server, b"answer")).unwrap();
        now(descriptor::close(task, server)).unwrap();
        assert_eq!(now(recv(task, client, 10)).unwrap(), b"answer");
        assert_eq!(now(recv(task, client, 10)).unwrap(), b"");
        assert!(ready(task, client).contains(Readiness::HANG_UP));
    });
}

#[test]
fn a_write_to_a_closed_peer_is_a_broken_pipe_with_its_signal() {
    World::new().run(|task| {
        let (client, server) = connected(task);
        now(descriptor::close(task, server)).unwrap();
        assert_eq!(now(send(task, client, b"x")), Ok(1));
        assert_eq!(now(send(task, client, b"x")), Err(Errno::Pipe));
        assert!(!task.killed(), "no signal was asked for");
        assert_eq!(now(descriptor::write(task, client, b"x")), Err(Errno::Pipe));
        assert!(task.killed(), "SIGPIPE");
    });
}

#[test]
fn a_full_buffer_waits_and_all_of_it_can_be_waited_for() {
    World::new().run(|task| {
        let (client, server) = connected(task);
        let mut sent = 0;
        loop {
            match send(task, client, &[7; 10_000]) {
                Ok(count) => sent += count,
                other => break assert!(waits(other)),
            }
        }
        assert_eq!(sent, 64 << 10);
        assert_eq!(now(socket::send(task, client, b"x", SendFlags::NO_WAIT, None)), Err(Errno::Again));
        assert!(!ready(task, client).contains(Readiness::WRITABLE));
        assert_eq!(now(recv_with(task, server, sent, ReceiveFlags::WAIT_ALL)).unwrap().len(), sent);
        assert!(ready(task, client).contains(Readiness::WRITABLE));
        now(send(task, client, b"part")).unwrap();
        assert!(waits(recv_with(task, server, 5, ReceiveFlags::WAIT_ALL)));
        assert_eq!(now(recv_with(task, server, 5, ReceiveFlags::WAIT_ALL | ReceiveFlags::NO_WAIT)).unwrap(), b"part");
        now(send(task, client, b"end")).unwrap();
        now(descriptor::close(task, client)).unwrap();
        assert_eq!(now(recv_with(task, server, 5, ReceiveFlags::WAIT_ALL)).unwrap(), b"end");
    });
}

#[test]
fn those_who_wait_are_woken() {
    let world = World::new();
    world.run(|task| {
        let (listening, address) = listener(task, 0);
        let server = Arc::clone(task);
        let thread = std::thread::spawn(move || {
            let (fd, _) = server.blocking(|| socket::accept(&server, listening, NONE)).unwrap();
            let mut total = 0_u64;
            let mut buffer = vec![0; 1 << 16];
            loop {
                let received =
                    server.blocking(|| socket::recv(&server, fd, &mut buffer, ReceiveFlags::empty())).unwrap();
                match received.count {
                    0 => break total,
                    count => total += buffer[..count].iter().map(|&byte| u64::from(byte)).sum::<u64>(),
                }
            }
        });
        let client = tcp(task);
        task.blocking(|| socket::connect(task, client, &address)).unwrap();
        let bytes: Vec<u8> = (0..3_000_000_u32).map(|number| number as u8).collect();
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let count = task.blocking(|| send(task, client, rest)).unwrap();
            rest = &rest[count..];
        }
        now(descriptor::close(task, client)).unwrap();
        assert_eq!(thread.join().unwrap(), bytes.iter().map(|&byte| u64::from(byte)).sum::<u64>());
    });
}

#[test]
fn a_full_backlog_waits_and_a_closed_one_refuses() {
    World::new().run(|task| {
        let (listening, address) = listener(task, 1);
        let clients: Vec<u32> = (0..2).map(|_| tcp(task)).collect();
        for &client in &clients {
            now(socket::connect(task, client, &address)).unwrap();
        }
        let third = tcp(task);
        assert!(waits(socket::connect(task, third, &address)));
        now(socket::accept(task, listening, NONE)).unwrap();
        now(socket::connect(task, third, &address)).unwrap();
        let Err(eyot_kernel::wait::SysError::Wait(wait)) = socket::connect(task, tcp(task), &address) else {
            panic!("the backlog is full")
        };
        now(descriptor::close(task, listening)).unwrap();
        wait.park();
        assert_eq!(now(socket::connect(task, tcp(task), &address)), Err(Errno::Connrefused));
        assert_eq!(now(recv(task, third, 1)).unwrap(), b"", "what was not accepted is at its end");
    });
}

#[test]
fn ports_are_taken_and_given_back() {
    World::new().run(|task| {
        let (first, address) = listener(task, 1);
        let port = ip(address.clone()).port();
        let second = tcp(task);
        assert_eq!(now(socket::bind(task, second, &address)), Err(Errno::Addrinuse));
        assert_eq!(now(socket::bind(task, second, &at(&format!("0.0.0.0:{port}")))), Err(Errno::Addrinuse));
        now(socket::bind(task, second, &at(&format!("127.0.0.2:{port}")))).unwrap();
        assert_eq!(now(socket::bind(task, second, &at("127.0.0.1:0"))), Err(Errno::Inval));
        assert_eq!(now(socket::bind(task, tcp(task), &at("192.0.2.1:80"))), Err(Errno::Addrnotavail));
        assert_eq!(now(socket::bind(task, tcp(task), &at("[::1]:80"))), Err(Errno::Afnosupport));
        now(descriptor::close(task, first)).unwrap();
        now(socket::bind(task, tcp(task), &address)).unwrap();
        now(socket::bind(task, udp(task), &address)).unwrap();
    });
}

#[test]
fn both_families_reach_a_socket_of_both() {
    World::new().run(|task| {
        let six = now(socket::socket(task, Domain::Ipv6, SocketKind::Stream, NONE)).unwrap();
        now(socket::bind(task, six, &at("[::]:8080"))).unwrap();
        assert_eq!(now(socket::set_option(task, six, SocketOption::V6Only, 1)), Err(Errno::Inval));
        now(socket::listen(task, six, 4)).unwrap();
        let client = tcp(task);
        now(socket::connect(task, client, &at("127.0.0.1:8080"))).unwrap();
        let (server, peer) = now(socket::accept(task, six, NONE)).unwrap();
        assert_eq!(ip(peer).ip(), "::ffff:127.0.0.1".parse::<std::net::IpAddr>().unwrap());
        assert_eq!(now(socket::local_address(task, server)).unwrap(), at("[::ffff:127.0.0.1]:8080"));
        let client = now(socket::socket(task, Domain::Ipv6, SocketKind::Stream, NONE)).unwrap();
        now(socket::connect(task, client, &at("[::1]:8080"))).unwrap();
        let only = now(socket::socket(task, Domain::Ipv6, SocketKind::Stream, NONE)).unwrap();
        now(socket::set_option(task, only, SocketOption::V6Only, 1)).unwrap();
        assert_eq!(now(socket::connect(task, only, &at("[::ffff:127.0.0.1]:8080"))), Err(Errno::Netunreach));
        now(socket::bind(task, only, &at("[::]:8081"))).unwrap();
        now(socket::listen(task, only, 4)).unwrap();
        assert_eq!(now(socket::connect(task, tcp(task), &at("127.0.0.1:8081"))), Err(Errno::Connrefused));
    });
}

#[test]
fn datagrams_keep_their_bounds_and_senders() {
    World::new().run(|task| {
        let (one, two) = (udp(task), udp(task));
        now(socket::bind(task, one, &at("127.0.0.1:5000"))).unwrap();
        let to = at("127.0.0.1:5000");
        assert_eq!(now(socket::send(task, two, b"x", SendFlags::empty(), None)), Err(Errno::Destaddrreq));
        now(socket::send(task, two, b"first", SendFlags::empty(), Some(&to))).unwrap();
        now(socket::send(task, two, b"", SendFlags::empty(), Some(&to))).unwrap();
        now(socket::send(task, two, b"third", SendFlags::empty(), Some(&to))).unwrap();
        let mut buffer = [0; 3];
        let received = now(socket::recv(task, one, &mut buffer, ReceiveFlags::PEEK)).unwrap();
        assert_eq!((received.count, received.length), (3, 5));
        let received = now(socket::recv(task, one, &mut buffer, ReceiveFlags::empty())).unwrap();
        assert_eq!((&buffer, received.length), (b"fir", 5));
        assert_eq!(ip(received.sender.unwrap()).port(), ip(now(socket::local_address(task, two)).unwrap()).port());
        assert_eq!(now(recv(task, one, 9)).unwrap(), b"");
        assert_eq!(now(recv(task, one, 9)).unwrap(), b"third");
        assert!(waits(recv(task, one, 9)));
        let huge = vec![0; 65_508];
        assert_eq!(now(socket::send(task, two, &huge, SendFlags::empty(), Some(&to))), Err(Errno::Msgsize));
        assert_eq!(now(socket::send(task, two, &huge[1..], SendFlags::empty(), Some(&to))), Ok(65_507));
    });
}

#[test]
fn a_datagram_for_nobody_is_told_to_who_is_connected() {
    World::new().run(|task| {
        let one = udp(task);
        assert_eq!(now(socket::send(task, one, b"x", SendFlags::empty(), Some(&at("127.0.0.1:9")))), Ok(1));
        now(socket::connect(task, one, &at("127.0.0.1:9"))).unwrap();
        assert_eq!(now(send(task, one, b"x")), Ok(1));
        assert!(ready(task, one).contains(Readiness::ERROR));
        assert_eq!(now(socket::take_error(task, one)), Ok(Some(Errno::Connrefused)));
        assert_eq!(now(socket::take_error(task, one)), Ok(None));
        assert_eq!(now(send(task, one, b"x")), Ok(1));
        assert_eq!(now(recv(task, one, 1)), Err(Errno::Connrefused));
    });
}

#[test]
fn unix_sockets_have_names_in_the_tree_and_outside_of_it() {
    World::new().run(|task| {
        let unix = |kind| now(socket::socket(task, Domain::Unix, kind, NONE)).unwrap();
        for name in ["/tmp/s", "\0abstract"] {
            let name = Address::Unix(name.into());
            let (server, client) = (unix(SocketKind::Stream), unix(SocketKind::Stream));
            now(socket::bind(task, server, &name)).unwrap();
            assert_eq!(now(socket::bind(task, unix(SocketKind::Stream), &name)), Err(Errno::Addrinuse));
            assert_eq!(now(socket::connect(task, client, &name)), Err(Errno::Connrefused), "it does not listen");
            now(socket::listen(task, server, 1)).unwrap();
            assert_eq!(now(socket::connect(task, unix(SocketKind::Datagram), &name)), Err(Errno::Prototype));
            now(socket::connect(task, client, &name)).unwrap();
            let (accepted, peer) = now(socket::accept(task, server, NONE)).unwrap();
            assert_eq!(peer, Address::Unix(String::new()));
            assert_eq!(now(socket::peer_address(task, client)).unwrap(), name);
            now(send(task, accepted, b"hi")).unwrap();
            assert_eq!(now(recv(task, client, 9)).unwrap(), b"hi");
            now(send(task, client, b"unread")).unwrap();
            now(descriptor::close(task, accepted)).unwrap();
            assert_eq!(now(send(task, client, b"x")), Err(Errno::Pipe));
            assert_eq!(now(recv(task, client, 1)), Err(Errno::Connreset));
            assert_eq!(now(recv(task, client, 1)).unwrap(), b"");
            now(descriptor::close(task, server)).unwrap();
            assert_eq!(now(socket::connect(task, unix(SocketKind::Stream), &name)), Err(Errno::Connrefused));
        }
        assert_eq!(
            now(fs::open(task, None, "/tmp/s", eyot_kernel::syscall::types::OpenFlags::READ, 0)),
            Err(Errno::Nxio)
        );
        let gone = Address::Unix("/tmp/none".into());
        assert_eq!(now(socket::connect(task, unix(SocketKind::Stream), &gone)), Err(Errno::Noent));
        let long = Address::Unix(format!("/tmp/{}", "x".repeat(103)));
        assert_eq!(now(socket::bind(task, unix(SocketKind::Stream), &long)), Err(Errno::Inval));
    });
}

#[test]
fn unix_datagrams_wait_for_a_slow_reader() {
    World::new().run(|task| {
        let (one, two) = now(socket::socketpair(task, SocketKind::Datagram, NONE)).unwrap();
        let mut sent = 0;
        while let Ok(count) = send(task, one, &[0; 4096]) {
            sent += count;
        }
        assert!(sent > 100_000 && waits(send(task, one, &[0; 4096])));
        assert!(!ready(task, one).contains(Readiness::WRITABLE));
        let mut received = 0;
        while received < sent {
            received += now(recv(task, two, 8192)).unwrap().len();
        }
        assert!(ready(task, one).contains(Readiness::WRITABLE));
        now(descriptor::close(task, two)).unwrap();
        assert_eq!(now(send(task, one, b"x")), Err(Errno::Connrefused));
    });
}

#[test]
fn wrong_uses_have_their_errors() {
    World::new().run(|task| {
        let fd = tcp(task);
        let (pipe, _) = now(eyot_kernel::syscall::pipe::pipe(task, NONE)).unwrap();
        assert_eq!(now(socket::listen(task, pipe, 1)), Err(Errno::Notsock));
        assert_eq!(now(socket::listen(task, 999, 1)), Err(Errno::Badf));
        assert_eq!(now(socket::accept(task, fd, NONE)), Err(Errno::Inval));
        assert_eq!(now(recv(task, fd, 1)), Err(Errno::Notconn));
        assert_eq!(now(send(task, fd, b"x")), Err(Errno::Pipe));
        assert_eq!(now(socket::shutdown(task, fd, Shutdown::Both)), Err(Errno::Notconn));
        assert_eq!(now(socket::peer_address(task, fd)), Err(Errno::Notconn));
        assert_eq!(now(socket::listen(task, udp(task), 1)), Err(Errno::Notsup));
        assert_eq!(now(socket::connect(task, fd, &Address::Unix("\0x".into()))), Err(Errno::Connrefused));
        assert_eq!(now(socket::connect(task, fd, &at("127.0.0.1:1"))), Err(Errno::Connrefused));
        assert_eq!(now(socket::connect(task, fd, &at("192.0.2.7:80"))), Err(Errno::Netunreach), "there is no network");
        let (client, _server) = connected(task);
        assert_eq!(now(socket::connect(task, client, &at("127.0.0.1:1"))), Err(Errno::Isconn));
        assert_eq!(now(socket::listen(task, client, 1)), Err(Errno::Inval));
        assert_eq!(
            now(socket::socket(task, Domain::Ipv4, SocketKind::Stream, DescriptorFlags::APPEND)),
            Err(Errno::Inval)
        );
        assert_eq!(now(socket::set_option(task, client, SocketOption::HopLimit, 256)), Err(Errno::Inval));
        assert_eq!(now(socket::get_option(task, client, SocketOption::V6Only)), Err(Errno::Noprotoopt));
        now(socket::set_option(task, client, SocketOption::NoDelay, 7)).unwrap();
        assert_eq!(now(socket::get_option(task, client, SocketOption::NoDelay)), Ok(1));
    });
}

#[test]
fn names_of_the_vm_itself_need_no_network() {
    World::new().run(|task| {
        let own: Vec<std::net::IpAddr> = vec!["127.0.0.1".parse().unwrap(), "::1".parse().unwrap()];
        assert_eq!(now(socket::resolve(task, "localhost")).unwrap(), own);
        assert_eq!(now(socket::resolve(task, "App.LocalHost.")).unwrap(), own);
        assert_eq!(
            now(socket::resolve(task, "192.0.2.1")).unwrap(),
            ["192.0.2.1".parse::<std::net::IpAddr>().unwrap()]
        );
        assert_eq!(now(socket::resolve(task, "example.com")), Err(Errno::Acces));
        assert_eq!(now(socket::resolve(task, "no name")), Err(Errno::Noent));
    });
}

#[test]
fn limits_hold_and_are_given_back() {
    let world = World::with(|builder| builder.limit(Limit::Sockets, 3).limit(Limit::SocketBytes, 128 << 10));
    world.run(|task| {
        let (one, two) = now(socket::socketpair(task, SocketKind::Stream, NONE)).unwrap();
        assert_eq!(now(socket::socketpair(task, SocketKind::Stream, NONE)), Err(Errno::Nobufs));
        tcp(task);
        assert_eq!(now(socket::socket(task, Domain::Ipv4, SocketKind::Stream, NONE)), Err(Errno::Nfile));
        now(descriptor::close(task, one)).unwrap();
        now(descriptor::close(task, two)).unwrap();
        now(socket::socketpair(task, SocketKind::Stream, NONE)).unwrap();
    });
}
