//! What a component may pass to a layer: what the kernel makes sure of before it calls a backend.

use eyot_backend::{AttributeChanges, CHUNK_BYTES_MAX, Errno, NAME_BYTES_MAX, NodeKind, Ownership};

/// The longest symlink target in bytes (`PATH_MAX` without its terminator).
const TARGET_BYTES_MAX: usize = 4095;
/// The longest value of an extended attribute (`XATTR_SIZE_MAX`).
const XATTR_BYTES_MAX: usize = 64 * 1024;
/// The most entries of one page of a listing.
pub(super) const LISTING_ENTRIES_MAX: usize = 4096;
/// Permission bits, set-user-id, set-group-id and sticky.
const MODE_BITS: u32 = 0o7777;

/// A name of a directory entry. Errors: `ENAMETOOLONG`, `EINVAL`.
pub(super) fn name(name: &str) -> Result<(), Errno> {
    if name.len() > NAME_BYTES_MAX {
        return Err(Errno::Nametoolong);
    }
    let forbidden = |byte| byte == b'/' || byte == 0;
    if name.is_empty() || name == "." || name == ".." || name.bytes().any(forbidden) {
        return Err(Errno::Inval);
    }
    Ok(())
}

/// A symlink's target. Errors: `ENAMETOOLONG`, `EINVAL`.
pub(super) fn target(target: &str) -> Result<(), Errno> {
    if target.len() > TARGET_BYTES_MAX {
        return Err(Errno::Nametoolong);
    }
    if target.is_empty() || target.as_bytes().contains(&0) { Err(Errno::Inval) } else { Ok(()) }
}

/// The name of an extended attribute. Errors: `ERANGE`, as Linux has it.
pub(super) fn xattr_name(name: &str) -> Result<(), Errno> {
    let good = (1..=NAME_BYTES_MAX).contains(&name.len()) && !name.as_bytes().contains(&0);
    if good { Ok(()) } else { Err(Errno::Range) }
}

/// The value of an extended attribute, by its length. (Linux says `E2BIG`, for which the interface has no name.)
pub(super) fn xattr_length(length: usize) -> Result<(), Errno> {
    if length > XATTR_BYTES_MAX { Err(Errno::Range) } else { Ok(()) }
}

/// What is to be changed, and of what. Errors: `EINVAL`, `EISDIR`, `EFBIG`.
pub(super) fn changes(changes: &AttributeChanges, kind: NodeKind) -> Result<(), Errno> {
    let times = [changes.accessed, changes.modified];
    if times.iter().flatten().any(|time| time.nanoseconds >= 1_000_000_000)
        || changes.mode.is_some_and(|mode| mode > MODE_BITS)
    {
        return Err(Errno::Inval);
    }
    match (changes.size, kind) {
        (None, _) => Ok(()),
        (Some(_), NodeKind::Directory) => Err(Errno::Isdir),
        (Some(size), NodeKind::File) if size <= i64::MAX as u64 => Ok(()),
        (Some(_), NodeKind::File) => Err(Errno::Fbig),
        (Some(_), _) => Err(Errno::Inval),
    }
}

/// Whose a new inode is. Errors: `EINVAL`.
pub(super) fn owner(owner: Ownership) -> Result<(), Errno> {
    if owner.mode > MODE_BITS { Err(Errno::Inval) } else { Ok(()) }
}

/// What `make-node` makes. Errors: `EINVAL`. Answers the device number that counts.
pub(super) fn node(kind: NodeKind, device: u64) -> Result<u64, Errno> {
    match kind {
        NodeKind::CharacterDevice | NodeKind::BlockDevice => Ok(device),
        NodeKind::Fifo | NodeKind::Socket => Ok(0),
        NodeKind::File | NodeKind::Directory | NodeKind::Symlink => Err(Errno::Inval),
    }
}

/// How much a read may ask for, and where. Errors: `EINVAL`: to answer less would mean the file's end.
pub(super) fn read(offset: u64, length: u32) -> Result<usize, Errno> {
    let length = length as usize;
    if length > CHUNK_BYTES_MAX || offset > i64::MAX as u64 { Err(Errno::Inval) } else { Ok(length) }
}

/// How much of what is written is taken. Errors: `EFBIG`.
pub(super) fn write(offset: u64, length: usize) -> Result<usize, Errno> {
    let length = length.min(CHUNK_BYTES_MAX);
    let end = offset.checked_add(length as u64).filter(|&end| end <= i64::MAX as u64);
    end.map(|_| length).ok_or(Errno::Fbig)
}

#[cfg(test)]
mod tests {
    use eyot_backend::Timestamp;

    use super::*;

    #[test]
    fn names_are_those_that_the_kernel_would_pass() {
        for good in ["a", "...", " ", "\u{1F3DD}", &"x".repeat(255)] {
            assert_eq!(name(good), Ok(()), "{good:?}");
        }
        for bad in ["", ".", "..", "a/b", "/", "a\0"] {
            assert_eq!(name(bad), Err(Errno::Inval), "{bad:?}");
        }
        assert_eq!(name(&"x".repeat(256)), Err(Errno::Nametoolong));
        assert_eq!((target(""), target("a\0"), target("../x")), (Err(Errno::Inval), Err(Errno::Inval), Ok(())));
        assert_eq!(target(&"x".repeat(4096)), Err(Errno::Nametoolong));
        assert_eq!((xattr_name(""), xattr_name("user.a")), (Err(Errno::Range), Ok(())));
        assert_eq!((xattr_length(65_536), xattr_length(65_537)), (Ok(()), Err(Errno::Range)));
    }

    #[test]
    fn numbers_are_within_what_there_can_be() {
        let size = |size| AttributeChanges { size: Some(size), ..AttributeChanges::default() };
        assert_eq!(changes(&size(1 << 62), NodeKind::File), Ok(()));
        assert_eq!(changes(&size(1 << 63), NodeKind::File), Err(Errno::Fbig));
        assert_eq!(changes(&size(0), NodeKind::Directory), Err(Errno::Isdir));
        assert_eq!(changes(&size(0), NodeKind::Fifo), Err(Errno::Inval));
        let time = Timestamp { seconds: 0, nanoseconds: 1_000_000_000 };
        let late = AttributeChanges { modified: Some(time), ..AttributeChanges::default() };
        assert_eq!(changes(&late, NodeKind::File), Err(Errno::Inval));
        let mode = AttributeChanges { mode: Some(0o10000), ..AttributeChanges::default() };
        assert_eq!(changes(&mode, NodeKind::File), Err(Errno::Inval));
        assert_eq!((read(0, 1 << 20), read(0, (1 << 20) + 1)), (Ok(1 << 20), Err(Errno::Inval)));
        assert_eq!((read(u64::MAX, 1), read(1 << 63, 0)), (Err(Errno::Inval), Err(Errno::Inval)));
        assert_eq!(read(i64::MAX as u64, 1), Ok(1), "a read may go past the end of the largest file");
        assert_eq!((write(5, 1 << 21), write(i64::MAX as u64, 1)), (Ok(1 << 20), Err(Errno::Fbig)));
        assert_eq!((node(NodeKind::Fifo, 7), node(NodeKind::BlockDevice, 7)), (Ok(0), Ok(7)));
        assert_eq!(node(NodeKind::Directory, 0), Err(Errno::Inval));
    }
}
