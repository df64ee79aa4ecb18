//! Error injection: what lies under a backend fails, and the backend says so and loses nothing.
//!
//! For each n, on a fresh filesystem, the n-th call from then on fails; after that nothing does. What was asked may have been done or not, but not
//! by half, and what was not asked for must be as it was.

use super::prelude::*;
use crate::faulty::Faulty;

/// How many places of failure each case tries.
const PLACES: u64 = 16;
const ERRORS: [Errno; 3] = [Errno::Io, Errno::Nospc, Errno::Again];

pub(crate) fn add(cases: &mut Cases) {
    cases.group(Group::Faults);
    looks(cases);
    names(cases);
    contents(cases);
    cases.law("wit/backend: an error is an answer; nothing hangs, and what is held stays valid");
    case(cases, "one call in five fails, in a storm", storm);
    cases.add("threads, and one call in ten fails", W, threads).when(Condition::Faulty);
    case(cases, "what is held survives calls that fail", held);
}

fn faulty(s: &Subject) -> &Faulty {
    s.faults.as_deref().unwrap_or_else(|| fail("the kit has no faults to inject"))
}

fn case(cases: &mut Cases, name: &'static str, run: fn(&Subject)) {
    cases.add(name, W, run).when(Condition::Faulty);
}

/// A scene on a fresh filesystem for each place of failure and error: `act` runs while one call fails, `check` afterwards.
fn at_each_place(
    s: &Subject,
    act: fn(&Subject, Node) -> Result<(), Errno>,
    check: fn(&Subject, Node, Result<(), Errno>),
) {
    let mut reached = false;
    for place in 0..PLACES {
        let s = s.another();
        let faults = faulty(&s);
        let dir = s.dir(s.root, "dir").node;
        s.file_of(dir, "a", b"contents of a");
        s.file_of(dir, "b", b"contents of b");
        s.dir(dir, "sub");
        let before = faults.failures();
        faults.fail_once_after(place, ERRORS[place as usize % ERRORS.len()]);
        let acted = act(&s, dir);
        faults.heal();
        reached |= faults.failures() > before;
        check(&s, dir, acted);
        check_alive(&s, dir);
    }
    holds!(reached, "no call under the backend was made");
}

/// The rest of the filesystem goes on.
fn check_alive(s: &Subject, dir: Node) {
    for entry in s.list(dir, 10) {
        let found = s.lookup(dir, &entry.name).ok();
        if found.kind == NodeKind::File {
            s.read(found.node, 0, 100);
        }
        s.forget(found.node, 1);
    }
    let file = s.file_of(dir, "alive", b"still alive");
    same_bytes("what a new file holds", &s.read(file, 0, 20), b"still alive");
    s.unlink(dir, "alive").ok();
    s.is_absent(dir, "alive");
    s.forget(file, 1);
}

/// What a name's file holds, if it is there.
fn held_by(s: &Subject, dir: Node, name: &str) -> Option<Vec<u8>> {
    let found = s.lookup(dir, name).result.ok()?;
    let bytes = s.read(found.node, 0, 100);
    s.forget(found.node, 1);
    Some(bytes)
}

fn looks(cases: &mut Cases) {
    cases.law("readdir(3): an error is told, and not taken for the end");
    case(cases, "a listing is whole, or says that it failed", |s| {
        at_each_place(
            s,
            |s, dir| {
                let (mut names, mut cookie) = (Vec::new(), 0);
                loop {
                    let page = s.readdir(dir, cookie, 1).result?;
                    let Some(last) = page.last() else { break };
                    cookie = last.cookie;
                    names.extend(page.into_iter().map(|entry| entry.name));
                    holds!(names.len() <= 3, "the listing does not end");
                }
                names.sort();
                same("the names of a listing without an error", names, ["a", "b", "sub"]);
                Ok(())
            },
            |s, dir, _| s.holds_names(dir, &["a", "b", "sub"]),
        );
    });
    cases.law("read(2): an error is told, and not taken for the end of the file");
    case(cases, "a read answers the bytes, or says that it failed", |s| {
        at_each_place(
            s,
            |s, dir| {
                let node = s.lookup(dir, "a").result?.node;
                let handle = s.open(node, OpenFlags::READ).result?;
                let bytes = s.pread(node, handle, 0, 100).result?;
                s.release(node, handle);
                same_bytes("what was read without an error", &bytes, b"contents of a");
                Ok(())
            },
            |s, dir, _| same("what a holds", held_by(s, dir, "a"), Some(b"contents of a".to_vec())),
        );
    });
    cases.law("stat(2): ENOENT says that a name is not there, and nothing else");
    case(cases, "a lookup that fails does not say that the name is not there", |s| {
        at_each_place(
            s,
            |s, dir| {
                for name in ["a", "b", "sub"] {
                    let found = s.lookup(dir, name).result;
                    holds!(found != Err(Errno::Noent), "{name} is there, and lookup says ENOENT");
                    let kind = s.getattr(found?.node).result?.kind;
                    same("the kind", kind == NodeKind::Directory, name == "sub");
                }
                Ok(())
            },
            |s, dir, _| s.holds_names(dir, &["a", "b", "sub"]),
        );
    });
}

