//! Changing the tree: making, linking, moving and taking away names.
//!
//! Every function is told where by an [`End`] of the resolver, checks permission on the directory and asks the backend while it holds the
//! directory's lock, so that the entries the kernel remembers stay true.

use std::sync::Arc;

use super::{Access, Dentry, End, Found, Inode, Vfs, WalkFlags, Walker};
use crate::Errno;
use crate::backend::{Attributes, Capabilities, Filesystem, NAME_BYTES_MAX, Node, NodeKind, Ownership, RenameFlags};
use crate::policy::Action;
use crate::process::{Credentials, Task};

/// What a new name is to lead to.
pub enum New<'a> {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symlink with this target.
    Symlink(&'a str),
    /// A FIFO, socket name or device node, with its device number.
    Node(NodeKind, u64),
}

/// The result of an `open` that may create.
pub(crate) enum Opened {
    /// It was there.
    Found(Found),
    /// It was made by this call.
    Made(Arc<Dentry>),
}

impl Vfs {
    /// Makes a new inode at the end of a path. Errors: `EEXIST`, `EACCES`, `EROFS`, and the backend's.
    pub fn make(&self, walker: &Walker<'_>, end: &End<'_>, new: New<'_>, mode: u32) -> Result<Arc<Dentry>, Errno> {
        let Some(name) = end.name.as_deref() else { return Err(Errno::Exist) };
        check_name(name)?;
        let (task, dir) = (walker.task, &end.parent);
        if end.slash && !matches!(new, New::Directory) {
            // Linux: a trailing slash promises a directory.
            return Err(if self.step(walker, dir, name).is_ok() { Errno::Exist } else { Errno::Noent });
        }
        let credentials = task.credentials();
        let inode = dir.inode();
        match self.step(walker, dir, name) {
            Ok(_) => return Err(Errno::Exist),
            Err(Errno::Noent) => {}
            Err(errno) => return Err(errno),
        }
        inode.mount().check_writable()?;
        check_may_change(&credentials, inode)?;
        task.allow(Action::Write, || self.path_below(dir, name))?;
        let owner = new_owner(task, &credentials, inode, &new, mode);
        let made = self.make_in(dir, name, |fs, node| match new {
            New::File => fs.create(node, name, owner),
            New::Directory => fs.mkdir(node, name, owner),
            New::Symlink(target) => {
                inode.mount().check_can(Capabilities::SYMLINKS)?;
                fs.symlink(node, name, target, owner)
            }
            New::Node(kind, device) => {
                inode.mount().check_can(Capabilities::SPECIAL_FILES)?;
                fs.make_node(node, name, kind, device, owner)
            }
        })?;
        self.remember(&made);
        Ok(made)
    }

    fn make_in(
        &self,
        dir: &Arc<Dentry>,
        name: &str,
        make: impl FnOnce(&dyn Filesystem, Node) -> Result<Attributes, Errno>,
    ) -> Result<Arc<Dentry>, Errno> {
        let inode = dir.inode();
        let mut children = dir.lock();
        if dir.is_gone() {
            return Err(Errno::Noent);
        }
        let attributes = make(inode.fs(), inode.node())?;
        let made = Inode::of(inode.mount(), &attributes)?;
        inode.changed();
        dir.adopt(&mut children, name, made)
    }

