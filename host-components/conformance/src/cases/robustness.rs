//! What no kernel asks, and a backend must survive: whatever it answers, it does not panic, hang or lose what it holds.

use std::collections::BTreeSet;

use super::prelude::*;

pub(crate) fn add(cases: &mut Cases) {
    cases
        .group(Group::Robustness)
        .law("wit/backend, types, node: 0 is never a node; what was never given out is no inode");
    cases.add("numbers that were never given out are refused everywhere", Capabilities::empty(), unknown_nodes);
    cases.add("changes to numbers that were never given out are refused", W, unknown_nodes_changed);
    cases.law("wit/backend, forget gives counts back");
    cases.add("forget of what is not held, and of more than is held", W, forget_too_much);
    cases.law("wit/backend, handle: opaque to the kernel, which gives back what it was given");
    cases.add("handles that were never given out do no harm", W, unknown_handles);
    cases.law("wit/backend, trust: the kernel has checked names; a mistake there must not become an entry that cannot be taken away");
    for name in ["", ".", "..", "/", "a/b", "/etc/passwd", "../x", "a\0b", "\0"] {
        cases.add(format!("the name {name:?} is not made"), W, move |s| bad_name(s, name));
    }
    cases.law("wit/backend, readdir");
    cases.add("cookies that were never given out do no harm", W, unknown_cookies);
    cases.law("wit/backend, attribute-changes");
    cases.add("modes, owners and times that cannot be do no harm", W, odd_attributes);
    cases.law("wit/backend: each function, with whatever arguments");
    cases.add("ten thousand calls with arguments at random", W, nonsense);
    cases.add("a rename of what lies elsewhere", W, foreign_rename);
    cases.law("wit/backend, capabilities, writable absent: what changes answers EROFS");
    read_only(cases);
}

/// Values that a careless conversion trips over.
const ODD_NUMBERS: [u64; 14] = [
    0,
    2,
    77,
    999_999,
    1 << 31,
    u32::MAX as u64,
    1 << 32,
    (1 << 32) | 1,
    1 << 40,
    1 << 53,
    i64::MAX as u64,
    1 << 63,
    u64::MAX - 1,
    u64::MAX,
];

/// The filesystem still does what it did.
fn is_alive(s: &Subject) {
    same("the kind of the root", s.attr(s.root).kind, NodeKind::Directory);
    let file = s.file_of(s.root, "alive", b"still alive");
    same_bytes("what a new file holds", &s.read(file, 0, 20), b"still alive");
    same("what its name leads to", s.peek(s.root, "alive").ok().node, file);
    s.unlink(s.root, "alive").ok();
    s.forget(file, 1);
    s.is_absent(s.root, "alive");
}

/// Numbers of nothing that is there: a filesystem may give its numbers out before anybody asks.
fn strangers(s: &Subject) -> impl Iterator<Item = Node> {
    let mut known = BTreeSet::from([s.info.root, s.root]);
    collect(s, s.info.root, &mut known);
    ODD_NUMBERS.into_iter().filter(move |node| !known.contains(node))
}

fn collect(s: &Subject, dir: Node, known: &mut BTreeSet<Node>) {
    for entry in s.list(dir, 100) {
        known.insert(entry.attributes.node);
        if entry.attributes.kind == NodeKind::Directory {
            let below = s.lookup(dir, &entry.name).ok().node;
            collect(s, below, known);
            s.forget(below, 1);
        }
    }
}

fn unknown_nodes(s: &Subject) {
    for node in strangers(s) {
        s.getattr(node).refused();
        s.lookup(node, "x").refused();
        s.readdir(node, 0, 10).refused();
        s.readlink(node).refused();
        s.open(node, OpenFlags::READ).refused();
        s.getxattr(node, "user.x").refused();
        s.pread(node, 0, 0, 10).refused();
        s.fs.forget(node, 1);
        s.fs.release(node, 0);
    }
    same("the kind of the root", s.attr(s.info.root).kind, NodeKind::Directory);
}

fn unknown_nodes_changed(s: &Subject) {
    let file = s.file(s.root, "f").node;
    for node in strangers(s).filter(|&node| node != file) {
        s.setattr(node, &AttributeChanges { mode: Some(0o600), ..Default::default() }).refused();
        s.setattr(node, &AttributeChanges { size: Some(0), ..Default::default() }).refused();
        s.create(node, "x").refused();
        s.mkdir(node, "x").refused();
        s.unlink(node, "x").refused();
        s.rmdir(node, "x").refused();
        s.rename(node, "x", s.root, "y", NONE).refused();
        s.rename(s.root, "f", node, "y", NONE).refused();
        s.pwrite(node, 0, 0, b"x").refused();
        s.setxattr(node, "user.x", b"x").refused();
        if s.has(Capabilities::HARD_LINKS) {
            s.link(node, s.root, "x").refused();
            s.link(file, node, "x").refused();
        }
    }
    s.holds_names(s.root, &["f"]);
    same("number and links", (s.peek(s.root, "f").ok().node, s.links(file)), (file, 1));
    is_alive(s);
}

