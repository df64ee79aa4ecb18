//! Moving names: what the pairs of kinds do not show.

use super::prelude::*;

pub(crate) fn add(cases: &mut Cases) {
    cases.group(Group::Rename).law("rename(2): the name moves; what it names stays what it was, and open files go on");
    cases.add("rename moves a name within and between directories", W, moves);
    cases.add("what moves keeps number, mode, size and contents", W, keeps);
    cases.add("a name that moves a thousand times", W, many_moves);
    cases.add("a directory moves with all that is below it", W, whole_tree);
    cases.add("names pass each other in a ring", W, ring);
    cases.add("every name of a large directory moves", W, large_directory);
    cases.add("a symlink moves itself and not its target", SYMLINKS, symlink);
    cases.law("rename(2): if new exists it is replaced; its file lives while it is held");
    cases.add("what was replaced lives while it is held", W, replaces);
    cases.add("a replaced file with another name loses one link", HARD_LINKS, replaces_linked);
    cases.add("a replaced directory is gone", W, replaced_directory);
    cases.law("rename(2): if old and new are links to the same file, rename does nothing and succeeds");
    cases.add("a name onto itself", W, itself);
    cases.add("a name onto another name of the same file", HARD_LINKS, same_file);
    cases.add("a name onto another name of the same file in another directory", HARD_LINKS, same_file_elsewhere);
    cases.law("renameat2(2)");
    cases.add("a name with no-replace onto itself is EEXIST", W, |s| {
        let file = s.file(s.root, "a").node;
        s.rename(s.root, "a", s.root, "a", RenameFlags::NO_REPLACE).fails(Errno::Exist);
        same("what the name leads to", s.peek(s.root, "a").ok().node, file);
    });
    cases.add("a name in exchange with itself", ATOMIC, |s| {
        let file = s.file(s.root, "a").node;
        s.rename(s.root, "a", s.root, "a", RenameFlags::EXCHANGE).ok();
        same("number and links", (s.peek(s.root, "a").ok().node, s.links(file)), (file, 1));
    });
    cases.add("exchange and no-replace at once are EINVAL", ATOMIC, both_flags);
    cases.add("exchange of a file and a directory with entries between directories", ATOMIC, exchange_kinds);
    cases.add("an exchange twice is none", ATOMIC, exchange_twice);
    cases.law("rename(2): ENOENT when old is not there");
    failures(cases);
    cases.law("stat(2), st_nlink: a directory counts its subdirectories");
    cases.add("a moved directory takes its link along", W, links);
    cases.law(
        "wit/backend, rename: the kernel rules out moving a directory below itself; over what is above is ENOTEMPTY",
    );
    cases.add("a file onto the directory that it is in", W, onto_parent);
    cases.add("a directory onto the directory that it is in", W, directory_onto_parent);
}

fn failures(cases: &mut Cases) {
    for (name, how, needs) in [
        ("rename", NONE, W),
        ("rename with no-replace", RenameFlags::NO_REPLACE, W),
        ("rename with exchange", RenameFlags::EXCHANGE, ATOMIC),
    ] {
        cases.add(format!("{name} of what is not there is ENOENT"), needs, move |s| {
            let file = s.file(s.root, "there").node;
            s.rename(s.root, "none", s.root, "new", how).fails(Errno::Noent);
            s.rename(s.root, "none", s.root, "none", how).fails(Errno::Noent);
            s.rename(s.root, "none", s.root, "there", NONE).fails(Errno::Noent);
            same("what was there", s.peek(s.root, "there").ok().node, file);
            s.holds_names(s.root, &["there"]);
        });
    }
}

fn moves(s: &Subject) {
    let dir = s.dir(s.root, "d").node;
    let file = s.file_of(s.root, "a", b"moved");
    s.rename(s.root, "a", s.root, "b", NONE).ok();
    s.is_absent(s.root, "a");
    s.rename(s.root, "b", dir, "c", NONE).ok();
    s.holds_names(s.root, &["d"]);
    s.holds_names(dir, &["c"]);
    same("what the name leads to", s.peek(dir, "c").ok().node, file);
    same_bytes("what it holds", &s.read(file, 0, 10), b"moved");
    s.rename(dir, "c", s.root, "a", RenameFlags::NO_REPLACE).ok();
    s.holds_names(dir, &[]);
    s.holds_names(s.root, &["a", "d"]);
}

