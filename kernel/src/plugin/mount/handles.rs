//! Open files that outlive a backend.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::Errno;
use crate::backend::{Filesystem, Handle, Node, OpenFlags};

/// An open file of the kernel's.
pub(super) struct OpenFile {
    /// Our number of the node.
    pub(super) node: Node,
    how: OpenFlags,
    theirs: Mutex<Theirs>,
}

/// A backend's answer to `open`, and which backend's.
#[derive(Clone, Copy)]
struct Theirs {
    generation: u64,
    handle: Handle,
}

impl OpenFile {
    /// The backend's handle; one of an earlier backend is opened anew.
    pub(super) fn handle(&self, generation: u64, node: Node, fs: &dyn Filesystem) -> Result<Handle, Errno> {
        let mut theirs = self.theirs.lock();
        if theirs.generation != generation {
            *theirs = Theirs { generation, handle: fs.open(node, self.how)? };
        }
        Ok(theirs.handle)
    }

    /// The handle, if it is this backend's.
    pub(super) fn of(&self, generation: u64) -> Option<Handle> {
        let theirs = self.theirs.lock();
        (theirs.generation == generation).then_some(theirs.handle)
    }

    pub(super) fn is_writer(&self) -> bool {
        self.how.contains(OpenFlags::WRITE)
    }
}

/// The open files of one mount.
#[derive(Default)]
pub(super) struct OpenFiles {
    files: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    by_handle: HashMap<Handle, Arc<OpenFile>>,
    last: Handle,
}

impl OpenFiles {
    pub(super) fn insert(&self, node: Node, how: OpenFlags, generation: u64, handle: Handle) -> Handle {
        let file = OpenFile { node, how, theirs: Mutex::new(Theirs { generation, handle }) };
        let mut table = self.files.lock();
        table.last = table.last.wrapping_add(1);
        while table.last == 0 || table.by_handle.contains_key(&table.last) {
            table.last = table.last.wrapping_add(1);
        }
        let ours = table.last;
        table.by_handle.insert(ours, Arc::new(file));
        ours
    }

    pub(super) fn get(&self, handle: Handle) -> Result<Arc<OpenFile>, Errno> {
        self.files.lock().by_handle.get(&handle).cloned().ok_or(Errno::Badf)
    }

    pub(super) fn remove(&self, handle: Handle) -> Option<Arc<OpenFile>> {
        self.files.lock().by_handle.remove(&handle)
    }

    pub(super) fn all(&self) -> Vec<Arc<OpenFile>> {
        self.files.lock().by_handle.values().cloned().collect()
    }
}
