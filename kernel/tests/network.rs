//! The granted network: rules, names, redirections and publications over the host's real sockets, and networks that lie.

mod common;

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};

use common::{World, now};
use eyot_hostnet::HostNet;
use eyot_kernel::Errno;
use eyot_kernel::backend::{
    AddressFamily, ReceivedFrom, SocketCapabilities, SocketId, SocketReadiness, SocketWatcher, Sockets, SocketsInfo,
};
use eyot_kernel::net::Network;
use eyot_kernel::process::Task;
use eyot_kernel::syscall::types::{
    Address, DescriptorFlags, Domain, ReceiveFlags, SendFlags, Shutdown, SocketKind, SocketOption,
};
use eyot_kernel::syscall::{descriptor, socket};

const NONE: DescriptorFlags = DescriptorFlags::empty();

fn at(text: &str) -> Address {
    Address::Ip(text.parse().unwrap())
}

fn open(task: &Task, kind: SocketKind) -> u32 {
    now(socket::socket(task, Domain::Ipv4, kind, NONE)).unwrap()
}

fn read_all(task: &Arc<Task>, fd: u32) -> Vec<u8> {
    let mut all = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let received = task.blocking(|| socket::recv(task, fd, &mut buffer, ReceiveFlags::empty())).unwrap();
        match received.count {
            0 => return all,
            count => all.extend_from_slice(&buffer[..count]),
        }
    }
}

fn hostnet() -> Network {
    Network::of(Arc::new(HostNet::new().unwrap()))
}

#[test]
fn a_redirection_leads_to_a_server_of_the_host_and_nothing_else_does() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap();
    let thread = std::thread::spawn(move || {
        let (mut stream, _) = server.accept().unwrap();
        let mut question = [0; 8];
        stream.read_exact(&mut question).unwrap();
        stream.write_all(b"answer to ").unwrap();
        stream.write_all(&question).unwrap();
    });
    let network = hostnet().redirect("10.0.2.2:80".parse().unwrap(), address);
    World::with(|builder| builder.network(network)).run(move |task| {
        let fd = open(task, SocketKind::Stream);
        assert_eq!(now(socket::connect(task, fd, &at("10.0.2.2:81"))), Err(Errno::Acces));
        assert_eq!(
            now(socket::connect(task, fd, &Address::Ip(address))),
            Err(Errno::Connrefused),
            "the VM's own loopback"
        );
        task.blocking(|| socket::connect(task, fd, &at("10.0.2.2:80"))).unwrap();
        assert_eq!(now(socket::peer_address(task, fd)).unwrap(), at("10.0.2.2:80"));
        now(socket::set_option(task, fd, SocketOption::NoDelay, 1)).unwrap();
        task.blocking(|| descriptor::write(task, fd, b"question")).unwrap();
        let mut peeked = [0; 4];
        let flags = ReceiveFlags::PEEK | ReceiveFlags::WAIT_ALL;
        assert_eq!(task.blocking(|| socket::recv(task, fd, &mut peeked, flags)).unwrap().count, 4);
        assert_eq!(&peeked, b"answ");
        assert_eq!(read_all(task, fd), b"answer to question");
        now(socket::shutdown(task, fd, Shutdown::Send)).unwrap();
    });
    thread.join().unwrap();
}

#[test]
fn connections_that_fail_say_why_waiting_or_not() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let network = hostnet().redirect("10.0.2.2:80".parse().unwrap(), closed);
    World::with(|builder| builder.network(network)).run(|task| {
        let fd = open(task, SocketKind::Stream);
        assert_eq!(task.blocking(|| socket::connect(task, fd, &at("10.0.2.2:80"))), Err(Errno::Connrefused));
        assert_eq!(task.blocking(|| socket::connect(task, fd, &at("10.0.2.2:80"))), Err(Errno::Connrefused), "again");
    });
}

#[test]
fn a_published_port_takes_connections_from_outside_and_inside() {
    let outside = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let network = hostnet().publish(SocketKind::Stream, 8080, outside);
    World::with(|builder| builder.network(network)).run(move |task| {
        let fd = open(task, SocketKind::Stream);
        now(socket::bind(task, fd, &at("0.0.0.0:8080"))).unwrap();
        now(socket::listen(task, fd, 4)).unwrap();
        let mut stream = TcpStream::connect(outside).unwrap();
        stream.write_all(b"from outside").unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let (accepted, peer) = task.blocking(|| socket::accept(task, fd, NONE)).unwrap();
        assert_eq!(peer, Address::Ip(stream.local_addr().unwrap()));
        assert_eq!(read_all(task, accepted), b"from outside");
        let inside = open(task, SocketKind::Stream);
        now(socket::connect(task, inside, &at("127.0.0.1:8080"))).unwrap();
        task.blocking(|| socket::accept(task, fd, NONE)).unwrap();
    });
}

