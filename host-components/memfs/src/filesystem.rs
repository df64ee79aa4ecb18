//! The backend's face: each function of `eyot:backend/filesystem`.

use eyot_backend::{
    AttributeChanges, Attributes, CHUNK_BYTES_MAX, Capabilities, Content, DirectoryEntry, Errno, Filesystem,
    FilesystemInfo, FilesystemStatus, Handle, NAME_BYTES_MAX, Node, NodeKind, OpenFlags, Ownership, RenameFlags,
    Timestamp,
};

use crate::inode::{Body, MODE_MASK};
use crate::memfs::{Memfs, ROOT, View};
use eyot_backend::check_target;

/// The block size that `statfs` answers, in bytes.
const BLOCK_BYTES: u32 = 4096;
/// The most entries of one listing, so that a lock is not held for long.
const LISTING_ENTRIES_MAX: usize = 4096;

impl Filesystem for Memfs {
    fn info(&self) -> FilesystemInfo {
        let lifetime_ns = if self.shared { 0 } else { u64::MAX };
        let capabilities = Capabilities::all() - Capabilities::EVENTS - Capabilities::LOCKS;
        FilesystemInfo {
            root: ROOT,
            capabilities,
            entry_lifetime_ns: lifetime_ns,
            // Compiled in, a look is as quick as a memory of one.
            absence_lifetime_ns: if self.shared { 0 } else { crate::ATTRIBUTES_LIFETIME_NS },
            kind: "memfs".into(),
        }
    }

    fn lookup(&self, dir: Node, name: &str) -> Result<Attributes, Errno> {
        let child = self.view(dir, |dir| {
            let child = match dir {
                View::Own(inode) => match &inode.body {
                    Body::Directory(directory) => directory.find(name).map(|(_, entry)| entry.node),
                    _ => return Err(Errno::Notdir),
                },
                View::Image(image, dir) if dir.kind == NodeKind::Directory => {
                    image.find(&dir, name).map(|(_, entry)| u64::from(entry.node) + 1)
                }
                View::Image(..) => return Err(Errno::Notdir),
            };
            let child = child.ok_or(Errno::Noent)?;
            self.hold(child).map(|()| child)
        })?;
        self.getattr(child)
    }

    fn forget(&self, node: Node, count: u64) {
        if node != ROOT {
            self.unhold(node, count);
        }
    }

    fn getattr(&self, node: Node) -> Result<Attributes, Errno> {
        self.view(node, |view| {
            Ok(match view {
                View::Own(inode) => inode.attributes(node),
                View::Image(_, base) => base.attributes(node),
            })
        })
    }

    fn setattr(&self, node: Node, changes: &AttributeChanges) -> Result<Attributes, Errno> {
        let valid = |time: Option<Timestamp>| time.is_none_or(|time| time.nanoseconds < 1_000_000_000);
        if !valid(changes.accessed) || !valid(changes.modified) {
            return Err(Errno::Inval);
        }
        let now = self.clock.now();
        let mut locked = self.lock(node)?;
        let inode = locked.inode()?;
        if let Some(size) = changes.size {
            match &mut inode.body {
                Body::File(data) => data.set_size(size, &self.quota)?,
                Body::Directory(_) => return Err(Errno::Isdir),
                _ => return Err(Errno::Inval),
            }
            inode.modified = now;
        }
        inode.mode = changes.mode.map_or(inode.mode, |mode| mode & MODE_MASK);
        inode.uid = changes.uid.unwrap_or(inode.uid);
        inode.gid = changes.gid.unwrap_or(inode.gid);
        inode.accessed = changes.accessed.unwrap_or(inode.accessed);
        inode.modified = changes.modified.unwrap_or(inode.modified);
        inode.changed = now;
        Ok(inode.attributes(node))
    }

    fn create(&self, dir: Node, name: &str, owner: Ownership) -> Result<Attributes, Errno> {
        self.make(dir, name, Body::File(Default::default()), owner)
    }

    fn mkdir(&self, dir: Node, name: &str, owner: Ownership) -> Result<Attributes, Errno> {
        self.make(dir, name, Body::Directory(crate::directory::Directory::new()), owner)
    }

    fn symlink(&self, dir: Node, name: &str, target: &str, owner: Ownership) -> Result<Attributes, Errno> {
        check_target(target)?;
        self.make(dir, name, Body::Symlink(target.into()), Ownership { mode: 0o777, ..owner })
    }

    fn make_node(
        &self,
        dir: Node,
        name: &str,
        kind: NodeKind,
        device: u64,
        owner: Ownership,
    ) -> Result<Attributes, Errno> {
        let device = match kind {
            NodeKind::CharacterDevice | NodeKind::BlockDevice => device,
            NodeKind::Fifo | NodeKind::Socket => 0,
            NodeKind::File | NodeKind::Directory | NodeKind::Symlink => return Err(Errno::Inval),
        };
        self.make(dir, name, Body::Special { kind, device }, owner)
    }

