//! The backend's face: each function of `eyot:backend/filesystem`.

use eyot_backend::{
    AttributeChanges, Attributes, Capabilities, Content, DirectoryEntry, Errno, Filesystem, FilesystemInfo,
    FilesystemStatus, Handle, NAME_BYTES_MAX, Node, NodeKind, OpenFlags, Ownership, RenameFlags, Timestamp,
};

use crate::marks::{XATTR_PREFIX, check_name};
use crate::overlay::Overlay;

/// The largest file.
const FILE_BYTES_MAX: u64 = i64::MAX as u64;

impl Filesystem for Overlay {
    fn info(&self) -> FilesystemInfo {
        FilesystemInfo {
            root: self.root.number,
            capabilities: self.capabilities(),
            entry_lifetime_ns: self.shortest(|info| info.entry_lifetime_ns),
            absence_lifetime_ns: self.shortest(|info| info.absence_lifetime_ns),
            kind: crate::marks::kind(&self.layers),
        }
    }

    fn may_wait(&self) -> bool {
        self.layers.iter().any(|layer| layer.fs.may_wait())
    }

    fn lookup(&self, dir: Node, name: &str) -> Result<Attributes, Errno> {
        let dir = self.dir(dir)?;
        check_name(name)?;
        let entries = dir.entries.read();
        if dir.is_dead() {
            return Err(Errno::Noent);
        }
        let entry = self.entry(&dir, name)?.0.ok_or(Errno::Noent)?;
        self.table.hold(&entry.inode);
        drop(entries);
        let inode = &entry.inode;
        let is_top = entry.in_upper || inode.upper.get().is_none();
        let attributes = if is_top { self.dress(inode, entry.attributes) } else { self.attributes(inode) };
        attributes.inspect_err(|_| self.table.forget(inode.number, 1))
    }

    fn forget(&self, node: Node, count: u64) {
        if node != self.root.number {
            self.table.forget(node, count);
        }
    }

    fn getattr(&self, node: Node) -> Result<Attributes, Errno> {
        self.attributes(&*self.table.get(node)?)
    }

    fn setattr(&self, node: Node, changes: &AttributeChanges) -> Result<Attributes, Errno> {
        let valid = |time: Option<Timestamp>| time.is_none_or(|time| time.nanoseconds < 1_000_000_000);
        if !valid(changes.accessed) || !valid(changes.modified) {
            return Err(Errno::Inval);
        }
        let upper = self.upper()?;
        let inode = self.table.get(node)?;
        match (inode.kind, changes.size) {
            (_, None) => {}
            (NodeKind::File, Some(size)) if size <= FILE_BYTES_MAX => {}
            (NodeKind::File, Some(_)) => return Err(Errno::Fbig),
            (NodeKind::Directory, Some(_)) => return Err(Errno::Isdir),
            _ => return Err(Errno::Inval),
        }
        if self.copy_up(&inode, changes)? {
            return self.attributes(&inode);
        }
        let changed = upper.fs.setattr(inode.upper_node()?, changes)?;
        self.dress(&inode, changed)
    }

    fn create(&self, dir: Node, name: &str, owner: Ownership) -> Result<Attributes, Errno> {
        self.make(dir, name, |fs, dir, name| fs.create(dir, name, owner))
    }

    fn mkdir(&self, dir: Node, name: &str, owner: Ownership) -> Result<Attributes, Errno> {
        self.make(dir, name, |fs, dir, name| fs.mkdir(dir, name, owner))
    }

    fn symlink(&self, dir: Node, name: &str, target: &str, owner: Ownership) -> Result<Attributes, Errno> {
        self.make(dir, name, |fs, dir, name| fs.symlink(dir, name, target, owner))
    }

    fn make_node(
        &self,
        dir: Node,
        name: &str,
        kind: NodeKind,
        device: u64,
        owner: Ownership,
    ) -> Result<Attributes, Errno> {
        match kind {
            // It would say that the name is not there.
            NodeKind::CharacterDevice if device == 0 => return Err(Errno::Perm),
            NodeKind::File | NodeKind::Directory | NodeKind::Symlink => return Err(Errno::Inval),
            _ => {}
        }
        self.make(dir, name, |fs, dir, name| fs.make_node(dir, name, kind, device, owner))
    }

    fn link(&self, target: Node, dir: Node, name: &str) -> Result<Attributes, Errno> {
        self.add_name(target, dir, name)
    }

    fn unlink(&self, dir: Node, name: &str) -> Result<(), Errno> {
        self.remove_name(dir, name)
    }

