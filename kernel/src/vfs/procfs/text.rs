//! The contents of the files of `/proc`: proc(5).

use std::fmt::Write;

use crate::Errno;
use crate::kernel::Kernel;
use crate::limits::Limit;
use crate::process::Task;

/// The files of the VM, by name.
pub(super) const GLOBAL: [&str; 5] = ["meminfo", "uptime", "version", "filesystems", "loadavg"];

/// The files of a process, by name.
pub(super) const PROCESS: [&str; 6] = ["cmdline", "comm", "environ", "mounts", "stat", "status"];

/// Whether only the owner reads it.
pub(super) fn is_private(index: u32) -> bool {
    PROCESS.get(index as usize) == Some(&"environ")
}

/// A file of the VM.
pub(super) fn global(index: u32, kernel: &Kernel) -> Result<Vec<u8>, Errno> {
    let text = match GLOBAL.get(index as usize).copied() {
        Some("meminfo") => meminfo(kernel),
        Some("uptime") => {
            let hundredths = kernel.clock.monotonic_ns() / 10_000_000;
            format!("{}.{:02} 0.00\n", hundredths / 100, hundredths % 100)
        }
        Some("version") => format!("Eyot version {}\n", env!("CARGO_PKG_VERSION")),
        Some("filesystems") => "nodev\tproc\nnodev\tdevtmpfs\nnodev\tmemfs\n".into(),
        Some("loadavg") => {
            let tasks = kernel.processes.all();
            let running = tasks.iter().filter(|task| task.status().is_none()).count();
            let last = tasks.last().map_or(0, |task| task.pid());
            format!("0.00 0.00 0.00 {running}/{} {last}\n", tasks.len())
        }
        _ => return Err(Errno::Noent),
    };
    Ok(text.into_bytes())
}

fn meminfo(kernel: &Kernel) -> String {
    let usage = kernel.accountant.usage();
    let memory = usage.iter().find(|usage| usage.limit == Limit::MemoryBytes);
    let (total, used) = memory.map_or((0, 0), |usage| (usage.max / 1024, usage.used / 1024));
    let free = total.saturating_sub(used);
    let mut text = String::new();
    for (name, value) in [("MemTotal:", total), ("MemFree:", free), ("MemAvailable:", free)] {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{name:<16}{value:>8} kB");
    }
    text
}

/// A file of a process.
pub(super) fn process(index: u32, task: &Task) -> Result<Vec<u8>, Errno> {
    let startup = task.startup();
    match PROCESS.get(index as usize).copied() {
        Some("cmdline") => {
            Ok(startup.arguments.iter().flat_map(|argument| [argument.as_bytes(), b"\0"].concat()).collect())
        }
        Some("comm") => Ok(format!("{}\n", comm(task)).into_bytes()),
        Some("environ") => {
            let pairs = startup.environment.iter();
            Ok(pairs.flat_map(|(name, value)| format!("{name}={value}\0").into_bytes()).collect())
        }
        Some("mounts") => Ok(task.kernel().vfs.mounts_text().into_bytes()),
        Some("stat") => Ok(stat(task).into_bytes()),
        Some("status") => Ok(status(task).into_bytes()),
        _ => Err(Errno::Noent),
    }
}

/// The first 15 bytes of the program's name (`TASK_COMM_LEN`).
fn comm(task: &Task) -> String {
    let startup = task.startup();
    let path = startup.arguments.first().unwrap_or(&startup.executable);
    let name = path.rsplit('/').next().unwrap_or_default();
    let mut end = name.len().min(15);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    name[..end].to_owned()
}

fn state(task: &Task) -> (&'static str, &'static str) {
    if task.status().is_some() { ("Z", "zombie") } else { ("R", "running") }
}

fn stat(task: &Task) -> String {
    let (pid, ppid, pgid, sid) = (task.pid(), task.ppid(), task.pgid(), task.sid());
    let started = task.kernel().clock.ticks_at(task.started());
    let head = format!("{pid} ({}) {} {ppid} {pgid} {sid} 0 -1 0", comm(task), state(task).0);
    // Fields 10 to 21 are zero, 22 is the start in hundredths of a second since boot, 23 to 52 are zero.
    format!("{head}{} {started}{}\n", " 0".repeat(12), " 0".repeat(30))
}

fn status(task: &Task) -> String {
    let (letter, word) = state(task);
    let owner = task.credentials();
    let (uid, gid) = (owner.uid, owner.gid);
    format!(
        "Name:\t{}\nUmask:\t{:04o}\nState:\t{letter} ({word})\nTgid:\t{pid}\nPid:\t{pid}\nPPid:\t{}\n\
         Uid:\t{uid}\t{uid}\t{uid}\t{uid}\nGid:\t{gid}\t{gid}\t{gid}\t{gid}\nFDSize:\t{}\nThreads:\t1\n",
        comm(task),
        task.umask(),
        task.ppid(),
        task.fds().end(),
        pid = task.pid(),
    )
}
