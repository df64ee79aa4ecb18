//! What the backend tells of changes ends what the host's kernel believes.

mod common;

use std::fs;
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use common::{World, memfs};
use eyot_backend::{Change, Filesystem, Node, OpenFlags, Ownership, Watcher, wrap_filesystem};
use eyot_fuse::Options;
use eyot_memfs::Memfs;

const OWNER: Ownership = Ownership { mode: 0o644, uid: 0, gid: 0 };

/// A filesystem in memory, believed for ever, which can be changed behind the mount's back.
struct Told {
    files: Arc<Memfs>,
    watcher: Mutex<Option<Weak<dyn Watcher>>>,
}

impl Told {
    fn directly<T>(&self, call: impl FnOnce(&dyn Filesystem) -> T) -> T {
        call(&*self.files)
    }

    fn watched(&self, watcher: Weak<dyn Watcher>) {
        *self.watcher.lock().unwrap() = Some(watcher);
    }

    fn tell(&self, change: Change) {
        let watcher = self.watcher.lock().unwrap().clone().expect("it is watched");
        if let Some(watcher) = watcher.upgrade() {
            watcher.changed(&change);
        }
    }

    fn root(&self) -> Node {
        self.files.info().root
    }

    fn write(&self, node: Node, bytes: &[u8]) {
        let handle = self.files.open(node, OpenFlags::WRITE).unwrap();
        assert_eq!(self.files.write(node, handle, 0, bytes), Ok(bytes.len()));
        self.files.release(node, handle);
    }
}

wrap_filesystem!(impl for Told, directly, watch: watched);

fn world() -> Option<(Arc<Told>, World)> {
    let told = Arc::new(Told { files: Arc::new(memfs().build()), watcher: Mutex::default() });
    let world = World::new(told.clone(), Options { exclusive: true, ..Options::default() })?;
    Some((told, world))
}

/// A change is passed on by a thread, so a moment later at the latest.
fn soon(what: &str, holds: impl Fn() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(10), "{what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn a_changed_file_is_read_anew() {
    let Some((told, world)) = world() else { return };
    let node = told.files.create(told.root(), "f", OWNER).unwrap().node;
    told.write(node, b"before");
    assert_eq!(fs::read(world.at("f")).unwrap(), b"before");
    // Of the same length: that one would be seen, because Linux asks for attributes again after a read moved the access time.
    told.write(node, b"after!");
    assert_eq!(fs::read(world.at("f")).unwrap(), b"before", "it is believed until something is told");
    told.tell(Change::Node(node));
    soon("the new bytes", || fs::read(world.at("f")).unwrap() == b"after!");
}

#[test]
fn names_come_and_go() {
    let Some((told, world)) = world() else { return };
    let listed = || fs::read_dir(world.dir.path()).unwrap().count();
    assert!(fs::metadata(world.at("f")).is_err());
    assert_eq!(listed(), 0);
    told.files.create(told.root(), "f", OWNER).unwrap();
    assert!(fs::metadata(world.at("f")).is_err(), "its absence is believed");
    told.tell(Change::Entry { dir: told.root(), name: "f".into() });
    soon("the new name", || fs::metadata(world.at("f")).is_ok());
    soon("the new name in a listing", || listed() == 1);
    told.files.unlink(told.root(), "f").unwrap();
    assert!(fs::metadata(world.at("f")).is_ok());
    told.tell(Change::Entry { dir: told.root(), name: "f".into() });
    soon("the name that went", || fs::metadata(world.at("f")).is_err());
    soon("the listing without it", || listed() == 0);
}

#[test]
fn everything_can_change() {
    let Some((told, world)) = world() else { return };
    let dir = told.files.mkdir(told.root(), "d", Ownership { mode: 0o755, ..OWNER }).unwrap().node;
    let node = told.files.create(dir, "f", OWNER).unwrap().node;
    assert_eq!(fs::read(world.at("d/f")).unwrap(), b"");
    assert!(fs::metadata(world.at("d/g")).is_err());
    assert!(fs::metadata(world.at("d/h")).is_err());
    told.write(node, b"text");
    told.files.link(node, dir, "g").unwrap();
    told.tell(Change::Everything);
    soon("the new bytes", || fs::read(world.at("d/f")).unwrap() == b"text");
    if fs::metadata(world.at("d/g")).is_err() {
        // Only a kernel since 6.16 can be told to forget every name; a backend that says that it tells is then believed for a second at the most.
        return eprintln!("left out: this kernel keeps names");
    }
    assert_eq!(fs::read(world.at("d/g")).unwrap(), b"text");
    assert_eq!(fs::read_dir(world.at("d")).unwrap().count(), 2);
}

/// More than can wait is told as one, and a backend that never ends to tell does not keep the mount.
#[test]
fn a_flood_is_survived() {
    let Some((told, mut world)) = world() else { return };
    let node = told.files.create(told.root(), "f", OWNER).unwrap().node;
    assert_eq!(fs::metadata(world.at("f")).unwrap().len(), 0);
    told.write(node, b"x");
    for number in 0..100_000_u64 {
        told.tell(Change::Node(u64::MAX - number));
    }
    told.tell(Change::Node(node));
    soon("the change at the end", || fs::metadata(world.at("f")).unwrap().len() == 1);
    for _ in 0..100 {
        told.tell(Change::Everything);
    }
    let begun = Instant::now();
    drop(world.mount.take());
    assert!(begun.elapsed() < Duration::from_secs(5));
    told.tell(Change::Node(node));
}
