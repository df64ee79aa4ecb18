//! What the layers are together.

use super::*;

#[test]
fn layers_merge_from_the_top() {
    let top = planted(&["etc/a=top", "only-top=1", "x=a file", "same/in-top="]);
    let bottom = planted(&["etc/a=bottom", "etc/b=bottom", "x/under=hidden", "same/in-bottom="]);
    let upper = planted(&["etc/c=upper"]);
    let fs = over(&upper, &[&top, &bottom]);
    assert_eq!(names(&fs, walk(&fs, "etc").unwrap().node), ["a", "b", "c"]);
    assert_eq!(text(&fs, "etc/a").unwrap(), "top");
    assert_eq!(text(&fs, "etc/b").unwrap(), "bottom");
    assert_eq!((text(&fs, "x").unwrap().as_str(), walk(&fs, "x/under").err()), ("a file", Some(Errno::Notdir)));
    assert_eq!(names(&fs, walk(&fs, "same").unwrap().node), ["in-bottom", "in-top"]);
    assert_eq!(walk(&fs, "/").unwrap().links, 4, "etc and same");
}

#[test]
fn what_the_layers_can_and_how_long_it_holds_is_combined() {
    let layer =
        |without, lasts| -> Arc<dyn Filesystem> { Arc::new(Probe::new(memfs()).without(without).lasting(lasts)) };
    let nothing = Capabilities::empty();
    let fs = Overlay::new(layer(nothing, 50), vec![layer(nothing, 7), layer(nothing, u64::MAX)]).unwrap();
    let info = fs.info();
    assert_eq!((info.entry_lifetime_ns, info.absence_lifetime_ns, &*info.kind), (7, 0, "overlay"));
    assert_eq!(info.capabilities, Capabilities::all() - Capabilities::EVENTS - Capabilities::LOCKS);
    let folds = layer(Capabilities::CASE_SENSITIVE | Capabilities::XATTRS, 1);
    let info = Overlay::new(layer(Capabilities::SPARSE, 1), vec![folds]).unwrap().info();
    assert!(!info.capabilities.intersects(Capabilities::CASE_SENSITIVE | Capabilities::SPARSE));
    assert!(info.capabilities.contains(Capabilities::XATTRS | Capabilities::WRITABLE));
    assert_eq!(Overlay::read_only(vec![]).err(), Some(Errno::Inval));
    assert_eq!(Overlay::read_only((0..=LAYERS_MAX).map(|_| layer(nothing, 1)).collect()).err(), Some(Errno::Inval));
    assert!(Overlay::read_only((0..LAYERS_MAX).map(|_| layer(nothing, 1)).collect()).is_ok());
    let nested = Overlay::new(memfs(), vec![Arc::new(fs)]).unwrap();
    assert_eq!(nested.info().kind, "overlay2");
}

#[test]
fn a_lower_without_extended_attributes_has_none() {
    let lower = planted(&["f=f"]);
    let plain: Arc<dyn Filesystem> = Arc::new(Probe::new(lower).without(Capabilities::XATTRS));
    let fs = Overlay::new(memfs(), vec![plain]).unwrap();
    let f = walk(&fs, "f").unwrap().node;
    assert_eq!((fs.getxattr(f, "user.x"), fs.listxattr(f)), (Err(Errno::Nodata), Ok(vec![])));
    fs.setxattr(f, "user.x", b"x").unwrap();
    assert_eq!((fs.getxattr(f, "user.x"), fs.listxattr(f)), (Ok(b"x".to_vec()), Ok(vec!["user.x".into()])));
}

#[test]
fn programs_are_loaded_in_place_until_they_are_changed() {
    let mut builder = ImageBuilder::new();
    builder.add_file("/bin/tool", Meta::executable(), vec![1; 200_000]).unwrap();
    let image = Arc::new(BaseImage::open(Arc::new(builder.to_vec().unwrap())).unwrap());
    let lower = Arc::new(Memfs::over(image));
    let fs = over(&memfs(), &[&lower]);
    let tool = walk(&fs, "bin/tool").unwrap().node;
    let (ours, theirs) = (fs.content(tool).unwrap(), lower.content(walk(&*lower, "bin/tool").unwrap().node).unwrap());
    assert!(std::ptr::eq((*ours.bytes).as_ref(), (*theirs.bytes).as_ref()));
    assert_eq!(ours.blake3, theirs.blake3);
    write(&fs, tool, 0, b"x").unwrap();
    assert!(fs.content(tool).is_none());
    assert!(fs.content(root(&fs)).is_none());
}

#[test]
fn everything_is_given_back() {
    let (upper, lower) = (Arc::new(Probe::new(memfs())), planted(&["a/b/c/f=f", "a/g=g", "h=h", "i:h", "s>t"]));
    let lower = Arc::new(Probe::new(lower));
    let fs = Overlay::new(upper.clone(), vec![lower.clone()]).unwrap();
    let root = root(&fs);
    for round in 0..3 {
        let f = walk(&fs, "a/b/c/f").unwrap().node;
        assert!(round > 0 || lower.held().1 == 4, "what is needed to copy it up is held");
        let handle = fs.open(f, OpenFlags::READ).unwrap();
        write(&fs, f, 0, b"F").unwrap();
        fs.forget(f, 1);
        fs.release(f, handle);
        list(&fs, root, 2);
        let made = fs.create(root, "made", FILE).unwrap().node;
        fs.lookup(root, "made").unwrap();
        fs.unlink(root, "made").unwrap();
        assert_eq!(fs.getattr(made).unwrap().links, 0);
        fs.forget(made, 2);
        assert_eq!(fs.getattr(made), Err(Errno::Stale));
        assert_eq!(
            (fs.inode_count(), lower.held(), upper.open_files() + lower.open_files()),
            (1, (0, 0), 0),
            "{round}"
        );
        assert_eq!(upper.held().1, if round == 0 { upper.held().1 } else { 2 }, "the work directory's two");
    }
    // The index keeps what it needs, and only for as long as it needs it.
    let h = walk(&fs, "h").unwrap().node;
    write(&fs, h, 0, b"H").unwrap();
    fs.forget(h, 1);
    assert_eq!((fs.inode_count(), fs.index_count(), lower.held()), (2, 1, (1, 1)));
    fs.unlink(root, "h").unwrap();
    fs.unlink(root, "i").unwrap();
    assert_eq!((fs.inode_count(), fs.index_count(), lower.held()), (1, 0, (0, 0)));
    // Also what the kernel has not given back goes when the overlay goes.
    walk(&fs, "a/b/c").unwrap();
    fs.open(walk(&fs, "a/g").unwrap().node, OpenFlags::READ).unwrap();
    drop(fs);
    assert_eq!((lower.held(), upper.held(), lower.open_files()), ((0, 0), (0, 0), 0));
}

struct Slow(Memfs);

impl Slow {
    fn around<T>(&self, call: impl FnOnce(&dyn Filesystem) -> T) -> T {
        call(&self.0)
    }
}

wrap_filesystem!(impl for Slow, around, may_wait: true);

#[test]
fn it_may_wait_where_a_layer_does() {
    let quick = || Arc::new(Memfs::new()) as Arc<dyn Filesystem>;
    assert!(!Overlay::new(quick(), vec![quick()]).unwrap().may_wait());
    assert!(Overlay::new(quick(), vec![quick(), Arc::new(Slow(Memfs::new()))]).unwrap().may_wait());
    assert!(Overlay::new(Arc::new(Slow(Memfs::new())), vec![]).unwrap().may_wait());
}
