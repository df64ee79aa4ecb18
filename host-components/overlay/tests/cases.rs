//! Each thing that an overlay does which other filesystems need not, by name.

mod common;

use std::sync::Arc;

use common::*;
use eyot_backend::*;
use eyot_hostdir::Hostdir;
use eyot_memfs::{BaseImage, ImageBuilder, Memfs, Meta};
use eyot_overlay::{LAYERS_MAX, Overlay};

fn over(upper: &Arc<Memfs>, lowers: &[&Arc<Memfs>]) -> Overlay {
    let lowers = lowers.iter().map(|lower| Arc::clone(lower) as Arc<dyn Filesystem>).collect();
    Overlay::new(Arc::clone(upper) as Arc<dyn Filesystem>, lowers).unwrap()
}

fn memfs() -> Arc<Memfs> {
    Arc::new(Memfs::new())
}

fn all_names(fs: &dyn Filesystem) -> Vec<String> {
    dump(fs).into_keys().collect()
}

/// Runs on uppers that are marked by devices and by names.
fn on_both(test: impl Fn(Arc<dyn Filesystem>)) {
    test(memfs());
    test(Arc::new(Probe::new(memfs()).without(Capabilities::SPECIAL_FILES)));
    let dir = tempfile::tempdir().unwrap();
    test(Arc::new(Hostdir::new(dir.path(), false).unwrap()));
}

fn root(fs: &dyn Filesystem) -> Node {
    fs.info().root
}

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

#[test]
fn renamed_directories_keep_their_contents() {
    on_both(|upper| {
        let lower = planted(&["d/deep/er/f=text", "d/g=g", "other/x=x", "empty/"]);
        let before = dump(&*lower);
        let fs = Overlay::new(upper.clone(), vec![lower.clone()]).unwrap();
        let root = root(&fs);
        let er = walk(&fs, "d/deep/er").unwrap().node;
        fs.rename(root, "d", root, "moved", NONE).unwrap();
        assert_eq!(text(&fs, "moved/deep/er/f").unwrap(), "text");
        // One that has moved with it moves on, and one is made in its old place.
        let moved = walk(&fs, "moved").unwrap().node;
        fs.rename(moved, "deep", root, "up", NONE).unwrap();
        assert_eq!(walk(&fs, "up/er").unwrap().node, er, "it is the same directory");
        fs.create(er, "new", FILE).unwrap();
        fs.mkdir(root, "d", DIR).unwrap();
        // Over an empty one, and away and back.
        fs.rename(root, "other", root, "empty", NONE).unwrap();
        fs.rename(root, "empty", root, "other", NONE).unwrap();
        fs.rename(root, "up", moved, "deep", NONE).unwrap();
        let expected = [
            "/d",
            "/moved",
            "/moved/deep",
            "/moved/deep/er",
            "/moved/deep/er/f",
            "/moved/deep/er/new",
            "/moved/g",
            "/other",
            "/other/x",
        ];
        assert_eq!(all_names(&fs), expected);
        let tree = dump(&fs);
        drop(fs);
        let fs = Overlay::new(upper, vec![lower.clone()]).unwrap();
        assert_eq!(dump(&fs), tree);
        assert_eq!(text(&fs, "moved/deep/er/f").unwrap(), "text");
        assert_eq!(dump(&*lower), before);
    });
}

#[test]
fn a_redirect_is_stored_as_linux_stores_it() {
    let (upper, lower) = (memfs(), planted(&["a/b/f=text"]));
    let fs = over(&upper, &[&lower]);
    let a = walk(&fs, "a").unwrap().node;
    fs.rename(a, "b", root(&fs), "c", NONE).unwrap();
    assert_eq!(upper.getxattr(walk(&*upper, "c").unwrap().node, "trusted.overlay.redirect").unwrap(), b"/a/b");
    // Linux stores the name alone when the directory stays.
    let upper = planted(&["a/c/"]);
    let c = walk(&*upper, "a/c").unwrap().node;
    upper.setxattr(c, "trusted.overlay.redirect", b"b").unwrap();
    upper.make_node(walk(&*upper, "a").unwrap().node, "b", NodeKind::CharacterDevice, 0, FILE).unwrap();
    let fs = over(&upper, &[&lower]);
    assert_eq!(all_names(&fs), ["/a", "/a/c", "/a/c/f"]);
    fs.rename(walk(&fs, "a").unwrap().node, "c", root(&fs), "d", NONE).unwrap();
    assert_eq!(upper.getxattr(c, "trusted.overlay.redirect").unwrap(), b"/a/b");
    assert_eq!(text(&over(&upper, &[&lower]), "d/f").unwrap(), "text");
}

