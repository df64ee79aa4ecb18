//! The trait of a backend.

use eyot_backend::{
    AttributeChanges, Attributes, Capabilities, DirectoryEntry, Errno, Filesystem, FilesystemInfo, FilesystemStatus,
    Handle, NAME_BYTES_MAX, Node, NodeKind, OpenFlags, Ownership, RenameFlags,
};

use crate::nodes::ROOT;
use crate::s3::S3;

/// A bucket has no end; programs want a number.
const BLOCKS: u64 = 1 << 40;

impl Filesystem for S3 {
    fn info(&self) -> FilesystemInfo {
        let mut capabilities = Capabilities::CASE_SENSITIVE;
        capabilities.set(Capabilities::WRITABLE, !self.options.read_only);
        capabilities.set(Capabilities::SYMLINKS, self.options.symlinks);
        let lifetime = u64::try_from(self.options.list_lifetime.as_nanos()).unwrap_or(u64::MAX);
        FilesystemInfo {
            root: ROOT,
            capabilities,
            entry_lifetime_ns: lifetime,
            absence_lifetime_ns: lifetime,
            kind: "s3".into(),
        }
    }

    fn may_wait(&self) -> bool {
        true
    }

    fn lookup(&self, dir: Node, name: &str) -> Result<Attributes, Errno> {
        let _shape = self.shape.read();
        self.look_up(dir, name)
    }

    fn forget(&self, node: Node, count: u64) {
        let _shape = self.shape.read();
        self.forget_lookups(node, count);
    }

    fn getattr(&self, node: Node) -> Result<Attributes, Errno> {
        let _shape = self.shape.read();
        let inode = self.inode(node)?;
        self.learn(&inode).map_err(|errno| if errno == Errno::Noent { Errno::Stale } else { errno })?;
        Ok(self.attributes_of(&inode))
    }

    fn setattr(&self, node: Node, changes: &AttributeChanges) -> Result<Attributes, Errno> {
        let _shape = self.shape.read();
        self.change_attributes(node, changes)
    }

    fn create(&self, dir: Node, name: &str, owner: Ownership) -> Result<Attributes, Errno> {
        self.make_file(dir, name, owner)
    }

    fn mkdir(&self, dir: Node, name: &str, owner: Ownership) -> Result<Attributes, Errno> {
        self.make_directory(dir, name, owner)
    }

    fn symlink(&self, dir: Node, name: &str, target: &str, owner: Ownership) -> Result<Attributes, Errno> {
        self.make_symlink(dir, name, target, owner)
    }

    fn make_node(&self, dir: Node, _: &str, _: NodeKind, _: u64, _: Ownership) -> Result<Attributes, Errno> {
        self.may_write()?;
        self.directory(dir)?;
        Err(Errno::Notsup)
    }

    fn link(&self, target: Node, dir: Node, _: &str) -> Result<Attributes, Errno> {
        self.may_write()?;
        self.directory(dir)?;
        self.inode(target)?;
        Err(Errno::Notsup)
    }

    fn unlink(&self, dir: Node, name: &str) -> Result<(), Errno> {
        self.remove_file(dir, name)
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
        self.move_name((from_dir, from_name), (to_dir, to_name), how)
    }

    fn readlink(&self, node: Node) -> Result<String, Errno> {
        let _shape = self.shape.read();
        self.read_symlink(node)
    }

    fn open(&self, node: Node, how: OpenFlags) -> Result<Handle, Errno> {
        let _shape = self.shape.read();
        self.open_file(node, how)
    }

    fn release(&self, node: Node, handle: Handle) {
        let _shape = self.shape.read();
        self.close_file(node, handle);
    }

    fn read(&self, node: Node, handle: Handle, offset: u64, buffer: &mut [u8]) -> Result<usize, Errno> {
        let _shape = self.shape.read();
        self.read_file(node, handle, offset, buffer)
    }

    fn write(&self, node: Node, handle: Handle, offset: u64, bytes: &[u8]) -> Result<usize, Errno> {
        let _shape = self.shape.read();
        self.write_file(node, handle, offset, bytes)
    }

    fn fsync(&self, node: Node, handle: Handle, _data_only: bool) -> Result<(), Errno> {
        let _shape = self.shape.read();
        self.fsync_file(node, handle)
    }

    fn sync(&self) -> Result<(), Errno> {
        let _shape = self.shape.read();
        self.flush_all()
    }

    fn readdir(&self, dir: Node, cookie: u64, entries_max: usize) -> Result<Vec<DirectoryEntry>, Errno> {
        let _shape = self.shape.read();
        self.list(dir, cookie, entries_max)
    }

    fn statfs(&self) -> Result<FilesystemStatus, Errno> {
        Ok(FilesystemStatus {
            block_size: 4096,
            blocks: BLOCKS,
            blocks_free: BLOCKS,
            files: BLOCKS,
            files_free: BLOCKS,
            name_max: NAME_BYTES_MAX as u32,
        })
    }
}
