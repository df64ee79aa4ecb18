//! Zstandard: frames are the points where decoding can begin.
//!
//! The list of frames is made from their headers and those of their blocks alone (RFC 8878), without decoding: the crates can find a frame's end only when the whole frame is in memory.
//! A frame that does not say how long its contents are is decoded once to learn it. The decoder is fed one frame at a time, from exactly the bytes of the list.

use std::ops::Range;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::zstd_frame::FrameDecoder;
use super::{Fault, Input};
use crate::source::Source;

const MAGIC: u32 = 0xfd2f_b528;
const SKIPPABLE_MAGIC: u32 = 0x184d_2a50;

/// One frame.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Frame {
    /// Where it lies in the source.
    pub input: Range<u64>,
    /// Where its contents end in the output.
    pub output_end: u64,
}

/// The frames with contents, in order.
pub(crate) type Frames = Arc<[Frame]>;

/// What bounds a list of frames.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ListLimits {
    /// The largest window.
    pub window_bytes_max: u64,
    /// The most frames.
    pub count_max: u64,
    /// The most bytes of contents.
    pub output_max: u64,
}

/// Lists the frames in `range`. `None`: there are too many.
pub(crate) fn list(
    source: &Arc<dyn Source>,
    range: Range<u64>,
    limits: ListLimits,
) -> Result<Option<Frames>, (u64, Fault)> {
    let mut frames: Vec<Frame> = Vec::new();
    let (mut at, mut output) = (range.start, 0u64);
    let mut ahead = Ahead { source, bytes: Vec::new(), start: 0 };
    while at < range.end {
        let seen = header(&mut ahead, at, range.end).map_err(|fault| (at, fault))?;
        let found = match seen {
            Seen::Skippable { end } => {
                at = end;
                continue;
            }
            Seen::Frame { end, length, window } => {
                if window > limits.window_bytes_max && length.is_none_or(|length| length > limits.window_bytes_max) {
                    return Err((at, Fault::Window));
                }
                let length = match length {
                    Some(length) => length,
                    None => measure(source, at..end, limits, output).map_err(|fault| (at, fault))?,
                };
                output = output.checked_add(length).ok_or((at, Fault::TooLarge))?;
                if output > limits.output_max {
                    return Err((at, Fault::TooLarge));
                }
                Frame { input: at..end, output_end: output }
            }
        };
        at = found.input.end;
        // A frame without contents is no place to begin.
        if frames.last().map_or(0, |last| last.output_end) < output {
            if frames.len() as u64 >= limits.count_max {
                return Ok(None);
            }
            frames.push(found);
        }
    }
    Ok(Some(frames.into()))
}

enum Seen {
    Skippable { end: u64 },
    Frame { end: u64, length: Option<u64>, window: u64 },
}

/// Reads headers with what follows them: tiny blocks must not cost a read each.
struct Ahead<'s> {
    source: &'s Arc<dyn Source>,
    bytes: Vec<u8>,
    start: u64,
}

impl Ahead<'_> {
    const BYTES: usize = 4096;
    /// Behind a larger block only what is asked for is read.
    const NEAR_BYTES: u64 = 512;

    /// Up to `count` bytes at `at`; fewer at the end.
    fn get(&mut self, at: u64, count: usize) -> Result<&[u8], Fault> {
        let there = |own: &Self| at.checked_sub(own.start).and_then(|from| usize::try_from(from).ok());
        let inside = there(self).is_some_and(|from| from.saturating_add(count) <= self.bytes.len());
        if !inside {
            let near = at.abs_diff(self.start.saturating_add(self.bytes.len() as u64)) <= Self::NEAR_BYTES;
            self.bytes.resize(if near { Self::BYTES } else { count }, 0);
            let read = crate::source::read_full(&**self.source, at, &mut self.bytes).map_err(Fault::Source)?;
            self.bytes.truncate(read);
            self.start = at;
        }
        let from = there(self).unwrap_or(usize::MAX);
        let rest = self.bytes.get(from..).unwrap_or_default();
        Ok(rest.get(..count.min(rest.len())).unwrap_or_default())
    }
}

