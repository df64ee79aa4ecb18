//! Describing and making a VM.

use std::sync::Arc;

use super::{Island, Vm};
use crate::Errno;
use crate::backend::Filesystem;
use crate::clock::Clock;
use crate::kernel::Kernel;
use crate::limits::{Accountant, Limit};
use crate::net::{Net, Network};
use crate::policy::{Policy, Rule};
use crate::process::{Credentials, Executor, FdTable, NewTask, ProcessTable, Startup, Task};
use crate::vfs::devfs::Devfs;
use crate::vfs::procfs::Procfs;
use crate::vfs::{Dentry, MountOptions, New, Vfs, WalkFlags, Walker};

/// Describes a VM.
pub struct VmBuilder {
    root: Option<Arc<dyn Filesystem>>,
    mounts: Vec<(String, Arc<dyn Filesystem>, MountOptions)>,
    executors: Vec<Arc<dyn Executor>>,
    limits: Vec<(Limit, u64)>,
    rules: Vec<Rule>,
    user: Credentials,
    environment: Vec<(String, String)>,
    working_directory: String,
    clock_resolution_ns: u64,
    network: Network,
}

/// Why a VM could not be made.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// There is no root filesystem.
    #[error("a VM needs a root filesystem: call root(...)")]
    NoRoot,
    /// A filesystem could not be mounted.
    #[error("cannot mount a filesystem at {path}: {errno}")]
    Mount {
        /// Where.
        path: String,
        /// Why.
        errno: Errno,
    },
    /// The working directory is not there.
    #[error("cannot start in {path}: {errno}")]
    WorkingDirectory {
        /// The path.
        path: String,
        /// Why.
        errno: Errno,
    },
}

impl VmBuilder {
    pub(super) fn new() -> Self {
        Self {
            root: None,
            mounts: Vec::new(),
            executors: Vec::new(),
            limits: Vec::new(),
            rules: Vec::new(),
            user: Credentials { uid: 1000, gid: 1000 },
            environment: vec![("PATH".into(), crate::process::DEFAULT_PATH.into())],
            working_directory: "/".into(),
            clock_resolution_ns: 1000,
            network: Network::none(),
        }
    }

    /// The filesystem at `/`.
    pub fn root(mut self, fs: Arc<dyn Filesystem>) -> Self {
        self.root = Some(fs);
        self
    }

    /// Mounts a filesystem at an absolute path. Directories on the way are made when they are not there. Mounts are made in the order of the calls, after `/dev` and `/proc`.
    pub fn mount(mut self, path: impl Into<String>, fs: Arc<dyn Filesystem>, options: MountOptions) -> Self {
        self.mounts.push((path.into(), fs, options));
        self
    }

    /// Adds an executor. The first that accepts an image runs it.
    pub fn executor(mut self, executor: Arc<dyn Executor>) -> Self {
        self.executors.push(executor);
        self
    }

    /// Sets a limit.
    pub fn limit(mut self, limit: Limit, max: u64) -> Self {
        self.limits.push((limit, max));
        self
    }

    /// Adds a rule of policy; the last one that matches wins.
    pub fn rule(mut self, rule: Rule) -> Self {
        self.rules.push(rule);
        self
    }

    /// Who commands run as, unless told otherwise: user and group 1000.
    pub fn user(mut self, uid: u32, gid: u32) -> Self {
        self.user = Credentials { uid, gid };
        self
    }

