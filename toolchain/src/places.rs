//! Where things are: the checkout, cargo's target directory, the cache, and the home of a built `eyot`.

use std::path::{Path, PathBuf};

use crate::command::Run;
use crate::failure::{Failure, OrFail, Result};

/// All the directories the build tool works with.
#[derive(Debug, Clone)]
pub struct Places {
    /// The root of the checkout.
    pub root: PathBuf,
    /// Cargo's target directory.
    pub target: PathBuf,
    /// The one cache directory.
    pub cache: PathBuf,
}

impl Places {
    /// Finds them from the environment and from cargo.
    pub fn find() -> Result<Self> {
        let root = root()?;
        let metadata = Run::new(cargo())
            .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
            .cwd(&root)
            .fix("run it from a checkout of the project with cargo 1.95 or later")
            .output()?;
        let metadata: serde_json::Value =
            serde_json::from_str(&metadata).or_fail("cannot read cargo's metadata", "update cargo")?;
        let target = metadata["target_directory"].as_str().map(PathBuf::from).unwrap_or_else(|| root.join("target"));
        let cache = cache_dir(|name| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from))?;
        std::fs::create_dir_all(&cache).or_fail(
            format!("cannot create the cache directory {}", cache.display()),
            "set EYOT_CACHE to a directory that can be written to",
        )?;
        Ok(Self { root, target, cache })
    }

    /// The built command.
    pub fn eyot(&self) -> PathBuf {
        self.target.join("release/eyot")
    }

    /// What the built command reads at run time: it looks for `../share/eyot` from its own directory.
    pub fn home(&self) -> PathBuf {
        self.target.join("share/eyot")
    }

    /// The log of a step.
    pub fn log(&self, step: &str) -> PathBuf {
        self.cache.join("log").join(format!("{step}.log"))
    }
}

/// The cargo that runs us, or the one in `PATH`.
pub fn cargo() -> PathBuf {
    std::env::var_os("CARGO").map(PathBuf::from).unwrap_or_else(|| "cargo".into())
}

fn root() -> Result<PathBuf> {
    let here = match std::env::var_os("CARGO_MANIFEST_DIR") {
        Some(dir) => PathBuf::from(dir),
        None => std::env::current_dir().or_fail("cannot find the current directory", "change into the checkout")?,
    };
    here.ancestors().find(|dir| dir.join("Cargo.lock").is_file()).map(Path::to_path_buf).ok_or_else(|| {
        Failure::new(
            "cannot find the checkout",
            format!("no Cargo.lock in {} or above it", here.display()),
            "run `cargo xtask` inside a checkout of the project",
        )
    })
}

/// `$EYOT_CACHE`, else `$XDG_CACHE_HOME/eyot`, else `~/.cache/eyot`: the same rule as the command's.
fn cache_dir(var: impl Fn(&str) -> Option<PathBuf>) -> Result<PathBuf> {
    if let Some(dir) = var("EYOT_CACHE") {
        return std::path::absolute(&dir).or_fail(format!("EYOT_CACHE is {}", dir.display()), "give an absolute path");
    }
    var("XDG_CACHE_HOME")
        .filter(|dir| dir.is_absolute())
        .or_else(|| var("HOME").map(|home| home.join(".cache")))
        .map(|dir| dir.join("eyot"))
        .ok_or_else(|| {
            Failure::new(
                "cannot tell where to keep what is downloaded and built",
                "none of EYOT_CACHE, XDG_CACHE_HOME and HOME is set",
                "set EYOT_CACHE to a directory",
            )
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(vars: &'static [(&'static str, &'static str)]) -> impl Fn(&str) -> Option<PathBuf> {
        move |name| vars.iter().find(|(n, _)| *n == name).map(|(_, v)| v.into())
    }

    #[test]
    fn the_cache_follows_its_rule() {
        let all = [("EYOT_CACHE", "/c"), ("XDG_CACHE_HOME", "/x"), ("HOME", "/h")];
        assert_eq!(cache_dir(|n| all.iter().find(|(k, _)| *k == n).map(|(_, v)| v.into())).unwrap(), Path::new("/c"));
        assert_eq!(cache_dir(with(&[("XDG_CACHE_HOME", "/x"), ("HOME", "/h")])).unwrap(), Path::new("/x/eyot"));
        assert_eq!(cache_dir(with(&[("XDG_CACHE_HOME", "rel"), ("HOME", "/h")])).unwrap(), Path::new("/h/.cache/eyot"));
        assert!(cache_dir(with(&[])).unwrap_err().fix.contains("EYOT_CACHE"));
    }
}
