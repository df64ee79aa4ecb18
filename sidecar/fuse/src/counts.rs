//! How often the host's kernel holds each node. At the end of a mount it does not give back what it holds, so this must be known here.

use std::collections::HashMap;

use eyot_backend::Node;
use parking_lot::Mutex;

/// So many tables that threads seldom meet in one.
const SHARDS: usize = 16;

#[derive(Default)]
pub(crate) struct Counts([Mutex<HashMap<Node, u64>>; SHARDS]);

impl Counts {
    fn shard(&self, node: Node) -> &Mutex<HashMap<Node, u64>> {
        // Node numbers are dense or random; their low bits serve.
        &self.0[(node % SHARDS as u64) as usize]
    }

    /// One lookup more.
    pub(crate) fn add(&self, node: Node) {
        let mut shard = self.shard(node).lock();
        let count = shard.entry(node).or_default();
        *count = count.saturating_add(1);
    }

    /// Takes `count` lookups away; answers how many there were to take.
    pub(crate) fn take(&self, node: Node, count: u64) -> u64 {
        let mut shard = self.shard(node).lock();
        let Some(held) = shard.get_mut(&node) else { return 0 };
        let taken = count.min(*held);
        *held -= taken;
        if *held == 0 {
            shard.remove(&node);
        }
        taken
    }

    /// The nodes that are held now.
    pub(crate) fn nodes(&self) -> Vec<Node> {
        self.0.iter().flat_map(|shard| shard.lock().keys().copied().collect::<Vec<_>>()).collect()
    }

    /// Everything that is still held.
    pub(crate) fn drain(&self) -> Vec<(Node, u64)> {
        self.0.iter().flat_map(|shard| std::mem::take(&mut *shard.lock())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_taken_than_was_added() {
        let counts = Counts::default();
        for node in [5, 5, 21, u64::MAX] {
            counts.add(node);
        }
        assert_eq!(counts.take(5, 1), 1);
        assert_eq!(counts.take(5, 9), 1);
        assert_eq!((counts.take(5, 1), counts.take(6, 1)), (0, 0));
        let mut nodes = counts.nodes();
        nodes.sort();
        assert_eq!(nodes, [21, u64::MAX]);
        let mut rest = counts.drain();
        rest.sort();
        assert_eq!(rest, [(21, 1), (u64::MAX, 1)]);
        assert!(counts.drain().is_empty());
    }
}
