//! Databases that lie: every call answers, with an error or with something that can be, and nothing panics or goes on for ever.

mod common;

use std::path::Path;
use std::time::{Duration, Instant};

use common::{OWNER, ROOT, Random, place, read_all, size, tree, write_all};
use eyot_backend::{Errno, Filesystem, Node, NodeKind, RenameFlags};
use eyot_sqlfs::{Problem, Sqlfs};

/// A small tree with something of everything, closed.
fn make(path: &Path) {
    let fs = Sqlfs::builder().page_bytes(4096).chunk_bytes(64 << 10).open(path).unwrap();
    let dir = fs.mkdir(ROOT, "dir", OWNER).unwrap().node;
    let deep = fs.mkdir(dir, "deep", OWNER).unwrap().node;
    for index in 0..30 {
        let file = fs.create(deep, &format!("file-{index}"), OWNER).unwrap().node;
        write_all(&fs, file, 0, &Random(index + 1).bytes(index as usize * 100));
    }
    let long = fs.create(dir, "long", OWNER).unwrap().node;
    write_all(&fs, long, 0, &Random(99).bytes(300_000));
    fs.setxattr(long, "user.x", &[1; 100]).unwrap();
    fs.link(long, deep, "linked").unwrap();
    fs.symlink(ROOT, "symlink", "target", OWNER).unwrap();
    let plain = fs.mkdir(ROOT, "plain", OWNER).unwrap().node;
    fs.mkdir(plain, "below", OWNER).unwrap();
    fs.create(plain, "file", OWNER).unwrap();
    fs.snapshot("snapshot").unwrap();
    write_all(&fs, long, 100_000, b"changed");
    fs.unlink(deep, "file-3").unwrap();
    fs.clone_tree(dir, ROOT, "clone").unwrap();
    fs.clone_tree(plain, ROOT, "lazy").unwrap();
}

/// Calls everything there is, whatever it answers.
fn exercise(fs: &Sqlfs) {
    let mut waiting = vec![ROOT];
    let mut seen = 0;
    while let Some(dir) = waiting.pop() {
        let mut cookie = 0;
        while let Ok(page) = fs.readdir(dir, cookie, 10) {
            let Some(last) = page.last().map(|entry| entry.cookie) else { break };
            if last <= cookie {
                panic!("a listing does not go on");
            }
            cookie = last;
            for entry in page {
                seen += 1;
                if let Ok(found) = fs.lookup(dir, &entry.name) {
                    touch(fs, dir, &entry.name, found.node, found.size);
                    if found.kind == NodeKind::Directory && seen < 150 {
                        waiting.push(found.node);
                    }
                    fs.forget(found.node, 1);
                }
            }
            if seen > 300 {
                return;
            }
        }
        change(fs, dir);
    }
}

fn touch(fs: &Sqlfs, dir: Node, name: &str, node: Node, length: u64) {
    let mut buffer = vec![0; 100_000];
    let _ = fs.getattr(node);
    for offset in [0, length / 2, length.saturating_sub(10), u64::MAX] {
        let _ = fs.read(node, 0, offset, &mut buffer);
    }
    let _ = fs.readlink(node);
    for name in fs.listxattr(node).unwrap_or_default() {
        let _ = fs.getxattr(node, &name);
    }
    let _ = fs.write(node, 0, length / 3, b"written");
    let _ = fs.write(node, 0, length.min(1 << 40), b"appended");
    let _ = fs.setattr(node, &size(length / 2));
    let _ = fs.link(node, dir, "another");
    let _ = fs.rename(dir, name, dir, "moved", RenameFlags::empty());
    let _ = fs.rename(dir, "moved", dir, name, RenameFlags::empty());
    let _ = fs.rename(dir, name, node, "below", RenameFlags::empty());
    let _ = fs.clone_tree(node, ROOT, "cloned").map(|made| fs.forget(made.node, 1));
}

fn change(fs: &Sqlfs, dir: Node) {
    let _ = fs.create(dir, "new", OWNER).map(|made| fs.forget(made.node, 1));
    let _ = fs.mkdir(dir, "newdir", OWNER).map(|made| fs.forget(made.node, 1));
    let _ = fs.rmdir(dir, "newdir");
    let _ = fs.unlink(dir, "new");
    if dir == ROOT {
        let _ = fs.fsync(dir, 0, false);
    }
}

