//! The bytes of files on their way.

use std::cell::RefCell;

use eyot_backend::{AttributeChanges, CHUNK_BYTES_MAX, Errno, Filesystem, Handle, Node};
use fuser::{OpenFlags, ReplyData, WriteFlags};

use crate::bridge::Bridge;
use crate::rights;

/// `O_APPEND`: open(2).
const APPEND: i32 = 0o2000;

thread_local! {
    /// Where reads land before they are sent. It keeps the size of the largest one, at most a mebibyte.
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

impl Bridge {
    pub(crate) fn read_data(&self, node: Node, handle: Handle, offset: u64, size: usize, reply: ReplyData) {
        // What never changes is sent from where it lies.
        if let Ok(Some(content)) = self.ask(|fs| Ok(fs.content(node))) {
            let bytes = (*content.bytes).as_ref();
            let rest = usize::try_from(offset).ok().and_then(|offset| bytes.get(offset..)).unwrap_or_default();
            return reply.data(rest.get(..size).unwrap_or(rest));
        }
        BUFFER.with_borrow_mut(|buffer| {
            if buffer.len() < size {
                buffer.resize(size, 0);
            }
            let target = buffer.get_mut(..size).unwrap_or_default();
            match self.ask(|fs| read_all(fs, node, handle, offset, target)) {
                Ok(count) => reply.data(buffer.get(..count).unwrap_or_default()),
                Err(error) => reply.error(error),
            }
        });
    }

    pub(crate) fn write_data(
        &self,
        node: Node,
        handle: Handle,
        offset: u64,
        bytes: &[u8],
        (how, open): (WriteFlags, OpenFlags),
    ) -> Result<u32, fuser::Errno> {
        let strips = how.contains(WriteFlags::FUSE_WRITE_KILL_SUIDGID);
        let appends = open.0 & APPEND != 0 && !how.contains(WriteFlags::FUSE_WRITE_CACHE);
        self.ask(|fs| {
            let mut offset = offset;
            if strips || appends {
                let attributes = fs.getattr(node)?;
                if strips && let Some(mode) = rights::stripped(&attributes) {
                    fs.setattr(node, &AttributeChanges { mode: Some(mode), ..Default::default() })?;
                }
                // Where the end is, only the backend knows when others write too.
                if appends && self.lifetime_ns(&attributes) != u64::MAX {
                    offset = attributes.size;
                }
            }
            Ok(write_all(fs, node, handle, offset, bytes)? as u32)
        })
    }
}

/// Fills `buffer` from `offset`, in calls of the size that the trait allows; answers how many bytes there were.
fn read_all(fs: &dyn Filesystem, node: Node, handle: Handle, offset: u64, buffer: &mut [u8]) -> Result<usize, Errno> {
    let mut done = 0;
    for chunk in buffer.chunks_mut(CHUNK_BYTES_MAX) {
        let at = offset.checked_add(done as u64).ok_or(Errno::Inval)?;
        let count = fs.read(node, handle, at, chunk)?.min(chunk.len());
        done += count;
        if count < chunk.len() {
            break;
        }
    }
    Ok(done)
}

/// Writes all of `bytes`, or as many as the backend takes before it fails.
fn write_all(fs: &dyn Filesystem, node: Node, handle: Handle, offset: u64, bytes: &[u8]) -> Result<usize, Errno> {
    let mut done = 0;
    while let Some(rest) = bytes.get(done..).filter(|rest| !rest.is_empty()) {
        let chunk = rest.get(..CHUNK_BYTES_MAX).unwrap_or(rest);
        let at = offset.checked_add(done as u64).ok_or(Errno::Fbig)?;
        match fs.write(node, handle, at, chunk) {
            Ok(0) => break,
            Ok(count) => done += count.min(chunk.len()),
            Err(error) if done == 0 => return Err(error),
            Err(_) => break,
        }
    }
    Ok(done)
}
