//! Open files.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use eyot_backend::{Errno, Handle};
use eyot_preopen::Fd;
use parking_lot::RwLock;

/// What `open` gave out.
#[derive(Default)]
pub(super) struct Files {
    open: RwLock<HashMap<Handle, Arc<Fd>>>,
    last: AtomicU64,
}

impl Files {
    pub(super) fn add(&self, file: Fd) -> Handle {
        let handle = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        self.open.write().insert(handle, Arc::new(file));
        handle
    }

    /// Errors: `EBADF`.
    pub(super) fn get(&self, handle: Handle) -> Result<Arc<Fd>, Errno> {
        self.open.read().get(&handle).cloned().ok_or(Errno::Badf)
    }

    pub(super) fn remove(&self, handle: Handle) {
        let file = self.open.write().remove(&handle);
        drop(file);
    }
}
