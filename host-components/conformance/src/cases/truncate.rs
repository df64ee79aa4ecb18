//! Cutting and extending.

use super::data::EDGES;
use super::prelude::*;

pub(crate) fn add(cases: &mut Cases) {
    cases.group(Group::Data).law("truncate(2): what was cut away is lost, what is extended reads as zeroes");
    cases.add("a cut and extended file has zeroes where it was cut", W, cut_and_extended);
    for edge in EDGES {
        cases.add(format!("a cut at {edge} loses what comes after it, for good"), W, move |s| {
            for cut in [edge - 1, edge, edge + 1] {
                cut_at(s, cut);
            }
        });
    }
    cases.add("a write after a cut leaves zeroes between", W, write_beyond_cut);
    cases.add("cut to nothing, and used again", W, to_nothing);
    cases.add("extended many times by little", W, extended_by_little);
    cases.add("random cuts, extensions and writes beside a plain vector of bytes", W, random_sizes);
    cases.add("a file without a name is cut and extended", W, without_name);
    cases.law("truncate(2): EISDIR for a directory, EINVAL for what is no file");
    cases.add("a size for a directory is EISDIR, and nothing changes", W, directory);
    for thing in [Thing::Symlink, Thing::Fifo] {
        cases.add(format!("a size for {} is refused", thing.name()), thing.needs(), move |s| {
            let made = thing.make(s, s.root, "x");
            s.setattr(made.node, &AttributeChanges { size: Some(0), ..Default::default() }).refused();
            same("the size", s.attr(made.node).size, made.size);
        });
    }
    cases.law("truncate(2): the size is set to precisely that; wit/backend, setattr answers the new attributes");
    cases.add("setattr answers what getattr, lookup and readdir answer then", W, answers_agree);
}

fn cut_and_extended(s: &Subject) {
    let file = s.file_of(s.root, "f", &[7; 100_000]);
    for cut in [99_999, 65_537, 65_536, 65_535, 3] {
        s.set_size(file, cut);
        s.set_size(file, 100_000);
        let mut wanted = vec![7; cut as usize];
        wanted.resize(100_000, 0);
        same_bytes(format_args!("cut at {cut} and extended"), &s.read(file, 0, 200_000), &wanted);
    }
    s.set_size(file, 0);
    same_bytes("cut to nothing", &s.read(file, 0, 10), b"");
}

fn cut_at(s: &Subject, cut: u64) {
    let bytes = pattern(cut as usize + 70_000, cut);
    let file = s.file_of(s.root, "f", &bytes);
    let kept = &bytes[..cut as usize];
    s.set_size(file, cut);
    same_bytes("what is left", &s.read(file, 0, bytes.len()), kept);
    s.set_size(file, cut + 100);
    let mut wanted = kept.to_vec();
    wanted.resize(cut as usize + 100, 0);
    same_bytes("what is left, extended", &s.read(file, 0, bytes.len()), &wanted);
    s.write(file, cut + 50, b"new");
    wanted[cut as usize + 50..cut as usize + 53].copy_from_slice(b"new");
    same_bytes("what is left, extended and written", &s.read(file, 0, bytes.len()), &wanted);
    s.set_size(file, bytes.len() as u64);
    wanted.resize(bytes.len(), 0);
    same_bytes("what is left, extended to what it was", &s.read(file, 0, bytes.len() + 1), &wanted);
    s.unlink(s.root, "f").ok();
    s.forget(file, 1);
}

fn write_beyond_cut(s: &Subject) {
    for (cut, write) in [(3, 10), (4096, 5000), (65_536, 65_540), (65_530, 70_000), (0, 1), (100, 190_000)] {
        let bytes = pattern(200_000, 1);
        let file = s.file_of(s.root, "f", &bytes);
        s.set_size(file, cut);
        s.write(file, write, b"end");
        let mut wanted = bytes[..cut as usize].to_vec();
        wanted.resize(write as usize, 0);
        wanted.extend_from_slice(b"end");
        same_bytes(format_args!("cut at {cut}, written at {write}"), &s.read(file, 0, 300_000), &wanted);
        s.unlink(s.root, "f").ok();
        s.forget(file, 1);
    }
}

fn to_nothing(s: &Subject) {
    let file = s.file(s.root, "f").node;
    for round in 0..20_usize {
        let bytes = pattern(round * 9000 + 1, round as u64);
        s.write(file, 0, &bytes);
        same_bytes("what it holds", &s.read(file, 0, bytes.len() + 1), &bytes);
        same("the size", s.set_size(file, 0).size, 0);
        same_bytes("what it holds after", &s.read(file, 0, 10), b"");
    }
}

fn extended_by_little(s: &Subject) {
    let file = s.file_of(s.root, "f", b"x");
    for size in (2..3000).step_by(7) {
        s.set_size(file, size);
    }
    let size = s.attr(file).size as usize;
    let mut wanted = vec![0; size];
    wanted[0] = b'x';
    same_bytes("what it holds", &s.read(file, 0, 5000), &wanted);
}

fn random_sizes(s: &Subject) {
    let file = s.file(s.root, "f").node;
    let (mut random, mut model) = (s.random(), Vec::<u8>::new());
    for round in 0..s.rounds(400, 20_000) {
        let at = if random.one_in(3) { 1 + random.index(6) * 65_536 - random.index(2) } else { random.index(300_000) };
        let what = if random.one_in(2) {
            s.set_size(file, at as u64);
            model.resize(at, 0);
            format!("a size of {at}")
        } else {
            let bytes = pattern(1 + random.index(5000), random.next());
            s.write(file, at as u64, &bytes);
            model.resize(model.len().max(at + bytes.len()), 0);
            model[at..at + bytes.len()].copy_from_slice(&bytes);
            format!("{} bytes at {at}", bytes.len())
        };
        let from = at.saturating_sub(70_000).min(model.len());
        let got = s.read(file, from as u64, 140_000);
        let until = (from + 140_000).min(model.len());
        same_bytes(format_args!("round {round}, after {what}, from {from}"), &got, &model[from..until]);
    }
    same_bytes("all of it", &s.read(file, 0, model.len() + 1), &model);
}

fn without_name(s: &Subject) {
    let file = s.file_of(s.root, "f", &[9; 5000]);
    s.unlink(s.root, "f").ok();
    s.set_size(file, 2);
    s.set_size(file, 5000);
    let mut wanted = vec![0; 5000];
    wanted[..2].fill(9);
    same_bytes("what it holds", &s.read(file, 0, 6000), &wanted);
}

fn directory(s: &Subject) {
    let dir = s.dir(s.root, "d");
    for size in [0, 1, 4096] {
        let changes = AttributeChanges { size: Some(size), mode: Some(0o700), ..Default::default() };
        s.setattr(dir.node, &changes).fails(Errno::Isdir);
    }
    same("the mode", s.attr(dir.node).mode, dir.mode);
    s.setattr(s.root, &AttributeChanges { size: Some(0), ..Default::default() }).fails(Errno::Isdir);
}

fn answers_agree(s: &Subject) {
    let file = s.file_of(s.root, "f", &[1; 70_000]);
    for size in [3, 70_000, 0, 65_536] {
        let answered = s.set_size(file, size);
        let listed = s.list(s.root, 10);
        for (who, found) in
            [("getattr", s.attr(file)), ("lookup", s.peek(s.root, "f").ok()), ("readdir", listed[0].attributes)]
        {
            same(format_args!("the size that {who} answers"), found.size, size);
            same(format_args!("the modification that {who} answers"), found.modified, answered.modified);
        }
    }
}
