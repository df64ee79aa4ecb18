//! Starting programs: `spawn` makes a process for one, `exec` runs one in place (posix_spawn(3), execve(2)).

use std::sync::Arc;

use super::image::{self, Loaded};
use super::task::NewTask;
use super::{FdFlags, FdTable, LoadError, Pid, Program, Startup, Task};
use crate::Errno;
use crate::backend::NodeKind;
use crate::limits::Limit;
use crate::syscall::types::OpenFlags;
use crate::vfs::{Dentry, WalkFlags, Walker};

/// Where programs are looked for when the environment has no `PATH`.
pub const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// The longest single argument in bytes, with its NUL (`MAX_ARG_STRLEN` on Linux).
const ARGUMENT_BYTES_MAX: usize = 128 << 10;

/// What happens to a descriptor between the start of a child and its program.
#[derive(Clone, Debug)]
pub enum FileAction {
    /// `to` becomes a copy of the child's `from`, not closed on exec.
    Dup2 {
        /// The descriptor that is copied.
        from: u32,
        /// The copy.
        to: u32,
    },
    /// It is closed; nothing happens when it is not open.
    Close(u32),
    /// It is the file at a path.
    Open {
        /// The descriptor.
        fd: u32,
        /// The path, from the child's working directory.
        path: String,
        /// How.
        flags: OpenFlags,
        /// Permission bits of a file that is made.
        mode: u32,
    },
}

/// Everything `spawn` and `exec` need.
#[derive(Clone, Debug, Default)]
pub struct ProgramSpec {
    /// The program's path.
    pub path: String,
    /// Whether a path without `/` is looked for along `PATH` of the new environment.
    pub search_path: bool,
    /// The arguments, `argv[0]` first.
    pub arguments: Vec<String>,
    /// The environment; none: the caller's.
    pub environment: Option<Vec<(String, String)>>,
    /// The working directory; none: the caller's.
    pub working_directory: Option<String>,
    /// What is done with descriptors, in order.
    pub actions: Vec<FileAction>,
    /// The process group. None: the caller's; 0: a new one.
    pub process_group: Option<Pid>,
    /// A new session.
    pub new_session: bool,
}

/// Why a program could not be started.
#[derive(Clone, Debug)]
pub struct StartError {
    /// The errno.
    pub errno: Errno,
    /// One sentence for a person.
    pub message: String,
}

impl StartError {
    fn new(errno: Errno, what: impl std::fmt::Display) -> Self {
        Self { errno, message: format!("{what}: {errno}") }
    }
}

impl From<LoadError> for StartError {
    fn from(error: LoadError) -> Self {
        Self { errno: error.errno, message: error.message }
    }
}

impl std::fmt::Display for StartError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for StartError {}

/// A program that was found and loaded, with what it will be started with.
struct Prepared {
    program: Box<dyn Program>,
    startup: Arc<Startup>,
    cwd: Arc<Dentry>,
}

/// Starts a program as a child of `parent`.
pub(crate) fn spawn(parent: &Arc<Task>, spec: ProgramSpec) -> Result<Arc<Task>, StartError> {
    let child = spawn_held(parent, &spec, parent.pid())?;
    Ok(child.start())
}

/// Starts a program that nobody inside the VM waits for: the embedder's own.
pub(crate) fn spawn_detached(template: &Arc<Task>, spec: ProgramSpec) -> Result<Arc<Task>, StartError> {
    Ok(spawn_held(template, &spec, 0)?.start())
}

struct Held {
    task: Arc<Task>,
    program: Box<dyn Program>,
}

impl Held {
    fn start(self) -> Arc<Task> {
        self.program.start(self.task.clone());
        self.task
    }
}

fn spawn_held(parent: &Arc<Task>, spec: &ProgramSpec, ppid: Pid) -> Result<Held, StartError> {
    let kernel = parent.kernel();
    let prepared = prepare(parent, spec)?;
    let inherited = parent.fds().inherited();
    let fds = apply(parent, &prepared.cwd, inherited, &spec.actions)?;
    let pgid = match spec.process_group {
        _ if spec.new_session => None,
        Some(0) => None,
        Some(group) if group < 0 => return Err(StartError::new(Errno::Inval, "process group")),
        Some(group) => {
            let known = kernel.processes.all().iter().any(|task| task.pgid() == group && task.sid() == parent.sid());
            if !known {
                return Err(StartError::new(Errno::Perm, format_args!("process group {group}")));
            }
            Some(group)
        }
        None => Some(parent.pgid()),
    };
    let charge = kernel.accountant.charge(Limit::Processes, 1).map_err(|errno| {
        StartError::new(errno, format_args!("too many processes (limit {})", kernel.accountant.max(Limit::Processes)))
    })?;
    let new = NewTask {
        ppid,
        pgid,
        sid: (!spec.new_session && ppid != 0).then(|| parent.sid()),
        credentials: parent.credentials(),
        umask: parent.umask(),
        cwd: prepared.cwd,
        startup: prepared.startup,
        fds,
        terminal: parent.terminal().filter(|_| !spec.new_session).cloned(),
    };
    let task = kernel.processes.enter(|pid| Ok::<_, StartError>(Task::new(kernel.clone(), pid, new, Some(charge))))?;
    if ppid != 0 {
        parent.add_child(task.pid());
    }
    Ok(Held { task, program: prepared.program })
}

