//! `eyot:kernel/pipe`: pipe(7).

use super::types::DescriptorFlags;
use crate::Errno;
use crate::process::{FdEntry, FdFlags, Object, OpenFile, Pipe, StatusFlags, Task};
use crate::wait::SysResult;

/// pipe2(2): the read end and the write end. Errors: `EMFILE`, `ENFILE`, `EINVAL` (`APPEND`).
pub fn pipe(task: &Task, flags: DescriptorFlags) -> SysResult<(u32, u32)> {
    if flags.contains(DescriptorFlags::APPEND) {
        return Err(Errno::Inval.into());
    }
    let accountant = task.accountant();
    let (reader, writer) = Pipe::pair(accountant)?;
    let mut status = StatusFlags::empty();
    status.set(StatusFlags::NON_BLOCKING, flags.contains(DescriptorFlags::NON_BLOCKING));
    let mut own = FdFlags::empty();
    own.set(FdFlags::CLOSE_ON_EXEC, flags.contains(DescriptorFlags::CLOSE_ON_EXEC));
    let reader = OpenFile::new(accountant, Object::PipeReader(reader), status | StatusFlags::READ, None)?;
    let writer = OpenFile::new(accountant, Object::PipeWriter(writer), status | StatusFlags::WRITE, None)?;
    let mut fds = task.fds();
    let read_fd = fds.insert(FdEntry { file: reader, flags: own }, 0)?;
    match fds.insert(FdEntry { file: writer, flags: own }, 0) {
        Ok(write_fd) => Ok((read_fd, write_fd)),
        Err(errno) => {
            let reader = fds.remove(read_fd);
            drop(fds);
            drop(reader);
            Err(errno.into())
        }
    }
}
