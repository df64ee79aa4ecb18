//! Node numbers that outlive a backend.
//!
//! The kernel holds *our* numbers; a backend has *its own*, which are another backend's to choose anew. While the first backend serves they are the same.
//! When a backend was replaced, a node is found again by its name, from the root down, the first time it is asked for.

use std::collections::HashMap;

use crate::Errno;
use crate::backend::{Attributes, Filesystem, Node, NodeKind};

/// Numbers that are ours alone begin here: where a new backend's own number is taken already.
const OURS_FIRST: Node = 1 << 63;
/// How deep a path is followed to find a node again; deeper than any path that a guest can name.
const DEPTH_MAX: usize = 4096;

/// What is known of a node that the kernel holds.
struct Held {
    kind: NodeKind,
    /// A name that leads to it; none once that was taken away.
    place: Option<(Node, Box<str>)>,
    /// How often the kernel holds it.
    count: u64,
    /// The backend whose number `theirs` is.
    generation: u64,
    /// The backend's own number; none when it could not be found there again.
    theirs: Option<Node>,
    /// How often that backend has counted it.
    their_count: u64,
}

/// The nodes of one mount.
pub(super) struct Nodes {
    generation: u64,
    root: Node,
    held: HashMap<Node, Held>,
    by_theirs: HashMap<Node, Node>,
    by_place: HashMap<(Node, Box<str>), Node>,
    next: Node,
}

impl Nodes {
    pub(super) fn new(root: Node) -> Self {
        let mut nodes = Self {
            generation: 0,
            root,
            held: HashMap::new(),
            by_theirs: HashMap::new(),
            by_place: HashMap::new(),
            next: OURS_FIRST,
        };
        let held = Held {
            kind: NodeKind::Directory,
            place: None,
            count: 1,
            generation: 0,
            theirs: Some(root),
            their_count: 1,
        };
        nodes.held.insert(root, held);
        nodes.by_theirs.insert(root, root);
        nodes
    }

    /// Which backend serves.
    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    /// Our number of the root.
    pub(super) fn root(&self) -> Node {
        self.root
    }

    /// The backend's number of a node, if it has one already.
    pub(super) fn known(&self, node: Node) -> Option<Node> {
        self.held.get(&node).filter(|held| held.generation == self.generation)?.theirs
    }

    /// Another backend serves from now on. Answers what the old one counted, to be given back to it.
    pub(super) fn begin_generation(&mut self, root_of_theirs: Node) -> Vec<(Node, u64)> {
        let old = self.generation;
        let counted = self.held.iter().filter(|(node, held)| **node != self.root && held.generation == old);
        let counted = counted.filter_map(|(_, held)| Some((held.theirs?, held.their_count))).collect();
        self.generation += 1;
        self.by_theirs.clear();
        if let Some(root) = self.held.get_mut(&self.root) {
            root.generation = self.generation;
            root.theirs = Some(root_of_theirs);
            self.by_theirs.insert(root_of_theirs, self.root);
        }
        counted
    }

    /// The backend's number of a node. Errors: `ESTALE` when the backend that serves now does not have it.
    pub(super) fn theirs(&mut self, node: Node, fs: &dyn Filesystem) -> Result<Node, Errno> {
        let held = self.held.get(&node).ok_or(Errno::Stale)?;
        if held.generation == self.generation {
            return held.theirs.ok_or(Errno::Stale);
        }
        self.find_again(node, fs)
    }

    /// Finds a node of an earlier backend by its names.
    fn find_again(&mut self, node: Node, fs: &dyn Filesystem) -> Result<Node, Errno> {
        let mut missing = Vec::new();
        let mut here = node;
        let mut theirs = loop {
            let held = self.held.get(&here).ok_or(Errno::Stale)?;
            if held.generation == self.generation {
                break held.theirs.ok_or(Errno::Stale)?;
            }
            missing.push(here);
            let Some((parent, _)) = &held.place else { return Err(self.lost(&missing)) };
            if missing.len() > DEPTH_MAX {
                return Err(self.lost(&missing));
            }
            here = *parent;
        };
        while let Some(node) = missing.pop() {
            let held = self.held.get(&node).ok_or(Errno::Stale)?;
            let (Some((_, name)), kind) = (&held.place, held.kind) else { return Err(Errno::Stale) };
            let found = match fs.lookup(theirs, name) {
                Ok(found) => found,
                Err(Errno::Noent | Errno::Notdir | Errno::Stale) => {
                    missing.push(node);
                    return Err(self.lost(&missing));
                }
                Err(errno) => return Err(errno),
            };
            if found.kind != kind {
                fs.forget(found.node, 1);
                missing.push(node);
                return Err(self.lost(&missing));
            }
            self.bind(node, found.node);
            theirs = found.node;
        }
        Ok(theirs)
    }

