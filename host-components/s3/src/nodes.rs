//! The inodes that are held, as a tree: a directory that moves takes all below it along.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::time::Instant;

use eyot_backend::{Errno, Node, NodeKind, Timestamp};
use parking_lot::Mutex;

use crate::content::Body;
use crate::key::{self, LINK_SUFFIX};
use crate::listing::Listing;
use crate::requests::Object;

/// The root's number.
pub(crate) const ROOT: Node = 1;

/// A file, directory or symlink that is held.
///
/// Locks are taken in this order: names, the tree's shape, `body`, the table, `listing` or `facts`. The last three are never held across a request.
pub(crate) struct Inode {
    pub(crate) id: Node,
    pub(crate) kind: NodeKind,
    pub(crate) facts: Mutex<Facts>,
    /// Of a file.
    pub(crate) body: Mutex<Body>,
    /// Of a directory.
    pub(crate) listing: Mutex<Listing>,
}

/// What is known of an inode.
#[derive(Clone, Debug, Default)]
pub(crate) struct Facts {
    /// The object, as it was last seen.
    pub(crate) object: Object,
    /// When that was confirmed.
    pub(crate) checked: Option<Instant>,
    /// Counts the changes that others made.
    pub(crate) version: u64,
    /// The length, while it is not the object's.
    pub(crate) size: Option<u64>,
    /// Times that are newer than the object's.
    pub(crate) modified: Option<Timestamp>,
    pub(crate) accessed: Option<Timestamp>,
    pub(crate) changed: Option<Timestamp>,
    pub(crate) created: Timestamp,
    /// It has no name any more.
    pub(crate) unlinked: bool,
}

impl Inode {
    pub(crate) fn new(id: Node, kind: NodeKind, facts: Facts) -> Self {
        Self { id, kind, facts: Mutex::new(facts), body: Mutex::default(), listing: Mutex::default() }
    }

    pub(crate) fn is_directory(&self) -> bool {
        self.kind == NodeKind::Directory
    }
}

struct Held {
    inode: Arc<Inode>,
    parent: Node,
    name: String,
    /// The name leads here.
    linked: bool,
    lookups: u64,
    opens: u64,
    children: HashMap<String, Node>,
}

/// Every inode that is held.
pub(crate) struct Table {
    held: HashMap<Node, Held>,
    /// What keys begin with: empty, or with a slash at the end.
    prefix: String,
    numbers: RandomState,
}

impl Table {
    pub(crate) fn new(prefix: String, root: Inode) -> Self {
        let root = Held {
            inode: Arc::new(root),
            parent: 0,
            name: String::new(),
            linked: true,
            lookups: 1,
            opens: 0,
            children: HashMap::new(),
        };
        Self { held: HashMap::from([(ROOT, root)]), prefix, numbers: RandomState::new() }
    }

    pub(crate) fn get(&self, node: Node) -> Result<Arc<Inode>, Errno> {
        self.held.get(&node).map(|held| Arc::clone(&held.inode)).ok_or(Errno::Stale)
    }

    /// The inode that a name leads to, if it is held.
    pub(crate) fn child(&self, dir: Node, name: &str) -> Option<Arc<Inode>> {
        let child = self.held.get(&dir)?.children.get(name)?;
        self.held.get(child).map(|held| Arc::clone(&held.inode))
    }

    /// The number that a name's inode has, or would get.
    pub(crate) fn number(&self, dir: Node, name: &str) -> Node {
        if let Some(&child) = self.held.get(&dir).and_then(|held| held.children.get(name)) {
            return child;
        }
        let free = |number: &Node| *number > ROOT && !self.held.contains_key(number);
        // The same name gets the same number again, as long as no other inode has it.
        (0_u32..).map(|salt| self.numbers.hash_one((dir, name, salt)) >> 1).find(free).unwrap_or(u64::MAX)
    }

