//! Whole programs, in WAT, run in a VM.
//!
//! [`program`] writes the frame of a program: every WASI function is imported under its name, and a few forms save ink:
//! - `(str "text")` is two operands, a pointer to the text and its length;
//! - `(expect N (call ...))` ends the program with an exit code that names the line when the answer is not N;
//! - `(expect32 ADDRESS N)` and `(expect64 ADDRESS N)` do so for numbers in memory;
//! - `(iov ADDRESS POINTER LENGTH)` stores a piece of a vector.
//!
//! `$store_pair` stores two numbers, such as those of a text.

mod descriptors;
mod hostile;
mod loading;
mod paths;
mod polling;
mod processes;

use std::fmt::Write;
use std::sync::{Arc, OnceLock};

use eyot_memfs::Memfs;

use super::{WasmConfig, WasmExecutor};
use crate::Vm;
use crate::limits::Limit;
use crate::process::{ExitStatus, StartError};
use crate::vm::Output;

/// Where texts are put: above what tests use by hand.
const TEXTS_AT: usize = 0x8000;

/// Signatures: parameters and whether there is a result.
const IMPORTS: &[(&str, &str, &str)] = &[
    ("wasi_snapshot_preview1", "args_get", "ii"),
    ("wasi_snapshot_preview1", "args_sizes_get", "ii"),
    ("wasi_snapshot_preview1", "environ_get", "ii"),
    ("wasi_snapshot_preview1", "environ_sizes_get", "ii"),
    ("wasi_snapshot_preview1", "clock_res_get", "ii"),
    ("wasi_snapshot_preview1", "clock_time_get", "iIi"),
    ("wasi_snapshot_preview1", "fd_advise", "iIIi"),
    ("wasi_snapshot_preview1", "fd_allocate", "iII"),
    ("wasi_snapshot_preview1", "fd_close", "i"),
    ("wasi_snapshot_preview1", "fd_datasync", "i"),
    ("wasi_snapshot_preview1", "fd_fdstat_get", "ii"),
    ("wasi_snapshot_preview1", "fd_fdstat_set_flags", "ii"),
    ("wasi_snapshot_preview1", "fd_fdstat_set_rights", "iII"),
    ("wasi_snapshot_preview1", "fd_filestat_get", "ii"),
    ("wasi_snapshot_preview1", "fd_filestat_set_size", "iI"),
    ("wasi_snapshot_preview1", "fd_filestat_set_times", "iIIi"),
    ("wasi_snapshot_preview1", "fd_pread", "iiiIi"),
    ("wasi_snapshot_preview1", "fd_prestat_get", "ii"),
    ("wasi_snapshot_preview1", "fd_prestat_dir_name", "iii"),
    ("wasi_snapshot_preview1", "fd_pwrite", "iiiIi"),
    ("wasi_snapshot_preview1", "fd_read", "iiii"),
    ("wasi_snapshot_preview1", "fd_readdir", "iiiIi"),
    ("wasi_snapshot_preview1", "fd_renumber", "ii"),
    ("wasi_snapshot_preview1", "fd_seek", "iIii"),
    ("wasi_snapshot_preview1", "fd_sync", "i"),
    ("wasi_snapshot_preview1", "fd_tell", "ii"),
    ("wasi_snapshot_preview1", "fd_write", "iiii"),
    ("wasi_snapshot_preview1", "path_create_directory", "iii"),
    ("wasi_snapshot_preview1", "path_filestat_get", "iiiii"),
    ("wasi_snapshot_preview1", "path_filestat_set_times", "iiiiIIi"),
    ("wasi_snapshot_preview1", "path_link", "iiiiiii"),
    ("wasi_snapshot_preview1", "path_open", "iiiiiIIii"),
    ("wasi_snapshot_preview1", "path_readlink", "iiiiii"),
    ("wasi_snapshot_preview1", "path_remove_directory", "iii"),
    ("wasi_snapshot_preview1", "path_rename", "iiiiii"),
    ("wasi_snapshot_preview1", "path_symlink", "iiiii"),
    ("wasi_snapshot_preview1", "path_unlink_file", "iii"),
    ("wasi_snapshot_preview1", "poll_oneoff", "iiii"),
    ("wasi_snapshot_preview1", "proc_raise", "i"),
    ("wasi_snapshot_preview1", "sched_yield", ""),
    ("wasi_snapshot_preview1", "random_get", "ii"),
    ("wasi_snapshot_preview1", "sock_accept", "iii"),
    ("wasi_snapshot_preview1", "sock_recv", "iiiiii"),
    ("wasi_snapshot_preview1", "sock_send", "iiiii"),
    ("wasi_snapshot_preview1", "sock_shutdown", "ii"),
    ("eyot:kernel/process@0.1.0", "spawn", "iii"),
    ("eyot:kernel/process@0.1.0", "exec", "ii"),
    ("eyot:kernel/process@0.1.0", "wait", "iii"),
    ("eyot:kernel/process@0.1.0", "getpid", ""),
    ("eyot:kernel/process@0.1.0", "getppid", ""),
    ("eyot:kernel/process@0.1.0", "getcwd", "iii"),
    ("eyot:kernel/process@0.1.0", "chdir", "ii"),
    ("eyot:kernel/process@0.1.0", "getpgid", "ii"),
    ("eyot:kernel/process@0.1.0", "setpgid", "ii"),
    ("eyot:kernel/descriptor@0.1.0", "dup", "iii"),
    ("eyot:kernel/descriptor@0.1.0", "dup2", "ii"),
    ("eyot:kernel/descriptor@0.1.0", "get-flags", "ii"),
    ("eyot:kernel/descriptor@0.1.0", "set-flags", "ii"),
    ("eyot:kernel/pipe@0.1.0", "pipe", "ii"),
    ("eyot:kernel/signal@0.1.0", "kill", "ii"),
];

