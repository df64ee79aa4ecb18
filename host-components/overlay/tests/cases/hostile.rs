//! Layers that are wrong, or change under us.

use super::*;

/// A directory that is in itself under many names; and whether it lists without end.
struct Endless(Memfs, bool);

impl Filesystem for Endless {
    fn readdir(&self, dir: Node, cookie: u64, max: usize) -> Result<Vec<DirectoryEntry>, Errno> {
        if !self.1 {
            return self.0.readdir(dir, cookie, max);
        }
        let attributes = self.0.getattr(dir)?;
        let entry = |at| DirectoryEntry { name: format!("n{at}"), cookie: at, attributes };
        Ok((cookie + 1..=cookie + max as u64).map(entry).collect())
    }
    fn info(&self) -> FilesystemInfo {
        self.0.info()
    }
    fn lookup(&self, dir: Node, name: &str) -> Result<Attributes, Errno> {
        // There is one directory, and it is everywhere.
        if name.starts_with("self") { self.0.lookup(self.0.info().root, "d") } else { self.0.lookup(dir, name) }
    }
    fn forget(&self, node: Node, count: u64) {
        self.0.forget(node, count);
    }
    fn getattr(&self, node: Node) -> Result<Attributes, Errno> {
        self.0.getattr(node)
    }
    fn setattr(&self, _: Node, _: &AttributeChanges) -> Result<Attributes, Errno> {
        Err(Errno::Rofs)
    }
    fn create(&self, _: Node, _: &str, _: Ownership) -> Result<Attributes, Errno> {
        Err(Errno::Rofs)
    }
    fn mkdir(&self, _: Node, _: &str, _: Ownership) -> Result<Attributes, Errno> {
        Err(Errno::Rofs)
    }
    fn symlink(&self, _: Node, _: &str, _: &str, _: Ownership) -> Result<Attributes, Errno> {
        Err(Errno::Rofs)
    }
    fn make_node(&self, _: Node, _: &str, _: NodeKind, _: u64, _: Ownership) -> Result<Attributes, Errno> {
        Err(Errno::Rofs)
    }
    fn link(&self, _: Node, _: Node, _: &str) -> Result<Attributes, Errno> {
        Err(Errno::Rofs)
    }
    fn unlink(&self, _: Node, _: &str) -> Result<(), Errno> {
        Err(Errno::Rofs)
    }
    fn rmdir(&self, _: Node, _: &str) -> Result<(), Errno> {
        Err(Errno::Rofs)
    }
    fn rename(&self, _: Node, _: &str, _: Node, _: &str, _: RenameFlags) -> Result<(), Errno> {
        Err(Errno::Rofs)
    }
    fn readlink(&self, _: Node) -> Result<String, Errno> {
        Err(Errno::Inval)
    }
    fn open(&self, _: Node, _: OpenFlags) -> Result<Handle, Errno> {
        Err(Errno::Isdir)
    }
    fn release(&self, _: Node, _: Handle) {}
    fn read(&self, _: Node, _: Handle, _: u64, _: &mut [u8]) -> Result<usize, Errno> {
        Err(Errno::Isdir)
    }
    fn write(&self, _: Node, _: Handle, _: u64, _: &[u8]) -> Result<usize, Errno> {
        Err(Errno::Rofs)
    }
    fn fsync(&self, _: Node, _: Handle, _: bool) -> Result<(), Errno> {
        Ok(())
    }
    fn statfs(&self) -> Result<FilesystemStatus, Errno> {
        self.0.statfs()
    }
}

#[test]
fn a_directory_in_itself_hangs_nobody() {
    let lower = Memfs::new();
    lower.mkdir(1, "d", DIR).unwrap();
    let fs = Overlay::new(memfs(), vec![Arc::new(Endless(lower, false))]).unwrap();
    let root = root(&fs);
    let at = |path: &str| walk(&fs, path).unwrap().node;
    let d = at("d");
    assert_eq!((at("d/self"), at("d/self1/self2/self3")), (d, d));
    let empty = fs.mkdir(root, "empty", DIR).unwrap().node;
    // Whatever they answer, they answer.
    let exchange = RenameFlags::EXCHANGE;
    let _ = (fs.rmdir(d, "self"), fs.rename(d, "self", d, "self1", NONE), fs.rename(root, "empty", d, "self", NONE));
    let _ = (fs.rename(d, "self", root, "x", NONE), fs.rename(d, "self1", root, "empty", exchange));
    let _ = (fs.rename(root, "d", d, "self2", exchange), fs.rename(d, "self", empty, "x", NONE));
    let _ = (fs.create(d, "f", FILE), fs.rmdir(root, "d"), fs.getattr(d), fs.readdir(d, 0, 3));
}

