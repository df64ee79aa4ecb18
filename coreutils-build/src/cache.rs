//! The cache: a directory per result, named by a hash of what it was made from.

use std::fs;
use std::path::{Path, PathBuf};

use crate::{Ctx, Error, Result};

/// Collects what a result depends on.
pub(crate) struct Key(blake3::Hasher);

impl Key {
    /// `recipe` names the kind of result and the version of the way it is made.
    pub(crate) fn new(recipe: &str) -> Key {
        Key(blake3::Hasher::new()).and(recipe)
    }

    pub(crate) fn and(mut self, part: &str) -> Key {
        self.0.update(&(part.len() as u64).to_le_bytes());
        self.0.update(part.as_bytes());
        self
    }

    /// Every file below `dir`, by relative path and content.
    pub(crate) fn and_tree(mut self, dir: &Path) -> Result<Key> {
        for file in files_below(dir)? {
            let bytes = fs::read(dir.join(&file)).map_err(|error| Error::io("read", &dir.join(&file), error))?;
            self = self.and(&file.to_string_lossy());
            self = self.and(blake3::hash(&bytes).to_hex().as_str());
        }
        Ok(self)
    }

    pub(crate) fn finish(&self) -> String {
        self.0.finalize().to_hex()[..16].to_owned()
    }
}

/// The relative paths of every file below `dir`, in order. What cargo and the recipes generate does not count.
pub(crate) fn files_below(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut open = vec![PathBuf::new()];
    while let Some(relative) = open.pop() {
        let path = dir.join(&relative);
        let entries = fs::read_dir(&path).map_err(|error| Error::io("list", &path, error))?;
        for entry in entries {
            let entry = entry.map_err(|error| Error::io("list", &path, error))?;
            let name = relative.join(entry.file_name());
            let kind = entry.file_type().map_err(|error| Error::io("look at", &entry.path(), error))?;
            if !kind.is_dir() {
                found.push(name);
            } else if !matches!(entry.file_name().to_str(), Some("target" | "patched")) {
                open.push(name);
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Copies the tree `from` to `to`. A file that is there already with the same bytes is left alone, so that cargo does not
/// build it again.
pub(crate) fn copy_tree(from: &Path, to: &Path) -> Result<()> {
    for file in files_below(from)? {
        let (source, target) = (from.join(&file), to.join(&file));
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent).map_err(|error| Error::io("make", parent, error))?;
        }
        let bytes = fs::read(&source).map_err(|error| Error::io("read", &source, error))?;
        if fs::read(&target).is_ok_and(|present| present == bytes) {
            continue;
        }
        fs::write(&target, bytes).map_err(|error| Error::io("write", &target, error))?;
    }
    Ok(())
}

/// The directory `cache/kind/key`, made by `make` when it is missing. `make` is given a directory of another name in the
/// same place; only when it has succeeded does that get its proper name, so nothing half made is ever found.
pub(crate) fn result(ctx: &Ctx<'_>, kind: &str, key: &str, make: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    let place = ctx.cache.join(kind);
    let done = place.join(key);
    if done.is_dir() {
        return Ok(done);
    }
    let temporary = place.join(format!(".{key}.{}", std::process::id()));
    // What is left of a run that was killed.
    let _ = fs::remove_dir_all(&temporary);
    fs::create_dir_all(&temporary).map_err(|error| Error::io("make", &temporary, error))?;
    let made = make(&temporary).and_then(|()| match fs::rename(&temporary, &done) {
        Err(error) if !done.is_dir() => Err(Error::io("rename", &temporary, error)),
        // Renamed, or another process was faster with the same result.
        _ => Ok(done.clone()),
    });
    let _ = fs::remove_dir_all(&temporary);
    made
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Progress;

    struct Quiet;

    impl Progress for Quiet {
        fn step(&self, _: &str) {}
    }

    #[test]
    fn a_failed_result_leaves_nothing_and_is_made_again() {
        let dir = tempfile::tempdir().unwrap();
        let ctx = Ctx { recipes: "".into(), cache: dir.path().to_owned(), jobs: 1, progress: &Quiet };
        let failed = result(&ctx, "kind", "key", |at| {
            fs::write(at.join("half"), "x").unwrap();
            Err(Error::new("no"))
        });
        assert_eq!(failed.unwrap_err().to_string(), "no");
        assert_eq!(files_below(&dir.path().join("kind")).unwrap(), Vec::<PathBuf>::new());
        let made = result(&ctx, "kind", "key", |at| {
            fs::write(at.join("whole"), "x").unwrap();
            Ok(())
        });
        assert!(made.unwrap().join("whole").is_file());
        result(&ctx, "kind", "key", |_| panic!("made twice")).unwrap();
    }

    #[test]
    fn a_key_tells_its_parts_apart() {
        let key = |parts: &[&str]| parts.iter().fold(Key::new("k"), |key, part| key.and(part)).finish();
        assert_ne!(key(&["ab", "c"]), key(&["a", "bc"]));
        assert_eq!(key(&["ab", "c"]), key(&["ab", "c"]));
    }

    #[test]
    fn equal_files_keep_their_time() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("from"), dir.path().join("to"));
        fs::create_dir_all(from.join("sub")).unwrap();
        fs::write(from.join("sub/file"), "1").unwrap();
        copy_tree(&from, &to).unwrap();
        let time = fs::metadata(to.join("sub/file")).unwrap().modified().unwrap();
        copy_tree(&from, &to).unwrap();
        assert_eq!(fs::metadata(to.join("sub/file")).unwrap().modified().unwrap(), time);
        fs::write(from.join("sub/file"), "2").unwrap();
        copy_tree(&from, &to).unwrap();
        assert_eq!(fs::read(to.join("sub/file")).unwrap(), b"2");
    }
}
