//! `wasi:io/poll` and `wasi:io/error`: waiting is `syscall::descriptor::poll`, for all pollables at once.

use wasmtime::component::Resource;

use super::bindings::wasi::wasi::io::{error, poll};
use super::failure::{Failure, errno_of, waiting};
use crate::process::Task;
use crate::syscall::types::{PollRequest, Readiness};
use crate::syscall::{clock, descriptor};
use crate::wait::SysResult;
use crate::wasm::process::Guest;

/// What can be waited for.
#[derive(Clone, Copy, Debug)]
pub enum Pollable {
    /// The monotonic clock to reach this, in nanoseconds.
    Clock(u64),
    /// A descriptor to be ready, or no longer open.
    Fd(PollRequest),
}

impl Pollable {
    fn is_ready(self, task: &Task) -> bool {
        match self {
            Pollable::Clock(deadline_ns) => clock::monotonic(task) >= deadline_ns,
            // What is not open does not wait.
            Pollable::Fd(PollRequest { fd, interest }) => task
                .file(fd)
                .map_or(true, |file| file.readiness().intersects(interest | Readiness::HANG_UP | Readiness::ERROR)),
        }
    }
}

/// The indices of what is ready.
fn ready(task: &Task, pollables: &[Pollable]) -> Vec<u32> {
    // A list is copied out of a guest's memory: a u32 counts it.
    let indices = (0_u32..).zip(pollables);
    indices.filter(|(_, pollable)| pollable.is_ready(task)).map(|(index, _)| index).collect()
}

/// Those that are ready, at least one; or a wait for all of them.
fn look(task: &Task, pollables: &[Pollable]) -> SysResult<Vec<u32>> {
    loop {
        let found = ready(task, pollables);
        if !found.is_empty() {
            return Ok(found);
        }
        let mut requests = Vec::new();
        let mut deadline_ns = None;
        for pollable in pollables {
            match *pollable {
                Pollable::Clock(at_ns) => deadline_ns = Some(deadline_ns.map_or(at_ns, |other: u64| other.min(at_ns))),
                Pollable::Fd(request) => requests.push(request),
            }
        }
        descriptor::poll(task, &requests, deadline_ns)?;
    }
}

impl Guest {
    /// Waits until a pollable of the list is ready; answers which.
    async fn wait_for(&mut self, pollables: &[Pollable]) -> wasmtime::Result<Vec<u32>> {
        let task = self.task();
        match waiting(task, || look(task, pollables)).await {
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
        let pollables: Vec<_> =
            list.iter().map(|pollable| self.resources.get(pollable).copied()).collect::<Result<_, _>>()?;
        self.wait_for(&pollables).await
    }
}

impl poll::HostPollable for Guest {
    fn ready(&mut self, pollable: Resource<Pollable>) -> wasmtime::Result<bool> {
        Ok(self.resources.get(&pollable)?.is_ready(&self.task))
    }

    async fn block(&mut self, pollable: Resource<Pollable>) -> wasmtime::Result<()> {
        let pollable = *self.resources.get(&pollable)?;
        if pollable.is_ready(&self.task) {
            return Ok(());
        }
        self.wait_for(&[pollable]).await.map(drop)
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
