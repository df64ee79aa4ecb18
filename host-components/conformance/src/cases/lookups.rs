//! Lookup counts: what is held stays valid.

use super::prelude::*;

pub(crate) fn add(cases: &mut Cases) {
    cases.group(Group::Lookups);
    cases.law("wit/backend, lookup counts: lookup, create, mkdir, symlink, link and make-node count one each; above zero the number stays valid");
    cases.add("a file is held by create", W, |s| held_once(s, s.file(s.root, "x").node, false));
    cases.add("a directory is held by mkdir", W, |s| held_once(s, s.dir(s.root, "x").node, true));
    cases.add("a symlink is held by symlink", SYMLINKS, |s| {
        held_once(s, Thing::Symlink.make(s, s.root, "x").node, false);
    });
    cases.add("a FIFO is held by make-node", SPECIAL, |s| held_once(s, Thing::Fifo.make(s, s.root, "x").node, false));
    cases.add("each lookup is one more", W, each_lookup);
    cases.add("link is one more", HARD_LINKS, link_counts);
    cases.add("counts are given back in parts", W, parts);
    cases.add("forget of nothing forgets nothing", W, forget_nothing);
    cases.add("counts at random come out even", W, at_random);
    cases.law("wit/backend, lookup counts: what is not named there does not count");
    cases.add("what fails is no lookup", W, failures);
    cases.add("a listing is no lookup", W, listing);
    cases.add("getattr, setattr, open, read, write and fsync are no lookups", W, uses);
    cases.add("rename is no lookup", W, rename);
    cases.law("wit/backend, filesystem-info: the root counts as looked up once and is never forgotten");
    cases.add("the root is never forgotten", Capabilities::empty(), root);
    cases.law("wit/backend, lookup counts: a number stays valid even when its last name is gone");
    cases.add("a file that rename replaced is valid while held", W, replaced_file);
    cases.add("a directory that rename replaced is valid while held", W, replaced_directory);
    cases.add("a directory that was taken away is valid while held", W, removed_directory);
    cases.add("two hundred files without names are valid while held", W, many_without_names);
    cases.add("a held file keeps its number when it moves, and when its directories move", W, moved);
    cases.add("a thousand held files are reached after their directory moved", W, many_moved);
    cases.add("what was forgotten and has a name is found again with all it held", W, found_again);
    cases.add("a directory that was forgotten is found again with all its entries", W, directory_found_again);
}

/// Takes the one name away; then one forget, and no fewer, lets the file go.
fn held_once(s: &Subject, node: Node, is_directory: bool) {
    if is_directory {
        s.rmdir(s.root, "x").ok()
    } else {
        s.unlink(s.root, "x").ok()
    }
    for _ in 0..3 {
        same("links of what is held without a name", s.links(node), 0);
    }
    s.forget(node, 1);
    s.getattr(node).refused();
}

fn each_lookup(s: &Subject) {
    let node = s.file(s.root, "x").node;
    for _ in 0..5 {
        same("the number", s.lookup(s.root, "x").ok().node, node);
    }
    s.unlink(s.root, "x").ok();
    for left in (1..=6).rev() {
        s.getattr(node).ok();
        s.forget(node, 1);
        holds!(left == 1 || s.fs.getattr(node).is_ok(), "the file is gone with {} lookups left", left - 1);
    }
    s.getattr(node).refused();
}

fn link_counts(s: &Subject) {
    let node = s.file(s.root, "x").node;
    same("the number", s.link(node, s.root, "y").ok().node, node);
    s.unlink(s.root, "x").ok();
    s.unlink(s.root, "y").ok();
    s.forget(node, 1);
    same("links of what is held by link", s.links(node), 0);
    s.forget(node, 1);
    s.getattr(node).refused();
}

fn parts(s: &Subject) {
    let node = s.file(s.root, "x").node;
    for _ in 0..9 {
        s.lookup(s.root, "x").ok();
    }
    s.unlink(s.root, "x").ok();
    for part in [4, 3, 2] {
        s.forget(node, part);
        s.getattr(node).ok();
    }
    s.forget(node, 1);
    s.getattr(node).refused();
}

fn forget_nothing(s: &Subject) {
    let node = s.file(s.root, "x").node;
    s.unlink(s.root, "x").ok();
    s.forget(node, 0);
    s.forget(node, 0);
    same("links", s.links(node), 0);
}

fn at_random(s: &Subject) {
    let mut random = s.random();
    let names = ["a", "b", "c", "d"];
    let mut held = names.map(|name| (s.file_of(s.root, name, name.as_bytes()), 1));
    for _ in 0..s.rounds(500, 20_000) {
        let index = random.index(names.len());
        let (node, count) = &mut held[index];
        if random.one_in(2) || *count == 1 {
            same("the number", s.lookup(s.root, names[index]).ok().node, *node);
            *count += 1;
        } else {
            let part = 1 + random.below(*count - 1);
            s.forget(*node, part);
            *count -= part;
        }
    }
    for (name, (node, count)) in names.iter().zip(held) {
        s.unlink(s.root, name).ok();
        if count > 1 {
            s.forget(node, count - 1);
        }
        same_bytes("what is held once", &s.read(node, 0, 10), name.as_bytes());
        s.forget(node, 1);
        s.getattr(node).refused();
    }
}

fn failures(s: &Subject) {
    let node = s.file(s.root, "x").node;
    s.create(s.root, "x").fails(Errno::Exist);
    s.mkdir(s.root, "x").fails(Errno::Exist);
    if s.has(Capabilities::HARD_LINKS) {
        s.link(node, s.root, "x").fails(Errno::Exist);
    }
    s.lookup(node, "y").fails(Errno::Notdir);
    held_once(s, node, false);
}

