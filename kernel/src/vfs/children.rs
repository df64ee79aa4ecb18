//! What a directory's entry remembers of its names: where they lead, and which are not there.

use std::collections::HashMap;
use std::sync::Arc;

use super::Dentry;
use super::belief::Belief;

/// The most names that a directory remembers as absent. Past it all are forgotten: they are asked for again.
const ABSENT_MAX: usize = 128;

/// The names of one directory.
#[derive(Default)]
pub(super) struct Children {
    there: HashMap<Box<str>, Arc<Dentry>>,
    absent: HashMap<Box<str>, Belief>,
}

impl Children {
    pub(super) fn get(&self, name: &str) -> Option<&Arc<Dentry>> {
        self.there.get(name)
    }

    pub(super) fn insert(&mut self, name: &str, child: Arc<Dentry>) -> Option<Arc<Dentry>> {
        self.absent.remove(name);
        self.there.insert(name.into(), child)
    }

    pub(super) fn remove(&mut self, name: &str) -> Option<Arc<Dentry>> {
        self.there.remove(name)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.there.is_empty()
    }

    /// Every child, which is forgotten here.
    pub(super) fn take_all(&mut self) -> impl Iterator<Item = Arc<Dentry>> {
        self.there.drain().map(|(_, child)| child)
    }

    /// Whether the name is believed not to be there.
    pub(super) fn is_absent(&self, name: &str, stamp: u64) -> bool {
        self.absent.get(name).is_some_and(|belief| belief.holds(stamp))
    }

    /// Remembers that a name is not there.
    pub(super) fn set_absent(&mut self, name: &str, lifetime_ns: u64, stamp: u64) {
        if lifetime_ns == 0 {
            return;
        }
        if self.absent.len() >= ABSENT_MAX {
            self.absent.clear();
        }
        self.absent.insert(name.into(), Belief::new(lifetime_ns, stamp));
    }
}
