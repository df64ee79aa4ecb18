//! What stands in for a plug-in that failed before it could be mounted: a directory in which everything is `EIO`, as it is on the
//! mount of a plug-in that fails later. The VM goes on without it.

use eyot_backend::{
    AttributeChanges, Attributes, Capabilities, DirectoryEntry, Errno, Filesystem, FilesystemInfo, FilesystemStatus,
    Handle, Node, NodeKind, OpenFlags, Ownership, RenameFlags, Timestamp,
};

const ROOT: Node = 1;

/// The filesystem of a plug-in that is no more.
pub struct Retired {
    owner: u32,
}

impl Retired {
    /// Its root belongs to `owner`.
    pub fn new(owner: u32) -> Self {
        Self { owner }
    }
}

impl Filesystem for Retired {
    fn info(&self) -> FilesystemInfo {
        FilesystemInfo {
            root: ROOT,
            capabilities: Capabilities::WRITABLE,
            entry_lifetime_ns: 0,
            absence_lifetime_ns: 0,
            kind: "retired".into(),
        }
    }

    fn getattr(&self, node: Node) -> Result<Attributes, Errno> {
        // A mount needs a directory to be mounted on; that is all there is.
        if node != ROOT {
            return Err(Errno::Io);
        }
        let never = Timestamp { seconds: 0, nanoseconds: 0 };
        Ok(Attributes {
            node,
            kind: NodeKind::Directory,
            mode: 0o755,
            links: 2,
            uid: self.owner,
            gid: self.owner,
            device: 0,
            size: 0,
            blocks: 0,
            accessed: never,
            modified: never,
            changed: never,
            created: never,
            lifetime_ns: 0,
        })
    }

    fn forget(&self, _: Node, _: u64) {}

    fn release(&self, _: Node, _: Handle) {}

    fn lookup(&self, _: Node, _: &str) -> Result<Attributes, Errno> {
        Err(Errno::Io)
    }

    fn setattr(&self, _: Node, _: &AttributeChanges) -> Result<Attributes, Errno> {
        Err(Errno::Io)
    }

    fn create(&self, _: Node, _: &str, _: Ownership) -> Result<Attributes, Errno> {
        Err(Errno::Io)
    }

    fn mkdir(&self, _: Node, _: &str, _: Ownership) -> Result<Attributes, Errno> {
        Err(Errno::Io)
    }

    fn symlink(&self, _: Node, _: &str, _: &str, _: Ownership) -> Result<Attributes, Errno> {
        Err(Errno::Io)
    }

    fn make_node(&self, _: Node, _: &str, _: NodeKind, _: u64, _: Ownership) -> Result<Attributes, Errno> {
        Err(Errno::Io)
    }

    fn link(&self, _: Node, _: Node, _: &str) -> Result<Attributes, Errno> {
        Err(Errno::Io)
    }

    fn unlink(&self, _: Node, _: &str) -> Result<(), Errno> {
        Err(Errno::Io)
    }

    fn rmdir(&self, _: Node, _: &str) -> Result<(), Errno> {
        Err(Errno::Io)
    }

    fn rename(&self, _: Node, _: &str, _: Node, _: &str, _: RenameFlags) -> Result<(), Errno> {
        Err(Errno::Io)
    }

    fn readlink(&self, _: Node) -> Result<String, Errno> {
        Err(Errno::Io)
    }

    fn open(&self, _: Node, _: OpenFlags) -> Result<Handle, Errno> {
        Err(Errno::Io)
    }

    fn read(&self, _: Node, _: Handle, _: u64, _: &mut [u8]) -> Result<usize, Errno> {
        Err(Errno::Io)
    }

    fn write(&self, _: Node, _: Handle, _: u64, _: &[u8]) -> Result<usize, Errno> {
        Err(Errno::Io)
    }

    fn fsync(&self, _: Node, _: Handle, _: bool) -> Result<(), Errno> {
        Err(Errno::Io)
    }

    fn readdir(&self, _: Node, _: u64, _: usize) -> Result<Vec<DirectoryEntry>, Errno> {
        Err(Errno::Io)
    }

    fn statfs(&self) -> Result<FilesystemStatus, Errno> {
        Err(Errno::Io)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_a_root_and_nothing_works_in_it() {
        let fs = Retired::new(1000);
        assert_eq!(fs.getattr(fs.info().root).map(|a| (a.kind, a.uid)), Ok((NodeKind::Directory, 1000)));
        assert_eq!(fs.lookup(ROOT, "x"), Err(Errno::Io));
        assert_eq!(fs.readdir(ROOT, 0, 9).map(|entries| entries.len()), Err(Errno::Io));
        assert_eq!(fs.getattr(2).map(|a| a.kind), Err(Errno::Io));
    }
}
