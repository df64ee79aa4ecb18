//! Archives that mean harm: never a panic, never memory or time without bound.

mod common;

use std::time::{Duration, Instant};

use common::{Header, Random, Tar, find, gzip, mount, open, open_with, paths, texture, walk_up_to, zstd, zstd_frames};
use eyot_archive::{Archive, ArchiveError, ArchiveOptions};
use eyot_backend::{Errno, Filesystem, OpenFlags};

/// Looks at everything, whatever comes of it.
fn exercise(fs: &Archive) {
    let seen = walk_up_to(fs, 1 << 20);
    for one in seen.values() {
        let node = one.attributes.node;
        let _ = fs.readlink(node);
        let _ = fs.content(node);
        for offset in [0, 1, one.attributes.size / 2, one.attributes.size.saturating_sub(1), u64::MAX] {
            if offset < 1 << 24 || offset == u64::MAX {
                let _ = fs.read(node, 0, offset, &mut [0; 700]);
            }
        }
    }
}

fn small_tar() -> Vec<u8> {
    let mut old = Header::new("old", b'S', 8).gnu();
    old.put(386, b"00000000000\0").put(398, b"00000000003\0").put(410, b"00000001750\0").put(422, b"00000000005\0");
    old.put(482, b"\x01").put(483, b"00000011610\0");
    let mut data = b"1\n5\n4\n".to_vec();
    data.resize(512, 0);
    data.extend(b"data");
    Tar::default()
        .dir("d")
        .file("d/a", &texture(3000, 1))
        .hardlink("d/b", "d/a")
        .symlink("s", "d/a")
        .raw(Header::new("././@LongLink", b'L', 200).gnu(), "x/".repeat(100).as_bytes())
        .file("short", b"long")
        .pax(&[("path", b"p/q"), ("mtime", b"1.5"), ("SCHILY.xattr.user.a", b"v"), ("size", b"4")])
        .file("pax", b"four")
        .pax(&[("GNU.sparse.major", b"1"), ("GNU.sparse.name", b"sparse"), ("GNU.sparse.realsize", b"100")])
        .file("x", &data)
        .raw(old, &[&[0; 512][..], b"abc12345"].concat())
        .file("last", b"end")
        .end()
}

fn small_zip() -> Vec<u8> {
    use std::io::Write;
    use zip::CompressionMethod;
    use zip::write::SimpleFileOptions;
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let deflated = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
    let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    writer.add_directory("d", stored).unwrap();
    writer.start_file("d/deflated", deflated.unix_permissions(0o640)).unwrap();
    writer.write_all(&texture(5000, 2)).unwrap();
    writer.start_file("stored", stored).unwrap();
    writer.write_all(b"stored bytes").unwrap();
    writer.start_file("large", stored.large_file(true)).unwrap();
    writer.write_all(b"zip64").unwrap();
    writer.add_symlink("link", "d/deflated", stored).unwrap();
    writer.finish().unwrap().into_inner()
}

fn samples() -> Vec<(&'static str, Vec<u8>)> {
    let tar = small_tar();
    vec![
        ("tar", tar.clone()),
        ("tar.gz", gzip(&tar)),
        ("tar.zst", zstd(&tar)),
        ("seekable tar.zst", zstd_frames(&tar, 2000)),
        ("zip", small_zip()),
    ]
}

