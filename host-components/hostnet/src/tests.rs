use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::sync::mpsc;
use std::time::Duration;

use super::*;

/// Passes the news on.
struct News(parking_lot::Mutex<mpsc::Sender<SocketId>>);

impl SocketWatcher for News {
    fn ready(&self, socket: SocketId, _: SocketReadiness) {
        let _ = self.0.lock().send(socket);
    }
}

struct World {
    net: HostNet,
    news: mpsc::Receiver<SocketId>,
    _watcher: Arc<News>,
}

fn world() -> World {
    let net = HostNet::new().unwrap();
    let (sender, news) = mpsc::channel();
    let watcher = Arc::new(News(parking_lot::Mutex::new(sender)));
    let weak: Weak<News> = Arc::downgrade(&watcher);
    net.watch(weak);
    World { net, news, _watcher: watcher }
}

impl World {
    /// Calls until there is an answer, and only after news came.
    fn wait<T>(&self, socket: SocketId, mut call: impl FnMut(&HostNet) -> Result<T, Errno>) -> Result<T, Errno> {
        loop {
            match call(&self.net) {
                Err(Errno::Again) => {
                    while self.news.recv_timeout(Duration::from_secs(10)).expect("news must come") != socket {}
                }
                answer => return answer,
            }
        }
    }

    fn tcp(&self) -> SocketId {
        self.net.open(SocketKind::Stream, AddressFamily::Ipv4).unwrap()
    }

    fn connected(&self, socket: SocketId, to: SocketAddr) -> Option<Errno> {
        match self.net.connect(socket, to) {
            Ok(()) => return None,
            Err(Errno::Inprogress) => {}
            Err(errno) => return Some(errno),
        }
        let made = SocketReadiness::WRITABLE | SocketReadiness::ERROR;
        self.wait(socket, |net| if net.readiness(socket).intersects(made) { Ok(()) } else { Err(Errno::Again) })
            .unwrap();
        self.net.take_error(socket)
    }
}

#[test]
fn a_client_talks_to_a_server_of_the_host() {
    let world = world();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut all = Vec::new();
        stream.read_to_end(&mut all).unwrap();
        stream.write_all(&all).unwrap();
    });
    let client = world.tcp();
    assert_eq!(world.connected(client, address), None);
    assert_eq!(world.net.peer_address(client), Ok(address));
    assert_eq!(world.net.recv(client, &mut [0; 8]), Err(Errno::Again));
    let bytes: Vec<u8> = (0..2_000_000_u32).map(|number| (number % 251) as u8).collect();
    let mut sent = 0;
    while sent < bytes.len() {
        let end = bytes.len().min(sent + (1 << 20));
        sent += world.wait(client, |net| net.send(client, &bytes[sent..end])).unwrap();
    }
    world.net.shutdown(client, Shutdown::Send).unwrap();
    assert_eq!(world.net.send(client, b"x"), Err(Errno::Pipe));
    let mut back = Vec::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match world.wait(client, |net| net.recv(client, &mut buffer)).unwrap() {
            0 => break,
            count => back.extend_from_slice(&buffer[..count]),
        }
    }
    assert!(back == bytes);
    server.join().unwrap();
    world.net.close(client);
    assert_eq!(world.net.recv(client, &mut buffer), Err(Errno::Notsock));
}

#[test]
fn a_server_takes_connections_and_refusals_are_told() {
    let world = world();
    let server = world.tcp();
    world.net.bind(server, "127.0.0.1:0".parse().unwrap()).unwrap();
    world.net.listen(server, 8).unwrap();
    let address = world.net.local_address(server).unwrap();
    assert_eq!(world.net.accept(server), Err(Errno::Again));
    let mut stream = TcpStream::connect(address).unwrap();
    let (accepted, peer) = world.wait(server, |net| net.accept(server)).unwrap();
    assert_eq!(peer, stream.local_addr().unwrap());
    stream.write_all(b"hello").unwrap();
    let mut buffer = [0; 16];
    assert_eq!(world.wait(accepted, |net| net.recv(accepted, &mut buffer)), Ok(5));
    drop(stream);
    assert_eq!(world.wait(accepted, |net| net.recv(accepted, &mut buffer)), Ok(0));
    let second = world.tcp();
    assert_eq!(world.net.bind(second, address), Err(Errno::Addrinuse));
    world.net.close(server);
    let third = world.tcp();
    assert_eq!(world.connected(third, address), Some(Errno::Connrefused));
}

#[test]
fn datagrams_tell_their_whole_length() {
    let world = world();
    let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
    let socket = world.net.open(SocketKind::Datagram, AddressFamily::Ipv4).unwrap();
    world.net.send_to(socket, b"question", Some(peer.local_addr().unwrap())).unwrap();
    let mut buffer = [0; 64];
    let (count, from) = peer.recv_from(&mut buffer).unwrap();
    assert_eq!(&buffer[..count], b"question");
    peer.send_to(b"a long answer", from).unwrap();
    let mut small = [0; 6];
    let received = world.wait(socket, |net| net.recv_from(socket, &mut small)).unwrap();
    assert_eq!((received.count, received.length, received.sender), (6, 13, peer.local_addr().unwrap()));
    assert_eq!(&small, b"a long");
    assert_eq!(world.net.send_to(socket, &vec![0; 70_000], Some(from)), Err(Errno::Msgsize));
}

#[test]
fn names_are_found_or_not() {
    let world = world();
    let lookup = world.net.lookup("localhost").unwrap();
    let found = world.wait(lookup, |net| net.answer(lookup)).unwrap();
    assert!(found.iter().all(IpAddr::is_loopback) && !found.is_empty());
    let none = world.net.lookup("no-such-host.invalid").unwrap();
    assert_eq!(world.wait(none, |net| net.answer(none)), Err(Errno::Noent));
    world.net.close(lookup);
    assert_eq!(world.net.answer(lookup), Err(Errno::Notsock));
}

#[test]
fn options_go_to_the_host() {
    let world = world();
    let socket = world.tcp();
    for (option, value) in [
        (SocketOption::NoDelay, 1),
        (SocketOption::ReuseAddress, 1),
        (SocketOption::KeepAliveIdle, 30),
        (SocketOption::KeepAliveInterval, 5),
        (SocketOption::KeepAliveCount, 3),
        (SocketOption::HopLimit, 12),
    ] {
        world.net.set_option(socket, option, value).unwrap();
        assert_eq!(world.net.get_option(socket, option), Ok(value), "{option:?}");
    }
    assert_eq!(world.net.get_option(socket, SocketOption::KeepAlive), Ok(0), "its times do not turn it on");
}

#[test]
fn there_is_a_bound_on_sockets() {
    let net = HostNet::new().unwrap().sockets_max(1);
    let one = net.open(SocketKind::Stream, AddressFamily::Ipv4).unwrap();
    assert_eq!(net.open(SocketKind::Stream, AddressFamily::Ipv4), Err(Errno::Mfile));
    net.close(one);
    assert!(net.open(SocketKind::Stream, AddressFamily::Ipv4).is_ok());
}
