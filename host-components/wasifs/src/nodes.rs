//! The inodes that the kernel holds, and how each is reached through an interface of paths.

use std::collections::HashMap;
use std::sync::Arc;

use eyot_backend::{Errno, Node, NodeKind};

/// The most inodes that may be held at once: each directory among them is an open descriptor.
const HELD_MAX: usize = 1 << 20;

/// What makes two names the same inode: WASI's metadata hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Identity {
    pub(crate) lower: u64,
    pub(crate) upper: u64,
}

impl Identity {
    /// The number of this inode. It is made of the hash alone, so that an entry of a listing has the number that a lookup gives it, and nothing need be kept. Two
    /// inodes of one number are as unlikely as with any 64-bit hash, and the second one is refused.
    pub(crate) fn number(self) -> Node {
        let mixed = self.lower ^ self.upper.rotate_left(32).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed.max(1)
    }
}

/// A name, by which an inode can be reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) dir: Node,
    pub(crate) name: String,
}

/// An inode that is held.
#[derive(Debug)]
pub(crate) struct Held<D> {
    pub(crate) identity: Identity,
    pub(crate) kind: NodeKind,
    /// Its last known name. `None`: the root's, and those whose name was taken away.
    pub(crate) place: Option<Place>,
    /// A directory's descriptor; a file's, while it is open.
    pub(crate) descriptor: Option<Arc<D>>,
    count: u64,
}

/// All that are held.
#[derive(Debug)]
pub(crate) struct Nodes<D> {
    held: HashMap<Node, Held<D>>,
    root: Node,
}

impl<D> Nodes<D> {
    /// With the root, which is always held.
    pub(crate) fn new(identity: Identity, descriptor: D) -> Self {
        let root = identity.number();
        let descriptor = Some(Arc::new(descriptor));
        let held = Held { identity, kind: NodeKind::Directory, place: None, descriptor, count: 1 };
        Self { held: HashMap::from([(root, held)]), root }
    }

    pub(crate) fn root(&self) -> Node {
        self.root
    }

    /// Counts a lookup. `descriptor` is kept when the inode had none. Errors: `ENFILE`-like `ENOMEM` when too many are held, `EIO` for two inodes of one number.
    pub(crate) fn hold(
        &mut self,
        identity: Identity,
        kind: NodeKind,
        place: Place,
        descriptor: Option<D>,
    ) -> Result<Node, Errno> {
        let node = identity.number();
        if let Some(held) = self.held.get_mut(&node) {
            if held.identity != identity {
                return Err(Errno::Io);
            }
            held.count = held.count.checked_add(1).ok_or(Errno::Overflow)?;
            held.place = if node == self.root { None } else { Some(place) };
            if held.descriptor.is_none() {
                held.descriptor = descriptor.map(Arc::new);
            }
            return Ok(node);
        }
        if self.held.len() >= HELD_MAX {
            return Err(Errno::Nomem);
        }
        let descriptor = descriptor.map(Arc::new);
        self.held.insert(node, Held { identity, kind, place: Some(place), descriptor, count: 1 });
        Ok(node)
    }

    /// Gives lookups back.
    pub(crate) fn forget(&mut self, node: Node, count: u64) {
        if node == self.root {
            return;
        }
        if let Some(held) = self.held.get_mut(&node) {
            held.count = held.count.saturating_sub(count);
            if held.count == 0 {
                self.held.remove(&node);
            }
        }
    }

    /// An inode. Errors: `ESTALE` when it is not held.
    pub(crate) fn get(&self, node: Node) -> Result<&Held<D>, Errno> {
        self.held.get(&node).ok_or(Errno::Stale)
    }

    /// A directory's descriptor. Errors: `ENOTDIR`, `ESTALE`.
    pub(crate) fn directory(&self, node: Node) -> Result<Arc<D>, Errno> {
        let held = self.get(node)?;
        if held.kind != NodeKind::Directory {
            return Err(Errno::Notdir);
        }
        held.descriptor.clone().ok_or(Errno::Stale)
    }

    /// Whether an inode with this identity is held under its number.
    pub(crate) fn is_held(&self, identity: Identity) -> bool {
        self.held.get(&identity.number()).is_some_and(|held| held.identity == identity)
    }

    /// A name went: who was reached by it alone is reached by its descriptor from now on, or not at all.
    pub(crate) fn unnamed(&mut self, dir: Node, name: &str) {
        for held in self.named(dir, name) {
            held.place = None;
        }
    }

    /// A name moved.
    pub(crate) fn renamed(&mut self, from: (Node, &str), to: (Node, &str)) {
        self.unnamed(to.0, to.1);
        let place = Place { dir: to.0, name: to.1.to_owned() };
        for held in self.named(from.0, from.1) {
            held.place = Some(place.clone());
        }
    }

    /// A file was opened, or its last open descriptor is gone.
    pub(crate) fn set_descriptor(&mut self, node: Node, descriptor: Option<Arc<D>>) {
        if let Some(held) = self.held.get_mut(&node)
            && held.kind != NodeKind::Directory
        {
            held.descriptor = descriptor;
        }
    }

    fn named<'a>(&'a mut self, dir: Node, name: &'a str) -> impl Iterator<Item = &'a mut Held<D>> {
        let has = move |held: &&mut Held<D>| held.place.as_ref().is_some_and(|at| at.dir == dir && at.name == name);
        self.held.values_mut().filter(has)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOT: Identity = Identity { lower: 1, upper: 1 };
    const FILE: Identity = Identity { lower: 2, upper: 7 };

    fn place(dir: Node, name: &str) -> Place {
        Place { dir, name: name.into() }
    }

    #[test]
    fn holds_are_counted_and_the_root_stays() {
        let mut nodes = Nodes::new(ROOT, ());
        let root = nodes.root();
        let file = nodes.hold(FILE, NodeKind::File, place(root, "a"), None).unwrap();
        assert_eq!(nodes.hold(FILE, NodeKind::File, place(root, "b"), None), Ok(file));
        nodes.forget(file, 1);
        assert_eq!(nodes.get(file).unwrap().place, Some(place(root, "b")));
        nodes.forget(file, 1);
        assert_eq!(nodes.get(file).err(), Some(Errno::Stale));
        nodes.forget(root, u64::MAX);
        assert!(nodes.directory(root).is_ok());
    }

    #[test]
    fn names_follow_renames_and_removals() {
        let mut nodes = Nodes::new(ROOT, ());
        let root = nodes.root();
        let file = nodes.hold(FILE, NodeKind::File, place(root, "a"), None).unwrap();
        nodes.renamed((root, "a"), (root, "c"));
        assert_eq!(nodes.get(file).unwrap().place, Some(place(root, "c")));
        nodes.unnamed(root, "c");
        assert_eq!(nodes.get(file).unwrap().place, None);
        assert_eq!(nodes.directory(file).err(), Some(Errno::Notdir));
    }

    #[test]
    fn two_inodes_of_one_number_are_refused() {
        let mut nodes = Nodes::new(ROOT, ());
        let root = nodes.root();
        let one = Identity { lower: 0, upper: 0 };
        let other = Identity { lower: 1, upper: 0 };
        assert_eq!(one.number(), other.number());
        nodes.hold(one, NodeKind::File, place(root, "a"), None).unwrap();
        assert!(nodes.is_held(one) && !nodes.is_held(other));
        assert_eq!(nodes.hold(other, NodeKind::File, place(root, "b"), None), Err(Errno::Io));
    }
}
