//! The clock that ends a guest's turn: one thread that advances the engines' epochs while a guest runs, and sleeps otherwise.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::thread::Thread;
use std::time::Duration;

use parking_lot::Mutex;
use wasmtime::{Engine, EngineWeak};

/// How long a guest computes before it lets others run and sees that it was killed.
pub(super) const TICK: Duration = Duration::from_millis(5);

/// How many ticks without a running guest before the thread sleeps: waking it costs a guest's turn a system call.
const IDLE_TICKS_MAX: u32 = 20;

pub(super) struct Ticker(Arc<Shared>);

struct Shared {
    /// Guests that are on a thread right now.
    running: AtomicUsize,
    /// Whether the thread sleeps until it is woken.
    asleep: AtomicBool,
    stop: AtomicBool,
    engines: Mutex<Vec<EngineWeak>>,
    thread: OnceLock<Thread>,
}

impl Ticker {
    pub(super) fn new() -> Self {
        Self(Arc::new(Shared {
            running: AtomicUsize::new(0),
            asleep: AtomicBool::new(false),
            stop: AtomicBool::new(false),
            engines: Mutex::default(),
            thread: OnceLock::new(),
        }))
    }

    /// Advances this engine's epoch from now on.
    pub(super) fn add(&self, engine: &Engine) {
        self.0.engines.lock().push(engine.weak());
        self.0.thread.get_or_init(|| {
            let shared = self.0.clone();
            let spawned = std::thread::Builder::new().name("eyot-epoch".into()).spawn(move || shared.run());
            match spawned {
                Ok(handle) => handle.thread().clone(),
                // Without a clock guests still run; they are just not interrupted.
                Err(error) => {
                    tracing::error!(%error, "no thread for the epoch clock: guests that compute cannot be interrupted");
                    std::thread::current()
                }
            }
        });
    }

    /// Runs a guest's future with the clock ticking while it is polled.
    pub(super) fn ticking<F: Future + Unpin>(&self, future: F) -> Ticking<'_, F> {
        Ticking { shared: &self.0, future }
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.0.stop.store(true, SeqCst);
        if let Some(thread) = self.0.thread.get() {
            thread.unpark();
        }
    }
}

impl Shared {
    fn run(&self) {
        let mut idle = 0;
        while !self.stop.load(SeqCst) {
            if self.running.load(SeqCst) > 0 {
                idle = 0;
                self.engines.lock().retain(|engine| match engine.upgrade() {
                    Some(engine) => {
                        engine.increment_epoch();
                        true
                    }
                    None => false,
                });
            } else {
                idle += 1;
            }
            if idle > IDLE_TICKS_MAX {
                self.sleep();
                idle = 0;
            }
            std::thread::sleep(TICK);
        }
    }

    /// Sleeps until a guest runs. A guest counts itself before it looks at `asleep`, and this thread sets it before it looks at the count: one sees the other.
    fn sleep(&self) {
        self.asleep.store(true, SeqCst);
        while self.running.load(SeqCst) == 0 && !self.stop.load(SeqCst) {
            std::thread::park();
        }
        self.asleep.store(false, SeqCst);
    }
}

/// A guest's turn, counted while it lasts, by whatever way it ends.
struct Turn<'a>(&'a Shared);

impl<'a> Turn<'a> {
    fn begin(shared: &'a Shared) -> Self {
        shared.running.fetch_add(1, SeqCst);
        if shared.asleep.load(SeqCst)
            && let Some(thread) = shared.thread.get()
        {
            thread.unpark();
        }
        Self(shared)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, SeqCst);
    }
}

/// See [`Ticker::ticking`].
pub(super) struct Ticking<'a, F> {
    shared: &'a Shared,
    future: F,
}

impl<F: Future + Unpin> Future for Ticking<'_, F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let _turn = Turn::begin(self.shared);
        Pin::new(&mut self.future).poll(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_ticks_while_a_guest_runs_and_after_it_slept() {
        let mut config = wasmtime::Config::new();
        config.epoch_interruption(true);
        let engine = Engine::new(&config).unwrap();
        let ticker = Ticker::new();
        ticker.add(&engine);
        let module =
            wasmtime::Module::new(&engine, wat::parse_str("(module (func (export \"f\") (loop (br 0))))").unwrap());
        let module = module.unwrap();
        for _ in 0..2 {
            let mut store = wasmtime::Store::new(&engine, ());
            let instance = wasmtime::Instance::new(&mut store, &module, &[]).unwrap();
            let spin = instance.get_typed_func::<(), ()>(&mut store, "f").unwrap();
            store.set_epoch_deadline(1);
            let turn = Turn::begin(&ticker.0);
            assert!(spin.call(&mut store, ()).is_err(), "the endless loop is interrupted");
            drop(turn);
            let deadline = std::time::Instant::now() + Duration::from_secs(30);
            while !ticker.0.asleep.load(SeqCst) {
                assert!(std::time::Instant::now() < deadline, "it sleeps when nothing runs");
                std::thread::sleep(TICK);
            }
        }
    }
}
