//! What every backend must do, and what only this one can.

mod common;

use std::sync::Arc;
use std::sync::Mutex;

use common::{OWNER, ROOT, assert_clean, list, place, read_all, size, tight, tree, write_all};
use eyot_backend::{AttributeChanges, Errno, Filesystem, NodeKind, RenameFlags};
use eyot_sqlfs::{Error, Sqlfs, SqlfsBuilder};

fn conforms(builder: impl Fn() -> SqlfsBuilder) {
    let places = Mutex::new(Vec::new());
    let ran = eyot_conformance::run(|| {
        let place = place();
        let fs = builder().open(&place.path).unwrap();
        places.lock().unwrap().push(place);
        Arc::new(fs)
    });
    assert_eq!(ran, eyot_conformance::checks().len(), "sqlfs offers everything");
}

#[test]
fn it_conforms() {
    conforms(Sqlfs::builder);
}

/// The same with little memory and other sizes, so that everything goes through the database.
#[test]
fn it_conforms_with_little_memory() {
    conforms(tight);
    conforms(|| tight().commit_bytes(0).dirty_bytes_max(0).inline_bytes_max(0).cache_bytes_max(0));
}

#[test]
fn everything_is_there_again_under_the_same_numbers() {
    let place = place();
    let fs = Sqlfs::open(&place.path).unwrap();
    let dir = fs.mkdir(ROOT, "dir", OWNER).unwrap().node;
    let short = fs.create(dir, "short", OWNER).unwrap().node;
    write_all(&fs, short, 0, b"short");
    let long = fs.create(dir, "long", OWNER).unwrap().node;
    let bytes = common::Random(7).bytes(1_000_000);
    write_all(&fs, long, 12_345, &bytes);
    fs.setxattr(long, "user.x", b"value").unwrap();
    fs.link(short, ROOT, "linked").unwrap();
    fs.symlink(ROOT, "symlink", "dir/short", OWNER).unwrap();
    fs.make_node(ROOT, "null", NodeKind::CharacterDevice, u64::MAX, OWNER).unwrap();
    let far = eyot_backend::Timestamp { seconds: 1 << 40, nanoseconds: 1 };
    fs.setattr(short, &AttributeChanges { accessed: Some(far), modified: Some(far), ..Default::default() }).unwrap();
    let cookie = fs.readdir(dir, 0, 1).unwrap()[0].cookie;
    let (before, attributes) = (tree(&fs, ROOT), fs.getattr(short).unwrap());
    drop(fs);
    let fs = Sqlfs::open(&place.path).unwrap();
    // What a kernel still holds it goes on using, without a lookup.
    assert_eq!(fs.getattr(short).unwrap(), attributes);
    assert_eq!(&read_all(&fs, long).unwrap()[12_345..], bytes);
    assert_eq!(fs.readdir(dir, cookie, 10).unwrap().len(), 1, "cookies go on");
    assert_eq!(tree(&fs, ROOT), before);
    let new = fs.create(ROOT, "new", OWNER).unwrap().node;
    assert!(new > long);
    assert_clean(&fs);
}

#[test]
fn one_process_owns_a_database() {
    let place = place();
    let fs = Sqlfs::open(&place.path).unwrap();
    let second = Sqlfs::open(&place.path);
    assert!(matches!(second, Err(Error::InUse { .. })));
    let link = place.dir.path().join("link");
    std::os::unix::fs::symlink(&place.path, &link).unwrap();
    let told = Sqlfs::open(&link).err().unwrap().to_string();
    assert!(told.contains("in use") && told.contains("fs.eyot"), "{told}");
    fs.create(ROOT, "f", OWNER).unwrap();
    drop(fs);
    assert!(Sqlfs::open(&place.path).unwrap().lookup(ROOT, "f").is_ok());
}

