//! Decoders that can begin in the middle.

mod deflate;
mod input;
mod zstd;
#[cfg_attr(any(target_family = "wasm", feature = "pure-zstd"), path = "zstd_rust.rs")]
#[cfg_attr(not(any(target_family = "wasm", feature = "pure-zstd")), path = "zstd_native.rs")]
mod zstd_frame;

use eyot_backend::Errno;

pub(crate) use deflate::{Framing, Inflater, Point, WINDOW_BYTES};
pub(crate) use input::Input;
pub(crate) use zstd::{Frame, Frames, ListLimits, ZstdDecoder, begin_of, list};

/// Why decoding cannot go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The source failed.
    Source(Errno),
    /// The input ends too soon.
    Ended,
    /// The input cannot be true.
    Damaged(&'static str),
    /// The input wants what is not there.
    Unsupported(&'static str),
    /// The window of a frame is larger than allowed.
    Window,
    /// There is more output than allowed.
    TooLarge,
}

impl Fault {
    /// What a guest that reads is told.
    pub(crate) fn errno(self) -> Errno {
        match self {
            Fault::Source(errno) => errno,
            Fault::Unsupported(_) => Errno::Notsup,
            Fault::Ended | Fault::Damaged(_) | Fault::Window | Fault::TooLarge => Errno::Io,
        }
    }
}

/// Access points that a decoder comes past.
#[derive(Default)]
pub(crate) struct Notes {
    /// From which decompressed offset on the next one is wanted; `u64::MAX`: none.
    pub next_at: u64,
    /// How far they are apart.
    pub spacing: u64,
    /// Those that were found.
    pub found: Vec<Point>,
}

impl Notes {
    /// None wanted.
    pub(crate) fn none() -> Self {
        Self { next_at: u64::MAX, ..Self::default() }
    }

    fn wants(&self, position: u64) -> bool {
        position >= self.next_at
    }

    fn add(&mut self, point: Point) {
        self.next_at = point.output.saturating_add(self.spacing.max(1));
        self.found.push(point);
    }
}

/// A decoder of either kind.
pub(crate) enum Decoder {
    /// Gzip, or bare deflate.
    Deflate(Box<Inflater>),
    /// Zstandard.
    Zstd(Box<ZstdDecoder>),
}

impl Decoder {
    /// Decodes the next bytes into `out`; fewer than it holds only at the end.
    pub(crate) fn read(&mut self, out: &mut [u8], notes: &mut Notes) -> Result<usize, Fault> {
        match self {
            Decoder::Deflate(inflater) => inflater.read(out, notes),
            Decoder::Zstd(decoder) => decoder.read(out),
        }
    }

    /// How far the input is used up: for messages.
    pub(crate) fn input_offset(&self) -> u64 {
        match self {
            Decoder::Deflate(inflater) => inflater.input_offset(),
            Decoder::Zstd(decoder) => decoder.input_offset(),
        }
    }
}
