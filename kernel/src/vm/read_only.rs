//! A filesystem that is not to be changed, for those that take no mount's word for it: layers of others.

use std::sync::Arc;

use crate::Errno;
use crate::backend::{
    Attributes, Capabilities, Content, DirectoryEntry, Filesystem, FilesystemInfo, FilesystemStatus, Handle, Node,
    OpenFlags, Watcher, refuse_calls,
};

struct ReadOnly(Arc<dyn Filesystem>);

/// The filesystem, with every change answered `EROFS`.
pub(super) fn of(fs: Arc<dyn Filesystem>) -> Arc<dyn Filesystem> {
    if fs.info().capabilities.contains(Capabilities::WRITABLE) { Arc::new(ReadOnly(fs)) } else { fs }
}

impl Filesystem for ReadOnly {
    fn info(&self) -> FilesystemInfo {
        let info = self.0.info();
        FilesystemInfo { capabilities: info.capabilities - Capabilities::WRITABLE, ..info }
    }

    fn lookup(&self, dir: Node, name: &str) -> Result<Attributes, Errno> {
        self.0.lookup(dir, name)
    }

    fn forget(&self, node: Node, count: u64) {
        self.0.forget(node, count);
    }

    fn getattr(&self, node: Node) -> Result<Attributes, Errno> {
        self.0.getattr(node)
    }

    refuse_calls!(Errno::Rofs: setattr create mkdir symlink make_node link unlink rmdir rename write setxattr removexattr);

    fn readlink(&self, node: Node) -> Result<String, Errno> {
        self.0.readlink(node)
    }

    fn open(&self, node: Node, how: OpenFlags) -> Result<Handle, Errno> {
        if how.contains(OpenFlags::WRITE) { Err(Errno::Rofs) } else { self.0.open(node, how) }
    }

    fn release(&self, node: Node, handle: Handle) {
        self.0.release(node, handle);
    }

    fn read(&self, node: Node, handle: Handle, offset: u64, buffer: &mut [u8]) -> Result<usize, Errno> {
        self.0.read(node, handle, offset, buffer)
    }

    fn read_with(
        &self,
        node: Node,
        handle: Handle,
        offset: u64,
        length: usize,
        give: &mut dyn FnMut(&[u8]),
    ) -> Result<(), Errno> {
        self.0.read_with(node, handle, offset, length, give)
    }

    fn fsync(&self, node: Node, handle: Handle, data_only: bool) -> Result<(), Errno> {
        self.0.fsync(node, handle, data_only)
    }

    fn sync(&self) -> Result<(), Errno> {
        self.0.sync()
    }

    fn readdir(&self, dir: Node, cookie: u64, entries_max: usize) -> Result<Vec<DirectoryEntry>, Errno> {
        self.0.readdir(dir, cookie, entries_max)
    }

    fn statfs(&self) -> Result<FilesystemStatus, Errno> {
        self.0.statfs()
    }

    fn getxattr(&self, node: Node, name: &str) -> Result<Vec<u8>, Errno> {
        self.0.getxattr(node, name)
    }

    fn listxattr(&self, node: Node) -> Result<Vec<String>, Errno> {
        self.0.listxattr(node)
    }

    fn may_wait(&self) -> bool {
        self.0.may_wait()
    }

    fn worth_caching(&self) -> bool {
        self.0.worth_caching()
    }

    fn watch(&self, watcher: std::sync::Weak<dyn Watcher>) {
        self.0.watch(watcher);
    }

    fn content(&self, node: Node) -> Option<Content> {
        self.0.content(node)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::{AttributeChanges, Ownership, RenameFlags};

    /// Everything that would change the file.
    type Change = fn(&dyn Filesystem, Node) -> Option<Errno>;

    #[test]
    fn what_is_there_is_seen_and_nothing_is_changed() {
        let owner = Ownership { mode: 0o644, uid: 0, gid: 0 };
        let memfs = Arc::new(eyot_memfs::Memfs::new());
        let file = memfs.create(1, "f", owner).unwrap().node;
        memfs.write(file, 0, 0, b"bytes").unwrap();
        let fs = of(memfs.clone());
        assert!(!fs.info().capabilities.contains(Capabilities::WRITABLE));
        let changes: [Change; 11] = [
            |fs, node| fs.setattr(node, &AttributeChanges::default()).err(),
            |fs, _| fs.create(1, "g", Ownership { mode: 0, uid: 0, gid: 0 }).err(),
            |fs, _| fs.mkdir(1, "g", Ownership { mode: 0, uid: 0, gid: 0 }).err(),
            |fs, _| fs.symlink(1, "g", "t", Ownership { mode: 0, uid: 0, gid: 0 }).err(),
            |fs, node| fs.link(node, 1, "g").err(),
            |fs, _| fs.unlink(1, "f").err(),
            |fs, _| fs.rename(1, "f", 1, "g", RenameFlags::empty()).err(),
            |fs, node| fs.open(node, OpenFlags::WRITE).err(),
            |fs, node| fs.write(node, 0, 0, b"x").err(),
            |fs, node| fs.setxattr(node, "user.a", b"").err(),
            |fs, node| fs.removexattr(node, "user.a").err(),
        ];
        for change in changes {
            assert_eq!(change(&*fs, file), Some(Errno::Rofs));
        }
        let found = fs.lookup(1, "f").unwrap();
        let mut buffer = [0; 9];
        let handle = fs.open(found.node, OpenFlags::READ).unwrap();
        assert_eq!(fs.read(found.node, handle, 0, &mut buffer), Ok(5));
        assert_eq!(fs.readdir(1, 0, 10).unwrap().len(), 1);
        assert!(Arc::ptr_eq(&of(fs.clone()), &fs), "what cannot be changed is not wrapped again");
    }
}