#[test]
fn what_is_not_ours_is_refused() {
    let place = place();
    std::fs::write(&place.path, b"a letter to my aunt").unwrap();
    assert!(matches!(Sqlfs::open(&place.path), Err(Error::Foreign { .. })));
    assert_eq!(std::fs::read(&place.path).unwrap(), b"a letter to my aunt");
    let missing = Sqlfs::open(place.dir.path().join("no/such/dir/fs.eyot"));
    assert!(matches!(missing, Err(Error::Host { .. })));
    let directory = Sqlfs::open(place.dir.path());
    assert!(directory.is_err());
    std::fs::write(&place.path, b"").unwrap();
    drop(Sqlfs::open(&place.path).unwrap());
    let with = |change: &str| {
        let copy = place.dir.path().join("copy.eyot");
        let _ = std::fs::remove_file(place.dir.path().join("copy.eyot-wal"));
        std::fs::copy(&place.path, &copy).unwrap();
        rusqlite::Connection::open(&copy).unwrap().execute_batch(change).unwrap();
        Sqlfs::open(&copy).err().unwrap_or_else(|| panic!("{change}"))
    };
    assert!(matches!(with("PRAGMA user_version = 2"), Error::Newer { found: 2, known: 1, .. }));
    assert!(matches!(with("PRAGMA user_version = 0"), Error::Foreign { .. }));
    assert!(matches!(with("PRAGMA application_id = 7"), Error::Foreign { .. }));
    assert!(matches!(with("CREATE TABLE more (x)"), Error::Foreign { .. }));
    assert!(matches!(with("DROP INDEX chunk_dead"), Error::Foreign { .. }));
    let trigger = "CREATE TRIGGER t AFTER INSERT ON entry BEGIN DELETE FROM entry; END";
    assert!(matches!(with(trigger), Error::Foreign { .. }));
    assert!(matches!(with("DELETE FROM inode"), Error::Damaged { .. }));
    assert!(matches!(with("UPDATE meta SET value = 77 WHERE key = 'chunk_bytes'"), Error::Damaged { .. }));
}

#[test]
fn bytes_are_bounded_and_come_back() {
    let place = place();
    let fs = tight().bytes_max(1 << 20).open(&place.path).unwrap();
    let free = |fs: &Sqlfs| fs.statfs().unwrap().blocks_free;
    let before = free(&fs);
    let file = fs.create(ROOT, "f", OWNER).unwrap().node;
    let bytes = common::Random(3).bytes(1 << 20);
    let (mut at, mut full) = (0, None);
    while full.is_none() {
        match fs.write(file, 0, at as u64, &bytes[at..]) {
            Ok(count) => at += count,
            Err(errno) => full = Some(errno),
        }
    }
    assert_eq!(full, Some(Errno::Nospc));
    assert!(at > 900_000, "only {at} bytes were taken");
    assert_eq!(fs.getattr(file).unwrap().size, at as u64);
    assert_eq!(read_all(&fs, file).unwrap(), &bytes[..at]);
    let names = (0..1_000_000).take_while(|index| fs.create(ROOT, &format!("n{index}"), OWNER).is_ok()).count();
    assert!(names < 1000);
    assert_eq!(fs.setxattr(file, "user.x", &[0; 10_000]), Err(Errno::Nospc));
    assert_eq!(fs.symlink(ROOT, "s", &"t".repeat(4000), OWNER), Err(Errno::Nospc));
    fs.sync().unwrap();
    fs.unlink(ROOT, "f").unwrap();
    assert!(free(&fs) < 10, "it is still held");
    fs.forget(file, 1);
    for index in 0..names {
        let node = fs.lookup(ROOT, &format!("n{index}")).unwrap().node;
        fs.unlink(ROOT, &format!("n{index}")).unwrap();
        fs.forget(node, 2);
    }
    fs.sync().unwrap();
    assert_eq!(free(&fs), before);
    assert_clean(&fs);
}

#[test]
fn inodes_are_bounded_too() {
    let place = place();
    let fs = Sqlfs::builder().inodes_max(3).open(&place.path).unwrap();
    for name in ["a", "b", "c"] {
        fs.create(ROOT, name, OWNER).unwrap();
    }
    assert_eq!(fs.create(ROOT, "d", OWNER), Err(Errno::Nospc));
    assert_eq!(fs.statfs().unwrap().files_free, 0);
    fs.unlink(ROOT, "a").unwrap();
    assert_eq!(fs.create(ROOT, "d", OWNER), Err(Errno::Nospc), "it is still held");
    drop(fs);
    let fs = Sqlfs::builder().inodes_max(3).open(&place.path).unwrap();
    fs.create(ROOT, "d", OWNER).unwrap();
    assert_clean(&fs);
}

