//! The way of a backend's author: `eyot backend new`, `test`, `bench` and `inspect`, and the components that come of it.
//!
//! `cargo xtask setup` puts the tools of every language into the home. A language whose tools are not there is left out, and that is said. What is looked for first:
//! `EYOT_TEST_NODE_MODULES` (a directory with componentize-js), `COMPONENTIZE_PY`, `WIT_BINDGEN`, `WASM_TOOLS`, `WASI_SYSROOT`; after the home, `PATH`.

use std::path::{Path, PathBuf};
use std::process::Command;

use eyot_tests::{Ended, Eyot, Files, binary};
use serde_json::Value;

fn memfs() -> Option<String> {
    let given = std::env::var_os("EYOT_MEMFS_WASM").map(PathBuf::from);
    let info: Value = serde_json::from_str(Eyot::new(["info", "--json"]).run().ok()).unwrap();
    let found = given.or_else(|| info["files"]["memfs.wasm"].as_str().map(PathBuf::from));
    if found.is_none() {
        eprintln!("left out: there is no memfs.wasm (cargo xtask test builds it and sets EYOT_MEMFS_WASM)");
    }
    found.map(|path| path.display().to_string())
}

fn backend(args: &[&str]) -> Ended {
    Eyot::new(["backend"].iter().chain(args)).run()
}

fn json(ended: &Ended) -> Value {
    serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {ended:?}"))
}

#[test]
fn a_layer_and_what_lies_below_it_become_one() {
    let (Some(memfs), Some(crypt)) = (memfs(), std::env::var("EYOT_CRYPT_WASM").ok()) else { return };
    let files = Files::new();
    let output = files.path("secret.wasm").display().to_string();
    backend(&["compose", &crypt, &memfs, "-o", &output]).ok();
    let mount = format!("/m=component:{output},key={}", "07".repeat(32));
    let ended = Eyot::new(["sh", "--mount", &mount, "-c", "echo kept > /m/f && cat /m/f"]).run();
    assert_eq!(ended.ok(), "kept\n");
    backend(&["compose", &memfs, &crypt, "-o", &output]).refused(1, "The layer comes first");
}

#[test]
fn inspect_shows_what_a_backend_is() {
    let Some(memfs) = memfs() else { return };
    let ended = backend(&["inspect", &memfs]);
    for part in
        ["eyot:backend 0.1.0, mount-backend", "eyot:backend/clock@0.1.0", "granted by default", "bytes_max", "1G"]
    {
        assert!(ended.ok().contains(part), "no {part:?} in\n{}", ended.stdout);
    }
    let ended = backend(&["inspect", &memfs, "--json"]);
    ended.ok();
    let all = json(&ended);
    assert_eq!((&all["version"], &all["mountable"]), (&"0.1.0".into(), &true.into()));
    assert_eq!(all["worlds"], serde_json::json!(["mount-backend", "filesystem-backend"]));
    let keys: Vec<_> = all["settings"].as_array().unwrap().iter().map(|one| one["key"].as_str().unwrap()).collect();
    assert_eq!(keys, ["bytes_max", "inodes_max", "mode", "uid", "gid"]);
    assert!(all["imports"].as_array().unwrap().iter().all(|one| one["grant"] == "granted by default"));
    let exported = all["exports"].as_array().unwrap();
    let filesystem = exported.iter().find(|one| one["name"] == "eyot:backend/filesystem@0.1.0").unwrap();
    assert_eq!(filesystem["functions"].as_array().unwrap().len(), 25);
}

#[test]
fn what_is_no_backend_is_told_what_to_do() {
    let wat = |text: &str| wat::parse_str(text).unwrap();
    let later = r#"(component (component $c) (instance $i (instantiate $c)) (export "eyot:backend/filesystem@9.0.0" (instance $i)))"#;
    let hungry = r#"(component (import "wasi:http/outgoing-handler@0.2.0" (instance)) (component $c)
        (instance $i (instantiate $c)) (export "eyot:backend/filesystem@0.1.0" (instance $i)))"#;
    let files = Files::new()
        .with("module.wasm", wat("(module)"))
        .with("empty.wasm", wat("(component)"))
        .with("text.wasm", b"hello")
        .with("later.wasm", wat(later))
        .with("hungry.wasm", wat(hungry));
    for (name, part) in [
        ("module.wasm", "wasm-tools component new"),
        ("empty.wasm", "exports nothing of eyot:backend"),
        ("text.wasm", "is not WebAssembly"),
        ("absent.wasm", "build the backend first"),
        ("later.wasm", "eyot:backend 9.0.0, and this eyot loads 0.1.0"),
        ("hungry.wasm", "wasi:http/outgoing-handler@0.2.0"),
    ] {
        let file = files.path(name).display().to_string();
        backend(&["inspect", &file]).refused(1, part);
        let tested = backend(&["test", &file]);
        assert!(tested.code == 1 && tested.stderr.contains(name) && tested.stdout.is_empty(), "{tested:?}");
    }
    let hungry = backend(&["inspect", "--json", &files.path("hungry.wasm").display().to_string()]);
    assert_eq!(json(&hungry)["imports"][0]["grant"], "unknown");
    assert_eq!(hungry.code, 1);
}

