//! Blocks of objects in memory: fetched once, however many wait for them, and ahead of whoever reads in order.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use lru::LruCache;
use parking_lot::{Condvar, Mutex};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use crate::client::Shared;
use crate::failure::Failure;
use crate::fetch::{Run, fetch};

/// What is fetched and kept as one.
pub(crate) const BLOCK_BYTES: u64 = 256 << 10;
/// Blocks of one request.
const RUN_BLOCKS: u64 = 8;
/// How far reading ahead goes, in blocks.
const AHEAD_BLOCKS_MAX: u64 = 32;
/// A file of at most so many bytes comes whole with its first byte.
const WHOLE_BYTES_MAX: u64 = 1 << 20;
/// Requests for blocks under way at once.
const FETCHES_MAX: usize = 12;

/// A version and a block of it.
pub(crate) type BlockKey = (u64, u64);

/// One version of an object, to be read.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    pub(crate) key: Arc<str>,
    pub(crate) etag: Option<Arc<str>>,
    pub(crate) size: u64,
    /// Stands for all of them.
    version: u64,
}

/// Somebody waits for a block that is on its way.
#[derive(Default)]
pub(crate) struct Pending {
    done: Mutex<Option<Result<Bytes, Failure>>>,
    changed: Condvar,
}

impl Pending {
    fn wait(&self) -> Result<Bytes, Failure> {
        let mut done = self.done.lock();
        loop {
            match &*done {
                Some(ended) => return ended.clone(),
                None => self.changed.wait(&mut done),
            }
        }
    }

    fn end(&self, ended: Result<Bytes, Failure>) {
        *self.done.lock() = Some(ended);
        self.changed.notify_all();
    }
}

struct Blocks {
    known: LruCache<BlockKey, Bytes>,
    bytes: u64,
    pending: HashMap<BlockKey, Arc<Pending>>,
}

/// The blocks that are known or on their way.
pub(crate) struct Cache {
    blocks: Mutex<Blocks>,
    bytes_max: u64,
    versions: RandomState,
    pub(crate) fetches: Semaphore,
}

/// How far somebody has read in order.
#[derive(Debug, Default)]
pub(crate) struct ReadAhead {
    /// Where the next read begins if it goes on.
    next: u64,
    /// How far to be ahead, in blocks.
    window: u64,
    /// Up to where it was asked for.
    asked: u64,
}

enum Found {
    Known(Bytes),
    Coming(Arc<Pending>),
}

impl Cache {
    pub(crate) fn new(bytes_max: u64) -> Self {
        let blocks = Blocks { known: LruCache::unbounded(), bytes: 0, pending: HashMap::new() };
        let fetches = Semaphore::new(FETCHES_MAX);
        Self { blocks: Mutex::new(blocks), bytes_max, versions: RandomState::new(), fetches }
    }

    pub(crate) fn source(&self, key: &str, object: &crate::requests::Object) -> Source {
        let etag = object.etag.clone();
        // Without an ETag the time must do.
        let time = etag.is_none().then_some(object.modified);
        let version = self.versions.hash_one((key, &etag, object.size, time));
        Source { key: Arc::from(key), etag, size: object.size, version }
    }

    /// Reads at `offset`; the range must be inside the object. `ahead` remembers between reads of one open file.
    pub(crate) fn read(
        self: &Arc<Self>,
        on: (&Handle, &Shared),
        source: &Source,
        offset: u64,
        buffer: &mut [u8],
        ahead: Option<&Mutex<ReadAhead>>,
    ) -> Result<(), Failure> {
        let end = offset + buffer.len() as u64;
        let wanted = offset / BLOCK_BYTES..end.div_ceil(BLOCK_BYTES);
        let found = self.find(on, source, wanted.clone());
        if let Some(ahead) = ahead
            && let Some(more) = ahead.lock().advance(offset, end, source.size, self.bytes_max)
        {
            drop(self.find(on, source, more));
        }
        for (block, found) in wanted.zip(found) {
            let bytes = match found {
                Found::Known(bytes) => bytes,
                Found::Coming(pending) => pending.wait()?,
            };
            let begins = block * BLOCK_BYTES;
            let (from, to) = (offset.max(begins), end.min(begins + BLOCK_BYTES));
            let part = bytes.get((from - begins) as usize..(to - begins) as usize);
            let place = buffer.get_mut((from - offset) as usize..(to - offset) as usize);
            let (Some(part), Some(place)) = (part, place) else {
                return Err(Failure::Nonsense("a block is too short"));
            };
            place.copy_from_slice(part);
        }
        Ok(())
    }

    /// Finds blocks; those that nobody asked for yet are asked for.
    fn find(self: &Arc<Self>, on: (&Handle, &Shared), source: &Source, wanted: Range<u64>) -> Vec<Found> {
        let mut found = Vec::with_capacity((wanted.end - wanted.start) as usize);
        let mut runs: Vec<Vec<(BlockKey, Arc<Pending>)>> = Vec::new();
        let mut open = false;
        let mut blocks = self.blocks.lock();
        for block in wanted {
            let key = (source.version, block);
            if let Some(bytes) = blocks.known.get(&key) {
                found.push(Found::Known(bytes.clone()));
                open = false;
            } else if let Some(pending) = blocks.pending.get(&key) {
                found.push(Found::Coming(Arc::clone(pending)));
                open = false;
            } else {
                let pending = Arc::new(Pending::default());
                blocks.pending.insert(key, Arc::clone(&pending));
                match runs.last_mut().filter(|run| open && (run.len() as u64) < RUN_BLOCKS) {
                    Some(run) => run.push((key, Arc::clone(&pending))),
                    None => runs.push(vec![(key, Arc::clone(&pending))]),
                }
                open = true;
                found.push(Found::Coming(pending));
            }
        }
        drop(blocks);
        for run in runs {
            let run = Run::new(Arc::clone(self), source.clone(), run);
            on.0.spawn(fetch(Arc::clone(on.1), run));
        }
        found
    }