fn listing(s: &Subject) {
    let node = s.file(s.root, "x").node;
    for page in [1, 2, 100] {
        same("how many entries there are", s.list(s.root, page).len(), 1);
    }
    held_once(s, node, false);
}

fn uses(s: &Subject) {
    let node = s.file_of(s.root, "x", b"bytes");
    s.attr(node);
    s.chmod(node, 0o600);
    s.set_size(node, 3);
    let handle = s.open(node, OpenFlags::all()).ok();
    s.pread(node, handle, 0, 10).ok();
    s.fsync(node, handle, false).ok();
    s.release(node, handle);
    held_once(s, node, false);
}

fn rename(s: &Subject) {
    let node = s.file(s.root, "a").node;
    s.rename(s.root, "a", s.root, "b", NONE).ok();
    s.rename(s.root, "b", s.root, "x", NONE).ok();
    held_once(s, node, false);
}

fn root(s: &Subject) {
    let root = s.info.root;
    let before = s.attr(root);
    same("the kind of the root", before.kind, NodeKind::Directory);
    s.forget(root, 1);
    s.forget(root, 1000);
    s.forget(root, u64::MAX);
    same("the number of the root", s.attr(root).node, root);
    s.readdir(root, 0, 10).ok();
    s.lookup(root, "kit-none").fails(Errno::Noent);
}

fn replaced_file(s: &Subject) {
    let old = s.file_of(s.root, "x", b"old");
    s.file_of(s.root, "new", b"new");
    s.rename(s.root, "new", s.root, "x", NONE).ok();
    same_bytes("the file that was replaced", &s.read(old, 0, 10), b"old");
    same("its links", s.links(old), 0);
    s.forget(old, 1);
    s.getattr(old).refused();
}

fn replaced_directory(s: &Subject) {
    let old = s.dir(s.root, "x").node;
    s.dir(s.root, "new");
    s.rename(s.root, "new", s.root, "x", NONE).ok();
    same("links of the directory that was replaced", s.links(old), 0);
    same("kind", s.attr(old).kind, NodeKind::Directory);
    s.forget(old, 1);
    s.getattr(old).refused();
}

fn removed_directory(s: &Subject) {
    let dir = s.dir(s.root, "x").node;
    s.rmdir(s.root, "x").ok();
    let found = s.attr(dir);
    same("number, kind and links", (found.node, found.kind, found.links), (dir, NodeKind::Directory, 0));
    holds!(s.fs.readdir(dir, 0, 10).unwrap_or_default().is_empty(), "a directory that is gone has entries");
    s.lookup(dir, "x").fails(Errno::Noent);
}

fn many_without_names(s: &Subject) {
    let make = |index: u64| {
        let node = s.file_of(s.root, "x", &index.to_le_bytes());
        s.unlink(s.root, "x").ok();
        node
    };
    let nodes: Vec<_> = (0..200).map(make).collect();
    for (index, &node) in (0_u64..).zip(&nodes) {
        same_bytes(format_args!("file {index}"), &s.read(node, 0, 10), &index.to_le_bytes());
    }
    for node in nodes {
        s.forget(node, 1);
    }
    s.holds_names(s.root, &[]);
}

fn moved(s: &Subject) {
    let top = s.dir(s.root, "top").node;
    let dir = s.dir(top, "dir").node;
    let file = s.file_of(dir, "f", b"moved");
    s.rename(dir, "f", dir, "g", NONE).ok();
    s.rename(top, "dir", s.root, "dir", NONE).ok();
    s.rename(s.root, "top", dir, "top", NONE).ok();
    same_bytes("the file after its directory moved", &s.read(file, 0, 10), b"moved");
    same("the number by its new path", s.peek(dir, "g").ok().node, file);
    same("the number of the directory", s.peek(s.root, "dir").ok().node, dir);
    same("the number of what was above and is below", s.peek(dir, "top").ok().node, top);
    s.write(file, 5, b" on");
    same("its size", s.peek(dir, "g").ok().size, 8);
}

fn many_moved(s: &Subject) {
    let dir = s.dir(s.root, "dir").node;
    let nodes: Vec<_> = (0..1000).map(|index| s.file(dir, &format!("f{index}")).node).collect();
    let above = s.dir(s.root, "above").node;
    s.rename(s.root, "dir", above, "moved", NONE).ok();
    s.rename(s.root, "above", s.root, "over", NONE).ok();
    for (index, node) in nodes.into_iter().enumerate() {
        same(format_args!("the number of file {index}"), s.attr(node).node, node);
    }
}

fn found_again(s: &Subject) {
    let node = s.file_of(s.root, "f", b"kept");
    s.chmod(node, 0o640);
    s.forget(node, 1);
    let again = s.lookup(s.root, "f").ok();
    same("mode, size and links", (again.mode, again.size, again.links), (0o640, 4, 1));
    same_bytes("what it holds", &s.read(again.node, 0, 10), b"kept");
}

fn directory_found_again(s: &Subject) {
    let dir = s.dir(s.root, "d").node;
    let (a, b) = (s.file_of(dir, "a", b"a").to_owned(), s.dir(dir, "b").node);
    for node in [a, b, dir] {
        s.forget(node, 1);
    }
    let dir = s.lookup(s.root, "d").ok().node;
    s.holds_names(dir, &["a", "b"]);
    let a = s.lookup(dir, "a").ok().node;
    same_bytes("what a holds", &s.read(a, 0, 10), b"a");
    same("the kind of b", s.peek(dir, "b").ok().kind, NodeKind::Directory);
}