#[test]
fn memfs_passes_the_kit() {
    let Some(memfs) = memfs() else { return };
    let ended = backend(&["test", &memfs, "--setting", "bytes_max=512M", "--json"]);
    ended.ok();
    let card = json(&ended);
    assert!(card["clean"] == true && card["total"]["passed"].as_u64().unwrap() > 200, "{}", card["total"]);
    assert!(backend(&["test", &memfs, "--filter", "rename"]).ok().contains("cases hold"));
    backend(&["test", &memfs, "--filter", "no such thing"]).refused(1, "the groups are");
    backend(&["test", &memfs, "--setting", "colour=blue"]).refused(1, "colour: there is no such setting");
}

#[test]
fn a_backend_that_is_wrong_fails_the_kit() {
    let Some(memfs) = memfs() else { return };
    // With room for almost nothing many cases cannot hold.
    let ended = backend(&["test", &memfs, "--setting", "bytes_max=64K", "--filter", "data"]);
    assert_eq!(ended.code, 1, "{ended:?}");
    assert!(ended.stdout.contains("do not hold") && ended.stdout.contains("FAILED"), "{}", ended.stdout);
}

#[test]
fn bench_puts_it_beside_memfs() {
    let Some(memfs) = memfs() else { return };
    let ended = backend(&["bench", &memfs, "--filter", "read", "--json"]);
    ended.ok();
    let calls = json(&ended)["calls"].as_array().unwrap().clone();
    assert!(calls.len() >= 4, "{calls:?}");
    for call in calls {
        assert!(call["ratio"].as_f64().unwrap() > 0.0 && call["base_ns"].as_f64().unwrap() > 0.0, "{call}");
    }
    assert!(backend(&["bench", &memfs, "--filter", "getattr"]).ok().contains("ratio"));
    backend(&["bench", &memfs, "--filter", "no such thing"]).refused(1, "no call contains");
    backend(&["bench", &memfs, "--setting", "bytes_max=1M"]).refused(1, "cannot be measured");
}

#[test]
fn new_refuses_what_it_must_not_write() {
    let files = Files::new().with("full/something", b"mine");
    let new = |name: &str| {
        let mut command = Command::new(binary());
        command.current_dir(files.path(".")).args(["backend", "new", name, "--lang", "rust"]).output().unwrap()
    };
    let full = new("full");
    assert_eq!(full.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&full.stderr).contains("holds something"));
    for name in ["../up", "Upper", "a/b", "-x", ""] {
        assert_eq!(new(name).status.code(), Some(2), "{name}");
    }
    std::fs::create_dir(files.path("empty")).unwrap();
    assert!(new("empty").status.success());
    assert!(files.path("empty/wit/filesystem.wit").is_file());
}

/// What `eyot info` says of one of its directories.
fn directory(name: &str) -> Option<PathBuf> {
    let info: Value = serde_json::from_str(Eyot::new(["info", "--json"]).run().ok()).unwrap();
    info[name].as_str().map(PathBuf::from)
}

/// A variable, what `cargo xtask setup` put into the home, or a program of that name in `PATH`.
fn tool(variable: &str, program: &str) -> Option<PathBuf> {
    let installed = || directory("home").map(|home| home.join("templates").join(program)).filter(|file| file.exists());
    std::env::var_os(variable).map(PathBuf::from).or_else(installed).or_else(|| {
        let path = std::env::var_os("PATH")?;
        std::env::split_paths(&path).map(|dir| dir.join(program)).find(|file| file.is_file())
    })
}

