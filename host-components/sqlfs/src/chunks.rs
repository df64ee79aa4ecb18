//! Chunks in the database: by content, counted, and which file has which.

use rusqlite::{Connection, OptionalExtension, params};

use eyot_backend::Errno;

use crate::core::Core;
use crate::error::Res;
use crate::record::{Body, Origin, Record};
use crate::writer::Writer;

/// How many extents are looked at in one go.
const PAGE: usize = 512;

/// A chunk that a file has in the database.
#[derive(Clone, Copy)]
struct Extent {
    index: i64,
    born: i64,
    chunk: i64,
}

impl Core {
    /// Calls `each` with index and bytes of every chunk of a file between two indices, both included. Where nothing is called there is a hole.
    pub(crate) fn read_extents(
        &self,
        conn: &Connection,
        (ino, origin): (i64, Option<Origin>),
        (first, last): (u64, u64),
        mut each: impl FnMut(u64, &[u8]),
    ) -> Res<()> {
        let (Ok(first), Ok(last)) = (i64::try_from(first), i64::try_from(last)) else { return Ok(()) };
        let own = "SELECT e.idx, d.data FROM extent e LEFT JOIN chunk_data d ON d.id = e.chunk \
                   WHERE e.ino = ?1 AND e.idx BETWEEN ?2 AND ?3";
        let borrowed = "SELECT e.idx, d.data FROM (SELECT idx, chunk FROM extent \
                        WHERE ino = ?1 AND idx BETWEEN ?2 AND ?3 AND born <= ?4 UNION ALL SELECT idx, chunk FROM extent_old \
                        WHERE ino = ?1 AND idx BETWEEN ?2 AND ?3 AND born <= ?4 AND died > ?4) e \
                        LEFT JOIN chunk_data d ON d.id = e.chunk";
        let mut statement = conn.prepare_cached(if origin.is_some() { borrowed } else { own })?;
        let mut rows = match origin {
            Some(origin) => statement.query(params![origin.ino, first, last, origin.epoch])?,
            None => statement.query(params![ino, first, last])?,
        };
        while let Some(row) = rows.next()? {
            let index = u64::try_from(row.get::<_, i64>(0)?).map_err(|_| Errno::Io)?;
            // A chunk that is missing or too long: the database is damaged.
            let bytes = row.get_ref(1)?.as_blob().map_err(|_| Errno::Io)?;
            if bytes.len() > self.chunk_bytes {
                return Err(Errno::Io.into());
            }
            each(index, bytes);
        }
        Ok(())
    }

    /// How many bytes the chunk `index` of a file has in the database.
    pub(crate) fn extent_bytes(&self, conn: &Connection, ino: i64, origin: Option<Origin>, index: u64) -> Res<u64> {
        let Ok(index) = i64::try_from(index) else { return Ok(0) };
        let own = "SELECT c.bytes FROM extent e JOIN chunk c ON c.id = e.chunk WHERE e.ino = ?1 AND e.idx = ?2";
        let borrowed = "SELECT c.bytes FROM (SELECT chunk FROM extent WHERE ino = ?1 AND idx = ?2 AND born <= ?3 \
                        UNION ALL SELECT chunk FROM extent_old WHERE ino = ?1 AND idx = ?2 AND born <= ?3 AND died > ?3) e \
                        JOIN chunk c ON c.id = e.chunk";
        let bytes: Option<i64> = match origin {
            Some(origin) => {
                let mut statement = conn.prepare_cached(borrowed)?;
                statement.query_row(params![origin.ino, index, origin.epoch], |row| row.get(0)).optional()?
            }
            None => conn.prepare_cached(own)?.query_row(params![ino, index], |row| row.get(0)).optional()?,
        };
        Ok(u64::try_from(bytes.unwrap_or_default()).map_err(|_| Errno::Io)?)
    }

