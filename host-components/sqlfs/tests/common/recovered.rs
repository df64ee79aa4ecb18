//! Whether what is found after a crash is what it was at one moment.

use std::collections::BTreeMap;

use eyot_backend::Filesystem;
use eyot_memfs::Memfs;
use eyot_sqlfs::Sqlfs;

use super::workload::{self, Op};
use super::{ROOT, Thing, assert_clean, tree};

fn contents(fs: &dyn Filesystem) -> BTreeMap<String, Thing> {
    let mut tree = tree(fs, ROOT);
    tree.remove("/counter");
    tree
}

/// Checks what a crash left of the run with this seed. Everything up to operation `acknowledged` must be there. Answers how far it came.
pub fn assert_recovered(fs: &Sqlfs, seed: u64, acknowledged: Option<u64>) -> Option<u64> {
    assert_clean(fs);
    let reached = workload::counted(fs);
    assert!(reached >= acknowledged, "{acknowledged:?} was acknowledged, {reached:?} is there");
    let model = Memfs::new();
    for number in 0..reached.map_or(0, |number| number + 1) {
        let _ = workload::apply(&model, &workload::op(seed, number));
    }
    let is = contents(fs);
    let before = contents(&model);
    if is == before {
        return reached;
    }
    let next = workload::op(seed, reached.map_or(0, |number| number + 1));
    let _ = workload::apply(&model, &next);
    let after = contents(&model);
    if is == after {
        return reached;
    }
    // A write may be there in part, and nothing else.
    let Op::Write(at, ..) = next else {
        panic!("{reached:?}: neither before nor after {next:?}:\n{}", diff(&is, &after))
    };
    let written = after.values().filter(|thing| before.values().all(|was| was != *thing)).count();
    assert!(written > 0, "{reached:?}: {next:?} changes nothing, but something changed");
    for (path, thing) in &is {
        let (was, will) = (&before[path], &after[path]);
        if thing == was || thing == will {
            continue;
        }
        assert!(path.ends_with(&format!("f{}", at.1)) || will != was, "{path} changed");
        assert!(thing.size >= was.size && thing.size <= will.size);
        for (index, byte) in thing.contents.iter().enumerate() {
            let old = was.contents.get(index).copied().unwrap_or_default();
            assert!(*byte == old || *byte == will.contents[index], "{path}: byte {index}");
        }
    }
    assert_eq!(is.keys().collect::<Vec<_>>(), after.keys().collect::<Vec<_>>());
    reached
}

fn diff(is: &BTreeMap<String, Thing>, was: &BTreeMap<String, Thing>) -> String {
    let mut told = String::new();
    for path in is.keys().chain(was.keys()) {
        if is.get(path) != was.get(path) {
            let brief = |thing: Option<&Thing>| thing.map(|thing| (thing.kind, thing.size, thing.links, thing.mode));
            told += &format!("{path}: {:?} instead of {:?}\n", brief(is.get(path)), brief(was.get(path)));
        }
    }
    told
}
