//! The standard library of guests.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cache::{Key, copy_tree, result};
use crate::command::run;
use crate::toolchain::{self, Rust, wasi_libc};
use crate::{Ctx, Error, Result, edits};

/// The target of programs; its library has Eyot's processes.
pub const PROGRAMS: &str = "wasm32-wasip1";

/// Counts up when the way a sysroot is made changes.
const RECIPE: &str = "sysroot 1";

/// A standard library and the compiler it belongs to.
#[derive(Clone, Debug)]
pub struct Sysroot {
    /// What `--sysroot` is given. Another library has another path: cargo notices no other difference.
    pub path: PathBuf,
    /// The only compiler that can use it.
    pub rustc: PathBuf,
}

impl Sysroot {
    /// For cargo's variable `CARGO_TARGET_<TARGET>_RUSTFLAGS`.
    #[must_use]
    pub fn rustflags(&self) -> String {
        format!("--sysroot {}", self.path.display())
    }

    /// A short name of the library, unlike every other library's.
    pub(crate) fn key(&self) -> String {
        self.path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
    }
}

/// The standard library for `target`, built when it is missing: `wasm32-wasip1` with Eyot's processes, or
/// `wasm32-unknown-unknown` as it is. 45 seconds of one core's time, once.
///
/// # Errors
/// When no compiler with its library's source can be had, when that source is one our edits do not fit, or when the
/// build fails.
pub fn sysroot(ctx: &Ctx<'_>, target: &str) -> Result<Sysroot> {
    let rust = toolchain::rust(ctx)?;
    let programs = target == PROGRAMS;
    let mut key = Key::new(RECIPE).and(target).and(&rust.version);
    if programs {
        key = key.and_tree(&ctx.recipes.join("std"))?.and(wasi_libc::PIN);
    }
    let path = result(ctx, "sysroot", &format!("{target}-{}", key.finish()), |dir| {
        // Built outside of `dir`: its paths end up in the library, and they should not name a temporary place.
        let work = ctx.cache.join("build").join(format!("std-{target}"));
        let _ = fs::remove_dir_all(&work);
        let source = work.join("library");
        copy_library(&rust.library, &source)?;
        if programs {
            edits::apply(&ctx.recipes.join("std"), &source, rust.minor())?;
        }
        ctx.progress.step(&format!("building the standard library for {target}"));
        build(ctx, &rust, target, &work)?;
        lay_out(&rust, target, &work, dir)?;
        if programs {
            add_libc(&wasi_libc::get(ctx)?, &library_dir(dir, target))?;
        }
        let _ = fs::remove_dir_all(&work);
        Ok(())
    })?;
    Ok(Sysroot { path, rustc: rust.rustc })
}

fn library_dir(sysroot: &Path, target: &str) -> PathBuf {
    sysroot.join("lib/rustlib").join(target).join("lib")
}

/// Only the crate we edit is copied; what it depends on is linked to.
fn copy_library(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).map_err(|error| Error::io("make", to, error))?;
    for entry in fs::read_dir(from).map_err(|error| Error::io("list", from, error))? {
        let entry = entry.map_err(|error| Error::io("list", from, error))?;
        let target = to.join(entry.file_name());
        let path = entry.path();
        if entry.file_name() == "std" {
            copy_tree(&path, &target)?;
        } else if path.is_dir() {
            link(&path, &target)?;
        } else {
            // Cargo may want to write its lock file.
            fs::copy(&path, &target).map_err(|error| Error::io("copy", &path, error))?;
        }
    }
    Ok(())
}

fn build(ctx: &Ctx<'_>, rust: &Rust, target: &str, work: &Path) -> Result<()> {
    let package = work.join("package");
    fs::create_dir_all(package.join("src")).map_err(|error| Error::io("make", &package, error))?;
    let manifest = "[package]\nname = \"build-std\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n[workspace]\n\n\
                    [profile.release]\npanic = \"abort\"\ndebug = false\nopt-level = 3\n";
    for (name, text) in [("Cargo.toml", manifest), ("src/lib.rs", "")] {
        let path = package.join(name);
        fs::write(&path, text).map_err(|error| Error::io("write", &path, error))?;
    }
    let flags = format!("CARGO_TARGET_{}_RUSTFLAGS", target.to_uppercase().replace('-', "_"));
    let mut cargo = Command::new("cargo");
    cargo
        .args(["build", "--quiet", "--release", "-Zbuild-std=std,panic_abort,proc_macro", "--target", target])
        .arg(format!("-j{}", ctx.jobs.max(1)))
        .current_dir(&package)
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env("RUSTC", &rust.rustc)
        // The library's source is elsewhere than the compiler thinks, and is built with features only it may use.
        .env("RUSTC_BOOTSTRAP", "1")
        .env("__CARGO_TESTS_ONLY_SRC_ROOT", work.join("library"))
        .env("CARGO_TARGET_DIR", work.join("target"))
        // Without bitcode in it, crates cannot be optimised together with the library.
        .env(flags, "-Cembed-bitcode=yes");
    run(&format!("the standard library for {target}"), &mut cargo).map(drop)
}

fn lay_out(rust: &Rust, target: &str, work: &Path, sysroot: &Path) -> Result<()> {
    let library = library_dir(sysroot, target);
    let bin = sysroot.join("lib/rustlib").join(rust.host()).join("bin");
    for dir in [&library, &bin.join("gcc-ld")] {
        fs::create_dir_all(dir).map_err(|error| Error::io("make", dir, error))?;
    }
    let built = work.join("target").join(target).join("release/deps");
    for entry in fs::read_dir(&built).map_err(|error| Error::io("list", &built, error))?.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.ends_with(".rlib") && !name.starts_with("libbuild_std") {
            fs::copy(entry.path(), library.join(name)).map_err(|error| Error::io("copy", &entry.path(), error))?;
        }
    }
    for (name, path) in toolchain::linkers(rust.host())? {
        link(&path, &bin.join(name))?;
    }
    // Build scripts and procedural macros need the host's own library.
    let host = Path::new(rust.library.as_path())
        .ancestors()
        .find(|dir| dir.ends_with("rustlib"))
        .map(|rustlib| rustlib.join(rust.host()).join("lib"))
        .ok_or_else(|| Error::new(format!("{} is in no sysroot", rust.library.display())))?;
    link(&host, &sysroot.join("lib/rustlib").join(rust.host()).join("lib"))
}

fn add_libc(libc: &Path, library: &Path) -> Result<()> {
    let to = library.join("self-contained");
    fs::create_dir_all(&to).map_err(|error| Error::io("make", &to, error))?;
    for name in ["crt1-command.o", "crt1-reactor.o", "libc.a"] {
        let from = libc.join("lib/wasm32-wasip1").join(name);
        fs::copy(&from, to.join(name)).map_err(|error| Error::io("copy", &from, error))?;
    }
    Ok(())
}

fn link(to: &Path, at: &Path) -> Result<()> {
    std::os::unix::fs::symlink(to, at).map_err(|error| Error::io("link", at, error))
}
