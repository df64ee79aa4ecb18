//! How a guest dies when it does not exit: the signal, and what its standard error is told.

use std::fmt::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use wasmtime::{Trap, WasmBacktrace};

use crate::process::{ExitStatus, Task};
use crate::signal;
use crate::syscall::descriptor;
use crate::wait::{SysError, Woken};

/// How long a message waits for room in standard error's pipe.
const MESSAGE_WAIT: Duration = Duration::from_millis(200);

/// The longest function name shown, in characters.
const NAME_CHARS_MAX: usize = 120;

/// Why a guest died.
pub(super) struct Death {
    signal: u8,
    message: String,
}

impl Death {
    /// From the error that its run ended with.
    pub(super) fn of_trap(error: &wasmtime::Error) -> Self {
        let (signal, what) = match error.downcast_ref::<Trap>() {
            Some(trap) => (signal_of(*trap), trap.to_string()),
            None if error.is::<wasmtime::ThrownException>() => (signal::ABRT, "uncaught exception".to_owned()),
            // Not the whole chain: what wasmtime put on top is the backtrace, which is told below.
            None => (signal::KILL, error.root_cause().to_string()),
        };
        let mut message = what;
        if let Some(backtrace) = error.downcast_ref::<WasmBacktrace>() {
            for (index, frame) in backtrace.frames().iter().enumerate() {
                let name = frame.func_name().map_or_else(|| format!("function {}", frame.func_index()), readable);
                // Writing to a string does not fail.
                let _ = write!(message, "\n  {index:2}: {name}");
            }
        }
        Self { signal, message }
    }

    /// From a host that cannot run it.
    pub(super) fn of_host(error: &wasmtime::Error) -> Self {
        Self { signal: signal::KILL, message: format!("{error:#}") }
    }
}

/// The signal that a native program would have got.
fn signal_of(trap: Trap) -> u8 {
    match trap {
        // What abort() and a panic that aborts are compiled to.
        Trap::UnreachableCodeReached => signal::ABRT,
        Trap::MemoryOutOfBounds
        | Trap::TableOutOfBounds
        | Trap::IndirectCallToNull
        | Trap::BadSignature
        | Trap::NullReference
        | Trap::StackOverflow => signal::SEGV,
        Trap::IntegerOverflow | Trap::IntegerDivisionByZero | Trap::BadConversionToInteger => signal::FPE,
        _ => signal::ILL,
    }
}

/// A function's name as its author wrote it, cut where it is endless.
fn readable(name: &str) -> String {
    let plain = match name.strip_prefix("_ZN") {
        Some(rest) => legacy_rust_name(rest).unwrap_or_else(|| name.to_owned()),
        None => name.to_owned(),
    };
    let printable = plain.chars().map(|c| if c.is_control() { '?' } else { c });
    printable.take(NAME_CHARS_MAX).collect()
}

/// The path in Rust's older mangling: length and name by turns, the last one a hash.
fn legacy_rust_name(mut rest: &str) -> Option<String> {
    let mut parts = Vec::new();
    while !rest.starts_with('E') {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let length: usize = rest.get(..digits)?.parse().ok()?;
        parts.push(rest.get(digits..digits.checked_add(length)?)?);
        rest = rest.get(digits + length..)?;
    }
    let hash = parts.last().is_some_and(|last| last.len() == 17 && last.starts_with('h'));
    if hash {
        parts.pop();
    }
    Some(parts.join("::"))
}

/// Tells the guest's standard error why it died. Answers how it ended.
pub(super) async fn report(task: &Arc<Task>, death: Death) -> ExitStatus {
    let startup = task.startup();
    let name = startup.arguments.first().map_or(startup.executable.as_str(), String::as_str);
    let text = format!("{name}: killed by SIG{}: {}\n", signal::name(death.signal), death.message);
    let deadline = Instant::now() + MESSAGE_WAIT;
    let mut rest = text.as_bytes();
    while !rest.is_empty() {
        match descriptor::write(task, 2, rest) {
            Ok(count) => rest = rest.get(count..).unwrap_or_default(),
            Err(SysError::Wait(wait)) if Instant::now() < deadline => {
                if task.suspend(wait.or_until(Some(deadline))).await == Woken::Killed {
                    break;
                }
            }
            Err(_) => break,
        }
    }
    ExitStatus::Signaled(death.signal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_readable() {
        assert_eq!(readable("_ZN4core9panicking9panic_fmt17h0123456789abcdefE"), "core::panicking::panic_fmt");
        assert_eq!(readable("main"), "main");
        assert_eq!(readable("_ZN9999999999999999999999E"), "_ZN9999999999999999999999E");
        assert_eq!(readable("_ZN4coé"), "_ZN4coé");
        assert_eq!(readable("a\u{1b}[31mb\n"), "a?[31mb?");
        assert_eq!(readable(&"x".repeat(1000)).len(), NAME_CHARS_MAX);
    }

    #[test]
    fn traps_have_the_signals_of_native_programs() {
        assert_eq!(signal_of(Trap::UnreachableCodeReached), signal::ABRT);
        assert_eq!(signal_of(Trap::MemoryOutOfBounds), signal::SEGV);
        assert_eq!(signal_of(Trap::StackOverflow), signal::SEGV);
        assert_eq!(signal_of(Trap::IntegerDivisionByZero), signal::FPE);
    }
}
