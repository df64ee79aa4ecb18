//! Filesystems below a component: what it reaches through the imports `filesystem`, `layers` and `durable`.
//!
//! ```text
//! numbering.rs  one numbering of all layers' nodes      holds.rs  what the component holds of them, and where directories lie
//! opens.rs      its open files                          checks.rs what a component may pass
//! calls.rs      the calls                               link.rs   the imports    convert.rs  the types
//! ```
//! A layer trusts its caller as it trusts the kernel; a component cannot be trusted. So everything that the kernel would have made sure of is made sure of
//! here: names, numbers and lengths, that a node was given out and is of the right kind, and that no directory moves below itself. What a component still
//! holds or has open when it goes is given back.

mod calls;
mod checks;
mod convert;
mod holds;
mod link;
mod numbering;
mod opens;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use eyot_backend::{Capabilities, Errno, Filesystem, FilesystemInfo, Node};
use parking_lot::Mutex;

use super::nesting::Below;
use holds::Holds;
use numbering::Numbering;
use opens::Opens;

pub(super) use link::{link_durable, link_layers};

/// The most layers of one component.
pub(super) const LAYERS_MAX: usize = 128;

/// The layers of one component instance.
pub(super) struct Layers {
    layers: Vec<Layer>,
    numbering: Numbering,
    holds: Mutex<Holds>,
    opens: Mutex<Opens>,
    /// For how long layers that wait have kept the current call, in nanoseconds.
    waited_ns: AtomicU64,
}

struct Layer {
    fs: Arc<dyn Filesystem>,
    /// What it is, as the component is told.
    info: FilesystemInfo,
    /// Whether it tells of changes that others make, which the component does not hear of.
    tells: bool,
    waits: bool,
}

impl Layers {
    /// Errors: too many layers, or one whose root has a number that cannot be told with the others'.
    pub(super) fn new(filesystems: &[Arc<dyn Filesystem>]) -> Result<Self, &'static str> {
        if filesystems.len() > LAYERS_MAX {
            return Err("it has more than 128 layers");
        }
        let numbering = Numbering::of(filesystems.len());
        let mut layers = Vec::with_capacity(filesystems.len());
        let mut holds = Holds::default();
        for (index, fs) in filesystems.iter().enumerate() {
            let info = fs.info();
            let tells = info.capabilities.contains(Capabilities::EVENTS);
            let info = if tells { unbelieved(info) } else { info };
            let root = numbering.shown(index, info.root);
            let root = root.map_err(|_| "the root of a layer has a number that is too large")?;
            holds.add_root(root);
            let info = FilesystemInfo { root, ..info };
            layers.push(Layer { fs: Arc::clone(fs), info, tells, waits: fs.may_wait() });
        }
        Ok(Self { layers, numbering, holds: Mutex::new(holds), opens: Mutex::default(), waited_ns: AtomicU64::new(0) })
    }

    /// What each layer is, the topmost first.
    fn infos(&self) -> impl Iterator<Item = &FilesystemInfo> {
        self.layers.iter().map(|layer| &layer.info)
    }

    /// Whether any of them may wait for a disk or a network.
    pub(super) fn wait(&self) -> bool {
        self.layers.iter().any(|layer| layer.waits)
    }

    /// For how long layers that wait have kept the call since this was asked last.
    fn take_waited(&self) -> Option<Duration> {
        let waited = self.waited_ns.load(Relaxed);
        if waited == 0 {
            return None;
        }
        self.waited_ns.store(0, Relaxed);
        Some(Duration::from_nanos(waited))
    }

    /// Calls a layer.
    fn call<T>(&self, layer: usize, call: impl FnOnce(&dyn Filesystem) -> Result<T, Errno>) -> Result<T, Errno> {
        let layer = self.layers.get(layer).ok_or(Errno::Stale)?;
        let _below = Below::enter();
        if !layer.waits {
            return call(&*layer.fs);
        }
        let start = Instant::now();
        let answer = call(&*layer.fs);
        let took = u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.waited_ns.store(self.waited_ns.load(Relaxed).saturating_add(took), Relaxed);
        answer
    }

    /// Gives lookups back to the layers.
    fn give_back(&self, counts: &[(Node, u64)]) {
        for &(shown, count) in counts {
            let (layer, node) = self.numbering.theirs(shown);
            let _ = self.call(layer, |fs| {
                fs.forget(node, count);
                Ok(())
            });
        }
    }
}

/// A layer that tells of changes tells its own mount, not this component: nothing of it is to be believed for longer than a look takes.
fn unbelieved(info: FilesystemInfo) -> FilesystemInfo {
    let capabilities = info.capabilities - Capabilities::EVENTS;
    FilesystemInfo { capabilities, entry_lifetime_ns: 0, absence_lifetime_ns: 0, ..info }
}

impl Drop for Layers {
    /// Closes what the component left open, and gives back what it held.
    fn drop(&mut self) {
        for open in std::mem::take(self.opens.get_mut()).into_all() {
            let _ = self.call(open.layer, |fs| {
                fs.release(open.node, open.handle);
                Ok(())
            });
        }
        let held = std::mem::take(self.holds.get_mut()).into_counts();
        self.give_back(&held);
    }
}
