//! What changed behind the kernel's back.

use crate::{Errno, Node};

/// Something that did not go through this mount changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Contents or attributes of a node.
    Node(Node),
    /// A name of a directory: it came, went, or leads elsewhere.
    Entry {
        /// The directory.
        dir: Node,
        /// The name.
        name: String,
    },
    /// Too much to tell one by one: nothing that was seen is to be believed.
    Everything,
}

/// Who wants to know of changes: the kernel, for one mount.
pub trait Watcher: Send + Sync {
    /// Is told of a change, from any thread, after it happened. It never calls the backend.
    fn changed(&self, change: &Change);

    /// Is asked to write to the backend what it holds back, before the backend is replaced. It calls the backend. Errors: what the backend answered.
    fn write_back(&self) -> Result<(), Errno> {
        Ok(())
    }
}