#[test]
fn whole_ones_are_whole() {
    for (name, bytes) in samples() {
        let fs = open(bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(fs.warnings().total(), 0, "{name}");
        exercise(&fs);
    }
}

#[test]
fn cut_anywhere() {
    for (name, bytes) in samples() {
        let step = if name == "tar" { 64 } else { 1 };
        for length in (0..bytes.len()).step_by(step) {
            match open(bytes[..length].to_vec()) {
                Ok(fs) => exercise(&fs),
                Err(error) => assert!(error.to_string().len() > 20),
            }
        }
    }
}

/// A tar without its end is complete after each file, and cut short everywhere else.
#[test]
fn a_cut_tar_says_what_is_missing() {
    let bytes = Tar::default().file("a", &[1; 1000]).file("b", &[2; 1000]).end();
    for length in (512..bytes.len()).step_by(512) {
        let result = open(bytes[..length].to_vec());
        match length {
            1536 => assert_eq!(paths(&result.unwrap()), ["a"]),
            3072.. => assert_eq!(paths(&result.unwrap()), ["a", "b"]),
            512 | 1024 => {
                let expected = ArchiveError::Truncated { what: "the data", offset: 512, entry: "a".into() };
                assert_eq!(result.unwrap_err(), expected);
            }
            _ => assert!(matches!(result, Err(ArchiveError::Truncated { offset: 2048, .. })), "{length}"),
        }
    }
    for packed in [gzip(&bytes[..2100]), zstd(&bytes[..2100]), zstd_frames(&bytes[..2100], 700)] {
        let error = open(packed).unwrap_err();
        assert_eq!(error, ArchiveError::Truncated { what: "the data", offset: 2048, entry: "b".into() });
    }
}

#[test]
fn thousands_of_flipped_bytes() {
    for (name, bytes) in samples() {
        let mut random = Random(name.len() as u64);
        let (mut taken, mut refused) = (0, 0);
        for _ in 0..4000 {
            let mut flipped = bytes.clone();
            for _ in 0..=random.below(4) {
                let at = random.below(flipped.len() as u64) as usize;
                flipped[at] =
                    if random.below(2) == 0 { random.next() as u8 } else { flipped[at] ^ (1 << random.below(8)) };
            }
            match open(flipped) {
                Ok(fs) => {
                    taken += 1;
                    exercise(&fs);
                }
                Err(_) => refused += 1,
            }
        }
        assert!(refused > 100, "{name}: {taken} taken, {refused} refused");
    }
}

/// Checksums of headers are made right again, so that what is behind them is reached.
#[test]
fn thousands_of_flipped_bytes_behind_right_checksums() {
    let bytes = small_tar();
    let headers: Vec<usize> =
        (0..bytes.len()).step_by(512).filter(|&at| bytes[at + 257..].starts_with(b"ustar")).collect();
    let mut random = Random(5);
    let mut taken = 0;
    for _ in 0..8000 {
        let mut flipped = bytes.clone();
        for _ in 0..=random.below(3) {
            let at = headers[random.below(headers.len() as u64) as usize];
            let field = [(100, 56), (156, 1), (257, 8), (329, 16), (386, 110), (0, 100)][random.below(6) as usize];
            let target = at + field.0 + random.below(field.1) as usize;
            let choices = [0, b'0', b'7', b'9', 0x80, 0xff, b' ', b'L', b'x', b'S', b'1', random.next() as u8];
            flipped[target] = choices[random.below(choices.len() as u64) as usize];
            let header = Header(flipped[at..at + 512].try_into().unwrap()).seal();
            flipped[at..at + 512].copy_from_slice(&header);
        }
        if let Ok(fs) = open(flipped) {
            taken += 1;
            exercise(&fs);
        }
    }
    assert!(taken > 500, "{taken}");
}

#[test]
fn random_bytes_after_a_known_beginning() {
    let mut random = Random(9);
    for round in 0..3000 {
        let begin: &[u8] = [
            &b"\x1f\x8b\x08\0\0\0\0\0\0\x03"[..],
            b"\x28\xb5\x2f\xfd",
            b"PK\x03\x04",
            b"PK\x05\x06",
            b"\x50\x2a\x4d\x18\x01\0\0\0",
        ][round % 5];
        let mut bytes = begin.to_vec();
        for _ in 0..random.below(2000) {
            bytes.push(random.next() as u8);
        }
        if let Ok(fs) = open(bytes) {
            exercise(&fs);
        }
    }
}

#[test]
fn sizes_that_lie() {
    for size in [1 << 20, u64::MAX >> 30, u64::MAX / 512 * 512] {
        let mut header = Header::new("f", b'0', 0).gnu();
        let mut field = [0; 12];
        field[0] = 0x80;
        field[4..].copy_from_slice(&size.to_be_bytes());
        header.put(124, &field);
        let bytes = Tar::default().dir("d").raw(header, b"x").end();
        let error = open(bytes).unwrap_err();
        assert!(error.to_string().contains("entry \"f\""), "{error}");
    }
    for (key, value) in [("size", "18446744073709551615"), ("size", "9999999"), ("GNU.sparse.realsize", "-1")] {
        let bytes = Tar::default().pax(&[(key, value.as_bytes())]).file("f", b"x").end();
        assert!(open(bytes).is_err(), "{key}={value}");
    }
    let bytes = Tar::default().raw(Header::new("x", b'x', 5 << 20), &vec![b' '; 5 << 20]).file("f", b"x").end();
    assert!(matches!(open(bytes), Err(ArchiveError::Unsupported { what: "a pax header of more than 4 MiB", .. })));
}

#[test]
fn maps_of_sparse_files_that_lie() {
    for (map, why) in [
        ("0,3,2,3", "overlap"),
        ("50,3,0,3", "order"),
        ("0,200", "beyond the size"),
        ("0,8", "more than is stored"),
        ("18446744073709551615,2", "overflow"),
        ("1", "half a pair"),
        ("a,b", "no numbers"),
    ] {
        let bytes = Tar::default()
            .pax(&[("GNU.sparse.size", b"100"), ("GNU.sparse.map", map.as_bytes())])
            .file("f", b"1234567")
            .end();
        assert!(matches!(open(bytes), Err(ArchiveError::Damaged { .. })), "{why}");
    }
    for map in ["9999999999\n", "2\n1\n", "x\n", "111111111111111111111111", "4\n0\n1\n"] {
        let mut data = map.as_bytes().to_vec();
        data.resize(512, 0);
        let bytes = Tar::default().pax(&[("GNU.sparse.major", b"1")]).file("f", &data).end();
        assert!(open(bytes).is_err(), "{map:?}");
    }
    // A sparse file may be larger than anything, and takes nothing.
    let bytes = Tar::default()
        .pax(&[("GNU.sparse.size", b"9223372036854775807"), ("GNU.sparse.map", b"0,3,9223372036854775806,1")])
        .file("f", b"abc1")
        .end();
    let fs = mount(bytes);
    let found = find(&fs, "f").unwrap();
    assert_eq!((found.size, found.blocks), (i64::MAX as u64, 1));
    let mut buffer = [9; 4];
    assert_eq!(fs.read(found.node, 0, i64::MAX as u64 - 2, &mut buffer), Ok(2));
    assert_eq!(buffer, [0, b'1', 9, 9]);
}

#[test]
fn bombs_are_refused_without_being_blown_up() {
    let start = Instant::now();
    let zeroes = vec![0; 1 << 20];
    let tar = Tar::default().raw(Header::new("f", b'0', 64 << 20), &zeroes);
    let mut bytes = tar.0;
    for _ in 0..64 {
        bytes.extend(&zeroes);
    }
    // 64 MiB in some 64 KiB, with a limit that it exceeds.
    let options = ArchiveOptions::new().stream_bytes_max(16 << 20);
    for packed in [gzip(&bytes), zstd(&bytes)] {
        let error = open_with(packed, &options).unwrap_err();
        assert!(matches!(error, ArchiveError::Limit { limit: "stream_bytes_max", .. }), "{error}");
        assert_eq!(error.errno(), Errno::Fbig);
    }
    // A frame that says it is larger than anything, and one that asks for a window of 2 GiB.
    let huge = [&[0x28, 0xb5, 0x2f, 0xfd, 0xe0][..], &u64::MAX.to_le_bytes(), &[1, 0, 0]].concat();
    assert!(matches!(open(huge), Err(ArchiveError::Limit { .. })));
    let window = [&[0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xa8][..], &[1, 0, 0]].concat();
    let error = open(window).unwrap_err();
    assert!(matches!(error, ArchiveError::Limit { limit: "window_bytes_max", .. }), "{error}");
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
}

#[test]
fn expansion_is_limited_past_a_gibibyte() {
    // 2 GiB of zeroes in frames of 128 KiB blocks that are one byte each: 8 KiB for 256 MiB.
    let block = [&((128u32 << 10) << 3 | 2).to_le_bytes()[..3], &[0]].concat();
    let last = [&((128u32 << 10) << 3 | 3).to_le_bytes()[..3], &[0]].concat();
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x58];
    for _ in 0..2047 {
        frame.extend(&block);
    }
    frame.extend(&last);
    let bytes = frame.repeat(8);
    let start = Instant::now();
    let error = open(bytes).unwrap_err();
    assert!(matches!(error, ArchiveError::Limit { limit: "expansion_max", max: 2000, .. }), "{error}");
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
}

