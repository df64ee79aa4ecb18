//! The filesystem as the embedder sees it.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;

use eyot_backend::{Attributes, Errno, Node};

use crate::check::Report;
use crate::compact::Compacted;
use crate::core::Core;
use crate::error::{Error, Fault};
use crate::options::SqlfsBuilder;
use crate::snapshot::Snapshot;

/// A durable filesystem in one SQLite database. The crate's page says what it promises.
///
/// ```
/// use eyot_backend::{Filesystem, Ownership};
/// use eyot_sqlfs::Sqlfs;
///
/// # let dir = tempfile::tempdir()?;
/// let path = dir.path().join("home.eyot");
/// let fs = Sqlfs::open(&path)?;
/// let owner = Ownership { mode: 0o644, uid: 0, gid: 0 };
/// let file = fs.create(fs.info().root, "hello", owner)?.node;
/// fs.write(file, 0, 0, b"hello")?;
/// fs.fsync(file, 0, false)?; // from here on no crash loses it
/// fs.snapshot("monday")?;
/// fs.write(file, 0, 0, b"HELLO")?;
/// let before = fs.clone_snapshot("monday", fs.info().root, "before")?;
/// let hello = fs.lookup(before.node, "hello")?;
/// let mut bytes = [0; 5];
/// fs.read(hello.node, 0, 0, &mut bytes)?;
/// assert_eq!(&bytes, b"hello");
/// assert!(fs.check()?.is_clean());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Dropping it commits and syncs what waits.
pub struct Sqlfs {
    pub(crate) core: Arc<Core>,
    flusher: Option<JoinHandle<()>>,
}

impl Sqlfs {
    /// Opens the database at `path` with the default options, or makes it.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        Self::builder().open(path)
    }

    /// Other options.
    pub fn builder() -> SqlfsBuilder {
        SqlfsBuilder::default()
    }

    pub(crate) fn open_with(path: &Path, options: SqlfsBuilder) -> Result<Self, Error> {
        let core = Arc::new(crate::open::open(path, options)?);
        let flusher = Self::start_flusher(&core)?;
        Ok(Self { core, flusher })
    }

    /// A component has no threads: its mount commits between calls.
    #[cfg(target_family = "wasm")]
    fn start_flusher(_core: &Arc<Core>) -> Result<Option<JoinHandle<()>>, Error> {
        Ok(None)
    }

    #[cfg(not(target_family = "wasm"))]
    fn start_flusher(core: &Arc<Core>) -> Result<Option<JoinHandle<()>>, Error> {
        let of_thread = Arc::clone(core);
        let flusher = std::thread::Builder::new().name("eyot-sqlfs".into()).spawn(move || {
            while of_thread.flusher.wait(of_thread.options.commit_after) {
                // What fails here fails again in the next call, where it can be told.
                let _ = of_thread.commit();
            }
        });
        let host = |source| Error::Host { doing: "start a thread for", path: core.path.clone(), source };
        flusher.map(Some).map_err(host)
    }

    /// Makes everything durable that happened until now, as `fsync` does.
    pub fn sync(&self) -> Result<(), Error> {
        self.core.sync()
    }

    /// Why no change is taken any more, if that is so.
    pub fn failure(&self) -> Option<&str> {
        self.core.failure.get().map(String::as_str)
    }

    /// Keeps the whole filesystem as it is now under a name, durably.
    pub fn snapshot(&self, name: &str) -> Result<(), Error> {
        self.core.snapshot(name)
    }

    /// The snapshots, the oldest first.
    pub fn snapshots(&self) -> Result<Vec<Snapshot>, Error> {
        self.core.snapshots()
    }

    /// Deletes a snapshot. [`compact`](Self::compact) gives the space back that only it held.
    pub fn delete_snapshot(&self, name: &str) -> Result<(), Error> {
        self.core.delete_snapshot(name)
    }

    /// Copies the tree (or file) `source` by reference to `name` in `dir`. It counts as looked up once. Errors are those of `mkdir`.
    pub fn clone_tree(&self, source: Node, dir: Node, name: &str) -> Result<Attributes, Errno> {
        Ok(self.core.clone_tree(source, dir, name)?)
    }

    /// Copies the root of a snapshot by reference to `name` in `dir`. It counts as looked up once.
    pub fn clone_snapshot(&self, snapshot: &str, dir: Node, name: &str) -> Result<Attributes, Error> {
        self.core.clone_snapshot(snapshot, dir, name)
    }

    /// Makes the whole filesystem what it was when a snapshot was made, numbers of inodes included. It costs what changed since. Nothing but the root may be held:
    /// restore before the filesystem is mounted. Snapshots that were made since stay.
    pub fn restore(&self, snapshot: &str) -> Result<(), Error> {
        self.core.restore(snapshot)
    }

    /// Looks whether the database holds together: SQLite's own structure, every inode, name, count and reference, and the hash of every chunk. Changes
    /// wait meanwhile.
    pub fn check(&self) -> Result<Report, Error> {
        self.core.check()
    }

    /// Puts right what can be, and answers what cannot. What lost its name is found in `lost+found`; a chunk that is missing becomes a hole; a chunk whose bytes
    /// changed stays as it is. Nothing but the root may be held.
    pub fn repair(&self) -> Result<Report, Error> {
        self.core.repair()
    }

    /// Gives space back: drops what no snapshot and no clone looks at any more and chunks that nobody refers to, and shortens the database. Others go on
    /// meanwhile, with pauses.
    pub fn compact(&self) -> Result<Compacted, Error> {
        self.core.compact()
    }
}

impl Drop for Sqlfs {
    fn drop(&mut self) {
        self.core.flusher.stop();
        if let Some(flusher) = self.flusher.take() {
            let _ = flusher.join();
        }
        self.core.close();
    }
}

impl Core {
    pub(crate) fn fsync(&self) -> Result<(), Errno> {
        let batch = self.commit()?;
        self.sync_log_to(batch)
    }

    pub(crate) fn sync(&self) -> Result<(), Error> {
        let told = |fault: Fault| fault.told("commit", &self.path);
        let batch = self.commit().map_err(told)?;
        self.sync_log_to(batch).map_err(|errno| told(errno.into()))
    }

    pub(crate) fn sync_log(&self) -> Result<(), Errno> {
        self.sync_log_to(self.committed.load(Ordering::Acquire))
    }

    /// Makes a batch durable. When that fails nobody knows what is on the disk, so nothing is taken any more.
    fn sync_log_to(&self, batch: u64) -> Result<(), Errno> {
        self.log.sync(batch, || self.committed.load(Ordering::Acquire)).map_err(|error| {
            let mut w = self.writer.lock();
            self.give_up(&mut w, &Fault::Errno(Errno::Io));
            Errno::from(&error)
        })
    }
}
