//! `eyot:kernel/random`: getrandom(2).

use crate::Errno;
use crate::process::Task;
use crate::wait::SysResult;

/// Fills a buffer with bytes fit for keys. Errors: `EIO` when the host has none.
pub fn fill(_task: &Task, buffer: &mut [u8]) -> SysResult<()> {
    getrandom::fill(buffer).map_err(|_| Errno::Io.into())
}
