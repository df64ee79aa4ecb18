//! A filesystem backend on a path of the host, by FUSE: [`Mount`].
//!
//! What the backend answers is passed on as it is; the kernel of the host walks paths, checks permissions (`default_permissions`) and keeps caches as long as the backend's
//! lifetimes allow. What POSIX leaves to a filesystem and the trait does not have is done here: the group of new files in a set-group-ID directory, set-user-ID bits that go with
//! a write or a change of owner, `XATTR_CREATE`, the entries `.` and `..`.
//!
//! **Caches.** Names and attributes are kept for the backend's lifetimes, or until this mount changes them when it is [`exclusive`](Options::exclusive). A file whose attributes live for ever is read through the page cache, which survives its closing;
//! one whose attributes live for some time, through a page cache that each opening empties; one whose attributes may not be believed at all, without a page cache (mapped memory
//! apart), so that each read sees what is there. What the backend tells of changes ([`Filesystem::watch`](eyot_backend::Filesystem::watch)) ends all of that early. Writes go to the backend before they return, unless [`Options::writeback`] says otherwise. A backend that
//! something else uses at the same time, such as a virtual machine, must neither be mounted so nor say that what it shows lives for ever.
//!
//! **What is not passed on.** Set-user-ID programs and device nodes have no effect (`nosuid`, `nodev`). File capabilities and POSIX ACLs are refused with `ENOTSUP`, since nothing would
//! honour them. Locks are the host kernel's: they hold among the programs of this host. `fallocate` and `O_TMPFILE` answer `EOPNOTSUPP`; holes are not told from data. Names that are not
//! UTF-8 cannot be made (`EILSEQ`). Times of birth are not shown. Reads that the page cache answers don't reach the backend and leave access times as they are.

mod bridge;
mod changes;
mod convert;
mod counts;
mod data;
mod device;
mod error;
mod listing;
mod mount;
mod requests;
mod rights;
mod xattrs;

pub use error::MountError;
pub use mount::{Mount, Options, Unmounter, available, serve};
