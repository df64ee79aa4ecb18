//! Whole components as processes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use eyot_memfs::Memfs;

use super::component::{Build, STREAMS, STREAMS_TEXT, program, program_with};
use crate::limits::Limit;
use crate::process::{ExitStatus, StartError};
use crate::vm::{Output, Stdio};
use crate::wasm::tests::{install, vm, vm_with};
use crate::wasm::{WasmConfig, WasmExecutor};
use crate::{Errno, Vm, signal};

const HELLO: &str = r#"
(data (i32.const 0x8000) "hello\n")
(func $run (result i32)
  (call $write (call $get_stdout) (i32.const 0x8000) (i32.const 6) (i32.const 0))
  (i32.load8_u (i32.const 0)))"#;

fn output(vm: &Vm, binary: &[u8], input: &[u8]) -> Output {
    install(vm, "/bin/program", binary);
    vm.command("program").arg("one").env("KEY", "value").output_with_input(input).unwrap()
}

fn status_of(body: &str) -> ExitStatus {
    output(&vm(), &program(body), b"").status
}

#[test]
fn a_component_of_any_version_says_hello() {
    for version in ["0.2.0", "0.2.3", "0.2.12", "0.2.40"] {
        let binary = Build { version, imports: STREAMS, import_text: STREAMS_TEXT, body: HELLO }.component();
        let output = output(&vm(), &binary, b"");
        assert_eq!(output.status, ExitStatus::Exited(0), "{version}: {}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(output.stdout, b"hello\n");
    }
}

#[test]
fn ends_become_exit_codes() {
    assert_eq!(status_of("(func $run (result i32) (i32.const 0))"), ExitStatus::Exited(0));
    assert_eq!(status_of("(func $run (result i32) (i32.const 1))"), ExitStatus::Exited(1));
    let imports = ["wasi:cli/exit@V", "eyot:kernel/process@0.1.0"];
    let text = r#"(import "wasi:cli/exit@V" "exit" (func $exit (param i32)))
        (import "wasi:cli/exit@V" "exit-with-code" (func $exit_with_code (param i32)))
        (import "eyot:kernel/process@0.1.0" "exit" (func $kernel_exit (param i32)))"#;
    for (call, code) in [
        ("(call $exit (i32.const 0))", 0),
        ("(call $exit (i32.const 1))", 1),
        ("(call $exit_with_code (i32.const 77))", 77),
        ("(call $kernel_exit (i32.const 255))", 255),
    ] {
        let body = format!("(func $run (result i32) {call} unreachable)");
        let output = output(&vm(), &program_with(&imports, text, &body), b"");
        assert_eq!((output.status, output.stderr.as_slice()), (ExitStatus::Exited(code), &b""[..]), "{call}");
    }
}

#[test]
fn a_trap_is_a_signal_with_a_message() {
    let output = output(&vm(), &program("(func $run (result i32) unreachable)"), b"");
    assert_eq!(output.status, ExitStatus::Signaled(signal::ABRT));
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(message.starts_with("program: killed by SIGABRT") && message.contains("unreachable"), "{message}");
    let deep = "(func $f (param i32) (result i32) (i32.add (call $f (local.get 0)) (i32.const 1)))
        (func $run (result i32) (call $f (i32.const 0)))";
    assert_eq!(status_of(deep), ExitStatus::Signaled(signal::SEGV));
}

#[test]
fn standard_input_goes_through_to_standard_output() {
    // Reads 4096 bytes at most, for that is what a write takes.
    let cat = program(
        r#"(func $run (result i32) (local $in i32) (local $out i32)
          (local.set $in (call $get_stdin)) (local.set $out (call $get_stdout))
          (loop $again
            (global.set $heap (i32.const 0x10000))
            (call $read (local.get $in) (i64.const 4096) (i32.const 0))
            (if (i32.eqz (i32.load8_u (i32.const 0))) (then
              (call $write (local.get $out) (i32.load (i32.const 4)) (i32.load (i32.const 8)) (i32.const 16))
              (if (i32.load8_u (i32.const 16)) (then (return (i32.const 1))))
              (br $again))))
          (call $drop_input (local.get $in)) (call $drop_output (local.get $out))
          ;; 1: closed
          (i32.ne (i32.load8_u (i32.const 4)) (i32.const 1)))"#,
    );
    let input: Vec<u8> = (0..300_000_u32).map(|index| (index % 251) as u8).collect();
    let output = output(&vm(), &cat, &input);
    assert_eq!(output.status, ExitStatus::Exited(0));
    assert!(output.stdout == input);
}

