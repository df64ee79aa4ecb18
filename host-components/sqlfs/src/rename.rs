//! Moving names: renameat2(2).

use std::sync::Arc;

use eyot_backend::{Errno, Node, RenameFlags, Timestamp};

use crate::core::{Core, ROOT};
use crate::error::Res;
use crate::namespace::{Entry, entry_bytes};
use crate::nodes::Inode;
use crate::writer::Writer;
use eyot_backend::check_name;

/// A directory and a name in it.
struct Side<'a> {
    dir: Arc<Inode>,
    name: &'a str,
}

/// An entry and what it names.
struct Found {
    entry: Entry,
    inode: Arc<Inode>,
    is_directory: bool,
}

impl Core {
    pub(crate) fn rename(
        &self,
        (from_dir, from_name): (Node, &str),
        (to_dir, to_name): (Node, &str),
        how: RenameFlags,
    ) -> Res<()> {
        check_name(to_name)?;
        if how.contains(RenameFlags::NO_REPLACE | RenameFlags::EXCHANGE) {
            return Err(Errno::Inval.into());
        }
        let now = self.now();
        let from = Side { dir: self.node(from_dir)?, name: from_name };
        let to = Side { dir: self.node(to_dir)?, name: to_name };
        self.change(|w| self.rename_under(w, &from, &to, how, now))
    }

    fn rename_under(
        &self,
        w: &mut Writer,
        from: &Side<'_>,
        to: &Side<'_>,
        how: RenameFlags,
        now: Timestamp,
    ) -> Res<()> {
        from.dir.read()?.directory()?;
        let source = self.find_side(w, from)?.ok_or(Errno::Noent)?;
        to.dir.read()?.living_directory()?;
        let target = self.find_side(w, to)?;
        self.must_not_be_above(&source, to.dir.ino)?;
        if target.is_some() && how.contains(RenameFlags::NO_REPLACE) {
            return Err(Errno::Exist.into());
        }
        // Two names of one inode: rename(2) does nothing.
        if target.as_ref().is_some_and(|target| target.entry.child == source.entry.child) {
            return Ok(());
        }
        if how.contains(RenameFlags::EXCHANGE) {
            let target = target.ok_or(Errno::Noent)?;
            self.must_not_be_above(&target, from.dir.ino)?;
            return self.exchange(w, (from, source), (to, target), now);
        }
        if let Some(target) = &target {
            self.may_replace(w, &source, target, from.dir.ino)?;
        } else {
            self.quota.fits(entry_bytes(to.name).saturating_sub(entry_bytes(from.name)))?;
        }
        let moved = i32::from(source.is_directory);
        let replaced = i32::from(target.as_ref().is_some_and(|target| target.is_directory));
        self.remove_entry(w, from.dir.ino, from.name, source.entry)?;
        match &target {
            Some(target) => Self::replace_entry(w, to.dir.ino, target.entry, source.entry.child)?,
            None => self.insert_entry(w, to.dir.ino, to.name, source.entry.child)?,
        }
        if let Some(target) = &target {
            self.drop_link(w, &target.inode, now)?;
        }
        self.entries_changed(w, &from.dir, -moved, now)?;
        self.entries_changed(w, &to.dir, moved - replaced, now)?;
        self.moved(&source, to.dir.ino, now)
    }

    fn find_side(&self, w: &mut Writer, side: &Side<'_>) -> Res<Option<Found>> {
        self.settle(w, &side.dir)?;
        let Some(entry) = Self::find(&w.conn, side.dir.ino, side.name)? else { return Ok(None) };
        let inode = self.entry_inode(entry)?;
        let is_directory = inode.read()?.is_directory();
        Ok(Some(Found { entry, inode, is_directory }))
    }

    /// Refuses to move a directory into itself or below.
    fn must_not_be_above(&self, found: &Found, dir: i64) -> Res<()> {
        if !found.is_directory {
            return Ok(());
        }
        let mut at = dir;
        // In a damaged database the parents may go in a circle. A mark is left behind after 1, 2, 4, ... steps; who comes by it again goes round.
        let (mut mark, mut steps, mut mark_at) = (at, 0_u64, 1);
        loop {
            if at == found.entry.child {
                return Err(Errno::Inval.into());
            }
            if at == ROOT {
                return Ok(());
            }
            let parent = self.inode(at)?.read()?.parent;
            at = parent;
            steps += 1;
            if at == mark {
                return Err(Errno::Io.into());
            }
            if steps == mark_at {
                (mark, mark_at) = (at, mark_at * 2);
            }
        }
    }

    fn may_replace(&self, w: &mut Writer, source: &Found, target: &Found, from_dir: i64) -> Res<()> {
        match (source.is_directory, target.is_directory) {
            (true, false) => Err(Errno::Notdir.into()),
            (false, true) => Err(Errno::Isdir.into()),
            // The source lies in it, so it is not empty.
            (_, true) if target.entry.child == from_dir => Err(Errno::Notempty.into()),
            (true, true) => self.must_be_empty(w, &target.inode),
            (false, false) => Ok(()),
        }
    }

    fn exchange(
        &self,
        w: &mut Writer,
        (from, source): (&Side<'_>, Found),
        (to, target): (&Side<'_>, Found),
        now: Timestamp,
    ) -> Res<()> {
        Self::replace_entry(w, from.dir.ino, source.entry, target.entry.child)?;
        Self::replace_entry(w, to.dir.ino, target.entry, source.entry.child)?;
        let gained = i32::from(source.is_directory) - i32::from(target.is_directory);
        self.entries_changed(w, &from.dir, -gained, now)?;
        self.entries_changed(w, &to.dir, gained, now)?;
        self.moved(&source, to.dir.ino, now)?;
        self.moved(&target, from.dir.ino, now)
    }

    fn moved(&self, found: &Found, dir: i64, now: Timestamp) -> Res<()> {
        let mut record = found.inode.write()?;
        if record.is_directory() {
            record.parent = dir;
        }
        record.changed = now;
        self.mark(&found.inode, &mut record);
        Ok(())
    }
}
