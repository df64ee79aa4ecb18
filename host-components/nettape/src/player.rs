//! Playing the tape.

use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Weak;

use eyot_backend::{
    AddressFamily, Errno, ReceivedFrom, Shutdown, SocketCapabilities, SocketId, SocketKind, SocketOption,
    SocketReadiness, SocketWatcher, Sockets, SocketsInfo,
};
use parking_lot::Mutex;

use crate::recorder::target;
use crate::tape::{self, Event, TapeError};

/// One conversation of the tape: what the guest has to say, and what it hears after how much of it.
#[derive(Default)]
struct Conversation {
    script: Vec<u8>,
    /// Bytes of the script before it, and what is heard.
    heard: VecDeque<(usize, Event)>,
}

struct Playing {
    kind: SocketKind,
    target: String,
    peer: Option<SocketAddr>,
    conversation: Conversation,
    said: usize,
    failed: Option<Errno>,
}

#[derive(Default)]
struct State {
    /// What was not played yet, by target.
    waiting: HashMap<String, VecDeque<Conversation>>,
    lookups: HashMap<String, Event>,
    playing: HashMap<SocketId, Playing>,
    answers: HashMap<SocketId, Event>,
    divergences: Vec<String>,
    next: SocketId,
    watcher: Option<Weak<dyn SocketWatcher>>,
}

/// The most divergences that are kept.
const DIVERGENCES_MAX: usize = 100;

/// A network that answers from a tape.
pub struct Player {
    state: Mutex<State>,
}

impl Player {
    /// Plays the tape in a file. Errors: it cannot be read, or is none.
    pub fn open(path: &Path) -> Result<Self, TapeError> {
        let mut conversations: Vec<(String, Conversation)> = Vec::new();
        let mut numbers: HashMap<u32, usize> = HashMap::new();
        let mut names: HashMap<u32, String> = HashMap::new();
        let mut state = State::default();
        for (number, event) in tape::read(File::open(path)?)? {
            match event {
                Event::Connect(to) => {
                    numbers.insert(number, conversations.len());
                    conversations.push((to, Conversation::default()));
                }
                Event::Lookup(name) => drop(names.insert(number, name)),
                event => match (names.get(&number), numbers.get(&number)) {
                    (Some(name), _) => drop(state.lookups.insert(name.clone(), event)),
                    (None, Some(&index)) => conversations[index].1.add(event),
                    (None, None) => return Err(TapeError::Invalid("an entry of no conversation")),
                },
            }
        }
        for (to, conversation) in conversations {
            state.waiting.entry(to).or_default().push_back(conversation);
        }
        Ok(Self { state: Mutex::new(state) })
    }

    /// Where guests did something else than was recorded.
    pub fn divergences(&self) -> Vec<String> {
        self.state.lock().divergences.clone()
    }

    fn begin(&self, socket: SocketId, to: &str, peer: Option<SocketAddr>) -> Result<(), Errno> {
        let mut guard = self.state.lock();
        let state = &mut *guard;
        let playing = state.playing.get_mut(&socket).ok_or(Errno::Notsock)?;
        let target = target(playing.kind, to);
        let Some(conversation) = state.waiting.get_mut(&target).and_then(VecDeque::pop_front) else {
            state.diverge(format!("{target}: not on the tape, or not so often"));
            return Err(Errno::Connrefused);
        };
        let first = match conversation.heard.front() {
            Some((0, Event::Failed(errno))) if conversation.script.is_empty() => Some(*errno),
            _ => None,
        };
        if let Some(errno) = first {
            return Err(errno);
        }
        *playing = Playing { kind: playing.kind, target, peer, conversation, said: 0, failed: None };
        Ok(())
    }

