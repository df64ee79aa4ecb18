//! `poll_oneoff` of WASI 0.1, which takes timeouts finer than wasi-libc's `poll`.

use std::io;
use std::os::fd::RawFd;
use std::time::Duration;

/// What a descriptor should be ready for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interest {
    /// Bytes, the end of the stream or an error can be read.
    Read,
    /// A pipe takes at least [`PIPE_BUF`] bytes, or nobody will read it any more.
    Write,
}

/// What a pipe that is ready for writing takes without waiting.
pub(crate) const PIPE_BUF: usize = 4096;

const CLOCK_MONOTONIC: u32 = 1;
const EVENT_CLOCK: u8 = 0;
const EVENT_FD_READ: u8 = 1;
const EVENT_FD_WRITE: u8 = 2;
/// `eventrwflags`: the other end is closed.
const HANGUP: u16 = 1;

/// `subscription`: the union begins at 16, and its clock arm is its largest.
#[repr(C)]
#[derive(Clone, Copy)]
struct Subscription {
    userdata: u64,
    tag: u64,
    /// The descriptor, or the clock's id.
    id: u32,
    timeout: u64,
    precision: u64,
    flags: u16,
}

/// `event`
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Event {
    userdata: u64,
    error: u16,
    kind: u8,
    nbytes: u64,
    flags: u16,
}

const _: () = assert!(size_of::<Subscription>() == 48 && size_of::<Event>() == 32);

#[link(wasm_import_module = "wasi_snapshot_preview1")]
unsafe extern "C" {
    fn poll_oneoff(subscriptions: *const Subscription, events: *mut Event, count: usize, occurred: *mut usize) -> i32;
}

/// Whether `fd` is ready now.
#[must_use]
pub fn ready(fd: RawFd, interest: Interest) -> bool {
    wait_ready(&[(fd, interest)], Some(Duration::ZERO))
}

/// Whether `fd`, a pipe, takes bytes now.
///
/// # Errors
/// `BrokenPipe` when it has no reader. Asking spares the signal that writing would bring: a shell outlives its pipes.
pub(crate) fn writable(fd: RawFd) -> io::Result<bool> {
    let events = poll(&[(fd, Interest::Write)], Some(Duration::ZERO));
    if events.iter().any(|event| event.kind == EVENT_FD_WRITE && event.flags & HANGUP != 0) {
        return Err(io::ErrorKind::BrokenPipe.into());
    }
    Ok(events.iter().any(|event| event.kind == EVENT_FD_WRITE))
}

/// Waits until one of `watched` is ready, or for `timeout`; whether one is. A descriptor that can't be waited for (a
/// closed one, say) counts as ready: using it will tell.
#[must_use]
pub fn wait_ready(watched: &[(RawFd, Interest)], timeout: Option<Duration>) -> bool {
    poll(watched, timeout).iter().any(|event| event.kind != EVENT_CLOCK)
}

fn poll(watched: &[(RawFd, Interest)], timeout: Option<Duration>) -> Vec<Event> {
    let mut subscriptions: Vec<Subscription> = watched
        .iter()
        .map(|(fd, interest)| Subscription {
            userdata: 0,
            tag: u64::from(if *interest == Interest::Read { EVENT_FD_READ } else { EVENT_FD_WRITE }),
            id: *fd as u32,
            timeout: 0,
            precision: 0,
            flags: 0,
        })
        .collect();
    if let Some(timeout) = timeout {
        subscriptions.push(Subscription {
            userdata: 1,
            tag: u64::from(EVENT_CLOCK),
            id: CLOCK_MONOTONIC,
            timeout: u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX),
            precision: 0,
            flags: 0,
        });
    }
    let mut events = vec![Event::default(); subscriptions.len()];
    let mut occurred = 0;
    // SAFETY: both arrays have as many elements as the call is told.
    let errno = unsafe { poll_oneoff(subscriptions.as_ptr(), events.as_mut_ptr(), subscriptions.len(), &mut occurred) };
    if errno != 0 {
        // Nothing can be waited for: every use will tell why.
        return vec![Event { kind: EVENT_FD_READ, ..Event::default() }];
    }
    events.truncate(occurred);
    events
}
