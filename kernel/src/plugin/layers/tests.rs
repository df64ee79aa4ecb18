//! What a component may and may not do to its layers, called as the imports call.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use eyot_backend::{
    AttributeChanges, Errno, Filesystem, Node, NodeKind, OpenFlags, Ownership, RenameFlags, wrap_filesystem,
};
use eyot_memfs::Memfs;

use super::Layers;

const OWNER: Ownership = Ownership { mode: 0o755, uid: 0, gid: 0 };
const NONE: RenameFlags = RenameFlags::empty();

/// A memfs that counts the calls.
struct Spy {
    fs: Memfs,
    calls: AtomicUsize,
}

impl Spy {
    fn new() -> Arc<Self> {
        Arc::new(Self { fs: Memfs::new(), calls: AtomicUsize::new(0) })
    }

    fn around<T>(&self, call: impl FnOnce(&dyn Filesystem) -> T) -> T {
        self.calls.fetch_add(1, Relaxed);
        call(&self.fs)
    }

    /// How many calls came since this was asked last.
    fn calls(&self) -> usize {
        self.calls.swap(0, Relaxed)
    }
}

wrap_filesystem!(impl for Spy, around);

fn over(spies: &[&Arc<Spy>]) -> Layers {
    let filesystems: Vec<_> = spies.iter().map(|spy| Arc::clone(spy) as Arc<dyn Filesystem>).collect();
    let layers = Layers::new(&filesystems).unwrap_or_else(|why| panic!("{why}"));
    for spy in spies {
        spy.calls();
    }
    layers
}

/// A call with a node, and the error that it answered.
type Call = fn(&Layers, Node) -> Option<Errno>;

/// Every call on a node.
const ON_A_NODE: [Call; 19] = [
    |layers, node| layers.lookup(node, "a").err(),
    |layers, node| layers.getattr(node).err(),
    |layers, node| layers.setattr(node, &AttributeChanges::default()).err(),
    |layers, node| layers.create(node, "a", OWNER).err(),
    |layers, node| layers.mkdir(node, "a", OWNER).err(),
    |layers, node| layers.symlink(node, "a", "b", OWNER).err(),
    |layers, node| layers.make_node(node, "a", NodeKind::Fifo, 0, OWNER).err(),
    |layers, node| layers.link(node, 1, "a").err(),
    |layers, node| layers.unlink(node, "a").err(),
    |layers, node| layers.rmdir(node, "a").err(),
    |layers, node| layers.rename((node, "a"), (node, "b"), NONE).err(),
    |layers, node| layers.readlink(node).err(),
    |layers, node| layers.open(node, OpenFlags::READ).err(),
    |layers, node| layers.read(node, 0, 0, 1).err(),
    |layers, node| layers.write(node, 0, 0, b"x").err(),
    |layers, node| layers.fsync(node, 0, true).err(),
    |layers, node| layers.readdir(node, 0, 1).err(),
    |layers, node| layers.setxattr(node, "user.a", b"").err(),
    |layers, node| layers.getxattr(node, "user.a").err(),
];

#[test]
fn a_node_that_was_never_given_does_not_reach_the_layer() {
    let spy = Spy::new();
    let secret = spy.fs.create(1, "secret", OWNER).unwrap().node;
    let layers = over(&[&spy]);
    for node in [0, secret, 77, u64::MAX] {
        for (index, call) in ON_A_NODE.iter().enumerate() {
            assert_eq!(call(&layers, node), Some(Errno::Stale), "call {index} on node {node}");
        }
        layers.forget(node, u64::MAX);
        layers.release(node, 1);
    }
    assert_eq!(spy.calls(), 0);
    // A listing shows its number; that is no hold.
    assert_eq!(layers.readdir(1, 0, 9).unwrap()[0].attributes.node, secret);
    assert_eq!(layers.getattr(secret), Err(Errno::Stale));
    assert_eq!(layers.lookup(1, "secret").unwrap().node, secret);
    assert!(layers.getattr(secret).is_ok());
    layers.forget(secret, 1);
    assert_eq!(layers.getattr(secret), Err(Errno::Stale));
}

