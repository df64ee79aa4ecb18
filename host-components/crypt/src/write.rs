//! Writing.

use eyot_backend::{CHUNK_BYTES_MAX, Errno};

use crate::Crypt;
use crate::block::{Cipher, SALT, plain_mut};
use crate::file::{At, Open};
use crate::layout::{
    BLOCK, OVERHEAD, RUN_BLOCKS, SEALED_BLOCK, block_length, block_offset, plain_size, sealed_size, split,
};
use crate::undo::{Undo, write_all};

/// The blocks that one call of the layer writes.
struct Run<'a> {
    first: u64,
    last: u64,
    /// Where in the first block it begins.
    skip: usize,
    /// Where in the last block it ends.
    end: usize,
    /// How long the last block is afterwards.
    last_length: usize,
    bytes: &'a [u8],
}

impl<'a> Run<'a> {
    /// What of `bytes`, which go to `offset` in a file of `size` bytes, one call takes.
    fn new(offset: u64, bytes: &'a [u8], size: u64) -> Self {
        let (first, skip) = split(offset);
        let length = bytes.len().min(RUN_BLOCKS as usize * BLOCK - skip);
        let bytes = bytes.get(..length).unwrap_or_default();
        let past = skip + length;
        let last = first + (past.div_ceil(BLOCK) as u64).saturating_sub(1);
        let end = past - (last - first) as usize * BLOCK;
        Self { first, last, skip, end, last_length: end.max(block_length(last, size)), bytes }
    }

    fn sealed_length(&self) -> usize {
        (self.last - self.first) as usize * SEALED_BLOCK + self.last_length + OVERHEAD
    }

    /// How many of the bytes are in the first so many blocks.
    fn bytes_in(&self, blocks: usize) -> usize {
        (blocks * BLOCK).saturating_sub(self.skip).min(self.bytes.len())
    }

    /// Which bytes of a block are written, how long the block is afterwards, and the bytes.
    fn part(&self, index: u64) -> Result<(usize, usize, usize, &'a [u8]), Errno> {
        let before = (index - self.first) as usize;
        let from = if index == self.first { self.skip } else { 0 };
        let (to, length) = if index == self.last { (self.end, self.last_length) } else { (BLOCK, BLOCK) };
        let start = self.bytes_in(before);
        let part = start.checked_add(to - from).and_then(|end| self.bytes.get(start..end)).ok_or(Errno::Io)?;
        Ok((from, to, length, part))
    }
}

impl Crypt {
    pub(crate) fn write_file(&self, open: &Open, offset: u64, bytes: &[u8]) -> Result<usize, Errno> {
        let bytes = bytes.get(..bytes.len().min(CHUNK_BYTES_MAX)).unwrap_or_default();
        if bytes.is_empty() {
            return Ok(0);
        }
        sealed_size(offset.checked_add(bytes.len() as u64).ok_or(Errno::Fbig)?)?;
        let at = open.at;
        let mut cipher = open.file.cipher.write();
        let current = self.layer.getattr(at.node)?.size;
        let mut undo = Undo::new(sealed_size(plain_size(current))?);
        let mut done = 0;
        let written = self.write_locked(at, &mut cipher, current, offset, bytes, &mut undo, &mut done);
        match written {
            Ok(()) => Ok(done),
            Err(_) if done > 0 => Ok(done),
            Err(errno) => {
                undo.run(&*self.layer, at);
                if undo.size == 0 {
                    *cipher = None;
                }
                Err(errno)
            }
        }
    }

    #[expect(clippy::too_many_arguments, reason = "what is done when it fails must be known outside")]
    fn write_locked(
        &self,
        at: At,
        cipher: &mut Option<Cipher>,
        current: u64,
        offset: u64,
        bytes: &[u8],
        undo: &mut Undo,
        done: &mut usize,
    ) -> Result<(), Errno> {
        let cipher = self.begin(at, cipher, current)?;
        let mut size = plain_size(current);
        let (last, used) = split(size);
        if used > 0 && split(offset).0 > last {
            // The file's last block is not the last any more.
            self.reseal(at, cipher, last, used, BLOCK, undo)?;
            size += (BLOCK - used) as u64;
        }
        while let Some(rest) = bytes.get(*done..).filter(|rest| !rest.is_empty()) {
            let run = Run::new(offset + *done as u64, rest, size);
            self.write_run(at, cipher, &run, size, done)?;
            size = size.max(offset + *done as u64);
        }
        Ok(())
    }

    /// Writes a run, and counts in `done` what was written of it. On an error the block in which it ended is what it was.
    fn write_run(&self, at: At, cipher: &Cipher, run: &Run<'_>, size: u64, done: &mut usize) -> Result<(), Errno> {
        let mut sealed = self.scratch.take(run.sealed_length())?;
        let mut olds = Undo::new(sealed_size(size)?);
        let salt = self.random.bytes::<SALT>()?;
        for (index, block) in (run.first..=run.last).zip(sealed.chunks_mut(SEALED_BLOCK)) {
            let (from, to, length, part) = run.part(index)?;
            let before = block_length(index, size);
            if from == 0 && to >= before {
                cipher.seal_from(index, &salt, part, block)?;
                continue;
            }
            if before > 0 {
                let old = block.get_mut(..before + OVERHEAD).ok_or(Errno::Io)?;
                let offset = block_offset(index).ok_or(Errno::Fbig)?;
                self.read_layer_exact(at, offset, old)?;
                olds.keep(offset, old);
                cipher.open(index, old)?;
            }
            let plain = plain_mut(block)?;
            debug_assert_eq!(plain.len(), length);
            plain.get_mut(before..).unwrap_or_default().fill(0);
            plain.get_mut(from..to).ok_or(Errno::Io)?.copy_from_slice(part);
            cipher.seal(index, &salt, block)?;
        }
        let start = block_offset(run.first).ok_or(Errno::Fbig)?;
        match write_all(&*self.layer, at, start, &sealed) {
            Ok(()) => {
                *done += run.bytes.len();
                Ok(())
            }
            Err((written, errno)) => {
                let (whole, torn) = (written / SEALED_BLOCK, written % SEALED_BLOCK);
                let offset = start + (whole * SEALED_BLOCK) as u64;
                let size = if whole > 0 { olds.size.max(offset) } else { olds.size };
                self.mend(at, offset, torn, &olds, size);
                *done += run.bytes_in(whole);
                Err(errno)
            }
        }
    }
}
