//! The cache: everything that is downloaded or built once, in one directory, keyed by content.
//!
//! An entry is a directory `KIND/KEY` with a file `manifest.json` that names each file, its size and its SHA-256. It is
//! made under `tmp/` and renamed into place only when it is whole, and it is checked against its manifest whenever it is
//! asked for: what is broken is removed and made again. One lock file keeps two runs from making the same thing twice.

use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::failure::{Failure, OrFail, Result};
use crate::ui::Ui;

const MANIFEST: &str = "manifest.json";
const WRITABLE: &str =
    "check that the cache directory can be written to and has room, or set EYOT_CACHE to one that can";

/// The cache, locked for this process until it is dropped.
#[derive(Debug)]
pub struct Cache {
    root: PathBuf,
    _lock: File,
}

/// What an entry holds.
#[derive(Debug, Serialize, Deserialize)]
struct Manifest {
    files: BTreeMap<String, Digested>,
}

#[derive(Debug, Serialize, Deserialize, PartialEq, Eq)]
struct Digested {
    size_bytes: u64,
    sha256: String,
}

impl Cache {
    /// Waits for the lock of the cache at `root`.
    pub fn lock(root: &Path, ui: &Ui) -> Result<Self> {
        std::fs::create_dir_all(root).or_fail(format!("cannot create {}", root.display()), WRITABLE)?;
        let path = root.join("lock");
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .or_fail(format!("cannot open {}", path.display()), WRITABLE)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                ui.say(format!("waiting for another run that holds {}", path.display()));
                lock.lock().or_fail(format!("cannot lock {}", path.display()), "use a cache on a local disk")?;
            }
            Err(TryLockError::Error(e)) => {
                return Err(Failure::new(format!("cannot lock {}", path.display()), e, "use a cache on a local disk"));
            }
        }
        let cache = Self { root: root.to_owned(), _lock: lock };
        // Only the holder of the lock uses tmp/, so anything in it was left behind by a run that was cut short.
        let _ = std::fs::remove_dir_all(cache.root.join("tmp"));
        Ok(cache)
    }

    /// The directory of the cache.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The whole and unbroken entry, if there is one. A broken one is removed.
    pub fn get(&self, kind: &str, key: &str) -> Option<PathBuf> {
        let dir = self.root.join(kind).join(key);
        if !dir.exists() {
            return None;
        }
        if is_whole(&dir) {
            return Some(dir);
        }
        // When it can't be removed, making it again will fail with a message that says so.
        let _ = std::fs::remove_dir_all(&dir);
        None
    }

    /// Makes an entry: `make` fills an empty directory, which then takes its place.
    pub fn put(&self, kind: &str, key: &str, make: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
        let tmp = self.root.join("tmp").join(format!("{kind}-{key}"));
        let dir = self.root.join(kind).join(key);
        let failed = || format!("cannot keep {kind}/{key} in the cache {}", self.root.display());
        let _ = std::fs::remove_dir_all(&tmp);
        std::fs::create_dir_all(&tmp).or_fail(failed(), WRITABLE)?;
        make(&tmp)?;
        let manifest = Manifest { files: digest_tree(&tmp).or_fail(failed(), WRITABLE)? };
        let text = serde_json::to_string_pretty(&manifest).or_fail(failed(), WRITABLE)?;
        std::fs::write(tmp.join(MANIFEST), text).or_fail(failed(), WRITABLE)?;
        if let Some(parent) = dir.parent() {
            std::fs::create_dir_all(parent).or_fail(failed(), WRITABLE)?;
        }
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::rename(&tmp, &dir).or_fail(failed(), WRITABLE)?;
        Ok(dir)
    }

    /// Every whole entry of a kind, oldest first.
    pub fn entries(&self, kind: &str) -> Vec<PathBuf> {
        let Ok(listing) = std::fs::read_dir(self.root.join(kind)) else { return Vec::new() };
        let mut dirs: Vec<_> = listing
            .filter_map(|entry| entry.ok())
            .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
            .filter(|(_, dir)| is_whole(dir))
            .collect();
        dirs.sort();
        dirs.into_iter().map(|(_, dir)| dir).collect()
    }
}

/// Whether a directory holds exactly what its manifest says.
pub fn is_whole(dir: &Path) -> bool {
    let Ok(text) = std::fs::read(dir.join(MANIFEST)) else { return false };
    let Ok(manifest) = serde_json::from_slice::<Manifest>(&text) else { return false };
    manifest.files.iter().all(|(name, wanted)| digest_file(&dir.join(name)).is_ok_and(|found| found == *wanted))
}

