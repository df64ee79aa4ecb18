//! What every backend must do, and what this one must not.

use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::sync::Arc;
use std::time::{Duration, Instant};

use eyot_backend::{
    AttributeChanges, Capabilities, Errno, Filesystem, Node, NodeKind, OpenFlags, Ownership, RenameFlags,
    wrap_filesystem,
};
use eyot_conformance::{Kept, Options, check_all, fixture, populate};
use tempfile::TempDir;

use crate::Hostdir;

const OWNER: Ownership = Ownership { mode: 0o644, uid: 0, gid: 0 };

fn fresh() -> (TempDir, Hostdir, Node) {
    let dir = tempfile::tempdir().unwrap();
    let fs = Hostdir::new(dir.path(), false).unwrap();
    let root = fs.info().root;
    (dir, fs, root)
}

fn read(fs: &Hostdir, node: Node) -> Result<Vec<u8>, Errno> {
    let handle = fs.open(node, OpenFlags::READ)?;
    let mut buffer = vec![0; 100];
    let count = fs.read(node, handle, 0, &mut buffer);
    fs.release(node, handle);
    count.map(|count| buffer[..count].to_vec())
}

/// Keeps its directory as long as itself.
struct Temporary(Hostdir, #[expect(dead_code, reason = "dropped last")] TempDir);

impl Temporary {
    fn directly<T>(&self, call: impl FnOnce(&dyn Filesystem) -> T) -> T {
        call(&self.0)
    }
}

wrap_filesystem!(impl for Temporary, directly);

#[test]
fn it_conforms() {
    let ran = eyot_conformance::run(|| {
        let dir = tempfile::tempdir().unwrap();
        Arc::new(Temporary(Hostdir::new(dir.path(), false).unwrap(), dir))
    });
    assert!(ran >= 570, "only {ran} checks ran");
}

/// What a host directory keeps of a tree that was put there: nobody's owner and no special files.
const KEPT: Kept = Kept { owners: false, special_files: false, xattrs: false, ..Kept::ALL };

#[test]
fn a_tree_that_was_there_is_seen() {
    let dir = tempfile::tempdir().unwrap();
    populate(&Hostdir::new(dir.path(), false).unwrap(), &fixture()).unwrap();
    let options = Options { populated: Some(KEPT), ..Options::default() };
    let card = check_all(|| Arc::new(Hostdir::new(dir.path(), true).unwrap()), &options);
    assert!(card.is_clean() && card.total().passed >= 20, "{card}");
}

#[test]
fn a_tree_that_was_there_is_changed() {
    let make = || {
        let dir = tempfile::tempdir().unwrap();
        populate(&Hostdir::new(dir.path(), false).unwrap(), &fixture()).unwrap();
        Arc::new(Temporary(Hostdir::new(dir.path(), false).unwrap(), dir)) as Arc<dyn Filesystem>
    };
    let options = Options { populated: Some(KEPT), only: Some("that was there".into()), ..Options::default() };
    let card = check_all(make, &options);
    assert!(card.is_clean() && card.total().passed >= 6, "{card}");
}

/// Where nothing can be changed, whatever would change something is refused, and nothing else is.
#[test]
fn read_only_it_conforms_too() {
    let card = check_all(
        || {
            let dir = tempfile::tempdir().unwrap();
            Arc::new(Temporary(Hostdir::new(dir.path(), true).unwrap(), dir))
        },
        &Options::default(),
    );
    assert!(card.is_clean() && card.total().passed >= 6, "{card}");
}

#[test]
fn nothing_leads_out() {
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("secret"), "secret").unwrap();
    let (dir, fs, root) = fresh();
    symlink(outside.path(), dir.path().join("out")).unwrap();
    symlink(outside.path().join("secret"), dir.path().join("file")).unwrap();
    let out = fs.lookup(root, "out").unwrap();
    assert_eq!(out.kind, NodeKind::Symlink);
    assert_eq!(fs.lookup(out.node, "secret"), Err(Errno::Notdir));
    assert_eq!(fs.create(out.node, "new", OWNER), Err(Errno::Notdir));
    assert_eq!(fs.unlink(out.node, "secret"), Err(Errno::Notdir));
    assert!(fs.readdir(out.node, 0, 10).is_err());
    let file = fs.lookup(root, "file").unwrap();
    assert_eq!(fs.open(file.node, OpenFlags::READ), Err(Errno::Loop));
    let cut = AttributeChanges { size: Some(0), ..Default::default() };
    assert_eq!(fs.setattr(file.node, &cut), Err(Errno::Inval));
    let mode = AttributeChanges { mode: Some(0o777), ..Default::default() };
    assert_eq!(fs.setattr(file.node, &mode), Err(Errno::Notsup));
    assert_eq!(fs.readlink(out.node).unwrap(), outside.path().to_str().unwrap());
    for name in ["..", ".", "", "/", "a/b", "../secret", "/etc/passwd", "out/secret", "a\0b"] {
        assert_eq!(fs.lookup(root, name), Err(Errno::Inval), "{name:?}");
        assert_eq!(fs.create(root, name, OWNER), Err(Errno::Inval));
        assert_eq!(fs.rename(root, "file", root, name, RenameFlags::empty()), Err(Errno::Inval));
    }
    // What was a directory when it was looked up and is a symlink now leads nowhere either.
    std::fs::create_dir(dir.path().join("d")).unwrap();
    let before = fs.lookup(root, "d").unwrap().node;
    std::fs::remove_dir(dir.path().join("d")).unwrap();
    symlink(outside.path(), dir.path().join("d")).unwrap();
    assert!(fs.lookup(before, "secret").is_err());
    assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 1);
}

