//! Listings, page by page, while entries come and go.

use super::prelude::*;

pub(crate) fn add(cases: &mut Cases) {
    cases
        .group(Group::Directories)
        .law("readdir(3): each entry once; wit/backend, readdir: at most so many, an empty list is the end");
    for page in [1, 2, 3, 7, 64, 1000, 100_000] {
        cases.add(format!("pages of {page} name every entry once"), W, move |s| pages_of(s, page));
    }
    cases.add("an empty directory lists nothing", W, empty);
    cases.add("ten thousand entries are listed, found and taken away", W, ten_thousand);
    cases.add("the end stays the end", W, end);
    cases.add("a page of no entries is empty", W, no_entries);
    cases.law("wit/backend, directory-entry: the attributes are the inode's; . and .. are never listed");
    cases.add("a listing has the attributes that getattr has", W, attributes);
    cases.add("neither . nor .. is listed", W, dots);
    cases.add("a listing shows what changed since the last", W, changes);
    cases.law("wit/backend, directory-entry: a cookie is never 0, and stays good while other entries come and go");
    cases.add("a listing goes on after every cookie, and again", W, every_cookie);
    cases.add("a cookie is good after its own entry went", W, own_entry_gone);
    cases.add("a cookie is good after all before it went", W, |s| cookie_after(s, |index| index < 50));
    cases.add("a cookie is good after all behind it went", W, |s| cookie_after(s, |index| index >= 50));
    cases.add("a cookie is good after every other entry went", W, |s| cookie_after(s, |index| index % 2 == 0));
    cases.add("a cookie is good after all but a few went", W, |s| cookie_after(s, |index| index % 25 != 0));
    cases.add("a cookie is good after many came", W, many_came);
    cases.add("two listings at once do not disturb each other", W, two_at_once);
    cases.law("readdir(3): an entry that is neither made nor taken away meanwhile is listed exactly once");
    cases.add("entries that stay are listed once while others come and go", W, come_and_go);
    cases.add("entries that stay are listed once while others are renamed", W, renamed_meanwhile);
    cases.add("a directory can be emptied while it is listed", W, emptied_meanwhile);
    cases.add("random changes between pages", W, random_changes);
}

fn filled(s: &Subject, count: usize) -> Node {
    let dir = s.dir(s.root, "d").node;
    for index in 0..count {
        s.file(dir, &format!("f{index:03}"));
    }
    dir
}

fn pages_of(s: &Subject, page: usize) {
    let dir = s.dir(s.root, "d").node;
    let mut wanted = Vec::new();
    for index in 0..30 {
        let name = format!("entry-{index}");
        let made = if index % 3 == 0 { s.dir(dir, &name) } else { s.file(dir, &name) };
        wanted.push((name, made.node, made.kind));
    }
    wanted.sort_by(|a, b| a.0.cmp(&b.0));
    let listed = s.list(dir, page).into_iter();
    let mut listed: Vec<_> = listed.map(|entry| (entry.name, entry.attributes.node, entry.attributes.kind)).collect();
    listed.sort_by(|a, b| a.0.cmp(&b.0));
    same("the entries", listed, wanted);
}

fn empty(s: &Subject) {
    let dir = s.dir(s.root, "d").node;
    for cookie in [0, 1, 1000] {
        same("how many entries there are", s.readdir(dir, cookie, 10).result.unwrap_or_default().len(), 0);
    }
}

fn ten_thousand(s: &Subject) {
    let dir = s.dir(s.root, "d").node;
    for index in 0..10_000 {
        if let Err(errno) = s.fs.create(dir, &format!("file-{index}"), OWNER).map(|made| s.fs.forget(made.node, 1)) {
            fail(format_args!("create number {index}: expected success, got {errno:?}"));
        }
    }
    let mut names: Vec<_> = s.list(dir, 500).into_iter().map(|entry| entry.name).collect();
    same("how many entries there are", names.len(), 10_000);
    names.sort_unstable();
    names.dedup();
    same("how many names there are", names.len(), 10_000);
    for index in (0..10_000).step_by(97) {
        s.peek(dir, &format!("file-{index}")).ok();
    }
    for index in 0..10_000 {
        if let Err(errno) = s.fs.unlink(dir, &format!("file-{index}")) {
            fail(format_args!("unlink number {index}: expected success, got {errno:?}"));
        }
    }
    s.rmdir(s.root, "d").ok();
}

