//! One list of file and process operations (`differential/operations.txt`), run on Linux, by a WASI guest and by
//! JavaScript in a VM: every answer must be the same, errnos included. What is known to differ stands in
//! `differential/expected.txt`, which may only shrink: a difference that no longer occurs fails as well.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use eyot_coreutils_build as guests;
use eyot_tests::{Eyot, Files, binary};

/// Whom the VM runs guests as, and so whom Linux runs the list as: root may do everything.
const USER: u32 = 1000;

/// Where programs are, for everybody: not in some user's own directories.
const PATH: &str = "/usr/bin:/bin";

/// Where in a VM the list works.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// The VM's own tree.
    Memory,
    /// A directory of the host.
    Host,
    /// The in-memory filesystem as a component.
    Component,
}

impl Place {
    const ALL: [Place; 3] = [Place::Memory, Place::Host, Place::Component];

    fn name(self) -> &'static str {
        match self {
            Place::Memory => "memory",
            Place::Host => "host",
            Place::Component => "component",
        }
    }

    /// The marks that steps carry which cannot be the same there.
    fn marks(self) -> &'static [&'static str] {
        if self == Place::Host { &["host"] } else { &[] }
    }
}

/// A step as the list has it, and what it answered.
type Answers = Vec<(String, String)>;

#[test]
fn wasi_guests_get_the_answers_of_linux() {
    let program = interpreter(Some(&sysroot()));
    check("wasm", &program, &["wasi"]);
}

#[cfg(feature = "v8")]
#[test]
fn javascript_gets_the_answers_of_linux() {
    check("js", &source("operations.js"), &["js", "eyot-js"]);
}

/// That the JavaScript interpreter means by every step what the other one means.
#[cfg(feature = "v8")]
#[test]
fn node_gets_the_answers_of_linux() {
    let node = Command::new("node").arg("--version").env("PATH", PATH).stdout(Stdio::null()).status();
    if node.is_err() {
        eprintln!("not checked: there is no node in {PATH}");
        return;
    }
    let script = source("operations.js");
    let node = on_linux(Path::new("node"), &["operations.js"], &[&script], &["js"]);
    let found: Vec<_> = differences("node", &linux(), &node).into_iter().map(|(_, line)| line).collect();
    assert!(found.is_empty(), "node and the native interpreter disagree:\n{}", found.join("\n"));
}

#[test]
fn marks_are_known_and_have_reasons() {
    for line in list().lines().filter(|line| !line.starts_with("# ") && line.contains(" !")) {
        let (_, mark) = line.split_once(" !").expect("it is there");
        let (names, reason) = mark.split_once(": ").unwrap_or_else(|| panic!("no reason: {line}"));
        assert!(!reason.trim().is_empty(), "no reason: {line}");
        let names: Vec<_> = names.split(',').collect();
        let known = ["wasi", "js", "eyot-js", "host"];
        assert!(names.iter().all(|name| known.contains(name)), "an unknown mark: {line}");
        assert!(!(names.contains(&"wasi") && names.contains(&"js")), "a step for nobody: {line}");
    }
}

/// Runs the list in VMs, everywhere, and compares what differs with what is expected to.
#[track_caller]
fn check(guest: &str, program: &Path, marks: &[&str]) {
    let linux = linux();
    let mut found = BTreeSet::new();
    for place in Place::ALL {
        let column = format!("{guest}:{}", place.name());
        found.extend(differences(&column, &linux, &in_vm(program, marks, place)));
    }
    let expected = expected(guest);
    let lines = |set: Vec<&(String, String)>| {
        let lines = set.into_iter().map(|(column, line)| format!("{column} | {line}\n"));
        lines.collect::<String>()
    };
    let new = lines(found.difference(&expected).collect());
    let gone = lines(expected.difference(&found).collect());
    assert!(
        new.is_empty() && gone.is_empty(),
        "unlike Linux, and not in expected.txt:\n{new}\nin expected.txt, but no longer so (take them out):\n{gone}"
    );
}

/// Who differs in what: the column and the line of `expected.txt`.
#[track_caller]
fn differences(column: &str, linux: &Answers, guest: &Answers) -> Vec<(String, String)> {
    let steps = |answers: &Answers| answers.iter().map(|(step, _)| step.clone()).collect::<Vec<_>>();
    let last = guest.last().map_or("nothing", |(step, _)| step);
    assert_eq!(steps(linux), steps(guest), "{column} did not run the whole list; its last step was {last}");
    let pairs = linux.iter().zip(guest).filter(|((_, linux), (_, guest))| guest != "skipped" && guest != linux);
    let line = |((step, linux), (_, guest)): (&(String, String), &(String, String))| {
        (column.to_owned(), format!("{step} => {guest} (Linux: {linux})"))
    };
    pairs.map(line).collect()
}

/// The known differences of a guest. A line is `COLUMN[, COLUMN]... | STEP => ANSWER (Linux: ANSWER)`, where a column is
/// `GUEST:PLACE`, and `*` stands for every guest or place.
fn expected(guest: &str) -> BTreeSet<(String, String)> {
    let text = std::fs::read_to_string(source("expected.txt")).expect("the known differences");
    let mut all = BTreeSet::new();
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (columns, line) = line.split_once(" | ").unwrap_or_else(|| panic!("no columns: {line}"));
        for column in columns.split(", ") {
            let (who, place) = column.split_once(':').unwrap_or_else(|| panic!("no column: {column}"));
            let places = Place::ALL.iter().map(|known| known.name()).filter(|name| place == "*" || place == *name);
            assert!(places.clone().count() > 0 && ["wasm", "js", "*"].contains(&who), "no such column: {column}");
            if who == guest || who == "*" {
                all.extend(places.map(|place| (format!("{guest}:{place}"), line.to_owned())));
            }
        }
    }
    all
}

