//! The calls of a component to its layers, checked.

use eyot_backend::{
    AttributeChanges, Attributes, Capabilities, DirectoryEntry, Errno, Filesystem, FilesystemInfo, FilesystemStatus,
    Handle, Node, NodeKind, OpenFlags, Ownership, RenameFlags,
};

use super::opens::Open;
use super::{Layers, checks};

impl Layers {
    /// What the topmost layer is.
    pub(super) fn info(&self) -> Option<&FilesystemInfo> {
        self.infos().next()
    }

    /// What every layer is, for `layers.granted`.
    pub(super) fn granted(&self) -> impl Iterator<Item = &FilesystemInfo> {
        self.infos()
    }

    /// A node that the component holds: its layer, its number there, what it is.
    fn node(&self, shown: Node) -> Result<(usize, Node, NodeKind), Errno> {
        let kind = self.holds.lock().kind(shown)?;
        let (layer, node) = self.numbering.theirs(shown);
        Ok((layer, node, kind))
    }

    /// A directory that the component holds.
    fn dir(&self, shown: Node) -> Result<(usize, Node), Errno> {
        self.holds.lock().directory(shown)?;
        Ok(self.numbering.theirs(shown))
    }

    /// Takes over the lookup that a layer counted for its answer.
    fn held(&self, layer: usize, dir: Node, found: Attributes) -> Result<Attributes, Errno> {
        let held = self.numbering.shown(layer, found.node).and_then(|shown| {
            let given = self.holds.lock().hold(shown, found.kind, dir)?;
            Ok((shown, given))
        });
        match held {
            Ok((node, given)) => {
                self.give_back(&given);
                Ok(self.told(layer, Attributes { node, ..found }))
            }
            Err(errno) => {
                let _ = self.call(layer, |fs| {
                    fs.forget(found.node, 1);
                    Ok(())
                });
                Err(errno)
            }
        }
    }

    /// Attributes as the component is told them: when others may change them unseen, they are not to be believed.
    fn told(&self, layer: usize, attributes: Attributes) -> Attributes {
        match self.layers.get(layer) {
            Some(layer) if layer.tells => Attributes { lifetime_ns: 0, ..attributes },
            _ => attributes,
        }
    }

    /// The attributes of a node that the component named, under the number that it knows.
    fn renumbered(&self, layer: usize, shown: Node, found: Attributes) -> Attributes {
        self.told(layer, Attributes { node: shown, ..found })
    }

    pub(super) fn lookup(&self, dir: Node, name: &str) -> Result<Attributes, Errno> {
        let (layer, theirs) = self.dir(dir)?;
        checks::name(name)?;
        let found = self.call(layer, |fs| fs.lookup(theirs, name))?;
        self.held(layer, dir, found)
    }

    pub(super) fn forget(&self, node: Node, count: u64) {
        let given = self.holds.lock().forget(node, count);
        self.give_back(&given);
    }

    pub(super) fn getattr(&self, node: Node) -> Result<Attributes, Errno> {
        let (layer, theirs, _) = self.node(node)?;
        let found = self.call(layer, |fs| fs.getattr(theirs))?;
        Ok(self.renumbered(layer, node, found))
    }

    pub(super) fn setattr(&self, node: Node, changes: &AttributeChanges) -> Result<Attributes, Errno> {
        let (layer, theirs, kind) = self.node(node)?;
        checks::changes(changes, kind)?;
        let found = self.call(layer, |fs| fs.setattr(theirs, changes))?;
        Ok(self.renumbered(layer, node, found))
    }

    /// Makes something in a directory.
    fn make(
        &self,
        dir: Node,
        name: &str,
        needs: Capabilities,
        make: impl FnOnce(&dyn Filesystem, Node) -> Result<Attributes, Errno>,
    ) -> Result<Attributes, Errno> {
        let (layer, theirs) = self.dir(dir)?;
        checks::name(name)?;
        self.check_can(layer, needs)?;
        let made = self.call(layer, |fs| make(fs, theirs))?;
        self.held(layer, dir, made)
    }

    /// What a layer does not name among its capabilities it is never asked for. Errors: `EROFS`, `ENOTSUP`.
    fn check_can(&self, layer: usize, needs: Capabilities) -> Result<(), Errno> {
        let can = self.layers.get(layer).map_or(Capabilities::empty(), |layer| layer.info.capabilities);
        if needs.contains(Capabilities::WRITABLE) && !can.contains(Capabilities::WRITABLE) {
            return Err(Errno::Rofs);
        }
        if can.contains(needs) { Ok(()) } else { Err(Errno::Notsup) }
    }

    pub(super) fn create(&self, dir: Node, name: &str, owner: Ownership) -> Result<Attributes, Errno> {
        checks::owner(owner)?;
        self.make(dir, name, Capabilities::WRITABLE, |fs, dir| fs.create(dir, name, owner))
    }

    pub(super) fn mkdir(&self, dir: Node, name: &str, owner: Ownership) -> Result<Attributes, Errno> {
        checks::owner(owner)?;
        self.make(dir, name, Capabilities::WRITABLE, |fs, dir| fs.mkdir(dir, name, owner))
    }

