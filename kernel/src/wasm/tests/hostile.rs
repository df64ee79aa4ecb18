//! Guests that mean harm, or have bugs: each ends by itself, and the host goes on.

use super::*;
use crate::signal;
use std::time::{Duration, Instant};

#[track_caller]
fn dies(body: &str, signal: u8) -> String {
    let output = output_in(&vm(), body, b"").unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status, ExitStatus::Signaled(signal), "{stderr}");
    stderr
}

#[test]
fn traps_become_signals_with_a_message() {
    let stderr = dies("unreachable", signal::ABRT);
    assert!(stderr.starts_with("/bin/body: killed by SIGABRT: wasm trap: wasm `unreachable`"), "{stderr}");
    assert!(stderr.contains("0: "), "a backtrace: {stderr}");
    dies("(drop (i32.load (i32.const 0x7fffffff)))", signal::SEGV);
    dies("(drop (i64.load offset=0xfffffff0 (i32.const -1)))", signal::SEGV);
    dies("(drop (i32.div_u (i32.const 1) (i32.const 0)))", signal::FPE);
    dies("(memory.fill (i32.const 262144) (i32.const 0) (i32.const 1))", signal::SEGV);
}

#[test]
fn endless_recursion_overflows_its_own_stack() {
    let text = r#"(module (memory (export "memory") 1) (func $f (param i64) (result i64)
        (i64.add (i64.const 1) (call $f (i64.add (local.get 0) (i64.const 1))))) (func (export "_start") (drop (call $f (i64.const 0)))))"#;
    let vm = vm();
    install(&vm, "/bin/p", &wat::parse_str(text).unwrap());
    let output = vm.command("/bin/p").output().unwrap();
    assert_eq!(output.status, ExitStatus::Signaled(signal::SEGV));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("stack"), "{stderr}");
    assert!(stderr.lines().count() < 20, "a short backtrace: {stderr}");
}

#[test]
fn a_system_call_deep_in_the_stack_has_room() {
    // Recurses until little of the stack is left, and makes calls that use most of the kernel's at every depth.
    let text = r#"(module
        (import "wasi_snapshot_preview1" "path_filestat_get" (func $stat (param i32 i32 i32 i32 i32) (result i32)))
        (memory (export "memory") 1) (data (i32.const 0) "bin/p")
        (func $f (drop (call $stat (i32.const 3) (i32.const 1) (i32.const 0) (i32.const 5) (i32.const 64))) (call $f))
        (func (export "_start") (call $f)))"#;
    let vm = vm();
    install(&vm, "/bin/p", &wat::parse_str(text).unwrap());
    assert_eq!(vm.command("/bin/p").status().unwrap(), ExitStatus::Signaled(signal::SEGV));
}

#[test]
fn an_endless_loop_is_killed_and_others_run_meanwhile() {
    let vm = vm();
    let (spin, _) = program("(loop (br 0))");
    install(&vm, "/bin/spin", &spin);
    // More of them than the host has threads.
    let spinning: Vec<_> = (0..6).map(|_| vm.command("/bin/spin").spawn().unwrap()).collect();
    std::thread::sleep(Duration::from_millis(50));
    run_in(&vm, "(expect 0 (call $sched_yield))", b"");
    let start = Instant::now();
    for process in &spinning {
        assert_eq!(process.try_wait(), None);
        process.signal(signal::TERM);
    }
    for process in spinning {
        assert_eq!(process.wait(), ExitStatus::Signaled(signal::TERM));
    }
    assert!(start.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_guest_that_waits_for_ever_is_killed() {
    let vm = vm();
    let (reads, _) =
        program("(iov 0 512 1) (expect 0 (call $fd_read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 64)))");
    install(&vm, "/bin/reads", &reads);
    let process = vm.command("/bin/reads").stdin(crate::vm::Stdio::Piped).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(30));
    process.signal(signal::KILL);
    assert_eq!(process.wait(), ExitStatus::Signaled(signal::KILL));
}

#[test]
fn memory_ends_at_the_limit_and_comes_back() {
    let limits = [(Limit::MemoryBytesPerProcess, 64 << 20), (Limit::MemoryBytes, 100 << 20)];
    let vm = vm_with(&limits);
    // Grows by 1 MiB until it fails: 63 times, because 256 KiB are there from the start.
    let body = r#"
        (block $full (loop $more
            (br_if $full (i32.eq (memory.grow (i32.const 16)) (i32.const -1)))
            (i32.store (i32.sub (i32.shl (memory.size) (i32.const 16)) (i32.const 4)) (i32.const 1))
            (local.set $n (i32.add (local.get $n) (i32.const 1)))
            (br $more)))
        (expect 63 (local.get $n))
        (iov 0 512 1) (expect 0 (call $fd_read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 64)))"#;
    for _ in 0..3 {
        run_in(&vm, body, b"x");
    }
    let used = |vm: &Vm| vm.usage().into_iter().find(|usage| usage.limit == Limit::MemoryBytes).unwrap().used;
    assert_eq!(used(&vm), 0, "all is given back");
    let (hog, _) = program(body);
    install(&vm, "/bin/hog", &hog);
    let first = vm.command("/bin/hog").stdin(crate::vm::Stdio::Piped).spawn().unwrap();
    while used(&vm) < 63 << 20 {
        std::thread::sleep(Duration::from_millis(5));
        assert_eq!(first.try_wait(), None);
    }
    let second = vm.command("/bin/hog").status().unwrap();
    assert_ne!(second, ExitStatus::Exited(0), "the VM's limit holds for both together");
    first.signal(signal::KILL);
    first.wait();
}