#[test]
fn redirects_that_somebody_made_up_lead_nowhere_else() {
    let lower = planted(&["a/f=text", "file=f"]);
    for redirect in ["/none", "/a/f", "/file", "/..", "/../a", "//", "/.wh..wh..work", "../a", "x/y", "", "\u{1}", "."]
    {
        let upper = planted(&["d/"]);
        let d = walk(&*upper, "d").unwrap().node;
        upper.setxattr(d, "trusted.overlay.redirect", redirect.as_bytes()).unwrap();
        let fs = over(&upper, &[&lower]);
        let listed = walk(&fs, "d").map(|d| names(&fs, d.node));
        match redirect {
            "//" => assert_eq!(listed, Ok(vec!["a".into(), "file".into()]), "the root is a directory too"),
            "../a" | "x/y" | "." => assert_eq!(listed, Err(Errno::Io)),
            _ => assert_eq!(listed, Ok(vec![]), "{redirect:?}"),
        }
    }
    // Many long redirects on top of each other end in an error, and soon.
    let layers: Vec<_> = (0..6).map(|_| planted(&["d/"])).collect();
    for layer in &layers {
        let d = walk(&**layer, "d").unwrap().node;
        layer.setxattr(d, "trusted.overlay.redirect", "/d".repeat(30_000).as_bytes()).unwrap();
    }
    let fs = over(&layers[0], &layers[1..].iter().collect::<Vec<_>>());
    assert!(matches!(fs.lookup(root(&fs), "d"), Ok(_) | Err(Errno::Loop)));
}

#[test]
fn an_upper_can_be_a_lower_later() {
    on_both(|upper| {
        let lower = planted(&["d/x=x", "d/y=y", "gone=g", "dir/in=in", "f=f"]);
        let fs = Overlay::new(upper.clone(), vec![lower.clone()]).unwrap();
        let (root, d) = (root(&fs), walk(&fs, "d").unwrap().node);
        fs.unlink(root, "gone").unwrap();
        fs.unlink(d, "x").unwrap();
        fs.rename(root, "dir", d, "moved", NONE).unwrap();
        write(&fs, walk(&fs, "f").unwrap().node, 1, b"ff").unwrap();
        let tree = dump(&fs);
        drop(fs);
        let fs = Overlay::read_only(vec![upper.clone(), lower.clone()]).unwrap();
        assert_eq!(dump(&fs), tree);
        let fs = Overlay::new(memfs(), vec![upper, lower]).unwrap();
        assert_eq!(dump(&fs), tree);
        // What lies there by a redirect of a lower moves like anything else.
        fs.rename(walk(&fs, "d").unwrap().node, "moved", fs.info().root, "again", NONE).unwrap();
        assert_eq!(text(&fs, "again/in").unwrap(), "in");
    });
}

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

/// A directory that is in itself under many names; and whether it lists without end.
struct Endless(Memfs, bool);

