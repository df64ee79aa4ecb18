//! What all streams of an archive share: the cache of decompressed blocks and the decoders.
//!
//! No lock is held while something is decoded or read. A thread holds at most one decoder, so those that wait for one get it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Condvar, Mutex};
use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{DefaultHashBuilder, OptionsBuilder, Weighter};

use crate::codec::{Decoder, Fault, Inflater, Notes};
use crate::options::ArchiveOptions;
use crate::stream::{Located, Stream};

/// The size of a block, in bytes: what is decoded and kept at once.
pub(crate) const BLOCK_BYTES: u64 = 128 * 1024;
/// A decoder this near is used even when an access point is nearer.
const NEAR_BYTES: u64 = 2 * BLOCK_BYTES;

/// How many decoders of deflate are kept for later.
const SPARE_MAX: usize = 4;

/// A decompressed block.
pub(crate) type Block = Arc<Vec<u8>>;

#[derive(Clone)]
struct ByBytes;

impl Weighter<(u64, u64), Block> for ByBytes {
    fn weight(&self, _: &(u64, u64), block: &Block) -> u64 {
        block.len() as u64 + 64
    }
}

/// See the module.
pub(crate) struct Pool {
    cache: Cache<(u64, u64), Block, ByBytes>,
    cache_bytes: u64,
    decoders: Mutex<Decoders>,
    freed: Condvar,
    decoders_max: usize,
    /// The memory of all access points.
    points_bytes: AtomicU64,
    points_bytes_max: u64,
    pub(crate) spacing: u64,
    pub(crate) window_bytes_max: u64,
}

#[derive(Default)]
struct Decoders {
    /// Those that nobody uses, the oldest first.
    idle: Vec<Cursor>,
    /// How many there are, used or not.
    live: usize,
    /// Those of deflate that are done, to be used again: a zip of small files needs one for each.
    #[expect(clippy::vec_box, reason = "they move in and out of boxes")]
    spare: Vec<Box<Inflater>>,
}

/// A decoder and where in which stream it is.
pub(crate) struct Cursor {
    pub stream: u64,
    pub position: u64,
    pub decoder: Decoder,
}

impl Pool {
    /// A pool with the limits of `options`.
    pub(crate) fn new(options: &ArchiveOptions) -> Self {
        let blocks = (options.cache_bytes / BLOCK_BYTES).max(1);
        // A shard has to hold some blocks, or nothing is ever kept.
        let shards = usize::try_from(blocks / 32).unwrap_or(usize::MAX).clamp(1, 64);
        let cache_options = OptionsBuilder::new()
            .shards(shards)
            .estimated_items_capacity(usize::try_from(blocks).unwrap_or(usize::MAX).min(1 << 20))
            .weight_capacity(options.cache_bytes)
            .build();
        let cache = match cache_options {
            Ok(built) => {
                Cache::with_options(built, ByBytes, DefaultHashBuilder::default(), DefaultLifecycle::default())
            }
            Err(_) => Cache::with_weighter(1, options.cache_bytes, ByBytes),
        };
        Self {
            cache,
            cache_bytes: options.cache_bytes,
            decoders: Mutex::default(),
            freed: Condvar::new(),
            decoders_max: options.decoders_max.max(1),
            points_bytes: AtomicU64::new(0),
            points_bytes_max: options.access_points_bytes_max,
            spacing: options.access_point_bytes.max(BLOCK_BYTES),
            window_bytes_max: options.window_bytes_max,
        }
    }

    pub(crate) fn cached(&self, stream: u64, block: u64) -> Option<Block> {
        self.cache.get(&(stream, block))
    }

    pub(crate) fn keep(&self, stream: u64, block: u64, bytes: &Block) {
        self.cache.insert((stream, block), Arc::clone(bytes));
    }

    /// How far before the block that is wanted those that are decoded on the way are kept.
    pub(crate) fn keep_behind_bytes(&self) -> u64 {
        self.cache_bytes / 4
    }

    /// Memory of the blocks that are kept.
    pub(crate) fn cached_bytes(&self) -> u64 {
        self.cache.weight()
    }

