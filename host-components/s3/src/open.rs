//! Open files.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use eyot_backend::{Errno, Handle, Node, OpenFlags};
use parking_lot::Mutex;

use crate::cache::ReadAhead;
use crate::nodes::Inode;

/// An open file.
pub(crate) struct Open {
    pub(crate) inode: Arc<Inode>,
    pub(crate) how: OpenFlags,
    /// What others had changed when it was opened: a later change makes it stale.
    pub(crate) version: u64,
    pub(crate) ahead: Mutex<ReadAhead>,
    /// Something was written through it.
    pub(crate) wrote: AtomicBool,
}

/// The open files, by the numbers that the kernel has.
#[derive(Default)]
pub(crate) struct Handles {
    open: HashMap<Handle, Arc<Open>>,
    last: Handle,
}

impl Handles {
    pub(crate) fn add(&mut self, open: Open) -> Handle {
        self.last += 1;
        self.open.insert(self.last, Arc::new(open));
        self.last
    }

    /// An open file of this inode.
    pub(crate) fn get(&self, node: Node, handle: Handle) -> Result<Arc<Open>, Errno> {
        self.open.get(&handle).filter(|open| open.inode.id == node).cloned().ok_or(Errno::Badf)
    }

    pub(crate) fn remove(&mut self, node: Node, handle: Handle) -> Option<Arc<Open>> {
        self.get(node, handle).ok()?;
        self.open.remove(&handle)
    }
}
