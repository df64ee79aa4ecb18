//! Making and taking away names.

use std::sync::Arc;

use eyot_backend::{Attributes, Errno, Filesystem, Node, NodeKind};

use crate::inode::Inode;
use crate::marks::{MARK_OWNER, check_name};
use crate::overlay::Overlay;
use crate::stack::{Entry, Found};

impl Overlay {
    /// Makes a new inode with `make`, which makes it in a directory of the upper; it counts as looked up once.
    pub(crate) fn make(
        &self,
        dir: Node,
        name: &str,
        make: impl FnOnce(&dyn Filesystem, Node, &str) -> Result<Attributes, Errno>,
    ) -> Result<Attributes, Errno> {
        let dir = self.dir_for_new(dir, name)?;
        let entries = dir.entries.write();
        let whiteout = self.check_absent(&dir, name)?;
        let (upper, node) = (self.upper()?, dir.upper_node()?);
        let (held, made) = if whiteout {
            let temp = self.temp(make)?;
            let (made, kind) = (temp.node(), temp.attributes().kind);
            let held = if kind == NodeKind::Directory {
                self.set_opaque(made)?;
                temp.swap(node, name)?
            } else {
                temp.publish(node, name)?
            };
            let made = held.getattr()?;
            (held, made)
        } else {
            let made = make(&*upper.fs, node, name)?;
            (upper.hold(&made)?, made)
        };
        dir.changed(i64::from(made.kind == NodeKind::Directory));
        let inode = self.intern(Found::made(held, made), &dir, name)?;
        self.table.hold(&inode);
        drop(entries);
        self.dress(&inode, made).inspect_err(|_| self.table.forget(inode.number, 1))
    }

    /// Makes another name of an inode.
    pub(crate) fn add_name(&self, target: Node, dir: Node, name: &str) -> Result<Attributes, Errno> {
        self.upper()?;
        let target = self.table.get(target)?;
        if target.is_dir() {
            return Err(Errno::Perm);
        }
        let dir = self.dir_for_new(dir, name)?;
        {
            // Nothing is copied for a name that cannot be made.
            let _entries = dir.entries.read();
            self.check_absent(&dir, name)?;
        }
        if self.attributes(&target)?.links == 0 {
            return Err(Errno::Noent);
        }
        self.copy_up(&target, &Default::default())?;
        let entries = dir.entries.write();
        let whiteout = self.check_absent(&dir, name)?;
        let (upper, from, to) = (self.upper()?, target.upper_node()?, dir.upper_node()?);
        if whiteout {
            self.temp(|fs, dir, name| fs.link(from, dir, name))?.publish(to, name)?;
        } else {
            upper.hold(&upper.fs.link(from, to, name)?)?;
        }
        dir.changed(0);
        self.table.hold(&target);
        drop(entries);
        self.attributes(&target).inspect_err(|_| self.table.forget(target.number, 1))
    }

    /// A directory in which a name is to be made, copied up. When it is not yet in the upper, the name is looked for first, so that nothing is
    /// copied for a name that cannot be made.
    fn dir_for_new(&self, dir: Node, name: &str) -> Result<Arc<Inode>, Errno> {
        self.upper()?;
        check_name(name)?;
        let dir = self.dir(dir)?;
        if self.is_reserved(&dir, name) {
            return Err(Errno::Perm);
        }
        if dir.upper.get().is_none() {
            {
                let _entries = dir.entries.read();
                self.check_absent(&dir, name)?;
            }
            self.copy_dir_up(&dir)?;
        }
        Ok(dir)
    }

    /// Answers whether there is a whiteout device in the way. Errors: `ENOENT` when the directory is gone, `EEXIST`.
    fn check_absent(&self, dir: &Arc<Inode>, name: &str) -> Result<bool, Errno> {
        if dir.is_dead() {
            return Err(Errno::Noent);
        }
        let sought = self.find(dir, name)?;
        if sought.found.is_some() { Err(Errno::Exist) } else { Ok(sought.whiteout_device) }
    }

    /// An entry that is to be taken away, of the kind that `check` lets through. The caller holds `entries`.
    pub(crate) fn victim(
        &self,
        dir: &Arc<Inode>,
        name: &str,
        check: impl FnOnce(NodeKind) -> Result<(), Errno>,
    ) -> Result<Entry, Errno> {
        if dir.is_dead() {
            return Err(Errno::Noent);
        }
        let entry = self.entry(dir, name)?.0.ok_or(Errno::Noent)?;
        check(entry.inode.kind)?;
        Ok(entry)
    }