fn keeps(s: &Subject) {
    let dir = s.dir(s.root, "d").node;
    let file = s.file_of(s.root, "a", b"0123456789");
    s.chmod(file, 0o640);
    let told = |from: Attributes| (from.node, from.kind, from.mode, from.uid, from.gid, from.size, from.links);
    let before = s.attr(file);
    s.tick();
    s.rename(s.root, "a", dir, "b", NONE).ok();
    let after = s.peek(dir, "b").ok();
    same("number, kind, mode, owner, group, size, links", told(after), told(before));
    same("the modification", after.modified, before.modified);
    same_bytes("what it holds", &s.read(file, 0, 20), b"0123456789");
}

fn many_moves(s: &Subject) {
    let dirs = [s.root, s.dir(s.root, "d").node];
    let file = s.file_of(s.root, "n0", b"still");
    for step in 0..1000 {
        let (from, to) = (dirs[step / 3 % 2], dirs[(step + 1) / 3 % 2]);
        s.rename(from, &format!("n{step}"), to, &format!("n{}", step + 1), NONE).ok();
    }
    same("number and links", (s.peek(dirs[1000 / 3 % 2], "n1000").ok().node, s.links(file)), (file, 1));
    same_bytes("what it holds", &s.read(file, 0, 20), b"still");
    same("how many names there are", s.names(s.root).len() + s.names(dirs[1]).len(), 2);
}

fn whole_tree(s: &Subject) {
    let top = s.dir(s.root, "top").node;
    let below = s.dir(top, "below").node;
    let bottom = s.file_of(below, "bottom", b"bottom");
    let other = s.dir(s.root, "other").node;
    s.rename(s.root, "top", other, "moved", NONE).ok();
    let top_now = s.peek(other, "moved").ok().node;
    same("the number of the directory", top_now, top);
    let below_now = s.peek(top_now, "below").ok().node;
    same("the number of its directory", below_now, below);
    same("the number of the file below it", s.peek(below_now, "bottom").ok().node, bottom);
    same_bytes("what it holds", &s.read(bottom, 0, 20), b"bottom");
    s.file(below, "new");
    s.holds_names(below, &["bottom", "new"]);
    s.rmdir(s.root, "other").fails(Errno::Notempty);
}

fn ring(s: &Subject) {
    let names = ["a", "b", "c", "d", "e"];
    let nodes = names.map(|name| s.file_of(s.root, name, name.as_bytes()));
    for _ in 0..names.len() {
        s.rename(s.root, "e", s.root, "spare", NONE).ok();
        for pair in names.windows(2).rev() {
            s.rename(s.root, pair[0], s.root, pair[1], RenameFlags::NO_REPLACE).ok();
        }
        s.rename(s.root, "spare", s.root, "a", RenameFlags::NO_REPLACE).ok();
        s.holds_names(s.root, &names);
    }
    for (name, node) in names.iter().zip(nodes) {
        same(format_args!("what {name} leads to"), s.peek(s.root, name).ok().node, node);
        same_bytes("what it holds", &s.read(node, 0, 5), name.as_bytes());
    }
}

fn large_directory(s: &Subject) {
    let dir = s.dir(s.root, "d").node;
    let nodes: Vec<_> = (0..500).map(|index| s.file(s.root, &format!("a{index}")).node).collect();
    for index in 0..500 {
        s.rename(s.root, &format!("a{index}"), dir, &format!("b{index}"), NONE).ok();
    }
    s.holds_names(s.root, &["d"]);
    same("how many names there are", s.names(dir).len(), 500);
    for (index, node) in nodes.into_iter().enumerate() {
        same(format_args!("what b{index} leads to"), s.peek(dir, &format!("b{index}")).ok().node, node);
    }
}

