//! What an embedder sees: VMs, the commands they run, and the streams they are given.

mod builder;
mod command;
mod config;
mod files;
mod mount_types;
mod read_only;
mod stdio;

use std::sync::Arc;

pub use crate::vfs::MountOptions;
pub use builder::{BuildError, VmBuilder};
pub use command::{Command, Output, Process};
pub use config::{Amount, ConfigError, GrantsConfig, MountConfig, SecretSource, SettingValue, VmConfig};
pub use mount_types::{MountError, MountMaker, MountRequest, MountTypes};
pub use stdio::{PipeInput, PipeOutput, Stdio};

use crate::kernel::Kernel;
use crate::limits::Usage;
use crate::process::{Pid, Task};
use crate::signal;

/// A virtual machine: an island with its own filesystem, processes, policy and limits.
///
/// Dropping the last handle kills every process in it.
#[derive(Clone)]
pub struct Vm {
    island: Arc<Island>,
}

struct Island {
    kernel: Arc<Kernel>,
    /// The task that stands for the embedder: it runs nothing, starts commands and reads files.
    embedder: Arc<Task>,
}

impl Vm {
    /// Starts the description of a VM. It needs a root filesystem; everything else has a default.
    pub fn builder() -> VmBuilder {
        VmBuilder::new()
    }

    /// A command to run in the VM: `program` is a path, or a name to be looked for along `PATH`.
    pub fn command(&self, program: impl Into<String>) -> Command {
        Command::new(self.clone(), program.into())
    }

    /// The processes that live in the VM, by number; the embedder's own is left out.
    pub fn processes(&self) -> Vec<Arc<Task>> {
        let mut all = self.island.kernel.processes.all();
        all.retain(|task| task.pid() != self.island.embedder.pid());
        all
    }

    /// One process by number.
    pub fn process(&self, pid: Pid) -> Option<Arc<Task>> {
        self.island.kernel.processes.get(pid).filter(|task| task.pid() != self.island.embedder.pid())
    }

    /// What is used of every limit.
    pub fn usage(&self) -> Vec<Usage> {
        self.island.kernel.accountant.usage()
    }

    /// Kills every process in the VM.
    pub fn kill_all(&self) {
        self.island.kill_all();
    }

    fn embedder(&self) -> &Arc<Task> {
        &self.island.embedder
    }
}

impl Island {
    fn kill_all(&self) {
        for task in self.kernel.processes.all() {
            if task.pid() != self.embedder.pid() {
                task.signal(signal::KILL);
            }
        }
    }
}

impl Drop for Island {
    fn drop(&mut self) {
        self.kill_all();
        self.embedder.finish(crate::process::ExitStatus::Exited(0));
    }
}
