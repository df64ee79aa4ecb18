//! What the kernel's own filesystems answer beyond the backend interface: links that lead to objects, files made when they are opened.

use std::sync::Arc;

use super::Dentry;
use crate::Errno;
use crate::backend::Node;
use crate::process::{OpenFile, Task};

/// Where a link of `/proc` leads.
pub enum Jump {
    /// To a path, walked from the link's directory.
    Path(String),
    /// To a place in the tree.
    Place(Arc<Dentry>),
    /// To an open file, such as a pipe's end.
    File(Arc<OpenFile>),
}

/// A filesystem of the kernel's own.
pub trait Special: Send + Sync {
    /// Where the link `node` leads for `task`. None: an ordinary symlink.
    fn follow(&self, node: Node, task: &Task) -> Option<Result<Jump, Errno>>;

    /// The contents of the file `node` as `task` sees them now. None: an ordinary file.
    fn snapshot(&self, node: Node, task: &Task) -> Option<Result<Vec<u8>, Errno>>;
}
