//! Each thing that an overlay does which other filesystems need not, by name.

#[path = "../common/mod.rs"]
mod common;
mod copies;
mod failures;
mod hostile;
mod marks;
mod merged;
mod redirects;

use std::sync::Arc;

use common::*;
use eyot_backend::*;
use eyot_hostdir::Hostdir;
use eyot_memfs::{BaseImage, ImageBuilder, Memfs, Meta};
use eyot_overlay::{LAYERS_MAX, Overlay};

fn over(upper: &Arc<Memfs>, lowers: &[&Arc<Memfs>]) -> Overlay {
    let lowers = lowers.iter().map(|lower| Arc::clone(lower) as Arc<dyn Filesystem>).collect();
    Overlay::new(Arc::clone(upper) as Arc<dyn Filesystem>, lowers).unwrap()
}

fn memfs() -> Arc<Memfs> {
    Arc::new(Memfs::new())
}

fn all_names(fs: &dyn Filesystem) -> Vec<String> {
    dump(fs).into_keys().collect()
}

/// Runs on uppers that are marked by devices and by names.
fn on_both(test: impl Fn(Arc<dyn Filesystem>)) {
    test(memfs());
    test(Arc::new(Probe::new(memfs()).without(Capabilities::SPECIAL_FILES)));
    let dir = tempfile::tempdir().unwrap();
    test(Arc::new(Hostdir::new(dir.path(), false).unwrap()));
}

fn root(fs: &dyn Filesystem) -> Node {
    fs.info().root
}
