//! The kernel's own small runtime: a thread for each core, on which guests' fibers run. All VMs of the host process share it.

use std::future::Future;
use std::sync::OnceLock;

use tokio::runtime::{Builder, EnterGuard, Handle, Runtime};

fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Builder::new_multi_thread()
            .worker_threads(threads.max(2))
            .thread_name("eyot")
            .enable_time()
            .build()
            .unwrap_or_else(|error| panic!("the host cannot start threads: {error}"))
    })
}

/// Does what may take long. On one of the runtime's threads, others take its fibers over meanwhile.
pub(crate) fn wait<T>(act: impl FnOnce() -> T) -> T {
    let ours = |handle: Handle| handle.id() == runtime().handle().id();
    if Handle::try_current().is_ok_and(ours) { tokio::task::block_in_place(act) } else { act() }
}

/// Runs a future to its end on the runtime's threads.
pub(crate) fn spawn(future: impl Future<Output = ()> + Send + 'static) {
    drop(runtime().spawn(future));
}

/// Lets futures that are polled on this thread use the runtime's timers.
pub(crate) fn enter() -> EnterGuard<'static> {
    runtime().enter()
}
