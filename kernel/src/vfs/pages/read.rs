//! Reading through the cache.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use event_listener::EventListener;

use super::ahead::blocks;
use super::chunk::{BLOCK, BLOCK_BYTES, Chunk};
use super::file::{self, FilePages, Slot, State};
use super::fill::{Fill, Filled};
use super::{CachedFile, MountPages};
use crate::Errno;
use crate::backend::CHUNK_BYTES_MAX;
use crate::runtime;

/// From how many bytes on what is not there is read straight into the reader's buffer, where the backend computes.
const DIRECT_BYTES_MIN: usize = 64 << 10;

/// The most blocks that one call brings.
const FILL_BLOCKS_MAX: u64 = CHUNK_BYTES_MAX as u64 / BLOCK;
/// The same, in bytes.
const FILL_BYTES_MAX: usize = FILL_BLOCKS_MAX as usize * BLOCK_BYTES;

/// What one step of a read gave.
struct Step {
    count: usize,
    /// The backend had less than it should: the file ends here.
    is_last: bool,
}

impl Step {
    fn of(count: usize) -> Self {
        Self { count, is_last: false }
    }
}

/// What the block of an offset is.
enum Found {
    /// There: its bytes, from where it begins in a chunk, and how many.
    Held(Arc<Chunk>, usize, usize),
    /// A hole that was made by a write past the end, and is not in the backend yet.
    Hole,
    /// Others are filling it: wait.
    Wait(EventListener),
    /// To be brought: there are so many bytes up to something that is there, or the end of what the backend has.
    Absent { available: u64, stored: u64 },
}

impl FilePages {
    /// Reads at `offset`, until the buffer is full or the file ends.
    pub(super) fn read(&self, file: &Arc<CachedFile>, buffer: &mut [u8], offset: u64) -> Result<usize, Errno> {
        let inode = file.inode();
        let mount = Self::mount(inode)?;
        let Some(size) = self.view(inode, mount)? else {
            return read_through(file, buffer, offset);
        };
        let end = offset.saturating_add(buffer.len() as u64).min(size);
        let Some(length) = end.checked_sub(offset).and_then(|length| usize::try_from(length).ok()) else {
            return Ok(0);
        };
        let window = file.ahead.lock().window(offset, length);
        let buffer = buffer.get_mut(..length).unwrap_or_default();
        let mut done = 0;
        while done < length {
            let target = buffer.get_mut(done..).unwrap_or_default();
            match self.read_some(file, mount, target, offset + done as u64, window) {
                Ok(step) => {
                    done += step.count;
                    if step.is_last {
                        break;
                    }
                }
                // What was read is told; the error comes again with the next call.
                Err(errno) if done == 0 => return Err(errno),
                Err(_) => break,
            }
        }
        if window > 0 && mount.far {
            self.read_ahead(file);
        }
        Ok(done)
    }

    /// Reads some bytes that lie before the end of the file.
    fn read_some(
        &self,
        file: &Arc<CachedFile>,
        mount: &MountPages,
        target: &mut [u8],
        offset: u64,
        mut window: u64,
    ) -> Result<Step, Errno> {
        loop {
            let (index, within) = file::place(offset);
            let state = self.lock();
            let (available, stored) = match find(&state, offset, || self.listen()) {
                Found::Held(chunk, at, length) => {
                    drop(state);
                    let bytes = chunk.bytes.get(at..at + length).unwrap_or_default();
                    return Ok(Step::of(copy_block(target, within, bytes)));
                }
                Found::Hole => return Ok(Step::of(copy_block(target, within, &[]))),
                Found::Wait(listener) => {
                    drop(state);
                    file::wait(listener);
                    continue;
                }
                Found::Absent { available, stored } => (available, stored),
            };
            let direct = usize::try_from(available).unwrap_or(usize::MAX).min(target.len());
            if !mount.far && direct >= DIRECT_BYTES_MIN {
                drop(state);
                return read_direct(file, target.get_mut(..direct).unwrap_or_default(), offset);
            }
            let needed = blocks((within + direct) as u64);
            let there = blocks(available.saturating_add(within as u64));
            let wanted = needed.max(blocks(window)).min(there).clamp(1, FILL_BLOCKS_MAX);
            let fill = self.begin(state, index..index + wanted);
            match self.fill(file, fill, stored) {
                Ok(Filled::Bytes(chunk, got)) => {
                    file.ahead.lock().filled((index + wanted) * BLOCK, mount.far);
                    let count = copy(target, chunk.bytes.get(within..got).unwrap_or_default());
                    return Ok(Step { count, is_last: count < direct.min(FILL_BYTES_MAX - within) });
                }
                Ok(Filled::NoRoom) => {
                    return read_direct(file, target.get_mut(..direct).unwrap_or_default(), offset);
                }
                // It may be what was to be read ahead that cannot be read.
                Err(_) if wanted > needed => {
                    file.ahead.lock().failed();
                    window = 0;
                }
                Err(errno) => return Err(errno),
            }
        }
    }

