//! Reading and writing.

use super::prelude::*;

/// Where backends cut: sectors, pages, chunks of databases and of `memfs`, the longest call.
pub(super) const EDGES: [u64; 11] = [1, 512, 4096, 8192, 16_384, 32_768, 65_536, 131_072, 262_144, 524_288, 1 << 20];

pub(crate) fn add(cases: &mut Cases) {
    cases.group(Group::Data).law("pwrite(2), pread(2): what was written at an offset is read there");
    cases.add("what is written is read, at every offset", W, offsets);
    for edge in EDGES {
        cases.add(format!("writes and reads around the edge at {edge}"), W, move |s| around_edge(s, edge));
    }
    cases.add("a byte at a time", W, byte_by_byte);
    cases.add("a file that grows in odd pieces", W, odd_pieces);
    cases.add("a file that grows backwards", W, backwards);
    cases.add("a shorter write leaves what comes after it", W, shorter);
    cases.add("a chunk of a mebibyte goes through whole", W, large_chunk);
    cases.add("random writes beside a plain vector of bytes", W, random_writes);
    cases.add("many small files hold what is theirs", W, many_files);
    cases.law("wit/backend, read: fewer bytes than asked for only at the end of the file");
    cases.add("a read is short only at the end", W, short_reads);
    cases.add("every read within a file is whole", W, whole_reads);
    cases.add("a read at or beyond the end answers nothing", W, beyond_end);
    cases.law("write(2): with a count of zero it has no other results");
    cases.add("a write of nothing changes nothing", W, write_nothing);
    cases.add("a read of nothing answers nothing", W, read_nothing);
    handles(cases);
}

fn handles(cases: &mut Cases) {
    cases.law("write(2): a read after a write that returned sees it, through whichever open file");
    cases.add("two open files see each other's writes", W, two_handles);
    cases.add("releasing one open file leaves the other", W, release_one);
    cases.add("an open file goes on after unlink", W, |s| handle_goes_on(s, |s| s.unlink(s.root, "f").ok()));
    cases.add("an open file goes on after rename", W, |s| {
        handle_goes_on(s, |s| s.rename(s.root, "f", s.root, "g", NONE).ok());
    });
    cases.add("an open file goes on after it was replaced", W, |s| {
        handle_goes_on(s, |s| {
            s.file_of(s.root, "new", b"new");
            s.rename(s.root, "new", s.root, "f", NONE).ok();
        });
    });
    cases.add("an open file sees a cut and an extension", W, handle_sees_size);
    cases.add("what was written is there after the file was closed and forgotten", W, reopened);
    cases.add("two hundred open files", W, many_handles);
    cases.law("open(2): EISDIR; wit/backend, open: regular files only");
    cases.add("open of a directory is EISDIR", W, open_directory);
    for thing in [Thing::Symlink, Thing::Fifo] {
        cases.add(format!("open of {} is refused", thing.name()), thing.needs(), move |s| {
            let node = thing.make(s, s.root, "x").node;
            s.open(node, OpenFlags::READ).refused();
        });
    }
    cases.law("fsync(2): everything that was written is durable; a file without a name is still a file");
    cases.add("fsync of a file answers, for data and for all", W, fsync);
    cases.add("fsync of a file without a name answers", W, |s| {
        let node = s.file_of(s.root, "f", b"bytes");
        let handle = s.open(node, OpenFlags::all()).ok();
        s.unlink(s.root, "f").ok();
        s.fsync(node, handle, false).ok();
        same_bytes("what it holds", &s.pread(node, handle, 0, 10).ok(), b"bytes");
    });
}

fn offsets(s: &Subject) {
    let file = s.file(s.root, "f").node;
    let mut model = pattern(300_000, 0);
    s.write(file, 0, &model);
    for (seed, offset) in [1, 4095, 65_535, 65_536, 131_071, 250_000].into_iter().enumerate() {
        let bytes = pattern(40_000, seed as u64 + 1);
        s.write(file, offset, &bytes);
        model[offset as usize..offset as usize + bytes.len()].copy_from_slice(&bytes);
    }
    for (offset, length) in [(0, 300_000), (1, 70_000), (65_530, 12), (299_999, 1)] {
        let got = s.read(file, offset, length);
        same_bytes(format_args!("{length} bytes at {offset}"), &got, &model[offset as usize..][..length]);
    }
}

