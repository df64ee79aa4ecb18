//! The host's standard input, output and error as streams of the VM.
//!
//! Bytes go straight between the host's descriptor and the guest's buffer. Nothing here blocks, and nothing changes the descriptors' own
//! flags, because they are shared with the shell that started us: a pipe or terminal is opened once more through `/proc/self/fd`, which
//! makes an open file description of our own that can be non-blocking. One thread, started when something first has to
//! wait, watches for readiness.

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, OnceLock};

use event_listener::{Event, EventListener};
use eyot_kernel::Errno;
use eyot_kernel::process::{Readiness, Stream};
use eyot_kernel::syscall::types::WindowSize;
use eyot_kernel::wait::{SysError, SysResult, Wait};
use rustix::event::{EventfdFlags, PollFd, PollFlags};
use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno as HostErrno;

use std::sync::Mutex;

/// The most that is written to a pipe which could not be opened anew: what a writable pipe takes without blocking (pipe(7)).
const PIPE_WRITE_BYTES: usize = 4096;

/// One of the host's standard descriptors.
pub struct HostStream {
    inner: Arc<Inner>,
    terminal: bool,
}

struct Inner {
    fd: OwnedFd,
    manner: Manner,
    readable: Event,
    writable: Event,
}

/// How a descriptor is kept from blocking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    /// It never blocks: a regular file, or a device such as /dev/null.
    Direct,
    /// It is non-blocking and ours alone.
    NonBlocking,
    /// It may block: it is asked first whether it is ready.
    AskFirst,
}

impl HostStream {
    /// Takes a descriptor over for reading or for writing.
    pub fn open(fd: BorrowedFd<'_>, access: OFlags) -> std::io::Result<Arc<dyn Stream>> {
        let terminal = rustix::termios::isatty(fd);
        let kind = FileType::from_raw_mode(rustix::fs::fstat(fd)?.st_mode);
        let (fd, manner) = match kind {
            FileType::Fifo => open_again(fd, access)?,
            FileType::CharacterDevice if terminal => open_again(fd, access)?,
            FileType::Socket => (fd.try_clone_to_owned()?, Manner::AskFirst),
            _ => (fd.try_clone_to_owned()?, Manner::Direct),
        };
        let inner = Inner { fd, manner, readable: Event::new(), writable: Event::new() };
        Ok(Arc::new(Self { inner: Arc::new(inner), terminal }))
    }

    fn wait(&self, interest: PollFlags) -> SysError {
        match self.listen_for(interest) {
            Some(listener) => SysError::Wait(Wait::on(listener)),
            None => Errno::Again.into(),
        }
    }

    fn listen_for(&self, interest: PollFlags) -> Option<EventListener> {
        if self.inner.manner == Manner::Direct {
            return None;
        }
        // The listener is made before the watcher looks: a change in between is seen by both.
        let event = if interest == PollFlags::IN { &self.inner.readable } else { &self.inner.writable };
        let listener = event.listen();
        Watcher::get()?.watch(Interest { inner: self.inner.clone(), flags: interest });
        Some(listener)
    }

    fn poll_now(&self, flags: PollFlags) -> PollFlags {
        let mut fds = [PollFd::new(&self.inner.fd, flags)];
        let now = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
        match rustix::event::poll(&mut fds, Some(&now)) {
            Ok(_) => fds[0].revents(),
            Err(_) => PollFlags::empty(),
        }
    }

    fn must_wait(&self, flags: PollFlags) -> bool {
        self.inner.manner == Manner::AskFirst && self.poll_now(flags).is_empty()
    }
}

/// The same pipe or terminal, as an open file description of our own. Where that can't be had (no /proc, a terminal of
/// another user) the descriptor itself has to do.
fn open_again(fd: BorrowedFd<'_>, access: OFlags) -> std::io::Result<(OwnedFd, Manner)> {
    use std::os::fd::AsRawFd;
    let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
    let flags = access | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(own) => Ok((own, Manner::NonBlocking)),
        Err(_) => Ok((fd.try_clone_to_owned()?, Manner::AskFirst)),
    }
}

fn errno(error: HostErrno) -> Errno {
    Errno::from_linux(error.raw_os_error()).unwrap_or(Errno::Io)
}