#[test]
fn what_the_kernel_would_not_pass_does_not_reach_the_layer() {
    let spy = Spy::new();
    let layers = over(&[&spy]);
    let file = layers.create(1, "f", OWNER).unwrap().node;
    let open = layers.open(file, OpenFlags::READ | OpenFlags::WRITE).unwrap();
    spy.calls();
    for name in ["", ".", "..", "a/b", "a\0"] {
        assert_eq!(layers.lookup(1, name), Err(Errno::Inval));
        assert_eq!(layers.create(1, name, OWNER), Err(Errno::Inval));
        assert_eq!(layers.symlink(1, name, "t", OWNER), Err(Errno::Inval));
        assert_eq!(layers.link(file, 1, name), Err(Errno::Inval));
        assert_eq!(layers.unlink(1, name), Err(Errno::Inval));
        assert_eq!(layers.rename((1, "f"), (1, name), NONE), Err(Errno::Inval));
        assert_eq!(layers.rename((1, name), (1, "g"), NONE), Err(Errno::Inval));
    }
    assert_eq!(layers.mkdir(1, &"x".repeat(256), OWNER), Err(Errno::Nametoolong));
    assert_eq!(layers.mkdir(1, "x", Ownership { mode: 0o10000, ..OWNER }), Err(Errno::Inval));
    assert_eq!(layers.symlink(1, "s", "", OWNER), Err(Errno::Inval));
    assert_eq!(layers.make_node(1, "n", NodeKind::Directory, 0, OWNER), Err(Errno::Inval));
    assert_eq!(layers.rename((1, "f"), (1, "g"), RenameFlags::all()), Err(Errno::Inval));
    assert_eq!(layers.read(file, open, 0, (1 << 20) + 1), Err(Errno::Inval));
    assert_eq!(layers.read(file, open, u64::MAX, 1), Err(Errno::Inval));
    assert_eq!(layers.write(file, open, u64::MAX, b"x"), Err(Errno::Fbig));
    assert_eq!(layers.setxattr(file, "", b""), Err(Errno::Range));
    assert_eq!(layers.setxattr(file, "user.a", &vec![0; 65_537]), Err(Errno::Range));
    let long = AttributeChanges { size: Some(u64::MAX), ..AttributeChanges::default() };
    assert_eq!(layers.setattr(file, &long), Err(Errno::Fbig));
    assert_eq!(spy.calls(), 0);
    // More than a call takes is written in part, and a listing comes in pages.
    assert_eq!(layers.write(file, open, 0, &vec![7; (1 << 20) + 5]), Ok(1 << 20));
    assert_eq!(layers.read(file, open, 0, 1 << 20).unwrap().len(), 1 << 20);
    for index in 0..4200 {
        spy.fs.create(1, &format!("many-{index}"), OWNER).unwrap();
    }
    assert_eq!(layers.readdir(1, 0, u32::MAX).unwrap().len(), 4096);
}

#[test]
fn a_call_is_only_made_on_what_it_is_for() {
    let spy = Spy::new();
    let layers = over(&[&spy]);
    let file = layers.create(1, "f", OWNER).unwrap().node;
    let fifo = layers.make_node(1, "p", NodeKind::Fifo, 0, OWNER).unwrap().node;
    let dir = layers.mkdir(1, "d", OWNER).unwrap().node;
    spy.calls();
    assert_eq!((layers.lookup(file, "x"), layers.readdir(fifo, 0, 1)), (Err(Errno::Notdir), Err(Errno::Notdir)));
    assert_eq!(
        (layers.open(dir, OpenFlags::READ), layers.open(fifo, OpenFlags::READ)),
        (Err(Errno::Isdir), Err(Errno::Nxio))
    );
    assert_eq!((layers.readlink(file), layers.link(dir, 1, "x")), (Err(Errno::Inval), Err(Errno::Perm)));
    let cut = AttributeChanges { size: Some(0), ..AttributeChanges::default() };
    assert_eq!((layers.setattr(dir, &cut), layers.setattr(fifo, &cut)), (Err(Errno::Isdir), Err(Errno::Inval)));
    assert_eq!(spy.calls(), 0);
}

#[test]
fn a_handle_is_good_for_its_own_file_only() {
    let spy = Spy::new();
    let layers = over(&[&spy]);
    let (f, g) = (layers.create(1, "f", OWNER).unwrap().node, layers.create(1, "g", OWNER).unwrap().node);
    let open = layers.open(f, OpenFlags::WRITE).unwrap();
    spy.calls();
    for (node, handle) in [(g, open), (f, 0), (f, open + 1), (f, u64::MAX)] {
        assert_eq!(layers.write(node, handle, 0, b"x"), Err(Errno::Stale));
        assert_eq!(layers.read(node, handle, 0, 1), Err(Errno::Stale));
        assert_eq!(layers.fsync(node, handle, false), Err(Errno::Stale));
        layers.release(node, handle);
    }
    assert_eq!(spy.calls(), 0);
    assert_eq!(layers.write(f, open, 0, b"x"), Ok(1));
    layers.release(f, open);
    assert_eq!(layers.write(f, open, 0, b"x"), Err(Errno::Stale));
}

