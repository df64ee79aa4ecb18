//! `eyot:kernel/process`.

use super::super::bindings::kernel::eyot::kernel::process::{Host, Program, WaitFlags, WaitStatus};
use super::super::bindings::kernel::eyot::kernel::types::Errno as WitErrno;
use super::super::failure::{Failure, done, kernel_errno, waiting};
use super::convert;
use crate::process::StartError;
use crate::syscall::process;
use crate::wasm::process::{Guest, Stop};

type Answer<T> = Result<T, Failure>;

fn errno_of(error: StartError) -> Failure {
    tracing::debug!(%error, "a program could not be started");
    Failure::Errno(error.errno)
}

impl Host for Guest {
    fn spawn(&mut self, program: Program) -> Answer<i32> {
        let spec = convert::program_in(program)?;
        process::spawn(&self.task, spec).map_err(errno_of)
    }

    /// Loads the new program first: when that fails, the old one goes on. Then the old one is unwound, and the run loop starts the new one.
    fn exec(&mut self, program: Program) -> wasmtime::Result<WitErrno> {
        let loaded = convert::program_in(program)
            .map_err(Failure::from)
            .and_then(|spec| process::exec(&self.task, spec).map_err(errno_of));
        match loaded {
            Ok(next) => {
                self.next = Some(next);
                Err(Stop::Exec.into())
            }
            Err(Failure::Errno(errno)) => Ok(kernel_errno(errno)),
            Err(Failure::Trap(error)) => Err(error),
        }
    }

    async fn wait(&mut self, target: i32, flags: WaitFlags) -> Answer<Option<(i32, WaitStatus)>> {
        let task = self.task();
        let flags = convert::wait_flags_in(flags);
        let ended = waiting(task, || process::wait(task, target, flags)).await?;
        Ok(ended.map(|(pid, status)| (pid, convert::wait_status_out(status))))
    }

    fn exit(&mut self, code: u8) -> wasmtime::Result<()> {
        self.exit_with(code)
    }

    fn getpid(&mut self) -> wasmtime::Result<i32> {
        Ok(process::getpid(&self.task))
    }

    fn getppid(&mut self) -> wasmtime::Result<i32> {
        Ok(process::getppid(&self.task))
    }

    fn getpgid(&mut self, of: i32) -> Answer<i32> {
        done(process::getpgid(&self.task, of))
    }

    fn setpgid(&mut self, of: i32, group: i32) -> Answer<()> {
        done(process::setpgid(&self.task, of, group))
    }

    fn getsid(&mut self, of: i32) -> Answer<i32> {
        done(process::getsid(&self.task, of))
    }

    fn setsid(&mut self) -> Answer<i32> {
        done(process::setsid(&self.task))
    }

    fn getcwd(&mut self) -> Answer<String> {
        done(process::getcwd(&self.task))
    }

    fn chdir(&mut self, path: String) -> Answer<()> {
        done(process::chdir(&self.task, &path))
    }

    fn fchdir(&mut self, dir: u32) -> Answer<()> {
        done(process::fchdir(&self.task, dir))
    }

    fn umask(&mut self, mask: u32) -> wasmtime::Result<u32> {
        Ok(process::umask(&self.task, mask))
    }

    fn identity(&mut self) -> wasmtime::Result<(u32, u32, u32, u32)> {
        Ok(process::identity(&self.task))
    }

    fn arguments(&mut self) -> wasmtime::Result<Vec<String>> {
        Ok(process::arguments(&self.task))
    }

    fn environment(&mut self) -> wasmtime::Result<Vec<(String, String)>> {
        Ok(process::environment(&self.task))
    }
}
