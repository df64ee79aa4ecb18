//! Between the trait's types and FUSE's.

use std::ffi::OsStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use eyot_backend::{Attributes, Errno, NAME_BYTES_MAX, Node, NodeKind, OpenFlags, RenameFlags, Timestamp};
use fuser::{FileAttr, FileType, INodeNo, OpenAccMode, TimeOrNow};

/// The block size that programs are told, in bytes.
const BLOCK_BYTES: u32 = 4096;

pub(crate) fn errno(errno: Errno) -> fuser::Errno {
    fuser::Errno::from_i32(errno.linux())
}

/// FUSE calls the root 1; the backend may call it anything and may have another node 1. So the two change places, both ways.
#[derive(Clone, Copy)]
pub(crate) struct Numbers {
    pub root: Node,
}

impl Numbers {
    pub(crate) fn swap(self, number: u64) -> u64 {
        match number {
            1 => self.root,
            number if number == self.root => 1,
            number => number,
        }
    }

    pub(crate) fn node(self, number: INodeNo) -> Node {
        self.swap(number.0)
    }

    pub(crate) fn attributes(self, attributes: &Attributes) -> FileAttr {
        FileAttr {
            ino: INodeNo(self.swap(attributes.node)),
            size: attributes.size,
            blocks: attributes.blocks,
            atime: system_time(attributes.accessed),
            mtime: system_time(attributes.modified),
            ctime: system_time(attributes.changed),
            crtime: system_time(attributes.created),
            kind: file_type(attributes.kind),
            perm: (attributes.mode & 0o7777) as u16,
            nlink: attributes.links,
            uid: attributes.uid,
            gid: attributes.gid,
            // Linux's 32-bit form has the layout of `makedev` as long as the numbers fit, and they fit in Linux.
            rdev: u32::try_from(attributes.device).unwrap_or(0),
            blksize: BLOCK_BYTES,
            flags: 0,
        }
    }
}

pub(crate) fn lifetime(nanoseconds: u64) -> Duration {
    Duration::from_nanos(nanoseconds)
}

pub(crate) fn file_type(kind: NodeKind) -> FileType {
    match kind {
        NodeKind::File => FileType::RegularFile,
        NodeKind::Directory => FileType::Directory,
        NodeKind::Symlink => FileType::Symlink,
        NodeKind::Fifo => FileType::NamedPipe,
        NodeKind::Socket => FileType::Socket,
        NodeKind::CharacterDevice => FileType::CharDevice,
        NodeKind::BlockDevice => FileType::BlockDevice,
    }
}

/// What mknod(2) is asked for by the type bits of a mode.
pub(crate) fn kind(mode: u32) -> Option<NodeKind> {
    match mode & 0o170000 {
        0 | 0o100000 => Some(NodeKind::File),
        0o010000 => Some(NodeKind::Fifo),
        0o140000 => Some(NodeKind::Socket),
        0o020000 => Some(NodeKind::CharacterDevice),
        0o060000 => Some(NodeKind::BlockDevice),
        _ => None,
    }
}

fn system_time(time: Timestamp) -> SystemTime {
    let nanoseconds = Duration::from_nanos(time.nanoseconds.into());
    let whole = Duration::from_secs(time.seconds.unsigned_abs());
    let start = if time.seconds < 0 { UNIX_EPOCH.checked_sub(whole) } else { UNIX_EPOCH.checked_add(whole) };
    start.and_then(|start| start.checked_add(nanoseconds)).unwrap_or(UNIX_EPOCH)
}

/// A time that was asked for. Before 1970 fuser takes the nanoseconds off instead of adding them; here it is undone.
pub(crate) fn timestamp(time: TimeOrNow) -> Timestamp {
    let time = match time {
        TimeOrNow::Now => return Timestamp::now(),
        TimeOrNow::SpecificTime(time) => time,
    };
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => {
            let seconds = i64::try_from(after.as_secs()).unwrap_or(i64::MAX);
            Timestamp { seconds, nanoseconds: after.subsec_nanos() }
        }
        Err(before) => {
            let before = before.duration();
            let seconds = 0_i64.saturating_sub_unsigned(before.as_secs());
            Timestamp { seconds, nanoseconds: before.subsec_nanos() }
        }
    }
}

