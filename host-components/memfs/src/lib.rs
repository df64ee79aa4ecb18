//! Eyot's in-memory filesystem: one source, compiled into the host ([`Memfs`]) or built as a component of the world `mount-backend`.
//!
//! The component is built with `cargo rustc --release -p eyot-memfs --lib --crate-type cdylib --features component --target wasm32-unknown-unknown` and
//! the linker `wasm-component-ld`; `cargo xtask setup` does it (see the crate's `README.md`).

mod clock;
#[cfg(all(target_family = "wasm", feature = "component"))]
mod component;
mod data;
mod directory;
mod filesystem;
pub mod image;
mod inode;
mod memfs;
mod name;
mod namespace;
mod quota;
mod rename;
mod slots;
mod xattr;

pub use image::{BaseImage, BuildError, ImageBuilder, ImageError, Meta};
pub use memfs::{BYTES_MAX_DEFAULT, INODES_MAX_DEFAULT, Memfs, MemfsBuilder};

/// The size that a directory answers with, in bytes: directories have no contents of their own.
pub(crate) const DIRECTORY_SIZE_BYTES: u64 = 4096;
