//! Machine code on disk, so that nothing is compiled twice.
//!
//! An entry is a file named by the BLAKE3 hash of the WebAssembly and by what decides whether code fits the engine. Loading it means running it, so
//! an entry is believed only when nobody else can have written it: the directory and the file belong to the user this process runs as, and to
//! nobody else. Against accidents (a full disk, a crash, a bad block) each entry ends in its length and a hash of samples of it.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::hash::{Hash, Hasher};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, SystemTime};

use wasmtime::Engine;

/// The BLAKE3 hash of a program image.
pub(crate) type ContentHash = [u8; 32];

/// What marks a whole entry, at its end: this, the length before it and the hash of samples.
const MARK: &[u8; 8] = b"EYOTCODE";
const TRAILER_BYTES: usize = 8 + 8 + 32;

/// The samples of an entry that its hash covers: the first and last piece and this many in between.
const SAMPLES: u64 = 62;
const SAMPLE_BYTES: usize = 4096;

/// When the directory holds more than this, the entries unused for longest are taken away.
const TOTAL_BYTES_MAX: u64 = 4 << 30;

/// A temporary file older than this was left by a process that died.
const TEMPORARY_AGE_MAX: Duration = Duration::from_secs(3600);

/// A directory of compiled code.
pub(crate) struct CodeCache {
    dir: PathBuf,
    /// Names the engine's version, settings and target.
    engine: String,
}

/// An entry that was found whole and ours.
pub(crate) struct Entry {
    pub(crate) file: File,
    pub(crate) path: PathBuf,
}

/// Why an entry was not used.
#[derive(Debug)]
pub(crate) enum Unusable {
    /// There is none.
    Absent,
    /// It is damaged or not ours; the reason, for the log.
    Broken(String),
}

impl CodeCache {
    /// The cache in `dir`, which is made when it is not there. Errors: it cannot be made, or it is not only ours.
    pub(crate) fn open(dir: &Path, engine: &Engine) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        let metadata = fs::symlink_metadata(dir)?;
        if !metadata.is_dir() || metadata.uid() != rustix::process::geteuid().as_raw() {
            return Err(io::Error::other(
                "the code cache is no directory of the user who runs this: code in it would not be safe to run",
            ));
        }
        if metadata.mode() & 0o077 != 0 {
            fs::set_permissions(dir, fs::Permissions::from_mode(0o700))?;
        }
        Ok(Self { dir: dir.to_owned(), engine: engine_name(engine) })
    }

    fn path(&self, hash: &ContentHash) -> PathBuf {
        self.dir.join(format!("{}-{}.cwasm", blake3::Hash::from_bytes(*hash).to_hex(), self.engine))
    }

    /// The entry for a content, open, checked.
    pub(crate) fn load(&self, hash: &ContentHash) -> Result<Entry, Unusable> {
        let path = self.path(hash);
        let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::CLOEXEC;
        let file = match OpenOptions::new().read(true).custom_flags(flags.bits() as i32).open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(Unusable::Absent),
            Err(error) => return Err(Unusable::Broken(error.to_string())),
        };
        match check(&file) {
            Ok(()) => Ok(Entry { file, path }),
            Err(reason) => Err(Unusable::Broken(reason)),
        }
    }

    /// Takes a damaged entry away.
    pub(crate) fn discard(&self, hash: &ContentHash) {
        let _ = fs::remove_file(self.path(hash));
    }

    /// Keeps compiled code. Other processes see the whole entry or none.
    pub(crate) fn store(&self, hash: &ContentHash, code: &[u8]) -> io::Result<()> {
        static COUNTER: AtomicU64 = AtomicU64::new(0);
        let unique = format!(".{}-{}.tmp", std::process::id(), COUNTER.fetch_add(1, Relaxed));
        let temporary = self.dir.join(unique);
        let written = write_entry(&temporary, code).and_then(|()| fs::rename(&temporary, self.path(hash)));
        if written.is_err() {
            let _ = fs::remove_file(&temporary);
        }
        self.prune(TOTAL_BYTES_MAX);
        written
    }

    /// Takes away what died processes left, and the entries unused for longest past `bytes_max`.
    fn prune(&self, bytes_max: u64) {
        let Ok(entries) = fs::read_dir(&self.dir) else { return };
        let mut kept = Vec::new();
        for entry in entries.flatten() {
            let Ok(metadata) = entry.metadata() else { continue };
            let used = metadata.accessed().ok().max(metadata.modified().ok()).unwrap_or(SystemTime::UNIX_EPOCH);
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if name.ends_with(".tmp") && used.elapsed().is_ok_and(|age| age > TEMPORARY_AGE_MAX) {
                let _ = fs::remove_file(entry.path());
            } else if name.ends_with(".cwasm") {
                kept.push((used, metadata.len(), entry.path()));
            }
        }
        let mut total: u64 = kept.iter().map(|(_, size, _)| size).sum();
        kept.sort();
        for (_, size, path) in kept {
            if total <= bytes_max {
                break;
            }
            if fs::remove_file(path).is_ok() {
                total -= size;
            }
        }
    }
}

fn write_entry(path: &Path, code: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(code)?;
    let digest = sample_hash(code.len() as u64, |offset, buffer| {
        let start = offset as usize;
        buffer.copy_from_slice(&code[start..start + buffer.len()]);
        Ok(())
    })?;
    file.write_all(MARK)?;
    file.write_all(&(code.len() as u64).to_le_bytes())?;
    file.write_all(&digest)?;
    // Without this a crash of the machine could leave an entry of the right length full of zeros.
    file.sync_data()
}

