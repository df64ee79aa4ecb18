//! Descriptors.

use eyot_backend::{Errno, Timestamp};

use crate::bindings::eyot::kernel::{descriptor, fs, types as w};
use crate::{FileKind, FileStatus, OpenFlags, errno};

/// The most bytes that are asked for at once.
const CHUNK: usize = 1 << 20;

/// An open file or directory; closed when dropped.
#[derive(Debug)]
pub struct Fd(u32);

/// A new value for a time.
#[derive(Clone, Copy, Debug)]
pub enum NewTime {
    /// The old one stays.
    Keep,
    /// This one.
    At(Timestamp),
}

/// One entry of a directory; never `.` or `..`.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The name.
    pub name: String,
    /// Where to go on after it.
    pub cookie: u64,
    /// What it is.
    pub kind: FileKind,
}

impl Fd {
    /// Opens what an absolute path leads to; symlinks are followed.
    pub fn open(path: &str, flags: OpenFlags) -> Result<Self, Errno> {
        fs::open(None, path, flags | OpenFlags::CLOSE_ON_EXEC, 0).map(Self).map_err(errno)
    }

    /// Opens a name in a directory, or makes a file of that name; a symlink is never followed.
    pub fn open_at(dir: &Fd, name: &str, flags: OpenFlags, mode: u32) -> Result<Self, Errno> {
        let flags = flags | OpenFlags::NO_FOLLOW | OpenFlags::CLOSE_ON_EXEC;
        fs::open(Some(dir.0), name, flags, mode).map(Self).map_err(errno)
    }

    pub(crate) fn number(&self) -> u32 {
        self.0
    }

    /// Another descriptor of the same open file.
    pub fn duplicate(&self) -> Result<Self, Errno> {
        descriptor::dup(self.0, 0).map(Self).map_err(errno)
    }

    /// What it is.
    pub fn status(&self) -> Result<FileStatus, Errno> {
        descriptor::stat(self.0).map_err(errno)
    }

    /// Reads at `offset`; fewer bytes only at the end of the file.
    pub fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, Errno> {
        let mut done = 0;
        while let Some(rest) = buffer.get_mut(done..).filter(|rest| !rest.is_empty()) {
            let place = offset.checked_add(done as u64).ok_or(Errno::Overflow)?;
            let wanted = rest.len().min(CHUNK);
            let got = descriptor::pread(self.0, wanted as u32, place).map_err(errno)?;
            rest.get_mut(..got.len()).ok_or(Errno::Io)?.copy_from_slice(&got);
            done += got.len();
            if got.len() < wanted {
                break;
            }
        }
        Ok(done)
    }

    /// As [`read_at`](Self::read_at), at most 1 MiB, in the vector that the call made anyway.
    pub fn read_vec(&self, offset: u64, length: usize) -> Result<Vec<u8>, Errno> {
        descriptor::pread(self.0, length.min(CHUNK) as u32, offset).map_err(errno)
    }

    /// Writes at `offset`; answers how many bytes were taken.
    pub fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<usize, Errno> {
        let bytes = bytes.get(..bytes.len().min(CHUNK)).unwrap_or_default();
        let count = descriptor::pwrite(self.0, bytes, offset).map_err(errno)? as usize;
        if count > bytes.len() { Err(Errno::Io) } else { Ok(count) }
    }

    /// Cuts or extends the file, which is open for writing.
    pub fn set_size(&self, size: u64) -> Result<(), Errno> {
        descriptor::set_size(self.0, size).map_err(errno)
    }

    /// Sets the permission bits.
    pub fn set_mode(&self, mode: u32) -> Result<(), Errno> {
        descriptor::set_mode(self.0, mode).map_err(errno)
    }

    /// Sets the owner; what is absent stays.
    pub fn set_owner(&self, uid: Option<u32>, gid: Option<u32>) -> Result<(), Errno> {
        descriptor::set_owner(self.0, uid, gid).map_err(errno)
    }

    /// Sets times.
    pub fn set_times(&self, accessed: NewTime, modified: NewTime) -> Result<(), Errno> {
        descriptor::set_times(self.0, accessed.into(), modified.into()).map_err(errno)
    }

    /// Makes the file durable; with `data_only` as `fdatasync(2)`.
    pub fn sync(&self, data_only: bool) -> Result<(), Errno> {
        descriptor::sync(self.0, data_only).map_err(errno)
    }

    /// Lists a directory: at most so many of the entries after `cookie` (0: from the start). An empty list is the end.
    pub fn list(&self, cookie: u64, entries_max: usize) -> Result<Vec<Entry>, Errno> {
        let mut cookie = cookie;
        loop {
            let max = u32::try_from(entries_max).unwrap_or(u32::MAX);
            // `.` and `..` come first; where they are all that was asked for, there is more to ask.
            let page = descriptor::readdir(self.0, cookie, if cookie == 0 { max.saturating_add(2) } else { max });
            let page = page.map_err(errno)?;
            let Some(last) = page.last().map(|entry| entry.cookie) else { return Ok(Vec::new()) };
            let shown = page.into_iter().filter(|entry| entry.name != "." && entry.name != "..");
            let shown = shown.map(|entry| Entry { name: entry.name, cookie: entry.cookie, kind: entry.kind });
            let shown: Vec<_> = shown.collect();
            if !shown.is_empty() || last == cookie {
                return Ok(shown);
            }
            cookie = last;
        }
    }

    /// How full the filesystem of this directory is.
    pub fn filesystem(&self) -> Result<fs::FilesystemStatus, Errno> {
        fs::statfs(Some(self.0), ".").map_err(errno)
    }
}

impl Drop for Fd {
    fn drop(&mut self) {
        // Nothing is held back that an error here could tell of.
        let _ = descriptor::close(self.0);
    }
}

impl From<NewTime> for w::NewTime {
    fn from(time: NewTime) -> Self {
        match time {
            NewTime::Keep => w::NewTime::Keep,
            NewTime::At(time) => w::NewTime::At(w::Timestamp { seconds: time.seconds, nanoseconds: time.nanoseconds }),
        }
    }
}
