//! Objects of an S3 bucket as files.
//!
//! [`S3`] is a [`Filesystem`](eyot_backend::Filesystem) whose files are objects, one each, so that other tools see the same files; [`S3Mount`] makes it of
//! settings. It needs no more of a server than what all of them have: `ListObjectsV2`, `GET` with ranges, `PUT`, `DELETE`, copies and uploads in parts.
//!
//! # What is where
//!
//! * A file is the object of its path. A directory is there when something lies below it, or an empty object `PATH/` does, which `mkdir` makes.
//! * A symlink is an object `PATH.rclonelink` that holds the target, as rclone keeps it: a listing tells it from a file.
//! * Mode, owner, group and times are in the object's metadata, in the form of s3fs: `mode`, `uid`, `gid`, `mtime`, `atime`. A listing does not tell them. What
//!   others had in the metadata stays.
//! * Where a file and a directory have one name, the directory is seen. Keys with an empty name, `.` or `..` in them, and names over 255 bytes, are left
//!   out of listings; the log says so once.
//! * There are no hard links, special files and extended attributes. The time of access is not kept, unless it is set. Directories' times are kept only
//!   while they are held.
//!
//! # Who sees what, and when
//!
//! * Names and attributes are believed for the lifetimes that the settings say. What goes through this mount is seen by it at once.
//! * What is written is on the server when `fsync` or the last `close` of a writer returns, and not before (close-to-open). A failed `close` cannot be told: who
//!   must know calls `fsync`. Bytes that were staged are tried again at the next `fsync`, `close` or `sync`; those of a stream that broke are lost, and the next
//!   `fsync` says so.
//! * An object that somebody else replaces while it is open answers `ESTALE` to its readers: each request names the version by `If-Match`. Opened
//!   again, the new one is read.
//! * A new file that is written in order goes to the server in parts while it is written, and does not stay here. Everything else is staged in
//!   memory or a temporary file, and uploaded as a whole; parts that were not touched are copied on the server.
//! * `rename` is a copy and a removal on the server, so that it is not atomic: for a moment both names are there. A directory with more objects
//!   than `rename_entries_max` answers `EXDEV`, and `mv` copies. When a copy fails the old names stay.
//! * A file that is open when its name goes is fetched first. One that is held but not open is fetched up to `keep_unlinked_bytes`; a longer one answers
//!   `ESTALE` when it is opened later without a name.
//!
//! # Bounds
//!
//! Memory: `cache_bytes` for what was read, `stage_bytes` for what is changed, 10 parts of `part_bytes` for uploads, 24 MiB for requests under way, and the entries of the
//! directories that are held. A request is tried again `retries` times or for `retry_time`, with growing waits.
//!
//! # Why requests are made here
//!
//! Signatures, credentials and the client of HTTP are those of `object_store`. Its paths, however, can name neither `DIRECTORY/` nor keys with control characters, one key with
//! `//` spoils a whole listing, and answers are kept without a bound.

mod attributes;
mod cache;
mod client;
mod connect;
mod content;
mod engine;
mod failure;
mod fetch;
mod files;
mod filesystem;
mod key;
mod list;
mod listing;
mod lookup;
mod metadata;
mod mount;
mod names;
mod namespace;
mod nodes;
mod open;
mod options;
mod ranges;
mod rename;
mod requests;
mod s3;
mod stage;
mod upload;
mod xml;

pub use mount::S3Mount;
pub use options::{S3Credentials, S3Options};
pub use s3::S3;