    /// Finds the file at a path's end or makes it: `open` with `O_CREAT`. With `exclusive` it must not be there, and symlinks are not followed.
    pub(crate) fn find_or_make(
        &self,
        walker: &Walker<'_>,
        path: &str,
        mode: u32,
        exclusive: bool,
    ) -> Result<Opened, Errno> {
        let mut end = self.walk_to_end(walker, path)?;
        loop {
            let Some(name) = end.name.as_deref() else {
                return Err(if exclusive { Errno::Exist } else { Errno::Isdir });
            };
            if end.slash {
                // No file is made whose name promises a directory, and no directory by `open`.
                return Err(Errno::Isdir);
            }
            match self.step(walker, &end.parent, name) {
                Ok(_) if exclusive => return Err(Errno::Exist),
                Ok(link) if link.inode().kind() == NodeKind::Symlink => {
                    if !walker.flags.contains(WalkFlags::FOLLOW) {
                        return Err(Errno::Loop);
                    }
                    match self.follow_to_end(walker, &link, end)? {
                        Ok(next) => end = next,
                        Err(found) => return Ok(Opened::Found(found)),
                    }
                }
                Ok(place) => return Ok(Opened::Found(Found::Place(place))),
                Err(Errno::Noent) => match self.make(walker, &end, New::File, mode) {
                    // Somebody else was faster: it is there now.
                    Err(Errno::Exist) if !exclusive => {}
                    Err(errno) => return Err(errno),
                    Ok(made) => return Ok(Opened::Made(made)),
                },
                Err(errno) => return Err(errno),
            }
        }
    }

    /// Gives `target` another name. Errors: `EPERM` for a directory, `EXDEV`, `EEXIST`.
    pub fn link(&self, walker: &Walker<'_>, target: &Arc<Dentry>, end: &End<'_>) -> Result<(), Errno> {
        let Some(name) = end.name.as_deref() else { return Err(Errno::Exist) };
        check_name(name)?;
        let (task, dir, inode) = (walker.task, &end.parent, target.inode());
        if self.step(walker, dir, name).is_ok() {
            return Err(Errno::Exist);
        }
        if inode.is_dir() {
            return Err(Errno::Perm);
        }
        if end.slash {
            return Err(Errno::Noent);
        }
        if inode.mount().id() != dir.inode().mount().id() {
            return Err(Errno::Xdev);
        }
        inode.mount().check_writable()?;
        inode.mount().check_can(Capabilities::HARD_LINKS)?;
        check_may_change(&task.credentials(), dir.inode())?;
        task.allow(Action::Write, || self.path_below(dir, name))?;
        let made = self.make_in(dir, name, |fs, node| fs.link(inode.node(), node, name))?;
        inode.changed();
        self.remember(&made);
        Ok(())
    }

    /// Takes a name away: of a directory with `directory`, of anything else without. Errors: `EISDIR`, `ENOTDIR`, `EBUSY` (a mount point), `ENOTEMPTY`,
    /// and for a directory's `.` `EINVAL`, for its `..` `ENOTEMPTY`.
    pub fn remove(&self, walker: &Walker<'_>, path: &str, directory: bool) -> Result<(), Errno> {
        let end = self.walk_to_end(walker, path)?;
        let Some(name) = end.name.as_deref() else { return Err(unnamed_end(path, directory)) };
        let dir = &end.parent;
        let place = self.step(walker, dir, name)?;
        let is_dir = place.inode().is_dir();
        if end.slash && !is_dir {
            return Err(Errno::Notdir);
        }
        // The order of Linux: what the caller may do comes before what the file is.
        dir.inode().mount().check_writable()?;
        let credentials = walker.task.credentials();
        check_may_delete(&credentials, dir.inode(), place.inode())?;
        match (directory, is_dir) {
            (true, false) => return Err(Errno::Notdir),
            (false, true) => return Err(Errno::Isdir),
            _ if place.is_mount_root() => return Err(Errno::Busy),
            _ => {}
        }
        walker.task.allow(Action::Write, || self.path_below(dir, name))?;
        let mut children = dir.lock();
        let (fs, node) = (dir.inode().fs(), dir.inode().node());
        if directory {
            fs.rmdir(node, name)?
        } else {
            fs.unlink(node, name)?
        }
        let gone = Dentry::disown(&mut children, name);
        dir.inode().changed();
        place.inode().changed();
        drop(children);
        // Dropped after the lock: the last use of an inode calls the backend.
        drop(gone);
        Ok(())
    }

