//! The entries of a directory, by name and in the order of their making.

use std::hash::BuildHasher;

use eyot_backend::{Node, NodeKind};
use hashbrown::{DefaultHashBuilder, HashTable};

use crate::quota::ENTRY_BYTES;

/// Below so many entries a name is found by looking at all of them.
const TABLE_ENTRIES_MIN: usize = 12;

/// One entry.
pub(crate) struct Entry {
    /// `None` for an entry that was taken away and not yet cleared up.
    name: Option<Box<str>>,
    pub(crate) node: Node,
    pub(crate) kind: NodeKind,
    cookie: u64,
}

/// The entries of a directory.
///
/// An entry's cookie is the directory's count of entries ever made when it was made: it never changes and is never given again. `entries`
/// is in the order of the cookies, so that going on after a cookie is a binary search.
pub(crate) struct Directory {
    entries: Vec<Entry>,
    /// Indices into `entries` by the names' hash; empty while there are few.
    by_name: HashTable<u32>,
    hasher: DefaultHashBuilder,
    live: usize,
    cookie_last: u64,
}

/// Where an entry is; good until the directory changes.
#[derive(Clone, Copy)]
pub(crate) struct Place(usize);

impl Directory {
    pub(crate) fn new() -> Self {
        Self {
            entries: Vec::new(),
            by_name: HashTable::new(),
            hasher: DefaultHashBuilder::default(),
            live: 0,
            cookie_last: 0,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.live == 0
    }

    /// The bytes that the entries are charged.
    pub(crate) fn charged_bytes(&self) -> u64 {
        self.entries.iter().filter_map(|entry| entry.name.as_deref()).map(entry_bytes).sum()
    }

    pub(crate) fn find(&self, name: &str) -> Option<(Place, &Entry)> {
        let is_it = |index: &usize| self.entries.get(*index).is_some_and(|entry| entry.name.as_deref() == Some(name));
        let index = if self.by_name.is_empty() {
            (0..self.entries.len()).find(is_it)?
        } else {
            *self.by_name.find(self.hasher.hash_one(name), |&index| is_it(&(index as usize)))? as usize
        };
        Some((Place(index), self.entries.get(index)?))
    }

    /// Adds an entry whose name is not there yet.
    pub(crate) fn insert(&mut self, name: &str, node: Node, kind: NodeKind) {
        debug_assert!(self.find(name).is_none());
        if self.entries.len() >= 2 * self.live + TABLE_ENTRIES_MIN {
            self.clear_up();
        }
        self.cookie_last += 1;
        let index = self.entries.len() as u32;
        self.entries.push(Entry { name: Some(name.into()), node, kind, cookie: self.cookie_last });
        self.live += 1;
        if self.by_name.is_empty() {
            if self.entries.len() >= TABLE_ENTRIES_MIN {
                self.index_all();
            }
        } else {
            let Self { entries, by_name, hasher, .. } = self;
            by_name.insert_unique(hasher.hash_one(name), index, |&index| hash_at(entries, hasher, index));
        }
    }

    /// Takes an entry away.
    pub(crate) fn remove(&mut self, Place(at): Place) {
        let Some(name) = self.entries.get_mut(at).and_then(|entry| entry.name.take()) else { return };
        if let Ok(found) = self.by_name.find_entry(self.hasher.hash_one(&*name), |&index| index as usize == at) {
            found.remove();
        }
        self.live -= 1;
        while self.entries.last().is_some_and(|entry| entry.name.is_none()) {
            self.entries.pop();
        }
    }

    /// Lets an entry name another node. It keeps its cookie.
    pub(crate) fn replace(&mut self, Place(at): Place, node: Node, kind: NodeKind) {
        if let Some(entry) = self.entries.get_mut(at) {
            entry.node = node;
            entry.kind = kind;
        }
    }

    /// The entries after `cookie`.
    pub(crate) fn after(&self, cookie: u64) -> impl Iterator<Item = (&str, u64, Node)> {
        let start = self.entries.partition_point(|entry| entry.cookie <= cookie);
        let rest = self.entries.get(start..).unwrap_or_default();
        rest.iter().filter_map(|entry| Some((entry.name.as_deref()?, entry.cookie, entry.node)))
    }

    /// Drops what is left of entries that were taken away.
    fn clear_up(&mut self) {
        self.entries.retain(|entry| entry.name.is_some());
        self.by_name.clear();
        if self.entries.len() >= TABLE_ENTRIES_MIN {
            self.index_all();
        }
    }

    fn index_all(&mut self) {
        let Self { entries, by_name, hasher, .. } = self;
        for (index, entry) in (0..).zip(entries.iter()) {
            if let Some(name) = entry.name.as_deref() {
                by_name.insert_unique(hasher.hash_one(name), index, |&index| hash_at(entries, hasher, index));
            }
        }
    }
}

/// What an entry with this name is charged.
pub(crate) fn entry_bytes(name: &str) -> u64 {
    ENTRY_BYTES + name.len() as u64
}

fn hash_at(entries: &[Entry], hasher: &DefaultHashBuilder, index: u32) -> u64 {
    let name = entries.get(index as usize).and_then(|entry| entry.name.as_deref());
    hasher.hash_one(name.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn names(directory: &Directory, after: u64) -> Vec<String> {
        directory.after(after).map(|(name, ..)| name.to_owned()).collect()
    }

    #[test]
    fn cookies_survive_what_happens_around_them() {
        let mut directory = Directory::new();
        for index in 0..100 {
            directory.insert(&format!("f{index}"), index, NodeKind::File);
        }
        let cookie = directory.after(0).nth(49).unwrap().1;
        for index in (0..100).filter(|index| index % 3 != 0) {
            let (place, _) = directory.find(&format!("f{index}")).unwrap();
            directory.remove(place);
        }
        for index in 100..300 {
            directory.insert(&format!("f{index}"), index, NodeKind::File);
        }
        let expected: Vec<String> =
            (50..300).filter(|i| *i >= 100 || i % 3 == 0).map(|index| format!("f{index}")).collect();
        assert_eq!(names(&directory, cookie), expected);
        assert_eq!(names(&directory, u64::MAX), Vec::<String>::new());
    }

    #[test]
    fn a_directory_that_was_filled_and_emptied_is_small_again() {
        let mut directory = Directory::new();
        for round in 0..1000 {
            directory.insert(&format!("keep{}", round % 2), 1, NodeKind::File);
            directory.insert("other", 1, NodeKind::File);
            let (place, _) = directory.find(&format!("keep{}", round % 2)).unwrap();
            directory.remove(place);
            let (place, _) = directory.find("other").unwrap();
            directory.remove(place);
        }
        assert!(directory.is_empty() && directory.entries.len() < 50);
        assert_eq!(directory.charged_bytes(), 0);
    }

    #[test]
    fn it_is_a_map() {
        let mut seed = 7_u64;
        let mut random = move |below: u64| {
            seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (seed >> 33) % below
        };
        let (mut directory, mut model) = (Directory::new(), BTreeMap::new());
        for step in 0..20_000 {
            let name = format!("n{}", random(60));
            match (directory.find(&name).map(|(place, entry)| (place, entry.node)), model.get(&name).copied()) {
                (Some((place, node)), Some(expected)) => {
                    assert_eq!(node, expected);
                    if random(2) == 0 {
                        directory.remove(place);
                        model.remove(&name);
                    } else {
                        directory.replace(place, step, NodeKind::File);
                        model.insert(name, step);
                    }
                }
                (None, None) => {
                    directory.insert(&name, step, NodeKind::File);
                    model.insert(name, step);
                }
                (found, expected) => panic!("{name}: {:?} is not {expected:?}", found.map(|found| found.1)),
            }
            assert_eq!(directory.live, model.len());
        }
        let mut listed = names(&directory, 0);
        listed.sort();
        assert_eq!(listed, model.into_keys().collect::<Vec<_>>());
    }
}