#[test]
fn a_program_that_starts_with_more_memory_than_there_is_does_not_run() {
    let vm = vm_with(&[(Limit::MemoryBytesPerProcess, 1 << 20)]);
    install(
        &vm,
        "/bin/p",
        &wat::parse_str(r#"(module (memory (export "memory") 100) (func (export "_start")))"#).unwrap(),
    );
    let output = vm.command("/bin/p").output().unwrap();
    assert_eq!(output.status, ExitStatus::Signaled(signal::KILL));
    assert!(!output.stderr.is_empty());
}

#[test]
fn tables_are_charged_too() {
    let vm = vm_with(&[(Limit::MemoryBytesPerProcess, 1 << 20)]);
    let text = r#"(module (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32))) (memory (export "memory") 1) (table $t 1 funcref)
        (func (export "_start") (call $exit (i32.eq (table.grow $t (ref.null func) (i32.const 200000)) (i32.const -1)))))"#;
    install(&vm, "/bin/p", &wat::parse_str(text).unwrap());
    assert_eq!(vm.command("/bin/p").status().unwrap(), ExitStatus::Exited(1));
}

#[test]
fn a_program_without_memory_that_calls_is_killed() {
    let text = r#"(module (import "wasi_snapshot_preview1" "fd_close" (func $close (param i32) (result i32)))
        (func (export "_start") (drop (call $close (i32.const 0)))))"#;
    let vm = vm();
    install(&vm, "/bin/p", &wat::parse_str(text).unwrap());
    let output = vm.command("/bin/p").output().unwrap();
    assert_eq!(output.status, ExitStatus::Signaled(signal::KILL));
    assert!(String::from_utf8_lossy(&output.stderr).contains("exports no memory"));
}

#[test]
fn a_start_function_may_call() {
    let text = r#"(module (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
        (memory (export "memory") 1) (func $init (drop (call $random (i32.const 0) (i32.const 8)))) (start $init)
        (func (export "_start") (call $exit (i64.eqz (i64.load (i32.const 0))))))"#;
    let vm = vm();
    install(&vm, "/bin/p", &wat::parse_str(text).unwrap());
    assert_eq!(vm.command("/bin/p").status().unwrap(), ExitStatus::Exited(0));
}

#[test]
fn an_uncaught_exception_is_an_abort() {
    let text = r#"(module (memory (export "memory") 1) (tag $t) (func (export "_start") (throw $t)))"#;
    let vm = vm();
    install(&vm, "/bin/p", &wat::parse_str(text).unwrap());
    let output = vm.command("/bin/p").output().unwrap();
    assert_eq!(output.status, ExitStatus::Signaled(signal::ABRT), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn more_processes_than_the_first_tier_holds() {
    let vm = vm();
    let body = r#"
        (i32.store (i32.const 16) (i32.const 1)) (i64.store (i32.const 24) (i64.const 60000000000))
        (expect 0 (call $poll_oneoff (i32.const 0) (i32.const 256) (i32.const 1) (i32.const 64)))"#;
    install(&vm, "/bin/sleeps", &program(body).0);
    let sleeping: Vec<_> = (0..300).map(|_| vm.command("/bin/sleeps").spawn().unwrap()).collect();
    // One more runs and ends while they sleep.
    run_in(&vm, "(expect 0 (call $sched_yield))", b"");
    std::thread::sleep(Duration::from_millis(100));
    for process in &sleeping {
        assert_eq!(process.try_wait(), None);
        process.signal(signal::KILL);
    }
    for process in sleeping {
        assert_eq!(process.wait(), ExitStatus::Signaled(signal::KILL));
    }
}

#[test]
fn processes_without_end_are_refused() {
    let vm = vm_with(&[(Limit::Processes, 20)]);
    install(&vm, "/bin/spin", &program("(loop (br 0))").0);
    // Spawns until it is refused: EAGAIN.
    let body = r#"
        (call $store_pair (i32.const 1024) (str "/bin/spin"))
        (loop $more
          (local.set $n (call $spawn (i32.const 1024) (i32.const 48) (i32.const 64)))
          (local.set $i (i32.add (local.get $i) (i32.const 1)))
          (br_if $more (i32.eqz (local.get $n))))
        (expect 6 (local.get $n))
        (expect 1 (i32.gt_u (local.get $i) (i32.const 10)))"#;
    // Without pipes, which the children would hold open.
    install(&vm, "/bin/bomb", &program(body).0);
    assert_eq!(vm.command("/bin/bomb").status().unwrap(), ExitStatus::Exited(0));
    vm.kill_all();
}
