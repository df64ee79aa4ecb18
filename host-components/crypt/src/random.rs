//! Random bytes.

#[cfg(not(target_family = "wasm"))]
use eyot_backend::Errno;

/// Bytes from the operating system.
#[cfg(not(target_family = "wasm"))]
pub(crate) fn fill(bytes: &mut [u8]) -> Result<(), Errno> {
    getrandom::fill(bytes).map_err(|_| Errno::Io)
}

/// Bytes from the kernel.
#[cfg(target_family = "wasm")]
pub(crate) use eyot_preopen::random as fill;
