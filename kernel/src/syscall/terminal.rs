//! `eyot:kernel/terminal`: what a program may ask of its terminal.

use super::types::WindowSize;
use crate::Errno;
use crate::process::{Object, Task};
use crate::wait::SysResult;

/// isatty(3). Errors: `EBADF`.
pub fn is_terminal(task: &Task, fd: u32) -> SysResult<bool> {
    Ok(matches!(task.file(fd)?.object(), Object::Stream(stream) if stream.is_terminal()))
}

/// The size of the window. Errors: `EBADF`, `ENOTTY`.
pub fn get_window_size(task: &Task, fd: u32) -> SysResult<WindowSize> {
    match task.file(fd)?.object() {
        Object::Stream(stream) if stream.is_terminal() => Ok(stream.window_size()?),
        _ => Err(Errno::Notty.into()),
    }
}
