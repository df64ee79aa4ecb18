//! The native memfs: what every backend must do, and what only this one can.

use std::sync::Arc;

use eyot_backend::{AttributeChanges, Errno, Filesystem, NodeKind, Ownership, RenameFlags};
use eyot_conformance::{FixtureBody, FixtureEntry, Kept, Options, check_all, fixture};
use eyot_memfs::{BaseImage, ImageBuilder, Memfs, Meta};

const OWNER: Ownership = Ownership { mode: 0o644, uid: 0, gid: 0 };

fn image() -> Arc<BaseImage> {
    let mut builder = ImageBuilder::new();
    builder.add_file("/bin/tool", Meta::executable(), vec![1; 200_000]).unwrap();
    builder.add_hardlink("/bin/alias", "/bin/tool").unwrap();
    builder.add_file("/etc/motd", Meta::file(), b"hello\n".to_vec()).unwrap();
    builder.add_symlink("/etc/issue", "motd", Meta::file()).unwrap();
    builder.add_dir("/tmp", Meta::executable().with_mode(0o1777)).unwrap();
    Arc::new(BaseImage::open(Arc::new(builder.to_vec().unwrap())).unwrap())
}

fn used(fs: &Memfs) -> (u64, u64) {
    let status = fs.statfs().unwrap();
    (status.blocks_free, status.files_free)
}

fn walk(fs: &Memfs, path: &str) -> Result<eyot_backend::Attributes, Errno> {
    let mut at = fs.getattr(fs.info().root)?;
    for name in path.split('/').filter(|name| !name.is_empty()) {
        at = fs.lookup(at.node, name)?;
    }
    Ok(at)
}

fn read(fs: &Memfs, path: &str) -> Vec<u8> {
    let node = walk(fs, path).unwrap();
    let mut bytes = vec![0; node.size as usize];
    assert_eq!(fs.read(node.node, 0, 0, &mut bytes), Ok(bytes.len()));
    bytes
}

#[test]
fn it_conforms() {
    let ran = eyot_conformance::run(|| Arc::new(Memfs::new()));
    assert_eq!(ran, eyot_conformance::checks().len(), "memfs offers everything");
}

/// The same checks in a directory of an image that has files of its own: copying on write changes nothing for those who look.
#[test]
fn it_conforms_over_an_image() {
    let image = Arc::new(BaseImage::open(Arc::new(ImageBuilder::new().to_vec().unwrap())).unwrap());
    eyot_conformance::run(|| Arc::new(Memfs::over(Arc::clone(&image))));
}

fn meta(entry: &FixtureEntry) -> Meta {
    Meta { mode: entry.mode, uid: entry.uid, gid: entry.gid, modified: entry.modified }
}

/// An image that holds the kit's tree is seen as it was packed, and everything else holds beside it.
#[test]
fn it_conforms_over_an_image_that_holds_a_tree() {
    let mut builder = ImageBuilder::new();
    for entry in fixture() {
        let (path, meta) = (&*entry.path, meta(&entry));
        match entry.body {
            FixtureBody::Directory => builder.add_dir(path, meta),
            FixtureBody::File(bytes) => builder.add_file(path, meta, bytes),
            FixtureBody::Symlink(target) => builder.add_symlink(path, &target, meta),
            FixtureBody::HardLink(existing) => builder.add_hardlink(path, &existing),
            FixtureBody::Fifo => builder.add_special(path, NodeKind::Fifo, 0, meta),
            FixtureBody::CharacterDevice(device) => builder.add_special(path, NodeKind::CharacterDevice, device, meta),
        }
        .unwrap();
    }
    let image = Arc::new(BaseImage::open(Arc::new(builder.to_vec().unwrap())).unwrap());
    // An image holds no extended attributes.
    let populated = Some(Kept { xattrs: false, ..Kept::ALL });
    let card = check_all(|| Arc::new(Memfs::over(Arc::clone(&image))), &Options { populated, ..Options::default() });
    assert!(card.is_clean() && card.total().passed > 750, "{card}");
}

