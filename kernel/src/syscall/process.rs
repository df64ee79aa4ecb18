//! `eyot:kernel/process`: starting programs, waiting for them, and what a process knows of itself.

use std::sync::Arc;

use super::types::{WaitFlags, WaitStatus};
use crate::Errno;
use crate::backend::NodeKind;
use crate::process::{ExitStatus, Object, Pid, Program, ProgramSpec, StartError, Task};
use crate::vfs::{Access, Dentry, WalkFlags, Walker};
use crate::wait::{SysError, SysResult, Wait};

/// posix_spawn(3): starts a program as a child; answers its number. Errors: `ENOENT`, `EACCES`, `ENOEXEC`, `E2BIG`, `EAGAIN`, `ENOMEM`, `EBADF`; the message
/// is for the embedder or a shell to show.
pub fn spawn(task: &Arc<Task>, spec: ProgramSpec) -> Result<Pid, StartError> {
    crate::process::spawn(task, spec).map(|child| child.pid())
}

/// execve(2): checks and loads another program and makes the task ready for it. The executor then unwinds the old program and starts the one that is answered, in the
/// same task.
pub fn exec(task: &Arc<Task>, spec: ProgramSpec) -> Result<Box<dyn Program>, StartError> {
    crate::process::exec(task, spec)
}

/// waitpid(2): a child that ended, which is a zombie no longer; none when nothing ended yet and `NO_HANG` is given. Errors: `ECHILD`.
pub fn wait(task: &Task, target: Pid, flags: WaitFlags) -> SysResult<Option<(Pid, WaitStatus)>> {
    loop {
        let (children, listener) = task.children(|child| match target {
            1.. => child.pid() == target,
            0 => child.pgid() == task.pgid(),
            -1 => true,
            _ => target.checked_neg() == Some(child.pgid()),
        });
        if children.is_empty() {
            return Err(Errno::Child.into());
        }
        let ended = children.iter().find_map(|child| child.status().map(|status| (child.pid(), status)));
        match ended {
            Some((pid, status)) if task.reap(pid) => return Ok(Some((pid, wait_status(status)))),
            // Another waiter of the same process got it.
            Some(_) => {}
            None if flags.contains(WaitFlags::NO_HANG) => return Ok(None),
            None => return Err(SysError::Wait(Wait::on(listener))),
        }
    }
}

fn wait_status(status: ExitStatus) -> WaitStatus {
    match status {
        ExitStatus::Exited(code) => WaitStatus::Exited(code),
        ExitStatus::Signaled(signal) => WaitStatus::Signaled(signal),
    }
}

/// _exit(2): how the process is to end. The executor unwinds the program and finishes the task with what is answered.
pub fn exit(_task: &Task, code: u8) -> ExitStatus {
    ExitStatus::Exited(code)
}

/// getpid(2).
pub fn getpid(task: &Task) -> Pid {
    task.pid()
}

/// getppid(2); 0 for the VM's first processes.
pub fn getppid(task: &Task) -> Pid {
    task.ppid()
}

/// getpgid(2). Errors: `ESRCH`.
pub fn getpgid(task: &Task, of: Pid) -> SysResult<Pid> {
    Ok(find(task, of)?.pgid())
}

/// setpgid(2). Errors: `ESRCH` (no such child), `EPERM` (a session leader, another session, no such group), `EINVAL` (a negative group).
pub fn setpgid(task: &Task, of: Pid, group: Pid) -> SysResult<()> {
    if group < 0 {
        return Err(Errno::Inval.into());
    }
    let target = find(task, of)?;
    if target.pid() != task.pid() && target.ppid() != task.pid() {
        return Err(Errno::Srch.into());
    }
    if target.sid() == target.pid() || target.sid() != task.sid() {
        return Err(Errno::Perm.into());
    }
    let group = if group == 0 { target.pid() } else { group };
    let exists =
        || task.kernel().processes.all().iter().any(|other| other.pgid() == group && other.sid() == task.sid());
    if group != target.pid() && !exists() {
        return Err(Errno::Perm.into());
    }
    target.set_pgid(group);
    Ok(())
}

/// getsid(2). Errors: `ESRCH`.
pub fn getsid(task: &Task, of: Pid) -> SysResult<Pid> {
    Ok(find(task, of)?.sid())
}

/// setsid(2). Errors: `EPERM` for the leader of a group.
pub fn setsid(task: &Task) -> SysResult<Pid> {
    if task.pgid() == task.pid() {
        return Err(Errno::Perm.into());
    }
    task.set_sid(task.pid());
    task.set_pgid(task.pid());
    Ok(task.pid())
}

fn find(task: &Task, pid: Pid) -> Result<Arc<Task>, Errno> {
    let pid = if pid == 0 { task.pid() } else { pid };
    task.kernel().processes.get(pid).ok_or(Errno::Srch)
}

/// getcwd(2). Errors: `ENOENT` when it was removed.
pub fn getcwd(task: &Task) -> SysResult<String> {
    Ok(task.kernel().vfs.path_of(&task.cwd())?)
}

/// chdir(2). Errors: those of a path walk.
pub fn chdir(task: &Task, path: &str) -> SysResult<()> {
    let walker = Walker { task, base: task.cwd(), flags: WalkFlags::FOLLOW };
    let place = task.kernel().vfs.walk(&walker, path)?.place()?;
    Ok(enter(task, place)?)
}

/// fchdir(2). Errors: `EBADF`, `ENOTDIR`, `EACCES`.
pub fn fchdir(task: &Task, fd: u32) -> SysResult<()> {
    let file = task.file(fd)?;
    match (file.object(), file.dentry()) {
        (Object::Directory(_) | Object::Path(_), Some(dentry)) => Ok(enter(task, dentry.clone())?),
        _ => Err(Errno::Notdir.into()),
    }
}

fn enter(task: &Task, place: Arc<Dentry>) -> Result<(), Errno> {
    if place.inode().kind() != NodeKind::Directory {
        return Err(Errno::Notdir);
    }
    task.credentials().check(place.inode(), Access::Execute)?;
    task.set_cwd(place);
    Ok(())
}

/// umask(2): sets the mask, answers the old one.
pub fn umask(task: &Task, mask: u32) -> u32 {
    task.set_umask(mask)
}

/// Real and effective user and group.
pub fn identity(task: &Task) -> (u32, u32, u32, u32) {
    let credentials = task.credentials();
    (credentials.uid, credentials.gid, credentials.uid, credentials.gid)
}

/// The arguments that the program was started with.
pub fn arguments(task: &Task) -> Vec<String> {
    task.startup().arguments.clone()
}

/// The environment that the program was started with, in order.
pub fn environment(task: &Task) -> Vec<(String, String)> {
    task.startup().environment.clone()
}
