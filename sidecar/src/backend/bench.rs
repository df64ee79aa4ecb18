//! `eyot backend bench`: what each call costs, beside the memfs that is compiled in.

use eyot_conformance::bench::{compare, measure};
use eyot_memfs::Memfs;
use serde_json::json;

use super::options::BenchOptions;
use super::subject::Subject;
use crate::failure::Failure;
use crate::home::Home;

/// The ceiling of the memfs that is compared with: more than the measurement fills.
const MEMFS_BYTES_MAX: u64 = 1 << 30;

/// Measures both and prints a table.
pub fn run(home: &Home, options: &BenchOptions) -> Result<u8, Failure> {
    let subject = Subject::read(home, &options.file)?;
    let fs = subject.maker(home, &options.given)?();
    let only = options.filter.as_deref();
    let base = measure(&Memfs::builder().bytes_max(MEMFS_BYTES_MAX).build(), only)
        .map_err(|what| Failure::setup(format!("memfs cannot be measured: {what}")))?;
    if base.is_empty() {
        let filter = only.unwrap_or_default();
        return Err(Failure::setup(format!("no call contains `{filter}`; without --filter all of them are listed")));
    }
    let rows = measure(&*fs, only).map_err(|what| {
        let needs = "the measurement makes 1,000 files and one of 16 MiB in an empty filesystem";
        Failure::setup(format!("{} cannot be measured: {what}; {needs}", subject.name))
    })?;
    let kind = fs.info().kind;
    let comparison = compare(("native memfs", &base), (&kind, &rows));
    if options.json {
        let mut value = json!(comparison);
        value["file"] = json!(subject.name);
        super::print_json(&value)
    } else {
        crate::print(&format!("{}, beside the memfs that is compiled in\n\n{comparison}", subject.name))
    }
}
