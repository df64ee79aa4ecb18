//! Signals by number: signal(7), for x86 and ARM.

/// Hangup.
pub const HUP: u8 = 1;
/// Interrupt from keyboard.
pub const INT: u8 = 2;
/// Illegal instruction.
pub const ILL: u8 = 4;
/// Abort.
pub const ABRT: u8 = 6;
/// Floating-point exception.
pub const FPE: u8 = 8;
/// Kill; cannot be ignored.
pub const KILL: u8 = 9;
/// Invalid memory reference.
pub const SEGV: u8 = 11;
/// Write to a pipe without readers.
pub const PIPE: u8 = 13;
/// Termination.
pub const TERM: u8 = 15;
/// A child ended.
pub const CHLD: u8 = 17;
/// Go on after a stop.
pub const CONT: u8 = 18;
/// Stop; cannot be ignored.
pub const STOP: u8 = 19;
/// CPU time limit.
pub const XCPU: u8 = 24;
/// The highest number.
pub const MAX: u8 = 64;

/// What a signal does to a process that does not handle it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DefaultAction {
    /// The process ends.
    Terminate,
    /// Nothing happens.
    Ignore,
    /// The process stops.
    Stop,
}

/// The default action of a signal.
pub const fn default_action(number: u8) -> DefaultAction {
    match number {
        // SIGCHLD, SIGCONT, SIGURG, SIGWINCH.
        CHLD | CONT | 23 | 28 => DefaultAction::Ignore,
        // SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU.
        19..=22 => DefaultAction::Stop,
        _ => DefaultAction::Terminate,
    }
}

/// The signal's bit in a set.
pub const fn mask(number: u8) -> u64 {
    match number {
        1..=MAX => 1 << (number - 1),
        _ => 0,
    }
}

/// The signal's name without `SIG`, for messages.
pub const fn name(number: u8) -> &'static str {
    const NAMES: [&str; 32] = [
        "0", "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE", "ALRM",
        "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM", "PROF",
        "WINCH", "IO", "PWR", "SYS",
    ];
    if (number as usize) < NAMES.len() { NAMES[number as usize] } else { "RT" }
}
