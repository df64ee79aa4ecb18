//! `eyot:kernel/descriptor`: what can be done with an open descriptor.

use std::sync::Arc;

use super::types::{DescriptorFlags, DirectoryEntry, FileStatus, NewTime, PollRequest, Readiness, Start, Whence};
use crate::Errno;
use crate::backend::{AttributeChanges, Attributes, NodeKind, Timestamp};
use crate::process::{FdEntry, FdFlags, Object, OpenFile, StatusFlags, Task};
use crate::signal;
use crate::vfs::Inode;
use crate::wait::{SysError, SysResult, Wait};

/// The most entries one `readdir` answers.
const ENTRIES_MAX: usize = 4096;

/// The most descriptors one `poll` takes.
const POLL_MAX: usize = 4096;

/// The cookies of `.` and `..`; a backend's cookie N is told as N + 2.
const COOKIE_DOT: u64 = 1;
const COOKIE_DOT_DOT: u64 = 2;

/// read(2). Errors: `EBADF`, `EISDIR`, `EAGAIN`, `EIO`.
pub fn read(task: &Task, fd: u32, buffer: &mut [u8]) -> SysResult<usize> {
    task.file(fd)?.read(buffer)
}

/// write(2). Errors: `EBADF`, `EPIPE` (and SIGPIPE), `ENOSPC`, `EFBIG`, `EAGAIN`, `EIO`.
pub fn write(task: &Task, fd: u32, bytes: &[u8]) -> SysResult<usize> {
    let file = task.file(fd)?;
    let result = file.write(bytes);
    match &result {
        Ok(count) if *count > 0 => clear_set_id_of(task, &file),
        Err(SysError::Errno(Errno::Pipe)) => task.signal(signal::PIPE),
        _ => {}
    }
    result
}

fn clear_set_id_of(task: &Task, file: &OpenFile) {
    if let Object::Regular(inode, _) = file.object() {
        clear_set_id(task, inode);
    }
}

/// A change of the contents takes set-user-id away, and set-group-id where the group may execute (inode(7)), unless the superuser made it.
pub(crate) fn clear_set_id(task: &Task, inode: &Inode) {
    let mode = inode.permissions().mode;
    let cleared = if mode & 0o010 != 0 { mode & !0o6000 } else { mode & !0o4000 };
    if mode != cleared && task.credentials().uid != 0 {
        // The contents are changed already; a backend that fails here has told so by the write itself or will with the next.
        let _ = inode.change(&AttributeChanges { mode: Some(cleared), ..Default::default() });
    }
}

/// pread(2). Errors: `ESPIPE` for pipes and terminals, and those of read.
pub fn pread(task: &Task, fd: u32, buffer: &mut [u8], offset: u64) -> SysResult<usize> {
    task.file(fd)?.pread(buffer, offset)
}

/// pwrite(2). Errors: `ESPIPE`, and those of write.
pub fn pwrite(task: &Task, fd: u32, bytes: &[u8], offset: u64) -> SysResult<usize> {
    let file = task.file(fd)?;
    let result = file.pwrite(bytes, offset);
    if matches!(result, Ok(count) if count > 0) {
        clear_set_id_of(task, &file);
    }
    result
}

/// lseek(2). Errors: `EBADF`, `ESPIPE`, `EINVAL`.
pub fn seek(task: &Task, fd: u32, offset: i64, whence: Whence) -> SysResult<u64> {
    Ok(task.file(fd)?.seek(whence, offset)?)
}

/// fstat(2). Errors: `EBADF`.
pub fn stat(task: &Task, fd: u32) -> SysResult<FileStatus> {
    Ok(status_of(&*task.file(fd)?)?)
}

/// What an open file tells of itself.
pub(crate) fn status_of(file: &OpenFile) -> Result<FileStatus, Errno> {
    if let Some(inode) = file.inode() {
        return status_of_inode(inode);
    }
    let kind = match file.object() {
        Object::PipeReader(_) | Object::PipeWriter(_) | Object::PipeBoth(..) => NodeKind::Fifo,
        Object::Stream(stream) if !stream.is_terminal() => NodeKind::Fifo,
        Object::Socket(_) => NodeKind::Socket,
        _ => NodeKind::CharacterDevice,
    };
    let attributes = Attributes {
        node: file.serial(),
        kind,
        mode: 0o600,
        links: 1,
        uid: 0,
        gid: 0,
        device: 0,
        size: 0,
        blocks: 0,
        accessed: Timestamp::default(),
        modified: Timestamp::default(),
        changed: Timestamp::default(),
        created: Timestamp::default(),
        lifetime_ns: 0,
    };
    Ok(FileStatus { device: 0, attributes, block_size: 4096 })
}