#[test]
fn arguments_and_environment_arrive() {
    let imports = ["wasi:cli/environment@V"];
    let text = r#"(import "wasi:cli/environment@V" "get-arguments" (func $arguments (param i32)))
        (import "wasi:cli/environment@V" "get-environment" (func $environment (param i32)))
        (import "wasi:cli/environment@V" "initial-cwd" (func $cwd (param i32)))"#;
    // Writes the second argument, the last value of the environment and the directory.
    let body = r#"
        (func $text (param i32) (call $write (call $get_stdout) (i32.load (local.get 0)) (i32.load offset=4 (local.get 0)) (i32.const 32)))
        (func $run (result i32)
          (call $arguments (i32.const 0))
          (if (i32.ne (i32.load (i32.const 4)) (i32.const 2)) (then (return (i32.const 1))))
          (call $text (i32.add (i32.load (i32.const 0)) (i32.const 8)))
          (call $environment (i32.const 0))
          (call $text (i32.add (i32.load (i32.const 0)) (i32.sub (i32.mul (i32.load (i32.const 4)) (i32.const 16)) (i32.const 8))))
          (call $cwd (i32.const 0))
          (call $text (i32.const 4))
          (i32.eqz (i32.load8_u (i32.const 0))))"#;
    let output = output(&vm(), &program_with(&imports, text, body), b"");
    assert_eq!(output.status, ExitStatus::Exited(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.stdout, b"onevalue/");
}

#[track_caller]
fn dies_soon(body: &str) {
    let vm = vm();
    install(&vm, "/bin/program", &program(body));
    let process = vm.command("program").stdin(Stdio::Piped).stdout(Stdio::Piped).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!(process.try_wait(), None, "it waits");
    let killed = Instant::now();
    process.signal(signal::TERM);
    assert_eq!(process.wait_until(Instant::now() + Duration::from_secs(5)), Some(ExitStatus::Signaled(signal::TERM)));
    assert!(killed.elapsed() < Duration::from_secs(2), "{:?}", killed.elapsed());
}

#[test]
fn a_kill_ends_every_wait_and_every_loop() {
    dies_soon("(func $run (result i32) (call $block (call $sleep (i64.const 1000000000000))) (i32.const 0))");
    dies_soon("(func $run (result i32) (call $read (call $get_stdin) (i64.const 9) (i32.const 0)) (i32.const 0))");
    dies_soon("(func $run (result i32) (call $block (call $subscribe (call $get_stdin))) (i32.const 0))");
    dies_soon("(func $run (result i32) (loop $l (br $l)) unreachable)");
    // Writes until the pipe that nobody reads is full.
    dies_soon(
        r#"(func $run (result i32) (local $out i32) (local.set $out (call $get_stdout))
            (loop $l (call $write (local.get $out) (i32.const 0) (i32.const 4096) (i32.const 0x9000)) (br $l)) unreachable)"#,
    );
}

#[test]
fn memory_without_end_is_refused_and_given_back() {
    let vm = vm_with(&[(Limit::MemoryBytesPerProcess, 4 << 20)]);
    let body = r#"(func $run (result i32)
        (loop $l (br_if $l (i32.ne (memory.grow (i32.const 1)) (i32.const -1))))
        (i32.gt_u (memory.size) (i32.const 64)))"#;
    assert_eq!(output(&vm, &program(body), b"").status, ExitStatus::Exited(0));
    let used = vm.usage().into_iter().find(|usage| usage.limit == Limit::MemoryBytes).unwrap();
    assert!(used.used < 1 << 20, "{}", used.used);
}

#[test]
fn hostile_lists_and_resources_do_not_reach_the_host() {
    // A text that lies outside the memory, and a handle that is none.
    let outside = "(func $run (result i32) (call $write (call $get_stdout) (i32.const 0x7fffffff) (i32.const 100) (i32.const 0)) (i32.const 0))";
    assert!(matches!(status_of(outside), ExitStatus::Signaled(_)));
    let handle = "(func $run (result i32) (call $drop_output (i32.const 4242)) (i32.const 0))";
    assert!(matches!(status_of(handle), ExitStatus::Signaled(_)));
    let twice = "(func $run (result i32) (local $o i32) (local.set $o (call $get_stdout))
        (call $drop_output (local.get $o)) (call $drop_output (local.get $o)) (i32.const 0))";
    assert!(matches!(status_of(twice), ExitStatus::Signaled(_)));
    let wrong_kind =
        "(func $run (result i32) (call $read (call $get_stdout) (i64.const 1) (i32.const 0)) (i32.const 0))";
    assert!(matches!(status_of(wrong_kind), ExitStatus::Signaled(_)));
    let endless = "(func $run (result i32) (loop $l (drop (call $sleep (i64.const 1))) (br $l)) unreachable)";
    assert!(matches!(status_of(endless), ExitStatus::Signaled(_)));
    let huge = "(func $run (result i32) (call $read (call $get_stdin) (i64.const -1) (i32.const 0)) (i32.load8_u (i32.const 0)))";
    let output = output(&vm(), &program(huge), &[1; 100_000]);
    assert_eq!(output.status, ExitStatus::Exited(0));
}

