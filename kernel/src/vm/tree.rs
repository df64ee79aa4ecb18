//! A VM's tree as one filesystem, for programs outside the VM: what `eyot mount --vm` serves.

mod nodes;

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use parking_lot::RwLock;

use super::{Vm, builder};
use crate::Errno;
use crate::backend::{
    AttributeChanges, Attributes, Capabilities, DirectoryEntry, Filesystem, FilesystemInfo, FilesystemStatus, Handle,
    Node, NodeKind, OpenFlags, Ownership, RenameFlags, check_name, check_target,
};
use crate::policy::Action;
use crate::process::{Credentials, ExitStatus, OpenFile, Task};
use crate::syscall::{fs, types};
use crate::vfs::{Dentry, End, New, WalkFlags, Walker};
use nodes::Nodes;

/// A VM's tree as one filesystem, with everything that is mounted in it.
///
/// Walking, crossing mounts and changing the tree are the VM's own, so the VM's policy and limits hold and its programs see what is changed here. Permissions are left to
/// who serves it: here the superuser of the VM acts, as the host's kernel has decided already. Nothing that is answered may be believed for longer than the answer, since the VM's
/// programs go on. FIFOs are the host's; devices are shown and cannot be opened; `/proc` is as the VM's embedder sees it.
///
/// It must not be mounted in the VM whose tree it is: a call would meet the locks that it was called under.
pub struct VmTree {
    vm: Vm,
    /// Who acts: the VM's superuser.
    task: Arc<Task>,
    root: Node,
    nodes: Nodes,
    files: RwLock<HashMap<Handle, Arc<OpenFile>>>,
    next_handle: AtomicU64,
    /// Whose the files of the VM's own user are outside.
    outside: Credentials,
}

impl Vm {
    /// The tree below the directory `path`. Errors: those of a walk, and `ENOTDIR`.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use eyot_backend::Filesystem;
    /// use eyot_kernel::Vm;
    /// use eyot_memfs::Memfs;
    ///
    /// let vm = Vm::builder().root(Arc::new(Memfs::new())).build().unwrap();
    /// let tree = vm.tree("/").unwrap();
    /// let proc = tree.lookup(tree.info().root, "proc").unwrap().node;
    /// assert!(tree.lookup(proc, "mounts").is_ok());
    /// ```
    pub fn tree(&self, path: &str) -> Result<VmTree, Errno> {
        let kernel = self.embedder().kernel();
        let task = builder::embedder(kernel, Credentials::ROOT, &[]);
        task.set_umask(0);
        let walker = Walker { task: &task, base: kernel.vfs.root(), flags: WalkFlags::FOLLOW };
        let root = kernel.vfs.walk(&walker, path).and_then(|found| found.place());
        let root = root.and_then(|root| if root.inode().is_dir() { Ok(root) } else { Err(Errno::Notdir) });
        let root = root.inspect_err(|_| task.finish(ExitStatus::Exited(0)))?;
        let nodes = Nodes::default();
        Ok(VmTree {
            vm: self.clone(),
            root: nodes.hold(root),
            nodes,
            task,
            files: RwLock::default(),
            next_handle: AtomicU64::new(1),
            outside: self.embedder().credentials(),
        })
    }
}

impl VmTree {
    /// Shows what belongs to the VM's own user and group as `uid`'s and `gid`'s, and the other way round: who serves the tree is then to its files what that user is.
    pub fn shown_as(mut self, uid: u32, gid: u32) -> Self {
        self.outside = Credentials { uid, gid };
        self
    }

    fn inside(&self) -> Credentials {
        self.vm.embedder().credentials()
    }

    /// The same both ways: the two change places.
    fn uid(&self, uid: u32) -> u32 {
        swap(uid, self.inside().uid, self.outside.uid)
    }

    fn gid(&self, gid: u32) -> u32 {
        swap(gid, self.inside().gid, self.outside.gid)
    }

