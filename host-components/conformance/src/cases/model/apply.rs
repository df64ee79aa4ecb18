//! Applies an operation to the backend and to the model, and compares what both answer.

use std::collections::BTreeMap;

use eyot_backend::{AttributeChanges, Attributes, Errno, Handle, Node, NodeKind, OpenFlags, Ownership, RenameFlags};

use super::op::{Op, Path, SLOTS, name};
use super::tree::{Body, How, Id, ROOT, Tree, Wanted};
use crate::random::pattern;
use crate::subject::{DIR_OWNER, OWNER, Subject};
use crate::verdict::difference;

/// What was compared: nothing, or how both differ.
pub(super) type Checked = Result<(), String>;

/// A file that is held and open.
struct Held {
    id: Id,
    node: Node,
    handle: Handle,
}

pub(super) struct Applied<'a> {
    pub(super) s: &'a Subject,
    pub(super) tree: Tree,
    held: [Option<Held>; SLOTS as usize],
    /// Lookups to give back.
    lookups: BTreeMap<Node, u64>,
    pub(super) counts_directories: bool,
}

/// A path as both know it: the directory's number here and there.
#[derive(Clone, Copy)]
struct Place<'a> {
    id: Id,
    node: Node,
    path: &'a Path,
}

impl Place<'_> {
    fn name(self) -> String {
        name(self.path.name)
    }
}

impl<'a> Applied<'a> {
    pub(super) fn new(s: &'a Subject) -> Self {
        let counts_directories = s.counts_directories();
        Self {
            s,
            tree: Tree::new(),
            held: [const { None }; SLOTS as usize],
            lookups: BTreeMap::new(),
            counts_directories,
        }
    }

    fn note(&mut self, found: Attributes) -> Node {
        *self.lookups.entry(found.node).or_default() += 1;
        found.node
    }

