//! Many threads at once. A native backend locks what it must; behind the plugin host calls come one by one, and the same must hold.

mod data;
mod names;
mod storms;

use super::prelude::*;

/// How many threads there are.
const THREADS: usize = 4;

pub(crate) fn add(cases: &mut Cases) {
    cases.group(Group::Concurrency);
    names::add(cases);
    storms::add(cases);
    data::add(cases);
}

/// Every name in the directory leads somewhere, its links add up, and it can be emptied.
fn check_directory(s: &Subject, dir: Node) {
    let entries = s.list(dir, 50);
    let mut directories = 0;
    for entry in &entries {
        let found = s.peek(dir, &entry.name).ok();
        same(format_args!("number and kind of {}", entry.name), (found.node, found.kind), told(entry.attributes));
        holds!(found.links > 0, "{} has a name and no link", entry.name);
        directories += u32::from(found.kind == NodeKind::Directory);
    }
    if s.counts_directories() {
        same("links of the directory", s.links(dir), 2 + directories);
    }
    for entry in entries {
        match entry.attributes.kind {
            NodeKind::Directory => s.rmdir(dir, &entry.name).ok(),
            _ => s.unlink(dir, &entry.name).ok(),
        }
    }
    s.holds_names(dir, &[]);
}

fn told(from: Attributes) -> (Node, NodeKind) {
    (from.node, from.kind)
}

/// The case fails unless the call succeeded: for threads, which must not wait for each other to note their calls.
#[track_caller]
fn must<T>(what: &str, result: Result<T, Errno>) -> T {
    match result {
        Ok(answer) => answer,
        Err(errno) => fail(format_args!("{what}: expected success, got {errno:?}")),
    }
}

/// The case fails when another error came; answers whether the call succeeded.
#[track_caller]
fn may<T>(what: &str, result: &Result<T, Errno>, errors: &[Errno]) -> bool {
    match result {
        Ok(_) => true,
        Err(errno) if errors.contains(errno) => false,
        Err(errno) => fail(format_args!("{what}: expected success or one of {errors:?}, got {errno:?}")),
    }
}
