//! What every backend must do, over layers of several kinds.

use std::sync::Arc;

use eyot_backend::{Capabilities, Filesystem};
use eyot_conformance::{Kept, Options, Outcome, check_all, check_layer, fixture, populate};
use eyot_crypt::{Crypt, CryptOptions, Secret};
use eyot_hostdir::Hostdir;
use eyot_memfs::Memfs;

/// A key, so that no time goes into passphrases.
const KEY: Secret<'static> = Secret::Key(&[7; 32]);

fn over(layer: Arc<dyn Filesystem>, names: bool) -> Arc<dyn Filesystem> {
    Arc::new(Crypt::open(layer, KEY, &CryptOptions { names, ..CryptOptions::default() }).unwrap())
}

#[test]
fn over_memory() {
    let ran = eyot_conformance::run(|| over(Arc::new(Memfs::new()), true));
    assert_eq!(ran, eyot_conformance::checks().len(), "it offers what memfs offers");
}

#[test]
fn over_memory_with_names_as_they_are() {
    let ran = eyot_conformance::run(|| over(Arc::new(Memfs::new()), false));
    assert_eq!(ran, eyot_conformance::checks().len(), "it offers what memfs offers");
}

#[test]
fn over_a_layer_that_fails() {
    let card = check_layer(|| Arc::new(Memfs::new()), |layer| over(layer, true), &Options::default());
    assert!(card.is_clean(), "{card}");
}

#[test]
fn over_a_layer_without_room() {
    let options = Options { bytes_max: Some(4 << 20), only: Some("limits".into()), ..Options::default() };
    let card = check_all(|| over(Arc::new(Memfs::builder().bytes_max(4 << 20).build()), true), &options);
    assert!(card.is_clean() && card.total().passed >= 10, "{card}");
}

#[test]
fn a_volume_in_a_volume() {
    eyot_conformance::run(|| over(over(Arc::new(Memfs::new()), true), true));
}

/// A directory of the host takes no extended attributes, so names are shorter and long targets do not fit.
#[test]
fn over_a_directory_of_the_host() {
    let dirs = std::sync::Mutex::new(Vec::new());
    let make = || {
        let dir = tempfile::tempdir().unwrap();
        let fs = over(Arc::new(Hostdir::new(dir.path(), false).unwrap()), true);
        assert!(!fs.info().capabilities.contains(Capabilities::XATTRS));
        dirs.lock().unwrap().push(dir);
        fs
    };
    let card = check_all(make, &Options::default());
    let known = [
        "255 bytes",
        "of 255",
        "statfs adds up",
        "a target of 4094 bytes",
        "a target of 4095 bytes",
        "names that differ by their last byte",
    ];
    let failed = |outcome: &Outcome| matches!(outcome, Outcome::Failed { .. } | Outcome::TimedOut { .. });
    for result in card.results.iter().filter(|result| failed(&result.outcome)) {
        assert!(known.iter().any(|known| result.name.contains(known)), "{}\n{card}", result.name);
    }
}

/// What was written through one mount is there in the next one.
#[test]
fn it_holds_a_tree() {
    let make = || {
        let layer: Arc<dyn Filesystem> = Arc::new(Memfs::new());
        let first = over(Arc::clone(&layer), true);
        populate(&*first, &fixture()).unwrap();
        drop(first);
        over(layer, true)
    };
    let options = Options { populated: Some(Kept::ALL), only: Some("fixture".into()), ..Options::default() };
    let card = check_all(make, &options);
    assert!(card.is_clean() && card.total().passed > 20, "{card}");
}
