//! Development harness: `dev ARTEFACT [--snapshot FILE] SCRIPT-DIR SCRIPT [ARGS]`: copies a directory into a VM and runs a script.
use eyot_executor_v8::{Artefact, Setup, V8Executor};
use eyot_kernel::Vm;
use eyot_kernel::vm::Stdio;
use std::sync::Arc;

fn copy(vm: &Vm, host: &std::path::Path, guest: &str) {
    for e in std::fs::read_dir(host).unwrap().flatten() {
        let to = format!("{guest}/{}", e.file_name().to_string_lossy());
        if e.path().is_dir() {
            vm.make_dir(&to, 0o755).unwrap();
            copy(vm, &e.path(), &to);
        } else {
            vm.write_file(&to, &std::fs::read(e.path()).unwrap(), 0o755).unwrap();
        }
    }
}

fn main() {
    let t0 = std::time::Instant::now();
    let mut args: Vec<String> = std::env::args().skip(1).collect();
    let artefact = Artefact::open(std::path::Path::new(&args.remove(0))).unwrap();
    if args[0] == "--build-snapshot" {
        let out = eyot_executor_v8::build_snapshot(artefact).unwrap();
        std::fs::write(&args[1], out).unwrap();
        return;
    }
    let mut snapshot = None;
    if args[0] == "--snapshot" {
        let b: &'static [u8] = std::fs::read(&args[1]).unwrap().leak();
        snapshot = Some(b);
        args.drain(..2);
    }
    let dir = args.remove(0);
    let executor = V8Executor::new(Setup { artefact, snapshot, code_cache: None });
    let memfs = Arc::new(eyot_memfs::Memfs::new());
    let vm = Vm::builder()
        .root(memfs)
        .executor(Arc::new(executor))
        .limit(
            eyot_kernel::limits::Limit::MemoryBytesPerProcess,
            std::env::var("MEM").ok().and_then(|m| m.parse().ok()).unwrap_or(512) << 20,
        )
        .user(0, 0)
        .build()
        .unwrap();
    for d in ["/w", "/tmp"] {
        let _ = vm.make_dir(d, 0o777);
    }
    copy(&vm, std::path::Path::new(&dir), "/w");
    if let Some(n) = std::env::var("N").ok().and_then(|n| n.parse::<usize>().ok()) {
        let mut t: Vec<_> = (0..n)
            .map(|_| {
                let t = std::time::Instant::now();
                vm.command(format!("/w/{}", args[0]))
                    .current_dir("/w")
                    .stdout(Stdio::Piped)
                    .stderr(Stdio::Piped)
                    .spawn()
                    .unwrap()
                    .wait_with_output(b"");
                t.elapsed()
            })
            .collect();
        t.sort();
        eprintln!("min {:?} p50 {:?} p95 {:?}", t[0], t[n / 2], t[n * 95 / 100]);
    }
    let t1 = std::time::Instant::now();
    let p = vm
        .command(format!("/w/{}", args[0]))
        .args(args[1..].to_vec())
        .current_dir("/w")
        .stdout(Stdio::Piped)
        .stderr(Stdio::Piped)
        .spawn()
        .unwrap();
    if let Some(ms) = std::env::var("KILL_MS").ok().and_then(|m| m.parse().ok()) {
        std::thread::sleep(std::time::Duration::from_millis(ms));
        p.signal(9);
    }
    let out = p.wait_with_output(b"");
    let t2 = std::time::Instant::now();
    use std::io::Write;
    std::io::stdout().write_all(&out.stdout).unwrap();
    std::io::stderr().write_all(&out.stderr).unwrap();
    if std::env::var("T").is_ok() {
        eprintln!("setup {:?} process {:?}", t1 - t0, t2 - t1);
    }
    std::process::exit(out.status.shell_code().into());
}