    /// Takes a name of anything but a directory away.
    pub(crate) fn remove_name(&self, dir: Node, name: &str) -> Result<(), Errno> {
        self.upper()?;
        let dir = self.dir(dir)?;
        let no_dir = |kind| if kind == NodeKind::Directory { Err(Errno::Isdir) } else { Ok(()) };
        if dir.upper.get().is_none() {
            {
                let _entries = dir.entries.read();
                self.victim(&dir, name, no_dir)?;
            }
            self.copy_dir_up(&dir)?;
        }
        let entries = dir.entries.write();
        let entry = self.victim(&dir, name, no_dir)?;
        if entry.in_upper {
            let below = self.is_below(&dir, name)?;
            self.take_away(&dir, name, &entry, below)?;
        } else {
            let loss = self.begin_loss(&entry.attributes, &entry.inode, &dir, name)?;
            self.take_away(&dir, name, &entry, true).inspect_err(|_| self.undo_loss(&entry.inode))?;
            self.end_loss(loss, &entry.inode);
        }
        dir.changed(0);
        drop(entries);
        // What the entry kept goes without the lock.
        drop(entry);
        Ok(())
    }

    /// Takes an empty directory away.
    pub(crate) fn remove_dir(&self, dir: Node, name: &str) -> Result<(), Errno> {
        self.upper()?;
        let dir = self.dir(dir)?;
        let only_dir = |kind| if kind == NodeKind::Directory { Ok(()) } else { Err(Errno::Notdir) };
        if dir.upper.get().is_none() {
            let entries = dir.entries.read();
            let entry = self.victim(&dir, name, only_dir)?;
            drop(entries);
            self.check_empty(&entry.inode)?;
            self.copy_dir_up(&dir)?;
        }
        let tree = self.tree.lock();
        let entries = dir.entries.write();
        let entry = self.victim(&dir, name, only_dir)?;
        let target = Arc::clone(&entry.inode);
        if Arc::ptr_eq(&target, &dir) {
            // Only a layer that somebody made up has a directory in itself.
            return Err(Errno::Inval);
        }
        let target_entries = target.entries.write();
        if !self.is_empty(&target)? {
            return Err(Errno::Notempty);
        }
        let below = !entry.in_upper || self.is_below(&dir, name)?;
        self.take_away(&dir, name, &entry, below)?;
        target.bury();
        dir.changed(-1);
        drop((target_entries, entries, tree));
        Ok(())
    }

    pub(crate) fn check_empty(&self, dir: &Inode) -> Result<(), Errno> {
        let _entries = dir.entries.read();
        if self.is_empty(dir)? { Ok(()) } else { Err(Errno::Notempty) }
    }

    /// Takes an entry out of the upper and, if there is something `below`, lets the upper say that it is not there: in an order that leaves the entry or
    /// nothing, never what is below.
    fn take_away(&self, dir: &Inode, name: &str, entry: &Entry, below: bool) -> Result<(), Errno> {
        let (upper, node) = (self.upper()?, dir.upper_node()?);
        if below && !upper.marks.are_names {
            if !entry.in_upper {
                return self.put_whiteout_device(node, name);
            }
            let whiteout = self.temp_whiteout()?;
            return match entry.inode.is_dir() {
                true => whiteout.swap(node, name).map(drop),
                false => whiteout.publish(node, name).map(drop),
            };
        }
        if below {
            self.put_whiteout_file(node, name)?;
        }
        match (entry.in_upper, entry.inode.is_dir()) {
            (false, _) => Ok(()),
            (true, false) => upper.fs.unlink(node, name),
            (true, true) => self.take_dir_away(node, name),
        }
    }

    /// Takes a directory out of the upper in which there are only marks.
    pub(crate) fn take_dir_away(&self, dir: Node, name: &str) -> Result<(), Errno> {
        let upper = self.upper()?;
        match upper.fs.rmdir(dir, name) {
            Err(Errno::Notempty) => {}
            done => return done,
        }
        let (temp, temp_name) = (self.temp_dir()?, self.temp_name());
        upper.fs.rename(dir, name, temp, &temp_name, Default::default())?;
        self.discard(&temp_name);
        Ok(())
    }

    /// A whiteout device that is not in the tree yet.
    pub(crate) fn temp_whiteout(&self) -> Result<crate::work::Temp<'_>, Errno> {
        let owner = eyot_backend::Ownership { mode: 0, ..MARK_OWNER };
        self.temp(|fs, dir, name| fs.make_node(dir, name, NodeKind::CharacterDevice, 0, owner))
    }
}
