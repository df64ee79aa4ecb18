//! What the real tools unpack, and what the mount shows, are the same.

mod common;

use std::collections::BTreeMap;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use common::{Seen, texture, walk, walk_up_to};
use eyot_archive::{Archive, ArchiveOptions, FileSource, Warnings};
use eyot_backend::{NodeKind, Timestamp};
use rustix::fs::{AtFlags, CWD, FileType, Mode, Timespec, Timestamps, XattrFlags};
use tempfile::TempDir;

fn root() -> bool {
    rustix::process::geteuid().is_root()
}

fn there(program: &str) -> bool {
    let found = Command::new(program).arg("--version").output().is_ok();
    if !found {
        println!("left out: {program} is not installed");
    }
    found
}

fn run(dir: &Path, program: &str, arguments: &[&str]) {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(dir)
        .env("TZ", "UTC")
        .env("LC_ALL", "C.UTF-8")
        .output()
        .unwrap_or_else(|error| panic!("{program}: {error}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {said}");
}

#[derive(Clone, Copy, PartialEq)]
enum Kit {
    /// What every format keeps.
    Plain,
    /// Hard links, FIFOs, devices and sparse files.
    Full,
}

/// A tree with a bit of everything.
fn tree(kit: Kit) -> TempDir {
    let temp = tempfile::tempdir().unwrap();
    let at = |path: &str| temp.path().join(path);
    std::fs::create_dir_all(at("dir/sub/deep")).unwrap();
    std::fs::create_dir(at("empty")).unwrap();
    std::fs::create_dir(at("sticky")).unwrap();
    for (name, bytes) in [
        ("small", b"hello\n".to_vec()),
        ("none", Vec::new()),
        ("dir/exactly-512", texture(512, 1)),
        ("dir/large", texture(3_000_000, 2)),
        ("dir/zeroes", vec![0; 200_000]),
        ("dir/sub/deep/ü€𝄞 with spaces", b"odd name".to_vec()),
        ("setuid", b"#!/bin/sh\n".to_vec()),
    ] {
        std::fs::write(at(name), bytes).unwrap();
    }
    for index in 0..300 {
        std::fs::write(at(&format!("dir/sub/{index}")), texture(index * 13, index as u64)).unwrap();
    }
    symlink("dir/large", at("link")).unwrap();
    symlink("/nowhere/at all", at("dir/dangling")).unwrap();
    if kit == Kit::Full {
        let long = format!("long/{}/{}", "d".repeat(250), "e".repeat(120));
        std::fs::create_dir_all(at(&long)).unwrap();
        std::fs::write(at(&long).join("f".repeat(255)), b"long").unwrap();
        symlink("t".repeat(1000), at("long target")).unwrap();
        std::fs::write(at("dir/new\nline"), b"odd name").unwrap();
        std::fs::hard_link(at("small"), at("dir/hard")).unwrap();
        std::fs::hard_link(at("small"), at("zz-hard")).unwrap();
        rustix::fs::mknodat(CWD, at("fifo"), FileType::Fifo, Mode::from(0o620), 0).unwrap();
        sparse(&at("sparse"), &[(0, 10), (1 << 20, 5000), (5 << 20, 1)], 8 << 20);
        let many: Vec<_> = (0..60).map(|index| (index * 64 * 1024, 4096)).collect();
        sparse(&at("sparse in many pieces"), &many, 60 * 64 * 1024);
        if root() {
            let device = rustix::fs::makedev(10, 300);
            rustix::fs::mknodat(CWD, at("char"), FileType::CharacterDevice, Mode::from(0o600), device).unwrap();
            rustix::fs::mknodat(CWD, at("block"), FileType::BlockDevice, Mode::from(0o660), device).unwrap();
            let _ = rustix::fs::setxattr(at("small"), "user.eyot", b"line\n=\0value", XattrFlags::empty());
            let _ = rustix::fs::setxattr(at("dir"), "user.dir", b"d", XattrFlags::empty());
        }
    }
    if root() {
        std::os::unix::fs::chown(at("small"), Some(1234), Some(4321)).unwrap();
        std::os::unix::fs::lchown(at("link"), Some(77), Some(88)).unwrap();
    }
    for (name, mode) in [("setuid", 0o4751), ("sticky", 0o1777), ("dir/sub", 0o750), ("none", 0o400)] {
        std::fs::set_permissions(at(name), PermissionsExt::from_mode(mode)).unwrap();
    }
    set_times(temp.path());
    temp
}

fn sparse(path: &Path, pieces: &[(u64, usize)], size: u64) {
    use std::os::unix::fs::FileExt;
    let file = std::fs::File::create(path).unwrap();
    file.set_len(size).unwrap();
    for &(offset, length) in pieces {
        file.write_all_at(&texture(length, offset), offset).unwrap();
    }
}

fn set_times(path: &Path) {
    if path.symlink_metadata().unwrap().is_dir() {
        for entry in std::fs::read_dir(path).unwrap() {
            set_times(&entry.unwrap().path());
        }
    }
    // Even seconds: zip counts two at a time where it knows no better.
    let hash = path.as_os_str().len() as i64;
    let time = Timespec { tv_sec: 1_500_000_000 + hash * 2_000, tv_nsec: (hash * 1_234_567) % 1_000_000_000 };
    let times = Timestamps { last_access: time, last_modification: time };
    rustix::fs::utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
}

/// All paths below `dir`, and `""` for itself.
fn host_paths(dir: &Path) -> BTreeMap<String, PathBuf> {
    let mut found = BTreeMap::from([(String::new(), dir.to_owned())]);
    let mut dirs = vec![(String::new(), dir.to_owned())];
    while let Some((prefix, dir)) = dirs.pop() {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            let own = if prefix.is_empty() { name.to_owned() } else { format!("{prefix}/{name}") };
            if path.symlink_metadata().unwrap().is_dir() {
                dirs.push((own.clone(), path.clone()));
            }
            found.insert(own, path);
        }
    }
    found
}

