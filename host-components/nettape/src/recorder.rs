//! Writing the tape.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, Weak};

use eyot_backend::{
    AddressFamily, Errno, ReceivedFrom, Shutdown, SocketId, SocketKind, SocketOption, SocketReadiness, SocketWatcher,
    Sockets, SocketsInfo,
};
use parking_lot::Mutex;

use crate::tape::{self, Event};

struct Tape {
    file: BufWriter<File>,
    /// The first error: from then on nothing is written.
    failed: Option<io::Error>,
    kinds: HashMap<SocketId, SocketKind>,
    conversations: HashMap<SocketId, u32>,
    /// Those whose end or failure is on the tape already.
    ended: HashSet<SocketId>,
    next: u32,
}

/// Passes everything on to another network, and writes it down.
pub struct Recorder {
    below: Arc<dyn Sockets>,
    tape: Mutex<Tape>,
}

impl Recorder {
    /// Records what goes over `below` into a file, which is made anew. Errors: the file cannot be made.
    pub fn new(below: Arc<dyn Sockets>, path: &Path) -> io::Result<Self> {
        let mut file = BufWriter::new(File::create(path)?);
        tape::begin(&mut file)?;
        let tape = Tape {
            file,
            failed: None,
            kinds: HashMap::new(),
            conversations: HashMap::new(),
            ended: HashSet::new(),
            next: 0,
        };
        Ok(Self { below, tape: Mutex::new(tape) })
    }

    /// Makes sure that everything is in the file. Errors: the first that writing met with.
    pub fn finish(&self) -> io::Result<()> {
        let mut tape = self.tape.lock();
        match tape.failed.take() {
            Some(error) => Err(error),
            None => tape.file.flush(),
        }
    }

    fn begin(&self, socket: SocketId, event: &Event) {
        let mut tape = self.tape.lock();
        let number = tape.next;
        tape.next += 1;
        tape.conversations.insert(socket, number);
        tape.ended.remove(&socket);
        tape.write(number, event);
    }

    fn write(&self, socket: SocketId, event: &Event) {
        let mut tape = self.tape.lock();
        // What was accepted or never connected is no conversation.
        let Some(&number) = tape.conversations.get(&socket) else { return };
        let last = matches!(event, Event::End | Event::Failed(_) | Event::Answer(_));
        if last && !tape.ended.insert(socket) {
            return;
        }
        tape.write(number, event);
    }

    /// Notes a failure, if it is one that the guest sees.
    fn note<T>(&self, socket: SocketId, result: Result<T, Errno>) -> Result<T, Errno> {
        if let Err(errno) = &result
            && !matches!(errno, Errno::Again | Errno::Inprogress | Errno::Already)
        {
            self.write(socket, &Event::Failed(*errno));
        }
        result
    }

    fn target(&self, socket: SocketId, to: &str) -> Event {
        let kind = self.tape.lock().kinds.get(&socket).copied();
        Event::Connect(target(kind.unwrap_or(SocketKind::Stream), to))
    }
}

/// A target as it is written.
pub(crate) fn target(kind: SocketKind, to: &str) -> String {
    match kind {
        SocketKind::Stream => format!("stream {to}"),
        SocketKind::Datagram => format!("datagram {to}"),
    }
}

impl Tape {
    fn write(&mut self, number: u32, event: &Event) {
        if self.failed.is_none()
            && let Err(error) = tape::write(&mut self.file, number, event)
        {
            self.failed = Some(error);
        }
    }
}

impl Sockets for Recorder {
    fn info(&self) -> SocketsInfo {
        SocketsInfo { kind: "recorder".into(), ..self.below.info() }
    }

    fn watch(&self, watcher: Weak<dyn SocketWatcher>) {
        self.below.watch(watcher);
    }

    fn open(&self, kind: SocketKind, family: AddressFamily) -> Result<SocketId, Errno> {
        let id = self.below.open(kind, family)?;
        self.tape.lock().kinds.insert(id, kind);
        Ok(id)
    }

    fn bind(&self, socket: SocketId, local: SocketAddr) -> Result<(), Errno> {
        self.below.bind(socket, local)
    }

