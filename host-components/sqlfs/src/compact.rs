//! Giving space back.

use rusqlite::Connection;

use crate::core::Core;
use crate::error::{Error, Fault, Res};
use crate::writer::Writer;

/// What [`Sqlfs::compact`](crate::Sqlfs::compact) came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Compacted {
    /// Rows that no snapshot and no clone looks at any more.
    pub rows: u64,
    /// Chunks that nobody referred to.
    pub chunks: u64,
    /// Length of the database before, in bytes.
    pub bytes_before: u64,
    /// Length of the database after, in bytes.
    pub bytes_after: u64,
}

/// How many chunks are dropped, and pages given back, in one go: between them others get their turn.
const CHUNKS_AT_ONCE: u64 = 256;
const PAGES_AT_ONCE: u32 = 2048;

/// Not looked at by anything: no epoch between birth and death is pinned.
const UNSEEN: &str = "NOT EXISTS (SELECT 1 FROM temp.pin WHERE epoch >= born AND epoch < died)";

impl Core {
    pub(crate) fn compact(&self) -> Result<Compacted, Error> {
        let told = |fault: Fault| fault.told("compact", &self.path);
        let mut done = Compacted::default();
        {
            let mut w = self.writer.lock();
            self.commit_under(&mut w).map_err(told)?;
            done.bytes_before = length(&w.conn).map_err(told)?;
            done.rows = self.change_under(&mut w, |w| self.drop_unseen(w)).map_err(told)?;
            self.commit_under(&mut w).map_err(told)?;
        }
        loop {
            let mut w = self.writer.lock();
            let dropped = self.change_under(&mut w, |w| self.drop_chunks(w, CHUNKS_AT_ONCE)).map_err(told)?;
            self.commit_under(&mut w).map_err(told)?;
            done.chunks += dropped as u64;
            if dropped == 0 {
                break;
            }
        }
        while self.vacuum_some().map_err(told)? {}
        let w = self.writer.lock();
        let checkpoint = "PRAGMA wal_checkpoint(TRUNCATE)";
        w.conn.query_row(checkpoint, (), |_| Ok(())).map_err(|error| told(error.into()))?;
        done.bytes_after = length(&w.conn).map_err(told)?;
        Ok(done)
    }

    /// Drops the rows that nothing looks at. A row that goes may have been the last that looked at others, so until none goes.
    fn drop_unseen(&self, w: &mut Writer) -> Res<u64> {
        w.conn.execute_batch("CREATE TEMP TABLE IF NOT EXISTS pin (epoch INTEGER PRIMARY KEY)")?;
        let mut rows = 0;
        loop {
            w.conn.execute("DELETE FROM temp.pin", ())?;
            let pins = "INSERT OR IGNORE INTO temp.pin SELECT epoch FROM snapshot \
                        UNION SELECT origin_epoch FROM inode WHERE origin_epoch IS NOT NULL \
                        UNION SELECT origin_epoch FROM inode_old WHERE origin_epoch IS NOT NULL";
            w.conn.execute(pins, ())?;
            let mut round = 0;
            for table in ["inode_old", "entry_old", "extent_old"] {
                round += w.conn.execute(&format!("DELETE FROM {table} WHERE {UNSEEN}"), ())?;
            }
            if round == 0 {
                break;
            }
            rows += round as u64;
        }
        crate::snapshot::recount_chunks(w)?;
        self.recount(w)?;
        w.pinned_epoch = w.find_pinned_epoch()?;
        Ok(rows)
    }

    /// Gives some free pages back to the host; answers whether there may be more.
    fn vacuum_some(&self) -> Res<bool> {
        let mut w = self.writer.lock();
        self.commit_under(&mut w)?;
        let free = |w: &Writer| w.conn.pragma_query_value(None, "freelist_count", |row| row.get::<_, i64>(0));
        let before = free(&w)?;
        if before == 0 {
            return Ok(false);
        }
        {
            let mut statement = w.conn.prepare(&format!("PRAGMA incremental_vacuum({PAGES_AT_ONCE})"))?;
            let mut rows = statement.query(())?;
            while rows.next()?.is_some() {}
        }
        Ok(free(&w)? < before)
    }

    /// Counts what is in the database anew.
    pub(crate) fn recount(&self, w: &Writer) -> Res<()> {
        let (bytes, inodes) = self.counted(&w.conn)?;
        self.quota.set(bytes, inodes);
        Ok(())
    }

    /// What is in the database: bytes that count, and inodes but the root.
    pub(crate) fn counted(&self, conn: &Connection) -> Res<(u64, u64)> {
        let sql = format!(
            "SELECT (SELECT ifnull(sum(bytes), 0) FROM chunk WHERE refs > 0) + \
             (SELECT ifnull(sum({} + ifnull(length(xattrs), 0) + ifnull(length(data), 0)), 0) FROM inode) + \
             (SELECT ifnull(sum({} + length(CAST(name AS BLOB))), 0) FROM entry), (SELECT count(*) - 1 FROM inode)",
            crate::quota::INODE_BYTES,
            crate::quota::ENTRY_BYTES
        );
        let (bytes, inodes): (i64, i64) = conn.query_row(&sql, (), |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok((u64::try_from(bytes).unwrap_or_default(), u64::try_from(inodes).unwrap_or_default()))
    }

    /// Deletes what has no name and nobody holds: what was open when the last session ended.
    pub(crate) fn delete_orphans(&self, w: &mut Writer) -> Res<()> {
        let sql = "SELECT ino FROM inode INDEXED BY inode_orphan WHERE links = 0";
        let orphans = w.conn.prepare(sql)?.query_map((), |row| row.get(0))?.collect::<Result<Vec<i64>, _>>()?;
        for ino in orphans {
            if ino == crate::core::ROOT || self.nodes.peek(ino).is_some_and(|inode| inode.is_held()) {
                continue;
            }
            // A row that cannot be read is for `check` to tell of.
            if let Some(mut record) = self.row_at(&w.conn, ino, i64::MAX).unwrap_or_default() {
                self.delete_inode(w, ino, &mut record)?;
            }
        }
        Ok(())
    }
}

fn length(conn: &Connection) -> Res<u64> {
    let number = |pragma| conn.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0));
    Ok(u64::try_from(number("page_count")?.saturating_mul(number("page_size")?)).unwrap_or_default())
}
