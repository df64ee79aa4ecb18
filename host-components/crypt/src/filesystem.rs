//! The backend's face: each function of `eyot:backend/filesystem`.

use std::sync::Weak;

use eyot_backend::{
    AttributeChanges, Attributes, DirectoryEntry, Errno, Filesystem, FilesystemInfo, FilesystemStatus, Handle, Node,
    NodeKind, OpenFlags, Ownership, RenameFlags, Watcher,
};

use crate::Crypt;
use crate::file::At;
use crate::names::{Shown, Stored, long_attribute};

impl Filesystem for Crypt {
    fn info(&self) -> FilesystemInfo {
        FilesystemInfo { kind: "crypt".into(), ..self.info.clone() }
    }

    fn lookup(&self, dir: Node, name: &str) -> Result<Attributes, Errno> {
        let stored = self.names.find(dir, name)?;
        self.show_held(self.layer.lookup(dir, &stored.text)?)
    }

    fn forget(&self, node: Node, count: u64) {
        if self.given(node).is_ok() {
            self.layer.forget(node, count);
        }
    }

    fn getattr(&self, node: Node) -> Result<Attributes, Errno> {
        self.show(self.layer.getattr(self.given(node)?)?)
    }

    fn setattr(&self, node: Node, changes: &AttributeChanges) -> Result<Attributes, Errno> {
        let node = self.given(node)?;
        match changes.size {
            Some(size) => self.resize(node, size, changes),
            None => self.show(self.layer.setattr(node, changes)?),
        }
    }

    fn create(&self, dir: Node, name: &str, owner: Ownership) -> Result<Attributes, Errno> {
        let stored = self.names.make(dir, name)?;
        self.note_made(dir, &stored, self.layer.create(dir, &stored.text, owner)?)
    }

    fn mkdir(&self, dir: Node, name: &str, owner: Ownership) -> Result<Attributes, Errno> {
        let stored = self.names.make(dir, name)?;
        self.note_made(dir, &stored, self.layer.mkdir(dir, &stored.text, owner)?)
    }

    fn symlink(&self, dir: Node, name: &str, target: &str, owner: Ownership) -> Result<Attributes, Errno> {
        let stored = self.names.make(dir, name)?;
        self.make_symlink(dir, &stored, target, owner)
    }

    fn make_node(
        &self,
        dir: Node,
        name: &str,
        kind: NodeKind,
        device: u64,
        owner: Ownership,
    ) -> Result<Attributes, Errno> {
        let stored = self.names.make(dir, name)?;
        self.note_made(dir, &stored, self.layer.make_node(dir, &stored.text, kind, device, owner)?)
    }

    fn link(&self, target: Node, dir: Node, name: &str) -> Result<Attributes, Errno> {
        let (target, stored) = (self.given(target)?, self.names.make(dir, name)?);
        let _longer = stored.long.is_some().then(|| self.names.lock_longer());
        if stored.long.is_some() && self.layer.getattr(target)?.kind != NodeKind::Directory {
            self.note_name(target, &stored)?;
        }
        self.show_held(self.layer.link(target, dir, &stored.text)?)
    }

    fn unlink(&self, dir: Node, name: &str) -> Result<(), Errno> {
        self.layer.unlink(dir, &self.names.find(dir, name)?.text)
    }

    fn rmdir(&self, dir: Node, name: &str) -> Result<(), Errno> {
        self.layer.rmdir(dir, &self.names.find(dir, name)?.text)
    }

    fn rename(
        &self,
        from_dir: Node,
        from_name: &str,
        to_dir: Node,
        to_name: &str,
        how: RenameFlags,
    ) -> Result<(), Errno> {
        let (from, to) = (self.names.find(from_dir, from_name)?, self.names.make(to_dir, to_name)?);
        if from.long.is_none() && to.long.is_none() {
            return self.layer.rename(from_dir, &from.text, to_dir, &to.text, how);
        }
        let _longer = self.names.lock_longer();
        self.note_at(from_dir, &from.text, &to)?;
        if how.contains(RenameFlags::EXCHANGE) {
            self.note_at(to_dir, &to.text, &from)?;
        }
        self.layer.rename(from_dir, &from.text, to_dir, &to.text, how)?;
        if from.text != to.text {
            self.unnote_at(to_dir, &to.text, &from);
            if how.contains(RenameFlags::EXCHANGE) {
                self.unnote_at(from_dir, &from.text, &to);
            }
        }
        Ok(())
    }

    fn readlink(&self, node: Node) -> Result<String, Errno> {
        self.target(self.given(node)?)
    }

