//! Making, finding and taking away names.

use super::prelude::*;

pub(crate) fn add(cases: &mut Cases) {
    cases
        .group(Group::Names)
        .law("open(2), O_CREAT: a new file is regular, empty, has the mode that was given and one link");
    cases.add("a new file is found, empty and owned", W, new_file);
    cases.add("a new directory is found, empty and owned", W, new_directory);
    cases.add("what is made belongs to whom it was made for", W, owners);
    for mode in [0, 0o400, 0o644, 0o666, 0o777] {
        cases.add(format!("a file made with mode {mode:#o} has it"), W, move |s| file_mode(s, mode));
    }
    for mode in [0o700, 0o755, 0o777, 0o1777] {
        cases.add(format!("a directory made with mode {mode:#o} has it"), W, move |s| directory_mode(s, mode));
    }
    cases.law("wit/backend, node: a number is unique within a mount while anybody holds it; 0 is never a node");
    cases.add("a thousand files have a thousand numbers", W, unique);
    cases.add("a name that is made again leads to another file than the one that is still held", W, made_again);
    cases.law("path_resolution(7): a name means what its own directory says");
    cases.add("one name in two directories is two files", W, two_directories);
    cases.add("what lies 64 directories deep is found", W, deep);
    cases.law("open(2), mkdir(2), symlink(2), mknod(2), link(2): EEXIST, whatever has the name; nothing changes");
    taken(cases);
    cases.law("path_resolution(7): ENOENT when a name is not there");
    cases.add("lookup of what is not there is ENOENT", W, |s| s.lookup(s.root, "none").fails(Errno::Noent));
    cases.add("unlink of what is not there is ENOENT", W, |s| s.unlink(s.root, "none").fails(Errno::Noent));
    cases.add("rmdir of what is not there is ENOENT", W, |s| s.rmdir(s.root, "none").fails(Errno::Noent));
    cases.add("a lookup that fails makes nothing", W, failing_lookup);
    cases.law("path_resolution(7): ENOTDIR when a component that is used as a directory is none");
    no_directory(cases);
    removal(cases);
}

fn removal(cases: &mut Cases) {
    cases.law("unlink(2): the name goes; the file goes when it was the last and nobody holds it");
    cases.add("unlink takes the name, and the file lives while it is held", W, unlink_held);
    cases.add("unlink takes the one name and no other", W, unlink_one);
    cases.add("a forgotten file's place is used again and shows nothing old", W, reuse);
    for thing in Thing::LEAVES {
        cases.add(format!("unlink takes {}", thing.name()), thing.needs(), move |s| {
            thing.make(s, s.root, "x");
            s.file(s.root, "y");
            s.unlink(s.root, "x").ok();
            s.is_absent(s.root, "x");
            s.holds_names(s.root, &["y"]);
        });
        cases.law("rmdir(2): ENOTDIR when it is no directory");
        cases.add(format!("rmdir of {} is ENOTDIR", thing.name()), thing.needs(), move |s| {
            thing.make(s, s.root, "x");
            s.rmdir(s.root, "x").fails(Errno::Notdir);
            s.holds_names(s.root, &["x"]);
        });
        cases.law("unlink(2): the name goes; the file goes when it was the last and nobody holds it");
    }
    cases.law("unlink(2), wit/backend unlink: EISDIR for a directory");
    for thing in [Thing::Directory, Thing::FullDirectory] {
        cases.add(format!("unlink of {} is EISDIR", thing.name()), W, move |s| {
            thing.make(s, s.root, "x");
            s.unlink(s.root, "x").fails(Errno::Isdir);
            s.holds_names(s.root, &["x"]);
        });
    }
}

fn new_file(s: &Subject) {
    let made = s.file(s.root, "f");
    same("kind, mode, size and links", (made.kind, made.mode, made.size, made.links), (NodeKind::File, 0o644, 0, 1));
    let found = s.peek(s.root, "f").ok();
    same("the number that lookup answers", found.node, made.node);
    same("the number that getattr answers", s.attr(made.node).node, made.node);
    s.holds_names(s.root, &["f"]);
    holds!(made.node != 0 && made.node != s.root, "expected a number of its own, got {}", made.node);
    same("what it holds", s.read(made.node, 0, 10), b"");
}

fn new_directory(s: &Subject) {
    let made = s.dir(s.root, "d");
    same("kind and mode", (made.kind, made.mode), (NodeKind::Directory, 0o755));
    same("the number that lookup answers", s.peek(s.root, "d").ok().node, made.node);
    s.holds_names(made.node, &[]);
    s.is_absent(made.node, "d");
    holds!(made.node != 0 && made.node != s.root, "expected a number of its own, got {}", made.node);
}

