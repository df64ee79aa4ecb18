//! Why a filesystem cannot be mounted.

use std::io;
use std::path::PathBuf;

use eyot_backend::Errno;

/// Why a mount did not come about, and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MountError {
    /// The path is not there, or cannot be reached.
    #[error("cannot mount on {}: {source}; make an empty directory there first", path.display())]
    Path {
        /// The path.
        path: PathBuf,
        /// What the host said.
        source: io::Error,
    },
    /// The path leads to something else.
    #[error("cannot mount on {}: it is not a directory; name an empty directory", path.display())]
    NotADirectory {
        /// The path.
        path: PathBuf,
    },
    /// The directory has entries, which the mount would hide.
    #[error("cannot mount on {}: the directory is not empty; name an empty directory", path.display())]
    NotEmpty {
        /// The path.
        path: PathBuf,
    },
    /// A mount whose server is gone is in the way.
    #[error("cannot mount on {path}: the server of an earlier mount there is gone; run `umount -l {path}` or `fusermount3 -u -z {path}`", path = path.display())]
    Dead {
        /// The path.
        path: PathBuf,
    },
    /// The host has no FUSE.
    #[error(
        "this host offers no FUSE: /dev/fuse is not there; load it (`modprobe fuse`), or give the container the device (`--device /dev/fuse`)"
    )]
    NoDevice,
    /// The device may not be opened.
    #[error(
        "this user may not open /dev/fuse; let everybody (`chmod 666 /dev/fuse`, as most systems do), or run as root"
    )]
    NoAccess,
    /// Neither may this process mount, nor is there the helper that may.
    #[error(
        "this process may not mount, and fusermount3, which may, was not found; install the package fuse3, or run as root"
    )]
    NoHelper,
    /// The host's kernel refused.
    #[error("cannot mount on {}: {source}; in a container it needs the capability SYS_ADMIN and the device /dev/fuse", path.display())]
    Refused {
        /// The path.
        path: PathBuf,
        /// What the host said.
        source: io::Error,
    },
    /// The helper refused.
    #[error("cannot mount on {}: fusermount3 says: {message}", path.display())]
    Helper {
        /// The path.
        path: PathBuf,
        /// What the helper said.
        message: String,
    },
    /// The backend does not answer for its own root.
    #[error("the filesystem cannot be served: its root answers: {0}")]
    Backend(Errno),
    /// The session broke off before it served anything, or it ended with an error.
    #[error("the FUSE session failed: {0}")]
    Session(io::Error),
}
