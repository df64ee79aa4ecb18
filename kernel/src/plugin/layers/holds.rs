//! What a component holds of its layers' nodes, and where the directories among them lie.
//!
//! The numbers here are those that the component sees. A directory keeps those above it, as in the kernel: so it is always known whether one lies
//! below another.

use std::collections::HashMap;

use eyot_backend::{Errno, Node, NodeKind};

/// The most nodes that a component may hold: many times what a kernel remembers of one mount.
const HOLDS_MAX: usize = 1 << 18;
/// How far up is looked for a directory; deeper than any path that a guest can name.
const DEPTH_MAX: usize = 4096;

struct Held {
    kind: NodeKind,
    /// How often the component holds it.
    count: u64,
    /// Whether one lookup more is kept, for the directories below it.
    kept: bool,
    /// The directory that it lies in, when it is one; 0: none.
    parent: Node,
    /// How many directories here lie in it.
    children: u32,
    root: bool,
}

impl Held {
    fn is_held(&self) -> bool {
        self.root || self.count > 0
    }
}

/// The nodes that a component holds.
#[derive(Default)]
pub(super) struct Holds {
    nodes: HashMap<Node, Held>,
}

impl Holds {
    pub(super) fn add_root(&mut self, node: Node) {
        let root = Held { kind: NodeKind::Directory, count: 0, kept: false, parent: 0, children: 0, root: true };
        self.nodes.insert(node, root);
    }

    /// What a node is. Errors: `ESTALE` when the component does not hold it.
    pub(super) fn kind(&self, node: Node) -> Result<NodeKind, Errno> {
        self.nodes.get(&node).filter(|held| held.is_held()).map(|held| held.kind).ok_or(Errno::Stale)
    }

    /// A directory. Errors: `ESTALE`, `ENOTDIR`.
    pub(super) fn directory(&self, node: Node) -> Result<(), Errno> {
        if self.kind(node)? == NodeKind::Directory { Ok(()) } else { Err(Errno::Notdir) }
    }

    /// A node was found, or made, in `dir`, and its layer counted that once more. Answers what is to be given back of another; errors: `ENOMEM` when
    /// the component holds too many.
    pub(super) fn hold(&mut self, node: Node, kind: NodeKind, dir: Node) -> Result<Vec<(Node, u64)>, Errno> {
        if self.nodes.len() >= HOLDS_MAX && !self.nodes.contains_key(&node) {
            return Err(Errno::Nomem);
        }
        let new = Held { kind, count: 0, kept: false, parent: 0, children: 0, root: false };
        let held = self.nodes.entry(node).or_insert(new);
        held.count = held.count.saturating_add(1);
        held.kind = kind;
        if kind == NodeKind::Directory && !held.root { Ok(self.place(node, dir)) } else { Ok(Vec::new()) }
    }

    /// A directory lies in `dir` from now on, if it is known here. Answers what is to be given back.
    pub(super) fn place(&mut self, node: Node, dir: Node) -> Vec<(Node, u64)> {
        let mut given = Vec::new();
        let Some(held) = self.nodes.get_mut(&node).filter(|held| !held.root && held.kind == NodeKind::Directory) else {
            return given;
        };
        let before = std::mem::replace(&mut held.parent, dir);
        if before == dir {
            return given;
        }
        if let Some(parent) = self.nodes.get_mut(&dir) {
            parent.children = parent.children.saturating_add(1);
        }
        self.leave(before, &mut given);
        given
    }

    /// Gives back `count` holds, or as many as there are. Answers what is to be given back to the layers.
    pub(super) fn forget(&mut self, node: Node, count: u64) -> Vec<(Node, u64)> {
        let mut given = Vec::new();
        let Some(held) = self.nodes.get_mut(&node).filter(|held| !held.root && held.count > 0) else { return given };
        let mut count = count.min(held.count);
        held.count -= count;
        if held.count == 0 {
            if held.children > 0 && !held.kept {
                held.kept = true;
                count -= 1;
            } else if held.children == 0 {
                let (parent, kept) = (held.parent, held.kept);
                self.nodes.remove(&node);
                count = count.saturating_add(u64::from(kept));
                self.leave(parent, &mut given);
            }
        }
        if count > 0 {
            given.push((node, count));
        }
        given
    }

    /// One directory less lies in `dir`; when it was kept only for those, it goes too, and so on upwards.
    fn leave(&mut self, mut dir: Node, given: &mut Vec<(Node, u64)>) {
        while dir != 0 {
            let Some(held) = self.nodes.get_mut(&dir) else { return };
            held.children = held.children.saturating_sub(1);
            if held.children > 0 || held.is_held() {
                return;
            }
            let above = held.parent;
            if held.kept {
                given.push((dir, 1));
            }
            self.nodes.remove(&dir);
            dir = above;
        }
    }

