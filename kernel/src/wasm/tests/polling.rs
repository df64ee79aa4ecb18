//! `poll_oneoff`.

use super::*;
use std::time::{Duration, Instant};

#[test]
fn a_clock_ends_the_wait() {
    let start = Instant::now();
    run(r#"
        ;; userdata 7, clock, monotonic, 50 ms
        (i64.store (i32.const 0) (i64.const 7)) (i32.store8 (i32.const 8) (i32.const 0))
        (i32.store (i32.const 16) (i32.const 1)) (i64.store (i32.const 24) (i64.const 50000000))
        (expect 0 (call $poll_oneoff (i32.const 0) (i32.const 256) (i32.const 1) (i32.const 64)))
        (expect32 64 1) (expect64 256 7) (expect 0 (i32.load (i32.const 264)))"#);
    assert!(start.elapsed() >= Duration::from_millis(50));
    assert!(start.elapsed() < Duration::from_secs(10));
}

#[test]
fn absolute_times_and_clocks_that_are_not_there() {
    run(r#"
        ;; a realtime in the past, a monotonic time in the past, CPU time, all at once
        (i32.store (i32.const 16) (i32.const 0)) (i64.store (i32.const 24) (i64.const 5)) (i32.store16 (i32.const 40) (i32.const 1))
        (i64.store (i32.const 48) (i64.const 1))
        (i32.store (i32.const 64) (i32.const 1)) (i64.store (i32.const 72) (i64.const 5)) (i32.store16 (i32.const 88) (i32.const 1))
        (i64.store (i32.const 96) (i64.const 2))
        (i32.store (i32.const 112) (i32.const 2)) (i64.store (i32.const 120) (i64.const 5))
        (expect 0 (call $poll_oneoff (i32.const 0) (i32.const 512) (i32.const 3) (i32.const 400)))
        (expect32 400 3)
        (expect64 544 1) (expect64 576 2)
        (expect 28 (i32.load16_u (i32.const 584)))"#);
}

#[test]
fn descriptors_that_are_ready_and_those_that_are_not() {
    let body = r#"
        ;; standard input (empty, somebody writes), standard output (room), 99 (not open)
        (i64.store (i32.const 0) (i64.const 10)) (i32.store8 (i32.const 8) (i32.const 1)) (i32.store (i32.const 16) (i32.const 0))
        (i64.store (i32.const 48) (i64.const 11)) (i32.store8 (i32.const 56) (i32.const 2)) (i32.store (i32.const 64) (i32.const 1))
        (i64.store (i32.const 96) (i64.const 12)) (i32.store8 (i32.const 104) (i32.const 1)) (i32.store (i32.const 112) (i32.const 99))
        (expect 0 (call $poll_oneoff (i32.const 0) (i32.const 512) (i32.const 3) (i32.const 400)))
        (expect32 400 2)
        (expect64 512 11) (expect 0 (i32.load16_u (i32.const 520))) (expect 2 (i32.load8_u (i32.const 522)))
        (expect64 544 12) (expect 8 (i32.load16_u (i32.const 552))) (expect 1 (i32.load8_u (i32.const 554)))
        ;; standard input alone: waits for the byte that comes
        (expect 0 (call $poll_oneoff (i32.const 0) (i32.const 512) (i32.const 1) (i32.const 400)))
        (expect32 400 1) (expect64 512 10) (expect 1 (i32.load8_u (i32.const 522)))
        (expect 1 (i64.ge_u (i64.load (i32.const 528)) (i64.const 1)))
        (i64.store (i32.const 300) (i64.const 0x800000258))
        (expect 0 (call $fd_read (i32.const 0) (i32.const 300) (i32.const 1) (i32.const 400)))
        ;; and for the end
        (expect 0 (call $poll_oneoff (i32.const 0) (i32.const 512) (i32.const 1) (i32.const 400)))
        (expect32 400 1) (expect 1 (i32.load16_u (i32.const 536)))"#;
    let vm = vm();
    let (binary, checks) = program(body);
    install(&vm, "/bin/p", &binary);
    let mut process =
        vm.command("/bin/p").stdin(crate::vm::Stdio::Piped).stdout(crate::vm::Stdio::Piped).spawn().unwrap();
    let mut stdin = process.stdin.take().unwrap();
    std::thread::sleep(Duration::from_millis(50));
    std::io::Write::write_all(&mut stdin, b"x").unwrap();
    std::thread::sleep(Duration::from_millis(50));
    drop(stdin);
    let status = process.wait();
    assert!(status.success(), "{status:?} {:?}", checks.get(usize::from(status.shell_code())));
}

#[test]
fn a_file_tells_how_much_is_left() {
    let vm = vm();
    vm.write_file("/tmp/f", b"12345", 0o644).unwrap();
    run_in(
        &vm,
        r#"
        (expect 0 (call $path_open (i32.const 3) (i32.const 1) (str "tmp/f") (i32.const 0) (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 400)))
        (expect 0 (call $fd_seek (i32.const 4) (i64.const 2) (i32.const 0) (i32.const 400)))
        (i32.store8 (i32.const 8) (i32.const 1)) (i32.store (i32.const 16) (i32.const 4))
        (expect 0 (call $poll_oneoff (i32.const 0) (i32.const 512) (i32.const 1) (i32.const 400)))
        (expect64 528 3)"#,
        b"",
    );
}

#[test]
fn wrong_calls() {
    run(r#"
        (expect 28 (call $poll_oneoff (i32.const 0) (i32.const 512) (i32.const 0) (i32.const 400)))
        (expect 28 (call $poll_oneoff (i32.const 0) (i32.const 512) (i32.const 4097) (i32.const 400)))
        (expect 28 (call $poll_oneoff (i32.const 0) (i32.const 512) (i32.const -1) (i32.const 400)))
        (expect 21 (call $poll_oneoff (i32.const 262140) (i32.const 512) (i32.const 1) (i32.const 400)))
        (expect 21 (call $poll_oneoff (i32.const 0) (i32.const 262140) (i32.const 1) (i32.const 400)))
        (expect 21 (call $poll_oneoff (i32.const 0) (i32.const 512) (i32.const 1) (i32.const 262142)))
        (i32.store8 (i32.const 8) (i32.const 3))
        (expect 28 (call $poll_oneoff (i32.const 0) (i32.const 512) (i32.const 1) (i32.const 400)))"#);
}