fn around_edge(s: &Subject, edge: u64) {
    let file = s.file(s.root, "f").node;
    let mut model = pattern(2 * edge as usize + 3, 1);
    s.write(file, 0, &model);
    same_bytes("all of it", &s.read(file, 0, model.len() + 5), &model);
    let mut seed = 2;
    for at in [edge.saturating_sub(2), edge - 1, edge, edge + 1, 2 * edge - 1, 2 * edge] {
        for length in [1, 2, 3] {
            let bytes = pattern(length, seed);
            seed += 1;
            s.write(file, at, &bytes);
            let end = at as usize + length;
            model.resize(model.len().max(end), 0);
            model[at as usize..end].copy_from_slice(&bytes);
        }
        let from = at.saturating_sub(3);
        let until = (at as usize + 6).min(model.len());
        let got = s.read(file, from, until - from as usize);
        same_bytes(format_args!("the bytes around {at}"), &got, &model[from as usize..until]);
    }
    same("the size", s.attr(file).size, model.len() as u64);
    same_bytes("all of it after", &s.read(file, 0, model.len() + 5), &model);
}

fn byte_by_byte(s: &Subject) {
    let file = s.file(s.root, "f").node;
    let bytes = pattern(2000, 1);
    let handle = s.open(file, OpenFlags::all()).ok();
    for (at, byte) in (0..).zip(&bytes) {
        same("how many bytes were taken", s.pwrite(file, handle, at, std::slice::from_ref(byte)).ok(), 1);
    }
    for (at, byte) in (0..).zip(&bytes) {
        same_bytes(format_args!("byte {at}"), &s.pread(file, handle, at, 1).ok(), std::slice::from_ref(byte));
    }
    same("the size", s.attr(file).size, 2000);
}

fn odd_pieces(s: &Subject) {
    let file = s.file(s.root, "f").node;
    let bytes = pattern(700_001, 3);
    let (mut at, mut piece) = (0, 1);
    while at < bytes.len() {
        let end = (at + piece).min(bytes.len());
        s.write(file, at as u64, &bytes[at..end]);
        same("the size", s.attr(file).size, end as u64);
        (at, piece) = (end, (piece * 7 + 3) % 70_001 + 1);
    }
    same_bytes("all of it", &s.read(file, 0, bytes.len() + 1), &bytes);
}

fn backwards(s: &Subject) {
    let file = s.file(s.root, "f").node;
    let bytes = pattern(200_000, 5);
    let mut end = bytes.len();
    while end > 0 {
        let at = end.saturating_sub(7777);
        s.write(file, at as u64, &bytes[at..end]);
        end = at;
    }
    same_bytes("all of it", &s.read(file, 0, bytes.len() + 1), &bytes);
}

fn shorter(s: &Subject) {
    let file = s.file_of(s.root, "f", b"0123456789");
    s.write(file, 0, b"abc");
    same_bytes("after a write at the start", &s.read(file, 0, 20), b"abc3456789");
    s.write(file, 8, b"XYZ");
    same_bytes("after a write across the end", &s.read(file, 0, 20), b"abc34567XYZ");
    s.write(file, 11, b"!");
    same_bytes("after a write at the end", &s.read(file, 0, 20), b"abc34567XYZ!");
}

fn large_chunk(s: &Subject) {
    let file = s.file(s.root, "f").node;
    let bytes = pattern(CHUNK_BYTES_MAX, 3);
    let handle = s.open(file, OpenFlags::all()).ok();
    same("how many bytes were taken", s.pwrite(file, handle, 5, &bytes).ok(), bytes.len());
    same_bytes("the chunk", &s.pread(file, handle, 5, CHUNK_BYTES_MAX).ok(), &bytes);
    same_bytes("what comes before it", &s.pread(file, handle, 0, 5).ok(), &[0; 5]);
}

