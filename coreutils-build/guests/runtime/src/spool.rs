//! Writing to a pipe whose reader may be this very process.
//!
//! What a pipe does not take at once is kept here and written when the pipe is ready. A task waits for its own leftovers
//! with [`drain`] before it does the next thing, so that no more than one command's output is ever kept.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io::{self, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::task::{Poll, Waker};

use tokio::task::Id;

use crate::Interest;
use crate::poll::{PIPE_BUF, writable};

struct Leftover {
    /// The task that wrote it; `None` is the future given to `block_on`.
    task: Option<Id>,
    pipe: io::PipeWriter,
    bytes: Vec<u8>,
    written: usize,
}

impl Leftover {
    /// Writes what the pipe takes now; whether that was all.
    fn flush(&mut self) -> io::Result<bool> {
        while self.written < self.bytes.len() && writable(self.pipe.as_raw_fd())? {
            let end = self.bytes.len().min(self.written + PIPE_BUF);
            self.written += self.pipe.write(&self.bytes[self.written..end])?;
        }
        Ok(self.written == self.bytes.len())
    }
}

#[derive(Default)]
struct Spool {
    leftovers: Vec<Leftover>,
    wakers: Vec<Waker>,
}

thread_local! {
    static SPOOL: RefCell<Spool> = RefCell::default();
}

/// Writes all of `buf` to `pipe`, now or later.
///
/// # Errors
/// What `write(2)` answers; a reader that is gone is noticed for what is written at once.
pub fn write(pipe: &mut io::PipeWriter, buf: &[u8]) -> io::Result<usize> {
    let task = tokio::task::try_id();
    SPOOL.with_borrow_mut(|spool| {
        if let Some(last) = spool.leftovers.iter_mut().rev().find(|leftover| leftover.task == task) {
            if last.pipe.as_raw_fd() == pipe.as_raw_fd() {
                last.bytes.extend_from_slice(buf);
                return Ok(buf.len());
            }
        }
        let mut written = 0;
        while written < buf.len() && writable(pipe.as_raw_fd())? {
            let end = buf.len().min(written + PIPE_BUF);
            written += pipe.write(&buf[written..end])?;
        }
        if written < buf.len() {
            let pipe = pipe.try_clone()?;
            spool.leftovers.push(Leftover { task, pipe, bytes: buf[written..].to_vec(), written: 0 });
        }
        Ok(buf.len())
    })
}

/// Resolves when everything the calling task wrote has reached its pipe, or has nobody left to read it.
pub async fn drain() {
    let task = tokio::task::try_id();
    poll_fn(|cx| {
        if pending() {
            flush_ready();
        }
        SPOOL.with_borrow_mut(|spool| {
            if spool.leftovers.iter().all(|leftover| leftover.task != task) {
                return Poll::Ready(());
            }
            spool.wakers.push(cx.waker().clone());
            Poll::Pending
        })
    })
    .await;
}

/// Whether anything is kept.
pub(crate) fn pending() -> bool {
    SPOOL.with_borrow(|spool| !spool.leftovers.is_empty())
}

/// Adds the pipes that something is kept for.
pub(crate) fn watch(watched: &mut Vec<(RawFd, Interest)>) {
    SPOOL.with_borrow(|spool| {
        watched.extend(spool.leftovers.iter().map(|kept| (kept.pipe.as_raw_fd(), Interest::Write)));
    });
}

/// Writes what the pipes take now, and wakes the tasks that waited for it. What nobody will read is dropped, as a pipe
/// without a reader would.
pub(crate) fn flush_ready() {
    let wakers = SPOOL.with_borrow_mut(|spool| {
        let before = spool.leftovers.len();
        spool.leftovers.retain_mut(|kept| kept.flush().is_ok_and(|all| !all));
        // Whoever waits looks again whether it was its own.
        let any_gone = spool.leftovers.len() < before;
        if any_gone { std::mem::take(&mut spool.wakers) } else { Vec::new() }
    });
    wakers.into_iter().for_each(Waker::wake);
}
