//! The two suites, built once by cargo and kept in Eyot's cache.

use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A program from crates.io, of one version.
pub(crate) struct Tool {
    pub name: &'static str,
    pub version: &'static str,
}

/// `$EYOT_CACHE`; else `$XDG_CACHE_HOME/eyot`; else `~/.cache/eyot`.
fn cache() -> Result<PathBuf, String> {
    let set = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("EYOT_CACHE")
        .or_else(|| set("XDG_CACHE_HOME").map(|dir| dir.join("eyot")))
        .or_else(|| set("HOME").map(|dir| dir.join(".cache/eyot")))
        .ok_or_else(|| "no place for the cache: set EYOT_CACHE".to_owned())
}

impl Tool {
    /// The program's path. It is built when it is not there yet, by one process at a time.
    pub(crate) fn path(&self) -> Result<PathBuf, String> {
        let tools = cache()?.join("tools");
        let home = tools.join(format!("{}-{}", self.name, self.version));
        let program = home.join("bin").join(self.name);
        if program.is_file() {
            return Ok(program);
        }
        let failed = |error: std::io::Error| format!("cannot keep {} in {}: {error}", self.name, tools.display());
        fs::create_dir_all(&tools).map_err(failed)?;
        let lock = File::create(tools.join(format!(".{}.lock", self.name))).map_err(failed)?;
        lock.lock().map_err(failed)?;
        if !program.is_file() {
            let half = tools.join(format!(".{}-{}.half", self.name, self.version));
            let _ = fs::remove_dir_all(&half);
            self.build(&tools, &half)?;
            let _ = fs::remove_dir_all(&home);
            fs::rename(&half, &home).map_err(failed)?;
        }
        Ok(program)
    }

    fn build(&self, dir: &Path, root: &Path) -> Result<(), String> {
        let what = format!("{}@{}", self.name, self.version);
        eprintln!("building {what}, once ...");
        let target = root.join("target");
        let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.args(["install", "--locked", "--quiet", &what, "--root"]).arg(root).arg("--target-dir").arg(&target);
        // Neither the workspace's configuration nor the flags of the build that this runs in.
        cargo.current_dir(dir).env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS").stdin(Stdio::null());
        let status = cargo.status().map_err(|error| format!("cannot run cargo: {error}"))?;
        let _ = fs::remove_dir_all(target);
        if status.success() { Ok(()) } else { Err(format!("`cargo install {what}` failed: {status}")) }
    }
}
