//! Operations that fail half way, and uppers that cannot be written to.

use super::*;

#[test]
fn a_copy_that_fails_leaves_no_trace() {
    let lower = planted(&["d/f=text", "d/g=text", "h:d/g", "d/s>t"]);
    write(&*lower, walk(&*lower, "d/f").unwrap().node, 0, &vec![7; 3 << 20]).unwrap();
    lower.setxattr(walk(&*lower, "d/f").unwrap().node, "user.x", b"x").unwrap();
    let expected = dump(&*lower);
    // After every possible number of changes of the upper, and on one that is really full.
    for allowed in 0..60 {
        let upper = Arc::new(Probe::new(memfs()));
        let fs = Overlay::new(upper.clone(), vec![lower.clone()]).unwrap();
        let f = walk(&fs, "d/f").unwrap().node;
        let reader = fs.open(f, OpenFlags::READ).unwrap();
        upper.fail_after(allowed);
        let mut failed = 0;
        for path in ["d/f", "d/g", "d/s"] {
            let node = walk(&fs, path).unwrap().node;
            let changes = AttributeChanges { modified: Some(Timestamp::default()), ..Default::default() };
            match fs.setattr(node, &changes) {
                Err(Errno::Nospc) => failed += 1,
                done => drop(done.unwrap()),
            }
        }
        upper.fail_after(i64::MAX);
        let tree = dump(&fs);
        assert_eq!(tree, expected, "after {allowed} changes");
        let mut buffer = [0; 10];
        assert_eq!((fs.read(f, reader, 0, &mut buffer), buffer), (Ok(10), [7; 10]));
        fs.release(f, reader);
        // Nothing half-made is left where things are made.
        if let Ok(temp) = walk(&*upper, ".wh..wh..work/tmp") {
            assert_eq!(names(&*upper, temp.node), Vec::<String>::new(), "after {allowed} changes");
        }
        drop(fs);
        assert_eq!(dump(&Overlay::new(upper, vec![lower.clone()]).unwrap()), expected);
        assert!(allowed < 50 || failed == 0, "{allowed} changes are not enough");
    }
    let full = Arc::new(Memfs::builder().bytes_max(1 << 20).build());
    let fs = over(&full, &[&lower]);
    let free = |fs: &Memfs| fs.statfs().unwrap().blocks_free;
    fs.create(root(&fs), "make the work directory", FILE).unwrap();
    fs.unlink(root(&fs), "h").unwrap();
    let before = free(&full);
    assert_eq!(fs.open(walk(&fs, "d/f").unwrap().node, OpenFlags::WRITE), Err(Errno::Nospc));
    assert_eq!(read(&fs, walk(&fs, "d/f").unwrap().node), vec![7; 3 << 20]);
    assert!(before - free(&full) <= 1, "a directory at most");
}

/// Every operation, failing after every possible number of changes: a name then leads to what it led to, or to what it should, and never to
/// what is below. What is left over is cleared up.
#[test]
fn an_operation_that_fails_half_way_shows_nothing_that_is_not_there() {
    type Act = fn(&Overlay, Node) -> Result<(), Errno>;
    let acts: &[Act] = &[
        |fs, root| fs.unlink(root, "f"),
        |fs, root| fs.unlink(root, "linked"),
        |fs, root| fs.unlink(root, "up"),
        |fs, root| fs.rmdir(root, "empty"),
        |fs, root| fs.rmdir(root, "emptied"),
        |fs, root| fs.rename(root, "f", root, "new", NONE),
        |fs, root| fs.rename(root, "up", root, "new", NONE),
        |fs, root| fs.rename(root, "up", root, "f", NONE),
        |fs, root| fs.rename(root, "f", root, "up", NONE),
        |fs, root| fs.rename(root, "up", root, "gone", NONE),
        |fs, root| fs.rename(root, "linked", root, "gone", NONE),
        |fs, root| fs.rename(root, "d", root, "new", NONE),
        |fs, root| fs.rename(root, "d", root, "gone", NONE),
        |fs, root| fs.rename(root, "d", root, "emptied", NONE),
        |fs, root| fs.rename(root, "d", root, "empty", NONE),
        |fs, root| fs.rename(root, "pure", root, "gone", NONE),
        |fs, root| fs.rename(root, "pure", root, "emptied", NONE),
        |fs, root| fs.rename(root, "d", root, "f", RenameFlags::EXCHANGE),
        |fs, root| fs.rename(root, "linked", root, "pure", RenameFlags::EXCHANGE),
        |fs, root| fs.mkdir(root, "gone", DIR).map(|made| fs.forget(made.node, 1)),
        |fs, root| fs.create(root, "gone", FILE).map(|made| fs.forget(made.node, 1)),
        |fs, root| {
            let f = walk(fs, "f")?.node;
            let linked = fs.link(f, root, "gone").map(|made| fs.forget(made.node, 1));
            fs.forget(f, 1);
            linked
        },
    ];
    let make = |without| {
        let lower = planted(&[
            "f=f",
            "linked=l",
            "other:linked",
            "up=old",
            "d/in=in",
            "d/sub/deep=deep",
            "empty/",
            "emptied/x=x",
            "emptied/y/",
            "gone/x=x",
        ]);
        let upper = Arc::new(Probe::new(memfs()).without(without));
        let fs = Overlay::new(upper.clone(), vec![lower.clone()]).unwrap();
        let root = root(&fs);
        let walked = |path| walk(&fs, path).unwrap().node;
        write(&fs, walked("up"), 0, b"new").unwrap();
        for (dir, name) in [("emptied", "x"), ("gone", "x")] {
            fs.unlink(walked(dir), name).unwrap();
        }
        fs.rmdir(walked("emptied"), "y").unwrap();
        fs.rmdir(root, "gone").unwrap();
        fs.mkdir(root, "pure", DIR).unwrap();
        plant(&fs, &["pure/p=p"]);
        drop(fs);
        (upper, lower)
    };
    let mut failures = 0;
    for without in [Capabilities::empty(), Capabilities::XATTRS, Capabilities::ATOMIC_RENAME] {
        for (number, act) in acts.iter().enumerate() {
            let (upper, lower) = make(without);
            let fs = Overlay::new(upper, vec![lower]).unwrap();
            let before = dump(&fs);
            act(&fs, root(&fs)).unwrap();
            let after = dump(&fs);
            assert_ne!(before, after, "operation {number}");
            for allowed in 0..60 {
                let (upper, lower) = make(without);
                let fs = Overlay::new(upper.clone(), vec![lower.clone()]).unwrap();
                upper.fail_after(allowed);
                let done = act(&fs, root(&fs));
                upper.fail_after(i64::MAX);
                failures += u32::from(done.is_err());
                // Without an exchange the upper cannot do all of it in one step.
                if without == Capabilities::ATOMIC_RENAME && done.is_err() {
                    continue;
                }
                let tree = dump(&fs);
                let expected = if done.is_ok() { &after } else { &before };
                assert!(tree == *expected, "operation {number} after {allowed}: {done:?}");
                drop(fs);
                let fs = Overlay::new(upper.clone(), vec![lower]).unwrap();
                assert_eq!(dump(&fs), tree, "operation {number} after {allowed} changes, opened again");
                drop(fs);
                let temp = walk(&*upper, ".wh..wh..work/tmp").unwrap();
                assert_eq!(names(&*upper, temp.node), Vec::<String>::new());
                if done.is_ok() {
                    break;
                }
            }
        }
    }
    assert!(failures > 200, "only {failures} failures");
}