#[test]
fn the_bytes_are_bounded_and_come_back() {
    let fs = Memfs::builder().bytes_max(1 << 20).build();
    let root = fs.info().root;
    let before = used(&fs);
    let file = fs.create(root, "f", OWNER).unwrap().node;
    let taken = fs.write(file, 0, 0, &vec![1; 1 << 20]).unwrap();
    assert!(((1 << 20) - 4096..1 << 20).contains(&taken), "{taken} bytes were taken");
    assert_eq!(fs.write(file, 0, taken as u64, &[1; 100_000]), Err(Errno::Nospc));
    assert_eq!(fs.getattr(file).unwrap().size, taken as u64);
    assert_eq!(fs.create(root, "g", OWNER), Err(Errno::Nospc));
    assert_eq!(fs.setxattr(file, "user.x", &[0; 1000]), Err(Errno::Nospc));
    assert_eq!(fs.symlink(root, "s", "t", OWNER), Err(Errno::Nospc));
    assert_eq!(fs.statfs().unwrap().blocks_free, 0);
    fs.unlink(root, "f").unwrap();
    assert_eq!(fs.statfs().unwrap().blocks_free, 0, "it is still held");
    fs.forget(file, 1);
    assert_eq!(used(&fs), before);
    assert_eq!(fs.getattr(file), Err(Errno::Stale));
}

#[test]
fn names_and_inodes_are_bounded_too() {
    let fs = Memfs::builder().inodes_max(3).bytes_max(10_000).build();
    let root = fs.info().root;
    for name in ["a", "b", "c"] {
        fs.create(root, name, OWNER).unwrap();
    }
    assert_eq!(fs.create(root, "d", OWNER), Err(Errno::Nospc));
    assert_eq!(fs.statfs().unwrap().files_free, 0);
    let file = fs.lookup(root, "a").unwrap().node;
    let links = (0..1000).take_while(|index| fs.link(file, root, &format!("link-{index}")).is_ok()).count();
    assert!((10..100).contains(&links), "{links} hard links of one file in 10 kB");
    fs.rename(root, "b", root, "a", RenameFlags::empty()).unwrap();
    fs.unlink(root, "c").unwrap();
}

#[test]
fn nothing_leaks_whatever_the_order() {
    let fs = Memfs::new();
    let root = fs.info().root;
    let before = used(&fs);
    for round in 0..50_u64 {
        let dir = fs.mkdir(root, "d", OWNER).unwrap().node;
        let file = fs.create(dir, "f", OWNER).unwrap().node;
        fs.write(file, 0, round * 10_000, &vec![7; 70_000]).unwrap();
        fs.setxattr(file, "user.x", b"value").unwrap();
        fs.link(file, dir, "g").unwrap();
        fs.symlink(dir, "s", "target", OWNER).unwrap();
        fs.make_node(dir, "p", NodeKind::Fifo, 0, OWNER).unwrap();
        let (symlink, fifo) = (fs.lookup(dir, "s").unwrap().node, fs.lookup(dir, "p").unwrap().node);
        if round % 2 == 0 {
            fs.forget(file, 2);
        }
        for name in ["f", "g", "s", "p"] {
            fs.unlink(dir, name).unwrap();
        }
        if round % 2 == 1 {
            fs.forget(file, 2);
        }
        fs.forget(symlink, 2);
        fs.forget(fifo, u64::MAX);
        fs.rmdir(root, "d").unwrap();
        fs.forget(dir, 1);
        assert_eq!(used(&fs), before, "round {round}");
    }
    assert_eq!(fs.create(root, "again", OWNER).unwrap().node as u32, 2, "the slots are used again");
}