    /// What is not in the backend that serves now will not be asked for again.
    fn lost(&mut self, nodes: &[Node]) -> Errno {
        for node in nodes {
            if let Some(held) = self.held.get_mut(node) {
                held.generation = self.generation;
                held.theirs = None;
                held.their_count = 0;
            }
        }
        Errno::Stale
    }

    fn bind(&mut self, node: Node, theirs: Node) {
        if let Some(held) = self.held.get_mut(&node) {
            held.generation = self.generation;
            held.theirs = Some(theirs);
            held.their_count = 1;
            self.by_theirs.entry(theirs).or_insert(node);
        }
    }

    /// Our number for an answer of the backend that it has counted once, found at `name` in our `dir`.
    pub(super) fn hold(&mut self, found: &Attributes, dir: Node, name: &str) -> Node {
        if let Some(&node) = self.by_theirs.get(&found.node)
            && let Some(held) = self.held.get_mut(&node)
        {
            held.count += 1;
            held.their_count += 1;
            if held.place.is_none() && node != self.root {
                self.settle(node, dir, name);
            }
            return node;
        }
        // The same name in an earlier backend: it goes on as this.
        if let Some(&node) = self.by_place.get(&(dir, Box::from(name)))
            && let Some(held) = self.held.get_mut(&node)
            && held.kind == found.kind
            && (held.generation < self.generation || held.theirs.is_none())
        {
            held.count += 1;
            self.bind(node, found.node);
            return node;
        }
        let node = self.number_for(found.node);
        let held = Held {
            kind: found.kind,
            place: None,
            count: 1,
            generation: self.generation,
            theirs: Some(found.node),
            their_count: 1,
        };
        self.held.insert(node, held);
        self.by_theirs.insert(found.node, node);
        self.settle(node, dir, name);
        node
    }

    /// The number that a listing shows of a node, held or not.
    pub(super) fn shown(&self, theirs: Node) -> Node {
        self.by_theirs.get(&theirs).copied().unwrap_or(theirs)
    }

    fn number_for(&mut self, theirs: Node) -> Node {
        if !self.held.contains_key(&theirs) {
            return theirs;
        }
        while self.held.contains_key(&self.next) {
            self.next = self.next.checked_add(1).unwrap_or(OURS_FIRST);
        }
        self.next
    }

    /// A name leads to the node.
    fn settle(&mut self, node: Node, dir: Node, name: &str) {
        if let Some(before) = self.by_place.insert((dir, name.into()), node)
            && before != node
            && let Some(held) = self.held.get_mut(&before)
        {
            held.place = None;
        }
        if let Some(held) = self.held.get_mut(&node)
            && let Some(before) = held.place.replace((dir, name.into()))
            && before != (dir, Box::from(name))
        {
            self.by_place.remove(&before);
        }
    }

    /// A name was taken away.
    pub(super) fn unname(&mut self, dir: Node, name: &str) {
        if let Some(node) = self.by_place.remove(&(dir, Box::from(name)))
            && let Some(held) = self.held.get_mut(&node)
        {
            held.place = None;
        }
    }

    /// A name moved; with `exchange` the two changed places.
    pub(super) fn moved(&mut self, from: (Node, &str), to: (Node, &str), exchange: bool) {
        let moving = self.by_place.get(&(from.0, Box::from(from.1))).copied();
        let replaced = self.by_place.get(&(to.0, Box::from(to.1))).copied();
        self.unname(from.0, from.1);
        self.unname(to.0, to.1);
        if let Some(node) = moving {
            self.settle(node, to.0, to.1);
        }
        if let Some(node) = replaced.filter(|_| exchange) {
            self.settle(node, from.0, from.1);
        }
    }

    /// The kernel gives back `count`. Answers what is then to be given back to the backend.
    pub(super) fn forget(&mut self, node: Node, count: u64) -> Option<(Node, u64)> {
        if node == self.root {
            return None;
        }
        let held = self.held.get_mut(&node)?;
        held.count = held.count.saturating_sub(count);
        if held.count > 0 {
            return None;
        }
        let held = self.held.remove(&node)?;
        if let Some(place) = held.place {
            self.by_place.remove(&place);
        }
        let theirs = held.theirs.filter(|_| held.generation == self.generation)?;
        if self.by_theirs.get(&theirs) == Some(&node) {
            self.by_theirs.remove(&theirs);
        }
        Some((theirs, held.their_count))
    }
}
