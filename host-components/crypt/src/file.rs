//! Open files, and reading.

use std::collections::HashMap;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use eyot_backend::{CHUNK_BYTES_MAX, Errno, Handle, Node};
use parking_lot::{Mutex, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::Crypt;
use crate::block::Cipher;
use crate::keys::{CONTENTS, Key, subkey};
use crate::layout::{BLOCK, HEADER, OVERHEAD, RUN_BLOCKS, SEALED_BLOCK, block_offset, split};

/// How many buffers are kept for the next call.
const SCRATCH_KEPT_MAX: usize = 8;

/// An open file of the layer.
#[derive(Clone, Copy)]
pub(crate) struct At {
    pub(crate) node: Node,
    pub(crate) handle: Handle,
}

/// What all who have a file open share. The lock is held for reading while blocks are read and for writing while they change, since a block is read and written as a whole; it
/// covers the calls of the layer in between.
#[derive(Default)]
pub(crate) struct File {
    /// `None` until it is needed, and while the file is empty.
    pub(crate) cipher: RwLock<Option<Cipher>>,
}

/// What one `open` gave out.
pub(crate) struct Open {
    pub(crate) at: At,
    pub(crate) file: Arc<File>,
}

/// The files that are open.
pub(crate) struct Files {
    contents: Key,
    by_node: RwLock<HashMap<Node, (Arc<File>, u64)>>,
    by_handle: RwLock<HashMap<Handle, Arc<Open>>>,
    next: AtomicU64,
}

impl Files {
    pub(crate) fn new(master: &Key) -> Self {
        let contents = subkey(master, CONTENTS);
        Self { contents, by_node: RwLock::default(), by_handle: RwLock::default(), next: AtomicU64::new(1) }
    }

    pub(crate) fn contents_key(&self) -> &Key {
        &self.contents
    }

    /// Counts a use of a file.
    pub(crate) fn enter(&self, node: Node) -> Arc<File> {
        let mut open = self.by_node.write();
        let (file, uses) = open.entry(node).or_default();
        *uses = uses.saturating_add(1);
        Arc::clone(file)
    }

    /// Gives a use back.
    pub(crate) fn leave(&self, node: Node) {
        let mut open = self.by_node.write();
        if let Some((_, uses)) = open.get_mut(&node) {
            *uses = uses.saturating_sub(1);
            if *uses == 0 {
                open.remove(&node);
            }
        }
    }

    /// Keeps an open file of the layer; answers our handle for it.
    pub(crate) fn add(&self, at: At) -> Handle {
        let open = Arc::new(Open { at, file: self.enter(at.node) });
        let handle = self.next.fetch_add(1, Ordering::Relaxed);
        self.by_handle.write().insert(handle, open);
        handle
    }

    /// Lets an open file go; answers what the layer gave out for it.
    pub(crate) fn remove(&self, node: Node, handle: Handle) -> Option<At> {
        let mut by_handle = self.by_handle.write();
        by_handle.get(&handle).filter(|open| open.at.node == node)?;
        let open = by_handle.remove(&handle)?;
        drop(by_handle);
        self.leave(node);
        Some(open.at)
    }

    /// A file that is open. Errors: `EBADF`.
    pub(crate) fn get(&self, node: Node, handle: Handle) -> Result<Arc<Open>, Errno> {
        let open = self.by_handle.read().get(&handle).map(Arc::clone);
        open.filter(|open| open.at.node == node).ok_or(Errno::Badf)
    }
}

/// Buffers for what goes to the layer and comes from it.
#[derive(Default)]
pub(crate) struct Scratch(Mutex<Vec<Vec<u8>>>);

/// A buffer that goes back when dropped.
pub(crate) struct Buffer<'a> {
    bytes: Vec<u8>,
    home: &'a Scratch,
}

impl Scratch {
    /// A buffer of this length; what is in it is of no meaning.
    pub(crate) fn take(&self, length: usize) -> Result<Buffer<'_>, Errno> {
        let mut bytes = self.0.lock().pop().unwrap_or_default();
        let more = length.saturating_sub(bytes.len());
        bytes.try_reserve_exact(more).map_err(|_| Errno::Nomem)?;
        bytes.resize(length, 0);
        Ok(Buffer { bytes, home: self })
    }
}

