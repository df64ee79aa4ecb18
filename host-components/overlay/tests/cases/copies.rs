//! Files of a lower layer that are copied up when they are changed.

use super::*;

#[test]
fn all_names_of_a_file_lead_to_its_copy() {
    on_both(|upper| {
        let lower = planted(&["d/a=text", "b:d/a", "c:d/a", "e/"]);
        let before = dump(&*lower);
        let fs = Overlay::new(upper.clone(), vec![lower.clone()]).unwrap();
        let root = root(&fs);
        let a = walk(&fs, "d/a").unwrap();
        assert_eq!((a.links, walk(&fs, "b").unwrap().node), (3, a.node));
        write(&fs, a.node, 4, b" more").unwrap();
        for name in ["d/a", "b", "c"] {
            assert_eq!((text(&fs, name).unwrap().as_str(), walk(&fs, name).unwrap().node), ("text more", a.node));
        }
        assert_eq!((fs.getattr(a.node).unwrap().links, fs.index_count()), (3, 1));
        // Who has the upper as a layer sees the change under the name that was used.
        let later = Overlay::read_only(vec![upper.clone(), lower.clone()]).unwrap();
        assert_eq!((text(&later, "d/a").unwrap().as_str(), text(&later, "b").unwrap().as_str()), ("text more", "text"));
        fs.unlink(root, "b").unwrap();
        assert_eq!(fs.getattr(a.node).unwrap().links, 2);
        fs.rename(root, "c", walk(&fs, "e").unwrap().node, "c", NONE).unwrap();
        fs.link(a.node, root, "new").unwrap();
        assert_eq!(fs.getattr(a.node).unwrap().links, 3);
        drop(fs);
        let fs = Overlay::new(upper.clone(), vec![lower.clone()]).unwrap();
        let a = walk(&fs, "d/a").unwrap();
        assert_eq!((a.links, fs.index_count()), (3, 0), "no name is the lower's any more");
        for name in ["d/a", "e/c", "new"] {
            assert_eq!((text(&fs, name).unwrap().as_str(), walk(&fs, name).unwrap().node), ("text more", a.node));
        }
        // Renaming one of the names onto another does nothing.
        fs.rename(root, "new", walk(&fs, "d").unwrap().node, "a", NONE).unwrap();
        assert_eq!(fs.getattr(a.node).unwrap().links, 3);
        fs.unlink(walk(&fs, "d").unwrap().node, "a").unwrap();
        assert_eq!(fs.getattr(a.node).unwrap().links, 2);
        fs.unlink(root, "new").unwrap();
        fs.unlink(walk(&fs, "e").unwrap().node, "c").unwrap();
        assert_eq!((fs.getattr(a.node).unwrap().links, read(&fs, a.node)), (0, b"text more".to_vec()));
        assert_eq!(all_names(&fs), ["/d", "/e"]);
        assert_eq!(dump(&*lower), before);
    });
}

#[test]
fn names_taken_from_a_file_are_counted_without_a_copy() {
    on_both(|upper| {
        let lower = planted(&["a=text", "b:a", "c:a", "d:a"]);
        let fs = Overlay::new(upper.clone(), vec![lower.clone()]).unwrap();
        let root = root(&fs);
        fs.unlink(root, "a").unwrap();
        fs.unlink(root, "c").unwrap();
        assert_eq!(walk(&fs, "b").unwrap().links, 2);
        assert_eq!(
            walk(&*upper, ".wh..wh..work/index").map(|index| names(&*upper, index.node).len()),
            Ok(1),
            "no copy"
        );
        drop(fs);
        let fs = Overlay::new(upper.clone(), vec![lower.clone()]).unwrap();
        assert_eq!((walk(&fs, "b").unwrap().links, fs.index_count()), (2, 1));
        let changes = AttributeChanges { mode: Some(0o600), ..Default::default() };
        assert_eq!(fs.setattr(walk(&fs, "d").unwrap().node, &changes).unwrap().links, 2);
        assert_eq!(walk(&fs, "b").unwrap().mode, 0o600);
        drop(fs);
        let fs = Overlay::new(upper, vec![lower]).unwrap();
        assert_eq!((walk(&fs, "d").unwrap().links, walk(&fs, "b").unwrap().mode), (2, 0o600));
        fs.create(root, "x", FILE).unwrap();
        fs.rename(root, "x", root, "b", NONE).unwrap();
        assert_eq!((walk(&fs, "d").unwrap().links, fs.index_count()), (1, 1));
        fs.unlink(root, "d").unwrap();
        assert_eq!(fs.index_count(), 0);
    });
}

