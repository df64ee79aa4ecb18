//! Signals, by Linux's numbers. They can be sent; a guest has no handlers, so none arrive.

use crate::{error, sys, traps};

macro_rules! signals {
    ($($name:ident = $number:literal,)*) => {
        /// A signal.
        #[allow(unnameable_types, missing_docs, clippy::upper_case_acronyms)]
        #[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
        pub enum Signal { $($name = $number,)* }

        impl Signal {
            const ALL: &[Self] = &[$(Self::$name,)*];

            /// Its name, with `SIG`.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)* }
            }
        }
    };
}

signals! {
    SIGHUP = 1, SIGINT = 2, SIGQUIT = 3, SIGILL = 4, SIGTRAP = 5, SIGABRT = 6, SIGBUS = 7, SIGFPE = 8, SIGKILL = 9,
    SIGUSR1 = 10, SIGSEGV = 11, SIGUSR2 = 12, SIGPIPE = 13, SIGALRM = 14, SIGTERM = 15, SIGSTKFLT = 16, SIGCHLD = 17,
    SIGCONT = 18, SIGSTOP = 19, SIGTSTP = 20, SIGTTIN = 21, SIGTTOU = 22, SIGURG = 23, SIGXCPU = 24, SIGXFSZ = 25,
    SIGVTALRM = 26, SIGPROF = 27, SIGWINCH = 28, SIGIO = 29, SIGPWR = 30, SIGSYS = 31,
}

impl Signal {
    /// All of them, by number.
    pub fn iterator() -> impl Iterator<Item = Self> {
        Self::ALL.iter().copied()
    }

    /// The signal of that name, with `SIG`.
    pub fn from_str(name: &str) -> Result<Self, error::Error> {
        let found = Self::iterator().find(|signal| signal.as_str() == name);
        found.ok_or_else(|| error::ErrorKind::InvalidSignal(name.into()).into())
    }
}

impl TryFrom<i32> for Signal {
    type Error = error::Error;

    fn try_from(number: i32) -> Result<Self, Self::Error> {
        let found = Self::iterator().find(|signal| *signal as i32 == number);
        found.ok_or_else(|| error::ErrorKind::InvalidSignal(number.to_string()).into())
    }
}

pub(crate) fn continue_process(pid: sys::process::ProcessId) -> Result<(), error::Error> {
    send(pid, Signal::SIGCONT)
}

/// Sends a signal to a process, or with a negative number to a process group.
pub fn kill_process(
    pid: sys::process::ProcessId,
    signal: traps::TrapSignal,
) -> Result<(), error::Error> {
    match signal {
        traps::TrapSignal::Signal(signal) => send(pid, signal),
        other => Err(error::ErrorKind::InvalidSignal(other.to_string()).into()),
    }
}

fn send(pid: sys::process::ProcessId, signal: Signal) -> Result<(), error::Error> {
    std::os::wasi::process::send_signal(pid, signal as i32)
        .map_err(|_| error::ErrorKind::FailedToSendSignal.into())
}

pub(crate) fn lead_new_process_group() -> Result<(), error::Error> {
    Ok(())
}

/// A listener that never hears anything.
pub(crate) struct Silence;

impl Silence {
    pub async fn recv(&self) {
        futures::future::pending::<()>().await;
    }
}

pub(crate) fn tstp_signal_listener() -> Result<Silence, error::Error> {
    Ok(Silence)
}

pub(crate) fn chld_signal_listener() -> Result<Silence, error::Error> {
    Ok(Silence)
}

pub(crate) async fn await_ctrl_c() -> std::io::Result<()> {
    Silence.recv().await;
    Ok(())
}

pub(crate) fn mask_sigttou() -> Result<(), error::Error> {
    Ok(())
}

pub(crate) fn poll_for_stopped_children() -> Result<bool, error::Error> {
    Ok(false)
}
