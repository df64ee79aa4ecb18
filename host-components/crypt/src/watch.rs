//! Changes that the layer tells of.

use std::sync::{Arc, Weak};

use eyot_backend::{Change, Watcher};
use parking_lot::Mutex;

use crate::Crypt;
use crate::names::{Names, Shown};

/// Who listens to the layer for whoever listens to us.
#[derive(Default)]
pub(crate) struct Watching(Mutex<Option<Arc<Decoding>>>);

/// Tells of the layer's changes by the names that a guest knows.
struct Decoding {
    names: Arc<Names>,
    to: Weak<dyn Watcher>,
}

impl Watcher for Decoding {
    fn changed(&self, change: &Change) {
        let Some(to) = self.to.upgrade() else { return };
        match change {
            Change::Entry { dir, name } => match self.names.shown(*dir, name) {
                Shown::Name(name) => to.changed(&Change::Entry { dir: *dir, name }),
                // The layer is not asked from here.
                Shown::Long => to.changed(&Change::Everything),
                Shown::Foreign => {}
            },
            other => to.changed(other),
        }
    }
}

impl Crypt {
    pub(crate) fn watch_layer(&self, to: Weak<dyn Watcher>) {
        let decoding = Arc::new(Decoding { names: Arc::clone(&self.names), to });
        let watcher: Weak<dyn Watcher> = Arc::downgrade(&decoding) as _;
        *self.watching.0.lock() = Some(decoding);
        self.layer.watch(watcher);
    }
}
