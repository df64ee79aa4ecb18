//! The backend's face: each function of `eyot:backend/filesystem`.

use eyot_backend::{
    AttributeChanges, Attributes, Capabilities, DirectoryEntry, Errno, Filesystem, FilesystemInfo, FilesystemStatus,
    Handle, NAME_BYTES_MAX, Node, NodeKind, OpenFlags, Ownership, RenameFlags, Timestamp,
};

use crate::Sqlfs;
use crate::core::{Core, ROOT};
use crate::error::Res;
use crate::nodes::Inode;
use crate::record::{Body, MODE_MASK};
use eyot_backend::check_target;

/// The block size that `statfs` answers, in bytes.
const BLOCK_BYTES: u32 = 4096;

impl Filesystem for Sqlfs {
    fn info(&self) -> FilesystemInfo {
        let lifetime_ns = self.core.options.lifetime_ns;
        FilesystemInfo {
            root: ROOT as Node,
            capabilities: Capabilities::all() - Capabilities::EVENTS - Capabilities::LOCKS,
            entry_lifetime_ns: lifetime_ns,
            absence_lifetime_ns: lifetime_ns,
            kind: "sqlfs".into(),
        }
    }

    fn lookup(&self, dir: Node, name: &str) -> Result<Attributes, Errno> {
        Ok(self.core.lookup(dir, name)?)
    }

    fn forget(&self, node: Node, count: u64) {
        self.core.forget(node, count);
    }

    fn getattr(&self, node: Node) -> Result<Attributes, Errno> {
        let inode = self.core.node(node)?;
        self.core.attributes(&inode)
    }

    fn setattr(&self, node: Node, changes: &AttributeChanges) -> Result<Attributes, Errno> {
        Ok(self.core.setattr(node, changes)?)
    }

    fn create(&self, dir: Node, name: &str, owner: Ownership) -> Result<Attributes, Errno> {
        let record = self.core.new_record(NodeKind::File, Body::Inline(Vec::new()), owner);
        Ok(self.core.make(dir, name, record)?)
    }

    fn mkdir(&self, dir: Node, name: &str, owner: Ownership) -> Result<Attributes, Errno> {
        let record = self.core.new_record(NodeKind::Directory, Body::None, owner);
        Ok(self.core.make(dir, name, record)?)
    }

    fn symlink(&self, dir: Node, name: &str, target: &str, owner: Ownership) -> Result<Attributes, Errno> {
        check_target(target)?;
        let owner = Ownership { mode: 0o777, ..owner };
        let record = self.core.new_record(NodeKind::Symlink, Body::Inline(target.into()), owner);
        Ok(self.core.make(dir, name, record)?)
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
        let mut record = self.core.new_record(kind, Body::None, owner);
        record.device = device;
        Ok(self.core.make(dir, name, record)?)
    }

    fn link(&self, target: Node, dir: Node, name: &str) -> Result<Attributes, Errno> {
        Ok(self.core.add_name(target, dir, name)?)
    }

    fn unlink(&self, dir: Node, name: &str) -> Result<(), Errno> {
        Ok(self.core.remove_name(dir, name)?)
    }

    fn rmdir(&self, dir: Node, name: &str) -> Result<(), Errno> {
        Ok(self.core.remove_directory(dir, name)?)
    }

    fn rename(
        &self,
        from_dir: Node,
        from_name: &str,
        to_dir: Node,
        to_name: &str,
        how: RenameFlags,
    ) -> Result<(), Errno> {
        Ok(self.core.rename((from_dir, from_name), (to_dir, to_name), how)?)
    }

    fn readlink(&self, node: Node) -> Result<String, Errno> {
        let inode = self.core.node(node)?;
        let (target, note) = {
            let record = inode.read()?;
            match &record.body {
                Body::Inline(target) if record.kind == NodeKind::Symlink => {
                    (String::from_utf8(target.clone()).map_err(|_| Errno::Io)?, record.wants_accessed())
                }
                _ => return Err(Errno::Inval),
            }
        };
        if note {
            self.core.note_access(&inode);
        }
        Ok(target)
    }

    fn open(&self, node: Node, _how: OpenFlags) -> Result<Handle, Errno> {
        let inode = self.core.node(node)?;
        let kind = inode.read()?.kind;
        match kind {
            NodeKind::File => Ok(0),
            NodeKind::Directory => Err(Errno::Isdir),
            NodeKind::Symlink => Err(Errno::Loop),
            _ => Err(Errno::Nxio),
        }
    }