fn everything(path: &Path) {
    let start = Instant::now();
    if let Ok(fs) = Sqlfs::open(path) {
        let _ = fs.check();
        exercise(&fs);
        let _ = fs.statfs();
        let _ = fs.snapshots().map(|all| {
            all.iter().for_each(|it| drop(fs.clone_snapshot(&it.name, ROOT, "snap").map(|it| fs.forget(it.node, 1))));
        });
        let _ = fs.compact();
    }
    if let Ok(fs) = Sqlfs::open(path) {
        let _ = fs.restore("snapshot");
        let _ = fs.repair();
        let _ = fs.check();
        exercise(&fs);
    }
    assert!(start.elapsed() < Duration::from_secs(60), "it took {:?}", start.elapsed());
}

#[test]
fn flipped_bytes_are_errors() {
    let rounds = if std::env::var_os("EYOT_LONG").is_some() { 3000 } else { 30 };
    let place = place();
    make(&place.path);
    let whole = std::fs::read(&place.path).unwrap();
    let copy = place.dir.path().join("copy.eyot");
    let seed = 0xf11b + u64::from(std::process::id());
    println!("seed {seed}");
    let mut random = Random(seed);
    for round in 0..rounds {
        let mut bytes = whole.clone();
        let magnitude = random.below(8);
        for _ in 0..1 + random.below(1 << magnitude) {
            let at = if round % 3 == 0 { random.below(bytes.len() as u64) } else { random.below(20 * 4096) } as usize;
            bytes[at] = random.below(256) as u8;
        }
        if round % 10 == 9 {
            bytes.truncate(random.below(bytes.len() as u64) as usize);
        }
        for suffix in ["-wal", "-shm"] {
            let _ = std::fs::remove_file(place.dir.path().join(format!("copy.eyot{suffix}")));
        }
        std::fs::write(&copy, bytes).unwrap();
        everything(&copy);
    }
}

/// Changes the database by SQL as no Sqlfs would, and gives the copy to `then`.
fn with(change: &str, then: impl FnOnce(&Path)) {
    let place = place();
    make(&place.path);
    let conn = rusqlite::Connection::open(&place.path).unwrap();
    conn.execute_batch(change).unwrap_or_else(|error| panic!("{change}: {error}"));
    drop(conn);
    then(&place.path);
    let kept = place.path.clone();
    everything(&kept);
}

fn problems(path: &Path) -> Vec<Problem> {
    Sqlfs::open(path).unwrap().check().unwrap().problems
}

#[test]
fn lies_are_found_and_repaired() {
    type Is = fn(&Problem) -> bool;
    let lies: [(&str, Is); 20] = [
        ("UPDATE inode SET links = 7 WHERE ino = 5", |it| {
            matches!(it, Problem::Links { ino: 5, found: 7, expected: 1 })
        }),
        ("UPDATE inode SET links = 9 WHERE ino = 1", |it| matches!(it, Problem::Links { ino: 1, .. })),
        ("UPDATE inode SET kind = 99 WHERE ino = 5", |it| matches!(it, Problem::BadInode { ino: 5 })),
        ("UPDATE inode SET times = x'00' WHERE ino = 5", |it| matches!(it, Problem::BadInode { ino: 5 })),
        ("UPDATE inode SET size = 5000000 WHERE ino = 5", |it| matches!(it, Problem::BadInode { ino: 5 })),
        ("UPDATE inode SET xattrs = x'ffffffff00' WHERE ino = 5", |it| matches!(it, Problem::BadInode { .. })),
        ("UPDATE inode SET parent = 77 WHERE ino = 3", |it| matches!(it, Problem::Parent { ino: 3, found: 77, .. })),
        ("UPDATE inode SET stored = 1 WHERE ino = 34", |it| matches!(it, Problem::Stored { ino: 34, .. })),
        ("DELETE FROM inode WHERE ino = 6", |it| matches!(it, Problem::DanglingEntry { child: 6, .. })),
        ("UPDATE entry SET name = 'a/b' WHERE child = 5", |it| matches!(it, Problem::BadName { .. })),
        ("UPDATE entry SET name = '..' WHERE child = 5", |it| matches!(it, Problem::BadName { .. })),
        ("UPDATE entry SET dir = 5 WHERE child = 6", |it| matches!(it, Problem::StrayEntry { dir: 5, .. })),
        ("UPDATE entry SET dir = 3 WHERE child = 2", |it| matches!(it, Problem::Unreachable { .. })),
        ("INSERT INTO entry VALUES (3, 9999, 1, 'loop', 2)", |it| matches!(it, Problem::SecondName { child: 2, .. })),
        ("INSERT INTO entry VALUES (3, 9999, 1, 'root', 1)", |it| matches!(it, Problem::SecondName { child: 1, .. })),
        ("DELETE FROM entry WHERE child = 5", |it| matches!(it, Problem::Links { ino: 5, expected: 0, .. })),
        ("UPDATE chunk SET refs = refs + 5", |it| matches!(it, Problem::References { .. })),
        ("DELETE FROM chunk_data WHERE id = 1", |it| matches!(it, Problem::MissingChunk { chunk: 1, .. })),
        ("INSERT INTO extent VALUES (5, 3, 1, 1)", |it| matches!(it, Problem::StrayExtent { ino: 5, index: 3 })),
        ("UPDATE inode SET origin = 999 WHERE origin = 36", |it| matches!(it, Problem::Origin { origin: 999, .. })),
    ];
    for (change, is) in lies {
        with(change, |path| {
            let found = problems(path);
            assert!(found.iter().any(is), "{change}: {found:?}");
            let fs = Sqlfs::open(path).unwrap();
            let left = fs.repair().unwrap();
            assert!(left.is_clean(), "{change}: {:?}", left.problems);
            let _ = tree(&fs, ROOT);
            common::assert_clean(&fs);
        });
    }
}

