//! `wasi:filesystem`'s streams of directory entries.

use std::vec::IntoIter;

use wasmtime::component::Resource;

use super::bindings::wasi::wasi::filesystem::types::{self, DirectoryEntry as Entry};
use super::failure::{Failure, done};
use super::filesystem::descriptor_type;
use crate::process::Task;
use crate::syscall::descriptor;
use crate::syscall::types::DirectoryEntry;
use crate::wasm::process::Guest;

/// How many entries are asked of the kernel at once.
const BATCH_ENTRIES: usize = 128;

/// A listing: the directory's descriptor, where to go on, and what was read ahead.
pub struct DirectoryStream {
    fd: u32,
    cookie: u64,
    ahead: IntoIter<DirectoryEntry>,
}

impl DirectoryStream {
    /// A listing from the start, with a descriptor that it owns.
    pub(super) fn new(fd: u32) -> Self {
        Self { fd, cookie: 0, ahead: Vec::new().into_iter() }
    }

    fn next(&mut self, task: &Task) -> Result<Option<DirectoryEntry>, Failure> {
        loop {
            let entry = match self.ahead.next() {
                Some(entry) => entry,
                None => {
                    self.ahead = done(descriptor::readdir(task, self.fd, self.cookie, BATCH_ENTRIES))?.into_iter();
                    match self.ahead.next() {
                        Some(entry) => entry,
                        None => return Ok(None),
                    }
                }
            };
            self.cookie = entry.cookie;
            if entry.name != "." && entry.name != ".." {
                return Ok(Some(entry));
            }
        }
    }
}

impl types::HostDirectoryEntryStream for Guest {
    fn read_directory_entry(&mut self, stream: Resource<DirectoryStream>) -> Result<Option<Entry>, Failure> {
        let next = self.resources.get_mut(&stream)?.next(&self.task)?;
        Ok(next.map(|entry| Entry { type_: descriptor_type(entry.kind), name: entry.name }))
    }

    fn drop(&mut self, stream: Resource<DirectoryStream>) -> wasmtime::Result<()> {
        let stream = self.resources.delete(stream)?;
        self.close_dropped(stream.fd)
    }
}
