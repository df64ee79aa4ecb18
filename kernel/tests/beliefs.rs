//! What the kernel remembers of a backend's answers, for how long, and what ends it.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use eyot_backend::{
    AttributeChanges, Attributes, Capabilities, Change, DirectoryEntry, Errno, Filesystem, FilesystemInfo,
    FilesystemStatus, Handle, Node, NodeKind, OpenFlags, Ownership, RenameFlags, Watcher,
};
use eyot_kernel::Vm;
use eyot_kernel::limits::Limit;
use eyot_kernel::vfs::MountOptions;
use eyot_memfs::Memfs;

/// A memfs that says how long it is to be believed, counts what it is asked, and can tell of changes.
struct Believed {
    files: Memfs,
    lifetime_ns: u64,
    without: Capabilities,
    lookups: AtomicU64,
    getattrs: AtomicU64,
    watcher: Mutex<Option<Weak<dyn Watcher>>>,
}

impl Believed {
    fn new(lifetime_ns: u64) -> Arc<Self> {
        let (lookups, getattrs) = (AtomicU64::new(0), AtomicU64::new(0));
        let without = Capabilities::empty();
        Arc::new(Self { files: Memfs::new(), lifetime_ns, without, lookups, getattrs, watcher: Mutex::default() })
    }

    fn out(&self, attributes: Attributes) -> Attributes {
        Attributes { lifetime_ns: self.lifetime_ns, ..attributes }
    }

    fn tell(&self, change: &Change) {
        let watcher = self.watcher.lock().unwrap().clone().expect("the kernel watches");
        watcher.upgrade().expect("the mount is there").changed(change);
    }

    /// How often it was asked since the last time.
    fn asked(&self) -> (u64, u64) {
        (self.lookups.swap(0, Relaxed), self.getattrs.swap(0, Relaxed))
    }
}

impl Filesystem for Believed {
    fn info(&self) -> FilesystemInfo {
        let (lifetime, info) = (self.lifetime_ns, self.files.info());
        let capabilities = info.capabilities - self.without;
        FilesystemInfo { entry_lifetime_ns: lifetime, absence_lifetime_ns: lifetime, capabilities, ..info }
    }
    fn watch(&self, watcher: Weak<dyn Watcher>) {
        *self.watcher.lock().unwrap() = Some(watcher);
    }
    fn lookup(&self, dir: Node, name: &str) -> Result<Attributes, Errno> {
        self.lookups.fetch_add(1, Relaxed);
        self.files.lookup(dir, name).map(|found| self.out(found))
    }
    fn getattr(&self, node: Node) -> Result<Attributes, Errno> {
        self.getattrs.fetch_add(1, Relaxed);
        self.files.getattr(node).map(|found| self.out(found))
    }
    fn setattr(&self, node: Node, changes: &AttributeChanges) -> Result<Attributes, Errno> {
        self.files.setattr(node, changes).map(|found| self.out(found))
    }
    fn create(&self, dir: Node, name: &str, owner: Ownership) -> Result<Attributes, Errno> {
        self.files.create(dir, name, owner).map(|made| self.out(made))
    }
    fn mkdir(&self, dir: Node, name: &str, owner: Ownership) -> Result<Attributes, Errno> {
        self.files.mkdir(dir, name, owner).map(|made| self.out(made))
    }
    fn symlink(&self, dir: Node, name: &str, target: &str, owner: Ownership) -> Result<Attributes, Errno> {
        self.files.symlink(dir, name, target, owner).map(|made| self.out(made))
    }
    fn make_node(
        &self,
        dir: Node,
        name: &str,
        kind: NodeKind,
        device: u64,
        owner: Ownership,
    ) -> Result<Attributes, Errno> {
        self.files.make_node(dir, name, kind, device, owner).map(|made| self.out(made))
    }
    fn link(&self, target: Node, dir: Node, name: &str) -> Result<Attributes, Errno> {
        self.files.link(target, dir, name).map(|linked| self.out(linked))
    }
    fn forget(&self, node: Node, count: u64) {
        self.files.forget(node, count);
    }
    fn unlink(&self, dir: Node, name: &str) -> Result<(), Errno> {
        self.files.unlink(dir, name)
    }
    fn rmdir(&self, dir: Node, name: &str) -> Result<(), Errno> {
        self.files.rmdir(dir, name)
    }
    fn rename(&self, from: Node, name: &str, to: Node, new: &str, how: RenameFlags) -> Result<(), Errno> {
        self.files.rename(from, name, to, new, how)
    }
    fn readlink(&self, node: Node) -> Result<String, Errno> {
        self.files.readlink(node)
    }
    fn open(&self, node: Node, how: OpenFlags) -> Result<Handle, Errno> {
        self.files.open(node, how)
    }
    fn release(&self, node: Node, handle: Handle) {
        self.files.release(node, handle);
    }
    fn read(&self, node: Node, handle: Handle, offset: u64, buffer: &mut [u8]) -> Result<usize, Errno> {
        self.files.read(node, handle, offset, buffer)
    }
    fn write(&self, node: Node, handle: Handle, offset: u64, bytes: &[u8]) -> Result<usize, Errno> {
        self.files.write(node, handle, offset, bytes)
    }
    fn fsync(&self, node: Node, handle: Handle, data_only: bool) -> Result<(), Errno> {
        self.files.fsync(node, handle, data_only)
    }
    fn readdir(&self, dir: Node, cookie: u64, entries_max: usize) -> Result<Vec<DirectoryEntry>, Errno> {
        self.files.readdir(dir, cookie, entries_max)
    }
    fn statfs(&self) -> Result<FilesystemStatus, Errno> {
        self.files.statfs()
    }
}

