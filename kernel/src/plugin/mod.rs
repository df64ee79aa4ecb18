//! Component backends: filesystems that are loaded at run time.
//!
//! [`PluginFilesystem`] answers the kernel's [`Filesystem`](eyot_backend::Filesystem) by calling a component of one of the worlds of
//! `wit/backend`: `filesystem-backend` or `mount-backend`, whose calls are answered at once, or one of their asynchronous counterparts, of whose calls many
//! are in flight. A component is hostile until shown otherwise:
//! - it is linked to what was granted and nothing else; what else it imports is named when it is refused;
//! - its memory is limited, and so is the time of each call;
//! - after a trap, a time-out or a breach of the canonical ABI it is *retired*: its memory is dropped, every call answers `EIO` from then on, and nothing else notices;
//! - what it answers is checked, and an answer that cannot be true is `EIO`.

mod answers;
mod bindings;
mod error;
mod exports;
mod filesystem;
mod host;
mod inspect;
mod kinds;
mod load;
mod mount;
mod report;
mod transfer;
mod waiting;
mod watch;

pub use error::PluginError;
pub use host::PluginHost;
pub use inspect::{FileKind, Grant, Import, Inspection, Interface, PUBLISHED, World};
pub use kinds::PluginFilesystem;
pub use load::PluginConfig;
pub use mount::{Function, FunctionMetrics, MountMetrics, PluginMount, Starter};

#[cfg(test)]
mod tests;
