//! Eyot's in-memory filesystem: one source, compiled into the host ([`Memfs`]) or built as a component of the world `mount-backend`.
//!
//! The component is built with `cargo rustc --release -p eyot-memfs --lib --crate-type cdylib --features component --target wasm32-unknown-unknown` and
//! the linker `wasm-component-ld`; `cargo xtask setup` does it (see the crate's `README.md`).

mod clock;
mod data;
mod directory;
mod filesystem;
pub mod image;
mod inode;
mod memfs;
mod mount;
mod namespace;
mod quota;
mod rename;
mod slots;
mod xattr;

pub use image::{BaseImage, BuildError, ImageBuilder, ImageError, Meta};
pub use memfs::{BYTES_MAX_DEFAULT, INODES_MAX_DEFAULT, Memfs, MemfsBuilder};
pub use mount::MemfsMount;

/// The size that a directory answers with, in bytes: directories have no contents of their own.
pub(crate) const DIRECTORY_SIZE_BYTES: u64 = 4096;

/// For how long the kernel may believe attributes. Compiled in, asking again is as cheap as remembering, and several kernels may share the filesystem; a
/// component serves one mount, and a call costs more.
pub(crate) const ATTRIBUTES_LIFETIME_NS: u64 = if cfg!(target_family = "wasm") { u64::MAX } else { 0 };