    /// A block has come, or will not come.
    pub(crate) fn end(&self, key: BlockKey, pending: &Pending, ended: Result<Bytes, Failure>) {
        let mut blocks = self.blocks.lock();
        blocks.pending.remove(&key);
        if let Ok(bytes) = &ended {
            self.keep(&mut blocks, key, bytes.clone());
        }
        drop(blocks);
        pending.end(ended);
    }

    /// Keeps what was just written: whoever reads it back need not ask.
    pub(crate) fn fill(&self, source: &Source, bytes: &Bytes) {
        let mut blocks = self.blocks.lock();
        for block in 0..source.size.div_ceil(BLOCK_BYTES) {
            let begins = (block * BLOCK_BYTES) as usize;
            let ends = bytes.len().min(begins + BLOCK_BYTES as usize);
            if begins < ends {
                self.keep(&mut blocks, (source.version, block), bytes.slice(begins..ends));
            }
        }
    }

    fn keep(&self, blocks: &mut Blocks, key: BlockKey, bytes: Bytes) {
        let length = bytes.len() as u64;
        if length > self.bytes_max {
            return;
        }
        if let Some(old) = blocks.known.put(key, bytes) {
            blocks.bytes -= old.len() as u64;
        }
        blocks.bytes += length;
        while blocks.bytes > self.bytes_max {
            let Some((_, old)) = blocks.known.pop_lru() else { break };
            blocks.bytes -= old.len() as u64;
        }
    }

    /// How many bytes are kept.
    #[cfg(test)]
    pub(crate) fn bytes(&self) -> u64 {
        self.blocks.lock().bytes
    }
}

impl ReadAhead {
    /// What to ask for beyond a read, in blocks.
    fn advance(&mut self, offset: u64, end: u64, size: u64, cache_bytes: u64) -> Option<Range<u64>> {
        let goes_on = offset == self.next;
        let first = goes_on && offset == 0;
        self.next = end;
        if !goes_on {
            (self.window, self.asked) = (0, 0);
            return None;
        }
        let window_max = AHEAD_BLOCKS_MAX.min(cache_bytes / BLOCK_BYTES / 4);
        self.window = (self.window * 2).max(2).min(window_max);
        if first && size <= WHOLE_BYTES_MAX.min(cache_bytes) {
            self.window = self.window.max(size.div_ceil(BLOCK_BYTES));
        }
        let (at, last) = (end.div_ceil(BLOCK_BYTES), size.div_ceil(BLOCK_BYTES));
        let from = self.asked.max(at);
        let to = (at + self.window).min(last);
        // In large steps: a request for each block would be many.
        let worth = to == last || to.saturating_sub(from) * 2 >= self.window;
        if from >= to || !worth {
            return None;
        }
        self.asked = to;
        Some(from..to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::requests::Object;

    const MIB: u64 = 1 << 20;

    #[test]
    fn reading_in_order_goes_ahead_and_jumping_does_not() {
        let mut ahead = ReadAhead::default();
        let (size, cache) = (100 * MIB, 64 * MIB);
        let mut asked = Vec::new();
        for step in 0..40 {
            asked.extend(ahead.advance(step * BLOCK_BYTES, (step + 1) * BLOCK_BYTES, size, cache));
        }
        assert!(asked.windows(2).all(|pair| pair[0].end == pair[1].start), "{asked:?}");
        assert!(asked.iter().all(|range| range.end - range.start <= AHEAD_BLOCKS_MAX));
        assert!(asked.len() < 12 && asked.last().unwrap().end >= 40 + AHEAD_BLOCKS_MAX / 2, "{asked:?}");
        assert_eq!(ahead.advance(50 * MIB, 51 * MIB, size, cache), None);
        assert_eq!(ahead.advance(51 * MIB, 52 * MIB, size, cache).map(|range| range.start), Some(52 * 4));
    }

    #[test]
    fn a_small_file_comes_whole() {
        assert_eq!(ReadAhead::default().advance(0, 100, MIB, 64 * MIB), Some(1..4));
        assert_eq!(ReadAhead::default().advance(0, 100, 100, 64 * MIB), None);
        assert_eq!(ReadAhead::default().advance(0, 100, MIB, 0), None);
    }

    #[test]
    fn no_more_is_kept_than_there_is_room_for() {
        let cache = Cache::new(MIB);
        for number in 0..100 {
            let object = Object { size: 300_000, etag: Some(format!("{number}").into()), ..Object::default() };
            let source = cache.source("key", &object);
            cache.fill(&source, &Bytes::from(vec![0; 300_000]));
            assert!(cache.bytes() <= MIB);
        }
        assert!(cache.bytes() > MIB / 2);
    }

    #[test]
    fn versions_differ() {
        let cache = Cache::new(MIB);
        let object = |etag: Option<&str>, seconds| Object {
            size: 1,
            etag: etag.map(Arc::from),
            modified: eyot_backend::Timestamp { seconds, nanoseconds: 0 },
            metadata: None,
        };
        let version = |key: &str, etag, seconds| cache.source(key, &object(etag, seconds)).version;
        assert_eq!(version("a", Some("x"), 1), version("a", Some("x"), 2));
        assert_ne!(version("a", Some("x"), 1), version("a", Some("y"), 1));
        assert_ne!(version("a", Some("x"), 1), version("b", Some("x"), 1));
        assert_ne!(version("a", None, 1), version("a", None, 2));
    }
}
