//! The VM's files, for the embedder. These go the way that guests' calls go.

use super::Vm;
use crate::Errno;
use crate::syscall::types::{FileStatus, OpenFlags, PathFlags};
use crate::syscall::{descriptor, fs};

/// How much is read at a time.
const CHUNK_BYTES: usize = 256 << 10;

/// How many entries of a directory are asked for at a time.
const ENTRIES_PER_CALL: usize = 256;

impl Vm {
    /// Reads a whole file. Errors: those of `open` and `read`.
    pub fn read_file(&self, path: &str) -> Result<Vec<u8>, Errno> {
        let task = self.embedder();
        self.with_open(path, OpenFlags::READ, 0, |fd| {
            let mut bytes = Vec::new();
            loop {
                let start = bytes.len();
                bytes.resize(start + CHUNK_BYTES, 0);
                let count = task.blocking(|| descriptor::read(task, fd, &mut bytes[start..]))?;
                bytes.truncate(start + count);
                if count == 0 {
                    return Ok(bytes);
                }
            }
        })
    }

    /// Writes a whole file, making it with `mode` or replacing what it holds. Errors: those of `open` and `write`.
    pub fn write_file(&self, path: &str, bytes: &[u8], mode: u32) -> Result<(), Errno> {
        let task = self.embedder();
        let flags = OpenFlags::WRITE | OpenFlags::CREATE | OpenFlags::TRUNCATE;
        self.with_open(path, flags, mode, |fd| {
            let mut rest = bytes;
            while !rest.is_empty() {
                let count = task.blocking(|| descriptor::write(task, fd, rest))?;
                rest = &rest[count..];
            }
            Ok(())
        })
    }

    /// Makes everything durable that the mounts hold back, as sync(2). Call it before the process ends without dropping its VMs. Errors: the first that a backend answered.
    pub fn sync(&self) -> Result<(), Errno> {
        self.embedder().kernel().vfs.sync()
    }

    /// Makes a directory. Errors: those of mkdir(2).
    pub fn make_dir(&self, path: &str, mode: u32) -> Result<(), Errno> {
        let task = self.embedder();
        task.blocking(|| fs::mkdir(task, None, path, mode))
    }

    /// stat(2). Errors: those of a path walk.
    pub fn stat(&self, path: &str) -> Result<FileStatus, Errno> {
        let task = self.embedder();
        task.blocking(|| fs::stat(task, None, path, PathFlags::FOLLOW))
    }

    /// The names in a directory, without `.` and `..`. Errors: those of `open` and `readdir`.
    pub fn read_dir(&self, path: &str) -> Result<Vec<String>, Errno> {
        let task = self.embedder();
        self.with_open(path, OpenFlags::READ | OpenFlags::DIRECTORY, 0, |fd| {
            let mut names = Vec::new();
            let mut cookie = 0;
            loop {
                let entries = task.blocking(|| descriptor::readdir(task, fd, cookie, ENTRIES_PER_CALL))?;
                let Some(last) = entries.last() else { return Ok(names) };
                cookie = last.cookie;
                names.extend(entries.into_iter().map(|entry| entry.name).filter(|name| name != "." && name != ".."));
            }
        })
    }

    fn with_open<T>(
        &self,
        path: &str,
        flags: OpenFlags,
        mode: u32,
        act: impl FnOnce(u32) -> Result<T, Errno>,
    ) -> Result<T, Errno> {
        let task = self.embedder();
        let fd = task.blocking(|| fs::open(task, None, path, flags | OpenFlags::CLOSE_ON_EXEC, mode))?;
        let result = act(fd);
        let closed = task.blocking(|| descriptor::close(task, fd));
        result.and_then(|value| closed.map(|()| value))
    }
}
