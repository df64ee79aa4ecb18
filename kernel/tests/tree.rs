//! A VM's tree as one filesystem: every check of a backend holds for it, mounts show in it, and the VM's policy and limits hold.

mod common;

use std::sync::Arc;

use eyot_backend::{
    AttributeChanges, Attributes, Errno, Filesystem, Node, NodeKind, OpenFlags, Ownership, RenameFlags,
};
use eyot_kernel::Vm;
use eyot_kernel::limits::Limit;
use eyot_kernel::policy::{Action, Rule, Verdict};
use eyot_kernel::vm::{MountOptions, VmBuilder, VmTree};
use eyot_memfs::Memfs;

const OWNER: Ownership = Ownership { mode: 0o644, uid: 1000, gid: 1000 };

fn vm(describe: impl FnOnce(VmBuilder) -> VmBuilder) -> Vm {
    describe(Vm::builder().root(Arc::new(Memfs::new()))).build().unwrap()
}

fn walk(tree: &VmTree, path: &str) -> Result<Attributes, Errno> {
    let root = tree.getattr(tree.info().root)?;
    path.split('/').filter(|name| !name.is_empty()).try_fold(root, |dir, name| tree.lookup(dir.node, name))
}

fn read(tree: &VmTree, node: Node) -> Result<Vec<u8>, Errno> {
    let handle = tree.open(node, OpenFlags::READ)?;
    let mut buffer = vec![0; 4096];
    let count = tree.read(node, handle, 0, &mut buffer);
    tree.release(node, handle);
    count.map(|count| buffer[..count].to_vec())
}

#[test]
fn a_mount_seen_through_the_tree_conforms() {
    let ran = eyot_conformance::run(|| {
        let vm = vm(|vm| vm.mount("/m", Arc::new(Memfs::new()), MountOptions::default()));
        Arc::new(vm.tree("/m").unwrap())
    });
    assert!(ran >= 500, "only {ran} checks ran");
}

#[test]
fn mounts_show_in_it_under_numbers_of_their_own() {
    let inner = Arc::new(Memfs::new());
    let vm = vm(|vm| {
        vm.mount("/srv", Arc::new(Memfs::new()), MountOptions::default())
            .mount("/srv/deep/inner", inner.clone(), MountOptions::default())
            .mount("/kept", Arc::new(Memfs::new()), MountOptions { read_only: true, ..MountOptions::default() })
    });
    vm.write_file("/tmp", b"", 0o644).unwrap_err();
    inner.create(inner.info().root, "f", OWNER).unwrap();
    let tree = vm.tree("/").unwrap();
    let file = walk(&tree, "srv/deep/inner/f").unwrap();
    assert_eq!((file.kind, file.uid), (NodeKind::File, 1000));
    let mut numbers = vec![tree.info().root];
    for path in ["srv", "srv/deep", "srv/deep/inner", "kept", "dev", "proc", "srv/deep/inner/f"] {
        numbers.push(walk(&tree, path).unwrap().node);
    }
    numbers.sort();
    numbers.dedup();
    assert_eq!(numbers.len(), 8);
    // A listing tells of what is mounted there, not of what is below.
    let deep = walk(&tree, "srv/deep").unwrap().node;
    let listed = tree.readdir(deep, 0, 10).unwrap();
    assert_eq!(
        (listed[0].name.as_str(), listed[0].attributes.node),
        ("inner", walk(&tree, "srv/deep/inner").unwrap().node)
    );
    let (root, kept) = (tree.info().root, walk(&tree, "kept").unwrap().node);
    assert_eq!(tree.create(kept, "x", OWNER), Err(Errno::Rofs));
    assert_eq!(tree.rename(root, "kept", root, "other", RenameFlags::empty()), Err(Errno::Busy));
    assert_eq!(tree.rmdir(root, "kept"), Err(Errno::Busy));
    let inner = walk(&tree, "srv/deep/inner").unwrap().node;
    assert_eq!(tree.rename(inner, "f", root, "f", RenameFlags::empty()), Err(Errno::Xdev));
    assert_eq!(tree.link(file.node, root, "f"), Err(Errno::Xdev));
}

#[test]
fn the_vm_sees_what_is_changed_and_the_tree_what_the_vm_does() {
    let vm = vm(|vm| vm);
    let tree = vm.tree("/").unwrap();
    let root = tree.info().root;
    let dir = tree.mkdir(root, "d", Ownership { mode: 0o755, ..OWNER }).unwrap();
    assert_eq!((dir.uid, dir.gid, dir.mode), (1000, 1000, 0o755));
    vm.write_file("/d/f", b"from inside", 0o644).unwrap();
    let file = tree.lookup(dir.node, "f").unwrap();
    assert_eq!(read(&tree, file.node).unwrap(), b"from inside");
    let handle = tree.open(file.node, OpenFlags::all()).unwrap();
    assert_eq!(tree.write(file.node, handle, 5, b"outside"), Ok(7));
    assert_eq!(vm.read_file("/d/f").unwrap(), b"from outside");
    tree.unlink(dir.node, "f").unwrap();
    assert_eq!(vm.read_file("/d/f"), Err(Errno::Noent));
    // An open file goes on without its name.
    let mut buffer = [0; 4];
    assert_eq!(tree.read(file.node, handle, 0, &mut buffer), Ok(4));
    assert_eq!(tree.getattr(file.node).unwrap().links, 0);
    tree.release(file.node, handle);
    assert_eq!(tree.read(file.node, handle, 0, &mut buffer), Err(Errno::Badf));
    tree.forget(file.node, 1);
    assert_eq!(tree.getattr(file.node), Err(Errno::Stale));
    tree.forget(root, u64::MAX);
    assert!(tree.getattr(root).is_ok());
}

