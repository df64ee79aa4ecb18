//! The process that a component is: made with its VM, and ended with the component.

use std::sync::Arc;

use super::output::Output;
use super::points::Points;
use crate::Errno;
use crate::clock::Clock;
use crate::kernel::Kernel;
use crate::limits::{Accountant, Limit};
use crate::plugin::Preopen;
use crate::policy::Policy;
use crate::process::device::Device;
use crate::process::{
    Credentials, ExitStatus, FdEntry, FdFlags, FdTable, NewTask, Object, OpenFile, ProcessTable, Startup, StatusFlags,
    Stream, Task,
};
use crate::syscall::fs::open_file;
use crate::syscall::types::OpenFlags;
use crate::vfs::{Dentry, MountOptions, Vfs, WalkFlags, Walker};
use crate::wasm::process::Guest;

/// The steps of the VM's clocks, as a VM has them that is not told otherwise.
const CLOCK_RESOLUTION_NS: u64 = 1000;
/// The lowest descriptor of a preopened directory.
const PREOPEN_FD_MIN: u32 = 3;
/// The preopened directory that is the root itself.
const ROOT: &str = "/";

/// A component's process, in its own VM.
pub(in crate::plugin) struct Process {
    guest: Guest,
}

/// Why there is none.
pub(in crate::plugin) struct NoProcess {
    /// The preopened directory that is the reason, if one is.
    pub(in crate::plugin) preopen: Option<String>,
    /// Why.
    pub(in crate::plugin) errno: Errno,
}

impl From<Errno> for NoProcess {
    fn from(errno: Errno) -> Self {
        Self { preopen: None, errno }
    }
}

impl Process {
    /// Makes a VM that holds these directories, and a process in it.
    pub(in crate::plugin) fn new(plugin: &str, preopens: &[Preopen]) -> Result<Self, NoProcess> {
        for (index, preopen) in preopens.iter().enumerate() {
            if preopens.iter().take(index).any(|before| before.path == preopen.path) {
                return Err(NoProcess { preopen: Some(preopen.path.clone()), errno: Errno::Exist });
            }
        }
        let kernel = kernel(preopens)?;
        let task = Task::enter(
            &kernel,
            NewTask {
                ppid: 0,
                pgid: None,
                sid: None,
                // What it may do in a directory, the grant says.
                credentials: Credentials::ROOT,
                umask: 0,
                cwd: kernel.vfs.root(),
                startup: Arc::new(Startup::default()),
                fds: FdTable::new(usize::try_from(kernel.accountant.max(Limit::DescriptorsPerProcess)).unwrap_or(1024)),
                terminal: None,
            },
        );
        // From here on its end ends the task.
        let process = Self { guest: Guest::new(task) };
        let task = &process.guest.task;
        for preopen in preopens.iter().filter(|preopen| preopen.path != ROOT) {
            let failed = |errno| NoProcess { preopen: Some(preopen.path.clone()), errno };
            mount(&kernel, task, preopen).map_err(failed)?;
        }
        standard_streams(task, plugin)?;
        for preopen in preopens {
            let failed = |errno| NoProcess { preopen: Some(preopen.path.clone()), errno };
            let flags = OpenFlags::READ | OpenFlags::DIRECTORY;
            let file = open_file(task, kernel.vfs.root(), &preopen.path, flags, 0).map_err(failed)?;
            let entry = FdEntry { file, flags: FdFlags::CLOSE_ON_EXEC | FdFlags::PREOPEN };
            task.insert_fd(entry, PREOPEN_FD_MIN).map_err(failed)?;
        }
        Ok(process)
    }

    pub(super) fn guest(&mut self) -> &mut Guest {
        &mut self.guest
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.guest.task.finish(ExitStatus::Exited(0));
    }
}

/// A VM without programs, devices or processes.
fn kernel(preopens: &[Preopen]) -> Result<Arc<Kernel>, NoProcess> {
    let accountant = Accountant::new(&[]);
    let clock = Clock::new(CLOCK_RESOLUTION_NS);
    let vfs = match preopens.iter().find(|preopen| preopen.path == ROOT) {
        Some(root) => {
            let options = MountOptions { read_only: root.read_only };
            let failed = |errno| NoProcess { preopen: Some(root.path.clone()), errno };
            Vfs::new(Arc::clone(&root.filesystem), options, accountant.clone()).map_err(failed)?
        }
        None => {
            let points = Points::new(preopens.iter().map(|preopen| preopen.path.as_str()), clock.booted_at());
            Vfs::new(Arc::new(points), MountOptions::default(), accountant.clone())?
        }
    };
    let policy = Policy::new(Vec::new());
    let processes = Arc::new(ProcessTable::default());
    Ok(Arc::new(Kernel { vfs, processes, accountant, policy, executors: Vec::new(), clock }))
}

/// Mounts a directory on its point. Below another one, that is a directory which has to be there.
fn mount(kernel: &Arc<Kernel>, task: &Task, preopen: &Preopen) -> Result<(), Errno> {
    let point = place(kernel, task, &preopen.path)?;
    let options = MountOptions { read_only: preopen.read_only };
    kernel.vfs.mount(&point, Arc::clone(&preopen.filesystem), options)
}

fn place(kernel: &Arc<Kernel>, task: &Task, path: &str) -> Result<Arc<Dentry>, Errno> {
    let walker = Walker { task, base: kernel.vfs.root(), flags: WalkFlags::FOLLOW };
    kernel.vfs.walk(&walker, path)?.place()
}

/// Descriptors 0, 1 and 2.
fn standard_streams(task: &Arc<Task>, plugin: &str) -> Result<(), Errno> {
    let accountant = &task.kernel().accountant;
    let nothing = OpenFile::new(accountant, Object::Device(Device::Null), StatusFlags::READ, None)?;
    let output = |stream| {
        let stream: Arc<dyn Stream> = Arc::new(Output::new(plugin, stream));
        OpenFile::new(accountant, Object::Stream(stream), StatusFlags::WRITE, None)
    };
    for file in [nothing, output("stdout")?, output("stderr")?] {
        task.insert_fd(FdEntry { file, flags: FdFlags::empty() }, 0)?;
    }
    Ok(())
}