/// Whether an entry is ours and whole.
fn check(file: &File) -> Result<(), String> {
    let metadata = file.metadata().map_err(|error| error.to_string())?;
    if !metadata.is_file() || metadata.uid() != rustix::process::geteuid().as_raw() || metadata.mode() & 0o022 != 0 {
        return Err("others can write it".to_owned());
    }
    let size = metadata.len().checked_sub(TRAILER_BYTES as u64).ok_or("it is cut short")?;
    let mut trailer = [0; TRAILER_BYTES];
    file.read_exact_at(&mut trailer, size).map_err(|error| error.to_string())?;
    let whole = trailer.starts_with(MARK) && trailer[8..16] == size.to_le_bytes();
    if !whole {
        return Err("it is cut short".to_owned());
    }
    let digest =
        sample_hash(size, |offset, buffer| file.read_exact_at(buffer, offset)).map_err(|error| error.to_string())?;
    if trailer[16..] == digest { Ok(()) } else { Err("its hash is wrong".to_owned()) }
}

/// The hash of samples that are spread over the whole: few enough to cost less than a page fault each.
fn sample_hash(size: u64, mut read: impl FnMut(u64, &mut [u8]) -> io::Result<()>) -> io::Result<[u8; 32]> {
    let mut hasher = blake3::Hasher::new();
    let mut buffer = [0; SAMPLE_BYTES];
    let step = (size / (SAMPLES + 1)).max(SAMPLE_BYTES as u64);
    let last = size.saturating_sub(SAMPLE_BYTES as u64);
    let mut offset = 0;
    loop {
        let at = offset.min(last);
        let length = (size - at).min(SAMPLE_BYTES as u64) as usize;
        read(at, &mut buffer[..length])?;
        hasher.update(&buffer[..length]);
        if at == last {
            return Ok(*hasher.finalize().as_bytes());
        }
        offset += step;
    }
}

/// A name for all that decides whether code fits an engine.
fn engine_name(engine: &Engine) -> String {
    let mut hasher = Blake3Hasher(blake3::Hasher::new());
    engine.precompile_compatibility_hash().hash(&mut hasher);
    hasher.0.finalize().to_hex()[..16].to_owned()
}

struct Blake3Hasher(blake3::Hasher);

impl Hasher for Blake3Hasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        let mut first = [0; 8];
        first.copy_from_slice(&self.0.finalize().as_bytes()[..8]);
        u64::from_le_bytes(first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: ContentHash = [7; 32];

    fn cache() -> (tempfile::TempDir, CodeCache) {
        let dir = tempfile::tempdir().unwrap();
        let cache = CodeCache::open(&dir.path().join("code"), &Engine::default()).unwrap();
        (dir, cache)
    }

    fn broken(cache: &CodeCache) -> bool {
        matches!(cache.load(&HASH), Err(Unusable::Broken(_)))
    }

    #[test]
    fn an_entry_comes_back_and_can_be_discarded() {
        let (_dir, cache) = cache();
        assert!(matches!(cache.load(&HASH), Err(Unusable::Absent)));
        cache.store(&HASH, &[1; 10]).unwrap();
        assert_eq!(cache.load(&HASH).unwrap().file.metadata().unwrap().len(), 10 + TRAILER_BYTES as u64);
        cache.store(&HASH, &[2; 1_000_000]).unwrap();
        assert!(cache.load(&HASH).is_ok());
        cache.discard(&HASH);
        assert!(matches!(cache.load(&HASH), Err(Unusable::Absent)));
    }

    #[test]
    fn damage_is_noticed() {
        let (_dir, cache) = cache();
        let path = cache.path(&HASH);
        for size in [0_usize, 100, 5000, 3_000_000] {
            cache.store(&HASH, &vec![3; size]).unwrap();
            let whole = fs::read(&path).unwrap();
            fs::write(&path, &whole[..whole.len() - 1]).unwrap();
            assert!(broken(&cache), "cut at the end");
            fs::write(&path, &whole[..whole.len() / 2]).unwrap();
            assert!(broken(&cache), "cut in half");
            let mut zeros = whole.clone();
            let half = size / 2;
            zeros[half..size].fill(0);
            fs::write(&path, &zeros).unwrap();
            assert_eq!(broken(&cache), size > 0, "half of it zeros");
            fs::write(&path, []).unwrap();
            assert!(broken(&cache), "empty");
        }
    }

    #[test]
    fn an_entry_that_others_can_write_is_refused() {
        let (_dir, cache) = cache();
        cache.store(&HASH, &[1; 10]).unwrap();
        fs::set_permissions(cache.path(&HASH), fs::Permissions::from_mode(0o666)).unwrap();
        assert!(broken(&cache));
        cache.discard(&HASH);
        std::os::unix::fs::symlink("/dev/null", cache.path(&HASH)).unwrap();
        assert!(broken(&cache), "a symlink");
    }

    #[test]
    fn the_directory_becomes_private() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("open");
        DirBuilder::new().mode(0o777).create(&path).unwrap();
        CodeCache::open(&path, &Engine::default()).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o700);
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        assert!(CodeCache::open(&file, &Engine::default()).is_err());
    }

    #[test]
    fn old_entries_make_room() {
        let (_dir, cache) = cache();
        for index in 0..4_u8 {
            cache.store(&[index; 32], &[0; 1000]).unwrap();
            std::thread::sleep(Duration::from_millis(5));
        }
        cache.prune(2 * 1100);
        let left: Vec<_> = (0..4_u8).filter(|&index| cache.load(&[index; 32]).is_ok()).collect();
        assert_eq!(left, [2, 3]);
    }

    #[test]
    fn engines_of_other_settings_have_other_names() {
        let mut config = wasmtime::Config::new();
        config.epoch_interruption(true);
        assert_ne!(engine_name(&Engine::default()), engine_name(&Engine::new(&config).unwrap()));
        assert_eq!(engine_name(&Engine::default()), engine_name(&Engine::default()));
    }
}
