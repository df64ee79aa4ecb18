//! The one connection that writes, and its batches.
//!
//! Changes go into a transaction that stays open over many calls, so that a call pays for its rows only. The transaction is committed when it is big
//! or old enough, and by `fsync`. An operation that fails after it changed a row cannot be told apart from a damaged database, so it ends the
//! batch and the filesystem with it: nothing half done is ever committed.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use eyot_backend::Errno;
use parking_lot::MutexGuard;
use rusqlite::{Connection, OptionalExtension, params};

use crate::core::Core;
use crate::error::{Fault, Res};
use crate::nodes::{Inode, State};
use crate::record::{Body, Record, kind_code, row_bytes, times_blob, xattrs_blob};

/// How many numbers of inodes are set aside at a time: after a crash none that was given out is given again.
const INOS_ASIDE: i64 = 1 << 16;
/// What an operation on names counts in a batch, in bytes.
const OPERATION_BYTES: u64 = 512;

pub(crate) struct Writer {
    pub conn: Connection,
    /// The number of the batch that is being gathered.
    pub batch: u64,
    /// The epoch that new rows are born in.
    pub epoch: i64,
    /// The last epoch that a snapshot or a clone looks at; rows born later can be changed in place.
    pub pinned_epoch: i64,
    pub ino_next: i64,
    /// Numbers below this one are set aside for this session.
    pub ino_aside: i64,
    /// How many are set aside at a time.
    pub inos_aside: i64,
    pub cookie_next: i64,
    pub batch_bytes: u64,
    /// Chunks that lost a reference in this batch, about: so many unreferenced ones are dropped at its end.
    pub chunks_dropped: u64,
    /// How many rows had been changed when the batch last was whole.
    pub whole_at: u64,
    /// What must stay in memory until the commit.
    pub pinned: Vec<Arc<Inode>>,
    open: bool,
}

impl Writer {
    pub(crate) fn new(conn: Connection) -> Self {
        Self {
            conn,
            batch: 1,
            epoch: 1,
            pinned_epoch: 0,
            ino_next: 2,
            ino_aside: 2,
            inos_aside: INOS_ASIDE,
            cookie_next: 1,
            batch_bytes: 0,
            chunks_dropped: 0,
            whole_at: 0,
            pinned: Vec::new(),
            open: false,
        }
    }

    /// Whether a row born then is one that a snapshot or a clone looks at.
    pub(crate) fn is_pinned(&self, born: i64) -> bool {
        born <= self.pinned_epoch
    }

    pub(crate) fn begin(&mut self) -> Res<()> {
        if !self.open {
            self.conn.prepare_cached("BEGIN IMMEDIATE")?.execute(())?;
            self.open = true;
        }
        Ok(())
    }

    pub(crate) fn take_ino(&mut self) -> Res<i64> {
        let ino = self.ino_next;
        self.ino_next = ino.checked_add(1).ok_or(Errno::Nospc)?;
        Ok(ino)
    }

    pub(crate) fn take_cookie(&mut self) -> Res<i64> {
        let cookie = self.cookie_next;
        self.cookie_next = cookie.checked_add(1).ok_or(Errno::Nospc)?;
        Ok(cookie)
    }

    pub(crate) fn set_meta(&self, key: &str, value: i64) -> Res<()> {
        let sql =
            "INSERT INTO meta (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = excluded.value";
        self.conn.prepare_cached(sql)?.execute(params![key, value])?;
        Ok(())
    }

    pub(crate) fn meta(&self, key: &str) -> Res<Option<i64>> {
        let mut statement = self.conn.prepare_cached("SELECT value FROM meta WHERE key = ?1")?;
        Ok(statement.query_row([key], |row| row.get(0)).optional()?)
    }

