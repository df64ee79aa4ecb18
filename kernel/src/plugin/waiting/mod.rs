//! Components of the asynchronous worlds: one instance, many calls in flight.
//!
//! The life of an instance is one future: it is started, configured, asked what it is, and then runs wasmtime's event loop, which takes calls from a queue. That
//! future is polled by whoever has reason to: by a task of the kernel's runtime when something that the component waits for has come, and by the thread of a
//! guest that has just put a call into the queue. So a call that need not wait is answered on the caller's own thread, without a message to another one; and
//! a call that must wait parks its caller.
//!
//! Everything is bounded: the calls in flight and the bytes that they carry ([`admission`]), the time for which a caller waits, the time for which the component
//! computes ([`budget`]), the calls that were given up, the changes that were told and not yet heard ([`changes`]).

mod admission;
mod budget;
mod changes;
mod clocks;
mod driver;
mod exports;
mod filesystem;
mod life;
mod reply;

pub(super) use filesystem::WaitingPlugin;
pub(super) use life::settings;

use wasmtime::component::Component;
use wasmtime::component::types::ComponentItem;

use super::grants::{Provider, provider};

/// Whether a component is of an asynchronous world.
pub(super) fn is_waiting(component: &Component) -> bool {
    let ty = component.component_type();
    ty.exports(component.engine()).any(|(name, _)| name.starts_with("eyot:backend/filesystem-async@0.1."))
}

/// What of `mount` a component without settings imports: the type of the refusal that `info` may answer, and no function.
const REFUSAL: &str = "eyot:backend/mount@0.1.0";

/// Whether every component of an asynchronous world gets this import.
pub(super) fn is_granted(import: &str, item: &ComponentItem) -> bool {
    let granted = ["wasi:clocks/types@0.3.", "wasi:clocks/monotonic-clock@0.3.", REFUSAL];
    let own = granted.iter().any(|prefix| import.starts_with(prefix));
    provider(import, item) == Some(Provider::Host) || own && matches!(item, ComponentItem::ComponentInstance(_))
}

#[cfg(test)]
mod tests;
