//! The tree that was there: it looks as it was packed.

use std::collections::BTreeMap;

use super::prelude::*;
use crate::fixture::{FixtureBody, FixtureEntry, fixture};
use crate::options::Kept;

pub(crate) fn add(cases: &mut Cases) {
    cases.group(Group::Fixture).law("eyot_conformance::fixture: the tree is there as it was packed");
    let mut see = |name: &'static str, run: fn(&Subject, Kept)| {
        let needs = Capabilities::empty();
        cases.add(name, needs, move |s| s.settings.kept.map_or((), |kept| run(s, kept))).when(Condition::Populated);
    };
    see("every entry is found, with its kind", kinds);
    see("every directory lists exactly its entries", listings);
    see("listings in pages of one", listings_by_one);
    see("files hold their bytes", bytes);
    see("files are read from any offset", random_reads);
    see("what is not there is not found", absent);
    see("permission bits", modes);
    see("owners and groups", owners);
    see("times of modification", times);
    see("symlinks keep their targets", symlinks);
    see("hard links are one file", hard_links);
    see("special files", special);
    see("extended attributes", xattrs);
    see("directories count their subdirectories", directory_links);
    see("numbers are unique, and stay while they are held", numbers);
    see("what was forgotten is found again", forgotten);
    see("threads read everything at once", threads);
    see("wrong kinds are refused", wrong_kinds);
    cases.law("wit/backend, capabilities, writable absent: what changes answers EROFS");
    cases.add("changes are EROFS", Capabilities::empty(), read_only).lacking(W).when(Condition::Populated);
    super::fixture_changes::add(cases);
}

fn entries() -> Vec<FixtureEntry> {
    fixture()
}

pub(super) fn contents(path: &str) -> Vec<u8> {
    match fixture().into_iter().find(|entry| entry.path == path).map(|entry| entry.body) {
        Some(FixtureBody::File(bytes)) => bytes,
        _ => fail(format_args!("{path} is no file of the fixture")),
    }
}

/// Walks a path of the fixture; the lookups are kept.
pub(super) fn walk(s: &Subject, path: &str) -> crate::calls::Call<Attributes> {
    let (mut at, mut found) = (s.info.root, s.getattr(s.info.root));
    for name in path.split('/').filter(|name| !name.is_empty()) {
        found = s.lookup(at, name);
        match &found.result {
            Ok(attributes) => at = attributes.node,
            Err(_) => return found,
        }
    }
    found
}

impl Kept {
    /// Whether an entry is there at all.
    fn has(self, entry: &FixtureEntry) -> bool {
        match entry.body {
            FixtureBody::Symlink(_) => self.symlinks,
            FixtureBody::Fifo | FixtureBody::CharacterDevice(_) => self.special_files,
            // Without hard links it is a file of its own, or none.
            FixtureBody::HardLink(_) => self.hard_links,
            FixtureBody::Directory | FixtureBody::File(_) => true,
        }
    }
}

fn kind(body: &FixtureBody) -> NodeKind {
    match body {
        FixtureBody::Directory => NodeKind::Directory,
        FixtureBody::File(_) | FixtureBody::HardLink(_) => NodeKind::File,
        FixtureBody::Symlink(_) => NodeKind::Symlink,
        FixtureBody::Fifo => NodeKind::Fifo,
        FixtureBody::CharacterDevice(_) => NodeKind::CharacterDevice,
    }
}

fn kinds(s: &Subject, kept: Kept) {
    for entry in entries().iter().filter(|entry| kept.has(entry)) {
        let found = walk(s, &entry.path).ok();
        same(format_args!("the kind of {}", entry.path), found.kind, kind(&entry.body));
        let size = match &entry.body {
            FixtureBody::File(bytes) => bytes.len() as u64,
            FixtureBody::Symlink(target) => target.len() as u64,
            _ => continue,
        };
        same(format_args!("the size of {}", entry.path), found.size, size);
    }
}

/// The names in each directory.
fn tree(kept: Kept) -> BTreeMap<String, Vec<String>> {
    let mut tree = BTreeMap::from([(String::new(), Vec::new())]);
    for entry in entries().into_iter().filter(|entry| kept.has(entry)) {
        let (parent, name) = entry.parent_and_name();
        tree.entry(parent.to_owned()).or_insert_with(Vec::new).push(name.to_owned());
        if entry.body == FixtureBody::Directory {
            tree.entry(entry.path).or_insert_with(Vec::new);
        }
    }
    tree
}