fn digest_tree(dir: &Path) -> std::io::Result<BTreeMap<String, Digested>> {
    let mut files = BTreeMap::new();
    let mut left = vec![dir.to_owned()];
    while let Some(next) = left.pop() {
        for entry in std::fs::read_dir(&next)? {
            let entry = entry?;
            let kind = entry.file_type()?;
            if kind.is_dir() {
                left.push(entry.path());
            } else if kind.is_file()
                && let Ok(name) = entry.path().strip_prefix(dir)
            {
                files.insert(name.to_string_lossy().into_owned(), digest_file(&entry.path())?);
            }
        }
    }
    Ok(files)
}

fn digest_file(path: &Path) -> std::io::Result<Digested> {
    let mut file = File::open(path)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    let mut size_bytes = 0;
    loop {
        let n = file.read(&mut buffer)?;
        if n == 0 {
            return Ok(Digested { size_bytes, sha256: hex(&hasher.finalize()) });
        }
        size_bytes += n as u64;
        hasher.update(&buffer[..n]);
    }
}

/// The SHA-256 of a file, in lower-case hexadecimal digits.
pub fn sha256_of(path: &Path) -> Result<String> {
    digest_file(path).map(|d| d.sha256).or_fail(format!("cannot read {}", path.display()), "check that it exists")
}

/// A key from parts that are told apart: the first 16 hexadecimal digits of their SHA-256.
pub fn key_of<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    hex(&hasher.finalize())[..16].to_owned()
}

/// A key of the names and contents of all files below the given paths (relative to `root`), and of `extra`.
pub fn key_of_sources(root: &Path, paths: &[&str], extra: &[&str]) -> Result<String> {
    let mut parts: Vec<Vec<u8>> = extra.iter().map(|text| text.as_bytes().to_vec()).collect();
    for path in paths {
        let whole = root.join(path);
        let failed = || format!("cannot read {}", whole.display());
        if whole.is_file() {
            parts.push(path.as_bytes().to_vec());
            parts.push(std::fs::read(&whole).or_fail(failed(), "check that the checkout is complete")?);
            continue;
        }
        for (name, digest) in digest_tree(&whole).or_fail(failed(), "check that the checkout is complete")? {
            parts.push(format!("{path}/{name} {}", digest.sha256).into_bytes());
        }
    }
    Ok(key_of(parts.iter().map(Vec::as_slice)))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Dir(PathBuf);

    impl Dir {
        fn new(name: &str) -> Self {
            let dir = std::env::temp_dir().join(format!("eyot-xtask-{name}-{}", std::process::id()));
            let _ = std::fs::remove_dir_all(&dir);
            Self(dir)
        }
    }

    impl Drop for Dir {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn fill(dir: &Path) -> Result<()> {
        std::fs::create_dir(dir.join("sub")).unwrap();
        std::fs::write(dir.join("sub/file"), "content").unwrap();
        Ok(())
    }

    #[test]
    fn an_entry_is_found_again() {
        let dir = Dir::new("again");
        let cache = Cache::lock(&dir.0, &Ui::new()).unwrap();
        assert_eq!(cache.get("kind", "key"), None);
        let made = cache.put("kind", "key", fill).unwrap();
        assert_eq!(cache.get("kind", "key"), Some(made.clone()));
        assert_eq!(cache.entries("kind"), [made]);
    }

    #[test]
    fn a_broken_entry_is_dropped() {
        let dir = Dir::new("broken");
        let cache = Cache::lock(&dir.0, &Ui::new()).unwrap();
        for harm in ["other", "", "content and more"] {
            let made = cache.put("kind", "key", fill).unwrap();
            std::fs::write(made.join("sub/file"), harm).unwrap();
            assert_eq!(cache.get("kind", "key"), None, "{harm:?}");
            assert!(!made.exists());
        }
        let made = cache.put("kind", "key", fill).unwrap();
        std::fs::remove_file(made.join("sub/file")).unwrap();
        assert_eq!(cache.get("kind", "key"), None);
    }

    #[test]
    fn a_failed_make_leaves_no_entry() {
        let dir = Dir::new("failed");
        let cache = Cache::lock(&dir.0, &Ui::new()).unwrap();
        let made = cache.put("kind", "key", |dir| {
            fill(dir)?;
            Err(Failure::new("a", "b", "c"))
        });
        assert!(made.is_err());
        assert_eq!(cache.get("kind", "key"), None);
        assert!(cache.entries("kind").is_empty());
    }

    #[test]
    fn keys_tell_parts_apart() {
        assert_ne!(key_of([b"ab".as_slice(), b"c"]), key_of([b"a".as_slice(), b"bc"]));
        assert_eq!(key_of([b"a".as_slice()]).len(), 16);
    }

    #[test]
    fn sha256_is_the_standard_one() {
        let dir = Dir::new("sha");
        std::fs::create_dir_all(&dir.0).unwrap();
        std::fs::write(dir.0.join("f"), "abc").unwrap();
        let digest = sha256_of(&dir.0.join("f")).unwrap();
        assert_eq!(digest, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