fn end(s: &Subject) {
    let dir = filled(s, 5);
    let listed = s.readdir(dir, 0, 100).ok();
    let Some(last) = listed.last() else { fail("expected 5 entries, got none") };
    for page in [1, 10, 1000] {
        same("how many entries come after the last", s.readdir(dir, last.cookie, page).ok().len(), 0);
    }
    s.file(dir, "new");
    for entry in s.readdir(dir, last.cookie, 100).ok() {
        same("what can come after the last", entry.name, "new");
    }
}

fn no_entries(s: &Subject) {
    let dir = filled(s, 5);
    same("how many entries there are", s.readdir(dir, 0, 0).ok().len(), 0);
}

fn attributes(s: &Subject) {
    let dir = s.dir(s.root, "d").node;
    s.file_of(dir, "file", &[1; 12_345]);
    let sub = s.dir(dir, "directory").node;
    s.dir(sub, "inside");
    for thing in [Thing::Symlink, Thing::Fifo].into_iter().filter(|thing| s.has(thing.needs())) {
        thing.make(s, dir, thing.name());
    }
    if s.has(Capabilities::HARD_LINKS) {
        let file = s.peek(dir, "file").ok().node;
        s.link(file, s.root, "elsewhere").ok();
    }
    let entries = s.list(dir, 2);
    holds!(entries.len() >= 2, "expected 2 entries and more, got {}", entries.len());
    for entry in entries {
        let (listed, found) = (entry.attributes, s.peek(dir, &entry.name).ok());
        let told = |from: Attributes| (from.node, from.kind, from.mode, from.links, from.size, from.modified);
        same(format_args!("number, kind, mode, links, size, time of {}", entry.name), told(listed), told(found));
    }
}

fn dots(s: &Subject) {
    let dir = s.dir(s.root, "d").node;
    for entry in s.list(dir, 10).into_iter().chain(s.list(s.root, 10)) {
        same("what is listed", entry.name, "d");
    }
}

fn changes(s: &Subject) {
    s.file(s.root, "a");
    s.holds_names(s.root, &["a"]);
    s.dir(s.root, "b");
    s.holds_names(s.root, &["a", "b"]);
    s.rename(s.root, "a", s.root, "c", NONE).ok();
    s.holds_names(s.root, &["b", "c"]);
    s.unlink(s.root, "c").ok();
    s.holds_names(s.root, &["b"]);
    s.rmdir(s.root, "b").ok();
    s.holds_names(s.root, &[]);
}

fn every_cookie(s: &Subject) {
    let dir = filled(s, 40);
    let all = s.list(dir, 7);
    let names: Vec<_> = all.iter().map(|entry| entry.name.clone()).collect();
    for (index, entry) in all.iter().enumerate() {
        for page in [1, 5, 100] {
            let after = s.readdir(dir, entry.cookie, page).ok();
            let wanted = &names[index + 1..names.len().min(index + 1 + after.len())];
            let after: Vec<_> = after.into_iter().map(|entry| entry.name).collect();
            same(format_args!("what comes after {}", entry.name), &after[..], wanted);
            holds!(index + 1 == names.len() || !after.is_empty(), "nothing comes after {}", entry.name);
        }
    }
}

fn own_entry_gone(s: &Subject) {
    let dir = filled(s, 40);
    let all = s.list(dir, 100);
    for entry in all.iter().take(39) {
        s.unlink(dir, &entry.name).ok();
        let next = s.readdir(dir, entry.cookie, 1).ok();
        holds!(next.len() == 1, "expected one entry after the cookie of {}, got {}", entry.name, next.len());
    }
    let left: Vec<_> = s.readdir(dir, all[37].cookie, 100).ok().into_iter().map(|entry| entry.name).collect();
    same("what is left", left, [all[39].name.clone()]);
}

/// Lists half of a hundred entries, takes some away, and lists the rest.
fn cookie_after(s: &Subject, goes: fn(usize) -> bool) {
    let dir = filled(s, 100);
    let all = s.list(dir, 100);
    let cookie = all[49].cookie;
    for (_, entry) in all.iter().enumerate().filter(|(index, _)| goes(*index)) {
        s.unlink(dir, &entry.name).ok();
    }
    let stays = all.iter().enumerate().skip(50).filter(|(index, _)| !goes(*index));
    let wanted: Vec<_> = stays.map(|(_, entry)| entry.name.clone()).collect();
    let got: Vec<_> = s.readdir(dir, cookie, 1000).ok().into_iter().map(|entry| entry.name).collect();
    same("what comes after the cookie", got, wanted);
}

