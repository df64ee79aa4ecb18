//! Threads that make, move and take away names in the same directories.

use std::sync::Barrier;

use super::super::prelude::*;
use super::{THREADS, check_directory, may, must};

pub(crate) fn add(cases: &mut Cases) {
    cases.law(
        "eyot_backend::Filesystem: called from many threads at once; open(2) with O_EXCL: one of them makes the file",
    );
    cases.add("threads make files of their own in one directory", W, make_own);
    cases.add("threads make directories of their own in one directory", W, mkdir_own);
    cases.add("of threads that create one name, one does", W, |s| one_wins(s, "create", W));
    cases.add("of threads that make one directory, one does", W, |s| one_wins(s, "mkdir", W));
    cases.add("of threads that make one symlink, one does", SYMLINKS, |s| one_wins(s, "symlink", SYMLINKS));
    cases.add("of threads that link one name, one does", HARD_LINKS, |s| one_wins(s, "link", HARD_LINKS));
    cases.law("unlink(2), rmdir(2), rename(2): a name can be taken away once");
    cases.add("of threads that unlink one name, one does", W, |s| one_takes(s, false));
    cases.add("of threads that rmdir one name, one does", W, |s| one_takes(s, true));
    cases.add("of threads that rename one name, one does", W, one_renames);
    cases.law("rename(2): there is no moment at which new is not there");
    cases.add("a name that is replaced is always there", ATOMIC, always_there);
    cases.add("two names that are exchanged are always there", ATOMIC, exchanged);
    cases.law("readdir(3): what is neither made nor taken away meanwhile is listed exactly once");
    cases.add("what stays is listed once while threads make and unlink", W, listed_meanwhile);
    cases.law("wit/backend, lookup counts: what is held is valid, whatever others do");
    cases.add("what a lookup found is valid while another thread unlinks it", W, found_is_valid);
    cases.add("threads look up and forget the same files", W, lookups);
    cases.law("stat(2), st_nlink: links are names, and subdirectories");
    cases.add("threads link and unlink one file, and its links add up", HARD_LINKS, links);
    cases.add("threads make and take away subdirectories, and the links add up", W, subdirectories);
    cases.law("rmdir(2): ENOTEMPTY, or else nothing is in it any more");
    cases.add("a directory goes only when nothing was made in it", W, rmdir_or_create);
}

fn make_own(s: &Subject) {
    let dir = s.dir(s.root, "d").node;
    let made = s.threads(THREADS, |thread| {
        (0..200).map(|index| must("create", s.fs.create(dir, &format!("t{thread}-{index}"), OWNER)).node).collect()
    });
    let mut nodes: Vec<Node> = made.into_iter().flat_map(|nodes: Vec<_>| nodes).collect();
    nodes.sort_unstable();
    nodes.dedup();
    same("how many numbers there are", nodes.len(), THREADS * 200);
    same("how many names there are", s.names(dir).len(), THREADS * 200);
    check_directory(s, dir);
}

fn mkdir_own(s: &Subject) {
    let dir = s.dir(s.root, "d").node;
    s.threads(THREADS, |thread| {
        for index in 0..100 {
            must("mkdir", s.fs.mkdir(dir, &format!("t{thread}-{index}"), DIR_OWNER));
        }
    });
    same("how many names there are", s.names(dir).len(), THREADS * 100);
    check_directory(s, dir);
}

/// All threads at once; answers what each got.
fn race<T: Send>(s: &Subject, run: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let barrier = Barrier::new(THREADS);
    s.threads(THREADS, |thread| {
        barrier.wait();
        run(thread)
    })
}

fn one_wins(s: &Subject, how: &str, needs: Capabilities) {
    debug_assert!(s.has(needs));
    let other = s.file(s.root, "other").node;
    for round in 0..s.rounds(40, 1000) {
        let made = race(s, |_| match how {
            "create" => s.fs.create(s.root, "x", OWNER),
            "mkdir" => s.fs.mkdir(s.root, "x", DIR_OWNER),
            "symlink" => s.fs.symlink(s.root, "x", "t", OWNER),
            _ => s.fs.link(other, s.root, "x"),
        });
        let won: Vec<_> = made.iter().filter(|made| may(how, made, &[Errno::Exist])).flatten().collect();
        same(format_args!("round {round}: how many did"), won.len(), 1);
        same("what the name leads to", s.peek(s.root, "x").ok().node, won[0].node);
        s.holds_names(s.root, &["other", "x"]);
        if how == "mkdir" {
            s.rmdir(s.root, "x").ok()
        } else {
            s.unlink(s.root, "x").ok()
        }
        s.forget(won[0].node, 1);
    }
    same("links of the other file", s.links(other), 1);
}