#[test]
fn datagrams_leave_and_only_welcome_ones_come_in() {
    let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = peer.local_addr().unwrap();
    let thread = std::thread::spawn(move || {
        let mut buffer = [0; 64];
        let (count, from) = peer.recv_from(&mut buffer).unwrap();
        // A stranger is faster.
        UdpSocket::bind("127.0.0.1:0").unwrap().send_to(b"stranger", from).unwrap();
        peer.send_to(&buffer[..count], from).unwrap();
    });
    let network = hostnet().redirect("10.0.2.2:53".parse().unwrap(), address);
    World::with(|builder| builder.network(network)).run(|task| {
        let fd = open(task, SocketKind::Datagram);
        let refused = socket::send(task, fd, b"x", SendFlags::empty(), Some(&at("10.0.2.3:53")));
        assert_eq!(now(refused), Err(Errno::Acces));
        now(socket::connect(task, fd, &at("10.0.2.2:53"))).unwrap();
        task.blocking(|| descriptor::write(task, fd, b"ping")).unwrap();
        let mut buffer = [0; 64];
        let received = task.blocking(|| socket::recv(task, fd, &mut buffer, ReceiveFlags::empty())).unwrap();
        assert_eq!(&buffer[..received.count], b"ping");
    });
    thread.join().unwrap();
}

/// A network that says whatever a test wants.
#[derive(Default)]
struct Liar {
    next: AtomicU64,
    same_number: bool,
    count: usize,
    addresses: Vec<IpAddr>,
    by_name: bool,
    asked: Mutex<Vec<String>>,
    watcher: Mutex<Option<Weak<dyn SocketWatcher>>>,
    closed: AtomicUsize,
}

impl Liar {
    fn number(&self) -> SocketId {
        if self.same_number { 7 } else { self.next.fetch_add(1, Ordering::Relaxed) + 1 }
    }
}

impl Sockets for Liar {
    fn info(&self) -> SocketsInfo {
        let lookups = if self.by_name { SocketCapabilities::NAMES } else { SocketCapabilities::LOOKUPS };
        let capabilities = SocketCapabilities::STREAMS | SocketCapabilities::DATAGRAMS | lookups;
        SocketsInfo { capabilities, kind: "liar".into() }
    }

    fn watch(&self, watcher: Weak<dyn SocketWatcher>) {
        *self.watcher.lock().unwrap() = Some(watcher);
    }

    fn open(&self, _: SocketKind, _: AddressFamily) -> Result<SocketId, Errno> {
        let id = self.number();
        // A flood of news, most of it of nobody.
        if let Some(watcher) = self.watcher.lock().unwrap().as_ref().and_then(Weak::upgrade) {
            (0..10_000).for_each(|number| watcher.ready(number, SocketReadiness::all()));
        }
        Ok(id)
    }

    fn bind(&self, _: SocketId, _: SocketAddr) -> Result<(), Errno> {
        Ok(())
    }

    fn connect(&self, _: SocketId, remote: SocketAddr) -> Result<(), Errno> {
        self.asked.lock().unwrap().push(remote.to_string());
        Ok(())
    }

    fn connect_name(&self, _: SocketId, host: &str, port: u16) -> Result<(), Errno> {
        self.asked.lock().unwrap().push(format!("{host}:{port}"));
        Ok(())
    }

    fn listen(&self, _: SocketId, _: u32) -> Result<(), Errno> {
        Ok(())
    }

    fn accept(&self, _: SocketId) -> Result<(SocketId, SocketAddr), Errno> {
        Err(Errno::Again)
    }

    fn send(&self, _: SocketId, _: &[u8]) -> Result<usize, Errno> {
        Ok(self.count)
    }

    fn recv(&self, _: SocketId, _: &mut [u8]) -> Result<usize, Errno> {
        Ok(self.count)
    }

    fn send_to(&self, _: SocketId, _: &[u8], _: Option<SocketAddr>) -> Result<(), Errno> {
        Ok(())
    }

    fn recv_from(&self, _: SocketId, _: &mut [u8]) -> Result<ReceivedFrom, Errno> {
        Ok(ReceivedFrom { count: self.count, length: self.count, sender: "1.1.1.1:1".parse().unwrap() })
    }

    fn shutdown(&self, _: SocketId, _: Shutdown) -> Result<(), Errno> {
        Ok(())
    }

    fn readiness(&self, _: SocketId) -> SocketReadiness {
        SocketReadiness::all()
    }

    fn take_error(&self, _: SocketId) -> Option<Errno> {
        None
    }

    fn local_address(&self, _: SocketId) -> Result<SocketAddr, Errno> {
        Err(Errno::Io)
    }

    fn peer_address(&self, _: SocketId) -> Result<SocketAddr, Errno> {
        Err(Errno::Io)
    }

    fn get_option(&self, _: SocketId, _: SocketOption) -> Result<u64, Errno> {
        Err(Errno::Noprotoopt)
    }