    /// Writes an inode's row as `record` has it. What a snapshot looks at is kept beside.
    pub(crate) fn write_row(&self, ino: i64, record: &mut Record) -> Res<()> {
        if record.row_bytes > 0 && self.is_pinned(record.born) {
            self.keep_row(ino)?;
        }
        let xattrs = record.xattrs.as_deref().map(xattrs_blob);
        let data = if let Body::Inline(bytes) = &record.body { Some(bytes.as_slice()) } else { None };
        let sql = "INSERT OR REPLACE INTO inode (ino, born, kind, mode, links, uid, gid, device, size, stored, parent, \
                   origin, origin_epoch, times, xattrs, data) \
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)";
        self.conn.prepare_cached(sql)?.execute(params![
            ino,
            self.epoch,
            kind_code(record.kind),
            record.mode,
            record.links,
            record.uid,
            record.gid,
            record.device as i64,
            record.size as i64,
            record.stored as i64,
            record.parent,
            record.origin.map(|origin| origin.ino),
            record.origin.map(|origin| origin.epoch),
            times_blob(record),
            xattrs,
            data,
        ])?;
        record.born = self.epoch;
        record.row_bytes = row_bytes(xattrs.map_or(0, |xattrs| xattrs.len()), data.map_or(0, <[u8]>::len));
        Ok(())
    }

    /// Copies an inode's row to those that were.
    pub(crate) fn keep_row(&self, ino: i64) -> Res<()> {
        let columns = crate::schema::INODE_COLUMNS;
        let sql = format!(
            "INSERT OR REPLACE INTO inode_old (ino, died, {columns}) SELECT ino, ?2, {columns} FROM inode WHERE ino = ?1"
        );
        self.conn.prepare_cached(&sql)?.execute(params![ino, self.epoch])?;
        Ok(())
    }
}

impl Core {
    /// Runs one operation that changes rows. It is whole in the batch, or it ends the batch.
    pub(crate) fn change<T>(&self, operation: impl FnOnce(&mut Writer) -> Res<T>) -> Res<T> {
        let mut guard = self.writer.lock();
        let answer = self.change_under(&mut guard, operation)?;
        guard.batch_bytes += OPERATION_BYTES;
        let full = guard.batch_bytes >= self.options.commit_bytes || guard.ino_next >= guard.ino_aside;
        if full {
            self.commit_under(&mut guard)?;
        }
        self.after_commit(guard)?;
        self.flusher.wake();
        Ok(answer)
    }

    /// The same, for who holds the writer already.
    pub(crate) fn change_under<T>(&self, w: &mut Writer, operation: impl FnOnce(&mut Writer) -> Res<T>) -> Res<T> {
        self.usable()?;
        let began = w.begin();
        w.whole_at = w.conn.total_changes();
        let result = began.and_then(|()| operation(w));
        match result {
            Ok(answer) => Ok(answer),
            Err(fault) => {
                if w.conn.total_changes() != w.whole_at || w.open == w.conn.is_autocommit() {
                    self.give_up(w, &fault);
                }
                Err(fault)
            }
        }
    }

    /// Whether changes are still taken.
    pub(crate) fn usable(&self) -> Result<(), Errno> {
        if self.failure.get().is_none() { Ok(()) } else { Err(Errno::Io) }
    }

    /// Ends the batch: from here on every change answers `EIO`, and the database stays as it was last committed.
    pub(crate) fn give_up(&self, w: &mut Writer, fault: &Fault) {
        let _ = self.failure.set(fault.to_string());
        if !w.conn.is_autocommit() {
            let _ = w.conn.execute_batch("ROLLBACK");
        }
        w.open = false;
    }

    /// Remembers that an inode waits to be written. The caller holds its lock.
    pub(crate) fn mark(&self, inode: &Arc<Inode>, record: &mut Record) {
        if !record.dirty {
            record.dirty = true;
            self.dirty.lock().push(Arc::clone(inode));
        }
    }

