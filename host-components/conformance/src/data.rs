//! Reading and writing.

use eyot_backend::{AttributeChanges, CHUNK_BYTES_MAX, Capabilities, Errno, OpenFlags};

use crate::{Check, Subject, W};

pub(crate) const CHECKS: &[Check] = &[
    Check { name: "what is written is read, at every offset", needs: W, run: offsets },
    Check { name: "a read is short only at the end", needs: W, run: short_reads },
    Check { name: "a gap reads as zeroes", needs: W, run: gaps },
    Check { name: "a cut and grown file has zeroes where it was cut", needs: W, run: truncate },
    Check { name: "a chunk of a mebibyte goes through whole", needs: W, run: large_chunks },
    Check { name: "a sparse file of 10 GiB takes no space", needs: W.union(Capabilities::SPARSE), run: sparse },
    Check { name: "offsets beyond the largest file are EFBIG", needs: W, run: too_far },
    Check { name: "open refuses what is no file", needs: W, run: open_kinds },
    Check { name: "fsync of a file answers", needs: W, run: fsync },
];

fn pattern(length: usize, seed: usize) -> Vec<u8> {
    (0..length).map(|at| ((at * 31 + seed * 7) % 251) as u8).collect()
}

fn size(bytes: u64) -> AttributeChanges {
    AttributeChanges { size: Some(bytes), ..AttributeChanges::default() }
}

fn offsets(s: &Subject) {
    let file = s.file(s.root, "f").node;
    let mut model = pattern(300_000, 0);
    s.write(file, 0, &model);
    for (seed, offset) in [1, 4095, 65_535, 65_536, 131_071, 250_000].into_iter().enumerate() {
        let bytes = pattern(40_000, seed + 1);
        s.write(file, offset, &bytes);
        model[offset as usize..offset as usize + bytes.len()].copy_from_slice(&bytes);
    }
    for (offset, length) in [(0, 300_000), (1, 70_000), (65_530, 12), (299_999, 1)] {
        assert!(s.read(file, offset, length) == model[offset as usize..][..length], "{length} at {offset}");
    }
}

fn short_reads(s: &Subject) {
    let file = s.file(s.root, "f").node;
    s.write(file, 0, b"0123456789");
    assert_eq!(s.read(file, 0, 10), b"0123456789");
    assert_eq!(s.read(file, 7, 10), b"789");
    assert_eq!(s.read(file, 10, 10), b"");
    assert_eq!(s.read(file, 1 << 40, 10), b"");
    assert_eq!(s.read(file, 3, 0), b"");
    assert_eq!(s.fs.write(file, 0, 5, b""), Ok(0));
    assert_eq!(s.fs.getattr(file).unwrap().size, 10);
}

fn gaps(s: &Subject) {
    let file = s.file(s.root, "f").node;
    s.write(file, 200_000, b"end");
    assert_eq!(s.fs.getattr(file).unwrap().size, 200_003);
    let bytes = s.read(file, 0, 200_003);
    assert_eq!((bytes.len(), &bytes[200_000..]), (200_003, &b"end"[..]));
    assert!(bytes[..200_000].iter().all(|&byte| byte == 0));
}

fn truncate(s: &Subject) {
    let file = s.file(s.root, "f").node;
    s.write(file, 0, &[7; 100_000]);
    for cut in [99_999, 65_537, 65_536, 65_535, 3] {
        assert_eq!(s.fs.setattr(file, &size(cut)).unwrap().size, cut);
        s.fs.setattr(file, &size(100_000)).unwrap();
        let bytes = s.read(file, 0, 200_000);
        assert_eq!(bytes.len(), 100_000);
        let cut = cut as usize;
        assert!(bytes[..cut].iter().all(|&byte| byte == 7) && bytes[cut..].iter().all(|&byte| byte == 0), "{cut}");
    }
    s.fs.setattr(file, &size(0)).unwrap();
    assert_eq!(s.read(file, 0, 10), b"");
    assert_eq!(s.fs.setattr(s.root, &size(0)), Err(Errno::Isdir));
}

fn large_chunks(s: &Subject) {
    let file = s.file(s.root, "f").node;
    let bytes = pattern(CHUNK_BYTES_MAX, 3);
    assert_eq!(s.fs.write(file, s.fs.open(file, OpenFlags::all()).unwrap(), 5, &bytes), Ok(bytes.len()));
    assert!(s.read(file, 5, CHUNK_BYTES_MAX) == bytes);
}

fn sparse(s: &Subject) {
    let file = s.file(s.root, "f").node;
    let attributes = s.fs.setattr(file, &size(10 << 30)).unwrap();
    assert_eq!(attributes.size, 10 << 30);
    s.write(file, (10 << 30) - 1, b"z");
    assert!(s.fs.getattr(file).unwrap().blocks <= 256, "more than 128 KiB for one byte");
    assert_eq!(s.read(file, (10 << 30) - 3, 10), b"\0\0z");
    assert_eq!(s.read(file, 5 << 30, 4), [0; 4]);
}

fn too_far(s: &Subject) {
    let file = s.file(s.root, "f").node;
    let handle = s.fs.open(file, OpenFlags::all()).unwrap();
    assert_eq!(s.fs.setattr(file, &size(1 << 63)), Err(Errno::Fbig));
    assert_eq!(s.fs.setattr(file, &size(u64::MAX)), Err(Errno::Fbig));
    assert_eq!(s.fs.write(file, handle, u64::MAX, b"x"), Err(Errno::Fbig));
    assert_eq!(s.fs.write(file, handle, i64::MAX as u64, b"x"), Err(Errno::Fbig));
    assert_eq!(s.fs.read(file, handle, u64::MAX, &mut [0; 8]).unwrap_or(0), 0);
    assert_eq!(s.fs.getattr(file).unwrap().size, 0);
    s.fs.release(file, handle);
}

fn open_kinds(s: &Subject) {
    let dir = s.dir(s.root, "d").node;
    assert_eq!(s.fs.open(dir, OpenFlags::READ), Err(Errno::Isdir));
    assert!(matches!(s.fs.read(dir, 0, 0, &mut [0; 8]), Err(Errno::Isdir | Errno::Badf | Errno::Io)));
}

fn fsync(s: &Subject) {
    let file = s.file(s.root, "f").node;
    let handle = s.fs.open(file, OpenFlags::all()).unwrap();
    s.fs.write(file, handle, 0, b"durable").unwrap();
    s.fs.fsync(file, handle, false).unwrap();
    s.fs.fsync(file, handle, true).unwrap();
    s.fs.release(file, handle);
}
