//! Writing a file, and cutting it.
//!
//! What is written waits in memory: a short file in its record, a longer one in chunks. So small writes one after the other change one chunk,
//! and that is hashed and carried into the database once.

use std::sync::Arc;

use eyot_backend::{Errno, Node, Timestamp};
use rusqlite::Connection;

use crate::core::{Core, Source};
use crate::dirty::DirtyChunk;
use crate::error::Res;
use crate::nodes::Inode;
use crate::record::{Body, FILE_BYTES_MAX, Record};
use crate::writer::Writer;

/// Why a write went no further.
#[derive(PartialEq, Eq)]
enum Stop {
    Done,
    /// What was there before is in the batch, which only the writer's connection sees.
    NeedsBatch,
    Full,
}

impl Core {
    pub(crate) fn write(&self, node: Node, offset: u64, bytes: &[u8]) -> Res<usize> {
        self.usable()?;
        let now = self.now();
        let inode = self.node(node)?;
        if bytes.is_empty() {
            inode.read()?.file()?;
            return Ok(0);
        }
        let mut done = 0;
        let mut is_last_try = false;
        while let Some(rest) = bytes.get(done..).filter(|rest| !rest.is_empty()) {
            let at = offset.saturating_add(done as u64);
            let room = FILE_BYTES_MAX.saturating_sub(at);
            let rest = rest.get(..usize::try_from(room).unwrap_or(usize::MAX)).unwrap_or(rest);
            if rest.is_empty() {
                inode.read()?.file()?;
                return if done > 0 { Ok(done) } else { Err(Errno::Fbig.into()) };
            }
            let (mut count, mut stop) = self.write_from(&inode, at, rest, now, None)?;
            if stop == Stop::NeedsBatch && count == 0 {
                let w = self.writer.lock();
                (count, stop) = self.write_from(&inode, at, rest, now, Some(&w.conn))?;
            }
            done += count;
            if stop == Stop::Full {
                // What waits is counted in full; in the database it may be there already, or replace something.
                if is_last_try {
                    return if done > 0 { Ok(done) } else { Err(Errno::Nospc.into()) };
                }
                self.commit()?;
                is_last_try = true;
            }
        }
        self.relieve(&inode, offset.saturating_add(done as u64))?;
        Ok(done)
    }

    /// Carries out what waits when it is much, so that memory stays bounded.
    fn relieve(&self, inode: &Arc<Inode>, end: u64) -> Res<()> {
        self.flusher.wake();
        if self.quota.reserved() >= self.options.dirty_bytes_max {
            self.commit()?;
            return Ok(());
        }
        let waiting = inode.read().map_or(0, |record| record.reserved);
        let max = self.options.file_dirty_bytes_max;
        // In the middle of a chunk a little longer: it would have to be read again.
        let is_whole = end.is_multiple_of(self.chunk_bytes as u64);
        if waiting >= max && (is_whole || waiting >= max.saturating_add(max / 4)) {
            self.write_out(inode)?;
        }
        Ok(())
    }

    /// Carries a file into the batch. The hashes are computed before the writer is asked for.
    pub(crate) fn write_out(&self, inode: &Arc<Inode>) -> Res<()> {
        {
            let Ok(mut record) = inode.write() else { return Ok(()) };
            for chunk in record.chunks.values_mut() {
                chunk.hash();
            }
        }
        self.change(|w| self.write_inode(w, inode))
    }

