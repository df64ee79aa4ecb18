//! WASI 0.1: the 46 functions of `wasi_snapshot_preview1`, each a translation to one system call.
//!
//! What the two worlds see differently is decided so:
//! - Files that a program opens are close-on-exec, because WASI 0.1 has no way to say so and what a program leaves open by accident must not hold a pipe open
//!   in its children. What children are to inherit is given to them by file actions.
//! - Rights are computed from how a descriptor was opened; they can be dropped only in so far as that is nothing new (`fd_fdstat_set_rights`).
//! - Paths never lead out of the directory they start from; a program starts with `/`.

mod dir;
mod env;
mod fd;
mod io;
mod path;
mod poll;
mod rights;
mod sock;

use wasmtime::Caller;

use super::call::{plain, waiting};
use super::engine::HostLinker;
use super::process::{Guest, Stop};

/// The module that programs import.
pub(super) const MODULE: &str = "wasi_snapshot_preview1";

pub(super) fn add_to_linker(linker: &mut HostLinker) -> Result<(), wasmtime::Error> {
    add_environment(linker)?;
    add_descriptors(linker)?;
    add_paths(linker)?;
    add_sockets(linker)
}

fn add_environment(linker: &mut HostLinker) -> Result<(), wasmtime::Error> {
    plain!(linker, MODULE, "args_get", env::args_get, (pointers: u32, bytes: u32));
    plain!(linker, MODULE, "args_sizes_get", env::args_sizes_get, (count: u32, size: u32));
    plain!(linker, MODULE, "environ_get", env::environ_get, (pointers: u32, bytes: u32));
    plain!(linker, MODULE, "environ_sizes_get", env::environ_sizes_get, (count: u32, size: u32));
    plain!(linker, MODULE, "clock_res_get", env::clock_res_get, (id: u32, out: u32));
    plain!(linker, MODULE, "clock_time_get", env::clock_time_get, (id: u32, precision: u64, out: u32));
    plain!(linker, MODULE, "proc_raise", env::proc_raise, (signal: u32));
    linker.func_wrap(MODULE, "proc_exit", |_: Caller<'_, Guest>, code: u32| -> Result<(), wasmtime::Error> {
        Err(Stop::Exit(code).into())
    })?;
    linker.func_wrap_async(MODULE, "sched_yield", |_: Caller<'_, Guest>, ()| {
        Box::new(async {
            tokio::task::yield_now().await;
            0_u32
        })
    })?;
    linker.func_wrap_async(MODULE, "random_get", |caller: Caller<'_, Guest>, (pointer, length): (u32, u32)| {
        env::random_get(caller, pointer, length)
    })?;
    linker.func_wrap_async(
        MODULE,
        "poll_oneoff",
        |caller: Caller<'_, Guest>, (subscriptions, events, count, out): (u32, u32, u32, u32)| {
            poll::poll_oneoff(caller, poll::Arguments { subscriptions, events, count, out })
        },
    )?;
    Ok(())
}

