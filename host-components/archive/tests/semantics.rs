//! What a mounted tree looks like, entry by entry.

mod common;

use std::sync::Arc;

use common::{Header, Tar, find, mount, open, open_with, paths, read, walk};
use eyot_archive::{Archive, ArchiveError, ArchiveOptions, Format, MemorySource, Warnings};
use eyot_backend::{
    AttributeChanges, CHUNK_BYTES_MAX, Capabilities, Errno, Filesystem, NodeKind, OpenFlags, Ownership, RenameFlags,
    Timestamp,
};

#[test]
fn attributes_are_the_headers() {
    let mut header = Header::new("f", b'0', 3);
    header.put(100, b"0006755\0");
    let fs = mount(Tar::default().raw(header, b"abc").dir("d").symlink("s", "f").end());
    assert_eq!(fs.format(), Format::Tar);
    let found = find(&fs, "f").unwrap();
    let time = Timestamp { seconds: 0o7346545000, nanoseconds: 0 };
    assert_eq!((found.kind, found.mode, found.links, found.size), (NodeKind::File, 0o6755, 1, 3));
    assert_eq!((found.uid, found.gid, found.blocks, found.device), (0o1750, 0o144, 1, 0));
    assert_eq!((found.modified, found.accessed, found.changed, found.created), (time, time, time, time));
    assert_eq!(found.lifetime_ns, u64::MAX);
    assert_eq!(read(&fs, "f"), b"abc");
    let link = find(&fs, "s").unwrap();
    assert_eq!((link.kind, link.size), (NodeKind::Symlink, 1));
    assert_eq!(fs.readlink(link.node).unwrap(), "f");
    assert_eq!(find(&fs, "").unwrap().links, 3);
    assert_eq!(fs.warnings(), Warnings::default());
}

#[test]
fn every_form_of_a_path_is_taken_from_the_root() {
    let fs =
        mount(Tar::default().dir("./").file("./a", b"1").file("/b", b"2").file("c//d/./e", b"3").dir(".//f/").end());
    assert_eq!(paths(&fs), ["a", "b", "c", "c/d", "c/d/e", "f"]);
    let implied = find(&fs, "c/d").unwrap();
    assert_eq!((implied.kind, implied.mode, implied.uid, implied.links), (NodeKind::Directory, 0o755, 0, 2));
    let root = find(&fs, "").unwrap();
    assert_eq!((root.mode, root.uid, root.links), (0o644, 0o1750, 4), "the archive says what the root is");
}

#[test]
fn later_entries_replace_earlier_ones() {
    let tar = Tar::default()
        .file("a", b"old")
        .file("a", b"newer")
        .dir("d")
        .file("d/x", b"x")
        .raw(Header::new("d", b'5', 0), b"")
        .file("e", b"")
        .dir("e")
        .dir("empty")
        .file("empty", b"now a file")
        .symlink("s", "a")
        .file("s", b"not through the link");
    let fs = mount(tar.end());
    assert_eq!(paths(&fs), ["a", "d", "d/x", "e", "empty", "s"]);
    assert_eq!(read(&fs, "a"), b"newer");
    assert_eq!(read(&fs, "empty"), b"now a file");
    assert_eq!(read(&fs, "s"), b"not through the link");
    assert_eq!(find(&fs, "e").unwrap().kind, NodeKind::Directory);
    assert_eq!(fs.warnings(), Warnings::default());
    assert_eq!(fs.usage().inodes, 7, "what was replaced is gone");
}

#[test]
fn hard_links_are_one_node() {
    let tar = Tar::default()
        .file("a", b"data")
        .hardlink("d/b", "a")
        .hardlink("c", "./d/b")
        .hardlink("a", "c")
        .hardlink("none", "missing")
        .hardlink("dir", "d")
        .hardlink("self", "self")
        .file("a", b"another");
    let fs = mount(tar.end());
    let (b, c) = (find(&fs, "d/b").unwrap(), find(&fs, "c").unwrap());
    assert_eq!((b.node, b.links, read(&fs, "d/b")), (c.node, 2, b"data".to_vec()));
    assert_eq!(read(&fs, "a"), b"another");
    assert_eq!(fs.warnings().bad_links, 4);
    assert_eq!(paths(&fs), ["a", "c", "d", "d/b"]);
}

