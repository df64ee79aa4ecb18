//! The mount itself.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Instant;

use eyot_backend::{Errno, NodeKind, Refusal, Timestamp};
use parking_lot::{Mutex, RwLock};

use crate::connect;
use crate::engine::{self, Engine};
use crate::key;
use crate::names::Names;
use crate::nodes::{Facts, Inode, ROOT, Table};
use crate::open::Handles;
use crate::options::{S3Options, Tuning};

/// A bucket, or a directory of one, as a filesystem.
pub struct S3 {
    pub(crate) engine: Arc<Engine>,
    pub(crate) table: Mutex<Table>,
    pub(crate) handles: Mutex<Handles>,
    pub(crate) names: Names,
    /// Held for reading by whoever uses a key, for writing by whoever moves a directory.
    pub(crate) shape: RwLock<()>,
    pub(crate) options: S3Options,
    pub(crate) clock: fn() -> Timestamp,
    /// Keys that can be no names.
    pub(crate) left_out: AtomicU64,
}

impl std::fmt::Debug for S3 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("S3").field("bucket", &self.options.bucket).field("prefix", &self.options.prefix).finish()
    }
}

impl S3 {
    /// Mounts a bucket. Errors: settings that cannot be right, and a server that is not there, has no such bucket or knows no such key; the message names
    /// the setting that is probably wrong.
    pub fn mount(options: S3Options) -> Result<Self, Refusal> {
        Self::mount_at(options, Timestamp::now)
    }

    pub(crate) fn mount_at(options: S3Options, clock: fn() -> Timestamp) -> Result<Self, Refusal> {
        let prefix = key::prefix(&options.prefix)
            .ok_or_else(|| Refusal::wrong(format!("prefix: {:?} can be no directory", options.prefix)))?;
        let client = connect::client(&options)?;
        let tuning = Tuning {
            cache_bytes: options.cache_bytes,
            part_bytes: options.part_bytes,
            stage_bytes: options.stage_bytes,
            stage_directory: options.stage_directory.clone(),
        };
        let engine = Engine::new(engine::start()?, client, tuning);
        connect::probe(&engine.handle, &engine.client, &prefix)?;
        let facts = Facts { created: clock(), ..Facts::default() };
        let root = Inode::new(ROOT, NodeKind::Directory, facts);
        Ok(Self {
            engine: Arc::new(engine),
            table: Mutex::new(Table::new(prefix, root)),
            handles: Mutex::default(),
            names: Names::default(),
            shape: RwLock::new(()),
            options,
            clock,
            left_out: AtomicU64::new(0),
        })
    }

    pub(crate) fn inode(&self, node: u64) -> Result<Arc<Inode>, Errno> {
        self.table.lock().get(node)
    }

    /// A directory that still has its name.
    pub(crate) fn directory(&self, node: u64) -> Result<Arc<Inode>, Errno> {
        let dir = self.inode(node)?;
        if dir.is_directory() { Ok(dir) } else { Err(Errno::Notdir) }
    }

    pub(crate) fn may_write(&self) -> Result<(), Errno> {
        if self.options.read_only { Err(Errno::Rofs) } else { Ok(()) }
    }

    /// The entries of a directory changed.
    pub(crate) fn touch(&self, dir: &Inode) {
        let now = (self.clock)();
        let mut facts = dir.facts.lock();
        (facts.modified, facts.changed) = (Some(now), Some(now));
    }

    /// Whether something that was confirmed at a time is still believed.
    pub(crate) fn is_believed(&self, checked: Option<Instant>) -> bool {
        checked.is_some_and(|at| at.elapsed() <= self.options.attributes_lifetime)
    }
}

impl Drop for S3 {
    fn drop(&mut self) {
        if let Err(errno) = self.flush_all() {
            tracing::error!(errno = errno.name(), bucket = self.options.bucket, "s3: changes are lost with the mount");
        }
    }
}
