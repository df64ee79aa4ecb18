//! The inodes in memory: those that the kernel holds, those that wait to be written, and some that were used lately.
//!
//! An inode that differs from what is committed stays here until the commit. So what is not here is to be read as it was last committed, by any
//! connection.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use eyot_backend::Errno;
use parking_lot::{MappedRwLockReadGuard, MappedRwLockWriteGuard, Mutex, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::record::Record;

const SHARDS: usize = 64;

/// What is known of an inode.
pub(crate) enum State {
    /// Not read yet.
    Unknown,
    /// There is none, or it was let go.
    Gone,
    Here(Box<Record>),
}

/// One inode.
pub(crate) struct Inode {
    pub ino: i64,
    /// Lookups that the kernel holds.
    pub held: AtomicU64,
    pub state: RwLock<State>,
}

impl Inode {
    pub(crate) fn read(&self) -> Result<MappedRwLockReadGuard<'_, Record>, Errno> {
        RwLockReadGuard::try_map(self.state.read(), State::here).map_err(|_| Errno::Stale)
    }

    pub(crate) fn write(&self) -> Result<MappedRwLockWriteGuard<'_, Record>, Errno> {
        RwLockWriteGuard::try_map(self.state.write(), State::here_mut).map_err(|_| Errno::Stale)
    }

    /// Counts a lookup, unless the inode is gone; answers what `look` makes of it.
    pub(crate) fn hold<T>(&self, look: impl FnOnce(&Record) -> T) -> Result<T, Errno> {
        let record = self.read()?;
        self.held.fetch_add(1, Ordering::AcqRel);
        Ok(look(&record))
    }

    pub(crate) fn is_held(&self) -> bool {
        self.held.load(Ordering::Acquire) > 0
    }
}

impl State {
    fn here(&self) -> Option<&Record> {
        if let State::Here(record) = self { Some(record) } else { None }
    }

    fn here_mut(&mut self) -> Option<&mut Record> {
        if let State::Here(record) = self { Some(record) } else { None }
    }
}

#[derive(Default)]
struct Shard {
    inodes: HashMap<i64, Arc<Inode>>,
    /// At how many to look for some to drop.
    sweep_at: usize,
}

pub(crate) struct Nodes {
    shards: Vec<Mutex<Shard>>,
    shard_max: usize,
}

impl Nodes {
    pub(crate) fn new(cached_max: usize) -> Self {
        let shard_max = (cached_max / SHARDS).max(4);
        let shard = || Mutex::new(Shard { inodes: HashMap::new(), sweep_at: shard_max });
        Self { shards: (0..SHARDS).map(|_| shard()).collect(), shard_max }
    }

    fn shard(&self, ino: i64) -> Option<&Mutex<Shard>> {
        self.shards.get(ino as usize % SHARDS)
    }

    /// The inode, known or not.
    pub(crate) fn get(&self, ino: i64) -> Result<Arc<Inode>, Errno> {
        let mut shard = self.shard(ino).ok_or(Errno::Io)?.lock();
        if let Some(inode) = shard.inodes.get(&ino) {
            return Ok(Arc::clone(inode));
        }
        self.sweep(&mut shard);
        let inode = Arc::new(Inode { ino, held: AtomicU64::new(0), state: RwLock::new(State::Unknown) });
        shard.inodes.insert(ino, Arc::clone(&inode));
        Ok(inode)
    }

    /// The inode if it is in memory.
    pub(crate) fn peek(&self, ino: i64) -> Option<Arc<Inode>> {
        self.shard(ino)?.lock().inodes.get(&ino).cloned()
    }

    /// Puts a new inode in, held `held` times.
    pub(crate) fn put(&self, ino: i64, record: Record, held: u64) -> Result<Arc<Inode>, Errno> {
        let state = RwLock::new(State::Here(Box::new(record)));
        let inode = Arc::new(Inode { ino, held: AtomicU64::new(held), state });
        let mut shard = self.shard(ino).ok_or(Errno::Io)?.lock();
        self.sweep(&mut shard);
        shard.inodes.insert(ino, Arc::clone(&inode));
        Ok(inode)
    }

    /// Drops what nobody needs, when there is much. What waits to be written is in a list of the writer's, so it has a second owner.
    fn sweep(&self, shard: &mut Shard) {
        if shard.inodes.len() < shard.sweep_at {
            return;
        }
        shard.inodes.retain(|_, inode| Arc::strong_count(inode) > 1 || inode.is_held());
        shard.sweep_at = self.shard_max.max(2 * shard.inodes.len());
    }

    /// Forgets everything but who is held: what is in the database has changed.
    pub(crate) fn clear(&self) {
        for shard in &self.shards {
            let mut shard = shard.lock();
            shard.inodes.retain(|_, inode| {
                *inode.state.write() = State::Unknown;
                inode.is_held()
            });
        }
    }

    /// How many lookups are held.
    pub(crate) fn held(&self) -> u64 {
        let count = |shard: &Mutex<Shard>| {
            shard.lock().inodes.values().map(|inode| inode.held.load(Ordering::Acquire)).fold(0, u64::saturating_add)
        };
        self.shards.iter().map(count).fold(0, u64::saturating_add)
    }
}
