//! `poll_oneoff`: waiting for clocks and descriptors, on the guest's own fiber.

use wasmtime::Caller;

use super::super::call::{Call, Memory, Reply, failure};
use super::super::process::{Guest, Stop};
use super::rights;
use crate::Errno;
use crate::backend::NodeKind;
use crate::process::Task;
use crate::syscall::types::{PollRequest, Readiness};
use crate::syscall::{clock, descriptor};
use crate::wait::{SysError, Woken};

/// The most subscriptions of one call.
const SUBSCRIPTIONS_MAX: u32 = 4096;

const SUBSCRIPTION_BYTES: u32 = 48;
const EVENT_BYTES: u32 = 32;

/// `eventtype`.
const CLOCK: u8 = 0;
const FD_READ: u8 = 1;
const FD_WRITE: u8 = 2;

/// `subclockflags`: the timeout is a point in time.
const ABSTIME: u16 = 1;

/// `eventrwflags`: the other side is gone.
const HANGUP: u16 = 1;

/// The arguments of `poll_oneoff`.
#[derive(Clone, Copy)]
pub(super) struct Arguments {
    pub(super) subscriptions: u32,
    pub(super) events: u32,
    pub(super) count: u32,
    pub(super) out: u32,
}

/// What a program waits for.
enum Subject {
    /// The monotonic clock to reach this, in nanoseconds.
    Clock(u64),
    /// A descriptor: the index of its request.
    Fd(usize),
    /// Nothing that can be waited for: told at once.
    Wrong(Errno),
}

