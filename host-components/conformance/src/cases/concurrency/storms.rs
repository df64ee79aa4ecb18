//! Threads that do everything at once.

use super::super::prelude::*;
use super::names::write_once;
use super::{THREADS, check_directory, may, must};

pub(crate) fn add(cases: &mut Cases) {
    cases.law("rename(2): each directory is locked at most once; no two renames wait for each other");
    cases.add("directories are moved crosswise", W, crosswise);
    cases.add("a storm of every call on a few names", W, |s| storm(s, s.rounds(4000, 50_000)));
    cases.add("a storm on each thread's own directory", W, storm_apart);
}

fn crosswise(s: &Subject) {
    let dirs = [s.dir(s.root, "a").node, s.dir(s.root, "b").node];
    let (x, y) = (s.dir(dirs[0], "x").node, s.dir(dirs[1], "y").node);
    s.file(x, "inside");
    let rounds = s.rounds(400, 10_000);
    s.threads(THREADS, |thread| {
        let (from, to) = if thread % 2 == 0 { (dirs[0], dirs[1]) } else { (dirs[1], dirs[0]) };
        for _ in 0..rounds {
            for name in ["x", "y"] {
                let moved = s.fs.rename(from, name, to, name, NONE);
                may("rename", &moved, &[Errno::Noent, Errno::Notempty, Errno::Exist]);
            }
        }
    });
    let names: Vec<_> = dirs.iter().flat_map(|&dir| s.names(dir)).collect();
    same("how many names there are", names.len(), 2);
    s.holds_names(x, &["inside"]);
    same("links of what moved: some", (s.links(x) > 0, s.links(y) > 0), (true, true));
}

fn storm(s: &Subject, rounds: usize) {
    let dirs: Vec<_> = (0..3).map(|index| s.dir(s.root, &format!("d{index}")).node).collect();
    s.threads(THREADS, |thread| {
        let mut random = Random::new(s.settings.seed * 31 + thread as u64);
        for _ in 0..rounds {
            storm_once(s, &mut random, &dirs);
        }
    });
    for dir in dirs {
        check_directory(s, dir);
    }
}

/// One call at random. It may fail as it likes, but only with what these calls can answer.
fn storm_once(s: &Subject, random: &mut Random, dirs: &[Node]) {
    const ERRORS: [Errno; 10] = [
        Errno::Noent,
        Errno::Exist,
        Errno::Notdir,
        Errno::Isdir,
        Errno::Notempty,
        Errno::Notsup,
        Errno::Perm,
        Errno::Inval,
        Errno::Stale,
        Errno::Again,
    ];
    let (dir, other) = (*random.pick(dirs), *random.pick(dirs));
    let (name, new) = (format!("n{}", random.below(5)), format!("n{}", random.below(5)));
    let forget = |made: Attributes| s.fs.forget(made.node, 1);
    let done = match random.below(10) {
        0 => s.fs.create(dir, &name, OWNER).map(forget),
        1 => s.fs.mkdir(dir, &name, DIR_OWNER).map(forget),
        2 => s.fs.unlink(dir, &name),
        3 => s.fs.rmdir(dir, &name),
        4 => s.fs.rename(dir, &name, other, &new, NONE),
        5 => s.fs.rename(dir, &name, other, &new, RenameFlags::NO_REPLACE),
        6 if s.has(Capabilities::ATOMIC_RENAME) => s.fs.rename(dir, &name, other, &new, RenameFlags::EXCHANGE),
        7 => s.fs.readdir(dir, random.below(8), 4).map(drop),
        8 if s.has(Capabilities::HARD_LINKS) => s.fs.lookup(dir, &name).and_then(|found| {
            let linked = s.fs.link(found.node, other, &new).map(forget);
            forget(found);
            linked
        }),
        _ => s.fs.lookup(dir, &name).and_then(|found| {
            let mode = AttributeChanges { mode: Some(0o600), ..Default::default() };
            let changed = s.fs.setattr(found.node, &mode).map(drop);
            forget(found);
            changed
        }),
    };
    may("a call of the storm", &done, &ERRORS);
}

fn storm_apart(s: &Subject) {
    let rounds = s.rounds(200, 5000);
    s.threads(THREADS, |thread| {
        let dir = must("mkdir", s.fs.mkdir(s.root, &format!("own{thread}"), DIR_OWNER)).node;
        for round in 0..rounds {
            let name = format!("x{}", round % 7);
            let file = must("create", s.fs.create(dir, &name, OWNER)).node;
            must("write", write_once(s, file, thread as u8));
            must("rename", s.fs.rename(dir, &name, dir, "y", NONE));
            same("the number", must("lookup", s.fs.lookup(dir, "y")).node, file);
            same("how many entries there are", must("readdir", s.fs.readdir(dir, 0, 10)).len(), 1);
            must("unlink", s.fs.unlink(dir, "y"));
            s.fs.forget(file, 2);
        }
    });
    same("how many names there are", s.names(s.root).len(), THREADS);
    for name in s.names(s.root) {
        s.rmdir(s.root, &name).ok();
    }
}
