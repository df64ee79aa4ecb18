//! The kernel's calls, each on one name in one directory that is open already, and none of them through a symlink.

use eyot_backend::{Attributes, Errno, NodeKind};
use eyot_preopen::{self as kernel, FileKind, FileStatus, OpenFlags};

use crate::identity::Identity;

/// How many handles are kept beside those that must be. A process has some thousand descriptors.
pub(crate) const HANDLES_KEPT_MAX: usize = 192;
/// How many nodes without a name can be held; more of them go stale.
pub(crate) const HANDLES_PINNED_MAX: usize = 448;

/// A handle on an inode.
pub(crate) struct Fd {
    pub(crate) fd: kernel::Fd,
    /// Whether it was opened for what can be done with a file or a directory: when its name is gone, it cannot be opened any more.
    pub(crate) is_open: bool,
    /// The target of a symlink, likewise.
    pub(crate) target: Option<Box<str>>,
}

impl Fd {
    fn path(fd: kernel::Fd) -> Self {
        Self { fd, is_open: false, target: None }
    }
}

/// What the kernel says of an inode.
pub(crate) struct Status(pub(crate) FileStatus);

impl Status {
    pub(crate) fn identity(&self) -> Identity {
        Identity { device: self.0.device, inode: self.0.inode }
    }

    pub(crate) fn kind(&self) -> NodeKind {
        match self.0.kind {
            FileKind::File => NodeKind::File,
            FileKind::Directory => NodeKind::Directory,
            FileKind::Symlink => NodeKind::Symlink,
            FileKind::Fifo => NodeKind::Fifo,
            FileKind::Socket => NodeKind::Socket,
            FileKind::CharacterDevice => NodeKind::CharacterDevice,
            FileKind::BlockDevice => NodeKind::BlockDevice,
        }
    }

    pub(crate) fn attributes(&self, node: u64, lifetime_ns: u64) -> Attributes {
        let status = &self.0;
        Attributes {
            node,
            kind: self.kind(),
            mode: status.mode & 0o7777,
            links: status.links,
            uid: status.uid,
            gid: status.gid,
            device: status.special_device,
            size: status.size,
            blocks: status.blocks,
            accessed: kernel::timestamp(&status.accessed),
            modified: kernel::timestamp(&status.modified),
            changed: kernel::timestamp(&status.changed),
            created: kernel::timestamp(&status.created),
            lifetime_ns,
        }
    }
}

/// The directory that everything is below.
pub(crate) fn root(path: &str) -> Result<Fd, Errno> {
    if !path.starts_with('/') {
        return Err(Errno::Inval);
    }
    kernel::Fd::open(path, OpenFlags::PATH_ONLY | OpenFlags::DIRECTORY).map(Fd::path)
}

pub(crate) fn status(fd: &Fd) -> Result<Status, Errno> {
    fd.fd.status().map(Status)
}

/// Opens a name in a directory as a mere handle.
pub(crate) fn open_path(dir: &Fd, name: &str) -> Result<Fd, Errno> {
    kernel::Fd::open_at(&dir.fd, name, OpenFlags::PATH_ONLY, 0).map(Fd::path)
}

/// A handle that is of use when the name is gone.
pub(crate) fn open_lasting(dir: &Fd, name: &str, kind: NodeKind) -> Result<Fd, Errno> {
    let open = |flags| kernel::Fd::open_at(&dir.fd, name, flags, 0);
    let opened = match kind {
        NodeKind::File => open(OpenFlags::READ | OpenFlags::WRITE).or_else(|_| open(OpenFlags::READ)),
        NodeKind::Directory => open(OpenFlags::READ | OpenFlags::DIRECTORY),
        NodeKind::Symlink => {
            let target = kernel::read_link(&dir.fd, name)?.into();
            return Ok(Fd { target: Some(target), ..open_path(dir, name)? });
        }
        _ => return open_path(dir, name),
    };
    Ok(Fd { fd: opened?, is_open: true, target: None })
}

/// Opens a directory for listing.
pub(crate) fn open_listing(dir: &Fd) -> Result<kernel::Fd, Errno> {
    if dir.is_open {
        return dir.fd.duplicate();
    }
    kernel::Fd::open_at(&dir.fd, ".", OpenFlags::READ | OpenFlags::DIRECTORY, 0)
}