    fn place(&self, node: Node) -> Result<Arc<Dentry>, Errno> {
        self.nodes.get(node).ok_or(Errno::Stale)
    }

    fn directory(&self, node: Node) -> Result<Arc<Dentry>, Errno> {
        let place = self.place(node)?;
        if place.inode().is_dir() { Ok(place) } else { Err(Errno::Notdir) }
    }

    fn file(&self, handle: Handle) -> Result<Arc<OpenFile>, Errno> {
        self.files.read().get(&handle).cloned().ok_or(Errno::Badf)
    }

    fn walker(&self, base: &Arc<Dentry>) -> Walker<'_> {
        Walker { task: &self.task, base: base.clone(), flags: WalkFlags::empty() }
    }

    fn allow(&self, action: Action, place: &Arc<Dentry>) -> Result<(), Errno> {
        self.task.allow(action, || self.task.kernel().vfs.path_of(place).unwrap_or_default()).map(drop)
    }

    /// What is told of a place, under this number.
    fn shown(&self, node: Node, attributes: Attributes) -> Attributes {
        let (uid, gid) = (self.uid(attributes.uid), self.gid(attributes.gid));
        Attributes { node, uid, gid, lifetime_ns: 0, ..attributes }
    }

    fn find(&self, dir: &Arc<Dentry>, name: &str) -> Result<Arc<Dentry>, Errno> {
        check_name(name).map_err(|errno| if errno == Errno::Inval { Errno::Noent } else { errno })?;
        self.task.kernel().vfs.walk(&self.walker(dir), name)?.place()
    }

    /// The answer that counts as a lookup.
    fn counted(&self, place: Arc<Dentry>) -> Result<Attributes, Errno> {
        let attributes = place.inode().attributes()?;
        Ok(self.shown(self.nodes.hold(place), attributes))
    }

    fn make(&self, dir: Node, name: &str, new: New<'_>, owner: Ownership) -> Result<Attributes, Errno> {
        check_name(name)?;
        let dir = self.directory(dir)?;
        let made = self.task.kernel().vfs.make(&self.walker(&dir), &end(&dir, name), new, owner.mode)?;
        let inode = made.inode();
        let (uid, gid, told) = (self.uid(owner.uid), self.gid(owner.gid), inode.permissions());
        if (told.uid, told.gid) != (uid, gid) {
            // A filesystem that keeps no owners refuses; it is made all the same, and shown as what it is.
            let _ = inode.change(&AttributeChanges { uid: Some(uid), gid: Some(gid), ..Default::default() });
        }
        self.counted(made)
    }
}

fn swap(id: u32, inside: u32, outside: u32) -> u32 {
    match id {
        id if id == inside => outside,
        id if id == outside => inside,
        id => id,
    }
}

fn end<'a>(dir: &Arc<Dentry>, name: &'a str) -> End<'a> {
    End { parent: dir.clone(), name: Some(Cow::Borrowed(name)), slash: false, followed: 0 }
}

impl Drop for VmTree {
    fn drop(&mut self) {
        self.task.finish(ExitStatus::Exited(0));
    }
}

impl Filesystem for VmTree {
    fn info(&self) -> FilesystemInfo {
        // What one mount in it can the tree can; where another cannot, that one says so.
        let all = Capabilities::WRITABLE
            | Capabilities::HARD_LINKS
            | Capabilities::SYMLINKS
            | Capabilities::XATTRS
            | Capabilities::SPECIAL_FILES;
        let own = self.place(self.root).map_or(Capabilities::empty(), |root| root.inode().mount().info().capabilities);
        FilesystemInfo {
            root: self.root,
            capabilities: (own - Capabilities::EVENTS - Capabilities::LOCKS) | all,
            entry_lifetime_ns: 0,
            absence_lifetime_ns: 0,
            kind: "vm".into(),
        }
    }

    fn lookup(&self, dir: Node, name: &str) -> Result<Attributes, Errno> {
        let place = self.find(&self.directory(dir)?, name)?;
        self.allow(Action::Read, &place)?;
        self.counted(place)
    }

