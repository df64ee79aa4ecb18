//! Pipes: pipe(7). A ring of 64 KiB between processes.

use std::collections::VecDeque;
use std::sync::Arc;

use event_listener::{Event, EventListener};
use parking_lot::Mutex;

use super::Readiness;
use crate::Errno;
use crate::limits::{Accountant, Charge, Limit};
use crate::wait::{SysError, SysResult, Wait};

/// How much a pipe holds, in bytes (the default of Linux).
pub const PIPE_BYTES: usize = 64 << 10;

/// Writes up to this many bytes are not torn apart (`PIPE_BUF`).
pub const PIPE_ATOMIC_BYTES: usize = 4096;

#[derive(Default)]
struct State {
    bytes: VecDeque<u8>,
    readers: usize,
    writers: usize,
    /// How often it was opened for reading and for writing: a FIFO's end waits for the first of the other side.
    readers_ever: u64,
    writers_ever: u64,
}

/// A pipe or FIFO.
pub struct Pipe {
    state: Mutex<State>,
    /// Notified when bytes come, or the last writer goes.
    readable: Event,
    /// Notified when room comes, or the last reader goes.
    writable: Event,
    _charge: Charge,
}

/// The end of a pipe that reads. Dropped, it is closed.
pub struct PipeReader {
    pipe: Arc<Pipe>,
    /// Of a FIFO opened while nobody wrote: the count of writers then. Until it rises, there is no end yet to be told.
    await_writer: Option<u64>,
}

/// The end of a pipe that writes. Dropped, it is closed.
pub struct PipeWriter {
    pipe: Arc<Pipe>,
    /// As `await_writer`, for readers.
    await_reader: Option<u64>,
}

impl Pipe {
    /// A pipe without ends, as a FIFO is before it is opened. Errors: `ENFILE` when the VM's pipes are too many.
    pub fn new(accountant: &Arc<Accountant>) -> Result<Arc<Self>, Errno> {
        let charge = accountant.charge(Limit::PipeBytes, PIPE_BYTES as u64)?;
        Ok(Arc::new(Self { state: Mutex::default(), readable: Event::new(), writable: Event::new(), _charge: charge }))
    }

    /// A new pipe's two ends.
    pub fn pair(accountant: &Arc<Accountant>) -> Result<(PipeReader, PipeWriter), Errno> {
        let pipe = Self::new(accountant)?;
        let mut reader = pipe.open_reader();
        // Both ends of a pipe are there from the start.
        reader.await_writer = None;
        Ok((reader, pipe.open_writer()))
    }

    /// One more reading end.
    pub fn open_reader(self: &Arc<Self>) -> PipeReader {
        let mut state = self.state.lock();
        state.readers += 1;
        state.readers_ever += 1;
        let await_writer = (state.writers == 0).then_some(state.writers_ever);
        drop(state);
        self.writable.notify(usize::MAX);
        PipeReader { pipe: self.clone(), await_writer }
    }

    /// One more writing end.
    pub fn open_writer(self: &Arc<Self>) -> PipeWriter {
        let mut state = self.state.lock();
        state.writers += 1;
        state.writers_ever += 1;
        let await_reader = (state.readers == 0).then_some(state.readers_ever);
        drop(state);
        self.readable.notify(usize::MAX);
        PipeWriter { pipe: self.clone(), await_reader }
    }

    /// Whether anybody has it open for reading: opening a FIFO for writing without waiting fails otherwise.
    pub(crate) fn has_readers(&self) -> bool {
        self.state.lock().readers > 0
    }
}

impl PipeReader {
    /// Reads what is there; 0 when it is empty and nobody writes. Waits when it is empty and somebody may.
    pub fn read(&self, buffer: &mut [u8]) -> SysResult<usize> {
        let pipe = &*self.pipe;
        let mut state = pipe.state.lock();
        if buffer.is_empty() {
            return Ok(0);
        }
        if state.bytes.is_empty() {
            if state.writers == 0 && self.await_writer.is_none_or(|before| state.writers_ever > before) {
                return Ok(0);
            }
            return Err(SysError::Wait(Wait::on(pipe.readable.listen())));
        }
        let count = copy_out(&mut state.bytes, buffer);
        drop(state);
        pipe.writable.notify(usize::MAX);
        Ok(count)
    }

    /// How many bytes wait.
    pub fn len(&self) -> usize {
        self.pipe.state.lock().bytes.len()
    }

    /// Whether none do.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What could be done now.
    pub fn readiness(&self) -> Readiness {
        let state = self.pipe.state.lock();
        let mut ready = Readiness::empty();
        ready.set(Readiness::READABLE, !state.bytes.is_empty());
        ready.set(Readiness::HANG_UP, state.writers == 0);
        ready
    }

    /// Listens for bytes or the end.
    pub fn listen(&self) -> EventListener {
        self.pipe.readable.listen()
    }
}