#[test]
fn an_image_is_read_in_place_and_shared() {
    let image = image();
    let (one, two) = (Memfs::over(Arc::clone(&image)), Memfs::over(Arc::clone(&image)));
    assert_eq!(read(&one, "/etc/motd"), b"hello\n");
    let tool = walk(&one, "/bin/tool").unwrap();
    assert_eq!((tool.node, tool.links, tool.mode), (walk(&two, "/bin/alias").unwrap().node, 2, 0o755));
    let content = one.content(tool.node).unwrap();
    assert_eq!(content.blake3.unwrap(), *blake3::hash(&vec![1; 200_000]).as_bytes());
    let other = two.content(tool.node).unwrap();
    assert!(std::ptr::eq((*content.bytes).as_ref(), (*other.bytes).as_ref()), "both see the same bytes");

    let node = tool.node;
    one.setattr(node, &AttributeChanges { mode: Some(0o700), ..Default::default() }).unwrap();
    assert!(one.content(node).is_some(), "the bytes have not changed");
    one.write(node, 0, 100_000, b"changed").unwrap();
    assert!(one.content(node).is_none() && two.content(node).is_some());
    assert_eq!(&read(&one, "/bin/alias")[99_999..100_008], b"\x01changed\x01");
    assert_eq!(read(&two, "/bin/alias"), vec![1; 200_000]);
    assert_eq!((walk(&one, "/bin/tool").unwrap().mode, walk(&two, "/bin/tool").unwrap().mode), (0o700, 0o755));
    assert_eq!((*content.bytes).as_ref(), vec![1; 200_000], "what was handed out never changes");
}

#[test]
fn names_of_an_image_can_be_taken_away_and_made() {
    let image = image();
    let fs = Memfs::builder().image(Arc::clone(&image)).bytes_max(20_000).build();
    let root = fs.info().root;
    let bin = walk(&fs, "/bin").unwrap().node;
    let tool = walk(&fs, "/bin/tool").unwrap().node;
    let first = fs.readdir(bin, 0, 1).unwrap();
    fs.unlink(bin, "tool").unwrap();
    assert_eq!(fs.getattr(tool).unwrap().links, 1);
    fs.unlink(bin, "alias").unwrap();
    assert_eq!((fs.getattr(tool).unwrap().links, fs.content(tool).is_some()), (0, true));
    assert!(fs.readdir(bin, first[0].cookie, 10).unwrap().is_empty());
    fs.forget(tool, 1);
    assert_eq!(fs.getattr(tool), Err(Errno::Stale), "the last name and the last lookup are gone");
    assert_eq!(fs.rmdir(root, "etc"), Err(Errno::Notempty));
    fs.rmdir(root, "bin").unwrap();
    fs.rename(root, "etc", root, "bin", RenameFlags::empty()).unwrap();
    assert_eq!(read(&fs, "/bin/motd"), b"hello\n");
    assert_eq!(fs.lookup(root, "etc"), Err(Errno::Noent));
    let other = Memfs::over(image);
    assert_eq!(read(&other, "/etc/motd"), b"hello\n");
    // A full filesystem can still be emptied.
    let full = Memfs::builder().image(self::image()).bytes_max(0).build();
    let etc = walk(&full, "/etc").unwrap().node;
    assert_eq!(full.create(etc, "new", OWNER), Err(Errno::Nospc));
    full.unlink(etc, "motd").unwrap();
    assert_eq!(full.readlink(walk(&full, "/etc/issue").unwrap().node).unwrap(), "motd");
}

#[test]
fn what_was_never_given_out_is_stale() {
    let fs = Memfs::new();
    for node in [0, 2, 77, u64::MAX, 1 << 32 | 1, u64::from(u32::MAX)] {
        assert_eq!(fs.getattr(node), Err(Errno::Stale), "{node}");
        assert_eq!(fs.lookup(node, "x"), Err(Errno::Stale));
        assert_eq!(fs.write(node, 0, 0, b"x"), Err(Errno::Stale));
        assert_eq!(fs.link(node, 1, "x"), Err(Errno::Stale));
        fs.forget(node, u64::MAX);
    }
    for name in ["", ".", "..", "a/b", "a\0"] {
        assert_eq!(fs.create(1, name, OWNER), Err(Errno::Inval));
        assert_eq!(fs.rename(1, "x", 1, name, RenameFlags::empty()), Err(Errno::Inval));
    }
    fs.forget(1, u64::MAX);
    assert!(fs.getattr(1).is_ok(), "the root is never forgotten");
}

