//! Hard links.

use super::prelude::*;

pub(crate) fn add(cases: &mut Cases) {
    cases.group(Group::Links).law("link(2): the new name can be used exactly as the old one; both name the same file");
    cases.add("two names are one file", HARD_LINKS, one_file);
    cases.add("what is changed by one name shows by the other", HARD_LINKS, shared);
    cases.add("names in several directories", HARD_LINKS, several_directories);
    cases.add("a hundred names, taken away one by one", HARD_LINKS, hundred);
    cases.add("a listing shows each name with the same number and count", HARD_LINKS, listed);
    cases.add("a name that was taken away is made again", HARD_LINKS, again);
    cases.law("unlink(2): the file goes with its last name; stat(2), st_nlink counts the names");
    cases.add("the last name takes the file along", HARD_LINKS, last_name);
    cases.add("in whichever order the names go", HARD_LINKS, either_order);
    cases.law("link(2): EPERM for a directory");
    cases.add("link of a directory is EPERM", HARD_LINKS, |s| {
        let dir = s.dir(s.root, "d");
        s.link(dir.node, s.root, "e").fails(Errno::Perm);
        s.link(dir.node, dir.node, "e").fails(Errno::Perm);
        same("links", s.links(dir.node), dir.links);
        s.holds_names(s.root, &["d"]);
    });
    cases.law("link(2): EEXIST when new exists, whatever it is; it is not replaced");
    cases.add("link onto its own name is EEXIST", HARD_LINKS, |s| {
        let file = s.file(s.root, "f").node;
        s.link(file, s.root, "f").fails(Errno::Exist);
        same("links", s.links(file), 1);
    });
    cases.law("linkat(2): ENOENT for a file without a name, even while it is open");
    cases.add("link of a file that lost its last name is ENOENT", HARD_LINKS, |s| {
        let file = s.file(s.root, "f").node;
        s.unlink(s.root, "f").ok();
        s.link(file, s.root, "g").fails(Errno::Noent);
        s.holds_names(s.root, &[]);
        same("links", s.links(file), 0);
    });
    cases.law("linkat(2): a symlink is linked itself, when it is not followed");
    cases.add("a symlink has two names", HARD_LINKS | SYMLINKS, |s| {
        let link = s.symlink(s.root, "l", "target").ok().node;
        let linked = s.link(link, s.root, "m").ok_or_leave_out();
        same("number, kind and links", (linked.node, linked.kind, linked.links), (link, NodeKind::Symlink, 2));
        s.unlink(s.root, "l").ok();
        same("its target", s.readlink(link).ok(), "target");
    });
    cases.add("a FIFO has two names", HARD_LINKS | SPECIAL, |s| {
        let fifo = Thing::Fifo.make(s, s.root, "p").node;
        let linked = s.link(fifo, s.root, "q").ok();
        same("number, kind and links", (linked.node, linked.kind, linked.links), (fifo, NodeKind::Fifo, 2));
        s.unlink(s.root, "p").ok();
        same("links", s.peek(s.root, "q").ok().links, 1);
    });
    cases.law("link(2): EMLINK when there are too many");
    cases.add("seventy thousand names, or EMLINK", HARD_LINKS, too_many).long();
    cases.add("a thousand names", HARD_LINKS, |s| {
        let file = s.file(s.root, "f").node;
        for index in 1..1000 {
            same("links", s.link(file, s.root, &format!("l{index}")).ok().links, index + 1);
        }
        same("how many names there are", s.names(s.root).len(), 1000);
    });
    cases.law("link(2): ENOTSUP or EPERM where the filesystem has no hard links; wit/backend, capabilities");
    cases.add("link is refused where it is not offered", W, |s| {
        let file = s.file(s.root, "f").node;
        s.link(file, s.root, "g").refused();
        s.holds_names(s.root, &["f"]);
    });
    cases.lacking(Capabilities::HARD_LINKS);
}

fn one_file(s: &Subject) {
    let file = s.file(s.root, "a").node;
    let dir = s.dir(s.root, "d").node;
    let linked = s.link(file, dir, "b").ok();
    same("number and links", (linked.node, linked.links), (file, 2));
    same("number and links by the first name", told(s.peek(s.root, "a").ok()), (file, 2));
    same("number and links by the second name", told(s.peek(dir, "b").ok()), (file, 2));
    s.write(file, 0, b"one");
    same("the size by the second name", s.peek(dir, "b").ok().size, 3);
    s.unlink(s.root, "a").ok();
    same("number and links of what is left", told(s.peek(dir, "b").ok()), (file, 1));
}

