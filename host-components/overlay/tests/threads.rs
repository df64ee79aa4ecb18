//! Many threads at once: none waits for ever, and what is left adds up.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use common::*;
use eyot_backend::*;
use eyot_memfs::Memfs;
use eyot_overlay::Overlay;

struct Random(u64);

impl Random {
    fn below(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) % below
    }
}

/// One of everything, at random, within some directories. Every lookup is given back.
fn act(fs: &Overlay, dirs: &[Node], random: &mut Random) {
    let pick = |random: &mut Random| dirs[random.below(dirs.len() as u64) as usize];
    let (dir, other) = (pick(random), pick(random));
    let (name, to) = (format!("n{}", random.below(8)), format!("n{}", random.below(8)));
    let done = |made: Attributes| fs.forget(made.node, 1);
    match random.below(13) {
        0 => drop(fs.create(dir, &name, FILE).map(done)),
        1 => drop(fs.mkdir(dir, &name, DIR).map(done)),
        2 => drop(fs.unlink(dir, &name)),
        3 => drop(fs.rmdir(dir, &name)),
        4 | 5 => drop(fs.rename(dir, &name, other, &to, NONE)),
        6 => drop(fs.rename(dir, &name, other, &to, RenameFlags::EXCHANGE)),
        7 => drop(fs.readdir(dir, 0, 10)),
        8 => {
            if let Ok(found) = fs.lookup(dir, &name) {
                let _ = fs.link(found.node, other, &to).map(done);
                fs.forget(found.node, 1);
            }
        }
        9 => {
            if let Ok(found) = fs.lookup(dir, &name) {
                let mode = AttributeChanges { mode: Some(0o700), ..Default::default() };
                let _ = (fs.setattr(found.node, &mode), fs.getattr(found.node));
                if found.kind == NodeKind::Directory {
                    let _ = fs.create(found.node, "inner", FILE).map(done);
                    let _ = fs.unlink(found.node, "inner");
                }
                fs.forget(found.node, 1);
            }
        }
        _ => {
            if let Ok(found) = fs.lookup(dir, &name) {
                if let Ok(handle) = fs.open(found.node, OpenFlags::READ) {
                    let _ = write(fs, found.node, random.below(5_000), b"bytes");
                    let _ = fs.read(found.node, handle, 0, &mut [0; 100]);
                    fs.release(found.node, handle);
                }
                fs.forget(found.node, 1);
            }
        }
    }
}

#[test]
fn threads_do_not_wait_for_each_other_forever() {
    let mut entries = Vec::new();
    for dir in 0..4 {
        entries.push(format!("d{dir}/n0=file"));
        entries.push(format!("d{dir}/n1/inner=deep"));
        entries.push(format!("d{dir}/n2>to"));
        entries.push(format!("d{dir}/n4/"));
        if dir > 0 {
            entries.push(format!("d{dir}/n3:d0/n0"));
        }
    }
    let entries: Vec<_> = entries.iter().map(String::as_str).collect();
    for (round, without) in [Capabilities::empty(), Capabilities::SPECIAL_FILES].into_iter().enumerate() {
        let lower = Arc::new(Probe::new(planted(&entries)));
        let upper = Arc::new(Probe::new(Arc::new(Memfs::new())).without(without));
        let fs = Arc::new(Overlay::new(upper.clone(), vec![lower.clone()]).unwrap());
        let root = fs.info().root;
        let dirs: Vec<_> = (0..4).map(|dir| fs.lookup(root, &format!("d{dir}")).unwrap().node).collect();
        let (before, finished) = (lower.changes(), AtomicBool::new(false));
        std::thread::scope(|scope| {
            // A deadlock would keep the test from ending, so that somebody has to say what it is.
            scope.spawn(|| {
                let start = Instant::now();
                while !finished.load(Ordering::SeqCst) {
                    if start.elapsed() > Duration::from_secs(120) {
                        eprintln!("deadlock in round {round}");
                        std::process::abort();
                    }
                    std::thread::sleep(Duration::from_millis(20));
                }
            });
            let threads: Vec<_> = (0..6)
                .map(|thread| {
                    let (fs, dirs) = (&fs, &dirs);
                    scope.spawn(move || {
                        let mut random = Random(thread + 1);
                        (0..6_000).for_each(|_| act(fs, dirs, &mut random));
                    })
                })
                .collect();
            let ended: Vec<_> = threads.into_iter().map(|thread| thread.join()).collect();
            finished.store(true, Ordering::SeqCst);
            ended.into_iter().for_each(|ended| ended.unwrap());
        });
        for &dir in &dirs {
            let subdirs = list(&*fs, dir, 10).iter().filter(|(_, found)| found.kind == NodeKind::Directory).count();
            assert_eq!(fs.getattr(dir).unwrap().links as usize, 2 + subdirs);
        }
        let mut files: Vec<_> = dump(&*fs).into_values().filter(|seen| seen.kind == NodeKind::File).collect();
        files.sort_by_key(|seen| seen.links);
        let tree = dump(&*fs);
        dirs.iter().for_each(|&dir| fs.forget(dir, 1));
        assert_eq!(fs.inode_count(), 1 + fs.index_count());
        assert_eq!((lower.changes(), lower.open_files(), upper.open_files()), (before, 0, 0));
        drop(fs);
        assert_eq!((lower.held(), upper.held()), ((0, 0), (0, 0)));
        assert_eq!(dump(&Overlay::new(upper, vec![lower]).unwrap()), tree, "opened again, it is the same");
    }
}