impl Filesystem for Endless {
    fn readdir(&self, dir: Node, cookie: u64, max: usize) -> Result<Vec<DirectoryEntry>, Errno> {
        if !self.1 {
            return self.0.readdir(dir, cookie, max);
        }
        let attributes = self.0.getattr(dir)?;
        let entry = |at| DirectoryEntry { name: format!("n{at}"), cookie: at, attributes };
        Ok((cookie + 1..=cookie + max as u64).map(entry).collect())
    }
    fn info(&self) -> FilesystemInfo {
        self.0.info()
    }
    fn lookup(&self, dir: Node, name: &str) -> Result<Attributes, Errno> {
        // There is one directory, and it is everywhere.
        if name.starts_with("self") { self.0.lookup(self.0.info().root, "d") } else { self.0.lookup(dir, name) }
    }
    fn forget(&self, node: Node, count: u64) {
        self.0.forget(node, count);
    }
    fn getattr(&self, node: Node) -> Result<Attributes, Errno> {
        self.0.getattr(node)
    }
    fn setattr(&self, _: Node, _: &AttributeChanges) -> Result<Attributes, Errno> {
        Err(Errno::Rofs)
    }
    fn create(&self, _: Node, _: &str, _: Ownership) -> Result<Attributes, Errno> {
        Err(Errno::Rofs)
    }
    fn mkdir(&self, _: Node, _: &str, _: Ownership) -> Result<Attributes, Errno> {
        Err(Errno::Rofs)
    }
    fn symlink(&self, _: Node, _: &str, _: &str, _: Ownership) -> Result<Attributes, Errno> {
        Err(Errno::Rofs)
    }
    fn make_node(&self, _: Node, _: &str, _: NodeKind, _: u64, _: Ownership) -> Result<Attributes, Errno> {
        Err(Errno::Rofs)
    }
    fn link(&self, _: Node, _: Node, _: &str) -> Result<Attributes, Errno> {
        Err(Errno::Rofs)
    }
    fn unlink(&self, _: Node, _: &str) -> Result<(), Errno> {
        Err(Errno::Rofs)
    }
    fn rmdir(&self, _: Node, _: &str) -> Result<(), Errno> {
        Err(Errno::Rofs)
    }
    fn rename(&self, _: Node, _: &str, _: Node, _: &str, _: RenameFlags) -> Result<(), Errno> {
        Err(Errno::Rofs)
    }
    fn readlink(&self, _: Node) -> Result<String, Errno> {
        Err(Errno::Inval)
    }
    fn open(&self, _: Node, _: OpenFlags) -> Result<Handle, Errno> {
        Err(Errno::Isdir)
    }
    fn release(&self, _: Node, _: Handle) {}
    fn read(&self, _: Node, _: Handle, _: u64, _: &mut [u8]) -> Result<usize, Errno> {
        Err(Errno::Isdir)
    }
    fn write(&self, _: Node, _: Handle, _: u64, _: &[u8]) -> Result<usize, Errno> {
        Err(Errno::Rofs)
    }
    fn fsync(&self, _: Node, _: Handle, _: bool) -> Result<(), Errno> {
        Ok(())
    }
    fn statfs(&self) -> Result<FilesystemStatus, Errno> {
        self.0.statfs()
    }
}

#[test]
fn a_directory_in_itself_hangs_nobody() {
    let lower = Memfs::new();
    lower.mkdir(1, "d", DIR).unwrap();
    let fs = Overlay::new(memfs(), vec![Arc::new(Endless(lower, false))]).unwrap();
    let root = root(&fs);
    let at = |path: &str| walk(&fs, path).unwrap().node;
    let d = at("d");
    assert_eq!((at("d/self"), at("d/self1/self2/self3")), (d, d));
    let empty = fs.mkdir(root, "empty", DIR).unwrap().node;
    // Whatever they answer, they answer.
    let exchange = RenameFlags::EXCHANGE;
    let _ = (fs.rmdir(d, "self"), fs.rename(d, "self", d, "self1", NONE), fs.rename(root, "empty", d, "self", NONE));
    let _ = (fs.rename(d, "self", root, "x", NONE), fs.rename(d, "self1", root, "empty", exchange));
    let _ = (fs.rename(root, "d", d, "self2", exchange), fs.rename(d, "self", empty, "x", NONE));
    let _ = (fs.create(d, "f", FILE), fs.rmdir(root, "d"), fs.getattr(d), fs.readdir(d, 0, 3));
}