impl Stream for HostStream {
    fn read(&self, buffer: &mut [u8]) -> SysResult<usize> {
        if self.must_wait(PollFlags::IN) {
            return Err(self.wait(PollFlags::IN));
        }
        loop {
            match rustix::io::read(&self.inner.fd, &mut *buffer) {
                Ok(count) => return Ok(count),
                Err(HostErrno::INTR) => {}
                Err(HostErrno::AGAIN) => return Err(self.wait(PollFlags::IN)),
                Err(error) => return Err(errno(error).into()),
            }
        }
    }

    fn write(&self, bytes: &[u8]) -> SysResult<usize> {
        if self.must_wait(PollFlags::OUT) {
            return Err(self.wait(PollFlags::OUT));
        }
        let bytes = match self.inner.manner {
            Manner::AskFirst => &bytes[..bytes.len().min(PIPE_WRITE_BYTES)],
            _ => bytes,
        };
        loop {
            match rustix::io::write(&self.inner.fd, bytes) {
                Ok(count) => return Ok(count),
                Err(HostErrno::INTR) => {}
                Err(HostErrno::AGAIN) => return Err(self.wait(PollFlags::OUT)),
                Err(error) => return Err(errno(error).into()),
            }
        }
    }

    fn readiness(&self) -> Readiness {
        if self.inner.manner == Manner::Direct {
            return Readiness::READABLE | Readiness::WRITABLE;
        }
        let now = self.poll_now(PollFlags::IN | PollFlags::OUT);
        let mut ready = Readiness::empty();
        ready.set(Readiness::READABLE, now.intersects(PollFlags::IN | PollFlags::HUP));
        ready.set(Readiness::WRITABLE, now.intersects(PollFlags::OUT | PollFlags::ERR));
        ready.set(Readiness::HANG_UP, now.contains(PollFlags::HUP));
        ready.set(Readiness::ERROR, now.contains(PollFlags::ERR));
        ready
    }

    fn listen(&self, interest: Readiness) -> Option<EventListener> {
        self.listen_for(if interest.contains(Readiness::READABLE) { PollFlags::IN } else { PollFlags::OUT })
    }

    fn is_terminal(&self) -> bool {
        self.terminal
    }

    fn window_size(&self) -> Result<WindowSize, Errno> {
        let size = rustix::termios::tcgetwinsize(&self.inner.fd).map_err(|_| Errno::Notty)?;
        Ok(WindowSize { rows: size.ws_row, columns: size.ws_col })
    }
}

/// Who waits for what. Each interest is served once: when it is ready its event is notified and it is dropped.
struct Interest {
    inner: Arc<Inner>,
    flags: PollFlags,
}

/// The thread that polls.
struct Watcher {
    wake: OwnedFd,
    new: Mutex<VecDeque<Interest>>,
}

impl Watcher {
    /// The one watcher, started at its first use. None: the host gives us no more threads or descriptors.
    fn get() -> Option<&'static Watcher> {
        static WATCHER: OnceLock<Option<Watcher>> = OnceLock::new();
        static STARTED: OnceLock<bool> = OnceLock::new();
        let watcher = WATCHER.get_or_init(|| {
            let wake = rustix::event::eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).ok()?;
            Some(Watcher { wake, new: Mutex::default() })
        });
        let watcher = watcher.as_ref()?;
        let start = || std::thread::Builder::new().name("eyot-stdio".into()).spawn(|| watcher.run()).is_ok();
        (*STARTED.get_or_init(start)).then_some(watcher)
    }

    fn watch(&self, interest: Interest) {
        if let Ok(mut new) = self.new.lock() {
            new.push_back(interest);
        }
        // It fails only when the counter is full, and then the thread is awake.
        let _ = rustix::io::write(&self.wake, &1u64.to_ne_bytes());
    }

    fn run(&self) {
        let mut waiting: Vec<Interest> = Vec::new();
        loop {
            let ready = {
                let mut fds = vec![PollFd::new(&self.wake, PollFlags::IN)];
                fds.extend(
                    waiting.iter().map(|interest| PollFd::from_borrowed_fd(interest.inner.fd.as_fd(), interest.flags)),
                );
                // An error here is a lack of memory or a signal: look again.
                let _ = rustix::event::poll(&mut fds, None);
                fds.iter().map(|fd| !fd.revents().is_empty()).collect::<Vec<_>>()
            };
            let mut index = 0;
            waiting.retain(|interest| {
                index += 1;
                let done = ready.get(index).copied().unwrap_or(false);
                if done {
                    interest.notify();
                }
                !done
            });
            let _ = rustix::io::read(&self.wake, &mut [0; 8]);
            if let Ok(mut new) = self.new.lock() {
                waiting.extend(new.drain(..));
            }
        }
    }
}

