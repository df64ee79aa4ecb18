//! Making, finding and taking away names.

use eyot_backend::{Capabilities, Errno, NodeKind, Ownership};

use crate::{Check, OWNER, Subject, W};

pub(crate) const CHECKS: &[Check] = &[
    Check { name: "a new file is found, empty and owned", needs: W, run: new_file },
    Check { name: "a name can be made once", needs: W, run: exist },
    Check { name: "what is not there is ENOENT, what is no directory ENOTDIR", needs: W, run: missing },
    Check { name: "unlink takes the name, and the file lives while it is held", needs: W, run: unlink_held },
    Check { name: "unlink of a directory is EISDIR, rmdir of a file ENOTDIR", needs: W, run: wrong_removal },
    Check { name: "a forgotten file's place is used again and shows nothing old", needs: W, run: reuse },
    Check { name: "hard links are one file", needs: W.union(Capabilities::HARD_LINKS), run: hard_links },
    Check {
        name: "link refuses a directory and a taken name",
        needs: W.union(Capabilities::HARD_LINKS),
        run: bad_links,
    },
    Check { name: "a symlink keeps its target to the byte", needs: W.union(Capabilities::SYMLINKS), run: symlink },
    Check { name: "special files keep kind and device", needs: W.union(Capabilities::SPECIAL_FILES), run: special },
    Check { name: "long and strange names are names", needs: W, run: strange_names },
    Check {
        name: "names that differ by case are different",
        needs: W.union(Capabilities::CASE_SENSITIVE),
        run: case_matters,
    },
];

fn new_file(s: &Subject) {
    let made = s.file(s.root, "f");
    assert_eq!((made.kind, made.mode, made.size, made.links), (NodeKind::File, 0o644, 0, 1));
    let found = s.peek(s.root, "f").unwrap();
    assert_eq!(found.node, made.node);
    assert_eq!(s.fs.getattr(made.node).unwrap().node, made.node);
    assert_eq!(s.names(s.root), ["f"]);
    assert!(made.node != 0 && made.node != s.root);
}

fn exist(s: &Subject) {
    s.file(s.root, "f");
    s.dir(s.root, "d");
    for name in ["f", "d"] {
        assert_eq!(s.fs.create(s.root, name, OWNER), Err(Errno::Exist));
        assert_eq!(s.fs.mkdir(s.root, name, OWNER), Err(Errno::Exist));
        if s.capabilities.contains(Capabilities::SYMLINKS) {
            assert_eq!(s.fs.symlink(s.root, name, "x", OWNER), Err(Errno::Exist));
        }
    }
    assert_eq!(s.names(s.root), ["d", "f"]);
}

fn missing(s: &Subject) {
    let file = s.file(s.root, "f").node;
    assert_eq!(s.fs.lookup(s.root, "none"), Err(Errno::Noent));
    assert_eq!(s.fs.unlink(s.root, "none"), Err(Errno::Noent));
    assert_eq!(s.fs.rmdir(s.root, "none"), Err(Errno::Noent));
    assert_eq!(s.fs.lookup(file, "x"), Err(Errno::Notdir));
    assert_eq!(s.fs.create(file, "x", OWNER), Err(Errno::Notdir));
    assert_eq!(s.fs.readdir(file, 0, 10), Err(Errno::Notdir));
    assert_eq!(s.fs.unlink(file, "x"), Err(Errno::Notdir));
}

fn unlink_held(s: &Subject) {
    let file = s.file(s.root, "f").node;
    s.write(file, 0, b"still here");
    s.fs.unlink(s.root, "f").unwrap();
    assert_eq!(s.fs.lookup(s.root, "f"), Err(Errno::Noent));
    assert_eq!(s.fs.getattr(file).unwrap().links, 0);
    assert_eq!(s.read(file, 0, 100), b"still here");
    s.write(file, 10, b"!");
    assert_eq!(s.fs.getattr(file).unwrap().size, 11);
    s.file(s.root, "f");
    assert_eq!(s.fs.getattr(file).unwrap().size, 11, "the name's next file is another");
    s.fs.forget(file, 1);
}

fn wrong_removal(s: &Subject) {
    s.file(s.root, "f");
    s.dir(s.root, "d");
    assert_eq!(s.fs.unlink(s.root, "d"), Err(Errno::Isdir));
    assert_eq!(s.fs.rmdir(s.root, "f"), Err(Errno::Notdir));
    assert_eq!(s.names(s.root), ["d", "f"]);
}

