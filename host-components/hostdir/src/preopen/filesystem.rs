//! The backend's face of a granted directory.

use std::sync::Arc;

use eyot_backend::{
    AttributeChanges, Attributes, Capabilities, DirectoryEntry, Errno, Filesystem, FilesystemInfo, FilesystemStatus,
    Handle, NAME_BYTES_MAX, Node, NodeKind, OpenFlags, Ownership, RenameFlags, Timestamp,
};
use eyot_preopen::{self as kernel, FileKind, NewTime};

use super::Preopened;
use super::host::{self, Fd, Status};
use crate::name::check_name;

/// The largest offset of a file.
const OFFSET_MAX: u64 = i64::MAX as u64;

impl Preopened {
    fn attributes(&self, status: &Status) -> Attributes {
        status.attributes(self.nodes.number(status.identity()), self.lifetime_ns)
    }

    /// Counts a lookup of what `handle` stands for.
    fn hold(&self, dir: Node, name: &str, handle: Fd) -> Result<Attributes, Errno> {
        let status = host::status(&handle)?;
        let node = self.nodes.hold(dir, name, status.identity(), Some(handle))?;
        if status.0.links > 1 && status.kind() != NodeKind::Directory {
            self.names.add(node, dir, name);
        }
        Ok(self.attributes(&status))
    }

    /// The directory that a node lies in and its name there, made sure of just now. Errors: `ESTALE` when none of the names that were seen leads to it.
    fn place(&self, node: Node) -> Result<(Arc<Fd>, Box<str>), Errno> {
        let (parent, name, identity) = self.nodes.place(node)?;
        let is_there = |parent: Node, name: &str| {
            let dir = self.nodes.handle(parent)?;
            let found = kernel::status(&dir.fd, name).map(Status).map_err(gone)?;
            if found.identity() == identity { Ok(dir) } else { Err(Errno::Stale) }
        };
        match is_there(parent, &name) {
            Err(Errno::Stale) => {}
            found => return found.map(|dir| (dir, name)),
        }
        for (parent, name) in self.names.of(node).into_iter().rev() {
            if let Ok(dir) = is_there(parent, &name) {
                self.nodes.renamed(identity, parent, &name);
                return Ok((dir, name));
            }
        }
        Err(Errno::Stale)
    }

    /// Opens a file by its name, or what was kept of it when the name was taken away.
    fn open_file(&self, node: Node, flags: kernel::OpenFlags) -> Result<kernel::Fd, Errno> {
        let opened = self.place(node).and_then(|(dir, name)| {
            let file = kernel::Fd::open_at(&dir.fd, &name, flags, 0).map_err(gone)?;
            let (_, _, identity) = self.nodes.place(node)?;
            if Status(file.status()?).identity() == identity { Ok(file) } else { Err(Errno::Stale) }
        });
        match opened {
            Err(Errno::Stale) => match self.nodes.handle(node)? {
                kept if kept.is_open => kept.fd.duplicate(),
                _ => Err(Errno::Stale),
            },
            opened => opened,
        }
    }

    /// What has this name now, if it is held: what a removal or a rename is about to take it from.
    fn victim(&self, dir: &Fd, name: &str) -> Option<(Status, Fd)> {
        let status = kernel::status(&dir.fd, name).map(Status).ok()?;
        if !self.nodes.holds(status.identity()) {
            return None;
        }
        let handle = host::open_lasting(dir, name, status.kind()).ok()?;
        let same = host::status(&handle).ok()?.identity() == status.identity();
        same.then_some((status, handle))
    }

    /// Gives what was just made its owner and its permission bits, as far as the filesystem that was granted lets us: it may have its own idea of both.
    fn adorn(&self, handle: &Fd, owner: Ownership) -> Result<(), Errno> {
        let made = host::status(handle)?;
        if (made.0.uid, made.0.gid) != (owner.uid, owner.gid) {
            refusable(handle.fd.set_owner(Some(owner.uid), Some(owner.gid)))?;
        }
        let mode = owner.mode & 0o7777;
        if made.kind() != NodeKind::Symlink && host::status(handle)?.0.mode != mode {
            refusable(handle.fd.set_mode(mode))?;
        }
        Ok(())
    }

    /// Opens, dresses and counts what was just made.
    fn made(&self, dir: Node, parent: &Fd, name: &str, owner: Ownership) -> Result<Attributes, Errno> {
        let handle = host::open_path(parent, name)?;
        self.adorn(&handle, owner)?;
        self.hold(dir, name, handle)
    }

