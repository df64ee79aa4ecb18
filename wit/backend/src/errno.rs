//! The one table of error numbers: Linux's number and name, WASI 0.1's number, and the message, in one row each.

use std::fmt;

macro_rules! errnos {
    ($($ident:ident = $linux:literal, $name:literal, $wasi:literal, $message:literal;)*) => {
        /// Why an operation failed: `errno(3)` with Linux's numbers.
        ///
        /// ```
        /// use eyot_backend::Errno;
        /// assert_eq!(Errno::Noent.linux(), 2);
        /// assert_eq!(Errno::Noent.name(), "ENOENT");
        /// assert_eq!(Errno::Noent.to_string(), "no such file or directory");
        /// ```
        #[derive(Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(u16)]
        pub enum Errno {
            $(#[doc = concat!("`", $name, "`: ", $message, ".")] $ident = $linux,)*
        }

        impl Errno {
            /// Every error number, ascending by Linux's number.
            pub const ALL: &'static [Errno] = &[$(Errno::$ident,)*];

            /// The name, such as `ENOENT`.
            pub const fn name(self) -> &'static str {
                match self { $(Errno::$ident => $name,)* }
            }

            /// A static message in lower case, such as `no such file or directory`.
            pub const fn message(self) -> &'static str {
                match self { $(Errno::$ident => $message,)* }
            }

            /// WASI 0.1's number. What WASI has no number for gets that of its nearest kin (`ENODATA` becomes `noent`).
            pub const fn wasi(self) -> u16 {
                match self { $(Errno::$ident => $wasi,)* }
            }

            /// The error with Linux's number `number`.
            pub const fn from_linux(number: i32) -> Option<Errno> {
                match number { $($linux => Some(Errno::$ident),)* _ => None }
            }
        }
    };
}

errnos! {
    Perm = 1, "EPERM", 63, "operation not permitted";
    Noent = 2, "ENOENT", 44, "no such file or directory";
    Srch = 3, "ESRCH", 71, "no such process";
    Intr = 4, "EINTR", 27, "interrupted system call";
    Io = 5, "EIO", 29, "input/output error";
    Nxio = 6, "ENXIO", 60, "no such device or address";
    TooBig = 7, "E2BIG", 1, "argument list too long";
    Noexec = 8, "ENOEXEC", 45, "exec format error";
    Badf = 9, "EBADF", 8, "bad file descriptor";
    Child = 10, "ECHILD", 12, "no child processes";
    Again = 11, "EAGAIN", 6, "resource temporarily unavailable";
    Nomem = 12, "ENOMEM", 48, "cannot allocate memory";
    Acces = 13, "EACCES", 2, "permission denied";
    Fault = 14, "EFAULT", 21, "bad address";
    Notblk = 15, "ENOTBLK", 28, "block device required";
    Busy = 16, "EBUSY", 10, "device or resource busy";
    Exist = 17, "EEXIST", 20, "file exists";
    Xdev = 18, "EXDEV", 75, "invalid cross-device link";
    Nodev = 19, "ENODEV", 43, "no such device";
    Notdir = 20, "ENOTDIR", 54, "not a directory";
    Isdir = 21, "EISDIR", 31, "is a directory";
    Inval = 22, "EINVAL", 28, "invalid argument";
    Nfile = 23, "ENFILE", 41, "too many open files in system";
    Mfile = 24, "EMFILE", 33, "too many open files";
    Notty = 25, "ENOTTY", 59, "inappropriate ioctl for device";
    Txtbsy = 26, "ETXTBSY", 74, "text file busy";
    Fbig = 27, "EFBIG", 22, "file too large";
    Nospc = 28, "ENOSPC", 51, "no space left on device";
    Spipe = 29, "ESPIPE", 70, "illegal seek";
    Rofs = 30, "EROFS", 69, "read-only file system";
    Mlink = 31, "EMLINK", 34, "too many links";
    Pipe = 32, "EPIPE", 64, "broken pipe";
    Dom = 33, "EDOM", 18, "numerical argument out of domain";
    Range = 34, "ERANGE", 68, "numerical result out of range";
    Deadlk = 35, "EDEADLK", 16, "resource deadlock avoided";
    Nametoolong = 36, "ENAMETOOLONG", 37, "file name too long";
    Nolck = 37, "ENOLCK", 46, "no locks available";
    Nosys = 38, "ENOSYS", 52, "function not implemented";
    Notempty = 39, "ENOTEMPTY", 55, "directory not empty";
    Loop = 40, "ELOOP", 32, "too many levels of symbolic links";
    Nomsg = 42, "ENOMSG", 49, "no message of desired type";
    Idrm = 43, "EIDRM", 24, "identifier removed";
    Nodata = 61, "ENODATA", 44, "no data available";
    Nolink = 67, "ENOLINK", 47, "link has been severed";
    Proto = 71, "EPROTO", 65, "protocol error";
    Multihop = 72, "EMULTIHOP", 36, "multihop attempted";
    Badmsg = 74, "EBADMSG", 9, "bad message";
    Overflow = 75, "EOVERFLOW", 61, "value too large for defined data type";
    Ilseq = 84, "EILSEQ", 25, "invalid or incomplete multibyte or wide character";
    Notsock = 88, "ENOTSOCK", 57, "socket operation on non-socket";
    Destaddrreq = 89, "EDESTADDRREQ", 17, "destination address required";
    Msgsize = 90, "EMSGSIZE", 35, "message too long";
    Prototype = 91, "EPROTOTYPE", 67, "protocol wrong type for socket";
    Noprotoopt = 92, "ENOPROTOOPT", 50, "protocol not available";
    Protonosupport = 93, "EPROTONOSUPPORT", 66, "protocol not supported";
    Notsup = 95, "ENOTSUP", 58, "operation not supported";
    Afnosupport = 97, "EAFNOSUPPORT", 5, "address family not supported by protocol";
    Addrinuse = 98, "EADDRINUSE", 3, "address already in use";
    Addrnotavail = 99, "EADDRNOTAVAIL", 4, "cannot assign requested address";
    Netdown = 100, "ENETDOWN", 38, "network is down";
    Netunreach = 101, "ENETUNREACH", 40, "network is unreachable";
    Netreset = 102, "ENETRESET", 39, "network dropped connection on reset";
    Connaborted = 103, "ECONNABORTED", 13, "software caused connection abort";
    Connreset = 104, "ECONNRESET", 15, "connection reset by peer";
    Nobufs = 105, "ENOBUFS", 42, "no buffer space available";
    Isconn = 106, "EISCONN", 30, "transport endpoint is already connected";
    Notconn = 107, "ENOTCONN", 53, "transport endpoint is not connected";
    Timedout = 110, "ETIMEDOUT", 73, "connection timed out";
    Connrefused = 111, "ECONNREFUSED", 14, "connection refused";
    Hostunreach = 113, "EHOSTUNREACH", 23, "no route to host";
    Already = 114, "EALREADY", 7, "operation already in progress";
    Inprogress = 115, "EINPROGRESS", 26, "operation now in progress";
    Stale = 116, "ESTALE", 72, "stale file handle";
    Dquot = 122, "EDQUOT", 19, "disk quota exceeded";
    Canceled = 125, "ECANCELED", 11, "operation canceled";
    Ownerdead = 130, "EOWNERDEAD", 62, "owner died";
    Notrecoverable = 131, "ENOTRECOVERABLE", 56, "state not recoverable";
}

