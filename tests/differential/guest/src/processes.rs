//! Steps on processes and pipes, by the standard library: on WASI its process module is Eyot's.

use std::io::{Read, Write};
use std::os::fd::{BorrowedFd, FromRawFd, IntoRawFd, OwnedFd};
use std::process::{Command, ExitStatus, Stdio};

use crate::errno::Errno;
use crate::files::os_string;
use crate::list::{Step, shown};
use crate::{Answer, Section};

/// A child that was started.
pub struct Child(std::process::Child);

impl Child {
    /// Ends it, however it is.
    pub fn end(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// Runs a step on processes; `None` when it is another kind of step.
pub fn run(section: &mut Section, step: &Step) -> Option<Answer> {
    Some(match step.op.as_str() {
        "run" => run_to_end(section, step),
        "spawn" => spawn(section, step),
        "wait" => child(section, step).and_then(|child| child.wait().map(ended).map_err(|error| Errno::of(&error))),
        "kill" => child(section, step)
            .and_then(|child| child.kill().map(|()| String::new()).map_err(|error| Errno::of(&error))),
        "pipe" => pipe(section, step),
        _ => return None,
    })
}

/// A second descriptor of the same open file.
pub fn dup(fd: i32) -> Result<i32, Errno> {
    // SAFETY: borrowed for this call; a wrong number is answered with an errno, which is what a step wants to see.
    let borrowed = unsafe { BorrowedFd::borrow_raw(fd) };
    borrowed.try_clone_to_owned().map(IntoRawFd::into_raw_fd).map_err(|error| Errno::of(&error))
}

fn pipe(section: &mut Section, step: &Step) -> Answer {
    let (reader, writer) = std::io::pipe().map_err(|error| Errno::of(&error))?;
    let ends = [OwnedFd::from(reader), OwnedFd::from(writer)];
    for (name, end) in step.results.iter().zip(ends) {
        section.handles.insert(name.clone(), end.into_raw_fd());
    }
    Ok(String::new())
}

fn child<'a>(section: &'a mut Section, step: &Step) -> Result<&'a mut std::process::Child, Errno> {
    section.children.get_mut(step.word(0)).map(|child| &mut child.0).ok_or(Errno::NO_HANDLE)
}

/// The command of `[in=HANDLE|out=HANDLE|err=HANDLE|cwd=DIR|env=NAME=VALUE|text=BYTES]... PROGRAM ARGS...`, and the text.
fn command(section: &Section, step: &Step) -> Result<(Command, Vec<u8>), Errno> {
    let mut settings = Vec::new();
    let mut words = step.args.iter().peekable();
    while let Some(word) = words.next_if(|word| is_setting(word)) {
        let at = word.iter().position(|byte| *byte == b'=').unwrap_or_default();
        settings.push((&word[..at], &word[at + 1..]));
    }
    let mut command = Command::new(os_string(words.next().expect("a program")));
    command.args(words.map(|word| os_string(word)));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut text = Vec::new();
    for (name, value) in settings {
        match name {
            b"cwd" => drop(command.current_dir(os_string(value))),
            b"env" => {
                let at = value.iter().position(|byte| *byte == b'=').expect("env=NAME=VALUE");
                command.env(os_string(&value[..at]), os_string(&value[at + 1..]));
            }
            b"in" => drop(command.stdin(stdio(section, value)?)),
            b"out" => drop(command.stdout(stdio(section, value)?)),
            b"err" => drop(command.stderr(stdio(section, value)?)),
            _ => text = value.to_vec(),
        }
    }
    Ok((command, text))
}

fn is_setting(word: &[u8]) -> bool {
    ["in=", "out=", "err=", "cwd=", "env=", "text="].iter().any(|name| word.starts_with(name.as_bytes()))
}

fn stdio(section: &Section, handle: &[u8]) -> Result<Stdio, Errno> {
    let fd = dup(section.fd(handle)?)?;
    // SAFETY: `dup` made it just now for this.
    Ok(Stdio::from(unsafe { OwnedFd::from_raw_fd(fd) }))
}

/// Starts a program, hands it the text, and answers how it ended and what it printed.
fn run_to_end(section: &mut Section, step: &Step) -> Answer {
    let (mut command, text) = command(section, step)?;
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().map_err(|error| Errno::of(&error))?;
    // A program need not read what it is given.
    child.stdin.take().expect("piped").write_all(&text).ok();
    let mut printed = Vec::new();
    child.stdout.take().expect("piped").read_to_end(&mut printed).map_err(|error| Errno::of(&error))?;
    let status = child.wait().map_err(|error| Errno::of(&error))?;
    Ok(format!("{} {}", ended(status), shown(&printed)))
}

fn spawn(section: &mut Section, step: &Step) -> Answer {
    let (mut command, _) = command(section, step)?;
    let child = command.spawn().map_err(|error| Errno::of(&error))?;
    section.children.insert(step.results[0].clone(), Child(child));
    Ok(String::new())
}

#[cfg(unix)]
use std::os::unix::process::ExitStatusExt as _;
#[cfg(target_os = "wasi")]
use std::os::wasi::process::ExitStatusExt as _;

fn ended(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "neither exited nor killed".to_owned(),
    }
}

/// Rust's library has programs ignore SIGPIPE on Linux; the guests' one leaves it as it is.
pub fn ignore_sigpipe() {
    #[cfg(target_os = "wasi")]
    {
        #[link(wasm_import_module = "eyot:kernel/signal@0.1.0")]
        unsafe extern "C" {
            #[link_name = "set-disposition"]
            fn set_disposition(signal: u32, to: u32, before: *mut u32) -> i32;
        }
        let (sigpipe, ignore, mut before) = (13, 1, 0);
        // SAFETY: the memory is that of `before`, which the call fills.
        let errno = unsafe { set_disposition(sigpipe, ignore, &raw mut before) };
        assert_eq!(errno, 0, "SIGPIPE can be ignored");
    }
}
