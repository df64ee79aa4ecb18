//! A task: one process, from its start to its being waited for.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::time::Instant;

use event_listener::{Event, EventListener};
use parking_lot::{Mutex, RwLock};

use super::{FdEntry, FdTable, OpenFile, Pid, Stream};
use crate::Errno;
use crate::kernel::Kernel;
use crate::limits::Charge;
use crate::policy::{Action, Allowed};
use crate::signal::{self, DefaultAction};
use crate::vfs::Dentry;
use crate::wait::{SysError, SysResult, Wait, Woken};

/// Who a process acts as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

impl Credentials {
    /// The superuser.
    pub const ROOT: Credentials = Credentials { uid: 0, gid: 0 };
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ExitStatus {
    /// By itself, with this code.
    Exited(u8),
    /// By this signal.
    Signaled(u8),
}

impl ExitStatus {
    /// The number a shell shows: the code, or 128 and the signal.
    pub fn shell_code(self) -> u8 {
        match self {
            ExitStatus::Exited(code) => code,
            ExitStatus::Signaled(signal) => 128 | signal,
        }
    }

    /// Whether it ended by itself with code 0.
    pub fn success(self) -> bool {
        self == ExitStatus::Exited(0)
    }
}

/// What a program is started with.
#[derive(Clone, Debug, Default)]
pub struct Startup {
    /// The program's path, symlinks resolved.
    pub executable: String,
    /// The arguments, `argv[0]` first.
    pub arguments: Vec<String>,
    /// The environment, in order.
    pub environment: Vec<(String, String)>,
}

enum Life {
    Running,
    Ended(ExitStatus),
}

type KillHook = Box<dyn Fn() + Send + Sync>;

/// One process.
pub struct Task {
    pid: Pid,
    ppid: AtomicI32,
    pgid: AtomicI32,
    sid: AtomicI32,
    kernel: Arc<Kernel>,
    credentials: Credentials,
    umask: AtomicU32,
    cwd: RwLock<Arc<Dentry>>,
    startup: RwLock<Arc<Startup>>,
    fds: Mutex<FdTable>,
    children: Mutex<Vec<Pid>>,
    terminal: Option<Arc<dyn Stream>>,
    life: Mutex<Life>,
    /// Notified when the task ends.
    ended: Event,
    /// Notified when a child ends.
    child_ended: Event,
    /// The signal that is ending the task; 0: none.
    fatal_signal: AtomicU8,
    /// Bit N - 1: signal N is ignored.
    ignored: AtomicU64,
    /// Notified when `fatal_signal` is set: it ends every wait.
    interrupted: Event,
    kill_hook: Mutex<Option<KillHook>>,
    started: Instant,
    _charge: Option<Charge>,
}

/// What a new task is made of.
pub(crate) struct NewTask {
    pub(crate) ppid: Pid,
    /// None: its own.
    pub(crate) pgid: Option<Pid>,
    /// None: its own.
    pub(crate) sid: Option<Pid>,
    pub(crate) credentials: Credentials,
    pub(crate) umask: u32,
    pub(crate) cwd: Arc<Dentry>,
    pub(crate) startup: Arc<Startup>,
    pub(crate) fds: FdTable,
    pub(crate) terminal: Option<Arc<dyn Stream>>,
}

impl Task {
    /// A task that the embedder makes for its own use. It has a number like any other, but takes none of the VM's share of processes.
    pub(crate) fn enter(kernel: &Arc<Kernel>, new: NewTask) -> Arc<Self> {
        let entered =
            kernel.processes.enter(|pid| Ok::<_, std::convert::Infallible>(Self::new(kernel.clone(), pid, new, None)));
        match entered {
            Ok(task) => task,
            Err(never) => match never {},
        }
    }

    pub(super) fn new(kernel: Arc<Kernel>, pid: Pid, new: NewTask, charge: Option<Charge>) -> Arc<Self> {
        Arc::new(Self {
            pid,
            ppid: AtomicI32::new(new.ppid),
            pgid: AtomicI32::new(new.pgid.unwrap_or(pid)),
            sid: AtomicI32::new(new.sid.unwrap_or(pid)),
            kernel,
            credentials: new.credentials,
            umask: AtomicU32::new(new.umask & 0o777),
            cwd: RwLock::new(new.cwd),
            startup: RwLock::new(new.startup),
            fds: Mutex::new(new.fds),
            children: Mutex::default(),
            terminal: new.terminal,
            life: Mutex::new(Life::Running),
            ended: Event::new(),
            child_ended: Event::new(),
            fatal_signal: AtomicU8::new(0),
            ignored: AtomicU64::new(0),
            interrupted: Event::new(),
            kill_hook: Mutex::new(None),
            started: Instant::now(),
            _charge: charge,
        })
    }