fn reuse(s: &Subject) {
    for round in 0..200 {
        let file = s.file(s.root, "f");
        assert_eq!((file.size, file.links), (0, 1), "round {round}");
        assert_eq!(s.read(file.node, 0, 10), b"");
        s.write(file.node, 0, b"something");
        s.fs.unlink(s.root, "f").unwrap();
        s.fs.forget(file.node, 1);
    }
}

fn hard_links(s: &Subject) {
    let file = s.file(s.root, "a").node;
    let dir = s.dir(s.root, "d").node;
    let linked = s.fs.link(file, dir, "b").unwrap();
    assert_eq!((linked.node, linked.links), (file, 2));
    s.write(file, 0, b"one");
    assert_eq!(s.peek(dir, "b").unwrap().size, 3);
    s.fs.unlink(s.root, "a").unwrap();
    let left = s.peek(dir, "b").unwrap();
    assert_eq!((left.node, left.links), (file, 1));
    s.fs.unlink(dir, "b").unwrap();
    assert_eq!(s.fs.getattr(file).unwrap().links, 0);
    assert_eq!(s.fs.link(file, dir, "c"), Err(Errno::Noent), "no name can be made for a file that lost its last");
}

fn bad_links(s: &Subject) {
    let dir = s.dir(s.root, "d").node;
    let file = s.file(s.root, "f").node;
    assert_eq!(s.fs.link(dir, s.root, "e"), Err(Errno::Perm));
    assert_eq!(s.fs.link(file, s.root, "d"), Err(Errno::Exist));
    assert_eq!(s.fs.link(file, s.root, "f"), Err(Errno::Exist));
    assert_eq!(s.fs.getattr(file).unwrap().links, 1);
}

fn symlink(s: &Subject) {
    for (name, target) in [("a", "x"), ("b", "/"), ("c", "../ü/./ //"), ("d", &"t".repeat(4095)[..])] {
        let link = s.fs.symlink(s.root, name, target, OWNER).unwrap();
        assert_eq!((link.kind, link.size), (NodeKind::Symlink, target.len() as u64));
        assert_eq!(s.fs.readlink(link.node).unwrap(), target);
        assert_eq!(s.peek(s.root, name).unwrap().kind, NodeKind::Symlink, "a lookup does not follow");
    }
    let file = s.file(s.root, "f").node;
    assert_eq!(s.fs.readlink(file), Err(Errno::Inval));
    assert_eq!(s.fs.readlink(s.root), Err(Errno::Inval));
    s.fs.unlink(s.root, "a").unwrap();
    assert_eq!(s.names(s.root), ["b", "c", "d", "f"]);
}

fn special(s: &Subject) {
    let owner = Ownership { mode: 0o620, ..OWNER };
    for (name, kind, device) in [
        ("fifo", NodeKind::Fifo, 0),
        ("sock", NodeKind::Socket, 0),
        ("null", NodeKind::CharacterDevice, 0x103),
        ("disk", NodeKind::BlockDevice, 0x801),
    ] {
        let made = s.fs.make_node(s.root, name, kind, device, owner).unwrap();
        assert_eq!((made.kind, made.device, made.mode), (kind, device, 0o620));
        assert_eq!(s.peek(s.root, name).unwrap().device, device);
    }
    assert_eq!(s.fs.make_node(s.root, "x", NodeKind::Directory, 0, owner), Err(Errno::Inval));
    s.fs.unlink(s.root, "fifo").unwrap();
}

fn strange_names(s: &Subject) {
    let long = "n".repeat(255);
    let mut names = vec!["...", " ", "-rf", "ü€𝄞", "new\nline", "\u{1}", "a\\b", &long];
    for name in &names {
        s.file(s.root, name);
        assert!(s.peek(s.root, name).is_ok(), "{name:?}");
    }
    names.sort();
    assert_eq!(s.names(s.root), names);
}

fn case_matters(s: &Subject) {
    let upper = s.file(s.root, "File").node;
    let lower = s.file(s.root, "file").node;
    assert_ne!(upper, lower);
    assert_eq!(s.peek(s.root, "File").unwrap().node, upper);
}
