//! Making and taking away names.

use eyot_backend::{Attributes, Errno, Node, NodeKind, Ownership};

use crate::directory::entry_bytes;
use crate::inode::{Body, Inode};
use crate::memfs::{Memfs, View};
use eyot_backend::check_name;

impl Memfs {
    /// Makes a new inode with its first name; it counts as looked up once.
    pub(crate) fn make(&self, dir: Node, name: &str, body: Body, owner: Ownership) -> Result<Attributes, Errno> {
        check_name(name)?;
        let now = self.clock.now();
        let mut parent = self.lock(dir)?;
        let parent = parent.inode()?;
        if parent.living_directory()?.find(name).is_some() {
            return Err(Errno::Exist);
        }
        let subdirectory = u32::from(matches!(body, Body::Directory(_)));
        let links = parent.links.checked_add(subdirectory).ok_or(Errno::Mlink)?;
        let contents = if let Body::Symlink(target) = &body { target.len() as u64 } else { 0 };
        let bytes = entry_bytes(name) + contents;
        self.quota.charge_inode()?;
        self.quota.charge(bytes).inspect_err(|_| self.quota.refund_inode())?;

        let inode = Inode::new(body, owner, now);
        let kind = inode.kind();
        let mut attributes = inode.attributes(0);
        attributes.node = self.slots.put(inode).inspect_err(|_| {
            self.quota.refund(bytes);
            self.quota.refund_inode();
        })?;
        parent.living_directory()?.insert(name, attributes.node, kind);
        parent.links = links;
        parent.touch(now);
        Ok(attributes)
    }

    /// Makes another name of an inode.
    pub(crate) fn add_name(&self, target: Node, dir: Node, name: &str) -> Result<Attributes, Errno> {
        check_name(name)?;
        let kind = self.view(target, |view| {
            Ok(match view {
                View::Own(inode) => inode.kind(),
                View::Image(_, base) => base.kind,
            })
        })?;
        // What is locked below a directory is never a directory.
        if kind == NodeKind::Directory {
            return Err(Errno::Perm);
        }
        let now = self.clock.now();
        let mut parent = self.lock(dir)?;
        let parent = parent.inode()?;
        if parent.living_directory()?.find(name).is_some() {
            return Err(Errno::Exist);
        }
        let mut locked = self.lock(target)?;
        let inode = locked.inode()?;
        if inode.links == 0 {
            return Err(Errno::Noent);
        }
        let links = inode.links.checked_add(1).ok_or(Errno::Mlink)?;
        self.quota.charge(entry_bytes(name))?;
        inode.links = links;
        inode.changed = now;
        let attributes = inode.attributes(target);
        drop(locked);
        self.hold(target)?;
        parent.living_directory()?.insert(name, target, kind);
        parent.touch(now);
        Ok(attributes)
    }

    /// Takes a name of anything but a directory away.
    pub(crate) fn remove_name(&self, dir: Node, name: &str) -> Result<(), Errno> {
        let now = self.clock.now();
        let mut parent = self.lock(dir)?;
        let parent = parent.inode()?;
        let (place, entry) = parent.directory()?.find(name).ok_or(Errno::Noent)?;
        if entry.kind == NodeKind::Directory {
            return Err(Errno::Isdir);
        }
        let mut locked = self.lock(entry.node)?;
        let inode = locked.inode()?;
        inode.links = inode.links.saturating_sub(1);
        inode.changed = now;
        if inode.links == 0 {
            self.let_go(locked);
        } else {
            drop(locked);
        }
        parent.directory()?.remove(place);
        self.quota.refund(entry_bytes(name));
        parent.touch(now);
        Ok(())
    }

    /// Takes an empty directory away.
    pub(crate) fn remove_directory(&self, dir: Node, name: &str) -> Result<(), Errno> {
        let now = self.clock.now();
        let _tree = self.tree.lock();
        let mut parent = self.lock(dir)?;
        let parent = parent.inode()?;
        let (place, entry) = parent.directory()?.find(name).ok_or(Errno::Noent)?;
        if entry.kind != NodeKind::Directory {
            return Err(Errno::Notdir);
        }
        if entry.node == dir {
            return Err(Errno::Inval);
        }
        let mut locked = self.lock(entry.node)?;
        let inode = locked.inode()?;
        if !inode.directory()?.is_empty() {
            return Err(Errno::Notempty);
        }
        inode.links = 0;
        inode.changed = now;
        self.let_go(locked);
        parent.directory()?.remove(place);
        self.quota.refund(entry_bytes(name));
        parent.links = parent.links.saturating_sub(1);
        parent.touch(now);
        Ok(())
    }
}
