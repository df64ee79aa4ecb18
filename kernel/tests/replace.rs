//! A backend that is replaced under a live mount.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use eyot_backend::{
    AttributeChanges, Attributes, DirectoryEntry, Errno, Filesystem, FilesystemInfo, FilesystemStatus, Handle, Node,
    NodeKind, OpenFlags, Ownership, RenameFlags,
};
use eyot_kernel::Vm;
use eyot_kernel::plugin::PluginMount;
use eyot_kernel::vfs::{Caching, MountOptions};
use eyot_memfs::Memfs;

const OWNER: Ownership = Ownership { mode: 0o644, uid: 0, gid: 0 };

/// Another backend over the same files: its node numbers and handles are its own, and it counts what is owed to it.
struct Renumbered {
    files: Arc<Memfs>,
    offset: u64,
    counts: Mutex<HashMap<Node, u64>>,
    open: Mutex<HashMap<Handle, Handle>>,
    next: AtomicU64,
    fail_fsync: AtomicBool,
}

impl Renumbered {
    fn new(files: &Arc<Memfs>, offset: u64) -> Arc<Self> {
        Arc::new(Self {
            files: files.clone(),
            offset,
            counts: Mutex::default(),
            open: Mutex::default(),
            next: AtomicU64::new(offset + 1),
            fail_fsync: AtomicBool::new(false),
        })
    }

    fn out(&self, attributes: Attributes) -> Attributes {
        Attributes { node: attributes.node + self.offset, lifetime_ns: u64::MAX, ..attributes }
    }

    fn counted(&self, attributes: Attributes) -> Attributes {
        let attributes = self.out(attributes);
        *self.counts.lock().unwrap().entry(attributes.node).or_default() += 1;
        attributes
    }

    fn inner(&self, node: Node) -> Node {
        let known = node == self.info().root || self.counts.lock().unwrap().contains_key(&node);
        assert!(known, "node {node} was never given out by the backend at {}", self.offset);
        node - self.offset
    }

    fn handle(&self, handle: Handle) -> Handle {
        *self.open.lock().unwrap().get(&handle).expect("a handle of another backend")
    }

    /// What the kernel still holds: nodes, and open files.
    fn owed(&self) -> (usize, usize) {
        (self.counts.lock().unwrap().len(), self.open.lock().unwrap().len())
    }
}

