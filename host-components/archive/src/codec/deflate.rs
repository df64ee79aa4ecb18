//! Deflate, bare (in zip) or in members of gzip, that notes points where it can begin again.
//!
//! A point is a boundary between two blocks of deflate: the place in the input to the bit, and the last 32 KiB of output, which what follows may
//! refer to. The decoder is `miniz_oxide`, which stops at block boundaries and can be begun there; zlib-rs, which is somewhat faster, can do so
//! only through zlib's C interface. The frame of gzip (RFC 1952) is read here, because the crates that read it keep names and comments of any length.

use std::ops::Range;
use std::sync::Arc;

use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::inflate_flags::{TINFL_FLAG_HAS_MORE_INPUT, TINFL_FLAG_STOP_ON_BLOCK_BOUNDARY};
use miniz_oxide::inflate::core::{BlockBoundaryState, DecompressorOxide, decompress};
use serde::{Deserialize, Serialize};

use super::{Fault, Input, Notes};
use crate::source::Source;

/// How far deflate refers back, in bytes.
pub(crate) const WINDOW_BYTES: usize = 32 * 1024;
/// The ring that is decoded into: a power of two, and larger than the window.
const RING_BYTES: usize = 128 * 1024;

/// What surrounds the deflate stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// Nothing; the output has this CRC-32.
    Raw(u32),
    /// Members of gzip, one after the other.
    Gzip,
}

/// A place where decoding can begin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Point {
    /// The offset in the output.
    pub output: u64,
    /// The offset in the source of the next byte to read.
    pub input: u64,
    /// How many bits of the byte before are still to be used.
    pub bits: u8,
    /// Those bits.
    pub bit_buffer: u8,
    /// A member of gzip begins here: there is no window.
    pub member: bool,
    /// The output before this place.
    pub window: Box<[u8]>,
}

impl Point {
    /// The memory it takes.
    pub(crate) fn bytes(&self) -> u64 {
        (size_of::<Self>() + self.window.len()) as u64
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Header,
    Body,
    Trailer,
    End,
}

/// The decoder.
pub(crate) struct Inflater {
    input: Input,
    state: Box<DecompressorOxide>,
    ring: Box<[u8]>,
    /// Where in the ring the next byte goes.
    ring_at: usize,
    /// How many bytes before `ring_at` are not handed out yet.
    pending: usize,
    /// The offset in the output of `ring_at`.
    total: u64,
    framing: Framing,
    phase: Phase,
    /// The checksum of the member so far, unless decoding began in its middle.
    check: Option<crc32fast::Hasher>,
    member_bytes: u64,
    members: u64,
}

impl Inflater {
    /// A decoder that has nothing to decode yet.
    pub(crate) fn idle() -> Self {
        let nothing = Arc::new(crate::source::MemorySource::new([]));
        Self {
            input: Input::new(nothing, 0..0),
            state: Box::default(),
            ring: vec![0; RING_BYTES].into(),
            ring_at: 0,
            pending: 0,
            total: 0,
            framing: Framing::Gzip,
            phase: Phase::End,
            check: None,
            member_bytes: 0,
            members: 0,
        }
    }

    /// Begins at the start of `range`.
    pub(crate) fn begin(&mut self, source: Arc<dyn Source>, range: Range<u64>, framing: Framing) {
        self.input.replace(source, range);
        *self.state = DecompressorOxide::new();
        // What a stream refers to before its start must not be what another one left there.
        let before = self.ring.len().saturating_sub(WINDOW_BYTES);
        self.ring.get_mut(before..).unwrap_or_default().fill(0);
        (self.ring_at, self.pending, self.total) = (0, 0, 0);
        (self.member_bytes, self.members) = (0, 0);
        self.framing = framing;
        self.phase = if framing == Framing::Gzip { Phase::Header } else { Phase::Body };
        self.check = Some(crc32fast::Hasher::new());
    }

    /// Begins at a point of a stream that ends at `end`.
    pub(crate) fn resume(&mut self, source: Arc<dyn Source>, end: u64, framing: Framing, point: &Point) {
        self.begin(source, point.input..end.max(point.input), framing);
        self.total = point.output;
        // A first member there was, so what follows this one may be the end.
        self.members = 1;
        if point.member {
            return;
        }
        let state = BlockBoundaryState {
            num_bits: point.bits.min(7),
            bit_buf: point.bit_buffer,
            ..BlockBoundaryState::default()
        };
        *self.state = DecompressorOxide::from_block_boundary_state(&state);
        let length = point.window.len().min(WINDOW_BYTES);
        if let (Some(ring), Some(window)) = (self.ring.get_mut(..length), point.window.get(..length)) {
            ring.copy_from_slice(window);
        }
        self.ring_at = length;
        self.phase = Phase::Body;
        self.check = None;
    }

    /// How far the input is used up.
    pub(crate) fn input_offset(&self) -> u64 {
        self.input.offset()
    }

    /// See [`Decoder::read`](super::Decoder::read).
    pub(crate) fn read(&mut self, out: &mut [u8], notes: &mut Notes) -> Result<usize, Fault> {
        let mut done = 0;
        loop {
            done += self.hand_out(out.get_mut(done..).unwrap_or_default());
            if done >= out.len() {
                return Ok(done);
            }
            match self.phase {
                Phase::Header => self.header(notes)?,
                Phase::Body => self.body(notes)?,
                Phase::Trailer => self.trailer()?,
                Phase::End => return Ok(done),
            }
        }
    }

