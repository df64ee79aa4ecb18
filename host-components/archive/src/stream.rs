//! A compressed stream that is read at any place.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;

use crate::codec::{self, Decoder, Fault, Frame, Frames, Framing, ListLimits, Notes, Point, ZstdDecoder};
use crate::pool::{BLOCK_BYTES, Block, Cursor, Lease, Pool};
use crate::source::Source;

/// The length of a stream that has not been read to its end yet.
const UNKNOWN: u64 = u64::MAX;

/// A fault, and where in the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Located {
    pub fault: Fault,
    pub offset: u64,
}

enum Codec {
    Deflate(Framing),
    Zstd(Frames),
}

/// Access points of a deflate stream: they cover it from its start as far as it was decoded.
struct Points {
    list: Vec<Arc<Point>>,
    spacing: u64,
}

/// See the module.
pub(crate) struct Stream {
    pub(crate) id: u64,
    source: Arc<dyn Source>,
    range: Range<u64>,
    codec: Codec,
    length: AtomicU64,
    output_max: u64,
    points: RwLock<Points>,
}

impl Stream {
    fn new(id: u64, source: Arc<dyn Source>, range: Range<u64>, codec: Codec, length: u64, output_max: u64) -> Self {
        let points = RwLock::new(Points { list: Vec::new(), spacing: 0 });
        Self { id, source, range, codec, length: length.into(), output_max, points }
    }

    /// The members of gzip in the whole of `source`, whose output may have `output_max` bytes. Its length is known after [`finish`](Self::finish).
    pub(crate) fn gzip(source: Arc<dyn Source>, output_max: u64) -> Self {
        let range = 0..source.len();
        Self::new(0, source, range, Codec::Deflate(Framing::Gzip), UNKNOWN, output_max)
    }

    /// Bare deflate whose output has `length` bytes with a checksum.
    pub(crate) fn deflate(id: u64, source: Arc<dyn Source>, range: Range<u64>, crc32: u32, length: u64) -> Self {
        Self::new(id, source, range, Codec::Deflate(Framing::Raw(crc32)), length, length)
    }

    /// Frames of Zstandard. `length`: what their output must have, if that is known. `None`: there are too many frames.
    pub(crate) fn zstd(
        id: u64,
        source: Arc<dyn Source>,
        range: Range<u64>,
        length: Option<u64>,
        limits: ListLimits,
    ) -> Result<Option<Self>, Located> {
        let frames = codec::list(&source, range.clone(), limits);
        let Some(frames) = frames.map_err(|(offset, fault)| Located { fault, offset })? else { return Ok(None) };
        let total = codec::begin_of(&frames, frames.len());
        if length.is_some_and(|length| length != total) {
            let fault = Fault::Damaged("the data is not as long as the archive says");
            return Err(Located { fault, offset: range.start });
        }
        Ok(Some(Self::new(id, source, range, Codec::Zstd(frames), total, total)))
    }

    /// Frames of Zstandard as a saved index lists them.
    pub(crate) fn zstd_of(source: Arc<dyn Source>, frames: Vec<Frame>) -> Self {
        let total = codec::begin_of(&frames, frames.len());
        let range = 0..source.len();
        Self::new(0, source, range, Codec::Zstd(frames.into()), total, total)
    }

    /// The list of frames, to be saved.
    pub(crate) fn frames(&self) -> Vec<Frame> {
        match &self.codec {
            Codec::Deflate(_) => Vec::new(),
            Codec::Zstd(frames) => frames.to_vec(),
        }
    }

    /// How long the input is.
    pub(crate) fn source_bytes(&self) -> u64 {
        self.range.end.saturating_sub(self.range.start)
    }

    /// How long the output is, when that is known.
    pub(crate) fn length(&self) -> Option<u64> {
        Some(self.length.load(Ordering::Acquire)).filter(|&length| length != UNKNOWN)
    }

    /// The longest stretch that must be decoded as a whole, in bytes of output.
    pub(crate) fn longest_stretch(&self) -> u64 {
        match &self.codec {
            Codec::Deflate(_) => 0,
            Codec::Zstd(frames) => {
                let lengths = frames.iter().enumerate().map(|(at, it)| it.output_end - codec::begin_of(frames, at));
                lengths.max().unwrap_or(0)
            }
        }
    }