/// What lies in a directory of the cache.
fn in_cache(part: &str) -> Vec<PathBuf> {
    let entries = directory("cache").and_then(|cache| std::fs::read_dir(cache.join(part)).ok());
    entries.into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

/// Where cargo keeps what the Rust template needs, so that it is built once for each compiler.
fn target_directory() -> PathBuf {
    let cargo = tool("CARGO", "cargo").unwrap_or_else(|| "cargo".into());
    let version = Command::new(cargo).arg("-V").output().unwrap();
    let version = String::from_utf8_lossy(&version.stdout).trim().replace(|char: char| !char.is_alphanumeric(), "-");
    directory("cache").expect("there is a cache").join("build/templates").join(version)
}

/// Whether this machine's Rust compiles for the target, with the standard library in `sysroot` or its own.
fn compiles(sysroot: Option<&Path>) -> bool {
    let files = Files::new().with("empty.rs", b"");
    let mut rustc = Command::new(tool("RUSTC", "rustc").unwrap_or_else(|| "rustc".into()));
    rustc.args(["--crate-type", "lib", "--target", "wasm32-unknown-unknown", "--edition", "2024"]);
    rustc.arg(files.path("empty.rs")).arg("-o").arg(files.path("empty.rlib"));
    if let Some(sysroot) = sysroot {
        rustc.arg("--sysroot").arg(sysroot);
    }
    rustc.output().is_ok_and(|done| done.status.success())
}

/// Makes a project of each world, builds it by its one command and has it tested. `prepare` sets the build's environment.
fn builds_and_passes(language: &str, build: &[&str], made: &str, prepare: impl Fn(&Path, &mut Command)) {
    let files = Files::new().with("here", b"");
    for world in ["filesystem", "mount"] {
        let name = format!("try-{language}-{world}");
        let mut new = Command::new(binary());
        new.current_dir(files.path(".")).args(["backend", "new", &name, "--lang", language, "--world", world]);
        let said = new.output().unwrap();
        assert!(said.status.success(), "{said:?}");
        let dir = files.path(&name);
        let mut command = Command::new(build[0]);
        command.current_dir(&dir).args(&build[1..]);
        prepare(&dir, &mut command);
        let built = command.output().unwrap();
        assert!(built.status.success(), "{name}: {}", String::from_utf8_lossy(&built.stderr));
        let wasm =
            dir.join(made.replace("MODULE", &name.replace('-', "_")).replace("NAME", &name)).display().to_string();
        let inspected = backend(&["inspect", "--json", &wasm]);
        inspected.ok();
        let what = json(&inspected);
        assert_eq!(what["worlds"][0], format!("{world}-backend"));
        assert_eq!(what["info"]["kind"], name);
        assert_eq!(what["settings"].as_array().unwrap().len(), usize::from(world == "mount"));
        assert!(backend(&["test", &wasm]).ok().contains("cases hold"));
        let mount = format!("/m=component:{wasm}{}", if world == "mount" { ",bytes_max=1M" } else { "" });
        let used = Eyot::new([
            "sh",
            "--mount",
            &mount,
            "-c",
            "mkdir /m/d && echo hello > /m/d/f && cat /m/d/f; df /m | wc -l",
        ]);
        assert!(used.run().ok().starts_with("hello\n"));
        if build[0] == "cargo" {
            // What it is made of stays for the next run; what is its own would pile up there.
            let mut clean = Command::new("cargo");
            clean.current_dir(&dir).args(["clean", "--release", "--package", &name]);
            prepare(&dir, &mut clean);
            let cleaned = clean.output().unwrap();
            assert!(cleaned.status.success(), "{name}: {}", String::from_utf8_lossy(&cleaned.stderr));
        }
    }
}

#[test]
fn a_backend_in_rust() {
    let has_target = compiles(None);
    let sysroot = in_cache("guests/sysroot").into_iter().find(|dir| !has_target && compiles(Some(dir)));
    if !has_target && sysroot.is_none() {
        eprintln!("left out: Rust has no target wasm32-unknown-unknown (rustup target add, or cargo xtask setup)");
        return;
    }
    let target = target_directory();
    let made = target.join("wasm32-unknown-unknown/release/MODULE.wasm");
    builds_and_passes("rust", &["cargo", "build", "--release"], made.to_str().unwrap(), |_, command| {
        // Not the directory of this build, nor what cargo says to those it runs.
        command.env("CARGO_TARGET_DIR", &target).env_remove("RUSTFLAGS");
        if let Some(sysroot) = &sysroot {
            let flags = format!("--sysroot {}", sysroot.display());
            command.env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS", flags);
        }
    });
}

#[test]
fn a_backend_in_c() {
    let sysroot = tool("WASI_SYSROOT", "wasi-sysroot");
    let system = Path::new("/usr/include/wasm32-wasi");
    let clang = ["clang", "clang-22"].iter().any(|name| tool("CLANG", name).is_some());
    let (bindgen, tools) = (tool("WIT_BINDGEN", "wit-bindgen"), tool("WASM_TOOLS", "wasm-tools"));
    let (Some(bindgen), Some(tools), true) = (bindgen, tools, clang && (sysroot.is_some() || system.is_dir())) else {
        eprintln!(
            "left out: one of clang, a WASI sysroot, wit-bindgen (crate wit-bindgen-cli) and wasm-tools is missing"
        );
        return;
    };
    builds_and_passes("c", &["sh", "build.sh"], "NAME.wasm", |_, command| {
        command.env("WIT_BINDGEN", &bindgen).env("WASM_TOOLS", &tools);
        if let Some(sysroot) = &sysroot {
            command.env("WASI_SYSROOT", sysroot);
        }
    });
}

#[test]
fn a_backend_in_javascript() {
    let Some(modules) = tool("EYOT_TEST_NODE_MODULES", "node_modules") else {
        eprintln!("left out: there is no componentize-js (cargo xtask setup, or EYOT_TEST_NODE_MODULES)");
        return;
    };
    // What `npm install` would fetch is there already; what is run is the project's own command.
    builds_and_passes("js", &["npm", "run", "build"], "NAME.wasm", |dir, _| {
        std::os::unix::fs::symlink(&modules, dir.join("node_modules")).unwrap();
    });
}

#[test]
fn a_backend_in_python() {
    let Some(componentize) = tool("COMPONENTIZE_PY", "componentize-py") else {
        eprintln!("left out: there is no componentize-py (cargo xtask setup, PATH, or COMPONENTIZE_PY)");
        return;
    };
    builds_and_passes("python", &["sh", "build.sh"], "NAME.wasm", |_, command| {
        command.env("COMPONENTIZE_PY", &componentize);
    });
}