    fn forget(&self, node: Node, count: u64) {
        if node != self.root {
            self.nodes.forget(node, count);
        }
    }

    fn getattr(&self, node: Node) -> Result<Attributes, Errno> {
        let place = self.place(node)?;
        self.allow(Action::Read, &place)?;
        Ok(self.shown(node, place.inode().attributes()?))
    }

    fn setattr(&self, node: Node, changes: &AttributeChanges) -> Result<Attributes, Errno> {
        let place = self.place(node)?;
        self.allow(Action::Write, &place)?;
        match changes.size {
            Some(_) if place.inode().is_dir() => return Err(Errno::Isdir),
            Some(size) if size > i64::MAX as u64 => return Err(Errno::Fbig),
            _ => {}
        }
        let (uid, gid) = (changes.uid.map(|uid| self.uid(uid)), changes.gid.map(|gid| self.gid(gid)));
        Ok(self.shown(node, place.inode().change(&AttributeChanges { uid, gid, ..*changes })?))
    }

    fn create(&self, dir: Node, name: &str, owner: Ownership) -> Result<Attributes, Errno> {
        self.make(dir, name, New::File, owner)
    }

    fn mkdir(&self, dir: Node, name: &str, owner: Ownership) -> Result<Attributes, Errno> {
        self.make(dir, name, New::Directory, owner)
    }