fn refused(binary: &[u8]) -> StartError {
    let vm = vm();
    install(&vm, "/bin/program", binary);
    let error = vm.command("program").output().unwrap_err();
    assert_eq!(error.errno, Errno::Noexec, "{error}");
    assert!(error.message.contains("/bin/program"), "{error}");
    error
}

#[test]
fn imports_that_nobody_provides_are_named() {
    let text = r#"(component
        (import "foo:bar/baz@1.0.0" (instance (export "f" (func))))
        (import "wasi:http/types@0.2.0" (instance))
        (import "wasi:io/poll@0.2.1" (instance)))"#;
    let message = refused(&wat::parse_str(text).unwrap()).message;
    assert!(
        message.contains("it imports 'foo:bar/baz@1.0.0', 'wasi:http/types@0.2.0', which nothing here provides"),
        "{message}"
    );
    let function = r#"(component (import "wasi:random/random@0.2.12" (instance (export "dice" (func (result u32))))))"#;
    let message = refused(&wat::parse_str(with_run(function)).unwrap()).message;
    assert!(message.contains("does not fit") && message.contains("dice"), "{message}");
    let signature =
        r#"(component (import "wasi:random/random@0.2.12" (instance (export "get-random-u64" (func (result u32))))))"#;
    let message = refused(&wat::parse_str(with_run(signature)).unwrap()).message;
    assert!(message.contains("get-random-u64"), "{message}");
}

/// A component that could be a command, with `text`'s imports.
fn with_run(text: &str) -> String {
    let run = r#"
        (core module $m (func (export "run") (result i32) (i32.const 0)))
        (core instance $i (instantiate $m))
        (func $run (result (result)) (canon lift (core func $i "run")))
        (instance $run-instance (export "run" (func $run)))
        (export "wasi:cli/run@0.2.0" (instance $run-instance)))"#;
    format!("{}{run}", text.strip_suffix(')').unwrap())
}

#[test]
fn components_that_are_no_programs_are_refused() {
    assert!(refused(&wat::parse_str("(component)").unwrap()).message.contains("exports nothing"));
    let library = r#"(component (instance $i) (export "foo:bar/lib@1.0.0" (instance $i)))"#;
    let message = refused(&wat::parse_str(library).unwrap()).message;
    assert!(message.contains("no program") && message.contains("foo:bar/lib@1.0.0"), "{message}");
    let newer = with_run("(component)").replace("run@0.2.0", "run@0.3.0");
    assert!(refused(&wat::parse_str(&newer).unwrap()).message.contains("WASI 0.2"));
    let empty = r#"(component (instance $i) (export "wasi:cli/run@0.2.0" (instance $i)))"#;
    assert!(refused(&wat::parse_str(empty).unwrap()).message.contains("no function 'run'"));
}

#[test]
fn truncated_components_are_refused() {
    let binary = program(HELLO);
    for end in [8, 9, 100, binary.len() / 2, binary.len() - 1] {
        refused(&binary[..end]);
    }
}

#[test]
fn a_component_is_compiled_once_and_found_again() {
    let dir = tempfile::tempdir().unwrap();
    let cache = dir.path().join("code");
    let binary = program(HELLO);
    let run = || {
        let executor = Arc::new(WasmExecutor::new(WasmConfig { code_cache: Some(cache.clone()) }));
        let vm = Vm::builder().root(Arc::new(Memfs::new())).executor(executor).user(0, 0).build().unwrap();
        vm.make_dir("/bin", 0o755).unwrap();
        output(&vm, &binary, b"")
    };
    assert_eq!(run().stdout, b"hello\n");
    let entries =
        || std::fs::read_dir(&cache).unwrap().map(|entry| entry.unwrap().metadata().unwrap().modified().unwrap());
    let first: Vec<_> = entries().collect();
    assert_eq!(first.len(), 1);
    assert_eq!(run().stdout, b"hello\n");
    assert_eq!(entries().collect::<Vec<_>>(), first);
}

#[test]
fn many_components_run_at_once() {
    let vm = vm();
    install(
        &vm,
        "/bin/program",
        &program("(func $run (result i32) (call $block (call $sleep (i64.const 200000000))) (i32.const 0))"),
    );
    let begun = Instant::now();
    let all: Vec<_> = (0..150).map(|_| vm.command("program").spawn().unwrap()).collect();
    for process in all {
        assert_eq!(process.wait(), ExitStatus::Exited(0));
    }
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
}
