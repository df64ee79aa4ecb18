//! The shipped backends as components, each from the same source as the one that is compiled in.

use std::path::PathBuf;

use eyot_coreutils_build::Sysroot;

use crate::apt;
use crate::cache::{Cache, key_of_sources};
use crate::command::Run;
use crate::failure::{Failure, OrFail, Result};
use crate::places::{Places, cargo};
use crate::ui::{Step, Ui};

/// The target of those that need nothing of a system.
const PLAIN: &str = "wasm32-unknown-unknown";
/// The target of those with C in them.
pub const WASI: &str = "wasm32-wasip1";

/// What SQLite is built without: a component has neither libraries to load nor memory to map.
const SQLITE_FLAGS: &str = "-DSQLITE_OMIT_LOAD_EXTENSION -DSQLITE_MAX_MMAP_SIZE=0";

/// What components are built with.
pub struct Targets {
    /// The standard library of [`PLAIN`].
    pub plain: Sysroot,
    /// What those with C in them need.
    pub wasi: Wasi,
}

/// The libraries of [`WASI`].
pub struct Wasi {
    /// Rust's.
    pub sysroot: Sysroot,
    /// C's: `include` and `lib`.
    pub libc: PathBuf,
}

/// A backend that is shipped as a component.
struct Component {
    /// The crate's folder in `host-components`, and the component's name.
    name: &'static str,
    /// What else it is made of; `wit/backend` and the lock file always are.
    inputs: &'static [&'static str],
    /// Whether there is C in it.
    has_c: bool,
}

const fn plain(name: &'static str, inputs: &'static [&'static str]) -> Component {
    Component { name, inputs, has_c: false }
}

const COMPONENTS: &[Component] = &[
    plain("memfs", &[]),
    plain("overlay", &[]),
    plain("archive", &["host-components/preopen", "wit/kernel"]),
    plain("hostdir", &["host-components/preopen", "wit/kernel"]),
    plain("crypt", &["host-components/preopen", "wit/kernel"]),
    plain("delayfs", &["host-components/memfs"]),
    Component { name: "sqlfs", inputs: &[], has_c: true },
];

/// A component that is there.
#[derive(Debug)]
pub struct Built {
    /// What the file is called: `memfs.wasm`.
    pub file: String,
    /// The variable of the environment that names it to tests: `EYOT_MEMFS_WASM`.
    pub variable: String,
    /// Where it is.
    pub path: PathBuf,
}

/// Builds those that are not there yet. One whose compiler cannot be had is left out, and that is said.
pub fn build(places: &Places, cache: &Cache, ui: &Ui, targets: &Targets) -> Result<Vec<Built>> {
    let mut all = Vec::new();
    for component in COMPONENTS {
        let file = format!("{}.wasm", component.name);
        let step = ui.step(&file);
        let key = key(places, targets, component)?;
        let entry = match cache.get("plugins", &key) {
            Some(entry) => {
                step.skipped("already there");
                entry
            }
            None => {
                if component.has_c
                    && let Err(failure) = apt::need(&apt::GUEST_COMPILERS, &step, &places.log(component.name))
                {
                    step.missing(&failure.line());
                    continue;
                }
                let wasm = compile(places, cache, &step, targets, component)?;
                let entry = cache.put("plugins", &key, |dir| {
                    let kept = std::fs::copy(&wasm, dir.join(&file));
                    kept.map(drop).or_fail(format!("cannot keep {file}"), "check the cache")
                })?;
                step.done("built");
                entry
            }
        };
        let variable = format!("EYOT_{}_WASM", component.name.to_uppercase());
        all.push(Built { path: entry.join(&file), file, variable });
    }
    Ok(all)
}

fn key(places: &Places, targets: &Targets, component: &Component) -> Result<String> {
    let own = format!("host-components/{}", component.name);
    let mut inputs = vec![own.as_str(), "wit/backend", "Cargo.lock"];
    inputs.extend(component.inputs);
    let sysroot = if component.has_c { &targets.wasi.sysroot } else { &targets.plain };
    let libc = if component.has_c { targets.wasi.libc.display().to_string() } else { String::new() };
    key_of_sources(&places.root, &inputs, &[component.name, &sysroot.path.display().to_string(), &libc])
}

/// Compiles one; answers where it is.
fn compile(places: &Places, cache: &Cache, step: &Step, targets: &Targets, component: &Component) -> Result<PathBuf> {
    let name = component.name;
    let out = cache.root().join("build").join("plugins");
    let run = Run::new(cargo())
        .args(["rustc", "--release", "--package", &format!("eyot-{name}"), "--lib", "--crate-type", "cdylib"])
        .args(["--features", "component"])
        .cwd(&places.root)
        .env("CARGO_TARGET_DIR", &out)
        .env_remove("RUSTFLAGS");
    let (run, target) =
        if component.has_c { (with_c(run, &targets.wasi), WASI) } else { (run_plain(run, targets), PLAIN) };
    run.args(["--target", target]).quiet(step, &places.log(&format!("{name}-component")))?;
    let built = out.join(target).join(format!("release/eyot_{name}.wasm"));
    if !built.is_file() {
        return Err(Failure::new(
            format!("{name}.wasm was not built"),
            format!("cargo left no {}", built.display()),
            "report this with the log of the step",
        ));
    }
    Ok(built)
}

fn run_plain(run: Run, targets: &Targets) -> Run {
    let flags = format!("{} -Clinker=wasm-component-ld", targets.plain.rustflags());
    run.env("RUSTC", &targets.plain.rustc).env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS", flags)
}

/// The linker turns what the C library asks of WASI 0.1 into imports of WASI 0.2, which the plug-in host grants as it grants directories.
fn with_c(run: Run, wasi: &Wasi) -> Run {
    let libc = wasi.libc.display();
    let flags = format!(
        "{} -Clinker=wasm-component-ld -Clink-arg=--wasi-adapter=reactor -L {libc}/lib/{WASI} \
         -Clink-arg=-lwasi-emulated-getpid -Clink-arg=-lwasi-emulated-mman",
        wasi.sysroot.rustflags()
    );
    run.env("RUSTC", &wasi.sysroot.rustc)
        .env("CARGO_TARGET_WASM32_WASIP1_RUSTFLAGS", flags)
        .env("CC_wasm32_wasip1", "clang-22")
        .env("AR_wasm32_wasip1", "llvm-ar-22")
        .env("CFLAGS_wasm32_wasip1", format!("--sysroot={libc} --target={WASI}"))
        .env("LIBSQLITE3_FLAGS", SQLITE_FLAGS)
}
