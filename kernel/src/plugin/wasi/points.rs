//! The root of a component's VM: the directories that its preopens are mounted on, and nothing else.

use eyot_backend::{
    Attributes, Capabilities, DirectoryEntry, Errno, Filesystem, FilesystemInfo, FilesystemStatus, Handle, Node,
    NodeKind, OpenFlags, Timestamp, refuse_calls,
};

/// The root's number; a directory's is its index and one more.
const ROOT: Node = 1;

struct Directory {
    parent: usize,
    name: String,
}

/// Empty directories that nobody changes.
pub(super) struct Points {
    directories: Vec<Directory>,
    made: Timestamp,
}

impl Points {
    /// The directories of these absolute paths, and those above them.
    pub(super) fn new<'a>(paths: impl Iterator<Item = &'a str>, made: Timestamp) -> Self {
        let mut points = Self { directories: vec![Directory { parent: 0, name: String::new() }], made };
        for path in paths {
            let mut here = 0;
            for name in path.split('/').filter(|name| !name.is_empty()) {
                here = points.child(here, name).unwrap_or_else(|| {
                    points.directories.push(Directory { parent: here, name: name.to_owned() });
                    points.directories.len() - 1
                });
            }
        }
        points
    }

    fn child(&self, parent: usize, name: &str) -> Option<usize> {
        self.children(parent).find(|&(_, child)| child.name == name).map(|(index, _)| index)
    }

    fn children(&self, parent: usize) -> impl Iterator<Item = (usize, &Directory)> {
        // The root, which is the first, lies in itself.
        self.directories.iter().enumerate().skip(1).filter(move |(_, child)| child.parent == parent)
    }

    fn index(&self, node: Node) -> Result<usize, Errno> {
        let index = node.checked_sub(ROOT).and_then(|index| usize::try_from(index).ok());
        index.filter(|&index| index < self.directories.len()).ok_or(Errno::Stale)
    }

    fn attributes(&self, index: usize) -> Attributes {
        let links = u32::try_from(self.children(index).count()).unwrap_or(u32::MAX).saturating_add(2);
        Attributes {
            node: index as u64 + ROOT,
            kind: NodeKind::Directory,
            mode: 0o555,
            links,
            uid: 0,
            gid: 0,
            device: 0,
            size: 0,
            blocks: 0,
            accessed: self.made,
            modified: self.made,
            changed: self.made,
            created: self.made,
            lifetime_ns: u64::MAX,
        }
    }
}

impl Filesystem for Points {
    fn info(&self) -> FilesystemInfo {
        FilesystemInfo {
            root: ROOT,
            capabilities: Capabilities::CASE_SENSITIVE,
            entry_lifetime_ns: u64::MAX,
            absence_lifetime_ns: u64::MAX,
            kind: "preopens".into(),
        }
    }

    fn lookup(&self, dir: Node, name: &str) -> Result<Attributes, Errno> {
        let child = self.child(self.index(dir)?, name).ok_or(Errno::Noent)?;
        Ok(self.attributes(child))
    }

    fn forget(&self, _node: Node, _count: u64) {}

    fn getattr(&self, node: Node) -> Result<Attributes, Errno> {
        self.index(node).map(|index| self.attributes(index))
    }

    refuse_calls!(Errno::Rofs: setattr create mkdir symlink make_node link unlink rmdir rename);

    fn readlink(&self, _node: Node) -> Result<String, Errno> {
        Err(Errno::Inval)
    }

    fn open(&self, _node: Node, _how: OpenFlags) -> Result<Handle, Errno> {
        Err(Errno::Isdir)
    }

    fn release(&self, _node: Node, _handle: Handle) {}

    fn read(&self, _node: Node, _handle: Handle, _offset: u64, _buffer: &mut [u8]) -> Result<usize, Errno> {
        Err(Errno::Isdir)
    }

    fn write(&self, _node: Node, _handle: Handle, _offset: u64, _bytes: &[u8]) -> Result<usize, Errno> {
        Err(Errno::Isdir)
    }

    fn fsync(&self, _node: Node, _handle: Handle, _data_only: bool) -> Result<(), Errno> {
        Ok(())
    }

    fn readdir(&self, dir: Node, cookie: u64, entries_max: usize) -> Result<Vec<DirectoryEntry>, Errno> {
        let parent = self.index(dir)?;
        let entry = |(index, child): (usize, &Directory)| DirectoryEntry {
            name: child.name.clone(),
            cookie: index as u64,
            attributes: self.attributes(index),
        };
        Ok(self.children(parent).filter(|(index, _)| *index as u64 > cookie).take(entries_max).map(entry).collect())
    }

    fn statfs(&self) -> Result<FilesystemStatus, Errno> {
        let files = self.directories.len() as u64;
        Ok(FilesystemStatus { block_size: 4096, blocks: 0, blocks_free: 0, files, files_free: 0, name_max: 255 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use eyot_backend::Ownership;

    #[test]
    fn there_is_what_was_asked_for_and_no_more() {
        let points = Points::new(["/data", "/a/b", "/a/c"].into_iter(), Timestamp::default());
        let names =
            |dir| points.readdir(dir, 0, 10).unwrap().into_iter().map(|entry| entry.name).collect::<Vec<_>>().join(" ");
        assert_eq!(names(ROOT), "data a");
        let a = points.lookup(ROOT, "a").unwrap();
        assert_eq!((names(a.node), a.links, a.kind), ("b c".to_owned(), 4, NodeKind::Directory));
        let first = points.readdir(a.node, 0, 1).unwrap();
        assert_eq!(points.readdir(a.node, first[0].cookie, 9).unwrap()[0].name, "c");
        assert_eq!(points.lookup(a.node, "data"), Err(Errno::Noent));
        assert_eq!(points.getattr(99), Err(Errno::Stale));
        assert_eq!(points.create(ROOT, "x", Ownership { mode: 0, uid: 0, gid: 0 }), Err(Errno::Rofs));
    }
}
