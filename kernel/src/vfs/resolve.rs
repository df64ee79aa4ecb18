//! The resolver: the one walk that every path of every guest takes (path_resolution(7)).
//!
//! Trailing slashes, `.`, `..`, symlink loops, mount points and search permission are decided here and nowhere else.

use std::borrow::Cow;
use std::sync::Arc;

use bitflags::bitflags;

use super::special::Jump;
use super::{Dentry, Inode, Vfs};
use crate::Errno;
use crate::backend::{NAME_BYTES_MAX, NodeKind};
use crate::process::{Credentials, OpenFile, Task};

/// The most symlinks one walk follows (`MAXSYMLINKS` on Linux).
pub const SYMLINKS_MAX: u32 = 40;

/// The longest path in bytes, without the NUL that `PATH_MAX` counts.
pub const PATH_BYTES_MAX: usize = 4095;

bitflags! {
    /// How a walk treats its end and its bounds.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct WalkFlags: u32 {
        /// A symlink at the end is followed.
        const FOLLOW = 1;
        /// Nothing above the starting directory is reached (`RESOLVE_BENEATH`): absolute paths, and `..` and symlinks that lead out, fail with `EPERM`.
        const BENEATH = 1 << 1;
    }
}

/// Who walks, and from where.
pub struct Walker<'a> {
    /// The walking process.
    pub task: &'a Task,
    /// The directory that relative paths start from.
    pub base: Arc<Dentry>,
    /// How.
    pub flags: WalkFlags,
}

/// Where a path led.
pub enum Found {
    /// A place in the tree.
    Place(Arc<Dentry>),
    /// An open file, by a link of `/proc/PID/fd`.
    File(Arc<OpenFile>),
}

impl Found {
    /// The place in the tree. Errors: `ENOENT` for an open file that has none.
    pub fn place(self) -> Result<Arc<Dentry>, Errno> {
        match self {
            Found::Place(dentry) => Ok(dentry),
            Found::File(file) => file.dentry().cloned().ok_or(Errno::Noent),
        }
    }
}

/// The end of a path whose last name need not exist.
pub struct End<'a> {
    /// The directory.
    pub parent: Arc<Dentry>,
    /// The last name; none when the path ends in `.`, `..` or is `/`: then `parent` is the place itself.
    pub name: Option<Cow<'a, str>>,
    /// The path ended in a slash: what it leads to must be a directory.
    pub slash: bool,
    /// Symlinks followed on the way.
    pub followed: u32,
}

/// What an access needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Access {
    /// `x`: searching a directory, running a file.
    Execute = 1,
    /// `w`.
    Write = 2,
    /// `r`.
    Read = 4,
}

impl Credentials {
    /// Whether these credentials may access an inode so. Errors: `EACCES`.
    pub fn check(&self, inode: &Inode, access: Access) -> Result<(), Errno> {
        let permissions = inode.permissions();
        if self.uid == 0 {
            // The superuser may all but run a file that nobody may run.
            let runnable = access != Access::Execute || inode.is_dir() || permissions.mode & 0o111 != 0;
            return if runnable { Ok(()) } else { Err(Errno::Acces) };
        }
        let shift = if permissions.uid == self.uid {
            6
        } else if permissions.gid == self.gid {
            3
        } else {
            0
        };
        if (permissions.mode >> shift) & access as u32 != 0 { Ok(()) } else { Err(Errno::Acces) }
    }

    /// Whether they own the inode. Errors: `EPERM`.
    pub fn check_owner(&self, inode: &Inode) -> Result<(), Errno> {
        if self.uid == 0 || self.uid == inode.permissions().uid { Ok(()) } else { Err(Errno::Perm) }
    }
}

impl Vfs {
    /// Walks a path to its end, which must exist.
    pub fn walk(&self, walker: &Walker<'_>, path: &str) -> Result<Found, Errno> {
        let end = self.walk_to_end(walker, path)?;
        self.finish(walker, end)
    }

    /// Walks a path to the directory that holds its last name.
    pub fn walk_to_end<'p>(&self, walker: &Walker<'_>, path: &'p str) -> Result<End<'p>, Errno> {
        self.walk_from(walker, walker.base.clone(), Cow::Borrowed(path), 0)
    }