#[test]
fn many_and_deep_names_are_bounded() {
    let start = Instant::now();
    let mut tar = Tar::default();
    for index in 0..2000 {
        let path = format!("{}{index}", "d/".repeat(40));
        tar = tar.file(&path, b"");
    }
    let deep = "a/".repeat(2000);
    tar = tar.pax(&[("path", deep.as_bytes())]).file("x", b"");
    let fs = mount(tar.end());
    assert_eq!(fs.warnings().bad_names, 1, "deeper than depth_max");
    assert!(start.elapsed() < Duration::from_secs(5));
    // The same path ten thousand times leaves one node.
    let mut tar = Tar::default();
    for _ in 0..10_000 {
        tar = tar.file("same", b"");
    }
    assert_eq!(mount(tar.end()).usage().inodes, 2);
}

#[test]
fn links_that_go_in_circles_are_only_links() {
    let tar =
        Tar::default().hardlink("a", "b").hardlink("b", "a").symlink("x", "y").symlink("y", "x").symlink("z", "z");
    let fs = mount(tar.hardlink("w", "x").end());
    assert_eq!(paths(&fs), ["w", "x", "y", "z"]);
    assert_eq!(fs.warnings().bad_links, 2);
    assert_eq!(find(&fs, "w").unwrap().node, find(&fs, "x").unwrap().node, "a hard link to a symlink is one");
}

