//! Cutting and extending files.

use eyot_backend::{AttributeChanges, Attributes, Errno, Node, NodeKind, OpenFlags};

use crate::Crypt;
use crate::block::{Cipher, Opened, SALT, plain_mut};
use crate::file::At;
use crate::layout::{BLOCK, OVERHEAD, block_length, block_offset, plain_size, sealed_size, split};
use crate::undo::{Undo, cut, write_all};

impl Crypt {
    /// Changes attributes, the size among them.
    pub(crate) fn resize(&self, node: Node, size: u64, changes: &AttributeChanges) -> Result<Attributes, Errno> {
        match self.layer.getattr(node)?.kind {
            NodeKind::File => {}
            NodeKind::Directory => return Err(Errno::Isdir),
            _ => return Err(Errno::Inval),
        }
        let sealed = sealed_size(size)?;
        let file = self.files.enter(node);
        let mut cipher = file.cipher.write();
        let done = self.resize_locked(node, size, &AttributeChanges { size: Some(sealed), ..*changes }, &mut cipher);
        drop(cipher);
        self.files.leave(node);
        done
    }

    fn resize_locked(
        &self,
        node: Node,
        size: u64,
        changes: &AttributeChanges,
        cipher: &mut Option<Cipher>,
    ) -> Result<Attributes, Errno> {
        let current = self.layer.getattr(node)?.size;
        let before = plain_size(current);
        if size == 0 || size == before && changes.size == Some(current) {
            let changed = self.layer.setattr(node, changes)?;
            if size == 0 {
                // What is written next has another key.
                *cipher = None;
            }
            return self.show(changed);
        }
        let handle = self.layer.open(node, OpenFlags::READ | OpenFlags::WRITE)?;
        let at = At { node, handle };
        let mut undo = Undo::new(sealed_size(before)?);
        let changed =
            self.reshape(at, cipher, current, size, &mut undo).and_then(|()| self.layer.setattr(node, changes));
        if changed.is_err() {
            undo.run(&*self.layer, at);
            if undo.size == 0 {
                *cipher = None;
            }
        }
        self.layer.release(node, handle);
        self.show(changed?)
    }

    /// Makes the block in which a file ends, or is to end, what it has to be when the layer's file gets its new size.
    fn reshape(
        &self,
        at: At,
        cipher: &mut Option<Cipher>,
        current: u64,
        size: u64,
        undo: &mut Undo,
    ) -> Result<(), Errno> {
        let cipher = self.begin(at, cipher, current)?;
        let before = plain_size(current);
        let (index, _) = split(size.min(before));
        let (from, to) = (block_length(index, before), block_length(index, size));
        if from == 0 || to == 0 || from == to { Ok(()) } else { self.reseal(at, cipher, index, from, to, undo) }
    }

    /// Gets a file ready to have blocks: the header is there, and nothing odd is at the end.
    pub(crate) fn begin<'a>(&self, at: At, cipher: &'a mut Option<Cipher>, current: u64) -> Result<&'a Cipher, Errno> {
        let size = plain_size(current);
        let proper = sealed_size(size)?;
        if current != proper {
            cut(&*self.layer, at, proper)?;
        }
        if size == 0 {
            let header = Cipher::new_header(self.random.bytes()?);
            let made = Cipher::of_header(self.files.contents_key(), &header)?;
            *cipher = None;
            write_all(&*self.layer, at, 0, &header).map_err(|(_, errno)| {
                let _ = cut(&*self.layer, at, 0);
                errno
            })?;
            return Ok(cipher.insert(made));
        }
        if cipher.is_none() {
            *cipher = self.load_cipher(at)?;
        }
        cipher.as_ref().ok_or(Errno::Io)
    }

    /// Makes a block of `from` bytes one of `to` bytes: cuts it, or puts zeroes after it. The layer's file is not made shorter. A hole needs nothing.
    pub(crate) fn reseal(
        &self,
        at: At,
        cipher: &Cipher,
        index: u64,
        from: usize,
        to: usize,
        undo: &mut Undo,
    ) -> Result<(), Errno> {
        debug_assert!(from <= BLOCK && to <= BLOCK && from > 0 && to > 0);
        let offset = block_offset(index).ok_or(Errno::Fbig)?;
        let mut block = self.scratch.take(from.max(to) + OVERHEAD)?;
        let old = block.get_mut(..from + OVERHEAD).ok_or(Errno::Io)?;
        self.read_layer_exact(at, offset, old)?;
        let kept = old.to_vec();
        if cipher.open(index, old)? == Opened::Hole {
            return Ok(());
        }
        let salt = self.random.bytes::<SALT>()?;
        let new = block.get_mut(..to + OVERHEAD).ok_or(Errno::Io)?;
        if let Some(more) = plain_mut(new)?.get_mut(from..) {
            more.fill(0);
        }
        cipher.seal(index, &salt, new)?;
        undo.keep(offset, &kept);
        write_all(&*self.layer, at, offset, new).map_err(|(_, errno)| errno)
    }
}
