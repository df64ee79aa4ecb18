//! Writing into the cache, or past it.

use std::ops::Range;
use std::sync::Arc;

use super::chunk::{BLOCK, BLOCK_BYTES, Room};
use super::file::{self, Block, Dirty, FilePages, Slot};
use super::fill::{Fill, Filled};
use super::{CachedFile, MountPages};
use crate::Errno;
use crate::backend::{CHUNK_BYTES_MAX, Timestamp};
use crate::limits::{Charge, Limit};

/// From how many bytes on a write goes past the cache, where the backend computes.
const DIRECT_BYTES_MIN: usize = 64 << 10;
/// How often a block is looked for that goes away again before it is written to.
const ATTEMPTS_MAX: usize = 4;

impl FilePages {
    /// Writes at `offset`; answers how many bytes were taken.
    pub(super) fn write(&self, file: &Arc<CachedFile>, bytes: &[u8], offset: u64) -> Result<usize, Errno> {
        let mount = Self::mount(file.inode())?;
        if !self.writes_back(mount) {
            let dirty = self.is_dirty();
            return if dirty { self.write_past(file, bytes, offset) } else { self.write_through(file, bytes, offset) };
        }
        if !mount.far && bytes.len() >= DIRECT_BYTES_MIN {
            return self.write_past(file, bytes, offset);
        }
        if self.view(file.inode(), mount)?.is_none() {
            return self.write_past(file, bytes, offset);
        }
        let mut done = 0;
        while done < bytes.len() {
            let at = offset + done as u64;
            let (_, within) = file::place(at);
            let rest = bytes.get(done..).unwrap_or_default();
            let piece = rest.get(..BLOCK_BYTES - within).unwrap_or(rest);
            let written = match self.write_block(file, mount, piece, at) {
                Ok(true) => Ok(piece.len()),
                Ok(false) => self.write_past(file, piece, at),
                Err(errno) => Err(errno),
            };
            match written {
                Ok(count) => done += count,
                Err(errno) if done == 0 => return Err(errno),
                Err(_) => break,
            }
        }
        Ok(done)
    }

    /// Puts bytes into one block. `false`: there is no room, and they must go past the cache.
    fn write_block(
        &self,
        file: &Arc<CachedFile>,
        mount: &MountPages,
        bytes: &[u8],
        offset: u64,
    ) -> Result<bool, Errno> {
        let (index, within) = file::place(offset);
        let (mut room, mut receipt): (Option<Room>, Option<Charge>) = (None, None);
        let mut attempts = 0;
        loop {
            let mut state = self.lock();
            let stored = state.stored();
            let in_backend = usize::try_from(stored.saturating_sub(index * BLOCK).min(BLOCK)).unwrap_or(BLOCK_BYTES);
            let dirty = match state.slots.get_mut(&index) {
                Some(Slot::Busy(_) | Slot::Claimed(_)) => {
                    let listener = self.listen();
                    drop(state);
                    file::wait(listener);
                    continue;
                }
                Some(Slot::Held(block)) => block.dirty.is_some(),
                // What the block has besides is needed, too.
                None if in_backend > 0 && (within > 0 || bytes.len() < in_backend) => {
                    attempts += 1;
                    if attempts > ATTEMPTS_MAX {
                        return Ok(false);
                    }
                    let ticket = state.mark(index..index + 1);
                    drop(state);
                    match self.fill(file, Fill::new(self, index..index + 1, ticket), stored)? {
                        Filled::Bytes(..) => continue,
                        Filled::NoRoom => return Ok(false),
                    }
                }
                None => false,
            };
            if !dirty && receipt.is_none() {
                drop(state);
                receipt = self.receipt(file, mount);
                if receipt.is_none() {
                    return Ok(false);
                }
                continue;
            }
            let new = match state.slots.get_mut(&index) {
                Some(Slot::Held(block)) => {
                    if !block.put(within, bytes) {
                        let Some(room) = room.take() else {
                            drop(state);
                            // A block that is dirty already must take it: its flush would undo what is written past it.
                            room = mount.cache.room(BLOCK_BYTES);
                            if room.is_none() && !dirty {
                                return Ok(false);
                            }
                            room = room.or_else(|| mount.cache.room_past_the_limit());
                            if room.is_none() {
                                return Err(Errno::Nomem);
                            }
                            continue;
                        };
                        block.move_to(room.into_chunk(file.inode(), index));
                        if !block.put(within, bytes) {
                            return Err(Errno::Io);
                        }
                    }
                    mark(block, within..within + bytes.len(), &mut receipt)
                }
                _ => {
                    let Some(room) = room.take() else {
                        drop(state);
                        room = mount.cache.room(BLOCK_BYTES);
                        if room.is_none() {
                            return Ok(false);
                        }
                        continue;
                    };
                    let mut block = Block::clean(room.into_chunk(file.inode(), index), 0, 0);
                    if !block.put(within, bytes) {
                        return Err(Errno::Io);
                    }
                    let new = mark(&mut block, within..within + bytes.len(), &mut receipt);
                    state.slots.insert(index, Slot::Held(block));
                    new
                }
            };
            state.dirty.blocks += u64::from(new);
            let end = offset + bytes.len() as u64;
            let listed = state.dirty.listed;
            state.dirty.end = state.dirty.end.max(end);
            state.dirty.modified = state.dirty.modified.max(Timestamp::now());
            state.dirty.seen = false;
            if listed.is_none() {
                state.dirty.writer = Some(file.clone());
                state.dirty.listed = Some(mount.cache.dirty.insert(file.inode()));
            }
            Self::push(file, mount, &mut state);
            return Ok(true);
        }
    }

