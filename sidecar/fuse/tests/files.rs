//! A memfs and a host directory, used by the programs' own calls.

mod common;

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::sync::Arc;

use common::{World, code, hostdir, memfs};
use eyot_backend::{Errno, Filesystem};
use eyot_fuse::{Mount, Options};
use eyot_hostdir::Hostdir;
use rustix::fs::{AtFlags, CWD, RenameFlags, Timespec, Timestamps, XattrFlags};

#[test]
fn files_directories_and_links_are_what_programs_expect() {
    let Some(world) = World::memfs() else { return };
    fs::create_dir(world.at("d")).unwrap();
    fs::write(world.at("d/f"), "hello").unwrap();
    assert_eq!(fs::read_to_string(world.at("d/f")).unwrap(), "hello");
    fs::hard_link(world.at("d/f"), world.at("g")).unwrap();
    assert_eq!(fs::metadata(world.at("g")).unwrap().nlink(), 2);
    symlink("d/f", world.at("s")).unwrap();
    assert_eq!(fs::read_link(world.at("s")).unwrap(), Path::new("d/f"));
    assert_eq!(fs::read_to_string(world.at("s")).unwrap(), "hello");
    fs::rename(world.at("g"), world.at("h")).unwrap();
    assert_eq!(code(fs::remove_dir(world.at("d")).unwrap_err()), Errno::Notempty.linux());
    fs::remove_file(world.at("d/f")).unwrap();
    fs::remove_dir(world.at("d")).unwrap();
    assert_eq!(fs::metadata(world.at("h")).unwrap().nlink(), 1);
    assert_eq!(code(fs::metadata(world.at("d/f")).unwrap_err()), Errno::Noent.linux());
    let mut names: Vec<_> = fs::read_dir(world.dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["h", "s"]);
}

#[test]
fn an_open_file_outlives_its_name() {
    let Some(world) = World::memfs() else { return };
    let mut file = OpenOptions::new().read(true).write(true).create_new(true).open(world.at("f")).unwrap();
    fs::remove_file(world.at("f")).unwrap();
    file.write_all(b"still here").unwrap();
    file.seek(SeekFrom::Start(0)).unwrap();
    let mut text = String::new();
    file.read_to_string(&mut text).unwrap();
    assert_eq!((text.as_str(), file.metadata().unwrap().nlink()), ("still here", 0));
}

#[test]
fn appending_truncating_and_holes() {
    let Some(world) = World::memfs() else { return };
    fs::write(world.at("f"), "one").unwrap();
    let mut end = OpenOptions::new().append(true).open(world.at("f")).unwrap();
    end.write_all(b" two").unwrap();
    end.write_all(b" three").unwrap();
    assert_eq!(fs::read_to_string(world.at("f")).unwrap(), "one two three");
    let file = OpenOptions::new().write(true).read(true).truncate(true).open(world.at("f")).unwrap();
    assert_eq!(file.metadata().unwrap().len(), 0);
    file.write_all_at(b"end", 3 << 20).unwrap();
    file.set_len((3 << 20) + 1).unwrap();
    let bytes = fs::read(world.at("f")).unwrap();
    assert!(bytes.len() == (3 << 20) + 1 && bytes.ends_with(b"\0e"));
    // A file of several calls of the largest size.
    let big: Vec<u8> = (0..5_000_003_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    fs::write(world.at("big"), &big).unwrap();
    assert!(fs::read(world.at("big")).unwrap() == big);
}

#[test]
fn listings_have_dots_and_offsets_that_stay_good() {
    let Some(world) = World::memfs() else { return };
    for index in 0..2000 {
        File::create(world.at(&format!("file-{index:04}"))).unwrap();
    }
    let dir = rustix::fs::open(world.dir.path(), rustix::fs::OFlags::DIRECTORY, rustix::fs::Mode::empty()).unwrap();
    let list = || {
        let mut entries = rustix::fs::Dir::read_from(&dir).unwrap();
        std::iter::from_fn(move || entries.read())
            .map(|entry| entry.unwrap())
            .map(|entry| (entry.file_name().to_str().unwrap().to_owned(), entry.ino()))
            .collect::<Vec<_>>()
    };
    let all = list();
    assert_eq!((all[0].0.as_str(), all[1].0.as_str(), all.len()), (".", "..", 2002));
    assert_eq!(all[0].1, fs::metadata(world.dir.path()).unwrap().ino());
    let named = all.iter().find(|(name, _)| name == "file-0777").unwrap();
    assert_eq!(named.1, fs::metadata(world.at("file-0777")).unwrap().ino());
    // Every second entry goes away while the listing is read.
    let mut entries = rustix::fs::Dir::read_from(&dir).unwrap();
    let mut seen = Vec::new();
    while let Some(entry) = entries.read() {
        let name = entry.unwrap().file_name().to_str().unwrap().to_owned();
        if name.starts_with("file") {
            fs::remove_file(world.at(&name)).unwrap();
            seen.push(name);
        }
    }
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 2000);
    assert_eq!(list().len(), 2);
}

