//! Waiting from one thread.
//!
//! A guest has one thread, and a shell has many things to wait for: children, pipes, time. Each wait here is a future
//! that leaves a note of what it waits for. When tokio's single-threaded runtime has nothing left to run it calls
//! [`park`], which waits for the first of the noted things in the kernel and wakes its future. So two stages of a
//! pipeline that live in the same process make progress by turns, and neither can wait for the other for ever.
//!
//! Descriptors are never made non-blocking: that flag belongs to the open file, which children share. Instead readiness
//! is asked for first, and no more is written than a ready pipe takes.

mod poll;
mod spool;

use std::cell::RefCell;
use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::os::fd::RawFd;
use std::pin::Pin;
use std::process::{Child, ExitStatus};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use tokio::task::Id;

pub use poll::{Interest, ready, wait_ready};
pub use spool::{drain, write};

/// How long the first look at several children at once lasts, and the longest one.
const LOOK_MIN: Duration = Duration::from_micros(50);
const LOOK_MAX: Duration = Duration::from_millis(2);

#[derive(Default)]
struct Notes {
    descriptors: Vec<(RawFd, Interest, Waker)>,
    children: Vec<(Arc<Mutex<Child>>, Waker)>,
    deadlines: Vec<(Instant, Waker)>,
}

thread_local! {
    static NOTES: RefCell<Notes> = RefCell::default();
    static STARTED: RefCell<HashMap<Id, u32>> = RefCell::default();
}

/// Remembers that the running task started the child `pid`.
pub fn note_child(pid: u32) {
    if let Some(task) = tokio::task::try_id() {
        STARTED.with_borrow_mut(|started| started.insert(task, pid));
    }
}

/// The last child that `task` started.
#[must_use]
pub fn child_of(task: Id) -> Option<u32> {
    STARTED.with_borrow(|started| started.get(&task).copied())
}

/// Resolves when `fd` is ready: at once when it is now.
pub async fn descriptor(fd: RawFd, interest: Interest) {
    DescriptorReady { fd, interest }.await;
}

struct DescriptorReady {
    fd: RawFd,
    interest: Interest,
}

impl Future for DescriptorReady {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if ready(self.fd, self.interest) {
            return Poll::Ready(());
        }
        NOTES.with_borrow_mut(|notes| {
            notes.descriptors.push((self.fd, self.interest, cx.waker().clone()));
        });
        Poll::Pending
    }
}

/// Resolves when `child` has ended.
///
/// # Errors
/// What `waitpid(2)` answers.
pub async fn child_exit(child: Arc<Mutex<Child>>) -> io::Result<ExitStatus> {
    ChildExit(child).await
}

struct ChildExit(Arc<Mutex<Child>>);

impl Future for ChildExit {
    type Output = io::Result<ExitStatus>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<ExitStatus>> {
        match lock(&self.0).try_wait() {
            Ok(Some(status)) => Poll::Ready(Ok(status)),
            Err(error) => Poll::Ready(Err(error)),
            Ok(None) => {
                NOTES.with_borrow_mut(|notes| {
                    notes.children.push((Arc::clone(&self.0), cx.waker().clone()));
                });
                Poll::Pending
            }
        }
    }
}

/// Resolves after `duration`.
pub async fn sleep(duration: Duration) {
    Sleep(Instant::now() + duration).await;
}

struct Sleep(Instant);

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if Instant::now() >= self.0 {
            return Poll::Ready(());
        }
        NOTES.with_borrow_mut(|notes| notes.deadlines.push((self.0, cx.waker().clone())));
        Poll::Pending
    }
}

fn lock(child: &Mutex<Child>) -> MutexGuard<'_, Child> {
    child.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether anything else of this process could run while this waits, so that blocking in the kernel could block what is
/// waited for. A task is never alone: the future given to `block_on` is there too.
#[must_use]
pub fn others_alive() -> bool {
    tokio::task::try_id().is_some()
        || spool::pending()
        || tokio::runtime::Handle::try_current().is_ok_and(|handle| handle.metrics().num_alive_tasks() > 0)
}

/// Waits for the first of everything noted and wakes whoever noted it. For `Builder::on_thread_park`.
///
/// # Panics
/// When nothing was noted: then nothing could ever wake the thread, and the program is at fault.
pub fn park() {
    let notes = NOTES.take();
    let waits = !notes.descriptors.is_empty() || !notes.deadlines.is_empty() || spool::pending();
    match notes.children.as_slice() {
        [] if !waits => {}
        [(child, waker)] if !waits => {
            // The only thing to wait for: wait in the kernel. An error is found again by the future itself.
            let _ = lock(child).wait();
            waker.wake_by_ref();
        }
        _ => wait_for_first(notes),
    }
}

/// Waits until something noted has happened. What has not is noted again by its future when that is woken next; all are
/// woken, because a waker that is dropped is a task lost.
fn wait_for_first(notes: Notes) {
    let mut look = LOOK_MIN;
    loop {
        let deadline = notes.deadlines.iter().map(|(at, _)| at.saturating_duration_since(Instant::now())).min();
        // The kernel can't wait for a child and a descriptor in one call, so children are looked at by turns.
        let child_look = (!notes.children.is_empty()).then_some(look);
        let timeout = match (deadline, child_look) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        let mut watched: Vec<(RawFd, Interest)> =
            notes.descriptors.iter().map(|(fd, interest, _)| (*fd, *interest)).collect();
        spool::watch(&mut watched);
        let any_ready = wait_ready(&watched, timeout);
        if any_ready {
            spool::flush_ready();
        }
        let deadline_passed = deadline == Some(Duration::ZERO);
        let child_ended = notes.children.iter().any(|(child, _)| !matches!(lock(child).try_wait(), Ok(None)));
        if any_ready || deadline_passed || child_ended {
            break;
        }
        look = (look * 2).min(LOOK_MAX);
    }
    let wakers = notes.descriptors.into_iter().map(|(_, _, waker)| waker);
    let wakers = wakers.chain(notes.children.into_iter().map(|(_, waker)| waker));
    wakers.chain(notes.deadlines.into_iter().map(|(_, waker)| waker)).for_each(Waker::wake);
}
