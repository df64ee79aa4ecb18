//! What is taken away from a lower layer: whiteouts and opaque directories.

use super::*;

#[test]
fn a_whiteout_of_a_capable_upper_is_linuxs() {
    let (upper, lower) = (memfs(), planted(&["f=lower", "d/x=x"]));
    let fs = over(&upper, &[&lower]);
    fs.unlink(root(&fs), "f").unwrap();
    let d = walk(&fs, "d").unwrap().node;
    fs.unlink(d, "x").unwrap();
    for path in ["f", "d/x"] {
        let mark = walk(&*upper, path).unwrap();
        assert_eq!((mark.kind, mark.device), (NodeKind::CharacterDevice, 0), "{path}");
    }
    fs.rmdir(root(&fs), "d").unwrap();
    assert_eq!(walk(&*upper, "d").unwrap().kind, NodeKind::CharacterDevice);
    assert!(all_names(&fs).is_empty() && all_names(&over(&upper, &[&lower])).is_empty());
    assert_eq!(text(&*lower, "f").unwrap(), "lower");
}

#[test]
fn a_whiteout_of_another_upper_is_a_name() {
    let (upper, lower) = (memfs(), planted(&["f=lower", "d/x=x"]));
    let plain: Arc<dyn Filesystem> = Arc::new(Probe::new(upper.clone()).without(Capabilities::XATTRS));
    let fs = Overlay::new(plain.clone(), vec![lower.clone()]).unwrap();
    fs.unlink(root(&fs), "f").unwrap();
    assert_eq!(walk(&*upper, ".wh.f").unwrap().kind, NodeKind::File);
    assert_eq!(walk(&*upper, "f").err(), Some(Errno::Noent));
    // Guests neither see such names nor make them.
    assert_eq!(all_names(&fs), ["/d", "/d/x"]);
    assert_eq!(fs.lookup(root(&fs), ".wh.f"), Err(Errno::Noent));
    let d = walk(&fs, "d").unwrap().node;
    assert_eq!(fs.create(root(&fs), ".wh.d", FILE), Err(Errno::Perm));
    assert_eq!(fs.mkdir(d, ".wh..wh..opq", DIR), Err(Errno::Perm));
    assert_eq!(fs.symlink(d, ".wh.x", "x", FILE), Err(Errno::Perm));
    assert_eq!(fs.rename(d, "x", d, ".wh.x", NONE), Err(Errno::Perm));
    assert_eq!(fs.link(walk(&fs, "d/x").unwrap().node, d, ".wh.x"), Err(Errno::Perm));
    assert_eq!(fs.unlink(root(&fs), ".wh.f"), Err(Errno::Noent));
    assert_eq!(fs.rename(root(&fs), ".wh.f", d, "y", NONE), Err(Errno::Noent));
    fs.create(root(&fs), "f", FILE).unwrap();
    assert_eq!(text(&fs, "f").unwrap(), "");
    fs.unlink(root(&fs), "f").unwrap();
    assert_eq!(fs.lookup(root(&fs), "f"), Err(Errno::Noent));
    drop(fs);
    assert_eq!(all_names(&Overlay::new(plain, vec![lower]).unwrap()), ["/d", "/d/x"]);
}

#[test]
fn names_of_255_bytes_can_be_taken_away() {
    on_both(|upper| {
        let long: Vec<_> = (250..=255).map(|length| "n".repeat(length)).collect();
        let lower = memfs();
        for name in &long {
            lower.create(root(&*lower), name, FILE).unwrap();
            lower.create(root(&*lower), &name.replace('n', "m"), FILE).unwrap();
        }
        let fs = Overlay::new(upper.clone(), vec![lower.clone()]).unwrap();
        for name in &long {
            fs.unlink(root(&fs), name).unwrap();
            assert_eq!(fs.lookup(root(&fs), name), Err(Errno::Noent));
        }
        assert_eq!(all_names(&fs).len(), 6);
        drop(fs);
        assert!(all_names(&Overlay::new(upper, vec![lower]).unwrap()).iter().all(|name| name.starts_with("/mm")));
    });
}