struct Subscription {
    user_data: u64,
    kind: u8,
    subject: Subject,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Event {
    user_data: u64,
    error: u16,
    kind: u8,
    bytes: u64,
    flags: u16,
}

/// All subscriptions of a call, decoded.
struct Poll {
    subscriptions: Vec<Subscription>,
    requests: Vec<PollRequest>,
    deadline_ns: Option<u64>,
}

pub(super) fn poll_oneoff(mut caller: Caller<'_, Guest>, arguments: Arguments) -> Reply<'_> {
    Box::new(async move {
        let mut call = Call::of(&mut caller)?;
        let poll = match decode(&mut call, arguments) {
            Ok(poll) => poll,
            Err(errno) => return failure(call.task, errno),
        };
        loop {
            let mut call = Call::of(&mut caller)?;
            let wait = match poll.look(call.task) {
                Ok(events) => {
                    let written = write_events(&mut call.memory, arguments, &events);
                    return written.map_or_else(|errno| failure(call.task, errno), |()| Ok(0));
                }
                Err(SysError::Errno(errno)) => return failure(call.task, errno),
                Err(SysError::Wait(wait)) => wait,
            };
            let task = call.task.clone();
            if task.suspend(wait).await == Woken::Killed {
                return Err(Stop::Killed.into());
            }
        }
    })
}

fn decode(call: &mut Call<'_>, arguments: Arguments) -> Result<Poll, Errno> {
    let Arguments { subscriptions: at, events, count, out } = arguments;
    if count == 0 || count > SUBSCRIPTIONS_MAX {
        return Err(Errno::Inval);
    }
    call.memory.check(at, count * SUBSCRIPTION_BYTES)?;
    call.memory.check(events, count * EVENT_BYTES)?;
    call.memory.check(out, 4)?;
    let mut poll = Poll { subscriptions: Vec::with_capacity(count as usize), requests: Vec::new(), deadline_ns: None };
    for index in 0..count {
        poll.add(&call.memory, call.task, at + index * SUBSCRIPTION_BYTES)?;
    }
    Ok(poll)
}

impl Poll {
    fn add(&mut self, memory: &Memory<'_>, task: &Task, at: u32) -> Result<(), Errno> {
        let user_data = memory.u64(at)?;
        let [kind] = *memory.slice(at + 8, 1)? else { return Err(Errno::Fault) };
        let subject = match kind {
            CLOCK => match deadline(memory, task, at) {
                Ok(deadline_ns) => {
                    self.deadline_ns = Some(self.deadline_ns.map_or(deadline_ns, |other| other.min(deadline_ns)));
                    Subject::Clock(deadline_ns)
                }
                Err(errno) => Subject::Wrong(errno),
            },
            FD_READ | FD_WRITE => {
                let fd = memory.u32(at + 16)?;
                let interest = if kind == FD_READ { Readiness::READABLE } else { Readiness::WRITABLE };
                match task.file(fd) {
                    Ok(_) => {
                        self.requests.push(PollRequest { fd, interest });
                        Subject::Fd(self.requests.len() - 1)
                    }
                    Err(errno) => Subject::Wrong(errno),
                }
            }
            _ => return Err(Errno::Inval),
        };
        self.subscriptions.push(Subscription { user_data, kind, subject });
        Ok(())
    }

    /// The events that are there, at least one; or a wait.
    fn look(&self, task: &Task) -> Result<Vec<Event>, SysError> {
        let wrong = self.subscriptions.iter().any(|subscription| matches!(subscription.subject, Subject::Wrong(_)));
        let deadline_ns = if wrong { Some(0) } else { self.deadline_ns };
        let ready = descriptor::poll(task, &self.requests, deadline_ns)?;
        let now = clock::monotonic(task);
        let event = |subscription: &Subscription| {
            let mut event =
                Event { user_data: subscription.user_data, error: 0, kind: subscription.kind, bytes: 0, flags: 0 };
            match subscription.subject {
                Subject::Wrong(errno) => event.error = errno.wasi(),
                Subject::Clock(deadline_ns) if now < deadline_ns => return None,
                Subject::Clock(_) => {}
                Subject::Fd(index) => {
                    let readiness = ready.get(index).copied().unwrap_or_default();
                    if readiness.is_empty() {
                        return None;
                    }
                    fd_event(task, self.requests[index], readiness, &mut event);
                }
            }
            Some(event)
        };
        let events: Vec<_> = self.subscriptions.iter().filter_map(event).collect();
        if events.is_empty() {
            // Only a clock in coarse steps comes here: its deadline passed, and it does not show it yet.
            let resolution = clock::resolution(task);
            return Err(clock::sleep_until(task, now.saturating_add(resolution)).err().unwrap_or(Errno::Again.into()));
        }
        Ok(events)
    }
}

/// When a clock subscription is due, by the monotonic clock. Errors: `EINVAL` for a clock that is not there.
fn deadline(memory: &Memory<'_>, task: &Task, at: u32) -> Result<u64, Errno> {
    let (id, timeout, flags) = (memory.u32(at + 16)?, memory.u64(at + 24)?, memory.u16(at + 40)?);
    let now = clock::monotonic(task);
    match (id, flags & ABSTIME != 0) {
        (0 | 1, false) => Ok(now.saturating_add(timeout)),
        (1, true) => Ok(timeout),
        (0, true) => {
            let today = u64::try_from(clock::realtime(task).as_nanos()).map_err(|_| Errno::Overflow)?;
            Ok(now.saturating_add(timeout.saturating_sub(today)))
        }
        _ => Err(Errno::Inval),
    }
}

fn fd_event(task: &Task, request: PollRequest, readiness: Readiness, event: &mut Event) {
    if readiness.contains(Readiness::HANG_UP) {
        event.flags = HANGUP;
    }
    if readiness.contains(Readiness::ERROR) {
        // A pipe without readers, or a descriptor that another call closed meanwhile.
        event.flags = HANGUP;
        event.error = if task.file(request.fd).is_ok() { Errno::Pipe.wasi() } else { Errno::Badf.wasi() };
    }
    if readiness.contains(Readiness::READABLE) {
        event.bytes = bytes_to_read(task, request.fd);
    }
}

/// How much a read would give at least: for a file what is left of it.
fn bytes_to_read(task: &Task, fd: u32) -> u64 {
    let Ok(file) = task.file(fd) else { return 0 };
    if rights::kind(&file) != NodeKind::File {
        return 1;
    }
    match descriptor::stat(task, fd) {
        Ok(status) => status.attributes.size.saturating_sub(file.position()),
        Err(_) => 1,
    }
}

fn write_events(memory: &mut Memory<'_>, arguments: Arguments, events: &[Event]) -> Result<(), Errno> {
    let mut at = arguments.events;
    for event in events {
        let mut record = [0; EVENT_BYTES as usize];
        record[0..8].copy_from_slice(&event.user_data.to_le_bytes());
        record[8..10].copy_from_slice(&event.error.to_le_bytes());
        record[10] = event.kind;
        record[16..24].copy_from_slice(&event.bytes.to_le_bytes());
        record[24..26].copy_from_slice(&event.flags.to_le_bytes());
        memory.write(at, &record)?;
        at = at.checked_add(EVENT_BYTES).ok_or(Errno::Fault)?;
    }
    memory.write_u32(arguments.out, events.len() as u32)
}
