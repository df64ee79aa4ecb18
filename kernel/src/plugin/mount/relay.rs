//! What a backend tells of changes, in the mount's numbers.

use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use super::nodes::Nodes;
use crate::backend::{Change, Filesystem, Watcher};

/// Who wants to know of changes.
pub(super) type Wanted = Arc<Mutex<Option<Weak<dyn Watcher>>>>;

/// Passes on what one backend tells, for as long as it serves.
pub(super) struct Relay {
    wanted: Wanted,
    nodes: Arc<Mutex<Nodes>>,
    generation: u64,
}

impl Relay {
    pub(super) fn new(wanted: &Wanted, nodes: &Arc<Mutex<Nodes>>, generation: u64) -> Arc<Self> {
        Arc::new(Self { wanted: wanted.clone(), nodes: nodes.clone(), generation })
    }

    /// Asks the backend to tell.
    pub(super) fn listen(self: &Arc<Self>, fs: &dyn Filesystem) {
        let watcher: Weak<dyn Watcher> = Arc::downgrade(&(self.clone() as Arc<dyn Watcher>));
        fs.watch(watcher);
    }

    /// The change in our numbers; none when the backend does not serve.
    fn translate(&self, change: &Change) -> Option<Change> {
        // Who holds the lock may be waiting for an answer of this very backend, which may come only after this has been heard.
        let Some(nodes) = self.nodes.try_lock() else { return Some(Change::Everything) };
        if nodes.generation() != self.generation {
            return None;
        }
        Some(match change {
            Change::Node(node) => Change::Node(nodes.shown(*node)),
            Change::Entry { dir, name } => Change::Entry { dir: nodes.shown(*dir), name: name.clone() },
            Change::Everything => Change::Everything,
        })
    }
}

impl Watcher for Relay {
    fn changed(&self, change: &Change) {
        let watcher = self.wanted.lock().as_ref().and_then(Weak::upgrade);
        if let Some(watcher) = watcher
            && let Some(change) = self.translate(change)
        {
            watcher.changed(&change);
        }
    }
}