    fn rmdir(&self, dir: Node, name: &str) -> Result<(), Errno> {
        self.remove_dir(dir, name)
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
        let inode = self.table.get(node)?;
        if inode.kind != NodeKind::Symlink {
            return Err(Errno::Inval);
        }
        let (fs, node) = inode.top_fs()?;
        fs.readlink(node)
    }

    fn open(&self, node: Node, how: OpenFlags) -> Result<Handle, Errno> {
        let inode = self.table.get(node)?;
        match inode.kind {
            NodeKind::File => self.open_file(inode, how),
            NodeKind::Directory => Err(Errno::Isdir),
            NodeKind::Symlink => Err(Errno::Loop),
            _ => Err(Errno::Nxio),
        }
    }

    fn release(&self, node: Node, handle: Handle) {
        self.files.remove(node, handle);
    }

    fn read(&self, node: Node, handle: Handle, offset: u64, buffer: &mut [u8]) -> Result<usize, Errno> {
        self.files.get(node, handle)?.with(self, |opened, _| opened.read(offset, buffer))
    }

    fn write(&self, node: Node, handle: Handle, offset: u64, bytes: &[u8]) -> Result<usize, Errno> {
        self.upper()?;
        if bytes.is_empty() {
            return Ok(0);
        }
        let file = self.files.get(node, handle)?;
        if !file.writes() {
            return Err(Errno::Badf);
        }
        file.with(self, |opened, _| opened.write(offset, bytes))
    }

    fn fsync(&self, node: Node, handle: Handle, data_only: bool) -> Result<(), Errno> {
        // The lowers do not change, so there is nothing to make durable.
        self.files
            .get(node, handle)?
            .with(self, |opened, is_upper| if is_upper && self.writable { opened.fsync(data_only) } else { Ok(()) })
    }

    fn readdir(&self, dir: Node, cookie: u64, entries_max: usize) -> Result<Vec<DirectoryEntry>, Errno> {
        self.list(&self.table.get(dir)?, cookie, entries_max)
    }

    /// How full the upper is; in an overlay to be read only, the topmost layer.
    fn statfs(&self) -> Result<FilesystemStatus, Errno> {
        let layer = self.layers.first().ok_or(Errno::Io)?;
        let status = layer.fs.statfs()?;
        Ok(FilesystemStatus { name_max: status.name_max.min(NAME_BYTES_MAX as u32), ..status })
    }

    fn getxattr(&self, node: Node, name: &str) -> Result<Vec<u8>, Errno> {
        let inode = self.table.get(node)?;
        self.check_xattrs()?;
        if name.starts_with(XATTR_PREFIX) {
            return Err(Errno::Nodata);
        }
        let (fs, node) = inode.top_fs()?;
        match fs.getxattr(node, name) {
            // A lower that has none.
            Err(Errno::Notsup) => Err(Errno::Nodata),
            value => value,
        }
    }

    fn setxattr(&self, node: Node, name: &str, value: &[u8]) -> Result<(), Errno> {
        let upper = self.upper()?;
        self.check_xattrs()?;
        if name.starts_with(XATTR_PREFIX) {
            return Err(Errno::Perm);
        }
        let inode = self.table.get(node)?;
        self.copy_up(&inode, &Default::default())?;
        upper.fs.setxattr(inode.upper_node()?, name, value)
    }

    fn listxattr(&self, node: Node) -> Result<Vec<String>, Errno> {
        let inode = self.table.get(node)?;
        self.check_xattrs()?;
        let (fs, node) = inode.top_fs()?;
        let names = match fs.listxattr(node) {
            Err(Errno::Notsup) => Vec::new(),
            names => names?,
        };
        Ok(names.into_iter().filter(|name| !name.starts_with(XATTR_PREFIX)).collect())
    }

    fn removexattr(&self, node: Node, name: &str) -> Result<(), Errno> {
        let upper = self.upper()?;
        let inode = self.table.get(node)?;
        // Nothing is copied for what is not there.
        self.getxattr(node, name)?;
        self.copy_up(&inode, &Default::default())?;
        upper.fs.removexattr(inode.upper_node()?, name)
    }

    /// The layer's, as long as the file has not been copied up; then the upper's.
    fn content(&self, node: Node) -> Option<Content> {
        let inode = self.table.get(node).ok()?;
        let (fs, node) = inode.top_fs().ok()?;
        fs.content(node)
    }
}

impl Overlay {
    fn check_xattrs(&self) -> Result<(), Errno> {
        if self.capabilities().contains(Capabilities::XATTRS) { Ok(()) } else { Err(Errno::Notsup) }
    }
}