    /// Carries one inode's row and chunks into the batch.
    pub(crate) fn write_inode(&self, w: &mut Writer, inode: &Arc<Inode>) -> Res<()> {
        let mut state = inode.state.write();
        let State::Here(record) = &mut *state else { return Ok(()) };
        if !record.dirty {
            return Ok(());
        }
        w.pinned.push(Arc::clone(inode));
        self.write_chunks(w, inode.ino, record)?;
        let before = record.row_bytes;
        w.write_row(inode.ino, record)?;
        w.batch_bytes += record.row_bytes;
        self.quota.store(record.row_bytes);
        self.quota.unstore(before);
        self.quota.release(std::mem::take(&mut record.reserved));
        record.dirty = false;
        Ok(())
    }

    /// Carries everything that waits into the batch. Who changes an inode meanwhile without the writer is in the next batch.
    pub(crate) fn write_all(&self, w: &mut Writer) -> Res<()> {
        let waiting = std::mem::take(&mut *self.dirty.lock());
        for inode in &waiting {
            if let Err(fault) = self.change_under(w, |w| self.write_inode(w, inode)) {
                self.give_up(w, &fault);
                return Err(fault);
            }
        }
        Ok(())
    }

    /// Commits what was gathered, and what waits. It is in the log afterwards, which may not be on the disk yet.
    pub(crate) fn commit_under(&self, w: &mut Writer) -> Res<()> {
        self.usable()?;
        self.write_all(w)?;
        if !w.open {
            return Ok(());
        }
        let committed = self.commit_batch(w);
        if let Err(fault) = &committed {
            self.give_up(w, fault);
        }
        committed
    }

    fn commit_batch(&self, w: &mut Writer) -> Res<()> {
        self.drop_chunks(w, w.chunks_dropped.saturating_mul(2).max(16))?;
        if w.ino_next.saturating_add(w.inos_aside / 2) >= w.ino_aside {
            w.ino_aside = w.ino_next.saturating_add(w.inos_aside);
        }
        w.set_meta("ino_next", w.ino_aside)?;
        w.set_meta("cookie_next", w.cookie_next)?;
        w.set_meta("epoch", w.epoch)?;
        w.set_meta("bytes", i64::try_from(self.quota.stored()).unwrap_or(i64::MAX))?;
        w.set_meta("inodes", i64::try_from(self.quota.inodes()).unwrap_or(i64::MAX))?;
        w.conn.prepare_cached("COMMIT")?.execute(())?;
        w.open = false;
        self.committed.store(w.batch, Ordering::Release);
        w.batch += 1;
        w.batch_bytes = 0;
        w.chunks_dropped = 0;
        w.pinned.clear();
        self.log.committed();
        Ok(())
    }

    /// Commits whatever there is; answers the batch that was committed last.
    pub(crate) fn commit(&self) -> Res<u64> {
        let mut guard = self.writer.lock();
        self.commit_under(&mut guard)?;
        let batch = self.committed.load(Ordering::Acquire);
        self.after_commit(guard)?;
        Ok(batch)
    }

    /// Carries a long log into the database. Most of the way nobody waits for it: first whatever is in the log, while others go on;
    /// then, holding the writer, what came meanwhile, so that the log can begin anew.
    fn after_commit(&self, guard: MutexGuard<'_, Writer>) -> Res<()> {
        if !self.log.is_long(self.options.wal_bytes_max) {
            return Ok(());
        }
        drop(guard);
        let Some(checkpointer) = self.checkpointer.try_lock() else { return Ok(()) };
        if !self.log.is_long(self.options.wal_bytes_max) {
            return Ok(());
        }
        let checkpoint = || -> Res<(i64, i64)> {
            let sql = "PRAGMA wal_checkpoint(PASSIVE)";
            Ok(checkpointer.query_row(sql, (), |row| Ok((row.get(1)?, row.get(2)?)))?)
        };
        checkpoint()?;
        let mut guard = self.writer.lock();
        self.commit_under(&mut guard)?;
        let (frames, carried) = checkpoint()?;
        // Somebody who reads keeps the log from beginning anew; the next commits try again.
        if frames == carried {
            self.log.begins_anew();
        }
        Ok(())
    }
}
