//! What a component tells of changes, on its way to the kernel.
//!
//! The component's stream is read while the event loop runs, on any thread and perhaps under locks of the kernel's. So what was read is only put down there,
//! and a task of its own tells the watcher. What is put down is bounded: more than that is one change of everything.

use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};

use eyot_backend::{self as b, NAME_BYTES_MAX, Watcher};
use parking_lot::Mutex;
use tokio::sync::Notify;
use wasmtime::component::{ComponentType, Lift, Source, StreamConsumer, StreamResult};
use wasmtime::{Result, StoreContextMut};

use crate::plugin::load::HostState;
use crate::runtime;

/// The most changes that are told one by one until the watcher has heard them.
const PENDING_MAX: usize = 1024;
/// The most changes that are read at once.
const BATCH: usize = 64;

/// A name of a directory.
#[derive(ComponentType, Lift)]
#[component(record)]
pub(super) struct ChangedEntry {
    dir: u64,
    name: String,
}

/// Something that changed, as the component says it.
#[derive(ComponentType, Lift)]
#[component(variant)]
pub(super) enum Change {
    #[component(name = "node")]
    Node(u64),
    #[component(name = "entry")]
    Entry(ChangedEntry),
    #[component(name = "everything")]
    Everything,
}

#[derive(Default)]
struct Pending {
    changes: Vec<b::Change>,
    everything: bool,
    over: bool,
}

/// Brings changes to the watcher.
#[derive(Default)]
pub(super) struct Teller {
    pending: Mutex<Pending>,
    put: Notify,
    watcher: Mutex<Option<Weak<dyn Watcher>>>,
}

impl Teller {
    /// A teller, at work.
    pub(super) fn start() -> Arc<Self> {
        let teller = Arc::new(Self::default());
        runtime::spawn(teller.clone().run());
        teller
    }

    /// Who wants to know.
    pub(super) fn watch(&self, watcher: Weak<dyn Watcher>) {
        *self.watcher.lock() = Some(watcher);
    }

    fn put(&self, changes: impl IntoIterator<Item = Change>) {
        let mut pending = self.pending.lock();
        for change in changes {
            if !pending.everything {
                pending.put(change);
            }
        }
        drop(pending);
        self.put.notify_one();
    }

    /// There will be no more. What was missed is not known: everything may have changed.
    fn end(&self) {
        let mut pending = self.pending.lock();
        pending.everything = true;
        pending.over = true;
        drop(pending);
        self.put.notify_one();
    }

    async fn run(self: Arc<Self>) {
        loop {
            self.put.notified().await;
            let Pending { changes, everything, over } = {
                let mut pending = self.pending.lock();
                let over = pending.over;
                std::mem::replace(&mut *pending, Pending { over, ..Pending::default() })
            };
            let watcher = self.watcher.lock().as_ref().and_then(Weak::upgrade);
            if let Some(watcher) = watcher {
                // A watcher may wait for an answer that is on its way, and what it lets go may ask the backend.
                runtime::wait(|| {
                    if everything {
                        watcher.changed(&b::Change::Everything);
                    } else {
                        changes.iter().for_each(|change| watcher.changed(change));
                    }
                    drop(watcher);
                });
            }
            if over {
                return;
            }
        }
    }
}

impl Pending {
    fn put(&mut self, change: Change) {
        let change = match change {
            Change::Node(node) => b::Change::Node(node),
            // No file has such a name, so something else is meant.
            Change::Entry(entry) if entry.name.len() > NAME_BYTES_MAX => b::Change::Everything,
            Change::Entry(entry) => b::Change::Entry { dir: entry.dir, name: entry.name },
            Change::Everything => b::Change::Everything,
        };
        if change == b::Change::Everything || self.changes.len() == PENDING_MAX {
            self.changes = Vec::new();
            self.everything = true;
        } else {
            self.changes.push(change);
        }
    }
}

/// The reading end of a component's stream.
pub(super) struct Listener(pub(super) Arc<Teller>);

impl StreamConsumer<HostState> for Listener {
    type Item = Change;

    fn poll_consume(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        store: StoreContextMut<'_, HostState>,
        mut source: Source<'_, Change>,
        _: bool,
    ) -> Poll<Result<StreamResult>> {
        let mut batch = Vec::with_capacity(BATCH);
        source.read(store, &mut batch)?;
        self.0.put(batch);
        Poll::Ready(Ok(StreamResult::Completed))
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.0.end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_one_change_of_everything() {
        let teller = Teller::default();
        let node = |count: usize| (0..count).map(|node| Change::Node(node as u64));
        teller.put(node(PENDING_MAX));
        assert_eq!(teller.pending.lock().changes.len(), PENDING_MAX);
        teller.put(node(PENDING_MAX * 10));
        let pending = teller.pending.lock();
        assert!(pending.everything && pending.changes.capacity() == 0);
    }

    #[test]
    fn a_name_that_is_none_is_a_change_of_everything() {
        let teller = Teller::default();
        teller.put([Change::Entry(ChangedEntry { dir: 1, name: "n".repeat(256) })]);
        assert!(teller.pending.lock().everything);
    }
}
