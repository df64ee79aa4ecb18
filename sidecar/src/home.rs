//! Where the command finds what it needs at run time.
//!
//! The home holds `base.img` (the VM's own tree), `node.bin` (Node's library) and `memfs.wasm`. It is `$EYOT_HOME`; else
//! `../share/eyot` from the directory of the executable, which is right for an installation under a prefix and for cargo's
//! target directory alike; else `home` in the cache, which `cargo xtask setup` fills. The cache is `$EYOT_CACHE`, else
//! `$XDG_CACHE_HOME/eyot`, else `~/.cache/eyot`; machine code is kept in `code` below it.

use std::path::{Path, PathBuf};

/// The directories of this run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home {
    /// The home, if there is one.
    pub dir: Option<PathBuf>,
    /// The cache, if the environment says where.
    pub cache: Option<PathBuf>,
}

impl Home {
    /// Looks for both.
    pub fn find() -> Self {
        let exe = std::env::current_exe().ok();
        find(|name| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from), exe.as_deref())
    }

    /// A file of the home, if it is there.
    pub fn file(&self, name: &str) -> Option<PathBuf> {
        self.dir.as_ref().map(|dir| dir.join(name)).filter(|file| file.is_file())
    }

    /// The directory of machine code.
    pub fn code(&self) -> Option<PathBuf> {
        self.cache.as_ref().map(|cache| cache.join("code"))
    }
}

fn find(var: impl Fn(&str) -> Option<PathBuf>, exe: Option<&Path>) -> Home {
    let cache = var("EYOT_CACHE")
        .or_else(|| var("XDG_CACHE_HOME").filter(|dir| dir.is_absolute()).map(|dir| dir.join("eyot")))
        .or_else(|| var("HOME").map(|dir| dir.join(".cache/eyot")));
    let beside = || Some(exe?.parent()?.parent()?.join("share/eyot")).filter(|dir| dir.is_dir());
    let in_cache = || Some(cache.as_ref()?.join("home")).filter(|dir| dir.is_dir());
    let dir = var("EYOT_HOME").or_else(beside).or_else(in_cache);
    Home { dir, cache }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vars<'a>(vars: &'a [(&'a str, &'a Path)]) -> impl Fn(&str) -> Option<PathBuf> + 'a {
        move |name| vars.iter().find(|(n, _)| *n == name).map(|(_, v)| v.to_path_buf())
    }

    #[test]
    fn the_home_follows_its_rule() {
        let tmp = tempfile::tempdir().unwrap();
        let (prefix, cache) = (tmp.path().join("prefix"), tmp.path().join("cache"));
        let exe = prefix.join("bin/eyot");
        let env = [("EYOT_CACHE", cache.as_path())];
        assert_eq!(find(vars(&env), Some(&exe)), Home { dir: None, cache: Some(cache.clone()) });

        std::fs::create_dir_all(cache.join("home")).unwrap();
        assert_eq!(find(vars(&env), Some(&exe)).dir, Some(cache.join("home")));

        std::fs::create_dir_all(prefix.join("share/eyot")).unwrap();
        assert_eq!(find(vars(&env), Some(&exe)).dir, Some(prefix.join("share/eyot")));

        let env = [("EYOT_HOME", tmp.path()), ("EYOT_CACHE", cache.as_path())];
        assert_eq!(find(vars(&env), Some(&exe)).dir.as_deref(), Some(tmp.path()));
    }

    #[test]
    fn the_cache_follows_its_rule() {
        let (x, h) = (Path::new("/x"), Path::new("/h"));
        assert_eq!(find(vars(&[("XDG_CACHE_HOME", x), ("HOME", h)]), None).cache.unwrap(), Path::new("/x/eyot"));
        assert_eq!(find(vars(&[("HOME", h)]), None).cache.unwrap(), Path::new("/h/.cache/eyot"));
        assert_eq!(find(vars(&[]), None), Home { dir: None, cache: None });
    }
}