#[test]
fn a_hard_link_may_have_data_or_lie_about_it() {
    let with =
        Tar::default().file("a", b"data").raw(Header::new("b", b'1', 600).link("a"), &[b'x'; 600]).file("c", b"c");
    let without = Tar::default().file("a", b"data").raw(Header::new("b", b'1', 600).link("a"), b"").file("c", b"c");
    for tar in [with, without] {
        let fs = mount(tar.end());
        assert_eq!(find(&fs, "a").unwrap().node, find(&fs, "b").unwrap().node);
        assert_eq!(read(&fs, "c"), b"c");
    }
}

#[test]
fn what_cannot_be_shown_is_counted() {
    let mut bytes = Header::new("", b'0', 0);
    bytes.put(0, b"bad\xff");
    let long = "n".repeat(256);
    let tar = Tar::default()
        .file("../out", b"x")
        .file("a/../b", b"x")
        .raw(bytes, b"")
        .file("f", b"x")
        .file("f/below", b"x")
        .symlink("l", "d")
        .file("l/below", b"x")
        .file("d/x", b"x")
        .file("d", b"over")
        .file(".", b"over the root")
        .symlink("empty", "")
        .pax(&[("path", long.as_bytes())])
        .file("short", b"x")
        .pax(&[("path", "p/".repeat(2100).as_bytes())])
        .file("short", b"x")
        .pax(&[("path", b"nul\0inside")])
        .file("short", b"x")
        .raw(Header::new("volume", b'V', 0), b"");
    let fs = mount(tar.clone().end());
    let warnings = fs.warnings();
    assert_eq!(paths(&fs), ["d", "d/x", "f", "l"]);
    assert_eq!(warnings.upward_paths, 2);
    assert_eq!(warnings.not_utf8, 1);
    assert_eq!(warnings.below_no_directory, 2);
    assert_eq!(warnings.over_directory, 2);
    assert_eq!(warnings.bad_names, 4);
    assert_eq!(warnings.no_files, 1);
    assert_eq!(warnings.total(), 12);
    let strict = open_with(tar.end(), &ArchiveOptions::new().refuse_upward_paths(true)).unwrap_err();
    assert_eq!(strict, ArchiveError::UpwardPath { path: "../out".into(), offset: 0 });
}