fn check_listings(s: &Subject, kept: Kept, page: usize) {
    for (path, mut wanted) in tree(kept) {
        let dir = walk(s, &path).ok().node;
        let listed = s.list(dir, page);
        let mut names = Vec::new();
        for entry in listed {
            let beside =
                path.is_empty() && entry.attributes.node == s.root || !kept.hard_links && entry.name == "alias";
            if !beside {
                names.push(entry.name);
            }
        }
        names.sort();
        wanted.sort();
        same(format_args!("the names in /{path}"), names, wanted);
    }
}

fn listings(s: &Subject, kept: Kept) {
    check_listings(s, kept, 64);
}

fn listings_by_one(s: &Subject, kept: Kept) {
    check_listings(s, kept, 1);
}

fn bytes(s: &Subject, _: Kept) {
    for entry in entries() {
        let FixtureBody::File(wanted) = entry.body else { continue };
        let node = walk(s, &entry.path).ok().node;
        same_bytes(&entry.path, &s.read(node, 0, wanted.len() + 10), &wanted);
    }
}

fn random_reads(s: &Subject, _: Kept) {
    let mut random = s.random();
    for path in ["sizes/large", "sizes/random", "sizes/zeroes", "bin/tool", "sizes/513", "sizes/0"] {
        let wanted = contents(path);
        let node = walk(s, path).ok().node;
        let handle = s.open(node, OpenFlags::READ).ok();
        for _ in 0..40 {
            let (at, length) = (random.index(wanted.len() + 100), random.index(100_000));
            let got = s.pread(node, handle, at as u64, length).ok();
            let wanted = wanted.get(at..wanted.len().min(at + length)).unwrap_or_default();
            same_bytes(format_args!("{length} bytes at {at} of {path}"), &got, wanted);
        }
        s.release(node, handle);
    }
}

fn absent(s: &Subject, _: Kept) {
    for path in ["none", "docs/none", "docs/readme.tx", "docs/readme.txt2", "empty/none", "many/file-200", "many/file-"]
    {
        walk(s, path).fails(Errno::Noent);
    }
    if s.has(Capabilities::CASE_SENSITIVE) {
        walk(s, "DOCS").fails(Errno::Noent);
        walk(s, "docs/README.TXT").fails(Errno::Noent);
    }
}

fn modes(s: &Subject, kept: Kept) {
    if !kept.modes {
        leave_out("modes are not kept");
    }
    for entry in entries().iter().filter(|entry| kept.has(entry) && !matches!(entry.body, FixtureBody::Symlink(_))) {
        same(format_args!("the mode of {}", entry.path), walk(s, &entry.path).ok().mode, entry.mode);
    }
}

fn owners(s: &Subject, kept: Kept) {
    if !kept.owners {
        leave_out("owners are not kept");
    }
    for entry in entries().iter().filter(|entry| kept.has(entry) && !matches!(entry.body, FixtureBody::HardLink(_))) {
        let found = walk(s, &entry.path).ok();
        same(format_args!("owner and group of {}", entry.path), (found.uid, found.gid), (entry.uid, entry.gid));
    }
}

fn times(s: &Subject, kept: Kept) {
    let Some(step) = kept.times_step_ns else { leave_out("times are not kept") };
    let step = i64::try_from(step).unwrap_or(i64::MAX).max(1);
    for entry in entries().iter().filter(|entry| kept.has(entry)) {
        // A hard link has the time of its file.
        if matches!(entry.body, FixtureBody::HardLink(_)) || entry.path == "bin/tool" {
            continue;
        }
        let found = walk(s, &entry.path).ok().modified;
        let steps = |time: Timestamp| time.as_nanos().div_euclid(step);
        same(format_args!("the modification of {}", entry.path), steps(found), steps(entry.modified));
    }
}

fn symlinks(s: &Subject, kept: Kept) {
    if !kept.symlinks {
        leave_out("symlinks are not kept");
    }
    for entry in entries() {
        let node = walk(s, if kept.has(&entry) { &entry.path } else { "" }).ok().node;
        match entry.body {
            FixtureBody::Symlink(target) => {
                same(format_args!("the target of {}", entry.path), s.readlink(node).ok(), target);
            }
            _ => s.readlink(node).fails(Errno::Inval),
        }
    }
}

fn hard_links(s: &Subject, kept: Kept) {
    if !kept.hard_links {
        leave_out("hard links are not kept");
    }
    let (tool, alias) = (walk(s, "bin/tool").ok(), walk(s, "bin/alias").ok());
    same("the numbers", alias.node, tool.node);
    same("the links", (alias.links, tool.links), (2, 2));
}

fn special(s: &Subject, kept: Kept) {
    if !kept.special_files {
        leave_out("special files are not kept");
    }
    let (fifo, null) = (walk(s, "special/fifo").ok(), walk(s, "special/null").ok());
    same("the kinds", (fifo.kind, null.kind), (NodeKind::Fifo, NodeKind::CharacterDevice));
    same("the devices", (fifo.device, null.device), (0, 0x103));
    s.open(fifo.node, OpenFlags::READ).refused();
}

