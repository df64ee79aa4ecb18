//! The Rust face of `eyot:backend`: what a filesystem backend must answer.
//!
//! The same trait, [`Filesystem`], is implemented by backends that are compiled into the host and, through the export glue of
//! a component crate, by backends that are loaded at run time. The WIT files beside this crate are the contract; the names here are
//! theirs. This crate needs neither an engine nor an operating system, so that it builds for every target.
//!
//! With the feature `component`, on wasm32, [`export_component!`] makes a component of any [`MountType`], and [`export_layer!`] of any [`LayerType`].

mod attributes;
mod changes;
#[cfg(all(target_family = "wasm", feature = "component"))]
pub mod component;
mod errno;
mod filesystem;
mod mount;
mod wrap;

pub use attributes::{
    AttributeChanges, Attributes, Capabilities, DirectoryEntry, FilesystemInfo, FilesystemStatus, Handle, Node,
    NodeKind, OpenFlags, Ownership, RenameFlags, Timestamp,
};
pub use changes::{Change, Watcher};
pub use errno::{Errno, UnknownErrno};
pub use filesystem::{Content, Filesystem};
pub use mount::{LayerCount, LayerType, MountType, Refusal, SettingDescription, SettingKind, Settings, parse_size};

/// The longest read or write of one backend call, in bytes.
pub const CHUNK_BYTES_MAX: usize = 1 << 20;

/// The longest name of a directory entry, in bytes (`NAME_MAX`).
pub const NAME_BYTES_MAX: usize = 255;