#[test]
fn a_directory_cannot_move_into_itself() {
    let fs = Memfs::new();
    let dir = fs.mkdir(1, "d", OWNER).unwrap().node;
    assert_eq!(fs.rename(1, "d", dir, "x", RenameFlags::empty()), Err(Errno::Inval));
    fs.mkdir(dir, "e", OWNER).unwrap();
    assert_eq!(fs.rename(dir, "e", 1, "d", RenameFlags::EXCHANGE), Err(Errno::Inval));
    assert_eq!(fs.rename(dir, "e", 1, "d", RenameFlags::empty()), Err(Errno::Notempty));
}

#[test]
fn the_clock_is_the_one_that_was_given() {
    let now = eyot_backend::Timestamp { seconds: 77, nanoseconds: 7 };
    let fs = Memfs::builder().clock(move || now).build();
    assert_eq!(fs.create(1, "f", OWNER).unwrap().created, now);
}

/// Threads that do everything at once end, and leave a tree that adds up.
#[test]
fn threads_do_not_wait_for_each_other_forever() {
    let fs = Arc::new(Memfs::over(image()));
    let dirs: Vec<_> = (0..4).map(|index| fs.mkdir(1, &format!("d{index}"), OWNER).unwrap().node).collect();
    let before = used(&fs);
    std::thread::scope(|scope| {
        for thread in 0..4_u64 {
            let (fs, dirs) = (&fs, &dirs);
            scope.spawn(move || {
                let mut seed = thread + 1;
                let mut random = |below: u64| {
                    seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                    (seed >> 33) % below
                };
                for _ in 0..20_000 {
                    let dir = dirs[random(4) as usize];
                    let other = dirs[random(4) as usize];
                    let (name, to) = (format!("n{}", random(6)), format!("n{}", random(6)));
                    match random(10) {
                        0 => drop(fs.create(dir, &name, OWNER).map(|made| fs.forget(made.node, 1))),
                        1 => drop(fs.mkdir(dir, &name, OWNER).map(|made| fs.forget(made.node, 1))),
                        2 => drop(fs.unlink(dir, &name)),
                        3 => drop(fs.rmdir(dir, &name)),
                        4 => drop(fs.rename(dir, &name, other, &to, RenameFlags::empty())),
                        5 => drop(fs.rename(dir, &name, other, &to, RenameFlags::EXCHANGE)),
                        6 => drop(fs.readdir(dir, 0, 10)),
                        7 => {
                            if let Ok(found) = fs.lookup(dir, &name) {
                                let _ = fs.link(found.node, other, &to).map(|made| fs.forget(made.node, 1));
                                fs.forget(found.node, 1);
                            }
                        }
                        _ => {
                            if let Ok(found) = fs.lookup(dir, &name) {
                                let _ = fs.write(found.node, 0, random(100_000), b"bytes");
                                let _ = fs.read(found.node, 0, 0, &mut [0; 100]);
                                fs.forget(found.node, 1);
                            }
                        }
                    }
                }
            });
        }
    });
    for &dir in &dirs {
        let subdirectories = fs.readdir(dir, 0, 100).unwrap();
        let count = subdirectories.iter().filter(|entry| entry.attributes.kind == NodeKind::Directory).count();
        assert_eq!(fs.getattr(dir).unwrap().links as usize, 2 + count);
        for entry in subdirectories {
            match entry.attributes.kind {
                NodeKind::Directory => fs.rmdir(dir, &entry.name).unwrap(),
                _ => fs.unlink(dir, &entry.name).unwrap(),
            }
        }
    }
    assert_eq!(used(&fs), before, "everything that was charged came back");
}