/// What a tool does not keep or set.
#[derive(Clone, Copy, Default)]
struct Loose {
    owners: bool,
    link_times: bool,
    links: bool,
    xattrs: bool,
    root: bool,
    directory_times: bool,
    special_bits: bool,
}

fn compare(what: &str, unpacked: &Path, seen: &BTreeMap<String, Seen>, loose: Loose) {
    let expected = host_paths(unpacked);
    let (left, right): (Vec<_>, Vec<_>) = (expected.keys().collect(), seen.keys().collect());
    assert_eq!(left, right, "{what}");
    for (path, host) in &expected {
        let one = &seen[path];
        let (attributes, metadata) = (&one.attributes, host.symlink_metadata().unwrap());
        let kind = match metadata.file_type() {
            kind if kind.is_dir() => NodeKind::Directory,
            kind if kind.is_symlink() => NodeKind::Symlink,
            kind if kind.is_fifo() => NodeKind::Fifo,
            kind if kind.is_char_device() => NodeKind::CharacterDevice,
            kind if kind.is_block_device() => NodeKind::BlockDevice,
            _ => NodeKind::File,
        };
        let at = format!("{what}: {path:?}");
        assert_eq!(attributes.kind, kind, "{at}");
        if path.is_empty() && loose.root {
            continue;
        }
        if kind != NodeKind::Symlink {
            let mask = if loose.special_bits { 0o777 } else { 0o7777 };
            assert_eq!(format!("{:o}", attributes.mode & mask), format!("{:o}", metadata.mode() & mask), "{at}");
        }
        if !loose.owners && root() {
            assert_eq!((attributes.uid, attributes.gid), (metadata.uid(), metadata.gid()), "{at}");
        }
        let timeless =
            (loose.link_times && kind == NodeKind::Symlink) || (loose.directory_times && kind == NodeKind::Directory);
        if !timeless {
            let time = Timestamp { seconds: metadata.mtime(), nanoseconds: metadata.mtime_nsec() as u32 };
            assert_eq!(attributes.modified, time, "{at}");
        }
        if kind != NodeKind::Directory {
            assert_eq!(attributes.size, metadata.size(), "{at}");
            if !loose.links {
                assert_eq!(u64::from(attributes.links), metadata.nlink(), "{at}");
            }
        }
        assert_eq!(attributes.device, metadata.rdev(), "{at}");
        match kind {
            NodeKind::File => assert!(one.content.as_ref().unwrap() == &std::fs::read(host).unwrap(), "{at}"),
            NodeKind::Symlink => {
                assert_eq!(one.target.as_deref(), std::fs::read_link(host).unwrap().to_str(), "{at}");
            }
            _ => {}
        }
        if !loose.xattrs {
            let xattrs = host_xattrs(host, kind);
            assert_eq!(one.xattrs, xattrs, "{at}");
        }
    }
}

