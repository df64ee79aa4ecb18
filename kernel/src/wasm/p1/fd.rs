//! Descriptors: their state, attributes and numbers.

use super::super::call::{Call, Memory};
use super::rights;
use crate::Errno;
use crate::backend::{NodeKind, Timestamp};
use crate::process::{FdFlags, StatusFlags, Task};
use crate::syscall::descriptor;
use crate::syscall::types::{DescriptorFlags, FileStatus, NewTime, Whence};
use crate::wait::SysResult;

/// `fdflags`.
pub(super) const FDFLAGS_APPEND: u32 = 1;
pub(super) const FDFLAGS_NONBLOCK: u32 = 1 << 2;
/// All of them: append, dsync, nonblock, rsync, sync.
pub(super) const FDFLAGS_ALL: u32 = 0x1f;

/// `advice` has six values.
const ADVICE_MAX: u32 = 5;

const FILESTAT_BYTES: usize = 64;
const FDSTAT_BYTES: usize = 24;

/// The name of the one directory that a program starts with.
const PREOPEN_NAME: &[u8] = b"/";

/// For calls that WASI's directories do not have. Answers what it is. Errors: `EBADF` for a directory.
fn not_a_directory(task: &Task, fd: u32) -> Result<NodeKind, Errno> {
    let fds = task.fds();
    let kind = rights::kind(&fds.get(fd)?.file);
    if kind == NodeKind::Directory { Err(Errno::Badf) } else { Ok(kind) }
}

pub(super) fn advise(call: &mut Call<'_>, fd: u32, offset: u64, length: u64, advice: u32) -> SysResult<()> {
    if not_a_directory(call.task, fd)? == NodeKind::Fifo {
        return Err(Errno::Spipe.into());
    }
    if advice > ADVICE_MAX || offset.checked_add(length).is_none() {
        return Err(Errno::Inval.into());
    }
    // Files of a VM are in memory or cached by their backends: there is nothing to prepare.
    Ok(())
}

pub(super) fn allocate(call: &mut Call<'_>, fd: u32, offset: u64, length: u64) -> SysResult<()> {
    not_a_directory(call.task, fd)?;
    descriptor::allocate(call.task, fd, offset, length)
}

pub(super) fn close(call: &mut Call<'_>, fd: u32) -> SysResult<()> {
    descriptor::close(call.task, fd)
}

pub(super) fn datasync(call: &mut Call<'_>, fd: u32) -> SysResult<()> {
    descriptor::sync(call.task, fd, true)
}

pub(super) fn sync(call: &mut Call<'_>, fd: u32) -> SysResult<()> {
    descriptor::sync(call.task, fd, false)
}

pub(super) fn fdstat_get(call: &mut Call<'_>, fd: u32, out: u32) -> SysResult<()> {
    let file = call.task.file(fd)?;
    let status = file.flags();
    let mut flags = 0;
    for (flag, bit) in [(StatusFlags::APPEND, FDFLAGS_APPEND), (StatusFlags::NON_BLOCKING, FDFLAGS_NONBLOCK)] {
        if status.contains(flag) {
            flags |= bit;
        }
    }
    let (base, inheriting) = rights::of(&file);
    let mut record = [0; FDSTAT_BYTES];
    record[0] = rights::socket_type(&file).unwrap_or_else(|| rights::file_type(rights::kind(&file)));
    record[2..4].copy_from_slice(&(flags as u16).to_le_bytes());
    record[8..16].copy_from_slice(&base.to_le_bytes());
    record[16..24].copy_from_slice(&inheriting.to_le_bytes());
    Ok(call.memory.write(out, &record)?)
}

pub(super) fn fdstat_set_flags(call: &mut Call<'_>, fd: u32, flags: u32) -> SysResult<()> {
    not_a_directory(call.task, fd)?;
    if flags & !FDFLAGS_ALL != 0 {
        return Err(Errno::Inval.into());
    }
    if flags & !(FDFLAGS_APPEND | FDFLAGS_NONBLOCK) != 0 {
        // As on Linux, how writes are made durable is fixed when a file is opened.
        return Err(Errno::Notsup.into());
    }
    let mut wanted = descriptor::get_flags(call.task, fd)? & DescriptorFlags::CLOSE_ON_EXEC;
    wanted.set(DescriptorFlags::APPEND, flags & FDFLAGS_APPEND != 0);
    wanted.set(DescriptorFlags::NON_BLOCKING, flags & FDFLAGS_NONBLOCK != 0);
    descriptor::set_flags(call.task, fd, wanted)
}

/// Rights are computed, so they cannot be taken away; asking for what is there already is fine. Errors: `notcapable` (as `EPERM`) for more, `ENOTSUP` for less.
pub(super) fn fdstat_set_rights(call: &mut Call<'_>, fd: u32, base: u64, inheriting: u64) -> SysResult<()> {
    let (has_base, has_inheriting) = rights::of(&*call.task.file(fd)?);
    if base & !has_base != 0 || inheriting & !has_inheriting != 0 {
        return Err(Errno::Perm.into());
    }
    if base == has_base && inheriting == has_inheriting { Ok(()) } else { Err(Errno::Notsup.into()) }
}

pub(super) fn filestat_get(call: &mut Call<'_>, fd: u32, out: u32) -> SysResult<()> {
    let status = descriptor::stat(call.task, fd)?;
    write_filestat(&mut call.memory, out, &status)
}

