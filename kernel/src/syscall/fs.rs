//! `eyot:kernel/fs`: paths. Each is walked by the one resolver in `vfs`.

use std::sync::Arc;

use super::descriptor;
use super::types::{AccessMode, FileStatus, NewTime, OpenFlags, PathFlags, RenameFlags};
use crate::Errno;
use crate::backend::{self, FilesystemStatus, NodeKind};
use crate::policy::Action;
use crate::process::device::{self, Device};
use crate::process::{FdEntry, FdFlags, Object, OpenFile, Pipe, StatusFlags, Task};
use crate::vfs::{Access, Dentry, Found, Inode, New, Opened, WalkFlags, Walker};
use crate::wait::SysResult;

/// openat(2). Errors: those of a walk, `EEXIST`, `EISDIR`, `EMFILE`, `ENFILE`, `ENOSPC`, `EROFS`, `ENXIO`, `EINVAL`.
pub fn open(task: &Task, dir: Option<u32>, path: &str, flags: OpenFlags, mode: u32) -> SysResult<u32> {
    let file = open_file(task, base(task, dir, path)?, path, flags, mode)?;
    let mut own = FdFlags::empty();
    own.set(FdFlags::CLOSE_ON_EXEC, flags.contains(OpenFlags::CLOSE_ON_EXEC));
    Ok(task.insert_fd(FdEntry { file, flags: own }, 0)?)
}

/// Opens a file without giving it a descriptor.
pub(crate) fn open_file(
    task: &Task,
    base: Arc<Dentry>,
    path: &str,
    flags: OpenFlags,
    mode: u32,
) -> Result<Arc<OpenFile>, Errno> {
    check_open_flags(flags)?;
    let follow = !flags.contains(OpenFlags::NO_FOLLOW) && !flags.contains(OpenFlags::CREATE | OpenFlags::EXCLUSIVE);
    let walker = Walker { task, base, flags: walk_flags(follow, flags.contains(OpenFlags::BENEATH)) };
    let vfs = &task.kernel().vfs;
    let (found, made) = if flags.contains(OpenFlags::CREATE) {
        match vfs.find_or_make(&walker, path, mode, flags.contains(OpenFlags::EXCLUSIVE))? {
            Opened::Found(found) => (found, false),
            Opened::Made(dentry) => (Found::Place(dentry), true),
        }
    } else {
        (vfs.walk(&walker, path)?, false)
    };
    let place = match found {
        Found::Place(place) => place,
        Found::File(file) => return reopen(task, &file, flags),
    };
    if flags.contains(OpenFlags::TEMPORARY) {
        // No backend makes unnamed files yet.
        return Err(Errno::Notsup);
    }
    let inode = place.inode();
    check_kind(inode, flags)?;
    if !made {
        check_access(task, &place, flags)?;
    }
    let object = open_object(task, &place, flags)?;
    if flags.contains(OpenFlags::TRUNCATE)
        && !made
        && matches!(object, Object::Regular(..))
        && let Err(errno) = descriptor::resize(inode, 0)
    {
        // Made an open file of all the same, so that dropping it releases the backend's handle.
        drop(OpenFile::new(task.accountant(), object, StatusFlags::empty(), None));
        return Err(errno);
    }
    OpenFile::new(task.accountant(), object, status_flags(flags), Some(place))
}

fn check_open_flags(flags: OpenFlags) -> Result<(), Errno> {
    let writes = flags.intersects(OpenFlags::WRITE | OpenFlags::APPEND);
    let invalid = flags.contains(OpenFlags::CREATE | OpenFlags::DIRECTORY)
        || (flags.contains(OpenFlags::TEMPORARY) && !writes)
        || (flags.contains(OpenFlags::TRUNCATE) && !writes && flags.contains(OpenFlags::PATH_ONLY));
    if invalid { Err(Errno::Inval) } else { Ok(()) }
}

fn check_kind(inode: &Inode, flags: OpenFlags) -> Result<(), Errno> {
    let path_only = flags.contains(OpenFlags::PATH_ONLY);
    match inode.kind() {
        NodeKind::Directory => {
            let changes = OpenFlags::WRITE | OpenFlags::TRUNCATE | OpenFlags::CREATE;
            if !path_only && flags.intersects(changes) { Err(Errno::Isdir) } else { Ok(()) }
        }
        _ if flags.contains(OpenFlags::DIRECTORY) => Err(Errno::Notdir),
        NodeKind::Symlink if !path_only => Err(Errno::Loop),
        NodeKind::Socket if !path_only => Err(Errno::Nxio),
        _ => Ok(()),
    }
}

