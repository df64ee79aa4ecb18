//! The backend's face of a host directory.

use std::ffi::CStr;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use eyot_backend::{
    AttributeChanges, Attributes, Capabilities, DirectoryEntry, Errno, Filesystem, FilesystemInfo, FilesystemStatus,
    Handle, NAME_BYTES_MAX, Node, NodeKind, OpenFlags, Ownership, RenameFlags, Timestamp,
};
use rustix::fs::{self, AtFlags, CWD, Mode, OFlags, RawDir, SeekFrom, Timespec, Timestamps};
use rustix::io::Errno as HostErrno;

use crate::directory::{FILES_OPEN_MAX, Hostdir};
use crate::host::{self, Status, errno};
use crate::name::check_name;

/// The permission bits that a guest can set: all but set-user-id and set-group-id.
const MODE_MASK: u32 = 0o1777;
/// The largest offset of a file.
const OFFSET_MAX: u64 = i64::MAX as u64;
/// The buffer for a listing.
const LISTING_BYTES: usize = 16 * 1024;

impl Hostdir {
    fn change(&self) -> Result<(), Errno> {
        if self.writable { Ok(()) } else { Err(Errno::Rofs) }
    }

    fn attributes(&self, status: &Status) -> Result<Attributes, Errno> {
        let attributes = status.attributes(self.nodes.number(status.identity()), self.owner.0, self.owner.1)?;
        Ok(Attributes { lifetime_ns: self.lifetime_ns, ..attributes })
    }

    /// Counts a lookup of what `handle` stands for.
    fn hold(&self, dir: Node, name: &str, handle: OwnedFd) -> Result<Attributes, Errno> {
        let status = host::status(&handle)?;
        let attributes = self.attributes(&status)?;
        self.nodes.hold(dir, name, status.identity(), Some(handle))?;
        Ok(attributes)
    }

    fn file(&self, handle: Handle) -> Result<Arc<OwnedFd>, Errno> {
        self.files.read().get(&handle).cloned().ok_or(Errno::Badf)
    }

    /// What has this name now, if anything: what a removal or a rename is about to take it from.
    fn victim(&self, dir: &OwnedFd, name: &str) -> Option<(Status, OwnedFd)> {
        let handle = host::open_path(dir, name).ok()?;
        Some((host::status(&handle).ok()?, handle))
    }

    fn set_mode(&self, handle: &OwnedFd, kind: NodeKind, mode: u32) -> Result<(), Errno> {
        if mode & !MODE_MASK != 0 {
            return Err(Errno::Perm);
        }
        if kind == NodeKind::Symlink {
            return Err(Errno::Notsup);
        }
        fs::chmod(host::magic_link(handle.as_fd()).as_str(), Mode::from_raw_mode(mode)).map_err(errno)
    }
}

impl Filesystem for Hostdir {
    fn info(&self) -> FilesystemInfo {
        let mut capabilities = Capabilities::HARD_LINKS
            | Capabilities::SYMLINKS
            | Capabilities::ATOMIC_RENAME
            | Capabilities::SPARSE
            | Capabilities::CASE_SENSITIVE;
        capabilities.set(Capabilities::WRITABLE, self.writable);
        FilesystemInfo {
            root: self.nodes.root(),
            capabilities,
            entry_lifetime_ns: self.lifetime_ns,
            absence_lifetime_ns: self.lifetime_ns,
            kind: "hostdir".into(),
        }
    }

    fn lookup(&self, dir: Node, name: &str) -> Result<Attributes, Errno> {
        check_name(name)?;
        let handle = host::open_path(&*self.nodes.handle(dir)?, name)?;
        self.hold(dir, name, handle)
    }

    fn forget(&self, node: Node, count: u64) {
        self.nodes.forget(node, count);
    }

    fn getattr(&self, node: Node) -> Result<Attributes, Errno> {
        self.attributes(&host::status(&*self.nodes.handle(node)?)?)
    }

