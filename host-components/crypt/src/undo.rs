//! Taking back what was done by half.

use eyot_backend::{AttributeChanges, Errno, Filesystem};

use crate::Crypt;
use crate::file::At;

/// What the layer had before.
pub(crate) struct Undo {
    /// The file's size in the layer.
    pub(crate) size: u64,
    /// Blocks as they were, and where.
    pub(crate) blocks: Vec<(u64, Vec<u8>)>,
}

impl Undo {
    pub(crate) fn new(size: u64) -> Self {
        Self { size, blocks: Vec::new() }
    }

    /// Keeps bytes that are about to change.
    pub(crate) fn keep(&mut self, offset: u64, bytes: &[u8]) {
        self.blocks.push((offset, bytes.to_vec()));
    }

    /// Puts everything back, as far as the layer lets us: the error that is told is the one that came before.
    pub(crate) fn run(&self, layer: &dyn Filesystem, at: At) {
        for (offset, bytes) in &self.blocks {
            let _ = write_all(layer, at, *offset, bytes);
        }
        let _ = cut(layer, at, self.size);
    }
}

/// Makes a file of the layer no longer than this.
pub(crate) fn cut(layer: &dyn Filesystem, at: At, size: u64) -> Result<(), Errno> {
    if layer.getattr(at.node)?.size > size {
        layer.setattr(at.node, &AttributeChanges { size: Some(size), ..Default::default() })?;
    }
    Ok(())
}

/// Writes all of it; on an error says how many bytes were written as well.
pub(crate) fn write_all(layer: &dyn Filesystem, at: At, offset: u64, bytes: &[u8]) -> Result<(), (usize, Errno)> {
    let mut done = 0;
    while let Some(rest) = bytes.get(done..).filter(|rest| !rest.is_empty()) {
        let place = offset.checked_add(done as u64).ok_or((done, Errno::Fbig))?;
        match layer.write(at.node, at.handle, place, rest) {
            Ok(count) if count > 0 && count <= rest.len() => done += count,
            Ok(_) => return Err((done, Errno::Io)),
            Err(errno) => return Err((done, errno)),
        }
    }
    Ok(())
}

impl Crypt {
    /// After a write that ended inside of a block of which `written` bytes are new: makes it what it was, and the file no longer than `size` in the layer.
    pub(crate) fn mend(&self, at: At, offset: u64, written: usize, olds: &Undo, size: u64) {
        let layer = &*self.layer;
        if written > 0 {
            match olds.blocks.iter().find(|(kept, _)| *kept == offset) {
                Some((_, bytes)) => {
                    let _ = write_all(layer, at, offset, bytes);
                }
                None if offset < size => self.mend_hole(at, offset, written),
                None => {}
            }
        }
        let _ = cut(layer, at, size);
    }

    /// A whole block was to be replaced, and what it was is not known. If it was a hole, which is the case where a layer runs out of space in the middle of a file, it can be one again.
    fn mend_hole(&self, at: At, offset: u64, written: usize) {
        let Ok(mut block) = self.scratch.take(crate::layout::SEALED_BLOCK) else { return };
        let Ok(got) = self.read_layer(at, offset, &mut block) else { return };
        let (new, old) = block.split_at_mut(written.min(got));
        let is_hole = old.iter().take(got.saturating_sub(written)).all(|&byte| byte == 0);
        if is_hole {
            new.fill(0);
            let _ = write_all(&*self.layer, at, offset, new);
        }
    }
}