#[test]
fn a_layer_that_lists_without_end_is_refused() {
    let fs = Overlay::new(memfs(), vec![Arc::new(Endless(Memfs::new(), true))]).unwrap();
    assert_eq!(fs.readdir(root(&fs), 0, 10), Err(Errno::Overflow));
    assert_eq!(fs.getattr(root(&fs)), Err(Errno::Overflow), "its subdirectories cannot be counted");
    assert_eq!(fs.lookup(root(&fs), "x"), Err(Errno::Noent));
    fs.create(root(&fs), "x", FILE).unwrap();
}

#[test]
fn a_very_deep_tree_is_let_go_and_copied_up_without_recursion() {
    let (upper, lower) = (memfs(), memfs());
    let mut at = root(&*lower);
    for _ in 0..20_000 {
        at = lower.mkdir(at, "d", DIR).unwrap().node;
    }
    let fs = over(&upper, &[&lower]);
    let deepest = |fs: &Overlay| {
        (0..20_000).fold(root(fs), |at, _| {
            let found = fs.lookup(at, "d").unwrap().node;
            fs.forget(at, 1);
            found
        })
    };
    let leaf = deepest(&fs);
    assert_eq!(fs.inode_count(), 20_001, "the parents are held by their children");
    fs.forget(leaf, 1);
    assert_eq!(fs.inode_count(), 1);
    let leaf = deepest(&fs);
    fs.create(leaf, "f", FILE).unwrap();
    assert_eq!(names(&fs, leaf), ["f"]);
}

#[test]
fn a_lower_that_changes_under_us_is_survived() {
    let lower = planted(&["d/f=f", "d/sub/x=x", "g=g", "h=h"]);
    let fs = over(&memfs(), &[&lower]);
    let at = |path: &str| walk(&fs, path).unwrap().node;
    let (d, f, sub, g) = (at("d"), at("d/f"), at("d/sub"), at("g"));
    let below = |path: &str| walk(&*lower, path).unwrap().node;
    let lower_root = lower.info().root;
    lower.unlink(below("d"), "f").unwrap();
    lower.unlink(below("d/sub"), "x").unwrap();
    lower.rmdir(below("d"), "sub").unwrap();
    lower.rmdir(lower_root, "d").unwrap();
    lower.create(lower_root, "d", FILE).unwrap();
    lower.unlink(lower_root, "g").unwrap();
    lower.mkdir(lower_root, "g", DIR).unwrap();
    let cut = AttributeChanges { size: Some(0), ..Default::default() };
    lower.setattr(below("h"), &cut).unwrap();
    // No answer is promised, but there is one.
    let _ = (fs.getattr(f), fs.getattr(sub), fs.readdir(d, 0, 9), fs.readdir(sub, 0, 9), fs.lookup(d, "f"));
    let _ = (fs.create(sub, "new", FILE), fs.unlink(d, "f"), fs.rmdir(d, "sub"), write(&fs, f, 0, b"x"));
    let _ = (fs.lookup(root(&fs), "d"), fs.lookup(root(&fs), "g"), fs.rename(root(&fs), "g", root(&fs), "e", NONE));
    let _ = (write(&fs, at("h"), 0, b"x"), write(&fs, g, 0, b"x"), fs.rename(root(&fs), "d", root(&fs), "i", NONE));
    list(&fs, root(&fs), 2);
}

#[test]
fn numbers_that_were_never_given_out_are_stale() {
    let fs = over(&memfs(), &[&planted(&["f=f"])]);
    for node in [0, 77, u64::MAX, 1 << 63] {
        assert_eq!(fs.getattr(node), Err(Errno::Stale), "{node}");
        assert_eq!(fs.lookup(node, "x"), Err(Errno::Stale));
        assert_eq!(fs.readdir(node, 0, 1), Err(Errno::Stale));
        assert_eq!(fs.open(node, OpenFlags::READ), Err(Errno::Stale));
        assert_eq!(fs.read(node, 1, 0, &mut [0]), Err(Errno::Badf));
        assert_eq!(fs.rename(node, "x", root(&fs), "y", NONE), Err(Errno::Stale));
        fs.forget(node, u64::MAX);
        fs.release(node, 3);
    }
    for name in ["", ".", "..", "a/b", "a\0"] {
        assert_eq!(fs.lookup(root(&fs), name), Err(Errno::Inval));
        assert_eq!(fs.create(root(&fs), name, FILE), Err(Errno::Inval));
        assert_eq!(fs.rename(root(&fs), "f", root(&fs), name, NONE), Err(Errno::Inval));
    }
    assert_eq!(fs.create(root(&fs), &"n".repeat(256), FILE), Err(Errno::Nametoolong));
    fs.forget(root(&fs), u64::MAX);
    assert!(fs.getattr(root(&fs)).is_ok(), "the root is never forgotten");
}
