//! Running commands in a VM.

use std::io::{Read, Write};
use std::sync::Arc;
use std::time::Instant;

use super::stdio::OtherEnd;
use super::{PipeInput, PipeOutput, Stdio, Vm};
use crate::limits::Limit;
use crate::process::{
    Credentials, ExitStatus, FdEntry, FdFlags, FdTable, NewTask, Pid, ProgramSpec, StartError, Stream, Task,
};
use crate::wait::Wait;

/// A command to run: as `std::process::Command`, in a VM.
pub struct Command {
    vm: Vm,
    spec: ProgramSpec,
    environment: Vec<(String, String)>,
    user: Option<Credentials>,
    streams: [Stdio; 3],
    terminal: Option<Arc<dyn Stream>>,
}

/// A command that was started.
pub struct Process {
    task: Arc<Task>,
    /// The other end of a piped standard input.
    pub stdin: Option<PipeInput>,
    /// The other end of a piped standard output.
    pub stdout: Option<PipeOutput>,
    /// The other end of a piped standard error.
    pub stderr: Option<PipeOutput>,
}

/// What a command left behind.
#[derive(Clone, Debug)]
pub struct Output {
    /// How it ended.
    pub status: ExitStatus,
    /// What it wrote to its standard output.
    pub stdout: Vec<u8>,
    /// What it wrote to its standard error.
    pub stderr: Vec<u8>,
}

impl Command {
    pub(super) fn new(vm: Vm, program: String) -> Self {
        let environment = vm.embedder().startup().environment.clone();
        let spec = ProgramSpec {
            arguments: vec![program.clone()],
            path: program,
            search_path: true,
            process_group: Some(0),
            ..ProgramSpec::default()
        };
        Self { vm, spec, environment, user: None, streams: [Stdio::Null, Stdio::Null, Stdio::Null], terminal: None }
    }

    /// Adds an argument.
    pub fn arg(mut self, argument: impl Into<String>) -> Self {
        self.spec.arguments.push(argument.into());
        self
    }

    /// Adds arguments.
    pub fn args(mut self, arguments: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.spec.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// Sets the name the program is called by: `argv[0]`.
    pub fn arg0(mut self, name: impl Into<String>) -> Self {
        self.spec.arguments[0] = name.into();
        self
    }

    /// Sets a variable of the environment, over the VM's.
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        let name = name.into();
        self.environment.retain(|(known, _)| *known != name);
        self.environment.push((name, value.into()));
        self
    }

    /// Sets the working directory.
    pub fn current_dir(mut self, path: impl Into<String>) -> Self {
        self.spec.working_directory = Some(path.into());
        self
    }

    /// Sets who it runs as.
    pub fn user(mut self, uid: u32, gid: u32) -> Self {
        self.user = Some(Credentials { uid, gid });
        self
    }

    /// Sets the standard input: [`Stdio::Null`] unless told otherwise.
    pub fn stdin(mut self, stdio: Stdio) -> Self {
        self.streams[0] = stdio;
        self
    }

    /// Sets the standard output.
    pub fn stdout(mut self, stdio: Stdio) -> Self {
        self.streams[1] = stdio;
        self
    }

    /// Sets the standard error.
    pub fn stderr(mut self, stdio: Stdio) -> Self {
        self.streams[2] = stdio;
        self
    }

    /// Gives it a terminal: `/dev/tty`.
    pub fn terminal(mut self, terminal: Arc<dyn Stream>) -> Self {
        self.terminal = Some(terminal);
        self
    }

