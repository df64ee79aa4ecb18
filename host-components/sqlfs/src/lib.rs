//! A durable filesystem in one SQLite database: [`Sqlfs`].
//!
//! # What is promised
//! - **`fsync` makes everything durable that happened before it**, of every file and every name, not only of the file that it is called for. When it
//!   answered, no crash of the process, of the host's kernel or of its power loses any of it, as far as the host's disk keeps what it was told to sync.
//! - **After a crash the filesystem is as it was at one moment**: the moment of the last `fsync`, or a later one. Each operation on names (create, rename, unlink, ...) is
//!   there whole or not at all, in the order in which they happened, and what was written before such an operation is there with it. Of a
//!   single write that ran while the moment passed a part may be there.
//! - **Without `fsync`** a change is handed to the operating system at the latest some time (`commit_after`, 100 ms) or some bytes (`commit_bytes`, 16 MiB) later, so a crash of the process alone loses no
//!   more than that. A crash of the host may lose more, but leaves a moment of the past all the same.
//! - A batch that cannot be written (the disk is full or broken, the database damaged) is taken back as a whole; from then on changes answer `EIO` and
//!   [`Sqlfs::failure`] says why, until the database is opened again.
//! - Numbers of inodes are never given twice, not even over a crash of the process. A file without a name lives until it is forgotten, or until the next opening.
//!
//! # How it is kept
//! Names, inodes and chunks are rows (`schema.rs`). Changes wait in memory (inodes, short files, chunks) or in an open transaction (names), which is committed
//! to SQLite's write-ahead log; `fsync` syncs that log. Short files lie in their inode's row; longer ones in chunks, which are stored once for each content (BLAKE3) and
//! count who refers to them. A chunk of zeroes is not stored.
//!
//! # Snapshots and clones
//! Time is divided into epochs. A snapshot ends one and gives it a name, which costs the same however large the filesystem is. From then on a row that was true in that
//! epoch is copied beside before it changes: once, when it changes, and only then. [`Sqlfs::clone_tree`] ends an epoch too and makes one inode, which borrows
//! entries (or extents) from another as of that epoch. Looking into a borrowed directory settles it: its entries get inodes with numbers of their own, which borrow in turn.
//! So neither a snapshot nor a clone costs by the size of what it covers, but for hard links, which must be found first. What nothing looks at any more is dropped by
//! [`Sqlfs::compact`].
//!
//! A clone puts a name where the kernel may believe that there is none: clone before the filesystem is mounted, or say how long the kernel may believe things
//! ([`SqlfsBuilder::believed_for`]).

mod cache;
mod check;
mod chunks;
mod clone;
mod compact;
mod core;
mod dirty;
mod error;
mod filesystem;
mod flusher;
mod listing;
mod log;
#[cfg(all(target_family = "wasm", feature = "component"))]
mod mount;
mod namespace;
mod nodes;
mod open;
mod options;
mod quota;
mod read;
mod readers;
mod record;
mod rename;
mod repair;
mod schema;
mod snapshot;
mod sqlfs;
mod write;
mod writer;
mod xattr;

pub use check::{Problem, Report};
pub use compact::Compacted;
pub use error::Error;
#[cfg(all(target_family = "wasm", feature = "component"))]
pub use mount::{SqlfsMount, Timed};
pub use options::{BYTES_MAX_DEFAULT, INODES_MAX_DEFAULT, SqlfsBuilder};
pub use snapshot::Snapshot;
pub use sqlfs::Sqlfs;
