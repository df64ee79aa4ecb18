//! One VM, one command, from start to exit code.

use std::io::IsTerminal;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use eyot_kernel::Errno;
use eyot_kernel::Vm;
use eyot_kernel::process::{StartError, Stream};
use eyot_kernel::vm::{Process, Stdio};
use rustix::fs::OFlags;

use crate::cli::VmOptions;
use crate::failure::Failure;
use crate::signals;
use crate::stdio::HostStream;

/// Exit code of a VM that ran into `--timeout`, as timeout(1) has it.
const TIMED_OUT: u8 = 124;
/// Exit code of a program that is there and can't be executed.
const NOT_EXECUTABLE: u8 = 126;
/// Exit code of a program that isn't there.
const NOT_FOUND: u8 = 127;

const SIGINT: u8 = 2;

/// What to start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// A path of the VM, or a name to be looked for along `PATH`.
    pub path: String,
    /// `argv[0]`, where it is not the path.
    pub arg0: Option<String>,
    /// The arguments after it.
    pub args: Vec<String>,
    /// A shell that a person talks to: Ctrl-C is for what it runs, not for itself.
    pub interactive: bool,
}

/// Runs the program to its end and answers its exit code.
pub fn run(vm: &Vm, options: &VmOptions, program: Program) -> Result<u8, Failure> {
    let streams = Streams::new()?;
    let mut command = vm.command(program.path.clone()).args(program.args.iter().cloned());
    if let Some(name) = &program.arg0 {
        command = command.arg0(name.clone());
    }
    command = command
        .stdin(Stdio::Stream(streams.input.clone()))
        .stdout(Stdio::Stream(streams.output))
        .stderr(Stdio::Stream(streams.error));
    if streams.input.is_terminal() {
        command = command.terminal(streams.input);
    }
    let process = Arc::new(command.spawn().map_err(|error| not_started(&error))?);
    hand_signals_on(vm, &process, program.interactive)?;
    if let Some(timeout) = options.timeout {
        end_after(vm, timeout)?;
    }
    let code = process.wait().shell_code();
    sync(vm);
    Ok(code)
}

struct Streams {
    input: Arc<dyn Stream>,
    output: Arc<dyn Stream>,
    error: Arc<dyn Stream>,
}

impl Streams {
    fn new() -> Result<Self, Failure> {
        let fail = |e: std::io::Error| Failure::setup(format!("the standard streams can't be used: {e}"));
        Ok(Self {
            input: HostStream::open(std::io::stdin().as_fd(), OFlags::RDONLY).map_err(fail)?,
            output: HostStream::open(std::io::stdout().as_fd(), OFlags::WRONLY).map_err(fail)?,
            error: HostStream::open(std::io::stderr().as_fd(), OFlags::WRONLY).map_err(fail)?,
        })
    }
}

/// Whether a person sits at both ends.
pub fn is_interactive() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

fn not_started(error: &StartError) -> Failure {
    let code = if error.errno == Errno::Noent { NOT_FOUND } else { NOT_EXECUTABLE };
    Failure { message: error.message.clone(), code }
}

fn hand_signals_on(vm: &Vm, process: &Arc<Process>, interactive: bool) -> Result<(), Failure> {
    let (vm, process) = (vm.clone(), process.clone());
    signals::forward(move |number| {
        if number == SIGINT && interactive {
            let shell = process.pid();
            vm.processes().iter().filter(|task| task.pid() != shell).for_each(|task| task.signal(number));
        } else {
            process.signal_group(number);
        }
    })
    .map_err(|e| Failure::setup(format!("signals can't be handled: {e}")))
}

/// Nothing is dropped at the end of this process, so what mounts hold back is made durable here.
fn sync(vm: &Vm) {
    if let Err(errno) = vm.sync() {
        eprintln!("eyot: what was written last could not be made durable: {errno}");
    }
}

/// The VM is this process's own and holds nothing outside it, so ending the process ends everything in it, whatever it does.
fn end_after(vm: &Vm, timeout: Duration) -> Result<(), Failure> {
    let vm = vm.clone();
    let watch = move || {
        std::thread::sleep(timeout);
        eprintln!("eyot: the --timeout of {timeout:?} is over: everything in the VM was ended");
        sync(&vm);
        crate::exit_now(TIMED_OUT);
    };
    let started = std::thread::Builder::new().name("eyot-timeout".into()).spawn(watch);
    started.map(drop).map_err(|e| Failure::setup(format!("the timeout can't be watched: {e}")))
}
