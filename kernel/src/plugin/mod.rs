//! Component backends: filesystems that are loaded at run time.
//!
//! [`PluginFilesystem`] answers the kernel's [`Filesystem`](eyot_backend::Filesystem) by calling a component of the world `filesystem-backend` or `mount-backend` of
//! `wit/backend`. A component is hostile until shown otherwise:
//! - it is linked to what reaches nothing, to what was granted, and to nothing else; what else it imports is named when it is refused;
//! - what it passes to what it was granted - layers below it, directories - is checked as a guest's is;
//! - its memory is limited, and so is the time of each call;
//! - after a trap, a time-out or a breach of the canonical ABI it is *retired*: its memory is dropped, every call answers `EIO` from then on, and nothing else notices;
//! - what it answers is checked, and an answer that cannot be true is `EIO`.

mod answers;
mod bindings;
mod capture;
mod drive;
mod error;
mod exports;
mod filesystem;
mod grants;
mod host;
mod inspect;
mod layers;
mod load;
mod mount;
mod nesting;
mod transfer;
mod wasi;
mod watch;

pub use error::PluginError;
pub use filesystem::PluginFilesystem;
pub use grants::Preopen;
pub use host::PluginHost;
pub use inspect::{FileKind, Grant, Import, Inspection, Interface, PUBLISHED, World};
pub use load::PluginConfig;
pub use mount::{Function, FunctionMetrics, MountMetrics, PluginMount, Starter};

#[cfg(test)]
mod granted_tests;
#[cfg(test)]
mod tests;