/// Where in a zip the central directory's records are.
fn records(bytes: &[u8]) -> Vec<usize> {
    (0..bytes.len() - 4).filter(|&at| bytes[at..].starts_with(b"PK\x01\x02")).collect()
}

#[test]
fn entries_of_a_zip_that_overlap_or_lie() {
    let bytes = small_zip();
    let records = records(&bytes);
    let deflated = records[1];
    let set = |at: usize, value: u32| {
        let mut changed = bytes.clone();
        changed[at..at + 4].copy_from_slice(&value.to_le_bytes());
        mount(changed)
    };
    let errno = |fs: &Archive, path: &str| {
        let node = find(fs, path).unwrap().node;
        fs.open(node, OpenFlags::READ).and_then(|_| fs.read(node, 0, 0, &mut [0; 6000])).unwrap_err()
    };
    // Two entries that share their data are both read: nothing is unpacked, so nothing multiplies.
    let stored_offset = u32::from_le_bytes(bytes[records[2] + 42..][..4].try_into().unwrap());
    let fs = set(records[3] + 42, stored_offset);
    exercise(&fs);
    for (what, at, value) in [
        ("longer than it is", deflated + 24, 6000),
        ("shorter than it is", deflated + 24, 4000),
        ("more than deflate can make", deflated + 24, u32::MAX - 1),
        ("another checksum", deflated + 16, 1),
        ("beyond the archive", deflated + 42, 1 << 30),
        ("no local header", deflated + 42, 7),
        ("data beyond the archive", deflated + 20, 1 << 30),
    ] {
        let fs = set(at, value);
        assert_eq!(errno(&fs, "d/deflated"), Errno::Io, "{what}");
        assert_eq!(common::read(&fs, "stored"), b"stored bytes", "{what}: the others are as before");
    }
    let fs = set(records[2] + 20, 5);
    assert_eq!(errno(&fs, "stored"), Errno::Io, "stored, but of two lengths");
    // Methods that are not there, and encryption.
    let fs = {
        let mut changed = bytes.clone();
        changed[deflated + 10] = 14;
        mount(changed)
    };
    assert_eq!(errno(&fs, "d/deflated"), Errno::Notsup);
    let fs = {
        let mut changed = bytes.clone();
        changed[deflated + 8] |= 1;
        mount(changed)
    };
    assert_eq!(errno(&fs, "d/deflated"), Errno::Acces);
    // A wrong number of entries.
    let mut changed = bytes.clone();
    let end = changed.len() - 22;
    changed[end + 10] += 1;
    changed[end + 8] += 1;
    assert!(open(changed).is_err());
}