#[test]
fn changed_bytes_are_found_and_told() {
    with("UPDATE chunk_data SET data = zeroblob(length(data)) WHERE id = 1", |path| {
        assert_eq!(problems(path), [Problem::Contents { chunk: 1 }]);
        assert_eq!(Sqlfs::open(path).unwrap().repair().unwrap().problems, [Problem::Contents { chunk: 1 }]);
    });
    // A chunk that says it is a gigabyte; SQLite is not let make it.
    with("UPDATE chunk SET bytes = 1 << 30; UPDATE chunk_data SET data = zeroblob(3000000)", |path| {
        let fs = Sqlfs::open(path).unwrap();
        let dir = fs.lookup(ROOT, "dir").unwrap().node;
        let long = fs.lookup(dir, "long").unwrap().node;
        assert_eq!(read_all(&fs, long), Err(Errno::Io));
        assert_eq!(fs.write(long, 0, 5, b"x"), Err(Errno::Io));
    });
}

#[test]
fn circles_end() {
    // `dir` lies in its own subdirectory.
    with("UPDATE entry SET dir = 3 WHERE child = 2; UPDATE inode SET parent = 3 WHERE ino = 2", |path| {
        let fs = Sqlfs::open(path).unwrap();
        assert_eq!(fs.lookup(ROOT, "dir"), Err(Errno::Noent));
        fs.mkdir(ROOT, "x", OWNER).unwrap();
        assert_eq!(fs.rename(ROOT, "x", 3, "x", RenameFlags::empty()), Err(Errno::Io));
        assert_eq!(fs.clone_tree(3, ROOT, "y"), Err(Errno::Io));
    });
    // A directory that borrows from itself, and two that borrow from each other.
    with("UPDATE inode SET origin = ino, origin_epoch = 1000 WHERE ino IN (2, 3, 36)", |path| {
        let fs = Sqlfs::open(path).unwrap();
        for name in ["dir", "lazy"] {
            let _ = fs.lookup(ROOT, name).and_then(|dir| fs.readdir(dir.node, 0, 100));
        }
    });
    with("UPDATE inode SET size = 9223372036854775807 WHERE ino = 34", |path| {
        let fs = Sqlfs::open(path).unwrap();
        let dir = fs.lookup(ROOT, "dir").unwrap().node;
        let long = fs.lookup(dir, "long").unwrap();
        assert_eq!(fs.read(long.node, 0, 1 << 62, &mut [1; 100]), Ok(100));
        assert_eq!(fs.write(long.node, 0, i64::MAX as u64, b"x"), Err(Errno::Fbig));
        assert_eq!(fs.setattr(long.node, &size(10)).unwrap().size, 10);
    });
}
