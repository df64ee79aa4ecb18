//! Paths: each from a directory's descriptor, and never out of it.

use super::super::call::{Call, Piece};
use super::fd::{FDFLAGS_ALL, FDFLAGS_APPEND, FDFLAGS_NONBLOCK, new_times, write_filestat};
use super::rights::{FD_ALLOCATE, FD_FILESTAT_SET_SIZE, FD_READ, FD_WRITE};
use crate::Errno;
use crate::syscall::fs::{self, At};
use crate::syscall::types::{OpenFlags, PathFlags, RenameFlags};
use crate::wait::SysResult;

/// `lookupflags`: the one bit says to follow a symlink at the end.
const SYMLINK_FOLLOW: u32 = 1;

/// `oflags`.
const OFLAGS_CREAT: u32 = 1;
const OFLAGS_DIRECTORY: u32 = 1 << 1;
const OFLAGS_EXCL: u32 = 1 << 2;
const OFLAGS_TRUNC: u32 = 1 << 3;
const OFLAGS_ALL: u32 = 0xf;

/// Permission bits of new files and directories, before the umask.
const FILE_MODE: u32 = 0o666;
const DIRECTORY_MODE: u32 = 0o777;

fn lookup(flags: u32) -> Result<PathFlags, Errno> {
    match flags {
        0 => Ok(PathFlags::BENEATH),
        SYMLINK_FOLLOW => Ok(PathFlags::BENEATH | PathFlags::FOLLOW),
        _ => Err(Errno::Inval),
    }
}

pub(super) fn create_directory(call: &mut Call<'_>, fd: u32, path: u32, length: u32) -> SysResult<()> {
    let path = call.memory.text(Piece { pointer: path, length })?;
    fs::mkdir_at(call.task, Some(fd), path, PathFlags::BENEATH, DIRECTORY_MODE)
}

pub(super) fn filestat_get(
    call: &mut Call<'_>,
    fd: u32,
    flags: u32,
    path: u32,
    length: u32,
    out: u32,
) -> SysResult<()> {
    let path = call.memory.text(Piece { pointer: path, length })?;
    let status = fs::stat(call.task, Some(fd), path, lookup(flags)?)?;
    write_filestat(&mut call.memory, out, &status)
}

#[expect(clippy::too_many_arguments, reason = "WASI's signature")]
pub(super) fn filestat_set_times(
    call: &mut Call<'_>,
    fd: u32,
    flags: u32,
    path: u32,
    length: u32,
    atim: u64,
    mtim: u64,
    times: u32,
) -> SysResult<()> {
    let (accessed, modified) = new_times(atim, mtim, times)?;
    let path = call.memory.text(Piece { pointer: path, length })?;
    fs::set_times(call.task, Some(fd), path, lookup(flags)?, accessed, modified)
}

#[expect(clippy::too_many_arguments, reason = "WASI's signature")]
pub(super) fn link(
    call: &mut Call<'_>,
    old_fd: u32,
    flags: u32,
    old_path: u32,
    old_length: u32,
    new_fd: u32,
    new_path: u32,
    new_length: u32,
) -> SysResult<()> {
    let from = call.memory.text(Piece { pointer: old_path, length: old_length })?;
    let to = call.memory.text(Piece { pointer: new_path, length: new_length })?;
    fs::link(call.task, Some(old_fd), from, lookup(flags)?, Some(new_fd), to)
}

/// Whether a file is opened for reading and writing follows from the rights that are asked for.
fn open_flags(lookup_flags: u32, how: u32, base: u64, fd_flags: u32) -> Result<OpenFlags, Errno> {
    if lookup_flags & !SYMLINK_FOLLOW != 0 || how & !OFLAGS_ALL != 0 || fd_flags & !FDFLAGS_ALL != 0 {
        return Err(Errno::Inval);
    }
    let mut flags = OpenFlags::BENEATH | OpenFlags::CLOSE_ON_EXEC;
    flags.set(OpenFlags::NO_FOLLOW, lookup_flags & SYMLINK_FOLLOW == 0);
    for (bit, flag) in [
        (OFLAGS_CREAT, OpenFlags::CREATE),
        (OFLAGS_DIRECTORY, OpenFlags::DIRECTORY),
        (OFLAGS_EXCL, OpenFlags::EXCLUSIVE),
        (OFLAGS_TRUNC, OpenFlags::TRUNCATE),
    ] {
        flags.set(flag, how & bit != 0);
    }
    let directory = how & OFLAGS_DIRECTORY != 0;
    if directory && how & (OFLAGS_CREAT | OFLAGS_EXCL | OFLAGS_TRUNC) != 0 {
        return Err(Errno::Inval);
    }
    flags.set(OpenFlags::READ, base & FD_READ != 0 || directory);
    // Rights to write mean nothing for a directory: libraries ask for all they could get.
    let writes = base & (FD_WRITE | FD_ALLOCATE | FD_FILESTAT_SET_SIZE) != 0 && !directory;
    flags.set(OpenFlags::WRITE, writes);
    flags.set(OpenFlags::APPEND, fd_flags & FDFLAGS_APPEND != 0);
    flags.set(OpenFlags::NON_BLOCKING, fd_flags & FDFLAGS_NONBLOCK != 0);
    Ok(flags)
}

