//! The threads on which requests run, and what all files of a mount share.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::sync_channel;

use eyot_backend::{Errno, Refusal};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::Semaphore;

use crate::cache::Cache;
use crate::client::{Client, Shared};
use crate::failure::Failure;
use crate::options::Tuning;

/// Threads of a mount: they only move bytes and make signatures.
const THREADS: usize = 2;
/// How many files stream into uploads at once; the others are staged. Each holds one part in memory.
const STREAMS_MAX: usize = 4;
/// How many parts are on their way at once, of all files together.
const PARTS_MAX: usize = 6;

/// What the files of a mount share.
pub(crate) struct Engine {
    runtime: Option<Runtime>,
    pub(crate) handle: Handle,
    pub(crate) client: Shared,
    pub(crate) cache: Arc<Cache>,
    pub(crate) tuning: Tuning,
    pub(crate) streams: Arc<Semaphore>,
    pub(crate) parts: Arc<Semaphore>,
    /// Bytes that are staged in memory.
    pub(crate) staged: AtomicU64,
}

/// The runtime, before there is anything to run.
pub(crate) fn start() -> Result<Runtime, Refusal> {
    let built = Builder::new_multi_thread().worker_threads(THREADS).thread_name("eyot-s3").enable_all().build();
    built.map_err(|error| Refusal { errno: Errno::Again, message: format!("no threads for requests: {error}") })
}

/// Runs a future on the runtime and waits for it on this thread, which may itself be one of another runtime.
pub(crate) fn wait_on<T: Send + 'static>(
    handle: &Handle,
    future: impl Future<Output = Result<T, Failure>> + Send + 'static,
) -> Result<T, Failure> {
    let (sender, receiver) = sync_channel(1);
    handle.spawn(async move {
        let _ = sender.send(future.await);
    });
    receiver.recv().unwrap_or_else(|_| Err(Failure::Interrupted("the mount is ending".into())))
}

impl Engine {
    pub(crate) fn new(runtime: Runtime, client: Client, tuning: Tuning) -> Self {
        let handle = runtime.handle().clone();
        Self {
            runtime: Some(runtime),
            handle,
            client: Arc::new(client),
            cache: Arc::new(Cache::new(tuning.cache_bytes)),
            tuning,
            streams: Arc::new(Semaphore::new(STREAMS_MAX)),
            parts: Arc::new(Semaphore::new(PARTS_MAX)),
            staged: AtomicU64::new(0),
        }
    }

    /// Makes requests and waits for what comes of them.
    pub(crate) fn wait<T, F>(&self, work: impl FnOnce(Shared) -> F) -> Result<T, Failure>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Failure>> + Send + 'static,
    {
        wait_on(&self.handle, work(Arc::clone(&self.client)))
    }

    /// As `wait`, with the error number that a guest sees; what failed is logged.
    pub(crate) fn ask<T, F>(&self, what: &str, key: &str, work: impl FnOnce(Shared) -> F) -> Result<T, Errno>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Failure>> + Send + 'static,
    {
        self.wait(work).map_err(|failure| log(what, key, &failure))
    }

    /// Takes room for staging in memory, if there is some.
    pub(crate) fn take_memory(&self, bytes: u64) -> bool {
        let max = self.tuning.stage_bytes;
        let take = |used: u64| used.checked_add(bytes).filter(|&used| used <= max);
        self.staged.fetch_update(Relaxed, Relaxed, take).is_ok()
    }

    pub(crate) fn give_memory(&self, bytes: u64) {
        self.staged.fetch_sub(bytes, Relaxed);
    }
}

/// Says in the log what failed, and answers the error number. What is simply not there is no event.
pub(crate) fn log(what: &str, key: &str, failure: &Failure) -> Errno {
    let errno = failure.errno();
    if !failure.is_absent() {
        tracing::warn!(operation = what, key, %failure, errno = errno.name(), "s3: failed");
    }
    errno
}

impl Drop for Engine {
    fn drop(&mut self) {
        // Waiting for a runtime is forbidden on the threads of another.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
