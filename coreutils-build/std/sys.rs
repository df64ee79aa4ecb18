//! The calls of Eyot's kernel that std needs beyond WASI 0.1, as a core module imports them.
//!
//! The signatures are those of `wit/kernel/CORE-ABI.md`: every function answers an errno, results go through an out
//! pointer. wasi-libc uses the same errno table, so a number passes through unchanged.

use crate::io;
use crate::os::fd::{BorrowedFd, FromRawFd, OwnedFd, RawFd, AsRawFd};

/// What `spawn` and `exec` read: twelve words.
#[repr(C)]
pub struct SpawnArgs {
    pub program: *const u8,
    pub program_len: usize,
    pub argv: *const u8,
    pub argv_len: usize,
    pub env: *const u8,
    pub env_len: usize,
    pub cwd: *const u8,
    pub cwd_len: usize,
    pub actions: *const FileAction,
    pub actions_count: usize,
    pub flags: u32,
    pub pgid: u32,
}

/// The size of [`SpawnArgs`] that the ABI fixes.
const _: () = assert!(size_of::<SpawnArgs>() == 48 && size_of::<FileAction>() == 24);

pub const SPAWN_SEARCH_PATH: u32 = 1;
pub const SPAWN_REPLACE_ENV: u32 = 2;
pub const SPAWN_PROCESS_GROUP: u32 = 4;
pub const SPAWN_NEW_SESSION: u32 = 8;

pub const WAIT_NO_HANG: u32 = 1;

pub const PIPE_CLOSE_ON_EXEC: u32 = 1;

/// One file action: six words.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct FileAction {
    pub op: u32,
    pub fd: u32,
    pub a: u32,
    pub b: u32,
    pub c: u32,
    pub d: u32,
}

impl FileAction {
    /// `to` in the child becomes a copy of `from`.
    pub fn dup2(from: RawFd, to: u32) -> FileAction {
        FileAction { op: 0, fd: to, a: from as u32, b: 0, c: 0, d: 0 }
    }

    /// `to` in the child is the file at `path`, opened with Linux's `flags`.
    pub fn open(path: &'static str, flags: u32, to: u32) -> FileAction {
        FileAction { op: 2, fd: to, a: path.as_ptr() as u32, b: path.len() as u32, c: flags, d: 0 }
    }
}

/// What `wait` writes.
#[repr(C)]
#[derive(Default)]
pub struct WaitResult {
    pub pid: u32,
    pub kind: u32,
    pub value: u32,
}

mod import {
    use super::{SpawnArgs, WaitResult};

    #[link(wasm_import_module = "eyot:kernel/process@0.1.0")]
    unsafe extern "C" {
        pub fn spawn(args: *const SpawnArgs, size: usize, pid: *mut u32) -> i32;
        pub fn exec(args: *const SpawnArgs, size: usize) -> i32;
        pub fn wait(pid: i32, flags: u32, out: *mut WaitResult) -> i32;
        pub safe fn getpid() -> u32;
        pub safe fn getppid() -> u32;
        pub fn getcwd(buf: *mut u8, len: usize, out_len: *mut usize) -> i32;
        pub fn chdir(path: *const u8, len: usize) -> i32;
    }

    #[link(wasm_import_module = "eyot:kernel/descriptor@0.1.0")]
    unsafe extern "C" {
        pub fn dup(fd: u32, min: u32, out: *mut u32) -> i32;
    }

    #[link(wasm_import_module = "eyot:kernel/pipe@0.1.0")]
    unsafe extern "C" {
        pub fn pipe(flags: u32, out: *mut [u32; 2]) -> i32;
    }

    #[link(wasm_import_module = "eyot:kernel/signal@0.1.0")]
    unsafe extern "C" {
        pub fn kill(pid: u32, signal: u32) -> i32;
    }

    // wasi-libc's own; not every version of the crate libc has it.
    unsafe extern "C" {
        #[link_name = "chdir"]
        pub fn libc_chdir(path: *const libc::c_char) -> libc::c_int;
    }
}

