//! Moving names.

use eyot_backend::{Capabilities, Errno, Node, RenameFlags};

use crate::{Check, Subject, W};

pub(crate) const CHECKS: &[Check] = &[
    Check { name: "rename moves a name within and between directories", needs: W, run: moves },
    Check { name: "rename replaces a file, and the replaced one lives while it is held", needs: W, run: replaces },
    Check {
        name: "rename onto another name of the same file does nothing",
        needs: W.union(Capabilities::HARD_LINKS),
        run: same_file,
    },
    Check { name: "rename minds the kinds", needs: W, run: kinds },
    Check { name: "rename replaces an empty directory only", needs: W, run: directories },
    Check { name: "rename with no-replace leaves a target alone", needs: W, run: no_replace },
    Check { name: "rename with exchange swaps", needs: W.union(Capabilities::ATOMIC_RENAME), run: exchange },
    Check { name: "a moved directory takes its link along", needs: W, run: links },
];

const NONE: RenameFlags = RenameFlags::empty();

fn moves(s: &Subject) {
    let dir = s.dir(s.root, "d").node;
    let file = s.file(s.root, "a").node;
    s.write(file, 0, b"moved");
    s.fs.rename(s.root, "a", s.root, "b", NONE).unwrap();
    s.fs.rename(s.root, "b", dir, "c", NONE).unwrap();
    assert_eq!(s.fs.lookup(s.root, "a"), Err(Errno::Noent));
    assert_eq!(s.names(s.root), ["d"]);
    assert_eq!(s.peek(dir, "c").unwrap().node, file);
    assert_eq!(s.read(file, 0, 10), b"moved");
    assert_eq!(s.fs.rename(s.root, "none", dir, "x", NONE), Err(Errno::Noent));
    assert_eq!(s.fs.rename(dir, "c", file, "x", NONE), Err(Errno::Notdir));
    s.fs.rename(dir, "c", dir, "c", NONE).unwrap();
    assert_eq!(s.names(dir), ["c"]);
}

fn replaces(s: &Subject) {
    let old = s.file(s.root, "old").node;
    let new = s.file(s.root, "new").node;
    s.write(old, 0, b"old");
    s.write(new, 0, b"new");
    s.fs.rename(s.root, "new", s.root, "old", NONE).unwrap();
    assert_eq!(s.names(s.root), ["old"]);
    assert_eq!(s.peek(s.root, "old").unwrap().node, new);
    assert_eq!(s.read(old, 0, 10), b"old");
    assert_eq!(s.fs.getattr(old).unwrap().links, 0);
    assert_eq!(s.fs.getattr(new).unwrap().links, 1);
    s.fs.forget(old, 1);
}

fn same_file(s: &Subject) {
    let file = s.file(s.root, "a").node;
    s.fs.link(file, s.root, "b").unwrap();
    s.fs.rename(s.root, "a", s.root, "b", NONE).unwrap();
    assert_eq!(s.names(s.root), ["a", "b"]);
    assert_eq!(s.fs.getattr(file).unwrap().links, 2);
}

fn kinds(s: &Subject) {
    s.file(s.root, "f");
    s.dir(s.root, "d");
    assert_eq!(s.fs.rename(s.root, "f", s.root, "d", NONE), Err(Errno::Isdir));
    assert_eq!(s.fs.rename(s.root, "d", s.root, "f", NONE), Err(Errno::Notdir));
    assert_eq!(s.names(s.root), ["d", "f"]);
}

fn directories(s: &Subject) {
    let a = s.dir(s.root, "a").node;
    let b = s.dir(s.root, "b").node;
    let inner = s.file(b, "x").node;
    assert_eq!(s.fs.rename(s.root, "a", s.root, "b", NONE), Err(Errno::Notempty));
    s.fs.rename(s.root, "b", s.root, "a", NONE).unwrap();
    assert_eq!(s.names(s.root), ["a"]);
    assert_eq!(s.peek(s.root, "a").unwrap().node, b);
    assert_eq!(s.peek(b, "x").unwrap().node, inner);
    assert_eq!(s.fs.create(a, "x", crate::OWNER), Err(Errno::Noent), "the replaced directory is gone");
    let refused = s.fs.rename(b, "x", s.root, "a", NONE);
    assert!(matches!(refused, Err(Errno::Notempty | Errno::Isdir | Errno::Exist)), "{refused:?}");
}

fn no_replace(s: &Subject) {
    let a = s.file(s.root, "a").node;
    let b = s.file(s.root, "b").node;
    assert_eq!(s.fs.rename(s.root, "a", s.root, "b", RenameFlags::NO_REPLACE), Err(Errno::Exist));
    assert_eq!((s.peek(s.root, "a").unwrap().node, s.peek(s.root, "b").unwrap().node), (a, b));
    s.fs.rename(s.root, "a", s.root, "c", RenameFlags::NO_REPLACE).unwrap();
    assert_eq!(s.names(s.root), ["b", "c"]);
}

fn exchange(s: &Subject) {
    let dir = s.dir(s.root, "d").node;
    let file = s.file(s.root, "f").node;
    let inner = s.dir(dir, "inner").node;
    let links = |node: Node| s.fs.getattr(node).unwrap().links;
    let (root_links, dir_links) = (links(s.root), links(dir));
    s.fs.rename(s.root, "f", dir, "inner", RenameFlags::EXCHANGE).unwrap();
    assert_eq!((s.peek(s.root, "f").unwrap().node, s.peek(dir, "inner").unwrap().node), (inner, file));
    assert_eq!((links(s.root), links(dir)), (root_links + 1, dir_links - 1));
    assert_eq!(s.fs.rename(s.root, "f", dir, "none", RenameFlags::EXCHANGE), Err(Errno::Noent));
    let both = RenameFlags::EXCHANGE | RenameFlags::NO_REPLACE;
    assert_eq!(s.fs.rename(s.root, "f", dir, "inner", both), Err(Errno::Inval));
}

fn links(s: &Subject) {
    let (a, b) = (s.dir(s.root, "a").node, s.dir(s.root, "b").node);
    s.dir(a, "x");
    let links = |node: Node| s.fs.getattr(node).unwrap().links;
    assert_eq!((links(a), links(b)), (3, 2));
    s.fs.rename(a, "x", b, "y", NONE).unwrap();
    assert_eq!((links(a), links(b)), (2, 3));
    s.dir(a, "z");
    s.fs.rename(a, "z", b, "y", NONE).unwrap();
    assert_eq!((links(a), links(b)), (2, 3));
    s.dir(b, "w");
    s.fs.rename(b, "w", b, "y", NONE).unwrap();
    assert_eq!((links(b), s.names(b)), (3, vec!["y".into()]));
}