    fn link(&self, target: Node, dir: Node, name: &str) -> Result<Attributes, Errno> {
        self.add_name(target, dir, name)
    }

    fn unlink(&self, dir: Node, name: &str) -> Result<(), Errno> {
        self.remove_name(dir, name)
    }

    fn rmdir(&self, dir: Node, name: &str) -> Result<(), Errno> {
        self.remove_directory(dir, name)
    }

    fn rename(
        &self,
        from_dir: Node,
        from_name: &str,
        to_dir: Node,
        to_name: &str,
        how: RenameFlags,
    ) -> Result<(), Errno> {
        self.move_name(from_dir, from_name, to_dir, to_name, how)
    }

    fn readlink(&self, node: Node) -> Result<String, Errno> {
        let (target, noted) = self.view(node, |view| match view {
            View::Own(inode) => match &inode.body {
                Body::Symlink(target) => Ok((target.to_string(), !inode.wants_accessed())),
                _ => Err(Errno::Inval),
            },
            View::Image(image, base) if base.kind == NodeKind::Symlink => Ok((image.target(&base).to_owned(), true)),
            View::Image(..) => Err(Errno::Inval),
        })?;
        if !noted {
            self.note_access(node);
        }
        Ok(target)
    }

    fn open(&self, node: Node, _how: OpenFlags) -> Result<Handle, Errno> {
        let kind = self.view(node, |view| {
            Ok(match view {
                View::Own(inode) => inode.kind(),
                View::Image(_, base) => base.kind,
            })
        })?;
        match kind {
            NodeKind::File => Ok(0),
            NodeKind::Directory => Err(Errno::Isdir),
            NodeKind::Symlink => Err(Errno::Loop),
            _ => Err(Errno::Nxio),
        }
    }

    fn release(&self, _node: Node, _handle: Handle) {}

    fn read(&self, node: Node, _handle: Handle, offset: u64, buffer: &mut [u8]) -> Result<usize, Errno> {
        let length = buffer.len().min(CHUNK_BYTES_MAX);
        let buffer = buffer.get_mut(..length).unwrap_or_default();
        let (count, noted) = self.view(node, |view| match view {
            View::Own(inode) => {
                let data = file(&inode.body)?;
                let count = data.read(offset, buffer, self.shown(data.under()));
                Ok((count, !inode.wants_accessed()))
            }
            View::Image(image, base) => match base.kind {
                NodeKind::File => Ok((read_image(image.data(&base), offset, buffer), true)),
                kind => Err(no_file(kind)),
            },
        })?;
        if !noted {
            self.note_access(node);
        }
        Ok(count)
    }

    fn read_with(
        &self,
        node: Node,
        _handle: Handle,
        offset: u64,
        length: usize,
        give: &mut dyn FnMut(&[u8]),
    ) -> Result<(), Errno> {
        let length = length.min(CHUNK_BYTES_MAX);
        let noted = self.view(node, |view| match view {
            View::Own(inode) => {
                let data = file(&inode.body)?;
                data.read_with(offset, length, self.shown(data.under()), give);
                Ok(!inode.wants_accessed())
            }
            View::Image(image, base) if base.kind == NodeKind::File => {
                let rest = usize::try_from(offset).ok().and_then(|offset| image.data(&base).get(offset..));
                let rest = rest.unwrap_or_default();
                give(rest.get(..length).unwrap_or(rest));
                Ok(true)
            }
            View::Image(_, base) => Err(no_file(base.kind)),
        })?;
        if !noted {
            self.note_access(node);
        }
        Ok(())
    }

    fn write(&self, node: Node, _handle: Handle, offset: u64, bytes: &[u8]) -> Result<usize, Errno> {
        let now = self.clock.now();
        let mut locked = self.lock(node)?;
        let inode = locked.inode()?;
        let kind = inode.kind();
        let Body::File(data) = &mut inode.body else { return Err(no_file(kind)) };
        let shown = self.shown(data.under());
        let count = data.write(offset, bytes, shown, &self.quota)?;
        if count > 0 {
            inode.touch(now);
        }
        Ok(count)
    }

    fn write_vec(&self, node: Node, _handle: Handle, offset: u64, bytes: Vec<u8>) -> Result<usize, Errno> {
        let now = self.clock.now();
        let mut locked = self.lock(node)?;
        let inode = locked.inode()?;
        let kind = inode.kind();
        let Body::File(data) = &mut inode.body else { return Err(no_file(kind)) };
        let count = match data.adopt(offset, bytes, &self.quota) {
            Ok(count) => count,
            Err(bytes) => data.write(offset, &bytes, self.shown(data.under()), &self.quota)?,
        };
        if count > 0 {
            inode.touch(now);
        }
        Ok(count)
    }

    fn fsync(&self, node: Node, _handle: Handle, _data_only: bool) -> Result<(), Errno> {
        self.view(node, |_| Ok(()))
    }

