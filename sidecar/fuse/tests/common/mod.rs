//! What the tests of a mount have in common.
#![allow(dead_code, reason = "each file of tests uses a part")]

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use eyot_backend::{Filesystem, Ownership};
use eyot_fuse::{Mount, MountError, Options};
use eyot_hostdir::Hostdir;
use eyot_memfs::{Memfs, MemfsBuilder};

/// A mount and the directory under it, which goes after the mount.
pub struct World {
    pub mount: Option<Mount>,
    pub dir: tempfile::TempDir,
}

impl World {
    /// `None`, with the reason printed, where FUSE can't be used.
    pub fn new(fs: Arc<dyn Filesystem>, options: Options) -> Option<Self> {
        if let Err(error) = eyot_fuse::available() {
            eprintln!("skipped: {error}");
            return None;
        }
        // Others than the owner may go through it.
        let open = fs::Permissions::from_mode(0o755);
        let dir = tempfile::Builder::new().permissions(open).tempdir().unwrap();
        match Mount::new(fs, dir.path(), options) {
            Ok(mount) => Some(Self { mount: Some(mount), dir }),
            Err(error @ MountError::Refused { .. }) => {
                eprintln!("skipped: {error}");
                None
            }
            Err(error) => panic!("{error}"),
        }
    }

    pub fn memfs() -> Option<Self> {
        Self::new(Arc::new(memfs().build()), Options { exclusive: true, ..Options::default() })
    }

    pub fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}

/// An empty filesystem that belongs to whoever runs the tests.
pub fn memfs() -> MemfsBuilder {
    let (uid, gid) = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
    Memfs::builder().root(Ownership { mode: 0o755, uid, gid })
}

pub fn hostdir(dir: &Path) -> Arc<Hostdir> {
    let (uid, gid) = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
    Arc::new(Hostdir::new(dir, false).unwrap().owned_by(uid, gid))
}

pub fn is_mounted(path: &Path) -> bool {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
    let path = path.canonicalize().unwrap();
    mounts.lines().any(|line| line.split(' ').nth(1) == path.to_str())
}

pub fn code(error: io::Error) -> i32 {
    error.raw_os_error().unwrap_or(0)
}