    /// The guest says something. Errors: `EPROTO` when it was something else.
    fn say(&self, socket: SocketId, bytes: &[u8]) -> Result<(), Errno> {
        let mut guard = self.state.lock();
        let state = &mut *guard;
        let playing = state.playing.get_mut(&socket).ok_or(Errno::Notsock)?;
        if let Some(errno) = playing.failed {
            return Err(errno);
        }
        let script = playing.conversation.script.get(playing.said..).unwrap_or_default();
        if !script.starts_with(bytes) {
            let same = script.iter().zip(bytes).take_while(|(a, b)| a == b).count();
            let where_ = format!("{}: other bytes are sent, from byte {} on", playing.target, playing.said + same);
            playing.failed = Some(Errno::Proto);
            state.diverge(where_);
            return Err(Errno::Proto);
        }
        playing.said += bytes.len();
        let watcher = state.watcher.as_ref().and_then(Weak::upgrade);
        drop(guard);
        if let Some(watcher) = watcher {
            watcher.ready(socket, SocketReadiness::READABLE | SocketReadiness::WRITABLE);
        }
        Ok(())
    }

    /// What is heard next. `rest` of a stream is heard later.
    fn hear(&self, socket: SocketId, buffer: &mut [u8]) -> Result<(usize, usize, Option<SocketAddr>), Errno> {
        let mut state = self.state.lock();
        let playing = state.playing.get_mut(&socket).ok_or(Errno::Notsock)?;
        if let Some(errno) = playing.failed {
            return Err(errno);
        }
        let (said, stream, peer) = (playing.said, playing.kind == SocketKind::Stream, playing.peer);
        let heard = &mut playing.conversation.heard;
        match heard.front_mut() {
            Some((after, _)) if *after > said => Err(Errno::Again),
            Some((_, Event::Received(bytes))) => {
                let (count, length) = (bytes.len().min(buffer.len()), bytes.len());
                buffer[..count].copy_from_slice(&bytes[..count]);
                if stream && count < length {
                    bytes.drain(..count);
                } else {
                    heard.pop_front();
                }
                Ok((count, length, peer))
            }
            Some((_, Event::Failed(errno))) => {
                let errno = *errno;
                heard.pop_front();
                Err(errno)
            }
            // The recording ended: for a stream that is the end, for datagrams nothing more comes.
            Some(_) | None if stream => Ok((0, 0, peer)),
            Some(_) | None => Err(Errno::Again),
        }
    }
}

impl Conversation {
    fn add(&mut self, event: Event) {
        match event {
            Event::Sent(bytes) => self.script.extend(bytes),
            event => self.heard.push_back((self.script.len(), event)),
        }
    }
}

impl State {
    fn diverge(&mut self, what: String) {
        if self.divergences.len() < DIVERGENCES_MAX {
            self.divergences.push(what);
        }
    }

    fn number(&mut self) -> SocketId {
        self.next += 1;
        self.next
    }
}

impl Sockets for Player {
    fn info(&self) -> SocketsInfo {
        let capabilities = SocketCapabilities::all() - SocketCapabilities::LISTENING - SocketCapabilities::NAMES;
        SocketsInfo { capabilities, kind: "player".into() }
    }

    fn watch(&self, watcher: Weak<dyn SocketWatcher>) {
        self.state.lock().watcher = Some(watcher);
    }

    fn open(&self, kind: SocketKind, _: AddressFamily) -> Result<SocketId, Errno> {
        let mut state = self.state.lock();
        let id = state.number();
        let playing = Playing {
            kind,
            target: String::new(),
            peer: None,
            conversation: Conversation::default(),
            said: 0,
            failed: Some(Errno::Notconn),
        };
        state.playing.insert(id, playing);
        Ok(id)
    }

    fn bind(&self, _: SocketId, _: SocketAddr) -> Result<(), Errno> {
        Ok(())
    }

    fn connect(&self, socket: SocketId, remote: SocketAddr) -> Result<(), Errno> {
        self.begin(socket, &remote.to_string(), Some(remote))
    }

