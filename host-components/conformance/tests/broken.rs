//! The kit finds every planted bug, and none where none was planted.

use std::sync::Arc;
use std::time::Duration;

use eyot_backend::{
    AttributeChanges, Attributes, DirectoryEntry, Errno, Filesystem, FilesystemInfo, FilesystemStatus, Handle, Node,
    NodeKind, OpenFlags, Ownership, RenameFlags,
};
use eyot_conformance::broken::{Broken, Bug};
use eyot_conformance::{Options, Outcome, check_all};
use eyot_memfs::Memfs;

#[test]
fn every_planted_bug_is_found() {
    let (mut missed, mut fewest) = (Vec::new(), (usize::MAX, None));
    for &bug in Bug::ALL {
        let make = || Arc::new(Broken::new(Arc::new(Memfs::new()), bug)) as Arc<dyn Filesystem>;
        let options = Options { only: Some(bug.group().name().into()), ..Options::default() };
        let card = check_all(make, &options);
        let found = card.failures().filter(|failure| failure.group == bug.group()).count();
        println!("{bug:?}: {found} of {} cases in {} ms", card.results.len(), card.took_ms);
        if let Some(failure) = card.failures().next() {
            println!("  {}", failure.to_string().replace('\n', "\n  "));
        } else {
            missed.push(bug);
        }
        if found < fewest.0 {
            fewest = (found, Some(bug));
        }
    }
    assert!(Bug::ALL.len() >= 25, "only {} bugs are planted", Bug::ALL.len());
    assert!(missed.is_empty(), "the kit does not find {missed:?}");
    println!("found by the fewest: {fewest:?}");
}

#[test]
fn without_a_bug_the_same_code_passes() {
    let card = check_all(|| Arc::new(Broken::sound(Arc::new(Memfs::new()))), &Options::default());
    assert!(card.is_clean(), "{card}");
}