/// A name that is looked for: one that no backend can hold is not there.
pub(crate) fn known_name(name: &OsStr) -> Result<&str, Errno> {
    if name.len() > NAME_BYTES_MAX {
        return Err(Errno::Nametoolong);
    }
    name.to_str().ok_or(Errno::Noent)
}

/// A name that is to be made.
pub(crate) fn new_name(name: &OsStr) -> Result<&str, Errno> {
    if name.len() > NAME_BYTES_MAX {
        return Err(Errno::Nametoolong);
    }
    name.to_str().ok_or(Errno::Ilseq)
}

pub(crate) fn open_flags(flags: fuser::OpenFlags) -> OpenFlags {
    match flags.acc_mode() {
        OpenAccMode::O_RDONLY => OpenFlags::READ,
        OpenAccMode::O_WRONLY => OpenFlags::WRITE,
        OpenAccMode::O_RDWR => OpenFlags::READ | OpenFlags::WRITE,
    }
}

/// Errors: `EINVAL` for a flag that backends don't know (`RENAME_WHITEOUT`).
pub(crate) fn rename_flags(flags: fuser::RenameFlags) -> Result<RenameFlags, Errno> {
    let mut known = RenameFlags::empty();
    known.set(RenameFlags::NO_REPLACE, flags.contains(fuser::RenameFlags::RENAME_NOREPLACE));
    known.set(RenameFlags::EXCHANGE, flags.contains(fuser::RenameFlags::RENAME_EXCHANGE));
    if flags.bits() == known.bits() { Ok(known) } else { Err(Errno::Inval) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::ffi::OsStrExt;

    #[test]
    fn the_root_and_node_one_change_places() {
        let numbers = Numbers { root: 77 };
        assert_eq!((numbers.swap(1), numbers.swap(77), numbers.swap(5)), (77, 1, 5));
        assert_eq!(Numbers { root: 1 }.swap(1), 1);
        for number in [1, 2, 77, u64::MAX] {
            assert_eq!(numbers.swap(numbers.swap(number)), number);
        }
    }

    #[test]
    fn times_of_any_size_convert_without_a_panic() {
        let time = |seconds, nanoseconds| Timestamp { seconds, nanoseconds };
        assert_eq!(system_time(time(-2, 500_000_000)), UNIX_EPOCH - Duration::from_millis(1500));
        assert_eq!(system_time(time(3, 7)), UNIX_EPOCH + Duration::new(3, 7));
        for seconds in [i64::MIN, i64::MAX, 0, -1] {
            for nanoseconds in [0, 999_999_999, u32::MAX] {
                system_time(time(seconds, nanoseconds));
            }
        }
    }

    #[test]
    fn names_are_text_of_at_most_255_bytes() {
        let long = "n".repeat(256);
        assert_eq!(known_name(OsStr::new(&long)), Err(Errno::Nametoolong));
        assert_eq!(new_name(OsStr::new(&long)), Err(Errno::Nametoolong));
        assert_eq!(known_name(OsStr::from_bytes(b"\xff")), Err(Errno::Noent));
        assert_eq!(new_name(OsStr::from_bytes(b"\xff")), Err(Errno::Ilseq));
        assert_eq!(new_name(OsStr::new("ü")), Ok("ü"));
    }

    #[test]
    fn flags_of_rename_that_backends_do_not_know_are_refused() {
        use fuser::RenameFlags as Fuse;
        assert_eq!(rename_flags(Fuse::RENAME_EXCHANGE), Ok(RenameFlags::EXCHANGE));
        assert_eq!(rename_flags(Fuse::RENAME_NOREPLACE), Ok(RenameFlags::NO_REPLACE));
        assert_eq!(rename_flags(Fuse::RENAME_WHITEOUT), Err(Errno::Inval));
        assert_eq!(rename_flags(Fuse::from_bits_retain(1 << 9)), Err(Errno::Inval));
    }
}
