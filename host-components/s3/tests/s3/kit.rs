//! The conformance kit.

use std::sync::Arc;
use std::time::Duration;

use eyot_backend::Filesystem;
use eyot_conformance::{Kept, Options, Scorecard, check_all, fixture, populate};

use crate::server::{Server, for_kit, model};

fn options() -> Options {
    Options { deadline: Duration::from_secs(120), jobs: 3, ..Options::default() }
}

fn passes(card: &Scorecard) {
    let mut slow: Vec<_> = card.results.iter().filter(|result| result.took_us > 3_000_000).collect();
    slow.sort_by_key(|result| result.took_us);
    for result in slow {
        println!("{:>5} ms {}: {}", result.took_us / 1000, result.group, result.name);
    }
    println!("{card}");
    assert!(card.is_clean(), "{card}");
}

#[test]
fn the_kit_on_the_model() {
    let (_model, server) = model();
    passes(&check_all(|| for_kit(server.options()), &options()));
}

/// Names are asked for again and again, and nothing is in the cache.
#[test]
fn the_kit_with_nothing_believed() {
    let (_model, server) = model();
    let make = || -> Arc<dyn Filesystem> {
        let mut options = server.options();
        (options.keep_unlinked_bytes, options.exact_listings) = (64 << 20, true);
        (options.list_lifetime, options.attributes_lifetime) = (Duration::ZERO, Duration::ZERO);
        options.cache_bytes = 0;
        Arc::new(eyot_s3::S3::mount(options).unwrap())
    };
    for only in ["symlinks", "lookup counts"] {
        passes(&check_all(make, &Options { only: Some(only.into()), ..options() }));
    }
}

#[test]
fn a_tree_that_was_there() {
    let (_model, server) = model();
    let make = || -> Arc<dyn Filesystem> {
        let options = server.options();
        populate(&eyot_s3::S3::mount(options.clone()).unwrap(), &fixture()).unwrap();
        for_kit(options)
    };
    let kept = Kept { hard_links: false, special_files: false, xattrs: false, ..Kept::ALL };
    passes(&check_all(make, &Options { populated: Some(kept), only: Some("fixture".into()), ..options() }));
}

/// Its listings go through all files each time and do not show empty directories, so that it is no server for all cases.
#[test]
fn the_kit_on_s3s_fs() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::of_directory(directory.path());
    for only in ["symlinks", "holes"] {
        passes(&check_all(|| for_kit(server.options()), &Options { only: Some(only.into()), ..options() }));
    }
}
