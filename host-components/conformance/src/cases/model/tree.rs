//! The model: a tree of maps and vectors, written to be read.

use std::collections::BTreeMap;

use eyot_backend::Errno;

/// Where an item is in the list of all that were ever made.
pub(super) type Id = usize;

#[derive(Clone)]
pub(super) enum Body {
    File(Vec<u8>),
    Directory(BTreeMap<String, Id>),
    Symlink(String),
    Fifo,
}

#[derive(Clone)]
pub(super) struct Item {
    pub body: Body,
    pub links: u32,
    pub mode: u32,
    pub xattrs: BTreeMap<String, Vec<u8>>,
}

/// How a rename treats what is there.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    Replace,
    NoReplace,
    Exchange,
}

/// What an operation may answer: success, or one of these errors.
pub(super) type Wanted = Result<(), Vec<Errno>>;

pub(super) const ROOT: Id = 0;

pub(super) struct Tree {
    pub items: Vec<Item>,
}

impl Tree {
    pub(super) fn new() -> Self {
        Self { items: vec![Item::new(Body::Directory(BTreeMap::new()), 0)] }
    }

    pub(super) fn entries(&self, dir: Id) -> Result<&BTreeMap<String, Id>, Errno> {
        match &self.items[dir].body {
            Body::Directory(entries) => Ok(entries),
            _ => Err(Errno::Notdir),
        }
    }

    pub(super) fn find(&self, dir: Id, name: &str) -> Result<Id, Errno> {
        self.entries(dir)?.get(name).copied().ok_or(Errno::Noent)
    }

    pub(super) fn is_directory(&self, id: Id) -> bool {
        matches!(self.items[id].body, Body::Directory(_))
    }

    fn set(&mut self, dir: Id, name: &str, id: Option<Id>) {
        if let Body::Directory(entries) = &mut self.items[dir].body {
            match id {
                Some(id) => entries.insert(name.to_owned(), id),
                None => entries.remove(name),
            };
        }
    }

    /// Counts a subdirectory that came or went.
    fn count(&mut self, dir: Id, child: Id, by: i32) {
        if self.is_directory(child) {
            let links = &mut self.items[dir].links;
            *links = links.saturating_add_signed(by);
        }
    }

    pub(super) fn make(&mut self, dir: Id, name: &str, body: Body, mode: u32) -> Result<Id, Errno> {
        if self.entries(dir)?.contains_key(name) {
            return Err(Errno::Exist);
        }
        let id = self.items.len();
        self.items.push(Item::new(body, mode));
        self.set(dir, name, Some(id));
        self.count(dir, id, 1);
        Ok(id)
    }

    pub(super) fn link(&mut self, target: Id, dir: Id, name: &str) -> Wanted {
        let mut errors = Vec::new();
        if self.is_directory(target) {
            errors.push(Errno::Perm);
        }
        match self.find(dir, name) {
            Ok(_) => errors.push(Errno::Exist),
            Err(Errno::Noent) => {}
            Err(errno) => errors.push(errno),
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        self.items[target].links += 1;
        self.set(dir, name, Some(target));
        Ok(())
    }

    pub(super) fn unlink(&mut self, dir: Id, name: &str) -> Result<(), Errno> {
        let id = self.find(dir, name)?;
        if self.is_directory(id) {
            return Err(Errno::Isdir);
        }
        self.items[id].links -= 1;
        self.set(dir, name, None);
        Ok(())
    }

    pub(super) fn rmdir(&mut self, dir: Id, name: &str) -> Result<(), Errno> {
        let id = self.find(dir, name)?;
        if !self.entries(id)?.is_empty() {
            return Err(Errno::Notempty);
        }
        self.items[id].links = 0;
        self.count(dir, id, -1);
        self.set(dir, name, None);
        Ok(())
    }

    /// Whether `id` is `dir` or lies above it.
    pub(super) fn is_above(&self, id: Id, dir: Id) -> bool {
        let Ok(entries) = self.entries(id) else { return false };
        id == dir || entries.values().any(|&child| self.is_above(child, dir))
    }

    pub(super) fn rename(&mut self, (from, name): (Id, &str), (to, new): (Id, &str), how: How) -> Wanted {
        let one = |errno| vec![errno];
        let target = match self.find(to, new) {
            Ok(id) => Some(id),
            Err(Errno::Noent) => None,
            // Which of two errors comes first is nobody's rule.
            Err(errno) => return Err(vec![errno, self.find(from, name).err().unwrap_or(errno)]),
        };
        let source = self.find(from, name).map_err(one)?;
        match (how, target) {
            (How::NoReplace, Some(_)) => return Err(one(Errno::Exist)),
            (How::Exchange, None) => return Err(one(Errno::Noent)),
            (_, Some(target)) if target == source => return Ok(()),
            _ => {}
        }
        if how == How::Replace && target.is_some_and(|target| self.is_above(target, from)) {
            return Err(vec![Errno::Notempty, Errno::Exist, Errno::Isdir]);
        }
        if let (How::Replace, Some(target)) = (how, target) {
            self.replaced(source, target, to).map_err(one)?;
        }
        let back = if how == How::Exchange { target } else { None };
        self.count(from, source, -1);
        self.set(from, name, back);
        if let Some(back) = back {
            self.count(to, back, -1);
            self.count(from, back, 1);
        }
        self.set(to, new, Some(source));
        self.count(to, source, 1);
        Ok(())
    }

    /// Takes the name of what a rename replaces.
    fn replaced(&mut self, source: Id, target: Id, to: Id) -> Result<(), Errno> {
        match (self.is_directory(source), self.is_directory(target)) {
            (true, false) => Err(Errno::Notdir),
            (false, true) => Err(Errno::Isdir),
            (true, true) if !self.entries(target)?.is_empty() => Err(Errno::Notempty),
            (true, true) => {
                self.items[target].links = 0;
                self.count(to, target, -1);
                Ok(())
            }
            (false, false) => {
                self.items[target].links -= 1;
                Ok(())
            }
        }
    }

    /// Writes into a file.
    pub(super) fn write(&mut self, id: Id, offset: usize, bytes: &[u8]) {
        if let (Body::File(data), false) = (&mut self.items[id].body, bytes.is_empty()) {
            data.resize(data.len().max(offset + bytes.len()), 0);
            data[offset..offset + bytes.len()].copy_from_slice(bytes);
        }
    }

    pub(super) fn truncate(&mut self, id: Id, size: usize) {
        if let Body::File(data) = &mut self.items[id].body {
            data.resize(size, 0);
        }
    }
}

impl Item {
    fn new(body: Body, mode: u32) -> Self {
        let links = if matches!(body, Body::Directory(_)) { 2 } else { 1 };
        Self { body, links, mode, xattrs: BTreeMap::new() }
    }
}
