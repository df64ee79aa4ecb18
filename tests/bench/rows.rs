//! The rows: what is measured, how, and against whom.

use std::process::{Command, Stdio};

use crate::Options;
use crate::guests;
use crate::mounts;
use crate::stats::{Samples, human};
use crate::world;

/// One measured row.
pub struct Row {
    pub eyot: Samples,
    pub peer: Option<(&'static str, Samples)>,
    /// The project's target in nanoseconds; not a number where this very work has none, or one by its peer.
    pub target: f64,
    /// The target as the largest ratio to the peer that will do.
    pub ratio_max: Option<f64>,
}

type Measure = fn(&Options) -> Result<Row, String>;

/// Every row, in the order of the targets.
pub const ALL: &[(&str, Measure)] = &[
    ("create a VM", create_vm),
    ("new VM to the end of `echo hello`", first_echo),
    ("`sh -c 'echo hello && ls /'` in a live VM", shell_command),
    ("`sh -c 'echo hello && ls /'`, whole process", shell_process),
    ("spawn + exit of `true` (wasm) in a live VM", spawn_true),
    ("4-stage pipeline over 1 MiB in a live VM", four_stages),
    ("`seq 100000 | sort -n | tail -1` in a live VM", pipeline),
    ("`ls` of 100 files in a live VM", ls),
    ("`grep` over 1 MiB in a live VM", grep),
    ("fd_seek from wasm", seek),
    ("read 4 KiB of a memory file from wasm", read_4k),
    ("fs.statSync in JavaScript", stat_sync),
    ("fs.readFileSync of 1 MiB", read_file_sync),
    ("empty script, whole process", empty_script),
    ("component memfs: read 64 KiB, sequential", mounts::component_read),
    ("component memfs: write 64 KiB, sequential", mounts::component_write),
    ("component memfs: uncached stat", mounts::component_uncached_stat),
    ("component memfs: cached stat", mounts::component_cached_stat),
    ("hostdir: read 64 KiB, sequential", mounts::host_read_64k),
    ("hostdir: read 4 KiB, sequential", mounts::host_read_4k),
    ("hostdir: write 64 KiB, sequential", mounts::host_write_64k),
    ("hostdir: stat", mounts::host_stat),
    ("hostdir: list a directory of 100 files", mounts::host_readdir),
    ("archive of 1 GiB mounted, first file found", mounts::archive_ready),
];

impl Row {
    /// The line above the rows.
    pub fn heading() -> String {
        format!(
            "{:<46} {:>6} {:>10} {:>10} {:>10} {:>10}  {:<24} {:>7}",
            "row", "runs", "p50", "p95", "p99", "target", "peer p50", "ratio"
        )
    }

    fn ratio(&self) -> Option<f64> {
        self.peer.as_ref().map(|(_, peer)| self.eyot.percentile(0.5) / peer.percentile(0.5))
    }

    /// The row for people.
    pub fn line(&self, name: &str) -> String {
        let [p50, p95, p99] = [0.5, 0.95, 0.99].map(|part| human(self.eyot.percentile(part)));
        let peer =
            self.peer.as_ref().map_or("-".into(), |(who, peer)| format!("{who} {}", human(peer.percentile(0.5))));
        let ratio = self.ratio().map_or("-".into(), |ratio| format!("{ratio:.2}"));
        let (runs, target) =
            (self.eyot.len(), self.ratio_max.map_or_else(|| human(self.target), |max| format!("ratio {max:.2}")));
        format!("{name:<46} {runs:>6} {p50:>10} {p95:>10} {p99:>10} {target:>10}  {peer:<24} {ratio:>7}")
    }