fn check(errno: i32) -> io::Result<()> {
    if errno == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(errno)) }
}

pub use import::{getpid, getppid};

/// Starts a program; answers its pid.
///
/// # Safety
/// Every pointer of `args` must be valid for its length.
pub unsafe fn spawn(args: &SpawnArgs) -> io::Result<u32> {
    let mut pid = 0;
    check(unsafe { import::spawn(args, size_of::<SpawnArgs>(), &mut pid) })?;
    Ok(pid)
}

/// Replaces the calling program; returns only when that failed.
///
/// # Safety
/// Every pointer of `args` must be valid for its length.
pub unsafe fn exec(args: &SpawnArgs) -> io::Error {
    io::Error::from_raw_os_error(unsafe { import::exec(args, size_of::<SpawnArgs>()) })
}

/// `waitpid(2)`, begun again when a signal interrupts it.
pub fn wait(pid: i32, flags: u32) -> io::Result<WaitResult> {
    loop {
        let mut out = WaitResult::default();
        match unsafe { import::wait(pid, flags, &mut out) } {
            libc::EINTR => {}
            errno => return check(errno).map(|()| out),
        }
    }
}

/// `kill(2)`
pub fn kill(pid: u32, signal: u32) -> io::Result<()> {
    check(unsafe { import::kill(pid, signal) })
}

/// The lowest free descriptor above the standard three, for the same open file, closed on exec.
pub fn dup(fd: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let mut out = 0;
    check(unsafe { import::dup(fd.as_raw_fd() as u32, 3, &mut out) })?;
    Ok(unsafe { OwnedFd::from_raw_fd(out as RawFd) })
}

/// A pipe's read end and write end, both closed on exec.
pub fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut ends = [0; 2];
    check(unsafe { import::pipe(PIPE_CLOSE_ON_EXEC, &mut ends) })?;
    let [reader, writer] = ends.map(|fd| unsafe { OwnedFd::from_raw_fd(fd as RawFd) });
    Ok((reader, writer))
}

/// The kernel's idea of the working directory, with a NUL at the end.
fn kernel_cwd() -> io::Result<Vec<u8>> {
    let mut buf = vec![0_u8; 256];
    loop {
        let mut len = 0;
        match unsafe { import::getcwd(buf.as_mut_ptr(), buf.len(), &mut len) } {
            0 => {
                buf.truncate(len);
                buf.push(0);
                return Ok(buf);
            }
            // `len` says what is needed; the directory may be renamed meanwhile, so look again.
            libc::ERANGE if len > buf.len() => buf.resize(len, 0),
            errno => return Err(io::Error::from_raw_os_error(errno)),
        }
    }
}

/// Gives wasi-libc, which resolves relative paths itself, the kernel's working directory.
fn adopt_kernel_cwd() -> io::Result<()> {
    let cwd = kernel_cwd()?;
    crate::sys::pal::cvt(unsafe { import::libc_chdir(cwd.as_ptr().cast()) }).map(drop)
}

/// `chdir(2)`: the kernel's own working directory moves, so that children inherit it and `/proc/self/cwd` is right;
/// wasi-libc follows.
pub fn chdir(path: &[u8]) -> io::Result<()> {
    check(unsafe { import::chdir(path.as_ptr(), path.len()) })?;
    adopt_kernel_cwd()
}

/// std's start: wasi-libc believes that every program starts in `/`.
///
/// # Safety
/// Called once, by the runtime.
pub unsafe fn init(_argc: isize, _argv: *const *const u8, _sigpipe: u8) {
    // Most programs do start in `/`; a short buffer on the stack keeps their start free of allocation.
    let mut buf = [0_u8; 2];
    let mut len = 0;
    let errno = unsafe { import::getcwd(buf.as_mut_ptr(), buf.len(), &mut len) };
    if errno == 0 && len == 1 {
        return;
    }
    // A working directory that was removed leaves the program in `/`, where wasi-libc put it: there is no better place.
    let _ = adopt_kernel_cwd();
}
