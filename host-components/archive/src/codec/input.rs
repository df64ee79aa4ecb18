//! Compressed bytes, read forward.

use std::ops::Range;
use std::sync::Arc;

use super::Fault;
use crate::source::Source;

/// How much is read at a time.
const BUFFER_BYTES: usize = 64 * 1024;

/// A range of a source, read forward through a buffer.
pub(crate) struct Input {
    source: Arc<dyn Source>,
    /// What is not in the buffer yet.
    rest: Range<u64>,
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
    /// Why the last read through `std::io::Read` failed, which has no place for it.
    #[cfg(any(target_family = "wasm", feature = "pure-zstd"))]
    pub(crate) fault: Option<Fault>,
}

impl Input {
    /// Begins at the start of `range`.
    pub(crate) fn new(source: Arc<dyn Source>, range: Range<u64>) -> Self {
        let size = usize::try_from(range.end.saturating_sub(range.start)).unwrap_or(usize::MAX).clamp(1, BUFFER_BYTES);
        Self {
            source,
            rest: range,
            buffer: vec![0; size].into(),
            start: 0,
            end: 0,
            #[cfg(any(target_family = "wasm", feature = "pure-zstd"))]
            fault: None,
        }
    }

    /// Goes on at the start of `range`.
    pub(crate) fn restart(&mut self, range: Range<u64>) {
        // What is in the buffer already is what comes next.
        if range.start == self.offset() && range.end >= self.rest.start {
            self.rest.end = range.end;
            return;
        }
        self.set(range);
    }

    fn set(&mut self, range: Range<u64>) {
        if self.buffer.len() < BUFFER_BYTES {
            self.buffer = vec![0; BUFFER_BYTES].into();
        }
        (self.rest, self.start, self.end) = (range, 0, 0);
    }

    /// Goes on with another source.
    pub(crate) fn replace(&mut self, source: Arc<dyn Source>, range: Range<u64>) {
        self.source = source;
        self.set(range);
    }

    /// The offset of the next byte in the source.
    pub(crate) fn offset(&self) -> u64 {
        self.rest.start.saturating_sub((self.end - self.start) as u64)
    }

    /// The next bytes: at least one, unless the range is used up.
    pub(crate) fn fill(&mut self) -> Result<&[u8], Fault> {
        if self.start >= self.end && self.rest.start < self.rest.end {
            let rest = usize::try_from(self.rest.end - self.rest.start).unwrap_or(usize::MAX);
            let wanted = rest.min(self.buffer.len());
            let target = self.buffer.get_mut(..wanted).unwrap_or_default();
            let count = self.source.read_at(self.rest.start, target).map_err(Fault::Source)?.min(wanted);
            (self.start, self.end) = (0, count);
            self.rest.start += count as u64;
            if count == 0 {
                // The source is shorter than it said.
                self.rest.end = self.rest.start;
            }
        }
        Ok(self.buffer.get(self.start..self.end).unwrap_or_default())
    }

    /// Takes `count` of the bytes that `fill` showed.
    pub(crate) fn consume(&mut self, count: usize) {
        self.start = self.end.min(self.start.saturating_add(count));
    }

    /// Takes one byte.
    pub(crate) fn byte(&mut self) -> Result<u8, Fault> {
        let byte = *self.fill()?.first().ok_or(Fault::Ended)?;
        self.consume(1);
        Ok(byte)
    }

    /// Takes as many bytes as `N` says.
    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let mut bytes = [0; N];
        for byte in &mut bytes {
            *byte = self.byte()?;
        }
        Ok(bytes)
    }
}

#[cfg(any(target_family = "wasm", feature = "pure-zstd"))]
impl std::io::Read for Input {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if let Err(fault) = self.fill() {
            self.fault = Some(fault);
            return Err(std::io::ErrorKind::Other.into());
        }
        let bytes = self.buffer.get(self.start..self.end).unwrap_or_default();
        let count = bytes.len().min(buffer.len());
        if let (Some(target), Some(source)) = (buffer.get_mut(..count), bytes.get(..count)) {
            target.copy_from_slice(source);
        }
        self.consume(count);
        Ok(count)
    }
}