/// While one thread copies a big file up, others work with what is beside it.
#[test]
fn a_long_copy_keeps_nobody_waiting_but_those_who_want_that_file() {
    let lower = planted(&["d/other=text", "d/sub/x=x"]);
    let d = walk(&*lower, "d").unwrap().node;
    let big = lower.create(d, "big", FILE).unwrap().node;
    write(&*lower, big, 0, &vec![1; 64 << 20]).unwrap();
    let slow = Arc::new(Slow { fs: lower, reading: AtomicBool::new(false), go_on: AtomicBool::new(false) });
    let fs = Overlay::new(Arc::new(Memfs::new()), vec![slow.clone()]).unwrap();
    let d = walk(&fs, "d").unwrap().node;
    let big = walk(&fs, "d/big").unwrap().node;
    let reader = fs.open(big, OpenFlags::READ).unwrap();
    std::thread::scope(|scope| {
        let copy = scope.spawn(|| write(&fs, big, 0, b"changed"));
        while !slow.reading.load(Ordering::SeqCst) {
            std::thread::yield_now();
        }
        // The copy stands still here; were a lock held that these need, the test would not end.
        write(&fs, walk(&fs, "d/other").unwrap().node, 0, b"T").unwrap();
        fs.create(d, "new", FILE).unwrap();
        fs.rename(d, "sub", fs.info().root, "moved", NONE).unwrap();
        assert_eq!(names(&fs, d), ["big", "new", "other"]);
        assert_eq!(fs.getattr(big).unwrap().size, 64 << 20);
        slow.go_on.store(true, Ordering::SeqCst);
        let mut byte = [0];
        assert!(fs.read(big, reader, 10, &mut byte).is_ok());
        copy.join().unwrap().unwrap();
    });
    let mut bytes = [0; 8];
    fs.read(big, reader, 0, &mut bytes).unwrap();
    assert_eq!(&bytes, b"changed\x01");
}