    fn set_option(&self, _: SocketId, _: SocketOption, _: u64) -> Result<(), Errno> {
        Err(Errno::Noprotoopt)
    }

    fn close(&self, _: SocketId) {
        self.closed.fetch_add(1, Ordering::Relaxed);
    }

    fn lookup(&self, _: &str) -> Result<SocketId, Errno> {
        Ok(self.number())
    }

    fn answer(&self, _: SocketId) -> Result<Vec<IpAddr>, Errno> {
        Ok(self.addresses.clone())
    }
}

fn over(liar: &Arc<Liar>, rule: &str) -> Network {
    Network::of(liar.clone()).allow(rule).unwrap()
}

#[test]
fn counts_that_cannot_be_true_are_io_errors() {
    let liar = Arc::new(Liar { count: 1000, ..Default::default() });
    World::with(|builder| builder.network(over(&liar, "*"))).run(|task| {
        let fd = open(task, SocketKind::Stream);
        now(socket::connect(task, fd, &at("1.1.1.1:1"))).unwrap();
        assert_eq!(now(descriptor::write(task, fd, b"x")), Err(Errno::Io));
        assert_eq!(now(descriptor::read(task, fd, &mut [0; 4])), Err(Errno::Io));
        let fd = open(task, SocketKind::Datagram);
        now(socket::send(task, fd, b"x", SendFlags::empty(), Some(&at("1.1.1.1:1")))).unwrap();
        assert_eq!(now(descriptor::read(task, fd, &mut [0; 4])), Err(Errno::Io));
    });
    assert_eq!(liar.closed.load(Ordering::Relaxed), 2, "each is closed once");
}

#[test]
fn a_number_that_is_in_use_is_an_io_error_and_closes_nobody() {
    let liar = Arc::new(Liar { same_number: true, ..Default::default() });
    World::with(|builder| builder.network(over(&liar, "*"))).run(|task| {
        let (one, two) = (open(task, SocketKind::Stream), open(task, SocketKind::Stream));
        now(socket::connect(task, one, &at("1.1.1.1:1"))).unwrap();
        assert_eq!(now(socket::connect(task, two, &at("1.1.1.1:1"))), Err(Errno::Io));
    });
    assert_eq!(liar.closed.load(Ordering::Relaxed), 1);
}

#[test]
fn names_that_lead_inside_are_left_out() {
    let public: IpAddr = "93.184.215.14".parse().unwrap();
    let addresses = vec!["127.0.0.1".parse().unwrap(), "10.0.0.1".parse().unwrap(), public];
    let liar = Arc::new(Liar { addresses, ..Default::default() });
    World::with(|builder| builder.network(over(&liar, "example.com:443"))).run(move |task| {
        let fd = open(task, SocketKind::Stream);
        assert_eq!(now(socket::connect(task, fd, &at("93.184.215.14:443"))), Err(Errno::Acces), "not looked up yet");
        assert_eq!(now(socket::resolve(task, "example.com")).unwrap(), [public]);
        assert_eq!(now(socket::resolve(task, "example.org")), Err(Errno::Acces));
        assert_eq!(now(socket::connect(task, fd, &at("93.184.215.14:80"))), Err(Errno::Acces), "another port");
        assert_eq!(now(socket::connect(task, fd, &at("10.0.0.1:443"))), Err(Errno::Acces));
        now(socket::connect(task, fd, &at("93.184.215.14:443"))).unwrap();
    });
    assert_eq!(*liar.asked.lock().unwrap(), ["93.184.215.14:443"]);
    let rebound = Arc::new(Liar { addresses: vec!["169.254.169.254".parse().unwrap()], ..Default::default() });
    World::with(|builder| builder.network(over(&rebound, "example.com"))).run(|task| {
        assert_eq!(now(socket::resolve(task, "example.com")), Err(Errno::Acces));
    });
}

#[test]
fn a_network_that_knows_names_is_asked_by_name() {
    let liar = Arc::new(Liar { by_name: true, ..Default::default() });
    World::with(|builder| builder.network(over(&liar, "*.example.com:443"))).run(|task| {
        let found = now(socket::resolve(task, "api.example.com")).unwrap();
        assert_eq!(found, now(socket::resolve(task, "API.example.com")).unwrap(), "the same stand-in");
        let fd = open(task, SocketKind::Stream);
        let to = |port| Address::Ip(SocketAddr::new(found[0], port));
        assert_eq!(now(socket::connect(task, fd, &to(80))), Err(Errno::Acces));
        now(socket::connect(task, fd, &to(443))).unwrap();
        assert_eq!(
            now(socket::connect(task, open(task, SocketKind::Stream), &at("198.18.9.9:443"))),
            Err(Errno::Acces)
        );
    });
    assert_eq!(*liar.asked.lock().unwrap(), ["api.example.com:443"]);
}
