//! What was never written.

use super::prelude::*;

const GIB: u64 = 1 << 30;

pub(crate) fn add(cases: &mut Cases) {
    cases.group(Group::Holes).law("lseek(2), write(2): bytes in the gap read as zeroes until data is written there");
    for at in [1, 511, 4095, 4096, 4097, 65_535, 65_536, 65_537, 200_000, 1_048_576, 1_048_577] {
        cases.add(format!("a byte at {at} of an empty file leaves zeroes before it"), W, move |s| {
            let file = s.file(s.root, "f").node;
            s.write(file, at, b"x");
            let mut wanted = vec![0; at as usize];
            wanted.push(b'x');
            same("the size", s.attr(file).size, at + 1);
            same_bytes("all of it", &s.read(file, 0, at as usize + 10), &wanted);
        });
    }
    cases.add("a hole between two pieces is zeroes, and can be filled", W, between);
    cases.add("many pieces with holes between them", W, scattered);
    cases.add("a file that is nothing but a hole", W, only_hole);
    cases.add("a hole where there were bytes before the cut", W, after_cut);
    cases.add("a hole is filled byte by byte", W, filled_slowly);
    cases.law("wit/backend, capabilities, sparse: holes take no space");
    for (name, size) in [("10 GiB", 10 * GIB), ("1 TiB", 1024 * GIB)] {
        cases.add(format!("a sparse file of {name} takes no space"), SPARSE, move |s| sparse(s, size));
    }
    cases.add("a byte in a large hole takes little", SPARSE, one_byte);
    cases.add("a cut gives space back", SPARSE, cut_gives_back);
    cases.law("pread(2), pwrite(2): offsets are 64 bits");
    for at in [(1 << 31) - 2, (1_u64 << 32) - 2, 1 << 33, (1 << 40) + 4095] {
        cases.add(format!("bytes around the offset {at}"), SPARSE, move |s| far(s, at));
    }
    cases.add("offsets that are alike in 32 bits are not alike", SPARSE, alike);
    cases.add("a far piece is cut away, and the file extended", SPARSE, far_cut);
}

fn between(s: &Subject) {
    for gap in [10, 4096, 65_536, 150_000, 1_200_000] {
        let file = s.file(s.root, "f").node;
        s.write(file, 0, b"start");
        s.write(file, 5 + gap as u64, b"end");
        let mut wanted = b"start".to_vec();
        wanted.resize(5 + gap, 0);
        wanted.extend_from_slice(b"end");
        same_bytes(format_args!("with a hole of {gap}"), &s.read(file, 0, gap + 20), &wanted);
        let middle = 5 + gap / 2;
        s.write(file, middle as u64, b"mid");
        wanted[middle..middle + 3].copy_from_slice(b"mid");
        same_bytes("with a piece in the hole", &s.read(file, 0, gap + 20), &wanted);
        s.unlink(s.root, "f").ok();
        s.forget(file, 1);
    }
}

fn scattered(s: &Subject) {
    let file = s.file(s.root, "f").node;
    let mut model = vec![0; 2_000_000];
    let mut random = s.random();
    for _ in 0..60 {
        let bytes = pattern(1 + random.index(300), random.next());
        let at = random.index(model.len() - bytes.len());
        s.write(file, at as u64, &bytes);
        model[at..at + bytes.len()].copy_from_slice(&bytes);
    }
    s.set_size(file, model.len() as u64);
    same_bytes("all of it", &s.read(file, 0, model.len() + 1), &model);
}

fn only_hole(s: &Subject) {
    let file = s.file(s.root, "f").node;
    s.set_size(file, 3_000_000);
    same_bytes("all of it", &s.read(file, 0, 3_100_000), &vec![0; 3_000_000]);
    same_bytes("its end", &s.read(file, 2_999_990, 100), &[0; 10]);
}

fn after_cut(s: &Subject) {
    let file = s.file_of(s.root, "f", &[0xee; 300_000]);
    s.set_size(file, 100);
    s.write(file, 299_999, &[1]);
    let mut wanted = vec![0; 300_000];
    wanted[..100].fill(0xee);
    wanted[299_999] = 1;
    same_bytes("all of it", &s.read(file, 0, 300_001), &wanted);
}

fn filled_slowly(s: &Subject) {
    let file = s.file(s.root, "f").node;
    s.set_size(file, 1000);
    let mut model = vec![0; 1000];
    for step in 0..500 {
        let at = step * 379 % 1000;
        model[at] = step as u8 | 1;
        s.write(file, at as u64, &[model[at]]);
    }
    same_bytes("all of it", &s.read(file, 0, 2000), &model);
}

fn sparse(s: &Subject, size: u64) {
    let file = s.file(s.root, "f").node;
    s.set_size(file, size);
    holds!(s.attr(file).blocks <= 256, "{} blocks of 512 bytes for nothing", s.attr(file).blocks);
    s.write(file, size - 1, b"z");
    holds!(s.attr(file).blocks <= 256, "{} blocks of 512 bytes for one byte", s.attr(file).blocks);
    same_bytes("the end", &s.read(file, size - 3, 10), b"\0\0z");
    same_bytes("the middle", &s.read(file, size / 2, 4), &[0; 4]);
    same_bytes("the start", &s.read(file, 0, 4), &[0; 4]);
}

fn one_byte(s: &Subject) {
    let file = s.file(s.root, "f").node;
    s.set_size(file, 4 * GIB);
    for part in 0..8 {
        s.write(file, part * (GIB / 2) + 12_345, b"x");
    }
    let blocks = s.attr(file).blocks;
    holds!(blocks <= 8 * 256, "{blocks} blocks of 512 bytes for 8 bytes");
}

fn cut_gives_back(s: &Subject) {
    let file = s.file_of(s.root, "f", &pattern(1 << 20, 1));
    s.set_size(file, 0);
    s.set_size(file, 1 << 20);
    let blocks = s.attr(file).blocks;
    holds!(blocks <= 256, "{blocks} blocks of 512 bytes for what was cut away");
}

fn far(s: &Subject, at: u64) {
    let file = s.file(s.root, "f").node;
    s.write(file, at, b"12345678");
    same("the size", s.attr(file).size, at + 8);
    same_bytes("the bytes", &s.read(file, at, 20), b"12345678");
    same_bytes("before and after", &s.read(file, at - 2, 5), b"\x00\x00123");
    same_bytes("the start", &s.read(file, 0, 4), &[0; 4]);
    s.write(file, 3, b"near");
    same_bytes("the bytes after a near write", &s.read(file, at, 20), b"12345678");
    same("the size after", s.attr(file).size, at + 8);
}

fn alike(s: &Subject) {
    let file = s.file(s.root, "f").node;
    let offsets = [100, (1 << 31) + 100, (1 << 32) + 100, (3_u64 << 32) + 100, (1 << 40) + 100];
    for (index, &at) in offsets.iter().enumerate() {
        s.write(file, at, &[index as u8 + 1; 8]);
    }
    for (index, &at) in offsets.iter().enumerate() {
        same_bytes(format_args!("the bytes at {at}"), &s.read(file, at, 8), &[index as u8 + 1; 8]);
    }
}

fn far_cut(s: &Subject) {
    let file = s.file(s.root, "f").node;
    s.write(file, 5 * GIB, b"far");
    s.write(file, 0, b"near");
    s.set_size(file, 2 * GIB);
    s.set_size(file, 6 * GIB);
    same_bytes("where the far piece was", &s.read(file, 5 * GIB, 4), &[0; 4]);
    same_bytes("the near piece", &s.read(file, 0, 6), b"near\0\0");
}