fn forget_too_much(s: &Subject) {
    let file = s.file_of(s.root, "f", b"kept");
    let dir = s.dir(s.root, "d").node;
    for node in [file, dir, 0, u64::MAX, 12_345_678] {
        for count in [1, 1000, u64::MAX] {
            s.fs.forget(node, count);
        }
    }
    let file = s.lookup(s.root, "f").ok().node;
    same_bytes("what it holds", &s.read(file, 0, 10), b"kept");
    let dir = s.lookup(s.root, "d").ok().node;
    s.file(dir, "inside");
    is_alive(s);
}

fn unknown_handles(s: &Subject) {
    let file = s.file_of(s.root, "f", b"bytes");
    let handle = s.open(file, OpenFlags::all()).ok();
    for stranger in ODD_NUMBERS.into_iter().filter(|&stranger| stranger != handle) {
        // A backend that keeps nothing per open does not look at handles, so each may succeed; none may do harm.
        if let Ok(bytes) = s.pread(file, stranger, 0, 10).result {
            same_bytes("what was read through it", &bytes, b"bytes");
        }
        let _ = s.fs.fsync(file, stranger, false);
        s.fs.release(file, stranger);
        s.fs.release(u64::MAX, stranger);
    }
    same_bytes("what the open file reads", &s.pread(file, handle, 0, 10).ok(), b"bytes");
    s.release(file, handle);
    is_alive(s);
}

fn bad_name(s: &Subject, name: &str) {
    let (file, dir) = (s.file_of(s.root, "f", b"kept"), s.dir(s.root, "d").node);
    s.create(dir, name).refused();
    s.mkdir(dir, name).refused();
    s.rename(s.root, "f", dir, name, NONE).refused();
    s.unlink(dir, name).refused();
    s.rmdir(dir, name).refused();
    s.rename(dir, name, s.root, "g", NONE).refused();
    if s.has(Capabilities::SYMLINKS) {
        s.symlink(dir, name, "target").refused();
    }
    if s.has(Capabilities::HARD_LINKS) {
        s.link(file, dir, name).refused();
    }
    let _ = s.fs.lookup(dir, name).map(|found| s.fs.forget(found.node, 1));
    s.holds_names(dir, &[]);
    s.holds_names(s.root, &["d", "f"]);
    same_bytes("what the file holds", &s.read(file, 0, 10), b"kept");
    is_alive(s);
}

fn unknown_cookies(s: &Subject) {
    let dir = s.dir(s.root, "d").node;
    for index in 0..10 {
        s.file(dir, &format!("f{index}"));
    }
    for cookie in ODD_NUMBERS {
        if let Ok(entries) = s.readdir(dir, cookie, 100).result {
            holds!(entries.len() <= 10, "{} entries of 10 come after the cookie {cookie}", entries.len());
        }
    }
    same("how many entries there are", s.list(dir, 3).len(), 10);
    is_alive(s);
}

fn odd_attributes(s: &Subject) {
    let file = s.file_of(s.root, "f", b"kept");
    for odd in [u32::MAX, 1 << 31, 0o170_000, 0o777_777] {
        let _ = s.fs.setattr(file, &AttributeChanges { mode: Some(odd), ..Default::default() });
        let _ = s.fs.setattr(file, &AttributeChanges { uid: Some(odd), gid: Some(odd), ..Default::default() });
        let owner = Ownership { mode: odd, uid: odd, gid: odd };
        if let Ok(made) = s.create_as(s.root, "odd", owner).result {
            same("the kind of a file with an odd mode", made.kind, NodeKind::File);
            holds!(made.mode <= 0o7777, "the mode {:#o} has more than 12 bits", made.mode);
            s.unlink(s.root, "odd").ok();
            s.forget(made.node, 1);
        }
    }
    for seconds in [i64::MIN, i64::MIN + 1, -1, i64::MAX] {
        for nanoseconds in [0, 999_999_999, u32::MAX] {
            let time = Some(Timestamp { seconds, nanoseconds });
            let _ = s.fs.setattr(file, &AttributeChanges { accessed: time, modified: time, ..Default::default() });
        }
    }
    let found = s.attr(file);
    same("the kind", found.kind, NodeKind::File);
    holds!(found.mode <= 0o7777, "the mode {:#o} has more than 12 bits", found.mode);
    holds!(found.modified.nanoseconds < 1_000_000_000, "{:?} is no time", found.modified);
    s.chmod(file, 0o600);
    same_bytes("what it holds", &s.read(file, 0, 10), b"kept");
    is_alive(s);
}