/// Reads the header at `at`, and those of the blocks.
fn header(ahead: &mut Ahead<'_>, at: u64, end: u64) -> Result<Seen, Fault> {
    const HEADER_BYTES_MAX: usize = 18;
    let room = usize::try_from(end - at).unwrap_or(usize::MAX).min(HEADER_BYTES_MAX);
    let bytes = ahead.get(at, room)?.to_vec();
    let number = |from: usize, length: usize| little_endian(&bytes, from, length).ok_or(Fault::Ended);
    let magic = number(0, 4)?;
    if magic & !0xf == u64::from(SKIPPABLE_MAGIC) {
        let end_of_it = at.checked_add(8 + number(4, 4)?).filter(|&it| it <= end).ok_or(Fault::Ended)?;
        return Ok(Seen::Skippable { end: end_of_it });
    }
    if magic != u64::from(MAGIC) {
        return Err(Fault::Damaged("neither a frame of Zstandard nor the end is where one should be"));
    }
    let descriptor = number(4, 1)?;
    let single = descriptor & 0x20 != 0;
    if descriptor & 0x08 != 0 {
        return Err(Fault::Unsupported("a reserved bit of Zstandard"));
    }
    let window_bytes = usize::from(!single);
    let dictionary_bytes = [0, 1, 2, 4][(descriptor & 3) as usize];
    let length_bytes = match descriptor >> 6 {
        0 => usize::from(single),
        flag => 1 << flag,
    };
    if dictionary_bytes > 0 && number(5 + window_bytes, dictionary_bytes)? != 0 {
        return Err(Fault::Unsupported("a dictionary of Zstandard"));
    }
    let length_at = 5 + window_bytes + dictionary_bytes;
    let length = match length_bytes {
        0 => None,
        2 => Some(number(length_at, 2)? + 256),
        bytes => Some(number(length_at, bytes)?),
    };
    let window = match number(5, window_bytes)? {
        _ if single => length.unwrap_or(0),
        byte => {
            let base = 1u64 << (10 + (byte >> 3));
            base + (base / 8) * (byte & 7)
        }
    };
    let blocks_at = at + (length_at + length_bytes) as u64;
    let checksum_bytes = if descriptor & 0x04 != 0 { 4 } else { 0 };
    let end = blocks(ahead, blocks_at, end)?.checked_add(checksum_bytes).filter(|&it| it <= end).ok_or(Fault::Ended)?;
    Ok(Seen::Frame { end, length, window })
}

/// Goes from block to block; answers where the last one ends.
fn blocks(ahead: &mut Ahead<'_>, mut at: u64, end: u64) -> Result<u64, Fault> {
    loop {
        let header = little_endian(ahead.get(at, 3)?, 0, 3).ok_or(Fault::Ended)?;
        let size = match (header >> 1) & 3 {
            1 => 1,
            3 => return Err(Fault::Damaged("a block of Zstandard of the reserved kind")),
            _ => header >> 3,
        };
        at = at.checked_add(3 + size).filter(|&it| it <= end).ok_or(Fault::Ended)?;
        if header & 1 != 0 {
            return Ok(at);
        }
    }
}

/// Decodes a frame to learn how long its contents are.
fn measure(source: &Arc<dyn Source>, frame: Range<u64>, limits: ListLimits, before: u64) -> Result<u64, Fault> {
    let mut input = Input::new(Arc::clone(source), frame);
    let mut decoder = FrameDecoder::new(limits.window_bytes_max)?;
    let mut scratch = vec![0; 128 * 1024];
    let mut length = 0u64;
    loop {
        let (count, finished) = decoder.run(&mut input, &mut scratch)?;
        length += count as u64;
        if before.saturating_add(length) > limits.output_max {
            return Err(Fault::TooLarge);
        }
        if finished {
            return Ok(length);
        }
    }
}

fn little_endian(bytes: &[u8], from: usize, length: usize) -> Option<u64> {
    let bytes = bytes.get(from..from.checked_add(length)?)?;
    Some(bytes.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte)))
}

/// The decoder of a list of frames.
pub(crate) struct ZstdDecoder {
    input: Input,
    decoder: FrameDecoder,
    frames: Frames,
    at: usize,
    position: u64,
    finished: bool,
}

impl ZstdDecoder {
    /// Begins with the frame that has the output's byte `offset`; answers with the decoder the offset where that frame begins.
    pub(crate) fn new(
        source: Arc<dyn Source>,
        frames: Frames,
        offset: u64,
        window_bytes_max: u64,
    ) -> Result<(Self, u64), Fault> {
        let at = frames.partition_point(|frame| frame.output_end <= offset);
        let position = begin_of(&frames, at);
        let range = frames.get(at).map_or(0..0, |frame| frame.input.clone());
        let (input, decoder) = (Input::new(source, range), FrameDecoder::new(window_bytes_max)?);
        Ok((Self { input, decoder, frames, at, position, finished: false }, position))
    }

    /// How far the input is used up.
    pub(crate) fn input_offset(&self) -> u64 {
        self.input.offset()
    }

    /// See [`Decoder::read`](super::Decoder::read).
    pub(crate) fn read(&mut self, out: &mut [u8]) -> Result<usize, Fault> {
        const LENGTH: Fault = Fault::Damaged("a frame of Zstandard is not as long as it says");
        let mut done = 0;
        while done < out.len() {
            let Some(frame) = self.frames.get(self.at) else { break };
            if self.finished {
                if self.position != frame.output_end {
                    return Err(LENGTH);
                }
                self.at += 1;
                if let Some(next) = self.frames.get(self.at) {
                    self.input.restart(next.input.clone());
                    self.decoder.restart()?;
                    self.finished = false;
                }
                continue;
            }
            let (count, finished) = self.decoder.run(&mut self.input, out.get_mut(done..).unwrap_or_default())?;
            (done, self.finished) = (done + count, finished);
            self.position += count as u64;
            if self.position > frame.output_end {
                return Err(LENGTH);
            }
        }
        Ok(done)
    }
}

/// Where the contents of a frame begin.
pub(crate) fn begin_of(frames: &[Frame], at: usize) -> u64 {
    at.checked_sub(1).and_then(|before| frames.get(before)).map_or(0, |before| before.output_end)
}
