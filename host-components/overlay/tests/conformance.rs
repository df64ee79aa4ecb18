//! What every backend must do, over layers of every kind.

mod common;

use std::sync::Arc;

use common::{Probe, dump, names, plant, planted};
use eyot_backend::{Capabilities, Filesystem, NodeKind, wrap_filesystem};
use eyot_hostdir::Hostdir;
use eyot_memfs::Memfs;
use eyot_overlay::Overlay;

/// Names that the checks use, so that they are made over what was there.
const TAKEN: &[&str] = &[
    "f=a file",
    "d/",
    "d/f=inner",
    "d/one/x=1",
    "d/two/",
    "a=hard",
    "b:a",
    "c>f",
    "e/e/e=deep",
    "old=o",
    "new=n",
    "null|",
    "sock=s",
    "fifo=f",
    "dir/sub/",
    "File=F",
    "file=f",
    "disk=d",
    "s>t",
    "x=x",
    "entry-1/",
    "entry-2/z=z",
    "entry-0=not a directory",
    "f3/",
    "old-003=3",
    "new-003=3",
    ".../x=x",
];

fn empty() -> Arc<dyn Filesystem> {
    Arc::new(Memfs::new())
}

/// A directory of the host that goes when the filesystem goes.
fn host() -> Arc<dyn Filesystem> {
    let dir = tempfile::tempdir().unwrap();
    let fs = Hostdir::new(dir.path(), false).unwrap();
    // The directory stays open; the files in it need no path.
    Arc::new(Kept(fs, dir))
}

struct Kept(Hostdir, #[expect(dead_code, reason = "dropped last")] tempfile::TempDir);

impl Kept {
    fn directly<T>(&self, call: impl FnOnce(&dyn Filesystem) -> T) -> T {
        call(&self.0)
    }
}

wrap_filesystem!(impl for Kept, directly);

/// Takes everything away, so that what the layers have is hidden by whiteouts.
fn clear(fs: &dyn Filesystem, dir: u64) {
    for name in names(fs, dir) {
        let found = fs.lookup(dir, &name).unwrap();
        if found.kind == NodeKind::Directory {
            clear(fs, found.node);
            fs.rmdir(dir, &name).unwrap();
        } else {
            fs.unlink(dir, &name).unwrap();
        }
        fs.forget(found.node, 1);
    }
}

/// An overlay in which nothing is to be seen, over layers in which there is a lot.
fn cleared(upper: Arc<dyn Filesystem>, lowers: Vec<Arc<dyn Filesystem>>) -> Arc<dyn Filesystem> {
    let before: Vec<_> = lowers.iter().map(|lower| dump(&**lower)).collect();
    let overlay = Overlay::new(Arc::clone(&upper), lowers.clone()).unwrap();
    clear(&overlay, overlay.info().root);
    drop(overlay);
    let overlay = Overlay::new(upper, lowers.clone()).unwrap();
    assert!(dump(&overlay).is_empty());
    for (lower, before) in lowers.iter().zip(before) {
        assert!(dump(&**lower) == before, "a lower was written to");
    }
    Arc::new(overlay)
}

fn all() -> usize {
    eyot_conformance::checks().len()
}

#[test]
fn over_an_empty_lower() {
    assert_eq!(eyot_conformance::run(|| Arc::new(Overlay::new(empty(), vec![empty()]).unwrap())), all());
}

#[test]
fn over_no_lower() {
    assert_eq!(eyot_conformance::run(|| Arc::new(Overlay::new(empty(), vec![]).unwrap())), all());
}

#[test]
fn over_a_populated_lower() {
    assert_eq!(eyot_conformance::run(|| cleared(empty(), vec![planted(TAKEN)])), all());
}

#[test]
fn over_two_lowers() {
    let other = ["f/x=now a directory", "d=now a file", "a/b/c=deep", "dir/other=o", "e/e/f=f", "z=z"];
    assert_eq!(eyot_conformance::run(|| cleared(empty(), vec![planted(&other), planted(TAKEN)])), all());
}

#[test]
fn on_a_host_directory() {
    let ran = eyot_conformance::run(|| Arc::new(Overlay::new(host(), vec![empty()]).unwrap()));
    assert!(ran >= 38, "only {ran} checks ran");
}

#[test]
fn on_a_host_directory_over_a_populated_lower() {
    let ran = eyot_conformance::run(|| cleared(host(), vec![planted(TAKEN)]));
    assert!(ran >= 38, "only {ran} checks ran");
}

#[test]
fn between_host_directories() {
    let ran = eyot_conformance::run(|| {
        let lower = host();
        let plain: Vec<_> = TAKEN.iter().filter(|entry| !entry.ends_with('|')).copied().collect();
        plant(&*lower, &plain);
        cleared(host(), vec![lower])
    });
    assert!(ran >= 38, "only {ran} checks ran");
}

#[test]
fn on_an_upper_that_can_do_little() {
    for without in [
        Capabilities::HARD_LINKS,
        Capabilities::XATTRS,
        Capabilities::SPECIAL_FILES,
        Capabilities::ATOMIC_RENAME,
        Capabilities::HARD_LINKS | Capabilities::XATTRS | Capabilities::SPECIAL_FILES | Capabilities::ATOMIC_RENAME,
    ] {
        let ran = eyot_conformance::run(|| {
            let upper = Arc::new(Probe::new(empty()).without(without));
            cleared(upper, vec![planted(TAKEN)])
        });
        assert!(ran >= 30, "only {ran} checks ran without {without:?}");
    }
}

#[test]
fn on_another_overlay_and_over_one() {
    let inner = || -> Arc<dyn Filesystem> { Arc::new(Overlay::new(empty(), vec![planted(TAKEN)]).unwrap()) };
    let ran = eyot_conformance::run(|| cleared(inner(), vec![inner()]));
    assert_eq!(ran, all());
}
