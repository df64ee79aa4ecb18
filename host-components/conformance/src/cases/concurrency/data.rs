//! Threads that read, write and cut the same files.

use super::super::prelude::*;
use super::{THREADS, may, must};

pub(crate) fn add(cases: &mut Cases) {
    cases.law("pwrite(2): each writes its own bytes, whoever else writes beside it");
    for piece in [1, 100, 4096, 5000, 65_536] {
        cases.add(format!("threads write disjoint pieces of {piece} bytes"), W, move |s| disjoint(s, piece));
    }
    cases.add("threads write files of their own", W, own_files);
    cases.law("read(2), write(2): a byte is the old or the new one, never another");
    cases.add("bytes that are overwritten are old or new", W, old_or_new);
    cases.law("truncate(2): what is cut is lost, what is extended is zeroes; no other bytes appear");
    cases.add("a reader during cuts and extensions sees the old or zeroes", W, cuts);
    cases.add("a reader of a growing file sees what was written", W, growing);
    cases.law("setxattr(2): a value is replaced as a whole");
    cases.add("a value that is replaced is one or the other", XATTRS, xattr_whole);
    cases.add("threads set attributes of their own on one file", XATTRS, xattr_own);
    cases.law("chmod(2), truncate(2): each change is whole");
    cases.add("attributes that threads change are one or the other", W, attributes);
    cases.law("open(2): each open file is its own");
    cases.add("threads open, use and release one file", W, handles);
    cases.law("statvfs(3), readdir(3), stat(2): to look disturbs nobody");
    cases.add("threads look at everything while one writes", W, look);
}

fn read(s: &Subject, node: Node, offset: u64, buffer: &mut [u8]) -> usize {
    let handle = must("open", s.fs.open(node, OpenFlags::READ));
    let count = must("read", s.fs.read(node, handle, offset, buffer));
    s.fs.release(node, handle);
    holds!(count <= buffer.len(), "a read of {} bytes answered {count}", buffer.len());
    count
}

fn write(s: &Subject, node: Node, offset: u64, bytes: &[u8]) {
    let handle = must("open", s.fs.open(node, OpenFlags::all()));
    let mut done = 0;
    while done < bytes.len() {
        let count = must("write", s.fs.write(node, handle, offset + done as u64, &bytes[done..]));
        holds!(count > 0 && count <= bytes.len() - done, "a write took {count} bytes");
        done += count;
    }
    s.fs.release(node, handle);
}

/// Each thread writes every fourth piece; neighbours share pages and chunks.
fn disjoint(s: &Subject, piece: usize) {
    let file = s.file(s.root, "f").node;
    let count = (300_000 / piece).clamp(16, 400);
    let bytes = |index: usize| pattern(piece, index as u64);
    s.threads(THREADS, |thread| {
        for index in (thread..count).step_by(THREADS) {
            write(s, file, (index * piece) as u64, &bytes(index));
        }
    });
    same("the size", s.attr(file).size, (count * piece) as u64);
    for index in 0..count {
        same_bytes(format_args!("piece {index}"), &s.read(file, (index * piece) as u64, piece), &bytes(index));
    }
}

fn own_files(s: &Subject) {
    let files: Vec<_> = (0..THREADS).map(|thread| s.file(s.root, &format!("f{thread}")).node).collect();
    s.threads(THREADS, |thread| {
        for part in 0..30_u64 {
            write(s, files[thread], part * 10_000, &pattern(10_000, part * 10 + thread as u64));
        }
    });
    for (thread, &file) in files.iter().enumerate() {
        for part in 0..30 {
            let wanted = pattern(10_000, part * 10 + thread as u64);
            same_bytes(format_args!("part {part} of {thread}"), &s.read(file, part * 10_000, 10_000), &wanted);
        }
    }
}

fn old_or_new(s: &Subject) {
    let file = s.file_of(s.root, "f", &[b'a'; 100_000]);
    let rounds = s.rounds(60, 2000);
    s.threads(THREADS, |thread| {
        let mut buffer = vec![0; 100_000];
        for round in 0..rounds {
            if thread == 0 {
                let byte = if round % 2 == 0 { b'b' } else { b'a' };
                write(s, file, 1000, &[byte; 90_000]);
            } else {
                let count = read(s, file, 0, &mut buffer);
                same("how many bytes were read", count, 100_000);
                let other = buffer.iter().position(|byte| !b"ab".contains(byte));
                holds!(other.is_none(), "a byte that nobody wrote at {other:?}");
            }
        }
    });
}

fn cuts(s: &Subject) {
    let file = s.file_of(s.root, "f", &[b'a'; 150_000]);
    let size = |size| AttributeChanges { size: Some(size), ..Default::default() };
    let rounds = s.rounds(60, 2000);
    s.threads(THREADS, |thread| {
        let mut buffer = vec![0; 150_000];
        let mut random = Random::new(s.settings.seed + thread as u64);
        for _ in 0..rounds {
            if thread == 0 {
                must("a cut", s.fs.setattr(file, &size(random.below(150_000))));
                must("an extension", s.fs.setattr(file, &size(150_000)));
                write(s, file, random.below(100_000), &[b'a'; 50_000]);
            } else {
                let at = random.below(100_000);
                buffer.fill(b'?');
                let count = read(s, file, at, &mut buffer);
                let other = buffer[..count].iter().position(|&byte| byte != b'a' && byte != 0);
                holds!(other.is_none(), "a byte that nobody wrote at {other:?} of {count} bytes at {at}");
            }
        }
    });
    same("the size", s.attr(file).size, 150_000);
}

