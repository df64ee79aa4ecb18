//! Running other programs: quietly, with their output kept in a log, or shown as it comes.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;

use crate::failure::{Failure, OrFail, Result};
use crate::ui::Step;

/// Lines of a failed command's output that are shown.
const TAIL_LINES: usize = 20;

/// A command with what to do when it fails.
#[derive(Debug)]
pub struct Run {
    command: Command,
    shown: String,
    fix: String,
}

impl Run {
    /// `program`, looked for along `PATH`. Standard input is empty: nothing here may wait for a person.
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        let mut command = Command::new(&program);
        command.stdin(Stdio::null());
        let shown = program.as_ref().to_string_lossy().into_owned();
        Self { command, shown, fix: "read the output above, mend its cause and run the same command again".into() }
    }

    /// One more argument.
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.shown.push(' ');
        self.shown.push_str(&arg.as_ref().to_string_lossy());
        self.command.arg(arg);
        self
    }

    /// More arguments.
    pub fn args<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(self, args: I) -> Self {
        args.into_iter().fold(self, |run, arg| run.arg(arg))
    }

    /// Sets a variable of the command's environment.
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Takes a variable out of the command's environment.
    pub fn env_remove(mut self, name: impl AsRef<OsStr>) -> Self {
        self.command.env_remove(name);
        self
    }

    /// The directory to run in.
    pub fn cwd(mut self, dir: impl AsRef<Path>) -> Self {
        self.command.current_dir(dir);
        self
    }

    /// What the reader can do when it fails.
    pub fn fix(mut self, fix: impl Into<String>) -> Self {
        self.fix = fix.into();
        self
    }

    /// The command line as text.
    pub fn line(&self) -> &str {
        &self.shown
    }

    /// The command itself, for a caller that needs other streams.
    pub fn into_command(self) -> Command {
        self.command
    }

    /// Runs it with its output on ours; failing is an error.
    pub fn show_ok(mut self) -> Result<()> {
        let status = self.command.status().map_err(|e| self.cannot_start(&e))?;
        if status.success() {
            return Ok(());
        }
        Err(Failure::new(format!("`{}` failed", self.shown), status, self.fix))
    }

    /// Runs it and answers its standard output; standard error goes into the failure.
    pub fn output(mut self) -> Result<String> {
        let out = self.command.output().map_err(|e| self.cannot_start(&e))?;
        if out.status.success() {
            return Ok(String::from_utf8_lossy(&out.stdout).into_owned());
        }
        let why = format!("{}\n{}", out.status, tail_of(&String::from_utf8_lossy(&out.stderr)));
        Err(Failure::new(format!("`{}` failed", self.shown), why.trim_end(), self.fix))
    }

    /// Runs it, keeps all output in `log`, and shows the last line as the step's note.
    pub fn quiet(mut self, step: &Step, log: &Path) -> Result<()> {
        let file = open_log(log, &self.shown)?;
        let mut child =
            self.command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().map_err(|e| self.cannot_start(&e))?;
        let sink = Mutex::new((file, VecDeque::with_capacity(TAIL_LINES)));
        let (out, err) = (child.stdout.take(), child.stderr.take());
        std::thread::scope(|scope| {
            if let Some(err) = err {
                let sink = &sink;
                scope.spawn(move || drain(err, step, sink));
            }
            if let Some(out) = out {
                drain(out, step, &sink);
            }
        });
        let status = child.wait().or_fail(format!("cannot wait for `{}`", self.shown), self.fix.clone())?;
        if status.success() {
            return Ok(());
        }
        let tail: Vec<String> = sink.into_inner().map(|(_, tail)| tail.into()).unwrap_or_default();
        let why = format!("{status}\n{}\n(all of it: {})", tail.join("\n"), log.display());
        Err(Failure::new(format!("`{}` failed", self.shown), why, self.fix))
    }

    fn cannot_start(&self, error: &std::io::Error) -> Failure {
        let program = self.command.get_program().to_string_lossy().into_owned();
        if error.kind() == std::io::ErrorKind::NotFound {
            return Failure::new(
                format!("cannot run `{}`", self.shown),
                format!("there is no `{program}` in PATH"),
                format!("install `{program}` and run the same command again"),
            );
        }
        Failure::new(format!("cannot run `{}`", self.shown), error, self.fix.clone())
    }
}

fn open_log(log: &Path, shown: &str) -> Result<File> {
    let fix = "check that the directory can be written to, or set EYOT_CACHE to one that can";
    if let Some(dir) = log.parent() {
        std::fs::create_dir_all(dir).or_fail(format!("cannot create {}", dir.display()), fix)?;
    }
    let mut file = File::options()
        .create(true)
        .append(true)
        .open(log)
        .or_fail(format!("cannot open the log {}", log.display()), fix)?;
    // A log that cannot be written to is no reason to stop the work it describes.
    let _ = writeln!(file, "$ {shown}");
    Ok(file)
}

fn drain(from: impl Read, step: &Step, sink: &Mutex<(File, VecDeque<String>)>) {
    let mut from = BufReader::new(from);
    let mut line = Vec::new();
    loop {
        line.clear();
        match from.read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let text = String::from_utf8_lossy(&line).trim_end().to_owned();
        step.note(&text);
        let Ok(mut sink) = sink.lock() else { return };
        let _ = sink.0.write_all(&line);
        if sink.1.len() == TAIL_LINES {
            sink.1.pop_front();
        }
        sink.1.push_back(text);
    }
}

fn tail_of(text: &str) -> String {
    let lines: Vec<&str> = text.trim_end().lines().collect();
    lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
}

/// The full path of a program in `PATH`.
pub fn find_program(name: &str) -> Option<PathBuf> {
    let path: OsString = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(name)).find(|file| is_executable(file))
}

fn is_executable(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(file).is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::Ui;

    #[test]
    fn quiet_keeps_both_streams_and_names_the_log() {
        let dir = std::env::temp_dir().join(format!("eyot-xtask-command-{}", std::process::id()));
        let log = dir.join("log");
        let step = Ui::new().step("test");
        let failure = Run::new("sh").args(["-c", "echo out; echo err >&2; exit 3"]).quiet(&step, &log).unwrap_err();
        let kept = std::fs::read_to_string(&log).unwrap();
        std::fs::remove_dir_all(&dir).unwrap();
        assert!(kept.contains("out\n") && kept.contains("err\n"), "{kept}");
        assert!(failure.why.contains("exit status: 3") && failure.why.contains("err"), "{failure}");
    }

    #[test]
    fn a_missing_program_is_named() {
        let failure = Run::new("eyot-no-such-program").output().unwrap_err();
        assert!(failure.why.contains("no `eyot-no-such-program` in PATH"), "{failure}");
    }

    #[test]
    fn programs_are_found_in_path() {
        assert!(find_program("sh").is_some());
        assert!(find_program("eyot-no-such-program").is_none());
    }
}
