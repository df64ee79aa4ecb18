//! Eyot's in-memory filesystem.

pub mod image;
mod name;

pub use image::{BaseImage, BuildError, ImageBuilder, ImageError, Meta};

/// The size that a directory answers with, in bytes: directories have no contents of their own.
pub(crate) const DIRECTORY_SIZE_BYTES: u64 = 4096;