    /// The access points and their distance, to be saved.
    pub(crate) fn points(&self) -> (Vec<Point>, u64) {
        let points = self.points.read();
        (points.list.iter().map(|point| Point::clone(point)).collect(), points.spacing)
    }

    /// Takes access points and the length from a saved index.
    pub(crate) fn restore(&self, pool: &Pool, points: Vec<Point>, spacing: u64, length: u64) {
        let mut own = self.points.write();
        own.spacing = spacing.max(pool.spacing);
        for point in points {
            if pool.charge_point(point.bytes()) {
                own.list.push(Arc::new(point));
            }
        }
        self.length.store(length, Ordering::Release);
    }

    /// Where the access point nearest before `target` is.
    pub(crate) fn point_before(&self, target: u64) -> u64 {
        match &self.codec {
            Codec::Deflate(_) => self.nearest(target).map_or(0, |point| point.output),
            Codec::Zstd(frames) => codec::begin_of(frames, frames.partition_point(|frame| frame.output_end <= target)),
        }
    }

    fn nearest(&self, target: u64) -> Option<Arc<Point>> {
        let points = self.points.read();
        let at = points.list.partition_point(|point| point.output <= target);
        at.checked_sub(1).and_then(|at| points.list.get(at)).cloned()
    }

    /// A decoder at the access point nearest before `target`.
    pub(crate) fn begin(&self, pool: &Pool, target: u64) -> Result<Cursor, Located> {
        let source = Arc::clone(&self.source);
        let (decoder, position) = match &self.codec {
            Codec::Deflate(framing) => {
                let mut inflater = pool.spare_inflater();
                let position = match self.nearest(target) {
                    Some(point) => {
                        inflater.resume(source, self.range.end, *framing, &point);
                        point.output
                    }
                    None => {
                        inflater.begin(source, self.range.clone(), *framing);
                        0
                    }
                };
                (Decoder::Deflate(inflater), position)
            }
            Codec::Zstd(frames) => {
                let begun = ZstdDecoder::new(source, Arc::clone(frames), target, pool.window_bytes_max);
                let (decoder, position) = begun.map_err(|fault| Located { fault, offset: self.range.start })?;
                (Decoder::Zstd(Box::new(decoder)), position)
            }
        };
        Ok(Cursor { stream: self.id, position, decoder })
    }

    /// Reads at `offset`; fewer only at the end.
    pub(crate) fn read(&self, pool: &Pool, offset: u64, buffer: &mut [u8]) -> Result<usize, Located> {
        let mut done = 0;
        while let Some(rest) = buffer.get_mut(done..).filter(|rest| !rest.is_empty()) {
            let Some(at) = offset.checked_add(done as u64) else { break };
            let block = self.block(pool, at / BLOCK_BYTES)?;
            let within = (at % BLOCK_BYTES) as usize;
            let ready = block.get(within..).unwrap_or_default();
            let count = ready.len().min(rest.len());
            if count == 0 {
                break;
            }
            if let (Some(target), Some(ready)) = (rest.get_mut(..count), ready.get(..count)) {
                target.copy_from_slice(ready);
            }
            done += count;
        }
        Ok(done)
    }

    fn block(&self, pool: &Pool, number: u64) -> Result<Block, Located> {
        if let Some(block) = pool.cached(self.id, number) {
            return Ok(block);
        }
        let start = number.saturating_mul(BLOCK_BYTES);
        if self.length().is_some_and(|length| start >= length) {
            return Ok(Block::default());
        }
        let mut lease = pool.acquire(self, start)?;
        loop {
            let position = lease.position();
            let (at, within) = (position / BLOCK_BYTES, position % BLOCK_BYTES);
            let bytes = self.decode(pool, &mut lease, (BLOCK_BYTES - within) as usize)?;
            let ended = bytes.len() < (BLOCK_BYTES - within) as usize;
            let block = Block::new(bytes);
            if within == 0 && (at == number || start - position <= pool.keep_behind_bytes()) {
                pool.keep(self.id, at, &block);
            }
            if at == number && within == 0 {
                return Ok(block);
            }
            if ended || at >= number {
                return Ok(Block::default());
            }
        }
    }

