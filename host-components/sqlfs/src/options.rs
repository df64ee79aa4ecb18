//! What a [`Sqlfs`] is opened with.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use eyot_backend::{Ownership, Timestamp};

use crate::{Error, Sqlfs};

/// How many bytes of contents, names and inodes a filesystem may hold when nothing else is said: 64 GiB, so that a guest cannot fill any disk.
pub const BYTES_MAX_DEFAULT: u64 = 64 << 30;
/// How many inodes there may be when nothing else is said.
pub const INODES_MAX_DEFAULT: u64 = 1 << 24;

/// The time of day for timestamps.
pub(crate) type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// What a [`Sqlfs`] is opened with. Every limit has a default; sizes of chunks and pages are a database's for life and count only when it is made.
#[derive(Clone)]
pub struct SqlfsBuilder {
    pub(crate) bytes_max: u64,
    pub(crate) inodes_max: u64,
    pub(crate) chunk_bytes: u32,
    pub(crate) page_bytes: u32,
    pub(crate) inline_bytes_max: usize,
    pub(crate) dirty_bytes_max: u64,
    pub(crate) file_dirty_bytes_max: u64,
    pub(crate) cache_bytes_max: usize,
    pub(crate) inodes_cached_max: usize,
    pub(crate) commit_after: Duration,
    pub(crate) commit_bytes: u64,
    pub(crate) wal_bytes_max: u64,
    pub(crate) readers: usize,
    pub(crate) lifetime_ns: u64,
    pub(crate) root: Ownership,
    pub(crate) clock: Clock,
}

impl Default for SqlfsBuilder {
    fn default() -> Self {
        Self {
            bytes_max: BYTES_MAX_DEFAULT,
            inodes_max: INODES_MAX_DEFAULT,
            chunk_bytes: 128 << 10,
            page_bytes: 16 << 10,
            inline_bytes_max: 4 << 10,
            dirty_bytes_max: 32 << 20,
            file_dirty_bytes_max: 4 << 20,
            cache_bytes_max: 32 << 20,
            inodes_cached_max: 64 << 10,
            commit_after: Duration::from_millis(100),
            commit_bytes: 16 << 20,
            wal_bytes_max: 64 << 20,
            readers: 4,
            lifetime_ns: u64::MAX,
            root: Ownership { mode: 0o755, uid: 0, gid: 0 },
            clock: Arc::new(|| std::time::SystemTime::now().into()),
        }
    }
}

impl SqlfsBuilder {
    /// The ceiling of bytes for contents (each chunk counted once, however many files share it), names and inodes ([`BYTES_MAX_DEFAULT`]). Beyond
    /// it `ENOSPC`. What only snapshots still hold counts too, until the snapshot is deleted and [`Sqlfs::compact`] ran.
    pub fn bytes_max(mut self, bytes_max: u64) -> Self {
        self.bytes_max = bytes_max;
        self
    }

    /// The ceiling of inodes, the root not counted ([`INODES_MAX_DEFAULT`]). Beyond it `ENOSPC`. An inode of a clone counts once it was looked
    /// at.
    pub fn inodes_max(mut self, inodes_max: u64) -> Self {
        self.inodes_max = inodes_max;
        self
    }

    /// How long a chunk is: 64 KiB or 128 KiB (the default). For a new database only.
    pub fn chunk_bytes(mut self, chunk_bytes: u32) -> Self {
        self.chunk_bytes = if chunk_bytes <= 64 << 10 { 64 << 10 } else { 128 << 10 };
        self
    }

    /// How long a page of the database is: a power of two from 4 KiB to 64 KiB (16 KiB: larger ones read and write
    /// long files a little faster and make small changes dearer, as the example `figures` measures). For a new database only.
    pub fn page_bytes(mut self, page_bytes: u32) -> Self {
        self.page_bytes = page_bytes.clamp(4 << 10, 64 << 10).next_power_of_two();
        self
    }

    /// The longest file that is kept in its inode's row (4 KiB; never more than a chunk). It may differ from one opening to the next.
    pub fn inline_bytes_max(mut self, inline_bytes_max: usize) -> Self {
        self.inline_bytes_max = inline_bytes_max.min(64 << 10);
        self
    }

    /// How many bytes of all files together may wait in memory before the writer carries them into the database itself (32 MiB).
    pub fn dirty_bytes_max(mut self, dirty_bytes_max: u64) -> Self {
        self.dirty_bytes_max = dirty_bytes_max;
        self
    }

    /// The same for one file (4 MiB).
    pub fn file_dirty_bytes_max(mut self, file_dirty_bytes_max: u64) -> Self {
        self.file_dirty_bytes_max = file_dirty_bytes_max;
        self
    }

    /// How many bytes of chunks that were read in part are kept (32 MiB).
    pub fn cache_bytes_max(mut self, cache_bytes_max: usize) -> Self {
        self.cache_bytes_max = cache_bytes_max;
        self
    }

    /// How many inodes are kept in memory beside those that the kernel holds (65,536).
    pub fn inodes_cached_max(mut self, inodes_cached_max: usize) -> Self {
        self.inodes_cached_max = inodes_cached_max;
        self
    }

    /// For how long a change that nobody syncs may wait for its commit (100 ms).
    pub fn commit_after(mut self, commit_after: Duration) -> Self {
        self.commit_after = commit_after;
        self
    }

    /// After how many bytes a batch of changes is committed (16 MiB).
    pub fn commit_bytes(mut self, commit_bytes: u64) -> Self {
        self.commit_bytes = commit_bytes;
        self
    }

    /// How long the write-ahead log may get before it is carried into the database (64 MiB).
    pub fn wal_bytes_max(mut self, wal_bytes_max: u64) -> Self {
        self.wal_bytes_max = wal_bytes_max;
        self
    }

    /// How many connections read at the same time (4; from 1 to 64).
    pub fn readers(mut self, readers: usize) -> Self {
        self.readers = readers.clamp(1, 64);
        self
    }

    /// For how long the kernel may believe names and attributes. For ever when nothing is said, since one mount owns the database; shorter for an embedder
    /// that clones trees into a filesystem while it is mounted.
    pub fn believed_for(mut self, lifetime: Duration) -> Self {
        self.lifetime_ns = u64::try_from(lifetime.as_nanos()).unwrap_or(u64::MAX);
        self
    }

    /// Mode and owner of the root directory of a new database (0755, root).
    pub fn root(mut self, root: Ownership) -> Self {
        self.root = root;
        self
    }

    /// The clock for timestamps; without one, the host's.
    pub fn clock(mut self, now: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        self.clock = Arc::new(now);
        self
    }

    /// Opens the database at `path`, or makes it. Its directory must exist.
    pub fn open(self, path: impl AsRef<Path>) -> Result<Sqlfs, Error> {
        Sqlfs::open_with(path.as_ref(), self)
    }
}