fn check_access(task: &Task, place: &Arc<Dentry>, flags: OpenFlags) -> Result<(), Errno> {
    if flags.contains(OpenFlags::PATH_ONLY) {
        return Ok(());
    }
    let inode = place.inode();
    let credentials = task.credentials();
    let vfs = &task.kernel().vfs;
    let path = || vfs.path_of(place).unwrap_or_default();
    if flags.contains(OpenFlags::READ) || inode.is_dir() {
        credentials.check(inode, Access::Read)?;
        task.allow(Action::Read, path)?;
    }
    if flags.intersects(OpenFlags::WRITE | OpenFlags::TRUNCATE) {
        credentials.check(inode, Access::Write)?;
        task.allow(Action::Write, path)?;
        if inode.kind() == NodeKind::File {
            inode.mount().check_writable()?;
        }
    }
    Ok(())
}

fn open_object(task: &Task, place: &Arc<Dentry>, flags: OpenFlags) -> Result<Object, Errno> {
    let inode = place.inode();
    if flags.contains(OpenFlags::PATH_ONLY) {
        return Ok(Object::Path(inode.clone()));
    }
    match inode.kind() {
        NodeKind::Directory => Ok(Object::Directory(inode.clone())),
        NodeKind::File => open_regular(task, inode, flags),
        NodeKind::Fifo => open_fifo(task, inode, flags),
        NodeKind::CharacterDevice if inode.device() == device::TTY => {
            task.terminal().cloned().map(Object::Stream).ok_or(Errno::Nxio)
        }
        NodeKind::CharacterDevice => Device::from_number(inode.device()).map(Object::Device),
        NodeKind::BlockDevice | NodeKind::Socket => Err(Errno::Nxio),
        NodeKind::Symlink => Err(Errno::Loop),
    }
}

fn open_regular(task: &Task, inode: &Arc<Inode>, flags: OpenFlags) -> Result<Object, Errno> {
    if let Some(snapshot) = inode.mount().snapshot(inode.node(), task) {
        return Ok(Object::Snapshot(snapshot?));
    }
    let mut how = backend::OpenFlags::empty();
    how.set(backend::OpenFlags::READ, flags.contains(OpenFlags::READ));
    how.set(backend::OpenFlags::WRITE, flags.contains(OpenFlags::WRITE));
    let handle = inode.fs().open(inode.node(), how)?;
    inode.opened();
    Ok(Object::Regular(inode.clone(), handle))
}

/// fifo(7). Opening does not wait for the other side: the first read or write does.
fn open_fifo(task: &Task, inode: &Arc<Inode>, flags: OpenFlags) -> Result<Object, Errno> {
    let pipe = match inode.fifo.get() {
        Some(pipe) => pipe.clone(),
        None => {
            let pipe = Pipe::new(task.accountant())?;
            inode.fifo.get_or_init(|| pipe).clone()
        }
    };
    match (flags.contains(OpenFlags::READ), flags.contains(OpenFlags::WRITE)) {
        (true, true) => Ok(Object::PipeBoth(pipe.open_reader(), pipe.open_writer())),
        (_, true) if flags.contains(OpenFlags::NON_BLOCKING) && !pipe.has_readers() => Err(Errno::Nxio),
        (_, true) => Ok(Object::PipeWriter(pipe.open_writer())),
        _ => Ok(Object::PipeReader(pipe.open_reader())),
    }
}

/// Opens what is there, without a walk.
pub(crate) fn open_place(task: &Task, place: &Arc<Dentry>, flags: OpenFlags) -> Result<Arc<OpenFile>, Errno> {
    check_kind(place.inode(), flags)?;
    check_access(task, place, flags)?;
    let object = open_object(task, place, flags)?;
    let file = OpenFile::new(task.accountant(), object, status_flags(flags), Some(place.clone()))?;
    if flags.contains(OpenFlags::TRUNCATE) && matches!(file.object(), Object::Regular(..)) {
        descriptor::resize(place.inode(), 0)?;
    }
    Ok(file)
}

/// Opens what a link of `/proc/PID/fd` leads to: the same file anew, or for what has no place in the tree the open file itself.
fn reopen(task: &Task, file: &Arc<OpenFile>, flags: OpenFlags) -> Result<Arc<OpenFile>, Errno> {
    let wanted = status_flags(flags) & (StatusFlags::READ | StatusFlags::WRITE);
    if flags.contains(OpenFlags::DIRECTORY) {
        return Err(Errno::Notdir);
    }
    if let Some(place) = file.dentry() {
        return open_place(task, place, flags);
    }
    if file.flags().contains(wanted) { Ok(file.clone()) } else { Err(Errno::Acces) }
}

