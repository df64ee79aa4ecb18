//! Two kinds of tests: of each host function, called as the bindings call it, with [`guest`]; and of whole components, made of WAT by
//! [`component::Build`] and run as processes.

mod adapted;
mod component;
mod filesystem;
mod kernel;
mod poll;
mod programs;
mod sockets;
mod streams;
mod wit;

use std::sync::{Arc, mpsc};

use wasmtime::component::Resource;

use super::bindings::wasi::wasi::filesystem::preopens::Host as _;
use super::bindings::wasi::wasi::filesystem::types::Descriptor;
use super::failure::{Failure, StreamFailure};
use crate::process::{Executor, FdEntry, FdFlags, Image, ImageHead, LoadError, Program, Task};
use crate::syscall::fs::open_file;
use crate::syscall::types::OpenFlags;
use crate::vm::Process;
use crate::wasm::process::Guest;
use crate::{Errno, Vm};

/// An executor whose programs do nothing: a test acts in their place.
struct Puppets(mpsc::SyncSender<Arc<Task>>);

struct Puppet(mpsc::SyncSender<Arc<Task>>);

impl Executor for Puppets {
    fn name(&self) -> &'static str {
        "puppet"
    }

    fn accepts(&self, head: ImageHead<'_>) -> bool {
        head.bytes == b"puppet"
    }

    fn load(&self, _: &Image) -> Result<Box<dyn Program>, LoadError> {
        Ok(Box::new(Puppet(self.0.clone())))
    }
}

impl Program for Puppet {
    fn start(self: Box<Self>, task: Arc<Task>) {
        self.0.send(task).unwrap();
    }
}

/// A guest that a test moves.
pub(in crate::wasm) struct Stage {
    pub(super) vm: Vm,
    pub(super) process: Process,
    pub(in crate::wasm) guest: Guest,
}

/// A guest with pipes as its standard streams and `/` as its directory.
pub(in crate::wasm) fn stage() -> Stage {
    stage_with(|command| command)
}

pub(super) fn stage_with(change: impl FnOnce(crate::vm::Command) -> crate::vm::Command) -> Stage {
    let (sender, tasks) = mpsc::sync_channel(16);
    let vm = Vm::builder()
        .root(Arc::new(eyot_memfs::Memfs::new()))
        .executor(Arc::new(Puppets(sender)))
        .executor(crate::wasm::tests::executor())
        .user(0, 0)
        .build()
        .unwrap();
    vm.write_file("/puppet", b"puppet", 0o755).unwrap();
    vm.make_dir("/tmp", 0o777).unwrap();
    use crate::vm::Stdio::Piped;
    let command = vm.command("/puppet").arg("one").env("KEY", "value").stdin(Piped).stdout(Piped).stderr(Piped);
    let process = change(command).spawn().unwrap();
    let task = tasks.recv().unwrap();
    let flags = OpenFlags::READ | OpenFlags::DIRECTORY;
    let file = open_file(&task, task.kernel().vfs.root(), "/", flags, 0).unwrap();
    task.insert_fd(FdEntry { file, flags: FdFlags::PREOPEN | FdFlags::CLOSE_ON_EXEC }, 3).unwrap();
    Stage { vm, process, guest: Guest::new(task) }
}

impl Stage {
    /// The descriptors that are open.
    pub(super) fn open_fds(&self) -> Vec<u32> {
        self.guest.task.fds().numbers().collect()
    }

    /// A resource for the directory `/`.
    pub(super) fn root(&mut self) -> Resource<Descriptor> {
        let mut directories = self.guest.get_directories().unwrap();
        assert_eq!(directories.len(), 1);
        assert_eq!(directories[0].1, "/");
        directories.remove(0).0
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.guest.task.finish(crate::process::ExitStatus::Exited(0));
    }
}

/// What a guest passes when it lends a resource.
pub(super) fn lend<T: 'static>(resource: &Resource<T>) -> Resource<T> {
    Resource::new_borrow(resource.rep())
}

/// Runs a future to its end.
pub(super) fn block<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(future)
}

/// The error that a guest is told.
#[track_caller]
pub(super) fn errno<T>(result: Result<T, Failure>) -> Errno {
    match result {
        Err(Failure::Errno(errno)) => errno,
        Err(Failure::Trap(error)) => panic!("a trap: {error:?}"),
        Ok(_) => panic!("it did not fail"),
    }
}

/// The value of a stream's call.
#[track_caller]
pub(super) fn ok<T>(result: Result<T, StreamFailure>) -> T {
    result.unwrap_or_else(|failure| panic!("{failure:?}"))
}

#[track_caller]
pub(super) fn trap<T>(result: Result<T, StreamFailure>) -> String {
    match result {
        Err(StreamFailure::Trap(error)) => error.to_string(),
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("it did not fail"),
    }
}