fn names(cases: &mut Cases) {
    cases.law("open(2), mkdir(2), link(2), unlink(2), rmdir(2): done, or not done, and done when it says so");
    case(cases, "create makes an empty file, or none", |s| {
        at_each_place(
            s,
            |s, dir| s.create(dir, "new").result.map(drop),
            |s, dir, acted| {
                let held = held_by(s, dir, "new");
                holds!(held.is_some() || acted.is_err(), "create succeeded, and there is no file");
                holds!(held.is_none_or(|bytes| bytes.is_empty()), "a new file is not empty");
                if s.create(dir, "new").result.is_err() {
                    s.unlink(dir, "new").ok();
                }
            },
        );
    });
    case(cases, "mkdir makes an empty directory, or none", |s| {
        at_each_place(
            s,
            |s, dir| s.mkdir(dir, "new").result.map(drop),
            |s, dir, acted| match s.lookup(dir, "new").result {
                Ok(found) => {
                    s.holds_names(found.node, &[]);
                    s.rmdir(dir, "new").ok();
                }
                Err(errno) => {
                    same("the error of lookup", errno, Errno::Noent);
                    holds!(acted.is_err(), "mkdir succeeded, and there is no directory");
                    s.mkdir(dir, "new").ok();
                }
            },
        );
    });
    case(cases, "unlink takes one name, or none", |s| {
        at_each_place(
            s,
            |s, dir| s.unlink(dir, "a").result,
            |s, dir, acted| {
                let left = held_by(s, dir, "a");
                holds!(left.is_none() || acted.is_err(), "unlink succeeded, and the name is there");
                holds!(left.is_none_or(|bytes| bytes == b"contents of a"), "the file is another");
                same("what b holds", held_by(s, dir, "b"), Some(b"contents of b".to_vec()));
            },
        );
    });
    case(cases, "rename moves the file, or leaves it; it is never lost", |s| {
        at_each_place(
            s,
            |s, dir| s.rename(dir, "a", dir, "new", NONE).result,
            |s, dir, acted| check_moved(s, dir, "new", None, acted),
        );
    });
    case(cases, "rename onto a file replaces it, or leaves both", |s| {
        at_each_place(
            s,
            |s, dir| s.rename(dir, "a", dir, "b", NONE).result,
            |s, dir, acted| check_moved(s, dir, "b", Some(b"contents of b"), acted),
        );
    });
    case(cases, "rmdir takes an empty directory, or leaves it", |s| {
        at_each_place(
            s,
            |s, dir| s.rmdir(dir, "sub").result,
            |s, dir, acted| match s.peek(dir, "sub").result {
                Ok(found) => {
                    holds!(acted.is_err(), "rmdir succeeded, and the name is there");
                    same("its kind", found.kind, NodeKind::Directory);
                    s.rmdir(dir, "sub").ok();
                }
                Err(errno) => same("the error of lookup", errno, Errno::Noent),
            },
        );
    });
}

/// After a rename of `a` to `new`, where `there` was before.
fn check_moved(s: &Subject, dir: Node, new: &str, there: Option<&[u8]>, acted: Result<(), Errno>) {
    let (old, new) = (held_by(s, dir, "a"), held_by(s, dir, new));
    let moved = Some(b"contents of a".to_vec());
    let done = old.is_none() && new == moved;
    let left = old == moved && new.as_deref() == there;
    holds!(done || left, "the file is by half moved: the old name has {old:?}, the new one {new:?}");
    holds!(done || acted.is_err(), "rename succeeded, and did nothing");
}