    /// Takes memory for an access point, if there is some left.
    pub(crate) fn charge_point(&self, bytes: u64) -> bool {
        let charged = self.points_bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |taken| {
            taken.checked_add(bytes).filter(|&taken| taken <= self.points_bytes_max)
        });
        charged.is_ok()
    }

    /// Gives it back.
    pub(crate) fn refund_points(&self, bytes: u64) {
        self.points_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Memory of the access points.
    pub(crate) fn points_bytes(&self) -> u64 {
        self.points_bytes.load(Ordering::Relaxed)
    }

    /// A decoder of deflate, to be begun anew.
    pub(crate) fn spare_inflater(&self) -> Box<Inflater> {
        let spare = self.decoders.lock().spare.pop();
        spare.unwrap_or_else(|| Box::new(Inflater::idle()))
    }

    fn keep_spare(&self, cursor: Cursor) {
        let Decoder::Deflate(inflater) = cursor.decoder else { return };
        let mut decoders = self.decoders.lock();
        if decoders.spare.len() < SPARE_MAX {
            decoders.spare.push(inflater);
        }
    }

    /// A decoder of `stream` at `target` or before it.
    pub(crate) fn acquire(&self, stream: &Stream, target: u64) -> Result<Lease<'_>, Located> {
        let point = stream.point_before(target);
        let mut decoders = self.decoders.lock();
        // Let go after the lock: it may be some MiB.
        let mut evicted = None;
        loop {
            let fit =
                decoders.idle.iter().enumerate().filter(|(_, it)| it.stream == stream.id && it.position <= target);
            if let Some((at, position)) = fit.map(|(at, it)| (at, it.position)).max_by_key(|&(_, position)| position)
                && (position >= point || target - position <= NEAR_BYTES)
            {
                let cursor = decoders.idle.remove(at);
                return Ok(Lease { pool: self, cursor: Some(cursor) });
            }
            if decoders.live < self.decoders_max {
                decoders.live += 1;
                break;
            }
            if !decoders.idle.is_empty() {
                evicted = Some(decoders.idle.remove(0));
                break;
            }
            self.freed.wait(&mut decoders);
        }
        drop(decoders);
        if let Some(evicted) = evicted {
            self.keep_spare(evicted);
        }
        let mut lease = Lease { pool: self, cursor: None };
        lease.cursor = Some(stream.begin(self, target)?);
        Ok(lease)
    }
}

/// A decoder in use. It goes back to the idle ones when dropped, unless it failed or is at the end.
pub(crate) struct Lease<'a> {
    pool: &'a Pool,
    cursor: Option<Cursor>,
}

impl Lease<'_> {
    /// Where it is.
    pub(crate) fn position(&self) -> u64 {
        self.cursor.as_ref().map_or(u64::MAX, |cursor| cursor.position)
    }

    /// Decodes into `out`; fewer only at the end. After a fault it is gone.
    pub(crate) fn read(&mut self, out: &mut [u8], notes: &mut Notes) -> Result<usize, Located> {
        let Some(cursor) = &mut self.cursor else { return Err(Located { fault: Fault::Ended, offset: 0 }) };
        match cursor.decoder.read(out, notes) {
            Ok(count) => {
                cursor.position += count as u64;
                Ok(count)
            }
            Err(fault) => {
                let offset = cursor.decoder.input_offset();
                self.discard();
                Err(Located { fault, offset })
            }
        }
    }

    /// How far the input is used up.
    pub(crate) fn input_offset(&self) -> u64 {
        self.cursor.as_ref().map_or(0, |cursor| cursor.decoder.input_offset())
    }

    /// It is of no use any more.
    pub(crate) fn discard(&mut self) {
        if let Some(cursor) = self.cursor.take() {
            self.pool.keep_spare(cursor);
        }
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        let mut decoders = self.pool.decoders.lock();
        match self.cursor.take() {
            Some(cursor) => decoders.idle.push(cursor),
            None => decoders.live = decoders.live.saturating_sub(1),
        }
        drop(decoders);
        self.pool.freed.notify_one();
    }
}
