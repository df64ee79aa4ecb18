//! What a name may be.

use eyot_backend::{Errno, NAME_BYTES_MAX};

/// One name, and one that cannot lead out. The kernel has checked it; on this side of the seam a mistake would be an escape.
pub(crate) fn check_name(name: &str) -> Result<(), Errno> {
    if name.len() > NAME_BYTES_MAX {
        return Err(Errno::Nametoolong);
    }
    if name.is_empty() || name == "." || name == ".." || name.bytes().any(|byte| byte == b'/' || byte == 0) {
        return Err(Errno::Inval);
    }
    Ok(())
}