fn status_flags(flags: OpenFlags) -> StatusFlags {
    let mut status = StatusFlags::empty();
    if flags.contains(OpenFlags::PATH_ONLY) {
        return StatusFlags::PATH;
    }
    status.set(StatusFlags::READ, flags.contains(OpenFlags::READ));
    status.set(StatusFlags::WRITE, flags.contains(OpenFlags::WRITE));
    status.set(StatusFlags::APPEND, flags.contains(OpenFlags::APPEND));
    status.set(StatusFlags::NON_BLOCKING, flags.contains(OpenFlags::NON_BLOCKING));
    status
}

/// fstatat(2). Errors: those of a walk.
pub fn stat(task: &Task, dir: Option<u32>, path: &str, flags: PathFlags) -> SysResult<FileStatus> {
    let walker = walker(task, dir, path, flags)?;
    match task.kernel().vfs.walk(&walker, path)? {
        Found::Place(place) => {
            task.allow(Action::Read, || task.kernel().vfs.path_of(&place).unwrap_or_default())?;
            Ok(descriptor::status_of_inode(place.inode())?)
        }
        Found::File(file) => Ok(descriptor::status_of(&file)?),
    }
}

/// faccessat(2) with the effective ids. Errors: `EACCES`, `EROFS`.
pub fn access(task: &Task, dir: Option<u32>, path: &str, mode: AccessMode) -> SysResult<()> {
    let place = walk(task, dir, path, PathFlags::FOLLOW)?;
    let inode = place.inode();
    let credentials = task.credentials();
    let absolute = || task.kernel().vfs.path_of(&place).unwrap_or_default();
    if mode.contains(AccessMode::READ) {
        credentials.check(inode, Access::Read)?;
        task.allow(Action::Read, absolute)?;
    }
    if mode.contains(AccessMode::WRITE) {
        credentials.check(inode, Access::Write)?;
        task.allow(Action::Write, absolute)?;
        if matches!(inode.kind(), NodeKind::File | NodeKind::Directory) {
            inode.mount().check_writable()?;
        }
    }
    if mode.contains(AccessMode::EXECUTE) {
        credentials.check(inode, Access::Execute)?;
    }
    Ok(())
}

/// mkdirat(2). Errors: `EEXIST`, `ENOSPC`, `EROFS`.
pub fn mkdir(task: &Task, dir: Option<u32>, path: &str, mode: u32) -> SysResult<()> {
    make(task, dir, path, PathFlags::empty(), New::Directory, mode)
}

/// As [`mkdir`], with WASI's rule for paths.
pub fn mkdir_at(task: &Task, dir: Option<u32>, path: &str, flags: PathFlags, mode: u32) -> SysResult<()> {
    make(task, dir, path, flags, New::Directory, mode)
}

/// mknodat(2). Errors: `EEXIST`, `EPERM` (devices, by anybody but the superuser), `EINVAL` (directories and symlinks have calls of their own).
pub fn make_node(task: &Task, dir: Option<u32>, path: &str, kind: NodeKind, mode: u32, device: u64) -> SysResult<()> {
    let new = match kind {
        NodeKind::File => New::File,
        NodeKind::Fifo | NodeKind::Socket => New::Node(kind, 0),
        NodeKind::CharacterDevice | NodeKind::BlockDevice if task.credentials().uid != 0 => {
            return Err(Errno::Perm.into());
        }
        NodeKind::CharacterDevice | NodeKind::BlockDevice => New::Node(kind, device),
        NodeKind::Directory | NodeKind::Symlink => return Err(Errno::Inval.into()),
    };
    make(task, dir, path, PathFlags::empty(), new, mode)
}

/// symlinkat(2). Errors: `EEXIST`, `ENOENT` (an empty target), `ENAMETOOLONG`.
pub fn symlink(task: &Task, target: &str, dir: Option<u32>, path: &str, flags: PathFlags) -> SysResult<()> {
    if target.is_empty() {
        return Err(Errno::Noent.into());
    }
    if target.len() > crate::vfs::PATH_BYTES_MAX {
        return Err(Errno::Nametoolong.into());
    }
    if target.as_bytes().contains(&0) {
        return Err(Errno::Inval.into());
    }
    make(task, dir, path, flags, New::Symlink(target), 0o777)
}