pub(crate) fn status_of_inode(inode: &Inode) -> Result<FileStatus, Errno> {
    Ok(FileStatus { device: inode.mount().id(), attributes: inode.attributes()?, block_size: 4096 })
}

/// ftruncate(2). Errors: `EBADF`, `EINVAL` when not open for writing or no regular file, `EFBIG`, `ENOSPC`.
pub fn set_size(task: &Task, fd: u32, size: u64) -> SysResult<()> {
    let file = task.file(fd)?;
    match file.object() {
        Object::Regular(inode, _) if file.flags().contains(StatusFlags::WRITE) => {
            resize(inode, size)?;
            clear_set_id(task, inode);
            Ok(())
        }
        _ => Err(Errno::Inval.into()),
    }
}

pub(crate) fn resize(inode: &Inode, size: u64) -> Result<(), Errno> {
    if size > i64::MAX as u64 {
        return Err(Errno::Fbig);
    }
    inode.change(&AttributeChanges { size: Some(size), ..Default::default() }).map(drop)
}

/// posix_fallocate(3). Errors: `EBADF`, `EINVAL` (no length), `EFBIG`, `ENODEV` (no regular file), `ESPIPE`.
pub fn allocate(task: &Task, fd: u32, offset: u64, length: u64) -> SysResult<()> {
    let file = task.file(fd)?;
    if !file.flags().contains(StatusFlags::WRITE) {
        return Err(Errno::Badf.into());
    }
    let inode = match file.object() {
        Object::Regular(inode, _) => inode,
        Object::PipeReader(_) | Object::PipeWriter(_) | Object::PipeBoth(..) | Object::Socket(_) => {
            return Err(Errno::Spipe.into());
        }
        _ => return Err(Errno::Nodev.into()),
    };
    if length == 0 {
        return Err(Errno::Inval.into());
    }
    let end = offset.checked_add(length).filter(|&end| end <= i64::MAX as u64).ok_or(Errno::Fbig)?;
    // Held so that a write that extends the file in between is not cut off again.
    let _growing = inode.append.lock();
    if inode.size()? < end {
        resize(inode, end)?;
    }
    Ok(())
}

/// futimens(3). Errors: `EBADF`, `EPERM`, `EACCES`, `EROFS`.
pub fn set_times(task: &Task, fd: u32, accessed: NewTime, modified: NewTime) -> SysResult<()> {
    let file = task.file(fd)?;
    Ok(set_times_of(task, file.inode().ok_or(Errno::Inval)?, accessed, modified)?)
}

pub(crate) fn set_times_of(task: &Task, inode: &Inode, accessed: NewTime, modified: NewTime) -> Result<(), Errno> {
    let credentials = task.credentials();
    match (accessed, modified) {
        (NewTime::Keep, NewTime::Keep) => return Ok(()),
        // Both to now: write permission is enough (utimensat(2)).
        (NewTime::Now, NewTime::Now) => {
            credentials.check_owner(inode).or_else(|_| credentials.check(inode, crate::vfs::Access::Write))?
        }
        _ => credentials.check_owner(inode)?,
    }
    let resolve = |time| match time {
        NewTime::Keep => None,
        NewTime::Now => Some(task.kernel().clock.realtime()),
        NewTime::At(time) => Some(time),
    };
    let (accessed, modified) = (resolve(accessed), resolve(modified));
    if accessed.into_iter().chain(modified).any(|time| time.nanoseconds >= 1_000_000_000) {
        return Err(Errno::Inval);
    }
    inode.change(&AttributeChanges { accessed, modified, ..Default::default() }).map(drop)
}

/// fchmod(2). Errors: `EBADF`, `EPERM`, `EROFS`.
pub fn set_mode(task: &Task, fd: u32, mode: u32) -> SysResult<()> {
    let file = task.file(fd)?;
    Ok(set_mode_of(task, file.inode().ok_or(Errno::Inval)?, mode)?)
}

pub(crate) fn set_mode_of(task: &Task, inode: &Inode, mode: u32) -> Result<(), Errno> {
    task.credentials().check_owner(inode)?;
    inode.change(&AttributeChanges { mode: Some(mode & 0o7777), ..Default::default() }).map(drop)
}

/// fchown(2). Errors: `EBADF`, `EPERM`, `EROFS`.
pub fn set_owner(task: &Task, fd: u32, uid: Option<u32>, gid: Option<u32>) -> SysResult<()> {
    let file = task.file(fd)?;
    Ok(set_owner_of(task, file.inode().ok_or(Errno::Inval)?, uid, gid)?)
}

