//! The kit finds every planted bug, and none where none was planted.

use std::sync::Arc;
use std::time::Duration;

use eyot_backend::Filesystem;
use eyot_conformance::broken::{Broken, Bug};
use eyot_conformance::{Group, Options, Outcome, check_all, check_layer};
use eyot_memfs::Memfs;

fn memfs() -> Arc<dyn Filesystem> {
    Arc::new(Memfs::new())
}

/// Each bug is found by the cases of its own group, in the short form; so the whole kit finds it, too.
#[test]
fn every_planted_bug_is_found() {
    let mut missed = Vec::new();
    for &bug in Bug::ALL {
        let hangs = matches!(bug, Bug::HangsOnCreate | Bug::HangsOnLongNames);
        let deadline = if hangs { Duration::from_millis(300) } else { Options::default().deadline };
        let options = Options { only: Some(bug.group().name().into()), deadline, ..Options::default() };
        let card = if bug.group() == Group::Faults {
            check_layer(memfs, |lower| Arc::new(Broken::new(lower, bug)), &options)
        } else {
            check_all(|| Arc::new(Broken::new(memfs(), bug)), &options)
        };
        let found: Vec<_> = card.failures().filter(|failure| failure.group == bug.group()).collect();
        println!("{bug:?}: {} of {} cases in {} ms", found.len(), card.results.len(), card.took_ms);
        match found.first() {
            Some(failure) => println!("  {}", failure.to_string().replace('\n', "\n  ")),
            None => missed.push(bug),
        }
    }
    assert!(Bug::ALL.len() >= 25, "only {} bugs are planted", Bug::ALL.len());
    assert!(missed.is_empty(), "the kit does not find {missed:?}");
}

#[test]
fn without_a_bug_the_same_code_passes() {
    let card = check_layer(memfs, |lower| Arc::new(Broken::sound(lower)), &Options::default());
    println!("{card}");
    assert!(card.is_clean(), "{card}");
    assert!(card.results.iter().any(|result| result.group == Group::Faults && result.outcome == Outcome::Passed));
}
