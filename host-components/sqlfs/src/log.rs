//! The write-ahead log: how long it is, and making it durable.
//!
//! SQLite runs with `synchronous=NORMAL`: a commit writes to the log and syncs nothing, a checkpoint syncs what it must. To make a commit durable the log
//! alone has to be synced, which is what SQLite does itself under `FULL`. It is done here instead, because here no lock is held over it that anybody but
//! another `fsync` waits for, and one sync serves all who wait.

use std::fs::File;
#[cfg(not(target_family = "wasm"))]
use std::path::Path;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;

pub(crate) struct Log {
    #[cfg(not(target_family = "wasm"))]
    path: PathBuf,
    file: File,
    /// The last batch that is known to be on the disk.
    synced: Mutex<u64>,
    synced_hint: AtomicU64,
    /// The log begins anew with the next commit, whatever its file's length.
    fresh: AtomicBool,
    /// Commits since its length was last looked at.
    commits: AtomicU64,
}

impl Log {
    /// Opens the log of a database that a connection has open.
    pub(crate) fn open(path: PathBuf) -> std::io::Result<Self> {
        let file = File::open(&path)?;
        Ok(Self {
            #[cfg(not(target_family = "wasm"))]
            path,
            file,
            synced: Mutex::new(0),
            synced_hint: AtomicU64::new(0),
            fresh: AtomicBool::new(false),
            commits: AtomicU64::new(0),
        })
    }

    #[cfg(not(target_family = "wasm"))]
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn committed(&self) {
        self.commits.fetch_add(1, Ordering::Relaxed);
        self.fresh.store(false, Ordering::Relaxed);
    }

    pub(crate) fn begins_anew(&self) {
        self.fresh.store(true, Ordering::Relaxed);
    }

    /// Whether the log is longer than `bytes`. Its file keeps its length when the log begins anew, so SQLite is told to cut it
    /// (`journal_size_limit`) and the length is looked at only when there was a commit since.
    pub(crate) fn is_long(&self, bytes: u64) -> bool {
        if self.fresh.load(Ordering::Relaxed) || self.commits.swap(0, Ordering::Relaxed) == 0 {
            return false;
        }
        let long = self.file.metadata().is_ok_and(|metadata| metadata.len() > bytes);
        if long {
            self.commits.fetch_add(1, Ordering::Relaxed);
        }
        long
    }

    /// Makes `batch` durable; `committed` tells which batch was committed last.
    pub(crate) fn sync(&self, batch: u64, committed: impl Fn() -> u64) -> std::io::Result<()> {
        if self.synced_hint.load(Ordering::Acquire) >= batch {
            return Ok(());
        }
        let mut synced = self.synced.lock();
        if *synced >= batch {
            return Ok(());
        }
        let now = committed();
        self.file.sync_data()?;
        *synced = now.max(batch);
        self.synced_hint.store(*synced, Ordering::Release);
        Ok(())
    }
}
