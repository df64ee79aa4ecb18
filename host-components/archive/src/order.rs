//! The final order of an index: directories before what is in them, each directory's entries together and sorted by name.

use std::collections::VecDeque;

use crate::builder::{Child, ROOT};
use crate::tree::{EntryRecord, Kind, NONE, NodeRecord, Tree};

/// Brings a tree into its order. Nodes that lost their last name are left behind.
pub(crate) fn in_order(tree: Tree, mut children: Vec<Child>) -> Tree {
    children
        .sort_unstable_by(|a, b| a.parent.cmp(&b.parent).then_with(|| tree.name(&a.record).cmp(tree.name(&b.record))));
    let mut order = Order {
        old: &tree,
        numbers: vec![NONE; tree.nodes.len()],
        nodes: Vec::with_capacity(tree.nodes.len()),
        entries: Vec::with_capacity(children.len()),
        children,
    };
    order.visit_all();
    let (nodes, entries) = (order.nodes, order.entries);
    let mut done = Tree { nodes, entries, ..tree };
    done.nodes.shrink_to_fit();
    done.strings.shrink_to_fit();
    done
}

/// Numbers the nodes anew.
struct Order<'t> {
    old: &'t Tree,
    children: Vec<Child>,
    /// Old number to new.
    numbers: Vec<u32>,
    nodes: Vec<NodeRecord>,
    entries: Vec<EntryRecord>,
}

impl Order<'_> {
    fn visit_all(&mut self) {
        let mut dirs = VecDeque::new();
        dirs.push_back((self.take(ROOT), ROOT));
        while let Some((dir, old)) = dirs.pop_front() {
            let start = self.entries.len();
            let first = self.children.partition_point(|child| child.parent < old);
            let count = self.children.get(first..).unwrap_or_default().partition_point(|child| child.parent == old);
            let mut subdirectories = 0;
            for at in first..first + count {
                let Some(mut record) = self.children.get(at).map(|child| child.record) else { continue };
                let old = record.node;
                let known = self.numbers.get(old as usize).copied().filter(|&number| number != NONE);
                record.node = known.unwrap_or_else(|| self.take(old));
                if self.old.nodes.get(old as usize).is_some_and(|node| node.kind == Kind::Directory) {
                    subdirectories += 1;
                    dirs.push_back((record.node, old));
                }
                self.entries.push(record);
            }
            if let Some(node) = self.nodes.get_mut(dir as usize) {
                (node.start, node.length, node.links) = (start as u64, count as u64, 2 + subdirectories);
            }
        }
    }

    fn take(&mut self, old: u32) -> u32 {
        let number = self.nodes.len() as u32;
        if let (Some(slot), Some(node)) = (self.numbers.get_mut(old as usize), self.old.nodes.get(old as usize)) {
            *slot = number;
            self.nodes.push(*node);
        }
        number
    }
}
