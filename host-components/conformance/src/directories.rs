//! Directories and their listings.

use eyot_backend::{Errno, NodeKind, Ownership};

use crate::{Check, OWNER, Subject, W};

pub(crate) const CHECKS: &[Check] = &[
    Check { name: "a directory counts its subdirectories", needs: W, run: links },
    Check { name: "rmdir wants an empty directory", needs: W, run: rmdir },
    Check { name: "nothing can be made in a directory that is gone", needs: W, run: gone },
    Check { name: "a listing names every entry once, with its attributes", needs: W, run: listing },
    Check { name: "a listing in pages goes on after its cookie while entries come and go", needs: W, run: pages },
    Check { name: "a directory can be emptied while it is listed", needs: W, run: empty_while_listing },
    Check { name: "a listing is not a lookup", needs: W, run: listing_holds_nothing },
];

fn links(s: &Subject) {
    let before = s.fs.getattr(s.root).unwrap().links;
    let dir = s.dir(s.root, "d");
    assert_eq!((dir.kind, dir.links, dir.mode), (NodeKind::Directory, 2, 0o755));
    s.dir(dir.node, "one");
    s.dir(dir.node, "two");
    s.file(dir.node, "file");
    assert_eq!(s.fs.getattr(dir.node).unwrap().links, 4);
    assert_eq!(s.fs.getattr(s.root).unwrap().links, before + 1);
    s.fs.rmdir(dir.node, "one").unwrap();
    assert_eq!(s.fs.getattr(dir.node).unwrap().links, 3);
}

fn rmdir(s: &Subject) {
    let dir = s.dir(s.root, "d").node;
    s.file(dir, "f");
    assert_eq!(s.fs.rmdir(s.root, "d"), Err(Errno::Notempty));
    s.fs.unlink(dir, "f").unwrap();
    s.fs.rmdir(s.root, "d").unwrap();
    assert_eq!(s.fs.lookup(s.root, "d"), Err(Errno::Noent));
    assert_eq!(s.names(s.root), Vec::<String>::new());
}

fn gone(s: &Subject) {
    let dir = s.dir(s.root, "d").node;
    s.fs.rmdir(s.root, "d").unwrap();
    assert_eq!(s.fs.create(dir, "f", OWNER), Err(Errno::Noent));
    assert_eq!(s.fs.mkdir(dir, "f", Ownership { mode: 0o755, ..OWNER }), Err(Errno::Noent));
    assert_eq!(s.fs.lookup(dir, "f"), Err(Errno::Noent));
    assert_eq!(s.fs.readdir(dir, 0, 10).unwrap_or_default().len(), 0);
    s.fs.forget(dir, 1);
}

fn listing(s: &Subject) {
    let dir = s.dir(s.root, "d").node;
    let mut expected = Vec::new();
    for index in 0..30 {
        let name = format!("entry-{index}");
        let made = if index % 3 == 0 { s.dir(dir, &name) } else { s.file(dir, &name) };
        expected.push((name, made.node, made.kind));
    }
    let mut listed: Vec<_> = Vec::new();
    let mut cookie = 0;
    loop {
        let page = s.fs.readdir(dir, cookie, 7).unwrap();
        assert!(page.len() <= 7);
        let Some(last) = page.last() else { break };
        cookie = last.cookie;
        assert!(page.iter().all(|entry| entry.cookie != 0));
        listed.extend(page.into_iter().map(|entry| (entry.name, entry.attributes.node, entry.attributes.kind)));
    }
    listed.sort_by(|a, b| a.0.cmp(&b.0));
    expected.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(listed, expected);
    assert_eq!(s.fs.readdir(dir, 0, 0).unwrap().len(), 0);
}

fn pages(s: &Subject) {
    for index in 0..100 {
        s.file(s.root, &format!("old-{index:03}"));
    }
    let mut seen = Vec::new();
    let mut cookie = 0;
    for round in 0.. {
        let page = s.fs.readdir(s.root, cookie, 10).unwrap();
        let Some(last) = page.last() else { break };
        cookie = last.cookie;
        // Take one away that was seen, and make a new one.
        s.fs.unlink(s.root, &page[0].name).unwrap();
        if round < 20 {
            s.file(s.root, &format!("new-{round:03}"));
        }
        seen.extend(page.into_iter().map(|entry| entry.name));
        assert!(round < 100, "the listing does not end");
    }
    let mut old: Vec<_> = seen.iter().filter(|name| name.starts_with("old-")).collect();
    old.sort();
    let expected: Vec<String> = (0..100).map(|index| format!("old-{index:03}")).collect();
    assert_eq!(old, expected.iter().collect::<Vec<_>>(), "each entry that was there all the time, once");
}

fn empty_while_listing(s: &Subject) {
    let dir = s.dir(s.root, "d").node;
    for index in 0..500 {
        s.file(dir, &format!("f{index}"));
    }
    let mut cookie = 0;
    loop {
        let page = s.fs.readdir(dir, cookie, 64).unwrap();
        let Some(last) = page.last() else { break };
        cookie = last.cookie;
        for entry in &page {
            s.fs.unlink(dir, &entry.name).unwrap();
        }
    }
    s.fs.rmdir(s.root, "d").unwrap();
}

fn listing_holds_nothing(s: &Subject) {
    let file = s.file(s.root, "f").node;
    s.fs.readdir(s.root, 0, 10).unwrap();
    s.fs.forget(file, 1);
    let again = s.fs.lookup(s.root, "f").unwrap();
    s.fs.unlink(s.root, "f").unwrap();
    assert_eq!(s.fs.getattr(again.node).unwrap().links, 0);
    s.fs.forget(again.node, 1);
    assert!(s.fs.getattr(again.node).is_err(), "a file without names and lookups is gone");
}