#[test]
fn layers_are_numbered_together_and_kept_apart() {
    let (upper, lower) = (Spy::new(), Spy::new());
    let layers = over(&[&upper, &lower]);
    let roots: Vec<_> = layers.granted().map(|info| info.root).collect();
    assert_eq!(roots, [2, 3]);
    let (f, g) = (layers.create(2, "f", OWNER).unwrap().node, layers.create(3, "g", OWNER).unwrap().node);
    assert_eq!((f % 2, g % 2), (0, 1));
    assert!(upper.fs.lookup(1, "g").is_err() && lower.fs.lookup(1, "g").is_ok());
    assert_eq!(layers.getattr(g).unwrap().node, g);
    assert_eq!(layers.readdir(3, 0, 9).unwrap()[0].attributes.node, g);
    upper.calls();
    lower.calls();
    assert_eq!(layers.link(f, 3, "x"), Err(Errno::Xdev));
    assert_eq!(layers.rename((2, "f"), (3, "x"), NONE), Err(Errno::Xdev));
    assert_eq!((upper.calls(), lower.calls()), (0, 0));
    assert_eq!(layers.sync(), Ok(()));
    assert_eq!((upper.calls(), lower.calls()), (1, 1));
}

#[test]
fn no_directory_moves_below_itself() {
    let spy = Spy::new();
    let layers = over(&[&spy]);
    let a = layers.mkdir(1, "a", OWNER).unwrap().node;
    let b = layers.mkdir(a, "b", OWNER).unwrap().node;
    let c = layers.mkdir(b, "c", OWNER).unwrap().node;
    // Not even when those above are not held any more.
    layers.forget(a, 1);
    layers.forget(b, 1);
    spy.calls();
    assert_eq!(layers.rename((1, "a"), (c, "x"), NONE), Err(Errno::Inval));
    assert_eq!(spy.calls(), 2, "it was looked up and given back, and not asked to move");
    let d = layers.mkdir(1, "d", OWNER).unwrap().node;
    assert_eq!(layers.lookup(a, "b"), Err(Errno::Stale));
    assert_eq!(layers.lookup(1, "a").unwrap().node, a);
    // What would come the other way counts, too.
    let exchange = layers.rename((1, "d"), (c, "y"), RenameFlags::EXCHANGE);
    assert_eq!(exchange, Err(Errno::Noent));
    assert_eq!(layers.rename((a, "b"), (d, "b"), NONE), Ok(()));
    assert_eq!(layers.rename((1, "d"), (c, "x"), NONE), Err(Errno::Inval), "it is above c now");
    assert_eq!(layers.rename((1, "a"), (c, "x"), NONE), Ok(()), "and a is not any more");
}

#[test]
fn what_is_left_is_given_back() {
    let spy = Spy::new();
    let layers = over(&[&spy]);
    let dir = layers.mkdir(1, "d", OWNER).unwrap().node;
    let file = layers.create(dir, "f", OWNER).unwrap().node;
    assert_eq!(layers.lookup(dir, "f").unwrap().node, file);
    layers.open(file, OpenFlags::READ).unwrap();
    layers.open(file, OpenFlags::WRITE).unwrap();
    layers.unlink(dir, "f").unwrap();
    layers.rmdir(1, "d").unwrap();
    layers.forget(dir, 1);
    assert_eq!(spy.fs.getattr(file).unwrap().links, 0, "it is held");
    spy.calls();
    drop(layers);
    assert_eq!(spy.calls(), 3, "two files closed, and one node given back with both its lookups");
    assert_eq!((spy.fs.getattr(file), spy.fs.getattr(dir)), (Err(Errno::Stale), Err(Errno::Stale)));
}

#[test]
fn a_layer_that_cannot_be_changed_is_not_asked() {
    let read_only: Arc<dyn Filesystem> = Arc::new(crate::vfs::devfs::Devfs::new(eyot_backend::Timestamp::now()));
    let layers = Layers::new(&[read_only]).ok().unwrap();
    assert_eq!(layers.create(1, "f", OWNER), Err(Errno::Rofs));
    assert_eq!(layers.unlink(1, "null"), Err(Errno::Rofs));
    assert_eq!(layers.getxattr(1, "user.a"), Err(Errno::Notsup));
    assert!(layers.lookup(1, "null").is_ok());
}