#[test]
fn the_marks_of_devices_cannot_be_made_by_guests() {
    let (upper, lower) = (memfs(), planted(&["f=lower"]));
    let fs = over(&upper, &[&lower]);
    let root = root(&fs);
    assert_eq!(fs.make_node(root, "null", NodeKind::CharacterDevice, 0, FILE), Err(Errno::Perm));
    assert!(fs.make_node(root, "null", NodeKind::CharacterDevice, 0x103, FILE).is_ok());
    let d = fs.mkdir(root, "d", DIR).unwrap().node;
    assert_eq!(fs.setxattr(d, "trusted.overlay.opaque", b"y"), Err(Errno::Perm));
    assert_eq!(fs.getxattr(d, "trusted.overlay.opaque"), Err(Errno::Nodata));
    assert_eq!(fs.removexattr(d, "trusted.overlay.opaque"), Err(Errno::Nodata));
    // The work directory is there, and nobody sees it. Elsewhere, and for other names, nothing is reserved.
    fs.unlink(root, "f").unwrap();
    fs.mkdir(root, "g", DIR).unwrap();
    write(&fs, fs.create(root, "f", FILE).unwrap().node, 0, b"x").unwrap();
    assert!(upper.lookup(upper.info().root, ".wh..wh..work").is_ok());
    assert_eq!(fs.lookup(root, ".wh..wh..work"), Err(Errno::Noent));
    assert_eq!(fs.create(root, ".wh..wh..work", FILE), Err(Errno::Perm));
    assert_eq!(names(&fs, root), ["d", "f", "g", "null"]);
    assert_eq!(fs.getattr(root).unwrap().links, 4);
    fs.create(root, ".wh.f", FILE).unwrap();
    fs.create(d, ".wh..wh..work", FILE).unwrap();
    assert_eq!(text(&fs, "f").unwrap(), "x");
    assert_eq!(names(&fs, d), [".wh..wh..work"]);
}

#[test]
fn a_directory_made_over_a_whiteout_is_opaque() {
    on_both(|upper| {
        let lower = planted(&["d/old=o", "d/sub/x=x", "f=file"]);
        let fs = Overlay::new(upper.clone(), vec![lower.clone()]).unwrap();
        let d = walk(&fs, "d").unwrap().node;
        let sub = walk(&fs, "d/sub").unwrap().node;
        fs.unlink(sub, "x").unwrap();
        fs.rmdir(d, "sub").unwrap();
        fs.unlink(d, "old").unwrap();
        fs.rmdir(root(&fs), "d").unwrap();
        let new = fs.mkdir(root(&fs), "d", DIR).unwrap();
        assert_eq!((names(&fs, new.node), new.links), (vec![], 2));
        assert_eq!(fs.getattr(d).unwrap().links, 0);
        assert_eq!(fs.create(d, "x", FILE), Err(Errno::Noent), "the old one is gone");
        fs.unlink(root(&fs), "f").unwrap();
        fs.mkdir(root(&fs), "f", DIR).unwrap();
        fs.create(new.node, "new", FILE).unwrap();
        drop(fs);
        let fs = Overlay::new(upper, vec![lower]).unwrap();
        assert_eq!(all_names(&fs), ["/d", "/d/new", "/f"]);
    });
}

#[test]
fn opacity_is_stored_as_linux_stores_it() {
    let (upper, lower) = (memfs(), planted(&["d/"]));
    let fs = over(&upper, &[&lower]);
    fs.rmdir(root(&fs), "d").unwrap();
    fs.mkdir(root(&fs), "d", DIR).unwrap();
    assert_eq!(upper.getxattr(walk(&*upper, "d").unwrap().node, "trusted.overlay.opaque").unwrap(), b"y");
    // And one that Linux made is understood.
    let upper = planted(&["d/new=n"]);
    upper.setxattr(walk(&*upper, "d").unwrap().node, "trusted.overlay.opaque", b"y").unwrap();
    assert_eq!(all_names(&over(&upper, &[&planted(&["d/old=o"])])), ["/d", "/d/new"]);
}