fn nonsense(s: &Subject) {
    let kept = s.file_of(s.root, "kept", b"kept");
    let mut random = s.random();
    for _ in 0..s.rounds(10_000, 200_000) {
        nonsense_once(s, &mut random, kept);
    }
    same_bytes("what was not touched", &s.read(kept, 0, 10), b"kept");
    same("what its name leads to", s.peek(s.root, "kept").ok().node, kept);
    same("its links", s.links(kept), 1);
    is_alive(s);
}

/// One call whose arguments are odd, or not. Nothing of it touches the file `kept`.
fn nonsense_once(s: &Subject, random: &mut Random, kept: Node) {
    const NAMES: [&str; 12] = ["a", "b", "c", "d", "", ".", "..", "a/b", "\0", "ü", "user.x", "nothing at all"];
    let fs = &s.fs;
    let node = match random.below(6) {
        0 => *random.pick(&ODD_NUMBERS),
        1 => random.next() >> random.below(64),
        2 => fs.lookup(s.root, NAMES[random.index(NAMES.len())]).map_or(s.root, |found| found.node),
        _ => s.root,
    };
    if node == kept {
        return;
    }
    let (name, other) = (*random.pick(&NAMES), *random.pick(&NAMES));
    // A file may grow, but not so far that a backend without holes would fill somebody's disk.
    let offset = if random.one_in(2) { random.below(100_000) } else { i64::MAX as u64 + random.below(1 << 40) };
    let odd = random.next() >> random.below(64);
    let owner = Ownership { mode: odd as u32 & 0o7777, uid: 0, gid: 0 };
    let _ = match random.below(20) {
        0 => fs.lookup(node, name).map(drop),
        1 => fs.getattr(node).map(drop),
        2 => fs.create(node, name, owner).map(drop),
        3 => fs.mkdir(node, name, owner).map(drop),
        4 => fs.symlink(node, name, other, owner).map(drop),
        5 => fs.make_node(node, name, NodeKind::Fifo, odd, owner).map(drop),
        6 => fs.link(node, s.root, name).map(drop),
        7 => fs.unlink(node, name),
        8 => fs.rmdir(node, name),
        9 => fs.rename(s.root, name, s.root, other, RenameFlags::from_bits_truncate(odd as u32)),
        10 => fs.readlink(node).map(drop),
        11 => fs.open(node, OpenFlags::from_bits_truncate(odd as u32)).map(|handle| fs.release(node, handle)),
        12 => fs.read(node, odd, offset, &mut [0; 64]).map(drop),
        13 => fs.write(node, odd, offset, name.as_bytes()).map(drop),
        14 => fs.readdir(node, odd, random.index(20)).map(drop),
        15 => fs.setattr(node, &AttributeChanges { size: Some(offset), ..Default::default() }).map(drop),
        16 => fs.getxattr(node, name).map(drop),
        17 => fs.setxattr(node, name, other.as_bytes()),
        18 => fs.removexattr(node, name),
        _ => {
            if node != s.root {
                fs.forget(node, odd);
            }
            Ok(())
        }
    };
}

fn foreign_rename(s: &Subject) {
    let (dir, file) = (s.dir(s.root, "d").node, s.file(s.root, "f").node);
    s.rename(file, "x", dir, "y", NONE).refused();
    s.rename(dir, "f", s.root, "g", NONE).fails(Errno::Noent);
    s.rename(s.root, "d", dir, "d", NONE).refused();
    s.holds_names(s.root, &["d", "f"]);
    s.holds_names(dir, &[]);
    is_alive(s);
}

fn read_only(cases: &mut Cases) {
    let mut add = |name: &'static str, run: fn(&Subject)| {
        cases.add(format!("read-only: {name}"), Capabilities::empty(), run).lacking(W);
    };
    add("create, mkdir, symlink, make-node are EROFS", |s| {
        s.create(s.root, "kit-new").fails(Errno::Rofs);
        s.mkdir(s.root, "kit-new").fails(Errno::Rofs);
        s.symlink(s.root, "kit-new", "target").fails_with(&[Errno::Rofs, Errno::Notsup]);
        s.make_node(s.root, "kit-new", NodeKind::Fifo, 0).fails_with(&[Errno::Rofs, Errno::Notsup]);
        s.is_absent(s.root, "kit-new");
    });
    add("link, unlink, rmdir and rename are EROFS", |s| {
        s.unlink(s.root, "kit-none").fails_with(&[Errno::Rofs, Errno::Noent]);
        s.rmdir(s.root, "kit-none").fails_with(&[Errno::Rofs, Errno::Noent]);
        s.rename(s.root, "kit-none", s.root, "kit-new", NONE).fails_with(&[Errno::Rofs, Errno::Noent]);
        s.link(s.root, s.root, "kit-new").fails_with(&[Errno::Rofs, Errno::Perm, Errno::Notsup]);
    });
    add("setattr of the root is EROFS", |s| {
        let before = s.attr(s.root);
        s.setattr(s.root, &AttributeChanges { mode: Some(0o700), ..Default::default() }).fails(Errno::Rofs);
        same("the mode", s.attr(s.root).mode, before.mode);
    });
}