#[test]
fn times_are_kept_to_the_nanosecond_before_1970_too() {
    let Some(world) = World::memfs() else { return };
    File::create(world.at("f")).unwrap();
    let set = |accessed, modified| {
        let times = Timestamps { last_access: accessed, last_modification: modified };
        rustix::fs::utimensat(CWD, world.at("f"), &times, AtFlags::empty()).unwrap();
        let status = fs::metadata(world.at("f")).unwrap();
        ((status.atime(), status.atime_nsec()), (status.mtime(), status.mtime_nsec()))
    };
    let time = |tv_sec, tv_nsec| Timespec { tv_sec, tv_nsec };
    let (early, late) = (time(-2, 500_000_001), time(5_000_000_000, 999_999_999));
    assert_eq!(set(early, late), ((-2, 500_000_001), (5_000_000_000, 999_999_999)));
    let omit = time(0, rustix::fs::UTIME_OMIT as _);
    assert_eq!(set(omit, time(-1, 0)), ((-2, 500_000_001), (-1, 0)));
    assert_eq!(
        set(time(i64::MIN, 1), time(i64::MAX, 1)),
        ((i64::MIN, 0), (i64::MAX, 0)),
        "the ends, as Linux has them"
    );
    set(early, time(-1, 0));
    let (accessed, modified) = set(time(0, rustix::fs::UTIME_NOW as _), omit);
    assert!(accessed.0 > 1_700_000_000 && modified == (-1, 0));
}

#[test]
fn extended_attributes() {
    let Some(world) = World::memfs() else { return };
    File::create(world.at("f")).unwrap();
    let path = world.at("f");
    let set = |name: &str, flags| rustix::fs::setxattr(&path, name, b"value", flags);
    set("user.a", XattrFlags::CREATE).unwrap();
    assert_eq!(set("user.a", XattrFlags::CREATE), Err(rustix::io::Errno::EXIST));
    assert_eq!(set("user.b", XattrFlags::REPLACE), Err(rustix::io::Errno::NODATA));
    set("user.b", XattrFlags::empty()).unwrap();
    let get = |name: &str, size| {
        let mut buffer = vec![0_u8; size];
        rustix::fs::getxattr(&path, name, &mut buffer[..]).map(|length| (length, buffer))
    };
    assert_eq!(get("user.a", 5).unwrap(), (5, b"value".to_vec()));
    assert_eq!(rustix::fs::getxattr_query(&path, "user.a"), Ok(5));
    assert_eq!(get("user.a", 4).unwrap_err(), rustix::io::Errno::RANGE);
    assert_eq!(get("user.c", 4).unwrap_err(), rustix::io::Errno::NODATA);
    let mut list = [0_u8; 64];
    let length = rustix::fs::listxattr(&path, &mut list[..]).unwrap();
    assert_eq!(&list[..length], b"user.a\0user.b\0");
    rustix::fs::removexattr(&path, "user.a").unwrap();
    assert_eq!(rustix::fs::removexattr(&path, "user.a"), Err(rustix::io::Errno::NODATA));
    // What nothing would honour is not kept.
    for name in ["security.capability", "system.posix_acl_access"] {
        assert!(set(name, XattrFlags::empty()).is_err(), "{name}");
    }
}

#[test]
fn renames_swap_and_refuse_as_asked() {
    let Some(world) = World::memfs() else { return };
    fs::write(world.at("a"), "a").unwrap();
    fs::write(world.at("b"), "b").unwrap();
    let rename = |how| rustix::fs::renameat_with(CWD, world.at("a"), CWD, world.at("b"), how);
    assert_eq!(rename(RenameFlags::NOREPLACE), Err(rustix::io::Errno::EXIST));
    rename(RenameFlags::EXCHANGE).unwrap();
    assert_eq!(fs::read_to_string(world.at("a")).unwrap(), "b");
    assert_eq!(rename(RenameFlags::WHITEOUT), Err(rustix::io::Errno::INVAL));
}