/// Hundreds of thousands of blocks and frames with nothing in them take no read each.
#[test]
fn nothing_in_very_many_pieces_is_quickly_passed() {
    let start = Instant::now();
    let empty_block = [0, 0, 0];
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x58];
    for _ in 0..2_000_000 {
        frame.extend(empty_block);
    }
    frame.extend([1, 0, 0]);
    frame.extend([0x28, 0xb5, 0x2f, 0xfd, 0x20, 0x00, 1, 0, 0].repeat(500_000));
    frame.extend([0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0].repeat(500_000));
    frame.extend(zstd(&small_tar()));
    let fs = mount(frame);
    exercise(&fs);
    // Members of gzip likewise.
    let mut members = gzip(b"").repeat(200_000);
    members.extend(gzip(&small_tar()));
    exercise(&mount(members));
    assert!(start.elapsed() < Duration::from_secs(30), "{:?}", start.elapsed());
}

#[test]
fn a_zip_that_expands_too_much_is_refused_when_a_file_is_opened() {
    let packed = zstd::bulk::compress(&[0; 100_000], 3).unwrap();
    let claim: u32 = u32::MAX - 1;
    let mut bytes = Vec::new();
    let names: &[u8] = b"bomb";
    let common = |bytes: &mut Vec<u8>| {
        bytes.extend([63, 0, 0, 0, 93, 0, 0, 0, 0, 0]);
        bytes.extend(0u32.to_le_bytes());
        bytes.extend((packed.len() as u32).to_le_bytes());
        bytes.extend(claim.to_le_bytes());
        bytes.extend((names.len() as u16).to_le_bytes());
        bytes.extend([0, 0]);
    };
    bytes.extend(b"PK\x03\x04");
    common(&mut bytes);
    bytes.extend(names);
    bytes.extend(&packed);
    let directory = bytes.len() as u32;
    bytes.extend(b"PK\x01\x02\x3f\x03");
    common(&mut bytes);
    bytes.extend([0; 14]);
    bytes.extend(names);
    let size = bytes.len() as u32 - directory;
    bytes.extend(b"PK\x05\x06\0\0\0\0\x01\0\x01\0");
    bytes.extend(size.to_le_bytes());
    bytes.extend(directory.to_le_bytes());
    bytes.extend([0, 0]);
    let fs = mount(bytes);
    let bomb = find(&fs, "bomb").unwrap();
    assert_eq!(bomb.size, u64::from(claim));
    assert_eq!(fs.open(bomb.node, OpenFlags::READ), Err(Errno::Fbig));
    assert_eq!(fs.read(bomb.node, 0, 1 << 30, &mut [0; 10]), Err(Errno::Fbig));
}
