//! The same steps on Linux's own sockets and on the VM's: every answer must be the same.
#![cfg(target_os = "linux")]

mod common;

use std::collections::HashMap;
use std::io::Read;
use std::net::SocketAddr;
use std::sync::Arc;

use common::World;
use eyot_kernel::Errno;
use eyot_kernel::process::Task;
use eyot_kernel::syscall::types::{Address, DescriptorFlags, Domain, ReceiveFlags, SendFlags, Shutdown, SocketKind};
use eyot_kernel::syscall::{descriptor, socket};
use eyot_kernel::wait::{SysError, SysResult};

/// One step; names stand for sockets. Nothing waits: what would answers `EAGAIN`.
#[derive(Clone, Copy, Debug)]
enum Step {
    Tcp(&'static str),
    Udp(&'static str),
    Pair(&'static str, &'static str),
    Bind(&'static str),
    /// Binds to the address of another.
    BindAs(&'static str, &'static str),
    Listen(&'static str),
    Connect(&'static str, &'static str),
    Accept(&'static str, &'static str),
    Send(&'static str, &'static [u8]),
    SendTo(&'static str, &'static [u8], &'static str),
    Recv(&'static str, usize),
    Peek(&'static str, usize),
    Shut(&'static str, Shutdown),
    Error(&'static str),
    Peer(&'static str),
    Close(&'static str),
}

use Step::*;

type Answer = Result<Vec<u8>, Errno>;

trait Machine {
    fn step(&mut self, step: Step) -> Answer;
}

/// Linux.
#[derive(Default)]
struct Host {
    sockets: HashMap<&'static str, socket2::Socket>,
    addresses: HashMap<&'static str, socket2::SockAddr>,
}

fn to_errno(error: std::io::Error) -> Errno {
    Errno::from_linux(error.raw_os_error().unwrap()).unwrap()
}

impl Host {
    fn make(&mut self, name: &'static str, kind: socket2::Type) -> std::io::Result<()> {
        let made = socket2::Socket::new(socket2::Domain::IPV4, kind, None)?;
        made.set_nonblocking(true)?;
        self.sockets.insert(name, made);
        Ok(())
    }

    fn bind(&mut self, name: &'static str, address: &socket2::SockAddr) -> std::io::Result<()> {
        self.sockets[name].bind(address)?;
        self.addresses.insert(name, self.sockets[name].local_addr()?);
        Ok(())
    }

    fn try_step(&mut self, step: Step) -> std::io::Result<Vec<u8>> {
        let flags = 0x4000; // MSG_NOSIGNAL
        match step {
            Tcp(name) => self.make(name, socket2::Type::STREAM)?,
            Udp(name) => self.make(name, socket2::Type::DGRAM)?,
            Pair(one, two) => {
                let (first, second) = socket2::Socket::pair(socket2::Domain::UNIX, socket2::Type::STREAM, None)?;
                first.set_nonblocking(true)?;
                second.set_nonblocking(true)?;
                self.sockets.insert(one, first);
                self.sockets.insert(two, second);
            }
            Bind(name) => self.bind(name, &"127.0.0.1:0".parse::<SocketAddr>().unwrap().into())?,
            BindAs(name, other) => self.bind(name, &self.addresses[other].clone())?,
            Listen(name) => self.sockets[name].listen(4)?,
            Connect(name, to) => {
                let own = &self.sockets[name];
                match own.connect(&self.addresses[to]) {
                    // On loopback the handshake is over when the call comes back, and only its result is told later.
                    Err(error) if error.raw_os_error() == Some(115) => {
                        std::thread::sleep(std::time::Duration::from_millis(20));
                        own.connect(&self.addresses[to])?;
                    }
                    other => other?,
                }
            }
            Accept(name, new) => {
                let (accepted, _) = self.sockets[name].accept()?;
                accepted.set_nonblocking(true)?;
                self.sockets.insert(new, accepted);
            }
            Send(name, bytes) => return Ok(vec![self.sockets[name].send_with_flags(bytes, flags)? as u8]),
            SendTo(name, bytes, to) => {
                return Ok(vec![self.sockets[name].send_to_with_flags(bytes, &self.addresses[to], flags)? as u8]);
            }
            Recv(name, length) => {
                let mut buffer = vec![0; length];
                let count = (&self.sockets[name]).read(&mut buffer)?;
                buffer.truncate(count);
                return Ok(buffer);
            }
            Peek(name, length) => {
                let mut buffer = vec![std::mem::MaybeUninit::new(0); length];
                let count = self.sockets[name].peek(&mut buffer)?;
                return Ok(vec![count as u8]);
            }
            Shut(name, how) => self.sockets[name].shutdown(match how {
                Shutdown::Receive => std::net::Shutdown::Read,
                Shutdown::Send => std::net::Shutdown::Write,
                Shutdown::Both => std::net::Shutdown::Both,
            })?,
            Error(name) => {
                if let Some(error) = self.sockets[name].take_error()? {
                    return Err(error);
                }
            }
            Peer(name) => {
                self.sockets[name].peer_addr()?;
            }
            Close(name) => drop(self.sockets.remove(name)),
        }
        Ok(Vec::new())
    }
}

impl Machine for Host {
    fn step(&mut self, step: Step) -> Answer {
        let answer = self.try_step(step).map_err(to_errno);
        // What one step set off is over before the next.
        std::thread::sleep(std::time::Duration::from_millis(2));
        answer
    }
}

/// A VM.
struct Guest<'a> {
    task: &'a Arc<Task>,
    fds: HashMap<&'static str, u32>,
    addresses: HashMap<&'static str, Address>,
}

impl Guest<'_> {
    fn bind(&mut self, name: &'static str, address: &Address) -> SysResult<()> {
        socket::bind(self.task, self.fds[name], address)?;
        self.addresses.insert(name, socket::local_address(self.task, self.fds[name])?);
        Ok(())
    }

    fn recv(&self, name: &str, length: usize, flags: ReceiveFlags) -> SysResult<Vec<u8>> {
        let mut buffer = vec![0; length];
        let received = socket::recv(self.task, self.fds[name], &mut buffer, flags)?;
        buffer.truncate(received.count);
        Ok(buffer)
    }

    fn try_step(&mut self, step: Step) -> SysResult<Vec<u8>> {
        let (task, own) = (self.task, DescriptorFlags::NON_BLOCKING);
        match step {
            Tcp(name) => drop(self.fds.insert(name, socket::socket(task, Domain::Ipv4, SocketKind::Stream, own)?)),
            Udp(name) => drop(self.fds.insert(name, socket::socket(task, Domain::Ipv4, SocketKind::Datagram, own)?)),
            Pair(one, two) => {
                let (first, second) = socket::socketpair(task, SocketKind::Stream, own)?;
                self.fds.insert(one, first);
                self.fds.insert(two, second);
            }
            Bind(name) => self.bind(name, &Address::Ip("127.0.0.1:0".parse().unwrap()))?,
            BindAs(name, other) => self.bind(name, &self.addresses[other].clone())?,
            Listen(name) => socket::listen(task, self.fds[name], 4)?,
            Connect(name, to) => socket::connect(task, self.fds[name], &self.addresses[to])?,
            Accept(name, new) => {
                let (accepted, _) = socket::accept(task, self.fds[name], own)?;
                self.fds.insert(new, accepted);
            }
            Send(name, bytes) => {
                return Ok(vec![socket::send(task, self.fds[name], bytes, SendFlags::NO_SIGNAL, None)? as u8]);
            }
            SendTo(name, bytes, to) => {
                let to = Some(&self.addresses[to]);
                return Ok(vec![socket::send(task, self.fds[name], bytes, SendFlags::NO_SIGNAL, to)? as u8]);
            }
            Recv(name, length) => return self.recv(name, length, ReceiveFlags::empty()),
            Peek(name, length) => return Ok(vec![self.recv(name, length, ReceiveFlags::PEEK)?.len() as u8]),
            Shut(name, how) => socket::shutdown(task, self.fds[name], how)?,
            Error(name) => {
                if let Some(errno) = socket::take_error(task, self.fds[name])? {
                    return Err(errno.into());
                }
            }
            Peer(name) => drop(socket::peer_address(task, self.fds[name])?),
            Close(name) => descriptor::close(task, self.fds.remove(name).unwrap())?,
        }
        Ok(Vec::new())
    }
}

impl Machine for Guest<'_> {
    fn step(&mut self, step: Step) -> Answer {
        self.try_step(step).map_err(|error| match error {
            SysError::Errno(errno) => errno,
            SysError::Wait(_) => panic!("{step:?} waits"),
        })
    }
}

/// `c` and `s`: both ends of a connection; `l` listens.
const CONNECTED: &[Step] = &[Tcp("l"), Bind("l"), Listen("l"), Tcp("c"), Connect("c", "l"), Accept("l", "s")];

const STORIES: &[(&str, &[Step], &[Step])] = &[
    (
        "talk",
        CONNECTED,
        &[
            Send("c", b"abc"),
            Peek("s", 9),
            Recv("s", 2),
            Recv("s", 9),
            Recv("s", 9),
            Send("s", b""),
            Recv("c", 1),
            Peer("s"),
        ],
    ),
    (
        "half close",
        CONNECTED,
        &[
            Send("c", b"ab"),
            Shut("c", Shutdown::Send),
            Send("c", b"x"),
            Recv("s", 9),
            Recv("s", 9),
            Recv("s", 9),
            Send("s", b"y"),
            Recv("c", 9),
            Recv("c", 9),
        ],
    ),
    ("close", CONNECTED, &[Close("s"), Recv("c", 1), Send("c", b"x"), Send("c", b"x"), Send("c", b"x"), Recv("c", 1)]),
    (
        "close with unread bytes",
        CONNECTED,
        &[
            Send("c", b"unread"),
            Send("s", b"sent"),
            Close("s"),
            Recv("c", 9),
            Recv("c", 9),
            Recv("c", 9),
            Send("c", b"x"),
        ],
    ),
    (
        "write after a reset",
        CONNECTED,
        &[Send("c", b"unread"), Close("s"), Send("c", b"x"), Send("c", b"x"), Recv("c", 1)],
    ),
    (
        "error of a reset",
        CONNECTED,
        &[Send("c", b"unread"), Close("s"), Error("c"), Error("c"), Recv("c", 1), Send("c", b"x")],
    ),
    (
        "shut for reading",
        CONNECTED,
        &[Shut("c", Shutdown::Receive), Recv("c", 1), Send("s", b"abc"), Recv("c", 9), Recv("c", 9)],
    ),
    ("shut both", CONNECTED, &[Shut("c", Shutdown::Both), Recv("c", 1), Send("c", b"x"), Recv("s", 1)]),
    ("wrong calls on a connection", CONNECTED, &[Connect("c", "l"), Listen("c"), Accept("c", "x"), Bind("c")]),
    (
        "a listener",
        CONNECTED,
        &[Accept("l", "x"), Recv("l", 1), Send("l", b"x"), Connect("l", "l"), Peer("l"), Listen("l"), Bind("l")],
    ),
    (
        "a listener that stops",
        CONNECTED,
        &[Shut("l", Shutdown::Receive), Accept("l", "x"), Tcp("d"), Connect("d", "l")],
    ),
    (
        "not connected",
        &[Tcp("c")],
        &[Recv("c", 1), Send("c", b"x"), Shut("c", Shutdown::Both), Peer("c"), Accept("c", "x"), Error("c")],
    ),
    (
        "refused",
        &[Tcp("l"), Bind("l"), Tcp("c")],
        &[Connect("c", "l"), Connect("c", "l"), Listen("l"), Connect("c", "l"), Send("c", b"x")],
    ),
    (
        "an address in use",
        &[Tcp("l"), Bind("l"), Tcp("m")],
        &[BindAs("m", "l"), Bind("l"), Close("l"), BindAs("m", "l"), Listen("m")],
    ),
    (
        "never accepted",
        &[Tcp("l"), Bind("l"), Listen("l"), Tcp("c")],
        &[Connect("c", "l"), Send("c", b"x"), Close("l"), Recv("c", 1), Recv("c", 1)],
    ),
    (
        "datagrams",
        &[Udp("a"), Bind("a"), Udp("b"), Bind("b")],
        &[
            SendTo("b", b"one", "a"),
            SendTo("b", b"", "a"),
            Peek("a", 2),
            Recv("a", 2),
            Recv("a", 9),
            Recv("a", 9),
            Send("b", b"x"),
            Peer("b"),
            Connect("b", "a"),
            Send("b", b"two"),
            Recv("a", 9),
            Peer("b"),
        ],
    ),
    (
        "datagrams from others",
        &[Udp("a"), Bind("a"), Udp("b"), Bind("b"), Udp("c"), Bind("c"), Connect("a", "b")],
        &[SendTo("c", b"no", "a"), Recv("a", 9), SendTo("b", b"yes", "a"), Recv("a", 9)],
    ),
    (
        "datagrams for nobody",
        &[Udp("a"), Bind("a"), Udp("b"), Connect("b", "a"), Close("a")],
        &[
            Send("b", b"x"),
            Recv("b", 1),
            Recv("b", 1),
            Send("b", b"x"),
            Send("b", b"x"),
            Send("b", b"x"),
            Send("b", b"x"),
            Error("b"),
        ],
    ),
    ("wrong calls on datagrams", &[Udp("a"), Bind("a")], &[Listen("a"), Accept("a", "x"), Shut("a", Shutdown::Both)]),
    (
        "shut datagrams",
        &[Udp("a"), Bind("a"), Udp("b"), Connect("b", "a")],
        &[Shut("b", Shutdown::Send), Send("b", b"x"), Error("b")],
    ),
    (
        "a pair",
        &[Pair("a", "b")],
        &[
            Send("a", b"xy"),
            Recv("b", 1),
            Peek("b", 9),
            Shut("a", Shutdown::Send),
            Recv("b", 9),
            Recv("b", 9),
            Send("a", b"x"),
            Send("b", b"x"),
            Close("b"),
            Recv("a", 9),
            Recv("a", 9),
        ],
    ),
    (
        "a pair that closes",
        &[Pair("a", "b")],
        &[Send("a", b"unread"), Close("b"), Send("a", b"x"), Recv("a", 1), Recv("a", 1)],
    ),
    (
        "a pair that does not listen to",
        &[Pair("a", "b")],
        &[Shut("b", Shutdown::Receive), Send("a", b"x"), Recv("b", 1), Listen("a"), Accept("a", "x")],
    ),
];

#[test]
fn every_answer_is_linux_s() {
    let mut wrong = Vec::new();
    for (name, before, steps) in STORIES {
        let mut host = Host::default();
        let linux: Vec<Answer> = before.iter().chain(*steps).map(|&step| host.step(step)).collect();
        let ours = Arc::new(std::sync::Mutex::new(Vec::new()));
        let out = ours.clone();
        World::new().run(move |task| {
            let mut guest = Guest { task, fds: HashMap::new(), addresses: HashMap::new() };
            *out.lock().unwrap() = before.iter().chain(*steps).map(|&step| guest.step(step)).collect();
        });
        let ours = ours.lock().unwrap().clone();
        for ((step, linux), ours) in before.iter().chain(*steps).zip(linux).zip(ours) {
            if linux != ours {
                wrong.push(format!("{name}: {step:?}: Linux answers {linux:?}, the VM {ours:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
