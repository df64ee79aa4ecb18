//! The short form: all of pjdfstest and 20,000 operations of fsx on each backend.

use eyot_posix::backends::BACKENDS;
use eyot_posix::{NotRun, fsx, pjdfstest};

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

#[test]
fn pjdfstest_passes_but_for_what_is_on_the_lists() {
    for backend in BACKENDS {
        let Some(report) = ran(pjdfstest::run(backend, None, |_, _| ())) else { return };
        report.print();
        assert!(report.is_good(), "{}", backend.name);
        assert!(report.passed > 200, "the suite is smaller than it was");
    }
}

#[test]
fn fsx_finds_every_byte_where_it_should_be() {
    for backend in BACKENDS {
        let Some(report) = ran(fsx::run(backend, OPERATIONS, 1, |_| ())) else { return };
        report.print();
        assert!(report.is_good(), "{}", backend.name);
    }
}