#[test]
fn gnu_long_names_and_pax_headers_name_the_next_entry() {
    let (name, target) = (format!("{}/{}", "d".repeat(200), "n".repeat(255)), "t".repeat(4000));
    let tar = Tar::default()
        .raw(Header::new("././@LongLink", b'L', name.len() as u64 + 1).gnu(), format!("{name}\0").as_bytes())
        .raw(Header::new("././@LongLink", b'K', target.len() as u64 + 1).gnu(), format!("{target}\0").as_bytes())
        .raw(Header::new("short", b'2', 0).link("short").gnu(), b"")
        .pax_of(b'g', &[("uid", b"77"), ("path", b"not for all"), ("mtime", b"5")])
        .pax(&[
            ("path", "größe/€".as_bytes()),
            ("mtime", b"-1.5"),
            ("atime", b"1234567890.123456789"),
            ("ctime", b"3"),
            ("uid", b"4000000000"),
            ("gid", b"99999999999"),
            ("size", b"3"),
            ("hdrcharset", b"BINARY"),
            ("SCHILY.xattr.user.a", b"line\nline=\0\xff"),
            ("SCHILY.xattr.security.capability", b""),
        ])
        .raw(Header::new("short", b'0', 0), b"abc")
        .pax(&[("linkpath", b"to here")])
        .symlink("s", "short")
        .file("plain", b"");
    let fs = mount(tar.end());
    assert_eq!(fs.warnings(), Warnings::default());
    assert_eq!(fs.readlink(find(&fs, &name).unwrap().node).unwrap(), target);
    let found = find(&fs, "größe/€").unwrap();
    assert_eq!((found.uid, found.gid, found.size), (4_000_000_000, 65534, 3));
    assert_eq!(found.modified, Timestamp { seconds: -2, nanoseconds: 500_000_000 });
    assert_eq!(found.accessed, Timestamp { seconds: 1_234_567_890, nanoseconds: 123_456_789 });
    assert_eq!(found.changed, Timestamp { seconds: 3, nanoseconds: 0 });
    assert_eq!(read(&fs, "größe/€"), b"abc");
    assert_eq!(fs.getxattr(found.node, "user.a").unwrap(), b"line\nline=\0\xff");
    assert_eq!(fs.getxattr(found.node, "security.capability").unwrap(), b"");
    assert_eq!(fs.listxattr(found.node).unwrap(), ["user.a", "security.capability"]);
    assert_eq!(fs.getxattr(found.node, "user.b"), Err(Errno::Nodata));
    assert_eq!(fs.readlink(find(&fs, "s").unwrap().node).unwrap(), "to here");
    let plain = find(&fs, "plain").unwrap();
    assert_eq!((plain.uid, plain.modified.seconds), (77, 5), "a global header says it for all that follow");
}

#[test]
fn special_files_keep_kind_and_device() {
    let device = |name, kind| {
        let mut header = Header::new(name, kind, 0);
        header.put(329, b"0000010\0").put(337, b"0000401\0");
        header
    };
    let fs = mount(
        Tar::default()
            .raw(device("c", b'3'), b"")
            .raw(device("b", b'4'), b"")
            .raw(Header::new("p", b'6', 0), b"")
            .end(),
    );
    for (name, kind, number) in
        [("c", NodeKind::CharacterDevice, 0x10_0801), ("b", NodeKind::BlockDevice, 0x10_0801), ("p", NodeKind::Fifo, 0)]
    {
        let found = find(&fs, name).unwrap();
        assert_eq!((found.kind, found.device, found.size), (kind, number, 0));
        assert_eq!(fs.open(found.node, OpenFlags::READ), Err(Errno::Nxio));
        assert_eq!(fs.read(found.node, 0, 0, &mut [0; 4]), Err(Errno::Inval));
    }
}

#[test]
fn sparse_files_of_every_form() {
    // 0..3 "abc", a hole, 1000..1005 "12345", a hole up to 5000.
    let mut expected = vec![0; 5000];
    expected[..3].copy_from_slice(b"abc");
    expected[1000..1005].copy_from_slice(b"12345");
    let mut old = Header::new("old", b'S', 8).gnu();
    old.put(386, b"00000000000\0").put(398, b"00000000003\0").put(410, b"00000001750\0").put(422, b"00000000005\0");
    old.put(483, b"00000011610\0");
    let zero = &[
        ("GNU.sparse.size", &b"5000"[..]),
        ("GNU.sparse.numblocks", b"2"),
        ("GNU.sparse.offset", b"0"),
        ("GNU.sparse.numbytes", b"3"),
        ("GNU.sparse.offset", b"1000"),
        ("GNU.sparse.numbytes", b"5"),
    ];
    let one = &[("GNU.sparse.size", &b"5000"[..]), ("GNU.sparse.name", b"one"), ("GNU.sparse.map", b"0,3,1000,5")];
    let two = &[
        ("GNU.sparse.major", &b"1"[..]),
        ("GNU.sparse.minor", b"0"),
        ("GNU.sparse.name", b"two"),
        ("GNU.sparse.realsize", b"5000"),
    ];
    let mut data = b"2\n0\n3\n1000\n5\n".to_vec();
    data.resize(512, 0);
    data.extend(b"abc12345");
    let tar = Tar::default()
        .raw(old, b"abc12345")
        .pax(zero)
        .file("zero", b"abc12345")
        .pax(one)
        .file("GNUSparseFile.0/one", b"abc12345")
        .pax(two)
        .file("GNUSparseFile.0/two", &data);
    let fs = mount(tar.end());
    for name in ["old", "zero", "one", "two"] {
        let found = find(&fs, name).unwrap();
        assert_eq!((found.size, found.blocks), (5000, 1), "{name}");
        assert!(read(&fs, name) == expected, "{name}");
        for (offset, length) in [(0, 1), (2, 2), (3, 990), (999, 10), (1004, 100), (4999, 9)] {
            let mut buffer = vec![0xa5; length];
            let count = fs.read(found.node, 0, offset as u64, &mut buffer).unwrap();
            assert_eq!(buffer[..count], expected[offset..(offset + length).min(5000)], "{name} {offset}");
        }
        assert!(fs.content(found.node).is_none());
    }
}

