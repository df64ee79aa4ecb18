//! What must be refused cleanly: with a message, an exit code, and nothing left behind.

use std::time::Duration;

use eyot_conformance::forge::Forge;
use eyot_tests::{Eyot, Files};

/// What one VM may make the command hold at most in these tests, in KiB: its limits and the engines.
const RSS_KIB_MAX: u64 = 3 << 20;

#[test]
fn a_truncated_wasm_file() {
    let module = wat::parse_str("(module (memory (export \"memory\") 1) (func (export \"_start\")))").unwrap();
    let files = Files::new().with("cut.wasm", &module[..module.len() - 5]).with("head.wasm", &module[..8]);
    Eyot::new(["run"]).arg(files.path("cut.wasm")).run().refused(126, "cut.wasm");
    // A header alone is a module without exports: nothing to start.
    Eyot::new(["run"]).arg(files.path("head.wasm")).run().refused(126, "_start");
    Eyot::new(["run"]).arg(Files::new().with("x.wasm", &module[..6]).path("x.wasm")).run();
}

#[test]
fn a_component_with_an_import_nobody_provides() {
    let files = Files::new().with_wat(
        "alien.wasm",
        r#"(component
             (import "nobody:home/door@1.2.3" (instance (export "knock" (func))))
             (core module $m (func (export "run") (result i32) i32.const 0))
             (core instance $i (instantiate $m))
             (func $run (result (result)) (canon lift (core func $i "run")))
             (instance $cli (export "run" (func $run)))
             (export "wasi:cli/run@0.2.0" (instance $cli)))"#,
    );
    Eyot::new(["run"]).arg(files.path("alien.wasm")).run().refused(126, "nobody:home/door@1.2.3");
}

#[test]
fn a_module_with_an_import_nobody_provides() {
    let files = Files::new().with_wat(
        "alien.wasm",
        r#"(module (import "env" "emscripten_whatever" (func)) (memory (export "memory") 1) (func (export "_start")))"#,
    );
    Eyot::new(["run"]).arg(files.path("alien.wasm")).run().refused(126, "emscripten_whatever");
}

#[test]
fn what_is_no_program_at_all() {
    let files = Files::new().with("noise", b"\x7fELF\x02\x01\x01nothing for us");
    Eyot::new(["run"]).arg(files.path("noise")).run().refused(126, "noise");
    Eyot::new(["run"]).arg(files.path("absent")).run().refused(127, "no such file");
    Eyot::new(["exec", "no-such-program"]).run().refused(127, "no-such-program");
}

#[test]
fn an_unknown_mount_type() {
    Eyot::new(["sh", "--mount", "/m=nfs:server:/x", "-c", "true"]).run().refused(2, "unknown mount type `nfs`");
}

#[test]
fn mounts_that_cannot_be_made() {
    let files = Files::new().with("file", "x");
    let cases = [
        (format!("/m=host:{}", files.text("absent")), "absent"),
        (format!("/m=host:{}", files.text("file")), "file"),
        (format!("/m=component:{}", files.text("absent.wasm")), "absent.wasm"),
        (format!("/m=component:{}", files.text("file")), "file"),
    ];
    for (mount, part) in cases {
        Eyot::new(["sh", "--mount", &mount, "-c", "true"]).run().refused(1, part);
    }
}

#[test]
fn a_mount_component_that_traps_in_every_call() {
    let files = Files::new().with("bad.wasm", Forge::new().build());
    let mount = format!("--mount=/m=component:{}", files.text("bad.wasm"));
    let ended =
        Eyot::new(["sh", &mount, "-c", "cat /m/x; echo x > /m/y; echo code $?; echo alive > /tmp/f && cat /tmp/f"])
            .run();
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(
        ended.stderr.to_lowercase().contains("input/output error") || ended.stderr.contains("os error 29"),
        "{ended:?}"
    );
    assert!(ended.stdout.contains("code 1\nalive\n"), "{ended:?}");
    assert!(!ended.stderr.contains("panicked"), "{ended:?}");
}

#[test]
fn a_wasm_guest_that_loops_without_end() {
    let files = Files::new()
        .with_wat("loop.wasm", "(module (memory (export \"memory\") 1) (func (export \"_start\") (loop (br 0))))");
    let ended = Eyot::new(["run", "--timeout", "500ms"]).arg(files.path("loop.wasm")).run();
    ended.refused(124, "500ms");
    assert!(ended.took < Duration::from_secs(5), "{:?}", ended.took);
}

#[test]
fn a_wasm_guest_that_recurses_without_end() {
    let files = Files::new()
        .with_wat("deep.wasm", "(module (memory (export \"memory\") 1) (func $f (export \"_start\") (call $f)))");
    Eyot::new(["run"]).arg(files.path("deep.wasm")).run().refused(139, "call stack exhausted");
}