    fn readdir(&self, dir: Node, cookie: u64, entries_max: usize) -> Result<Vec<DirectoryEntry>, Errno> {
        let mut cookie = cookie;
        loop {
            let page = self.list(dir, cookie, entries_max.min(LISTING_ENTRIES_MAX))?;
            let Some(&(_, last, _)) = page.last() else { return Ok(Vec::new()) };
            // A name that went between the two locks is skipped; an empty answer would mean the end.
            let entries: Vec<_> = page
                .into_iter()
                .filter_map(|(name, cookie, node)| {
                    Some(DirectoryEntry { name, cookie, attributes: self.getattr(node).ok()? })
                })
                .collect();
            if !entries.is_empty() {
                return Ok(entries);
            }
            cookie = last;
        }
    }

    fn statfs(&self) -> Result<FilesystemStatus, Errno> {
        let (bytes, bytes_max) = self.quota.bytes();
        let (inodes, inodes_max) = self.quota.inodes();
        let image_bytes = self.image.as_ref().map_or(0, |image| image.data_bytes());
        let block_bytes = u64::from(BLOCK_BYTES);
        Ok(FilesystemStatus {
            block_size: BLOCK_BYTES,
            blocks: bytes_max.saturating_add(image_bytes) / block_bytes,
            blocks_free: bytes_max.saturating_sub(bytes) / block_bytes,
            files: inodes_max.saturating_add(u64::from(self.reserved().max(1))),
            files_free: inodes_max.saturating_sub(inodes),
            name_max: NAME_BYTES_MAX as u32,
        })
    }

    fn getxattr(&self, node: Node, name: &str) -> Result<Vec<u8>, Errno> {
        self.xattr(node, name)
    }

    fn setxattr(&self, node: Node, name: &str, value: &[u8]) -> Result<(), Errno> {
        self.set_xattr(node, name, value)
    }

    fn listxattr(&self, node: Node) -> Result<Vec<String>, Errno> {
        self.xattrs(node)
    }

    fn removexattr(&self, node: Node, name: &str) -> Result<(), Errno> {
        self.remove_xattr(node, name)
    }

    fn content(&self, node: Node) -> Option<Content> {
        let content = self.view(node, |view| {
            let (image, base) = match view {
                View::Image(image, base) => (image, base),
                View::Own(inode) => {
                    let image = self.image.as_deref().ok_or(Errno::Inval)?;
                    let data = file(&inode.body)?;
                    let base = data.under().and_then(|under| image.node(under.index)).ok_or(Errno::Inval)?;
                    data.untouched(base.length).ok_or(Errno::Inval)?;
                    (image, base)
                }
            };
            if base.kind == NodeKind::File { Ok(image.content(&base)) } else { Err(Errno::Inval) }
        });
        content.ok()
    }
}

impl Memfs {
    /// Names, cookies and numbers of the entries after `cookie`. Their attributes are read afterwards: a directory's lock is not held while
    /// another's is taken.
    fn list(&self, dir: Node, cookie: u64, entries_max: usize) -> Result<Vec<(String, u64, Node)>, Errno> {
        let (entries, noted) = self.view(dir, |view| match view {
            View::Own(inode) => match &inode.body {
                Body::Directory(directory) => {
                    let entries = directory.after(cookie).take(entries_max);
                    let entries = entries.map(|(name, cookie, node)| (name.to_owned(), cookie, node)).collect();
                    Ok((entries, !inode.wants_accessed()))
                }
                _ => Err(Errno::Notdir),
            },
            View::Image(image, base) if base.kind == NodeKind::Directory => {
                let all = image.entries(&base);
                let skip = usize::try_from(cookie).unwrap_or(usize::MAX);
                let entries = (1..).zip(all).skip(skip).take(entries_max).filter_map(|(cookie, index)| {
                    image.entry(index).map(|entry| (entry.name.to_owned(), cookie, u64::from(entry.node) + 1))
                });
                Ok((entries.collect(), true))
            }
            View::Image(..) => Err(Errno::Notdir),
        })?;
        if !noted {
            self.note_access(dir);
        }
        Ok(entries)
    }

    fn note_access(&self, node: Node) {
        let now = self.clock.now();
        if let Ok(mut locked) = self.lock(node)
            && let Ok(inode) = locked.inode()
        {
            inode.accessed = now;
        }
    }
}

fn file(body: &Body) -> Result<&crate::data::FileData, Errno> {
    match body {
        Body::File(data) => Ok(data),
        Body::Directory(_) => Err(Errno::Isdir),
        _ => Err(Errno::Inval),
    }
}

fn no_file(kind: NodeKind) -> Errno {
    if kind == NodeKind::Directory { Errno::Isdir } else { Errno::Inval }
}

fn read_image(bytes: &[u8], offset: u64, buffer: &mut [u8]) -> usize {
    let rest = usize::try_from(offset).ok().and_then(|offset| bytes.get(offset..)).unwrap_or_default();
    let count = rest.len().min(buffer.len());
    if let (Some(target), Some(source)) = (buffer.get_mut(..count), rest.get(..count)) {
        target.copy_from_slice(source);
    }
    count
}
