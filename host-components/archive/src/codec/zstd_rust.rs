//! One frame of Zstandard, by `ruzstd`: for targets without a C compiler.

use std::io::Read;

use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder as Decoder};

use super::{Fault, Input};

/// How much is decoded at once.
const STEP_BYTES: usize = 128 * 1024;
const BROKEN: Fault =
    Fault::Damaged("the compressed data is no valid frame of Zstandard, or has another checksum than it names");

/// Decodes one frame after the other.
pub(crate) struct FrameDecoder {
    decoder: Decoder,
    begun: bool,
}

impl FrameDecoder {
    /// A decoder that refuses windows above `window_bytes_max`.
    pub(crate) fn new(window_bytes_max: u64) -> Result<Self, Fault> {
        let mut decoder = Decoder::new();
        decoder.set_max_window_size(window_bytes_max);
        Ok(Self { decoder, begun: false })
    }

    /// Gets ready for the next frame.
    pub(crate) fn restart(&mut self) -> Result<(), Fault> {
        self.begun = false;
        Ok(())
    }

    /// Decodes into `out`, as much as fits; answers how much and whether the frame is at its end.
    pub(crate) fn run(&mut self, input: &mut Input, out: &mut [u8]) -> Result<(usize, bool), Fault> {
        if !self.begun {
            self.decoder.reset(&mut *input).map_err(|_| input.fault.take().unwrap_or(BROKEN))?;
            self.begun = true;
        }
        while self.decoder.can_collect() == 0 && !self.decoder.is_finished() {
            let step = BlockDecodingStrategy::UptoBytes(STEP_BYTES);
            self.decoder.decode_blocks(&mut *input, step).map_err(|_| input.fault.take().unwrap_or(BROKEN))?;
        }
        let count = self.decoder.read(out).map_err(|_| BROKEN)?;
        let finished = self.decoder.is_finished() && self.decoder.can_collect() == 0;
        if finished
            && let Some(expected) = self.decoder.get_checksum_from_data()
            && self.decoder.get_calculated_checksum() != Some(expected)
        {
            return Err(BROKEN);
        }
        Ok((count, finished))
    }
}