fn vm(lifetime_ns: u64) -> (Arc<Believed>, Vm) {
    with(Believed::new(lifetime_ns))
}

fn with(fs: Arc<Believed>) -> (Arc<Believed>, Vm) {
    let builder = Vm::builder().root(Arc::new(Memfs::new())).user(0, 0);
    let vm = builder.mount("/m", fs.clone(), MountOptions::default()).build().unwrap();
    vm.write_file("/m/f", b"one", 0o644).unwrap();
    vm.stat("/m/f").unwrap();
    fs.asked();
    (fs, vm)
}

fn size(vm: &Vm, path: &str) -> Result<u64, Errno> {
    vm.stat(path).map(|status| status.attributes.size)
}

#[test]
fn without_a_lifetime_everything_is_asked_each_time() {
    let (fs, vm) = vm(0);
    for _ in 0..3 {
        assert_eq!(size(&vm, "/m/f"), Ok(3));
        assert_eq!(size(&vm, "/m/none"), Err(Errno::Noent));
    }
    assert_eq!(fs.asked(), (6, 3));
}

#[test]
fn for_ever_means_that_nothing_is_asked_again() {
    let (fs, vm) = vm(u64::MAX);
    for _ in 0..3 {
        assert_eq!(size(&vm, "/m/f"), Ok(3));
        assert_eq!(size(&vm, "/m/none"), Err(Errno::Noent));
    }
    assert_eq!(fs.asked(), (1, 0), "only the absent name, once");
}

#[test]
fn names_that_the_backend_folds_are_asked_each_time() {
    let fs = Believed::new(u64::MAX);
    let folds = Believed { without: Capabilities::CASE_SENSITIVE, ..Arc::into_inner(fs).unwrap() };
    let (fs, vm) = with(Arc::new(folds));
    for _ in 0..3 {
        assert_eq!(size(&vm, "/m/f"), Ok(3));
        assert_eq!(size(&vm, "/m/none"), Err(Errno::Noent));
    }
    assert_eq!(fs.asked().0, 6);
}

#[test]
fn a_lifetime_ends() {
    let (fs, vm) = vm(20_000_000);
    std::thread::sleep(Duration::from_millis(25));
    size(&vm, "/m/f").unwrap();
    let first = fs.asked();
    size(&vm, "/m/f").unwrap();
    let second = fs.asked();
    assert_eq!((first, second), ((1, 1), (0, 0)));
}