#[test]
fn what_cannot_be_done_says_so() {
    let Some(world) = World::memfs() else { return };
    let file = File::create(world.at("f")).unwrap();
    let temporary = OpenOptions::new().write(true).custom_flags(0o20200000).open(world.dir.path());
    assert_eq!(code(temporary.unwrap_err()), Errno::Notsup.linux(), "O_TMPFILE");
    let allocated = rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::KEEP_SIZE, 0, 4096);
    assert_eq!(allocated, Err(rustix::io::Errno::OPNOTSUPP));
    assert_eq!(code(File::create(world.at(&"n".repeat(256))).unwrap_err()), Errno::Nametoolong.linux());
    let odd = Path::new(<std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(b"\xff"));
    assert_eq!(code(File::create(world.dir.path().join(odd)).unwrap_err()), Errno::Ilseq.linux());
    assert_eq!(code(File::open(world.dir.path().join(odd)).unwrap_err()), Errno::Noent.linux());
    // `SEEK_DATA` and `copy_file_range` fall back to something that is right.
    fs::write(world.at("g"), "some bytes").unwrap();
    let source = File::open(world.at("g")).unwrap();
    assert_eq!(rustix::fs::seek(&source, rustix::fs::SeekFrom::Data(3)), Ok(3));
    assert_eq!(fs::copy(world.at("g"), world.at("h")).unwrap(), 10);
    assert_eq!(fs::read(world.at("h")).unwrap(), b"some bytes");
}

#[test]
fn a_full_filesystem_says_so_at_once() {
    let small = memfs().bytes_max(1 << 20).build();
    let Some(world) = World::new(Arc::new(small), Options::default()) else { return };
    let mut file = File::create(world.at("f")).unwrap();
    let mut written = 0;
    let error = loop {
        match file.write(&[7; 50_000]) {
            Ok(count) => written += count,
            Err(error) => break error,
        }
    };
    assert_eq!(code(error), Errno::Nospc.linux());
    assert!(written > 900_000 && file.metadata().unwrap().len() == written as u64);
}

/// A part of a page of a file that is open for writing only.
#[test]
fn written_back_pages_are_whole() {
    let memfs = Arc::new(memfs().build());
    let options = || Options { exclusive: true, writeback: true, ..Options::default() };
    let Some(mut world) = World::new(memfs.clone(), options()) else { return };
    fs::write(world.at("f"), [b'a'; 9000]).unwrap();
    drop(world.mount.take());
    world.mount = Some(Mount::new(memfs, world.dir.path(), options()).unwrap());
    let file = OpenOptions::new().write(true).open(world.at("f")).unwrap();
    file.write_all_at(b"b", 5000).unwrap();
    file.sync_all().unwrap();
    let bytes = fs::read(world.at("f")).unwrap();
    assert!(
        bytes.len() == 9000 && bytes.iter().enumerate().all(|(at, &byte)| byte == if at == 5000 { b'b' } else { b'a' })
    );
}

/// Many threads in one directory, and in the end nothing is left of what they held.
#[test]
fn many_threads_leave_nothing_behind() {
    let memfs = Arc::new(memfs().build());
    let before = memfs.statfs().unwrap();
    let Some(mut world) = World::new(memfs.clone(), Options::default()) else { return };
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let world = &world;
            scope.spawn(move || {
                for round in 0..150 {
                    let (own, shared) = (world.at(&format!("{thread}-{round}")), world.at(&format!("s{}", round % 5)));
                    fs::write(&own, vec![thread as u8; 10_000]).unwrap();
                    // Others may be as quick, so any of these may fail; none may do harm.
                    let _ = fs::rename(&own, &shared);
                    let _ = fs::read(&shared);
                    let _ = fs::hard_link(&shared, &own);
                    let _ = fs::read_dir(world.dir.path()).unwrap().count();
                    let _ = fs::remove_file(&shared);
                    let _ = fs::remove_file(&own);
                }
            });
        }
    });
    assert_eq!(fs::read_dir(world.dir.path()).unwrap().count(), 0);
    drop(world.mount.take());
    let after = memfs.statfs().unwrap();
    assert_eq!((after.blocks_free, after.files_free), (before.blocks_free, before.files_free));
}

