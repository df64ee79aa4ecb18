//! A chunk that waits to be written.

use eyot_backend::Errno;

use crate::quota::Quota;

/// A chunk that waits. What follows its bytes, up to a chunk's length, is zeroes.
#[derive(Clone, Default)]
pub(crate) struct DirtyChunk {
    pub bytes: Vec<u8>,
    /// How many bytes the chunk in the database has that this one will replace.
    pub stored_bytes: u64,
    /// The hash of the bytes, when it was computed since the last change.
    pub hash: Option<blake3::Hash>,
}

impl DirtyChunk {
    /// Puts `part` at `start`. Growth is reserved; nothing changes when it does not fit.
    pub(crate) fn put(&mut self, start: usize, part: &[u8], quota: &Quota, reserved: &mut u64) -> Result<(), Errno> {
        let end = start.checked_add(part.len()).ok_or(Errno::Io)?;
        let growth = end.saturating_sub(self.bytes.len());
        if growth > 0 {
            quota.reserve(growth as u64)?;
            *reserved = reserved.saturating_add(growth as u64);
            if start >= self.bytes.len() {
                self.bytes.resize(start, 0);
                self.bytes.extend_from_slice(part);
                self.hash = None;
                return Ok(());
            }
            self.bytes.resize(end, 0);
        }
        self.hash = None;
        self.bytes.get_mut(start..end).ok_or(Errno::Io)?.copy_from_slice(part);
        Ok(())
    }

    /// Computes the hash ahead of the time when the writer is held.
    pub(crate) fn hash(&mut self) -> blake3::Hash {
        *self.hash.get_or_insert_with(|| blake3::hash(&self.bytes))
    }

    pub(crate) fn is_zero(&self) -> bool {
        self.bytes.iter().all(|&byte| byte == 0)
    }

    /// Copies what is at `start` into `target`, zeroes where nothing is.
    pub(crate) fn copy(&self, start: usize, target: &mut [u8]) {
        copy_or_zero(&self.bytes, start, target);
    }
}

/// Copies what `source` has at `start` into `target`, zeroes where nothing is.
pub(crate) fn copy_or_zero(source: &[u8], start: usize, target: &mut [u8]) {
    let source = source.get(start..).unwrap_or_default();
    let count = source.len().min(target.len());
    let (head, tail) = target.split_at_mut(count);
    head.copy_from_slice(source.get(..count).unwrap_or_default());
    tail.fill(0);
}
