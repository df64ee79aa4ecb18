//! Builds what lives inside a VM: the standard library of Rust guests with a process module, the shell and the tools as
//! wasm, and the base image that carries them.
//!
//! Everything ends up in one cache directory, under a name that is a hash of what it was made from, so that a step
//! whose inputs are unchanged does nothing. A step writes under a temporary name and renames at its end: what is there
//! under its proper name is whole.
//!
//! ```no_run
//! # fn main() -> eyot_coreutils_build::Result<()> {
//! use eyot_coreutils_build as guests;
//! struct Quiet;
//! impl guests::Progress for Quiet {
//!     fn step(&self, _: &str) {}
//! }
//! let ctx = guests::Ctx { recipes: "coreutils-build".into(), cache: "cache".into(), jobs: 2, progress: &Quiet };
//! let image = guests::image(&ctx)?;
//! # Ok(()) }
//! ```

mod cache;
mod command;
mod edits;
mod layout;
mod sysroot;
mod toolchain;
mod tools;

use std::path::{Path, PathBuf};

pub use layout::image;
pub use sysroot::{Sysroot, sysroot};
pub use tools::{Tool, Tools, tools};

/// wasi-libc with its headers: a directory with `include` and `lib/wasm32-wasip1`, fetched when it is not in the cache.
pub fn wasi_libc(ctx: &Ctx<'_>) -> Result<std::path::PathBuf> {
    toolchain::wasi_libc::get(ctx)
}

/// What every recipe is given.
pub struct Ctx<'a> {
    /// This crate's directory in the checkout at hand, where recipes and sources lie. Not the directory it was compiled
    /// in: checkouts can share cargo's target directory.
    pub recipes: PathBuf,
    /// The one cache directory. Made when it is missing.
    pub cache: PathBuf,
    /// How many jobs compilers may run at once.
    pub jobs: usize,
    /// Is told what is going on.
    pub progress: &'a dyn Progress,
}

/// Is told what a recipe does, step by step.
pub trait Progress {
    /// A step that takes a while has begun; `what` is a short phrase such as "building the shell".
    fn step(&self, what: &str);
}

/// Why a recipe failed: what was done, on what, and what can be done about it.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Error(String);

impl Error {
    pub(crate) fn new(message: impl Into<String>) -> Error {
        Error(message.into())
    }

    pub(crate) fn io(verb: &str, path: &Path, error: std::io::Error) -> Error {
        Error(format!("can't {verb} {}: {error}", path.display()))
    }
}

/// What a recipe answers.
pub type Result<T> = std::result::Result<T, Error>;