#[test]
fn read_only_is_read_only() {
    let top: Arc<dyn Filesystem> = planted(&["d/f=top"]);
    let bottom: Arc<dyn Filesystem> = planted(&["d/f=bottom", "d/g=g", "s>t"]);
    let frozen: Arc<dyn Filesystem> = Arc::new(Probe::new(top.clone()).without(Capabilities::WRITABLE));
    for fs in
        [Overlay::read_only(vec![top, bottom.clone()]).unwrap(), Overlay::new(frozen, vec![bottom.clone()]).unwrap()]
    {
        assert!(!fs.info().capabilities.contains(Capabilities::WRITABLE));
        assert_eq!(all_names(&fs), ["/d", "/d/f", "/d/g", "/s"]);
        assert_eq!(text(&fs, "d/f").unwrap(), "top");
        let (root, d, f) = (root(&fs), walk(&fs, "d").unwrap().node, walk(&fs, "d/f").unwrap().node);
        let handle = fs.open(f, OpenFlags::READ).unwrap();
        fs.fsync(f, handle, false).unwrap();
        for refused in [
            fs.create(root, "g", FILE).err(),
            fs.mkdir(root, "g", DIR).err(),
            fs.symlink(root, "g", "f", FILE).err(),
            fs.make_node(root, "g", NodeKind::Fifo, 0, FILE).err(),
            fs.link(f, root, "g").err(),
            fs.unlink(d, "f").err(),
            fs.rmdir(root, "d").err(),
            fs.rename(d, "f", root, "g", NONE).err(),
            fs.setattr(f, &AttributeChanges { mode: Some(0o600), ..Default::default() }).err(),
            fs.open(f, OpenFlags::WRITE).err(),
            fs.open(f, OpenFlags::all()).err(),
            fs.write(f, handle, 0, b"x").err(),
            fs.setxattr(f, "user.x", b"x").err(),
            fs.removexattr(f, "user.x").err(),
        ] {
            assert_eq!(refused, Some(Errno::Rofs));
        }
    }
}

/// An upper that can no longer be written to still shows what was written, also through its index.
#[test]
fn an_upper_can_be_frozen() {
    let (upper, lower) = (memfs(), planted(&["a=text", "d/b:a", "dir/x=x", "gone=g"]));
    let fs = over(&upper, &[&lower]);
    write(&fs, walk(&fs, "d/b").unwrap().node, 0, b"T").unwrap();
    fs.unlink(root(&fs), "gone").unwrap();
    fs.rename(root(&fs), "dir", root(&fs), "moved", NONE).unwrap();
    let tree = dump(&fs);
    drop(fs);
    let frozen = Arc::new(Probe::new(upper).without(Capabilities::WRITABLE));
    let fs = Overlay::new(frozen.clone(), vec![lower]).unwrap();
    assert_eq!((dump(&fs), text(&fs, "a").unwrap().as_str()), (tree, "Text"));
    assert_eq!(fs.unlink(root(&fs), "a"), Err(Errno::Rofs));
    drop(fs);
    assert_eq!((frozen.changes(), frozen.held()), (0, (0, 0)));
}
