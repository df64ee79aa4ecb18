//! Bringing blocks from the backend.

use std::ops::Range;
use std::sync::Arc;

use super::CachedFile;
use super::chunk::{BLOCK, BLOCK_BYTES, Chunk};
use super::file::{Block, FilePages};
use crate::Errno;

/// A fill that is under way: the marks of its blocks. Dropping it takes the marks that are left away, and wakes who waits for them.
pub(super) struct Fill<'a> {
    pages: &'a FilePages,
    pub(super) blocks: Range<u64>,
    ticket: u64,
}

impl<'a> Fill<'a> {
    /// For blocks that were marked.
    pub(super) fn new(pages: &'a FilePages, blocks: Range<u64>, ticket: u64) -> Self {
        Self { pages, blocks, ticket }
    }

    /// Makes a chunk's bytes the contents of the blocks whose marks are still there, of which the backend has `got` bytes.
    fn keep(&self, chunk: &Arc<Chunk>, got: usize, expected: usize) {
        let mut state = self.pages.lock();
        for index in self.blocks.clone() {
            let at = (index - self.blocks.start) as usize * BLOCK_BYTES;
            // A block that came short is not kept: the file is not as it was told.
            let whole = got >= expected.min(at + BLOCK_BYTES);
            let block = whole.then(|| Block::clean(chunk.clone(), at, got.saturating_sub(at).min(BLOCK_BYTES)));
            state.unmark(index, self.ticket, block);
        }
    }
}

impl Drop for Fill<'_> {
    fn drop(&mut self) {
        let mut state = self.pages.lock();
        for index in self.blocks.clone() {
            state.unmark(index, self.ticket, None);
        }
        drop(state);
        self.pages.tell();
    }
}

/// What a fill brought.
pub(super) enum Filled {
    /// These bytes, from the first block on; so many of them are the file's.
    Bytes(Arc<Chunk>, usize),
    /// There is no room for it.
    NoRoom,
}

impl FilePages {
    /// Fills blocks that were marked. `stored` is how long the file is in the backend.
    pub(super) fn fill(&self, file: &CachedFile, fill: Fill<'_>, stored: u64) -> Result<Filled, Errno> {
        let inode = file.inode();
        let cache = &Self::mount(inode)?.cache;
        let start = fill.blocks.start * BLOCK;
        let expected = stored.min(fill.blocks.end * BLOCK).saturating_sub(start);
        let expected = usize::try_from(expected).map_err(|_| Errno::Io)?;
        let Some(mut room) = cache.room(expected) else { return Ok(Filled::NoRoom) };
        let got = inode.fs().read(inode.node(), file.handle(), start, &mut room.bytes)?;
        if got > expected {
            return Err(Errno::Io);
        }
        let chunk = room.into_chunk(inode, fill.blocks.start);
        fill.keep(&chunk, got, expected);
        drop(fill);
        if got < expected {
            // Shorter than it was told to be: somebody cut it.
            inode.distrust();
        }
        cache.offer(&chunk);
        inode.was_read();
        Ok(Filled::Bytes(chunk, got))
    }
}