    /// The row for programs; times in nanoseconds.
    pub fn json(&self, name: &str) -> serde_json::Value {
        serde_json::json!({
            "row": name,
            "runs": self.eyot.len(),
            "p50_ns": self.eyot.percentile(0.5),
            "p95_ns": self.eyot.percentile(0.95),
            "p99_ns": self.eyot.percentile(0.99),
            "target_ns": self.target,
            "peer": self.peer.as_ref().map(|(who, _)| *who),
            "peer_p50_ns": self.peer.as_ref().map(|(_, peer)| peer.percentile(0.5)),
            "ratio": self.ratio(),
            "ratio_max": self.ratio_max,
        })
    }
}

fn linux(command: &str, arguments: &[&str]) -> Result<(), String> {
    let mut process = Command::new(command);
    process.args(arguments);
    world::host(process).map(drop)
}

fn eyot(arguments: &[&str]) -> Result<Vec<u8>, String> {
    let mut process = Command::new(eyot_tests::binary());
    process.args(arguments);
    world::host(process)
}

fn create_vm(options: &Options) -> Result<Row, String> {
    let eyot = Samples::time(options.runs(1000), || world::vm().map(drop))?;
    Ok(Row { eyot, peer: None, target: 0.3e6, ratio_max: None })
}

fn first_echo(options: &Options) -> Result<Row, String> {
    let eyot = Samples::time(options.runs(200), || world::output(&world::vm()?, "echo", &["hello"]).map(drop))?;
    let peer = Samples::time(options.runs(200), || linux("echo", &["hello"]))?;
    Ok(Row { eyot, peer: Some(("Linux process", peer)), target: 2e6, ratio_max: None })
}

const HELLO: [&str; 2] = ["-c", "echo hello && ls /"];

fn shell_command(options: &Options) -> Result<Row, String> {
    let vm = world::vm()?;
    let eyot = Samples::time(options.runs(300), || world::output(&vm, "sh", &HELLO).map(drop))?;
    let peer = Samples::time(options.runs(300), || linux("sh", &HELLO))?;
    Ok(Row { eyot, peer: Some(("Linux sh", peer)), target: 1.5e6, ratio_max: None })
}

fn shell_process(options: &Options) -> Result<Row, String> {
    let eyot = Samples::time(options.runs(50), || {
        let told = eyot(&["sh", "-c", HELLO[1]])?;
        if told.starts_with(b"hello\nbin\n") { Ok(()) } else { Err(format!("{:?}", String::from_utf8_lossy(&told))) }
    })?;
    let peer = Samples::time(options.runs(50), || linux("sh", &HELLO))?;
    Ok(Row { eyot, peer: Some(("Linux sh", peer)), target: f64::NAN, ratio_max: None })
}

fn spawn_true(options: &Options) -> Result<Row, String> {
    let vm = world::vm()?;
    let eyot = Samples::time(options.runs(2000), || {
        vm.command("/bin/true").status().map(drop).map_err(|error| error.to_string())
    })?;
    // As on our side: waited for, with nothing collected.
    let peer = Samples::time(options.runs(500), || {
        let ended = Command::new("true").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
        ended.map(drop).map_err(|error| error.to_string())
    })?;
    Ok(Row { eyot, peer: Some(("Linux true", peer)), target: 0.15e6, ratio_max: None })
}

fn pipeline(options: &Options) -> Result<Row, String> {
    const LINE: [&str; 2] = ["-c", "seq 100000 | sort -n | tail -1"];
    let vm = world::vm()?;
    let eyot = Samples::time(options.runs(30), || world::output(&vm, "sh", &LINE).map(drop))?;
    let peer = Samples::time(options.runs(30), || linux("sh", &LINE))?;
    Ok(Row { eyot, peer: Some(("Linux sh", peer)), target: f64::NAN, ratio_max: None })
}

/// A command line over the same files, in a VM's memory and on the host's disk; `FILES` in it stands for their directory.
fn over_files(options: &Options, line: &str, target: f64) -> Result<Row, String> {
    let vm = world::vm()?;
    let dir = tempfile::tempdir().map_err(|error| error.to_string())?;
    let text = world::text_of_1_mib();
    let on_host =
        |name: &str, bytes: &[u8]| std::fs::write(dir.path().join(name), bytes).map_err(|error| error.to_string());
    std::fs::create_dir(dir.path().join("many")).map_err(|error| error.to_string())?;
    vm.make_dir("/tmp/many", 0o755).map_err(|errno| errno.to_string())?;
    on_host("text", &text)?;
    vm.write_file("/tmp/text", &text, 0o644).map_err(|errno| errno.to_string())?;
    for index in 0..100 {
        on_host(&format!("many/file-{index}"), b"x")?;
        vm.write_file(&format!("/tmp/many/file-{index}"), b"x", 0o644).map_err(|errno| errno.to_string())?;
    }
    let here = line.replace("FILES", "/tmp");
    let there = line.replace("FILES", &dir.path().to_string_lossy());
    let ours = world::output(&vm, "sh", &["-c", &here])?.stdout;
    let theirs = shell_on_host(&there)?;
    if ours != theirs {
        return Err(format!("`{line}` answers {} bytes here and {} on Linux", ours.len(), theirs.len()));
    }
    let eyot = Samples::time(options.runs(100), || world::output(&vm, "sh", &["-c", &here]).map(drop))?;
    let peer = Samples::time(options.runs(100), || linux("sh", &["-c", &there]))?;
    Ok(Row { eyot, peer: Some(("Linux sh", peer)), target, ratio_max: None })
}

fn shell_on_host(line: &str) -> Result<Vec<u8>, String> {
    let mut sh = Command::new("sh");
    // One order of names on both sides.
    sh.args(["-c", line]).env("LC_ALL", "C");
    world::host(sh)
}

fn four_stages(options: &Options) -> Result<Row, String> {
    over_files(options, "cat FILES/text | tr a-z A-Z | grep ISLAND | wc -l", 12e6)
}

fn ls(options: &Options) -> Result<Row, String> {
    over_files(options, "ls FILES/many", 1.5e6)
}

fn grep(options: &Options) -> Result<Row, String> {
    over_files(options, "grep -c island FILES/text", 10e6)
}

fn in_wasm(options: &Options, body: &str, target: f64) -> Result<Row, String> {
    let vm = world::vm()?;
    vm.write_file("/tmp/bench.wasm", &guests::wasm(body)?, 0o755).map_err(|errno| errno.to_string())?;
    let rounds = u8::try_from(options.runs(100)).unwrap_or(100);
    let output = vm.command("/tmp/bench.wasm").output_with_input(&[rounds]).map_err(|error| error.to_string())?;
    if !output.status.success() {
        return Err(format!("{:?}: {}", output.status, String::from_utf8_lossy(&output.stderr)));
    }
    Ok(Row { eyot: some(guests::samples(&output.stdout), "the guest")?, peer: None, target, ratio_max: None })
}

fn seek(options: &Options) -> Result<Row, String> {
    in_wasm(options, guests::SEEK, 40.0)
}

fn read_4k(options: &Options) -> Result<Row, String> {
    in_wasm(options, guests::READ_4K, 500.0)
}

pub fn some(samples: Vec<f64>, who: &str) -> Result<Samples, String> {
    if samples.is_empty() { Err(format!("{who} told no times")) } else { Ok(Samples::of(samples)) }
}

/// Runs a script in Eyot and in the host's Node, and takes the samples that it prints.
fn in_both(script: &str, target: f64) -> Result<Row, String> {
    let dir = tempfile::tempdir().map_err(|error| error.to_string())?;
    let file = dir.path().join("bench.js");
    std::fs::write(&file, script).map_err(|error| error.to_string())?;
    let file = file.to_string_lossy();
    let ours = some(guests::lines(&eyot(&["run", &file])?), "eyot")?;
    let mut node = Command::new("node");
    node.arg(&*file);
    let peer = some(guests::lines(&world::host(node)?), "node")?;
    Ok(Row { eyot: ours, peer: Some(("host node", peer)), target, ratio_max: None })
}

fn stat_sync(_: &Options) -> Result<Row, String> {
    in_both(guests::STAT_SYNC, 3e3)
}

fn read_file_sync(_: &Options) -> Result<Row, String> {
    in_both(guests::READ_FILE_SYNC, f64::NAN)
}

fn empty_script(options: &Options) -> Result<Row, String> {
    let dir = tempfile::tempdir().map_err(|error| error.to_string())?;
    let file = dir.path().join("empty.js");
    std::fs::write(&file, "").map_err(|error| error.to_string())?;
    let file = file.to_string_lossy().into_owned();
    let ours = Samples::time(options.runs(50), || eyot(&["run", &file]).map(drop))?;
    let peer = Samples::time(options.runs(50), || linux("node", &[&file]))?;
    Ok(Row { eyot: ours, peer: Some(("host node", peer)), target: 6e6, ratio_max: None })
}