    /// Counts one more lookup of a name's inode, which is made when it is not held yet or is of another kind by now.
    pub(crate) fn hold(
        &mut self,
        dir: Node,
        name: &str,
        kind: NodeKind,
        facts: impl FnOnce() -> Facts,
    ) -> Result<Arc<Inode>, Errno> {
        if let Some(child) = self.child(dir, name) {
            if child.kind == kind {
                if let Some(held) = self.held.get_mut(&child.id) {
                    held.lookups += 1;
                }
                return Ok(child);
            }
            self.unlink(dir, name);
        }
        let number = self.number(dir, name);
        let parent = self.held.get_mut(&dir).filter(|parent| parent.linked).ok_or(Errno::Noent)?;
        parent.children.insert(name.to_owned(), number);
        let inode = Arc::new(Inode::new(number, kind, facts()));
        let held = Held {
            inode: Arc::clone(&inode),
            parent: dir,
            name: name.to_owned(),
            linked: true,
            lookups: 1,
            opens: 0,
            children: HashMap::new(),
        };
        self.held.insert(number, held);
        Ok(inode)
    }

    /// The key of an inode. Errors: `ENOENT` when it has no name, `ENAMETOOLONG`.
    pub(crate) fn key(&self, node: Node) -> Result<String, Errno> {
        let held = self.held.get(&node).ok_or(Errno::Stale)?;
        let mut names = Vec::new();
        let mut at = held;
        while at.inode.id != ROOT {
            if !at.linked {
                return Err(Errno::Noent);
            }
            names.push(at.name.as_str());
            at = self.held.get(&at.parent).ok_or(Errno::Stale)?;
        }
        let mut key = self.prefix.clone();
        for name in names.iter().rev() {
            key.push_str(name);
            key.push('/');
        }
        match held.inode.kind {
            NodeKind::Directory => {}
            NodeKind::Symlink => key.replace_range(key.len() - 1.., LINK_SUFFIX),
            _ => drop(key.pop()),
        }
        key::check_length(key)
    }

    /// The key that a name in a directory has, or would have.
    pub(crate) fn key_of(&self, dir: Node, name: &str, kind: NodeKind) -> Result<String, Errno> {
        let mut key = self.key(dir)?;
        key.push_str(name);
        match kind {
            NodeKind::Directory => key.push('/'),
            NodeKind::Symlink => key.push_str(LINK_SUFFIX),
            _ => {}
        }
        key::check_length(key)
    }

    /// Where an inode is: its directory and its name.
    pub(crate) fn place(&self, node: Node) -> Option<(Arc<Inode>, String)> {
        let held = self.held.get(&node).filter(|held| held.linked && node != ROOT)?;
        Some((Arc::clone(&self.held.get(&held.parent)?.inode), held.name.clone()))
    }

    /// A name leads nowhere any more. What it led to stays while it is held.
    pub(crate) fn unlink(&mut self, dir: Node, name: &str) -> Option<Arc<Inode>> {
        let child = self.held.get_mut(&dir)?.children.remove(name)?;
        let held = self.held.get_mut(&child)?;
        held.linked = false;
        let inode = Arc::clone(&held.inode);
        inode.facts.lock().unlinked = true;
        self.reap(child);
        self.reap(dir);
        Some(inode)
    }

    /// Another name leads to what this one led to.
    pub(crate) fn rename(&mut self, from: (Node, &str), to: (Node, &str)) {
        self.unlink(to.0, to.1);
        let Some(child) = self.held.get_mut(&from.0).and_then(|held| held.children.remove(from.1)) else { return };
        if let Some(held) = self.held.get_mut(&child) {
            (held.parent, held.name) = (to.0, to.1.to_owned());
        }
        if let Some(parent) = self.held.get_mut(&to.0) {
            parent.children.insert(to.1.to_owned(), child);
        }
        self.reap(from.0);
    }

    /// Counts an open file.
    pub(crate) fn open(&mut self, node: Node) -> Result<(), Errno> {
        self.held.get_mut(&node).ok_or(Errno::Stale)?.opens += 1;
        Ok(())
    }

    /// An open file is gone.
    pub(crate) fn close(&mut self, node: Node) {
        if let Some(held) = self.held.get_mut(&node) {
            held.opens = held.opens.saturating_sub(1);
            self.reap(node);
        }
    }

    pub(crate) fn is_open(&self, node: Node) -> bool {
        self.held.get(&node).is_some_and(|held| held.opens > 0)
    }

    /// Whether these lookups are the last that hold an inode.
    pub(crate) fn is_last(&self, node: Node, count: u64) -> bool {
        self.held.get(&node).is_some_and(|held| held.lookups <= count && held.opens == 0 && count > 0)
    }

