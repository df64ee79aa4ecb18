//! The command `eyot`: runs untrusted programs in a virtual machine inside this process.

mod backend;
mod cli;
mod config;
mod executors;
mod export;
mod failure;
mod home;
mod info;
mod interpreter;
mod island;
mod mounts;
mod node;
mod program;
mod retired;
mod session;
mod signals;
mod stdio;
mod values;
mod warm;

use std::io::Write;
use std::path::Path;

use clap::{CommandFactory, Parser};

use crate::cli::{Cli, Command};
use crate::failure::Failure;
use crate::home::Home;

fn main() -> ! {
    let code = match act(Cli::parse().command) {
        Ok(code) => code,
        Err(failure) => {
            eprintln!("eyot: {}", failure.message);
            failure.code
        }
    };
    exit_now(code)
}

fn act(command: Command) -> Result<u8, Failure> {
    let home = Home::find();
    match command {
        Command::Run { vm, command } => {
            let (program, args) = split(command)?;
            let (island, program) = island::with_program(&home, &vm, Path::new(&program), args)?;
            session::run(&island, &vm, program)
        }
        Command::Sh { vm, command, args } => session::run(&island::new(&home, &vm)?, &vm, shell(command, args)),
        Command::Exec { vm, command } => {
            let (path, args) = split(command)?;
            let program = session::Program { path, arg0: None, args, interactive: false };
            session::run(&island::new(&home, &vm)?, &vm, program)
        }
        Command::Mount { vm: Some(point), mounts, config, allow_other, .. } => {
            export::vm(&home, &cli::VmOptions { mounts, config, ..Default::default() }, &point, allow_other)
        }
        Command::Mount { spec: Some(spec), point: Some(point), allow_other, .. } => {
            export::filesystem(&home, &spec, &point, allow_other)
        }
        // The parser sees to it.
        Command::Mount { .. } => {
            Err(Failure::usage("mount: name a filesystem and a directory, or --vm DIR".to_owned()))
        }
        Command::Backend { command } => backend::run(&home, command),
        Command::Info { json: true } => print(&format!("{:#}\n", info::json(&home))),
        Command::Info { json: false } => print(&format!("{}\n", info::text(&home))),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "eyot", &mut script);
            print(&String::from_utf8_lossy(&script))
        }
        Command::Warm { snapshot: true } => warm::make_snapshot(&home),
        Command::Warm { snapshot: false } => warm::run(&home),
    }
}

/// The program and its arguments. What looks like an option before the program is one that does not exist.
fn split(mut command: Vec<String>) -> Result<(String, Vec<String>), Failure> {
    match command.first() {
        Some(first) if !first.starts_with('-') => {
            let args = command.split_off(1);
            Ok((command.remove(0), args))
        }
        Some(option) => Err(Failure::usage(format!("there is no option `{option}`; `eyot help` lists them"))),
        None => Err(Failure::usage("there is no program to run; `eyot help` has examples")),
    }
}

/// `sh [-c CMD] [ARGS]`.
fn shell(command: Option<String>, args: Vec<String>) -> session::Program {
    let interactive = command.is_none() && args.is_empty() && session::is_interactive();
    let front = command.map(|line| ["-c".to_owned(), line]).into_iter().flatten();
    session::Program { path: "/bin/sh".into(), arg0: Some("sh".into()), args: front.chain(args).collect(), interactive }
}

fn print(text: &str) -> Result<u8, Failure> {
    let mut out = std::io::stdout().lock();
    // A reader that went away has seen what it wanted.
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    Ok(0)
}

/// Ends the process at once: nothing is buffered, guests may still be running on their threads, and V8's own clean-up at exit must not
/// meet them.
fn exit_now(code: u8) -> ! {
    // SAFETY: `_exit` has no preconditions; it runs no handlers and does not return.
    unsafe { libc::_exit(i32::from(code)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_option_that_does_not_exist_is_no_program() {
        let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(split(words("--frobnicate x")).unwrap_err().code, 2);
        assert_eq!(split(words("x --y")).unwrap(), ("x".into(), words("--y")));
        assert_eq!(split(Vec::new()).unwrap_err().code, 2);
    }

    #[test]
    fn the_shell_gets_its_line_and_arguments() {
        let program = shell(Some("echo $1".into()), vec!["a".into(), "b".into()]);
        assert_eq!(program.args, ["-c", "echo $1", "a", "b"]);
        assert!(!program.interactive);
    }
}
