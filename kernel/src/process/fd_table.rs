//! A process's descriptors.

use std::sync::Arc;

use bitflags::bitflags;

use super::OpenFile;
use crate::Errno;

bitflags! {
    /// What belongs to a descriptor and not to the open file behind it.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct FdFlags: u32 {
        /// Closed when the process executes another program; not inherited by a spawned one.
        const CLOSE_ON_EXEC = 1;
        /// A directory that WASI 0.1 shows its program as a root to start from.
        const PREOPEN = 1 << 1;
    }
}

/// One descriptor.
#[derive(Clone)]
pub struct FdEntry {
    /// The open file.
    pub file: Arc<OpenFile>,
    /// The descriptor's own flags.
    pub flags: FdFlags,
}

/// The descriptors of one process, by number.
pub struct FdTable {
    entries: Vec<Option<FdEntry>>,
    max: usize,
}

impl FdTable {
    /// An empty table of at most `max` descriptors.
    pub fn new(max: usize) -> Self {
        Self { entries: Vec::new(), max }
    }

    /// The open file of a descriptor. Errors: `EBADF`.
    pub fn get(&self, fd: u32) -> Result<&FdEntry, Errno> {
        self.entries.get(fd as usize).and_then(Option::as_ref).ok_or(Errno::Badf)
    }

    /// Changes a descriptor's flags. Errors: `EBADF`.
    pub fn set_flags(&mut self, fd: u32, flags: FdFlags) -> Result<(), Errno> {
        let entry = self.entries.get_mut(fd as usize).and_then(Option::as_mut).ok_or(Errno::Badf)?;
        entry.flags = flags;
        Ok(())
    }

    /// Puts an entry at the lowest free number that is at least `min`. Errors: `EMFILE`, `EINVAL` when `min` is past the last number.
    pub fn insert(&mut self, entry: FdEntry, min: u32) -> Result<u32, Errno> {
        let min = min as usize;
        if min >= self.max {
            return Err(if min == 0 { Errno::Mfile } else { Errno::Inval });
        }
        let free = (min..self.entries.len()).find(|&fd| self.entries[fd].is_none());
        let fd = free.unwrap_or(self.entries.len().max(min));
        if fd >= self.max {
            return Err(Errno::Mfile);
        }
        self.put(fd, entry);
        Ok(fd as u32)
    }

    /// Puts an entry at this very number; answers what was there, to be dropped after the table's lock. Errors: `EBADF` past the last number.
    pub fn replace(&mut self, fd: u32, entry: FdEntry) -> Result<Option<FdEntry>, Errno> {
        if fd as usize >= self.max {
            return Err(Errno::Badf);
        }
        Ok(self.put(fd as usize, entry))
    }

    fn put(&mut self, fd: usize, entry: FdEntry) -> Option<FdEntry> {
        if fd >= self.entries.len() {
            self.entries.resize(fd + 1, None);
        }
        self.entries[fd].replace(entry)
    }

    /// Takes an entry out, to be dropped after the table's lock. Errors: `EBADF`.
    pub fn remove(&mut self, fd: u32) -> Result<FdEntry, Errno> {
        let entry = self.entries.get_mut(fd as usize).and_then(Option::take).ok_or(Errno::Badf)?;
        while self.entries.last().is_some_and(Option::is_none) {
            self.entries.pop();
        }
        Ok(entry)
    }

    /// What a spawned process inherits.
    pub fn inherited(&self) -> FdTable {
        let keep =
            |entry: &Option<FdEntry>| entry.clone().filter(|entry| !entry.flags.contains(FdFlags::CLOSE_ON_EXEC));
        FdTable { entries: self.entries.iter().map(keep).collect(), max: self.max }
    }

    /// Everything, to be dropped after the table's lock.
    pub fn take_all(&mut self) -> Vec<Option<FdEntry>> {
        std::mem::take(&mut self.entries)
    }

    /// What is closed on exec, to be dropped after the table's lock.
    pub fn take_closed_on_exec(&mut self) -> Vec<FdEntry> {
        self.entries
            .iter_mut()
            .filter_map(|slot| slot.take_if(|entry| entry.flags.contains(FdFlags::CLOSE_ON_EXEC)))
            .collect()
    }

    /// The open descriptors' numbers, ascending.
    pub fn numbers(&self) -> impl Iterator<Item = u32> + '_ {
        self.entries.iter().enumerate().filter(|(_, entry)| entry.is_some()).map(|(fd, _)| fd as u32)
    }

    /// The number past the highest open one.
    pub fn end(&self) -> u32 {
        self.entries.len() as u32
    }
}

impl FdTable {
    /// A copy with the same descriptors.
    pub(crate) fn clone_of(table: &FdTable) -> FdTable {
        FdTable { entries: table.entries.clone(), max: table.max }
    }
}