    /// Gives lookups back.
    pub(crate) fn forget(&mut self, node: Node, count: u64) {
        if node == ROOT {
            return;
        }
        if let Some(held) = self.held.get_mut(&node) {
            held.lookups = held.lookups.saturating_sub(count);
            self.reap(node);
        }
    }

    /// Lets go of an inode that nobody holds, and then of its directory. One whose bytes are only here is kept.
    fn reap(&mut self, mut node: Node) {
        while node != ROOT {
            let Some(held) = self.held.get(&node) else { return };
            if held.lookups > 0 || held.opens > 0 || !held.children.is_empty() {
                return;
            }
            if held.linked && held.inode.facts.lock().size.is_some() {
                return;
            }
            let Some(held) = self.held.remove(&node) else { return };
            if !held.linked {
                return;
            }
            if let Some(parent) = self.held.get_mut(&held.parent) {
                parent.children.remove(&held.name);
            }
            node = held.parent;
        }
    }

    /// An inode's bytes are on the server: it may go.
    pub(crate) fn settle(&mut self, node: Node) {
        self.reap(node);
    }

    /// Every held file.
    pub(crate) fn files(&self) -> Vec<Arc<Inode>> {
        let files = self.held.values().filter(|held| held.inode.kind == NodeKind::File && held.linked);
        files.map(|held| Arc::clone(&held.inode)).collect()
    }

    /// Every inode that has a name.
    pub(crate) fn all(&self) -> Vec<Arc<Inode>> {
        self.held.values().filter(|held| held.linked).map(|held| Arc::clone(&held.inode)).collect()
    }

    /// How many inodes are held.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.held.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        Table::new("p/".into(), Inode::new(ROOT, NodeKind::Directory, Facts::default()))
    }

    fn hold(table: &mut Table, dir: Node, name: &str, kind: NodeKind) -> Node {
        table.hold(dir, name, kind, Facts::default).unwrap().id
    }

    #[test]
    fn keys_follow_the_tree() {
        let mut table = table();
        let dir = hold(&mut table, ROOT, "d", NodeKind::Directory);
        let file = hold(&mut table, dir, "f", NodeKind::File);
        let link = hold(&mut table, dir, "l", NodeKind::Symlink);
        assert_eq!(table.key(ROOT).unwrap(), "p/");
        assert_eq!(table.key(dir).unwrap(), "p/d/");
        assert_eq!(table.key(file).unwrap(), "p/d/f");
        assert_eq!(table.key(link).unwrap(), "p/d/l.rclonelink");
        table.rename((ROOT, "d"), (ROOT, "e"));
        assert_eq!(table.key(file).unwrap(), "p/e/f");
        assert_eq!(table.key_of(dir, "x", NodeKind::Directory).unwrap(), "p/e/x/");
        table.unlink(dir, "f");
        assert_eq!(table.key(file), Err(Errno::Noent));
        assert_eq!(table.key_of(dir, &"n".repeat(1024), NodeKind::File), Err(Errno::Nametoolong));
    }

    #[test]
    fn what_nobody_holds_goes_and_what_is_below_holds_what_is_above() {
        let mut table = table();
        let dir = hold(&mut table, ROOT, "d", NodeKind::Directory);
        let file = hold(&mut table, dir, "f", NodeKind::File);
        assert_eq!(hold(&mut table, dir, "f", NodeKind::File), file);
        table.forget(dir, 1);
        assert_eq!(table.len(), 3);
        table.forget(file, 1);
        table.open(file).unwrap();
        table.forget(file, 7);
        assert_eq!(table.len(), 3);
        table.close(file);
        assert_eq!(table.len(), 1);
        table.forget(ROOT, 100);
        assert_eq!(table.len(), 1);
    }

    #[test]
    fn a_name_keeps_its_number_and_shares_it_with_nobody() {
        let mut table = table();
        let number = table.number(ROOT, "a");
        let held = hold(&mut table, ROOT, "a", NodeKind::File);
        assert_eq!(number, held);
        table.rename((ROOT, "a"), (ROOT, "b"));
        let other = hold(&mut table, ROOT, "a", NodeKind::File);
        assert_ne!(held, other);
        assert_eq!(table.number(ROOT, "b"), held);
        let kind = hold(&mut table, ROOT, "a", NodeKind::Directory);
        assert_ne!(kind, other);
        table.forget(other, 1);
        assert!(table.get(other).is_err());
    }
}