impl Filesystem for Renumbered {
    fn info(&self) -> FilesystemInfo {
        let info = self.files.info();
        FilesystemInfo {
            root: info.root + self.offset,
            entry_lifetime_ns: u64::MAX,
            absence_lifetime_ns: u64::MAX,
            ..info
        }
    }
    fn lookup(&self, dir: Node, name: &str) -> Result<Attributes, Errno> {
        self.files.lookup(self.inner(dir), name).map(|found| self.counted(found))
    }
    fn forget(&self, node: Node, count: u64) {
        self.files.forget(self.inner(node), count);
        let mut counts = self.counts.lock().unwrap();
        let left = counts.get_mut(&node).expect("counted");
        *left = left.checked_sub(count).expect("more given back than was counted");
        if *left == 0 {
            counts.remove(&node);
        }
    }
    fn getattr(&self, node: Node) -> Result<Attributes, Errno> {
        self.files.getattr(self.inner(node)).map(|found| self.out(found))
    }
    fn setattr(&self, node: Node, changes: &AttributeChanges) -> Result<Attributes, Errno> {
        self.files.setattr(self.inner(node), changes).map(|found| self.out(found))
    }
    fn create(&self, dir: Node, name: &str, owner: Ownership) -> Result<Attributes, Errno> {
        self.files.create(self.inner(dir), name, owner).map(|made| self.counted(made))
    }
    fn mkdir(&self, dir: Node, name: &str, owner: Ownership) -> Result<Attributes, Errno> {
        self.files.mkdir(self.inner(dir), name, owner).map(|made| self.counted(made))
    }
    fn symlink(&self, dir: Node, name: &str, target: &str, owner: Ownership) -> Result<Attributes, Errno> {
        self.files.symlink(self.inner(dir), name, target, owner).map(|made| self.counted(made))
    }
    fn make_node(
        &self,
        dir: Node,
        name: &str,
        kind: NodeKind,
        device: u64,
        owner: Ownership,
    ) -> Result<Attributes, Errno> {
        self.files.make_node(self.inner(dir), name, kind, device, owner).map(|made| self.counted(made))
    }
    fn link(&self, target: Node, dir: Node, name: &str) -> Result<Attributes, Errno> {
        self.files.link(self.inner(target), self.inner(dir), name).map(|linked| self.counted(linked))
    }
    fn unlink(&self, dir: Node, name: &str) -> Result<(), Errno> {
        self.files.unlink(self.inner(dir), name)
    }
    fn rmdir(&self, dir: Node, name: &str) -> Result<(), Errno> {
        self.files.rmdir(self.inner(dir), name)
    }
    fn rename(&self, from: Node, name: &str, to: Node, new: &str, how: RenameFlags) -> Result<(), Errno> {
        self.files.rename(self.inner(from), name, self.inner(to), new, how)
    }
    fn readlink(&self, node: Node) -> Result<String, Errno> {
        self.files.readlink(self.inner(node))
    }
    fn open(&self, node: Node, how: OpenFlags) -> Result<Handle, Errno> {
        let theirs = self.files.open(self.inner(node), how)?;
        let ours = self.next.fetch_add(1, Relaxed);
        self.open.lock().unwrap().insert(ours, theirs);
        Ok(ours)
    }
    fn release(&self, node: Node, handle: Handle) {
        let theirs = self.open.lock().unwrap().remove(&handle).expect("open");
        self.files.release(self.inner(node), theirs);
    }
    fn read(&self, node: Node, handle: Handle, offset: u64, buffer: &mut [u8]) -> Result<usize, Errno> {
        self.files.read(self.inner(node), self.handle(handle), offset, buffer)
    }
    fn write(&self, node: Node, handle: Handle, offset: u64, bytes: &[u8]) -> Result<usize, Errno> {
        self.files.write(self.inner(node), self.handle(handle), offset, bytes)
    }
    fn fsync(&self, node: Node, handle: Handle, data_only: bool) -> Result<(), Errno> {
        if self.fail_fsync.load(Relaxed) {
            return Err(Errno::Nospc);
        }
        self.files.fsync(self.inner(node), self.handle(handle), data_only)
    }
    fn readdir(&self, dir: Node, cookie: u64, entries_max: usize) -> Result<Vec<DirectoryEntry>, Errno> {
        let entries = self.files.readdir(self.inner(dir), cookie, entries_max)?;
        let out = |entry: DirectoryEntry| DirectoryEntry { attributes: self.out(entry.attributes), ..entry };
        Ok(entries.into_iter().map(out).collect())
    }
    fn statfs(&self) -> Result<FilesystemStatus, Errno> {
        self.files.statfs()
    }
    fn getxattr(&self, node: Node, name: &str) -> Result<Vec<u8>, Errno> {
        self.files.getxattr(self.inner(node), name)
    }
    fn setxattr(&self, node: Node, name: &str, value: &[u8]) -> Result<(), Errno> {
        self.files.setxattr(self.inner(node), name, value)
    }
    fn listxattr(&self, node: Node) -> Result<Vec<String>, Errno> {
        self.files.listxattr(self.inner(node))
    }
    fn removexattr(&self, node: Node, name: &str) -> Result<(), Errno> {
        self.files.removexattr(self.inner(node), name)
    }
}

fn mount() -> (Arc<Memfs>, Arc<Renumbered>, PluginMount, Node) {
    let files = Arc::new(Memfs::new());
    let first = Renumbered::new(&files, 0);
    let mount = PluginMount::over("test", first.clone());
    let root = mount.info().root;
    (files, first, mount, root)
}

#[test]
fn it_conforms_and_goes_on_conforming_after_a_replacement() {
    eyot_conformance::run(|| Arc::new(PluginMount::over("test", Arc::new(Memfs::new()))));
    eyot_conformance::run(|| {
        let (files, _, mount, _) = mount();
        mount.replace(Renumbered::new(&files, 1 << 20)).unwrap();
        Arc::new(mount)
    });
}

#[test]
fn files_that_are_held_and_open_go_on_under_their_numbers() {
    let (files, first, mount, root) = mount();
    let dir = mount.mkdir(root, "d", Ownership { mode: 0o755, ..OWNER }).unwrap().node;
    let file = mount.create(dir, "f", OWNER).unwrap().node;
    let handle = mount.open(file, OpenFlags::all()).unwrap();
    assert_eq!(mount.write(file, handle, 0, b"before"), Ok(6));
    mount.rename(dir, "f", root, "g", RenameFlags::empty()).unwrap();
    let second = Renumbered::new(&files, 1 << 20);
    mount.replace(second.clone()).unwrap();
    assert_eq!(first.owed(), (0, 0), "the old backend gets everything back");
    assert_eq!(mount.write(file, handle, 6, b" after"), Ok(6));
    let mut buffer = [0; 20];
    assert_eq!(mount.read(file, handle, 0, &mut buffer), Ok(12));
    assert_eq!(&buffer[..12], b"before after");
    assert_eq!(mount.getattr(file).map(|found| (found.node, found.size)), Ok((file, 12)));
    assert_eq!(mount.lookup(root, "g").map(|found| found.node), Ok(file), "the same file under its name");
    let listed = mount.readdir(root, 0, 10).unwrap();
    assert_eq!(listed.iter().find(|entry| entry.name == "g").unwrap().attributes.node, file);
    assert_eq!(mount.lookup(root, "d").map(|found| found.node), Ok(dir));
    mount.release(file, handle);
    mount.forget(file, 2);
    mount.forget(dir, 2);
    assert_eq!(second.owed(), (0, 0));
    assert_eq!(mount.metrics().replacements, 1);
}

