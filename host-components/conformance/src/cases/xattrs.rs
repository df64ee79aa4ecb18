//! Extended attributes. Namespaces and permissions are the kernel's; only `user.` is asked for here.

use super::prelude::*;

pub(crate) fn add(cases: &mut Cases) {
    cases.group(Group::Xattrs).law("xattr(7), setxattr(2): a value of up to 64 KiB, replaced as a whole");
    for length in [0, 1, 15, 255, 256, 1023, 4096, 65_535, 65_536] {
        cases.add(format!("a value of {length} bytes is kept"), XATTRS, move |s| {
            let file = s.file(s.root, "f").node;
            let value = pattern(length, length as u64);
            s.setxattr(file, "user.x", &value).ok();
            same_bytes("the value", &s.getxattr(file, "user.x").ok(), &value);
            same("the names", s.listxattr(file).ok(), ["user.x"]);
        });
    }
    cases.add("a value is replaced by a longer and a shorter one", XATTRS, replaced);
    cases.add("a value of every byte there is", XATTRS, |s| {
        let file = s.file(s.root, "f").node;
        let value: Vec<u8> = (0..=255).collect();
        s.setxattr(file, "user.x", &value).ok();
        same_bytes("the value", &s.getxattr(file, "user.x").ok(), &value);
    });
    cases.add("a value that is too long is refused, and the old one stays", XATTRS, too_long);
    cases.law("getxattr(2), removexattr(2): ENODATA when there is no such attribute");
    cases.add("what is not there is ENODATA", XATTRS, |s| {
        let file = s.file(s.root, "f").node;
        s.getxattr(file, "user.a").fails(Errno::Nodata);
        s.removexattr(file, "user.a").fails(Errno::Nodata);
        s.setxattr(file, "user.b", b"b").ok();
        s.getxattr(file, "user.a").fails(Errno::Nodata);
        s.getxattr(file, "user.").refused();
        s.getxattr(file, "user.B").fails(Errno::Nodata);
    });
    cases.add("what was removed is gone", XATTRS, removed);
    cases.law("listxattr(2): every name, once");
    cases.add("a new file has none", XATTRS, |s| {
        let (file, dir) = (s.file(s.root, "f").node, s.dir(s.root, "d").node);
        same("the names", s.listxattr(file).ok(), Vec::<String>::new());
        same("the names of a directory", s.listxattr(dir).ok(), Vec::<String>::new());
    });
    cases.add("fifty attributes of one file", XATTRS, fifty);
    cases.law("xattr(7): names of up to 255 bytes, which mean nothing to the filesystem");
    for name in ["user.ü€𝄞", "user. ", "user.a.b.c", "user.new\nline", "user.-", "user./", "user.\u{1}"] {
        cases.add(format!("the name {name:?}"), XATTRS, move |s| one_name(s, name));
    }
    cases.add("a name of 255 bytes", XATTRS, |s| one_name(s, &format!("user.{}", "n".repeat(250))));
    cases.add("names that differ by case or by their end", XATTRS, similar);
    cases.add("a name of no bytes, and one of 256, are refused", XATTRS, |s| {
        let file = s.file(s.root, "f").node;
        s.setxattr(file, "", b"x").refused();
        s.setxattr(file, &format!("user.{}", "n".repeat(251)), b"x").refused();
        same("the names", s.listxattr(file).ok(), Vec::<String>::new());
    });
    whose(cases);
    cases.law("wit/backend, capabilities: what is not offered is refused");
    cases.add("extended attributes are refused where they are not offered", W, |s| {
        let file = s.file(s.root, "f").node;
        s.setxattr(file, "user.x", b"x").refused();
        s.getxattr(file, "user.x").refused();
        s.removexattr(file, "user.x").refused();
    });
    cases.lacking(Capabilities::XATTRS);
}

