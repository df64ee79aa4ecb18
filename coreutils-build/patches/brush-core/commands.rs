//! How commands are started.

pub use std::os::wasi::process::{CommandExt, ExitStatusExt};

use crate::{ShellFd, error, openfiles};

/// Gives a command more descriptors than the standard three.
pub trait CommandFdInjectionExt {
    /// The child finds each file under its number.
    fn inject_fds(
        &mut self,
        open_files: impl Iterator<Item = (ShellFd, openfiles::OpenFile)>,
    ) -> Result<(), error::Error>;
}

impl CommandFdInjectionExt for std::process::Command {
    fn inject_fds(
        &mut self,
        open_files: impl Iterator<Item = (ShellFd, openfiles::OpenFile)>,
    ) -> Result<(), error::Error> {
        for (number, file) in open_files {
            if let Ok(number) = u32::try_from(number) {
                self.pass_fd(super::fd::to_owned_fd(file)?, number);
            }
        }
        Ok(())
    }
}

/// Arranges what becomes of the terminal.
pub trait CommandFgControlExt {
    /// The command becomes the terminal's foreground process group.
    fn take_foreground(&mut self);
    /// The command leads a session.
    fn lead_session(&mut self);
}

impl CommandFgControlExt for std::process::Command {
    fn take_foreground(&mut self) {
        // The kernel has no call for a foreground process group yet.
    }

    fn lead_session(&mut self) {
        self.new_session();
    }
}
