//! Moving names: renameat2(2).
//!
//! What is moved is copied up first, without a lock; then the directories are locked and everything is looked at again. In the upper a move is one
//! rename or one exchange, made so that what the lowers have under the old name never shows: a whiteout device is at the new name first, and
//! changes places with what is moved.

use std::sync::Arc;

use eyot_backend::{Errno, Node, NodeKind, RenameFlags};
use parking_lot::RwLockWriteGuard;

use crate::inode::Inode;
use crate::marks::check_name;
use crate::overlay::Overlay;
use crate::stack::Entry;

/// The two ends of a rename.
struct Move<'a> {
    from: &'a Arc<Inode>,
    from_name: &'a str,
    to: &'a Arc<Inode>,
    to_name: &'a str,
    how: RenameFlags,
}

/// What is at the ends.
struct Ends {
    source: Entry,
    target: Option<Entry>,
    /// Whether the upper has a whiteout device at the new name.
    whiteout: bool,
}

/// What is in the way in the upper.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Occupant {
    Nothing,
    Whiteout,
    File,
    Directory,
}

impl Overlay {
    pub(crate) fn move_name(
        &self,
        from: Node,
        from_name: &str,
        to: Node,
        to_name: &str,
        how: RenameFlags,
    ) -> Result<(), Errno> {
        self.upper()?;
        check_name(to_name)?;
        if how.contains(RenameFlags::NO_REPLACE | RenameFlags::EXCHANGE) {
            return Err(Errno::Inval);
        }
        let (from, to) = (self.dir(from)?, self.table.get(to)?);
        if self.is_reserved(&to, to_name) {
            return Err(Errno::Perm);
        }
        let this = Move { from: &from, from_name, to: &to, to_name, how };
        // Each round but the last means that somebody else has moved something meanwhile.
        loop {
            if !self.prepare(&this)? {
                return Ok(());
            }
            let tree = self.tree.lock();
            let from_entries = from.entries.write();
            let to_entries = (!this.is_within_one()).then(|| to.entries.write());
            let done = self.move_locked(&this)?;
            drop((to_entries, from_entries, tree));
            if done {
                return Ok(());
            }
        }
    }

    /// Looks whether there is anything to do, and copies up what has to be. Nothing is locked for long.
    fn prepare(&self, this: &Move<'_>) -> Result<bool, Errno> {
        let source = {
            let _entries = this.from.entries.read();
            self.source(this)?
        };
        let (target, whiteout) = {
            let _entries = this.to.entries.read();
            self.target(this)?
        };
        let ends = Ends { source, target, whiteout };
        if !this.is_to_do(&ends)? {
            return Ok(false);
        }
        if let Some(target) = this.replaced_dir(&ends) {
            self.check_empty(target)?;
        }
        self.copy_up(&ends.source.inode, &Default::default())?;
        if let Some(target) = ends.target.filter(|_| this.how.contains(RenameFlags::EXCHANGE)) {
            self.copy_up(&target.inode, &Default::default())?;
        }
        self.copy_dir_up(this.from)?;
        self.copy_dir_up(this.to)?;
        Ok(true)
    }

    fn source(&self, this: &Move<'_>) -> Result<Entry, Errno> {
        self.entry(this.from, this.from_name)?.0.filter(|_| !this.from.is_dead()).ok_or(Errno::Noent)
    }

    fn target(&self, this: &Move<'_>) -> Result<(Option<Entry>, bool), Errno> {
        match (this.to.is_dir(), this.to.is_dead()) {
            (false, _) => Err(Errno::Notdir),
            (true, true) => Err(Errno::Noent),
            (true, false) => self.entry(this.to, this.to_name),
        }
    }

