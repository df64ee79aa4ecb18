//! The inodes that the kernel holds, and a bounded number of open handles on them.
//!
//! A node is known by its parent and its name there, and reached through a handle (`O_PATH` descriptor) that is kept while there is room and else opened
//! anew, walking down from the nearest ancestor that has one. What is found must be the same inode, or the node is stale. A node whose last known name was taken
//! away keeps its handle, for there is no way back to it.
//!
//! The table's lock is held for the table only, never for a system call.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use eyot_backend::{Errno, Node};
use parking_lot::Mutex;

use crate::host::{self, Fd, HANDLES_KEPT_MAX, HANDLES_PINNED_MAX};
use crate::identity::Identity;

/// How deep a node can lie below the nearest handle.
const DEPTH_MAX: usize = 4096;

pub(crate) struct Nodes {
    root: Node,
    root_device: u64,
    table: Mutex<Table>,
}

struct Table {
    nodes: HashMap<Node, Entry>,
    /// Nodes that have a handle that is not pinned, oldest first. May name nodes that are gone.
    kept: VecDeque<Node>,
    pinned: usize,
}

struct Entry {
    identity: Identity,
    parent: Node,
    name: Box<str>,
    held: u64,
    /// How many entries have this one as their parent.
    children: u64,
    handle: Option<Arc<Fd>>,
    pinned: bool,
}

impl Nodes {
    pub(crate) fn new(root: Fd) -> Result<Self, Errno> {
        let identity = host::status(&root)?.identity();
        let number = identity.number(identity.device());
        let entry = Entry {
            identity,
            parent: number,
            name: "".into(),
            held: 1,
            children: 0,
            handle: Some(Arc::new(root)),
            pinned: true,
        };
        let table = Table { nodes: HashMap::from([(number, entry)]), kept: VecDeque::new(), pinned: 0 };
        Ok(Self { root: number, root_device: identity.device(), table: Mutex::new(table) })
    }

    pub(crate) fn root(&self) -> Node {
        self.root
    }

    pub(crate) fn number(&self, identity: Identity) -> Node {
        identity.number(self.root_device)
    }

    /// Counts a lookup of what is called `name` in `parent`, and keeps its handle. Errors: `EIO` when two inodes would have one number.
    pub(crate) fn hold(&self, parent: Node, name: &str, identity: Identity, handle: Option<Fd>) -> Result<Node, Errno> {
        let node = self.number(identity);
        let handle = handle.map(Arc::new);
        let mut table = self.table.lock();
        match table.nodes.get_mut(&node) {
            Some(entry) if entry.identity != identity => return Err(Errno::Io),
            Some(entry) => {
                entry.held = entry.held.saturating_add(1);
            }
            None => {
                table.nodes.get_mut(&parent).ok_or(Errno::Stale)?.children += 1;
                let entry =
                    Entry { identity, parent, name: name.into(), held: 1, children: 0, handle: None, pinned: false };
                table.nodes.insert(node, entry);
            }
        }
        table.moved(node, parent, name);
        table.keep(node, handle);
        Ok(node)
    }

    /// The handle of a node: the one that is kept, or one opened anew.
    pub(crate) fn handle(&self, node: Node) -> Result<Arc<Fd>, Errno> {
        let (mut handle, path) = self.nearest(node)?;
        for (node, name, identity) in path.into_iter().rev() {
            let opened = host::open_path(&handle, &name).map_err(gone)?;
            if host::status(&opened)?.identity() != identity {
                return Err(Errno::Stale);
            }
            handle = Arc::new(opened);
            self.table.lock().keep(node, Some(Arc::clone(&handle)));
        }
        Ok(handle)
    }

    /// Where a node was seen last: its parent and its name. The root has none. Errors: `ESTALE`.
    #[cfg(target_family = "wasm")]
    pub(crate) fn place(&self, node: Node) -> Result<(Node, Box<str>, Identity), Errno> {
        let table = self.table.lock();
        let entry = table.nodes.get(&node).filter(|_| node != self.root).ok_or(Errno::Stale)?;
        Ok((entry.parent, entry.name.clone(), entry.identity))
    }

    /// Whether the kernel holds a node.
    #[cfg(target_family = "wasm")]
    pub(crate) fn is_held(&self, node: Node) -> bool {
        self.table.lock().nodes.get(&node).is_some_and(|entry| entry.held > 0)
    }

    /// Whether the kernel holds an inode.
    #[cfg(target_family = "wasm")]
    pub(crate) fn holds(&self, identity: Identity) -> bool {
        let node = self.number(identity);
        self.table.lock().nodes.get(&node).is_some_and(|entry| entry.identity == identity && entry.held > 0)
    }