fn make(task: &Task, dir: Option<u32>, path: &str, flags: PathFlags, new: New<'_>, mode: u32) -> SysResult<()> {
    let walker = walker(task, dir, path, flags)?;
    let vfs = &task.kernel().vfs;
    let end = vfs.walk_to_end(&walker, path)?;
    vfs.make(&walker, &end, new, mode)?;
    Ok(())
}

/// Makes the file of a Unix-domain socket, as bind(2) does. Errors: `EADDRINUSE`, and those of making a file.
pub(crate) fn make_socket(task: &Task, path: &str) -> Result<Arc<Dentry>, Errno> {
    let walker = walker(task, None, path, PathFlags::empty())?;
    let vfs = &task.kernel().vfs;
    let end = vfs.walk_to_end(&walker, path)?;
    vfs.make(&walker, &end, New::Node(NodeKind::Socket, 0), 0o777).map_err(|errno| match errno {
        Errno::Exist => Errno::Addrinuse,
        other => other,
    })
}

/// The socket that is bound to a path. Errors: `ECONNREFUSED`, `EACCES`, and those of a walk.
pub(crate) fn find_socket(task: &Task, path: &str) -> Result<Arc<crate::net::Socket>, Errno> {
    let place = walk(task, None, path, PathFlags::FOLLOW)?;
    let inode = place.inode();
    task.credentials().check(inode, Access::Write)?;
    task.allow(Action::Write, || task.kernel().vfs.path_of(&place).unwrap_or_default())?;
    inode.socket.get().and_then(std::sync::Weak::upgrade).ok_or(Errno::Connrefused)
}

/// linkat(2). Errors: `EEXIST`, `EXDEV`, `EPERM`.
pub fn link(
    task: &Task,
    from_dir: Option<u32>,
    from_path: &str,
    flags: PathFlags,
    to_dir: Option<u32>,
    to_path: &str,
) -> SysResult<()> {
    let target = walk(task, from_dir, from_path, flags)?;
    let to_flags = flags & PathFlags::BENEATH;
    let walker = walker(task, to_dir, to_path, to_flags)?;
    let vfs = &task.kernel().vfs;
    let end = vfs.walk_to_end(&walker, to_path)?;
    Ok(vfs.link(&walker, &target, &end)?)
}

/// unlinkat(2). Errors: `EISDIR`, `EBUSY`, `EROFS`.
pub fn unlink(task: &Task, dir: Option<u32>, path: &str, flags: PathFlags) -> SysResult<()> {
    Ok(task.kernel().vfs.remove(&walker(task, dir, path, flags)?, path, false)?)
}

/// unlinkat(2) with `AT_REMOVEDIR`. Errors: `ENOTEMPTY`, `EBUSY`, `EINVAL`, `ENOTDIR`.
pub fn rmdir(task: &Task, dir: Option<u32>, path: &str, flags: PathFlags) -> SysResult<()> {
    Ok(task.kernel().vfs.remove(&walker(task, dir, path, flags)?, path, true)?)
}

/// One side of a rename: a directory's descriptor, or none for the working directory, and a path.
#[derive(Clone, Copy, Debug)]
pub struct At<'a> {
    /// The descriptor.
    pub dir: Option<u32>,
    /// The path.
    pub path: &'a str,
}

/// renameat2(2). Errors: `EXDEV`, `EBUSY`, `EINVAL`, `ENOTEMPTY`, `EISDIR`, `ENOTDIR`, `EEXIST`.
pub fn rename(task: &Task, from: At<'_>, to: At<'_>, how: RenameFlags, flags: PathFlags) -> SysResult<()> {
    let from_walker = walker(task, from.dir, from.path, flags)?;
    let to_walker = walker(task, to.dir, to.path, flags)?;
    let vfs = &task.kernel().vfs;
    let from_end = vfs.walk_to_end(&from_walker, from.path)?;
    let to_end = vfs.walk_to_end(&to_walker, to.path)?;
    Ok(vfs.rename((&from_walker, &from_end), (&to_walker, &to_end), how)?)
}

/// readlinkat(2). Errors: `EINVAL` when it is no symlink.
pub fn readlink(task: &Task, dir: Option<u32>, path: &str, flags: PathFlags) -> SysResult<String> {
    let walker = walker(task, dir, path, flags - PathFlags::FOLLOW)?;
    let vfs = &task.kernel().vfs;
    let place = vfs.walk(&walker, path)?.place()?;
    let inode = place.inode();
    if inode.kind() != NodeKind::Symlink {
        return Err(Errno::Inval.into());
    }
    Ok(vfs.link_text(&place, task)?)
}

