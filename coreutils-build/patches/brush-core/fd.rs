//! Descriptors.

use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};

use crate::openfiles::OpenFile;
use crate::{ShellFd, error};

/// The shell is given no descriptors besides the standard three.
pub fn try_iter_open_fds() -> impl Iterator<Item = (ShellFd, OpenFile)> {
    std::iter::empty()
}

/// See [`try_iter_open_fds`].
pub fn try_get_file_for_open_fd(_fd: ShellFd) -> Option<OpenFile> {
    None
}

/// The file's own descriptor, which a child can be given.
pub(crate) fn to_owned_fd(file: OpenFile) -> Result<OwnedFd, error::Error> {
    Ok(match file {
        OpenFile::Stdin(stream) => stream.as_fd().try_clone_to_owned()?,
        OpenFile::Stdout(stream) => stream.as_fd().try_clone_to_owned()?,
        OpenFile::Stderr(stream) => stream.as_fd().try_clone_to_owned()?,
        OpenFile::File(file) => file.into(),
        OpenFile::PipeReader(pipe) => pipe.into(),
        OpenFile::PipeWriter(pipe) => pipe.into(),
        OpenFile::Stream(_) => {
            return Err(error::ErrorKind::NotSupportedOnThisPlatform("passing a custom stream").into());
        }
    })
}

/// The number to wait on.
pub(crate) fn raw_fd(file: &OpenFile) -> Option<RawFd> {
    Some(match file {
        OpenFile::Stdin(_) => 0,
        OpenFile::Stdout(_) => 1,
        OpenFile::Stderr(_) => 2,
        OpenFile::File(file) => file.as_raw_fd(),
        OpenFile::PipeReader(pipe) => pipe.as_raw_fd(),
        OpenFile::PipeWriter(pipe) => pipe.as_raw_fd(),
        OpenFile::Stream(_) => return None,
    })
}
