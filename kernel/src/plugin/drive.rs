//! How a call into a component is made: plainly, on a stack of its own, or on the kernel's runtime.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::Duration;

use wasmtime::{Error, Result, Store};

use super::load::HostState;
use super::nesting;
use super::watch::WAITING_MAX;
use crate::runtime;

/// How long after its time a call that waits is given up by the clock. One that computes ends by its engine's epochs before.
const GRACE: Duration = Duration::from_millis(100);

/// How a call is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Drive {
    /// On the caller's stack: the quickest, for a component whose imports never wait.
    Plain,
    /// On a stack of its own, because the caller is a component.
    OwnStack,
    /// On a stack of its own and the kernel's runtime, because imports may wait; for at most so long.
    Runtime(Duration),
}

impl Drive {
    /// How the next call of a store is made.
    pub(super) fn of(store: &Store<HostState>) -> Self {
        let state = store.data();
        if state.process.is_some() {
            // What layers wait for is not the component's time; nobody can tell it from the component's own waiting here.
            let more = if state.layers.wait() { WAITING_MAX } else { Duration::ZERO };
            Drive::Runtime(state.call.max().saturating_add(more))
        } else if nesting::is_below() {
            Drive::OwnStack
        } else {
            Drive::Plain
        }
    }

    /// Runs a call to its end.
    #[cold]
    #[inline(never)]
    pub(super) fn run<T: Send>(self, call: impl Future<Output = Result<T>> + Send) -> Result<T> {
        let Drive::Runtime(max) = self else { return park_on(call) };
        let limited = async { tokio::time::timeout(max.saturating_add(GRACE), call).await };
        match runtime::block_on(limited) {
            Some(Ok(answer)) => answer,
            Some(Err(_)) => Err(Error::msg(format!("the call took longer than {max:?}"))),
            None => Err(Error::msg("the host cannot start a thread for the call")),
        }
    }
}

/// Runs a future to its end on this thread, without a runtime: nothing in it waits for time or I/O.
fn park_on<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(Thread);

    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }

    let mut future = pin!(future);
    // Nearly every call is done at once and needs nobody to wake it.
    if let Poll::Ready(answer) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        return answer;
    }
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    loop {
        if let Poll::Ready(answer) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return answer;
        }
        std::thread::park();
    }
}