#[test]
fn without_hard_links_a_name_of_many_cannot_move() {
    let upper = Arc::new(Probe::new(memfs()).without(Capabilities::HARD_LINKS));
    let lower = planted(&["a=text", "b:a"]);
    let fs = Overlay::new(upper, vec![lower]).unwrap();
    write(&fs, walk(&fs, "a").unwrap().node, 0, b"T").unwrap();
    assert_eq!(text(&fs, "b").unwrap(), "Text");
    assert_eq!(fs.rename(root(&fs), "a", root(&fs), "c", NONE), Err(Errno::Xdev));
    assert_eq!(all_names(&fs), ["/a", "/b"]);
    assert!(!fs.info().capabilities.contains(Capabilities::HARD_LINKS));
}

#[test]
fn an_open_file_goes_on_with_its_copy() {
    let (upper, lower) = (memfs(), planted(&["d/f=old text"]));
    let fs = over(&upper, &[&lower]);
    let f = walk(&fs, "d/f").unwrap();
    let reader = fs.open(f.node, OpenFlags::READ).unwrap();
    let mut buffer = [0; 8];
    assert_eq!((fs.read(f.node, reader, 0, &mut buffer), &buffer), (Ok(8), b"old text"));
    write(&fs, f.node, 0, b"new").unwrap();
    assert_eq!((fs.read(f.node, reader, 0, &mut buffer), &buffer), (Ok(8), b"new text"));
    assert_eq!(fs.write(f.node, reader, 0, b"x"), Err(Errno::Badf), "it is open for reading only");
    fs.fsync(f.node, reader, false).unwrap();
    fs.release(f.node, reader);
    assert_eq!(fs.read(f.node, reader, 0, &mut buffer), Err(Errno::Badf));
    let again = walk(&fs, "d/f").unwrap();
    assert_eq!((again.node, again.size), (f.node, 8));
    assert_eq!(fs.readdir(walk(&fs, "d").unwrap().node, 0, 9).unwrap()[0].attributes.node, f.node);
    assert_eq!(text(&*lower, "d/f").unwrap(), "old text");
}

#[test]
fn a_held_file_of_a_lower_can_be_changed_after_its_last_name() {
    let (upper, lower) = (memfs(), planted(&["f=text", "d/"]));
    let fs = over(&upper, &[&lower]);
    let (f, d) = (walk(&fs, "f").unwrap().node, walk(&fs, "d").unwrap().node);
    fs.unlink(root(&fs), "f").unwrap();
    fs.rmdir(root(&fs), "d").unwrap();
    assert_eq!((fs.getattr(f).unwrap().links, read(&fs, f)), (0, b"text".to_vec()));
    write(&fs, f, 0, b"T").unwrap();
    assert_eq!((fs.getattr(f).unwrap().links, read(&fs, f)), (0, b"Text".to_vec()));
    assert_eq!(fs.link(f, root(&fs), "g"), Err(Errno::Noent));
    let changes = AttributeChanges { mode: Some(0o700), ..Default::default() };
    assert_eq!(fs.setattr(d, &changes).map(|changed| (changed.mode, changed.links)), Ok((0o700, 0)));
    assert_eq!((fs.lookup(d, "x"), fs.readdir(d, 0, 9)), (Err(Errno::Noent), Ok(vec![])));
    assert!(all_names(&fs).is_empty());
}

#[test]
fn copying_up_keeps_everything() {
    let time = |seconds| Timestamp { seconds, nanoseconds: 123 };
    let (upper, lower) = (memfs(), planted(&["d/f=text", "d/s>target", "d/p|"]));
    let (accessed, modified) = (Some(time(1_000)), Some(time(2_000)));
    let changes = AttributeChanges { mode: Some(0o4750), uid: Some(7), gid: Some(8), accessed, modified, size: None };
    for path in ["d/f", "d/s", "d/p", "d"] {
        let node = walk(&*lower, path).unwrap().node;
        lower.setattr(node, &changes).unwrap();
        lower.setxattr(node, "user.x", path.as_bytes()).unwrap();
    }
    let fs = over(&upper, &[&lower]);
    for path in ["d/f", "d/s", "d/p"] {
        let node = walk(&fs, path).unwrap().node;
        fs.link(node, root(&fs), "other").unwrap();
        fs.unlink(root(&fs), "other").unwrap();
        let found = walk(&fs, path).unwrap();
        assert_eq!((found.modified, found.accessed), (time(2_000), time(1_000)), "{path}");
        assert!(walk(&*upper, path).is_ok());
    }
    assert_eq!(walk(&fs, "d").unwrap().modified, time(2_000), "nothing in it has changed");
    assert_eq!(dump(&fs), dump(&*lower));
}

