//! `wasi:filesystem`, function by function.

use super::super::bindings::wasi::wasi::clocks::wall_clock::Datetime;
use super::super::bindings::wasi::wasi::filesystem::types::{
    self, Descriptor, DescriptorFlags, DescriptorType, Host as _, HostDescriptor, HostDirectoryEntryStream,
    NewTimestamp, OpenFlags, PathFlags,
};
use super::super::failure::{error_code, kernel_errno};
use super::*;

const READ: DescriptorFlags = DescriptorFlags::READ;
const WRITE: DescriptorFlags = DescriptorFlags::WRITE;

fn open(
    stage: &mut Stage,
    root: &Resource<Descriptor>,
    path: &str,
    how: OpenFlags,
    flags: DescriptorFlags,
) -> Result<Resource<Descriptor>, Failure> {
    stage.guest.open_at(lend(root), PathFlags::SYMLINK_FOLLOW, path.into(), how, flags)
}

fn create(stage: &mut Stage, root: &Resource<Descriptor>, path: &str, bytes: &[u8]) -> Resource<Descriptor> {
    let file = open(stage, root, path, OpenFlags::CREATE, READ | WRITE).unwrap();
    assert_eq!(stage.guest.write(lend(&file), bytes.to_vec(), 0).unwrap(), bytes.len() as u64);
    file
}

#[test]
fn a_file_is_written_read_and_measured() {
    let mut stage = stage();
    let root = stage.root();
    let file = create(&mut stage, &root, "tmp/a", b"hello world");
    assert_eq!(stage.guest.read(lend(&file), 5, 6).unwrap(), (b"world".to_vec(), false));
    assert_eq!(stage.guest.read(lend(&file), 100, 6).unwrap(), (b"world".to_vec(), false));
    assert_eq!(stage.guest.read(lend(&file), 100, 11).unwrap(), (vec![], true));
    assert_eq!(stage.guest.read(lend(&file), 0, 0).unwrap(), (vec![], false));
    let stat = stage.guest.stat(lend(&file)).unwrap();
    assert_eq!((stat.type_, stat.size, stat.link_count), (DescriptorType::RegularFile, 11, 1));
    assert!(stat.data_modification_timestamp.unwrap().seconds > 1_500_000_000);
    assert_eq!(stage.guest.get_type(lend(&file)).unwrap(), DescriptorType::RegularFile);
    assert_eq!(stage.guest.get_flags(lend(&file)).unwrap(), READ | WRITE);
    stage.guest.set_size(lend(&file), 5).unwrap();
    assert_eq!(stage.vm.read_file("/tmp/a").unwrap(), b"hello");
    stage.guest.sync(lend(&file)).unwrap();
    stage.guest.sync_data(lend(&file)).unwrap();
    stage.guest.advise(lend(&file), 0, 5, types::Advice::WillNeed).unwrap();
    assert_eq!(errno(stage.guest.advise(lend(&file), u64::MAX, 5, types::Advice::Normal)), Errno::Inval);
}

#[test]
fn hostile_lengths_and_offsets_are_errors() {
    let mut stage = stage();
    let root = stage.root();
    let file = create(&mut stage, &root, "a", b"abc");
    assert_eq!(stage.guest.read(lend(&file), u64::MAX, 1).unwrap(), (b"bc".to_vec(), false));
    assert_eq!(errno(stage.guest.read(lend(&file), 1, u64::MAX)), Errno::Inval);
    assert_eq!(errno(stage.guest.write(lend(&file), vec![1], u64::MAX)), Errno::Inval);
    assert_eq!(errno(stage.guest.write(lend(&file), vec![1], i64::MAX as u64)), Errno::Fbig);
    assert_eq!(errno(stage.guest.set_size(lend(&file), u64::MAX)), Errno::Fbig);
    assert_eq!(errno(stage.guest.read_via_stream(lend(&file), u64::MAX)), Errno::Inval);
    let late = NewTimestamp::Timestamp(Datetime { seconds: u64::MAX, nanoseconds: 0 });
    assert_eq!(errno(stage.guest.set_times(lend(&file), late, NewTimestamp::Now)), Errno::Inval);
    let odd = NewTimestamp::Timestamp(Datetime { seconds: 1, nanoseconds: 1_000_000_000 });
    assert_eq!(errno(stage.guest.set_times(lend(&file), odd, NewTimestamp::NoChange)), Errno::Inval);
    let name = "x".repeat(256);
    assert_eq!(errno(open(&mut stage, &root, &name, OpenFlags::CREATE, WRITE)), Errno::Nametoolong);
    assert_eq!(errno(open(&mut stage, &root, "a\0b", OpenFlags::CREATE, WRITE)), Errno::Inval);
}

