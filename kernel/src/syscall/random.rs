//! `eyot:kernel/random`: getrandom(2).

use crate::Errno;
use crate::process::Task;
use crate::wait::SysResult;

/// The most bytes of one call of [`bytes`].
pub const BYTES_MAX: usize = 1 << 20;

/// As many bytes fit for keys. Errors: `EINVAL` for more than 1 MiB, `EIO` when the host has none.
pub fn bytes(task: &Task, length: usize) -> SysResult<Vec<u8>> {
    if length > BYTES_MAX {
        return Err(Errno::Inval.into());
    }
    let mut bytes = vec![0; length];
    fill(task, &mut bytes)?;
    Ok(bytes)
}

/// Fills a buffer with bytes fit for keys. Errors: `EIO` when the host has none.
pub fn fill(_task: &Task, buffer: &mut [u8]) -> SysResult<()> {
    getrandom::fill(buffer).map_err(|_| Errno::Io.into())
}
