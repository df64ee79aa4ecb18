//! `fsx`: random reads, writes, mappings and truncations of one file, compared with a copy in memory.

use std::collections::VecDeque;
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Instant;

use serde::Serialize;

use crate::backends::Backend;
use crate::tools::Tool;
use crate::{Cache, NotRun, World};

const TOOL: Tool = Tool { name: "fsx", version: "0.3.2" };

/// How much of what fsx said last is shown when it fails, in lines.
const LAST_LINES: usize = 60;

/// How many operations one process does. This version of fsx never unmaps what it mapped for reading, and a process can have 65,530 mappings; so more operations are more processes, with the
/// seeds that follow.
const OPERATIONS_AT_ONCE: u64 = 25_000;

/// The mix of operations: all that it knows but punching holes, which answers `EOPNOTSUPP` by FUSE.
const CONFIGURATION: &str = "flen = 1048576
[weights]
close_open = 1
read = 10
write = 10
mapread = 10
mapwrite = 10
invalidate = 1
truncate = 3
fsync = 1
fdatasync = 1
posix_fallocate = 1
sendfile = 3
posix_fadvise = 1
copy_file_range = 3
";

/// What became of a run.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The suite.
    pub suite: &'static str,
    /// The backend.
    pub backend: String,
    /// The seed of the first process, by which the run can be repeated.
    pub seed: u64,
    /// How many operations were asked for.
    pub operations: u64,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// What it said last, when it failed.
    pub failed: Option<String>,
}

/// Runs `operations` operations, and tells how many are done from time to time.
pub fn run(
    backend: &Backend,
    cache: Cache,
    operations: u64,
    seed: u64,
    mut tell: impl FnMut(u64),
) -> Result<Report, NotRun> {
    let program = TOOL.path().map_err(NotRun::Broken)?;
    let world = World::new(backend, cache)?;
    // What a failure leaves goes there, and with it.
    let artifacts = tempfile::tempdir().map_err(broken)?;
    let config = artifacts.path().join("fsx.toml");
    fs::write(&config, CONFIGURATION).map_err(broken)?;

    let start = Instant::now();
    let mut failed = None;
    for (portion, before) in (0..).zip((0..operations).step_by(OPERATIONS_AT_ONCE as usize)) {
        let seed = seed.wrapping_add(portion);
        let count = OPERATIONS_AT_ONCE.min(operations - before);
        let mut command = Command::new(&program);
        command.arg("-v").arg("-f").arg(&config).arg("-P").arg(artifacts.path());
        command.args(["-N", &count.to_string(), "-S", &seed.to_string()]).arg(world.path().join("file"));
        failed = run_once(command, |done| tell(before + done))?.map(|said| format!("seed {seed}: {said}"));
        if failed.is_some() {
            break;
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    Ok(Report { suite: "fsx", backend: backend.name.into(), seed, operations, seconds, failed })
}

/// Runs `fsx`; answers what it said last if it fails.
fn run_once(mut command: Command, mut tell: impl FnMut(u64)) -> Result<Option<String>, NotRun> {
    command.env("RUST_LOG_STYLE", "never").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(broken)?;
    let mut last = VecDeque::with_capacity(LAST_LINES);
    let mut count = 0;
    if let Some(output) = child.stderr.take() {
        for line in BufReader::new(output).lines() {
            let line = line.map_err(broken)?;
            if line.starts_with("[INFO") {
                count += 1;
                tell(count);
            }
            if last.len() == LAST_LINES {
                last.pop_front();
            }
            last.push_back(line);
        }
    }
    let status = child.wait().map_err(broken)?;
    let said = || format!("{status} after {count} operations\n{}", last.iter().cloned().collect::<Vec<_>>().join("\n"));
    Ok((!status.success()).then(said))
}

fn broken(error: std::io::Error) -> NotRun {
    NotRun::Broken(error.to_string())
}

impl Report {
    /// Whether every byte was what it should be.
    pub fn is_good(&self) -> bool {
        self.failed.is_none()
    }

    /// For people.
    pub fn print(&self) {
        if let Some(said) = &self.failed {
            println!("FAILED  fsx:");
            for line in said.lines() {
                println!("        {line}");
            }
        }
        let verdict = if self.is_good() { "all right" } else { "failed" };
        let rate = self.operations as f64 / self.seconds.max(f64::EPSILON);
        println!(
            "fsx on {}: {} operations, seed {}, {verdict}, in {:.1} s ({rate:.0} a second)",
            self.backend, self.operations, self.seed, self.seconds
        );
    }
}