pub(super) fn write_filestat(memory: &mut Memory<'_>, out: u32, status: &FileStatus) -> SysResult<()> {
    let attributes = &status.attributes;
    let mut record = [0; FILESTAT_BYTES];
    record[0..8].copy_from_slice(&status.device.to_le_bytes());
    record[8..16].copy_from_slice(&attributes.node.to_le_bytes());
    record[16] = rights::file_type(attributes.kind);
    record[24..32].copy_from_slice(&u64::from(attributes.links).to_le_bytes());
    record[32..40].copy_from_slice(&attributes.size.to_le_bytes());
    for (at, time) in [(40, attributes.accessed), (48, attributes.modified), (56, attributes.changed)] {
        // Times before 1970 have no number in WASI 0.1.
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(0);
        record[at..at + 8].copy_from_slice(&nanos.to_le_bytes());
    }
    Ok(memory.write(out, &record)?)
}

pub(super) fn filestat_set_size(call: &mut Call<'_>, fd: u32, size: u64) -> SysResult<()> {
    not_a_directory(call.task, fd)?;
    descriptor::set_size(call.task, fd, size)
}

pub(super) fn filestat_set_times(call: &mut Call<'_>, fd: u32, atim: u64, mtim: u64, flags: u32) -> SysResult<()> {
    let (accessed, modified) = new_times(atim, mtim, flags)?;
    descriptor::set_times(call.task, fd, accessed, modified)
}

/// `fstflags`: atim, atim_now, mtim, mtim_now. Errors: `EINVAL` for a time and now at once, and for unknown bits.
pub(super) fn new_times(atim: u64, mtim: u64, flags: u32) -> Result<(NewTime, NewTime), Errno> {
    if flags > 0xf {
        return Err(Errno::Inval);
    }
    let time = |nanos: u64, flags: u32| match flags & 3 {
        0 => Ok(NewTime::Keep),
        1 => Ok(NewTime::At(Timestamp {
            seconds: i64::try_from(nanos / 1_000_000_000).map_err(|_| Errno::Inval)?,
            nanoseconds: (nanos % 1_000_000_000) as u32,
        })),
        2 => Ok(NewTime::Now),
        _ => Err(Errno::Inval),
    };
    Ok((time(atim, flags)?, time(mtim, flags >> 2)?))
}

/// What a program was started with: its directory `/`. A C library asks for descriptor after descriptor until one is not open; so an inherited one below the directory answers as a
/// kind that no library knows and all skip.
pub(super) fn prestat_get(call: &mut Call<'_>, fd: u32, out: u32) -> SysResult<()> {
    const TAG_DIRECTORY: u32 = 0;
    const TAG_NONE: u32 = 0xff;
    let fds = call.task.fds();
    let preopen = fds.get(fd)?.flags.contains(FdFlags::PREOPEN);
    let below = !preopen
        && (fd + 1..fds.end()).any(|above| fds.get(above).is_ok_and(|entry| entry.flags.contains(FdFlags::PREOPEN)));
    drop(fds);
    let (tag, length) = match (preopen, below) {
        (true, _) => (TAG_DIRECTORY, PREOPEN_NAME.len() as u32),
        (false, true) => (TAG_NONE, 0),
        (false, false) => return Err(Errno::Badf.into()),
    };
    let record = (u64::from(length) << 32) | u64::from(tag);
    Ok(call.memory.write_u64(out, record)?)
}

pub(super) fn prestat_dir_name(call: &mut Call<'_>, fd: u32, path: u32, length: u32) -> SysResult<()> {
    let preopen = call.task.fds().get(fd)?.flags.contains(FdFlags::PREOPEN);
    if !preopen {
        return Err(Errno::Badf.into());
    }
    if (length as usize) < PREOPEN_NAME.len() {
        return Err(Errno::Nametoolong.into());
    }
    Ok(call.memory.write(path, PREOPEN_NAME)?)
}

/// `to` becomes what `from` was, and `from` is closed; both must be open.
pub(super) fn renumber(call: &mut Call<'_>, from: u32, to: u32) -> SysResult<()> {
    let flags = descriptor::get_flags(call.task, from)?;
    descriptor::get_flags(call.task, to)?;
    if from == to {
        return Ok(());
    }
    descriptor::dup2(call.task, from, to)?;
    descriptor::set_flags(call.task, to, flags)?;
    descriptor::close(call.task, from)
}

pub(super) fn seek(call: &mut Call<'_>, fd: u32, offset: i64, whence: u32, out: u32) -> SysResult<()> {
    let whence = match whence {
        0 => Whence::Start,
        1 => Whence::Current,
        2 => Whence::End,
        _ => return Err(Errno::Inval.into()),
    };
    seek_and_tell(call, fd, offset, whence, out)
}

pub(super) fn tell(call: &mut Call<'_>, fd: u32, out: u32) -> SysResult<()> {
    seek_and_tell(call, fd, 0, Whence::Current, out)
}

fn seek_and_tell(call: &mut Call<'_>, fd: u32, offset: i64, whence: Whence, out: u32) -> SysResult<()> {
    call.memory.check(out, 8)?;
    not_a_directory(call.task, fd)?;
    let position = descriptor::seek(call.task, fd, offset, whence)?;
    Ok(call.memory.write_u64(out, position)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_decoded() {
        let at = |seconds, nanoseconds| NewTime::At(Timestamp { seconds, nanoseconds });
        assert_eq!(new_times(1_500_000_000, 9, 0b1001), Ok((at(1, 500_000_000), NewTime::Now)));
        assert_eq!(new_times(5, 7, 0b0100), Ok((NewTime::Keep, at(0, 7))));
        assert_eq!(new_times(u64::MAX, 0, 1), Ok((at(18_446_744_073, 709_551_615), NewTime::Keep)));
        for flags in [0b0011, 0b1100, 0b1_0000, u32::MAX] {
            assert_eq!(new_times(0, 0, flags), Err(Errno::Inval), "{flags:b}");
        }
    }
}
