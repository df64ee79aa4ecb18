//! How a case ends before its end: it fails, or it finds that it does not apply.
//!
//! Both unwind, and the kit's threads catch it. The kit's own failures never reach the panic hook; a panic inside a backend does, and is kept
//! instead of printed.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::fmt::Display;
use std::panic::{self, AssertUnwindSafe, Location};
use std::sync::Once;

/// Why a case ended early.
#[derive(Debug)]
pub(crate) enum Stop {
    /// What was expected and what came.
    Failed { message: String, at: Option<&'static Location<'static>> },
    /// It does not apply to this filesystem.
    LeftOut(String),
}

thread_local! {
    static QUIET: Cell<bool> = const { Cell::new(false) };
    static PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Ends the case as failed.
#[track_caller]
pub(crate) fn fail(message: impl Display) -> ! {
    panic::resume_unwind(Box::new(Stop::Failed { message: message.to_string(), at: Some(Location::caller()) }))
}

/// Ends the case as one that does not apply.
pub(crate) fn leave_out(reason: impl Display) -> ! {
    panic::resume_unwind(Box::new(Stop::LeftOut(reason.to_string())))
}

/// Ends the case as another thread of it ended.
pub(crate) fn stop(stop: Stop) -> ! {
    panic::resume_unwind(Box::new(stop))
}

/// Runs `body` on a thread of the kit's own: no panic of it is printed.
pub(crate) fn guard<T>(body: impl FnOnce() -> T) -> Result<T, Stop> {
    install();
    let before = QUIET.replace(true);
    let ended = panic::catch_unwind(AssertUnwindSafe(body));
    QUIET.set(before);
    ended.map_err(|payload| match payload.downcast::<Stop>() {
        Ok(stop) => *stop,
        Err(payload) => Stop::Failed { message: panicked(&*payload), at: None },
    })
}

fn panicked(payload: &(dyn Any + Send)) -> String {
    let kept = PANIC.take();
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| payload.downcast_ref::<String>().cloned());
    format!("the backend panicked: {}", kept.or(text).unwrap_or_else(|| "it did not say why".into()))
}

/// The hook stays for the life of the process; for every thread but the kit's it does what the one before did.
fn install() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if QUIET.get() {
                let text = info.to_string();
                PANIC.set(Some(text.strip_prefix("panicked at ").unwrap_or(&text).to_owned()));
            } else {
                before(info);
            }
        }));
    });
}

/// The case fails unless `got` is `wanted`.
#[track_caller]
pub(crate) fn same<T: PartialEq<U> + std::fmt::Debug, U: std::fmt::Debug>(what: impl Display, got: T, wanted: U) {
    if got != wanted {
        fail(format_args!("{what}: expected {}, got {}", brief(&wanted), brief(&got)));
    }
}

/// The case fails unless the bytes are the same; says where they differ first.
#[track_caller]
pub(crate) fn same_bytes(what: impl Display, got: &[u8], wanted: &[u8]) {
    if let Some(difference) = difference(got, wanted) {
        fail(format_args!("{what}: {difference}"));
    }
}

/// Where bytes differ first.
pub(crate) fn difference(got: &[u8], wanted: &[u8]) -> Option<String> {
    if let Some(at) = got.iter().zip(wanted).position(|(got, wanted)| got != wanted) {
        return Some(format!(
            "expected byte {:#04x} at {at}, got {:#04x} ({} bytes)",
            wanted.get(at)?,
            got.get(at)?,
            got.len()
        ));
    }
    (got.len() != wanted.len()).then(|| format!("expected {} bytes, got {}", wanted.len(), got.len()))
}

/// The case fails, with this message, unless the condition holds.
macro_rules! holds {
    ($condition:expr, $($message:tt)+) => {
        if !$condition {
            $crate::verdict::fail(format_args!($($message)+));
        }
    };
}
pub(crate) use holds;

const DEBUG_CHARS_MAX: usize = 400;

fn brief(value: &impl std::fmt::Debug) -> String {
    let text = format!("{value:?}");
    match text.char_indices().nth(DEBUG_CHARS_MAX) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}
