//! Sockets. A VM has none yet, so every open descriptor is something else.

use super::super::call::Call;
use crate::Errno;
use crate::wait::SysResult;

fn no_socket(call: &Call<'_>, fd: u32) -> SysResult<()> {
    call.task.file(fd)?;
    Err(Errno::Notsock.into())
}

pub(super) fn accept(call: &mut Call<'_>, fd: u32, _flags: u32, _out: u32) -> SysResult<()> {
    no_socket(call, fd)
}

pub(super) fn recv(
    call: &mut Call<'_>,
    fd: u32,
    _iovs: u32,
    _count: u32,
    _flags: u32,
    _size: u32,
    _out: u32,
) -> SysResult<()> {
    no_socket(call, fd)
}

pub(super) fn send(call: &mut Call<'_>, fd: u32, _iovs: u32, _count: u32, _flags: u32, _out: u32) -> SysResult<()> {
    no_socket(call, fd)
}

pub(super) fn shutdown(call: &mut Call<'_>, fd: u32, _how: u32) -> SysResult<()> {
    no_socket(call, fd)
}
