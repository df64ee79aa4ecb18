//! Open files.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use eyot_backend::{Errno, Handle, Node, OpenFlags};
use parking_lot::RwLock;

use crate::inode::Inode;
use crate::layer::Opened;
use crate::overlay::Overlay;

/// How many files can be open at once.
const FILES_OPEN_MAX: usize = 1 << 20;

/// The open files, by the handles that the kernel has.
#[derive(Default)]
pub(crate) struct Files {
    open: RwLock<HashMap<Handle, Arc<OpenFile>>>,
    handle_last: AtomicU64,
}

/// An open file. What it is open on goes before the inode that keeps the node.
pub(crate) struct OpenFile {
    /// The layer's open file. It is replaced by the upper's when the file was copied up since.
    on: RwLock<On>,
    inode: Arc<Inode>,
    writes: bool,
}

struct On {
    opened: Opened,
    is_upper: bool,
}

impl Files {
    /// An open file of this node. Errors: `EBADF`.
    pub(crate) fn get(&self, node: Node, handle: Handle) -> Result<Arc<OpenFile>, Errno> {
        let file = self.open.read().get(&handle).cloned();
        file.filter(|file| file.inode.number == node).ok_or(Errno::Badf)
    }

    fn add(&self, file: OpenFile) -> Result<Handle, Errno> {
        let handle = self.handle_last.fetch_add(1, Ordering::Relaxed) + 1;
        let mut open = self.open.write();
        if open.len() >= FILES_OPEN_MAX {
            drop(open);
            return Err(Errno::Nfile);
        }
        open.insert(handle, Arc::new(file));
        Ok(handle)
    }

    pub(crate) fn remove(&self, node: Node, handle: Handle) {
        if self.get(node, handle).is_ok() {
            let file = self.open.write().remove(&handle);
            // Releasing is a call of the layer: not under the lock.
            drop(file);
        }
    }

    pub(crate) fn clear(&self) {
        let open = std::mem::take(&mut *self.open.write());
        drop(open);
    }
}

impl OpenFile {
    /// Uses the layer's open file: the upper's, once the file was copied up.
    pub(crate) fn with<T>(
        &self,
        overlay: &Overlay,
        call: impl FnOnce(&Opened, bool) -> Result<T, Errno>,
    ) -> Result<T, Errno> {
        let on = self.on.read();
        let Some(upper) = self.inode.upper.get().filter(|_| !on.is_upper) else {
            return call(&on.opened, on.is_upper);
        };
        drop(on);
        let mut on = self.on.write();
        if !on.is_upper {
            let layer = overlay.layers.first().ok_or(Errno::Io)?;
            *on = On { opened: layer.open(upper.node, OpenFlags::READ)?, is_upper: true };
        }
        call(&on.opened, true)
    }

    /// Whether it was opened for writing.
    pub(crate) fn writes(&self) -> bool {
        self.writes
    }
}

impl Overlay {
    /// Opens a file in the layer that has it; for writing, it is copied up first.
    pub(crate) fn open_file(&self, inode: Arc<Inode>, how: OpenFlags) -> Result<Handle, Errno> {
        let writes = how.contains(OpenFlags::WRITE);
        if writes {
            self.copy_up(&inode, &Default::default())?;
        }
        let (layer, node) = *inode.stack().first().ok_or(Errno::Io)?;
        let opened = self.layers.get(layer).ok_or(Errno::Io)?.open(node, how)?;
        let on = RwLock::new(On { opened, is_upper: self.has_upper() && layer == 0 });
        self.files.add(OpenFile { on, inode, writes })
    }
}