    fn write_from(
        &self,
        inode: &Arc<Inode>,
        offset: u64,
        bytes: &[u8],
        now: Timestamp,
        batch: Option<&Connection>,
    ) -> Res<(usize, Stop)> {
        let mut guard = inode.write()?;
        let record = &mut *guard;
        record.file()?;
        let end = offset.checked_add(bytes.len() as u64).ok_or(Errno::Fbig)?;
        if let Body::Inline(_) = record.body {
            if end <= self.options.inline_bytes_max as u64 {
                if self.write_inline(record, offset as usize, bytes).is_err() {
                    return Ok((0, Stop::Full));
                }
                record.touch(now);
                self.mark(inode, record);
                return Ok((bytes.len(), Stop::Done));
            }
            self.leave_row(record);
        }
        let mut done = 0;
        let mut stop = Stop::Done;
        while let Some(rest) = bytes.get(done..).filter(|rest| !rest.is_empty()) {
            let at = offset + done as u64;
            let (index, start) = (at / self.chunk_bytes as u64, (at % self.chunk_bytes as u64) as usize);
            let part = rest.get(..self.chunk_bytes - start).unwrap_or(rest);
            stop = self.write_part(inode.ino, record, index, (start, part), batch)?;
            if stop != Stop::Done {
                break;
            }
            done += part.len();
            record.size = record.size.max(at + part.len() as u64);
        }
        if done > 0 {
            record.touch(now);
            self.mark(inode, record);
        }
        Ok((done, stop))
    }

    fn write_inline(&self, record: &mut Record, start: usize, part: &[u8]) -> Result<(), Errno> {
        let Body::Inline(bytes) = &mut record.body else { return Err(Errno::Io) };
        let end = start + part.len();
        let growth = end.saturating_sub(bytes.len());
        if growth > 0 {
            self.quota.reserve(growth as u64)?;
            record.reserved += growth as u64;
            bytes.resize(end, 0);
            record.size = end as u64;
        }
        bytes.get_mut(start..end).ok_or(Errno::Io)?.copy_from_slice(part);
        Ok(())
    }

    /// Makes a file of chunks of one that was in its row.
    fn leave_row(&self, record: &mut Record) {
        let Body::Inline(bytes) = std::mem::replace(&mut record.body, Body::Chunks) else { return };
        record.extents_end = 0;
        record.stored = 0;
        if !bytes.is_empty() {
            // What is in the row stays counted until the row is written again.
            self.quota.reserve_always(bytes.len() as u64);
            record.reserved += bytes.len() as u64;
            record.chunks.insert(0, DirtyChunk { bytes, ..DirtyChunk::default() });
        }
    }

    /// Writes within one chunk.
    fn write_part(
        &self,
        ino: i64,
        record: &mut Record,
        index: u64,
        (start, part): (usize, &[u8]),
        batch: Option<&Connection>,
    ) -> Res<Stop> {
        let mut reserved = record.reserved;
        if let Some(chunk) = record.chunks.get_mut(&index) {
            let put = chunk.put(start, part, &self.quota, &mut reserved);
            record.reserved = reserved;
            return Ok(if put.is_ok() { Stop::Done } else { Stop::Full });
        }
        let mut chunk = DirtyChunk::default();
        if index < record.extents_end {
            let chunk_start = index * self.chunk_bytes as u64;
            let known = record.size.saturating_sub(chunk_start).min(self.chunk_bytes as u64);
            let replaces_all = start == 0 && part.len() as u64 >= known;
            let Some(old) = self.old_chunk(ino, record, index, replaces_all, batch)? else {
                return Ok(Stop::NeedsBatch);
            };
            chunk = old;
        }
        let loaded = chunk.bytes.len() as u64;
        if self.quota.reserve(loaded).is_err() {
            return Ok(Stop::Full);
        }
        if chunk.put(start, part, &self.quota, &mut reserved).is_err() {
            self.quota.release(loaded);
            return Ok(Stop::Full);
        }
        record.reserved = reserved + loaded;
        record.chunks.insert(index, chunk);
        self.cache.remove((ino, index));
        Ok(Stop::Done)
    }

    /// The chunk that a file has in the database, to be changed: its bytes, or only how many they are. `None`: only the batch has it.
    fn old_chunk(
        &self,
        ino: i64,
        record: &Record,
        index: u64,
        replaces_all: bool,
        batch: Option<&Connection>,
    ) -> Res<Option<DirtyChunk>> {
        let load = |conn: &Connection| self.load_chunk(conn, ino, record, index, replaces_all);
        match (self.source(record), batch) {
            (_, Some(conn)) => load(conn).map(Some),
            (Source::Committed, None) => self.readers.with(load).map(Some),
            (Source::Batch, None) => Ok(None),
        }
    }

