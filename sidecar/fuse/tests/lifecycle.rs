//! How a mount ends, whatever its backend does.

mod common;

use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::{World, code, is_mounted, memfs};
use eyot_backend::{Errno, Filesystem};
use eyot_fuse::{Mount, MountError, Options};
use eyot_memfs::Memfs;
use rustix::mount::{MountFlags, UnmountFlags};

#[test]
fn dropping_unmounts_and_gives_every_lookup_back() {
    let memfs = Arc::new(memfs().build());
    let Some(mut world) = World::new(memfs.clone(), Options::default()) else { return };
    fs::write(world.at("f"), vec![1; 100_000]).unwrap();
    let before = memfs.statfs().unwrap();
    drop(File::open(world.at("f")).unwrap());
    fs::remove_file(world.at("f")).unwrap();
    fs::write(world.at("kept"), "").unwrap();
    assert!(is_mounted(world.dir.path()));
    drop(world.mount.take());
    assert!(!is_mounted(world.dir.path()));
    assert_eq!(fs::read_dir(world.dir.path()).unwrap().count(), 0);
    // Unlinked after the mount's end, the inode must go at once: nobody holds it.
    let root = memfs.info().root;
    memfs.unlink(root, "kept").unwrap();
    let after = memfs.statfs().unwrap();
    assert!(after.blocks_free > before.blocks_free);
    assert_eq!(after.files_free, before.files_free + 1);
}

#[test]
fn a_mount_in_use_goes_when_it_is_dropped() {
    let options = Options { linger: Duration::from_millis(100), ..Options::default() };
    let Some(mut world) = World::new(Arc::new(memfs().build()), options) else { return };
    fs::write(world.at("f"), "x").unwrap();
    let file = File::open(world.at("f")).unwrap();
    drop(world.mount.take());
    assert!(!is_mounted(world.dir.path()));
    assert!(file.sync_all().is_err(), "its server is gone");
}

#[test]
fn a_dead_mount_in_the_way_is_named() {
    if eyot_fuse::available().is_err() || !rustix::process::geteuid().is_root() {
        return eprintln!("skipped: needs FUSE and root");
    }
    let dir = tempfile::tempdir().unwrap();
    let device = File::options().read(true).write(true).open("/dev/fuse").unwrap();
    let data = format!("fd={},rootmode=40000,user_id=0,group_id=0", device.as_raw_fd());
    let data = std::ffi::CString::new(data).unwrap();
    if let Err(error) = rustix::mount::mount("dead", dir.path(), "fuse", MountFlags::NODEV, &*data) {
        return eprintln!("skipped: {error}");
    }
    drop(device);
    let error = Mount::new(Arc::new(memfs().build()), dir.path(), Options::default()).err().unwrap();
    rustix::mount::unmount(dir.path(), UnmountFlags::DETACH).unwrap();
    assert!(matches!(error, MountError::Dead { .. }), "{error}");
    assert!(error.to_string().contains("umount -l"), "{error}");
}

#[test]
fn waiting_ends_when_it_is_unmounted_elsewhere() {
    let Some(world) = World::memfs() else { return };
    let mount = world.mount.as_ref().unwrap();
    let unmounter = mount.unmounter();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| mount.wait());
        std::thread::sleep(Duration::from_millis(50));
        assert!(!waiting.is_finished());
        unmounter.unmount();
        waiting.join().unwrap().unwrap();
    });
    assert!(!is_mounted(world.dir.path()));
}

/// A backend whose files are broken in the ways that the names say.
struct Broken(Memfs);

macro_rules! pass_on {
    ($($name:ident($($arg:ident: $type:ty),*) -> $answer:ty;)*) => {
        $(fn $name(&self, $($arg: $type),*) -> $answer { self.0.$name($($arg),*) })*
    };
}

impl Filesystem for Broken {
    fn lookup(&self, dir: u64, name: &str) -> Result<eyot_backend::Attributes, Errno> {
        match name {
            "panics" => panic!("as it was told"),
            "hangs" => loop {
                std::thread::sleep(Duration::from_secs(3600));
            },
            "zero" => Ok(eyot_backend::Attributes { node: 0, ..self.0.getattr(dir)? }),
            name => self.0.lookup(dir, name),
        }
    }