    fn setattr(&self, node: Node, changes: &AttributeChanges) -> Result<Attributes, Errno> {
        self.change()?;
        let handle = self.nodes.handle(node)?;
        let kind = host::status(&*handle)?.kind()?;
        let (uid, gid) = self.owner;
        if changes.uid.is_some_and(|new| new != uid) || changes.gid.is_some_and(|new| new != gid) {
            return Err(Errno::Perm);
        }
        if let Some(size) = changes.size {
            match kind {
                NodeKind::File if size > OFFSET_MAX => return Err(Errno::Fbig),
                NodeKind::File => {}
                NodeKind::Directory => return Err(Errno::Isdir),
                _ => return Err(Errno::Inval),
            }
            let file = host::reopen(handle.as_fd(), OFlags::WRONLY)?;
            retry(|| fs::ftruncate(&file, size))?;
        }
        if let Some(mode) = changes.mode {
            self.set_mode(&handle, kind, mode)?;
        }
        if changes.accessed.is_some() || changes.modified.is_some() {
            let times =
                Timestamps { last_access: timespec(changes.accessed)?, last_modification: timespec(changes.modified)? };
            let path = host::magic_link(handle.as_fd());
            fs::utimensat(CWD, path.as_str(), &times, AtFlags::empty()).map_err(errno)?;
        }
        self.attributes(&host::status(&*handle)?)
    }

    fn create(&self, dir: Node, name: &str, owner: Ownership) -> Result<Attributes, Errno> {
        self.change()?;
        check_name(name)?;
        let mode = Mode::from_raw_mode(owner.mode & MODE_MASK);
        let file = host::create(&*self.nodes.handle(dir)?, name, mode)?;
        // The host's umask has had its say; the guest's was applied before.
        fs::fchmod(&file, mode).map_err(errno)?;
        let status = host::status(&file)?;
        self.nodes.hold(dir, name, status.identity(), None)?;
        self.attributes(&status)
    }

    fn mkdir(&self, dir: Node, name: &str, owner: Ownership) -> Result<Attributes, Errno> {
        self.change()?;
        check_name(name)?;
        let parent = self.nodes.handle(dir)?;
        fs::mkdirat(&*parent, name, Mode::from_raw_mode(owner.mode & 0o777)).map_err(errno)?;
        let handle = host::open_path(&*parent, name)?;
        if host::status(&handle)?.kind()? == NodeKind::Directory {
            self.set_mode(&handle, NodeKind::Directory, owner.mode & MODE_MASK)?;
        }
        self.hold(dir, name, handle)
    }

    fn symlink(&self, dir: Node, name: &str, target: &str, _owner: Ownership) -> Result<Attributes, Errno> {
        self.change()?;
        check_name(name)?;
        let parent = self.nodes.handle(dir)?;
        fs::symlinkat(target, &*parent, name).map_err(errno)?;
        self.hold(dir, name, host::open_path(&*parent, name)?)
    }

    fn make_node(
        &self,
        _dir: Node,
        _name: &str,
        _kind: NodeKind,
        _device: u64,
        _owner: Ownership,
    ) -> Result<Attributes, Errno> {
        self.change()?;
        Err(Errno::Notsup)
    }

    fn link(&self, target: Node, dir: Node, name: &str) -> Result<Attributes, Errno> {
        self.change()?;
        check_name(name)?;
        let handle = self.nodes.handle(target)?;
        if host::status(&*handle)?.kind()? == NodeKind::Directory {
            return Err(Errno::Perm);
        }
        let parent = self.nodes.handle(dir)?;
        let path = host::magic_link(handle.as_fd());
        // The link that is followed is the handle's own, and it leads to the inode, not to a path.
        fs::linkat(CWD, path.as_str(), &*parent, name, AtFlags::SYMLINK_FOLLOW).map_err(errno)?;
        let linked = self.hold(dir, name, host::open_path(&*parent, name)?)?;
        if linked.node == target { Ok(linked) } else { Err(Errno::Stale) }
    }

    fn unlink(&self, dir: Node, name: &str) -> Result<(), Errno> {
        self.change()?;
        check_name(name)?;
        let parent = self.nodes.handle(dir)?;
        let victim = self.victim(&parent, name);
        fs::unlinkat(&*parent, name, AtFlags::empty()).map_err(errno)?;
        if let Some((status, handle)) = victim {
            self.nodes.unlinked(status.identity(), dir, name, handle);
        }
        Ok(())
    }

