//! A file's bytes in place: `Filesystem::content`, which native backends may offer.

use super::prelude::*;

pub(crate) fn add(cases: &mut Cases) {
    cases
        .group(Group::Data)
        .law("eyot_backend::Filesystem::content: the whole of a file, and these bytes never change");
    cases.add("content in place, where there is any, is what is read, and stays when the file changes", W, in_place);
    cases.add("what is no regular file has no content in place", W, no_file);
}

fn in_place(s: &Subject) {
    let bytes = pattern(100_000, 2);
    let file = s.file_of(s.root, "f", &bytes);
    // To offer none is no fault.
    let Some(content) = s.fs.content(file) else { return };
    let held = || (*content.bytes).as_ref().to_vec();
    same_bytes("the content in place", &held(), &bytes);
    s.write(file, 10, b"changed");
    s.set_size(file, 50);
    same_bytes("the content that was handed out", &held(), &bytes);
    if let Some(content) = s.fs.content(file) {
        same_bytes("the content in place now", (*content.bytes).as_ref(), &s.read(file, 0, 1000));
    }
    s.unlink(s.root, "f").ok();
    s.forget(file, 1);
    same_bytes("the content of a file that is gone", &held(), &bytes);
}

fn no_file(s: &Subject) {
    let dir = s.dir(s.root, "d").node;
    holds!(s.fs.content(dir).is_none(), "a directory has content in place");
    for node in [0, u64::MAX, 1 << 40] {
        holds!(s.fs.content(node).is_none(), "the node {node}, which was never given out, has content in place");
    }
}