impl Interest {
    fn notify(&self) {
        let event = if self.flags == PollFlags::IN { &self.inner.readable } else { &self.inner.writable };
        event.notify(usize::MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};

    fn finish<T>(mut call: impl FnMut() -> SysResult<T>) -> Result<T, Errno> {
        let begun = Instant::now();
        loop {
            match call() {
                Ok(value) => return Ok(value),
                Err(SysError::Errno(errno)) => return Err(errno),
                Err(SysError::Wait(wait)) => wait.or_until(Some(begun + Duration::from_secs(20))).park(),
            }
            assert!(begun.elapsed() < Duration::from_secs(20), "nothing came");
        }
    }

    #[test]
    fn a_pipe_waits_for_bytes_and_ends() {
        let (reader, writer) = std::io::pipe().unwrap();
        let stream = HostStream::open(reader.as_fd(), OFlags::RDONLY).unwrap();
        assert!(matches!(stream.read(&mut [0; 8]), Err(SysError::Wait(_))));
        assert!(!stream.readiness().contains(Readiness::READABLE));
        let thread = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(20));
            rustix::io::write(&writer, b"hello").unwrap();
        });
        let mut buffer = [0; 8];
        assert_eq!(finish(|| stream.read(&mut buffer)), Ok(5));
        assert_eq!(&buffer[..5], b"hello");
        thread.join().unwrap();
        assert_eq!(finish(|| stream.read(&mut buffer)), Ok(0));
    }

    #[test]
    fn a_full_pipe_waits_and_a_closed_one_is_epipe() {
        let (reader, writer) = std::io::pipe().unwrap();
        let stream = HostStream::open(writer.as_fd(), OFlags::WRONLY).unwrap();
        let bytes = vec![7; 1 << 16];
        let mut taken = 0;
        while let Ok(count) = stream.write(&bytes) {
            taken += count;
        }
        assert!(taken > 0);
        let thread = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(20));
            let mut left = taken;
            let mut buffer = vec![0; 1 << 16];
            while left > 0 {
                left -= rustix::io::read(&reader, &mut buffer).unwrap();
            }
            reader
        });
        assert!(finish(|| stream.write(&bytes)).unwrap() > 0);
        drop(thread.join().unwrap());
        assert_eq!(finish(|| stream.write(&bytes)), Err(Errno::Pipe));
    }

    #[test]
    fn the_descriptor_we_were_given_keeps_its_flags() {
        let (reader, _writer) = std::io::pipe().unwrap();
        let stream = HostStream::open(reader.as_fd(), OFlags::RDONLY).unwrap();
        assert!(matches!(stream.read(&mut [0; 1]), Err(SysError::Wait(_))));
        assert!(!rustix::fs::fcntl_getfl(&reader).unwrap().contains(OFlags::NONBLOCK));
    }

    #[test]
    fn a_socket_never_blocks() {
        let (a, b) = std::os::unix::net::UnixStream::pair().unwrap();
        let stream = HostStream::open(a.as_fd(), OFlags::RDWR).unwrap();
        assert!(matches!(stream.read(&mut [0; 1]), Err(SysError::Wait(_))));
        assert_eq!(finish(|| stream.write(b"x")), Ok(1));
        rustix::io::read(&b, &mut [0; 1]).unwrap();
        drop(b);
        assert_eq!(finish(|| stream.read(&mut [0; 1])), Ok(0));
    }

    #[test]
    fn a_file_is_always_ready() {
        let mut file = tempfile::tempfile().unwrap();
        std::io::Write::write_all(&mut file, b"abc").unwrap();
        std::io::Seek::rewind(&mut file).unwrap();
        let stream = HostStream::open(file.as_fd(), OFlags::RDWR).unwrap();
        assert!(stream.listen(Readiness::READABLE).is_none());
        let mut buffer = [0; 8];
        assert_eq!(finish(|| stream.read(&mut buffer)), Ok(3));
        assert!(!stream.is_terminal());
        assert!(matches!(stream.window_size(), Err(Errno::Notty)));
    }
}
