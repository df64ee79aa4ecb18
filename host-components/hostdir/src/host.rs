//! The host's system calls, each on one name in one directory that is open already, and none of them through a symlink.

use std::ffi::CStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use eyot_backend::{Attributes, Errno, NodeKind, Timestamp};
use rustix::fs::{self, AtFlags, FileType, Mode, OFlags, ResolveFlags, Statx, StatxFlags};

use crate::identity::Identity;

/// A handle.
pub(crate) type Fd = OwnedFd;

/// How many handles are kept beside those that must be.
pub(crate) const HANDLES_KEPT_MAX: usize = 256;
/// How many nodes without a name can be held; more of them go stale.
pub(crate) const HANDLES_PINNED_MAX: usize = 512;

/// What every descriptor is opened with.
const ALWAYS: OFlags = OFlags::CLOEXEC.union(OFlags::NOCTTY).union(OFlags::NONBLOCK);

/// The host's error as the backend's.
pub(crate) fn errno(error: rustix::io::Errno) -> Errno {
    Errno::from_linux(error.raw_os_error()).unwrap_or(Errno::Io)
}

/// What `statx(2)` says, and whose it is.
pub(crate) struct Status(Statx);

impl Status {
    pub(crate) fn identity(&self) -> Identity {
        let device = u64::from(self.0.stx_dev_major) << 32 | u64::from(self.0.stx_dev_minor);
        Identity { device, inode: self.0.stx_ino }
    }

    pub(crate) fn kind(&self) -> Result<NodeKind, Errno> {
        Ok(match FileType::from_raw_mode(self.0.stx_mode.into()) {
            FileType::RegularFile => NodeKind::File,
            FileType::Directory => NodeKind::Directory,
            FileType::Symlink => NodeKind::Symlink,
            FileType::Fifo => NodeKind::Fifo,
            FileType::Socket => NodeKind::Socket,
            FileType::CharacterDevice => NodeKind::CharacterDevice,
            FileType::BlockDevice => NodeKind::BlockDevice,
            FileType::Unknown => return Err(Errno::Io),
        })
    }

    /// The attributes as the guest sees them: with this number and this owner.
    pub(crate) fn attributes(&self, node: u64, uid: u32, gid: u32) -> Result<Attributes, Errno> {
        let status = &self.0;
        let time = |time: &fs::StatxTimestamp| Timestamp { seconds: time.tv_sec, nanoseconds: time.tv_nsec };
        let changed = time(&status.stx_ctime);
        let has_birth = StatxFlags::from_bits_retain(status.stx_mask).contains(StatxFlags::BTIME);
        Ok(Attributes {
            node,
            kind: self.kind()?,
            mode: u32::from(status.stx_mode) & 0o7777,
            links: status.stx_nlink,
            uid,
            gid,
            device: fs::makedev(status.stx_rdev_major, status.stx_rdev_minor),
            size: status.stx_size,
            blocks: status.stx_blocks,
            accessed: time(&status.stx_atime),
            modified: time(&status.stx_mtime),
            changed,
            created: if has_birth { time(&status.stx_btime) } else { changed },
            lifetime_ns: 0,
        })
    }
}

pub(crate) fn status(fd: impl AsFd) -> Result<Status, Errno> {
    status_at(fd, c"", AtFlags::EMPTY_PATH)
}

/// The status of a name in a directory; of a symlink itself.
pub(crate) fn status_of(dir: impl AsFd, name: &CStr) -> Result<Status, Errno> {
    status_at(dir, name, AtFlags::SYMLINK_NOFOLLOW)
}

fn status_at(dir: impl AsFd, name: &CStr, flags: AtFlags) -> Result<Status, Errno> {
    let wanted = StatxFlags::BASIC_STATS | StatxFlags::BTIME;
    fs::statx(dir, name, flags | AtFlags::NO_AUTOMOUNT, wanted).map(Status).map_err(errno)
}

/// Opens a name in a directory as a mere handle (`O_PATH`): nothing is read, no device woken, no FIFO waited for, no symlink followed.
pub(crate) fn open_path(dir: impl AsFd, name: &str) -> Result<OwnedFd, Errno> {
    open_beneath(dir, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
}

/// Makes a regular file and opens it.
pub(crate) fn create(dir: impl AsFd, name: &str, mode: Mode) -> Result<OwnedFd, Errno> {
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR | OFlags::NOFOLLOW | ALWAYS;
    open_beneath(dir, name, flags, mode)
}

/// The names are single already, so that they cannot lead out; the kernel makes sure of it once more where it can.
fn open_beneath(dir: impl AsFd, name: &str, flags: OFlags, mode: Mode) -> Result<OwnedFd, Errno> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    match fs::openat2(&dir, name, flags, mode, resolve) {
        // No openat2 (before Linux 5.6), or a sandbox of the host's that does not know it.
        Err(rustix::io::Errno::NOSYS | rustix::io::Errno::PERM) => fs::openat(dir, name, flags, mode),
        opened => opened,
    }
    .map_err(errno)
}

/// Opens what a handle stands for. The caller has made sure that it is a regular file; it stays one, because the handle names the inode.
pub(crate) fn reopen(handle: BorrowedFd<'_>, flags: OFlags) -> Result<OwnedFd, Errno> {
    fs::open(magic_link(handle).as_str(), flags | ALWAYS, Mode::empty()).map_err(errno)
}

/// Opens a directory for listing.
pub(crate) fn open_listing(dir: impl AsFd) -> Result<OwnedFd, Errno> {
    fs::openat(dir, c".", OFlags::RDONLY | OFlags::DIRECTORY | ALWAYS, Mode::empty()).map_err(errno)
}

/// The path by which a call that takes only paths reaches a handle's inode.
pub(crate) fn magic_link(handle: BorrowedFd<'_>) -> String {
    format!("/proc/self/fd/{}", handle.as_raw_fd())
}
