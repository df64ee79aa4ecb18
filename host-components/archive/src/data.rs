//! The bytes of files.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use eyot_backend::{Content, Errno};
use parking_lot::Mutex;

use crate::archive::{Archive, errno, expanded};
use crate::codec::ListLimits;
use crate::pool::Pool;
use crate::source::{SharedBytes, Source, read_full};
use crate::stream::Stream;
use crate::tree::{Kind, NodeRecord, Packed, Segment};
use crate::zip::{self, DEFLATED, STORED, ZSTD, ZSTD_OLD};

/// How many compressed files of a zip are remembered with their access points.
const STREAMS_MAX: usize = 1024;
/// Deflate cannot make more of a byte than this.
const DEFLATE_EXPANSION_MAX: u64 = 1032;

/// Where the bytes are.
pub(crate) enum Data {
    /// A tar, as it lies there.
    Plain(Arc<dyn Source>),
    /// A tar in a compressed stream.
    Packed(Stream),
    /// Files, each for itself.
    Zip(ZipData),
}

/// The files of a zip.
pub(crate) struct ZipData {
    source: Arc<dyn Source>,
    /// Where the data of each file begins, once that was read from its local header; 0 before.
    starts: Vec<AtomicU64>,
    expansion_max: u64,
    streams: Mutex<HashMap<u32, Arc<Stream>>>,
}

impl ZipData {
    pub(crate) fn new(source: Arc<dyn Source>, files: usize, expansion_max: u64) -> Self {
        let starts = (0..files).map(|_| AtomicU64::new(0)).collect();
        Self { source, starts, expansion_max, streams: Mutex::default() }
    }

    /// Whether a file can be read, and where its data begins.
    fn check(&self, node: &NodeRecord, packed: &Packed) -> Result<u64, Errno> {
        if packed.encrypted {
            return Err(Errno::Acces);
        }
        let plausible = match packed.method {
            STORED => packed.length == node.length,
            DEFLATED => node.length <= packed.length.saturating_mul(DEFLATE_EXPANSION_MAX),
            // What is beyond is a bomb: deflate has its own limit.
            ZSTD | ZSTD_OLD if node.length > expanded(packed.length, self.expansion_max) => return Err(Errno::Fbig),
            ZSTD | ZSTD_OLD => true,
            _ => return Err(Errno::Notsup),
        };
        let slot = self.starts.get(node.packed as usize).filter(|_| plausible).ok_or(Errno::Io)?;
        match slot.load(Ordering::Relaxed) {
            0 => {
                let start = zip::data_start(&*self.source, node.start, packed.length).ok_or(Errno::Io)?;
                slot.store(start, Ordering::Relaxed);
                Ok(start)
            }
            start => Ok(start),
        }
    }

    fn read(
        &self,
        pool: &Pool,
        node: &NodeRecord,
        packed: &Packed,
        offset: u64,
        buffer: &mut [u8],
    ) -> Result<usize, Errno> {
        let start = self.check(node, packed)?;
        if packed.method == STORED {
            return read_full(&*self.source, start.checked_add(offset).ok_or(Errno::Io)?, buffer);
        }
        self.stream(pool, node, packed, start)?.read(pool, offset, buffer).map_err(errno)
    }

    fn stream(&self, pool: &Pool, node: &NodeRecord, packed: &Packed, start: u64) -> Result<Arc<Stream>, Errno> {
        if let Some(stream) = self.streams.lock().get(&node.packed) {
            return Ok(Arc::clone(stream));
        }
        let id = u64::from(node.packed) + 1;
        let range = start..start.saturating_add(packed.length);
        let source = Arc::clone(&self.source);
        let stream = if packed.method == DEFLATED {
            Stream::deflate(id, source, range, packed.crc32, node.length)
        } else {
            let limits =
                ListLimits { window_bytes_max: pool.window_bytes_max, count_max: 1 << 20, output_max: node.length };
            Stream::zstd(id, source, range, Some(node.length), limits).map_err(errno)?.ok_or(Errno::Io)?
        };
        let stream = Arc::new(stream);
        let mut streams = self.streams.lock();
        let forgotten = if streams.len() >= STREAMS_MAX { std::mem::take(&mut *streams) } else { HashMap::new() };
        let stream = Arc::clone(streams.entry(node.packed).or_insert(stream));
        drop(streams);
        for stream in forgotten.into_values() {
            stream.let_go(pool);
        }
        Ok(stream)
    }
}

