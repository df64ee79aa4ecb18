//! The files of a VM that hold back what was written.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::Errno;
use crate::runtime;
use crate::vfs::Inode;

/// How old what is held back may get.
const AGE_MAX: Duration = Duration::from_secs(5);
/// How often it is looked at.
const TICK: Duration = Duration::from_secs(1);

/// Files that are dirty, in the order in which they became so.
#[derive(Default)]
pub(super) struct DirtyFiles {
    files: Mutex<Files>,
    /// Whether somebody looks at their age.
    watched: AtomicBool,
}

#[derive(Default)]
struct Files {
    by_number: BTreeMap<u64, Entry>,
    last: u64,
}

struct Entry {
    inode: Arc<Inode>,
    since: Instant,
}

impl DirtyFiles {
    /// Lists a file that became dirty. Called under the lock of its pages.
    pub(super) fn insert(self: &Arc<Self>, inode: &Arc<Inode>) -> u64 {
        let mut files = self.files.lock();
        files.last += 1;
        let number = files.last;
        files.by_number.insert(number, Entry { inode: inode.clone(), since: Instant::now() });
        drop(files);
        if !self.watched.swap(true, Relaxed) {
            runtime::spawn(watch(Arc::downgrade(self)));
        }
        number
    }

    /// Takes a file off the list. What is answered is dropped without locks.
    #[must_use]
    pub(super) fn remove(&self, number: u64) -> Option<Arc<Inode>> {
        self.files.lock().by_number.remove(&number).map(|entry| entry.inode)
    }

    /// The file is dirty after a flush, because of new writes or a failure: the next one is as far away as after a first write.
    pub(super) fn postpone(&self, number: u64) {
        if let Some(entry) = self.files.lock().by_number.get_mut(&number) {
            entry.since = Instant::now();
        }
    }

    /// The files of a mount, or all, oldest first.
    fn all(&self, mount: Option<u64>) -> Vec<Arc<Inode>> {
        let files = self.files.lock();
        let of = |entry: &&Entry| mount.is_none_or(|mount| entry.inode.mount().id() == mount);
        files.by_number.values().filter(of).map(|entry| entry.inode.clone()).collect()
    }

    /// The file that is dirty for longest, but this one.
    pub(super) fn oldest_but(&self, not: &Inode) -> Option<Arc<Inode>> {
        let files = self.files.lock();
        files.by_number.values().map(|entry| &entry.inode).find(|inode| !std::ptr::eq(&***inode, not)).cloned()
    }

    /// Flushes the files of a mount, or all. Errors: the first, after all were tried.
    pub(super) fn flush(&self, mount: Option<u64>) -> Result<(), Errno> {
        let flushed: Vec<_> = self.all(mount).iter().map(|inode| inode.write_back()).collect();
        flushed.into_iter().collect()
    }

    /// Flushes everything for the last time: what cannot be written is dropped.
    pub(super) fn finish(&self) {
        for inode in self.all(None) {
            if let (Err(errno), Some(pages)) = (inode.write_back(), inode.pages()) {
                pages.give_up(errno);
            }
        }
    }

    fn aged(&self, now: Instant) -> Vec<Arc<Inode>> {
        let files = self.files.lock();
        let old = |entry: &&Entry| now.saturating_duration_since(entry.since) >= AGE_MAX;
        files.by_number.values().filter(old).map(|entry| entry.inode.clone()).collect()
    }

    /// Whether there is nothing to look at any more; nobody looks then.
    fn rest(&self) -> bool {
        let files = self.files.lock();
        if files.by_number.is_empty() {
            self.watched.store(false, Relaxed);
            return true;
        }
        false
    }
}

/// Flushes what is old, until nothing is dirty or the VM is gone.
async fn watch(files: Weak<DirtyFiles>) {
    loop {
        tokio::time::sleep(TICK).await;
        let Some(files) = files.upgrade() else { return };
        for inode in files.aged(Instant::now()) {
            // Who is told of an error is kept with the file.
            let _ = inode.write_back();
        }
        if files.rest() {
            return;
        }
    }
}
