//! A connection through a proxy: the connection to it, the dialogue, and then the bytes.

use std::collections::VecDeque;
use std::net::SocketAddr;

use eyot_backend::{Errno, SocketId, SocketReadiness, Sockets};

use crate::http::Connect;
use crate::socks5::Socks5;

/// The longest answer of a proxy, in bytes.
pub(crate) const ANSWER_BYTES_MAX: usize = 8 << 10;

/// A user and a password.
#[derive(Clone)]
pub struct Credentials {
    /// The user.
    pub user: String,
    /// The password; never shown.
    pub password: String,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("user", &self.user).finish_non_exhaustive()
    }
}

/// Where a tunnel leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    Address(SocketAddr),
    Host(String, u16),
}

/// What comes next in a dialogue.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Say this.
    Say(Vec<u8>),
    /// Hear at most so many bytes more.
    Hear(usize),
    /// The tunnel is open; so many bytes of what was heard were the proxy's.
    Open(usize),
}

pub(crate) enum Dialogue {
    Socks5(Socks5),
    Http(Connect),
}

impl Dialogue {
    /// What comes next after `heard`, which a dialogue empties when it has understood it. Errors: what the proxy refused.
    fn next(&mut self, heard: &mut Vec<u8>) -> Result<Next, Errno> {
        match self {
            Dialogue::Socks5(socks) => socks.next(heard),
            Dialogue::Http(http) => http.next(heard),
        }
    }
}

#[derive(Default)]
enum Stage {
    #[default]
    Idle,
    /// The connection to the proxy is being made.
    Connecting(Dialogue),
    /// It is being talked to: what is said, and how much of it is gone.
    Talking {
        dialogue: Dialogue,
        saying: Vec<u8>,
        said: usize,
    },
    Open,
    Failed(Errno),
}

/// One connection.
#[derive(Default)]
pub(crate) struct Tunnel {
    stage: Stage,
    target: Option<Target>,
    heard: Vec<u8>,
    /// Bytes of the far side that came with the proxy's answer.
    left_over: VecDeque<u8>,
    untold: Option<Errno>,
}

impl Tunnel {
    pub(crate) fn is_idle(&self) -> bool {
        matches!(self.stage, Stage::Idle)
    }

    pub(crate) fn begin(
        &mut self,
        below: &dyn Sockets,
        socket: SocketId,
        proxy: SocketAddr,
        target: Target,
        dialogue: Dialogue,
    ) -> Result<(), Errno> {
        match self.stage {
            Stage::Idle => {}
            Stage::Open => return Err(Errno::Isconn),
            Stage::Connecting(_) | Stage::Talking { .. } => return Err(Errno::Already),
            Stage::Failed(errno) => return Err(errno),
        }
        match below.connect(socket, proxy) {
            Ok(()) | Err(Errno::Inprogress) => {}
            Err(errno) => return Err(errno),
        }
        self.target = Some(target);
        self.stage = Stage::Connecting(dialogue);
        match self.advance(below, socket) {
            Err(Errno::Again) => Err(Errno::Inprogress),
            Err(errno) => {
                self.untold = None;
                Err(errno)
            }
            Ok(()) => Ok(()),
        }
    }

    /// Goes as far as it can. Errors: `EAGAIN`, and how it failed.
    pub(crate) fn advance(&mut self, below: &dyn Sockets, socket: SocketId) -> Result<(), Errno> {
        loop {
            match std::mem::take(&mut self.stage) {
                Stage::Open => {
                    self.stage = Stage::Open;
                    return Ok(());
                }
                Stage::Idle => return Err(Errno::Notconn),
                Stage::Failed(errno) => {
                    self.stage = Stage::Failed(errno);
                    return Err(errno);
                }
                Stage::Connecting(dialogue) => {
                    if !is_made(below, socket) {
                        self.stage = Stage::Connecting(dialogue);
                        return Err(Errno::Again);
                    }
                    match below.take_error(socket) {
                        Some(errno) => self.fail(errno),
                        None => self.stage = Stage::Talking { dialogue, saying: Vec::new(), said: 0 },
                    }
                }
                Stage::Talking { dialogue, saying, said } => self.talk(below, socket, dialogue, saying, said)?,
            }
        }
    }

    /// One step of the dialogue. Errors: `EAGAIN`.
    fn talk(
        &mut self,
        below: &dyn Sockets,
        socket: SocketId,
        mut dialogue: Dialogue,
        mut saying: Vec<u8>,
        mut said: usize,
    ) -> Result<(), Errno> {
        let step = match saying.get(said..) {
            Some(rest) if !rest.is_empty() => below.send(socket, rest).map(|count| said += count),
            _ => match dialogue.next(&mut self.heard) {
                Ok(Next::Say(bytes)) => {
                    (saying, said) = (bytes, 0);
                    Ok(())
                }
                Ok(Next::Hear(count)) => self.hear(below, socket, count),
                Ok(Next::Open(used)) => {
                    self.left_over.extend(self.heard.get(used..).unwrap_or_default());
                    self.heard = Vec::new();
                    self.stage = Stage::Open;
                    return Ok(());
                }
                Err(errno) => Err(errno),
            },
        };
        match step {
            Ok(()) => self.stage = Stage::Talking { dialogue, saying, said },
            Err(Errno::Again) => {
                self.stage = Stage::Talking { dialogue, saying, said };
                return Err(Errno::Again);
            }
            Err(errno) => self.fail(errno),
        }
        Ok(())
    }

    fn hear(&mut self, below: &dyn Sockets, socket: SocketId, count: usize) -> Result<(), Errno> {
        let mut piece = [0; 1024];
        let room = count.min(piece.len()).min(ANSWER_BYTES_MAX.saturating_sub(self.heard.len()));
        if room == 0 {
            // It talks and talks.
            return Err(Errno::Proto);
        }
        match below.recv(socket, &mut piece[..room])? {
            0 => Err(Errno::Connreset),
            count => {
                self.heard.extend_from_slice(piece.get(..count).ok_or(Errno::Io)?);
                Ok(())
            }
        }
    }

    fn fail(&mut self, errno: Errno) {
        self.stage = Stage::Failed(errno);
        self.untold = Some(errno);
    }

    pub(crate) fn take_error(&mut self) -> Option<Errno> {
        self.untold.take()
    }

    pub(crate) fn has_left_over(&self) -> bool {
        !self.left_over.is_empty()
    }

    /// Moves bytes that came early.
    pub(crate) fn left_over(&mut self, buffer: &mut [u8]) -> usize {
        let count = self.left_over.len().min(buffer.len());
        for (to, from) in buffer.iter_mut().zip(self.left_over.drain(..count)) {
            *to = from;
        }
        count
    }

    /// Who is at the far side. Errors: `ENOTCONN`: a host that only the proxy knows by its address.
    pub(crate) fn peer(&self) -> Result<SocketAddr, Errno> {
        match (&self.stage, &self.target) {
            (Stage::Open, Some(Target::Address(address))) => Ok(*address),
            _ => Err(Errno::Notconn),
        }
    }
}

fn is_made(below: &dyn Sockets, socket: SocketId) -> bool {
    let made = SocketReadiness::WRITABLE | SocketReadiness::ERROR | SocketReadiness::HANG_UP;
    below.readiness(socket).intersects(made)
}