impl Archive {
    /// Whether a file can be read.
    pub(crate) fn check_file(&self, node: &NodeRecord) -> Result<(), Errno> {
        match (&self.data, self.tree.packed(node)) {
            (Data::Zip(zip), Some(packed)) => zip.check(node, packed).map(|_| ()),
            _ => Ok(()),
        }
    }

    /// Reads at `offset` of a file, or of a zip's symlink; fewer only at the end.
    pub(crate) fn read_file(&self, node: &NodeRecord, offset: u64, buffer: &mut [u8]) -> Result<usize, Errno> {
        let rest = usize::try_from(node.length.saturating_sub(offset)).unwrap_or(usize::MAX);
        let count = rest.min(buffer.len());
        let Some(buffer) = buffer.get_mut(..count).filter(|buffer| !buffer.is_empty()) else { return Ok(0) };
        let segments = self.tree.extra(node).and_then(|extra| extra.segments.as_ref());
        match segments {
            Some(segments) => self.read_sparse(segments, offset, buffer)?,
            None => self.read_stored(node, offset, buffer)?,
        }
        Ok(count)
    }

    /// Fills `buffer` from data that is all there.
    fn read_stored(&self, node: &NodeRecord, offset: u64, buffer: &mut [u8]) -> Result<(), Errno> {
        let count = match (&self.data, self.tree.packed(node)) {
            (Data::Zip(zip), Some(packed)) => zip.read(&self.pool, node, packed, offset, buffer)?,
            _ => self.read_tar(node.start.checked_add(offset).ok_or(Errno::Io)?, buffer)?,
        };
        if count == buffer.len() { Ok(()) } else { Err(Errno::Io) }
    }

    fn read_tar(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, Errno> {
        match &self.data {
            Data::Plain(source) => read_full(&**source, offset, buffer),
            Data::Packed(stream) => stream.read(&self.pool, offset, buffer).map_err(errno),
            Data::Zip(_) => Err(Errno::Io),
        }
    }

    fn read_sparse(&self, segments: &[Segment], offset: u64, buffer: &mut [u8]) -> Result<(), Errno> {
        let end = offset.saturating_add(buffer.len() as u64);
        buffer.fill(0);
        let first = segments.partition_point(|it| it.offset.saturating_add(it.length) <= offset);
        for segment in segments.get(first..).unwrap_or_default() {
            let from = segment.offset.max(offset);
            let to = segment.offset.saturating_add(segment.length).min(end);
            if from >= to {
                break;
            }
            let (target, length) = ((from - offset) as usize, (to - from) as usize);
            let target = buffer.get_mut(target..target + length).ok_or(Errno::Io)?;
            let start = segment.start.checked_add(from - segment.offset).ok_or(Errno::Io)?;
            if self.read_tar(start, target)? < length {
                return Err(Errno::Io);
            }
        }
        Ok(())
    }

    /// A file's bytes in place, when they lie so in memory.
    pub(crate) fn content_of(&self, node: &NodeRecord) -> Option<Content> {
        let sparse = self.tree.extra(node).is_some_and(|extra| extra.segments.is_some());
        if node.kind != Kind::File || sparse {
            return None;
        }
        let (source, start) = match (&self.data, self.tree.packed(node)) {
            (Data::Plain(source), _) => (source, node.start),
            (Data::Zip(zip), Some(packed)) if packed.method == STORED => (&zip.source, zip.check(node, packed).ok()?),
            _ => return None,
        };
        let bytes = source.bytes()?;
        let start = usize::try_from(start).ok()?;
        let end = start.checked_add(usize::try_from(node.length).ok()?)?;
        (*bytes).as_ref().get(start..end)?;
        Some(Content { bytes: Arc::new(Part { bytes, start, end }), blake3: None })
    }
}

/// Part of bytes that are shared.
struct Part {
    bytes: SharedBytes,
    start: usize,
    end: usize,
}

impl AsRef<[u8]> for Part {
    fn as_ref(&self) -> &[u8] {
        (*self.bytes).as_ref().get(self.start..self.end).unwrap_or_default()
    }
}