    /// Decodes `wanted` bytes, or those up to the end.
    fn decode(&self, pool: &Pool, lease: &mut Lease<'_>, wanted: usize) -> Result<Vec<u8>, Located> {
        let position = lease.position();
        let rest = self.length().map_or(u64::MAX, |length| length.saturating_sub(position));
        let expected = usize::try_from(rest).unwrap_or(usize::MAX).min(wanted);
        let mut notes = self.notes(pool);
        let mut bytes = vec![0; expected];
        let count = lease.read(&mut bytes, &mut notes)?;
        self.add(pool, notes.found);
        bytes.truncate(count);
        let position = position + count as u64;
        let fault = |lease: &Lease<'_>, fault| Located { fault, offset: lease.input_offset() };
        if position > self.output_max {
            let located = fault(lease, Fault::TooLarge);
            lease.discard();
            return Err(located);
        }
        match self.length() {
            None if count < expected => {
                self.length.store(position, Ordering::Release);
                lease.discard();
            }
            None => {}
            Some(length) => {
                if count < expected {
                    return Err(fault(lease, Fault::Damaged("the data is shorter than the archive says")));
                }
                if position == length {
                    self.check_end(lease)?;
                }
            }
        }
        Ok(bytes)
    }

    /// At the end of the output there must be the end of the input, with a checksum that is right.
    fn check_end(&self, lease: &mut Lease<'_>) -> Result<(), Located> {
        let offset = lease.input_offset();
        let more = lease.read(&mut [0], &mut Notes::none())?;
        lease.discard();
        if more > 0 {
            return Err(Located { fault: Fault::Damaged("the data is longer than the archive says"), offset });
        }
        Ok(())
    }

    /// Decodes up to the end, to check everything, to note access points and to learn the length.
    pub(crate) fn finish(&self, pool: &Pool) -> Result<u64, Located> {
        let mut lease = pool.acquire(self, UNKNOWN)?;
        loop {
            if let Some(length) = self.length() {
                lease.discard();
                return Ok(length);
            }
            self.decode(pool, &mut lease, BLOCK_BYTES as usize)?;
        }
    }

    fn notes(&self, pool: &Pool) -> Notes {
        if matches!(self.codec, Codec::Zstd(_)) {
            return Notes::none();
        }
        let points = self.points.read();
        let last = points.list.last().map_or(0, |point| point.output);
        let spacing = points.spacing.max(pool.spacing);
        Notes { next_at: last.saturating_add(spacing), spacing, found: Vec::new() }
    }

    fn add(&self, pool: &Pool, found: Vec<Point>) {
        if found.is_empty() {
            return;
        }
        let mut points = self.points.write();
        points.spacing = points.spacing.max(pool.spacing);
        for point in found {
            let last = points.list.last().map_or(0, |point| point.output);
            // Another thread may have been here before.
            if point.output < last.saturating_add(points.spacing) {
                continue;
            }
            if !pool.charge_point(point.bytes()) {
                points.thin_out(pool);
                if !pool.charge_point(point.bytes()) {
                    continue;
                }
            }
            points.list.push(Arc::new(point));
        }
    }

    /// Gives the memory of the access points back.
    pub(crate) fn let_go(&self, pool: &Pool) {
        let list = std::mem::take(&mut self.points.write().list);
        pool.refund_points(list.iter().map(|point| point.bytes()).sum());
    }
}

impl Points {
    /// Lets every other point go.
    fn thin_out(&mut self, pool: &Pool) {
        let (mut at, mut freed) = (0usize, 0);
        self.list.retain(|point| {
            at += 1;
            let stays = at.is_multiple_of(2);
            freed += if stays { 0 } else { point.bytes() };
            stays
        });
        pool.refund_points(freed);
        self.spacing = self.spacing.saturating_mul(2);
    }
}