#[test]
fn what_goes_through_the_mount_is_seen_at_once() {
    let (_, vm) = vm(u64::MAX);
    assert_eq!(size(&vm, "/m/none"), Err(Errno::Noent));
    vm.write_file("/m/f", b"longer than one", 0o644).unwrap();
    assert_eq!(size(&vm, "/m/f"), Ok(15));
    vm.write_file("/m/none", b"now it is", 0o644).unwrap();
    assert_eq!(size(&vm, "/m/none"), Ok(9));
    let links = |path: &str| vm.stat(path).unwrap().attributes.links;
    assert_eq!(links("/m"), 2);
    vm.make_dir("/m/d", 0o755).unwrap();
    assert_eq!(links("/m"), 3);
    let times = |path: &str| vm.stat(path).unwrap().attributes.modified;
    let before = times("/m/d");
    vm.write_file("/m/d/new", b"", 0o644).unwrap();
    assert!(times("/m/d") > before, "a new name changes its directory's time");
}

#[test]
fn what_others_change_is_seen_when_it_is_told() {
    let (fs, vm) = vm(u64::MAX);
    let root = fs.files.info().root;
    let node = fs.files.lookup(root, "f").unwrap().node;
    let cut = AttributeChanges { size: Some(1), ..AttributeChanges::default() };
    fs.files.setattr(node, &cut).unwrap();
    assert_eq!(size(&vm, "/m/f"), Ok(3), "nobody told");
    fs.tell(&Change::Node(node));
    assert_eq!(size(&vm, "/m/f"), Ok(1));

    assert_eq!(size(&vm, "/m/new"), Err(Errno::Noent));
    fs.files.create(root, "new", Ownership { mode: 0o644, uid: 0, gid: 0 }).unwrap();
    assert_eq!(size(&vm, "/m/new"), Err(Errno::Noent));
    fs.tell(&Change::Entry { dir: root, name: "new".into() });
    assert_eq!(size(&vm, "/m/new"), Ok(0));

    fs.files.unlink(root, "new").unwrap();
    fs.files.setattr(node, &AttributeChanges { size: Some(2), ..AttributeChanges::default() }).unwrap();
    fs.tell(&Change::Everything);
    assert_eq!(size(&vm, "/m/new"), Err(Errno::Noent));
    assert_eq!(size(&vm, "/m/f"), Ok(2));
    fs.tell(&Change::Node(123_456));
}

#[test]
fn threads_never_see_a_size_from_before_their_own_write() {
    let (_, vm) = vm(u64::MAX);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let vm = &vm;
            scope.spawn(move || {
                for round in 1..300 {
                    let path = format!("/m/{thread}");
                    vm.write_file(&path, &vec![7; round], 0o644).unwrap();
                    assert_eq!(size(vm, &path), Ok(round as u64));
                    let _ = size(vm, &format!("/m/{}", (thread + 1) % 4));
                }
            });
        }
    });
}

#[test]
fn no_more_names_are_remembered_than_the_limit_however_often_one_in_use_has_its_turn() {
    let fs = Believed::new(u64::MAX);
    let builder = Vm::builder().root(Arc::new(Memfs::new())).user(0, 0).limit(Limit::CachedEntries, 16);
    let vm = builder.mount("/m", fs.clone(), MountOptions::default()).build().unwrap();
    vm.make_dir("/m/d", 0o755).unwrap();
    let paths: Vec<String> = (0..64).map(|number| format!("/m/d/{number}")).collect();
    for path in &paths {
        vm.write_file(path, b"", 0o644).unwrap();
    }
    for _ in 0..200 {
        fs.asked();
        for path in &paths {
            vm.stat(path).unwrap();
        }
    }
    // In a circle that is larger than what is kept, everything is asked anew.
    assert!(fs.asked().0 >= 64, "some of 64 names were remembered, where 16 may be");
}