#[test]
fn reads_are_bounded_by_the_file() {
    let fs = mount(Tar::default().file("f", b"0123456789").file("g", &vec![7; CHUNK_BYTES_MAX + 5]).end());
    let file = find(&fs, "f").unwrap().node;
    let at = |offset, length| {
        let mut buffer = vec![0xa5; length];
        let count = fs.read(file, 0, offset, &mut buffer).unwrap();
        buffer.truncate(count);
        buffer
    };
    assert_eq!(at(0, 10), b"0123456789");
    assert_eq!(at(7, 10), b"789");
    assert_eq!((at(10, 10), at(1 << 40, 10), at(u64::MAX, 10), at(3, 0)), (vec![], vec![], vec![], vec![]));
    let large = find(&fs, "g").unwrap().node;
    assert_eq!(fs.read(large, 0, 0, &mut vec![0; CHUNK_BYTES_MAX * 2]), Ok(CHUNK_BYTES_MAX));
}

#[test]
fn contents_in_memory_are_given_in_place() {
    let bytes: Arc<Vec<u8>> = Arc::new(Tar::default().file("f", b"in place").dir("d").end());
    let fs = Archive::open(Arc::new(MemorySource::shared(bytes.clone())), &ArchiveOptions::new()).unwrap();
    let content = fs.content(find(&fs, "f").unwrap().node).unwrap();
    let slice: &[u8] = (*content.bytes).as_ref();
    assert_eq!(slice, b"in place");
    assert!(bytes.as_ptr_range().contains(&slice.as_ptr()), "it is a copy");
    assert!(fs.content(find(&fs, "d").unwrap().node).is_none());
    let packed = mount(common::gzip(&bytes));
    assert!(packed.content(find(&packed, "f").unwrap().node).is_none());
}

#[test]
fn every_change_is_refused() {
    let fs = mount(Tar::default().file("f", b"x").dir("d").end());
    let (root, file) = (fs.info().root, find(&fs, "f").unwrap().node);
    let owner = Ownership { mode: 0o644, uid: 0, gid: 0 };
    assert!(!fs.info().capabilities.contains(Capabilities::WRITABLE));
    assert_eq!((fs.info().entry_lifetime_ns, fs.info().absence_lifetime_ns), (u64::MAX, u64::MAX));
    for refused in [
        fs.create(root, "g", owner).err(),
        fs.mkdir(root, "g", owner).err(),
        fs.symlink(root, "g", "f", owner).err(),
        fs.make_node(root, "g", NodeKind::Fifo, 0, owner).err(),
        fs.link(file, root, "g").err(),
        fs.unlink(root, "f").err(),
        fs.rmdir(root, "d").err(),
        fs.rename(root, "f", root, "g", RenameFlags::empty()).err(),
        fs.setattr(file, &AttributeChanges { mode: Some(0o600), ..Default::default() }).err(),
        fs.open(file, OpenFlags::WRITE).err(),
        fs.open(file, OpenFlags::all()).err(),
        fs.write(file, 0, 0, b"x").err(),
        fs.setxattr(file, "user.a", b"x").err(),
        fs.removexattr(file, "user.a").err(),
    ] {
        assert_eq!(refused, Some(Errno::Rofs));
    }
    fs.fsync(file, 0, false).unwrap();
    assert_eq!(read(&fs, "f"), b"x");
}