#[test]
fn read_only_is_read_only() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("f"), "text").unwrap();
    let fs = Hostdir::new(dir.path(), true).unwrap();
    let root = fs.info().root;
    assert!(!fs.info().capabilities.contains(Capabilities::WRITABLE));
    let file = fs.lookup(root, "f").unwrap().node;
    assert_eq!(read(&fs, file).unwrap(), b"text");
    let handle = fs.open(file, OpenFlags::READ).unwrap();
    for refused in [
        fs.create(root, "g", OWNER).err(),
        fs.mkdir(root, "g", OWNER).err(),
        fs.symlink(root, "g", "f", OWNER).err(),
        fs.make_node(root, "g", NodeKind::Fifo, 0, OWNER).err(),
        fs.link(file, root, "g").err(),
        fs.unlink(root, "f").err(),
        fs.rmdir(root, "f").err(),
        fs.rename(root, "f", root, "g", RenameFlags::empty()).err(),
        fs.setattr(file, &AttributeChanges { mode: Some(0o600), ..Default::default() }).err(),
        fs.open(file, OpenFlags::WRITE).err(),
        fs.open(file, OpenFlags::all()).err(),
        fs.write(file, handle, 0, b"x").err(),
    ] {
        assert_eq!(refused, Some(Errno::Rofs));
    }
    assert_eq!(std::fs::read(dir.path().join("f")).unwrap(), b"text");
}

#[test]
fn fifos_and_devices_are_never_opened() {
    let (dir, fs, root) = fresh();
    rustix::fs::mkfifoat(rustix::fs::CWD, dir.path().join("fifo"), rustix::fs::Mode::RUSR).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(dir.path().join("sock")).unwrap();
    let start = Instant::now();
    for (name, kind) in [("fifo", NodeKind::Fifo), ("sock", NodeKind::Socket)] {
        let found = fs.lookup(root, name).unwrap();
        assert_eq!(found.kind, kind);
        assert_eq!(fs.open(found.node, OpenFlags::READ), Err(Errno::Nxio));
        let cut = AttributeChanges { size: Some(0), ..Default::default() };
        assert_eq!(fs.setattr(found.node, &cut), Err(Errno::Inval));
    }
    assert!(start.elapsed() < Duration::from_secs(5));
    assert_eq!(fs.make_node(root, "x", NodeKind::CharacterDevice, 0x103, OWNER), Err(Errno::Notsup));
}

#[test]
fn names_that_are_not_utf8_do_not_show() {
    let (dir, fs, root) = fresh();
    std::fs::write(dir.path().join(std::ffi::OsStr::from_bytes(b"bad\xff")), "").unwrap();
    std::fs::write(dir.path().join("good"), "").unwrap();
    symlink(std::ffi::OsStr::from_bytes(b"to\xff"), dir.path().join("link")).unwrap();
    let mut names: Vec<_> = fs.readdir(root, 0, 10).unwrap().into_iter().map(|entry| entry.name).collect();
    names.sort();
    assert_eq!(names, ["good", "link"]);
    assert_eq!(fs.readlink(fs.lookup(root, "link").unwrap().node), Err(Errno::Ilseq));
}

