//! Writing to the backend what was held back.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use super::chunk::{BLOCK, BLOCK_BYTES, Chunk};
use super::file::{self, Dirtiness, FilePages, Slot, State};
use super::write::write_chunks;
use super::{CachedFile, MountPages};
use crate::Errno;
use crate::backend::{AttributeChanges, CHUNK_BYTES_MAX, Timestamp};
use crate::limits::Limit;
use crate::runtime;

/// How long flushes of a file may fail before what it holds back is given up.
const PATIENCE: Duration = Duration::from_secs(60);
/// A flush so much later than the write tells the backend when that was, though no guest has seen it: the order of files' times is as they were written.
const LATE_NS: i64 = 10_000_000;

/// The right to be the only one who flushes or cuts a file.
pub(super) struct Alone<'a>(&'a FilePages);

impl Drop for Alone<'_> {
    fn drop(&mut self) {
        self.0.lock().alone = false;
        self.0.tell();
    }
}

/// Bytes that lie behind each other and go to the backend in one call.
struct Run {
    blocks: Range<u64>,
    offset: u64,
    length: usize,
    pieces: Vec<(Arc<Chunk>, Range<usize>)>,
}

impl Run {
    /// Writes it. Answers how much of it was taken, and the error that ended it.
    fn write(&self, file: &CachedFile) -> (usize, Result<(), Errno>) {
        let gathered;
        let bytes = match self.pieces.as_slice() {
            [(chunk, range)] => chunk.bytes.get(range.clone()).unwrap_or_default(),
            pieces => {
                let mut all = Vec::new();
                if all.try_reserve_exact(self.length).is_err() {
                    return (0, Err(Errno::Nomem));
                }
                for (chunk, range) in pieces {
                    all.extend_from_slice(chunk.bytes.get(range.clone()).unwrap_or_default());
                }
                gathered = all;
                gathered.as_slice()
            }
        };
        let mut done = 0;
        while done < bytes.len() {
            match write_chunks(file, bytes.get(done..).unwrap_or_default(), self.offset + done as u64) {
                Ok(count) => done += count,
                Err(errno) => return (done, Err(errno)),
            }
        }
        (done, Ok(()))
    }
}

impl FilePages {
    /// Writes to the backend what is held back when it is called. Errors: the backend's; what it did not take is held back still.
    pub(in crate::vfs) fn flush(&self) -> Result<(), Errno> {
        let Some((alone, writer)) = self.begin_flush() else { return Ok(()) };
        let mut from = 0;
        let flushed = loop {
            let Some(run) = next_run(&mut self.lock(), &mut from) else { break Ok(()) };
            let (done, written) = run.write(&writer);
            self.settle(&writer, &run, done, written.is_ok());
            if let Err(errno) = written {
                break Err(errno);
            }
        };
        if flushed.is_ok() {
            self.tell_time(&writer);
        }
        let clean = self.end_flush(&writer, flushed);
        drop(alone);
        writer.inode().changed();
        // The last use of an open file or an inode may end here: without locks.
        drop(clean);
        flushed
    }

    /// Flushes by another thread when half of what may be held back is this file's, so that who writes need not wait for all of it.
    pub(super) fn push(file: &Arc<CachedFile>, mount: &MountPages, state: &mut State) {
        let half = mount.cache.accountant.max(Limit::DirtyPageBytes) / 2;
        if mount.far && !state.dirty.pushed && state.dirty.blocks * BLOCK >= half {
            state.dirty.pushed = true;
            let inode = file.inode().clone();
            runtime::spawn(async move {
                // Who is told of an error is kept with the file.
                let _ = inode.write_back();
            });
        }
    }

    /// `None`: there is nothing to flush.
    fn begin_flush(&self) -> Option<(Alone<'_>, Arc<CachedFile>)> {
        loop {
            let mut state = self.lock();
            if !state.is_dirty() {
                return None;
            }
            if state.alone {
                let listener = self.listen();
                drop(state);
                file::wait(listener);
                continue;
            }
            let writer = state.dirty.writer.clone()?;
            state.alone = true;
            return Some((Alone(self), writer));
        }
    }

