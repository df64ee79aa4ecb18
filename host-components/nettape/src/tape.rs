//! The tape: a heading and entries, each with the number of its conversation.

use std::io::{self, Read, Write};

use eyot_backend::Errno;

const HEADING: &[u8; 8] = b"EYOTNET1";

/// The longest entry, in bytes: more than any operation moves.
const ENTRY_BYTES_MAX: u32 = 2 << 20;

/// The most entries of a tape that is read.
const ENTRIES_MAX: usize = 4_000_000;

/// The most bytes of a tape that is read.
const TAPE_BYTES_MAX: u64 = 1 << 30;

/// Why a tape could not be read.
#[derive(Debug)]
pub enum TapeError {
    /// The file could not be read.
    Io(io::Error),
    /// It is no tape, or is damaged.
    Invalid(&'static str),
}

impl std::fmt::Display for TapeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            TapeError::Io(error) => write!(f, "the tape cannot be read: {error}"),
            TapeError::Invalid(what) => write!(f, "this is no tape: {what}"),
        }
    }
}

impl std::error::Error for TapeError {}

impl From<io::Error> for TapeError {
    fn from(error: io::Error) -> Self {
        TapeError::Io(error)
    }
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// A stream or socket for datagrams was connected to this: `stream host:port` and the like.
    Connect(String),
    /// A name was looked up.
    Lookup(String),
    /// The addresses of the lookup, with spaces between.
    Answer(String),
    /// The guest sent this.
    Sent(Vec<u8>),
    /// This came.
    Received(Vec<u8>),
    /// The peer had sent everything.
    End,
    /// It failed.
    Failed(Errno),
}

impl Event {
    fn parts(&self) -> (u8, Vec<u8>) {
        match self {
            Event::Connect(to) => (1, to.clone().into_bytes()),
            Event::Lookup(name) => (2, name.clone().into_bytes()),
            Event::Answer(addresses) => (3, addresses.clone().into_bytes()),
            Event::Sent(bytes) => (4, bytes.clone()),
            Event::Received(bytes) => (5, bytes.clone()),
            Event::End => (6, Vec::new()),
            Event::Failed(errno) => (7, errno.linux().to_le_bytes().to_vec()),
        }
    }

    fn of(kind: u8, bytes: Vec<u8>) -> Option<Event> {
        let text = |bytes| String::from_utf8(bytes).ok();
        Some(match kind {
            1 => Event::Connect(text(bytes)?),
            2 => Event::Lookup(text(bytes)?),
            3 => Event::Answer(text(bytes)?),
            4 => Event::Sent(bytes),
            5 => Event::Received(bytes),
            6 if bytes.is_empty() => Event::End,
            7 => Event::Failed(Errno::from_linux(i32::from_le_bytes(bytes.try_into().ok()?))?),
            _ => return None,
        })
    }
}

pub(crate) fn begin(to: &mut impl Write) -> io::Result<()> {
    to.write_all(HEADING)
}

pub(crate) fn write(to: &mut impl Write, conversation: u32, event: &Event) -> io::Result<()> {
    let (kind, bytes) = event.parts();
    to.write_all(&conversation.to_le_bytes())?;
    to.write_all(&[kind])?;
    to.write_all(&(bytes.len() as u32).to_le_bytes())?;
    to.write_all(&bytes)
}

/// All entries. Errors: what is wrong with the tape. One that ends in the middle of an entry (its writer was killed) is read up to there.
pub(crate) fn read(from: impl Read) -> Result<Vec<(u32, Event)>, TapeError> {
    let mut from = io::BufReader::new(from.take(TAPE_BYTES_MAX));
    let mut heading = [0; 8];
    from.read_exact(&mut heading).map_err(|_| TapeError::Invalid("it has no heading"))?;
    if &heading != HEADING {
        return Err(TapeError::Invalid("another heading"));
    }
    let mut events = Vec::new();
    loop {
        let mut head = [0; 9];
        match from.read_exact(&mut head) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(events),
            result => result?,
        }
        let [a, b, c, d, kind, length @ ..] = head;
        let length = u32::from_le_bytes(length);
        if length > ENTRY_BYTES_MAX || events.len() >= ENTRIES_MAX {
            return Err(TapeError::Invalid("an entry that is too long, or too many"));
        }
        let mut bytes = Vec::new();
        if (&mut from).take(length.into()).read_to_end(&mut bytes)? < length as usize {
            return Ok(events);
        }
        let event = Event::of(kind, bytes).ok_or(TapeError::Invalid("an entry that is none"))?;
        events.push((u32::from_le_bytes([a, b, c, d]), event));
    }
}