#[test]
fn a_file_is_copied_whole_and_a_cut_one_only_as_far() {
    let lower = memfs();
    let mut bytes: Vec<u8> = (0..3 * CHUNK_BYTES_MAX + 77).map(|at| (at % 251) as u8).collect();
    bytes[CHUNK_BYTES_MAX..2 * CHUNK_BYTES_MAX].fill(0);
    bytes.extend(vec![0; CHUNK_BYTES_MAX]);
    write(&*lower, lower.create(root(&*lower), "f", FILE).unwrap().node, 0, &bytes).unwrap();
    let upper = memfs();
    let fs = over(&upper, &[&lower]);
    let f = walk(&fs, "f").unwrap().node;
    write(&fs, f, 5, b"changed").unwrap();
    bytes[5..12].copy_from_slice(b"changed");
    assert!(read(&fs, f) == bytes);
    assert!(fs.getattr(f).unwrap().blocks < bytes.len() as u64 / 512, "zeroes are left out");
    // Cutting a file copies what is left of it.
    let upper = Arc::new(Memfs::builder().bytes_max(100_000).build());
    let fs = over(&upper, &[&lower]);
    let cut = |size| AttributeChanges { size: Some(size), ..Default::default() };
    let f = walk(&fs, "f").unwrap().node;
    assert_eq!(fs.setattr(f, &cut(10)).unwrap().size, 10);
    assert_eq!(read(&fs, f), bytes[..5].iter().chain(&[5, 6, 7, 8, 9]).copied().collect::<Vec<_>>());
}

#[test]
fn nothing_is_copied_for_what_cannot_be_done() {
    let upper = Arc::new(Probe::new(memfs()));
    let lower = planted(&["d/f=f", "d/e/x=x", "g=g"]);
    let fs = Overlay::new(upper.clone(), vec![lower]).unwrap();
    let at = |path: &str| walk(&fs, path).unwrap().node;
    let (d, root) = (at("d"), root(&fs));
    assert_eq!(fs.create(d, "f", FILE), Err(Errno::Exist));
    assert_eq!(fs.mkdir(d, "f", DIR), Err(Errno::Exist));
    assert_eq!(fs.link(at("g"), d, "f"), Err(Errno::Exist));
    assert_eq!(fs.unlink(d, "none"), Err(Errno::Noent));
    assert_eq!(fs.unlink(d, "e"), Err(Errno::Isdir));
    assert_eq!(fs.rmdir(d, "e"), Err(Errno::Notempty));
    assert_eq!(fs.rmdir(d, "f"), Err(Errno::Notdir));
    assert_eq!(fs.rename(d, "f", root, "g", RenameFlags::NO_REPLACE), Err(Errno::Exist));
    assert_eq!(fs.rename(d, "f", d, "e", NONE), Err(Errno::Isdir));
    assert_eq!(fs.rename(d, "f", d, "f", NONE), Ok(()));
    assert_eq!(fs.rename(d, "f", d, "none", RenameFlags::EXCHANGE), Err(Errno::Noent));
    let f = at("d/f");
    assert_eq!(fs.removexattr(f, "user.x"), Err(Errno::Nodata));
    let size = |size| AttributeChanges { size: Some(size), ..Default::default() };
    assert_eq!(fs.setattr(f, &size(1 << 63)), Err(Errno::Fbig));
    assert_eq!(fs.setattr(d, &size(0)), Err(Errno::Isdir));
    let late = Some(Timestamp { seconds: 0, nanoseconds: 1_000_000_000 });
    assert_eq!(fs.setattr(f, &AttributeChanges { modified: late, ..Default::default() }), Err(Errno::Inval));
    fs.open(f, OpenFlags::READ).unwrap();
    assert_eq!(upper.changes(), 0);
}