fn symlink(s: &Subject) {
    let file = s.file_of(s.root, "f", b"file");
    let link = s.symlink(s.root, "l", "f").ok().node;
    s.rename(s.root, "l", s.root, "m", NONE).ok();
    same("what the new name leads to", s.peek(s.root, "m").ok().node, link);
    same("its target", s.readlink(link).ok(), "f");
    same("what the target's name leads to", s.peek(s.root, "f").ok().node, file);
    s.rename(s.root, "f", s.root, "m", NONE).ok();
    same("what replaced the symlink", s.peek(s.root, "m").ok().node, file);
    s.holds_names(s.root, &["m"]);
}

fn replaces(s: &Subject) {
    let (old, new) = (s.file_of(s.root, "old", b"old"), s.file_of(s.root, "new", b"new"));
    s.rename(s.root, "new", s.root, "old", NONE).ok();
    s.holds_names(s.root, &["old"]);
    same("what the name leads to", s.peek(s.root, "old").ok().node, new);
    same_bytes("the file that was replaced", &s.read(old, 0, 10), b"old");
    same_bytes("the file that replaced it", &s.read(new, 0, 10), b"new");
    same("links of both", (s.links(old), s.links(new)), (0, 1));
    s.forget(old, 1);
}

fn replaces_linked(s: &Subject) {
    let old = s.file_of(s.root, "old", b"old");
    s.link(old, s.root, "kept").ok();
    let new = s.file(s.root, "new").node;
    s.rename(s.root, "new", s.root, "old", NONE).ok();
    same("links of the file that was replaced", s.links(old), 1);
    same("what its other name leads to", s.peek(s.root, "kept").ok().node, old);
    same("what the name leads to", s.peek(s.root, "old").ok().node, new);
    s.rename(s.root, "kept", s.root, "old", NONE).ok();
    same("links of both", (s.links(old), s.links(new)), (1, 0));
    s.holds_names(s.root, &["old"]);
}

fn replaced_directory(s: &Subject) {
    let (a, b) = (s.dir(s.root, "a").node, s.dir(s.root, "b").node);
    let inner = s.file(b, "x").node;
    s.rename(s.root, "a", s.root, "b", NONE).fails(Errno::Notempty);
    s.rename(s.root, "b", s.root, "a", NONE).ok();
    s.holds_names(s.root, &["a"]);
    same("what the name leads to", s.peek(s.root, "a").ok().node, b);
    same("what is in it", s.peek(b, "x").ok().node, inner);
    s.create(a, "x").fails(Errno::Noent);
    same("links of the directory that was replaced", s.links(a), 0);
}

fn itself(s: &Subject) {
    let dir = s.dir(s.root, "d");
    let file = s.file_of(dir.node, "f", b"same");
    s.rename(dir.node, "f", dir.node, "f", NONE).ok();
    s.rename(s.root, "d", s.root, "d", NONE).ok();
    s.holds_names(s.root, &["d"]);
    s.holds_names(dir.node, &["f"]);
    same("number and links of the file", (s.peek(dir.node, "f").ok().node, s.links(file)), (file, 1));
    same("number and links", (s.peek(s.root, "d").ok().node, s.links(dir.node)), (dir.node, dir.links));
    same_bytes("what it holds", &s.read(file, 0, 10), b"same");
}

fn same_file(s: &Subject) {
    let file = s.file(s.root, "a").node;
    s.link(file, s.root, "b").ok();
    s.rename(s.root, "a", s.root, "b", NONE).ok();
    s.holds_names(s.root, &["a", "b"]);
    same("links", s.links(file), 2);
    s.rename(s.root, "a", s.root, "b", RenameFlags::NO_REPLACE).fails(Errno::Exist);
    if s.has(Capabilities::ATOMIC_RENAME) {
        s.rename(s.root, "a", s.root, "b", RenameFlags::EXCHANGE).ok();
    }
    s.holds_names(s.root, &["a", "b"]);
    same("links", s.links(file), 2);
}

