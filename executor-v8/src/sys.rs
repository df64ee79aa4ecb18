//! The only door from this crate to the kernel: everything that leaves the isolate goes through here, as a system call of the
//! process's task. It keeps no state of the kernel's; the environment alone is the process's own memory, as on Linux.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use eyot_kernel::process::Task;
use eyot_kernel::syscall::types::{AccessMode, DirectoryEntry, FileStatus, NewTime, OpenFlags, PathFlags, RenameFlags};
use eyot_kernel::syscall::{clock, descriptor, fs, process, signal};
use eyot_kernel::wait::SysResult;

use crate::rehearsal;

/// A failed system call, as a positive errno of Linux.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Errno(pub(crate) i32);

impl From<eyot_kernel::Errno> for Errno {
    fn from(e: eyot_kernel::Errno) -> Self {
        Self(e.linux())
    }
}

pub(crate) const ENOENT: Errno = Errno(2);
pub(crate) const EEXIST: Errno = Errno(17);
pub(crate) const ENOTDIR: Errno = Errno(20);
pub(crate) const EISDIR: Errno = Errno(21);
pub(crate) const EINVAL: Errno = Errno(22);
pub(crate) const EILSEQ: Errno = Errno(84);

/// Bytes moved at once where a whole file is read or written.
const CHUNK: usize = 256 << 10;

/// Open flags as Linux numbers them, which is what `fs.constants` says.
fn open_flags(flags: i32) -> OpenFlags {
    const BITS: [(i32, OpenFlags); 8] = [
        (0o100, OpenFlags::CREATE),
        (0o200, OpenFlags::EXCLUSIVE),
        (0o1000, OpenFlags::TRUNCATE),
        (0o2000, OpenFlags::APPEND),
        (0o4000, OpenFlags::NON_BLOCKING),
        (0o200_000, OpenFlags::DIRECTORY),
        (0o400_000, OpenFlags::NO_FOLLOW),
        (0o10_000_000, OpenFlags::PATH_ONLY),
    ];
    let mut out = OpenFlags::CLOSE_ON_EXEC;
    out |= match flags & 3 {
        0 => OpenFlags::READ,
        1 => OpenFlags::WRITE,
        _ => OpenFlags::READ | OpenFlags::WRITE,
    };
    for (bit, flag) in BITS {
        out.set(flag, flags & bit != 0);
    }
    out
}

/// What a process starts with.
pub(crate) struct Start {
    /// `process.argv`.
    pub(crate) argv: Vec<String>,
    /// What is run.
    pub(crate) program: Entry,
}

/// What a process runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    /// The file at `argv[1]`.
    File,
    /// A text, of which the result may be printed: `node -e`, `node -p`.
    Text { code: String, print: bool },
    /// What comes through standard input.
    Stdin,
}

/// One process's way to the kernel.
pub(crate) struct Sys {
    task: Option<Arc<Task>>,
    start: Start,
    env: RefCell<Vec<(String, String)>>,
}

type R<T> = Result<T, Errno>;

impl Sys {
    pub(crate) fn new(task: Arc<Task>, start: Start) -> Self {
        let env = RefCell::new(task.startup().environment.clone());
        Self { task: Some(task), start, env }
    }

    /// For the making of a snapshot: there is no process. What `rehearsal.rs` knows is answered, the rest is `ENOSYS`.
    pub(crate) fn none() -> Self {
        let argv = vec!["node".into(), rehearsal::PATH.into()];
        Self { task: None, start: Start { argv, program: Entry::File }, env: RefCell::new(Vec::new()) }
    }

    fn call<T>(&self, mut f: impl FnMut(&Arc<Task>) -> SysResult<T>) -> R<T> {
        let task = self.task.as_ref().ok_or(Errno(38))?;
        Ok(task.blocking(|| f(task))?)
    }

    pub(crate) fn argv(&self) -> Vec<String> {
        self.start.argv.clone()
    }

    pub(crate) fn program(&self) -> &Entry {
        &self.start.program
    }

