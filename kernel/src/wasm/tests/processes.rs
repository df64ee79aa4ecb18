//! `eyot:kernel` for core modules: spawn, exec, wait, pipes, signals.

use super::*;
use crate::signal;

/// Writes the record of `spawn` at 1024: program, arguments, flags; the block of arguments must end in `\00`.
fn record(program: &str, arguments: &str, flags: u32) -> String {
    format!(
        r#"(call $store_pair (i32.const 1024) (str "{program}")) (call $store_pair (i32.const 1032) (str "{arguments}"))
        (i32.store (i32.const 1064) (i32.const {flags}))"#
    )
}

/// As `run_in`, with `/bin/exit7`, `/bin/cat`, `/bin/spin`.
#[track_caller]
fn run_with_tools(body: &str, input: &[u8]) -> Output {
    let vm = vm();
    for (path, body) in [
        ("/bin/exit7", "(call $proc_exit (i32.const 7))"),
        ("/bin/spin", "(loop (br 0))"),
        ("/bin/trap", "unreachable"),
        (
            "/bin/cat",
            r#"(loop $again
              (iov 0 512 4096)
              (expect 0 (call $fd_read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 64)))
              (local.set $n (i32.load (i32.const 64)))
              (i32.store (i32.const 4) (local.get $n))
              (expect 0 (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 64)))
              (br_if $again (local.get $n)))"#,
        ),
    ] {
        install(&vm, path, &program(body).0);
    }
    run_in(&vm, body, input)
}

#[test]
fn a_child_runs_and_is_waited_for() {
    run_with_tools(
        &format!(
            r#"
        {}
        (expect 0 (call $spawn (i32.const 1024) (i32.const 48) (i32.const 0)))
        (expect 1 (i32.gt_s (i32.load (i32.const 0)) (call $getpid)))
        (expect 0 (call $wait (i32.load (i32.const 0)) (i32.const 0) (i32.const 16)))
        (expect 1 (i32.eq (i32.load (i32.const 0)) (i32.load (i32.const 16))))
        (expect32 20 1) (expect32 24 7)
        (expect 12 (call $wait (i32.const -1) (i32.const 0) (i32.const 16)))
        (expect 12 (call $wait (i32.const -1) (i32.const 1) (i32.const 16)))
        (expect 28 (call $wait (i32.const -1) (i32.const 8) (i32.const 16)))
        (expect 21 (call $wait (i32.const -1) (i32.const 0) (i32.const 262136)))
        (expect 0 (call $getppid))"#,
            record("/bin/exit7", "exit7\\00", 0)
        ),
        b"",
    );
}

#[test]
fn what_cannot_be_started_has_an_errno() {
    run_with_tools(
        &format!(
            r#"
        {}
        (expect 44 (call $spawn (i32.const 1024) (i32.const 48) (i32.const 0)))
        {}
        (expect 2 (call $spawn (i32.const 1024) (i32.const 48) (i32.const 0)))
        (expect 28 (call $spawn (i32.const 1024) (i32.const 44) (i32.const 0)))
        (expect 21 (call $spawn (i32.const 262120) (i32.const 48) (i32.const 0)))
        (expect 21 (call $spawn (i32.const 1024) (i32.const 48) (i32.const 262142)))
        (expect 21 (call $exec (i32.const 262120) (i32.const 48)))"#,
            record("/bin/none", "x\\00", 0),
            record("/tmp", "x\\00", 0)
        ),
        b"",
    );
}

#[test]
fn signals_end_a_child() {
    run_with_tools(
        &format!(
            r#"
        {}
        (expect 0 (call $spawn (i32.const 1024) (i32.const 48) (i32.const 0)))
        (expect 0 (call $wait (i32.const -1) (i32.const 1) (i32.const 16))) (expect32 16 0)
        (expect 0 (call $kill (i32.load (i32.const 0)) (i32.const 0)))
        (expect 28 (call $kill (i32.load (i32.const 0)) (i32.const 99)))
        (expect 71 (call $kill (i32.const 9999) (i32.const 15)))
        (expect 0 (call $kill (i32.load (i32.const 0)) (i32.const 15)))
        (expect 0 (call $wait (i32.const -1) (i32.const 0) (i32.const 16)))
        (expect32 20 2) (expect32 24 15)
        {}
        (expect 0 (call $spawn (i32.const 1024) (i32.const 48) (i32.const 0)))
        (expect 0 (call $wait (i32.const -1) (i32.const 0) (i32.const 16)))
        (expect32 20 2) (expect32 24 6)"#,
            record("spin", "spin\\00", 1),
            record("/bin/trap", "", 0)
        ),
        b"",
    );
}

#[test]
fn a_process_that_signals_itself_does_not_come_back() {
    for body in
        ["(expect 0 (call $proc_raise (i32.const 15)))", "(expect 0 (call $kill (call $getpid) (i32.const 15)))"]
    {
        let output = output_in(&vm(), body, b"").unwrap();
        assert_eq!(output.status, ExitStatus::Signaled(signal::TERM));
    }
    run("(expect 28 (call $proc_raise (i32.const 31))) (expect 0 (call $proc_raise (i32.const 16)))");
}

#[test]
fn exec_takes_the_program_s_place_and_keeps_the_process() {
    let body = format!(
        r#"
        {}
        (i32.store (i32.const 2048) (i32.const 0x0a6968)) (iov 0 2048 3)
        (expect 0 (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 64)))
        (expect 0 (call $exec (i32.const 1024) (i32.const 48)))
        (call $proc_exit (i32.const 99))"#,
        record("/bin/cat", "cat\\00", 0)
    );
    let input = vec![b'z'; 100_000];
    let output = run_with_tools(&body, &input);
    assert!(output.stdout == [&b"hi\n"[..], &input].concat());
}

