//! The kernel's own small runtime: a thread for each core, on which guests' fibers run. All VMs of the host process share it.

use std::future::Future;
use std::sync::OnceLock;

use tokio::runtime::{Builder, Handle, Runtime};

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

fn is_ours(handle: &Handle) -> bool {
    handle.id() == runtime().handle().id()
}

/// Does what may take long. On one of the runtime's threads, others take its fibers over meanwhile.
pub(crate) fn wait<T>(act: impl FnOnce() -> T) -> T {
    if Handle::try_current().is_ok_and(|handle| is_ours(&handle)) { tokio::task::block_in_place(act) } else { act() }
}

/// Runs a future to its end, and keeps the calling thread until then. On a thread of another runtime, which does not allow that, it is run on one of its own. `None`: there could
/// be none.
pub(crate) fn block_on<T: Send>(future: impl Future<Output = T> + Send) -> Option<T> {
    match Handle::try_current() {
        Err(_) => Some(runtime().block_on(future)),
        Ok(handle) if is_ours(&handle) => Some(tokio::task::block_in_place(|| runtime().block_on(future))),
        Ok(_) => std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().name("eyot-call".into());
            let running = thread.spawn_scoped(scope, || runtime().block_on(future)).ok()?;
            running.join().ok()
        }),
    }
}

/// Runs a future to its end on the runtime's threads.
pub(crate) fn spawn(future: impl Future<Output = ()> + Send + 'static) {
    drop(runtime().spawn(future));
}