fn many_came(s: &Subject) {
    let dir = filled(s, 50);
    let all = s.list(dir, 100);
    let cookie = all[24].cookie;
    for index in 0..500 {
        s.file(dir, &format!("new{index}"));
    }
    let mut got = Vec::new();
    let mut at = cookie;
    loop {
        let page = s.readdir(dir, at, 64).ok();
        let Some(last) = page.last() else { break };
        at = last.cookie;
        got.extend(page.into_iter().map(|entry| entry.name).filter(|name| name.starts_with('f')));
        holds!(got.len() <= 50, "the listing does not end");
    }
    got.sort();
    let mut wanted: Vec<_> = all[25..].iter().map(|entry| entry.name.clone()).collect();
    wanted.sort();
    same("the old entries after the cookie", got, wanted);
}

fn two_at_once(s: &Subject) {
    let dir = filled(s, 30);
    let all: Vec<_> = s.list(dir, 100).into_iter().map(|entry| entry.name).collect();
    let (mut one, mut two) = ((0, Vec::new()), (0, Vec::new()));
    for _ in 0..40 {
        for (listing, page) in [(&mut one, 1), (&mut two, 3)] {
            for entry in s.readdir(dir, listing.0, page).ok() {
                listing.0 = entry.cookie;
                listing.1.push(entry.name);
            }
        }
    }
    same("the first listing", &one.1, &all);
    same("the second listing", &two.1, &all);
}

/// Lists in pages and calls `between` after each; the names that begin with `old` must come once each.
fn old_once(s: &Subject, dir: Node, page: usize, count: usize, mut between: impl FnMut(usize, &[String])) {
    let (mut seen, mut cookie, mut round) = (Vec::new(), 0, 0);
    loop {
        let entries = s.readdir(dir, cookie, page).ok();
        let Some(last) = entries.last() else { break };
        cookie = last.cookie;
        let names: Vec<_> = entries.into_iter().map(|entry| entry.name).collect();
        between(round, &names);
        seen.extend(names.into_iter().filter(|name| name.starts_with("old")));
        round += 1;
        holds!(round < 20 * count, "the listing does not end");
    }
    seen.sort();
    let wanted: Vec<_> = (0..count).map(|index| format!("old{index:03}")).collect();
    same("the entries that stayed", seen, wanted);
}

fn old_and_others(s: &Subject, count: usize, others: &str) {
    for index in 0..count {
        s.file(s.root, &format!("old{index:03}"));
        s.file(s.root, &format!("{others}{index:03}"));
    }
}

fn come_and_go(s: &Subject) {
    old_and_others(s, 100, "goes");
    let mut gone = 0;
    old_once(s, s.root, 10, 100, |round, names| {
        for name in names.iter().filter(|name| !name.starts_with("old")) {
            s.unlink(s.root, name).ok();
        }
        if round < 20 {
            s.file(s.root, &format!("new{round}"));
        }
        gone += 1;
    });
    holds!(gone >= 10, "the listing had {gone} pages");
}

fn renamed_meanwhile(s: &Subject) {
    old_and_others(s, 60, "moves");
    let mut renames = 0;
    old_once(s, s.root, 7, 60, |_, names| {
        for name in names.iter().filter(|name| name.starts_with("moves")).take(3) {
            renames += 1;
            if renames <= 40 {
                s.rename(s.root, name, s.root, &format!("x{renames}"), NONE).ok();
            }
        }
    });
}

fn emptied_meanwhile(s: &Subject) {
    let dir = filled(s, 500);
    let mut cookie = 0;
    loop {
        let page = s.readdir(dir, cookie, 64).ok();
        let Some(last) = page.last() else { break };
        cookie = last.cookie;
        for entry in &page {
            s.unlink(dir, &entry.name).ok();
        }
    }
    s.rmdir(s.root, "d").ok();
}

fn random_changes(s: &Subject) {
    let mut random = s.random();
    for round in 0..s.rounds(4, 100) {
        let count = 20 + random.index(60);
        for index in 0..count {
            s.file(s.root, &format!("old{index:03}"));
        }
        let page = 1 + random.index(12);
        let (mut made, mut next) = (Vec::<String>::new(), 0);
        old_once(s, s.root, page, count, |_, _| {
            for _ in 0..3 {
                if random.one_in(2) && next < 100 {
                    next += 1;
                    made.push(format!("n{round}-{next}"));
                    s.file(s.root, &made[made.len() - 1]);
                } else if !made.is_empty() {
                    let victim = made.swap_remove(random.index(made.len()));
                    s.unlink(s.root, &victim).ok();
                }
            }
        });
        for name in s.names(s.root) {
            s.unlink(s.root, &name).ok();
        }
    }
}
