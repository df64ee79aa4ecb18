//! Processes of Eyot's kernel: `std::process` over `eyot:kernel/process`.
//!
//! A child is started by one call that carries program, arguments, environment, directory and file actions; there is no
//! moment between fork and exec, and so nothing like `pre_exec`.

use super::env::{CommandEnv, CommandEnvs};
pub use crate::ffi::OsString as EnvKey;
use crate::ffi::{OsStr, OsString};
use crate::num::NonZero;
use crate::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use crate::path::Path;
use crate::process::StdioPipes;
use crate::sys::fd::FileDesc;
use crate::sys::fs::File;
use crate::sys::pal::eyot::{self, FileAction, SpawnArgs};
use crate::sys::pipe::pipe;
use crate::sys::{IntoInner, cvt_r};
use crate::{env, fmt, io, ptr};

const DEV_NULL: &str = "/dev/null";
const SIGKILL: u32 = 9;

pub struct Command {
    program: OsString,
    args: Vec<OsString>,
    env: CommandEnv,
    cwd: Option<OsString>,
    stdio: [Option<Stdio>; 3],
    process_group: Option<u32>,
    new_session: bool,
    extra_fds: Vec<(OwnedFd, u32)>,
}

#[derive(Debug)]
pub enum Stdio {
    Inherit,
    Null,
    MakePipe,
    Fd(FileDesc),
    /// One of our own standard descriptors, which is never closed.
    Standard(RawFd),
}

impl Command {
    pub fn new(program: &OsStr) -> Command {
        Command {
            program: program.to_owned(),
            args: vec![program.to_owned()],
            env: CommandEnv::default(),
            cwd: None,
            stdio: [None, None, None],
            process_group: None,
            new_session: false,
            extra_fds: Vec::new(),
        }
    }

    pub fn arg(&mut self, arg: &OsStr) {
        self.args.push(arg.to_owned());
    }

    pub fn set_arg_0(&mut self, arg: &OsStr) {
        self.args[0] = arg.to_owned();
    }

    pub fn set_process_group(&mut self, pgid: u32) {
        self.process_group = Some(pgid);
    }

    pub fn set_new_session(&mut self) {
        self.new_session = true;
    }

    pub fn pass_fd(&mut self, fd: OwnedFd, number: u32) {
        self.extra_fds.push((fd, number));
    }

    pub fn env_mut(&mut self) -> &mut CommandEnv {
        &mut self.env
    }

    pub fn cwd(&mut self, dir: &OsStr) {
        self.cwd = Some(dir.to_owned());
    }

    pub fn stdin(&mut self, stdin: Stdio) {
        self.stdio[0] = Some(stdin);
    }

    pub fn stdout(&mut self, stdout: Stdio) {
        self.stdio[1] = Some(stdout);
    }

    pub fn stderr(&mut self, stderr: Stdio) {
        self.stdio[2] = Some(stderr);
    }

    pub fn get_program(&self) -> &OsStr {
        &self.program
    }