fn one_takes(s: &Subject, directory: bool) {
    for round in 0..s.rounds(40, 1000) {
        let node = if directory { s.dir(s.root, "x") } else { s.file(s.root, "x") }.node;
        let took = race(s, |_| if directory { s.fs.rmdir(s.root, "x") } else { s.fs.unlink(s.root, "x") });
        let count = took.iter().filter(|took| may("the removal", took, &[Errno::Noent])).count();
        same(format_args!("round {round}: how many did"), count, 1);
        same("links", s.links(node), 0);
        s.forget(node, 1);
    }
    s.holds_names(s.root, &[]);
}

fn one_renames(s: &Subject) {
    let dir = s.dir(s.root, "d").node;
    for round in 0..s.rounds(40, 1000) {
        let node = s.file(s.root, "x").node;
        let moved = race(s, |thread| s.fs.rename(s.root, "x", dir, &format!("t{thread}"), NONE));
        let count = moved.iter().filter(|moved| may("rename", moved, &[Errno::Noent])).count();
        same(format_args!("round {round}: how many did"), count, 1);
        let names = s.names(dir);
        same("how many names there are", names.len(), 1);
        same("links", s.links(node), 1);
        s.unlink(dir, &names[0]).ok();
        s.forget(node, 1);
    }
}

fn always_there(s: &Subject) {
    s.file(s.root, "target");
    let rounds = s.rounds(300, 10_000);
    s.threads(THREADS, |thread| {
        for _ in 0..rounds {
            if thread == 0 {
                let made = must("create", s.fs.create(s.root, "new", OWNER));
                must("rename", s.fs.rename(s.root, "new", s.root, "target", NONE));
                s.fs.forget(made.node, 1);
            } else {
                let found = must("lookup of a name that is replaced", s.fs.lookup(s.root, "target"));
                s.fs.forget(found.node, 1);
            }
        }
    });
    s.holds_names(s.root, &["target"]);
}

fn exchanged(s: &Subject) {
    let (a, b) = (s.file(s.root, "a").node, s.dir(s.root, "b").node);
    let rounds = s.rounds(300, 10_000);
    s.threads(THREADS, |thread| {
        for _ in 0..rounds {
            if thread == 0 {
                must("exchange", s.fs.rename(s.root, "a", s.root, "b", RenameFlags::EXCHANGE));
            } else {
                let name = if thread % 2 == 0 { "a" } else { "b" };
                let found = must("lookup of a name that is exchanged", s.fs.lookup(s.root, name));
                holds!(found.node == a || found.node == b, "{name} leads to {}", found.node);
                s.fs.forget(found.node, 1);
            }
        }
    });
    s.holds_names(s.root, &["a", "b"]);
    same("links of the file", s.links(a), 1);
}

fn listed_meanwhile(s: &Subject) {
    let dir = s.dir(s.root, "d").node;
    for index in 0..80 {
        s.file(dir, &format!("stays{index:02}"));
    }
    let wanted: Vec<_> = (0..80).map(|index| format!("stays{index:02}")).collect();
    let rounds = s.rounds(20, 500);
    s.threads(THREADS, |thread| {
        for round in 0..rounds {
            if thread < 2 {
                for index in 0..10 {
                    let name = format!("t{thread}-{index}");
                    let made = must("create", s.fs.create(dir, &name, OWNER));
                    if index % 2 == round % 2 {
                        must("rename", s.fs.rename(dir, &name, dir, &format!("{name}-moved"), NONE));
                        must("unlink", s.fs.unlink(dir, &format!("{name}-moved")));
                    } else {
                        must("unlink", s.fs.unlink(dir, &name));
                    }
                    s.fs.forget(made.node, 1);
                }
            } else {
                let (mut names, mut cookie) = (Vec::new(), 0);
                loop {
                    let page = must("readdir", s.fs.readdir(dir, cookie, 7));
                    let Some(last) = page.last() else { break };
                    cookie = last.cookie;
                    names.extend(page.into_iter().map(|entry| entry.name).filter(|name| name.starts_with("stays")));
                    holds!(names.len() <= 200, "the listing does not end");
                }
                names.sort();
                same("what stays", &names, &wanted);
            }
        }
    });
    same("how many names are left", s.names(dir).len(), 80);
}

