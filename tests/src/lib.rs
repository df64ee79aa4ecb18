//! Drives the built command `eyot` and looks at what comes out.
//!
//! Every run has a deadline, so that a test of something that hangs fails instead of hanging.

use std::ffi::OsStr;
use std::fs::Permissions;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a run may take before it is ended and the test fails.
const DEADLINE: Duration = Duration::from_secs(90);

/// The command that cargo built beside these tests.
///
/// # Panics
/// When it was not built.
pub fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("EYOT_BIN") {
        return path.into();
    }
    let test = std::env::current_exe().expect("a running test has a path");
    let found = test.ancestors().map(|dir| dir.join("eyot")).find(|file| file.is_file());
    found.expect("no `eyot` beside the tests: run `cargo xtask setup`, or name it in EYOT_BIN")
}

/// A run of the command that is being put together.
#[derive(Debug)]
pub struct Eyot {
    command: Command,
    input: Vec<u8>,
}

/// How a run ended.
#[derive(Debug, Clone)]
pub struct Ended {
    /// The exit code; 128 and the signal when a signal ended the command itself.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    /// From start to end.
    pub took: Duration,
    /// The most memory the command held at once, in KiB.
    pub rss_kib_max: u64,
}

impl Eyot {
    /// `eyot ARGS`.
    pub fn new<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Self {
        let mut command = Command::new(binary());
        command.args(args);
        Self { command, input: Vec::new() }
    }

    /// `eyot sh -c LINE`.
    pub fn sh(line: &str) -> Self {
        Self::new(["sh", "-c", line])
    }

    /// One more argument.
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.command.arg(arg);
        self
    }

    /// A variable of the host's environment.
    pub fn host_env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    /// What standard input holds; nothing by default.
    pub fn input(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.input = bytes.into();
        self
    }

    /// Starts it with pipes for all three streams, for a test that talks to it.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn spawn(mut self) -> Child {
        self.command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        self.command.spawn().expect("eyot starts")
    }

    /// Runs it to its end.
    ///
    /// # Panics
    /// When it cannot be started or does not end in time.
    pub fn run(mut self) -> Ended {
        let line = format!("{:?}", self.command);
        let input = std::mem::take(&mut self.input);
        let begun = Instant::now();
        let mut child = self.spawn();
        let mut stdin = child.stdin.take().expect("piped");
        let (mut out, mut err) = (child.stdout.take().expect("piped"), child.stderr.take().expect("piped"));
        std::thread::scope(|scope| {
            // A program need not read its input: a closed pipe is no failure here.
            scope.spawn(move || stdin.write_all(&input).ok());
            let stdout = scope.spawn(move || text_of(&mut out));
            let stderr = scope.spawn(move || text_of(&mut err));
            let (status, rss_kib_max) = wait(&mut child, begun, &line);
            Ended {
                code: status,
                stdout: stdout.join().expect("reader"),
                stderr: stderr.join().expect("reader"),
                took: begun.elapsed(),
                rss_kib_max,
            }
        })
    }
}

impl Ended {
    /// Checks exit code 0 and answers standard output.
    ///
    /// # Panics
    /// When it ended otherwise.
    #[track_caller]
    pub fn ok(&self) -> &str {
        assert_eq!(self.code, 0, "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        &self.stdout
    }

    /// Checks the exit code, and that standard error says `part`.
    ///
    /// # Panics
    /// When it doesn't.
    #[track_caller]
    pub fn refused(&self, code: i32, part: &str) -> &Self {
        let all = format!("stdout: {}\nstderr: {}", self.stdout, self.stderr);
        assert_eq!(self.code, code, "{all}");
        assert!(self.stderr.contains(part), "no {part:?} in it\n{all}");
        assert!(!self.stderr.contains("panicked"), "{all}");
        self
    }
}

fn text_of(from: &mut impl Read) -> String {
    let mut bytes = Vec::new();
    from.read_to_end(&mut bytes).expect("its output can be read");
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Waits for the end with a deadline; answers the exit code and the peak of resident memory in KiB.
fn wait(child: &mut Child, begun: Instant, line: &str) -> (i32, u64) {
    use std::os::unix::process::ExitStatusExt;
    let status = PathBuf::from(format!("/proc/{}/status", child.id()));
    let mut rss_kib_max = 0;
    loop {
        rss_kib_max = rss_kib_max.max(peak_of(&status));
        if let Some(status) = child.try_wait().expect("its end can be waited for") {
            let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
            return (code.expect("a code or a signal"), rss_kib_max);
        }
        if begun.elapsed() > DEADLINE {
            child.kill().ok();
            panic!("{line} did not end within {DEADLINE:?}");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn peak_of(status: &Path) -> u64 {
    let text = std::fs::read_to_string(status).unwrap_or_default();
    let peak = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    peak.and_then(|rest| rest.trim().trim_end_matches("kB").trim().parse().ok()).unwrap_or(0)
}

/// A directory of test files that goes away with the value.
#[derive(Debug)]
pub struct Files(tempfile::TempDir);

impl Files {
    /// An empty one.
    ///
    /// # Panics
    /// When the host has no room for temporary files.
    pub fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary directory"))
    }

    /// Adds a file.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn with(self, name: &str, bytes: impl AsRef<[u8]>) -> Self {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().expect("a file has a directory")).expect("its directory");
        std::fs::write(&path, bytes).expect("the file");
        // Programs among them can be started from a mount too.
        std::fs::set_permissions(&path, Permissions::from_mode(0o755)).expect("its mode");
        self
    }

    /// Adds a program written as WebAssembly text.
    ///
    /// # Panics
    /// When the text is wrong.
    pub fn with_wat(self, name: &str, text: &str) -> Self {
        let bytes = wat::parse_str(text).expect("well-formed text");
        self.with(name, bytes)
    }

    /// The path of a file in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// `--mount=GUEST=host:` this directory.
    pub fn mount(&self, guest: &str, suffix: &str) -> String {
        format!("--mount={guest}=host:{}{suffix}", self.0.path().display())
    }

    /// The path as text, for arguments.
    pub fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }
}

impl Default for Files {
    fn default() -> Self {
        Self::new()
    }
}

/// The examples of the README are compiled.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct Readme;
