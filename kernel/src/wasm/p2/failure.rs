//! Why a host function does not answer: an error that the guest is told, or the end of the guest. The two are different types to wasmtime and never mixed up.

use std::sync::Arc;

use wasmtime::component::{Resource, ResourceTableError};

use super::bindings::kernel::eyot::kernel::types as kernel_types;
use super::bindings::wasi::wasi::filesystem::types as fs_types;
use super::bindings::wasi::wasi::io::error::Error as IoError;
use super::bindings::wasi::wasi::io::streams;
use super::bindings::wasi::wasi::sockets::network;
use crate::Errno;
use crate::process::Task;
use crate::wait::{SysError, SysResult, Woken};
use crate::wasm::process::{Guest, Stop};

/// Why a call that answers an error number failed.
#[derive(Debug)]
pub(in crate::wasm) enum Failure {
    /// The guest is told.
    Errno(Errno),
    /// The guest ends.
    Trap(wasmtime::Error),
}

/// Why a call on a stream failed.
#[derive(Debug)]
pub(in crate::wasm) enum StreamFailure {
    /// The end of the stream.
    Closed,
    /// The guest is told, through an error resource.
    Errno(Errno),
    /// The guest ends.
    Trap(wasmtime::Error),
}

/// There are no sockets yet.
#[derive(Debug)]
pub(in crate::wasm) struct NoSockets;

impl From<Errno> for Failure {
    fn from(errno: Errno) -> Self {
        Failure::Errno(errno)
    }
}

impl From<ResourceTableError> for Failure {
    fn from(error: ResourceTableError) -> Self {
        Failure::Trap(error.into())
    }
}

impl From<wasmtime::Error> for StreamFailure {
    fn from(error: wasmtime::Error) -> Self {
        StreamFailure::Trap(error)
    }
}

impl From<Failure> for StreamFailure {
    fn from(failure: Failure) -> Self {
        match failure {
            // What a write to a stream whose reader is gone means, when the signal that comes with it is ignored.
            Failure::Errno(Errno::Pipe) => StreamFailure::Closed,
            Failure::Errno(errno) => StreamFailure::Errno(errno),
            Failure::Trap(error) => StreamFailure::Trap(error),
        }
    }
}

/// The answer of a system call that never waits.
pub(super) fn done<T>(result: SysResult<T>) -> Result<T, Failure> {
    match result {
        Ok(value) => Ok(value),
        Err(SysError::Errno(errno)) => Err(Failure::Errno(errno)),
        // The function is bound as one that does not wait: a defect of this executor, told as the nearest errno.
        Err(SysError::Wait(_)) => {
            debug_assert!(false, "a plain host function must not wait");
            Err(Failure::Errno(Errno::Again))
        }
    }
}

/// Calls until the call need not wait, suspending the guest's fiber in between. A guest that is killed meanwhile, or by the call itself, ends.
pub(super) async fn waiting<T>(task: &Arc<Task>, mut call: impl FnMut() -> SysResult<T>) -> Result<T, Failure> {
    loop {
        match call() {
            Ok(value) => return Ok(value),
            Err(SysError::Errno(_)) if task.killed() => return Err(killed()),
            Err(SysError::Errno(errno)) => return Err(Failure::Errno(errno)),
            Err(SysError::Wait(wait)) => {
                if task.suspend(wait).await == Woken::Killed {
                    return Err(killed());
                }
            }
        }
    }
}

/// The end of a guest that a signal ends.
pub(super) fn killed() -> Failure {
    Failure::Trap(Stop::Killed.into())
}

/// Where a guest must not come back from a call that killed it.
pub(super) fn unless_killed<T>(task: &Task, result: Result<T, Failure>) -> Result<T, Failure> {
    if task.killed() { Err(killed()) } else { result }
}

impl Guest {
    pub(super) fn fs_error(&mut self, failure: Failure) -> wasmtime::Result<fs_types::ErrorCode> {
        match failure {
            Failure::Errno(errno) => Ok(error_code(errno)),
            Failure::Trap(error) => Err(error),
        }
    }
}

impl streams::Host for Guest {
    fn convert_stream_error(&mut self, failure: StreamFailure) -> wasmtime::Result<streams::StreamError> {
        match failure {
            StreamFailure::Closed => Ok(streams::StreamError::Closed),
            StreamFailure::Errno(errno) => Ok(streams::StreamError::LastOperationFailed(error_resource(errno))),
            StreamFailure::Trap(error) => Err(error),
        }
    }
}

