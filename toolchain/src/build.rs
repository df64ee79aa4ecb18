//! Cargo, called the way setup found it must be: with the caller's own V8 if there is one, without JavaScript where V8 is
//! missing, always in the one profile everything uses.

use std::path::PathBuf;

use crate::cache::{Cache, key_of_sources};
use crate::command::Run;
use crate::failure::{Failure, OrFail, Result};
use crate::places::{Places, cargo};
use crate::ui::Ui;
use crate::v8::{self, V8};

/// A cargo command in the checkout.
pub fn cargo_in(places: &Places, v8: &V8) -> Run {
    let run =
        Run::new(cargo()).cwd(&places.root).fix("mend what the compiler says above and run the same command again");
    // Cargo passed us the value that .cargo/v8.toml had when we were started; setup may have written another since.
    match (v8, v8::archive_of_user(&places.root)) {
        (V8::Ready(_), Some(_)) => run,
        _ => run.env_remove(v8::ARCHIVE),
    }
}

/// The options that choose the members to build and test.
pub fn members(v8: &V8) -> &'static [&'static str] {
    match v8 {
        V8::Ready(_) => &["--release", "--workspace"],
        V8::Missing(_) => &["--release", "--workspace", "--exclude", "eyot-executor-v8", "--no-default-features"],
    }
}

/// Builds the command `eyot`, and the benchmarks with it. Always the whole workspace: cargo settles the features of shared
/// dependencies by what is selected, and another selection would mean building both engines once more.
pub fn eyot(places: &Places, ui: &Ui, v8: &V8) -> Result<()> {
    let step = ui.step("eyot");
    // One small test among what is built: with it cargo settles features as it does for all tests. Without, the tests' own tools would want more of crates that
    // the engines are made of, and both engines would be built a second time for the tests.
    let run = cargo_in(places, v8).arg("build").args(members(v8)).args(["--bins", "--test", "specification"]);
    step.hand_over(run.line());
    run.show_ok()?;
    step.done(&places.eyot().display().to_string());
    Ok(())
}

/// A component that is built from the same source as the native backend.
pub struct Plugin {
    /// Its name, and the file's with `.wasm`.
    pub name: &'static str,
    /// The sources that it is made of.
    inputs: &'static [&'static str],
}

/// The in-memory filesystem.
pub const MEMFS: Plugin = Plugin { name: "memfs", inputs: &["host-components/memfs", "wit/backend", "Cargo.lock"] };
/// Layers of other filesystems.
pub const OVERLAY: Plugin =
    Plugin { name: "overlay", inputs: &["host-components/overlay", "wit/backend", "Cargo.lock"] };

/// Builds one of those components.
pub fn component(
    places: &Places,
    cache: &Cache,
    ui: &Ui,
    sysroot: &eyot_coreutils_build::Sysroot,
    plugin: &Plugin,
) -> Result<PathBuf> {
    let (name, file) = (plugin.name, format!("{}.wasm", plugin.name));
    let step = ui.step(&file);
    let target = "wasm32-unknown-unknown";
    let key = key_of_sources(&places.root, plugin.inputs, &[name, &sysroot.path.display().to_string()])?;
    if let Some(entry) = cache.get("plugins", &key) {
        step.skipped("already there");
        return Ok(entry.join(&file));
    }
    let out = cache.root().join("build").join("plugins");
    let flags = format!("{} -Clinker=wasm-component-ld", sysroot.rustflags());
    Run::new(cargo())
        .args(["rustc", "--release", "--package", &format!("eyot-{name}"), "--lib", "--crate-type", "cdylib"])
        .args(["--features", "component", "--target", target])
        .cwd(&places.root)
        .env("RUSTC", &sysroot.rustc)
        .env("CARGO_TARGET_DIR", &out)
        .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS", flags)
        .env_remove("RUSTFLAGS")
        .quiet(&step, &places.log(&format!("{name}-component")))?;
    let built = out.join(target).join(format!("release/eyot_{name}.wasm"));
    if !built.is_file() {
        return Err(Failure::new(
            format!("{file} was not built"),
            format!("cargo left no {}", built.display()),
            "report this with the log of the step",
        ));
    }
    let entry = cache.put("plugins", &key, |dir| {
        std::fs::copy(&built, dir.join(&file)).map(drop).or_fail(format!("cannot keep {file}"), "check the cache")
    })?;
    step.done("built");
    Ok(entry.join(&file))
}