/// A program whose `_start` is `body`; see the module's documentation. Its second value names what each exit code stands for.
pub(super) fn program(body: &str) -> (Vec<u8>, Vec<String>) {
    let mut text = String::from("(module\n");
    for (module, name, parameters) in IMPORTS {
        let types: Vec<_> = parameters.chars().map(|c| if c == 'I' { "i64" } else { "i32" }).collect();
        writeln!(text, "(import \"{module}\" \"{name}\" (func ${name} (param {}) (result i32)))", types.join(" "))
            .unwrap();
    }
    text.push_str("(import \"wasi_snapshot_preview1\" \"proc_exit\" (func $proc_exit (param i32)))\n");
    text.push_str("(memory (export \"memory\") 4)\n");
    text.push_str("(func $expect (param i32 i32 i32) (if (i32.ne (local.get 1) (local.get 2)) (then (call $proc_exit (local.get 0)))))\n");
    text.push_str("(func $expect_long (param i32 i64 i64) (if (i64.ne (local.get 1) (local.get 2)) (then (call $proc_exit (local.get 0)))))\n");
    text.push_str("(func $store_pair (param i32 i32 i32) (i32.store (local.get 0) (local.get 1)) (i32.store offset=4 (local.get 0) (local.get 2)))\n");
    let mut checks = vec![String::new()];
    let mut data = String::new();
    let body = expand(body, &mut checks, &mut data);
    writeln!(text, "(data (i32.const {TEXTS_AT}) \"{data}\")").unwrap();
    write!(text, "(func (export \"_start\") (local $n i32) (local $i i32)\n{body}))").unwrap();
    let binary = wat::parse_str(&text).unwrap_or_else(|error| panic!("{error}\n{body}"));
    (binary, checks)
}