fn same_file_elsewhere(s: &Subject) {
    let dir = s.dir(s.root, "d").node;
    let file = s.file(s.root, "a").node;
    s.link(file, dir, "b").ok();
    s.rename(s.root, "a", dir, "b", NONE).ok();
    s.rename(dir, "b", s.root, "a", NONE).ok();
    s.holds_names(s.root, &["a", "d"]);
    s.holds_names(dir, &["b"]);
    same("links", s.links(file), 2);
}

fn both_flags(s: &Subject) {
    let (a, b) = (s.file(s.root, "a").node, s.file(s.root, "b").node);
    let both = RenameFlags::EXCHANGE | RenameFlags::NO_REPLACE;
    s.rename(s.root, "a", s.root, "b", both).fails(Errno::Inval);
    same("both names", (s.peek(s.root, "a").ok().node, s.peek(s.root, "b").ok().node), (a, b));
}

fn exchange_kinds(s: &Subject) {
    let dir = s.dir(s.root, "d").node;
    let file = s.file(s.root, "f").node;
    let inner = s.dir(dir, "inner").node;
    s.file(inner, "deep");
    let counted = s.counts_directories();
    let (root_links, dir_links) = (s.links(s.root), s.links(dir));
    s.rename(s.root, "f", dir, "inner", RenameFlags::EXCHANGE).ok();
    same("both names", (s.peek(s.root, "f").ok().node, s.peek(dir, "inner").ok().node), (inner, file));
    if counted {
        same("links of both directories", (s.links(s.root), s.links(dir)), (root_links + 1, dir_links - 1));
    }
    s.holds_names(inner, &["deep"]);
    s.rename(s.root, "f", dir, "none", RenameFlags::EXCHANGE).fails(Errno::Noent);
}

fn exchange_twice(s: &Subject) {
    let (a, b) = (s.file_of(s.root, "a", b"a"), s.file_of(s.root, "b", b"b"));
    for round in 1..=4 {
        s.rename(s.root, "a", s.root, "b", RenameFlags::EXCHANGE).ok();
        let wanted = if round % 2 == 1 { (b, a) } else { (a, b) };
        same("both names", (s.peek(s.root, "a").ok().node, s.peek(s.root, "b").ok().node), wanted);
        same("links of both", (s.links(a), s.links(b)), (1, 1));
    }
    s.holds_names(s.root, &["a", "b"]);
}

fn links(s: &Subject) {
    if !s.counts_directories() {
        leave_out("directories always have one link");
    }
    let (a, b) = (s.dir(s.root, "a").node, s.dir(s.root, "b").node);
    s.dir(a, "x");
    same("links of both", (s.links(a), s.links(b)), (3, 2));
    s.rename(a, "x", b, "y", NONE).ok();
    same("links after the move", (s.links(a), s.links(b)), (2, 3));
    s.dir(a, "z");
    s.rename(a, "z", b, "y", NONE).ok();
    same("links after it replaced one", (s.links(a), s.links(b)), (2, 3));
    s.dir(b, "w");
    s.rename(b, "w", b, "y", NONE).ok();
    same("links after one replaced another", s.links(b), 3);
    s.holds_names(b, &["y"]);
}

fn onto_parent(s: &Subject) {
    let dir = s.dir(s.root, "d").node;
    let file = s.file(dir, "f").node;
    s.rename(dir, "f", s.root, "d", NONE).fails_with(&[Errno::Notempty, Errno::Isdir, Errno::Exist]);
    same("what the name leads to", s.peek(dir, "f").ok().node, file);
}

fn directory_onto_parent(s: &Subject) {
    let dir = s.dir(s.root, "d").node;
    let inner = s.dir(dir, "e").node;
    s.rename(dir, "e", s.root, "d", NONE).fails_with(&[Errno::Notempty, Errno::Exist]);
    same("what the name leads to", s.peek(dir, "e").ok().node, inner);
    s.holds_names(s.root, &["d"]);
}