    /// The right to one more dirty block. When there are too many, some are flushed. `None`: there are too many all the same.
    fn receipt(&self, file: &CachedFile, mount: &MountPages) -> Option<Charge> {
        let charge = || mount.cache.accountant.charge(Limit::DirtyPageBytes, BLOCK).ok();
        if let Some(charge) = charge() {
            return Some(charge);
        }
        // This file's first: who writes much waits for it. What fails is told by fsync.
        let _ = self.flush();
        if let Some(charge) = charge() {
            return Some(charge);
        }
        let other = mount.cache.dirty.oldest_but(file.inode())?;
        let _ = other.write_back();
        charge()
    }

    /// Writes to the backend and drops what was kept of it, where nothing is held back.
    fn write_through(&self, file: &CachedFile, bytes: &[u8], offset: u64) -> Result<usize, Errno> {
        let blocks = blocks_of(offset, bytes.len());
        let written = write_chunks(file, bytes, offset);
        self.wrote(file.inode(), blocks);
        file.inode().changed();
        written
    }

    /// Writes to the backend, in order with what is held back.
    fn write_past(&self, file: &CachedFile, bytes: &[u8], offset: u64) -> Result<usize, Errno> {
        let mut done = 0;
        for chunk in bytes.chunks(CHUNK_BYTES_MAX) {
            let at = offset + done as u64;
            let claim = self.claim(blocks_of(at, chunk.len()))?;
            let written = write_chunks(file, chunk, at);
            let mut state = self.lock();
            file.inode().advance();
            state.own_data = true;
            if let Ok(count) = written {
                state.stored_to(at + count as u64);
            }
            drop(state);
            self.distrust();
            drop(claim);
            file.inode().changed();
            match written {
                Ok(count) => {
                    done += count;
                    if count < chunk.len() {
                        break;
                    }
                }
                Err(errno) if done == 0 => return Err(errno),
                Err(_) => break,
            }
        }
        Ok(done)
    }

    /// Takes blocks out of the cache and marks them, so that nobody reads or writes them until the claim is dropped. What was dirty is flushed.
    fn claim(&self, blocks: Range<u64>) -> Result<Fill<'_>, Errno> {
        loop {
            let mut state = self.lock();
            let (mut busy, mut dirty) = (false, false);
            for (_, slot) in state.slots.range(blocks.clone()) {
                match slot {
                    Slot::Busy(_) | Slot::Claimed(_) => busy = true,
                    Slot::Held(block) => dirty |= !block.is_clean(),
                }
            }
            if busy {
                let listener = self.listen();
                drop(state);
                file::wait(listener);
            } else if dirty {
                drop(state);
                self.flush()?;
            } else {
                let ticket = state.claim(blocks.clone());
                return Ok(Fill::new(self, blocks, ticket));
            }
        }
    }
}

/// Notes that a part of a block was written. Answers whether the block was clean.
fn mark(block: &mut Block, range: Range<usize>, receipt: &mut Option<Charge>) -> bool {
    block.chunk.touch();
    let was_clean = block.is_clean();
    match &mut block.dirty {
        Some(dirty) => dirty.range = dirty.range.start.min(range.start)..dirty.range.end.max(range.end),
        None => block.dirty = receipt.take().map(|charge| Dirty::new(range, charge)),
    }
    was_clean
}

/// The blocks that hold so many bytes at an offset.
fn blocks_of(offset: u64, length: usize) -> Range<u64> {
    offset / BLOCK..offset.saturating_add(length as u64).div_ceil(BLOCK)
}

/// Writes in pieces that a backend takes. Answers how many bytes were taken.
pub(super) fn write_chunks(file: &CachedFile, bytes: &[u8], offset: u64) -> Result<usize, Errno> {
    let inode = file.inode();
    let mut done = 0;
    while done < bytes.len() {
        let rest = bytes.get(done..).unwrap_or_default();
        let chunk = rest.get(..CHUNK_BYTES_MAX).unwrap_or(rest);
        let count = match inode.fs().write(inode.node(), file.handle(), offset.saturating_add(done as u64), chunk) {
            Ok(count) if count <= chunk.len() && count > 0 => count,
            Ok(_) => return Err(Errno::Io),
            Err(errno) => return if done > 0 { Ok(done) } else { Err(errno) },
        };
        done += count;
    }
    Ok(done)
}
