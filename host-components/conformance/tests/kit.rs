//! The kit itself: it finds nothing in memfs, and what it is told to find elsewhere.

use std::sync::Arc;
use std::time::{Duration, Instant};

use eyot_backend::Filesystem;
use eyot_conformance::{Kept, Options, check_all, fixture, populate};
use eyot_memfs::Memfs;

fn memfs() -> Arc<dyn Filesystem> {
    Arc::new(Memfs::new())
}

/// What a run of the short form may take. It takes about two seconds on two cores; other tests may be running beside it.
const SHORT: Duration = Duration::from_secs(30);

#[test]
fn memfs_passes_everything() {
    let started = Instant::now();
    let card = check_all(memfs, &Options::default());
    println!("{card}");
    assert!(card.is_clean(), "{card}");
    assert!(card.total().passed > 600, "{card}");
    assert!(started.elapsed() < SHORT, "the short form took {:?}", started.elapsed());
}

#[test]
fn another_seed_passes_too() {
    let options = Options { seed: 20_260_101, only: Some("random".into()), ..Options::default() };
    let card = check_all(memfs, &options);
    assert!(card.is_clean(), "{card}");
    assert!(card.total().passed > 15, "{card}");
}

#[test]
fn a_bounded_filesystem_fills_up_cleanly() {
    let options = Options { bytes_max: Some(8 << 20), only: Some("limits".into()), ..Options::default() };
    let card = check_all(|| Arc::new(Memfs::builder().bytes_max(8 << 20).build()), &options);
    assert!(card.is_clean(), "{card}");
    assert!(card.results.iter().any(|result| result.name.contains("no room")), "{card}");
}

#[test]
fn a_tree_that_was_there_is_seen_and_changed() {
    let entries = fixture();
    let make = || {
        let fs = Memfs::new();
        populate(&fs, &entries).unwrap();
        Arc::new(fs) as Arc<dyn Filesystem>
    };
    let options = Options { populated: Some(Kept::ALL), ..Options::default() };
    let card = check_all(make, &options);
    println!("{card}");
    assert!(card.is_clean(), "{card}");
}

#[test]
fn what_takes_longest() {
    let card = check_all(memfs, &Options { jobs: 1, ..Options::default() });
    let mut results = card.results;
    results.sort_by_key(|result| std::cmp::Reverse(result.took_us));
    for result in &results[..40] { println!("{:>8} {} {}", result.took_us, result.group, result.name); }
}