    /// Marks blocks as being filled.
    fn begin(&self, mut state: parking_lot::MutexGuard<'_, State>, blocks: std::ops::Range<u64>) -> Fill<'_> {
        let ticket = state.mark(blocks.clone());
        drop(state);
        Fill::new(self, blocks, ticket)
    }

    /// Reads the next window by another thread, when it is due and nothing is read ahead already.
    fn read_ahead(&self, file: &Arc<CachedFile>) {
        let Some((start, window)) = file.ahead.lock().due() else { return };
        if file.reads_ahead.swap(true, Relaxed) {
            return;
        }
        let mut state = self.lock();
        let (index, stored) = (start / BLOCK, state.stored());
        let end = state.next_taken(index).min(blocks(stored)).min(index + blocks(window).min(FILL_BLOCKS_MAX));
        if end <= index {
            drop(state);
            file.reads_ahead.store(false, Relaxed);
            return;
        }
        let ticket = state.mark(index..end);
        drop(state);
        let file = file.clone();
        runtime::spawn(async move {
            if let Some(pages) = file.inode().pages() {
                match pages.fill(&file, Fill::new(pages, index..end, ticket), stored) {
                    Ok(Filled::Bytes(..)) => file.ahead.lock().filled(end * BLOCK, true),
                    // Nobody asked for it yet: who does, asks the backend again.
                    Ok(Filled::NoRoom) | Err(_) => file.ahead.lock().failed(),
                }
            }
            file.reads_ahead.store(false, Relaxed);
        });
    }
}

/// What is at an offset before the end of the file.
fn find(state: &State, offset: u64, listen: impl FnOnce() -> EventListener) -> Found {
    let (index, _) = file::place(offset);
    match state.slots.get(&index) {
        Some(Slot::Held(block)) => {
            block.chunk.touch();
            // Copied without the lock: the count alone is what others wait for.
            Found::Held(block.chunk.clone(), block.at, block.length)
        }
        Some(Slot::Busy(_) | Slot::Claimed(_)) => Found::Wait(listen()),
        None if offset >= state.stored() => Found::Hole,
        None => {
            let stored = state.stored();
            let end = state.next_taken(index).saturating_mul(BLOCK).min(stored);
            Found::Absent { available: end - offset, stored }
        }
    }
}

/// Copies what fits.
fn copy(target: &mut [u8], bytes: &[u8]) -> usize {
    let count = bytes.len().min(target.len());
    let (target, bytes) = (target.get_mut(..count).unwrap_or_default(), bytes.get(..count).unwrap_or_default());
    target.copy_from_slice(bytes);
    count
}

/// Copies a block from `within` on, which has these bytes and zeroes behind them.
fn copy_block(target: &mut [u8], within: usize, block: &[u8]) -> usize {
    let length = target.len().min(BLOCK_BYTES - within);
    let target = target.get_mut(..length).unwrap_or_default();
    let count = copy(target, block.get(within..).unwrap_or_default());
    target.get_mut(count..).unwrap_or_default().fill(0);
    length
}

/// Reads bytes that the backend should have, past the cache.
fn read_direct(file: &CachedFile, target: &mut [u8], offset: u64) -> Result<Step, Errno> {
    let expected = target.len();
    let count = read_through(file, target, offset)?;
    let is_last = count < expected;
    if is_last {
        file.inode().distrust();
    }
    Ok(Step { count, is_last })
}

/// Reads past the cache, in pieces that a backend takes, until the buffer is full or the file ends.
fn read_through(file: &CachedFile, buffer: &mut [u8], offset: u64) -> Result<usize, Errno> {
    let inode = file.inode();
    let mut done = 0;
    for piece in buffer.chunks_mut(CHUNK_BYTES_MAX) {
        let count = match inode.fs().read(inode.node(), file.handle(), offset.saturating_add(done as u64), piece) {
            Ok(count) if count <= piece.len() => count,
            Ok(_) => return Err(Errno::Io),
            Err(errno) => return if done > 0 { Ok(done) } else { Err(errno) },
        };
        done += count;
        if count < piece.len() {
            break;
        }
    }
    inode.was_read();
    Ok(done)
}