fn told(from: Attributes) -> (Node, u32) {
    (from.node, from.links)
}

fn shared(s: &Subject) {
    let file = s.file_of(s.root, "a", b"bytes");
    s.link(file, s.root, "b").ok();
    s.chmod(file, 0o600);
    s.set_size(file, 2);
    if s.has(Capabilities::XATTRS) {
        s.setxattr(file, "user.x", b"value").ok();
    }
    let (a, b) = (s.peek(s.root, "a").ok(), s.peek(s.root, "b").ok());
    same("all attributes", Attributes { lifetime_ns: 0, ..a }, Attributes { lifetime_ns: 0, ..b });
    same("mode and size", (b.mode, b.size), (0o600, 2));
}

fn several_directories(s: &Subject) {
    let file = s.file_of(s.root, "f", b"shared");
    let dirs: Vec<_> = (0..10).map(|index| s.dir(s.root, &format!("d{index}")).node).collect();
    for (count, &dir) in (2..).zip(&dirs) {
        same("links", s.link(file, dir, "f").ok().links, count);
    }
    for (index, &dir) in dirs.iter().enumerate() {
        s.rmdir(s.root, &format!("d{index}")).fails(Errno::Notempty);
        s.unlink(dir, "f").ok();
        s.rmdir(s.root, &format!("d{index}")).ok();
        same("links", s.links(file), 10 - index as u32);
    }
    same_bytes("what it holds", &s.read(file, 0, 10), b"shared");
}

fn hundred(s: &Subject) {
    let file = s.file_of(s.root, "l0", b"shared");
    for index in 1..100 {
        s.link(file, s.root, &format!("l{index}")).ok();
    }
    let mut order: Vec<_> = (0..100).collect();
    let mut random = s.random();
    for left in (1..100).rev() {
        let index: usize = order.swap_remove(random.index(order.len()));
        s.unlink(s.root, &format!("l{index}")).ok();
        same("links", s.links(file), left);
    }
    let last = format!("l{}", order[0]);
    same("what the last name leads to", s.peek(s.root, &last).ok().node, file);
    same_bytes("what it holds", &s.read(file, 0, 10), b"shared");
}

fn listed(s: &Subject) {
    let file = s.file(s.root, "a").node;
    s.link(file, s.root, "b").ok();
    s.link(file, s.root, "c").ok();
    let entries = s.list(s.root, 1);
    same("how many entries there are", entries.len(), 3);
    for entry in entries {
        same(format_args!("number and links of {}", entry.name), told(entry.attributes), (file, 3));
    }
}

fn again(s: &Subject) {
    let file = s.file(s.root, "a").node;
    for _ in 0..50 {
        s.link(file, s.root, "b").ok();
        same("links", s.links(file), 2);
        s.unlink(s.root, "a").ok();
        s.link(file, s.root, "a").ok();
        s.unlink(s.root, "b").ok();
        same("links", s.links(file), 1);
    }
}

fn last_name(s: &Subject) {
    let file = s.file_of(s.root, "a", b"held");
    s.link(file, s.root, "b").ok();
    s.unlink(s.root, "b").ok();
    s.unlink(s.root, "a").ok();
    same("links", s.links(file), 0);
    same_bytes("what it holds while it is held", &s.read(file, 0, 10), b"held");
    s.forget(file, 2);
    s.getattr(file).refused();
}

fn either_order(s: &Subject) {
    for first in ["a", "b"] {
        let file = s.file_of(s.root, "a", b"shared");
        s.link(file, s.root, "b").ok();
        s.unlink(s.root, first).ok();
        let left = if first == "a" { "b" } else { "a" };
        same("number and links", told(s.peek(s.root, left).ok()), (file, 1));
        same_bytes("what it holds", &s.read(file, 0, 10), b"shared");
        s.unlink(s.root, left).ok();
    }
}

fn too_many(s: &Subject) {
    let file = s.file(s.root, "f").node;
    let mut made = 1;
    while made < 70_000 {
        match s.fs.link(file, s.root, &format!("l{made}")) {
            Ok(_) => made += 1,
            Err(errno) => {
                same(format_args!("the error after {made} links"), errno, Errno::Mlink);
                break;
            }
        }
    }
    same("links", s.links(file), made);
    s.unlink(s.root, "l1").ok();
    same("links", s.links(file), made - 1);
    s.link(file, s.root, "l1").ok();
}