/// The name of a file goes while the file is copied up, and the copy follows it into nothing.
#[test]
fn a_file_can_lose_its_name_while_it_is_copied() {
    let lower = planted(&["f=text", "d/g=text"]);
    let slow = Arc::new(Slow { fs: lower, reading: AtomicBool::new(false), go_on: AtomicBool::new(false) });
    for path in ["f", "d/g"] {
        slow.reading.store(false, Ordering::SeqCst);
        slow.go_on.store(false, Ordering::SeqCst);
        let fs = Overlay::new(Arc::new(Memfs::new()), vec![slow.clone()]).unwrap();
        let (root, node) = (fs.info().root, walk(&fs, path).unwrap().node);
        std::thread::scope(|scope| {
            let copy = scope.spawn(|| write(&fs, node, 0, b"T"));
            while !slow.reading.load(Ordering::SeqCst) {
                std::thread::yield_now();
            }
            if path == "f" {
                fs.unlink(root, "f").unwrap();
                fs.create(root, "f", FILE).unwrap();
            } else {
                fs.unlink(walk(&fs, "d").unwrap().node, "g").unwrap();
                fs.rmdir(root, "d").unwrap();
            }
            slow.go_on.store(true, Ordering::SeqCst);
            copy.join().unwrap().unwrap();
        });
        assert_eq!((fs.getattr(node).unwrap().links, read(&fs, node)), (0, b"Text".to_vec()));
        match path {
            "f" => assert_eq!(text(&fs, "f").unwrap(), ""),
            _ => assert_eq!(walk(&fs, "d").err(), Some(Errno::Noent)),
        }
    }
}

/// A layer in which the first read of a file waits until it may go on.
struct Slow {
    fs: Arc<Memfs>,
    reading: AtomicBool,
    go_on: AtomicBool,
}

macro_rules! delegate {
    ($($name:ident($($arg:ident: $ty:ty),*) -> $ret:ty;)*) => {
        impl Filesystem for Slow {
            $(fn $name(&self, $($arg: $ty),*) -> $ret { self.fs.$name($($arg),*) })*

            fn read(&self, node: Node, handle: Handle, offset: u64, buffer: &mut [u8]) -> Result<usize, Errno> {
                let size = self.fs.getattr(node)?.size;
                let is_wanted = size > 1 << 20 || size == 4 && !self.go_on.load(Ordering::SeqCst);
                if is_wanted && buffer.len() > 1 && self.fs.getattr(node)?.links > 0 && self.waits(node) {
                    self.reading.store(true, Ordering::SeqCst);
                    while !self.go_on.load(Ordering::SeqCst) {
                        std::thread::yield_now();
                    }
                }
                self.fs.read(node, handle, offset, buffer)
            }
        }
    };
}

impl Slow {
    /// Everything waits but the file beside the big one.
    fn waits(&self, node: Node) -> bool {
        peek(&*self.fs, "d/other").map(|other| other.node) != Ok(node)
    }
}

delegate! {
    info() -> FilesystemInfo;
    lookup(dir: Node, name: &str) -> Result<Attributes, Errno>;
    forget(node: Node, count: u64) -> ();
    getattr(node: Node) -> Result<Attributes, Errno>;
    setattr(node: Node, changes: &AttributeChanges) -> Result<Attributes, Errno>;
    create(dir: Node, name: &str, owner: Ownership) -> Result<Attributes, Errno>;
    mkdir(dir: Node, name: &str, owner: Ownership) -> Result<Attributes, Errno>;
    symlink(dir: Node, name: &str, target: &str, owner: Ownership) -> Result<Attributes, Errno>;
    make_node(dir: Node, name: &str, kind: NodeKind, device: u64, owner: Ownership) -> Result<Attributes, Errno>;
    link(target: Node, dir: Node, name: &str) -> Result<Attributes, Errno>;
    unlink(dir: Node, name: &str) -> Result<(), Errno>;
    rmdir(dir: Node, name: &str) -> Result<(), Errno>;
    rename(from_dir: Node, from_name: &str, to_dir: Node, to_name: &str, how: RenameFlags) -> Result<(), Errno>;
    readlink(node: Node) -> Result<String, Errno>;
    open(node: Node, how: OpenFlags) -> Result<u64, Errno>;
    release(node: Node, handle: u64) -> ();
    write(node: Node, handle: u64, offset: u64, bytes: &[u8]) -> Result<usize, Errno>;
    fsync(node: Node, handle: u64, data_only: bool) -> Result<(), Errno>;
    readdir(dir: Node, cookie: u64, entries_max: usize) -> Result<Vec<DirectoryEntry>, Errno>;
    statfs() -> Result<FilesystemStatus, Errno>;
    listxattr(node: Node) -> Result<Vec<String>, Errno>;
}