    /// Starts it.
    pub fn spawn(self) -> Result<Process, StartError> {
        let embedder = self.vm.embedder();
        let kernel = embedder.kernel();
        let accountant = &kernel.accountant;
        let mut fds = FdTable::new(usize::try_from(accountant.max(Limit::DescriptorsPerProcess)).unwrap_or(1024));
        let mut ends = [OtherEnd::None, OtherEnd::None, OtherEnd::None];
        for (index, stdio) in self.streams.iter().enumerate() {
            let fail = |errno| StartError { errno, message: format!("standard stream {index}: {errno}") };
            let (file, end) = stdio.open(accountant, index == 0).map_err(fail)?;
            fds.insert(FdEntry { file, flags: FdFlags::empty() }, 0).map_err(fail)?;
            ends[index] = end;
        }
        let mut spec = self.spec;
        spec.environment = Some(self.environment);
        // A task of its own that nobody sees, so that descriptors, user and terminal are inherited in the one way there is.
        let template = Task::enter(
            kernel,
            NewTask {
                ppid: 0,
                pgid: None,
                sid: None,
                credentials: self.user.unwrap_or(embedder.credentials()),
                umask: embedder.umask(),
                cwd: embedder.cwd(),
                startup: embedder.startup(),
                fds,
                terminal: self.terminal,
            },
        );
        let started = crate::process::spawn_detached(&template, spec);
        template.finish(ExitStatus::Exited(0));
        let mut process = Process { task: started?, stdin: None, stdout: None, stderr: None };
        for (index, end) in ends.into_iter().enumerate() {
            match (index, end) {
                (_, OtherEnd::None) => {}
                (_, OtherEnd::Input(input)) => process.stdin = Some(input),
                (1, OtherEnd::Output(output)) => process.stdout = Some(output),
                (_, OtherEnd::Output(output)) => process.stderr = Some(output),
            }
        }
        Ok(process)
    }

    /// Runs it to its end and answers how that was.
    pub fn status(self) -> Result<ExitStatus, StartError> {
        Ok(self.spawn()?.wait())
    }

    /// Runs it to its end and collects what it wrote.
    pub fn output(mut self) -> Result<Output, StartError> {
        self.streams[1] = Stdio::Piped;
        self.streams[2] = Stdio::Piped;
        Ok(self.spawn()?.wait_with_output(&[]))
    }

    /// Runs it to its end with `input` as its standard input, and collects what it wrote.
    pub fn output_with_input(mut self, input: &[u8]) -> Result<Output, StartError> {
        self.streams = [Stdio::Piped, Stdio::Piped, Stdio::Piped];
        Ok(self.spawn()?.wait_with_output(input))
    }
}

impl Process {
    /// Its number in the VM.
    pub fn pid(&self) -> Pid {
        self.task.pid()
    }

    /// Sends it a signal.
    pub fn signal(&self, number: u8) {
        self.task.signal(number);
    }

    /// Sends a signal to it and every process of its group: what Ctrl-C on a terminal does.
    pub fn signal_group(&self, number: u8) {
        let group = self.task.pgid();
        for task in self.task.kernel().processes.all() {
            if task.pgid() == group {
                task.signal(number);
            }
        }
    }

    /// How it ended, when it has.
    pub fn try_wait(&self) -> Option<ExitStatus> {
        self.task.status()
    }

    /// Waits for its end.
    pub fn wait(&self) -> ExitStatus {
        loop {
            let ended = self.task.listen_ended();
            if let Some(status) = self.task.status() {
                return status;
            }
            Wait::on(ended).park();
        }
    }

    /// Waits for its end until `deadline`.
    pub fn wait_until(&self, deadline: Instant) -> Option<ExitStatus> {
        loop {
            let ended = self.task.listen_ended();
            if let Some(status) = self.task.status() {
                return Some(status);
            }
            if Instant::now() >= deadline {
                return None;
            }
            Wait::on(ended).or_until(Some(deadline)).park();
        }
    }

    /// Feeds it `input`, collects what it writes, and waits for its end.
    pub fn wait_with_output(mut self, input: &[u8]) -> Output {
        let mut output = Output { status: ExitStatus::Exited(0), stdout: Vec::new(), stderr: Vec::new() };
        std::thread::scope(|scope| {
            if let Some(mut stdin) = self.stdin.take()
                && !input.is_empty()
            {
                // The guest may close its end early: then there is nobody to tell.
                scope.spawn(move || drop(stdin.write_all(input)));
            }
            if let Some(mut stderr) = self.stderr.take() {
                let into = &mut output.stderr;
                scope.spawn(move || drop(stderr.read_to_end(into)));
            }
            if let Some(mut stdout) = self.stdout.take() {
                drop(stdout.read_to_end(&mut output.stdout));
            }
        });
        output.status = self.wait();
        output
    }
}