    pass_on! {
        info() -> eyot_backend::FilesystemInfo;
        forget(node: u64, count: u64) -> ();
        getattr(node: u64) -> Result<eyot_backend::Attributes, Errno>;
        setattr(node: u64, changes: &eyot_backend::AttributeChanges) -> Result<eyot_backend::Attributes, Errno>;
        create(dir: u64, name: &str, owner: eyot_backend::Ownership) -> Result<eyot_backend::Attributes, Errno>;
        mkdir(dir: u64, name: &str, owner: eyot_backend::Ownership) -> Result<eyot_backend::Attributes, Errno>;
        symlink(dir: u64, name: &str, target: &str, owner: eyot_backend::Ownership) -> Result<eyot_backend::Attributes, Errno>;
        make_node(dir: u64, name: &str, kind: eyot_backend::NodeKind, device: u64, owner: eyot_backend::Ownership) -> Result<eyot_backend::Attributes, Errno>;
        link(target: u64, dir: u64, name: &str) -> Result<eyot_backend::Attributes, Errno>;
        unlink(dir: u64, name: &str) -> Result<(), Errno>;
        rmdir(dir: u64, name: &str) -> Result<(), Errno>;
        rename(from_dir: u64, from_name: &str, to_dir: u64, to_name: &str, how: eyot_backend::RenameFlags) -> Result<(), Errno>;
        readlink(node: u64) -> Result<String, Errno>;
        open(node: u64, how: eyot_backend::OpenFlags) -> Result<u64, Errno>;
        release(node: u64, handle: u64) -> ();
        write(node: u64, handle: u64, offset: u64, bytes: &[u8]) -> Result<usize, Errno>;
        fsync(node: u64, handle: u64, data_only: bool) -> Result<(), Errno>;
        statfs() -> Result<eyot_backend::FilesystemStatus, Errno>;
    }

    fn read(&self, _node: u64, _handle: u64, _offset: u64, buffer: &mut [u8]) -> Result<usize, Errno> {
        Ok(buffer.len().saturating_add(4096))
    }

    fn readdir(&self, dir: u64, _cookie: u64, entries_max: usize) -> Result<Vec<eyot_backend::DirectoryEntry>, Errno> {
        // The same entries for ever.
        self.0.readdir(dir, 0, entries_max)
    }
}

#[test]
fn a_backend_that_panics_lies_or_hangs_harms_only_its_callers() {
    // Exclusive, because a file that is not cached has no end but the one that its reads tell, and this one tells none.
    let options = Options { exclusive: true, linger: Duration::from_millis(200), ..Options::default() };
    let Some(mut world) = World::new(Arc::new(Broken(memfs().build())), options) else { return };
    for _ in 0..20 {
        assert_eq!(code(fs::metadata(world.at("panics")).unwrap_err()), Errno::Io.linux());
    }
    assert!(fs::metadata(world.at("zero")).is_err());
    fs::write(world.at("f"), "abc").unwrap();
    assert_eq!(fs::read(world.at("f")).unwrap().len(), 3);
    let listed = fs::read_dir(world.dir.path()).and_then(|dir| dir.take(100_000).collect::<Result<Vec<_>, _>>());
    assert!(listed.is_err(), "a listing without end");
    // Without root, a connection is broken off by the control filesystem. Where that is not mounted, a call of this very process would hang for ever, and the process with it.
    let can_break_off = rustix::process::geteuid().is_root()
        || fs::read_dir("/sys/fs/fuse/connections").is_ok_and(|connections| connections.count() > 0);
    if !can_break_off {
        return eprintln!("skipped in part: /sys/fs/fuse/connections is not mounted");
    }
    let path = world.at("hangs");
    let caller = std::thread::spawn(move || fs::metadata(path).map(drop).map_err(code));
    std::thread::sleep(Duration::from_millis(100));
    let start = Instant::now();
    drop(world.mount.take());
    assert!(start.elapsed() < Duration::from_secs(5));
    assert!(!is_mounted(world.dir.path()));
    assert!(caller.join().unwrap().is_err(), "the call that hung has ended");
}