    pub fn get_args(&self) -> CommandArgs<'_> {
        CommandArgs { iter: self.args[1..].iter() }
    }

    pub fn get_envs(&self) -> CommandEnvs<'_> {
        self.env.iter()
    }

    pub fn get_env_clear(&self) -> bool {
        self.env.does_clear()
    }

    pub fn get_current_dir(&self) -> Option<&Path> {
        self.cwd.as_deref().map(Path::new)
    }

    pub fn spawn(
        &mut self,
        default: Stdio,
        needs_stdin: bool,
    ) -> io::Result<(Process, StdioPipes)> {
        let mut plan = StdioPlan::default();
        for number in 0..3_u32 {
            let fallback = if number == 0 && !needs_stdin { &Stdio::Null } else { &default };
            let stdio = self.stdio[number as usize].as_ref().unwrap_or(fallback);
            plan.add(stdio, number)?;
        }
        for (fd, number) in &self.extra_fds {
            plan.copy(fd.as_fd(), *number)?;
        }
        let pid = self.with_record(&plan.actions, |record| unsafe { eyot::spawn(record) })??;
        let [stdin, stdout, stderr] = plan.ours;
        Ok((Process { pid, status: None }, StdioPipes { stdin, stdout, stderr }))
    }

    /// Replaces the calling program by this one; returns only when that failed.
    pub fn exec(&mut self) -> io::Error {
        let mut plan = StdioPlan::default();
        for number in 0..3_u32 {
            let stdio = self.stdio[number as usize].as_ref().unwrap_or(&Stdio::Inherit);
            // A pipe to ourselves would have no other end once we are replaced.
            let stdio = if let Stdio::MakePipe = stdio { &Stdio::Null } else { stdio };
            if let Err(error) = plan.add(stdio, number) {
                return error;
            }
        }
        match self.with_record(&plan.actions, |record| unsafe { eyot::exec(record) }) {
            Ok(error) | Err(error) => error,
        }
    }

    /// Lays out everything the kernel reads and hands it to `call`.
    fn with_record<T>(
        &self,
        actions: &[FileAction],
        call: impl FnOnce(&SpawnArgs) -> T,
    ) -> io::Result<T> {
        let program = self.program.as_encoded_bytes();
        reject_nul(program)?;
        let cwd = self.cwd.as_ref().map_or(&[][..], |dir| dir.as_encoded_bytes());
        reject_nul(cwd)?;
        let mut argv = Vec::with_capacity(self.args.iter().map(|arg| arg.len() + 1).sum());
        for arg in &self.args {
            push_string(&mut argv, &[arg.as_encoded_bytes()])?;
        }
        let env = self.env_block()?;

        let mut flags = eyot::SPAWN_SEARCH_PATH | eyot::SPAWN_REPLACE_ENV;
        if self.process_group.is_some() {
            flags |= eyot::SPAWN_PROCESS_GROUP;
        }
        if self.new_session {
            flags |= eyot::SPAWN_NEW_SESSION;
        }
        let record = SpawnArgs {
            program: program.as_ptr(),
            program_len: program.len(),
            argv: argv.as_ptr(),
            argv_len: argv.len(),
            env: env.as_ptr(),
            env_len: env.len(),
            cwd: if cwd.is_empty() { ptr::null() } else { cwd.as_ptr() },
            cwd_len: cwd.len(),
            actions: actions.as_ptr(),
            actions_count: actions.len(),
            flags,
            pgid: self.process_group.unwrap_or(0),
        };
        Ok(call(&record))
    }

    /// The child's whole environment. The kernel knows only what we were started with, and `set_var` may have changed
    /// it since, so it is always sent.
    fn env_block(&self) -> io::Result<Vec<u8>> {
        let mut block = Vec::new();
        let mut push = |key: &OsStr, value: &OsStr| {
            push_string(&mut block, &[key.as_encoded_bytes(), b"=", value.as_encoded_bytes()])
        };
        match self.env.capture_if_changed() {
            Some(changed) => changed.iter().try_for_each(|(key, value)| push(key, value))?,
            None => env::vars_os().try_for_each(|(key, value)| push(&key, &value))?,
        }
        Ok(block)
    }
}

fn reject_nul(bytes: &[u8]) -> io::Result<()> {
    if bytes.contains(&0) {
        return Err(io::const_error!(
            io::ErrorKind::InvalidInput,
            "nul byte found in provided data",
        ));
    }
    Ok(())
}

fn push_string(block: &mut Vec<u8>, parts: &[&[u8]]) -> io::Result<()> {
    for part in parts {
        reject_nul(part)?;
        block.extend_from_slice(part);
    }
    block.push(0);
    Ok(())
}

/// The file actions of one start, the pipe ends that we keep, and what must stay open until the child has its copies.
#[derive(Default)]
struct StdioPlan {
    actions: Vec<FileAction>,
    ours: [Option<ChildPipe>; 3],
    held: Vec<OwnedFd>,
}

impl StdioPlan {
    fn add(&mut self, stdio: &Stdio, number: u32) -> io::Result<()> {
        match stdio {
            Stdio::Inherit => {}
            Stdio::Null => {
                let flags = if number == 0 { 0 } else { 1 };
                self.actions.push(FileAction::open(DEV_NULL, flags, number));
            }
            Stdio::MakePipe => {
                let (reader, writer) = pipe()?;
                let (ours, theirs) = if number == 0 { (writer, reader) } else { (reader, writer) };
                self.actions.push(FileAction::dup2(theirs.as_raw_fd(), number));
                self.ours[number as usize] = Some(ours);
                self.held.push(theirs.into_inner());
            }
            Stdio::Fd(fd) => self.copy(fd.as_fd(), number)?,
            Stdio::Standard(fd) => self.copy(unsafe { BorrowedFd::borrow_raw(*fd) }, number)?,
        }
        Ok(())
    }

