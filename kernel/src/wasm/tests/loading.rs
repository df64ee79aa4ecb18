//! What cannot be loaded, and what is loaded only once.

use super::*;
use crate::Errno;

#[track_caller]
fn refused(binary: &[u8]) -> StartError {
    let vm = vm();
    install(&vm, "/bin/broken.wasm", binary);
    let error = vm.command("/bin/broken.wasm").output().unwrap_err();
    assert_eq!(error.errno, Errno::Noexec, "{error}");
    assert!(error.message.contains("/bin/broken.wasm"), "{error}");
    error
}

fn refused_text(text: &str) -> String {
    refused(&wat::parse_str(text).unwrap()).message
}

#[test]
fn a_truncated_file_is_refused_with_the_place() {
    let (binary, _) = program("");
    for end in [4, 8, 9, 20, binary.len() / 2, binary.len() - 1] {
        let message = refused(&binary[..end]).message;
        assert!(message.contains("not a valid WebAssembly file") || message.contains("_start"), "{end}: {message}");
    }
    let message = refused(&binary[..binary.len() / 2]).message;
    assert!(message.contains("offset 0x"), "{message}");
}

#[test]
fn garbage_after_the_head_is_refused() {
    assert!(refused(b"\0asm\x01\0\0\0\xff\xff\xff\xff").message.contains("offset"));
    assert!(refused(b"\0asm\x07\0\0\0").message.contains("version"));
}

#[test]
fn unknown_imports_are_all_named() {
    let message = refused_text(
        r#"(module (import "env" "magic" (func)) (import "wasi_snapshot_preview1" "fd_teleport" (func))
            (import "wasi_snapshot_preview1" "sched_yield" (func (result i32)))
            (memory (export "memory") 1) (func (export "_start")))"#,
    );
    assert!(message.contains("env.magic") && message.contains("wasi_snapshot_preview1.fd_teleport"), "{message}");
    assert!(!message.contains("sched_yield"), "{message}");
}

#[test]
fn a_wrong_signature_is_refused() {
    let message = refused_text(
        r#"(module (import "wasi_snapshot_preview1" "fd_close" (func (param i64))) (func (export "_start")))"#,
    );
    assert!(message.contains("fd_close"), "{message}");
}

#[test]
fn libraries_are_no_programs() {
    assert!(refused_text(r#"(module (func (export "_initialize")))"#).contains("reactor"));
    assert!(refused_text(r#"(module (func (export "main")))"#).contains("no '_start'"));
    assert!(refused_text(r#"(module (func (export "_start") (param i32)))"#).contains("'_start'"));
    assert!(refused_text(r#"(module (global (export "_start") i32 (i32.const 0)))"#).contains("'_start'"));
}

#[test]
fn features_that_no_guest_has_are_refused() {
    refused_text(r#"(module (memory i64 1) (func (export "_start")))"#);
    refused_text(r#"(module (memory 1 1 shared) (func (export "_start")))"#);
}

#[test]
fn an_image_is_found_again_by_file_and_by_content() {
    let vm = vm();
    let (binary, _) = program("(call $proc_exit (i32.const 42))");
    install(&vm, "/bin/a", &binary);
    install(&vm, "/bin/b", &binary);
    for path in ["/bin/a", "/bin/b", "/bin/a"] {
        assert_eq!(vm.command(path).status().unwrap(), ExitStatus::Exited(42));
    }
    let (other, _) = program("(call $proc_exit (i32.const 43))");
    install(&vm, "/bin/a", &other);
    assert_eq!(vm.command("/bin/a").status().unwrap(), ExitStatus::Exited(43), "a changed file is another image");
    assert_eq!(vm.command("/bin/b").status().unwrap(), ExitStatus::Exited(42));
}

#[test]
fn compiled_code_is_kept_and_a_damaged_entry_is_made_anew() {
    let dir = tempfile::tempdir().unwrap();
    let cache = dir.path().join("code");
    let (binary, _) = program("(call $proc_exit (i32.const 42))");
    let run = || {
        let executor = Arc::new(WasmExecutor::new(WasmConfig { code_cache: Some(cache.clone()) }));
        let vm = Vm::builder().root(Arc::new(Memfs::new())).executor(executor).user(0, 0).build().unwrap();
        install(&vm, "/p", &binary);
        assert_eq!(vm.command("/p").status().unwrap(), ExitStatus::Exited(42));
    };
    run();
    let entry = std::fs::read_dir(&cache).unwrap().next().unwrap().unwrap().path();
    let modified = || std::fs::metadata(&entry).unwrap().modified().unwrap();
    let whole = std::fs::read(&entry).unwrap();
    let first = modified();
    run();
    assert_eq!(modified(), first, "the second executor compiled nothing");
    for damage in [&whole[..whole.len() / 2], &[0; 100][..], b""] {
        // A new file under the name: the old one may still be mapped by a program that is just ending.
        std::fs::remove_file(&entry).unwrap();
        std::fs::write(&entry, damage).unwrap();
        run();
        assert_eq!(std::fs::read(&entry).unwrap().len(), whole.len(), "made anew");
    }
    assert_eq!(std::fs::read_dir(&cache).unwrap().count(), 1);
}

#[test]
fn many_loads_at_once_compile_once_and_all_run() {
    let vm = vm();
    let (binary, _) = program("(call $proc_exit (i32.const 9))");
    install(&vm, "/bin/p", &binary);
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| assert_eq!(vm.command("/bin/p").status().unwrap(), ExitStatus::Exited(9)));
        }
    });
}
