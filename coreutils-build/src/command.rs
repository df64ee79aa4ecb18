//! Running other programs.

use std::ffi::OsStr;
use std::process::{Command, Stdio};

use crate::{Error, Result};

/// How much of a failed program's messages is quoted.
const QUOTED_BYTES_MAX: usize = 4000;

/// Runs `command` to its end and answers what it wrote; `what` says in an error what it was for.
pub(crate) fn run(what: &str, command: &mut Command) -> Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|error| Error::new(format!("{what}: can't start {name}: {error}")))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let messages = String::from_utf8_lossy(&output.stderr);
    let mut from = messages.len().saturating_sub(QUOTED_BYTES_MAX);
    while !messages.is_char_boundary(from) {
        from += 1;
    }
    Err(Error::new(format!("{what}: {name} ended with {}:\n{}", output.status, &messages[from..])))
}

/// What a program says about itself, or `None` when it cannot be run.
pub(crate) fn ask(program: impl AsRef<OsStr>, args: &[&str]) -> Option<String> {
    let output = Command::new(program).args(args).stdin(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The first of `names` that can be run.
pub(crate) fn first_of(names: &[&'static str]) -> Option<&'static str> {
    names.iter().copied().find(|name| ask(name, &["--version"]).is_some())
}