fn whose(cases: &mut Cases) {
    cases.law("xattr(7): attributes belong to the inode");
    cases.add("a directory has attributes", XATTRS, |s| {
        let dir = s.dir(s.root, "d").node;
        s.setxattr(dir, "user.x", b"of a directory").ok();
        s.file(dir, "inside");
        s.rename(s.root, "d", s.root, "e", NONE).ok();
        same_bytes("the value", &s.getxattr(dir, "user.x").ok(), b"of a directory");
    });
    cases.add("attributes stay with a file that moves", XATTRS, |s| {
        let file = s.file(s.root, "f").node;
        s.setxattr(file, "user.x", b"moved").ok();
        let dir = s.dir(s.root, "d").node;
        s.rename(s.root, "f", dir, "g", NONE).ok();
        same_bytes("the value", &s.getxattr(s.peek(dir, "g").ok().node, "user.x").ok(), b"moved");
    });
    cases.add("attributes stay with a file without a name", XATTRS, |s| {
        let file = s.file(s.root, "f").node;
        s.setxattr(file, "user.x", b"held").ok();
        s.unlink(s.root, "f").ok();
        same_bytes("the value", &s.getxattr(file, "user.x").ok(), b"held");
        s.setxattr(file, "user.x", b"new").ok();
        same_bytes("the value", &s.getxattr(file, "user.x").ok(), b"new");
    });
    cases.add("attributes are not the next file's of the same name", XATTRS, |s| {
        for _ in 0..20 {
            let file = s.file(s.root, "f").node;
            same("the names", s.listxattr(file).ok(), Vec::<String>::new());
            s.setxattr(file, "user.x", b"old").ok();
            s.unlink(s.root, "f").ok();
            s.forget(file, 1);
        }
    });
    cases.add("attributes are not another file's", XATTRS, |s| {
        let (a, b) = (s.file(s.root, "a").node, s.file(s.root, "b").node);
        s.setxattr(a, "user.x", b"of a").ok();
        s.getxattr(b, "user.x").fails(Errno::Nodata);
        s.setxattr(b, "user.x", b"of b").ok();
        s.rename(s.root, "a", s.root, "b", NONE).ok();
        same_bytes("the value by the name", &s.getxattr(s.peek(s.root, "b").ok().node, "user.x").ok(), b"of a");
        same_bytes("the value of what was replaced", &s.getxattr(b, "user.x").ok(), b"of b");
    });
    cases.add("two names of one file share attributes", XATTRS | HARD_LINKS, |s| {
        let file = s.file(s.root, "a").node;
        s.link(file, s.root, "b").ok();
        s.setxattr(file, "user.x", b"shared").ok();
        s.unlink(s.root, "a").ok();
        same_bytes("the value", &s.getxattr(s.peek(s.root, "b").ok().node, "user.x").ok(), b"shared");
    });
    cases.add("attributes change neither size nor contents", XATTRS, |s| {
        let file = s.file_of(s.root, "f", b"bytes");
        s.setxattr(file, "user.x", &[1; 10_000]).ok();
        same("size", s.attr(file).size, 5);
        s.set_size(file, 0);
        s.write(file, 0, b"other");
        same_bytes("the value", &s.getxattr(file, "user.x").ok(), &[1; 10_000]);
        same_bytes("what it holds", &s.read(file, 0, 10), b"other");
    });
    cases.add("attributes are there when the file is found again", XATTRS, |s| {
        let file = s.file(s.root, "f").node;
        s.setxattr(file, "user.x", b"kept").ok();
        s.forget(file, 1);
        let file = s.lookup(s.root, "f").ok().node;
        same_bytes("the value", &s.getxattr(file, "user.x").ok(), b"kept");
    });
}

fn replaced(s: &Subject) {
    let file = s.file(s.root, "f").node;
    for length in [5, 5000, 10, 0, 70, 65_536, 3] {
        let value = pattern(length, length as u64);
        s.setxattr(file, "user.x", &value).ok();
        same_bytes("the value", &s.getxattr(file, "user.x").ok(), &value);
    }
    same("the names", s.listxattr(file).ok(), ["user.x"]);
}

fn too_long(s: &Subject) {
    let file = s.file(s.root, "f").node;
    s.setxattr(file, "user.x", b"old").ok();
    s.setxattr(file, "user.x", &[1; 65_537]).refused();
    same_bytes("the value", &s.getxattr(file, "user.x").ok(), b"old");
}

fn removed(s: &Subject) {
    let file = s.file(s.root, "f").node;
    for name in ["user.a", "user.b", "user.c"] {
        s.setxattr(file, name, name.as_bytes()).ok();
    }
    s.removexattr(file, "user.b").ok();
    s.getxattr(file, "user.b").fails(Errno::Nodata);
    s.removexattr(file, "user.b").fails(Errno::Nodata);
    let mut names = s.listxattr(file).ok();
    names.sort();
    same("the names", names, ["user.a", "user.c"]);
    same_bytes("another value", &s.getxattr(file, "user.c").ok(), b"user.c");
    s.setxattr(file, "user.b", b"again").ok();
    same_bytes("the value that was set again", &s.getxattr(file, "user.b").ok(), b"again");
}

fn fifty(s: &Subject) {
    let file = s.file(s.root, "f").node;
    let mut wanted = Vec::new();
    for index in 0..50_u64 {
        let name = format!("user.attribute-{index}");
        s.setxattr(file, &name, &pattern(100, index)).ok();
        wanted.push(name);
    }
    for (index, name) in (0..).zip(&wanted) {
        same_bytes(name, &s.getxattr(file, name).ok(), &pattern(100, index));
    }
    let mut names = s.listxattr(file).ok();
    names.sort();
    wanted.sort();
    same("the names", names, wanted);
}

fn one_name(s: &Subject, name: &str) {
    let file = s.file(s.root, "f").node;
    s.setxattr(file, name, b"value").ok();
    same_bytes("the value", &s.getxattr(file, name).ok(), b"value");
    same("the names", s.listxattr(file).ok(), [name]);
    s.removexattr(file, name).ok();
    same("the names", s.listxattr(file).ok(), Vec::<String>::new());
}

fn similar(s: &Subject) {
    let file = s.file(s.root, "f").node;
    let mut names = ["user.name", "user.Name", "user.name2", "user.nam", "user.name.x"];
    for name in names {
        s.setxattr(file, name, name.as_bytes()).ok();
    }
    for name in names {
        same_bytes(name, &s.getxattr(file, name).ok(), name.as_bytes());
    }
    let mut listed = s.listxattr(file).ok();
    listed.sort();
    names.sort_unstable();
    same("the names", listed, names);
}
