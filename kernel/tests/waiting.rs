//! A backend that waits holds up those who asked it, and nobody else.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use eyot_backend::{Filesystem, wrap_filesystem};
use eyot_kernel::Vm;
use eyot_kernel::process::ExitStatus;
use eyot_kernel::vfs::MountOptions;
use eyot_kernel::wasm::{WasmConfig, WasmExecutor};
use eyot_memfs::Memfs;

/// How long a call takes.
const CALL: Duration = Duration::from_millis(600);

/// Files as slow as a far network, once it is told to be.
struct Slow {
    files: Memfs,
    slow: AtomicBool,
}

impl Slow {
    fn around<T>(&self, call: impl FnOnce(&dyn Filesystem) -> T) -> T {
        if self.slow.load(Relaxed) {
            std::thread::sleep(CALL);
        }
        call(&self.files)
    }
}

wrap_filesystem!(impl for Slow, around, may_wait: true);

/// Opens `/slow/f`, whatever comes of it.
const OPENS: &str = r#"(module
    (import "wasi_snapshot_preview1" "path_open"
        (func $path_open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (data (i32.const 8) "slow/f")
    (func (export "_start")
        (drop (call $path_open (i32.const 3) (i32.const 0) (i32.const 8) (i32.const 6) (i32.const 0)
            (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 64)))))"#;

/// Does nothing.
const NOTHING: &str = r#"(module (memory (export "memory") 1) (func (export "_start")))"#;

#[test]
fn guests_go_on_while_others_wait_for_a_backend() {
    let slow = Arc::new(Slow { files: Memfs::new(), slow: AtomicBool::new(false) });
    let vm = Vm::builder()
        .root(Arc::new(Memfs::new()))
        .user(0, 0)
        .executor(Arc::new(WasmExecutor::new(WasmConfig::default())))
        .mount("/slow", slow.clone(), MountOptions::default())
        .build()
        .unwrap();
    for (path, text) in [("/opens.wasm", OPENS), ("/nothing.wasm", NOTHING)] {
        vm.write_file(path, &wat::parse_str(text).unwrap(), 0o755).unwrap();
        assert_eq!(vm.command(path).status().unwrap(), ExitStatus::Exited(0), "{path}");
    }
    slow.slow.store(true, Relaxed);
    // More than the runtime has threads, all in one directory, whose lock they wait for, too.
    let threads = std::thread::available_parallelism().map_or(2, usize::from) * 2 + 2;
    let waiting: Vec<_> = (0..threads).map(|_| vm.command("/opens.wasm").spawn().unwrap()).collect();
    std::thread::sleep(CALL / 6);
    let start = Instant::now();
    for _ in 0..10 {
        assert_eq!(vm.command("/nothing.wasm").status().unwrap(), ExitStatus::Exited(0));
    }
    let taken = start.elapsed();
    slow.slow.store(false, Relaxed);
    for process in waiting {
        process.wait();
    }
    assert!(taken < CALL / 2, "ten programs that ask it nothing took {taken:?}");
}