    /// Its number.
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// Its parent's number; 0 when the embedder started it or the parent is gone.
    pub fn ppid(&self) -> Pid {
        self.ppid.load(Ordering::Relaxed)
    }

    /// Its process group.
    pub fn pgid(&self) -> Pid {
        self.pgid.load(Ordering::Relaxed)
    }

    /// Its session.
    pub fn sid(&self) -> Pid {
        self.sid.load(Ordering::Relaxed)
    }

    pub(crate) fn set_pgid(&self, pgid: Pid) {
        self.pgid.store(pgid, Ordering::Relaxed);
    }

    pub(crate) fn set_sid(&self, sid: Pid) {
        self.sid.store(sid, Ordering::Relaxed);
    }

    /// The VM it lives in.
    pub(crate) fn kernel(&self) -> &Arc<Kernel> {
        &self.kernel
    }

    /// The accountant of its VM, for what an executor allocates on its behalf.
    pub fn accountant(&self) -> &Arc<crate::limits::Accountant> {
        &self.kernel.accountant
    }

    /// Who it acts as.
    pub fn credentials(&self) -> Credentials {
        self.credentials
    }

    /// The file mode creation mask.
    pub fn umask(&self) -> u32 {
        self.umask.load(Ordering::Relaxed)
    }

    pub(crate) fn set_umask(&self, mask: u32) -> u32 {
        self.umask.swap(mask & 0o777, Ordering::Relaxed)
    }

    /// The working directory.
    pub(crate) fn cwd(&self) -> Arc<Dentry> {
        self.cwd.read().clone()
    }

    pub(crate) fn set_cwd(&self, cwd: Arc<Dentry>) {
        let old = std::mem::replace(&mut *self.cwd.write(), cwd);
        drop(old);
    }

    /// What it was started with.
    pub fn startup(&self) -> Arc<Startup> {
        self.startup.read().clone()
    }

    pub(crate) fn set_startup(&self, startup: Arc<Startup>) {
        *self.startup.write() = startup;
    }

    /// Its terminal.
    pub(crate) fn terminal(&self) -> Option<&Arc<dyn Stream>> {
        self.terminal.as_ref()
    }

    /// When it was started.
    pub(crate) fn started(&self) -> Instant {
        self.started
    }

    /// The descriptors, locked. Nothing that may call a backend is done, and nothing of the table dropped, under this lock.
    pub fn fds(&self) -> parking_lot::MutexGuard<'_, FdTable> {
        self.fds.lock()
    }

    /// The open file behind a descriptor. Errors: `EBADF`.
    pub fn file(&self, fd: u32) -> Result<Arc<OpenFile>, Errno> {
        self.fds.lock().get(fd).map(|entry| entry.file.clone())
    }

    /// Checks the VM's policy. Errors: `EACCES`.
    pub(crate) fn allow(&self, action: Action, path: impl FnOnce() -> String) -> Result<Allowed, Errno> {
        self.kernel.policy.check(action, path)
    }

    // --- the end ---

    /// Whether a signal is ending it: its executor is to unwind and call [`Task::finish`] with [`Task::fatal_status`].
    pub fn killed(&self) -> bool {
        self.fatal_signal.load(Ordering::Acquire) != 0
    }

    /// The status that the fatal signal leads to.
    pub fn fatal_status(&self) -> Option<ExitStatus> {
        match self.fatal_signal.load(Ordering::Acquire) {
            0 => None,
            signal => Some(ExitStatus::Signaled(signal)),
        }
    }

    /// Has `hook` called when the task is killed: at once, when it was already. One hook at a time; it must not block.
    pub fn on_kill(&self, hook: impl Fn() + Send + Sync + 'static) {
        let mut slot = self.kill_hook.lock();
        if self.killed() {
            hook();
        }
        *slot = Some(Box::new(hook));
    }

    /// Sends the task a signal.
    pub fn signal(&self, number: u8) {
        let ignored = self.ignored.load(Ordering::Relaxed) & signal::mask(number) != 0;
        if signal::default_action(number) == DefaultAction::Ignore || (ignored && number != signal::KILL) {
            return;
        }
        let first = self.fatal_signal.compare_exchange(0, number, Ordering::AcqRel, Ordering::Acquire).is_ok();
        if first {
            self.interrupted.notify(usize::MAX);
            if let Some(hook) = &*self.kill_hook.lock() {
                hook();
            }
        }
    }