    fn connect(&self, socket: SocketId, remote: SocketAddr) -> Result<(), Errno> {
        self.begin(socket, &self.target(socket, &remote.to_string()));
        self.note(socket, self.below.connect(socket, remote))
    }

    fn connect_name(&self, socket: SocketId, host: &str, port: u16) -> Result<(), Errno> {
        self.begin(socket, &self.target(socket, &format!("{host}:{port}")));
        self.note(socket, self.below.connect_name(socket, host, port))
    }

    fn listen(&self, socket: SocketId, backlog: u32) -> Result<(), Errno> {
        self.below.listen(socket, backlog)
    }

    fn accept(&self, socket: SocketId) -> Result<(SocketId, SocketAddr), Errno> {
        self.below.accept(socket)
    }

    fn send(&self, socket: SocketId, bytes: &[u8]) -> Result<usize, Errno> {
        let count = self.note(socket, self.below.send(socket, bytes))?;
        self.write(socket, &Event::Sent(bytes.get(..count).ok_or(Errno::Io)?.to_vec()));
        Ok(count)
    }

    fn recv(&self, socket: SocketId, buffer: &mut [u8]) -> Result<usize, Errno> {
        let count = self.note(socket, self.below.recv(socket, buffer))?;
        match buffer.get(..count).ok_or(Errno::Io)? {
            [] if buffer.is_empty() => {}
            [] => self.write(socket, &Event::End),
            bytes => self.write(socket, &Event::Received(bytes.to_vec())),
        }
        Ok(count)
    }

    fn send_to(&self, socket: SocketId, bytes: &[u8], to: Option<SocketAddr>) -> Result<(), Errno> {
        if let Some(to) = to
            && !self.tape.lock().conversations.contains_key(&socket)
        {
            self.begin(socket, &self.target(socket, &to.to_string()));
        }
        self.note(socket, self.below.send_to(socket, bytes, to))?;
        self.write(socket, &Event::Sent(bytes.to_vec()));
        Ok(())
    }

    fn recv_from(&self, socket: SocketId, buffer: &mut [u8]) -> Result<ReceivedFrom, Errno> {
        let received = self.note(socket, self.below.recv_from(socket, buffer))?;
        self.write(socket, &Event::Received(buffer.get(..received.count).ok_or(Errno::Io)?.to_vec()));
        Ok(received)
    }

    fn shutdown(&self, socket: SocketId, how: Shutdown) -> Result<(), Errno> {
        self.below.shutdown(socket, how)
    }

    fn readiness(&self, socket: SocketId) -> SocketReadiness {
        self.below.readiness(socket)
    }

    fn take_error(&self, socket: SocketId) -> Option<Errno> {
        let error = self.below.take_error(socket);
        if let Some(errno) = error {
            self.write(socket, &Event::Failed(errno));
        }
        error
    }

    fn local_address(&self, socket: SocketId) -> Result<SocketAddr, Errno> {
        self.below.local_address(socket)
    }

    fn peer_address(&self, socket: SocketId) -> Result<SocketAddr, Errno> {
        self.below.peer_address(socket)
    }

    fn get_option(&self, socket: SocketId, option: SocketOption) -> Result<u64, Errno> {
        self.below.get_option(socket, option)
    }

    fn set_option(&self, socket: SocketId, option: SocketOption, value: u64) -> Result<(), Errno> {
        self.below.set_option(socket, option, value)
    }

    fn close(&self, socket: SocketId) {
        let mut tape = self.tape.lock();
        tape.kinds.remove(&socket);
        tape.conversations.remove(&socket);
        tape.ended.remove(&socket);
        drop(tape);
        self.below.close(socket);
    }

    fn lookup(&self, name: &str) -> Result<SocketId, Errno> {
        let id = self.below.lookup(name)?;
        self.begin(id, &Event::Lookup(name.to_owned()));
        Ok(id)
    }

    fn answer(&self, lookup: SocketId) -> Result<Vec<IpAddr>, Errno> {
        let addresses = self.note(lookup, self.below.answer(lookup))?;
        let text: Vec<_> = addresses.iter().map(IpAddr::to_string).collect();
        self.write(lookup, &Event::Answer(text.join(" ")));
        Ok(addresses)
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        // Who wants to know of errors calls `finish`.
        let _ = self.tape.lock().file.flush();
    }
}
