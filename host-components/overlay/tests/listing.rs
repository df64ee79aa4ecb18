//! Listings: merged, in pages, while entries come and go and move between the layers.

mod common;

use std::collections::BTreeSet;
use std::sync::Arc;

use common::*;
use eyot_backend::*;
use eyot_memfs::Memfs;
use eyot_overlay::Overlay;

fn many(count: usize, prefix: &str) -> Arc<Memfs> {
    let fs = Arc::new(Memfs::new());
    let dir = fs.mkdir(1, "d", DIR).unwrap().node;
    for index in 0..count {
        fs.create(dir, &format!("{prefix}{index}"), FILE).unwrap();
    }
    fs
}

#[test]
fn a_big_merged_directory_is_listed_in_pages() {
    let (upper, top, bottom) = (many(300, "u"), many(2_000, "t"), many(20_000, "b"));
    let fs = Overlay::new(upper, vec![top, bottom.clone()]).unwrap();
    let d = fs.lookup(fs.info().root, "d").unwrap().node;
    let start = std::time::Instant::now();
    for page_entries in [7, 1000, 100_000] {
        let listed = list(&fs, d, page_entries.min(4096));
        assert_eq!(listed.len(), 22_300);
        assert_eq!(listed.iter().map(|(name, _)| name).collect::<BTreeSet<_>>().len(), 22_300);
        assert_eq!(listed.iter().map(|(_, found)| found.node).collect::<BTreeSet<_>>().len(), 22_300);
    }
    println!("three listings of 22,300 merged entries: {:?}", start.elapsed());
    assert!(fs.readdir(d, 0, usize::MAX).unwrap().len() <= 4096);
    assert_eq!(fs.readdir(d, u64::MAX, 10).unwrap(), []);
}

#[test]
fn a_listing_goes_on_whatever_happens_to_its_entries() {
    let lower = many(200, "f");
    let fs = Overlay::new(Arc::new(Memfs::new()), vec![lower]).unwrap();
    let root = fs.info().root;
    let d = fs.lookup(root, "d").unwrap().node;
    let other = fs.mkdir(root, "other", DIR).unwrap().node;
    let (mut seen, mut cookie, mut touched) = (Vec::new(), 0, BTreeSet::new());
    for round in 0.. {
        let page = fs.readdir(d, cookie, 9).unwrap();
        let Some(last) = page.last() else { break };
        cookie = last.cookie;
        seen.extend(page.iter().map(|entry| entry.name.clone()));
        // Of what is there from the start: some is copied up, some taken away, some moved away and back, and others push the listing out.
        let name = |step: usize| format!("f{}", (round * 7 + step) % 200);
        if let Ok(found) = fs.lookup(d, &name(0)) {
            write(&fs, found.node, 0, b"copied up").unwrap();
        }
        if fs.unlink(d, &name(1)).is_ok() {
            touched.insert(name(1));
        }
        if fs.rename(d, &name(2), other, "x", NONE).is_ok() {
            fs.rename(other, "x", d, &name(2), NONE).unwrap();
        }
        fs.create(d, &format!("new{round}"), FILE).unwrap();
        for dir in 0..20 {
            let dir = fs.mkdir(root, &format!("p{round}-{dir}"), DIR).unwrap().node;
            fs.readdir(dir, 0, 1).unwrap();
        }
        fs.readdir(root, 0, 1).unwrap();
        assert!(round < 100, "the listing does not end");
    }
    let names: BTreeSet<_> = seen.iter().cloned().collect();
    assert_eq!(names.len(), seen.len(), "no entry twice");
    for index in 0..200 {
        let name = format!("f{index}");
        assert!(names.contains(&name) || touched.contains(&name), "{name} was there all the time");
    }
    let fresh: BTreeSet<_> = list(&fs, d, 100).into_iter().map(|(name, _)| name).collect();
    assert!(touched.iter().all(|name| !fresh.contains(name)) && fresh.iter().any(|name| name.starts_with("new")));
}

#[test]
fn a_merged_directory_can_be_emptied_while_it_is_listed() {
    let fs = Overlay::new(many(300, "u"), vec![many(500, "l"), many(500, "m")]).unwrap();
    let root = fs.info().root;
    let d = fs.lookup(root, "d").unwrap().node;
    let mut cookie = 0;
    loop {
        let page = fs.readdir(d, cookie, 64).unwrap();
        let Some(last) = page.last() else { break };
        cookie = last.cookie;
        for entry in &page {
            fs.unlink(d, &entry.name).unwrap();
        }
    }
    fs.rmdir(root, "d").unwrap();
    assert!(names(&fs, root).is_empty());
}

#[test]
fn a_listing_tells_what_is_so_now() {
    let fs = Overlay::new(many(3, "u"), vec![many(3, "l")]).unwrap();
    let root = fs.info().root;
    let d = fs.lookup(root, "d").unwrap().node;
    let first = fs.readdir(d, 0, 1).unwrap();
    for name in ["u0", "u1", "u2", "l0", "l1", "l2"] {
        let found = fs.lookup(d, name).unwrap().node;
        write(&fs, found, 0, b"12345").unwrap();
        fs.forget(found, 1);
    }
    for entry in fs.readdir(d, first[0].cookie, 10).unwrap() {
        assert_eq!(entry.attributes.size, 5, "{}", entry.name);
    }
    assert!(list(&fs, d, 2).iter().all(|(_, found)| found.size == 5));
}

#[test]
fn directories_are_counted_right_whatever_they_are_merged_of() {
    let lower = planted(&["m/a/", "m/b/", "m/f=f", "m/c/x="]);
    let top = planted(&["m/a/", "m/d/", "m/c=a file"]);
    let fs = Overlay::new(Arc::new(Memfs::new()), vec![top, lower]).unwrap();
    let root = fs.info().root;
    let m = fs.lookup(root, "m").unwrap();
    assert_eq!(m.links, 2 + 3, "a, b and d");
    let links = || fs.getattr(m.node).unwrap().links;
    fs.rmdir(m.node, "b").unwrap();
    assert_eq!(links(), 4);
    fs.mkdir(m.node, "new", DIR).unwrap();
    fs.create(m.node, "file", FILE).unwrap();
    assert_eq!(links(), 5);
    fs.rename(m.node, "a", root, "a", NONE).unwrap();
    assert_eq!((links(), fs.getattr(root).unwrap().links), (4, 4));
    fs.rename(m.node, "d", m.node, "new", NONE).unwrap();
    assert_eq!(links(), 3);
    fs.rename(m.node, "new", m.node, "file", RenameFlags::EXCHANGE).unwrap();
    assert_eq!(links(), 3);
}