impl PipeWriter {
    /// Writes what fits; up to [`PIPE_ATOMIC_BYTES`] at once or not at all. Waits when there is no room. Errors: `EPIPE` when nobody reads.
    pub fn write(&self, bytes: &[u8]) -> SysResult<usize> {
        if bytes.is_empty() {
            return Ok(0);
        }
        let pipe = &*self.pipe;
        let mut state = pipe.state.lock();
        if state.readers == 0 {
            if self.await_reader.is_some_and(|before| state.readers_ever == before) {
                return Err(SysError::Wait(Wait::on(pipe.writable.listen())));
            }
            return Err(Errno::Pipe.into());
        }
        let room = PIPE_BYTES - state.bytes.len();
        if room == 0 || (bytes.len() <= PIPE_ATOMIC_BYTES && room < bytes.len()) {
            return Err(SysError::Wait(Wait::on(pipe.writable.listen())));
        }
        let count = bytes.len().min(room);
        state.bytes.extend(&bytes[..count]);
        drop(state);
        pipe.readable.notify(usize::MAX);
        Ok(count)
    }

    /// What could be done now.
    pub fn readiness(&self) -> Readiness {
        let state = self.pipe.state.lock();
        let mut ready = Readiness::empty();
        ready.set(Readiness::WRITABLE, PIPE_BYTES - state.bytes.len() >= PIPE_ATOMIC_BYTES);
        ready.set(Readiness::ERROR, state.readers == 0);
        ready
    }

    /// Listens for room or the reader's end.
    pub fn listen(&self) -> EventListener {
        self.pipe.writable.listen()
    }
}

fn copy_out(from: &mut VecDeque<u8>, to: &mut [u8]) -> usize {
    let count = from.len().min(to.len());
    let (front, back) = from.as_slices();
    let first = front.len().min(count);
    to[..first].copy_from_slice(&front[..first]);
    to[first..count].copy_from_slice(&back[..count - first]);
    from.drain(..count);
    count
}

impl Drop for PipeReader {
    fn drop(&mut self) {
        let mut state = self.pipe.state.lock();
        state.readers -= 1;
        if state.readers == 0 {
            // What nobody will read takes no room; a FIFO opened again starts empty.
            state.bytes = VecDeque::new();
        }
        drop(state);
        self.pipe.writable.notify(usize::MAX);
    }
}

impl Drop for PipeWriter {
    fn drop(&mut self) {
        self.pipe.state.lock().writers -= 1;
        self.pipe.readable.notify(usize::MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> (PipeReader, PipeWriter) {
        Pipe::pair(&Accountant::new(&[])).unwrap()
    }

    fn waits<T>(result: SysResult<T>) -> bool {
        matches!(result, Err(SysError::Wait(_)))
    }

    #[test]
    fn bytes_come_out_in_order_across_the_ring_s_seam() {
        let (reader, writer) = pair();
        let mut next_in = 0_u32;
        let mut next_out = 0_u32;
        let mut buffer = [0; 3 * 4];
        for _ in 0..40_000 {
            writer.write(&next_in.to_le_bytes()).unwrap();
            writer.write(&(next_in + 1).to_le_bytes()).unwrap();
            next_in += 2;
            let count = reader.read(&mut buffer).unwrap();
            for value in buffer[..count].chunks(4) {
                assert_eq!(value, next_out.to_le_bytes());
                next_out += 1;
            }
        }
        assert_eq!(next_in, next_out);
    }

    #[test]
    fn an_empty_pipe_waits_while_there_is_a_writer_and_ends_without() {
        let (reader, writer) = pair();
        assert!(waits(reader.read(&mut [0])));
        drop(writer);
        assert!(matches!(reader.read(&mut [0]), Ok(0)));
    }

    #[test]
    fn a_full_pipe_waits_and_small_writes_are_whole() {
        let (reader, writer) = pair();
        assert_eq!(writer.write(&vec![1; PIPE_BYTES - 10]).unwrap(), PIPE_BYTES - 10);
        assert!(waits(writer.write(&[2; 11])), "a small write is not torn");
        assert_eq!(writer.write(&[3; PIPE_ATOMIC_BYTES + 1]).unwrap(), 10, "a big one is");
        assert!(waits(writer.write(&[4])));
        let mut buffer = vec![0; PIPE_BYTES];
        assert_eq!(reader.read(&mut buffer).unwrap(), PIPE_BYTES);
        assert_eq!(&buffer[PIPE_BYTES - 10..], &[3; 10]);
    }

    #[test]
    fn a_write_without_a_reader_is_a_broken_pipe() {
        let (reader, writer) = pair();
        drop(reader);
        assert!(matches!(writer.write(b"x"), Err(SysError::Errno(Errno::Pipe))));
    }

    #[test]
    fn a_waiting_reader_wakes_when_bytes_come() {
        let (reader, writer) = pair();
        let Err(SysError::Wait(wait)) = reader.read(&mut [0]) else { panic!("must wait") };
        let thread = std::thread::spawn(move || {
            wait.park();
            let mut byte = [0];
            assert_eq!(reader.read(&mut byte).unwrap(), 1);
            byte[0]
        });
        writer.write(&[42]).unwrap();
        assert_eq!(thread.join().unwrap(), 42);
    }

    #[test]
    fn too_many_pipes_are_refused() {
        let accountant = Accountant::new(&[(Limit::PipeBytes, PIPE_BYTES as u64)]);
        let one = Pipe::pair(&accountant).unwrap();
        assert_eq!(Pipe::pair(&accountant).err(), Some(Errno::Nfile));
        drop(one);
        assert!(Pipe::pair(&accountant).is_ok());
    }
}