/// Replaces the program of `task`; the executor then runs what is answered in the same task.
pub(crate) fn exec(task: &Arc<Task>, spec: ProgramSpec) -> Result<Box<dyn Program>, StartError> {
    let prepared = prepare(task, &spec)?;
    if !spec.actions.is_empty() {
        let copy = FdTable::clone_of(&task.fds());
        let fds = apply(task, &prepared.cwd, copy, &spec.actions)?;
        let old = std::mem::replace(&mut *task.fds(), fds);
        drop(old);
    }
    let closed = task.fds().take_closed_on_exec();
    drop(closed);
    task.set_cwd(prepared.cwd);
    task.set_startup(prepared.startup);
    Ok(prepared.program)
}

fn prepare(caller: &Task, spec: &ProgramSpec) -> Result<Prepared, StartError> {
    let environment = spec.environment.clone().unwrap_or_else(|| caller.startup().environment.clone());
    check_size(caller, &spec.arguments, &environment)?;
    let cwd = match &spec.working_directory {
        None => caller.cwd(),
        Some(path) => directory(caller, path).map_err(|errno| StartError::new(errno, path))?,
    };
    let arguments = if spec.arguments.is_empty() { vec![spec.path.clone()] } else { spec.arguments.clone() };
    let loaded = if spec.search_path && !spec.path.contains('/') {
        search(caller, &cwd, &spec.path, &arguments, &environment)?
    } else {
        image::load(caller, &cwd, &spec.path, arguments)?
    };
    let Loaded { program, path, arguments } = loaded;
    let startup = Arc::new(Startup { executable: path, arguments, environment });
    Ok(Prepared { program, startup, cwd })
}

/// Looks along `PATH`: the first file that can be run. `EACCES` is remembered, as execvp(3) has it.
fn search(
    caller: &Task,
    cwd: &Arc<Dentry>,
    name: &str,
    arguments: &[String],
    environment: &[(String, String)],
) -> Result<Loaded, StartError> {
    let path = environment.iter().rev().find(|(key, _)| key == "PATH").map_or(DEFAULT_PATH, |(_, value)| value);
    let mut error = StartError { errno: Errno::Noent, message: format!("{name}: command not found") };
    if name.is_empty() {
        return Err(error);
    }
    if name.len() > crate::backend::NAME_BYTES_MAX {
        return Err(StartError::new(Errno::Nametoolong, name));
    }
    for dir in path.split(':') {
        let candidate = if dir.is_empty() { name.to_owned() } else { format!("{dir}/{name}") };
        match image::load(caller, cwd, &candidate, arguments.to_vec()) {
            Ok(loaded) => return Ok(loaded),
            Err(failure) => match failure.errno {
                Errno::Noent | Errno::Notdir | Errno::Loop | Errno::Nametoolong => {}
                Errno::Acces => error = failure.into(),
                _ => return Err(failure.into()),
            },
        }
    }
    Err(error)
}

fn check_size(caller: &Task, arguments: &[String], environment: &[(String, String)]) -> Result<(), StartError> {
    let max = caller.kernel().accountant.max(Limit::ArgumentBytes);
    let longest = arguments.iter().map(String::len).max().unwrap_or_default();
    if longest >= ARGUMENT_BYTES_MAX {
        return Err(StartError::new(Errno::TooBig, format_args!("an argument of {longest} bytes")));
    }
    // As Linux counts: the strings with their NULs, and a pointer for each.
    let arguments = arguments.iter().map(|text| text.len() as u64 + 9).sum::<u64>();
    let environment = environment.iter().map(|(key, value)| (key.len() + value.len()) as u64 + 10).sum::<u64>();
    if arguments.saturating_add(environment) > max {
        return Err(StartError::new(Errno::TooBig, format_args!("arguments and environment (limit {max} bytes)")));
    }
    Ok(())
}

fn directory(caller: &Task, path: &str) -> Result<Arc<Dentry>, Errno> {
    let walker = Walker { task: caller, base: caller.cwd(), flags: WalkFlags::FOLLOW };
    let place = caller.kernel().vfs.walk(&walker, path)?.place()?;
    if place.inode().kind() != NodeKind::Directory {
        return Err(Errno::Notdir);
    }
    caller.credentials().check(place.inode(), crate::vfs::Access::Execute)?;
    Ok(place)
}

fn apply(caller: &Task, cwd: &Arc<Dentry>, mut fds: FdTable, actions: &[FileAction]) -> Result<FdTable, StartError> {
    for action in actions {
        match action {
            FileAction::Dup2 { from, to } => {
                // A descriptor that the child would not inherit can be given all the same, by the parent's number.
                let found = fds.get(*from).cloned().or_else(|_| caller.fds().get(*from).cloned());
                let mut entry = found.map_err(|errno| StartError::new(errno, format_args!("descriptor {from}")))?;
                entry.flags = FdFlags::empty();
                fds.replace(*to, entry).map_err(|errno| StartError::new(errno, format_args!("descriptor {to}")))?;
            }
            FileAction::Close(fd) => drop(fds.remove(*fd)),
            FileAction::Open { fd, path, flags, mode } => {
                let file = crate::syscall::fs::open_file(caller, cwd.clone(), path, *flags, *mode)
                    .map_err(|errno| StartError::new(errno, path))?;
                let entry = super::FdEntry { file, flags: FdFlags::empty() };
                fds.replace(*fd, entry).map_err(|errno| StartError::new(errno, format_args!("descriptor {fd}")))?;
            }
        }
    }
    Ok(fds)
}