pub(crate) fn set_owner_of(task: &Task, inode: &Inode, uid: Option<u32>, gid: Option<u32>) -> Result<(), Errno> {
    let (credentials, now) = (task.credentials(), inode.permissions());
    let keeps_user = uid.is_none_or(|uid| uid == now.uid);
    let own_group = gid.is_none_or(|gid| gid == now.gid || gid == credentials.gid);
    if credentials.uid != 0 && !(credentials.uid == now.uid && keeps_user && own_group) {
        return Err(Errno::Perm);
    }
    // A change of owner takes set-user-id and set-group-id away (chown(2)).
    let mode = (!inode.is_dir() && now.mode & 0o6000 != 0).then_some(now.mode & !0o6000);
    inode.change(&AttributeChanges { uid, gid, mode, ..Default::default() }).map(drop)
}

/// fsync(2) and fdatasync(2). Errors: `EBADF`, `EINVAL` (pipes and the like), `EIO`.
pub fn sync(task: &Task, fd: u32, data_only: bool) -> SysResult<()> {
    Ok(task.file(fd)?.sync(data_only)?)
}

/// Lists a directory: at most `entries_max` entries after `cookie`. Errors: `EBADF`, `ENOTDIR`.
pub fn readdir(task: &Task, fd: u32, cookie: u64, entries_max: usize) -> SysResult<Vec<DirectoryEntry>> {
    let file = task.file(fd)?;
    let Object::Directory(inode) = file.object() else { return Err(Errno::Notdir.into()) };
    let entries_max = entries_max.min(ENTRIES_MAX);
    let mut entries = Vec::new();
    if cookie < COOKIE_DOT && entries.len() < entries_max {
        entries.push(directory(".", COOKIE_DOT, inode.node()));
    }
    if cookie < COOKIE_DOT_DOT && entries.len() < entries_max {
        let parent = file.dentry().and_then(|dentry| task.kernel().vfs.parent_of(dentry).ok());
        let node = parent.map_or(inode.node(), |parent| parent.inode().node());
        entries.push(directory("..", COOKIE_DOT_DOT, node));
    }
    let after = cookie.saturating_sub(COOKIE_DOT_DOT);
    let rest = entries_max - entries.len();
    if rest > 0 {
        for entry in inode.fs().readdir(inode.node(), after, rest)? {
            let cookie = entry.cookie.checked_add(COOKIE_DOT_DOT).filter(|_| entry.cookie != 0).ok_or(Errno::Io)?;
            let (inode, kind) = (entry.attributes.node, entry.attributes.kind);
            entries.push(DirectoryEntry { name: entry.name, cookie, inode, kind });
        }
    }
    Ok(entries)
}

fn directory(name: &str, cookie: u64, inode: u64) -> DirectoryEntry {
    DirectoryEntry { name: name.into(), cookie, inode, kind: NodeKind::Directory }
}

/// close(2). Errors: `EBADF`; what the backend answered to what was held back (`ENOSPC`, `EIO`, `ESTALE`): the descriptor is closed all the same.
pub fn close(task: &Task, fd: u32) -> SysResult<()> {
    let entry = task.fds().remove(fd)?;
    Ok(entry.file.flush()?)
}

/// `fcntl(F_DUPFD_CLOEXEC)`. Errors: `EBADF`, `EMFILE`, `EINVAL`.
pub fn dup(task: &Task, fd: u32, min: u32) -> SysResult<u32> {
    let mut fds = task.fds();
    let file = fds.get(fd)?.file.clone();
    Ok(fds.insert(FdEntry { file, flags: FdFlags::CLOSE_ON_EXEC }, min)?)
}

/// Opens a descriptor's file anew, for as much as it was open for: at the lowest free number that is at least `min`, close-on-exec, with a position of its own, which is
/// `offset`, or the end before every write. What has no position (pipes, devices, streams) is the same open file. Not of the WIT: WASI's file streams.
/// Errors: `EBADF` (a path only), `EISDIR`, `EINVAL` (an offset past the largest), `EMFILE`, `ENFILE`, and those of the file's open.
pub fn reopen(task: &Task, fd: u32, start: Start, min: u32) -> SysResult<u32> {
    let file = task.file(fd)?;
    let file = match file.object() {
        Object::Directory(_) => return Err(Errno::Isdir.into()),
        Object::Path(_) => return Err(Errno::Badf.into()),
        Object::Regular(inode, _) => {
            let mut flags = file.flags() & (StatusFlags::READ | StatusFlags::WRITE);
            let mut how = crate::backend::OpenFlags::empty();
            how.set(crate::backend::OpenFlags::READ, flags.contains(StatusFlags::READ));
            how.set(crate::backend::OpenFlags::WRITE, flags.contains(StatusFlags::WRITE));
            flags.set(StatusFlags::APPEND, start == Start::End);
            let handle = inode.fs().open(inode.node(), how)?;
            inode.opened();
            OpenFile::new(task.accountant(), Object::Regular(inode.clone(), handle), flags, file.dentry().cloned())?
        }
        Object::Snapshot(bytes) => {
            OpenFile::new(task.accountant(), Object::Snapshot(bytes.clone()), file.flags(), file.dentry().cloned())?
        }
        _ => file,
    };
    if let (Start::At(offset), Object::Regular(..) | Object::Snapshot(_)) = (start, file.object()) {
        file.seek(Whence::Start, i64::try_from(offset).map_err(|_| Errno::Inval)?)?;
    }
    Ok(task.insert_fd(FdEntry { file, flags: FdFlags::CLOSE_ON_EXEC }, min)?)
}

