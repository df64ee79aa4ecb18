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

use crate::poll::PIPE_BUF;
use crate::{Interest, ready};

struct Leftover {
    /// The task that wrote it; `None` is the future given to `block_on`.
    task: Option<Id>,
    pipe: io::PipeWriter,
    bytes: Vec<u8>,
    written: usize,
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
        while written < buf.len() && ready(pipe.as_raw_fd(), Interest::Write) {
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
        flush_ready();
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

/// Writes what the pipes take now. What nobody will read is dropped, as a pipe without a reader would.
pub(crate) fn flush_ready() {
    SPOOL.with_borrow_mut(|spool| {
        spool.leftovers.retain_mut(|kept| {
            while kept.written < kept.bytes.len() && ready(kept.pipe.as_raw_fd(), Interest::Write) {
                let end = kept.bytes.len().min(kept.written + PIPE_BUF);
                match kept.pipe.write(&kept.bytes[kept.written..end]) {
                    Ok(written) => kept.written += written,
                    Err(_) => return false,
                }
            }
            kept.written < kept.bytes.len()
        });
    });
}

/// Wakes the tasks that wait for their leftovers.
pub(crate) fn wake() {
    let wakers = SPOOL.with_borrow_mut(|spool| std::mem::take(&mut spool.wakers));
    wakers.into_iter().for_each(Waker::wake);
}
