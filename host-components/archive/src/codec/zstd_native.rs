//! One frame of Zstandard, by the reference library.

use zstd::stream::raw::{DParameter, Decoder, InBuffer, Operation, OutBuffer};

use super::{Fault, Input};

/// Decodes one frame after the other.
pub(crate) struct FrameDecoder(Decoder<'static>);

const BROKEN: Fault =
    Fault::Damaged("the compressed data is no valid frame of Zstandard, or has another checksum than it names");

impl FrameDecoder {
    /// A decoder that refuses windows above `window_bytes_max`.
    pub(crate) fn new(window_bytes_max: u64) -> Result<Self, Fault> {
        let mut decoder = Decoder::new().map_err(|_| Fault::Source(eyot_backend::Errno::Nomem))?;
        let log = window_bytes_max.max(1).ilog2() + u32::from(!window_bytes_max.max(1).is_power_of_two());
        decoder.set_parameter(DParameter::WindowLogMax(log.clamp(10, 31))).map_err(|_| BROKEN)?;
        Ok(Self(decoder))
    }

    /// Gets ready for the next frame.
    pub(crate) fn restart(&mut self) -> Result<(), Fault> {
        self.0.reinit().map_err(|_| BROKEN)
    }

    /// Decodes into `out`, as much as fits; answers how much and whether the frame is at its end.
    pub(crate) fn run(&mut self, input: &mut Input, out: &mut [u8]) -> Result<(usize, bool), Fault> {
        let mut target = OutBuffer::around(out);
        loop {
            let bytes = input.fill()?;
            let ended = bytes.is_empty();
            let mut source = InBuffer::around(bytes);
            let hint = self.0.run(&mut source, &mut target).map_err(|_| BROKEN)?;
            let (consumed, produced) = (source.pos(), target.pos());
            input.consume(consumed);
            if hint == 0 || produced > 0 {
                return Ok((produced, hint == 0));
            }
            if ended && consumed == 0 {
                return Err(Fault::Ended);
            }
        }
    }
}