#[test]
fn what_the_new_backend_does_not_have_is_stale_for_good() {
    let (_, _, mount, root) = mount();
    let gone = mount.create(root, "gone", OWNER).unwrap().node;
    let other = mount.create(root, "other", OWNER).unwrap().node;
    let unlinked = mount.create(root, "unlinked", OWNER).unwrap().node;
    let handle = mount.open(unlinked, OpenFlags::all()).unwrap();
    mount.unlink(root, "unlinked").unwrap();
    let files = Arc::new(Memfs::new());
    files.mkdir(files.info().root, "other", OWNER).unwrap();
    files.create(files.info().root, "unlinked", OWNER).unwrap();
    mount.replace(Renumbered::new(&files, 1 << 20)).unwrap();
    assert_eq!(mount.getattr(gone), Err(Errno::Stale));
    assert_eq!(mount.getattr(other), Err(Errno::Stale), "a directory is not the file it was");
    assert_eq!(mount.read(unlinked, handle, 0, &mut [0; 4]), Err(Errno::Stale), "it had no name any more");
    let again = mount.create(root, "gone", OWNER).unwrap();
    assert_eq!(again.node, gone, "the name leads somewhere again, and whoever holds it sees that");
    assert!(mount.getattr(gone).is_ok());
}

#[test]
fn writes_that_cannot_be_made_durable_stop_a_replacement() {
    let (files, first, mount, root) = mount();
    let file = mount.create(root, "f", OWNER).unwrap().node;
    let handle = mount.open(file, OpenFlags::WRITE).unwrap();
    first.fail_fsync.store(true, Relaxed);
    assert_eq!(mount.replace(Renumbered::new(&files, 1 << 20)), Err(Errno::Nospc));
    assert_eq!(mount.write(file, handle, 0, b"still"), Ok(5), "the old one goes on serving");
    first.fail_fsync.store(false, Relaxed);
    assert_eq!(mount.replace(Renumbered::new(&files, 1 << 20)), Ok(()));
}

/// Threads write and read files while the backend is replaced a hundred times: nothing fails, and nothing is lost.
#[test]
fn a_hundred_replacements_under_load_lose_nothing() {
    for cache in [Caching::Auto, Caching::Read, Caching::WriteBack] {
        replacements_under_load(cache);
    }
}

fn replacements_under_load(cache: Caching) {
    let files = Arc::new(Memfs::new());
    let mount = Arc::new(PluginMount::over("test", Renumbered::new(&files, 0)));
    let vm = Vm::builder()
        .root(Arc::new(Memfs::new()))
        .user(0, 0)
        .mount("/m", mount.clone(), MountOptions { cache, ..MountOptions::default() })
        .build()
        .unwrap();
    let stop = AtomicBool::new(false);
    let writes = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (vm, stop, writes) = (&vm, &stop, &writes);
            scope.spawn(move || {
                vm.make_dir(&format!("/m/{thread}"), 0o755).unwrap();
                let mut round = 0_u64;
                while !stop.load(Relaxed) || round < 50 {
                    let path = format!("/m/{thread}/{}", round % 7);
                    let text = format!("{thread} {round}").repeat(100);
                    vm.write_file(&path, text.as_bytes(), 0o644).unwrap();
                    assert_eq!(vm.read_file(&path).unwrap(), text.as_bytes());
                    assert_eq!(vm.stat(&path).unwrap().attributes.size, text.len() as u64);
                    writes.fetch_add(1, Relaxed);
                    round += 1;
                }
            });
        }
        for round in 1..=100 {
            let before = writes.load(Relaxed);
            mount.replace(Renumbered::new(&files, round << 20)).unwrap();
            while writes.load(Relaxed) == before {
                std::thread::yield_now();
            }
        }
        stop.store(true, Relaxed);
    });
    let metrics = mount.metrics();
    assert_eq!((metrics.replacements, metrics.retirements), (100, 0));
    assert!(metrics.bytes_written > 0 && metrics.functions.iter().any(|function| function.calls > 100));
    for thread in 0..4 {
        assert_eq!(vm.read_dir(&format!("/m/{thread}")).unwrap().len(), 7);
    }
}