#[test]
fn what_is_held_back_is_durable_after_fsync_and_leaves_with_the_last_close() {
    let far = common::far::Far::new(u64::MAX, true);
    let backend: Arc<dyn Filesystem> = far.clone();
    let vm = vm(|vm| vm.mount("/m", backend, MountOptions::default()));
    let tree = vm.tree("/m").unwrap();
    let file = tree.create(tree.info().root, "f", OWNER).unwrap().node;
    let handle = tree.open(file, OpenFlags::READ | OpenFlags::WRITE).unwrap();
    assert_eq!(tree.write(file, handle, 0, b"synced"), Ok(6));
    assert_eq!(far.contents("f"), b"", "it is held back");
    assert_eq!(tree.getattr(file).map(|seen| seen.size), Ok(6));
    assert_eq!(tree.fsync(file, handle, false), Ok(()));
    assert_eq!(far.contents("f"), b"synced");
    assert_eq!(tree.write(file, handle, 6, b", closed"), Ok(8));
    assert_eq!(far.contents("f"), b"synced");
    tree.release(file, handle);
    assert_eq!(far.contents("f"), b"synced, closed");
}

#[test]
fn owners_change_places() {
    let vm = vm(|vm| vm);
    let tree = vm.tree("/").unwrap().shown_as(0, 50);
    let root = tree.info().root;
    let outside = |uid, gid| Ownership { mode: 0o600, uid, gid };
    let made = tree.create(root, "mine", outside(0, 50)).unwrap();
    assert_eq!((made.uid, made.gid), (0, 50));
    let inside = |path: &str| vm.stat(path).map(|status| (status.attributes.uid, status.attributes.gid)).unwrap();
    assert_eq!(inside("/mine"), (1000, 1000));
    tree.create(root, "roots", outside(1000, 1000)).unwrap();
    assert_eq!(inside("/roots"), (0, 50));
    tree.create(root, "others", outside(7, 8)).unwrap();
    assert_eq!(inside("/others"), (7, 8));
    let changes = AttributeChanges { uid: Some(1000), ..Default::default() };
    assert_eq!(tree.setattr(made.node, &changes).unwrap().uid, 1000);
    assert_eq!(inside("/mine"), (0, 1000));
}

#[test]
fn policy_and_limits_hold() {
    let rules = [Rule::new(Verdict::Deny, Action::Write, "/kept"), Rule::new(Verdict::Deny, Action::Read, "/hidden")];
    let vm = vm(|vm| rules.into_iter().fold(vm.limit(Limit::OpenFiles, 2), VmBuilder::rule));
    let tree = vm.tree("/").unwrap();
    let root = tree.info().root;
    assert_eq!(tree.mkdir(root, "kept", OWNER), Err(Errno::Acces));
    assert_eq!(tree.mkdir(root, "hidden", OWNER).map(drop), Ok(()));
    assert_eq!(tree.lookup(root, "hidden"), Err(Errno::Acces));
    let file = tree.create(root, "f", OWNER).unwrap().node;
    let handles: Vec<_> = (0..2).map(|_| tree.open(file, OpenFlags::READ).unwrap()).collect();
    assert_eq!(tree.open(file, OpenFlags::READ), Err(Errno::Nfile));
    tree.release(file, handles[0]);
    assert!(tree.open(file, OpenFlags::READ).is_ok());
    for name in ["a/b", "", ".", "..", "nul\0"] {
        assert_eq!(tree.mkdir(root, name, OWNER), Err(Errno::Inval), "{name:?}");
        assert!(tree.lookup(root, name).is_err() && tree.unlink(root, name).is_err(), "{name:?}");
    }
}

#[test]
fn processes_and_devices_are_shown() {
    let vm = vm(|vm| vm);
    let tree = vm.tree("/").unwrap();
    assert!(vm.processes().is_empty(), "who serves the tree is no process of the VM's");
    let null = walk(&tree, "dev/null").unwrap();
    assert_eq!((null.kind, null.device), (NodeKind::CharacterDevice, 0x103));
    assert_eq!(tree.open(null.node, OpenFlags::READ), Err(Errno::Nxio));
    let mounts = walk(&tree, "proc/mounts").unwrap();
    assert_eq!(mounts.kind, NodeKind::Symlink);
    assert_eq!(tree.readlink(mounts.node).unwrap(), "self/mounts");
    let own = tree.readlink(walk(&tree, "proc/self").unwrap().node).unwrap();
    let text = read(&tree, walk(&tree, &format!("proc/{own}/mounts")).unwrap().node).unwrap();
    assert!(String::from_utf8(text).unwrap().contains("devtmpfs /dev"));
    let proc = walk(&tree, "proc").unwrap().node;
    assert_eq!(tree.create(proc, "x", OWNER), Err(Errno::Acces));
    drop(tree);
    assert_eq!(vm.tree("/no/such").map(drop), Err(Errno::Noent));
    assert_eq!(vm.tree("/dev/null").map(drop), Err(Errno::Notdir));
}
