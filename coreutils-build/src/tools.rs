//! The shell and the tools, as wasm.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cache::{Key, copy_tree, result};
use crate::command::run;
use crate::sysroot::{PROGRAMS, Sysroot, sysroot};
use crate::toolchain::{self, wasi_libc};
use crate::{Ctx, Error, Result, edits};

/// Counts up when the way the tools are built changes.
const RECIPE: &str = "tools 1";

/// The programs of the workspace `guests`.
const PROGRAM_NAMES: &[&str] = &["coreutils", "findutils", "grep", "sed", "sh"];

/// Crates that are built from changed sources (the changes are in `patches/<crate>`): the crate, its version, and the
/// hash of every file of the registry's copy.
const PATCHED: &[(&str, &str, &str)] = &[
    ("brush-core", "0.5.0", "45fb5b2dadb6bd5f"),
    ("brush-builtins", "0.2.0", "479d17454d642dd0"),
    ("uucore", "0.12.0", "8bae04ab7fcd7c8c"),
    ("uu_cat", "0.12.0", "59afffa199d170f3"),
    ("uu_tac", "0.12.0", "0ab462fdbb1e9d5b"),
];

/// One program.
#[derive(Clone, Debug)]
pub struct Tool {
    /// The name of its file in the image's `/bin`.
    pub name: &'static str,
    /// The module.
    pub path: PathBuf,
    /// The BLAKE3 hash of the module, by which its machine code is cached.
    pub blake3: [u8; 32],
}

/// Every program of the base image.
#[derive(Clone, Debug)]
pub struct Tools {
    /// The directory that holds them.
    pub dir: PathBuf,
    /// Each of them.
    pub all: Vec<Tool>,
}

/// The shell and the tools, built when they are missing: about ten minutes on two cores, once.
///
/// # Errors
/// When a compiler or a source cannot be had, or when a build fails.
pub fn tools(ctx: &Ctx<'_>) -> Result<Tools> {
    let sysroot = sysroot(ctx, PROGRAMS)?;
    let key = Key::new(RECIPE).and(&sysroot.key());
    let key = key.and_tree(&ctx.recipes.join("guests"))?.and_tree(&ctx.recipes.join("patches"))?;
    let dir = result(ctx, "tools", &key.finish(), |dir| {
        let workspace = ctx.cache.join("build").join("guests");
        copy_tree(&ctx.recipes.join("guests"), &workspace)?;
        for (name, version, pin) in PATCHED {
            patch(ctx, &workspace, name, version, pin)?;
        }
        ctx.progress.step("building the shell and the tools (ten minutes on two cores, once)");
        let target = ctx.cache.join("build").join(format!("guests-{}", sysroot.key()));
        build(ctx, &sysroot, &workspace, &target)?;
        for name in PROGRAM_NAMES {
            let file = format!("{name}.wasm");
            let from = target.join(PROGRAMS).join("release").join(&file);
            fs::copy(&from, dir.join(file)).map_err(|error| Error::io("copy", &from, error))?;
        }
        Ok(())
    })?;
    let mut all = Vec::new();
    for name in PROGRAM_NAMES {
        let path = dir.join(format!("{name}.wasm"));
        let bytes = fs::read(&path).map_err(|error| Error::io("read", &path, error))?;
        all.push(Tool { name, path, blake3: *blake3::hash(&bytes).as_bytes() });
    }
    Ok(Tools { dir, all })
}

/// Lays the changed source of a crate where the workspace's `[patch]` looks for it.
fn patch(ctx: &Ctx<'_>, workspace: &Path, name: &str, version: &str, pin: &str) -> Result<()> {
    let original = registry_source(ctx, name, version)?;
    let found = Key::new("source").and_tree(&original)?.finish();
    if found != pin {
        return Err(Error::new(format!(
            "{} is not the published {name} {version}: its files' hash is {found} instead of {pin}; remove that directory",
            original.display()
        )));
    }
    let fresh = workspace.join(format!(".{name}"));
    let _ = fs::remove_dir_all(&fresh);
    copy_tree(&original, &fresh)?;
    edits::apply(&ctx.recipes.join("patches").join(name), &fresh, version)?;
    let changed = copy_tree(&fresh, &workspace.join("patched").join(name));
    let _ = fs::remove_dir_all(&fresh);
    changed
}

/// Where cargo unpacked a crate, after telling it to.
fn registry_source(ctx: &Ctx<'_>, name: &str, version: &str) -> Result<PathBuf> {
    ctx.progress.step(&format!("fetching {name}"));
    let dir = ctx.cache.join("build").join(format!("fetch-{name}"));
    fs::create_dir_all(&dir).map_err(|error| Error::io("make", &dir, error))?;
    let manifest = format!(
        "[package]\nname = \"fetch\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n[lib]\npath = \"lib.rs\"\n\n\
         [workspace]\n\n[dependencies]\n{name} = \"={version}\"\n"
    );
    for (file, text) in [("Cargo.toml", manifest.as_str()), ("lib.rs", "")] {
        let path = dir.join(file);
        fs::write(&path, text).map_err(|error| Error::io("write", &path, error))?;
    }
    run(name, Command::new("cargo").arg("fetch").current_dir(&dir))?;
    let home = std::env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cargo")));
    let sources = home.ok_or_else(|| Error::new("neither CARGO_HOME nor HOME is set"))?.join("registry/src");
    let registries = fs::read_dir(&sources).map_err(|error| Error::io("list", &sources, error))?;
    registries
        .flatten()
        .map(|registry| registry.path().join(format!("{name}-{version}")))
        .find(|path| path.join(".cargo-ok").is_file())
        .ok_or_else(|| Error::new(format!("cargo fetched {name} {version}, but it is not in {}", sources.display())))
}

fn build(ctx: &Ctx<'_>, sysroot: &Sysroot, workspace: &Path, target: &Path) -> Result<()> {
    let c = toolchain::c(ctx)?;
    let libc = wasi_libc::get(ctx)?;
    // uucore embeds the messages of the utilities it finds unpacked, so all of them must be.
    run("the sources", Command::new("cargo").args(["fetch", "--locked"]).current_dir(workspace))?;
    let utilities = registry_source(ctx, "uucore", "0.12.0")?;
    let utilities = utilities.parent().unwrap_or(&utilities);
    let mut cargo = Command::new("cargo");
    cargo
        .args(["build", "--quiet", "--release", "--locked", "--target", PROGRAMS])
        .arg(format!("-j{}", ctx.jobs.max(1)))
        .current_dir(workspace)
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        // uucore's build would add that language's messages.
        .env_remove("LANG")
        .env("EYOT_UTILITIES", utilities)
        .env("RUSTC", &sysroot.rustc)
        .env("CARGO_TARGET_DIR", target)
        .env("CARGO_TARGET_WASM32_WASIP1_RUSTFLAGS", sysroot.rustflags())
        .env("CC_wasm32_wasip1", c.clang)
        .env("AR_wasm32_wasip1", c.ar)
        .env("CFLAGS_wasm32_wasip1", format!("--sysroot={} --target={PROGRAMS}", libc.display()));
    run("the shell and the tools", &mut cargo).map(drop)
}