    /// Carries the chunks of a file that wait into the batch.
    pub(crate) fn write_chunks(&self, w: &mut Writer, ino: i64, record: &mut Record) -> Res<()> {
        if record.chunks.is_empty() {
            return Ok(());
        }
        self.own_extents(w, ino, record)?;
        record.batch = w.batch;
        // They leave memory only when all are in the batch: until then, and if it fails, reads find them here.
        let mut chunks = std::mem::take(&mut record.chunks);
        let written = chunks.iter_mut().try_for_each(|(&index, chunk)| -> Res<()> {
            let at = i64::try_from(index).map_err(|_| Errno::Fbig)?;
            let came = if chunk.is_zero() {
                None
            } else {
                w.batch_bytes += chunk.bytes.len() as u64;
                let hash = chunk.hash();
                Some((self.take_chunk(w, &hash, &chunk.bytes)?, chunk.bytes.len() as u64))
            };
            let went = self.set_extent(w, ino, at, came.map(|(id, _)| id))?;
            record.stored = record.stored.saturating_sub(went).saturating_add(came.map_or(0, |(_, bytes)| bytes));
            record.extents_end = record.extents_end.max(index.saturating_add(1));
            Ok(())
        });
        if written.is_err() {
            record.chunks = chunks;
        }
        written
    }

    /// Gives a file extents of its own instead of those of its origin. Its chunks stay shared.
    pub(crate) fn own_extents(&self, w: &mut Writer, ino: i64, record: &mut Record) -> Res<()> {
        let Some(origin) = record.origin else { return Ok(()) };
        w.must_be_past(origin)?;
        let copy = "INSERT INTO extent (ino, idx, born, chunk) SELECT ?1, idx, ?2, chunk FROM \
                    (SELECT idx, chunk FROM extent WHERE ino = ?3 AND born <= ?4 UNION ALL \
                     SELECT idx, chunk FROM extent_old WHERE ino = ?3 AND born <= ?4 AND died > ?4)";
        w.conn.prepare_cached(copy)?.execute(params![ino, w.epoch, origin.ino, origin.epoch])?;
        let count = "UPDATE chunk SET refs = refs + t.n FROM (SELECT chunk AS id, count(*) AS n FROM extent \
                     WHERE ino = ?1 GROUP BY chunk) AS t WHERE chunk.id = t.id";
        w.conn.prepare_cached(count)?.execute([ino])?;
        record.origin = None;
        record.batch = w.batch;
        Ok(())
    }

