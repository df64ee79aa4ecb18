//! Many bytes, and the ends of what offsets can say.

use super::prelude::*;

pub(crate) fn add(cases: &mut Cases) {
    cases.group(Group::Large).law("pwrite(2), pread(2)");
    cases.add("8 MiB in chunks of 1 MiB", W, |s| in_chunks(s, 8 << 20, CHUNK_BYTES_MAX));
    cases.add("5 MiB in chunks of 64 KiB", W, |s| in_chunks(s, 5 << 20, 65_536));
    cases.add("3 MiB in chunks of 12,345 bytes", W, |s| in_chunks(s, 3 << 20, 12_345));
    cases.add("4 MiB of pages in random order", W, |s| shuffled(s, 4 << 20, 4096));
    cases.add("4 MiB, overwritten", W, overwritten);
    cases.add("4 MiB read at random", W, read_at_random);
    cases.add("256 MiB in chunks of 1 MiB", W, |s| in_chunks(s, 256 << 20, CHUNK_BYTES_MAX)).long();
    cases.add("64 MiB of pages in random order", W, |s| shuffled(s, 64 << 20, 65_536)).long();
    cases.add("ten files of 1 MiB, side by side", W, side_by_side);
    cases.law("truncate(2), pwrite(2): EFBIG beyond the largest file; wit/backend, setattr: fbig");
    for size in [1 << 63, (1 << 63) + 1, u64::MAX - 1, u64::MAX] {
        cases.add(format!("a size of {size} is EFBIG"), W, move |s| {
            let file = s.file_of(s.root, "f", b"bytes");
            s.setattr(file, &AttributeChanges { size: Some(size), ..Default::default() }).fails(Errno::Fbig);
            same_bytes("what it holds", &s.read(file, 0, 10), b"bytes");
        });
    }
    for offset in [i64::MAX as u64, 1 << 63, u64::MAX - 1, u64::MAX] {
        cases.add(format!("a write at {offset} is EFBIG"), W, move |s| {
            let file = s.file_of(s.root, "f", b"bytes");
            let handle = s.open(file, OpenFlags::all()).ok();
            s.pwrite(file, handle, offset, b"x").fails(Errno::Fbig);
            s.pwrite(file, handle, offset, &[1; 5000]).fails(Errno::Fbig);
            same("the size", s.attr(file).size, 5);
            same_bytes("what it holds", &s.read(file, 0, 10), b"bytes");
        });
    }
    cases.add("the largest file is made, or EFBIG", SPARSE, largest);
    cases.add("a write across the end of the largest file takes no more than fits", SPARSE, across_largest);
}

fn in_chunks(s: &Subject, total: usize, chunk: usize) {
    let file = s.file(s.root, "f").node;
    let handle = s.open(file, OpenFlags::all()).ok();
    let bytes = |at: usize| pattern(chunk.min(total - at), at as u64);
    for at in (0..total).step_by(chunk) {
        s.write_all(file, handle, at as u64, &bytes(at));
    }
    same("the size", s.attr(file).size, total as u64);
    for at in (0..total).step_by(chunk) {
        let got = s.pread(file, handle, at as u64, chunk).ok();
        same_bytes(format_args!("the chunk at {at}"), &got, &bytes(at));
    }
    s.release(file, handle);
}

fn shuffled(s: &Subject, total: usize, page: usize) {
    let file = s.file(s.root, "f").node;
    let handle = s.open(file, OpenFlags::all()).ok();
    let mut pages: Vec<_> = (0..total / page).collect();
    let mut random = s.random();
    for last in (1..pages.len()).rev() {
        pages.swap(last, random.index(last + 1));
    }
    for &index in &pages {
        s.write_all(file, handle, (index * page) as u64, &pattern(page, index as u64));
    }
    for index in 0..pages.len() {
        let got = s.pread(file, handle, (index * page) as u64, page).ok();
        same_bytes(format_args!("page {index}"), &got, &pattern(page, index as u64));
    }
    s.release(file, handle);
}

fn overwritten(s: &Subject) {
    let mut model = pattern(4 << 20, 1);
    let file = s.file_of(s.root, "f", &model);
    let mut random = s.random();
    for _ in 0..20 {
        let bytes = pattern(1 + random.index(400_000), random.next());
        let at = random.index(model.len() - bytes.len());
        s.write(file, at as u64, &bytes);
        model[at..at + bytes.len()].copy_from_slice(&bytes);
    }
    same_bytes("all of it", &s.read(file, 0, model.len() + 1), &model);
}

fn read_at_random(s: &Subject) {
    let model = pattern(4 << 20, 6);
    let file = s.file_of(s.root, "f", &model);
    let handle = s.open(file, OpenFlags::READ).ok();
    let mut random = s.random();
    for _ in 0..200 {
        let (at, length) = (random.index(model.len() + 5000), random.index(20_000));
        let wanted = model.get(at..(at + length).min(model.len())).unwrap_or_default();
        let got = s.pread(file, handle, at as u64, length).ok();
        same_bytes(format_args!("{length} bytes at {at}"), &got, wanted);
    }
}

fn side_by_side(s: &Subject) {
    let nodes: Vec<_> = (0..10).map(|index| s.file(s.root, &format!("f{index}")).node).collect();
    for part in 0..16 {
        for (index, &node) in (0..).zip(&nodes) {
            s.write(node, part * 65_536, &pattern(65_536, index * 100 + part));
        }
    }
    for (index, &node) in (0..).zip(&nodes) {
        for part in 0..16 {
            let got = s.read(node, part * 65_536, 65_536);
            same_bytes(format_args!("part {part} of file {index}"), &got, &pattern(65_536, index * 100 + part));
        }
    }
}

fn largest(s: &Subject) {
    let file = s.file(s.root, "f").node;
    let changes = AttributeChanges { size: Some(i64::MAX as u64), ..Default::default() };
    match s.setattr(file, &changes).result {
        Ok(found) => {
            same("the size", found.size, i64::MAX as u64);
            same_bytes("its end", &s.read(file, i64::MAX as u64 - 3, 10), &[0; 3]);
            s.set_size(file, 3);
        }
        Err(errno) => same("the error", errno, Errno::Fbig),
    }
    s.write(file, 0, b"abc");
    same_bytes("what it holds", &s.read(file, 0, 10), b"abc");
}

fn across_largest(s: &Subject) {
    let file = s.file(s.root, "f").node;
    let handle = s.open(file, OpenFlags::all()).ok();
    let at = i64::MAX as u64 - 4;
    match s.pwrite(file, handle, at, b"0123456789").result {
        Ok(count) => {
            holds!(count <= 4, "expected at most 4 bytes taken, got {count}");
            same("the size", s.attr(file).size, at + count as u64);
        }
        Err(errno) => {
            same("the error", errno, Errno::Fbig);
            same("the size", s.attr(file).size, 0);
        }
    }
}
