//! The cache of pages: what the kernel keeps of the contents of files whose backend is far away.
//!
//! **Which mounts.** Those whose backend says that it is worth it (it may wait, or is a component), unless [`MountOptions`](super::MountOptions) say otherwise. A mount
//! without a cache pays one branch for each call, and nothing for each open file.
//!
//! **Unit and key.** Blocks of 16 KiB, by inode: a random read of 4 KiB carries four times what was asked for (64 KiB would carry sixteen times), and bookkeeping is
//! 64 entries for each MiB. What a backend is asked for has nothing to do with it: a fill takes up to 1 MiB in one call, into one chunk of memory that its blocks share.
//!
//! **Validity.** Contents are believed exactly as long as attributes: for the lifetime that came with them. When attributes are told anew and the size, the
//! time of modification or the time of change is another, what is clean is dropped; so it is when the backend tells of a change, and when another
//! backend takes over. A backend whose attributes have no lifetime is not cached, unless the mount asks for it: then contents are validated with each open,
//! as NFS does (close-to-open), with each `stat`, and once a second. What this mount itself wrote does not make a file foreign where attributes live for ever;
//! with a shorter lifetime others may have written in between, and what is clean is dropped.
//!
//! **Bounds.** `page_cache_bytes` for all mounts of a VM, charged by its accountant; the block that was not used for longest goes first (a clock, by chunk). When there is
//! no room, a read goes past the cache. `dirty_page_bytes` bounds what is held back; who goes past it writes to the backend first.
//!
//! **Concurrency.** A block that is being filled is marked; others who want it wait for that fill. A write, a cut or a drop takes the mark away, and the fill is
//! then not kept. No lock is held across a call to the backend: marks and flags stand for what is under way, and who meets one waits for an event, leaving the
//! thread's other fibers to another thread. Order of locks: what an inode was told, the state of its pages, the list of dirty files or the clock.
//!
//! **Read-ahead** ([`ahead`]). An open file that is read in order is read ahead in windows that double, up to 1 MiB where the backend waits (and there by another
//! thread, while the reader goes on), up to 128 KiB where it computes. Large reads of a component go straight into the reader's buffer.
//!
//! **Write-back** ([`write`], [`flush`]). Where attributes live for ever, so that nobody else changes the file, or where the mount asks for it. Writes end in the cache; they
//! go to the backend with `fsync`, each `close` of a file that is open for writing, `sync`, the end of the mount or the VM, when there are too many, and when they are 5 seconds
//! old. The size and the times that guests see are those of their writes at once. The backend is told the time of the last write when the flush was later, so that
//! times neither jump nor change their order. A full disk is told by `fsync` or `close`, as with NFS, and not by `write`.
//!
//! **Errors.** A fill that failed is not kept. A flush that failed is told once to every file that was open then, by its next `fsync` or `close`, and by `sync`. What
//! could not be written stays, is seen by readers, and is tried again every 5 seconds for a minute (a component that failed may be started again), or until
//! the VM ends; then it is dropped with a warning in the log. Where the file is gone from the backend (`ESTALE`) it is dropped at once, and `fsync` says so.
//!
//! **Replacement of a backend.** What is dirty is written to the old one before it goes; if that fails, it stays. What is written meanwhile, and what a backend that crashed
//! did not take, goes to the one that takes over, where it has the file under the same name.

mod ahead;
mod chunk;
mod clock;
mod dirty;
mod file;
mod fill;
mod flush;
mod open;
mod read;
mod settle;
mod write;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::Errno;
use crate::backend::Filesystem;
use crate::limits::Accountant;
use clock::Clock;
use dirty::DirtyFiles;
pub(super) use file::FilePages;
pub(crate) use open::CachedFile;

/// What is kept of the contents of a mount's files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Caching {
    /// What suits the backend. One that answers from memory: nothing. One that may wait, or is a component: what was read and, where its attributes live for ever,
    /// what is written.
    #[default]
    Auto,
    /// Nothing: every read and write is the backend's.
    None,
    /// What was read. Writes are the backend's at once.
    Read,
    /// What was read, and what is written, until it is flushed.
    WriteBack,
}

/// The pages of one VM.
pub(super) struct PageCache {
    accountant: Arc<Accountant>,
    clock: Clock,
    dirty: Arc<DirtyFiles>,
}

impl PageCache {
    pub(super) fn new(accountant: Arc<Accountant>) -> Arc<Self> {
        Arc::new(Self { accountant, clock: Clock::default(), dirty: Arc::default() })
    }

    /// Writes to the backends what is held back. Errors: the first, after all was tried.
    pub(super) fn flush(&self) -> Result<(), Errno> {
        self.dirty.flush(None)
    }

    /// The VM ends: what is held back is written, or lost.
    pub(super) fn finish(&self) {
        self.dirty.finish();
    }
}

/// How one mount's files are cached.
pub(super) struct MountPages {
    cache: Arc<PageCache>,
    caching: Caching,
    /// The backend waits: a call is long, whatever it carries.
    far: bool,
    read_only: bool,
}

impl MountPages {
    /// The cache of a mount of this backend; none where there is to be none.
    pub(super) fn of(cache: &Arc<PageCache>, fs: &dyn Filesystem, caching: Caching, read_only: bool) -> Option<Self> {
        let wanted = match caching {
            Caching::None => false,
            Caching::Auto => fs.worth_caching(),
            Caching::Read | Caching::WriteBack => true,
        };
        wanted.then(|| Self { cache: cache.clone(), caching, far: fs.may_wait(), read_only })
    }

    /// Writes to the backend what is held back of one mount's files.
    pub(super) fn write_back(&self, mount: u64) -> Result<(), Errno> {
        self.cache.dirty.flush(Some(mount))
    }

    /// For how long contents are believed whose attributes come with this lifetime.
    fn lifetime_ns(&self, attributes_ns: u64) -> u64 {
        match self.caching {
            Caching::Auto | Caching::None => attributes_ns,
            Caching::Read | Caching::WriteBack => attributes_ns.max(REVALIDATE_NS),
        }
    }

    /// Whether writes to a file whose attributes come with this lifetime are held back.
    fn writes_back(&self, attributes_ns: u64) -> bool {
        match self.caching {
            Caching::Auto => attributes_ns == u64::MAX && !self.read_only,
            Caching::WriteBack => !self.read_only,
            Caching::None | Caching::Read => false,
        }
    }
}

/// How long contents are believed at least, where the mount asks for a cache and the backend gives no lifetimes.
const REVALIDATE_NS: u64 = 1_000_000_000;
