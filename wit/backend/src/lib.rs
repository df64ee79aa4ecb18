//! The Rust face of `eyot:backend`: what a filesystem backend must answer.
//!
//! The same trait, [`Filesystem`] (for a network: [`Sockets`]), is implemented by backends that are compiled into the host and, through the export glue of
//! a component crate, by backends that are loaded at run time. The WIT files beside this crate are the contract; the names here are
//! theirs. This crate needs neither an engine nor an operating system, so that it builds for every target.
//!
//! With the feature `component`, on wasm32, [`export_component!`] makes a component of any [`MountType`], and [`export_layer!`] of any [`LayerType`]; with the feature
//! `component-async`, [`export_async_component!`] makes one of any [`AsyncMountType`], whose calls may wait. A component has one of these worlds.

mod async_filesystem;
mod attributes;
mod changes;
#[cfg(all(target_family = "wasm", feature = "component"))]
pub mod component;
#[cfg(all(target_family = "wasm", feature = "component-async"))]
pub mod component_async;
mod errno;
mod filesystem;
mod mount;
mod name;
mod sockets;
mod wrap;

pub use async_filesystem::{AsyncFilesystem, AsyncMountType, ChangeSink};
pub use attributes::{
    AttributeChanges, Attributes, Capabilities, DirectoryEntry, FilesystemInfo, FilesystemStatus, Handle, Node,
    NodeKind, OpenFlags, Ownership, RenameFlags, Timestamp,
};
pub use changes::{Change, Watcher};
pub use errno::{Errno, UnknownErrno};
pub use filesystem::{Content, Filesystem};
pub use mount::{LayerCount, LayerType, MountType, Refusal, SettingDescription, SettingKind, Settings, parse_size};
pub use name::{TARGET_BYTES_MAX, check_name, check_target};
pub use sockets::{
    ANSWER_ADDRESSES_MAX, AddressFamily, DATAGRAM_BYTES_MAX, ReceivedFrom, SOCKET_CHUNK_BYTES_MAX, Shutdown,
    SocketCapabilities, SocketId, SocketKind, SocketOption, SocketReadiness, SocketWatcher, Sockets, SocketsInfo,
};

/// The longest read or write of one backend call, in bytes.
pub const CHUNK_BYTES_MAX: usize = 1 << 20;

/// The longest name of a directory entry, in bytes (`NAME_MAX`).
pub const NAME_BYTES_MAX: usize = 255;