#[test]
fn what_the_host_does_meanwhile_is_noticed() {
    let (dir, fs, root) = fresh();
    std::fs::write(dir.path().join("f"), "one").unwrap();
    let file = fs.lookup(root, "f").unwrap().node;
    std::fs::write(dir.path().join("f"), "longer").unwrap();
    assert_eq!(fs.getattr(file).unwrap().size, 6);
    std::fs::rename(dir.path().join("f"), dir.path().join("g")).unwrap();
    assert_eq!(fs.lookup(root, "f"), Err(Errno::Noent));
    assert_eq!(fs.lookup(root, "g").unwrap().node, file);
    assert_eq!(fs.info().entry_lifetime_ns, 0);
}

#[test]
fn descriptors_are_bounded_whatever_is_held() {
    let (dir, fs, root) = fresh();
    std::fs::create_dir_all(dir.path().join("a/b/c")).unwrap();
    for index in 0..2000 {
        std::fs::write(dir.path().join(format!("a/b/c/{index}")), index.to_string()).unwrap();
    }
    let (mut at, mut above) = (root, Vec::new());
    for name in ["a", "b", "c"] {
        at = fs.lookup(at, name).unwrap().node;
        above.push(at);
    }
    let nodes: Vec<_> = (0..2000).map(|index| fs.lookup(at, &index.to_string()).unwrap().node).collect();
    let (held, handles) = fs.nodes.counts();
    assert_eq!(held, 2004);
    assert!(handles <= 257, "{handles} handles");
    for (index, &node) in nodes.iter().enumerate() {
        assert_eq!(read(&fs, node).unwrap(), index.to_string().as_bytes());
    }
    // A file that another took the place of, far from any handle.
    std::fs::rename(dir.path().join("a/b/c/1999"), dir.path().join("a/b/c/0")).unwrap();
    assert_eq!(fs.getattr(nodes[0]), Err(Errno::Stale));
    for node in above.into_iter().chain(nodes) {
        fs.forget(node, 1);
    }
    assert_eq!(fs.nodes.counts(), (1, 1), "only the root is left");
}

#[test]
fn owners_are_the_ones_that_were_given() {
    let (dir, fs, root) = fresh();
    let fs = fs.owned_by(1000, 100);
    let made = fs.create(root, "f", OWNER).unwrap();
    let found = fs.lookup(root, "f").unwrap();
    assert_eq!((found.node, found.uid, found.gid), (made.node, 1000, 100));
    assert_eq!(fs.readdir(root, 0, 10).unwrap()[0].attributes.uid, 1000);
    let same = AttributeChanges { uid: Some(1000), gid: Some(100), ..Default::default() };
    assert!(fs.setattr(found.node, &same).is_ok());
    let other = AttributeChanges { uid: Some(0), ..Default::default() };
    assert_eq!(fs.setattr(found.node, &other), Err(Errno::Perm));
    let own = std::fs::metadata(dir.path()).unwrap();
    assert_eq!(std::fs::metadata(dir.path().join("f")).unwrap().uid(), own.uid());
}

#[test]
fn a_directory_is_synced_without_being_open() {
    let (_dir, fs, root) = fresh();
    assert_eq!(fs.fsync(root, 0, false), Ok(()));
    let sub = fs.mkdir(root, "d", OWNER).unwrap().node;
    assert_eq!(fs.fsync(sub, 0, true), Ok(()));
    let file = fs.create(root, "f", OWNER).unwrap().node;
    assert_eq!(fs.fsync(file, 0, false), Err(Errno::Badf), "a file must be open");
    assert_eq!(fs.fsync(root, 99, false), Err(Errno::Badf));
}

#[test]
fn no_set_user_id_program_is_left_behind() {
    let (dir, fs, root) = fresh();
    let made = fs.create(root, "f", Ownership { mode: 0o6755, ..OWNER }).unwrap();
    assert_eq!(made.mode, 0o755);
    for mode in [0o4755, 0o2755] {
        let changes = AttributeChanges { mode: Some(mode), ..Default::default() };
        assert_eq!(fs.setattr(made.node, &changes), Err(Errno::Perm));
    }
    assert_eq!(std::fs::metadata(dir.path().join("f")).unwrap().permissions().mode() & 0o7777, 0o755);
    assert_eq!(fs.mkdir(root, "d", Ownership { mode: 0o1777, ..OWNER }).unwrap().mode, 0o1777);
}

#[test]
fn what_cannot_be_taken_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let missing = Hostdir::new(&dir.path().join("none"), false).err().unwrap();
    assert_eq!(missing.errno(), Errno::Noent);
    assert!(missing.to_string().contains("none as a host directory: no such file or directory; make it first"));
    std::fs::write(dir.path().join("f"), "").unwrap();
    assert_eq!(Hostdir::new(&dir.path().join("f"), false).err().unwrap().errno(), Errno::Notdir);
}
