//! What a backend that is a component is granted besides `eyot:backend`: the files of preopened directories, and random bytes. Both come through
//! `eyot:kernel`, from a VM that holds nothing but those directories; their paths there are what the mount said.
//!
//! The crate is empty on every target but WebAssembly: a backend that is compiled in reaches the host by its operating system.
#![cfg(target_family = "wasm")]

mod bindings;
mod fd;
mod names;

use eyot_backend::{Errno, Timestamp};

pub use bindings::eyot::kernel::fs::{FilesystemStatus, OpenFlags, RenameFlags};
pub use bindings::eyot::kernel::types::{FileKind, FileStatus};
pub use fd::{Entry, Fd, NewTime};
pub use names::{
    link, make_directory, make_node, make_symlink, read_link, remove_directory, rename, set_owner, status, unlink,
};

use bindings::eyot::kernel::types as w;

/// Fills a buffer with bytes fit for keys.
pub fn random(bytes: &mut [u8]) -> Result<(), Errno> {
    bindings::link_section();
    for part in bytes.chunks_mut(1 << 20) {
        let got = bindings::eyot::kernel::random::bytes(part.len() as u32).map_err(errno)?;
        if got.len() != part.len() {
            return Err(Errno::Io);
        }
        part.copy_from_slice(&got);
    }
    Ok(())
}

/// Both tables are in the order of Linux's numbers.
fn errno(error: w::Errno) -> Errno {
    Errno::ALL.get(error as usize).copied().unwrap_or(Errno::Io)
}

/// A time as the backends have it.
pub fn timestamp(time: &w::Timestamp) -> Timestamp {
    Timestamp { seconds: time.seconds, nanoseconds: time.nanoseconds }
}
