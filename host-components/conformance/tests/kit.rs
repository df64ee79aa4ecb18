//! The kit itself: it finds nothing in memfs, and what it is told to find elsewhere.

use std::sync::Arc;
use std::time::{Duration, Instant};

use eyot_backend::Filesystem;
use eyot_conformance::broken::{Broken, Bug};
use eyot_conformance::{Group, Kept, Options, Outcome, all_cases, check_all, checks, fixture, populate};
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

/// The long form, for who has some minutes: `cargo test --release -p eyot-conformance -- --ignored`.
#[test]
#[ignore = "takes a while"]
fn memfs_passes_the_long_form() {
    let card = check_all(memfs, &Options::long());
    println!("{card}");
    assert!(card.is_clean(), "{card}");
}

#[test]
fn a_backend_that_hangs_does_not_hang_the_kit() {
    let started = Instant::now();
    let options = Options { deadline: Duration::from_millis(100), only: Some("names".into()), ..Options::default() };
    let make = || Arc::new(Broken::new(memfs(), Bug::HangsOnCreate)) as Arc<dyn Filesystem>;
    let card = check_all(make, &options);
    let total = card.total();
    assert!((8..20).contains(&total.timed_out) && total.left_out > 0, "{card}");
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
}

#[test]
fn a_panic_is_a_failure_that_says_where() {
    let options = Options { only: Some("robustness".into()), ..Options::default() };
    let make = || Arc::new(Broken::new(memfs(), Bug::PanicsOnUnknownNode)) as Arc<dyn Filesystem>;
    let card = check_all(make, &options);
    let message = card.failures().find_map(|failure| match &failure.outcome {
        Outcome::Failed { message, .. } if message.contains("panicked") => Some(message.clone()),
        _ => None,
    });
    let message = message.expect("the panic is a failure");
    assert!(message.contains("is not in the table") && message.contains(".rs:"), "{message}");
}

#[test]
fn the_card_is_a_table_and_data() {
    let options = Options { only: Some("links".into()), ..Options::default() };
    let card = check_all(|| Arc::new(Broken::new(memfs(), Bug::LinksOffByOne)) as Arc<dyn Filesystem>, &options);
    let text = card.to_string();
    for part in
        ["memfs: ", "group ", "passed", "links ", "FAILED: links: two names are one file", "by: link(2)", "after: "]
    {
        assert!(text.contains(part), "{part:?} is not in {text}");
    }
    let data = serde_json::to_value(&card).unwrap();
    assert_eq!(data["kind"], "memfs");
    let results = data["results"].as_array().unwrap();
    assert_eq!(results.len(), card.results.len());
    let failed: Vec<_> = results.iter().filter(|result| result["outcome"] == "failed").collect();
    assert_eq!(failed.len(), card.total().failed);
    assert!(failed.iter().all(|result| result["message"].is_string() && result["law"].is_string()));
    assert!(failed.iter().any(|result| result["group"] == "links"));
}

/// With the same seed the random cases make the same operations, so a failure comes again, word by word.
#[test]
fn the_seed_decides() {
    let failure = |seed| {
        let options = Options { seed, only: Some("random operations on contents, run 0".into()), ..Options::default() };
        let make = || Arc::new(Broken::new(memfs(), Bug::SurvivesOnlySmallFiles)) as Arc<dyn Filesystem>;
        let card = check_all(make, &options);
        let message = card.failures().next().map(|failure| match &failure.outcome {
            Outcome::Failed { message, .. } => message.clone(),
            other => format!("{other:?}"),
        });
        message.expect("the bug is found")
    };
    let first = failure(5);
    assert_eq!(first, failure(5));
    assert_ne!(first, failure(6));
    let listed = first.lines().count();
    assert!(listed <= 6, "the list of operations is short: {first}");
}

#[test]
fn names_are_unique_and_say_who_says_so() {
    let cases = all_cases();
    assert!(cases.len() > 700 && checks().len() > 700);
    let mut names: Vec<_> = cases.iter().map(|case| (case.group(), case.name().to_owned())).collect();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), cases.len(), "two cases have one name");
    assert!(cases.iter().all(|case| case.law().len() > 5), "a case has no law");
    assert!(Group::ALL.iter().all(|&group| cases.iter().any(|case| case.group() == group)));
}
