//! The end of calls that do not end.
//!
//! An engine's epoch may be advanced by others, at their pace or not at all while no guest runs. So one thread of the process advances the epochs of all
//! engines that have plugins, slowly, as long as there are any; and what ends a call is the time it took, which is looked at whenever an epoch passes.

use std::time::{Duration, Instant};

use parking_lot::Mutex;
use wasmtime::{Engine, EngineWeak, Store, UpdateDeadline};

use super::load::HostState;

/// How often epochs are advanced: a call may take so much longer than it should.
const TICK: Duration = Duration::from_millis(25);

/// For how long layers may keep one call of a component before that counts as its own time.
pub(super) const WAITING_MAX: Duration = Duration::from_secs(60);

/// The engines that are watched. The thread ends when there are none left.
static WATCHED: Mutex<Vec<EngineWeak>> = Mutex::new(Vec::new());

/// How long the current call has taken.
pub(super) struct CallTime {
    /// When the first epoch of this call passed. A call that is over before, which is nearly every one, never looks at the clock.
    started: Option<Instant>,
    /// How long layers kept it.
    waited: Duration,
    max: Duration,
}

impl CallTime {
    pub(super) fn new(max: Duration) -> Self {
        Self { started: None, waited: Duration::ZERO, max }
    }

    /// The most time that a call may take.
    pub(super) fn max(&self) -> Duration {
        self.max
    }

    /// A layer below kept the call for so long: that is not the component's time, unless it goes on and on.
    pub(super) fn waited(&mut self, time: Duration) {
        let time = time.min(WAITING_MAX.saturating_sub(self.waited));
        self.waited += time;
        if let Some(started) = &mut self.started {
            *started = started.checked_add(time).unwrap_or(*started);
        }
    }
}

/// Lets a store's calls be ended, and its engine's epoch be advanced.
pub(super) fn watch(store: &mut Store<HostState>) -> std::io::Result<()> {
    store.epoch_deadline_callback(|mut context| {
        let call = &mut context.data_mut().call;
        let started = *call.started.get_or_insert_with(Instant::now);
        if started.elapsed() < call.max {
            return Ok(UpdateDeadline::Continue(1));
        }
        Err(wasmtime::Error::msg(format!("the call took longer than {:?}", call.max)))
    });
    begin_call(store);
    advance(store.engine())
}

/// A new call begins.
pub(super) fn begin_call(store: &mut Store<HostState>) {
    let call = &mut store.data_mut().call;
    call.started = None;
    call.waited = Duration::ZERO;
    store.set_epoch_deadline(1);
}

fn advance(engine: &Engine) -> std::io::Result<()> {
    let mut watched = WATCHED.lock();
    let is_engine = |other: &EngineWeak| other.upgrade().is_some_and(|other| Engine::same(&other, engine));
    if watched.iter().any(is_engine) {
        return Ok(());
    }
    // With engines on the list the thread is there, or sees them before it ends: it looks under the same lock.
    if watched.is_empty() {
        std::thread::Builder::new().name("eyot-plugins".into()).spawn(run)?;
    }
    watched.push(engine.weak());
    Ok(())
}

fn run() {
    loop {
        std::thread::sleep(TICK);
        let mut watched = WATCHED.lock();
        watched.retain(|engine| engine.upgrade().inspect(Engine::increment_epoch).is_some());
        if watched.is_empty() {
            return;
        }
    }
}