    /// Moves a name. Errors: `EXDEV`, `EBUSY`, `EINVAL` (a directory below itself), `ENOTEMPTY`, `EISDIR`, `ENOTDIR`, `EEXIST`.
    pub fn rename(
        &self,
        (from_walker, from): (&Walker<'_>, &End<'_>),
        (to_walker, to): (&Walker<'_>, &End<'_>),
        how: RenameFlags,
    ) -> Result<(), Errno> {
        let task = from_walker.task;
        let (Some(from_name), Some(to_name)) = (from.name.as_deref(), to.name.as_deref()) else {
            return Err(Errno::Busy);
        };
        check_name(to_name)?;
        let (from_dir, to_dir) = (&from.parent, &to.parent);
        let mount = from_dir.inode().mount();
        if mount.id() != to_dir.inode().mount().id() {
            return Err(Errno::Xdev);
        }
        let _moving = self.rename.lock();
        let source = self.step(from_walker, from_dir, from_name)?;
        let target = match self.step(to_walker, to_dir, to_name) {
            Ok(target) => Some(target),
            Err(Errno::Noent) => None,
            Err(errno) => return Err(errno),
        };
        if source.is_mount_root() || target.as_ref().is_some_and(|target| target.is_mount_root()) {
            return Err(Errno::Busy);
        }
        self.check_rename(&source, target.as_ref(), from, to, how)?;
        mount.check_writable()?;
        let credentials = task.credentials();
        check_may_delete(&credentials, from_dir.inode(), source.inode())?;
        if source.inode().is_dir() && !Arc::ptr_eq(from_dir, to_dir) {
            // Its `..` changes (rename(2), EACCES).
            credentials.check(source.inode(), Access::Write)?;
        }
        match &target {
            Some(target) => check_may_delete(&credentials, to_dir.inode(), target.inode())?,
            None => check_may_change(&credentials, to_dir.inode())?,
        }
        task.allow(Action::Write, || self.path_below(from_dir, from_name))?;
        task.allow(Action::Write, || self.path_below(to_dir, to_name))?;
        if target.as_ref().is_some_and(|target| target.inode().node() == source.inode().node()) {
            // Two names of one file: nothing happens (rename(2)).
            return Ok(());
        }
        let replaced = rename_locked(from_dir, from_name, to_dir, to_name, how)?;
        drop(replaced);
        Ok(())
    }

    fn check_rename(
        &self,
        source: &Arc<Dentry>,
        target: Option<&Arc<Dentry>>,
        from: &End<'_>,
        to: &End<'_>,
        how: RenameFlags,
    ) -> Result<(), Errno> {
        let source_is_dir = source.inode().is_dir();
        if (from.slash || to.slash) && !source_is_dir {
            return Err(Errno::Notdir);
        }
        if source_is_dir && self.is_below(&to.parent, source) {
            return Err(Errno::Inval);
        }
        if how.contains(RenameFlags::EXCHANGE) {
            let target = target.ok_or(Errno::Noent)?;
            let below = target.inode().is_dir() && self.is_below(&from.parent, target);
            return if below || how.contains(RenameFlags::NO_REPLACE) { Err(Errno::Inval) } else { Ok(()) };
        }
        let Some(target) = target else { return Ok(()) };
        if how.contains(RenameFlags::NO_REPLACE) {
            return Err(Errno::Exist);
        }
        match (source_is_dir, target.inode().is_dir()) {
            (true, false) => Err(Errno::Notdir),
            (false, true) => Err(Errno::Isdir),
            // The target is above the source: it is not empty.
            (true, true) if self.is_below(&from.parent, target) => Err(Errno::Notempty),
            _ => Ok(()),
        }
    }

    /// Whether `place` is `above` or somewhere below it, on the same mount.
    fn is_below(&self, place: &Arc<Dentry>, above: &Arc<Dentry>) -> bool {
        let mut here = Some(place.clone());
        while let Some(dentry) = here {
            if Arc::ptr_eq(&dentry, above) {
                return true;
            }
            here = dentry.parent();
        }
        false
    }