#[test]
fn opening_follows_its_flags() {
    let mut stage = stage();
    let root = stage.root();
    let none = OpenFlags::empty();
    assert_eq!(errno(open(&mut stage, &root, "a", none, READ)), Errno::Noent);
    create(&mut stage, &root, "a", b"abc");
    assert_eq!(errno(open(&mut stage, &root, "a", OpenFlags::CREATE | OpenFlags::EXCLUSIVE, WRITE)), Errno::Exist);
    assert_eq!(errno(open(&mut stage, &root, "a", OpenFlags::DIRECTORY, READ)), Errno::Notdir);
    assert_eq!(errno(open(&mut stage, &root, "tmp", none, WRITE)), Errno::Isdir);
    let dir = open(&mut stage, &root, "tmp", OpenFlags::DIRECTORY, READ | WRITE).unwrap();
    assert!(stage.guest.get_flags(lend(&dir)).unwrap().contains(DescriptorFlags::MUTATE_DIRECTORY));
    let reader = open(&mut stage, &root, "a", none, READ).unwrap();
    assert_eq!(errno(stage.guest.write(lend(&reader), vec![1], 0)), Errno::Badf);
    assert_eq!(errno(stage.guest.write_via_stream(lend(&reader), 0)), Errno::Badf);
    assert_eq!(errno(stage.guest.append_via_stream(lend(&reader))), Errno::Badf);
    let writer = open(&mut stage, &root, "a", OpenFlags::TRUNCATE, WRITE).unwrap();
    assert_eq!(errno(stage.guest.read(lend(&writer), 1, 0)), Errno::Badf);
    assert_eq!(errno(stage.guest.read_via_stream(lend(&writer), 0)), Errno::Badf);
    assert_eq!(stage.guest.stat(lend(&writer)).unwrap().size, 0);
    assert_eq!(errno(stage.guest.read(lend(&dir), 1, 0)), Errno::Isdir);
}

#[test]
fn nothing_above_a_directory_is_reached() {
    let mut stage = stage();
    let root = stage.root();
    let none = OpenFlags::empty();
    let tmp = open(&mut stage, &root, "tmp", OpenFlags::DIRECTORY, READ).unwrap();
    for path in ["../puppet", "/puppet", "x/../../puppet"] {
        let error = errno(open(&mut stage, &tmp, path, none, READ));
        assert!(matches!(error, Errno::Perm | Errno::Noent), "{path}: {error}");
    }
    assert_eq!(errno(stage.guest.symlink_at(lend(&tmp), "/puppet".into(), "out".into())), Errno::Perm);
    stage.guest.symlink_at(lend(&tmp), "../puppet".into(), "out".into()).unwrap();
    assert_eq!(stage.guest.readlink_at(lend(&tmp), "out".into()).unwrap(), "../puppet");
    assert_eq!(errno(open(&mut stage, &tmp, "out", none, READ)), Errno::Perm);
    assert_eq!(errno(stage.guest.stat_at(lend(&tmp), PathFlags::SYMLINK_FOLLOW, "out".into())), Errno::Perm);
    let stat = stage.guest.stat_at(lend(&tmp), PathFlags::empty(), "out".into()).unwrap();
    assert_eq!((stat.type_, stat.size), (DescriptorType::SymbolicLink, 9));
    let no_follow = stage.guest.open_at(lend(&tmp), PathFlags::empty(), "out".into(), none, READ);
    assert_eq!(errno(no_follow), Errno::Loop);
    // The same file from the root is beneath it.
    assert!(open(&mut stage, &root, "tmp/out", none, READ).is_ok());
}

