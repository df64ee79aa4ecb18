//! Backends that wait for a disk or a network.
//!
//! Guests' fibers share a few threads. While a call waits in such a backend, its thread leaves the other fibers to another thread.

use std::sync::Arc;

use crate::backend::{Filesystem, wrap_filesystem};
use crate::runtime;

/// The backend, each call to which may take long.
struct Waiting {
    fs: Arc<dyn Filesystem>,
}

impl Waiting {
    fn around<T>(&self, call: impl FnOnce(&dyn Filesystem) -> T) -> T {
        runtime::wait(|| call(&*self.fs))
    }
}

wrap_filesystem!(impl for Waiting, around);

/// The backend as the kernel calls it.
pub(super) fn as_called(fs: Arc<dyn Filesystem>) -> Arc<dyn Filesystem> {
    if fs.may_wait() { Arc::new(Waiting { fs }) } else { fs }
}