/// dup2(2). Errors: `EBADF`.
pub fn dup2(task: &Task, from: u32, to: u32) -> SysResult<()> {
    let mut fds = task.fds();
    let file = fds.get(from)?.file.clone();
    if from == to {
        return Ok(());
    }
    let replaced = fds.replace(to, FdEntry { file, flags: FdFlags::empty() })?;
    drop(fds);
    drop(replaced);
    Ok(())
}

/// `fcntl(F_GETFD)` and `F_GETFL`. Errors: `EBADF`.
pub fn get_flags(task: &Task, fd: u32) -> SysResult<DescriptorFlags> {
    let entry = task.fds().get(fd)?.clone();
    let status = entry.file.flags();
    let mut flags = DescriptorFlags::empty();
    flags.set(DescriptorFlags::CLOSE_ON_EXEC, entry.flags.contains(FdFlags::CLOSE_ON_EXEC));
    flags.set(DescriptorFlags::NON_BLOCKING, status.contains(StatusFlags::NON_BLOCKING));
    flags.set(DescriptorFlags::APPEND, status.contains(StatusFlags::APPEND));
    Ok(flags)
}

/// `fcntl(F_SETFD)` and `F_SETFL`. Errors: `EBADF`.
pub fn set_flags(task: &Task, fd: u32, flags: DescriptorFlags) -> SysResult<()> {
    let mut fds = task.fds();
    let entry = fds.get(fd)?;
    let mut own = entry.flags;
    own.set(FdFlags::CLOSE_ON_EXEC, flags.contains(DescriptorFlags::CLOSE_ON_EXEC));
    let mut shared = StatusFlags::empty();
    shared.set(StatusFlags::NON_BLOCKING, flags.contains(DescriptorFlags::NON_BLOCKING));
    shared.set(StatusFlags::APPEND, flags.contains(DescriptorFlags::APPEND));
    entry.file.set_flags(shared);
    Ok(fds.set_flags(fd, own)?)
}

/// poll(2): what each descriptor is ready for, or a wait until one is or the monotonic clock reaches `deadline_ns`. All empty: the deadline passed.
/// A descriptor that is not open is in error. Errors: `EINVAL` for more than 4,096 requests.
pub fn poll(task: &Task, requests: &[PollRequest], deadline_ns: Option<u64>) -> SysResult<Vec<Readiness>> {
    if requests.len() > POLL_MAX {
        return Err(Errno::Inval.into());
    }
    let files: Vec<Option<Arc<OpenFile>>> = requests.iter().map(|request| task.file(request.fd).ok()).collect();
    let look = || -> Vec<Readiness> {
        let told = |(file, request): (&Option<Arc<OpenFile>>, &PollRequest)| match file {
            Some(file) => file.readiness() & (request.interest | Readiness::HANG_UP | Readiness::ERROR),
            None => Readiness::ERROR,
        };
        files.iter().zip(requests).map(told).collect()
    };
    let ready = look();
    let due = deadline_ns.is_some_and(|deadline| task.kernel().clock.monotonic_ns() >= deadline);
    if due || ready.iter().any(|readiness| !readiness.is_empty()) {
        return Ok(ready);
    }
    let mut wait = Wait::default().or_until(deadline_ns.and_then(|deadline| task.kernel().clock.instant(deadline)));
    for (file, request) in files.iter().zip(requests) {
        if let Some(file) = file {
            wait = file.listen(request.interest, wait);
        }
    }
    // Looked at again: what became ready before the listeners were made would not be told.
    let ready = look();
    if ready.iter().any(|readiness| !readiness.is_empty()) { Ok(ready) } else { Err(SysError::Wait(wait)) }
}