    pub(super) fn symlink(&self, dir: Node, name: &str, target: &str, owner: Ownership) -> Result<Attributes, Errno> {
        checks::owner(owner)?;
        checks::target(target)?;
        let needs = Capabilities::WRITABLE | Capabilities::SYMLINKS;
        self.make(dir, name, needs, |fs, dir| fs.symlink(dir, name, target, owner))
    }

    pub(super) fn make_node(
        &self,
        dir: Node,
        name: &str,
        kind: NodeKind,
        device: u64,
        owner: Ownership,
    ) -> Result<Attributes, Errno> {
        checks::owner(owner)?;
        let device = checks::node(kind, device)?;
        let needs = Capabilities::WRITABLE | Capabilities::SPECIAL_FILES;
        self.make(dir, name, needs, |fs, dir| fs.make_node(dir, name, kind, device, owner))
    }

    pub(super) fn link(&self, target: Node, dir: Node, name: &str) -> Result<Attributes, Errno> {
        let (of_target, theirs, kind) = self.node(target)?;
        let (layer, _) = self.dir(dir)?;
        if kind == NodeKind::Directory {
            return Err(Errno::Perm);
        }
        if of_target != layer {
            return Err(Errno::Xdev);
        }
        let needs = Capabilities::WRITABLE | Capabilities::HARD_LINKS;
        self.make(dir, name, needs, |fs, dir| fs.link(theirs, dir, name))
    }

    /// Takes a name away.
    fn remove(
        &self,
        dir: Node,
        name: &str,
        remove: impl FnOnce(&dyn Filesystem, Node) -> Result<(), Errno>,
    ) -> Result<(), Errno> {
        let (layer, theirs) = self.dir(dir)?;
        checks::name(name)?;
        self.check_can(layer, Capabilities::WRITABLE)?;
        self.call(layer, |fs| remove(fs, theirs))
    }

    pub(super) fn unlink(&self, dir: Node, name: &str) -> Result<(), Errno> {
        self.remove(dir, name, |fs, dir| fs.unlink(dir, name))
    }

    pub(super) fn rmdir(&self, dir: Node, name: &str) -> Result<(), Errno> {
        self.remove(dir, name, |fs, dir| fs.rmdir(dir, name))
    }

    pub(super) fn rename(&self, from: (Node, &str), to: (Node, &str), how: RenameFlags) -> Result<(), Errno> {
        let ((layer, from_dir), (to_layer, to_dir)) = (self.dir(from.0)?, self.dir(to.0)?);
        checks::name(from.1)?;
        checks::name(to.1)?;
        if layer != to_layer {
            return Err(Errno::Xdev);
        }
        if how.contains(RenameFlags::NO_REPLACE | RenameFlags::EXCHANGE) {
            return Err(Errno::Inval);
        }
        self.check_can(layer, Capabilities::WRITABLE)?;
        let rename = |fs: &dyn Filesystem| fs.rename(from_dir, from.1, to_dir, to.1, how);
        if from.0 == to.0 {
            return self.call(layer, rename);
        }
        // A directory that moved below itself would be lost to everybody; the kernel rules that out before it calls a backend.
        let moving = self.directory_at(layer, from, to.0)?;
        let coming = if how.contains(RenameFlags::EXCHANGE) { self.directory_at(layer, to, from.0)? } else { None };
        self.call(layer, rename)?;
        for (moved, dir) in [(moving, to.0), (coming, from.0)] {
            if let Some(moved) = moved {
                let given = self.holds.lock().place(moved, dir);
                self.give_back(&given);
            }
        }
        Ok(())
    }

    /// The directory under a name, if it is one, that may be moved to another: `EINVAL` when that lies below it.
    fn directory_at(&self, layer: usize, at: (Node, &str), to: Node) -> Result<Option<Node>, Errno> {
        let (_, dir) = self.numbering.theirs(at.0);
        let found = self.call(layer, |fs| {
            let found = fs.lookup(dir, at.1)?;
            fs.forget(found.node, 1);
            Ok(found)
        })?;
        if found.kind != NodeKind::Directory {
            return Ok(None);
        }
        let shown = self.numbering.shown(layer, found.node)?;
        if self.holds.lock().is_within(to, shown)? { Err(Errno::Inval) } else { Ok(Some(shown)) }
    }

    pub(super) fn readlink(&self, node: Node) -> Result<String, Errno> {
        match self.node(node)? {
            (layer, theirs, NodeKind::Symlink) => self.call(layer, |fs| fs.readlink(theirs)),
            _ => Err(Errno::Inval),
        }
    }

