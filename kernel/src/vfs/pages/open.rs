//! An open file on a mount with a cache.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use parking_lot::Mutex;

use super::ahead::Ahead;
use super::file::FilePages;
use crate::Errno;
use crate::backend::Handle;
use crate::vfs::Inode;

/// The backend's handle of an open file, and how the file is read. It is shared with what reads ahead and writes back: the last of them releases the handle.
pub(crate) struct CachedFile {
    inode: Arc<Inode>,
    handle: Handle,
    writes: bool,
    pub(super) ahead: Mutex<Ahead>,
    /// Something is being read ahead.
    pub(super) reads_ahead: AtomicBool,
    /// How many failures of flushes were there when it was opened or last told.
    failures_told: AtomicU64,
}

impl CachedFile {
    /// For a file that was just opened; none where the mount has no cache.
    pub(crate) fn new(inode: &Arc<Inode>, handle: Handle, writes: bool) -> Option<Arc<Self>> {
        let pages = inode.pages()?;
        Some(Arc::new(Self {
            inode: inode.clone(),
            handle,
            writes,
            ahead: Mutex::default(),
            reads_ahead: AtomicBool::new(false),
            failures_told: AtomicU64::new(pages.failures.load(Relaxed)),
        }))
    }

    pub(super) fn inode(&self) -> &Arc<Inode> {
        &self.inode
    }

    pub(super) fn handle(&self) -> Handle {
        self.handle
    }

    fn pages(&self) -> Result<&FilePages, Errno> {
        self.inode.pages().ok_or(Errno::Io)
    }

    /// Reads at `offset`, until the buffer is full or the file ends.
    pub(crate) fn read(self: &Arc<Self>, buffer: &mut [u8], offset: u64) -> Result<usize, Errno> {
        self.pages()?.read(self, buffer, offset)
    }

    /// Writes at `offset`; answers how many bytes were taken.
    pub(crate) fn write(self: &Arc<Self>, bytes: &[u8], offset: u64) -> Result<usize, Errno> {
        self.pages()?.write(self, bytes, offset)
    }

    /// fsync(2). Errors: the backend's, and once what a flush met since the file was opened or last asked.
    pub(crate) fn sync(&self, data_only: bool) -> Result<(), Errno> {
        self.flush()?;
        self.inode.fs().fsync(self.inode.node(), self.handle, data_only)
    }

    /// Writes to the backend what is held back, before the file is closed. Errors: as [`sync`](Self::sync).
    pub(crate) fn close(&self) -> Result<(), Errno> {
        if self.writes { self.flush() } else { Ok(()) }
    }

    fn flush(&self) -> Result<(), Errno> {
        let pages = self.pages()?;
        let flushed = pages.flush();
        let failures = pages.failures.load(Relaxed);
        if self.failures_told.swap(failures, Relaxed) != failures {
            return Err(pages.lock().failure.unwrap_or(Errno::Io));
        }
        flushed
    }
}

impl Drop for CachedFile {
    fn drop(&mut self) {
        self.inode.fs().release(self.inode.node(), self.handle);
    }
}
