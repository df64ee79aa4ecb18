//! Making, emptying and taking away directories, and their link counts.

use super::names::make;
use super::prelude::*;

pub(crate) fn add(cases: &mut Cases) {
    cases
        .group(Group::Directories)
        .law("stat(2), st_nlink: a directory has 2 links and one more for each subdirectory");
    cases.add("a directory counts its subdirectories", W, links);
    cases.add("three hundred subdirectories are counted", W, many_subdirectories);
    cases.add("files, symlinks and FIFOs are no subdirectories", W, leaves_do_not_count);
    cases.law("rmdir(2): ENOTEMPTY unless it is empty");
    for thing in Thing::ALL {
        cases.add(format!("rmdir of a directory that holds {} is ENOTEMPTY", thing.name()), thing.needs(), move |s| {
            let dir = s.dir(s.root, "d").node;
            thing.make(s, dir, "x");
            s.rmdir(s.root, "d").fails(Errno::Notempty);
            s.holds_names(dir, &["x"]);
            s.rename(dir, "x", s.root, "x", NONE).ok();
            s.rmdir(s.root, "d").ok();
            s.holds_names(s.root, &["x"]);
        });
    }
    cases.add("a directory that was filled and emptied can go", W, filled_and_emptied);
    cases.law("open(2), mkdir(2), link(2), rename(2): ENOENT in a directory that has been removed");
    for (how, needs) in
        [("create", W), ("mkdir", W), ("symlink", SYMLINKS), ("make-node", SPECIAL), ("link", HARD_LINKS)]
    {
        cases.add(format!("{how} in a directory that is gone is ENOENT"), needs, move |s| {
            let dir = gone(s);
            let other = s.file(s.root, "other").node;
            make(s, how, other, dir, "x").fails(Errno::Noent);
            same("links of the other file", s.links(other), 1);
        });
    }
    cases.add("rename into a directory that is gone is ENOENT", W, |s| {
        let dir = gone(s);
        let file = s.file(s.root, "f").node;
        s.rename(s.root, "f", dir, "f", NONE).fails(Errno::Noent);
        same("what the name leads to", s.peek(s.root, "f").ok().node, file);
    });
    cases.add("lookup, unlink and rmdir in a directory that is gone are ENOENT", W, |s| {
        let dir = gone(s);
        s.lookup(dir, "x").fails(Errno::Noent);
        s.unlink(dir, "x").fails(Errno::Noent);
        s.rmdir(dir, "x").fails(Errno::Noent);
        s.rename(dir, "x", s.root, "y", NONE).fails(Errno::Noent);
    });
    cases.law("readdir(3), rmdir(2): a directory that has been removed has no entries");
    cases.add("a directory that is gone lists nothing", W, |s| {
        let dir = gone(s);
        match s.readdir(dir, 0, 10).result {
            Ok(entries) => same("how many entries there are", entries.len(), 0),
            Err(errno) => same("the error", errno, Errno::Noent),
        }
    });
    cases.law("mkdir(2): a new directory is empty, whatever had its name before");
    cases.add("a name that led to a directory leads to a new and empty one", W, made_again);
    cases.add("directories 200 deep, made and taken away", W, deep);
}

/// A directory that is held and has no name.
fn gone(s: &Subject) -> Node {
    let dir = s.dir(s.root, "gone").node;
    s.file(dir, "x");
    s.unlink(dir, "x").ok();
    s.rmdir(s.root, "gone").ok();
    same("links of a directory that is gone", s.links(dir), 0);
    dir
}

fn links(s: &Subject) {
    if !s.counts_directories() {
        leave_out("directories always have one link");
    }
    let before = s.links(s.root);
    let dir = s.dir(s.root, "d");
    same("kind and links of a new directory", (dir.kind, dir.links), (NodeKind::Directory, 2));
    s.dir(dir.node, "one");
    s.dir(dir.node, "two");
    same("links with two subdirectories", s.links(dir.node), 4);
    same("links of the parent", s.links(s.root), before + 1);
    same("links that lookup answers", s.peek(s.root, "d").ok().links, 4);
    s.rmdir(dir.node, "one").ok();
    same("links with one subdirectory", s.links(dir.node), 3);
    s.rmdir(dir.node, "two").ok();
    s.rmdir(s.root, "d").ok();
    same("links of the parent", s.links(s.root), before);
}

fn many_subdirectories(s: &Subject) {
    if !s.counts_directories() {
        leave_out("directories always have one link");
    }
    let dir = s.dir(s.root, "d").node;
    for index in 0..300 {
        s.dir(dir, &format!("d{index}"));
    }
    same("links with 300 subdirectories", s.links(dir), 302);
    for index in 0..300 {
        s.rmdir(dir, &format!("d{index}")).ok();
    }
    same("links with none", s.links(dir), 2);
}

fn leaves_do_not_count(s: &Subject) {
    let dir = s.dir(s.root, "d");
    for thing in Thing::LEAVES.into_iter().filter(|thing| s.has(thing.needs())) {
        thing.make(s, dir.node, thing.name());
        same(format_args!("links with {}", thing.name()), s.links(dir.node), dir.links);
        s.unlink(dir.node, thing.name()).ok();
        same("links without it", s.links(dir.node), dir.links);
    }
}

fn filled_and_emptied(s: &Subject) {
    let dir = s.dir(s.root, "d").node;
    for _ in 0..3 {
        for index in 0..60 {
            let name = format!("x{index}");
            if index % 2 == 0 {
                s.file(dir, &name)
            } else {
                s.dir(dir, &name)
            };
        }
        s.rmdir(s.root, "d").fails(Errno::Notempty);
        for index in 0..60 {
            let name = format!("x{index}");
            if index % 2 == 0 { s.unlink(dir, &name).ok() } else { s.rmdir(dir, &name).ok() }
        }
        s.holds_names(dir, &[]);
    }
    s.rmdir(s.root, "d").ok();
    s.is_absent(s.root, "d");
    s.holds_names(s.root, &[]);
}

fn made_again(s: &Subject) {
    let old = s.dir(s.root, "d").node;
    s.rmdir(s.root, "d").ok();
    let new = s.dir(s.root, "d").node;
    holds!(old != new, "the number {old} is held by the directory that is gone");
    s.file(new, "x");
    s.lookup(old, "x").fails(Errno::Noent);
    s.create(old, "y").fails(Errno::Noent);
    s.holds_names(new, &["x"]);
}

fn deep(s: &Subject) {
    let mut path = vec![s.root];
    for _ in 0..200 {
        let at = path[path.len() - 1];
        path.push(s.dir(at, "d").node);
    }
    s.file(path[200], "bottom");
    s.rmdir(path[199], "d").fails(Errno::Notempty);
    s.unlink(path[200], "bottom").ok();
    for (&parent, &dir) in path.iter().zip(&path[1..]).rev() {
        s.rmdir(parent, "d").ok();
        s.forget(dir, 1);
    }
    s.holds_names(s.root, &[]);
}