fn contents(cases: &mut Cases) {
    cases.law("write(2), truncate(2): bytes are old or new, and new when it says so");
    case(cases, "a write is done, or the bytes are the old ones", |s| {
        at_each_place(
            s,
            |s, dir| {
                let node = s.lookup(dir, "a").result?.node;
                let handle = s.open(node, OpenFlags::all()).result?;
                let written = s.pwrite(node, handle, 0, b"CONTENTS").result;
                s.release(node, handle);
                written.map(|count| same("how many bytes were taken", count, 8))
            },
            |s, dir, acted| {
                let held = held_by(s, dir, "a").unwrap_or_default();
                let (done, left) = (held == b"CONTENTS of a", held == b"contents of a");
                holds!(done || left && acted.is_err(), "the file holds {held:?} after {acted:?}");
            },
        );
    });
    case(cases, "a cut is done, or not", |s| {
        at_each_place(
            s,
            |s, dir| {
                let node = s.lookup(dir, "a").result?.node;
                s.setattr(node, &AttributeChanges { size: Some(8), ..Default::default() }).result.map(drop)
            },
            |s, dir, acted| {
                let held = held_by(s, dir, "a").unwrap_or_default();
                let (done, left) = (held == b"contents", held == b"contents of a");
                holds!(done || left && acted.is_err(), "the file holds {held:?} after {acted:?}");
            },
        );
    });
    case(cases, "chmod is done, or not, and the bytes stay", |s| {
        at_each_place(
            s,
            |s, dir| {
                let node = s.lookup(dir, "a").result?.node;
                s.setattr(node, &AttributeChanges { mode: Some(0o600), ..Default::default() }).result.map(drop)
            },
            |s, dir, acted| {
                let mode = s.peek(dir, "a").ok().mode;
                holds!(mode == 0o600 || mode == 0o644 && acted.is_err(), "the mode {mode:#o} after {acted:?}");
                same("what a holds", held_by(s, dir, "a"), Some(b"contents of a".to_vec()));
            },
        );
    });
}

fn storm(s: &Subject) {
    let dir = s.dir(s.root, "dir").node;
    let kept = s.file_of(s.root, "kept", b"kept");
    faulty(s).fail_one_in(5, Errno::Io);
    let mut random = s.random();
    for _ in 0..s.rounds(1000, 50_000) {
        storm_once(s, &mut random, dir);
    }
    faulty(s).heal();
    holds!(faulty(s).failures() > 0, "no call under the backend failed");
    same_bytes("what was not touched", &s.read(kept, 0, 10), b"kept");
    empty(s, dir);
    check_alive(s, s.root);
}

fn storm_once(s: &Subject, random: &mut Random, dir: Node) {
    let (name, new) = (format!("n{}", random.below(6)), format!("n{}", random.below(6)));
    let fs = &s.fs;
    let _ = match random.below(8) {
        0 | 1 => fs.create(dir, &name, OWNER).map(|made| fs.forget(made.node, 1)),
        2 => fs.mkdir(dir, &name, DIR_OWNER).map(|made| fs.forget(made.node, 1)),
        3 => fs.unlink(dir, &name),
        4 => fs.rmdir(dir, &name),
        5 => fs.rename(dir, &name, dir, &new, NONE),
        6 => fs.readdir(dir, 0, 10).map(drop),
        _ => fs.lookup(dir, &name).map(|found| {
            if let Ok(handle) = fs.open(found.node, OpenFlags::all()) {
                let _ = fs.write(found.node, handle, random.below(1000), b"bytes");
                let _ = fs.read(found.node, handle, 0, &mut [0; 100]);
                fs.release(found.node, handle);
            }
            fs.forget(found.node, 1);
        }),
    };
}

/// Takes everything out of a directory: nothing may be left that cannot go.
fn empty(s: &Subject, dir: Node) {
    for entry in s.list(dir, 10) {
        same(format_args!("the number of {}", entry.name), s.peek(dir, &entry.name).ok().node, entry.attributes.node);
        match entry.attributes.kind {
            NodeKind::Directory => s.rmdir(dir, &entry.name).ok(),
            _ => s.unlink(dir, &entry.name).ok(),
        }
    }
    s.holds_names(dir, &[]);
}

fn threads(s: &Subject) {
    let dir = s.dir(s.root, "dir").node;
    faulty(s).fail_one_in(10, Errno::Io);
    let rounds = s.rounds(500, 20_000);
    s.threads(4, |thread| {
        let mut random = Random::new(s.settings.seed + thread as u64);
        for _ in 0..rounds {
            storm_once(s, &mut random, dir);
        }
    });
    faulty(s).heal();
    empty(s, dir);
    check_alive(s, s.root);
}

fn held(s: &Subject) {
    let file = s.file_of(s.root, "f", b"held");
    let handle = s.open(file, OpenFlags::all()).ok();
    faulty(s).fail_one_in(2, Errno::Io);
    for _ in 0..50 {
        if let Ok(found) = s.lookup(s.root, "f").result {
            same("the number", found.node, file);
            s.fs.forget(found.node, 1);
        }
        if let Ok(bytes) = s.pread(file, handle, 0, 10).result {
            same_bytes("what was read without an error", &bytes, b"held");
        }
    }
    faulty(s).heal();
    if s.unlink(s.root, "f").result.is_ok() {
        same("links", s.links(file), 0);
    }
    same_bytes("what is held", &s.pread(file, handle, 0, 10).ok(), b"held");
    s.release(file, handle);
}
