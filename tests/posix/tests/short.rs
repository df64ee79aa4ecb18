//! The short form: all of pjdfstest and 20,000 operations of fsx on each backend.

use eyot_posix::backends::{BACKENDS, Backend};
use eyot_posix::{Cache, NotRun, fsx, pjdfstest};

const OPERATIONS: u64 = 20_000;

fn ran<T>(outcome: Result<T, NotRun>) -> Option<T> {
    match outcome {
        Ok(report) => Some(report),
        Err(NotRun::Impossible(why)) => {
            eprintln!("skipped: {why}");
            None
        }
        Err(NotRun::Broken(why)) => panic!("{why}"),
    }
}

/// Each backend, and the quickest of them with the other caches.
fn runs() -> impl Iterator<Item = (&'static Backend, Cache)> {
    let quick = |cache| BACKENDS.iter().filter(|backend| backend.name == "memfs").map(move |backend| (backend, cache));
    let all = BACKENDS.iter().map(|backend| (backend, Cache::Lifetimes));
    all.chain(quick(Cache::Exclusive)).chain(quick(Cache::Writeback))
}

#[test]
fn pjdfstest_passes_but_for_what_is_on_the_lists() {
    for (backend, cache) in runs() {
        let Some(report) = ran(pjdfstest::run(backend, cache, None, |_, _| ())) else { continue };
        report.print();
        assert!(report.is_good(), "{}, {cache:?}", backend.name);
        assert!(report.passed > 200, "the suite is smaller than it was");
    }
}

#[test]
fn fsx_finds_every_byte_where_it_should_be() {
    for (backend, cache) in runs() {
        let Some(report) = ran(fsx::run(backend, cache, OPERATIONS, 1, |_| ())) else { continue };
        report.print();
        assert!(report.is_good(), "{}, {cache:?}", backend.name);
    }
}
