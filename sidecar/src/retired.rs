//! What stands in for a plug-in that failed before it could be mounted: a directory in which everything is `EIO`, as it is on the
//! mount of a plug-in that fails later. The VM goes on without it.

use eyot_backend::{
    Attributes, Capabilities, Errno, Filesystem, FilesystemInfo, Handle, Node, NodeKind, Timestamp, refuse_calls,
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
    refuse_calls!(Errno::Io: lookup setattr create mkdir symlink make_node link unlink rmdir rename);
    refuse_calls!(Errno::Io: readlink open read write fsync readdir statfs);

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
