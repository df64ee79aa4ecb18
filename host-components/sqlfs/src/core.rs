//! What a filesystem is made of, and how an inode is reached.
//!
//! # Locks, in their order
//! 1. The checkpointer, tried only.
//! 2. The writer: its connection, its batch, and all that changes names or the database.
//! 3. An inode. Who does not hold the writer holds at most one, and asks for nothing above meanwhile.
//! 4. A shard of the inodes in memory; the list of those that wait; the cache of chunks; a reading connection.
//!
//! So who reads what is committed or in memory waits for nobody but who changes that same inode. The log is synced under none of these.

use std::fs::File;
use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use eyot_backend::{Attributes, Errno, Node, Timestamp};
use parking_lot::Mutex;
use rusqlite::{Connection, OptionalExtension};

use crate::cache::ChunkCache;
use crate::error::Res;
use crate::flusher::Flusher;
use crate::log::Log;
use crate::nodes::{Inode, Nodes, State};
use crate::options::SqlfsBuilder;
use crate::quota::Quota;
use crate::readers::Readers;
use crate::record::{Record, record_of};
use crate::schema::INODE_COLUMNS;
use crate::writer::Writer;

/// The root directory's number.
pub(crate) const ROOT: i64 = 1;

pub(crate) struct Core {
    pub path: PathBuf,
    pub options: SqlfsBuilder,
    /// How long a chunk is in this database.
    pub chunk_bytes: usize,
    // In a component these two are faces of the writer's connection, and have to be dropped before it.
    pub checkpointer: Mutex<Connection>,
    pub readers: Readers,
    pub writer: Mutex<Writer>,
    pub nodes: Nodes,
    pub cache: ChunkCache,
    pub quota: Quota,
    /// The inodes that wait to be written.
    pub dirty: Mutex<Vec<Arc<Inode>>>,
    /// The batch that was committed last.
    pub committed: AtomicU64,
    pub log: Log,
    pub flusher: Flusher,
    /// No inode has this number or a higher one.
    pub ino_end: AtomicI64,
    /// Why nothing is written any more.
    pub failure: OnceLock<String>,
    /// Held as long as the database is open. Dropped last.
    pub _lock: File,
}

/// Where something can be read that may be newer than the last commit.
pub(crate) enum Source {
    /// It is as it was committed: from any connection.
    Committed,
    /// Only the writer sees it yet.
    Batch,
}

impl Core {
    pub(crate) fn now(&self) -> Timestamp {
        (self.options.clock)()
    }

    /// An inode's number as the database has it; what cannot be one was never given out.
    pub(crate) fn ino(&self, node: Node) -> Result<i64, Errno> {
        i64::try_from(node).ok().filter(|&ino| ino > 0).ok_or(Errno::Stale)
    }

    /// The inode `node`, in memory.
    pub(crate) fn node(&self, node: Node) -> Res<Arc<Inode>> {
        self.inode(self.ino(node)?)
    }

    pub(crate) fn inode(&self, ino: i64) -> Res<Arc<Inode>> {
        if ino >= self.ino_end.load(Ordering::Acquire) {
            return Err(Errno::Stale.into());
        }
        let inode = self.nodes.get(ino)?;
        match &*inode.state.read() {
            State::Here(_) => return Ok(Arc::clone(&inode)),
            State::Gone => return Err(Errno::Stale.into()),
            State::Unknown => {}
        }
        let mut state = inode.state.write();
        if let State::Unknown = &*state {
            // What differs from the last commit is in memory, so any connection has the truth.
            let record = self.readers.with(|conn| self.read_row(conn, ino))?.ok_or(Errno::Stale)?;
            *state = State::Here(Box::new(record));
        }
        drop(state);
        Ok(inode)
    }

    /// Puts a new inode into memory, held `held` times. The caller holds the writer.
    pub(crate) fn put_inode(&self, ino: i64, record: Record, held: u64) -> Result<Arc<Inode>, Errno> {
        let inode = self.nodes.put(ino, record, held)?;
        self.ino_end.fetch_max(ino.saturating_add(1), Ordering::AcqRel);
        Ok(inode)
    }

    fn read_row(&self, conn: &Connection, ino: i64) -> Res<Option<Record>> {
        let sql = format!("SELECT {INODE_COLUMNS} FROM inode WHERE ino = ?1");
        let mut statement = conn.prepare_cached(&sql)?;
        let mut rows = statement.query([ino])?;
        let Some(row) = rows.next()? else { return Ok(None) };
        record_of(row, 0, self.chunk_bytes as u64).map(Some)
    }

    /// An inode's row as it was in an epoch.
    pub(crate) fn row_at(&self, conn: &Connection, ino: i64, epoch: i64) -> Res<Option<Record>> {
        let live = format!("SELECT {INODE_COLUMNS} FROM inode WHERE ino = ?1 AND born <= ?2");
        let old = format!(
            "SELECT {INODE_COLUMNS} FROM inode_old WHERE ino = ?1 AND died > ?2 AND born <= ?2 ORDER BY died LIMIT 1"
        );
        for sql in [live, old] {
            let mut statement = conn.prepare_cached(&sql)?;
            let found = statement.query_row([ino, epoch], |row| Ok(record_of(row, 0, self.chunk_bytes as u64)));
            if let Some(record) = found.optional()? {
                return record.map(Some);
            }
        }
        Ok(None)
    }

    /// Where the entries or extents of an inode can be read.
    pub(crate) fn source(&self, record: &Record) -> Source {
        if record.batch > self.committed.load(Ordering::Acquire) { Source::Batch } else { Source::Committed }
    }

    pub(crate) fn attributes(&self, inode: &Inode) -> Result<Attributes, Errno> {
        Ok(inode.read()?.attributes(inode.ino, self.options.lifetime_ns))
    }

    /// Notes a read's time, when it is the first since the last change.
    pub(crate) fn note_access(&self, inode: &Arc<Inode>) {
        let now = self.now();
        if let Ok(mut record) = inode.write() {
            record.accessed = now;
            self.mark(inode, &mut record);
        }
        self.flusher.wake();
    }
}