    /// The nearest handle above a node, and the way down from it, last step first.
    #[expect(clippy::type_complexity, reason = "used once")]
    fn nearest(&self, node: Node) -> Result<(Arc<Fd>, Vec<(Node, Box<str>, Identity)>), Errno> {
        let table = self.table.lock();
        let (mut at, mut path) = (node, Vec::new());
        loop {
            let entry = table.nodes.get(&at).ok_or(Errno::Stale)?;
            if let Some(handle) = &entry.handle {
                return Ok((Arc::clone(handle), path));
            }
            if path.len() >= DEPTH_MAX {
                return Err(Errno::Stale);
            }
            path.push((at, entry.name.clone(), entry.identity));
            at = entry.parent;
        }
    }

    /// Gives lookups back.
    pub(crate) fn forget(&self, node: Node, count: u64) {
        if node == self.root {
            return;
        }
        let mut table = self.table.lock();
        if let Some(entry) = table.nodes.get_mut(&node) {
            entry.held = entry.held.saturating_sub(count);
        }
        let dropped = table.let_go(node);
        drop(table);
        // Closing is a system call.
        drop(dropped);
    }

    /// A name of a node was taken away while `handle` was open: what the kernel still holds must stay in reach.
    pub(crate) fn unlinked(&self, identity: Identity, parent: Node, name: &str, handle: Fd) {
        let node = self.number(identity);
        let mut table = self.table.lock();
        let room = table.pinned < HANDLES_PINNED_MAX;
        let Some(entry) = table.nodes.get_mut(&node).filter(|entry| entry.identity == identity) else { return };
        if entry.pinned || entry.parent != parent || *entry.name != *name || !room {
            return;
        }
        entry.pinned = true;
        entry.handle = Some(Arc::new(handle));
        table.pinned += 1;
    }

    /// A node has another name now.
    pub(crate) fn renamed(&self, identity: Identity, parent: Node, name: &str) {
        let node = self.number(identity);
        let mut table = self.table.lock();
        if table.nodes.get(&node).is_some_and(|entry| entry.identity == identity) {
            table.moved(node, parent, name);
        }
    }

    /// How many nodes and handles there are: for tests.
    #[cfg(test)]
    pub(crate) fn counts(&self) -> (usize, usize) {
        let table = self.table.lock();
        (table.nodes.len(), table.nodes.values().filter(|entry| entry.handle.is_some()).count())
    }
}

impl Table {
    fn moved(&mut self, node: Node, parent: Node, name: &str) {
        let Some(entry) = self.nodes.get_mut(&node) else { return };
        if (entry.parent == parent && *entry.name == *name) || entry.name.is_empty() {
            return;
        }
        let before = std::mem::replace(&mut entry.parent, parent);
        entry.name = name.into();
        if before != parent {
            if let Some(parent) = self.nodes.get_mut(&parent) {
                parent.children += 1;
            }
            if let Some(before) = self.nodes.get_mut(&before) {
                before.children = before.children.saturating_sub(1);
            }
            self.let_go(before);
        }
    }

    /// Keeps a handle, and lets the oldest go when there are too many.
    fn keep(&mut self, node: Node, handle: Option<Arc<Fd>>) {
        let (Some(handle), Some(entry)) = (handle, self.nodes.get_mut(&node)) else { return };
        if entry.handle.is_some() {
            return;
        }
        entry.handle = Some(handle);
        self.kept.push_back(node);
        while self.kept.len() > HANDLES_KEPT_MAX {
            let oldest = self.kept.pop_front().and_then(|node| self.nodes.get_mut(&node));
            if let Some(entry) = oldest.filter(|entry| !entry.pinned) {
                entry.handle = None;
            }
        }
    }

    /// Removes a node that nothing holds, and its ancestors likewise.
    fn let_go(&mut self, node: Node) -> Vec<Entry> {
        let (mut at, mut removed) = (node, Vec::new());
        while let Some(entry) = self.nodes.get(&at)
            && entry.held == 0
            && entry.children == 0
        {
            let Some(entry) = self.nodes.remove(&at) else { break };
            self.pinned -= usize::from(entry.pinned);
            at = entry.parent;
            if let Some(parent) = self.nodes.get_mut(&at) {
                parent.children = parent.children.saturating_sub(1);
            }
            removed.push(entry);
        }
        removed
    }
}

/// What a name that led to a node once says when it leads nowhere now.
fn gone(errno: Errno) -> Errno {
    match errno {
        Errno::Noent | Errno::Notdir | Errno::Loop => Errno::Stale,
        other => other,
    }
}