    fn load_chunk(
        &self,
        conn: &Connection,
        ino: i64,
        record: &Record,
        index: u64,
        replaces_all: bool,
    ) -> Res<DirtyChunk> {
        let mut chunk = DirtyChunk::default();
        if replaces_all {
            chunk.stored_bytes = self.extent_bytes(conn, ino, record.origin, index)?;
        } else {
            self.read_extents(conn, (ino, record.origin), (index, index), |_, bytes| chunk.bytes = bytes.to_vec())?;
            chunk.stored_bytes = chunk.bytes.len() as u64;
        }
        Ok(chunk)
    }

    /// Cuts a file, or extends it with zeroes that take no space.
    pub(crate) fn set_size(&self, w: &mut Writer, inode: &Arc<Inode>, size: u64) -> Res<()> {
        let mut guard = inode.write()?;
        let record = &mut *guard;
        record.file()?;
        if size > FILE_BYTES_MAX {
            return Err(Errno::Fbig.into());
        }
        let is_short = size <= self.options.inline_bytes_max as u64;
        match &mut record.body {
            Body::Inline(bytes) if is_short => {
                let growth = size.saturating_sub(bytes.len() as u64);
                self.quota.reserve(growth)?;
                record.reserved += growth;
                bytes.resize(size as usize, 0);
            }
            Body::Inline(_) => self.leave_row(record),
            Body::Chunks if size >= record.size => {}
            Body::Chunks if is_short => self.return_to_row(w, inode.ino, record, size as usize)?,
            Body::Chunks => self.cut(w, inode.ino, record, size)?,
            Body::None => return Err(Errno::Io.into()),
        }
        record.size = size;
        self.mark(inode, record);
        Ok(())
    }

    /// Makes a file in its row of one of chunks that became short.
    fn return_to_row(&self, w: &mut Writer, ino: i64, record: &mut Record, size: usize) -> Res<()> {
        let mut bytes = match record.chunks.remove(&0) {
            _ if size == 0 => Vec::new(),
            Some(chunk) => chunk.bytes,
            None => self.load_chunk(&w.conn, ino, record, 0, false)?.bytes,
        };
        bytes.resize(size, 0);
        self.drop_contents(w, ino, record)?;
        self.quota.reserve_always(size as u64);
        record.reserved = size as u64;
        record.body = Body::Inline(bytes);
        Ok(())
    }

    fn cut(&self, w: &mut Writer, ino: i64, record: &mut Record, size: u64) -> Res<()> {
        self.own_extents(w, ino, record)?;
        let (last, within) = (size / self.chunk_bytes as u64, (size % self.chunk_bytes as u64) as usize);
        let first_cut = size.div_ceil(self.chunk_bytes as u64);
        let before: u64 = record.chunks.values().map(|chunk| chunk.bytes.len() as u64).sum();
        let mut loaded = 0;
        drop(record.chunks.split_off(&first_cut));
        if within > 0 {
            if let Some(chunk) = record.chunks.get_mut(&last) {
                chunk.bytes.truncate(within);
                chunk.hash = None;
            } else if last < record.extents_end {
                let mut chunk = self.load_chunk(&w.conn, ino, record, last, false)?;
                if chunk.bytes.len() > within {
                    chunk.bytes.truncate(within);
                    loaded = within as u64;
                    record.chunks.insert(last, chunk);
                }
            }
        }
        let after: u64 = record.chunks.values().map(|chunk| chunk.bytes.len() as u64).sum();
        let gone = before.saturating_sub(after.saturating_sub(loaded)).min(record.reserved);
        self.quota.release(gone);
        self.quota.reserve_always(loaded);
        record.reserved = record.reserved - gone + loaded;
        let went = self.cut_extents(w, ino, first_cut)?;
        record.stored = record.stored.saturating_sub(went);
        record.extents_end = record.extents_end.min(first_cut);
        record.batch = w.batch;
        self.cache.remove_from(ino, last);
        Ok(())
    }
}
