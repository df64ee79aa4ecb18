//! `wasi:clocks`.

use wasmtime::component::Resource;

use super::bindings::wasi::wasi::clocks::{monotonic_clock, timezone, wall_clock};
use super::poll::Pollable;
use crate::backend::Timestamp;
use crate::syscall::clock;
use crate::wasm::process::Guest;

const NANOS_PER_SECOND: u64 = 1_000_000_000;

impl monotonic_clock::Host for Guest {
    fn now(&mut self) -> wasmtime::Result<u64> {
        Ok(clock::monotonic(&self.task))
    }

    fn resolution(&mut self) -> wasmtime::Result<u64> {
        Ok(clock::resolution(&self.task))
    }

    fn subscribe_instant(&mut self, when: u64) -> wasmtime::Result<Resource<Pollable>> {
        self.subscribe(Pollable::Clock(when))
    }

    fn subscribe_duration(&mut self, duration: u64) -> wasmtime::Result<Resource<Pollable>> {
        let when = clock::monotonic(&self.task).saturating_add(duration);
        self.subscribe(Pollable::Clock(when))
    }
}

impl wall_clock::Host for Guest {
    fn now(&mut self) -> wasmtime::Result<wall_clock::Datetime> {
        // A host's clock before 1970 has no number here.
        Ok(datetime(clock::realtime(&self.task)).unwrap_or(wall_clock::Datetime { seconds: 0, nanoseconds: 0 }))
    }

    fn resolution(&mut self) -> wasmtime::Result<wall_clock::Datetime> {
        let nanos = clock::resolution(&self.task);
        let nanoseconds = (nanos % NANOS_PER_SECOND) as u32;
        Ok(wall_clock::Datetime { seconds: nanos / NANOS_PER_SECOND, nanoseconds })
    }
}

/// A point in time; none before 1970.
pub(super) fn datetime(time: Timestamp) -> Option<wall_clock::Datetime> {
    let seconds = u64::try_from(time.seconds).ok()?;
    Some(wall_clock::Datetime { seconds, nanoseconds: time.nanoseconds })
}

/// Not linked, for WASI has not settled it: it is there because the world names it.
impl timezone::Host for Guest {
    fn display(&mut self, _: wall_clock::Datetime) -> wasmtime::Result<timezone::TimezoneDisplay> {
        Ok(timezone::TimezoneDisplay { utc_offset: 0, name: "UTC".into(), in_daylight_saving_time: false })
    }

    fn utc_offset(&mut self, _: wall_clock::Datetime) -> wasmtime::Result<i32> {
        Ok(0)
    }
}