    /// A file that has several names has this one now.
    fn moved(&self, node: Node, links: u32, dir: Node, name: &str) {
        if links > 1 && self.nodes.is_held(node) {
            self.names.add(node, dir, name);
        }
    }

    fn set_size(&self, node: Node, kind: NodeKind, size: u64) -> Result<(), Errno> {
        match kind {
            NodeKind::File if size > OFFSET_MAX => Err(Errno::Fbig),
            NodeKind::File => self.open_file(node, kernel::OpenFlags::WRITE)?.set_size(size),
            NodeKind::Directory => Err(Errno::Isdir),
            _ => Err(Errno::Inval),
        }
    }

    fn entry(&self, dir: &kernel::Fd, entry: kernel::Entry) -> Result<Option<DirectoryEntry>, Errno> {
        if check_name(&entry.name).is_err() {
            return Ok(None);
        }
        match kernel::status(dir, &entry.name).map(Status) {
            Ok(status) => {
                let attributes = self.attributes(&status);
                Ok(Some(DirectoryEntry { name: entry.name, cookie: entry.cookie, attributes }))
            }
            // Taken away meanwhile.
            Err(Errno::Noent) => Ok(None),
            Err(errno) => Err(errno),
        }
    }
}

impl Filesystem for Preopened {
    fn info(&self) -> FilesystemInfo {
        FilesystemInfo {
            root: self.nodes.root(),
            capabilities: Capabilities::all() - Capabilities::XATTRS - Capabilities::EVENTS - Capabilities::LOCKS,
            entry_lifetime_ns: self.lifetime_ns,
            absence_lifetime_ns: self.lifetime_ns,
            kind: "hostdir".into(),
        }
    }

    fn lookup(&self, dir: Node, name: &str) -> Result<Attributes, Errno> {
        check_name(name)?;
        let handle = host::open_path(&*self.nodes.handle(dir)?, name)?;
        self.hold(dir, name, handle)
    }

    fn forget(&self, node: Node, count: u64) {
        self.nodes.forget(node, count);
        if !self.nodes.is_held(node) {
            self.names.forget(node);
        }
    }

    fn getattr(&self, node: Node) -> Result<Attributes, Errno> {
        Ok(self.attributes(&host::status(&*self.nodes.handle(node)?)?))
    }

    fn setattr(&self, node: Node, changes: &AttributeChanges) -> Result<Attributes, Errno> {
        let handle = self.nodes.handle(node)?;
        let before = host::status(&handle)?;
        let valid = |time: Option<Timestamp>| time.is_none_or(|time| time.nanoseconds < 1_000_000_000);
        if !valid(changes.accessed) || !valid(changes.modified) {
            return Err(Errno::Inval);
        }
        if let Some(size) = changes.size {
            self.set_size(node, before.kind(), size)?;
        }
        let owns = changes.uid.is_some() || changes.gid.is_some();
        if owns {
            handle.fd.set_owner(changes.uid, changes.gid)?;
        }
        // A new owner takes bits away (chown(2)); whether it shall is decided by who asked.
        let kept = (owns && before.0.mode & 0o6000 != 0).then_some(before.0.mode);
        if let Some(mode) = changes.mode.or(kept) {
            handle.fd.set_mode(mode & 0o7777)?;
        }
        if changes.accessed.is_some() || changes.modified.is_some() {
            let new = |time: Option<Timestamp>| time.map_or(NewTime::Keep, NewTime::At);
            handle.fd.set_times(new(changes.accessed), new(changes.modified))?;
        }
        Ok(self.attributes(&host::status(&handle)?))
    }

    fn create(&self, dir: Node, name: &str, owner: Ownership) -> Result<Attributes, Errno> {
        check_name(name)?;
        let parent = self.nodes.handle(dir)?;
        kernel::make_node(&parent.fd, name, FileKind::File, owner.mode & 0o7777, 0)?;
        self.made(dir, &parent, name, owner)
    }

    fn mkdir(&self, dir: Node, name: &str, owner: Ownership) -> Result<Attributes, Errno> {
        check_name(name)?;
        let parent = self.nodes.handle(dir)?;
        kernel::make_directory(&parent.fd, name, owner.mode & 0o7777)?;
        self.made(dir, &parent, name, owner)
    }