    /// The move, with both directories locked. Answers whether it is done; if not, something is not copied up that has to be.
    fn move_locked(&self, this: &Move<'_>) -> Result<bool, Errno> {
        let source = self.source(this)?;
        let (target, whiteout) = self.target(this)?;
        let ends = Ends { source, target, whiteout };
        if !this.is_to_do(&ends)? {
            return Ok(true);
        }
        let exchange = this.how.contains(RenameFlags::EXCHANGE);
        let is_up = |entry: &Entry| entry.inode.upper.get().is_some();
        if !is_up(&ends.source) || exchange && !ends.target.as_ref().is_some_and(is_up) {
            return Ok(false);
        }
        self.cover(this.from, this.from_name, &ends.source)?;
        if ends.source.inode.is_dir() {
            self.remember_origin(&ends.source.inode, this.to)?;
        }
        if exchange {
            self.exchange(this, &ends)?;
        } else {
            self.replace(this, &ends)?;
        }
        Ok(true)
    }

    /// Makes sure that a name that leads to the upper is itself in the upper.
    fn cover(&self, dir: &Inode, name: &str, entry: &Entry) -> Result<(), Errno> {
        match entry.in_upper {
            true => Ok(()),
            // A directory's name is in the upper when the directory is.
            false if entry.inode.is_dir() => Err(Errno::Io),
            false => self.link_name(&entry.attributes, &entry.inode, dir, name),
        }
    }

    fn exchange(&self, this: &Move<'_>, ends: &Ends) -> Result<(), Errno> {
        let target = ends.target.as_ref().ok_or(Errno::Noent)?;
        self.cover(this.to, this.to_name, target)?;
        if target.inode.is_dir() {
            self.remember_origin(&target.inode, this.from)?;
        }
        self.swap((this.from.upper_node()?, this.from_name), (this.to.upper_node()?, this.to_name))?;
        let more = i64::from(ends.source.inode.is_dir()) - i64::from(target.inode.is_dir());
        this.changed(-more, more);
        Ok(())
    }

    fn replace(&self, this: &Move<'_>, ends: &Ends) -> Result<(), Errno> {
        let buried = this.replaced_dir(ends);
        let buried_entries: Option<RwLockWriteGuard<'_, ()>> = buried.map(|dir| dir.entries.write());
        if let Some(buried) = buried
            && !self.is_empty(buried)?
        {
            return Err(Errno::Notempty);
        }
        let below = self.is_below(this.from, this.from_name)?;
        let lost = ends.target.as_ref().filter(|target| !target.in_upper && !target.inode.is_dir());
        let loss = match lost {
            Some(lost) => Some(self.begin_loss(&lost.attributes, &lost.inode, this.to, this.to_name)?),
            None => None,
        };
        let moved = self.shift(this, ends.occupant(), below, ends.source.inode.is_dir());
        if let (Some(loss), Some(lost)) = (loss, lost) {
            match moved {
                Ok(()) => self.end_loss(loss, &lost.inode),
                Err(_) => self.undo_loss(&lost.inode),
            }
        }
        moved?;
        if let Some(buried) = buried {
            buried.bury();
        }
        drop(buried_entries);
        let subdir = i64::from(ends.source.inode.is_dir());
        this.changed(-subdir, subdir - i64::from(buried.is_some()));
        Ok(())
    }

