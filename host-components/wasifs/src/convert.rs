//! Between WASI's types and the backend's.

use eyot_backend::{Errno, NodeKind, Timestamp};

use crate::bindings::types::{Datetime, DescriptorType, ErrorCode, NewTimestamp};

/// What a failure of WASI is called here.
pub(crate) fn errno(code: ErrorCode) -> Errno {
    match code {
        ErrorCode::Access => Errno::Acces,
        ErrorCode::WouldBlock => Errno::Again,
        ErrorCode::Busy => Errno::Busy,
        ErrorCode::Quota => Errno::Dquot,
        ErrorCode::Exist => Errno::Exist,
        ErrorCode::FileTooLarge => Errno::Fbig,
        ErrorCode::IllegalByteSequence => Errno::Ilseq,
        ErrorCode::Invalid => Errno::Inval,
        ErrorCode::IsDirectory => Errno::Isdir,
        ErrorCode::Loop => Errno::Loop,
        ErrorCode::TooManyLinks => Errno::Mlink,
        ErrorCode::NameTooLong => Errno::Nametoolong,
        ErrorCode::NoEntry => Errno::Noent,
        ErrorCode::InsufficientMemory => Errno::Nomem,
        ErrorCode::InsufficientSpace => Errno::Nospc,
        ErrorCode::NotDirectory => Errno::Notdir,
        ErrorCode::NotEmpty => Errno::Notempty,
        ErrorCode::Unsupported => Errno::Notsup,
        ErrorCode::NoSuchDevice => Errno::Nxio,
        ErrorCode::Overflow => Errno::Overflow,
        ErrorCode::NotPermitted => Errno::Perm,
        ErrorCode::ReadOnly => Errno::Rofs,
        ErrorCode::InvalidSeek => Errno::Spipe,
        ErrorCode::TextFileBusy => Errno::Txtbsy,
        ErrorCode::CrossDevice => Errno::Xdev,
        _ => Errno::Io,
    }
}

/// The kind of an inode. `None`: one that WASI does not know.
pub(crate) fn kind(kind: DescriptorType) -> Option<NodeKind> {
    match kind {
        DescriptorType::BlockDevice => Some(NodeKind::BlockDevice),
        DescriptorType::CharacterDevice => Some(NodeKind::CharacterDevice),
        DescriptorType::Directory => Some(NodeKind::Directory),
        DescriptorType::Fifo => Some(NodeKind::Fifo),
        DescriptorType::SymbolicLink => Some(NodeKind::Symlink),
        DescriptorType::RegularFile => Some(NodeKind::File),
        DescriptorType::Socket => Some(NodeKind::Socket),
        DescriptorType::Unknown => None,
    }
}

/// A time that may not be known: the epoch then.
pub(crate) fn time(from: Option<Datetime>) -> Timestamp {
    match from {
        Some(time) => Timestamp {
            seconds: i64::try_from(time.seconds).unwrap_or(i64::MAX),
            nanoseconds: time.nanoseconds.min(999_999_999),
        },
        None => Timestamp { seconds: 0, nanoseconds: 0 },
    }
}

/// A time to be set. Errors: `EINVAL` for one before 1970, which WASI cannot say.
pub(crate) fn new_time(time: Option<Timestamp>) -> Result<NewTimestamp, Errno> {
    let Some(time) = time else { return Ok(NewTimestamp::NoChange) };
    let seconds = u64::try_from(time.seconds).map_err(|_| Errno::Inval)?;
    Ok(NewTimestamp::Timestamp(Datetime { seconds, nanoseconds: time.nanoseconds }))
}