fn host_xattrs(path: &Path, kind: NodeKind) -> Vec<(String, Vec<u8>)> {
    if !matches!(kind, NodeKind::File | NodeKind::Directory) {
        return Vec::new();
    }
    let mut names = vec![0u8; 4096];
    let Ok(length) = rustix::fs::listxattr(path, &mut names[..]) else { return Vec::new() };
    let names = std::str::from_utf8(&names[..length]).unwrap().split_terminator('\0');
    let mut found: Vec<_> = names
        .map(|name| {
            let mut value = vec![0u8; 4096];
            let length = rustix::fs::getxattr(path, name, &mut value[..]).unwrap();
            (name.to_owned(), value[..length].to_vec())
        })
        .collect();
    found.sort();
    found
}

fn mount(path: &Path) -> Archive {
    let source = Arc::new(FileSource::open(path).unwrap());
    Archive::open(source, &ArchiveOptions::new()).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Packs with one tool, unpacks with another, mounts, and compares.
fn tar_case(tree: &Path, pack: (&str, &[&str]), unpack: &str, loose: Loose) {
    let work = tempfile::tempdir().unwrap();
    let archive = work.path().join("archive");
    let (program, arguments) = pack;
    let what = format!("{program} {arguments:?}, unpacked by {unpack}");
    let mut all = vec!["-cf", archive.to_str().unwrap()];
    all.extend(arguments);
    all.push(".");
    run(tree, program, &all);
    let unpacked = work.path().join("unpacked");
    std::fs::create_dir(&unpacked).unwrap();
    let mut all = vec!["-xpf", archive.to_str().unwrap()];
    // bsdtar leaves the time of the directory that it unpacks into alone.
    let loose = Loose { root: unpack == "bsdtar", ..loose };
    if unpack == "tar" {
        all.extend(["--xattrs", "--xattrs-include=*", "--numeric-owner"]);
    }
    run(&unpacked, unpack, &all);
    let fs = mount(&archive);
    assert_eq!(fs.warnings(), Warnings::default(), "{what}");
    compare(&what, &unpacked, &walk(&fs), loose);
}

#[test]
fn gnu_tar_in_every_format() {
    let (plain, full) = (tree(Kit::Plain), tree(Kit::Full));
    let loose = Loose::default();
    for format in ["v7", "oldgnu", "gnu", "ustar", "pax"] {
        tar_case(plain.path(), ("tar", &[&format!("--format={format}")]), "tar", loose);
    }
    for arguments in [
        &["--format=gnu"][..],
        &["--format=oldgnu", "-S"],
        &["--format=gnu", "-S", "--numeric-owner"],
        &["--format=pax", "--xattrs", "--xattrs-include=*"],
        &["--format=pax", "-S", "--sparse-version=0.0"],
        &["--format=pax", "-S", "--sparse-version=0.1"],
        &["--format=pax", "-S", "--sparse-version=1.0", "--hole-detection=raw"],
        &["--format=pax", "--pax-option=globexthdr.name=g,mtime=1234567890"],
        &["--format=gnu", "--incremental"],
    ] {
        tar_case(full.path(), ("tar", arguments), "tar", loose);
    }
}

#[test]
fn compressed_by_the_tools() {
    let full = tree(Kit::Full);
    tar_case(full.path(), ("tar", &["-z"]), "tar", Loose::default());
    tar_case(full.path(), ("tar", &["-I", "gzip -1"]), "tar", Loose::default());
    if there("zstd") {
        tar_case(full.path(), ("tar", &["--zstd"]), "tar", Loose::default());
        tar_case(full.path(), ("tar", &["-I", "zstd -19 --no-check"]), "tar", Loose::default());
    }
}

#[test]
fn bsdtar_makes_and_unpacks() {
    if !there("bsdtar") {
        return;
    }
    let (plain, full) = (tree(Kit::Plain), tree(Kit::Full));
    // Its xattrs are set only in some builds. Its archives list files before the directories above them are complete, which spoils the times that tar sets.
    let loose = Loose { xattrs: true, directory_times: true, ..Loose::default() };
    for format in ["ustar", "gnutar", "pax"] {
        let format = format!("--format={format}");
        tar_case(plain.path(), ("bsdtar", &[&format]), "bsdtar", loose);
        tar_case(plain.path(), ("bsdtar", &[&format]), "tar", loose);
    }
    tar_case(full.path(), ("bsdtar", &["--format=pax"]), "tar", loose);
    tar_case(full.path(), ("bsdtar", &["--format=pax"]), "bsdtar", loose);
    tar_case(full.path(), ("tar", &["--format=pax", "-S"]), "bsdtar", loose);
}

#[test]
fn appended_entries_replace() {
    let tree = tree(Kit::Full);
    let work = tempfile::tempdir().unwrap();
    let archive = work.path().join("archive.tar");
    let name = archive.to_str().unwrap();
    run(tree.path(), "tar", &["-cf", name, "."]);
    std::fs::write(tree.path().join("small"), b"changed and longer").unwrap();
    std::fs::remove_file(tree.path().join("none")).unwrap();
    std::fs::create_dir(tree.path().join("none")).unwrap();
    std::fs::write(tree.path().join("none/inside"), b"x").unwrap();
    std::fs::remove_file(tree.path().join("link")).unwrap();
    std::fs::write(tree.path().join("link"), b"no link now").unwrap();
    std::fs::set_permissions(tree.path().join("sticky"), PermissionsExt::from_mode(0o700)).unwrap();
    run(tree.path(), "tar", &["-rf", name, "./small", "./none", "./link", "./sticky"]);
    let unpacked = work.path().join("unpacked");
    std::fs::create_dir(&unpacked).unwrap();
    run(&unpacked, "tar", &["-xpf", name, "--numeric-owner"]);
    compare("appended", &unpacked, &walk(&mount(&archive)), Loose::default());
}

#[test]
fn zip_and_unzip() {
    if !there("zip") || !there("unzip") {
        return;
    }
    let tree = tree(Kit::Plain);
    for (what, arguments) in [
        ("deflated", &["-qry", "ARCHIVE", "."][..]),
        ("stored", &["-qry0", "ARCHIVE", "."]),
        ("zip64", &["-qryfz", "ARCHIVE", "."]),
        ("best", &["-qry9", "ARCHIVE", "."]),
        ("no extra fields", &["-qryX", "ARCHIVE", "."]),
        // Symlinks cannot be streamed.
        ("streamed, with data descriptors", &["-qr", "-", ".", "-x", "link", "dir/dangling"]),
    ] {
        let work = tempfile::tempdir().unwrap();
        let archive = work.path().join("archive.zip");
        let name = archive.to_str().unwrap();
        if arguments.contains(&"-") {
            let script = format!("zip {} | cat > '{name}'", arguments.join(" "));
            run(tree.path(), "sh", &["-c", &script]);
        } else {
            let all: Vec<_> = arguments.iter().map(|&it| if it == "ARCHIVE" { name } else { it }).collect();
            run(tree.path(), "zip", &all);
        }
        let unpacked = work.path().join("unpacked");
        std::fs::create_dir(&unpacked).unwrap();
        run(&unpacked, "unzip", &["-qX", name]);
        let fs = mount(&archive);
        assert_eq!(fs.warnings(), Warnings::default(), "{what}");
        // zip has no entry for the root; it keeps no owners without extra fields; unzip sets no times of symlinks, and clears set-user-id.
        let owners = arguments.iter().any(|it| it.ends_with('X'));
        let loose = Loose { owners, link_times: true, root: true, special_bits: true, ..Loose::default() };
        compare(&format!("zip, {what}"), &unpacked, &walk(&fs), loose);
    }
}

#[test]
fn encrypted_zips_mount_and_refuse_their_files() {
    if !there("zip") {
        return;
    }
    let work = tempfile::tempdir().unwrap();
    std::fs::write(work.path().join("secret"), b"secret").unwrap();
    run(work.path(), "zip", &["-q", "-P", "password", "a.zip", "secret"]);
    std::fs::write(work.path().join("open"), b"open").unwrap();
    run(work.path(), "zip", &["-q", "a.zip", "open"]);
    let fs = mount(&work.path().join("a.zip"));
    let seen = walk_up_to(&fs, 100);
    assert_eq!(seen["secret"].content, Err(eyot_backend::Errno::Acces));
    assert_eq!(seen["open"].content.as_deref(), Ok(&b"open"[..]));
}

#[test]
fn a_zip_behind_a_program_that_unpacks_it() {
    if !there("zip") {
        return;
    }
    let work = tempfile::tempdir().unwrap();
    std::fs::write(work.path().join("f"), b"inside").unwrap();
    run(work.path(), "zip", &["-q", "a.zip", "f"]);
    let mut bytes = b"#!/bin/sh\necho a program\nexit\n".to_vec();
    bytes.extend(std::fs::read(work.path().join("a.zip")).unwrap());
    assert_eq!(common::read(&common::mount(bytes), "f"), b"inside");
}
