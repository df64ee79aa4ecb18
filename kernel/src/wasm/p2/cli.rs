//! `wasi:cli`: what a program was started with, its standard streams and terminals, and its end.

use wasmtime::component::Resource;

use super::bindings::wasi::wasi::cli::{
    environment, exit, stderr, stdin, stdout, terminal_input, terminal_output, terminal_stderr, terminal_stdin,
    terminal_stdout,
};
use super::bindings::wasi::wasi::io::streams::{InputStream, OutputStream};
use crate::process::ExitStatus;
use crate::syscall::{process, terminal};
use crate::wasm::process::{Guest, Stop};

/// The descriptors of the standard streams.
const STDIN: u32 = 0;
const STDOUT: u32 = 1;
const STDERR: u32 = 2;

impl environment::Host for Guest {
    fn get_environment(&mut self) -> wasmtime::Result<Vec<(String, String)>> {
        Ok(process::environment(&self.task))
    }

    fn get_arguments(&mut self) -> wasmtime::Result<Vec<String>> {
        Ok(process::arguments(&self.task))
    }

    fn initial_cwd(&mut self) -> wasmtime::Result<Option<String>> {
        Ok(process::getcwd(&self.task).ok())
    }
}

impl Guest {
    /// Ends the program.
    pub(super) fn exit_with<T>(&self, code: u8) -> wasmtime::Result<T> {
        match process::exit(&self.task, code) {
            ExitStatus::Exited(code) => Err(Stop::Exit(code.into()).into()),
            ExitStatus::Signaled(_) => Err(Stop::Killed.into()),
        }
    }

    fn is_terminal(&self, fd: u32) -> bool {
        terminal::is_terminal(&self.task, fd).unwrap_or(false)
    }
}

impl exit::Host for Guest {
    fn exit(&mut self, status: Result<(), ()>) -> wasmtime::Result<()> {
        self.exit_with(status.is_err().into())
    }

    fn exit_with_code(&mut self, code: u8) -> wasmtime::Result<()> {
        self.exit_with(code)
    }
}

impl stdin::Host for Guest {
    fn get_stdin(&mut self) -> wasmtime::Result<Resource<InputStream>> {
        Ok(Resource::new_own(STDIN))
    }
}

impl stdout::Host for Guest {
    fn get_stdout(&mut self) -> wasmtime::Result<Resource<OutputStream>> {
        Ok(Resource::new_own(STDOUT))
    }
}

impl stderr::Host for Guest {
    fn get_stderr(&mut self) -> wasmtime::Result<Resource<OutputStream>> {
        Ok(Resource::new_own(STDERR))
    }
}

impl terminal_input::Host for Guest {}

impl terminal_input::HostTerminalInput for Guest {
    fn drop(&mut self, _: Resource<terminal_input::TerminalInput>) -> wasmtime::Result<()> {
        Ok(())
    }
}

impl terminal_output::Host for Guest {}

impl terminal_output::HostTerminalOutput for Guest {
    fn drop(&mut self, _: Resource<terminal_output::TerminalOutput>) -> wasmtime::Result<()> {
        Ok(())
    }
}

impl terminal_stdin::Host for Guest {
    fn get_terminal_stdin(&mut self) -> wasmtime::Result<Option<Resource<terminal_input::TerminalInput>>> {
        Ok(self.is_terminal(STDIN).then(|| Resource::new_own(STDIN)))
    }
}

impl terminal_stdout::Host for Guest {
    fn get_terminal_stdout(&mut self) -> wasmtime::Result<Option<Resource<terminal_output::TerminalOutput>>> {
        Ok(self.is_terminal(STDOUT).then(|| Resource::new_own(STDOUT)))
    }
}

impl terminal_stderr::Host for Guest {
    fn get_terminal_stderr(&mut self) -> wasmtime::Result<Option<Resource<terminal_output::TerminalOutput>>> {
        Ok(self.is_terminal(STDERR).then(|| Resource::new_own(STDERR)))
    }
}
