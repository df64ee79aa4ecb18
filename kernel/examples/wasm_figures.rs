//! Prints what the wasm executor costs: `cargo run --release -p eyot-kernel --example wasm_figures`.
//!
//! Each guest makes one call in a loop, in a VM whose files are in memory; the figure is the time for each turn of the loop, the best of several
//! runs for calls, percentiles for starting programs.

use std::sync::Arc;
use std::time::{Duration, Instant};

use eyot_kernel::Vm;
use eyot_kernel::limits::Limit;
use eyot_kernel::wasm::{WasmConfig, WasmExecutor};
use eyot_memfs::Memfs;

const IMPORTS: &str = r#"
    (import "wasi_snapshot_preview1" "fd_seek" (func $fd_seek (param i32 i64 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_tell" (func $fd_tell (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "clock_time_get" (func $clock_time_get (param i32 i64 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_read" (func $fd_read (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_pread" (func $fd_pread (param i32 i32 i32 i64 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_pwrite" (func $fd_pwrite (param i32 i32 i32 i64 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_close" (func $fd_close (param i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_filestat_get" (func $fd_filestat_get (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_readdir" (func $fd_readdir (param i32 i32 i32 i64 i32) (result i32)))
    (import "wasi_snapshot_preview1" "path_filestat_get" (func $path_filestat_get (param i32 i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "path_open" (func $path_open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
    (import "eyot:kernel/process@0.1.0" "spawn" (func $spawn (param i32 i32 i32) (result i32)))
    (import "eyot:kernel/process@0.1.0" "wait" (func $wait (param i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
    (func $ok (param i32) (if (local.get 0) (then (call $proc_exit (local.get 0)))))
    (func $open (param i32 i32 i64) (call $ok (call $path_open (i32.const 3) (i32.const 1) (local.get 0) (local.get 1) (i32.const 0) (local.get 2) (i64.const 0) (i32.const 0) (i32.const 16))))
    (memory (export "memory") 64)
    (data (i32.const 1024) "tmp/fbin/truetmp/dtmp/m/bin/true")
"#;

/// A guest that makes ready with `before` and then does `turn` as often as it is told.
fn guest(before: &str, turn: &str, turns: u32) -> Vec<u8> {
    let text = format!(
        r#"(module {IMPORTS} (func (export "_start") (local $n i32) {before} (local.set $n (i32.const {turns}))
            (loop $again {turn} (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))))"#
    );
    wat::parse_str(text).unwrap()
}

struct Row {
    name: &'static str,
    before: &'static str,
    turn: &'static str,
    turns: u32,
}

const IOV: &str = "(i32.store (i32.const 0) (i32.const 65536)) (i32.store (i32.const 4) (i32.const {n}))";

const ROWS: &[Row] = &[
    Row {
        name: "fd_seek",
        before: "{f}",
        turn: "(call $ok (call $fd_seek (i32.const 4) (i64.const 0) (i32.const 1) (i32.const 64)))",
        turns: 2_000_000,
    },
    Row {
        name: "fd_tell",
        before: "{f}",
        turn: "(call $ok (call $fd_tell (i32.const 4) (i32.const 64)))",
        turns: 2_000_000,
    },
    Row {
        name: "clock_time_get",
        before: "",
        turn: "(call $ok (call $clock_time_get (i32.const 1) (i64.const 1) (i32.const 64)))",
        turns: 2_000_000,
    },
    Row {
        name: "fd_pread 1 B",
        before: "{f}{1}",
        turn: "(call $ok (call $fd_pread (i32.const 4) (i32.const 0) (i32.const 1) (i64.const 0) (i32.const 64)))",
        turns: 1_000_000,
    },
    Row {
        name: "fd_pread 4 KiB",
        before: "{f}{4096}",
        turn: "(call $ok (call $fd_pread (i32.const 4) (i32.const 0) (i32.const 1) (i64.const 4096) (i32.const 64)))",
        turns: 1_000_000,
    },
    Row {
        name: "fd_pread 1 MiB",
        before: "{f}{1048576}",
        turn: "(call $ok (call $fd_pread (i32.const 4) (i32.const 0) (i32.const 1) (i64.const 0) (i32.const 64)))",
        turns: 2000,
    },
    Row {
        name: "fd_pwrite 4 KiB",
        before: "{f}{4096}",
        turn: "(call $ok (call $fd_pwrite (i32.const 4) (i32.const 0) (i32.const 1) (i64.const 0) (i32.const 64)))",
        turns: 1_000_000,
    },
    Row {
        name: "fd_write 1 B to /dev/null",
        before: "{1}",
        turn: "(call $ok (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 64)))",
        turns: 1_000_000,
    },
    Row {
        name: "fd_filestat_get",
        before: "{f}",
        turn: "(call $ok (call $fd_filestat_get (i32.const 4) (i32.const 64)))",
        turns: 500_000,
    },
    Row {
        name: "path_filestat_get tmp/f",
        before: "",
        turn: "(call $ok (call $path_filestat_get (i32.const 3) (i32.const 1) (i32.const 1024) (i32.const 5) (i32.const 64)))",
        turns: 500_000,
    },
    Row {
        name: "path_open + fd_close",
        before: "",
        turn: "(call $open (i32.const 1024) (i32.const 5) (i64.const 2)) (call $ok (call $fd_close (i32.const 4)))",
        turns: 500_000,
    },
    Row {
        name: "fd_readdir of 1,000",
        before: "(call $open (i32.const 1037) (i32.const 5) (i64.const 0x4000))",
        turn: "(call $ok (call $fd_readdir (i32.const 4) (i32.const 65536) (i32.const 100000) (i64.const 0) (i32.const 64)))",
        turns: 500,
    },
    Row {
        name: "spawn + wait of a small module, from a guest",
        before: "(i32.store (i32.const 256) (i32.const 1047)) (i32.store (i32.const 260) (i32.const 9))",
        turn: "(call $ok (call $spawn (i32.const 256) (i32.const 48) (i32.const 64))) (call $ok (call $wait (i32.const -1) (i32.const 0) (i32.const 80)))",
        turns: 2000,
    },
];

fn main() {
    let started = Instant::now();
    let executor = Arc::new(WasmExecutor::new(WasmConfig::default()));
    let vm = Vm::builder().root(Arc::new(Memfs::new())).executor(executor.clone()).user(0, 0).build().unwrap();
    println!("executor and VM made: {:?}", started.elapsed());
    for dir in ["/bin", "/tmp", "/tmp/d"] {
        vm.make_dir(dir, 0o755).unwrap();
    }
    vm.write_file("/tmp/f", &vec![7; 2 << 20], 0o644).unwrap();
    for index in 0..1000 {
        vm.write_file(&format!("/tmp/d/entry-{index:04}"), b"", 0o644).unwrap();
    }
    vm.write_file(
        "/bin/true",
        &wat::parse_str(r#"(module (memory (export "memory") 1) (func (export "_start")))"#).unwrap(),
        0o755,
    )
    .unwrap();
    let started = Instant::now();
    assert!(vm.command("/bin/true").status().unwrap().success());
    println!("first program, with making the engine and compiling: {:?}", started.elapsed());
    spawn_figures(&vm);
    memory_figures(executor);
    // `wasm_figures NAME`: only the rows whose names contain it.
    let only = std::env::args().nth(1).unwrap_or_default();
    for row in ROWS.iter().filter(|row| row.name.contains(&only)) {
        let before = row.before.replace("{f}", "(call $open (i32.const 1024) (i32.const 5) (i64.const 0x66))");
        let before = match before.split_once('{') {
            Some((front, rest)) => format!("{front}{}", IOV.replace("{n}", rest.trim_end_matches('}'))),
            None => before,
        };
        let binary = guest(&before, row.turn, row.turns);
        vm.write_file("/bin/row", &binary, 0o755).unwrap();
        let mut best = Duration::MAX;
        for _ in 0..5 {
            let started = Instant::now();
            let status = vm.command("/bin/row").status().unwrap();
            best = best.min(started.elapsed());
            assert!(status.success(), "{}: {status:?}", row.name);
        }
        println!("{:46} {:>10.1} ns", row.name, best.as_nanos() as f64 / f64::from(row.turns));
    }
}

/// What one more sleeping process takes, in thousands of them.
fn memory_figures(executor: Arc<WasmExecutor>) {
    const PROCESSES: usize = 4000;
    let vm = Vm::builder()
        .root(Arc::new(Memfs::new()))
        .executor(executor)
        .user(0, 0)
        .limit(Limit::Processes, 10_000)
        .build()
        .unwrap();
    let text = r#"(module (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
        (memory (export "memory") 2) (func (export "_start")
            (i32.store (i32.const 16) (i32.const 1)) (i64.store (i32.const 24) (i64.const 600000000000))
            (drop (call $poll (i32.const 0) (i32.const 256) (i32.const 1) (i32.const 64)))))"#;
    vm.write_file("/sleeps", &wat::parse_str(text).unwrap(), 0o755).unwrap();
    let spawn = || vm.command("/sleeps").spawn().unwrap();
    let mut sleeping: Vec<_> = (0..200).map(|_| spawn()).collect();
    std::thread::sleep(Duration::from_millis(200));
    let before = resident_bytes();
    let started = Instant::now();
    sleeping.extend((0..PROCESSES).map(|_| spawn()));
    let took = started.elapsed();
    std::thread::sleep(Duration::from_millis(500));
    let each = (resident_bytes() - before) / PROCESSES;
    println!("{PROCESSES} sleeping processes: {each} bytes each, started in {took:?}");
    let started = Instant::now();
    vm.kill_all();
    for process in sleeping {
        process.wait();
    }
    println!("all killed in {:?}", started.elapsed());
}

fn resident_bytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
}

fn spawn_figures(vm: &Vm) {
    let mut times: Vec<Duration> = (0..3000)
        .map(|_| {
            let started = Instant::now();
            assert!(vm.command("/bin/true").status().unwrap().success());
            started.elapsed()
        })
        .collect();
    times.sort();
    let at = |percent: usize| times[times.len() * percent / 100];
    println!("spawn + exit of a small module, from the host: p50 {:?}, p95 {:?}, p99 {:?}", at(50), at(95), at(99));
}
