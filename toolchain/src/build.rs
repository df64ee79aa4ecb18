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

/// The in-memory filesystem as a component, from the same source as the native one.
pub fn memfs_component(
    places: &Places,
    cache: &Cache,
    ui: &Ui,
    sysroot: &eyot_coreutils_build::Sysroot,
) -> Result<PathBuf> {
    let step = ui.step("memfs.wasm");
    let target = "wasm32-unknown-unknown";
    let inputs = ["host-components/memfs", "wit/backend", "Cargo.lock"];
    let key = key_of_sources(&places.root, &inputs, &["memfs", &sysroot.path.display().to_string()])?;
    if let Some(entry) = cache.get("plugins", &key) {
        step.skipped("already there");
        return Ok(entry.join("memfs.wasm"));
    }
    let out = cache.root().join("build").join("plugins");
    let flags = format!("{} -Clinker=wasm-component-ld", sysroot.rustflags());
    Run::new(cargo())
        .args(["rustc", "--release", "--package", "eyot-memfs", "--lib", "--crate-type", "cdylib"])
        .args(["--features", "component", "--target", target])
        .cwd(&places.root)
        .env("RUSTC", &sysroot.rustc)
        .env("CARGO_TARGET_DIR", &out)
        .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS", flags)
        .env_remove("RUSTFLAGS")
        .quiet(&step, &places.log("memfs-component"))?;
    let built = out.join(target).join("release/eyot_memfs.wasm");
    if !built.is_file() {
        return Err(Failure::new(
            "memfs.wasm was not built",
            format!("cargo left no {}", built.display()),
            "report this with the log of the step",
        ));
    }
    let entry = cache.put("plugins", &key, |dir| {
        std::fs::copy(&built, dir.join("memfs.wasm")).map(drop).or_fail("cannot keep memfs.wasm", "check the cache")
    })?;
    step.done("built");
    Ok(entry.join("memfs.wasm"))
}