    fn symlink(&self, dir: Node, name: &str, target: &str, owner: Ownership) -> Result<Attributes, Errno> {
        check_target(target)?;
        self.make(dir, name, New::Symlink(target), owner)
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
            NodeKind::Directory | NodeKind::Symlink => Err(Errno::Inval),
            NodeKind::File => self.create(dir, name, owner),
            kind => self.make(dir, name, New::Node(kind, device), owner),
        }
    }

    fn link(&self, target: Node, dir: Node, name: &str) -> Result<Attributes, Errno> {
        check_name(name)?;
        let (target, dir) = (self.place(target)?, self.directory(dir)?);
        self.task.kernel().vfs.link(&self.walker(&dir), &target, &end(&dir, name))?;
        self.counted(self.find(&dir, name)?)
    }

    fn unlink(&self, dir: Node, name: &str) -> Result<(), Errno> {
        check_name(name)?;
        let dir = self.directory(dir)?;
        self.task.kernel().vfs.remove(&self.walker(&dir), name, false)
    }

    fn rmdir(&self, dir: Node, name: &str) -> Result<(), Errno> {
        check_name(name)?;
        let dir = self.directory(dir)?;
        self.task.kernel().vfs.remove(&self.walker(&dir), name, true)
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
        let (from_dir, to_dir) = (self.directory(from_dir)?, self.directory(to_dir)?);
        let (from, to) = (self.walker(&from_dir), self.walker(&to_dir));
        let (from_end, to_end) = (end(&from_dir, from_name), end(&to_dir, to_name));
        self.task.kernel().vfs.rename((&from, &from_end), (&to, &to_end), how)
    }

    fn readlink(&self, node: Node) -> Result<String, Errno> {
        let place = self.place(node)?;
        if place.inode().kind() != NodeKind::Symlink {
            return Err(Errno::Inval);
        }
        self.allow(Action::Read, &place)?;
        self.task.kernel().vfs.link_text(&place, &self.task)
    }

    fn open(&self, node: Node, how: OpenFlags) -> Result<Handle, Errno> {
        let place = self.place(node)?;
        match place.inode().kind() {
            NodeKind::File => {}
            NodeKind::Directory => return Err(Errno::Isdir),
            NodeKind::Symlink => return Err(Errno::Loop),
            _ => return Err(Errno::Nxio),
        }
        let mut flags = types::OpenFlags::empty();
        flags.set(types::OpenFlags::READ, how.contains(OpenFlags::READ));
        flags.set(types::OpenFlags::WRITE, how.contains(OpenFlags::WRITE));
        let file = fs::open_place(&self.task, &place, flags)?;
        let handle = self.next_handle.fetch_add(1, Relaxed);
        self.files.write().insert(handle, file);
        Ok(handle)
    }

    fn release(&self, _node: Node, handle: Handle) {
        let file = self.files.write().remove(&handle);
        // After the lock: that calls the backend. What it does not take is held back still, and told by the next `fsync` or `sync`.
        if let Some(file) = file {
            let _ = file.flush();
        }
    }

    fn read(&self, _node: Node, handle: Handle, offset: u64, buffer: &mut [u8]) -> Result<usize, Errno> {
        let file = self.file(handle)?;
        self.task.blocking(|| file.pread(buffer, offset))
    }

    fn write(&self, _node: Node, handle: Handle, offset: u64, bytes: &[u8]) -> Result<usize, Errno> {
        let file = self.file(handle)?;
        if offset > i64::MAX as u64 {
            // A position is a signed number to Linux and never gets there.
            return Err(Errno::Fbig);
        }
        self.task.blocking(|| file.pwrite(bytes, offset))
    }

    fn fsync(&self, node: Node, handle: Handle, data_only: bool) -> Result<(), Errno> {
        match self.file(handle) {
            Ok(file) => file.sync(data_only),
            // A directory is not opened.
            Err(errno) => {
                let place = self.directory(node).map_err(|_| errno)?;
                place.inode().fs().fsync(place.inode().node(), handle, data_only)
            }
        }
    }

    fn sync(&self) -> Result<(), Errno> {
        self.vm.sync()
    }

    fn readdir(&self, dir: Node, cookie: u64, entries_max: usize) -> Result<Vec<DirectoryEntry>, Errno> {
        let dir = self.directory(dir)?;
        self.allow(Action::Read, &dir)?;
        let mut entries = dir.inode().fs().readdir(dir.inode().node(), cookie, entries_max)?;
        entries.truncate(entries_max);
        dir.inode().was_read();
        for entry in &mut entries {
            let over = self.task.kernel().vfs.mounted_at(&dir, &entry.name);
            let inode = over.as_ref().map_or(dir.inode(), |root| root.inode());
            if over.is_some() {
                entry.attributes = inode.attributes()?;
            }
            let node = nodes::number(inode.mount().id(), entry.attributes.node);
            entry.attributes = self.shown(node, entry.attributes);
        }
        Ok(entries)
    }

    fn statfs(&self) -> Result<FilesystemStatus, Errno> {
        self.place(self.root)?.inode().fs().statfs()
    }

    fn getxattr(&self, node: Node, name: &str) -> Result<Vec<u8>, Errno> {
        let place = self.place(node)?;
        self.allow(Action::Read, &place)?;
        place.inode().fs().getxattr(place.inode().node(), name)
    }

    fn setxattr(&self, node: Node, name: &str, value: &[u8]) -> Result<(), Errno> {
        self.change_xattr(node, |fs, node| fs.setxattr(node, name, value))
    }

    fn listxattr(&self, node: Node) -> Result<Vec<String>, Errno> {
        let place = self.place(node)?;
        self.allow(Action::Read, &place)?;
        place.inode().fs().listxattr(place.inode().node())
    }

    fn removexattr(&self, node: Node, name: &str) -> Result<(), Errno> {
        self.change_xattr(node, |fs, node| fs.removexattr(node, name))
    }
}

impl VmTree {
    fn change_xattr(
        &self,
        node: Node,
        change: impl FnOnce(&dyn Filesystem, Node) -> Result<(), Errno>,
    ) -> Result<(), Errno> {
        let place = self.place(node)?;
        self.allow(Action::Write, &place)?;
        place.inode().mount().check_writable()?;
        let changed = change(place.inode().fs(), place.inode().node());
        place.inode().changed();
        changed
    }
}