    fn symlink(&self, dir: Node, name: &str, target: &str, owner: Ownership) -> Result<Attributes, Errno> {
        check_name(name)?;
        let parent = self.nodes.handle(dir)?;
        kernel::make_symlink(&parent.fd, name, target)?;
        self.made(dir, &parent, name, owner)
    }

    fn make_node(
        &self,
        dir: Node,
        name: &str,
        kind: NodeKind,
        device: u64,
        owner: Ownership,
    ) -> Result<Attributes, Errno> {
        check_name(name)?;
        let kind = match kind {
            NodeKind::Fifo => FileKind::Fifo,
            NodeKind::Socket => FileKind::Socket,
            NodeKind::CharacterDevice => FileKind::CharacterDevice,
            NodeKind::BlockDevice => FileKind::BlockDevice,
            NodeKind::File | NodeKind::Directory | NodeKind::Symlink => return Err(Errno::Inval),
        };
        let parent = self.nodes.handle(dir)?;
        kernel::make_node(&parent.fd, name, kind, owner.mode & 0o7777, device)?;
        self.made(dir, &parent, name, owner)
    }

    fn link(&self, target: Node, dir: Node, name: &str) -> Result<Attributes, Errno> {
        check_name(name)?;
        let status = host::status(&*self.nodes.handle(target)?)?;
        if status.kind() == NodeKind::Directory {
            return Err(Errno::Perm);
        }
        let parent = self.nodes.handle(dir)?;
        let (from, from_name) = self.place(target).map_err(|errno| match errno {
            Errno::Stale if status.0.links == 0 => Errno::Noent,
            other => other,
        })?;
        // The name that it has now is another one as soon as it has two.
        if let Ok((known_in, known, _)) = self.nodes.place(target) {
            self.names.add(target, known_in, &known);
        }
        kernel::link(&from.fd, &from_name, &parent.fd, name)?;
        let linked = self.hold(dir, name, host::open_path(&parent, name)?)?;
        if linked.node == target {
            return Ok(linked);
        }
        self.nodes.forget(linked.node, 1);
        Err(Errno::Stale)
    }

    fn unlink(&self, dir: Node, name: &str) -> Result<(), Errno> {
        check_name(name)?;
        let parent = self.nodes.handle(dir)?;
        let victim = self.victim(&parent, name);
        kernel::unlink(&parent.fd, name)?;
        if let Some((status, handle)) = victim {
            self.names.remove(self.nodes.number(status.identity()), dir, name);
            self.nodes.unlinked(status.identity(), dir, name, handle);
        }
        Ok(())
    }

    fn rmdir(&self, dir: Node, name: &str) -> Result<(), Errno> {
        check_name(name)?;
        let parent = self.nodes.handle(dir)?;
        let victim = self.victim(&parent, name);
        kernel::remove_directory(&parent.fd, name)?;
        if let Some((status, handle)) = victim {
            self.nodes.unlinked(status.identity(), dir, name, handle);
        }
        Ok(())
    }

    fn rename(
        &self,
        from_dir: Node,
        from_name: &str,
        to_dir: Node,
        to_name: &str,
        how: RenameFlags,
    ) -> Result<(), Errno> {
        check_name(from_name)?;
        check_name(to_name)?;
        let (from, to) = (self.nodes.handle(from_dir)?, self.nodes.handle(to_dir)?);
        let source = kernel::status(&from.fd, from_name).map(Status);
        let target = self.victim(&to, to_name);
        let mut flags = kernel::RenameFlags::empty();
        flags.set(kernel::RenameFlags::NO_REPLACE, how.contains(RenameFlags::NO_REPLACE));
        flags.set(kernel::RenameFlags::EXCHANGE, how.contains(RenameFlags::EXCHANGE));
        kernel::rename(&from.fd, from_name, &to.fd, to_name, flags)?;
        let source = source?;
        let (links, source) = (source.0.links, source.identity());
        if let Some((status, handle)) = target {
            if status.identity() == source {
                return Ok(());
            }
            let node = self.nodes.number(status.identity());
            self.names.remove(node, to_dir, to_name);
            if how.contains(RenameFlags::EXCHANGE) {
                self.moved(node, status.0.links, from_dir, from_name);
                self.nodes.renamed(status.identity(), from_dir, from_name);
            } else {
                self.nodes.unlinked(status.identity(), to_dir, to_name, handle);
            }
        }
        let node = self.nodes.number(source);
        self.names.remove(node, from_dir, from_name);
        self.moved(node, links, to_dir, to_name);
        self.nodes.renamed(source, to_dir, to_name);
        Ok(())
    }

