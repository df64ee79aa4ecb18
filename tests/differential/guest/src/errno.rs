//! Error numbers by name: the numbers of Linux and WASI differ, the names do not.

use std::fmt;

/// An error number of the platform this was built for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Errno(pub i32);

impl Errno {
    /// The step names a descriptor or child that no step made, because that failed.
    pub const NO_HANDLE: Errno = Errno(i32::MIN);

    /// That of the call that has just failed.
    pub fn last() -> Errno {
        Errno::of(&std::io::Error::last_os_error())
    }

    /// That of an error of the standard library; 0 when the error is its own.
    pub fn of(error: &std::io::Error) -> Errno {
        Errno(error.raw_os_error().unwrap_or(0))
    }
}

macro_rules! names {
    ($($name:ident)*) => {
        impl fmt::Display for Errno {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                if *self == Errno::NO_HANDLE {
                    return f.write_str("no handle");
                }
                $(if self.0 == libc::$name {
                    return f.write_str(stringify!($name));
                })*
                write!(f, "errno {}", self.0)
            }
        }
    };
}

names! {
    E2BIG EACCES EAGAIN EBADF EBUSY ECHILD EDOM EDQUOT EEXIST EFAULT EFBIG EILSEQ EINTR EINVAL EIO EISDIR ELOOP EMFILE
    EMLINK ENAMETOOLONG ENFILE ENODEV ENOENT ENOEXEC ENOLCK ENOMEM ENOSPC ENOSYS ENOTDIR ENOTEMPTY ENOTSUP ENOTTY ENXIO
    EOVERFLOW EPERM EPIPE ERANGE EROFS ESPIPE ESRCH ESTALE ETXTBSY EXDEV
}
