use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;
use std::time::Duration;

use eyot_hostnet::HostNet;

use super::*;

struct News(Mutex<mpsc::Sender<SocketId>>);

impl SocketWatcher for News {
    fn ready(&self, socket: SocketId, _: SocketReadiness) {
        let _ = self.0.lock().send(socket);
    }
}

struct World {
    net: ProxyNet,
    news: mpsc::Receiver<SocketId>,
    _watcher: Arc<News>,
}

impl World {
    fn new(make: impl FnOnce(Arc<dyn Sockets>) -> ProxyNet) -> Self {
        let net = make(Arc::new(HostNet::new().unwrap()));
        let (sender, news) = mpsc::channel();
        let watcher = Arc::new(News(Mutex::new(sender)));
        let weak: Weak<News> = Arc::downgrade(&watcher);
        net.watch(weak);
        Self { net, news, _watcher: watcher }
    }

    fn wait<T>(&self, socket: SocketId, mut call: impl FnMut(&ProxyNet) -> Result<T, Errno>) -> Result<T, Errno> {
        loop {
            match call(&self.net) {
                Err(Errno::Again) => {
                    while self.news.recv_timeout(Duration::from_secs(10)).expect("news must come") != socket {}
                }
                answer => return answer,
            }
        }
    }

    /// Connects by name as the kernel does: begins, waits for readiness, asks how it ended.
    fn connect(&self, host: &str, port: u16) -> Result<SocketId, Errno> {
        let socket = self.net.open(SocketKind::Stream, AddressFamily::Ipv4).unwrap();
        match self.net.connect_name(socket, host, port) {
            Ok(()) | Err(Errno::Inprogress) => {}
            Err(errno) => return Err(errno),
        }
        let made = SocketReadiness::WRITABLE | SocketReadiness::ERROR;
        self.wait(socket, |net| if net.readiness(socket).intersects(made) { Ok(()) } else { Err(Errno::Again) })?;
        match self.net.take_error(socket) {
            Some(errno) => Err(errno),
            None => Ok(socket),
        }
    }

    fn recv(&self, socket: SocketId, length: usize) -> Vec<u8> {
        let mut all = Vec::new();
        let mut buffer = [0; 64];
        while all.len() < length {
            let count = self.wait(socket, |net| net.recv(socket, &mut buffer)).unwrap();
            assert!(count > 0, "the end came early");
            all.extend_from_slice(&buffer[..count]);
        }
        all
    }
}

/// A server of one connection.
fn serve(act: impl FnOnce(TcpStream) + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || act(listener.accept().unwrap().0));
    address
}

fn expect(stream: &mut TcpStream, bytes: &[u8]) {
    let mut heard = vec![0; bytes.len()];
    stream.read_exact(&mut heard).unwrap();
    assert_eq!(heard, bytes);
}

fn me() -> Credentials {
    Credentials { user: "me".into(), password: "secret".into() }
}

#[test]
fn socks5_carries_a_connection_by_name_with_a_password() {
    let proxy = serve(|mut stream| {
        expect(&mut stream, &[5, 2, 0, 2]);
        stream.write_all(&[5, 2]).unwrap();
        expect(&mut stream, b"\x01\x02me\x06secret");
        stream.write_all(&[1, 0]).unwrap();
        expect(&mut stream, b"\x05\x01\x00\x03\x0bexample.com\x01\xbb");
        // In two pieces, and the far side speaks at once.
        stream.write_all(&[5, 0, 0]).unwrap();
        std::thread::sleep(Duration::from_millis(20));
        stream.write_all(b"\x01\x7f\x00\x00\x01\x00\x50hello").unwrap();
        expect(&mut stream, b"thanks");
        stream.write_all(b"bye").unwrap();
    });
    let world = World::new(|below| ProxyNet::socks5(below, proxy).credentials(me()));
    let socket = world.connect("example.com", 443).unwrap();
    assert_eq!(world.recv(socket, 5), b"hello");
    assert_eq!(world.wait(socket, |net| net.send(socket, b"thanks")), Ok(6));
    assert_eq!(world.recv(socket, 3), b"bye");
    assert_eq!(world.wait(socket, |net| net.recv(socket, &mut [0; 4])), Ok(0));
}

#[test]
fn http_connect_carries_a_connection_and_keeps_what_came_early() {
    let proxy = serve(|mut stream| {
        let request = b"CONNECT example.com:22 HTTP/1.1\r\nHost: example.com:22\r\nProxy-Authorization: Basic bWU6c2VjcmV0\r\n\r\n";
        expect(&mut stream, request);
        stream.write_all(b"HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\nSSH-2.0").unwrap();
        expect(&mut stream, b"hi");
    });
    let world = World::new(|below| ProxyNet::http_connect(below, proxy).credentials(me()));
    let socket = world.connect("example.com", 22).unwrap();
    assert_eq!(world.recv(socket, 7), b"SSH-2.0");
    assert_eq!(world.wait(socket, |net| net.send(socket, b"hi")), Ok(2));
}

#[test]
fn refusals_are_told_as_errors() {
    let answers: [(&[u8], Errno); 6] = [
        (b"HTTP/1.1 403 Forbidden\r\n\r\n", Errno::Acces),
        (b"HTTP/1.1 502 Bad Gateway\r\n\r\n", Errno::Hostunreach),
        (b"HTTP/1.1 504 x\r\n\r\n", Errno::Timedout),
        (b"SSH-2.0-what\r\n\r\n", Errno::Proto),
        (b"HTTP/1.1 200 OK\r\n", Errno::Connreset),
        (&[b'x'; 20_000], Errno::Proto),
    ];
    for (answer, errno) in answers {
        let proxy = serve(move |mut stream| {
            let mut byte = [0];
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                stream.read_exact(&mut byte).unwrap();
                request.push(byte[0]);
            }
            stream.write_all(answer).unwrap();
            if answer.len() > 10_000 {
                std::thread::sleep(Duration::from_millis(200));
            }
        });
        let world = World::new(|below| ProxyNet::http_connect(below, proxy));
        assert_eq!(world.connect("example.com", 80), Err(errno));
    }
    let proxy = serve(|mut stream| {
        expect(&mut stream, &[5, 1, 0]);
        stream.write_all(&[5, 255]).unwrap();
        std::thread::sleep(Duration::from_millis(100));
    });
    let world = World::new(|below| ProxyNet::socks5(below, proxy));
    assert_eq!(world.connect("example.com", 80), Err(Errno::Acces), "it wants a password");
    assert_eq!(world.connect(&"x".repeat(256), 80), Err(Errno::Nametoolong));
}

#[test]
fn a_proxy_that_is_not_there_refuses() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let world = World::new(|below| ProxyNet::socks5(below, closed));
    assert_eq!(world.connect("example.com", 80), Err(Errno::Connrefused));
    assert_eq!(world.net.open(SocketKind::Datagram, AddressFamily::Ipv4), Err(Errno::Protonosupport));
}