impl Errno {
    /// Linux's number, positive.
    pub const fn linux(self) -> i32 {
        self as u16 as i32
    }
}

impl fmt::Debug for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())
    }
}

impl std::error::Error for Errno {}

/// A number that is no error of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownErrno(pub i32);

impl fmt::Display for UnknownErrno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unknown error number {}", self.0)
    }
}

impl std::error::Error for UnknownErrno {}

impl TryFrom<i32> for Errno {
    type Error = UnknownErrno;

    fn try_from(number: i32) -> Result<Self, UnknownErrno> {
        Errno::from_linux(number).ok_or(UnknownErrno(number))
    }
}

impl From<&std::io::Error> for Errno {
    /// An operating system's error keeps its number; others become `EIO` unless their kind says more.
    fn from(error: &std::io::Error) -> Self {
        if let Some(errno) = error.raw_os_error().and_then(Errno::from_linux) {
            return errno;
        }
        match error.kind() {
            std::io::ErrorKind::NotFound => Errno::Noent,
            std::io::ErrorKind::PermissionDenied => Errno::Acces,
            std::io::ErrorKind::AlreadyExists => Errno::Exist,
            std::io::ErrorKind::InvalidInput => Errno::Inval,
            _ => Errno::Io,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_names_and_messages_are_unique_and_round_trip() {
        for (index, &errno) in Errno::ALL.iter().enumerate() {
            assert_eq!(Errno::from_linux(errno.linux()), Some(errno));
            assert!(errno.name().starts_with('E'));
            assert!(errno.message().starts_with(|c: char| c.is_lowercase() || c.is_numeric()));
            assert!((1..=76).contains(&errno.wasi()), "{errno:?}");
            assert!(
                Errno::ALL[..index].iter().all(|other| other.name() != errno.name() && other.linux() < errno.linux())
            );
        }
        assert_eq!(Errno::from_linux(0), None);
        assert_eq!(Errno::from_linux(9999), None);
    }
}
