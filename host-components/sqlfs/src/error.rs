//! What can go wrong: in a call of the filesystem ([`Fault`], which becomes an errno), and for the embedder ([`Error`]).

use std::path::PathBuf;

use eyot_backend::Errno;

/// Why a database could not be opened, or a service beside the filesystem's own calls failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Another process, or another part of this one, has the database open.
    #[error("{} is in use: one process at a time owns it; end the other one, or open another database", path.display())]
    InUse {
        /// The database.
        path: PathBuf,
    },
    /// The file is a database of another program, or no database.
    #[error("{} is not a database of Eyot ({found}); give the path of one, or of a file that does not exist yet", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What was found instead.
        found: String,
    },
    /// A later version of Eyot made the database.
    #[error("{} has format {found}, and this version knows formats up to {known}; open it with a newer Eyot", path.display())]
    Newer {
        /// The database.
        path: PathBuf,
        /// Its format.
        found: i64,
        /// The newest format that is known here.
        known: i64,
    },
    /// The database says things of itself that cannot be.
    #[error("{} is damaged: {what}; restore it from a copy", path.display())]
    Damaged {
        /// The database.
        path: PathBuf,
        /// What cannot be.
        what: String,
    },
    /// The host refused something about a file.
    #[error("cannot {doing} {}: {source}; check the path, its permissions and the space left", path.display())]
    Host {
        /// What was tried.
        doing: &'static str,
        /// With what file.
        path: PathBuf,
        /// What the host said.
        source: std::io::Error,
    },
    /// SQLite refused something.
    #[error("cannot {doing} in {}: {source}", path.display())]
    Sqlite {
        /// What was tried.
        doing: &'static str,
        /// The database.
        path: PathBuf,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// The filesystem refused something, as it would a guest.
    #[error("cannot {doing} in {}: {errno}", path.display())]
    Refused {
        /// What was tried.
        doing: &'static str,
        /// The database.
        path: PathBuf,
        /// Why not.
        errno: Errno,
    },
    /// There is a snapshot of that name already.
    #[error("there is a snapshot {name:?} already; delete it first, or choose another name")]
    SnapshotExists {
        /// The name.
        name: String,
    },
    /// There is no snapshot of that name.
    #[error("there is no snapshot {name:?}; `snapshots` lists those there are")]
    NoSnapshot {
        /// The name.
        name: String,
    },
    /// Nodes are held, whose meaning would change.
    #[error("{held} nodes are still held; restore before the filesystem is mounted, or after it was unmounted")]
    Busy {
        /// How many.
        held: u64,
    },
}

/// Why a call failed: with an errno, or because SQLite did.
#[derive(Debug)]
pub(crate) enum Fault {
    Errno(Errno),
    Sql(rusqlite::Error),
}

pub(crate) type Res<T> = Result<T, Fault>;

impl From<Errno> for Fault {
    fn from(errno: Errno) -> Self {
        Fault::Errno(errno)
    }
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Fault::Sql(error)
    }
}

impl From<Fault> for Errno {
    fn from(fault: Fault) -> Errno {
        match fault {
            Fault::Errno(errno) => errno,
            Fault::Sql(error) => match error.sqlite_error_code() {
                Some(rusqlite::ErrorCode::DiskFull) => Errno::Nospc,
                Some(rusqlite::ErrorCode::OutOfMemory) => Errno::Nomem,
                _ => Errno::Io,
            },
        }
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Fault::Errno(errno) => errno.fmt(f),
            Fault::Sql(error) => error.fmt(f),
        }
    }
}

impl Fault {
    /// The same for the embedder.
    pub(crate) fn told(self, doing: &'static str, path: &std::path::Path) -> Error {
        let path = path.to_owned();
        match self {
            Fault::Errno(errno) => Error::Refused { doing, path, errno },
            Fault::Sql(source) => Error::Sqlite { doing, path, source },
        }
    }
}
