//! The executor that the kernel sees: programs that are JavaScript files, run as processes on threads of their own.

use std::sync::Arc;

use eyot_kernel::process::{Executor, ExitStatus, Image, ImageHead, LoadError, Program, Task};

use crate::artefact::Artefact;
use crate::run::{Engine, run};
use crate::sys::{Entry, Start, Sys};

/// Stack of a process's thread: V8 keeps to about 1 MB of it and throws a `RangeError` past that; the rest is for natives.
const STACK_BYTES: usize = 4 << 20;

/// What the executor is made from.
#[derive(Clone, Copy)]
pub struct Setup {
    /// Node's library.
    pub artefact: &'static Artefact,
    /// A startup snapshot that [`crate::build_snapshot`] made from this artefact with this build of the executor; without one,
    /// or with one that does not fit, every process boots the library itself.
    pub snapshot: Option<&'static [u8]>,
    /// A code cache that [`crate::build_code_cache`] made.
    pub code_cache: Option<&'static [u8]>,
}

/// Runs `.js`, `.cjs` and `.mjs` files, and scripts that name `node` in their `#!` line.
pub struct V8Executor {
    engine: &'static Engine,
}

impl V8Executor {
    /// An executor over Node's library. V8 is initialised here, once for the host process; the first setup of a process counts
    /// for all, because V8 shares its read-only memory among isolates.
    #[must_use]
    pub fn new(setup: Setup) -> Self {
        Self { engine: Engine::get(setup) }
    }

    /// Whether processes start from the snapshot.
    #[must_use]
    pub fn uses_snapshot(&self) -> bool {
        self.engine.has_snapshot()
    }
}

/// Whether an image is for the executor of JavaScript, without making one.
#[must_use]
pub fn accepts(head: ImageHead<'_>) -> bool {
    match head.interpreter {
        Some(name) => name == "node",
        None => is_script(head.path),
    }
}

fn is_script(path: &str) -> bool {
    [".js", ".cjs", ".mjs"].iter().any(|e| path.ends_with(e))
}

impl Executor for V8Executor {
    fn name(&self) -> &'static str {
        "node"
    }

    fn accepts(&self, head: ImageHead<'_>) -> bool {
        accepts(head)
    }

    fn load(&self, image: &Image) -> Result<Box<dyn Program>, LoadError> {
        let bytes: &[u8] = (*image.content.bytes).as_ref();
        // `/usr/bin/node` is a file whose only line asks for this executor: the script is then the first argument.
        let rest = bytes.iter().position(|b| *b == b'\n').map_or(&[][..], |i| bytes.get(i + 1..).unwrap_or(&[]));
        let launcher = bytes.starts_with(b"#!") && rest.iter().all(u8::is_ascii_whitespace);
        let script = (!launcher).then(|| image.path.clone());
        Ok(Box::new(Node { engine: self.engine, script }))
    }
}

/// One process to be.
struct Node {
    engine: &'static Engine,
    /// The script; `None` when the arguments name it.
    script: Option<String>,
}

impl Program for Node {
    fn start(self: Box<Self>, task: Arc<Task>) {
        let owner = Arc::clone(&task);
        let body = move || {
            // A panic here is our own fault; it must end this process and nothing else.
            let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.run(&task)));
            let code = result.unwrap_or(70);
            let status = task.fatal_status().unwrap_or_else(|| exit_status(code));
            task.finish(status);
        };
        let thread = std::thread::Builder::new().name("eyot-node".into()).stack_size(STACK_BYTES).spawn(body);
        if thread.is_err() {
            // The host has no thread to give; the nearest a started process can say is that it was killed for want of memory.
            owner.finish(ExitStatus::Signaled(9));
        }
    }
}

/// An exit code as the parent sees it: 134 stands for SIGABRT, as a shell shows it.
fn exit_status(code: i32) -> ExitStatus {
    ExitStatus::Exited((code & 0xff) as u8)
}

impl Node {
    fn run(&self, task: &Arc<Task>) -> i32 {
        let startup = task.startup();
        let rest = startup.arguments.get(1..).unwrap_or_default();
        let begin = match &self.script {
            Some(script) => Ok(start(Entry::File, Some(script.clone()), rest)),
            None => command_line(self.engine, rest),
        };
        let (sys, done) = match begin {
            Ok(begin) => (Sys::new(Arc::clone(task), begin), None),
            Err(said) => (Sys::new(Arc::clone(task), start(Entry::Stdin, None, &[])), Some(said)),
        };
        if let Some(Said { fd, text, code }) = done {
            sys.write_all(fd, text.as_bytes());
            return code;
        }
        match run(self.engine, task, sys) {
            Ok(code) => code,
            Err((sys, e)) => {
                sys.write_all(2, format!("node: {e}\n").as_bytes());
                70
            }
        }
    }
}

fn start(program: Entry, script: Option<String>, rest: &[String]) -> Start {
    let mut argv = vec!["node".to_owned()];
    argv.extend(script);
    argv.extend_from_slice(rest);
    Start { argv, program }
}

/// What the command itself answers, without running anything.
struct Said {
    fd: u32,
    text: String,
    code: i32,
}

/// The arguments of `node`: `[-v | -e CODE | -p CODE | - | --] [SCRIPT] [ARGS]`. Other options are not built.
fn command_line(engine: &Engine, args: &[String]) -> Result<Start, Said> {
    let Some((first, rest)) = args.split_first() else { return Ok(start(Entry::Stdin, None, &[])) };
    match first.as_str() {
        "-v" | "--version" => Err(Said { fd: 1, text: format!("v{}\n", engine.artefact.node_version()), code: 0 }),
        "-e" | "--eval" | "-p" | "--print" | "-pe" => match rest.split_first() {
            Some((code, rest)) => {
                let print = matches!(first.as_str(), "-p" | "--print" | "-pe");
                Ok(start(Entry::Text { code: code.clone(), print }, None, rest))
            }
            None => Err(Said { fd: 2, text: format!("node: {first} requires an argument\n"), code: 9 }),
        },
        "-" => Ok(start(Entry::Stdin, Some("-".to_owned()), rest)),
        "--" => match rest.split_first() {
            Some((script, rest)) => Ok(start(Entry::File, Some(script.clone()), rest)),
            None => Ok(start(Entry::Stdin, None, &[])),
        },
        option if option.starts_with('-') => {
            Err(Said { fd: 2, text: format!("node: bad option: {option}\n"), code: 9 })
        }
        _ => Ok(start(Entry::File, Some(first.clone()), rest)),
    }
}