fn source(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("differential").join(name)
}

fn list() -> String {
    std::fs::read_to_string(source("operations.txt")).expect("the list")
}

fn answers(text: &str) -> Answers {
    let line = |line: &str| {
        let (step, answer) = line.split_once(" => ").unwrap_or_else(|| panic!("not an answer: {line}"));
        (step.to_owned(), answer.to_owned())
    };
    text.lines().map(line).collect()
}

/// Runs the list in a VM.
fn in_vm(program: &Path, marks: &[&str], place: Place) -> Answers {
    let host = Files::new();
    let dir = if place == Place::Memory { "/tmp" } else { "/m" };
    let mut eyot = Eyot::new(["run", "--timeout", "60s", "--cwd", dir]);
    match place {
        Place::Memory => {}
        Place::Host => eyot = eyot.arg(host.mount(dir, "")),
        Place::Component => eyot = eyot.arg(format!("--mount={dir}=component:{}", memfs_component())),
    }
    eyot = eyot.arg(program).arg(dir);
    for mark in marks.iter().chain(place.marks()) {
        eyot = eyot.arg(mark);
    }
    answers(eyot.input(list()).run().ok())
}

/// The component that `eyot` comes with.
fn memfs_component() -> String {
    let output = Command::new(binary()).args(["info", "--json"]).output().expect("eyot starts");
    let info: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let path = info["files"]["memfs.wasm"].as_str().expect("no memfs.wasm in eyot's home: run `cargo xtask setup`");
    path.to_owned()
}

/// What Linux itself answers.
fn linux() -> Answers {
    let program = interpreter(None);
    on_linux(Path::new("./differential"), &[], &[&program], &[])
}

/// Runs the list on Linux in a new directory that holds `files`, and never as root.
fn on_linux(program: &Path, args: &[&str], files: &[&Path], marks: &[&str]) -> Answers {
    use std::os::unix::fs::chown;
    use std::os::unix::process::CommandExt;
    let dir = tempfile::tempdir().expect("a temporary directory");
    for file in files {
        std::fs::copy(file, dir.path().join(file.file_name().expect("a file"))).expect("a copy of the program");
    }
    std::fs::write(dir.path().join("list"), list()).expect("a copy of the list");
    let work = dir.path().join("work");
    std::fs::create_dir(&work).expect("a directory to work in");
    // It ends what hangs; the steps before that are printed by then.
    let mut command = Command::new("timeout");
    command.arg("60").arg(program).args(args).arg(&work).args(marks);
    command.current_dir(dir.path()).env("PATH", PATH);
    command.stdin(std::fs::File::open(dir.path().join("list")).expect("the list"));
    if rustix::process::geteuid().is_root() {
        for path in [dir.path(), &work] {
            chown(path, Some(USER), Some(USER)).expect("root may");
        }
        command.uid(USER).gid(USER);
    }
    let output = command.output().expect("coreutils' timeout");
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}: {stderr}\nafter {:?}", output.status, stdout.lines().last());
    answers(&stdout)
}

/// Builds the interpreter for Linux, or with the guests' standard library.
fn interpreter(sysroot: Option<&guests::Sysroot>) -> PathBuf {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--release", "--locked", "--quiet", "--manifest-path"]).arg(source("guest/Cargo.toml"));
    for name in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_TARGET", "RUSTC"] {
        cargo.env_remove(name);
    }
    // Another library at the same place would not be noticed: every library has a directory of its own.
    let key = sysroot.and_then(|sysroot| sysroot.path.file_name()).unwrap_or("linux".as_ref());
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("differential").join(key);
    cargo.arg("--target-dir").arg(&target);
    let built = match sysroot {
        None => target.join("release/differential"),
        Some(sysroot) => {
            cargo.args(["--target", "wasm32-wasip1"]);
            cargo.env("RUSTC", &sysroot.rustc).env("CARGO_TARGET_WASM32_WASIP1_RUSTFLAGS", sysroot.rustflags());
            target.join("wasm32-wasip1/release/differential.wasm")
        }
    };
    let status = cargo.status().expect("cargo starts");
    assert!(status.success(), "the interpreter of the list cannot be built: see above");
    built
}

/// The guests' standard library out of the cache, which `cargo xtask setup` fills; one that is out of date is built anew.
fn sysroot() -> guests::Sysroot {
    const TARGET: &str = "wasm32-wasip1";
    struct Noted;
    impl guests::Progress for Noted {
        fn step(&self, what: &str) {
            eprintln!("{what}");
        }
    }
    let cache = cache().join("guests");
    let built = std::fs::read_dir(cache.join("sysroot")).into_iter().flatten().flatten();
    let any = built.map(|entry| entry.file_name()).any(|name| name.to_string_lossy().starts_with(TARGET));
    assert!(any, "no standard library for guests in {}: run `cargo xtask setup`", cache.display());
    let recipes = Path::new(env!("CARGO_MANIFEST_DIR")).join("../coreutils-build");
    let ctx = guests::Ctx { recipes, cache, jobs: 1, progress: &Noted };
    match guests::sysroot(&ctx, TARGET) {
        Ok(sysroot) => sysroot,
        Err(error) => panic!("no standard library for guests ({error}): run `cargo xtask setup`"),
    }
}

/// The one cache directory, by the same rule as everywhere.
fn cache() -> PathBuf {
    let var = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let users = || {
        let xdg = var("XDG_CACHE_HOME").filter(|dir| dir.is_absolute());
        xdg.or_else(|| var("HOME").map(|home| home.join(".cache"))).map(|dir| dir.join("eyot"))
    };
    var("EYOT_CACHE").or_else(users).expect("one of EYOT_CACHE, XDG_CACHE_HOME and HOME is set")
}