    /// Ignores a signal from now on (`SIG_IGN`), or no longer. Answers whether it was ignored before.
    pub fn ignore_signal(&self, number: u8, ignore: bool) -> bool {
        let mask = signal::mask(number);
        let before = if ignore {
            self.ignored.fetch_or(mask, Ordering::Relaxed)
        } else {
            self.ignored.fetch_and(!mask, Ordering::Relaxed)
        };
        before & mask != 0
    }

    /// Ends the task: its descriptors are closed, its children are orphans, its parent is told. Only the first call counts.
    pub fn finish(&self, status: ExitStatus) {
        if matches!(*self.life.lock(), Life::Ended(_)) {
            return;
        }
        let open = self.fds.lock().take_all();
        drop(open);
        *self.kill_hook.lock() = None;
        self.disown_children();
        *self.life.lock() = Life::Ended(status);
        self.ended.notify(usize::MAX);
        match self.kernel.processes.get(self.ppid()) {
            Some(parent) if self.ppid() != 0 => {
                parent.child_ended.notify(usize::MAX);
                // The parent may have ended in between, and then nobody waits.
                if self.ppid() == 0 {
                    self.kernel.processes.remove(self.pid);
                }
            }
            _ => drop(self.kernel.processes.remove(self.pid)),
        }
    }

    fn disown_children(&self) {
        for pid in std::mem::take(&mut *self.children.lock()) {
            if let Some(child) = self.kernel.processes.get(pid) {
                child.ppid.store(0, Ordering::Relaxed);
                if child.status().is_some() {
                    self.kernel.processes.remove(pid);
                }
            }
        }
    }

    /// How it ended; none while it runs.
    pub fn status(&self) -> Option<ExitStatus> {
        match *self.life.lock() {
            Life::Running => None,
            Life::Ended(status) => Some(status),
        }
    }

    /// Listens for the end.
    pub fn listen_ended(&self) -> EventListener {
        self.ended.listen()
    }

    // --- children ---

    pub(super) fn add_child(&self, pid: Pid) {
        self.children.lock().push(pid);
    }

    /// The children that `matches`, and a listener made before they were looked at.
    pub(crate) fn children(&self, matches: impl Fn(&Task) -> bool) -> (Vec<Arc<Task>>, EventListener) {
        let listener = self.child_ended.listen();
        let pids = self.children.lock().clone();
        let children = pids.into_iter().filter_map(|pid| self.kernel.processes.get(pid)).filter(|child| matches(child));
        (children.collect(), listener)
    }

    /// Takes a zombie child away. Answers whether it was there: of two waiters one gets it.
    pub(crate) fn reap(&self, pid: Pid) -> bool {
        let mut children = self.children.lock();
        let Some(index) = children.iter().position(|&child| child == pid) else { return false };
        children.swap_remove(index);
        drop(children);
        drop(self.kernel.processes.remove(pid));
        true
    }

    // --- waiting ---

    /// Waits on a fiber. [`Woken::Killed`]: unwind.
    pub async fn suspend(&self, wait: Wait) -> Woken {
        let killed = self.interrupted.listen();
        if self.killed() {
            return Woken::Killed;
        }
        wait.or(killed).suspend().await;
        if self.killed() { Woken::Killed } else { Woken::Ready }
    }

    /// Waits by parking the thread. [`Woken::Killed`]: unwind.
    pub fn park(&self, wait: Wait) -> Woken {
        let killed = self.interrupted.listen();
        if self.killed() {
            return Woken::Killed;
        }
        wait.or(killed).park();
        if self.killed() { Woken::Killed } else { Woken::Ready }
    }

    /// Calls until the call need not wait, parking the thread in between. `EINTR`: the task was killed.
    pub fn blocking<T>(&self, mut call: impl FnMut() -> SysResult<T>) -> Result<T, Errno> {
        loop {
            match call() {
                Ok(value) => return Ok(value),
                Err(SysError::Errno(errno)) => return Err(errno),
                Err(SysError::Wait(wait)) => {
                    if self.park(wait) == Woken::Killed {
                        return Err(Errno::Intr);
                    }
                }
            }
        }
    }

    /// Puts an open file at the lowest free descriptor that is at least `min`. Errors: `EMFILE`.
    pub fn insert_fd(&self, entry: FdEntry, min: u32) -> Result<u32, Errno> {
        self.fds.lock().insert(entry, min)
    }
}

impl std::fmt::Debug for Task {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Task").field("pid", &self.pid).field("executable", &self.startup().executable).finish()
    }
}
