//! What is done with a name in a directory. No symlink is followed.

use eyot_backend::Errno;

use crate::bindings::eyot::kernel::fs::{self, PathFlags, RenameFlags};
use crate::{Fd, FileKind, FileStatus, errno};

/// What has a name.
pub fn status(dir: &Fd, name: &str) -> Result<FileStatus, Errno> {
    fs::stat(Some(dir.number()), name, PathFlags::empty()).map_err(errno)
}

/// Makes a directory.
pub fn make_directory(dir: &Fd, name: &str, mode: u32) -> Result<(), Errno> {
    fs::mkdir(Some(dir.number()), name, mode).map_err(errno)
}

/// Makes a FIFO, a socket's name or a device node.
pub fn make_node(dir: &Fd, name: &str, kind: FileKind, mode: u32, device: u64) -> Result<(), Errno> {
    fs::make_node(Some(dir.number()), name, kind, mode, device).map_err(errno)
}

/// Makes a symlink.
pub fn make_symlink(dir: &Fd, name: &str, target: &str) -> Result<(), Errno> {
    fs::symlink(target, Some(dir.number()), name).map_err(errno)
}

/// Makes `name` another name of what `from_name` is.
pub fn link(from_dir: &Fd, from_name: &str, dir: &Fd, name: &str) -> Result<(), Errno> {
    fs::link(Some(from_dir.number()), from_name, PathFlags::empty(), Some(dir.number()), name).map_err(errno)
}

/// Takes the name of anything but a directory away.
pub fn unlink(dir: &Fd, name: &str) -> Result<(), Errno> {
    fs::unlink(Some(dir.number()), name).map_err(errno)
}

/// Takes an empty directory away.
pub fn remove_directory(dir: &Fd, name: &str) -> Result<(), Errno> {
    fs::rmdir(Some(dir.number()), name).map_err(errno)
}

/// Moves a name.
pub fn rename(from_dir: &Fd, from_name: &str, dir: &Fd, name: &str, how: RenameFlags) -> Result<(), Errno> {
    fs::rename(Some(from_dir.number()), from_name, Some(dir.number()), name, how).map_err(errno)
}

/// A symlink's target.
pub fn read_link(dir: &Fd, name: &str) -> Result<String, Errno> {
    fs::readlink(Some(dir.number()), name).map_err(errno)
}

/// Sets the owner of what has a name.
pub fn set_owner(dir: &Fd, name: &str, uid: Option<u32>, gid: Option<u32>) -> Result<(), Errno> {
    fs::set_owner(Some(dir.number()), name, PathFlags::empty(), uid, gid).map_err(errno)
}
