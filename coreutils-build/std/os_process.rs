//! What Eyot's processes offer beyond the portable `std::process`.

#![stable(feature = "rust1", since = "1.0.0")]

use crate::ffi::OsStr;
use crate::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use crate::sys::fd::FileDesc;
use crate::sys::{AsInner, AsInnerMut, FromInner, IntoInner};
use crate::{io, process, sys};

/// Eyot's additions to [`process::Command`].
#[stable(feature = "rust1", since = "1.0.0")]
pub trait CommandExt {
    /// Sets `argv[0]` apart from the path of the program.
    #[stable(feature = "rust1", since = "1.0.0")]
    fn arg0<S: AsRef<OsStr>>(&mut self, arg: S) -> &mut process::Command;

    /// The child joins the process group `pgid`; 0 makes a new one, named by the child's pid.
    #[stable(feature = "rust1", since = "1.0.0")]
    fn process_group(&mut self, pgid: i32) -> &mut process::Command;

    /// The child leads a new session.
    #[stable(feature = "rust1", since = "1.0.0")]
    fn new_session(&mut self) -> &mut process::Command;

    /// The child finds `fd` under `number` (3 or above; the standard three are set by `stdin`, `stdout`, `stderr`).
    #[stable(feature = "rust1", since = "1.0.0")]
    fn pass_fd(&mut self, fd: OwnedFd, number: u32) -> &mut process::Command;

    /// Replaces the calling program; returns only when that failed.
    #[stable(feature = "rust1", since = "1.0.0")]
    fn exec(&mut self) -> io::Error;
}

#[stable(feature = "rust1", since = "1.0.0")]
impl CommandExt for process::Command {
    fn arg0<S: AsRef<OsStr>>(&mut self, arg: S) -> &mut process::Command {
        self.as_inner_mut().set_arg_0(arg.as_ref());
        self
    }

    fn process_group(&mut self, pgid: i32) -> &mut process::Command {
        self.as_inner_mut().set_process_group(pgid as u32);
        self
    }

    fn new_session(&mut self) -> &mut process::Command {
        self.as_inner_mut().set_new_session();
        self
    }

    fn pass_fd(&mut self, fd: OwnedFd, number: u32) -> &mut process::Command {
        self.as_inner_mut().pass_fd(fd, number);
        self
    }

    fn exec(&mut self) -> io::Error {
        self.as_inner_mut().exec()
    }
}

/// Eyot's additions to [`process::ExitStatus`].
#[stable(feature = "rust1", since = "1.0.0")]
pub trait ExitStatusExt {
    /// The signal that ended the process, if one did.
    #[stable(feature = "rust1", since = "1.0.0")]
    fn signal(&self) -> Option<i32>;

    /// The signal that stopped the process, if one did.
    #[stable(feature = "rust1", since = "1.0.0")]
    fn stopped_signal(&self) -> Option<i32>;

    /// Whether the process was stopped and has been continued.
    #[stable(feature = "rust1", since = "1.0.0")]
    fn continued(&self) -> bool;
}

#[stable(feature = "rust1", since = "1.0.0")]
impl ExitStatusExt for process::ExitStatus {
    fn signal(&self) -> Option<i32> {
        self.as_inner().signal()
    }

    fn stopped_signal(&self) -> Option<i32> {
        self.as_inner().stopped_signal()
    }

    fn continued(&self) -> bool {
        self.as_inner().continued()
    }
}

/// Eyot's additions to [`process::Child`].
#[stable(feature = "rust1", since = "1.0.0")]
pub trait ChildExt {
    /// Sends a signal by its Linux number; a child that was already waited for is left alone.
    #[stable(feature = "rust1", since = "1.0.0")]
    fn send_signal(&self, signal: i32) -> io::Result<()>;
}

#[stable(feature = "rust1", since = "1.0.0")]
impl ChildExt for process::Child {
    fn send_signal(&self, signal: i32) -> io::Result<()> {
        self.handle.send_signal(signal as u32)
    }
}

/// The pid of the calling process's parent.
#[must_use]
#[stable(feature = "rust1", since = "1.0.0")]
pub fn parent_id() -> u32 {
    sys::process::getppid()
}

/// Sends a signal, by its Linux number, to the process `pid`; a negative `pid` names a process group, signal 0 only
/// checks.
#[stable(feature = "rust1", since = "1.0.0")]
pub fn send_signal(pid: i32, signal: i32) -> io::Result<()> {
    sys::eyot::kill(pid as u32, signal as u32)
}

#[stable(feature = "rust1", since = "1.0.0")]
impl FromRawFd for process::Stdio {
    unsafe fn from_raw_fd(fd: RawFd) -> process::Stdio {
        process::Stdio::from(unsafe { OwnedFd::from_raw_fd(fd) })
    }
}

#[stable(feature = "rust1", since = "1.0.0")]
impl From<OwnedFd> for process::Stdio {
    fn from(fd: OwnedFd) -> process::Stdio {
        process::Stdio::from_inner(sys::process::Stdio::Fd(FileDesc::from_inner(fd)))
    }
}

macro_rules! child_pipes {
    ($($pipe:ident)*) => {$(
        #[stable(feature = "rust1", since = "1.0.0")]
        impl AsFd for process::$pipe {
            fn as_fd(&self) -> BorrowedFd<'_> {
                self.as_inner().as_fd()
            }
        }

        #[stable(feature = "rust1", since = "1.0.0")]
        impl AsRawFd for process::$pipe {
            fn as_raw_fd(&self) -> RawFd {
                self.as_inner().as_raw_fd()
            }
        }

        #[stable(feature = "rust1", since = "1.0.0")]
        impl IntoRawFd for process::$pipe {
            fn into_raw_fd(self) -> RawFd {
                OwnedFd::from(self).into_raw_fd()
            }
        }

        #[stable(feature = "rust1", since = "1.0.0")]
        impl From<process::$pipe> for OwnedFd {
            fn from(pipe: process::$pipe) -> OwnedFd {
                pipe.into_inner().into_inner()
            }
        }

        #[stable(feature = "rust1", since = "1.0.0")]
        impl From<OwnedFd> for process::$pipe {
            fn from(fd: OwnedFd) -> process::$pipe {
                process::$pipe::from_inner(FileDesc::from_inner(fd))
            }
        }
    )*};
}

child_pipes! { ChildStdin ChildStdout ChildStderr }