fn add_descriptors(linker: &mut HostLinker) -> Result<(), wasmtime::Error> {
    plain!(linker, MODULE, "fd_advise", fd::advise, (fd: u32, offset: u64, length: u64, advice: u32));
    waiting!(linker, MODULE, "fd_allocate", fd::allocate, (fd: u32, offset: u64, length: u64));
    waiting!(linker, MODULE, "fd_close", fd::close, (fd: u32));
    waiting!(linker, MODULE, "fd_datasync", fd::datasync, (fd: u32));
    plain!(linker, MODULE, "fd_fdstat_get", fd::fdstat_get, (fd: u32, out: u32));
    plain!(linker, MODULE, "fd_fdstat_set_flags", fd::fdstat_set_flags, (fd: u32, flags: u32));
    plain!(linker, MODULE, "fd_fdstat_set_rights", fd::fdstat_set_rights, (fd: u32, base: u64, inheriting: u64));
    waiting!(linker, MODULE, "fd_filestat_get", fd::filestat_get, (fd: u32, out: u32));
    waiting!(linker, MODULE, "fd_filestat_set_size", fd::filestat_set_size, (fd: u32, size: u64));
    waiting!(linker, MODULE, "fd_filestat_set_times", fd::filestat_set_times, (fd: u32, atim: u64, mtim: u64, flags: u32));
    waiting!(linker, MODULE, "fd_pread", io::pread, (fd: u32, iovs: u32, count: u32, offset: u64, out: u32));
    plain!(linker, MODULE, "fd_prestat_get", fd::prestat_get, (fd: u32, out: u32));
    plain!(linker, MODULE, "fd_prestat_dir_name", fd::prestat_dir_name, (fd: u32, path: u32, length: u32));
    waiting!(linker, MODULE, "fd_pwrite", io::pwrite, (fd: u32, iovs: u32, count: u32, offset: u64, out: u32));
    waiting!(linker, MODULE, "fd_read", io::read, (fd: u32, iovs: u32, count: u32, out: u32));
    waiting!(linker, MODULE, "fd_readdir", dir::readdir, (fd: u32, buffer: u32, length: u32, cookie: u64, out: u32));
    waiting!(linker, MODULE, "fd_renumber", fd::renumber, (from: u32, to: u32));
    plain!(linker, MODULE, "fd_seek", fd::seek, (fd: u32, offset: i64, whence: u32, out: u32));
    waiting!(linker, MODULE, "fd_sync", fd::sync, (fd: u32));
    plain!(linker, MODULE, "fd_tell", fd::tell, (fd: u32, out: u32));
    waiting!(linker, MODULE, "fd_write", io::write, (fd: u32, iovs: u32, count: u32, out: u32));
    Ok(())
}

fn add_paths(linker: &mut HostLinker) -> Result<(), wasmtime::Error> {
    waiting!(linker, MODULE, "path_create_directory", path::create_directory, (fd: u32, path: u32, length: u32));
    waiting!(linker, MODULE, "path_filestat_get", path::filestat_get, (fd: u32, flags: u32, path: u32, length: u32, out: u32));
    waiting!(linker, MODULE, "path_filestat_set_times", path::filestat_set_times,
        (fd: u32, flags: u32, path: u32, length: u32, atim: u64, mtim: u64, times: u32));
    waiting!(linker, MODULE, "path_link", path::link,
        (old_fd: u32, flags: u32, old_path: u32, old_length: u32, new_fd: u32, new_path: u32, new_length: u32));
    waiting!(linker, MODULE, "path_open", path::open,
        (fd: u32, flags: u32, path: u32, length: u32, how: u32, base: u64, inheriting: u64, fd_flags: u32, out: u32));
    waiting!(linker, MODULE, "path_readlink", path::readlink,
        (fd: u32, path: u32, length: u32, buffer: u32, buffer_length: u32, out: u32));
    waiting!(linker, MODULE, "path_remove_directory", path::remove_directory, (fd: u32, path: u32, length: u32));
    waiting!(linker, MODULE, "path_rename", path::rename,
        (old_fd: u32, old_path: u32, old_length: u32, new_fd: u32, new_path: u32, new_length: u32));
    waiting!(linker, MODULE, "path_symlink", path::symlink,
        (target: u32, target_length: u32, fd: u32, path: u32, length: u32));
    waiting!(linker, MODULE, "path_unlink_file", path::unlink_file, (fd: u32, path: u32, length: u32));
    Ok(())
}

fn add_sockets(linker: &mut HostLinker) -> Result<(), wasmtime::Error> {
    waiting!(linker, MODULE, "sock_accept", sock::accept, (fd: u32, flags: u32, out: u32));
    waiting!(linker, MODULE, "sock_recv", sock::recv, (fd: u32, iovs: u32, count: u32, flags: u32, size: u32, out: u32));
    waiting!(linker, MODULE, "sock_send", sock::send, (fd: u32, iovs: u32, count: u32, flags: u32, out: u32));
    plain!(linker, MODULE, "sock_shutdown", sock::shutdown, (fd: u32, how: u32));
    Ok(())
}