#[test]
fn a_read_only_mount_cannot_be_changed() {
    let memfs = Arc::new(memfs().build());
    let options = Options { read_only: true, ..Options::default() };
    let Some(world) = World::new(memfs, options) else { return };
    assert_eq!(code(File::create(world.at("f")).unwrap_err()), Errno::Rofs.linux());
    let host = tempfile::tempdir().unwrap();
    let frozen = Arc::new(Hostdir::new(host.path(), true).unwrap());
    let Some(world) = World::new(frozen, Options::default()) else { return };
    assert_eq!(code(File::create(world.at("f")).unwrap_err()), Errno::Rofs.linux());
}

#[test]
fn set_id_bits_go_with_a_write_and_groups_are_inherited() {
    let Some(world) = World::memfs() else { return };
    if !rustix::process::geteuid().is_root() {
        return eprintln!("skipped: needs root");
    }
    fs::create_dir(world.at("d")).unwrap();
    std::os::unix::fs::chown(world.at("d"), Some(1), Some(2)).unwrap();
    fs::set_permissions(world.at("d"), fs::Permissions::from_mode(0o2777)).unwrap();
    fs::create_dir(world.at("d/e")).unwrap();
    File::create(world.at("d/f")).unwrap();
    let (dir, file) = (fs::metadata(world.at("d/e")).unwrap(), fs::metadata(world.at("d/f")).unwrap());
    assert_eq!((dir.gid(), dir.mode() & 0o7000, file.gid(), file.mode() & 0o7000), (2, 0o2000, 2, 0));
    fs::set_permissions(world.at("d/f"), fs::Permissions::from_mode(0o6777)).unwrap();
    std::os::unix::fs::chown(world.at("d/f"), Some(3), None).unwrap();
    assert_eq!(fs::metadata(world.at("d/f")).unwrap().mode() & 0o7777, 0o777);
}

/// Root keeps the bits when it writes; anybody else loses them, by a write and by a truncation.
#[test]
fn what_others_write_runs_as_nobody_else() {
    let options = Options { allow_other: true, ..Options::default() };
    if !rustix::process::geteuid().is_root() {
        return eprintln!("skipped: needs root");
    }
    for writeback in [false, true] {
        let Some(world) =
            World::new(Arc::new(memfs().build()), Options { exclusive: writeback, writeback, ..options.clone() })
        else {
            return;
        };
        let mode_after = |mode, uid, script: &str| {
            fs::write(world.at("f"), "#!/bin/sh\n").unwrap();
            fs::set_permissions(world.at("f"), fs::Permissions::from_mode(mode)).unwrap();
            let mut shell = std::process::Command::new("sh");
            let status = shell.args(["-c", script]).current_dir(world.dir.path()).uid(uid).gid(uid).status().unwrap();
            assert!(status.success());
            fs::metadata(world.at("f")).unwrap().mode() & 0o7777
        };
        for script in ["echo more >> f", ": > f"] {
            assert_eq!(mode_after(0o6777, 65534, script), 0o777, "{script}");
            assert_eq!(mode_after(0o2767, 65534, script), 0o2767, "no privilege: {script}");
            assert_eq!(mode_after(0o6777, 0, script), 0o6777, "{script}");
        }
    }
}

/// What is changed on the host is seen through the mount, and appended behind what others appended.
#[test]
fn a_host_directory_is_seen_as_it_is_now() {
    let host = tempfile::tempdir().unwrap();
    let Some(world) = World::new(hostdir(host.path()), Options::default()) else { return };
    assert!(fs::metadata(world.at("f")).is_err());
    fs::write(host.path().join("f"), "first").unwrap();
    let mut file = OpenOptions::new().read(true).append(true).open(world.at("f")).unwrap();
    let read = |file: &File| {
        let mut buffer = [0; 64];
        let count = file.read_at(&mut buffer, 0).unwrap();
        String::from_utf8_lossy(&buffer[..count]).into_owned()
    };
    assert_eq!(read(&file), "first");
    fs::write(host.path().join("f"), "other").unwrap();
    assert_eq!(read(&file), "other");
    OpenOptions::new().append(true).open(host.path().join("f")).unwrap().write_all(b" more").unwrap();
    file.write_all(b" mine").unwrap();
    assert_eq!(fs::read_to_string(host.path().join("f")).unwrap(), "other more mine");
    assert_eq!(fs::read_to_string(world.at("f")).unwrap(), "other more mine");
    fs::remove_file(host.path().join("f")).unwrap();
    assert!(fs::metadata(world.at("f")).is_err());
    fs::create_dir(world.at("d")).unwrap();
    assert!(host.path().join("d").is_dir());
    File::open(world.at("d")).unwrap().sync_all().unwrap();
}