    fn rmdir(&self, dir: Node, name: &str) -> Result<(), Errno> {
        self.change()?;
        check_name(name)?;
        let parent = self.nodes.handle(dir)?;
        let victim = self.victim(&parent, name);
        fs::unlinkat(&*parent, name, AtFlags::REMOVEDIR).map_err(not_empty)?;
        if let Some((status, handle)) = victim {
            self.nodes.unlinked(status.identity(), dir, name, handle);
        }
        Ok(())
    }

    fn rename(
        &self,
        from_dir: Node,
        from_name: &str,
        to_dir: Node,
        to_name: &str,
        how: RenameFlags,
    ) -> Result<(), Errno> {
        self.change()?;
        check_name(from_name)?;
        check_name(to_name)?;
        let (from, to) = (self.nodes.handle(from_dir)?, self.nodes.handle(to_dir)?);
        let (source, target) = (self.victim(&from, from_name), self.victim(&to, to_name));
        let mut flags = fs::RenameFlags::empty();
        flags.set(fs::RenameFlags::NOREPLACE, how.contains(RenameFlags::NO_REPLACE));
        flags.set(fs::RenameFlags::EXCHANGE, how.contains(RenameFlags::EXCHANGE));
        let same = matches!((&source, &target), (Some((a, _)), Some((b, _))) if a.identity() == b.identity());
        let renamed = fs::renameat_with(&*from, from_name, &*to, to_name, flags);
        renamed.map_err(if how.is_empty() { not_empty } else { errno })?;
        if same {
            return Ok(());
        }
        if let Some((status, handle)) = target {
            if how.contains(RenameFlags::EXCHANGE) {
                self.nodes.renamed(status.identity(), from_dir, from_name);
            } else {
                self.nodes.unlinked(status.identity(), to_dir, to_name, handle);
            }
        }
        if let Some((status, _)) = source {
            self.nodes.renamed(status.identity(), to_dir, to_name);
        }
        Ok(())
    }

    fn readlink(&self, node: Node) -> Result<String, Errno> {
        let handle = self.nodes.handle(node)?;
        if host::status(&*handle)?.kind()? != NodeKind::Symlink {
            return Err(Errno::Inval);
        }
        let target = fs::readlinkat(&*handle, c"", Vec::new()).map_err(errno)?;
        target.into_string().map_err(|_| Errno::Ilseq)
    }

    fn open(&self, node: Node, how: OpenFlags) -> Result<Handle, Errno> {
        if how.contains(OpenFlags::WRITE) {
            self.change()?;
        }
        let handle = self.nodes.handle(node)?;
        match host::status(&*handle)?.kind()? {
            NodeKind::File => {}
            NodeKind::Directory => return Err(Errno::Isdir),
            NodeKind::Symlink => return Err(Errno::Loop),
            _ => return Err(Errno::Nxio),
        }
        let flags = match (how.contains(OpenFlags::READ), how.contains(OpenFlags::WRITE)) {
            (true, true) => OFlags::RDWR,
            (false, true) => OFlags::WRONLY,
            _ => OFlags::RDONLY,
        };
        let file = Arc::new(host::reopen(handle.as_fd(), flags)?);
        let number = self.handle_next.fetch_add(1, Ordering::Relaxed);
        let mut files = self.files.write();
        if files.len() >= FILES_OPEN_MAX {
            return Err(Errno::Nfile);
        }
        files.insert(number, file);
        Ok(number)
    }

    fn release(&self, _node: Node, handle: Handle) {
        let file = self.files.write().remove(&handle);
        // Closing is a system call: not under the lock.
        drop(file);
    }

    fn read(&self, _node: Node, handle: Handle, offset: u64, buffer: &mut [u8]) -> Result<usize, Errno> {
        let file = self.file(handle)?;
        let mut done = 0;
        while let Some(rest) = buffer.get_mut(done..).filter(|rest| !rest.is_empty()) {
            let Some(at) = offset.checked_add(done as u64).filter(|&at| at <= OFFSET_MAX - rest.len() as u64) else {
                break;
            };
            match rustix::io::pread(&*file, rest, at) {
                Ok(0) => break,
                Ok(count) => done += count,
                Err(HostErrno::INTR) => {}
                Err(error) if done == 0 => return Err(errno(error)),
                Err(_) => break,
            }
        }
        Ok(done)
    }