fn owners(s: &Subject) {
    let owner = Ownership { mode: 0o640, uid: 1234, gid: 4321 };
    let made = [s.create_as(s.root, "f", owner).ok(), s.mkdir_as(s.root, "d", Ownership { mode: 0o750, ..owner }).ok()];
    let root = s.attr(s.info.root);
    if made.iter().all(|made| (made.uid, made.gid) == (root.uid, root.gid)) {
        leave_out("everything belongs to one user");
    }
    for made in made {
        same("owner and group", (made.uid, made.gid), (1234, 4321));
        let found = s.attr(made.node);
        same("owner and group of getattr", (found.uid, found.gid), (1234, 4321));
    }
}

fn file_mode(s: &Subject, mode: u32) {
    let made = s.create_as(s.root, "f", Ownership { mode, ..OWNER }).ok();
    same("the mode", made.mode, mode);
    same("the mode of getattr", s.attr(made.node).mode, mode);
}

fn directory_mode(s: &Subject, mode: u32) {
    let made = s.mkdir_as(s.root, "d", Ownership { mode, ..OWNER }).ok();
    same("the mode", made.mode, mode);
    same("the mode of getattr", s.attr(made.node).mode, mode);
}

fn unique(s: &Subject) {
    let mut numbers: Vec<_> = (0..1000).map(|index| s.file(s.root, &format!("f{index}")).node).collect();
    numbers.push(s.root);
    numbers.sort_unstable();
    numbers.dedup();
    same("how many numbers there are", numbers.len(), 1001);
    holds!(numbers[0] != 0, "a file has the number 0");
}

fn made_again(s: &Subject) {
    let mut held = Vec::new();
    for round in 0..50 {
        let made = s.file(s.root, "f");
        holds!(!held.contains(&made.node), "round {round}: the number {} is held by a file without a name", made.node);
        same("size and links", (made.size, made.links), (0, 1));
        s.write(made.node, 0, &[round; 10]);
        s.unlink(s.root, "f").ok();
        held.push(made.node);
    }
    for (round, node) in (0..).zip(held) {
        same_bytes(format_args!("the file of round {round}"), &s.read(node, 0, 20), &[round; 10]);
    }
}

fn two_directories(s: &Subject) {
    let (a, b) = (s.dir(s.root, "a").node, s.dir(s.root, "b").node);
    let one = s.file_of(a, "x", b"one");
    let two = s.file_of(b, "x", b"two");
    holds!(one != two, "both files have the number {one}");
    s.is_absent(s.root, "x");
    s.unlink(a, "x").ok();
    same("the file that was left", s.peek(b, "x").ok().node, two);
    same_bytes("what it holds", &s.read(two, 0, 10), b"two");
}

fn deep(s: &Subject) {
    let mut at = s.root;
    for level in 0..64 {
        at = s.dir(at, &format!("level-{level}")).node;
    }
    let bottom = s.file_of(at, "bottom", b"here");
    let mut at = s.root;
    for level in 0..64 {
        at = s.peek(at, &format!("level-{level}")).ok().node;
    }
    same("the number at the bottom", s.peek(at, "bottom").ok().node, bottom);
    same_bytes("what it holds", &s.read(bottom, 0, 10), b"here");
}

/// Every way to make a name, where something of every kind has it.
fn taken(cases: &mut Cases) {
    for thing in [Thing::File, Thing::Directory, Thing::Symlink, Thing::Fifo] {
        for (how, needs) in
            [("create", W), ("mkdir", W), ("symlink", SYMLINKS), ("make-node", SPECIAL), ("link", HARD_LINKS)]
        {
            cases.add(format!("{how} where {} is already is EEXIST", thing.name()), needs | thing.needs(), move |s| {
                let there = thing.make(s, s.root, "x");
                let other = s.file(s.root, "other").node;
                make(s, how, other, s.root, "x").fails(Errno::Exist);
                let now = s.peek(s.root, "x").ok();
                same("what has the name", (now.node, now.kind, now.links), (there.node, there.kind, there.links));
                s.holds_names(s.root, &["other", "x"]);
                same("links of the other file", s.links(other), 1);
            });
        }
    }
}

/// Makes a name in one of five ways.
pub(super) fn make(s: &Subject, how: &str, other: Node, dir: Node, name: &str) -> crate::calls::Call<Attributes> {
    match how {
        "create" => s.create(dir, name),
        "mkdir" => s.mkdir(dir, name),
        "symlink" => s.symlink(dir, name, "target"),
        "make-node" => s.make_node(dir, name, NodeKind::Fifo, 0),
        _ => s.link(other, dir, name),
    }
}