    /// Whether `node` is `ancestor` or lies below it. Errors: `ELOOP` when that cannot be told.
    pub(super) fn is_within(&self, node: Node, ancestor: Node) -> Result<bool, Errno> {
        let mut here = node;
        for _ in 0..DEPTH_MAX {
            if here == ancestor {
                return Ok(true);
            }
            let held = self.nodes.get(&here).ok_or(Errno::Loop)?;
            if held.root {
                return Ok(false);
            }
            here = held.parent;
        }
        Err(Errno::Loop)
    }

    /// How many nodes are known.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Everything that is to be given back.
    pub(super) fn into_counts(self) -> Vec<(Node, u64)> {
        let counts = self.nodes.into_iter().map(|(node, held)| (node, held.count.saturating_add(u64::from(held.kept))));
        counts.filter(|&(_, count)| count > 0).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOT: Node = 1;

    fn holds() -> Holds {
        let mut holds = Holds::default();
        holds.add_root(ROOT);
        holds
    }

    #[test]
    fn counts_are_kept_and_given_back() {
        let mut holds = holds();
        assert_eq!(holds.kind(5), Err(Errno::Stale));
        holds.hold(5, NodeKind::File, ROOT).unwrap();
        holds.hold(5, NodeKind::File, ROOT).unwrap();
        assert_eq!(holds.kind(5), Ok(NodeKind::File));
        assert_eq!(holds.forget(5, 1), [(5, 1)]);
        assert_eq!(holds.forget(5, 100), [(5, 1)], "no more than there are");
        assert_eq!(holds.forget(5, 1), []);
        assert_eq!(holds.kind(5), Err(Errno::Stale));
        assert_eq!(holds.forget(ROOT, u64::MAX), []);
        assert_eq!(holds.directory(ROOT), Ok(()), "the root is never forgotten");
    }

    #[test]
    fn a_directory_keeps_those_above_it() {
        let mut holds = holds();
        for (node, dir) in [(2, ROOT), (3, 2), (4, 3)] {
            holds.hold(node, NodeKind::Directory, dir).unwrap();
        }
        assert_eq!(holds.forget(2, 1), []);
        assert_eq!(holds.kind(2), Err(Errno::Stale), "it is not the component's any more");
        assert_eq!(holds.forget(3, 1), []);
        assert_eq!(holds.is_within(4, 2), Ok(true));
        let mut given = holds.forget(4, 1);
        given.sort_unstable();
        assert_eq!(given, [(2, 1), (3, 1), (4, 1)]);
        assert_eq!(holds.len(), 1);
    }

    #[test]
    fn what_is_held_again_is_counted_beside_what_was_kept() {
        let mut holds = holds();
        holds.hold(2, NodeKind::Directory, ROOT).unwrap();
        holds.hold(3, NodeKind::Directory, 2).unwrap();
        assert_eq!(holds.forget(2, 1), []);
        holds.hold(2, NodeKind::Directory, ROOT).unwrap();
        assert_eq!(holds.forget(2, 1), [(2, 1)]);
        let mut given = holds.forget(3, 1);
        given.sort_unstable();
        assert_eq!(given, [(2, 1), (3, 1)]);
        assert_eq!(holds.into_counts(), []);
    }

    #[test]
    fn directories_that_move_lie_elsewhere() {
        let mut holds = holds();
        for (node, dir) in [(2, ROOT), (3, ROOT), (4, 2)] {
            holds.hold(node, NodeKind::Directory, dir).unwrap();
        }
        assert_eq!(holds.is_within(4, 3), Ok(false));
        assert_eq!(holds.place(4, 3), []);
        assert_eq!((holds.is_within(4, 2), holds.is_within(4, 3)), (Ok(false), Ok(true)));
        // Somebody else moved them around each other: no walk is endless.
        holds.place(3, 4);
        assert_eq!(holds.is_within(4, 2), Err(Errno::Loop));
        let mut counts = holds.into_counts();
        counts.sort_unstable();
        assert_eq!(counts, [(2, 1), (3, 1), (4, 1)]);
    }

    #[test]
    fn there_is_an_end() {
        let mut holds = holds();
        let first = HOLDS_MAX as u64 + 1;
        for node in 2..first {
            holds.hold(node, NodeKind::File, ROOT).unwrap();
        }
        assert_eq!(holds.hold(first, NodeKind::File, ROOT), Err(Errno::Nomem));
        assert!(holds.hold(2, NodeKind::File, ROOT).is_ok(), "what is known can be held again");
        holds.forget(3, 1);
        assert!(holds.hold(first, NodeKind::File, ROOT).is_ok());
    }
}