fn expand(body: &str, checks: &mut Vec<String>, data: &mut String) -> String {
    let mut out = String::new();
    for line in body.lines() {
        let mut line = line.to_owned();
        while let Some(start) = line.find("(str \"") {
            let end = start + line[start..].find("\")").unwrap();
            let text = &line[start + 6..end];
            // Escapes such as \00 stand for one byte.
            let bytes = |text: &str| text.len() - 2 * text.matches('\\').count();
            let operands = format!("(i32.const {}) (i32.const {})", TEXTS_AT + bytes(data), bytes(text));
            data.push_str(text);
            line = format!("{}{operands}{}", &line[..start], &line[end + 2..]);
        }
        for (form, call) in [
            ("(expect ", "(call $expect (i32.const {id}) (i32.const {0}) "),
            ("(expect32 ", "(call $expect (i32.const {id}) (i32.load (i32.const {0})) (i32.const {1}))"),
            ("(expect64 ", "(call $expect_long (i32.const {id}) (i64.load (i32.const {0})) (i64.const {1}))"),
            ("(iov ", "(i64.store (i32.const {0}) (i64.or (i64.const {1}) (i64.shl (i64.const {2}) (i64.const 32))))"),
        ] {
            while let Some(start) = line.find(form) {
                let mut call = call.to_owned();
                let mut rest = &line[start + form.len()..];
                if call.contains("{id}") {
                    call = call.replace("{id}", &checks.len().to_string());
                    checks.push(line.trim().to_owned());
                }
                for index in 0.. {
                    let hole = format!("{{{index}}}");
                    if !call.contains(&hole) {
                        break;
                    }
                    rest = rest.trim_start();
                    let end = rest.find([' ', ')']).unwrap();
                    call = call.replace(&hole, &rest[..end]);
                    rest = &rest[end..];
                }
                if call.ends_with(')') {
                    rest = rest.trim_start().strip_prefix(')').unwrap();
                }
                line = format!("{}{call}{rest}", &line[..start]);
            }
        }
        out.push_str(&line);
        out.push('\n');
    }
    out
}

/// The executor that all tests share, as many VMs of a host do.
pub(super) fn executor() -> Arc<WasmExecutor> {
    static EXECUTOR: OnceLock<Arc<WasmExecutor>> = OnceLock::new();
    EXECUTOR.get_or_init(|| Arc::new(WasmExecutor::new(WasmConfig::default()))).clone()
}

/// A VM with `/bin`, `/tmp` and user 0.
pub(super) fn vm_with(limits: &[(Limit, u64)]) -> Vm {
    let mut builder = Vm::builder().root(Arc::new(Memfs::new())).executor(executor()).user(0, 0);
    for &(limit, max) in limits {
        builder = builder.limit(limit, max);
    }
    let vm = builder.build().unwrap();
    vm.make_dir("/bin", 0o755).unwrap();
    vm.make_dir("/tmp", 0o777).unwrap();
    vm
}

pub(super) fn vm() -> Vm {
    vm_with(&[])
}

/// Puts a program in a VM.
pub(super) fn install(vm: &Vm, path: &str, binary: &[u8]) {
    vm.write_file(path, binary, 0o755).unwrap();
}

/// Runs a body in a VM and answers what it left, whatever that is.
pub(super) fn output_in(vm: &Vm, body: &str, input: &[u8]) -> Result<Output, StartError> {
    let (binary, _) = program(body);
    install(vm, "/bin/body", &binary);
    vm.command("/bin/body").arg("one").env("KEY", "value").output_with_input(input)
}

/// Runs a body in a VM; all its checks must hold.
#[track_caller]
pub(super) fn run_in(vm: &Vm, body: &str, input: &[u8]) -> Output {
    let (binary, checks) = program(body);
    install(vm, "/bin/body", &binary);
    let output = vm.command("/bin/body").arg("one").env("KEY", "value").output_with_input(input).unwrap();
    if let ExitStatus::Exited(code @ 1..) = output.status {
        panic!("a check failed: {}", checks.get(code as usize).map_or("?", String::as_str));
    }
    assert_eq!(output.status, ExitStatus::Exited(0), "{}", String::from_utf8_lossy(&output.stderr));
    output
}

/// Runs a body in a VM of its own; all its checks must hold.
#[track_caller]
pub(super) fn run(body: &str) -> Output {
    run_in(&vm(), body, b"")
}

#[test]
fn a_program_writes_to_its_standard_output() {
    let output = run(r#"
        (i32.store (i32.const 0) (i32.const 64)) (i32.store (i32.const 4) (i32.const 3))
        (i32.store (i32.const 64) (i32.const 0x0a6968))
        (expect 0 (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
        (expect32 8 3)"#);
    assert_eq!(output.stdout, b"hi\n");
}

#[test]
fn a_failed_check_is_seen() {
    let output = output_in(&vm(), "(expect 7 (call $fd_close (i32.const 99)))", b"").unwrap();
    assert_eq!(output.status, ExitStatus::Exited(1));
}