fn found_is_valid(s: &Subject) {
    let rounds = s.rounds(400, 10_000);
    s.threads(THREADS, |thread| {
        for round in 0..rounds {
            if thread < 2 {
                let name = format!("x{thread}");
                let made = must("create", s.fs.create(s.root, &name, OWNER)).node;
                must("write", write_once(s, made, (round % 250) as u8));
                must("unlink", s.fs.unlink(s.root, &name));
                s.fs.forget(made, 1);
            } else {
                let found = s.fs.lookup(s.root, &format!("x{}", thread - 2));
                if may("lookup", &found, &[Errno::Noent]) {
                    let node = must("lookup", found).node;
                    same("the number", must("getattr of what is held", s.fs.getattr(node)).node, node);
                    let handle = must("open of what is held", s.fs.open(node, OpenFlags::READ));
                    must("read of what is held", s.fs.read(node, handle, 0, &mut [0; 10]));
                    s.fs.release(node, handle);
                    s.fs.forget(node, 1);
                }
            }
        }
    });
    s.holds_names(s.root, &[]);
}

pub(super) fn write_once(s: &Subject, node: Node, byte: u8) -> Result<(), Errno> {
    let handle = s.fs.open(node, OpenFlags::all())?;
    let written = s.fs.write(node, handle, 0, &[byte; 10]);
    s.fs.release(node, handle);
    written.map(drop)
}

fn lookups(s: &Subject) {
    let nodes = ["a", "b", "c"].map(|name| s.file_of(s.root, name, name.as_bytes()));
    let rounds = s.rounds(1000, 50_000);
    s.threads(THREADS, |thread| {
        let mut random = Random::new(s.settings.seed + thread as u64);
        for _ in 0..rounds {
            let index = random.index(3);
            let count = 1 + random.below(3);
            for _ in 0..count {
                same("the number", must("lookup", s.fs.lookup(s.root, ["a", "b", "c"][index])).node, nodes[index]);
            }
            s.fs.forget(nodes[index], count);
        }
    });
    for (name, node) in ["a", "b", "c"].into_iter().zip(nodes) {
        s.unlink(s.root, name).ok();
        same_bytes("what is held once", &s.read(node, 0, 10), name.as_bytes());
        s.forget(node, 1);
        s.getattr(node).refused();
    }
}

fn links(s: &Subject) {
    let file = s.file_of(s.root, "f", b"linked");
    let rounds = s.rounds(200, 5000);
    let left = s.threads(THREADS, |thread| {
        let mut random = Random::new(s.settings.seed + thread as u64);
        let mut mine = Vec::new();
        for index in 0..rounds {
            if mine.len() < 5 || random.one_in(2) {
                let name = format!("t{thread}-{index}");
                must("link", s.fs.link(file, s.root, &name));
                s.fs.forget(file, 1);
                mine.push(name);
            } else {
                let name = mine.swap_remove(random.index(mine.len()));
                must("unlink", s.fs.unlink(s.root, &name));
            }
        }
        mine.len()
    });
    let left: usize = left.into_iter().sum();
    same("links", s.links(file) as usize, 1 + left);
    same("how many names there are", s.names(s.root).len(), 1 + left);
    same_bytes("what it holds", &s.read(file, 0, 10), b"linked");
}

fn subdirectories(s: &Subject) {
    let dirs = [s.dir(s.root, "a").node, s.dir(s.root, "b").node];
    let rounds = s.rounds(80, 5000);
    s.threads(THREADS, |thread| {
        let mut random = Random::new(s.settings.seed + thread as u64);
        for index in 0..rounds {
            let (dir, other) = (*random.pick(&dirs), *random.pick(&dirs));
            let name = format!("t{thread}-{index}");
            let made = must("mkdir", s.fs.mkdir(dir, &name, DIR_OWNER)).node;
            must("rename", s.fs.rename(dir, &name, other, &name, NONE));
            if !random.one_in(5) {
                must("rmdir", s.fs.rmdir(other, &name));
            }
            s.fs.forget(made, 1);
        }
    });
    for dir in dirs {
        check_directory(s, dir);
    }
}

fn rmdir_or_create(s: &Subject) {
    for round in 0..s.rounds(100, 3000) {
        let dir = s.dir(s.root, "d").node;
        let done = race(s, |thread| match thread {
            0 => s.fs.rmdir(s.root, "d"),
            1 => s.fs.mkdir(dir, "x1", DIR_OWNER).map(drop),
            _ => s.fs.create(dir, &format!("x{thread}"), OWNER).map(drop),
        });
        let gone = may("rmdir", &done[0], &[Errno::Notempty]);
        let made = done[1..].iter().filter(|made| may("create", made, &[Errno::Noent])).count();
        holds!(!gone || made == 0, "round {round}: the directory is gone, and {made} were made in it");
        if !gone {
            same("how many names there are", s.names(dir).len(), made);
            check_directory(s, dir);
            s.rmdir(s.root, "d").ok();
        }
        s.forget(dir, 1);
    }
    s.holds_names(s.root, &[]);
}
