//! Directories of a lower layer that are moved, and what that leaves in the upper one.

use super::*;

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