impl Deref for Buffer<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl DerefMut for Buffer<'_> {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }
}

impl Drop for Buffer<'_> {
    fn drop(&mut self) {
        let mut kept = self.home.0.lock();
        if kept.len() < SCRATCH_KEPT_MAX {
            kept.push(std::mem::take(&mut self.bytes));
        }
    }
}

impl Crypt {
    /// Reads from the layer; fewer only at its end.
    pub(crate) fn read_layer(&self, at: At, offset: u64, buffer: &mut [u8]) -> Result<usize, Errno> {
        let got = self.layer.read(at.node, at.handle, offset, buffer)?;
        if got > buffer.len() { Err(Errno::Io) } else { Ok(got) }
    }

    /// Reads what must be there from the layer.
    pub(crate) fn read_layer_exact(&self, at: At, offset: u64, buffer: &mut [u8]) -> Result<(), Errno> {
        let length = buffer.len();
        if self.read_layer(at, offset, buffer)? == length { Ok(()) } else { Err(Errno::Io) }
    }

    /// The cipher by the header in the layer; `None` when the file is empty.
    pub(crate) fn load_cipher(&self, at: At) -> Result<Option<Cipher>, Errno> {
        let mut header = [0; HEADER];
        match self.read_layer(at, 0, &mut header)? {
            HEADER => Cipher::of_header(self.files.contents_key(), &header).map(Some),
            _ => Ok(None),
        }
    }

    /// The file's lock, held for reading, with the cipher in it unless the file is empty.
    fn reading<'a>(&self, file: &'a File, at: At) -> Result<RwLockReadGuard<'a, Option<Cipher>>, Errno> {
        let cipher = file.cipher.read();
        if cipher.is_some() {
            return Ok(cipher);
        }
        drop(cipher);
        let mut cipher = file.cipher.write();
        if cipher.is_none() {
            *cipher = self.load_cipher(at)?;
        }
        Ok(RwLockWriteGuard::downgrade(cipher))
    }

    pub(crate) fn read_file(&self, open: &Open, offset: u64, buffer: &mut [u8]) -> Result<usize, Errno> {
        let at = open.at;
        let length = buffer.len().min(CHUNK_BYTES_MAX);
        let buffer = buffer.get_mut(..length).unwrap_or_default();
        let cipher = self.reading(&open.file, at)?;
        let Some(cipher) = &*cipher else { return Ok(0) };
        let mut done = 0;
        while let Some(rest) = buffer.get_mut(done..).filter(|rest| !rest.is_empty()) {
            let Some(from) = offset.checked_add(done as u64) else { break };
            let (got, is_end) = self.read_run(at, cipher, from, rest)?;
            done += got;
            if is_end {
                break;
            }
        }
        Ok(done)
    }

    /// Reads blocks by one call of the layer; says how many bytes, and whether the file ends there.
    fn read_run(&self, at: At, cipher: &Cipher, offset: u64, buffer: &mut [u8]) -> Result<(usize, bool), Errno> {
        let (first, mut skip) = split(offset);
        let Some(start) = block_offset(first) else { return Ok((0, true)) };
        let blocks = (skip + buffer.len()).div_ceil(BLOCK).min(RUN_BLOCKS as usize);
        let mut scratch = self.scratch.take(blocks * SEALED_BLOCK)?;
        let got = self.read_layer(at, start, &mut scratch)?;
        let is_end = got < scratch.len();
        let (sealed, mut done) = (scratch.get_mut(..got).ok_or(Errno::Io)?, 0);
        for (index, block) in (first..).zip(sealed.chunks_mut(SEALED_BLOCK)) {
            let length = block.len().saturating_sub(OVERHEAD);
            let wanted = length.saturating_sub(skip).min(buffer.len() - done);
            let Some(to) = buffer.get_mut(done..done + wanted).filter(|to| !to.is_empty()) else { break };
            if wanted == length {
                cipher.open_into(index, block, to)?;
            } else {
                cipher.open(index, block)?;
                let plain = crate::block::plain_mut(block)?;
                to.copy_from_slice(plain.get(skip..skip + wanted).ok_or(Errno::Io)?);
            }
            done += wanted;
            skip = 0;
        }
        Ok((done, is_end))
    }
}