    /// Actions run in order in the child's own table: a source whose number an earlier action has taken by then is
    /// copied out of the way first.
    fn copy(&mut self, from: BorrowedFd<'_>, number: u32) -> io::Result<()> {
        let taken = self.actions.iter().any(|action| action.fd == from.as_raw_fd() as u32);
        if taken {
            let copy = eyot::dup(from)?;
            self.actions.push(FileAction::dup2(copy.as_raw_fd(), number));
            self.held.push(copy);
        } else {
            self.actions.push(FileAction::dup2(from.as_raw_fd(), number));
        }
        Ok(())
    }
}

pub fn output(cmd: &mut Command) -> io::Result<(ExitStatus, Vec<u8>, Vec<u8>)> {
    let (mut process, mut pipes) = cmd.spawn(Stdio::MakePipe, false)?;
    drop(pipes.stdin.take());
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    match (pipes.stdout.take(), pipes.stderr.take()) {
        (Some(out), Some(err)) => read_output(out, &mut stdout, err, &mut stderr)?,
        (Some(out), None) => drop(out.read_to_end(&mut stdout)?),
        (None, Some(err)) => drop(err.read_to_end(&mut stderr)?),
        (None, None) => {}
    }
    Ok((process.wait()?, stdout, stderr))
}

impl From<FileDesc> for Stdio {
    fn from(fd: FileDesc) -> Stdio {
        Stdio::Fd(fd)
    }
}

impl From<File> for Stdio {
    fn from(file: File) -> Stdio {
        Stdio::Fd(file.into_inner())
    }
}

impl From<io::Stdout> for Stdio {
    fn from(_: io::Stdout) -> Stdio {
        Stdio::Standard(1)
    }
}

impl From<io::Stderr> for Stdio {
    fn from(_: io::Stderr) -> Stdio {
        Stdio::Standard(2)
    }
}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if f.alternate() {
            return f
                .debug_struct("Command")
                .field("program", &self.program)
                .field("args", &self.args)
                .field("env", &self.env)
                .field("cwd", &self.cwd)
                .field("stdio", &self.stdio)
                .finish_non_exhaustive();
        }
        for (key, value) in self.get_envs() {
            if let Some(value) = value {
                write!(f, "{}={value:?} ", key.display())?;
            }
        }
        write!(f, "{:?}", self.program)?;
        self.args[1..].iter().try_for_each(|arg| write!(f, " {arg:?}"))
    }
}

/// How a process ended, or why it is reported.
#[derive(PartialEq, Eq, Clone, Copy, Debug)]
pub enum ExitStatus {
    Exited(i32),
    Killed(i32),
    Stopped(i32),
    Continued,
}

impl Default for ExitStatus {
    fn default() -> ExitStatus {
        ExitStatus::Exited(0)
    }
}

impl ExitStatus {
    fn new(result: &eyot::WaitResult) -> ExitStatus {
        let value = result.value as i32;
        match result.kind {
            2 => ExitStatus::Killed(value),
            3 => ExitStatus::Stopped(value),
            4 => ExitStatus::Continued,
            _ => ExitStatus::Exited(value),
        }
    }

    pub fn exit_ok(&self) -> Result<(), ExitStatusError> {
        if *self == ExitStatus::Exited(0) { Ok(()) } else { Err(ExitStatusError(*self)) }
    }

    pub fn code(&self) -> Option<i32> {
        if let ExitStatus::Exited(code) = self { Some(*code) } else { None }
    }

    pub fn signal(&self) -> Option<i32> {
        if let ExitStatus::Killed(signal) = self { Some(*signal) } else { None }
    }

    pub fn stopped_signal(&self) -> Option<i32> {
        if let ExitStatus::Stopped(signal) = self { Some(*signal) } else { None }
    }

    pub fn continued(&self) -> bool {
        *self == ExitStatus::Continued
    }
}

