//! `eyot:kernel/clock`: clocks and sleeping.

use crate::backend::Timestamp;
use crate::process::Task;
use crate::wait::{SysError, SysResult, Wait};

/// The time of day.
pub fn realtime(task: &Task) -> Timestamp {
    task.kernel().clock.realtime()
}

/// Nanoseconds since the VM was made.
pub fn monotonic(task: &Task) -> u64 {
    task.kernel().clock.monotonic_ns()
}

/// The steps of both clocks in nanoseconds.
pub fn resolution(task: &Task) -> u64 {
    task.kernel().clock.resolution_ns()
}

/// The VM's clock itself, for executors that wait for several things at once.
pub fn of(task: &Task) -> &crate::clock::Clock {
    &task.kernel().clock
}

/// Waits until the monotonic clock reaches `deadline_ns`.
pub fn sleep_until(task: &Task, deadline_ns: u64) -> SysResult<()> {
    let clock = &task.kernel().clock;
    if clock.monotonic_ns() >= deadline_ns {
        return Ok(());
    }
    // A clock in coarse steps shows the deadline only at the next step.
    let shown = deadline_ns.saturating_add(clock.resolution_ns() - 1);
    Err(SysError::Wait(Wait::default().or_until(clock.instant(shown))))
}
