//! `eyot:kernel` as component imports: each function is a call of the function of the same name in `syscall`.

mod convert;
mod descriptor;
mod fs;
mod process;
mod socket;

use super::bindings::kernel::eyot::kernel::{clock, pipe, random, signal, terminal, types};
use super::failure::{Failure, done, unless_killed, waiting};
use crate::syscall;
use crate::wasm::process::Guest;

impl clock::Host for Guest {
    fn realtime(&mut self) -> wasmtime::Result<types::Timestamp> {
        Ok(convert::timestamp_out(syscall::clock::realtime(&self.task)))
    }

    fn monotonic(&mut self) -> wasmtime::Result<u64> {
        Ok(syscall::clock::monotonic(&self.task))
    }

    fn resolution(&mut self) -> wasmtime::Result<u64> {
        Ok(syscall::clock::resolution(&self.task))
    }

    async fn sleep_until(&mut self, deadline_ns: u64) -> Result<(), Failure> {
        let task = self.task();
        waiting(task, || syscall::clock::sleep_until(task, deadline_ns)).await
    }
}

impl pipe::Host for Guest {
    fn pipe(&mut self, flags: pipe::DescriptorFlags) -> Result<(u32, u32), Failure> {
        done(syscall::pipe::pipe(&self.task, convert::descriptor_flags_in(flags)))
    }
}

impl random::Host for Guest {
    fn bytes(&mut self, length: u32) -> Result<Vec<u8>, Failure> {
        done(syscall::random::bytes(&self.task, length as usize))
    }
}

impl signal::Host for Guest {
    fn set_disposition(&mut self, number: u8, to: signal::Disposition) -> Result<signal::Disposition, Failure> {
        let ignore = to == signal::Disposition::Ignore;
        let before = done(syscall::signal::set_disposition(&self.task, number, ignore))?;
        Ok(if before { signal::Disposition::Ignore } else { signal::Disposition::Default })
    }

    fn kill(&mut self, target: i32, signal: u8) -> Result<(), Failure> {
        unless_killed(&self.task, done(syscall::signal::kill(&self.task, target, signal)))
    }
}

impl terminal::Host for Guest {
    fn is_terminal(&mut self, fd: u32) -> Result<bool, Failure> {
        done(syscall::terminal::is_terminal(&self.task, fd))
    }

    fn get_window_size(&mut self, fd: u32) -> Result<terminal::WindowSize, Failure> {
        let size = done(syscall::terminal::get_window_size(&self.task, fd))?;
        Ok(terminal::WindowSize { rows: size.rows, columns: size.columns })
    }
}