    fn release(&self, node: Node, _handle: Handle) {
        self.core.release(node);
    }

    fn read(&self, node: Node, _handle: Handle, offset: u64, buffer: &mut [u8]) -> Result<usize, Errno> {
        Ok(self.core.read(node, offset, buffer)?)
    }

    fn write(&self, node: Node, _handle: Handle, offset: u64, bytes: &[u8]) -> Result<usize, Errno> {
        Ok(self.core.write(node, offset, bytes)?)
    }

    fn fsync(&self, node: Node, _handle: Handle, _data_only: bool) -> Result<(), Errno> {
        self.core.node(node)?;
        self.core.fsync()
    }

    fn sync(&self) -> Result<(), Errno> {
        self.core.fsync()
    }

    fn may_wait(&self) -> bool {
        true
    }

    fn readdir(&self, dir: Node, cookie: u64, entries_max: usize) -> Result<Vec<DirectoryEntry>, Errno> {
        Ok(self.core.readdir(dir, cookie, entries_max)?)
    }

    fn statfs(&self) -> Result<FilesystemStatus, Errno> {
        let (bytes_max, inodes_max) = self.core.quota.maxima();
        let block_bytes = u64::from(BLOCK_BYTES);
        Ok(FilesystemStatus {
            block_size: BLOCK_BYTES,
            blocks: bytes_max / block_bytes,
            blocks_free: bytes_max.saturating_sub(self.core.quota.bytes_used()) / block_bytes,
            files: inodes_max.saturating_add(1),
            files_free: inodes_max.saturating_sub(self.core.quota.inodes()),
            name_max: NAME_BYTES_MAX as u32,
        })
    }

    fn getxattr(&self, node: Node, name: &str) -> Result<Vec<u8>, Errno> {
        Ok(self.core.xattr(node, name)?)
    }

    fn setxattr(&self, node: Node, name: &str, value: &[u8]) -> Result<(), Errno> {
        Ok(self.core.set_xattr(node, name, value)?)
    }

    fn listxattr(&self, node: Node) -> Result<Vec<String>, Errno> {
        Ok(self.core.xattrs(node)?)
    }

    fn removexattr(&self, node: Node, name: &str) -> Result<(), Errno> {
        Ok(self.core.remove_xattr(node, name)?)
    }
}

impl Core {
    fn setattr(&self, node: Node, changes: &AttributeChanges) -> Res<Attributes> {
        let valid = |time: Option<Timestamp>| time.is_none_or(|time| time.nanoseconds < 1_000_000_000);
        if !valid(changes.accessed) || !valid(changes.modified) {
            return Err(Errno::Inval.into());
        }
        self.usable()?;
        let now = self.now();
        let inode = self.node(node)?;
        let Some(size) = changes.size else { return Ok(self.set_others(&inode, changes, now)?) };
        self.change(|w| {
            self.set_size(w, &inode, size)?;
            let changes = AttributeChanges { modified: changes.modified.or(Some(now)), ..*changes };
            Ok(self.set_others(&inode, &changes, now)?)
        })
    }

    fn set_others(
        &self,
        inode: &std::sync::Arc<Inode>,
        changes: &AttributeChanges,
        now: Timestamp,
    ) -> Result<Attributes, Errno> {
        let mut record = inode.write()?;
        record.mode = changes.mode.map_or(record.mode, |mode| mode & MODE_MASK);
        record.uid = changes.uid.unwrap_or(record.uid);
        record.gid = changes.gid.unwrap_or(record.gid);
        record.accessed = changes.accessed.unwrap_or(record.accessed);
        record.modified = changes.modified.unwrap_or(record.modified);
        record.changed = now;
        self.mark(inode, &mut record);
        self.flusher.wake();
        Ok(record.attributes(inode.ino, self.options.lifetime_ns))
    }

    /// Carries whole chunks into the batch. A part of one waits on: whoever appends comes back to it.
    fn release(&self, node: Node) {
        let Some(inode) = self.ino(node).ok().and_then(|ino| self.nodes.peek(ino)) else { return };
        let is_whole =
            inode.read().is_ok_and(|record| record.chunks.values().any(|chunk| chunk.bytes.len() >= self.chunk_bytes));
        if is_whole {
            // What fails here fails again in `fsync`, where it can be told.
            let _ = self.write_out(&inode);
        }
    }
}