impl fmt::Display for ExitStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ExitStatus::Exited(code) => write!(f, "exit status: {code}"),
            ExitStatus::Killed(signal) => write!(f, "signal: {signal}"),
            ExitStatus::Stopped(signal) => write!(f, "stopped by signal: {signal}"),
            ExitStatus::Continued => f.write_str("continued"),
        }
    }
}

#[derive(PartialEq, Eq, Clone, Copy, Debug)]
pub struct ExitStatusError(ExitStatus);

impl Into<ExitStatus> for ExitStatusError {
    fn into(self) -> ExitStatus {
        self.0
    }
}

impl ExitStatusError {
    pub fn code(self) -> Option<NonZero<i32>> {
        self.0.code().and_then(NonZero::new)
    }
}

#[derive(PartialEq, Eq, Clone, Copy, Debug)]
pub struct ExitCode(u8);

impl ExitCode {
    pub const SUCCESS: ExitCode = ExitCode(0);
    pub const FAILURE: ExitCode = ExitCode(1);

    pub fn as_i32(&self) -> i32 {
        i32::from(self.0)
    }
}

impl From<u8> for ExitCode {
    fn from(code: u8) -> ExitCode {
        ExitCode(code)
    }
}

/// A child. Its pid stays its own until it has been waited for, which only this handle does.
pub struct Process {
    pid: u32,
    status: Option<ExitStatus>,
}

impl Process {
    pub fn id(&self) -> u32 {
        self.pid
    }

    pub fn kill(&mut self) -> io::Result<()> {
        self.send_signal(SIGKILL)
    }

    /// A child that was waited for no longer owns its pid: nothing is sent, and that is no error.
    pub fn send_signal(&self, signal: u32) -> io::Result<()> {
        if self.status.is_some() { Ok(()) } else { eyot::kill(self.pid, signal) }
    }

    pub fn wait(&mut self) -> io::Result<ExitStatus> {
        if let Some(status) = self.status {
            return Ok(status);
        }
        let status = ExitStatus::new(&eyot::wait(self.pid as i32, 0)?);
        self.status = Some(status);
        Ok(status)
    }

    pub fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        if self.status.is_none() {
            let result = eyot::wait(self.pid as i32, eyot::WAIT_NO_HANG)?;
            if result.pid != 0 {
                self.status = Some(ExitStatus::new(&result));
            }
        }
        Ok(self.status)
    }
}

pub struct CommandArgs<'a> {
    iter: crate::slice::Iter<'a, OsString>,
}

impl<'a> Iterator for CommandArgs<'a> {
    type Item = &'a OsStr;

    fn next(&mut self) -> Option<&'a OsStr> {
        self.iter.next().map(|arg| arg.as_os_str())
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.iter.size_hint()
    }
}

impl ExactSizeIterator for CommandArgs<'_> {}

impl fmt::Debug for CommandArgs<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter.clone()).finish()
    }
}

pub type ChildPipe = crate::sys::pipe::Pipe;

/// Reads both pipes to their ends, whichever has bytes first, so that a child that fills one never waits for us to
/// finish with the other.
pub fn read_output(
    out: ChildPipe,
    stdout: &mut Vec<u8>,
    err: ChildPipe,
    stderr: &mut Vec<u8>,
) -> io::Result<()> {
    let pipes = [&out, &err];
    let buffers = [stdout, stderr];
    let mut open = [true, true];
    for pipe in pipes {
        pipe.set_nonblocking(true)?;
    }
    while open[0] && open[1] {
        let mut polled = pipes.map(|pipe| libc::pollfd {
            fd: pipe.as_raw_fd(),
            events: libc::POLLIN,
            revents: 0,
        });
        cvt_r(|| unsafe { libc::poll(polled.as_mut_ptr(), polled.len() as libc::nfds_t, -1) })?;
        for index in 0..2 {
            if polled[index].revents == 0 {
                continue;
            }
            match pipes[index].read_to_end(buffers[index]) {
                Ok(_) => open[index] = false,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }
    // Only one is left: wait for it in the plain way.
    for index in 0..2 {
        if open[index] {
            pipes[index].set_nonblocking(false)?;
            pipes[index].read_to_end(buffers[index])?;
        }
    }
    Ok(())
}

pub fn getpid() -> u32 {
    eyot::getpid()
}

pub fn getppid() -> u32 {
    eyot::getppid()
}