#[expect(clippy::too_many_arguments, reason = "WASI's signature")]
pub(super) fn open(
    call: &mut Call<'_>,
    fd: u32,
    lookup_flags: u32,
    path: u32,
    length: u32,
    how: u32,
    base: u64,
    _inheriting: u64,
    fd_flags: u32,
    out: u32,
) -> SysResult<()> {
    call.memory.check(out, 4)?;
    let flags = open_flags(lookup_flags, how, base, fd_flags)?;
    let path = call.memory.text(Piece { pointer: path, length })?;
    let opened = fs::open(call.task, Some(fd), path, flags, FILE_MODE)?;
    Ok(call.memory.write_u32(out, opened)?)
}

pub(super) fn readlink(
    call: &mut Call<'_>,
    fd: u32,
    path: u32,
    length: u32,
    buffer: u32,
    buffer_length: u32,
    out: u32,
) -> SysResult<()> {
    call.memory.check(buffer, buffer_length)?;
    let path = call.memory.text(Piece { pointer: path, length })?;
    let target = fs::readlink(call.task, Some(fd), path, PathFlags::BENEATH)?;
    let target = target.as_bytes();
    let fits = target.len().min(buffer_length as usize);
    call.memory.write(buffer, &target[..fits])?;
    Ok(call.memory.write_u32(out, fits as u32)?)
}

pub(super) fn remove_directory(call: &mut Call<'_>, fd: u32, path: u32, length: u32) -> SysResult<()> {
    let path = call.memory.text(Piece { pointer: path, length })?;
    fs::rmdir(call.task, Some(fd), path, PathFlags::BENEATH)
}

pub(super) fn unlink_file(call: &mut Call<'_>, fd: u32, path: u32, length: u32) -> SysResult<()> {
    let path = call.memory.text(Piece { pointer: path, length })?;
    fs::unlink(call.task, Some(fd), path, PathFlags::BENEATH)
}

pub(super) fn rename(
    call: &mut Call<'_>,
    old_fd: u32,
    old_path: u32,
    old_length: u32,
    new_fd: u32,
    new_path: u32,
    new_length: u32,
) -> SysResult<()> {
    let from = call.memory.text(Piece { pointer: old_path, length: old_length })?;
    let to = call.memory.text(Piece { pointer: new_path, length: new_length })?;
    let from = At { dir: Some(old_fd), path: from };
    let to = At { dir: Some(new_fd), path: to };
    fs::rename(call.task, from, to, RenameFlags::empty(), PathFlags::BENEATH)
}

pub(super) fn symlink(
    call: &mut Call<'_>,
    target: u32,
    target_length: u32,
    fd: u32,
    path: u32,
    length: u32,
) -> SysResult<()> {
    let target = call.memory.text(Piece { pointer: target, length: target_length })?;
    let path = call.memory.text(Piece { pointer: path, length })?;
    fs::symlink(call.task, target, Some(fd), path, PathFlags::BENEATH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rights_decide_how_a_file_is_opened() {
        let read_write = OpenFlags::READ | OpenFlags::WRITE;
        let flags = |how, base| open_flags(SYMLINK_FOLLOW, how, base, 0).map(|flags| flags & read_write);
        assert_eq!(flags(0, FD_READ), Ok(OpenFlags::READ));
        assert_eq!(flags(0, FD_WRITE), Ok(OpenFlags::WRITE));
        assert_eq!(flags(0, u64::MAX), Ok(read_write));
        assert_eq!(flags(OFLAGS_DIRECTORY, u64::MAX), Ok(OpenFlags::READ));
        assert_eq!(flags(OFLAGS_DIRECTORY | OFLAGS_CREAT, 0), Err(Errno::Inval));
        assert_eq!(flags(1 << 4, 0), Err(Errno::Inval));
        assert_eq!(open_flags(2, 0, 0, 0), Err(Errno::Inval));
        assert_eq!(open_flags(0, 0, 0, 1 << 5), Err(Errno::Inval));
        assert!(open_flags(0, 0, 0, 0).unwrap().contains(OpenFlags::NO_FOLLOW | OpenFlags::BENEATH));
    }
}