    /// Looks the end of a path up, following symlinks as the walker says.
    pub fn finish(&self, walker: &Walker<'_>, mut end: End<'_>) -> Result<Found, Errno> {
        loop {
            let Some(name) = &end.name else { return Ok(Found::Place(end.parent)) };
            let child = self.step(walker, &end.parent, name)?;
            let follow = walker.flags.contains(WalkFlags::FOLLOW) || end.slash;
            if child.inode().kind() != NodeKind::Symlink || !follow {
                if end.slash && !child.inode().is_dir() {
                    return Err(Errno::Notdir);
                }
                return Ok(Found::Place(child));
            }
            match self.follow(walker, &child, &mut end.followed)? {
                Jump::Path(target) => {
                    let slash = end.slash;
                    end = self.walk_from(walker, end.parent, Cow::Owned(target), end.followed)?;
                    end.slash |= slash;
                }
                Jump::Place(place) if end.slash && !place.inode().is_dir() => return Err(Errno::Notdir),
                Jump::Place(place) => return Ok(Found::Place(place)),
                Jump::File(_) if end.slash => return Err(Errno::Notdir),
                Jump::File(file) => return Ok(Found::File(file)),
            }
        }
    }

    /// Where the symlink at the end of a path leads on to, for an `open` that may create there.
    pub(super) fn follow_to_end(
        &self,
        walker: &Walker<'_>,
        link: &Arc<Dentry>,
        end: End<'_>,
    ) -> Result<Result<End<'static>, Found>, Errno> {
        let mut followed = end.followed;
        match self.follow(walker, link, &mut followed)? {
            Jump::Path(target) => {
                let mut next = self.walk_from(walker, end.parent, Cow::Owned(target), followed)?;
                next.slash |= end.slash;
                Ok(Ok(next))
            }
            Jump::Place(place) => Ok(Err(Found::Place(place))),
            Jump::File(file) => Ok(Err(Found::File(file))),
        }
    }

    fn walk_from<'p>(
        &self,
        walker: &Walker<'_>,
        start: Arc<Dentry>,
        path: Cow<'p, str>,
        mut followed: u32,
    ) -> Result<End<'p>, Errno> {
        check_path(&path)?;
        let mut here = start;
        if path.starts_with('/') {
            // Beneath the very root everything is beneath: only a path that a guest wrote absolute is refused there.
            let confined = walker.flags.contains(WalkFlags::BENEATH);
            if confined && (followed == 0 || !self.is_root(&walker.base)) {
                return Err(Errno::Perm);
            }
            here = self.root();
        }
        let rest = path;
        let mut at = 0;
        loop {
            at += rest[at..].len() - rest[at..].trim_start_matches('/').len();
            let length = rest[at..].find('/').unwrap_or(rest.len() - at);
            let (name, tail) = (&rest[at..at + length], &rest[at + length..]);
            let last = tail.trim_start_matches('/').is_empty();
            match name {
                "" => return Ok(End { parent: here, name: None, slash: true, followed }),
                "." | ".." => {
                    self.check_search(walker, &here)?;
                    if name == ".." {
                        here = self.up(walker, &here)?;
                    }
                    if last {
                        return Ok(End { parent: here, name: None, slash: true, followed });
                    }
                }
                _ if last => {
                    let slash = !tail.is_empty();
                    if !here.inode().is_dir() {
                        return Err(Errno::Notdir);
                    }
                    let name = match rest {
                        Cow::Borrowed(path) => Cow::Borrowed(&path[at..at + length]),
                        Cow::Owned(ref path) => Cow::Owned(path[at..at + length].to_owned()),
                    };
                    return Ok(End { parent: here, name: Some(name), slash, followed });
                }
                _ => {
                    let child = self.step(walker, &here, name)?;
                    if child.inode().kind() == NodeKind::Symlink {
                        match self.follow(walker, &child, &mut followed)? {
                            Jump::Path(target) => {
                                let joined = format!("{target}{tail}");
                                let end = self.walk_from(walker, here, Cow::Owned(joined), followed)?;
                                return Ok(end);
                            }
                            Jump::Place(place) => here = place,
                            Jump::File(_) => return Err(Errno::Notdir),
                        }
                    } else {
                        here = child;
                    }
                    if !here.inode().is_dir() {
                        return Err(Errno::Notdir);
                    }
                }
            }
            at += length;
        }
    }

    /// One name: looks it up in a directory and crosses into what is mounted there.
    pub(super) fn step(&self, walker: &Walker<'_>, dir: &Arc<Dentry>, name: &str) -> Result<Arc<Dentry>, Errno> {
        if !dir.inode().is_dir() {
            return Err(Errno::Notdir);
        }
        self.check_search(walker, dir)?;
        let mut child = self.child(dir, name)?;
        while child.is_covered() {
            match self.mounts.at(&child) {
                Some(root) => child = root,
                None => break,
            }
        }
        Ok(child)
    }

    /// The entry `name` of a directory: remembered, or asked of the backend.
    pub(super) fn child(&self, dir: &Arc<Dentry>, name: &str) -> Result<Arc<Dentry>, Errno> {
        if name.len() > NAME_BYTES_MAX {
            return Err(Errno::Nametoolong);
        }
        let mount = dir.inode().mount();
        let mut children = dir.lock();
        if let Some(child) = children.get(name) {
            if child.is_believed(dir) {
                return Ok(child.clone());
            }
        } else if children.is_absent(name, dir.inode().names_stamp()) {
            return Err(Errno::Noent);
        }
        let stamp = dir.inode().names_stamp();
        let attributes = match mount.fs.lookup(dir.inode().node(), name) {
            Ok(attributes) => attributes,
            Err(errno) => {
                let stale = if errno == Errno::Noent { Dentry::disown(&mut children, name) } else { None };
                if errno == Errno::Noent {
                    children.set_absent(name, mount.info.absence_lifetime_ns, stamp);
                }
                drop(children);
                drop(stale);
                return Err(errno);
            }
        };
        let inode = Inode::of(mount, &attributes)?;
        let child = dir.adopt(&mut children, name, inode)?;
        drop(children);
        self.remember(&child);
        Ok(child)
    }

    fn check_search(&self, walker: &Walker<'_>, dir: &Arc<Dentry>) -> Result<(), Errno> {
        walker.task.credentials().check(dir.inode(), Access::Execute)
    }

    /// `..`
    fn up(&self, walker: &Walker<'_>, here: &Arc<Dentry>) -> Result<Arc<Dentry>, Errno> {
        // Above the very root there is nothing to reach: `/..` is `/` for everybody.
        if walker.flags.contains(WalkFlags::BENEATH) && Arc::ptr_eq(here, &walker.base) && !self.is_root(here) {
            return Err(Errno::Perm);
        }
        self.parent_of(here)
    }

    /// The directory above, across mounts; the root is above itself. Errors: `ENOENT` when the directory was removed.
    pub(crate) fn parent_of(&self, here: &Arc<Dentry>) -> Result<Arc<Dentry>, Errno> {
        let mut here = here.clone();
        while here.is_mount_root() {
            match &here.inode().mount().covers {
                None => return Ok(here),
                Some(point) => {
                    let point = point.clone();
                    here = point;
                }
            }
        }
        here.parent().ok_or(Errno::Noent)
    }

    fn follow(&self, walker: &Walker<'_>, link: &Arc<Dentry>, followed: &mut u32) -> Result<Jump, Errno> {
        *followed += 1;
        if *followed > SYMLINKS_MAX {
            return Err(Errno::Loop);
        }
        let inode = link.inode();
        if let Some(special) = &inode.mount().special
            && let Some(jump) = special.follow(inode.node(), walker.task)
        {
            return jump;
        }
        let target = inode.fs().readlink(inode.node())?;
        if target.is_empty() { Err(Errno::Noent) } else { Ok(Jump::Path(target)) }
    }

    /// What readlink(2) tells of a symlink; for the links of `/proc` that lead to objects, a text like Linux's.
    pub fn link_text(&self, link: &Arc<Dentry>, task: &Task) -> Result<String, Errno> {
        let inode = link.inode();
        match inode.mount().special.as_ref().and_then(|special| special.follow(inode.node(), task)) {
            None => inode.fs().readlink(inode.node()),
            Some(Ok(Jump::Path(path))) => Ok(path),
            Some(Ok(Jump::Place(place))) => self.path_of(&place),
            Some(Ok(Jump::File(file))) => match file.dentry() {
                Some(dentry) => self.path_of(dentry),
                None => Ok(file.description()),
            },
            Some(Err(errno)) => Err(errno),
        }
    }

    /// The absolute path of a place. Errors: `ENOENT` when it, or a directory above it, was removed.
    pub fn path_of(&self, place: &Arc<Dentry>) -> Result<String, Errno> {
        let mut names = Vec::new();
        let mut here = place.clone();
        loop {
            if here.is_gone() {
                return Err(Errno::Noent);
            }
            if here.is_mount_root() {
                match &here.inode().mount().covers {
                    None => break,
                    Some(point) => {
                        let point = point.clone();
                        here = point;
                        continue;
                    }
                }
            }
            names.push(here.name());
            let parent = here.parent().ok_or(Errno::Noent)?;
            here = parent;
        }
        let length = names.iter().map(|name| name.len() + 1).sum::<usize>();
        let mut path = String::with_capacity(length.max(1));
        for name in names.iter().rev() {
            path.push('/');
            path.push_str(name);
        }
        if path.is_empty() {
            path.push('/');
        }
        Ok(path)
    }
}

/// What holds for every path. Errors: `ENOENT` when empty, `ENAMETOOLONG`, `EINVAL` for a NUL.
fn check_path(path: &str) -> Result<(), Errno> {
    if path.is_empty() {
        return Err(Errno::Noent);
    }
    if path.len() > PATH_BYTES_MAX {
        return Err(Errno::Nametoolong);
    }
    if path.as_bytes().contains(&0) {
        return Err(Errno::Inval);
    }
    Ok(())
}