/// utimensat(2). Errors: `EPERM`, `EACCES`, `EROFS`.
pub fn set_times(
    task: &Task,
    dir: Option<u32>,
    path: &str,
    flags: PathFlags,
    accessed: NewTime,
    modified: NewTime,
) -> SysResult<()> {
    let place = changing(task, dir, path, flags)?;
    Ok(descriptor::set_times_of(task, place.inode(), accessed, modified)?)
}

/// fchmodat(2). Errors: `EPERM`, `EROFS`, `ENOTSUP` (a symlink itself).
pub fn set_mode(task: &Task, dir: Option<u32>, path: &str, flags: PathFlags, mode: u32) -> SysResult<()> {
    let place = changing(task, dir, path, flags)?;
    if place.inode().kind() == NodeKind::Symlink {
        return Err(Errno::Notsup.into());
    }
    Ok(descriptor::set_mode_of(task, place.inode(), mode)?)
}

/// fchownat(2). Errors: `EPERM`, `EROFS`.
pub fn set_owner(
    task: &Task,
    dir: Option<u32>,
    path: &str,
    flags: PathFlags,
    uid: Option<u32>,
    gid: Option<u32>,
) -> SysResult<()> {
    let place = changing(task, dir, path, flags)?;
    Ok(descriptor::set_owner_of(task, place.inode(), uid, gid)?)
}

/// truncate(2). Errors: `EISDIR`, `EINVAL`, `EACCES`, `EROFS`, `EFBIG`.
pub fn set_size(task: &Task, dir: Option<u32>, path: &str, size: u64) -> SysResult<()> {
    let place = changing(task, dir, path, PathFlags::FOLLOW)?;
    let inode = place.inode();
    match inode.kind() {
        NodeKind::File => {}
        NodeKind::Directory => return Err(Errno::Isdir.into()),
        _ => return Err(Errno::Inval.into()),
    }
    task.credentials().check(inode, Access::Write)?;
    descriptor::resize(inode, size)?;
    descriptor::clear_set_id(task, inode);
    Ok(())
}

/// statvfs(3). Errors: those of a walk.
pub fn statfs(task: &Task, dir: Option<u32>, path: &str) -> SysResult<FilesystemStatus> {
    let place = walk(task, dir, path, PathFlags::FOLLOW)?;
    Ok(place.inode().fs().statfs()?)
}

/// realpath(3). Errors: those of a walk.
pub fn real_path(task: &Task, dir: Option<u32>, path: &str) -> SysResult<String> {
    let place = walk(task, dir, path, PathFlags::FOLLOW)?;
    Ok(task.kernel().vfs.path_of(&place)?)
}

fn changing(task: &Task, dir: Option<u32>, path: &str, flags: PathFlags) -> Result<Arc<Dentry>, Errno> {
    let place = walk(task, dir, path, flags)?;
    task.allow(Action::Write, || task.kernel().vfs.path_of(&place).unwrap_or_default())?;
    Ok(place)
}

fn walk(task: &Task, dir: Option<u32>, path: &str, flags: PathFlags) -> Result<Arc<Dentry>, Errno> {
    task.kernel().vfs.walk(&walker(task, dir, path, flags)?, path)?.place()
}

fn walker<'a>(task: &'a Task, dir: Option<u32>, path: &str, flags: PathFlags) -> Result<Walker<'a>, Errno> {
    let base = base(task, dir, path)?;
    let walk = walk_flags(flags.contains(PathFlags::FOLLOW), flags.contains(PathFlags::BENEATH));
    Ok(Walker { task, base, flags: walk })
}

fn walk_flags(follow: bool, beneath: bool) -> WalkFlags {
    let mut flags = WalkFlags::empty();
    flags.set(WalkFlags::FOLLOW, follow);
    flags.set(WalkFlags::BENEATH, beneath);
    flags
}

/// Where a path starts from. Errors: `EBADF`, `ENOTDIR`.
fn base(task: &Task, dir: Option<u32>, path: &str) -> Result<Arc<Dentry>, Errno> {
    match dir {
        None if path.starts_with('/') => Ok(task.kernel().vfs.root()),
        None => Ok(task.cwd()),
        Some(fd) => {
            let file = task.file(fd)?;
            match (file.inode().is_some_and(|inode| inode.is_dir()), file.dentry()) {
                (true, Some(dentry)) => Ok(dentry.clone()),
                _ => Err(Errno::Notdir),
            }
        }
    }
}