    fn readlink(&self, node: Node) -> Result<String, Errno> {
        let handle = self.nodes.handle(node)?;
        if host::status(&handle)?.kind() != NodeKind::Symlink {
            return Err(Errno::Inval);
        }
        if let Some(target) = &handle.target {
            return Ok(target.to_string());
        }
        let (dir, name) = self.place(node)?;
        kernel::read_link(&dir.fd, &name).map_err(gone)
    }

    fn open(&self, node: Node, how: OpenFlags) -> Result<Handle, Errno> {
        match host::status(&*self.nodes.handle(node)?)?.kind() {
            NodeKind::File => {}
            NodeKind::Directory => return Err(Errno::Isdir),
            NodeKind::Symlink => return Err(Errno::Loop),
            _ => return Err(Errno::Nxio),
        }
        let mut flags = kernel::OpenFlags::empty();
        flags.set(kernel::OpenFlags::WRITE, how.contains(OpenFlags::WRITE));
        flags.set(kernel::OpenFlags::READ, how.contains(OpenFlags::READ) || !how.contains(OpenFlags::WRITE));
        Ok(self.files.add(self.open_file(node, flags)?))
    }

    fn release(&self, _node: Node, handle: Handle) {
        self.files.remove(handle);
    }

    fn read(&self, _node: Node, handle: Handle, offset: u64, buffer: &mut [u8]) -> Result<usize, Errno> {
        if offset > OFFSET_MAX {
            return Ok(0);
        }
        self.files.get(handle)?.read_at(offset, buffer)
    }

    fn read_with(
        &self,
        _node: Node,
        handle: Handle,
        offset: u64,
        length: usize,
        give: &mut dyn FnMut(&[u8]),
    ) -> Result<(), Errno> {
        let file = self.files.get(handle)?;
        if offset <= OFFSET_MAX {
            give(&file.read_vec(offset, length)?);
        }
        Ok(())
    }

    fn write(&self, _node: Node, handle: Handle, offset: u64, bytes: &[u8]) -> Result<usize, Errno> {
        if bytes.is_empty() {
            return Ok(0);
        }
        if offset.checked_add(bytes.len() as u64).is_none_or(|end| end > OFFSET_MAX) {
            return Err(Errno::Fbig);
        }
        self.files.get(handle)?.write_at(offset, bytes)
    }

    fn fsync(&self, node: Node, handle: Handle, data_only: bool) -> Result<(), Errno> {
        match self.files.get(handle) {
            // Directories are not opened, and their names are to be made durable too.
            Err(Errno::Badf) if handle == 0 => host::open_listing(&*self.nodes.handle(node)?)?.sync(data_only),
            file => file?.sync(data_only),
        }
    }

    fn readdir(&self, dir: Node, cookie: u64, entries_max: usize) -> Result<Vec<DirectoryEntry>, Errno> {
        let listing = host::open_listing(&*self.nodes.handle(dir)?)?;
        let mut cookie = cookie;
        loop {
            let page = listing.list(cookie, entries_max)?;
            let Some(last) = page.last().map(|entry| entry.cookie) else { return Ok(Vec::new()) };
            let mut entries = Vec::with_capacity(page.len());
            for entry in page {
                entries.extend(self.entry(&listing, entry)?);
            }
            entries.truncate(entries_max);
            if !entries.is_empty() || last == cookie {
                return Ok(entries);
            }
            cookie = last;
        }
    }

    fn statfs(&self) -> Result<FilesystemStatus, Errno> {
        let status = self.nodes.handle(self.nodes.root())?.fd.filesystem()?;
        Ok(FilesystemStatus {
            block_size: status.block_size,
            blocks: status.blocks,
            blocks_free: status.blocks_free,
            files: status.files,
            files_free: status.files_free,
            name_max: status.name_max.min(NAME_BYTES_MAX as u32),
        })
    }
}

/// What a name that led to a node once says when it leads nowhere now.
fn gone(errno: Errno) -> Errno {
    match errno {
        Errno::Noent | Errno::Notdir | Errno::Loop => Errno::Stale,
        other => other,
    }
}

/// A filesystem with owners or permissions of its own is no reason to fail.
fn refusable(result: Result<(), Errno>) -> Result<(), Errno> {
    match result {
        Err(Errno::Perm | Errno::Notsup) => Ok(()),
        other => other,
    }
}