    pub(crate) fn exec_path(&self) -> &'static str {
        "/usr/bin/node"
    }

    // --- time ---

    pub(crate) fn monotonic_ns(&self) -> u64 {
        self.task.as_ref().map_or_else(rehearsal::monotonic_ns, |t| clock::monotonic(t))
    }

    pub(crate) fn realtime_ns(&self) -> i64 {
        let Some(t) = &self.task else { return 0 };
        let now = clock::realtime(t);
        now.seconds.saturating_mul(1_000_000_000).saturating_add(now.nanoseconds.into())
    }

    /// CPU time of this process's thread.
    pub(crate) fn cpu_ns(&self) -> u64 {
        let t = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
        let (s, ns) = (u64::try_from(t.tv_sec).unwrap_or(0), u64::try_from(t.tv_nsec).unwrap_or(0));
        s.saturating_mul(1_000_000_000).saturating_add(ns)
    }

    pub(crate) fn sleep(&self, d: Duration) {
        let ns = u64::try_from(d.as_nanos()).unwrap_or(u64::MAX);
        let deadline = self.monotonic_ns().saturating_add(ns);
        // The one error is that the task was killed, which its caller looks at.
        let _ = self.call(|t| clock::sleep_until(t, deadline));
    }

    // --- the process ---

    pub(crate) fn killed(&self) -> bool {
        self.task.as_ref().is_some_and(|t| t.killed())
    }

    pub(crate) fn pid(&self) -> i32 {
        self.task.as_ref().map_or(0, |t| t.pid())
    }

    pub(crate) fn ppid(&self) -> i32 {
        self.task.as_ref().map_or(0, |t| t.ppid())
    }

    pub(crate) fn uid(&self) -> u32 {
        self.task.as_ref().map_or(0, |t| t.credentials().uid)
    }

    pub(crate) fn gid(&self) -> u32 {
        self.task.as_ref().map_or(0, |t| t.credentials().gid)
    }

    pub(crate) fn cwd(&self) -> R<String> {
        if self.task.is_none() {
            return Ok("/".into());
        }
        self.call(|t| process::getcwd(t))
    }

    pub(crate) fn chdir(&self, dir: &str) -> R<()> {
        self.call(|t| process::chdir(t, dir))
    }

    pub(crate) fn umask(&self, mask: Option<u32>) -> u32 {
        match (&self.task, mask) {
            (Some(t), Some(m)) => process::umask(t, m),
            (Some(t), None) => t.umask(),
            (None, _) => 0o022,
        }
    }

    pub(crate) fn kill(&self, pid: i32, number: i32) -> R<()> {
        let number = u8::try_from(number).map_err(|_| EINVAL)?;
        self.call(|t| signal::kill(t, pid, number))
    }

    pub(crate) fn hostname(&self) -> String {
        self.getenv("HOSTNAME").unwrap_or_else(|| "eyot".into())
    }

    // --- the environment ---

    pub(crate) fn getenv(&self, name: &str) -> Option<String> {
        self.env.borrow().iter().find(|(k, _)| k == name).map(|(_, v)| v.clone())
    }

    pub(crate) fn setenv(&self, name: &str, value: &str) {
        let mut env = self.env.borrow_mut();
        match env.iter_mut().find(|(k, _)| k == name) {
            Some((_, v)) => value.clone_into(v),
            None => env.push((name.to_owned(), value.to_owned())),
        }
    }

    pub(crate) fn unsetenv(&self, name: &str) {
        self.env.borrow_mut().retain(|(k, _)| k != name);
    }

    pub(crate) fn env_names(&self) -> Vec<String> {
        self.env.borrow().iter().map(|(k, _)| k.clone()).collect()
    }

    // --- descriptors ---

    pub(crate) fn close(&self, fd: u32) -> R<()> {
        if self.task.is_none() {
            return Ok(());
        }
        self.call(|t| descriptor::close(t, fd))
    }

    /// Reads at the position, or at `offset`.
    pub(crate) fn read(&self, fd: u32, buffer: &mut [u8], offset: Option<u64>) -> R<usize> {
        if self.task.is_none() {
            return Ok(rehearsal::read(buffer));
        }
        self.call(|t| match offset {
            None => descriptor::read(t, fd, buffer),
            Some(o) => descriptor::pread(t, fd, buffer, o),
        })
    }

    /// Writes at the position, or at `offset`; may write less than all.
    pub(crate) fn write(&self, fd: u32, bytes: &[u8], offset: Option<u64>) -> R<usize> {
        if self.task.is_none() {
            return Ok(bytes.len());
        }
        self.call(|t| match offset {
            None => descriptor::write(t, fd, bytes),
            Some(o) => descriptor::pwrite(t, fd, bytes, o),
        })
    }

    /// Writes all, or gives up at the first error: for last words, which nobody could be told of.
    pub(crate) fn write_all(&self, fd: u32, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            match self.write(fd, bytes, None) {
                Ok(n) if n > 0 => bytes = bytes.get(n..).unwrap_or(&[]),
                _ => return,
            }
        }
    }

    pub(crate) fn fstat(&self, fd: u32) -> R<FileStatus> {
        if self.task.is_none() {
            return rehearsal::fstat(fd);
        }
        self.call(|t| descriptor::stat(t, fd))
    }

    pub(crate) fn ftruncate(&self, fd: u32, size: u64) -> R<()> {
        self.call(|t| descriptor::set_size(t, fd, size))
    }

    pub(crate) fn fsync(&self, fd: u32, data_only: bool) -> R<()> {
        self.call(|t| descriptor::sync(t, fd, data_only))
    }

    pub(crate) fn fchmod(&self, fd: u32, mode: u32) -> R<()> {
        self.call(|t| descriptor::set_mode(t, fd, mode))
    }

    pub(crate) fn fchown(&self, fd: u32, uid: Option<u32>, gid: Option<u32>) -> R<()> {
        self.call(|t| descriptor::set_owner(t, fd, uid, gid))
    }

    pub(crate) fn futimes(&self, fd: u32, accessed: NewTime, modified: NewTime) -> R<()> {
        self.call(|t| descriptor::set_times(t, fd, accessed, modified))
    }

    /// What the library is told a descriptor is, as an index into its list: 0 TCP, 1 TTY, 2 UDP, 3 FILE, 4 PIPE, 5 UNKNOWN,
    /// 6 INVALID. Pipes and terminals are told as files: their streams are then synchronous, which is what Node's are too.
    pub(crate) fn handle_type(&self, fd: u32) -> u32 {
        if self.fstat(fd).is_ok() { 3 } else { 6 }
    }

    // --- paths ---

    pub(crate) fn open(&self, path: &str, flags: i32, mode: u32) -> R<u32> {
        if self.task.is_none() {
            return rehearsal::open(path);
        }
        let flags = open_flags(flags);
        self.call(|t| fs::open(t, None, path, flags, mode))
    }

    pub(crate) fn stat(&self, path: &str) -> R<FileStatus> {
        if self.task.is_none() {
            return rehearsal::stat(path);
        }
        self.call(|t| fs::stat(t, None, path, PathFlags::FOLLOW))
    }

    pub(crate) fn lstat(&self, path: &str) -> R<FileStatus> {
        if self.task.is_none() {
            return rehearsal::stat(path);
        }
        self.call(|t| fs::stat(t, None, path, PathFlags::empty()))
    }

    pub(crate) fn access(&self, path: &str, mode: u32) -> R<()> {
        if self.task.is_none() {
            return rehearsal::stat(path).map(|_| ());
        }
        let mut how = AccessMode::empty();
        how.set(AccessMode::READ, mode & 4 != 0);
        how.set(AccessMode::WRITE, mode & 2 != 0);
        how.set(AccessMode::EXECUTE, mode & 1 != 0);
        self.call(|t| fs::access(t, None, path, how))
    }

    pub(crate) fn mkdir(&self, path: &str, mode: u32) -> R<()> {
        self.call(|t| fs::mkdir(t, None, path, mode))
    }

    pub(crate) fn rmdir(&self, path: &str) -> R<()> {
        self.call(|t| fs::rmdir(t, None, path, PathFlags::empty()))
    }

    pub(crate) fn unlink(&self, path: &str) -> R<()> {
        self.call(|t| fs::unlink(t, None, path, PathFlags::empty()))
    }

    pub(crate) fn rename(&self, from: &str, to: &str) -> R<()> {
        let at = |path| fs::At { dir: None, path };
        self.call(|t| fs::rename(t, at(from), at(to), RenameFlags::empty(), PathFlags::empty()))
    }

    pub(crate) fn link(&self, from: &str, to: &str) -> R<()> {
        self.call(|t| fs::link(t, None, from, PathFlags::empty(), None, to))
    }

    pub(crate) fn symlink(&self, target: &str, path: &str) -> R<()> {
        self.call(|t| fs::symlink(t, target, None, path, PathFlags::empty()))
    }

    pub(crate) fn readlink(&self, path: &str) -> R<String> {
        self.call(|t| fs::readlink(t, None, path, PathFlags::empty()))
    }

    pub(crate) fn realpath(&self, path: &str) -> R<String> {
        self.call(|t| fs::real_path(t, None, path))
    }

    pub(crate) fn chmod(&self, path: &str, mode: u32) -> R<()> {
        self.call(|t| fs::set_mode(t, None, path, PathFlags::FOLLOW, mode))
    }

    pub(crate) fn chown(&self, path: &str, follow: bool, uid: Option<u32>, gid: Option<u32>) -> R<()> {
        let flags = if follow { PathFlags::FOLLOW } else { PathFlags::empty() };
        self.call(|t| fs::set_owner(t, None, path, flags, uid, gid))
    }

    pub(crate) fn utimes(&self, path: &str, follow: bool, accessed: NewTime, modified: NewTime) -> R<()> {
        let flags = if follow { PathFlags::FOLLOW } else { PathFlags::empty() };
        self.call(|t| fs::set_times(t, None, path, flags, accessed, modified))
    }

    pub(crate) fn statfs(&self, path: &str) -> R<eyot_kernel::backend::FilesystemStatus> {
        self.call(|t| fs::statfs(t, None, path))
    }

    /// A directory's entries without `.` and `..`, by name.
    pub(crate) fn read_dir(&self, path: &str) -> R<Vec<DirectoryEntry>> {
        let fd = self.open(path, 0o200_000, 0)?;
        let result = self.list(fd);
        let _ = self.close(fd);
        let mut entries = result?;
        entries.retain(|e| e.name != "." && e.name != "..");
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    fn list(&self, fd: u32) -> R<Vec<DirectoryEntry>> {
        let mut all = Vec::new();
        let mut cookie = 0;
        loop {
            let some = self.call(|t| descriptor::readdir(t, fd, cookie, 4096))?;
            match some.last() {
                Some(last) => cookie = last.cookie,
                None => return Ok(all),
            }
            all.extend(some);
        }
    }

    /// All of an open file from its position.
    pub(crate) fn read_to_end(&self, fd: u32) -> R<Vec<u8>> {
        let hint = self.fstat(fd).map_or(0, |s| usize::try_from(s.attributes.size).unwrap_or(0)).min(1 << 30);
        let mut bytes = Vec::with_capacity(hint + 1);
        loop {
            let start = bytes.len();
            let room = (bytes.capacity() - start).max(8192).min(CHUNK.max(hint + 1));
            bytes.resize(start + room, 0);
            let Some(buffer) = bytes.get_mut(start..) else { return Ok(bytes) };
            let n = self.read(fd, buffer, None)?;
            bytes.truncate(start + n);
            if n == 0 {
                return Ok(bytes);
            }
        }
    }

    pub(crate) fn read_file(&self, path: &[u8]) -> R<Vec<u8>> {
        let path = std::str::from_utf8(path).map_err(|_| EILSEQ)?;
        let fd = self.open(path, 0, 0)?;
        let result = self.read_to_end(fd);
        let _ = self.close(fd);
        result
    }

    /// Copies a file; `exclusive` refuses one that is there.
    pub(crate) fn copy_file(&self, from: &str, to: &str, exclusive: bool) -> R<()> {
        let source = self.open(from, 0, 0)?;
        let result = self.copy_open(source, to, exclusive);
        let _ = self.close(source);
        result
    }

    fn copy_open(&self, source: u32, to: &str, exclusive: bool) -> R<()> {
        let status = self.fstat(source)?;
        if status.attributes.kind == eyot_kernel::backend::NodeKind::Directory {
            return Err(EISDIR);
        }
        // A file copied onto itself must not be cut off first.
        if let Ok(there) = self.stat(to)
            && (there.device, there.attributes.node) == (status.device, status.attributes.node)
        {
            return if exclusive { Err(EEXIST) } else { Ok(()) };
        }
        let flags = 1 | 0o100 | if exclusive { 0o200 } else { 0o1000 };
        let dest = self.open(to, flags, status.attributes.mode & 0o777)?;
        let mut buffer = vec![0; CHUNK];
        let result = loop {
            match self.read(source, &mut buffer, None) {
                Ok(0) => break Ok(()),
                Ok(n) => {
                    if let Err(e) = self.write_whole(dest, buffer.get(..n).unwrap_or(&[])) {
                        break Err(e);
                    }
                }
                Err(e) => break Err(e),
            }
        };
        let _ = self.close(dest);
        result
    }

    /// Writes all at the position.
    pub(crate) fn write_whole(&self, fd: u32, mut bytes: &[u8]) -> R<()> {
        while !bytes.is_empty() {
            let n = self.write(fd, bytes, None)?;
            bytes = bytes.get(n..).unwrap_or(&[]);
        }
        Ok(())
    }

    /// Removes a tree. What is not there is no error.
    pub(crate) fn remove_tree(&self, path: &str, depth: u32) -> R<()> {
        let status = match self.lstat(path) {
            Ok(s) => s,
            Err(ENOENT) => return Ok(()),
            Err(e) => return Err(e),
        };
        if status.attributes.kind != eyot_kernel::backend::NodeKind::Directory {
            return self.unlink(path);
        }
        // Deeper than a path can be long is no tree.
        if depth == 0 {
            return Err(Errno(36));
        }
        for e in self.read_dir(path)? {
            self.remove_tree(&format!("{}/{}", path.trim_end_matches('/'), e.name), depth - 1)?;
        }
        self.rmdir(path)
    }
}