    /// Sets a variable of the environment that commands start with. `PATH` has a default; nothing of the host's environment is there.
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        let name = name.into();
        self.environment.retain(|(known, _)| *known != name);
        self.environment.push((name, value.into()));
        self
    }

    /// Where commands start: `/` unless told otherwise.
    pub fn working_directory(mut self, path: impl Into<String>) -> Self {
        self.working_directory = path.into();
        self
    }

    /// The steps of the VM's clocks in nanoseconds: 1,000 unless told otherwise.
    pub fn clock_resolution_ns(mut self, nanoseconds: u64) -> Self {
        self.clock_resolution_ns = nanoseconds;
        self
    }

    /// The network that the VM is granted. Unless told otherwise there is none but its own loopback.
    pub fn network(mut self, network: Network) -> Self {
        self.network = network;
        self
    }

    /// Makes the VM.
    pub fn build(self) -> Result<Vm, BuildError> {
        let root = self.root.ok_or(BuildError::NoRoot)?;
        let accountant = Accountant::new(&self.limits);
        let vfs = Vfs::new(root, MountOptions::default(), accountant.clone())
            .map_err(|errno| BuildError::Mount { path: "/".into(), errno })?;
        let net = Net::new(self.network, accountant.clone());
        let processes = Arc::new(ProcessTable::default());
        let clock = Clock::new(self.clock_resolution_ns);
        let kernel = Arc::new(Kernel {
            vfs,
            processes,
            accountant,
            policy: Policy::new(self.rules),
            executors: self.executors,
            clock,
            net,
        });
        let boot = embedder(&kernel, Credentials::ROOT, &[]);
        mount_own(&kernel, &boot)?;
        for (path, fs, options) in self.mounts {
            mount(&kernel, &boot, &path, |point| kernel.vfs.mount(point, fs, options))?;
        }
        let embedder = embedder(&kernel, self.user, &self.environment);
        crate::syscall::process::chdir(&embedder, &self.working_directory).map_err(|error| match error {
            crate::wait::SysError::Errno(errno) => {
                BuildError::WorkingDirectory { path: self.working_directory.clone(), errno }
            }
            crate::wait::SysError::Wait(_) => {
                BuildError::WorkingDirectory { path: self.working_directory.clone(), errno: Errno::Again }
            }
        })?;
        boot.finish(crate::process::ExitStatus::Exited(0));
        Ok(Vm { island: Arc::new(Island { kernel, embedder }) })
    }
}

/// A task that runs nothing and acts for the embedder.
pub(super) fn embedder(kernel: &Arc<Kernel>, credentials: Credentials, environment: &[(String, String)]) -> Arc<Task> {
    let startup =
        Startup { executable: String::new(), arguments: vec!["eyot".into()], environment: environment.to_vec() };
    let new = NewTask {
        ppid: 0,
        pgid: None,
        sid: None,
        credentials,
        umask: 0o022,
        cwd: kernel.vfs.root(),
        startup: Arc::new(startup),
        fds: FdTable::new(usize::try_from(kernel.accountant.max(Limit::DescriptorsPerProcess)).unwrap_or(1024)),
        terminal: None,
    };
    Task::enter(kernel, new)
}

fn mount_own(kernel: &Arc<Kernel>, boot: &Task) -> Result<(), BuildError> {
    let booted = kernel.clock.booted_at();
    mount(kernel, boot, "/dev", |point| {
        kernel.vfs.mount(point, Arc::new(Devfs::new(booted)), MountOptions::default())
    })?;
    let procfs = Arc::new(Procfs::new(&kernel.processes, booted));
    mount(kernel, boot, "/proc", |point| {
        kernel.vfs.mount_special(point, procfs.clone(), MountOptions::default(), Some(procfs.clone()))
    })
}

fn mount(
    kernel: &Arc<Kernel>,
    boot: &Task,
    path: &str,
    act: impl FnOnce(&Arc<Dentry>) -> Result<(), Errno>,
) -> Result<(), BuildError> {
    let fail = |errno| BuildError::Mount { path: path.into(), errno };
    if !path.starts_with('/') {
        return Err(fail(Errno::Inval));
    }
    let point = make_directories(kernel, boot, path).map_err(fail)?;
    act(&point).map_err(fail)
}

/// The directory at `path`, made with those above it when it is not there.
fn make_directories(kernel: &Arc<Kernel>, boot: &Task, path: &str) -> Result<Arc<Dentry>, Errno> {
    let walker = |base| Walker { task: boot, base, flags: WalkFlags::FOLLOW };
    let mut here = kernel.vfs.root();
    for name in path.split('/').filter(|name| !name.is_empty()) {
        let walker = walker(here);
        here = match kernel.vfs.walk(&walker, name) {
            Ok(found) => found.place()?,
            Err(Errno::Noent) => {
                let end = kernel.vfs.walk_to_end(&walker, name)?;
                kernel.vfs.make(&walker, &end, New::Directory, 0o755)?
            }
            Err(errno) => return Err(errno),
        };
    }
    Ok(here)
}
