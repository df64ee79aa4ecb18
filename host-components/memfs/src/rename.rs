//! Moving names: renameat2(2).

use eyot_backend::{Errno, Node, NodeKind, RenameFlags, Timestamp};

use crate::directory::{Place, entry_bytes};
use crate::inode::Inode;
use crate::memfs::{Locked, Memfs};
use crate::slots::Key;
use eyot_backend::check_name;

/// An entry that a rename touches.
#[derive(Clone, Copy)]
struct Found {
    place: Place,
    node: Node,
    kind: NodeKind,
}

impl Found {
    fn is_directory(self) -> bool {
        self.kind == NodeKind::Directory
    }
}

/// The one or two directories of a rename, locked.
struct Dirs<'a> {
    from: Locked<'a>,
    /// `None` when it is the same one.
    to: Option<Locked<'a>>,
}

impl Dirs<'_> {
    fn from(&mut self) -> Result<&mut Inode, Errno> {
        self.from.inode()
    }

    fn to(&mut self) -> Result<&mut Inode, Errno> {
        self.to.as_mut().unwrap_or(&mut self.from).inode()
    }
}

impl Memfs {
    pub(crate) fn move_name(
        &self,
        from_dir: Node,
        from_name: &str,
        to_dir: Node,
        to_name: &str,
        how: RenameFlags,
    ) -> Result<(), Errno> {
        check_name(to_name)?;
        if how.contains(RenameFlags::NO_REPLACE | RenameFlags::EXCHANGE) {
            return Err(Errno::Inval);
        }
        // Two numbers of one slot: at least one of them is of the past, and the slot must not be locked twice.
        if from_dir != to_dir && Key::new(from_dir)?.index == Key::new(to_dir)?.index {
            return Err(Errno::Stale);
        }
        let now = self.clock.now();
        let _tree = self.tree.lock();
        let from = self.lock(from_dir)?;
        let to = if from_dir == to_dir { None } else { Some(self.lock(to_dir)?) };
        let mut dirs = Dirs { from, to };
        let source = find(dirs.from()?, from_name)?.ok_or(Errno::Noent)?;
        dirs.to()?.living_directory()?;
        let target = find(dirs.to()?, to_name)?;
        if source.node == to_dir {
            return Err(Errno::Inval);
        }
        if target.is_some() && how.contains(RenameFlags::NO_REPLACE) {
            return Err(Errno::Exist);
        }
        // Two names of one inode: rename(2) does nothing.
        if target.is_some_and(|target| target.node == source.node) {
            return Ok(());
        }
        if how.contains(RenameFlags::EXCHANGE) {
            let target = target.ok_or(Errno::Noent)?;
            if target.node == from_dir {
                return Err(Errno::Inval);
            }
            return self.exchange(dirs, source, target, now);
        }
        if let Some(target) = target {
            self.replace(&mut dirs, from_dir, source, target, now)?;
            self.quota.refund(entry_bytes(from_name));
        } else {
            let (before, after) = (entry_bytes(from_name), entry_bytes(to_name));
            self.quota.charge(after.saturating_sub(before))?;
            self.quota.refund(before.saturating_sub(after));
            dirs.to()?.directory()?.insert(to_name, source.node, source.kind);
            if dirs.to.is_some() && source.is_directory() {
                let to = dirs.to()?;
                to.links = to.links.saturating_add(1);
            }
        }
        // The insertion may have moved the entry's place.
        let from = dirs.from()?;
        if let Some(source) = find(from, from_name)? {
            from.directory()?.remove(source.place);
        }
        if dirs.to.is_some() && source.is_directory() {
            let from = dirs.from()?;
            from.links = from.links.saturating_sub(1);
        }
        dirs.from()?.touch(now);
        dirs.to()?.touch(now);
        self.mark_changed(source.node, now)
    }

    /// Puts the source where the target is and takes the target's name away.
    fn replace(
        &self,
        dirs: &mut Dirs<'_>,
        from_dir: Node,
        source: Found,
        target: Found,
        now: Timestamp,
    ) -> Result<(), Errno> {
        match (source.is_directory(), target.is_directory()) {
            (true, false) => return Err(Errno::Notdir),
            (false, true) => return Err(Errno::Isdir),
            // The source lies in it, so it is not empty; and it is locked already.
            (_, true) if target.node == from_dir => return Err(Errno::Notempty),
            _ => {}
        }
        let mut locked = self.lock(target.node)?;
        let inode = locked.inode()?;
        if target.is_directory() {
            if !inode.directory()?.is_empty() {
                return Err(Errno::Notempty);
            }
            inode.links = 0;
        } else {
            inode.links = inode.links.saturating_sub(1);
        }
        inode.changed = now;
        if inode.links == 0 {
            self.let_go(locked);
        } else {
            drop(locked);
        }
        let same = dirs.to.is_none();
        let to = dirs.to()?;
        to.directory()?.replace(target.place, source.node, source.kind);
        if same && source.is_directory() {
            // One directory fewer; between two directories the one that went and the one that came are even here.
            to.links = to.links.saturating_sub(1);
        }
        Ok(())
    }

    fn exchange(&self, mut dirs: Dirs<'_>, source: Found, target: Found, now: Timestamp) -> Result<(), Errno> {
        dirs.from()?.directory()?.replace(source.place, target.node, target.kind);
        dirs.to()?.directory()?.replace(target.place, source.node, source.kind);
        if dirs.to.is_some() && source.is_directory() != target.is_directory() {
            let (from, to) = if source.is_directory() { (-1, 1) } else { (1, -1) };
            let inode = dirs.from()?;
            inode.links = inode.links.saturating_add_signed(from);
            let inode = dirs.to()?;
            inode.links = inode.links.saturating_add_signed(to);
        }
        dirs.from()?.touch(now);
        dirs.to()?.touch(now);
        self.mark_changed(source.node, now)?;
        self.mark_changed(target.node, now)
    }

    fn mark_changed(&self, node: Node, now: Timestamp) -> Result<(), Errno> {
        self.lock(node)?.inode()?.changed = now;
        Ok(())
    }
}

fn find(dir: &mut Inode, name: &str) -> Result<Option<Found>, Errno> {
    let found = dir.directory()?.find(name);
    Ok(found.map(|(place, entry)| Found { place, node: entry.node, kind: entry.kind }))
}