    fn write(&self, _node: Node, handle: Handle, offset: u64, bytes: &[u8]) -> Result<usize, Errno> {
        self.change()?;
        if bytes.is_empty() {
            return Ok(0);
        }
        if offset.checked_add(bytes.len() as u64).is_none_or(|end| end > OFFSET_MAX) {
            return Err(Errno::Fbig);
        }
        let file = self.file(handle)?;
        retry(|| rustix::io::pwrite(&*file, bytes, offset))
    }

    fn fsync(&self, node: Node, handle: Handle, data_only: bool) -> Result<(), Errno> {
        let file = match self.file(handle) {
            // Directories are not opened, and their names are to be made durable too.
            Err(Errno::Badf) if handle == 0 => {
                let dir = self.nodes.handle(node)?;
                let is_directory = host::status(&*dir)?.kind()? == NodeKind::Directory;
                if is_directory { Arc::new(host::open_listing(&*dir)?) } else { return Err(Errno::Badf) }
            }
            file => file?,
        };
        retry(|| if data_only { fs::fdatasync(&*file) } else { fs::fsync(&*file) })
    }

    fn readdir(&self, dir: Node, cookie: u64, entries_max: usize) -> Result<Vec<DirectoryEntry>, Errno> {
        let handle = self.nodes.handle(dir)?;
        let listing = host::open_listing(&*handle)?;
        if cookie > 0 {
            let at = i64::try_from(cookie).map_err(|_| Errno::Inval)?;
            fs::seek(&listing, SeekFrom::Start(at as u64)).map_err(errno)?;
        }
        let mut buffer = [const { MaybeUninit::<u8>::uninit() }; LISTING_BYTES];
        let mut raw = RawDir::new(&listing, &mut buffer);
        let mut entries = Vec::new();
        while entries.len() < entries_max
            && let Some(entry) = raw.next()
        {
            let entry = match entry {
                // A directory that was removed lists as empty.
                Err(HostErrno::NOENT) => break,
                entry => entry.map_err(errno)?,
            };
            if let Some(name) = visible(entry.file_name())
                && entry.next_entry_cookie() != 0
                && let Ok(status) = host::status_of(&*handle, entry.file_name())
            {
                let attributes = self.attributes(&status)?;
                entries.push(DirectoryEntry { name, cookie: entry.next_entry_cookie(), attributes });
            }
        }
        Ok(entries)
    }

    fn statfs(&self) -> Result<FilesystemStatus, Errno> {
        let status = fs::fstatvfs(&*self.nodes.handle(self.nodes.root())?).map_err(errno)?;
        Ok(FilesystemStatus {
            block_size: u32::try_from(status.f_frsize).unwrap_or(4096).max(1),
            blocks: status.f_blocks,
            blocks_free: status.f_bavail.min(status.f_blocks),
            files: status.f_files,
            files_free: status.f_favail.min(status.f_files),
            name_max: u32::try_from(status.f_namemax).unwrap_or(u32::MAX).min(NAME_BYTES_MAX as u32),
        })
    }
}

/// A name that the guest can see: UTF-8, and not one of the two that every directory has.
fn visible(name: &CStr) -> Option<String> {
    name.to_str().ok().filter(|name| check_name(name).is_ok()).map(str::to_owned)
}

/// Some filesystems say `EEXIST` of a directory that is not empty.
fn not_empty(error: HostErrno) -> Errno {
    if error == HostErrno::EXIST { Errno::Notempty } else { errno(error) }
}

fn retry<T>(mut call: impl FnMut() -> rustix::io::Result<T>) -> Result<T, Errno> {
    loop {
        match call() {
            Err(HostErrno::INTR) => {}
            done => return done.map_err(errno),
        }
    }
}

/// A time for utimensat(2); without one the host's stays.
fn timespec(time: Option<Timestamp>) -> Result<Timespec, Errno> {
    match time {
        None => Ok(Timespec { tv_sec: 0, tv_nsec: fs::UTIME_OMIT as _ }),
        Some(time) if time.nanoseconds >= 1_000_000_000 => Err(Errno::Inval),
        Some(time) => Ok(Timespec { tv_sec: time.seconds, tv_nsec: time.nanoseconds.into() }),
    }
}