    fn open(&self, node: Node, how: OpenFlags) -> Result<Handle, Errno> {
        // A write of less than a block reads the rest of it.
        let how = if how.contains(OpenFlags::WRITE) { how | OpenFlags::READ } else { how };
        let handle = self.layer.open(self.given(node)?, how)?;
        Ok(self.files.add(At { node, handle }))
    }

    fn release(&self, node: Node, handle: Handle) {
        if let Some(at) = self.files.remove(node, handle) {
            self.layer.release(node, at.handle);
        }
    }

    fn read(&self, node: Node, handle: Handle, offset: u64, buffer: &mut [u8]) -> Result<usize, Errno> {
        self.read_file(&*self.files.get(node, handle)?, offset, buffer)
    }

    fn write(&self, node: Node, handle: Handle, offset: u64, bytes: &[u8]) -> Result<usize, Errno> {
        self.write_file(&*self.files.get(node, handle)?, offset, bytes)
    }

    fn fsync(&self, node: Node, handle: Handle, data_only: bool) -> Result<(), Errno> {
        let handle = match self.files.get(node, handle) {
            Ok(open) => open.at.handle,
            // A directory, which is not opened.
            Err(_) if handle == 0 => 0,
            Err(errno) => return Err(errno),
        };
        self.layer.fsync(node, handle, data_only)
    }

    fn sync(&self) -> Result<(), Errno> {
        self.layer.sync()
    }

    fn readdir(&self, dir: Node, cookie: u64, entries_max: usize) -> Result<Vec<DirectoryEntry>, Errno> {
        let mut cookie = cookie;
        loop {
            let page = self.layer.readdir(dir, cookie, entries_max)?;
            let Some(last) = page.last().map(|entry| entry.cookie) else { return Ok(page) };
            let mut shown = Vec::with_capacity(page.len());
            for entry in page {
                shown.extend(self.show_entry(dir, entry)?);
            }
            // Nothing to show is not the end, which is what an empty answer means.
            if !shown.is_empty() {
                return Ok(shown);
            }
            if last == cookie {
                return Err(Errno::Io);
            }
            cookie = last;
        }
    }

    fn statfs(&self) -> Result<FilesystemStatus, Errno> {
        let status = self.layer.statfs()?;
        Ok(FilesystemStatus { name_max: status.name_max.min(self.names.bytes_max() as u32), ..status })
    }

    fn getxattr(&self, node: Node, name: &str) -> Result<Vec<u8>, Errno> {
        self.attribute_value(self.given(node)?, name)
    }

    fn setxattr(&self, node: Node, name: &str, value: &[u8]) -> Result<(), Errno> {
        self.set_attribute(self.given(node)?, name, value)
    }

    fn listxattr(&self, node: Node) -> Result<Vec<String>, Errno> {
        self.attribute_names(self.given(node)?)
    }

    fn removexattr(&self, node: Node, name: &str) -> Result<(), Errno> {
        self.remove_attribute(self.given(node)?, name)
    }

    fn may_wait(&self) -> bool {
        self.layer.may_wait()
    }

    fn watch(&self, watcher: Weak<dyn Watcher>) {
        self.watch_layer(watcher);
    }
}

impl Crypt {
    /// An entry of the layer as the guest sees it; `None` for what is not the guest's.
    fn show_entry(&self, dir: Node, entry: DirectoryEntry) -> Result<Option<DirectoryEntry>, Errno> {
        let name = match self.names.shown(dir, &entry.name) {
            Shown::Name(name) => name,
            Shown::Foreign => return Ok(None),
            Shown::Long => match self.long_name(dir, &entry.name)? {
                Some(name) => name,
                None => return Ok(None),
            },
        };
        match self.show_listed(dir, &entry.name, entry.attributes) {
            Ok(attributes) => Ok(Some(DirectoryEntry { name, attributes, ..entry })),
            // Gone meanwhile.
            Err(Errno::Noent) => Ok(None),
            Err(errno) => Err(errno),
        }
    }

    /// Notes a name with what has another one now.
    fn note_at(&self, dir: Node, text: &str, name: &Stored<'_>) -> Result<(), Errno> {
        if name.long.is_none() {
            return Ok(());
        }
        self.visit(dir, text, |found| self.note_name(found.node, name))
    }

    /// Takes the note of a name away from what has it no more, unless another of its names may be the same in another directory. If the note stays, it takes room and nothing else.
    fn unnote_at(&self, dir: Node, text: &str, name: &Stored<'_>) {
        if name.long.is_none() {
            return;
        }
        let _ = self.visit(dir, text, |found| {
            if found.links > 1 && found.kind != NodeKind::Directory {
                return Ok(());
            }
            self.layer.removexattr(found.node, &long_attribute(&name.text))
        });
    }
}
