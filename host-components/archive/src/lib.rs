//! Archives as filesystems: [`Archive`] mounts a tar, tar.gz, tar.zst or zip read-only, with random access by an index and without unpacking.
//!
//! # How it is laid out
//! [`Source`] is where the bytes come from. `tar` and `zip` read headers and hand entries to the `builder`, which makes the `tree`: the index. `codec` has the decoders,
//! `stream` reads compressed streams at any place with the `pool` of decoders and blocks, `data` finds the bytes of a file, `filesystem` is the backend's
//! face, and `saved` and `validate` keep the index in a file.
//!
//! # What is not there
//! Other compressions (xz, bzip2, lzma), encrypted files of zip (`EACCES` when opened), names in zip that are not UTF-8 (they do not show), multi-volume archives,
//! POSIX ACLs of tar, and the checksums of Zstandard files in zip (those of their frames are checked).

mod archive;
mod builder;
mod codec;
mod data;
mod error;
mod filesystem;
#[cfg(all(target_family = "wasm", feature = "component"))]
mod mount;
mod options;
mod order;
mod pool;
mod saved;
mod source;
mod stream;
mod tar;
mod tree;
mod validate;
mod zip;

pub use archive::{Archive, Format, Usage};
pub use error::{ArchiveError, Warnings};
#[cfg(all(target_family = "wasm", feature = "component"))]
pub use mount::ArchiveMount;
pub use options::ArchiveOptions;
#[cfg(unix)]
pub use source::FileSource;
pub use source::{MemorySource, SharedBytes, Source, Spill};