    /// The path of `name` in `dir`, for the policy's rules.
    pub(crate) fn path_below(&self, dir: &Arc<Dentry>, name: &str) -> String {
        let mut path = self.path_of(dir).unwrap_or_default();
        if !path.ends_with('/') {
            path.push('/');
        }
        path.push_str(name);
        path
    }
}

fn rename_locked(
    from_dir: &Arc<Dentry>,
    from_name: &str,
    to_dir: &Arc<Dentry>,
    to_name: &str,
    how: RenameFlags,
) -> Result<Option<Arc<Dentry>>, Errno> {
    let (mut from_children, mut to_children) = Dentry::lock_two(from_dir, to_dir);
    if to_dir.is_gone() || from_dir.is_gone() {
        return Err(Errno::Noent);
    }
    let (from_node, to_node) = (from_dir.inode().node(), to_dir.inode().node());
    from_dir.inode().fs().rename(from_node, from_name, to_node, to_name, how)?;
    from_dir.inode().changed();
    to_dir.inode().changed();
    let moved = from_children.remove(from_name);
    let replaced = match &mut to_children {
        Some(to_children) => to_children.remove(to_name),
        None => from_children.remove(to_name),
    };
    for inode in moved.iter().chain(&replaced).map(|dentry| dentry.inode()) {
        inode.changed();
    }
    if let Some(moved) = moved {
        moved.settle(to_dir, to_children.as_deref_mut().unwrap_or(&mut from_children), to_name);
    }
    match replaced {
        Some(swapped) if how.contains(RenameFlags::EXCHANGE) => {
            swapped.settle(from_dir, &mut from_children, from_name);
            Ok(None)
        }
        Some(replaced) => {
            replaced.mark_gone();
            Ok(Some(replaced))
        }
        None => Ok(None),
    }
}

/// Who owns a new inode: the caller, with the directory's group where its set-group-id bit says so (inode(7)).
fn new_owner(task: &Task, credentials: &Credentials, dir: &Inode, new: &New<'_>, mode: u32) -> Ownership {
    let parent = dir.permissions();
    let inherits = parent.mode & 0o2000 != 0;
    let mut mode = match new {
        New::Symlink(_) => 0o777,
        // mkdir(2) takes the sticky bit, and no set-id bits.
        New::Directory => mode & 0o1777 & !task.umask(),
        _ => mode & 0o7777 & !task.umask(),
    };
    if inherits && matches!(new, New::Directory) {
        mode |= 0o2000;
    }
    Ownership { mode, uid: credentials.uid, gid: if inherits { parent.gid } else { credentials.gid } }
}

fn check_may_change(credentials: &Credentials, dir: &Inode) -> Result<(), Errno> {
    credentials.check(dir, Access::Write)?;
    credentials.check(dir, Access::Execute)
}

/// Taking a name away needs write permission on the directory, and in a sticky one the file or the directory must be the caller's.
fn check_may_delete(credentials: &Credentials, dir: &Inode, file: &Inode) -> Result<(), Errno> {
    check_may_change(credentials, dir)?;
    if dir.permissions().mode & 0o1000 != 0 {
        credentials.check_owner(dir).or_else(|_| credentials.check_owner(file))?;
    }
    Ok(())
}

/// The error of removing a path that ends in `/`, `.` or `..` (rmdir(2), unlink(2)).
fn unnamed_end(path: &str, directory: bool) -> Errno {
    let last = path.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    match (last, directory) {
        ("", true) => Errno::Busy,
        (".", true) => Errno::Inval,
        (_, true) => Errno::Notempty,
        (_, false) => Errno::Isdir,
    }
}

fn check_name(name: &str) -> Result<(), Errno> {
    if name.len() > NAME_BYTES_MAX { Err(Errno::Nametoolong) } else { Ok(()) }
}