impl network::Host for Guest {
    fn convert_error_code(&mut self, NoSockets: NoSockets) -> wasmtime::Result<network::ErrorCode> {
        Ok(network::ErrorCode::NotSupported)
    }

    fn network_error_code(&mut self, _: Resource<IoError>) -> wasmtime::Result<Option<network::ErrorCode>> {
        // No stream belongs to a socket yet.
        Ok(None)
    }
}

/// An error resource: its rep is the error's number.
fn error_resource(errno: Errno) -> Resource<IoError> {
    Resource::new_own(errno.linux() as u32)
}

/// The error that an error resource stands for.
pub(super) fn errno_of(error: &Resource<IoError>) -> Errno {
    i32::try_from(error.rep()).ok().and_then(Errno::from_linux).unwrap_or(Errno::Io)
}

/// WASI 0.2's name for an error. What it has no name for gets that of its nearest kin.
pub(super) fn error_code(errno: Errno) -> fs_types::ErrorCode {
    use fs_types::ErrorCode as E;
    match errno {
        Errno::Acces => E::Access,
        Errno::Again => E::WouldBlock,
        Errno::Already => E::Already,
        Errno::Badf => E::BadDescriptor,
        Errno::Busy => E::Busy,
        Errno::Deadlk => E::Deadlock,
        Errno::Dquot => E::Quota,
        Errno::Exist => E::Exist,
        Errno::Fbig => E::FileTooLarge,
        Errno::Ilseq => E::IllegalByteSequence,
        Errno::Inprogress => E::InProgress,
        Errno::Intr => E::Interrupted,
        Errno::Inval => E::Invalid,
        Errno::Isdir => E::IsDirectory,
        Errno::Loop => E::Loop,
        Errno::Mlink => E::TooManyLinks,
        Errno::Msgsize => E::MessageSize,
        Errno::Nametoolong => E::NameTooLong,
        Errno::Nodev => E::NoDevice,
        Errno::Noent => E::NoEntry,
        Errno::Nolck => E::NoLock,
        // WASI 0.2 has no name for a table of descriptors that is full.
        Errno::Nomem | Errno::Mfile | Errno::Nfile | Errno::Nobufs => E::InsufficientMemory,
        Errno::Nospc => E::InsufficientSpace,
        Errno::Notdir => E::NotDirectory,
        Errno::Notempty => E::NotEmpty,
        Errno::Notrecoverable => E::NotRecoverable,
        Errno::Notsup | Errno::Nosys => E::Unsupported,
        Errno::Notty => E::NoTty,
        Errno::Nxio => E::NoSuchDevice,
        Errno::Overflow => E::Overflow,
        Errno::Perm => E::NotPermitted,
        Errno::Pipe => E::Pipe,
        Errno::Rofs => E::ReadOnly,
        Errno::Spipe => E::InvalidSeek,
        Errno::Txtbsy => E::TextFileBusy,
        Errno::Xdev => E::CrossDevice,
        _ => E::Io,
    }
}

impl kernel_types::Host for Guest {
    fn convert_errno(&mut self, failure: Failure) -> wasmtime::Result<kernel_types::Errno> {
        match failure {
            Failure::Errno(errno) => Ok(kernel_errno(errno)),
            Failure::Trap(error) => Err(error),
        }
    }
}

macro_rules! same_names {
    ($($name:ident)*) => {
        /// `eyot:kernel`'s own: the same names. That each is there, the compiler checks.
        pub(super) fn kernel_errno(errno: Errno) -> kernel_types::Errno {
            match errno { $(Errno::$name => kernel_types::Errno::$name,)* }
        }
    };
}

same_names! {
    Perm Noent Srch Intr Io Nxio TooBig Noexec Badf Child Again Nomem Acces Fault Notblk Busy Exist Xdev Nodev Notdir Isdir Inval
    Nfile Mfile Notty Txtbsy Fbig Nospc Spipe Rofs Mlink Pipe Dom Range Deadlk Nametoolong Nolck Nosys Notempty Loop Nomsg Idrm
    Nodata Nolink Proto Multihop Badmsg Overflow Ilseq Notsock Destaddrreq Msgsize Prototype Noprotoopt Protonosupport Notsup
    Afnosupport Addrinuse Addrnotavail Netdown Netunreach Netreset Connaborted Connreset Nobufs Isconn Notconn Timedout Connrefused
    Hostunreach Already Inprogress Stale Dquot Canceled Ownerdead Notrecoverable
}