fn failing_lookup(s: &Subject) {
    for name in ["a", "b", "c"] {
        s.lookup(s.root, name).fails(Errno::Noent);
    }
    s.holds_names(s.root, &[]);
    s.file(s.root, "a");
    s.peek(s.root, "a").ok();
    s.unlink(s.root, "a").ok();
    s.lookup(s.root, "a").fails(Errno::Noent);
}

/// Every call that takes a directory, with something that is none.
fn no_directory(cases: &mut Cases) {
    for thing in Thing::LEAVES {
        for (how, needs) in
            [("create", W), ("mkdir", W), ("symlink", SYMLINKS), ("make-node", SPECIAL), ("link", HARD_LINKS)]
        {
            cases.add(format!("{how} in {} is ENOTDIR", thing.name()), needs | thing.needs(), move |s| {
                let wrong = thing.make(s, s.root, "wrong").node;
                let other = s.file(s.root, "other").node;
                make(s, how, other, wrong, "x").fails(Errno::Notdir);
                s.holds_names(s.root, &["other", "wrong"]);
                same("links of the other file", s.links(other), 1);
            });
        }
        let needs = thing.needs();
        let add = |cases: &mut Cases, what: &str, run: fn(&Subject, Node)| {
            cases.add(format!("{what} {} is ENOTDIR", thing.name()), needs, move |s| {
                let wrong = thing.make(s, s.root, "wrong").node;
                s.file(s.root, "other");
                run(s, wrong);
                s.holds_names(s.root, &["other", "wrong"]);
            });
        };
        add(cases, "lookup in", |s, wrong| s.lookup(wrong, "x").fails(Errno::Notdir));
        add(cases, "unlink in", |s, wrong| s.unlink(wrong, "x").fails(Errno::Notdir));
        add(cases, "rmdir in", |s, wrong| s.rmdir(wrong, "x").fails(Errno::Notdir));
        add(cases, "readdir of", |s, wrong| s.readdir(wrong, 0, 10).fails(Errno::Notdir));
        add(cases, "rename out of", |s, wrong| s.rename(wrong, "x", s.root, "y", NONE).fails(Errno::Notdir));
        add(cases, "rename into", |s, wrong| s.rename(s.root, "other", wrong, "y", NONE).fails(Errno::Notdir));
    }
}

fn unlink_held(s: &Subject) {
    let file = s.file_of(s.root, "f", b"still here");
    s.unlink(s.root, "f").ok();
    s.is_absent(s.root, "f");
    same("links", s.links(file), 0);
    same_bytes("what it holds", &s.read(file, 0, 100), b"still here");
    s.write(file, 10, b"!");
    same("size", s.attr(file).size, 11);
    s.set_size(file, 5);
    same_bytes("what it holds", &s.read(file, 0, 100), b"still");
    s.file(s.root, "f");
    same("size, when the name leads to another file", s.attr(file).size, 5);
    s.forget(file, 1);
}

fn unlink_one(s: &Subject) {
    let names: Vec<_> = (0..40).map(|index| format!("f{index}")).collect();
    let nodes: Vec<_> = names.iter().map(|name| s.file(s.root, name).node).collect();
    for victim in [0, 39, 20, 1, 38] {
        s.unlink(s.root, &names[victim]).ok();
        s.is_absent(s.root, &names[victim]);
        s.unlink(s.root, &names[victim]).fails(Errno::Noent);
    }
    for (index, name) in names.iter().enumerate().filter(|(index, _)| ![0, 1, 20, 38, 39].contains(index)) {
        same(format_args!("what {name} leads to"), s.peek(s.root, name).ok().node, nodes[index]);
    }
    same("how many names are left", s.names(s.root).len(), 35);
}

fn reuse(s: &Subject) {
    for round in 0..200 {
        let file = s.file(s.root, "f");
        same(format_args!("round {round}: size and links"), (file.size, file.links), (0, 1));
        same_bytes("a new file", &s.read(file.node, 0, 10), b"");
        s.set_size(file.node, 5);
        same_bytes("a new file that was extended", &s.read(file.node, 0, 10), &[0; 5]);
        s.write(file.node, 0, b"something");
        if s.has(Capabilities::XATTRS) {
            same("names of xattrs of a new file", s.listxattr(file.node).ok(), Vec::<String>::new());
            s.setxattr(file.node, "user.old", b"old").ok();
        }
        s.unlink(s.root, "f").ok();
        s.forget(file.node, 1);
    }
}