    fn connect_name(&self, socket: SocketId, host: &str, port: u16) -> Result<(), Errno> {
        self.begin(socket, &format!("{host}:{port}"), None)
    }

    fn listen(&self, _: SocketId, _: u32) -> Result<(), Errno> {
        Err(Errno::Notsup)
    }

    fn accept(&self, _: SocketId) -> Result<(SocketId, SocketAddr), Errno> {
        Err(Errno::Inval)
    }

    fn send(&self, socket: SocketId, bytes: &[u8]) -> Result<usize, Errno> {
        self.say(socket, bytes).map(|()| bytes.len())
    }

    fn recv(&self, socket: SocketId, buffer: &mut [u8]) -> Result<usize, Errno> {
        self.hear(socket, buffer).map(|(count, ..)| count)
    }

    fn send_to(&self, socket: SocketId, bytes: &[u8], to: Option<SocketAddr>) -> Result<(), Errno> {
        let fresh = self.state.lock().playing.get(&socket).is_some_and(|playing| playing.target.is_empty());
        if let Some(to) = to
            && fresh
        {
            self.begin(socket, &to.to_string(), Some(to))?;
        }
        self.say(socket, bytes)
    }

    fn recv_from(&self, socket: SocketId, buffer: &mut [u8]) -> Result<ReceivedFrom, Errno> {
        let (count, length, peer) = self.hear(socket, buffer)?;
        Ok(ReceivedFrom { count, length, sender: peer.ok_or(Errno::Notconn)? })
    }

    fn shutdown(&self, _: SocketId, _: Shutdown) -> Result<(), Errno> {
        Ok(())
    }

    fn readiness(&self, socket: SocketId) -> SocketReadiness {
        let state = self.state.lock();
        if state.answers.contains_key(&socket) {
            return SocketReadiness::READABLE;
        }
        let Some(playing) = state.playing.get(&socket) else { return SocketReadiness::ERROR };
        let mut ready = SocketReadiness::WRITABLE;
        let readable = match playing.conversation.heard.front() {
            Some((after, _)) => *after <= playing.said,
            None => playing.kind == SocketKind::Stream,
        };
        ready.set(SocketReadiness::READABLE, readable);
        ready
    }

    fn take_error(&self, _: SocketId) -> Option<Errno> {
        None
    }

    fn local_address(&self, _: SocketId) -> Result<SocketAddr, Errno> {
        Ok(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0))
    }

    fn peer_address(&self, socket: SocketId) -> Result<SocketAddr, Errno> {
        self.state.lock().playing.get(&socket).and_then(|playing| playing.peer).ok_or(Errno::Notconn)
    }

    fn get_option(&self, _: SocketId, _: SocketOption) -> Result<u64, Errno> {
        Err(Errno::Noprotoopt)
    }

    fn set_option(&self, _: SocketId, _: SocketOption, _: u64) -> Result<(), Errno> {
        Err(Errno::Noprotoopt)
    }

    fn close(&self, socket: SocketId) {
        let mut state = self.state.lock();
        state.answers.remove(&socket);
        state.playing.remove(&socket);
    }

    fn lookup(&self, name: &str) -> Result<SocketId, Errno> {
        let mut state = self.state.lock();
        let id = state.number();
        let event = match state.lookups.get(name).cloned() {
            Some(event) => event,
            None => {
                state.diverge(format!("lookup {name}: not on the tape"));
                Event::Failed(Errno::Noent)
            }
        };
        state.answers.insert(id, event);
        Ok(id)
    }

    fn answer(&self, lookup: SocketId) -> Result<Vec<IpAddr>, Errno> {
        match self.state.lock().answers.get(&lookup) {
            Some(Event::Answer(text)) => text.split(' ').map(|one| one.parse().map_err(|_| Errno::Io)).collect(),
            Some(Event::Failed(errno)) => Err(*errno),
            Some(_) => Err(Errno::Io),
            None => Err(Errno::Notsock),
        }
    }
}
