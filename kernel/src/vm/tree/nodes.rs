//! One numbering for the nodes of all mounts of a tree.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::RwLock;

use crate::backend::Node;
use crate::vfs::Dentry;

/// A node's number within its mount takes this many bits, and the mount's number the rest but the topmost bit.
const NODE_BITS: u32 = 40;
/// Numbers that do not fit so are mixed; then this bit is set.
const MIXED: u64 = 1 << 63;

/// The number of a mount's node. Two nodes that do not fit may have the same one; which of them has it is decided when they are held.
pub(super) fn number(mount: u64, node: Node) -> Node {
    if node < 1 << NODE_BITS && mount < 1 << (63 - NODE_BITS) {
        return mount << NODE_BITS | node;
    }
    // An odd multiplier (that of Fibonacci hashing) spreads both over all bits.
    (mount.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29) ^ node.wrapping_mul(0x9e37_79b9_7f4a_7c15)) | MIXED
}

struct Held {
    place: Arc<Dentry>,
    count: u64,
}

/// What whoever is served holds.
#[derive(Default)]
pub(super) struct Nodes(RwLock<HashMap<Node, Held>>);

impl Nodes {
    /// Counts a place as looked up once more; answers its number.
    pub(super) fn hold(&self, place: Arc<Dentry>) -> Node {
        let of = |place: &Dentry| (place.inode().mount().id(), place.inode().node());
        let wanted = of(&place);
        let mut number = number(wanted.0, wanted.1);
        let mut table = self.0.write();
        let replaced = loop {
            match table.get_mut(&number) {
                None => {
                    table.insert(number, Held { place, count: 1 });
                    break None;
                }
                Some(held) if of(&held.place) == wanted => {
                    held.count = held.count.saturating_add(1);
                    // The name that it was found by last is the one that it is asked for by.
                    break Some(std::mem::replace(&mut held.place, place));
                }
                Some(_) => number = number.wrapping_add(1) | MIXED,
            }
        };
        drop(table);
        // After the lock: the last use of an inode calls the backend.
        drop(replaced);
        number
    }

    pub(super) fn get(&self, node: Node) -> Option<Arc<Dentry>> {
        self.0.read().get(&node).map(|held| held.place.clone())
    }

    /// Gives lookups back.
    pub(super) fn forget(&self, node: Node, count: u64) {
        let mut table = self.0.write();
        let Some(held) = table.get_mut(&node) else { return };
        held.count = held.count.saturating_sub(count);
        let gone = if held.count == 0 { table.remove(&node) } else { None };
        drop(table);
        drop(gone);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_tell_mounts_and_nodes_apart() {
        let mut seen = std::collections::HashSet::new();
        for mount in [1, 2, 3, 1 << 22, 1 << 40] {
            for node in [1, 2, 1 << 39, 1 << 40, u64::MAX] {
                let number = number(mount, node);
                assert!(number != 0 && seen.insert(number), "{mount} {node}");
            }
        }
        assert_eq!(number(1, 7), 1 << 40 | 7);
    }
}