    /// Moves a name in the upper over what is in the way there. If there is something `below` the old name, a whiteout takes its place.
    fn shift(&self, this: &Move<'_>, occupant: Occupant, below: bool, is_dir: bool) -> Result<(), Errno> {
        let upper = self.upper()?;
        let (from_dir, to_dir) = (this.from.upper_node()?, this.to.upper_node()?);
        let (from, to) = ((from_dir, this.from_name), (to_dir, this.to_name));
        let whiteout_device = below && !upper.marks.are_names;
        if below && !whiteout_device {
            // Beside the name it does no harm: a file hides what is below anyway, a directory that has something below has a redirect.
            self.put_whiteout_file(from_dir, this.from_name)?;
        }
        let can_replace =
            matches!((occupant, is_dir), (Occupant::Nothing, _) | (Occupant::File, _) | (Occupant::Whiteout, false));
        if can_replace && !whiteout_device {
            return upper.fs.rename(from.0, from.1, to.0, to.1, RenameFlags::empty());
        }
        match occupant {
            Occupant::Nothing => {
                self.put_whiteout_device(to.0, to.1)?;
                self.swap(from, to).inspect_err(|_| {
                    let _ = upper.fs.unlink(to.0, to.1);
                })
            }
            Occupant::Whiteout => {
                self.swap(from, to)?;
                if whiteout_device {
                    return Ok(());
                }
                upper.fs.unlink(from.0, from.1).inspect_err(|_| self.swap_back(from, to))
            }
            Occupant::File => {
                let whiteout = self.temp_whiteout()?;
                self.swap(from, to)?;
                whiteout.publish(from.0, from.1).map(drop).inspect_err(|_| self.swap_back(from, to))
            }
            Occupant::Directory if whiteout_device => {
                let whiteout = self.temp_whiteout()?;
                self.swap(from, to)?;
                whiteout.swap(from.0, from.1).map(drop).inspect_err(|_| self.swap_back(from, to))
            }
            Occupant::Directory => match upper.fs.rename(from.0, from.1, to.0, to.1, RenameFlags::empty()) {
                // It has marks in it.
                Err(Errno::Notempty) => {
                    self.temp_dir()?;
                    self.swap(from, to)?;
                    self.take_dir_away(from.0, from.1).inspect_err(|_| self.swap_back(from, to))
                }
                done => done,
            },
        }
    }
}

impl Overlay {
    /// Undoes an exchange, after which something that cannot well fail did.
    fn swap_back(&self, one: (Node, &str), other: (Node, &str)) {
        let _ = self.swap(one, other);
    }
}

impl Move<'_> {
    fn is_within_one(&self) -> bool {
        Arc::ptr_eq(self.from, self.to)
    }

    /// Whether there is anything to do. Errors: those of rename(2), but `ENOTEMPTY` for a directory that is not.
    fn is_to_do(&self, ends: &Ends) -> Result<bool, Errno> {
        let (source, exchange) = (&ends.source.inode, self.how.contains(RenameFlags::EXCHANGE));
        let is_to = |inode: &Arc<Inode>| Arc::ptr_eq(inode, self.to);
        if is_to(source) {
            return Err(Errno::Inval);
        }
        let Some(target) = ends.target.as_ref().map(|target| &target.inode) else {
            return if exchange { Err(Errno::Noent) } else { Ok(true) };
        };
        if self.how.contains(RenameFlags::NO_REPLACE) {
            return Err(Errno::Exist);
        }
        // Only a layer that somebody made up has a directory in itself.
        if is_to(target) {
            return Err(Errno::Inval);
        }
        // Two names of one inode: nothing happens.
        if Arc::ptr_eq(source, target) {
            return Ok(false);
        }
        let is_above = Arc::ptr_eq(target, self.from);
        match (exchange, source.is_dir(), target.is_dir()) {
            (true, ..) if is_above => Err(Errno::Inval),
            (true, ..) => Ok(true),
            (false, true, false) => Err(Errno::Notdir),
            (false, false, true) => Err(Errno::Isdir),
            // The source lies in it.
            (false, ..) if is_above => Err(Errno::Notempty),
            (false, ..) => Ok(true),
        }
    }

    /// The directory that is replaced.
    fn replaced_dir<'a>(&self, ends: &'a Ends) -> Option<&'a Arc<Inode>> {
        let target = ends.target.as_ref().filter(|_| !self.how.contains(RenameFlags::EXCHANGE))?;
        Some(&target.inode).filter(|inode| inode.is_dir())
    }

    /// Notes what changed in the two directories.
    fn changed(&self, from_subdirs: i64, to_subdirs: i64) {
        if self.is_within_one() {
            self.from.changed(from_subdirs + to_subdirs);
        } else {
            self.from.changed(from_subdirs);
            self.to.changed(to_subdirs);
        }
    }
}

impl Ends {
    fn occupant(&self) -> Occupant {
        match &self.target {
            Some(target) if target.in_upper && target.inode.kind == NodeKind::Directory => Occupant::Directory,
            Some(target) if target.in_upper => Occupant::File,
            None if self.whiteout => Occupant::Whiteout,
            _ => Occupant::Nothing,
        }
    }
}
