//! Waiting for input.

use std::time::Duration;

use crate::openfiles::OpenFile;

/// Whether input arrives within `timeout`.
pub fn poll_for_input(file: &OpenFile, timeout: Duration) -> std::io::Result<bool> {
    match super::fd::raw_fd(file) {
        Some(fd) => Ok(eyot_guest::wait_ready(&[(fd, eyot_guest::Interest::Read)], Some(timeout))),
        None => Ok(true),
    }
}

/// Lets the shell's other tasks run until there is something to read, when there are any that could be its writer.
pub async fn before_read(file: &OpenFile) {
    if eyot_guest::others_alive() {
        if let OpenFile::PipeReader(_) | OpenFile::Stdin(_) = file {
            if let Some(fd) = super::fd::raw_fd(file) {
                eyot_guest::descriptor(fd, eyot_guest::Interest::Read).await;
            }
        }
    }
}