    fn hand_out(&mut self, out: &mut [u8]) -> usize {
        let count = self.pending.min(out.len());
        let start = self.ring_at.saturating_sub(self.pending);
        if let (Some(out), Some(ready)) = (out.get_mut(..count), self.ring.get(start..start + count)) {
            out.copy_from_slice(ready);
        }
        self.pending -= count;
        count
    }

    /// Decodes until some output is there, a block ends, or more input is needed.
    fn body(&mut self, notes: &mut Notes) -> Result<(), Fault> {
        if self.ring_at >= self.ring.len() {
            self.ring_at = 0;
        }
        let input = self.input.fill()?;
        let ended = input.is_empty();
        let flags = TINFL_FLAG_HAS_MORE_INPUT | TINFL_FLAG_STOP_ON_BLOCK_BOUNDARY;
        let (status, consumed, produced) = decompress(&mut self.state, input, &mut self.ring, self.ring_at, flags);
        self.input.consume(consumed);
        if let (Some(check), Some(made)) =
            (&mut self.check, self.ring.get(self.ring_at..self.ring_at.saturating_add(produced)))
        {
            check.update(made);
        }
        self.ring_at += produced;
        self.pending += produced;
        self.total += produced as u64;
        self.member_bytes += produced as u64;
        match status {
            TINFLStatus::BlockBoundary if notes.wants(self.total) => notes.add(self.point()?),
            TINFLStatus::BlockBoundary => {}
            TINFLStatus::Done => self.phase = Phase::Trailer,
            TINFLStatus::NeedsMoreInput if ended && produced == 0 => return Err(Fault::Ended),
            TINFLStatus::NeedsMoreInput | TINFLStatus::HasMoreOutput => {
                // Without progress it would go round for ever; a full ring has been wound back above.
                if consumed == 0 && produced == 0 && !ended && self.ring_at < self.ring.len() {
                    return Err(Fault::Damaged("the compressed data leads nowhere"));
                }
            }
            _ => return Err(Fault::Damaged("the compressed data is no valid deflate stream")),
        }
        Ok(())
    }

    fn point(&self) -> Result<Point, Fault> {
        let state = self.state.block_boundary_state().ok_or(Fault::Damaged("a block that ends has no end"))?;
        let length = usize::try_from(self.total).unwrap_or(usize::MAX).min(WINDOW_BYTES);
        let mut window = Vec::with_capacity(length);
        let from_end = length.saturating_sub(self.ring_at);
        window.extend_from_slice(self.ring.get(self.ring.len() - from_end..).unwrap_or_default());
        window.extend_from_slice(self.ring.get(self.ring_at - (length - from_end)..self.ring_at).unwrap_or_default());
        Ok(Point {
            output: self.total,
            input: self.input.offset(),
            bits: state.num_bits,
            bit_buffer: state.bit_buf,
            member: false,
            window: window.into(),
        })
    }

    /// The header of a member of gzip; after the first one anything else is the end, as for gzip(1), which ignores trailing garbage.
    fn header(&mut self, notes: &mut Notes) -> Result<(), Fault> {
        let start = self.input.offset();
        match self.read_header() {
            Ok(()) => {}
            Err(Fault::Damaged(_) | Fault::Ended) if self.members > 0 => {
                self.phase = Phase::End;
                return Ok(());
            }
            Err(fault) => return Err(fault),
        }
        if self.members > 0 && notes.wants(self.total) {
            let (output, window) = (self.total, Box::default());
            notes.add(Point { output, input: start, bits: 0, bit_buffer: 0, member: true, window });
        }
        self.members += 1;
        *self.state = DecompressorOxide::new();
        self.check = Some(crc32fast::Hasher::new());
        self.member_bytes = 0;
        self.phase = Phase::Body;
        Ok(())
    }

    fn read_header(&mut self) -> Result<(), Fault> {
        const CHECKED: u8 = 2;
        const EXTRA: u8 = 4;
        const NAME: u8 = 8;
        const COMMENT: u8 = 16;
        let [id1, id2, method, flags, ..] = self.input.array::<10>()?;
        if (id1, id2) != (0x1f, 0x8b) {
            return Err(Fault::Damaged("a member of gzip does not begin with 1f 8b"));
        }
        if method != 8 || flags & 0xe0 != 0 {
            return Err(Fault::Unsupported("a method or flag of gzip that is not known"));
        }
        if flags & EXTRA != 0 {
            for _ in 0..u16::from_le_bytes(self.input.array()?) {
                self.input.byte()?;
            }
        }
        for text in [NAME, COMMENT] {
            while flags & text != 0 && self.input.byte()? != 0 {}
        }
        if flags & CHECKED != 0 {
            self.input.array::<2>()?;
        }
        Ok(())
    }

    fn trailer(&mut self) -> Result<(), Fault> {
        let check = self.check.take().map(crc32fast::Hasher::finalize);
        match self.framing {
            Framing::Raw(expected) => {
                self.phase = Phase::End;
                if check.is_some_and(|found| found != expected) {
                    return Err(Fault::Damaged("the data does not have the checksum that the archive names"));
                }
            }
            Framing::Gzip => {
                let expected = u32::from_le_bytes(self.input.array()?);
                let length = u32::from_le_bytes(self.input.array()?);
                self.phase = Phase::Header;
                if check.is_some_and(|found| found != expected || length != self.member_bytes as u32) {
                    return Err(Fault::Damaged(
                        "the data does not have the checksum and length that gzip's trailer names",
                    ));
                }
            }
        }
        Ok(())
    }
}