#[test]
fn wrong_nodes_and_kinds_have_their_errnos() {
    let fs = mount(Tar::default().file("f", b"x").symlink("s", "f").dir("d").end());
    let root = fs.info().root;
    let node = |path| find(&fs, path).unwrap().node;
    assert_eq!(fs.lookup(root, "none"), Err(Errno::Noent));
    assert_eq!(fs.lookup(node("f"), "x"), Err(Errno::Notdir));
    assert_eq!(fs.readdir(node("f"), 0, 10), Err(Errno::Notdir));
    assert_eq!(fs.readlink(node("f")), Err(Errno::Inval));
    assert_eq!(fs.open(node("d"), OpenFlags::READ), Err(Errno::Isdir));
    assert_eq!(fs.open(node("s"), OpenFlags::READ), Err(Errno::Loop));
    assert_eq!(fs.read(node("d"), 0, 0, &mut [0]), Err(Errno::Isdir));
    for number in [0, 99, u64::MAX] {
        assert_eq!(fs.getattr(number), Err(Errno::Stale));
        assert_eq!(fs.lookup(number, "f"), Err(Errno::Stale));
        assert_eq!(fs.read(number, 0, 0, &mut [0]), Err(Errno::Stale));
        assert!(fs.content(number).is_none());
    }
    for name in ["", ".", "..", "f/", "\0"] {
        assert_eq!(fs.lookup(root, name), Err(Errno::Noent));
    }
    fs.forget(node("f"), u64::MAX);
    assert!(fs.getattr(node("f")).is_ok());
}

#[test]
fn listings_come_in_pages_and_go_on_after_their_cookies() {
    let mut tar = Tar::default();
    for index in 0..1000 {
        tar = tar.file(&format!("d/{index:04}"), b"");
    }
    let fs = mount(tar.end());
    let dir = find(&fs, "d").unwrap().node;
    let (mut names, mut cookie) = (Vec::new(), 0);
    loop {
        let page = fs.readdir(dir, cookie, 7).unwrap();
        assert!(page.len() <= 7 && page.iter().all(|entry| entry.cookie != 0));
        let Some(last) = page.last() else { break };
        cookie = last.cookie;
        names.extend(page.into_iter().map(|entry| entry.name));
    }
    assert_eq!(names, (0..1000).map(|index| format!("{index:04}")).collect::<Vec<_>>());
    assert_eq!(fs.readdir(dir, 0, 0).unwrap(), []);
    assert_eq!(fs.readdir(dir, u64::MAX, 10).unwrap(), []);
    assert_eq!(fs.readdir(dir, 0, usize::MAX).unwrap().len(), 1000);
}

#[test]
fn statfs_is_the_archive() {
    let bytes = Tar::default().file("f", &[1; 10_000]).end();
    let length = bytes.len() as u64;
    let status = mount(bytes).statfs().unwrap();
    assert_eq!((status.block_size, status.blocks), (4096, length.div_ceil(4096)));
    assert_eq!((status.blocks_free, status.files, status.files_free, status.name_max), (0, 2, 0, 255));
}

#[test]
fn the_end_may_be_missing_and_garbage_may_follow() {
    let whole = Tar::default().file("f", b"x");
    assert_eq!(paths(&mount(whole.0.clone())), ["f"]);
    let mut one_block = whole.0.clone();
    one_block.extend([0; 512]);
    one_block.extend(b"garbage");
    assert_eq!(paths(&mount(one_block)), ["f"]);
    assert_eq!(paths(&mount(vec![0; 1024])), Vec::<String>::new());
    // The last file need not be padded.
    let mut bare = whole.0.clone();
    bare.truncate(513);
    assert_eq!(read(&mount(bare), "f"), b"x");
}