    /// Waits until nobody flushes or cuts, and keeps others from it.
    pub(super) fn be_alone(&self) -> Alone<'_> {
        loop {
            let mut state = self.lock();
            if !state.alone {
                state.alone = true;
                return Alone(self);
            }
            let listener = self.listen();
            drop(state);
            file::wait(listener);
        }
    }

    /// A run was written, or not. What was not is dirty as before, together with what was written to its blocks meanwhile.
    fn settle(&self, writer: &CachedFile, run: &Run, done: usize, whole: bool) {
        let mut clean = Vec::new();
        let mut state = self.lock();
        writer.inode().advance();
        state.own_data = true;
        state.stored_to(run.offset + done as u64);
        let mut settled = 0;
        for (_, slot) in state.slots.range_mut(run.blocks.clone()) {
            let Slot::Held(block) = slot else { continue };
            let Some(mut flushed) = block.flushing.take() else { continue };
            match (whole, &mut block.dirty) {
                (true, Some(_)) => {}
                (true, None) => {
                    settled += 1;
                    clean.push(block.chunk.clone());
                }
                (false, Some(dirty)) => {
                    dirty.range = dirty.range.start.min(flushed.range.start)..dirty.range.end.max(flushed.range.end);
                }
                (false, empty) => {
                    flushed.range.end = flushed.range.end.min(block.length);
                    *empty = Some(flushed);
                }
            }
        }
        state.dirty.blocks -= settled;
        self.distrust();
        drop(state);
        if let Ok(mount) = Self::mount(writer.inode()) {
            clean.iter().for_each(|chunk| mount.cache.offer(chunk));
        }
    }

    /// The backend takes the time of the flush for that of the last write. Where that can be told apart, it is told the right one.
    fn tell_time(&self, writer: &CachedFile) {
        let state = self.lock();
        let modified = state.dirty.modified;
        let late = Timestamp::now().as_nanos().saturating_sub(modified.as_nanos()) > LATE_NS;
        let wanted = !state.is_dirty() && (late || state.dirty.seen);
        drop(state);
        if wanted {
            let changes = AttributeChanges { modified: Some(modified), ..AttributeChanges::default() };
            // A backend that cannot keep times has its own.
            let _ = writer.inode().fs().setattr(writer.inode().node(), &changes);
        }
    }

    /// Ends a flush. Answers what the file does not need any more.
    fn end_flush(&self, writer: &CachedFile, flushed: Result<(), Errno>) -> Option<Dirtiness> {
        let mut state = self.lock();
        let cache = &Self::mount(writer.inode()).ok()?.cache;
        match flushed {
            Ok(()) => {
                state.dirty.failing_since = None;
                state.dirty.pushed = false;
            }
            Err(errno) => {
                state.failure = Some(errno);
                self.failures.fetch_add(1, Relaxed);
                let since = *state.dirty.failing_since.get_or_insert_with(Instant::now);
                if errno == Errno::Stale || since.elapsed() >= PATIENCE {
                    self.drop_dirty(&mut state, writer, errno);
                }
            }
        }
        if state.is_dirty() {
            if let Some(number) = state.dirty.listed {
                cache.dirty.postpone(number);
            }
            return None;
        }
        let ended = std::mem::take(&mut state.dirty);
        drop(state);
        drop(ended.listed.and_then(|number| cache.dirty.remove(number)));
        Some(ended)
    }

    /// Drops what is held back, for good.
    pub(super) fn give_up(&self, errno: Errno) {
        let alone = self.be_alone();
        let mut state = self.lock();
        let Some(writer) = state.dirty.writer.clone() else { return };
        self.drop_dirty(&mut state, &writer, errno);
        let ended = std::mem::take(&mut state.dirty);
        drop(state);
        drop(alone);
        if let (Ok(mount), Some(number)) = (Self::mount(writer.inode()), ended.listed) {
            drop(mount.cache.dirty.remove(number));
        }
    }

    #[cold]
    fn drop_dirty(&self, state: &mut State, writer: &CachedFile, errno: Errno) {
        let before = state.slots.len();
        state.slots.retain(|_, slot| !matches!(slot, Slot::Held(block) if !block.is_clean()));
        let bytes = (before - state.slots.len()) as u64 * BLOCK;
        let inode = writer.inode();
        let (mount, node) = (&inode.mount().info().kind, inode.node());
        tracing::warn!(%mount, node, bytes, %errno, "what was written could not be given to the backend, and is lost");
        state.dirty.blocks = 0;
        state.dirty.end = 0;
        inode.advance();
        self.distrust();
    }
}

/// Takes the next bytes that are dirty, from a block on.
fn next_run(state: &mut State, from: &mut u64) -> Option<Run> {
    let mut run: Option<Run> = None;
    for (&index, slot) in state.slots.range_mut(*from..) {
        let block = match slot {
            Slot::Held(block) if block.dirty.is_some() => block,
            _ if run.is_some() => break,
            _ => continue,
        };
        let Some(range) = block.dirty.as_ref().map(|dirty| dirty.range.clone()) else { continue };
        let start = index * BLOCK + range.start as u64;
        if let Some(run) = &run {
            let follows = run.offset + run.length as u64 == start && run.blocks.end == index;
            if !follows || run.length + BLOCK_BYTES > CHUNK_BYTES_MAX {
                break;
            }
        }
        let run = run.get_or_insert_with(|| Run { blocks: index..index, offset: start, length: 0, pieces: Vec::new() });
        run.blocks.end = index + 1;
        run.length += range.len();
        run.pieces.push((block.chunk.clone(), block.at + range.start..block.at + range.end));
        block.flushing = block.dirty.take();
    }
    if let Some(run) = &run {
        *from = run.blocks.end;
    }
    run
}