    pub(super) fn open(&self, node: Node, how: OpenFlags) -> Result<Handle, Errno> {
        let (layer, node) = match self.node(node)? {
            (layer, theirs, NodeKind::File) => (layer, theirs),
            (_, _, NodeKind::Directory) => return Err(Errno::Isdir),
            _ => return Err(Errno::Nxio),
        };
        if how.contains(OpenFlags::WRITE) {
            self.check_can(layer, Capabilities::WRITABLE)?;
        }
        self.opens.lock().check_room()?;
        let handle = self.call(layer, |fs| fs.open(node, how))?;
        Ok(self.opens.lock().add(Open { layer, node, handle }))
    }

    pub(super) fn release(&self, node: Node, handle: Handle) {
        let (layer, theirs) = self.numbering.theirs(node);
        let open = self.opens.lock().take(layer, theirs, handle);
        if let Some(open) = open {
            let _ = self.call(open.layer, |fs| {
                fs.release(open.node, open.handle);
                Ok(())
            });
        }
    }

    /// An open file. Errors: `ESTALE` for what is none, and `EISDIR` for what never can be.
    fn opened(&self, node: Node, handle: Handle) -> Result<Open, Errno> {
        let (layer, theirs) = self.numbering.theirs(node);
        let open = self.opens.lock().get(layer, theirs, handle);
        open.map_err(|errno| match self.holds.lock().kind(node) {
            Ok(NodeKind::Directory) => Errno::Isdir,
            _ => errno,
        })
    }

    pub(super) fn read(&self, node: Node, handle: Handle, offset: u64, length: u32) -> Result<Vec<u8>, Errno> {
        let open = self.opened(node, handle)?;
        let length = checks::read(offset, length)?;
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(length).map_err(|_| Errno::Nomem)?;
        bytes.resize(length, 0);
        let count = self.call(open.layer, |fs| fs.read(open.node, open.handle, offset, &mut bytes))?;
        bytes.truncate(count);
        Ok(bytes)
    }

    pub(super) fn write(&self, node: Node, handle: Handle, offset: u64, bytes: &[u8]) -> Result<u32, Errno> {
        let open = self.opened(node, handle)?;
        let length = checks::write(offset, bytes.len())?;
        self.check_can(open.layer, Capabilities::WRITABLE)?;
        let bytes = bytes.get(..length).unwrap_or(bytes);
        let count = self.call(open.layer, |fs| fs.write(open.node, open.handle, offset, bytes))?;
        u32::try_from(count).map_err(|_| Errno::Io)
    }

    pub(super) fn fsync(&self, node: Node, handle: Handle, data_only: bool) -> Result<(), Errno> {
        let open = self.opened(node, handle)?;
        self.call(open.layer, |fs| fs.fsync(open.node, open.handle, data_only))
    }

    pub(super) fn readdir(&self, dir: Node, cookie: u64, entries_max: u32) -> Result<Vec<DirectoryEntry>, Errno> {
        let (layer, theirs) = self.dir(dir)?;
        let entries_max = (entries_max as usize).min(checks::LISTING_ENTRIES_MAX);
        let mut entries = self.call(layer, |fs| fs.readdir(theirs, cookie, entries_max))?;
        for entry in &mut entries {
            let node = self.numbering.shown(layer, entry.attributes.node)?;
            entry.attributes = self.renumbered(layer, node, entry.attributes);
        }
        Ok(entries)
    }

    pub(super) fn statfs(&self) -> Result<FilesystemStatus, Errno> {
        self.call(0, |fs| fs.statfs())
    }

    /// Calls a layer that keeps extended attributes.
    fn xattr<T>(
        &self,
        node: Node,
        needs: Capabilities,
        call: impl FnOnce(&dyn Filesystem, Node) -> Result<T, Errno>,
    ) -> Result<T, Errno> {
        let (layer, theirs, _) = self.node(node)?;
        self.check_can(layer, needs | Capabilities::XATTRS)?;
        self.call(layer, |fs| call(fs, theirs))
    }

    pub(super) fn getxattr(&self, node: Node, name: &str) -> Result<Vec<u8>, Errno> {
        checks::xattr_name(name)?;
        self.xattr(node, Capabilities::empty(), |fs, node| fs.getxattr(node, name))
    }

    pub(super) fn setxattr(&self, node: Node, name: &str, value: &[u8]) -> Result<(), Errno> {
        checks::xattr_name(name)?;
        checks::xattr_length(value.len())?;
        self.xattr(node, Capabilities::WRITABLE, |fs, node| fs.setxattr(node, name, value))
    }

    pub(super) fn listxattr(&self, node: Node) -> Result<Vec<String>, Errno> {
        self.xattr(node, Capabilities::empty(), |fs, node| fs.listxattr(node))
    }

    pub(super) fn removexattr(&self, node: Node, name: &str) -> Result<(), Errno> {
        checks::xattr_name(name)?;
        self.xattr(node, Capabilities::WRITABLE, |fs, node| fs.removexattr(node, name))
    }

    /// Makes everything durable in all layers. Errors: the first one's, after all were asked.
    pub(super) fn sync(&self) -> Result<(), Errno> {
        let mut result = Ok(());
        for layer in 0..self.layers.len() {
            let answer = self.call(layer, |fs| fs.sync());
            result = result.and(answer);
        }
        result
    }
}