    /// A reference to the chunk with these bytes, which is made when there is none.
    fn take_chunk(&self, w: &mut Writer, hash: &blake3::Hash, bytes: &[u8]) -> Res<i64> {
        let find = "SELECT id, refs FROM chunk WHERE hash = ?1";
        let found: Option<(i64, i64)> = (w.conn.prepare_cached(find)?)
            .query_row([&hash.as_bytes()[..]], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        if let Some((id, refs)) = found {
            w.conn.prepare_cached("UPDATE chunk SET refs = refs + 1 WHERE id = ?1")?.execute([id])?;
            if refs == 0 {
                self.quota.store(bytes.len() as u64);
            }
            return Ok(id);
        }
        let make = "INSERT INTO chunk (refs, bytes, hash) VALUES (1, ?1, ?2)";
        w.conn.prepare_cached(make)?.execute(params![bytes.len() as i64, &hash.as_bytes()[..]])?;
        let id = w.conn.last_insert_rowid();
        w.conn
            .prepare_cached("INSERT OR REPLACE INTO chunk_data (id, data) VALUES (?1, ?2)")?
            .execute(params![id, bytes])?;
        self.quota.store(bytes.len() as u64);
        Ok(id)
    }

    /// Takes a reference away; answers how many bytes the chunk has.
    pub(crate) fn leave_chunk(&self, w: &mut Writer, id: i64) -> Res<u64> {
        let sql = "UPDATE chunk SET refs = max(refs - 1, 0) WHERE id = ?1 RETURNING refs, bytes";
        let left: Option<(i64, i64)> =
            w.conn.prepare_cached(sql)?.query_row([id], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
        let Some((refs, bytes)) = left else { return Ok(0) };
        let bytes = u64::try_from(bytes).unwrap_or_default();
        if refs == 0 {
            self.quota.unstore(bytes);
            w.chunks_dropped += 1;
        }
        Ok(bytes)
    }

    /// Puts another chunk, or a hole, where a file has one; answers how many bytes went. A reference to the new one was taken.
    fn set_extent(&self, w: &mut Writer, ino: i64, index: i64, chunk: Option<i64>) -> Res<u64> {
        let find = "SELECT born, chunk FROM extent WHERE ino = ?1 AND idx = ?2";
        let before = (w.conn.prepare_cached(find)?)
            .query_row([ino, index], |row| Ok(Extent { index, born: row.get(0)?, chunk: row.get(1)? }))
            .optional()?;
        let went = match before {
            // The same bytes again: the reference that was taken is one too many.
            Some(before) if chunk == Some(before.chunk) => return self.leave_chunk(w, before.chunk),
            Some(before) => self.leave_extent(w, ino, before)?,
            None => 0,
        };
        if let Some(chunk) = chunk {
            let put = "INSERT OR REPLACE INTO extent (ino, idx, born, chunk) VALUES (?1, ?2, ?3, ?4)";
            w.conn.prepare_cached(put)?.execute(params![ino, index, w.epoch, chunk])?;
        } else if before.is_some() {
            w.conn.prepare_cached("DELETE FROM extent WHERE ino = ?1 AND idx = ?2")?.execute([ino, index])?;
        }
        Ok(went)
    }

    /// What becomes of a chunk that a file no longer has: kept for the snapshots that look at it, or one reference less. The row itself stays for
    /// the caller to change.
    fn leave_extent(&self, w: &mut Writer, ino: i64, extent: Extent) -> Res<u64> {
        if !w.is_pinned(extent.born) {
            return self.leave_chunk(w, extent.chunk);
        }
        let keep = "INSERT OR REPLACE INTO extent_old (ino, idx, died, born, chunk) VALUES (?1, ?2, ?3, ?4, ?5)";
        w.conn.prepare_cached(keep)?.execute(params![ino, extent.index, w.epoch, extent.born, extent.chunk])?;
        let bytes = "SELECT bytes FROM chunk WHERE id = ?1";
        let bytes: Option<i64> =
            w.conn.prepare_cached(bytes)?.query_row([extent.chunk], |row| row.get(0)).optional()?;
        Ok(u64::try_from(bytes.unwrap_or_default()).unwrap_or_default())
    }

    /// Takes all chunks of a file from `first` on away; answers how many bytes went.
    pub(crate) fn cut_extents(&self, w: &mut Writer, ino: i64, first: u64) -> Res<u64> {
        let Ok(first) = i64::try_from(first) else { return Ok(0) };
        let mut went = 0_u64;
        let mut from = first;
        loop {
            let sql = "SELECT idx, born, chunk FROM extent WHERE ino = ?1 AND idx >= ?2 ORDER BY idx LIMIT ?3";
            let page = (w.conn.prepare_cached(sql)?)
                .query_map(params![ino, from, PAGE as i64], |row| {
                    Ok(Extent { index: row.get(0)?, born: row.get(1)?, chunk: row.get(2)? })
                })?
                .collect::<Result<Vec<_>, _>>()?;
            let Some(last) = page.last().map(|extent| extent.index) else { break };
            for extent in page {
                went = went.saturating_add(self.leave_extent(w, ino, extent)?);
            }
            let Some(after) = last.checked_add(1) else { break };
            from = after;
        }
        w.conn.prepare_cached("DELETE FROM extent WHERE ino = ?1 AND idx >= ?2")?.execute([ino, first])?;
        Ok(went)
    }

    /// Drops at most `count` chunks that nobody refers to; answers how many there were.
    pub(crate) fn drop_chunks(&self, w: &Writer, count: u64) -> Res<usize> {
        let sql = "SELECT id FROM chunk INDEXED BY chunk_dead WHERE refs = 0 LIMIT ?1";
        let ids = (w.conn.prepare_cached(sql)?)
            .query_map([i64::try_from(count).unwrap_or(i64::MAX)], |row| row.get::<_, i64>(0))?
            .collect::<Result<Vec<_>, _>>()?;
        for id in &ids {
            w.conn.prepare_cached("DELETE FROM chunk WHERE id = ?1")?.execute([id])?;
            w.conn.prepare_cached("DELETE FROM chunk_data WHERE id = ?1")?.execute([id])?;
        }
        Ok(ids.len())
    }

    /// Turns a file of chunks into one of nothing; what it reserved for chunks is given back.
    pub(crate) fn drop_contents(&self, w: &mut Writer, ino: i64, record: &mut Record) -> Res<()> {
        if record.body == Body::Chunks {
            record.chunks.clear();
            if record.origin.take().is_none() {
                self.cut_extents(w, ino, 0)?;
            }
            record.batch = w.batch;
            self.cache.remove_from(ino, 0);
        }
        self.quota.release(std::mem::take(&mut record.reserved));
        record.stored = 0;
        record.extents_end = 0;
        record.body = Body::Inline(Vec::new());
        Ok(())
    }
}