fn growing(s: &Subject) {
    let file = s.file(s.root, "f").node;
    let bytes = pattern(300_000, 8);
    s.threads(THREADS, |thread| {
        if thread == 0 {
            for (piece, at) in bytes.chunks(3000).zip((0..).step_by(3000)) {
                write(s, file, at, piece);
            }
        } else {
            let (mut buffer, mut last) = (vec![0; 100_000], 0);
            for _ in 0..100 {
                let size = must("getattr", s.fs.getattr(file)).size;
                holds!(size >= last, "the size went from {last} to {size}");
                last = size;
                let at = size.saturating_sub(50_000);
                let wanted = (size - at) as usize;
                let count = read(s, file, at, &mut buffer[..wanted]);
                same("how many bytes were read within the size", count, wanted);
                same_bytes("the bytes", &buffer[..count], &bytes[at as usize..at as usize + count]);
            }
        }
    });
    same_bytes("all of it", &s.read(file, 0, 400_000), &bytes);
}

fn xattr_whole(s: &Subject) {
    let file = s.file(s.root, "f").node;
    let values = [vec![b'a'; 10], vec![b'b'; 5000], vec![b'c'; 60_000]];
    s.setxattr(file, "user.x", &values[0]).ok();
    let rounds = s.rounds(150, 5000);
    s.threads(THREADS, |thread| {
        for round in 0..rounds {
            if thread < 2 {
                must("setxattr", s.fs.setxattr(file, "user.x", &values[(round + thread) % 3]));
            } else {
                let value = must("getxattr", s.fs.getxattr(file, "user.x"));
                holds!(values.contains(&value), "a value of {} bytes that nobody set", value.len());
            }
        }
    });
    same("the names", s.listxattr(file).ok(), ["user.x"]);
}

fn xattr_own(s: &Subject) {
    let file = s.file(s.root, "f").node;
    s.threads(THREADS, |thread| {
        for round in 0..50 {
            let name = format!("user.t{thread}-{}", round % 10);
            must("setxattr", s.fs.setxattr(file, &name, name.as_bytes()));
            same("the value", must("getxattr", s.fs.getxattr(file, &name)), name.as_bytes());
        }
    });
    same("how many names there are", s.listxattr(file).ok().len(), THREADS * 10);
}

fn attributes(s: &Subject) {
    let file = s.file_of(s.root, "f", &[1; 100]);
    let rounds = s.rounds(300, 10_000);
    s.threads(THREADS, |thread| {
        for round in 0..rounds {
            if thread == 0 {
                let (mode, size) = if round % 2 == 0 { (0o600, 50) } else { (0o644, 100) };
                let changes = AttributeChanges { mode: Some(mode), size: Some(size), ..Default::default() };
                let found = must("setattr", s.fs.setattr(file, &changes));
                same("mode and size", (found.mode, found.size), (mode, size));
            } else {
                let found = must("getattr", s.fs.getattr(file));
                holds!([0o600, 0o644].contains(&found.mode), "the mode {:#o}", found.mode);
                holds!([50, 100].contains(&found.size), "the size {}", found.size);
                same("number, kind and links", (found.node, found.kind, found.links), (file, NodeKind::File, 1));
            }
        }
    });
}

fn handles(s: &Subject) {
    let file = s.file_of(s.root, "f", &[0; 4000]);
    let rounds = s.rounds(200, 5000);
    s.threads(THREADS, |thread| {
        for round in 0..rounds {
            let handle = must("open", s.fs.open(file, OpenFlags::all()));
            let bytes = [thread as u8 * 50 + (round % 50) as u8; 1000];
            must("write", s.fs.write(file, handle, thread as u64 * 1000, &bytes));
            let mut buffer = [0xff; 1000];
            same("read", must("read", s.fs.read(file, handle, thread as u64 * 1000, &mut buffer)), 1000);
            same_bytes("what this thread wrote", &buffer, &bytes);
            s.fs.release(file, handle);
        }
    });
}

fn look(s: &Subject) {
    let dir = s.dir(s.root, "d").node;
    let file = s.file(dir, "f").node;
    let rounds = s.rounds(150, 5000);
    s.threads(THREADS, |thread| {
        for round in 0..rounds {
            if thread == 0 {
                write(s, file, (round * 500) as u64, &[7; 500]);
                continue;
            }
            let status = must("statfs", s.fs.statfs());
            holds!(status.blocks_free <= status.blocks, "more blocks are free than there are");
            same("how many entries there are", must("readdir", s.fs.readdir(dir, 0, 10)).len(), 1);
            same("the number", must("getattr", s.fs.getattr(file)).node, file);
            may("lookup", &s.fs.lookup(dir, "none"), &[Errno::Noent]);
        }
    });
    same_bytes("all of it", &s.read(file, 0, rounds * 500 + 1), &vec![7; rounds * 500]);
}