#[test]
fn equal_contents_are_stored_once() {
    let place = place();
    let fs = Sqlfs::open(&place.path).unwrap();
    let bytes = common::Random(9).bytes(4 << 20);
    let used = |fs: &Sqlfs| {
        fs.sync().unwrap();
        let status = fs.statfs().unwrap();
        (status.blocks - status.blocks_free) * 4096
    };
    for index in 0..10 {
        let file = fs.create(ROOT, &format!("f{index}"), OWNER).unwrap().node;
        write_all(&fs, file, 0, &bytes);
        assert_eq!(fs.getattr(file).unwrap().blocks * 512, 4 << 20);
    }
    assert!(used(&fs) < 5 << 20, "{}", used(&fs));
    for index in 0..9 {
        let node = fs.lookup(ROOT, &format!("f{index}")).unwrap().node;
        fs.unlink(ROOT, &format!("f{index}")).unwrap();
        fs.forget(node, 2);
    }
    assert!(used(&fs) > 4 << 20);
    assert_eq!(read_all(&fs, fs.lookup(ROOT, "f9").unwrap().node).unwrap(), bytes);
    assert_clean(&fs);
}

#[test]
fn files_without_a_name_live_until_forgotten_or_the_next_opening() {
    let place = place();
    let fs = Sqlfs::open(&place.path).unwrap();
    let node = fs.create(ROOT, "f", OWNER).unwrap().node;
    write_all(&fs, node, 0, &[7; 300_000]);
    fs.unlink(ROOT, "f").unwrap();
    fs.sync().unwrap();
    assert_eq!(read_all(&fs, node).unwrap(), [7; 300_000]);
    drop(fs);
    let fs = Sqlfs::open(&place.path).unwrap();
    assert_eq!(fs.getattr(node), Err(Errno::Stale));
    assert_clean(&fs);
    assert_eq!(fs.statfs().unwrap().files_free, eyot_sqlfs::INODES_MAX_DEFAULT);
}

#[test]
fn compacting_gives_space_back() {
    let place = place();
    let fs = Sqlfs::open(&place.path).unwrap();
    let file = fs.create(ROOT, "f", OWNER).unwrap().node;
    write_all(&fs, file, 0, &common::Random(5).bytes(8 << 20));
    fs.snapshot("one").unwrap();
    fs.setattr(file, &size(0)).unwrap();
    let kept = fs.compact().unwrap();
    assert!(kept.bytes_after > 8 << 20, "the snapshot has it: {kept:?}");
    let clone = fs.clone_snapshot("one", ROOT, "old").unwrap();
    fs.delete_snapshot("one").unwrap();
    assert!(matches!(fs.delete_snapshot("one"), Err(Error::NoSnapshot { .. })));
    fs.compact().unwrap();
    let old = fs.lookup(clone.node, "f").unwrap().node;
    assert_eq!(read_all(&fs, old).unwrap(), common::Random(5).bytes(8 << 20), "the clone has it");
    assert_clean(&fs);
    fs.unlink(clone.node, "f").unwrap();
    fs.forget(old, 1);
    fs.rmdir(ROOT, "old").unwrap();
    fs.forget(clone.node, 1);
    let given = fs.compact().unwrap();
    assert!(given.bytes_before > 8 << 20 && given.bytes_after < 1 << 20, "{given:?}");
    assert!(std::fs::metadata(&place.path).unwrap().len() < 1 << 20);
    assert_clean(&fs);
}

#[test]
fn a_directory_cannot_move_into_itself() {
    let place = place();
    let fs = Sqlfs::open(&place.path).unwrap();
    let dir = fs.mkdir(ROOT, "d", OWNER).unwrap().node;
    let deep = fs.mkdir(dir, "e", OWNER).unwrap().node;
    let none = RenameFlags::empty();
    assert_eq!(fs.rename(ROOT, "d", dir, "x", none), Err(Errno::Inval));
    assert_eq!(fs.rename(ROOT, "d", deep, "x", none), Err(Errno::Inval));
    assert_eq!(fs.rename(dir, "e", ROOT, "d", RenameFlags::EXCHANGE), Err(Errno::Inval));
    assert_eq!(fs.rename(dir, "e", ROOT, "d", none), Err(Errno::Notempty));
    assert_clean(&fs);
}