    /// Walks to a path's directory in both; what is in the way must be in the way of both.
    fn walk<'p>(&mut self, path: &'p Path) -> Result<Option<Place<'p>>, String> {
        let (mut id, mut node) = (ROOT, self.s.root);
        for &part in &path.dir {
            let wanted = self.tree.find(id, &name(part));
            let got = self.s.fs.lookup(node, &name(part));
            match (wanted, got) {
                (Ok(next), Ok(found)) => {
                    node = self.note(found);
                    id = next;
                }
                (Err(wanted), Err(got)) if wanted == got => return Ok(None),
                (wanted, got) => {
                    return Err(told(
                        &format!("lookup of {} on the way", name(part)),
                        &wanted.map(drop).map_err(|e| vec![e]),
                        &got,
                    ));
                }
            }
        }
        Ok(Some(Place { id, node, path }))
    }

    /// Walks to what a path leads to.
    fn reach(&mut self, path: &Path) -> Result<Option<(Id, Node)>, String> {
        let Some(place) = self.walk(path)? else { return Ok(None) };
        let wanted = self.tree.find(place.id, &place.name());
        match (wanted, self.s.fs.lookup(place.node, &place.name())) {
            (Ok(id), Ok(found)) => {
                let node = self.note(found);
                self.same_item(id, found).map_err(|message| format!("lookup: {message}"))?;
                Ok(Some((id, node)))
            }
            (Err(wanted), Err(got)) if wanted == got => Ok(None),
            (wanted, got) => Err(told("lookup", &wanted.map(drop).map_err(|errno| vec![errno]), &got)),
        }
    }

    pub(super) fn apply(&mut self, op: &Op) -> Checked {
        match op {
            Op::Create(path, mode) => {
                let owner = Ownership { mode: *mode, ..OWNER };
                self.make(path, Body::File(Vec::new()), *mode, |s, dir, name| s.fs.create(dir, name, owner))
            }
            Op::Mkdir(path) => {
                let body = Body::Directory(BTreeMap::new());
                self.make(path, body, DIR_OWNER.mode, |s, dir, name| s.fs.mkdir(dir, name, DIR_OWNER))
            }
            Op::Symlink(path, length) => {
                let target = "t".repeat(*length as usize + 1);
                let body = Body::Symlink(target.clone());
                self.make(path, body, 0, |s, dir, name| s.fs.symlink(dir, name, &target, OWNER))
            }
            Op::Fifo(path) => self
                .make(path, Body::Fifo, OWNER.mode, |s, dir, name| s.fs.make_node(dir, name, NodeKind::Fifo, 0, OWNER)),
            Op::Link(path, new) => self.link(path, new),
            Op::Unlink(path) => self.remove(path, false),
            Op::Rmdir(path) => self.remove(path, true),
            Op::Rename(from, to) => self.rename(from, to, How::Replace),
            Op::RenameNoReplace(from, to) => self.rename(from, to, How::NoReplace),
            Op::Exchange(from, to) => self.rename(from, to, How::Exchange),
            Op::Chmod(path, mode) => self.chmod(path, *mode),
            Op::Write { path, offset, length, seed } => self.with_file(path, |this, id, node| {
                let handle = this.s.fs.open(node, OpenFlags::all()).map_err(|errno| format!("open: got {errno:?}"))?;
                let written = this.write(id, node, handle, *offset, &pattern(*length as usize, *seed));
                this.s.fs.release(node, handle);
                written
            }),
            Op::Truncate(path, size) => match self.reach(path)? {
                Some((id, node)) => self.truncate(id, node, *size),
                None => Ok(()),
            },
            Op::Read { path, offset, length } => self.with_file(path, |this, id, node| {
                let handle = this.s.fs.open(node, OpenFlags::READ).map_err(|errno| format!("open: got {errno:?}"))?;
                let read = this.read(id, node, handle, *offset as usize, *length as usize);
                this.s.fs.release(node, handle);
                read
            }),
            Op::SetXattr { path, name, length } => self.set_xattr(path, *name, *length),
            Op::RemoveXattr(path, name) => self.remove_xattr(path, *name),
            Op::Forget => {
                for (node, count) in std::mem::take(&mut self.lookups) {
                    self.s.fs.forget(node, count);
                }
                Ok(())
            }
            _ => self.apply_held(op),
        }
    }

    fn apply_held(&mut self, op: &Op) -> Checked {
        match *op {
            Op::Hold(slot, ref path) => {
                self.let_go(slot);
                self.with_file(path, |this, id, node| {
                    let handle =
                        this.s.fs.open(node, OpenFlags::all()).map_err(|errno| format!("open: got {errno:?}"))?;
                    // The lookup that `reach` noted stays with the slot.
                    if let Some(count) = this.lookups.get_mut(&node) {
                        *count -= 1;
                    }
                    this.held[slot as usize] = Some(Held { id, node, handle });
                    Ok(())
                })
            }
            Op::HeldWrite { slot, offset, length, seed } => self.with_held(slot, |this, id, node, handle| {
                this.write(id, node, handle, offset, &pattern(length as usize, seed))
            }),
            Op::HeldTruncate(slot, size) => self.with_held(slot, |this, id, node, _| this.truncate(id, node, size)),
            Op::HeldRead(slot) => {
                self.with_held(slot, |this, id, node, handle| this.read(id, node, handle, 0, 300_000))
            }
            Op::Drop(slot) => {
                self.let_go(slot);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn let_go(&mut self, slot: u64) {
        if let Some(held) = self.held[slot as usize].take() {
            self.s.fs.release(held.node, held.handle);
            self.s.fs.forget(held.node, 1);
        }
    }

    fn with_held(&mut self, slot: u64, run: impl FnOnce(&mut Self, Id, Node, Handle) -> Checked) -> Checked {
        let Some(held) = &self.held[slot as usize] else { return Ok(()) };
        let (id, node, handle) = (held.id, held.node, held.handle);
        let found = self.s.fs.getattr(node).map_err(|errno| format!("getattr of what is held: got {errno:?}"))?;
        self.same_item(id, found)?;
        run(self, id, node, handle)
    }

    /// Runs for a regular file; what is none must be refused by open.
    fn with_file(&mut self, path: &Path, run: impl FnOnce(&mut Self, Id, Node) -> Checked) -> Checked {
        let Some((id, node)) = self.reach(path)? else { return Ok(()) };
        match &self.tree.items[id].body {
            Body::File(_) => run(self, id, node),
            Body::Directory(_) => match self.s.fs.open(node, OpenFlags::READ) {
                Err(Errno::Isdir) => Ok(()),
                got => Err(told("open of a directory", &Err(vec![Errno::Isdir]), &got)),
            },
            _ if self.s.fs.open(node, OpenFlags::READ).is_ok() => Err("open of what is no file succeeded".into()),
            _ => Ok(()),
        }
    }

    fn make(
        &mut self,
        path: &Path,
        body: Body,
        mode: u32,
        call: impl FnOnce(&Subject, Node, &str) -> Result<Attributes, Errno>,
    ) -> Checked {
        let Some(place) = self.walk(path)? else { return Ok(()) };
        let got = call(self.s, place.node, &place.name());
        let wanted = self.tree.make(place.id, &place.name(), body, mode);
        match (wanted, got) {
            (Ok(id), Ok(made)) => {
                self.note(made);
                self.same_item(id, made)
            }
            (wanted, got) => same(&wanted.map(drop).map_err(|errno| vec![errno]), &got),
        }
    }

    fn link(&mut self, path: &Path, new: &Path) -> Checked {
        let Some((id, node)) = self.reach(path)? else { return Ok(()) };
        let Some(place) = self.walk(new)? else { return Ok(()) };
        let got = self.s.fs.link(node, place.node, &place.name());
        let wanted = self.tree.link(id, place.id, &place.name());
        if let Ok(linked) = got {
            self.note(linked);
        }
        same(&wanted, &got)?;
        got.map_or(Ok(()), |linked| self.same_item(id, linked))
    }

    fn remove(&mut self, path: &Path, directory: bool) -> Checked {
        let Some(place) = self.walk(path)? else { return Ok(()) };
        let (got, wanted) = if directory {
            (self.s.fs.rmdir(place.node, &place.name()), self.tree.rmdir(place.id, &place.name()))
        } else {
            (self.s.fs.unlink(place.node, &place.name()), self.tree.unlink(place.id, &place.name()))
        };
        same(&wanted.map_err(|errno| vec![errno]), &got)
    }

    fn rename(&mut self, from: &Path, to: &Path, how: How) -> Checked {
        let Some(from) = self.walk(from)? else { return Ok(()) };
        let Some(to) = self.walk(to)? else { return Ok(()) };
        // What the kernel rules out: a directory below itself, either way round.
        let source = self.tree.find(from.id, &from.name());
        let target = self.tree.find(to.id, &to.name());
        let below = source.is_ok_and(|source| self.tree.is_above(source, to.id))
            || how == How::Exchange && target.is_ok_and(|target| self.tree.is_above(target, from.id));
        if below {
            return Ok(());
        }
        let flags = match how {
            How::Replace => RenameFlags::empty(),
            How::NoReplace => RenameFlags::NO_REPLACE,
            How::Exchange => RenameFlags::EXCHANGE,
        };
        let got = self.s.fs.rename(from.node, &from.name(), to.node, &to.name(), flags);
        let wanted = self.tree.rename((from.id, &from.name()), (to.id, &to.name()), how);
        same(&wanted, &got)
    }

    fn chmod(&mut self, path: &Path, mode: u32) -> Checked {
        let Some((id, node)) = self.reach(path)? else { return Ok(()) };
        if matches!(self.tree.items[id].body, Body::Symlink(_)) {
            return Ok(());
        }
        let changes = AttributeChanges { mode: Some(mode), ..Default::default() };
        let found = self.s.fs.setattr(node, &changes).map_err(|errno| format!("expected success, got {errno:?}"))?;
        self.tree.items[id].mode = mode;
        self.same_item(id, found)
    }

    fn truncate(&mut self, id: Id, node: Node, size: u64) -> Checked {
        let changes = AttributeChanges { size: Some(size), ..Default::default() };
        let got = self.s.fs.setattr(node, &changes);
        match (&self.tree.items[id].body, got) {
            (Body::File(_), Ok(found)) => {
                self.tree.truncate(id, size as usize);
                self.same_item(id, found)?;
                self.same_bytes(id, node)
            }
            (Body::File(_), got) => same(&Ok(()), &got),
            (Body::Directory(_), got) => same(&Err(vec![Errno::Isdir]), &got),
            (_, Ok(_)) => Err("a size for what is no file: expected an error, got success".into()),
            (_, Err(_)) => Ok(()),
        }
    }

    fn write(&mut self, id: Id, node: Node, handle: Handle, offset: u64, bytes: &[u8]) -> Checked {
        let mut done = 0;
        while done < bytes.len() {
            match self.s.fs.write(node, handle, offset + done as u64, &bytes[done..]) {
                Ok(count) if count > 0 && count <= bytes.len() - done => done += count,
                got => return Err(format!("write of {} bytes: got {got:?}", bytes.len() - done)),
            }
        }
        self.tree.write(id, offset as usize, bytes);
        self.same_bytes(id, node)
    }

    fn read(&mut self, id: Id, node: Node, handle: Handle, offset: usize, length: usize) -> Checked {
        let mut buffer = vec![0xa5; length];
        let count = self.s.fs.read(node, handle, offset as u64, &mut buffer);
        let count = count.map_err(|errno| format!("read: got {errno:?}"))?;
        let Body::File(data) = &self.tree.items[id].body else { return Ok(()) };
        let wanted = data.get(offset..data.len().min(offset + length)).unwrap_or_default();
        match difference(buffer.get(..count).unwrap_or_default(), wanted) {
            Some(difference) => Err(format!("read: {difference}")),
            None => Ok(()),
        }
    }

    fn set_xattr(&mut self, path: &Path, key: u64, length: u64) -> Checked {
        let Some((id, node)) = self.reach(path)? else { return Ok(()) };
        if matches!(self.tree.items[id].body, Body::Symlink(_) | Body::Fifo) {
            return Ok(());
        }
        let (key, value) = (format!("user.{key}"), pattern(length as usize, length));
        same(&Ok(()), &self.s.fs.setxattr(node, &key, &value))?;
        self.tree.items[id].xattrs.insert(key, value);
        self.same_xattrs(id, node)
    }

    fn remove_xattr(&mut self, path: &Path, key: u64) -> Checked {
        let Some((id, node)) = self.reach(path)? else { return Ok(()) };
        if matches!(self.tree.items[id].body, Body::Symlink(_) | Body::Fifo) {
            return Ok(());
        }
        let key = format!("user.{key}");
        let wanted = self.tree.items[id].xattrs.remove(&key).map(drop).ok_or(vec![Errno::Nodata]);
        same(&wanted, &self.s.fs.removexattr(node, &key))?;
        self.same_xattrs(id, node)
    }
}

fn same<T>(wanted: &Wanted, got: &Result<T, Errno>) -> Checked {
    match (wanted, got) {
        (Ok(()), Ok(_)) => Ok(()),
        (Err(wanted), Err(got)) if wanted.contains(got) => Ok(()),
        _ => Err(told("the answer", wanted, got)),
    }
}

fn told<T>(what: &str, wanted: &Wanted, got: &Result<T, Errno>) -> String {
    let wanted = match wanted {
        Ok(()) => "success".to_owned(),
        Err(errors) => errors.iter().map(|errno| errno.name()).collect::<Vec<_>>().join(" or "),
    };
    let got = got.as_ref().err().map_or("success", |errno| errno.name());
    format!("{what}: expected {wanted}, got {got}")
}