#[test]
fn old_forms_of_headers() {
    let mut v7 = Header::new("old/", 0, 0);
    v7.put(257, &[0; 8]);
    let mut blank = Header::new("blank", b'0', 0);
    blank.put(108, &[b' '; 8]).put(116, &[0; 8]).put(136, &[b' '; 12]);
    let mut binary = Header::new("binary", b'0', 2).gnu();
    binary.put(124, b"\x80\0\0\0\0\0\0\0\0\0\0\x02").put(136, b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfe");
    let mut prefix = Header::new("name", b'0', 0);
    prefix.put(345, b"a/long/prefix");
    let unknown = Header::new("unknown", b'Z', 1);
    let tar = Tar::default()
        .raw(v7, b"")
        .raw(blank, b"")
        .raw(binary, b"ok")
        .raw(prefix, b"")
        .raw(unknown, b"u")
        .raw(Header::new("contiguous", b'7', 1), b"c")
        .raw(Header::new("dump", b'D', 5), b"Yfoo\0");
    let fs = mount(tar.end());
    assert_eq!(find(&fs, "old").unwrap().kind, NodeKind::Directory);
    let blank = find(&fs, "blank").unwrap();
    assert_eq!((blank.uid, blank.gid, blank.modified.seconds), (0, 0, 0));
    assert_eq!(find(&fs, "binary").unwrap().modified.seconds, -2);
    assert_eq!(read(&fs, "binary"), b"ok");
    assert!(find(&fs, "a/long/prefix/name").is_ok());
    assert_eq!((read(&fs, "unknown"), read(&fs, "contiguous")), (b"u".to_vec(), b"c".to_vec()));
    assert_eq!(find(&fs, "dump").unwrap().kind, NodeKind::Directory);
}

#[test]
fn what_is_no_archive_is_said() {
    let error = open(b"#!/bin/sh\necho".to_vec()).unwrap_err();
    assert!(error.to_string().starts_with("not an archive that can be mounted: it begins with [23, 21,"), "{error}");
    assert!(matches!(open(Vec::new()), Err(ArchiveError::UnknownFormat { .. })));
    assert!(matches!(open(vec![1; 5000]), Err(ArchiveError::UnknownFormat { .. })));
    let error = open(common::gzip(b"just text, no tar")).unwrap_err();
    assert_eq!(error, ArchiveError::NotATarInside { format: "gzip" });
    let error = open(common::zstd(&common::gzip(&Tar::default().file("f", b"x").end()))).unwrap_err();
    assert_eq!(error, ArchiveError::NotATarInside { format: "Zstandard" }, "one layer of compression");
}

#[test]
fn limits_are_errors_that_name_them() {
    let mut tar = Tar::default();
    for index in 0..10 {
        tar = tar.file(&format!("d{index}/f"), b"");
    }
    let bytes = tar.end();
    let refused = |options: ArchiveOptions| open_with(bytes.clone(), &options).unwrap_err().to_string();
    let nine = refused(ArchiveOptions::new().entries_max(9));
    assert!(nine.contains("entries_max = 9 at offset 2048 (entry \"d4/f\")"), "{nine}");
    assert!(refused(ArchiveOptions::new().entries_max(19)).contains("entries_max = 19"), "implied directories count");
    assert!(open_with(bytes.clone(), &ArchiveOptions::new().entries_max(20)).is_ok());
    assert!(refused(ArchiveOptions::new().index_bytes_max(1000)).contains("index_bytes_max = 1000"));
    let shallow = open_with(bytes, &ArchiveOptions::new().depth_max(1)).unwrap();
    assert_eq!((shallow.warnings().bad_names, walk(&shallow).len()), (10, 1));
}
