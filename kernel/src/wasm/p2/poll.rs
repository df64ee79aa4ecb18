//! `wasi:io/poll` and `wasi:io/error`: waiting is `syscall::descriptor::poll`, for all pollables at once.

use wasmtime::component::Resource;

use super::bindings::wasi::wasi::io::{error, poll};
use super::failure::{Failure, errno_of, waiting};
use crate::process::Task;
use crate::syscall::types::{PollRequest, Readiness};
use crate::syscall::{clock, descriptor};
use crate::wait::{SysError, SysResult};
use crate::wasm::process::Guest;

/// What can be waited for.
#[derive(Clone, Copy, Debug)]
pub enum Pollable {
    /// The monotonic clock to reach this, in nanoseconds.
    Clock(u64),
    /// A descriptor to be ready, or no longer open.
    Fd(PollRequest),
}

/// A list of pollables as the kernel takes it.
struct Subjects {
    pollables: Vec<Pollable>,
    requests: Vec<PollRequest>,
    deadline_ns: Option<u64>,
}

impl Subjects {
    fn new(pollables: Vec<Pollable>) -> Self {
        let mut requests = Vec::with_capacity(pollables.len());
        let mut deadlines = Vec::new();
        for pollable in &pollables {
            match *pollable {
                Pollable::Clock(deadline_ns) => deadlines.push(deadline_ns),
                Pollable::Fd(request) => requests.push(request),
            }
        }
        Self { pollables, requests, deadline_ns: deadlines.into_iter().min() }
    }

    /// The indices of what is ready.
    fn look(&self, task: &Task) -> SysResult<Vec<u32>> {
        let readiness = descriptor::poll(task, &self.requests, self.deadline_ns)?;
        let now = clock::monotonic(task);
        let mut readiness = readiness.into_iter();
        let ready = self.pollables.iter().map(|pollable| match *pollable {
            Pollable::Clock(deadline_ns) => now >= deadline_ns,
            Pollable::Fd(_) => readiness.next().is_some_and(|readiness| !readiness.is_empty()),
        });
        // The kernel takes far fewer requests than a u32 counts.
        Ok(ready.enumerate().filter(|(_, ready)| *ready).map(|(index, _)| index as u32).collect())
    }
}

impl Guest {
    /// Waits until a pollable of the list is ready; answers which.
    async fn wait_for(&mut self, pollables: Vec<Pollable>) -> wasmtime::Result<Vec<u32>> {
        let subjects = Subjects::new(pollables);
        let task = self.task().clone();
        match waiting(&task, || subjects.look(&task)).await {
            Ok(ready) => Ok(ready),
            Err(Failure::Trap(error)) => Err(error),
            Err(Failure::Errno(errno)) => Err(wasmtime::Error::msg(format!("poll: the list is too long: {errno}"))),
        }
    }

    /// A pollable for a descriptor.
    pub(super) fn subscribe_fd(&mut self, fd: u32, interest: Readiness) -> wasmtime::Result<Resource<Pollable>> {
        self.subscribe(Pollable::Fd(PollRequest { fd, interest }))
    }

    pub(super) fn subscribe(&mut self, pollable: Pollable) -> wasmtime::Result<Resource<Pollable>> {
        Ok(self.resources.push(pollable)?)
    }
}

impl poll::Host for Guest {
    async fn poll(&mut self, list: Vec<Resource<Pollable>>) -> wasmtime::Result<Vec<u32>> {
        if list.is_empty() {
            return Err(wasmtime::Error::msg("poll: the list is empty"));
        }
        let pollables = list.iter().map(|pollable| self.resources.get(pollable).copied()).collect::<Result<_, _>>()?;
        self.wait_for(pollables).await
    }
}

impl poll::HostPollable for Guest {
    fn ready(&mut self, pollable: Resource<Pollable>) -> wasmtime::Result<bool> {
        let mut subjects = Subjects::new(vec![*self.resources.get(&pollable)?]);
        // Looks and does not wait.
        subjects.deadline_ns = Some(0);
        match subjects.look(&self.task) {
            Ok(ready) => Ok(!ready.is_empty()),
            Err(SysError::Errno(errno)) => Err(wasmtime::Error::msg(format!("ready: {errno}"))),
            Err(SysError::Wait(_)) => Ok(false),
        }
    }

    async fn block(&mut self, pollable: Resource<Pollable>) -> wasmtime::Result<()> {
        let pollable = *self.resources.get(&pollable)?;
        self.wait_for(vec![pollable]).await.map(drop)
    }

    fn drop(&mut self, pollable: Resource<Pollable>) -> wasmtime::Result<()> {
        self.resources.delete(pollable)?;
        Ok(())
    }
}

impl error::Host for Guest {}

impl error::HostError for Guest {
    fn to_debug_string(&mut self, error: Resource<error::Error>) -> wasmtime::Result<String> {
        let errno = errno_of(&error);
        Ok(format!("{errno} ({})", errno.name()))
    }

    fn drop(&mut self, _: Resource<error::Error>) -> wasmtime::Result<()> {
        Ok(())
    }
}