#[test]
fn a_wasm_guest_that_allocates_without_end() {
    // Grows until it can't, then says how far it came: exit code 0 only when growing ended before 4 GiB.
    let files = Files::new().with_wat(
        "greedy.wasm",
        r#"(module
             (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
             (memory (export "memory") 1)
             (func (export "_start")
               (loop $more
                 (if (i32.eq (memory.grow (i32.const 256)) (i32.const -1))
                   (then (call $exit (i32.const 7)))
                   (else
                     (i32.store8 (i32.sub (i32.mul (memory.size) (i32.const 65536)) (i32.const 1)) (i32.const 1))
                     (br $more))))))"#,
    );
    let ended = Eyot::new(["run", "--memory", "256M"]).arg(files.path("greedy.wasm")).run();
    assert_eq!(ended.code, 7, "{ended:?}");
    assert!(ended.rss_kib_max < 512 << 10, "{ended:?}");
}

/// Spawns itself until it can't; exits with the errno of the first failure (6 is WASI's `EAGAIN`) and leaves its children waiting.
const FORK_BOMB: &str = r#"(module
    (import "eyot:kernel/process@0.1.0" "spawn" (func $spawn (param i32 i32 i32) (result i32)))
    (import "eyot:kernel/process@0.1.0" "wait" (func $wait (param i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
    (memory (export "memory") 1)
    (data (i32.const 1024) "/bomb/bomb.wasm")
    (data (i32.const 1100) "bomb\00")
    (func (export "_start") (local $errno i32)
      (i32.store (i32.const 0) (i32.const 1024)) (i32.store (i32.const 4) (i32.const 15))
      (i32.store (i32.const 8) (i32.const 1100)) (i32.store (i32.const 12) (i32.const 5))
      (loop $more
        (local.set $errno (call $spawn (i32.const 0) (i32.const 48) (i32.const 512)))
        (br_if $more (i32.eqz (local.get $errno))))
      (drop (call $wait (i32.const -1) (i32.const 0) (i32.const 520)))
      (call $exit (local.get $errno))))"#;

#[test]
fn a_guest_that_forks_without_end() {
    let files = Files::new().with_wat("bomb.wasm", FORK_BOMB);
    let mount = files.mount("/bomb", ":ro");
    let ended = Eyot::new(["exec", &mount, "--timeout", "3", "/bomb/bomb.wasm"]).run();
    assert!([6, 124].contains(&ended.code), "{ended:?}");
    assert!(ended.took < Duration::from_secs(20), "{ended:?}");
    assert!(ended.rss_kib_max < RSS_KIB_MAX, "{ended:?}");
}

#[test]
fn a_guest_that_writes_without_end() {
    let ended = Eyot::sh("head -c 10737418240 /dev/zero > /tmp/big; echo code $?; rm /tmp/big && echo more > /tmp/small && cat /tmp/small").run();
    assert!(ended.stderr.to_lowercase().contains("no space"), "{ended:?}");
    assert!(ended.stdout.contains("code 1"), "{ended:?}");
    assert!(ended.stdout.ends_with("more\n"), "the VM works on: {ended:?}");
    assert!(ended.rss_kib_max < RSS_KIB_MAX, "{ended:?}");
}

#[cfg(feature = "v8")]
mod javascript {
    use super::*;

    fn node(source: &str) -> (Files, Eyot) {
        let files = Files::new().with("script.js", source);
        let eyot = Eyot::new(["run", "--timeout", "30"]).arg(files.path("script.js"));
        (files, eyot)
    }

    #[test]
    fn a_script_with_a_syntax_error() {
        let (_files, eyot) = node("const = 1;\n");
        let ended = eyot.run();
        ended.refused(1, "SyntaxError: Unexpected token '='");
        assert!(ended.stderr.contains("script.js:1\nconst = 1;\n      ^"), "{}", ended.stderr);
    }

    #[test]
    fn a_script_that_loops_without_end() {
        let files = Files::new().with("loop.js", "for (;;) {}");
        Eyot::new(["run", "--timeout", "500ms"]).arg(files.path("loop.js")).run().refused(124, "500ms");
    }

    #[test]
    fn a_script_that_allocates_without_end() {
        let (_files, eyot) = node("const all = []; for (;;) all.push(new Array(100000).fill(all.length));");
        let ended = eyot.run();
        ended.refused(134, "JavaScript heap out of memory");
        assert!(ended.rss_kib_max < RSS_KIB_MAX, "{ended:?}");
    }

    #[test]
    fn a_script_that_recurses_without_end() {
        let (_files, eyot) = node("(function f() { f(); })();");
        eyot.run().refused(1, "RangeError: Maximum call stack size exceeded");
    }
}
