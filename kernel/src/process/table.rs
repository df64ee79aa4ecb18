//! The VM's processes by number.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;

use super::{Pid, Task};

/// The largest process number before they start again at 2 (`pid_max` on Linux).
const PID_MAX: Pid = 4_194_304;

/// All processes of a VM, zombies included.
#[derive(Default)]
pub struct ProcessTable {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    tasks: BTreeMap<Pid, Arc<Task>>,
    last: Pid,
}

impl ProcessTable {
    /// Gives out a free number and enters the task made with it.
    pub(super) fn enter<E>(&self, make: impl FnOnce(Pid) -> Result<Arc<Task>, E>) -> Result<Arc<Task>, E> {
        let mut state = self.state.lock();
        let mut pid = state.last;
        loop {
            pid = if pid >= PID_MAX { 2 } else { pid + 1 };
            // A group or session may outlive its leader: its number stays taken.
            let taken = state.tasks.contains_key(&pid)
                || (pid <= state.last && state.tasks.values().any(|task| task.pgid() == pid || task.sid() == pid));
            if !taken {
                break;
            }
        }
        let task = make(pid)?;
        state.last = pid;
        state.tasks.insert(pid, task.clone());
        Ok(task)
    }

    /// The process with this number.
    pub fn get(&self, pid: Pid) -> Option<Arc<Task>> {
        self.state.lock().tasks.get(&pid).cloned()
    }

    /// Every process, ascending by number.
    pub fn all(&self) -> Vec<Arc<Task>> {
        self.state.lock().tasks.values().cloned().collect()
    }

    /// Takes a process out.
    pub(super) fn remove(&self, pid: Pid) -> Option<Arc<Task>> {
        self.state.lock().tasks.remove(&pid)
    }
}
