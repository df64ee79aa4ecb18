//! Reading a file.

use std::ops::Range;

use eyot_backend::{CHUNK_BYTES_MAX, Errno, Node};
use rusqlite::Connection;

use crate::core::{Core, Source};
use crate::dirty::copy_or_zero;
use crate::error::Res;
use crate::nodes::Inode;
use crate::record::{Body, Record};

/// What a read came to.
struct Taken {
    count: usize,
    /// Whether its time is to be noted.
    note: bool,
}

impl Core {
    pub(crate) fn read(&self, node: Node, offset: u64, buffer: &mut [u8]) -> Res<usize> {
        let length = buffer.len().min(CHUNK_BYTES_MAX);
        let buffer = buffer.get_mut(..length).unwrap_or_default();
        let inode = self.node(node)?;
        let mut taken = self.read_from(&inode, offset, buffer, None)?;
        if taken.is_none() {
            let w = self.writer.lock();
            taken = self.read_from(&inode, offset, buffer, Some(&w.conn))?;
        }
        let taken = taken.ok_or(Errno::Io)?;
        if taken.note {
            self.note_access(&inode);
        }
        Ok(taken.count)
    }

    /// Reads what is in memory or committed; the rest only by the writer's connection. `None`: there is such a rest, and no such connection.
    fn read_from(
        &self,
        inode: &Inode,
        offset: u64,
        buffer: &mut [u8],
        batch: Option<&Connection>,
    ) -> Res<Option<Taken>> {
        let record = inode.read()?;
        record.file()?;
        let rest = record.size.saturating_sub(offset);
        let count = usize::try_from(rest).unwrap_or(usize::MAX).min(buffer.len());
        let buffer = buffer.get_mut(..count).unwrap_or_default();
        let note = record.wants_accessed();
        if let Body::Inline(bytes) = &record.body {
            copy_or_zero(bytes, usize::try_from(offset).unwrap_or(usize::MAX), buffer);
        } else if !buffer.is_empty() && !self.read_chunks(inode.ino, &record, offset, buffer, batch)? {
            return Ok(None);
        }
        Ok(Some(Taken { count, note }))
    }

    fn read_chunks(
        &self,
        ino: i64,
        record: &Record,
        offset: u64,
        buffer: &mut [u8],
        batch: Option<&Connection>,
    ) -> Res<bool> {
        let span = Span { chunk_bytes: self.chunk_bytes, offset, length: buffer.len() };
        let (first, last) = (span.index(0), span.index(buffer.len() - 1));
        // The chunks that neither memory nor the file's shape knows; at most a mebibyte is read, so they fit.
        let mut missing = 0_u64;
        for (slot, index) in (first..=last).enumerate() {
            let (start, range) = span.piece(index);
            let target = buffer.get_mut(range).ok_or(Errno::Io)?;
            if let Some(chunk) = record.chunks.get(&index) {
                chunk.copy(start, target);
            } else if index >= record.extents_end {
                target.fill(0);
            } else if let Some(bytes) = self.cache.get((ino, index)) {
                copy_or_zero(&bytes, start, target);
            } else {
                target.fill(0);
                missing |= 1 << slot;
            }
        }
        if missing == 0 {
            return Ok(true);
        }
        let from = first + u64::from(missing.trailing_zeros());
        let to = first + u64::from(63 - missing.leading_zeros());
        let copy = |index: u64, bytes: &[u8]| {
            if missing & (1 << (index - first)) == 0 {
                return;
            }
            let (start, range) = span.piece(index);
            let whole = range.len() >= bytes.len();
            if let Some(target) = buffer.get_mut(range) {
                copy_or_zero(bytes, start, target);
            }
            // Who reads whole chunks goes on to the next; who reads parts comes back.
            if !whole {
                self.cache.put((ino, index), bytes);
            }
        };
        let file = (ino, record.origin);
        match (self.source(record), batch) {
            (_, Some(conn)) => self.read_extents(conn, file, (from, to), copy)?,
            (Source::Committed, None) => self.readers.with(|conn| self.read_extents(conn, file, (from, to), copy))?,
            (Source::Batch, None) => return Ok(false),
        }
        Ok(true)
    }
}

/// A piece of a file, and how it lies across chunks.
#[derive(Clone, Copy)]
struct Span {
    chunk_bytes: usize,
    offset: u64,
    length: usize,
}

impl Span {
    /// The index of the chunk in which byte `at` of the piece is.
    fn index(self, at: usize) -> u64 {
        (self.offset + at as u64) / self.chunk_bytes as u64
    }

    /// Where in the chunk `index` the piece begins, and what range of the piece lies in it.
    fn piece(self, index: u64) -> (usize, Range<usize>) {
        let chunk_start = index * self.chunk_bytes as u64;
        let start = self.offset.saturating_sub(chunk_start) as usize;
        let from = chunk_start.saturating_sub(self.offset) as usize;
        let to = (from + self.chunk_bytes - start).min(self.length);
        (start, from..to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_cover_a_span_without_gaps() {
        for (offset, length) in [(0, 1), (0, 10), (3, 7), (9, 1), (9, 2), (15, 40), (20, 20)] {
            let span = Span { chunk_bytes: 10, offset, length };
            let mut next = 0;
            for index in span.index(0)..=span.index(length - 1) {
                let (start, range) = span.piece(index);
                assert_eq!(range.start, next);
                assert!(!range.is_empty() && start + range.len() <= 10);
                assert_eq!(index * 10 + start as u64, offset + range.start as u64);
                next = range.end;
            }
            assert_eq!(next, length);
        }
    }
}