#[test]
fn what_was_never_given_out_is_stale() {
    let place = place();
    let fs = Sqlfs::open(&place.path).unwrap();
    for node in [0, 2, 77, u64::MAX, 1 << 63, 1 << 40, i64::MAX as u64] {
        assert_eq!(fs.getattr(node), Err(Errno::Stale), "{node}");
        assert_eq!(fs.lookup(node, "x"), Err(Errno::Stale));
        assert_eq!(fs.write(node, 0, 0, b"x"), Err(Errno::Stale));
        assert_eq!(fs.fsync(node, 0, false), Err(Errno::Stale));
        assert_eq!(fs.link(node, ROOT, "x"), Err(Errno::Stale));
        fs.forget(node, u64::MAX);
        fs.release(node, 0);
    }
    for name in ["", ".", "..", "a/b", "a\0"] {
        assert_eq!(fs.create(ROOT, name, OWNER), Err(Errno::Inval));
        assert_eq!(fs.rename(ROOT, "x", ROOT, name, RenameFlags::empty()), Err(Errno::Inval));
        assert_eq!(fs.clone_tree(ROOT, ROOT, name), Err(Errno::Inval));
    }
    assert!(fs.readdir(ROOT, u64::MAX, 10).unwrap().is_empty());
    fs.forget(ROOT, u64::MAX);
    assert!(fs.getattr(ROOT).is_ok(), "the root is never forgotten");
}

/// Threads that do everything at once end, and leave a tree that adds up.
#[test]
fn threads_do_not_wait_for_each_other_forever() {
    let place = place();
    let fs = tight().open(&place.path).unwrap();
    let dirs: Vec<_> = (0..4).map(|index| fs.mkdir(ROOT, &format!("d{index}"), OWNER).unwrap().node).collect();
    std::thread::scope(|scope| {
        for thread in 0..4_u64 {
            let (fs, dirs) = (&fs, &dirs);
            scope.spawn(move || {
                let mut random = common::Random(thread + 1);
                for _ in 0..3_000 {
                    act(fs, dirs, &mut random);
                }
            });
        }
    });
    for dir in &dirs {
        for (_, attributes) in list(&fs, *dir).unwrap() {
            assert!(attributes.links > 0);
        }
    }
    assert_clean(&fs);
    drop(fs);
    assert_clean(&Sqlfs::open(&place.path).unwrap());
}

fn act(fs: &Sqlfs, dirs: &[u64], random: &mut common::Random) {
    let dir = dirs[random.below(4) as usize];
    let other = dirs[random.below(4) as usize];
    let (name, to) = (format!("n{}", random.below(6)), format!("n{}", random.below(6)));
    match random.below(14) {
        0 => drop(fs.create(dir, &name, OWNER).map(|made| fs.forget(made.node, 1))),
        1 => drop(fs.mkdir(dir, &name, OWNER).map(|made| fs.forget(made.node, 1))),
        2 => drop(fs.unlink(dir, &name)),
        3 => drop(fs.rmdir(dir, &name)),
        4 => drop(fs.rename(dir, &name, other, &to, RenameFlags::empty())),
        5 => drop(fs.rename(dir, &name, other, &to, RenameFlags::EXCHANGE)),
        6 => drop(fs.readdir(dir, 0, 10).unwrap()),
        7 => fs.fsync(dir, 0, false).unwrap(),
        8 if random.below(20) == 0 => drop(fs.clone_tree(dir, other, &to).map(|made| fs.forget(made.node, 1))),
        9 => {
            if let Ok(found) = fs.lookup(dir, &name) {
                let _ = fs.link(found.node, other, &to).map(|made| fs.forget(made.node, 1));
                fs.forget(found.node, 1);
            }
        }
        _ => {
            if let Ok(found) = fs.lookup(dir, &name) {
                let offset = random.below(200_000);
                let bytes = random.bytes(random.0 as usize % 50_000);
                let written = fs.write(found.node, 0, offset, &bytes);
                let _ = fs.setattr(found.node, &size(random.below(200_000)));
                let read = fs.read(found.node, 0, offset / 2, &mut vec![0; 100_000]);
                assert_eq!(written.is_ok(), found.kind == NodeKind::File, "{written:?}");
                assert_eq!(read.is_ok(), found.kind == NodeKind::File, "{read:?}");
                fs.release(found.node, 0);
                fs.forget(found.node, 1);
            }
        }
    }
}