#[test]
fn directories_are_made_listed_and_removed() {
    let mut stage = stage();
    let root = stage.root();
    stage.guest.create_directory_at(lend(&root), "d".into()).unwrap();
    assert_eq!(errno(stage.guest.create_directory_at(lend(&root), "d".into())), Errno::Exist);
    let dir = open(&mut stage, &root, "d", OpenFlags::DIRECTORY, READ).unwrap();
    for index in 0..300 {
        let file = create(&mut stage, &dir, &format!("f{index}"), b"");
        HostDescriptor::drop(&mut stage.guest, file).unwrap();
    }
    assert_eq!(errno(stage.guest.remove_directory_at(lend(&root), "d".into())), Errno::Notempty);
    assert_eq!(errno(stage.guest.unlink_file_at(lend(&root), "d".into())), Errno::Isdir);
    let list = stage.guest.read_directory(lend(&dir)).unwrap();
    // The listing lives on without the descriptor it came from.
    let path = dir.rep();
    HostDescriptor::drop(&mut stage.guest, dir).unwrap();
    assert!(stage.guest.task.file(path).is_err());
    let mut names = Vec::new();
    while let Some(entry) = stage.guest.read_directory_entry(lend(&list)).unwrap() {
        assert_eq!(entry.type_, DescriptorType::RegularFile);
        names.push(entry.name);
    }
    assert!(stage.guest.read_directory_entry(lend(&list)).unwrap().is_none(), "the end stays the end");
    names.sort();
    names.dedup();
    assert_eq!(names.len(), 300);
    assert!(!names.iter().any(|name| name.starts_with('.')));
    let open_before = stage.open_fds().len();
    HostDirectoryEntryStream::drop(&mut stage.guest, list).unwrap();
    assert_eq!(stage.open_fds().len(), open_before - 1);
    for name in &names {
        stage.guest.unlink_file_at(lend(&root), format!("d/{name}")).unwrap();
    }
    stage.guest.remove_directory_at(lend(&root), "d".into()).unwrap();
    assert_eq!(errno(stage.guest.remove_directory_at(lend(&root), "d".into())), Errno::Noent);
    let file = create(&mut stage, &root, "f", b"");
    assert_eq!(errno(stage.guest.read_directory(lend(&file))), Errno::Notdir);
    assert_eq!(errno(stage.guest.remove_directory_at(lend(&root), "f".into())), Errno::Notdir);
}

#[test]
fn names_are_linked_renamed_and_unlinked() {
    let mut stage = stage();
    let root = stage.root();
    let tmp = open(&mut stage, &root, "tmp", OpenFlags::DIRECTORY, READ).unwrap();
    let file = create(&mut stage, &root, "a", b"abc");
    stage.guest.link_at(lend(&root), PathFlags::empty(), "a".into(), lend(&tmp), "b".into()).unwrap();
    assert_eq!(stage.guest.stat(lend(&file)).unwrap().link_count, 2);
    let link = |stage: &mut Stage, from: &str, to: &str| {
        stage.guest.link_at(lend(&root), PathFlags::empty(), from.into(), lend(&tmp), to.into())
    };
    assert_eq!(errno(link(&mut stage, "a", "b")), Errno::Exist);
    assert_eq!(errno(link(&mut stage, "nothing", "c")), Errno::Noent);
    assert_eq!(errno(link(&mut stage, "tmp", "c")), Errno::Perm);
    let other = open(&mut stage, &tmp, "b", OpenFlags::empty(), READ).unwrap();
    assert!(stage.guest.is_same_object(lend(&file), lend(&other)).unwrap());
    assert!(!stage.guest.is_same_object(lend(&file), lend(&root)).unwrap());
    stage.guest.rename_at(lend(&root), "a".into(), lend(&tmp), "c".into()).unwrap();
    assert_eq!(errno(stage.guest.rename_at(lend(&root), "a".into(), lend(&tmp), "c".into())), Errno::Noent);
    assert_eq!(errno(stage.guest.rename_at(lend(&root), "tmp".into(), lend(&tmp), "x".into())), Errno::Inval);
    stage.guest.unlink_file_at(lend(&tmp), "b".into()).unwrap();
    stage.guest.unlink_file_at(lend(&tmp), "c".into()).unwrap();
    assert_eq!(errno(stage.guest.unlink_file_at(lend(&tmp), "c".into())), Errno::Noent);
    // Unlinked, it is still there for those who have it open.
    assert_eq!(stage.guest.read(lend(&file), 10, 0).unwrap().0, b"abc");
    let stream = stage.guest.read_via_stream(lend(&file), 1).unwrap();
    let mut bytes = [0; 4];
    assert_eq!(crate::syscall::descriptor::read(&stage.guest.task, stream.rep(), &mut bytes).unwrap(), 2);
}

