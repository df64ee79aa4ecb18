//! A directory of the host, as it is taken.

use std::collections::HashMap;
use std::fmt;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use eyot_backend::{Errno, Handle};
use parking_lot::RwLock;
use rustix::fs::{Mode, OFlags};

use crate::host;
use crate::nodes::Nodes;

/// How many files of one directory can be open at once.
pub(crate) const FILES_OPEN_MAX: usize = 4096;

/// A host directory.
///
/// **Nothing escapes it.** Each call to the host names one entry of one directory that is open already (with `openat2` and `RESOLVE_BENEATH` where the host has it), and
/// none follows a symlink: what a symlink means is decided by the kernel of Eyot, inside the VM. Only regular files and directories are
/// ever opened: device nodes, sockets and FIFOs show in listings and nothing more. Files below a mount point inside the directory belong to it.
///
/// **Owner.** Everything appears to be owned by one user ([`owned_by`](Self::owned_by)); what the guest makes belongs on the host to whoever runs the host process.
/// Set-user-id and set-group-id bits are refused with `EPERM`: a guest must not leave such a program behind.
///
/// **Others may change it.** So nothing seen is believed for longer than the call, unless [`believed_for`](Self::believed_for) says otherwise. A file that was
/// replaced on the host while the guest held it answers `ESTALE`, or goes on as it was when it is open. Names that are not UTF-8 do not show.
///
/// **Descriptors.** At most some hundred are kept for directories and files that are known, and one for each open file.
pub struct Hostdir {
    pub(crate) nodes: Nodes,
    pub(crate) writable: bool,
    pub(crate) owner: (u32, u32),
    pub(crate) lifetime_ns: u64,
    pub(crate) files: RwLock<HashMap<Handle, Arc<OwnedFd>>>,
    pub(crate) handle_next: AtomicU64,
}

/// Why a directory could not be taken.
#[derive(Debug)]
pub struct Error {
    path: PathBuf,
    errno: Errno,
}

impl Error {
    /// What the host said.
    pub fn errno(&self) -> Errno {
        self.errno
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot use {} as a host directory: {}", self.path.display(), self.errno)?;
        match self.errno {
            Errno::Noent => f.write_str("; make it first, or check the path"),
            Errno::Notdir => f.write_str("; name a directory"),
            _ => Ok(()),
        }
    }
}

impl std::error::Error for Error {}

impl Hostdir {
    /// Opens `dir` (here, and only here, symlinks are followed). With `read_only` every change answers `EROFS`.
    pub fn new(dir: &Path, read_only: bool) -> Result<Self, Error> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = rustix::fs::open(dir, flags, Mode::empty()).map_err(host::errno);
        let nodes = opened.and_then(Nodes::new).map_err(|errno| Error { path: dir.to_owned(), errno })?;
        Ok(Self {
            nodes,
            writable: !read_only,
            owner: (0, 0),
            lifetime_ns: 0,
            files: RwLock::new(HashMap::new()),
            handle_next: AtomicU64::new(1),
        })
    }

    /// Lets everything appear to be owned by this user and group (0 and 0 when nothing is said).
    pub fn owned_by(mut self, uid: u32, gid: u32) -> Self {
        self.owner = (uid, gid);
        self
    }

    /// Lets the kernel believe names and attributes for this long: for a directory that nobody else changes, or that may be seen late.
    pub fn believed_for(mut self, lifetime: Duration) -> Self {
        self.lifetime_ns = u64::try_from(lifetime.as_nanos()).unwrap_or(u64::MAX);
        self
    }
}
