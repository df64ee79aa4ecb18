//! Symlinks. What they mean is the kernel's affair; a backend keeps their targets.

use super::prelude::*;

pub(crate) fn add(cases: &mut Cases) {
    cases
        .group(Group::Symlinks)
        .law("symlink(2), readlink(2): the contents are the string, to the byte, of up to 4095 bytes");
    for length in [1, 31, 59, 60, 61, 254, 255, 256, 1023, 1024, 4094, 4095] {
        cases.add(format!("a target of {length} bytes is kept"), SYMLINKS, move |s| {
            let target: String = "a/".chars().cycle().take(length).collect();
            kept(s, &target);
        });
    }
    for target in [
        "/",
        ".",
        "..",
        "//",
        "a/",
        "/a//b/./../c/ ",
        " ",
        "new\nline",
        "ü€𝄞",
        "e\u{301}",
        "back\\slash",
        "%2e%2e",
        "\u{1}\u{7f}",
        "C:\\",
        "self",
        "?*[]",
    ] {
        cases.add(format!("the target {target:?} is kept to the byte"), SYMLINKS, move |s| kept(s, target));
    }
    cases.law("symlink(2): EEXIST; ENOENT: the target is the empty string");
    cases.add("an empty target is refused", SYMLINKS, |s| {
        s.symlink(s.root, "l", "").fails_with(&[Errno::Noent, Errno::Inval]);
        s.holds_names(s.root, &[]);
    });
    cases.law("readlink(2): EINVAL when it is no symlink");
    for thing in [Thing::File, Thing::Directory, Thing::Fifo] {
        cases.add(format!("readlink of {} is EINVAL", thing.name()), thing.needs() | SYMLINKS, move |s| {
            let node = thing.make(s, s.root, "x").node;
            s.readlink(node).fails(Errno::Inval);
        });
    }
    cases.law("path_resolution(7): the kernel follows; lookup, unlink, rename and link mean the symlink itself");
    cases.add("a lookup does not follow", SYMLINKS, not_followed);
    cases.add("unlink takes the symlink and leaves its target", SYMLINKS, unlink);
    cases.add("a symlink to a directory is no directory", SYMLINKS, no_directory);
    cases.add("nothing can be made where a symlink dangles", SYMLINKS, dangling);
    cases.add("a symlink without a name is read while it is held", SYMLINKS, held);
    cases.add("a thousand symlinks keep a thousand targets", SYMLINKS, many);
    cases.law("wit/backend, attributes: the size of a symlink is the length of its target");
    cases.add("a symlink's attributes", SYMLINKS, attributes);
    cases.law("wit/backend, capabilities: what is not offered is refused");
    cases.add("symlink is refused where it is not offered", W, |s| {
        s.symlink(s.root, "l", "target").refused();
        s.holds_names(s.root, &[]);
    });
    cases.lacking(Capabilities::SYMLINKS);
}

fn kept(s: &Subject, target: &str) {
    let made = s.symlink(s.root, "l", target).ok();
    same("kind and size", (made.kind, made.size), (NodeKind::Symlink, target.len() as u64));
    same("the target", s.readlink(made.node).ok(), target);
    s.forget(made.node, 1);
    let found = s.lookup(s.root, "l").ok();
    same("kind and size of lookup", (found.kind, found.size), (NodeKind::Symlink, target.len() as u64));
    same("the target after", s.readlink(found.node).ok(), target);
}

fn not_followed(s: &Subject) {
    s.file(s.root, "f");
    let link = s.symlink(s.root, "l", "f").ok().node;
    let found = s.peek(s.root, "l").ok();
    same("number and kind", (found.node, found.kind), (link, NodeKind::Symlink));
    let listed = s.list(s.root, 10).into_iter().find(|entry| entry.name == "l");
    same("the kind in a listing", listed.map(|entry| entry.attributes.kind), Some(NodeKind::Symlink));
}

fn unlink(s: &Subject) {
    let file = s.file_of(s.root, "f", b"file");
    s.symlink(s.root, "l", "f").ok();
    s.unlink(s.root, "l").ok();
    s.holds_names(s.root, &["f"]);
    same_bytes("what the file holds", &s.read(file, 0, 10), b"file");
    let link = s.symlink(s.root, "l", "f").ok().node;
    s.unlink(s.root, "f").ok();
    same("the target of what dangles", s.readlink(link).ok(), "f");
}

fn no_directory(s: &Subject) {
    let dir = s.dir(s.root, "d").node;
    s.file(dir, "x");
    let link = s.symlink(s.root, "l", "d").ok().node;
    s.lookup(link, "x").fails(Errno::Notdir);
    s.rmdir(s.root, "l").fails(Errno::Notdir);
    s.readdir(link, 0, 10).fails(Errno::Notdir);
    s.holds_names(dir, &["x"]);
}

fn dangling(s: &Subject) {
    for target in ["none", "l", "./l", "none/none"] {
        s.symlink(s.root, "l", target).ok();
        s.create(s.root, "l").fails(Errno::Exist);
        s.mkdir(s.root, "l").fails(Errno::Exist);
        s.symlink(s.root, "l", "other").fails(Errno::Exist);
        s.is_absent(s.root, "none");
        s.unlink(s.root, "l").ok();
    }
    s.holds_names(s.root, &[]);
}

fn held(s: &Subject) {
    let link = s.symlink(s.root, "l", "the target").ok().node;
    s.unlink(s.root, "l").ok();
    same("the target", s.readlink(link).ok(), "the target");
    same("links", s.links(link), 0);
    s.forget(link, 1);
    s.getattr(link).refused();
}

fn many(s: &Subject) {
    let target = |index: usize| "t".repeat(index % 300 + 1) + &index.to_string();
    for index in 0..1000 {
        let made = s.symlink(s.root, &format!("l{index}"), &target(index)).ok();
        s.forget(made.node, 1);
    }
    for index in (0..1000).step_by(13) {
        let found = s.lookup(s.root, &format!("l{index}")).ok();
        same("the target", s.readlink(found.node).ok(), target(index));
    }
}

fn attributes(s: &Subject) {
    let made = s.symlink(s.root, "l", "12345").ok();
    let found = s.attr(made.node);
    let told = (found.kind, found.size, found.links, found.device);
    same("kind, size, links, device", told, (NodeKind::Symlink, 5, 1, 0));
    s.setattr(made.node, &AttributeChanges { size: Some(1), ..Default::default() }).refused();
    same("the target", s.readlink(made.node).ok(), "12345");
}