fn random_writes(s: &Subject) {
    let file = s.file(s.root, "f").node;
    let handle = s.open(file, OpenFlags::all()).ok();
    let (mut random, mut model) = (s.random(), Vec::new());
    for round in 0..s.rounds(300, 20_000) {
        let offset = random.index(400_000);
        let length = if random.one_in(8) { random.index(100_000) } else { random.index(3000) };
        if random.one_in(3) {
            let got = s.pread(file, handle, offset as u64, length).ok();
            let end = (offset + length).min(model.len());
            let wanted = model.get(offset..end).unwrap_or_default();
            same_bytes(format_args!("round {round}: {length} bytes at {offset}"), &got, wanted);
        } else if length > 0 {
            let bytes = pattern(length, random.next());
            s.write_all(file, handle, offset as u64, &bytes);
            model.resize(model.len().max(offset + length), 0);
            model[offset..offset + length].copy_from_slice(&bytes);
        }
    }
    same_bytes("all of it", &s.read(file, 0, model.len() + 1), &model);
}

fn many_files(s: &Subject) {
    let bytes = |index: usize| pattern(index * 37 % 5000, index as u64);
    let nodes: Vec<_> = (0..200).map(|index| s.file_of(s.root, &format!("f{index}"), &bytes(index))).collect();
    for index in (0..200).step_by(3) {
        s.unlink(s.root, &format!("f{index}")).ok();
        s.forget(nodes[index], 1);
    }
    for (index, &node) in nodes.iter().enumerate().filter(|(index, _)| index % 3 != 0) {
        same_bytes(format_args!("file {index}"), &s.read(node, 0, 6000), &bytes(index));
    }
}

fn short_reads(s: &Subject) {
    let file = s.file_of(s.root, "f", b"0123456789");
    same_bytes("10 bytes at 0", &s.read(file, 0, 10), b"0123456789");
    same_bytes("10 bytes at 7", &s.read(file, 7, 10), b"789");
    same_bytes("1 MiB at 0", &s.read(file, 0, CHUNK_BYTES_MAX), b"0123456789");
    same_bytes("1 byte at 9", &s.read(file, 9, 1), b"9");
}

fn whole_reads(s: &Subject) {
    let bytes = pattern(1_500_000, 9);
    let file = s.file_of(s.root, "f", &bytes);
    let handle = s.open(file, OpenFlags::READ).ok();
    let mut random = s.random();
    for _ in 0..60 {
        let length = 1 + random.index(CHUNK_BYTES_MAX);
        let at = random.index(bytes.len() - length + 1);
        let got = s.pread(file, handle, at as u64, length).ok();
        same_bytes(format_args!("{length} bytes at {at}"), &got, &bytes[at..at + length]);
    }
}

fn beyond_end(s: &Subject) {
    let file = s.file_of(s.root, "f", b"0123456789");
    for offset in [10, 11, 4096, 65_536, 1 << 32, 1 << 40, (1 << 62) + 1] {
        same_bytes(format_args!("10 bytes at {offset}"), &s.read(file, offset, 10), b"");
    }
    let handle = s.open(file, OpenFlags::READ).ok();
    for offset in [i64::MAX as u64 - 5, i64::MAX as u64, 1 << 63, u64::MAX - 5, u64::MAX] {
        let got = s.pread(file, handle, offset, 10).result.unwrap_or_default();
        same_bytes(format_args!("10 bytes at {offset}"), &got, b"");
    }
    let empty = s.file(s.root, "empty").node;
    same_bytes("an empty file", &s.read(empty, 0, 10), b"");
}

fn write_nothing(s: &Subject) {
    let file = s.file_of(s.root, "f", b"0123456789");
    let handle = s.open(file, OpenFlags::all()).ok();
    let before = s.attr(file);
    s.tick();
    for offset in [0, 5, 10, 11, 1 << 20] {
        same("how many bytes were taken", s.pwrite(file, handle, offset, b"").ok(), 0);
        same("the size", s.attr(file).size, 10);
    }
    let after = s.attr(file);
    same("the time of modification", after.modified, before.modified);
    same_bytes("what it holds", &s.read(file, 0, 20), b"0123456789");
}

fn read_nothing(s: &Subject) {
    let file = s.file_of(s.root, "f", b"0123456789");
    let handle = s.open(file, OpenFlags::READ).ok();
    for offset in [0, 5, 10, 1 << 20] {
        same_bytes("nothing", &s.pread(file, handle, offset, 0).ok(), b"");
    }
}