#[test]
fn a_pipe_between_two_children() {
    // cat < stdin | cat > stdout, with file actions; the parent closes its ends and waits for both.
    let body = format!(
        r#"
        (expect 0 (call $pipe (i32.const 1) (i32.const 32)))
        {}
        ;; the first one's 1 is the pipe's write end
        (i32.store (i32.const 1056) (i32.const 1536)) (i32.store (i32.const 1060) (i32.const 1))
        (i32.store (i32.const 1540) (i32.const 1)) (i32.store (i32.const 1544) (i32.load (i32.const 36)))
        (expect 0 (call $spawn (i32.const 1024) (i32.const 48) (i32.const 0)))
        ;; the second one's 0 is its read end
        (i32.store (i32.const 1540) (i32.const 0)) (i32.store (i32.const 1544) (i32.load (i32.const 32)))
        (expect 0 (call $spawn (i32.const 1024) (i32.const 48) (i32.const 0)))
        (expect 0 (call $fd_close (i32.load (i32.const 32)))) (expect 0 (call $fd_close (i32.load (i32.const 36))))
        (expect 0 (call $wait (i32.const -1) (i32.const 0) (i32.const 16))) (expect32 20 1) (expect32 24 0)
        (expect 0 (call $wait (i32.const -1) (i32.const 0) (i32.const 16))) (expect32 20 1) (expect32 24 0)"#,
        record("/bin/cat", "cat\\00", 0)
    );
    let input: Vec<u8> = (0..1_000_000_u32).map(|n| (n % 253) as u8).collect();
    assert!(run_with_tools(&body, &input).stdout == input);
}

#[test]
fn descriptors_are_copied() {
    run(r#"
        (expect 0 (call $dup (i32.const 1) (i32.const 10) (i32.const 0))) (expect32 0 10)
        (expect 0 (call $get-flags (i32.const 10) (i32.const 0))) (expect32 0 1)
        (expect 0 (call $dup2 (i32.const 1) (i32.const 10)))
        (expect 0 (call $get-flags (i32.const 10) (i32.const 0))) (expect32 0 0)
        (expect 0 (call $set-flags (i32.const 10) (i32.const 3)))
        (expect 0 (call $get-flags (i32.const 1) (i32.const 0))) (expect32 0 2)
        (expect 28 (call $set-flags (i32.const 10) (i32.const 4)))
        (expect 0 (call $set-flags (i32.const 10) (i32.const 0)))
        (expect 8 (call $dup (i32.const 99) (i32.const 0) (i32.const 0)))
        (expect 28 (call $dup (i32.const 1) (i32.const 100000) (i32.const 0)))
        (expect 21 (call $dup (i32.const 1) (i32.const 0) (i32.const 262142)))
        (expect 8 (call $dup2 (i32.const 99) (i32.const 1)))
        (expect 8 (call $dup2 (i32.const 1) (i32.const -1)))
        (expect 0 (call $get-flags (i32.const 3) (i32.const 0))) (expect32 0 1)
        (expect 28 (call $pipe (i32.const 4) (i32.const 0)))
        (expect 21 (call $pipe (i32.const 0) (i32.const 262140)))
        (expect 0 (call $pipe (i32.const 2) (i32.const 0)))
        (iov 64 512 1)
        (expect 6 (call $fd_read (i32.load (i32.const 0)) (i32.const 64) (i32.const 1) (i32.const 128)))"#);
}

#[test]
fn the_working_directory() {
    run(r#"
        (expect 0 (call $getcwd (i32.const 0) (i32.const 10) (i32.const 64))) (expect32 64 1)
        (expect 0 (call $chdir (str "tmp")))
        (expect 0 (call $getcwd (i32.const 0) (i32.const 10) (i32.const 64))) (expect32 64 4) (expect32 0 0x706d742f)
        (expect 68 (call $getcwd (i32.const 0) (i32.const 3) (i32.const 64))) (expect32 64 4)
        (expect 44 (call $chdir (str "none")))
        (expect 54 (call $chdir (str "/bin/body")))
        (expect 21 (call $chdir (i32.const -1) (i32.const 4)))
        (expect 0 (call $chdir (str "..")))
        (expect 0 (call $getcwd (i32.const 0) (i32.const 10) (i32.const 64))) (expect32 64 1)"#);
}

#[test]
fn groups() {
    run(r#"
        (expect 0 (call $getpgid (i32.const 0) (i32.const 0)))
        (expect 1 (i32.eq (i32.load (i32.const 0)) (call $getpid)))
        (expect 71 (call $getpgid (i32.const 99999) (i32.const 0)))
        (expect 28 (call $setpgid (i32.const 0) (i32.const -1)))
        (expect 71 (call $setpgid (i32.const 99999) (i32.const 0)))"#);
}

#[test]
fn a_write_to_a_pipe_nobody_reads_ends_the_writer() {
    let output = output_in(
        &vm(),
        r#"(expect 0 (call $pipe (i32.const 0) (i32.const 0)))
           (expect 0 (call $fd_close (i32.load (i32.const 0))))
           (iov 64 512 1)
           (expect 64 (call $fd_write (i32.load (i32.const 4)) (i32.const 64) (i32.const 1) (i32.const 128)))"#,
        b"",
    );
    assert_eq!(output.unwrap().status, ExitStatus::Signaled(signal::PIPE));
}