fn xattrs(s: &Subject, kept: Kept) {
    if !kept.xattrs {
        leave_out("extended attributes are not kept");
    }
    let node = walk(s, "attributed").ok().node;
    let mut names = s.listxattr(node).ok();
    names.sort();
    same("the names", names, ["user.empty", "user.kit"]);
    same_bytes("a value", &s.getxattr(node, "user.kit").ok(), b"value");
    same_bytes("an empty value", &s.getxattr(node, "user.empty").ok(), b"");
    s.getxattr(node, "user.none").fails(Errno::Nodata);
    same("the names of another file", s.listxattr(walk(s, "bin/tool").ok().node).ok(), Vec::<String>::new());
}

fn directory_links(s: &Subject, _: Kept) {
    let links = |path: &str| walk(s, path).ok().links;
    if links("empty") == 1 {
        leave_out("directories always have one link");
    }
    let found = (links("empty"), links("docs"), links("odd"), links("deep"));
    same("the links of empty, docs, odd and deep", found, (2, 2, 3, 3));
}

fn numbers(s: &Subject, kept: Kept) {
    let mut seen = BTreeMap::from([(s.info.root, String::new())]);
    let all: Vec<_> = entries().into_iter().filter(|entry| kept.has(entry)).collect();
    for entry in all.iter().filter(|entry| !matches!(entry.body, FixtureBody::HardLink(_))) {
        let node = walk(s, &entry.path).ok().node;
        if let Some(other) = seen.insert(node, entry.path.clone()) {
            fail(format_args!("{other} and {} have the same number {node}", entry.path));
        }
    }
    for (node, path) in seen {
        same(format_args!("the number of {path}, again"), walk(s, &path).ok().node, node);
        same(format_args!("the number that getattr answers for {path}"), s.attr(node).node, node);
    }
}

fn forgotten(s: &Subject, _: Kept) {
    for _ in 0..3 {
        let mut path = vec![s.info.root];
        for name in ["docs", "readme.txt"] {
            path.push(s.lookup(path[path.len() - 1], name).ok().node);
        }
        same_bytes("what it holds", &s.read(path[2], 0, 100), &contents("docs/readme.txt"));
        for &node in path[1..].iter().rev() {
            s.forget(node, 1);
        }
    }
}

fn threads(s: &Subject, _: Kept) {
    let all = entries();
    s.threads(4, |thread| {
        let mut random = Random::new(s.settings.seed + thread as u64);
        for _ in 0..s.rounds(100, 3000) {
            let entry = random.pick(&all);
            let FixtureBody::File(wanted) = &entry.body else { continue };
            let node = walk(s, &entry.path).ok().node;
            same_bytes(&entry.path, &s.read(node, 0, wanted.len() + 1), wanted);
        }
    });
}

fn wrong_kinds(s: &Subject, _: Kept) {
    let (file, dir) = (walk(s, "docs/readme.txt").ok().node, walk(s, "docs").ok().node);
    s.lookup(file, "x").fails(Errno::Notdir);
    s.readdir(file, 0, 10).fails(Errno::Notdir);
    s.open(dir, OpenFlags::READ).fails(Errno::Isdir);
    s.readlink(file).fails(Errno::Inval);
    s.readlink(dir).fails(Errno::Inval);
}

fn read_only(s: &Subject) {
    let (file, dir) = (walk(s, "docs/readme.txt").ok().node, walk(s, "docs").ok().node);
    s.setattr(file, &AttributeChanges { mode: Some(0o600), ..Default::default() }).fails(Errno::Rofs);
    s.setattr(file, &AttributeChanges { size: Some(0), ..Default::default() }).fails(Errno::Rofs);
    s.create(dir, "new").fails(Errno::Rofs);
    s.mkdir(dir, "new").fails(Errno::Rofs);
    s.unlink(dir, "readme.txt").fails(Errno::Rofs);
    s.rmdir(s.root, "empty").fails(Errno::Rofs);
    s.rename(dir, "readme.txt", dir, "new", NONE).fails(Errno::Rofs);
    s.rename(dir, "readme.txt", dir, "fixed", NONE).fails(Errno::Rofs);
    s.link(file, dir, "new").fails_with(&[Errno::Rofs, Errno::Notsup]);
    s.open(file, OpenFlags::all()).fails_with(&[Errno::Rofs, Errno::Acces]);
    let handle = s.open(file, OpenFlags::READ).ok();
    s.pwrite(file, handle, 0, b"x").fails_with(&[Errno::Rofs, Errno::Badf]);
    same_bytes("what it holds", &s.pread(file, handle, 0, 100).ok(), &contents("docs/readme.txt"));
}
