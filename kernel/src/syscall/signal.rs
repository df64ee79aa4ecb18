//! `eyot:kernel/signal`: kill(2).

use std::sync::Arc;

use crate::Errno;
use crate::process::{Pid, Task};
use crate::signal::{DefaultAction, KILL, MAX, STOP, default_action};
use crate::wait::SysResult;

/// sigaction(2) with `SIG_DFL` or `SIG_IGN`: whether the caller ignores a signal; answers whether it did before. Errors: `EINVAL` (no such signal, SIGKILL, SIGSTOP).
pub fn set_disposition(task: &Task, signal: u8, ignore: bool) -> SysResult<bool> {
    if !(1..=MAX).contains(&signal) || signal == KILL || signal == STOP {
        return Err(Errno::Inval.into());
    }
    Ok(task.ignore_signal(signal, ignore))
}

/// kill(2). `target`: > 0 that process, 0 the caller's group, -1 every process but the caller, < -1 that group. Signal 0 only checks.
/// Errors: `ESRCH`, `EPERM`, `EINVAL` (no such signal), `ENOSYS` (signals that stop: not built yet).
pub fn kill(task: &Task, target: Pid, signal: u8) -> SysResult<()> {
    if signal > MAX {
        return Err(Errno::Inval.into());
    }
    if signal != 0 && default_action(signal) == DefaultAction::Stop {
        return Err(Errno::Nosys.into());
    }
    let targets = targets(task, target)?;
    let permitted: Vec<_> = targets.iter().filter(|other| may_signal(task, other)).collect();
    if permitted.is_empty() {
        return Err(Errno::Perm.into());
    }
    if signal != 0 {
        permitted.into_iter().for_each(|other| other.signal(signal));
    }
    Ok(())
}

fn targets(task: &Task, target: Pid) -> Result<Vec<Arc<Task>>, Errno> {
    let processes = &task.kernel().processes;
    let group = match target {
        1.. => return processes.get(target).map(|task| vec![task]).ok_or(Errno::Srch),
        -1 => None,
        0 => Some(task.pgid()),
        _ => Some(target.checked_neg().ok_or(Errno::Srch)?),
    };
    let mut all = processes.all();
    match group {
        None => all.retain(|other| other.pid() != task.pid()),
        Some(group) => all.retain(|other| other.pgid() == group),
    }
    if all.is_empty() { Err(Errno::Srch) } else { Ok(all) }
}

fn may_signal(task: &Task, other: &Task) -> bool {
    let uid = task.credentials().uid;
    uid == 0 || uid == other.credentials().uid
}
