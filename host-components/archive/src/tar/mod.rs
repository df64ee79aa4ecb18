//! Tar: ustar, GNU and pax. Only headers are read.
//!
//! Headers are read here and not by the crate `tar`: it reads long names and pax headers of any size into memory, splits pax records at newlines, which values of extended
//! attributes may contain, and refuses archives with blank numbers. The crate makes archives in the tests.

mod header;
mod pax;
mod scan;
mod sparse;

pub(crate) use header::looks_like_tar;
pub(crate) use scan::{Furthest, Input, PlainInput, scan};