fn two_handles(s: &Subject) {
    let file = s.file(s.root, "f").node;
    let (a, b) = (s.open(file, OpenFlags::all()).ok(), s.open(file, OpenFlags::all()).ok());
    let reader = s.open(file, OpenFlags::READ).ok();
    for round in 0..20_u8 {
        let (writer, other) = if round % 2 == 0 { (a, b) } else { (b, a) };
        s.write_all(file, writer, u64::from(round) * 5000, &[round + 1; 5000]);
        for handle in [other, reader] {
            let got = s.pread(file, handle, u64::from(round) * 5000, 6000).ok();
            same_bytes("what the other open file wrote", &got, &[round + 1; 5000]);
        }
    }
}

fn release_one(s: &Subject) {
    let file = s.file_of(s.root, "f", b"bytes");
    let handles: Vec<_> = (0..5).map(|_| s.open(file, OpenFlags::all()).ok()).collect();
    for (index, &handle) in handles.iter().enumerate() {
        s.release(file, handle);
        for &left in &handles[index + 1..] {
            s.write_all(file, left, 5, &[b'0' + index as u8]);
            same_bytes("what it holds", &s.pread(file, left, 4, 10).ok(), &[b's', b'0' + index as u8]);
        }
    }
    same("the size", s.attr(file).size, 6);
}

fn handle_goes_on(s: &Subject, happens: impl Fn(&Subject)) {
    let file = s.file_of(s.root, "f", b"before");
    let handle = s.open(file, OpenFlags::all()).ok();
    happens(s);
    same_bytes("what the open file reads", &s.pread(file, handle, 0, 20).ok(), b"before");
    s.write_all(file, handle, 6, b" and after");
    same_bytes("what it reads then", &s.pread(file, handle, 0, 20).ok(), b"before and after");
    s.release(file, handle);
    same_bytes("what the file holds", &s.read(file, 0, 20), b"before and after");
}

fn handle_sees_size(s: &Subject) {
    let file = s.file_of(s.root, "f", &[7; 1000]);
    let handle = s.open(file, OpenFlags::all()).ok();
    s.set_size(file, 10);
    same_bytes("after a cut", &s.pread(file, handle, 0, 2000).ok(), &[7; 10]);
    s.set_size(file, 12);
    same_bytes("after an extension", &s.pread(file, handle, 5, 2000).ok(), &[7, 7, 7, 7, 7, 0, 0]);
    s.write_all(file, handle, 12, b"x");
    same("the size", s.attr(file).size, 13);
}

fn reopened(s: &Subject) {
    let bytes = pattern(100_000, 4);
    let node = s.file_of(s.root, "f", &bytes);
    s.forget(node, 1);
    for _ in 0..3 {
        let node = s.lookup(s.root, "f").ok().node;
        same_bytes("what it holds", &s.read(node, 0, 200_000), &bytes);
        s.forget(node, 1);
    }
}

fn many_handles(s: &Subject) {
    let file = s.file_of(s.root, "f", b"bytes");
    let handles: Vec<_> = (0..200).map(|_| s.open(file, OpenFlags::READ).ok()).collect();
    for &handle in &handles {
        same_bytes("what it reads", &s.pread(file, handle, 0, 10).ok(), b"bytes");
    }
    for &handle in handles.iter().rev() {
        s.release(file, handle);
    }
}

fn open_directory(s: &Subject) {
    let dir = s.dir(s.root, "d").node;
    s.open(dir, OpenFlags::READ).fails(Errno::Isdir);
    s.open(dir, OpenFlags::all()).fails(Errno::Isdir);
    s.pread(dir, 0, 0, 8).fails_with(&[Errno::Isdir, Errno::Badf, Errno::Inval, Errno::Io]);
    s.pwrite(dir, 0, 0, b"x").fails_with(&[Errno::Isdir, Errno::Badf, Errno::Inval, Errno::Io]);
}

fn fsync(s: &Subject) {
    let file = s.file(s.root, "f").node;
    let handle = s.open(file, OpenFlags::all()).ok();
    s.write_all(file, handle, 0, b"durable");
    s.fsync(file, handle, false).ok();
    s.fsync(file, handle, true).ok();
    same_bytes("what it holds", &s.pread(file, handle, 0, 10).ok(), b"durable");
    s.release(file, handle);
    let reader = s.open(file, OpenFlags::READ).ok();
    s.fsync(file, reader, false).ok();
}