#[test]
fn times_and_hashes_change_with_the_file() {
    let mut stage = stage();
    let root = stage.root();
    let file = create(&mut stage, &root, "a", b"abc");
    let time = |seconds| NewTimestamp::Timestamp(Datetime { seconds, nanoseconds: 7 });
    stage.guest.set_times(lend(&file), time(100), time(200)).unwrap();
    stage.guest.set_times_at(lend(&root), PathFlags::empty(), "a".into(), NewTimestamp::NoChange, time(300)).unwrap();
    let stat = stage.guest.stat_at(lend(&root), PathFlags::empty(), "a".into()).unwrap();
    let seconds = |time: Option<Datetime>| time.map(|time| (time.seconds, time.nanoseconds));
    assert_eq!(seconds(stat.data_access_timestamp), Some((100, 7)));
    assert_eq!(seconds(stat.data_modification_timestamp), Some((300, 7)));
    let hash = |stage: &mut Stage| {
        let one = stage.guest.metadata_hash(lend(&file)).unwrap();
        let at = stage.guest.metadata_hash_at(lend(&root), PathFlags::empty(), "a".into()).unwrap();
        assert_eq!((one.lower, one.upper), (at.lower, at.upper));
        (one.lower, one.upper)
    };
    let before = hash(&mut stage);
    assert_eq!(hash(&mut stage), before);
    stage.guest.write(lend(&file), b"longer".to_vec(), 0).unwrap();
    assert_ne!(hash(&mut stage), before);
}

#[test]
fn a_dropped_descriptor_is_closed_and_others_are_not() {
    let mut stage = stage();
    let before = stage.open_fds();
    let root = stage.root();
    let again = stage.root();
    assert_ne!(root.rep(), again.rep());
    let file = create(&mut stage, &root, "a", b"abc");
    let stream = stage.guest.read_via_stream(lend(&file), 0).unwrap();
    let fd = file.rep();
    HostDescriptor::drop(&mut stage.guest, file).unwrap();
    HostDescriptor::drop(&mut stage.guest, root).unwrap();
    assert!(stage.guest.task.file(fd).is_err());
    // A new file may get the number; the stream is still on its own.
    let other = create(&mut stage, &again, "b", b"other");
    assert_eq!(other.rep(), again.rep().min(fd).min(other.rep()));
    let mut bytes = [0; 8];
    assert_eq!(crate::syscall::descriptor::read(&stage.guest.task, stream.rep(), &mut bytes).unwrap(), 3);
    use super::super::bindings::wasi::wasi::io::streams::HostInputStream;
    HostInputStream::drop(&mut stage.guest, stream).unwrap();
    HostDescriptor::drop(&mut stage.guest, other).unwrap();
    HostDescriptor::drop(&mut stage.guest, again).unwrap();
    assert_eq!(stage.open_fds(), before);
}

#[test]
fn what_resources_open_is_not_inherited() {
    let mut stage = stage();
    let root = stage.root();
    let file = create(&mut stage, &root, "a", b"abc");
    let stream = stage.guest.append_via_stream(lend(&file)).unwrap();
    let list = stage.guest.read_directory(lend(&root)).unwrap();
    let inherited: Vec<u32> = stage.guest.task.fds().inherited().numbers().collect();
    assert_eq!(inherited, [0, 1, 2]);
    assert!(stream.rep() > 2 && root.rep() > 2 && list.owned());
}

#[test]
fn a_full_table_of_descriptors_is_an_error() {
    let mut stage = stage();
    let root = stage.root();
    let file = create(&mut stage, &root, "a", b"abc");
    let mut opened = 0;
    let error = loop {
        match stage.guest.read_via_stream(lend(&file), 0) {
            Ok(_) => opened += 1,
            Err(failure) => break errno::<()>(Err(failure)),
        }
        assert!(opened < 100_000);
    };
    assert_eq!(error, Errno::Mfile);
    assert_eq!(errno(stage.guest.read_directory(lend(&root))), Errno::Mfile);
    assert!(stage.guest.get_directories().unwrap_err().to_string().contains("too many open files"));
}

#[test]
fn every_error_has_a_code_and_the_kernel_s_own_keep_their_names() {
    let mut stage = stage();
    for &errno in Errno::ALL {
        let code = stage.guest.convert_error_code(Failure::Errno(errno)).unwrap();
        assert_eq!(code, error_code(errno));
        let name = errno.name().strip_prefix('E').unwrap().to_lowercase().replace("2big", "too-big");
        assert_eq!(kernel_errno(errno).name(), name);
    }
    assert_eq!(error_code(Errno::Noent), types::ErrorCode::NoEntry);
    assert_eq!(error_code(Errno::Timedout), types::ErrorCode::Io);
}
