//! Two public test suites of POSIX filesystems, `pjdfstest` and `fsx`, on Eyot's backends, each mounted by FUSE.
//!
//! What fails is compared with a list of what may fail, `expected/<backend>.txt`: a case that fails and is not there fails the run, and so does one that is there and passes. So the
//! lists can only shrink. `cargo xtask posix --help` says what can be chosen, and `cargo xtask posix --long` is the long form: everything on every backend, with 1,000,000 operations of fsx. The suites are built from crates.io when they are first needed, and kept in Eyot's cache.

pub mod backends;
pub mod expected;
pub mod fsx;
pub mod pjdfstest;
pub mod report;
mod tools;
mod users;

use std::path::Path;
use std::sync::Arc;

use eyot_backend::Filesystem;
use eyot_fuse::{Mount, MountError, Options};

use backends::Backend;

/// A mounted backend, with the directories that belong to it.
pub struct World {
    // In the order in which they must go: the mount first.
    mount: Mount,
    _point: tempfile::TempDir,
    _store: tempfile::TempDir,
}

/// What the host's kernel keeps.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum Cache {
    /// What the backend's lifetimes allow.
    Lifetimes,
    /// Everything: nobody else changes a filesystem that is made for the test.
    Exclusive,
    /// Everything, and writes for a while.
    Writeback,
}

/// Why a suite did not run.
pub enum NotRun {
    /// It cannot run here: no FUSE, not root.
    Impossible(String),
    /// It should have run and did not.
    Broken(String),
}

impl From<MountError> for NotRun {
    fn from(error: MountError) -> Self {
        match error {
            MountError::NoDevice | MountError::NoAccess | MountError::NoHelper | MountError::Refused { .. } => {
                Self::Impossible(error.to_string())
            }
            error => Self::Broken(error.to_string()),
        }
    }
}

impl World {
    /// Mounts a new filesystem of this backend on a directory that every user can reach.
    pub fn new(backend: &Backend, cache: Cache) -> Result<Self, NotRun> {
        eyot_fuse::available()?;
        let dir = || {
            use std::os::unix::fs::PermissionsExt;
            let open = std::fs::Permissions::from_mode(0o755);
            tempfile::Builder::new().prefix("eyot-posix-").permissions(open).tempdir()
        };
        let broken = |error: std::io::Error| NotRun::Broken(error.to_string());
        let (point, store) = (dir().map_err(broken)?, dir().map_err(broken)?);
        if let Some(name) = backend.needs.filter(|name| std::env::var_os(name).is_none()) {
            return Err(NotRun::Impossible(format!("{} needs {name}, which is not set", backend.name)));
        }
        let fs: Arc<dyn Filesystem> = (backend.make)(store.path()).map_err(NotRun::Broken)?;
        let options = Options {
            allow_other: users::am_root(),
            name: backend.name.into(),
            exclusive: cache != Cache::Lifetimes,
            writeback: cache == Cache::Writeback,
            ..Options::default()
        };
        let mount = Mount::new(fs, point.path(), options)?;
        Ok(Self { mount, _point: point, _store: store })
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        self.mount.path()
    }
}
