//! The tree that was there, where it can be changed: its files and directories are like any other.

use super::fixture::{contents, walk};
use super::prelude::*;

pub(super) fn add(cases: &mut Cases) {
    cases.law("open(2), write(2), unlink(2), rename(2): a file that was there is like any other");
    let mut change = |name: &'static str, needs, run: fn(&Subject)| {
        cases.add(name, needs, run).when(Condition::Populated);
    };
    change("a file that was there is written, and the rest of it stays", W, |s| {
        let (dir, name) = (walk(s, "sizes").ok().node, "262145");
        let mut wanted = contents("sizes/262145");
        let node = s.lookup(dir, name).ok().node;
        s.write(node, 100_000, b"changed");
        wanted[100_000..100_007].copy_from_slice(b"changed");
        same_bytes("what it holds", &s.read(node, 0, 300_000), &wanted);
        s.forget(node, 1);
        let node = s.lookup(dir, name).ok().node;
        same_bytes("what it holds, found again", &s.read(node, 0, 300_000), &wanted);
    });
    change("a file that was there is cut, extended and appended to", W, |s| {
        let node = s.lookup(walk(s, "sizes").ok().node, "65537").ok().node;
        s.set_size(node, 10);
        s.set_size(node, 70_000);
        s.write(node, 70_000, b"end");
        let mut wanted = contents("sizes/65537");
        wanted.truncate(10);
        wanted.resize(70_000, 0);
        wanted.extend_from_slice(b"end");
        same_bytes("what it holds", &s.read(node, 0, 100_000), &wanted);
    });
    change("names that were there are taken away and made again", W, |s| {
        let dir = walk(s, "many").ok().node;
        for index in (0..200).step_by(2) {
            s.unlink(dir, &format!("file-{index:03}")).ok();
        }
        same("how many names there are", s.names(dir).len(), 100);
        s.is_absent(dir, "file-000");
        let made = s.file_of(dir, "file-000", b"new");
        same_bytes("what the new file holds", &s.read(made, 0, 100), b"new");
        s.peek(dir, "file-001").ok();
    });
    change("a directory that was there is emptied, taken away and made again", W, |s| {
        let dir = walk(s, "many").ok().node;
        s.rmdir(s.info.root, "many").fails(Errno::Notempty);
        for name in s.names(dir) {
            s.unlink(dir, &name).ok();
        }
        s.rmdir(s.info.root, "many").ok();
        s.is_absent(s.info.root, "many");
        let made = s.dir(s.info.root, "many");
        s.holds_names(made.node, &[]);
    });
    change("a file that was there is renamed and replaced", W, |s| {
        let (docs, work) = (walk(s, "docs").ok().node, s.root);
        let node = s.lookup(docs, "readme.txt").ok().node;
        s.rename(docs, "readme.txt", work, "moved", NONE).ok();
        s.is_absent(docs, "readme.txt");
        same("what the new name leads to", s.peek(work, "moved").ok().node, node);
        same_bytes("what it holds", &s.read(node, 0, 100), &contents("docs/readme.txt"));
        s.file_of(work, "new", b"new");
        s.rename(work, "new", docs, "fixed", NONE).ok();
        let found = s.lookup(docs, "fixed").ok().node;
        same_bytes("what replaced it", &s.read(found, 0, 100), b"new");
    });
    change("a directory that was there moves with all that is below it", W, |s| {
        s.rename(s.info.root, "deep", s.root, "moved", NONE).ok();
        s.is_absent(s.info.root, "deep");
        let mut at = s.lookup(s.root, "moved").ok();
        for level in 0..20 {
            at = s.lookup(at.node, &format!("a-directory-at-level-{level}")).ok();
        }
        let bottom = s.lookup(at.node, "bottom").ok().node;
        same_bytes("what is at the bottom", &s.read(bottom, 0, 100), b"the bottom\n");
    });
    change("attributes of what was there are changed, and its bytes stay", W, |s| {
        let node = walk(s, "bin/tool").ok().node;
        s.chmod(node, 0o700);
        same("the mode", walk(s, "bin/tool").ok().mode, 0o700);
        same_bytes("what it holds", &s.read(node, 0, 200_000), &contents("bin/tool"));
    });
    change("a file that was there lives while it is held", W, |s| {
        let dir = walk(s, "docs").ok().node;
        let node = s.lookup(dir, "readme.txt").ok().node;
        s.unlink(dir, "readme.txt").ok();
        same_bytes("what it holds", &s.read(node, 0, 100), &contents("docs/readme.txt"));
        same("links", s.links(node), 0);
    });
}