#[test]
fn a_layer_that_lists_without_end_is_refused() {
    let fs = Overlay::new(memfs(), vec![Arc::new(Endless(Memfs::new(), true))]).unwrap();
    assert_eq!(fs.readdir(root(&fs), 0, 10), Err(Errno::Overflow));
    assert_eq!(fs.getattr(root(&fs)), Err(Errno::Overflow), "its subdirectories cannot be counted");
    assert_eq!(fs.lookup(root(&fs), "x"), Err(Errno::Noent));
    fs.create(root(&fs), "x", FILE).unwrap();
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

#[test]
fn a_very_deep_tree_is_let_go_and_copied_up_without_recursion() {
    let (upper, lower) = (memfs(), memfs());
    let mut at = root(&*lower);
    for _ in 0..20_000 {
        at = lower.mkdir(at, "d", DIR).unwrap().node;
    }
    let fs = over(&upper, &[&lower]);
    let deepest = |fs: &Overlay| {
        (0..20_000).fold(root(fs), |at, _| {
            let found = fs.lookup(at, "d").unwrap().node;
            fs.forget(at, 1);
            found
        })
    };
    let leaf = deepest(&fs);
    assert_eq!(fs.inode_count(), 20_001, "the parents are held by their children");
    fs.forget(leaf, 1);
    assert_eq!(fs.inode_count(), 1);
    let leaf = deepest(&fs);
    fs.create(leaf, "f", FILE).unwrap();
    assert_eq!(names(&fs, leaf), ["f"]);
}

#[test]
fn a_lower_that_changes_under_us_is_survived() {
    let lower = planted(&["d/f=f", "d/sub/x=x", "g=g", "h=h"]);
    let fs = over(&memfs(), &[&lower]);
    let at = |path: &str| walk(&fs, path).unwrap().node;
    let (d, f, sub, g) = (at("d"), at("d/f"), at("d/sub"), at("g"));
    let below = |path: &str| walk(&*lower, path).unwrap().node;
    let lower_root = lower.info().root;
    lower.unlink(below("d"), "f").unwrap();
    lower.unlink(below("d/sub"), "x").unwrap();
    lower.rmdir(below("d"), "sub").unwrap();
    lower.rmdir(lower_root, "d").unwrap();
    lower.create(lower_root, "d", FILE).unwrap();
    lower.unlink(lower_root, "g").unwrap();
    lower.mkdir(lower_root, "g", DIR).unwrap();
    let cut = AttributeChanges { size: Some(0), ..Default::default() };
    lower.setattr(below("h"), &cut).unwrap();
    // No answer is promised, but there is one.
    let _ = (fs.getattr(f), fs.getattr(sub), fs.readdir(d, 0, 9), fs.readdir(sub, 0, 9), fs.lookup(d, "f"));
    let _ = (fs.create(sub, "new", FILE), fs.unlink(d, "f"), fs.rmdir(d, "sub"), write(&fs, f, 0, b"x"));
    let _ = (fs.lookup(root(&fs), "d"), fs.lookup(root(&fs), "g"), fs.rename(root(&fs), "g", root(&fs), "e", NONE));
    let _ = (write(&fs, at("h"), 0, b"x"), write(&fs, g, 0, b"x"), fs.rename(root(&fs), "d", root(&fs), "i", NONE));
    list(&fs, root(&fs), 2);
}

#[test]
fn numbers_that_were_never_given_out_are_stale() {
    let fs = over(&memfs(), &[&planted(&["f=f"])]);
    for node in [0, 77, u64::MAX, 1 << 63] {
        assert_eq!(fs.getattr(node), Err(Errno::Stale), "{node}");
        assert_eq!(fs.lookup(node, "x"), Err(Errno::Stale));
        assert_eq!(fs.readdir(node, 0, 1), Err(Errno::Stale));
        assert_eq!(fs.open(node, OpenFlags::READ), Err(Errno::Stale));
        assert_eq!(fs.read(node, 1, 0, &mut [0]), Err(Errno::Badf));
        assert_eq!(fs.rename(node, "x", root(&fs), "y", NONE), Err(Errno::Stale));
        fs.forget(node, u64::MAX);
        fs.release(node, 3);
    }
    for name in ["", ".", "..", "a/b", "a\0"] {
        assert_eq!(fs.lookup(root(&fs), name), Err(Errno::Inval));
        assert_eq!(fs.create(root(&fs), name, FILE), Err(Errno::Inval));
        assert_eq!(fs.rename(root(&fs), "f", root(&fs), name, NONE), Err(Errno::Inval));
    }
    assert_eq!(fs.create(root(&fs), &"n".repeat(256), FILE), Err(Errno::Nametoolong));
    fs.forget(root(&fs), u64::MAX);
    assert!(fs.getattr(root(&fs)).is_ok(), "the root is never forgotten");
}
