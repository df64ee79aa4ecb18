//! More names of files that have several: without a link in `/proc` a file is reached by a name, and the one that was seen last may be gone.

use std::collections::HashMap;

use eyot_backend::Node;
use parking_lot::Mutex;

/// The most names that are remembered of one file.
const NAMES_MAX: usize = 64;

/// A directory and a name in it.
pub(super) type Place = (Node, Box<str>);

/// The names that were seen, the latest last.
#[derive(Default)]
pub(super) struct Names(Mutex<HashMap<Node, Vec<Place>>>);

impl Names {
    pub(super) fn add(&self, node: Node, dir: Node, name: &str) {
        let mut all = self.0.lock();
        let names = all.entry(node).or_default();
        names.retain(|(other, known)| *other != dir || **known != *name);
        if names.len() >= NAMES_MAX {
            names.remove(0);
        }
        names.push((dir, name.into()));
    }

    /// A name was taken away.
    pub(super) fn remove(&self, node: Node, dir: Node, name: &str) {
        let mut all = self.0.lock();
        let Some(names) = all.get_mut(&node) else { return };
        names.retain(|(other, known)| *other != dir || **known != *name);
        if names.is_empty() {
            all.remove(&node);
        }
    }

    /// The names of a file, the latest last.
    pub(super) fn of(&self, node: Node) -> Vec<Place> {
        self.0.lock().get(&node).cloned().unwrap_or_default()
    }

    /// The file is not held any more.
    pub(super) fn forget(&self, node: Node) {
        self.0.lock().remove(&node);
    }
}
