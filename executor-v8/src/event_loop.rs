//! The event loop of one process: libuv's phases, without libuv. Timers, completed operations, immediates; between any two
//! callbacks the queues of `nextTick` and microtasks drain, as Node's callback scope does it.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::time::Duration;

use crate::env::{Env, Root, env};
use crate::js::{self, Scope, Value};
use crate::sys::Sys;

/// What is to run when an operation is complete.
pub(crate) type Completion = Box<dyn FnOnce(&mut Scope<'_, '_>, &Env)>;

/// The state of the loop.
pub(crate) struct Loop {
    start_ns: Cell<u64>,
    now_ms: Cell<u64>,
    timer_due_ms: Cell<Option<u64>>,
    timer_ref: Cell<bool>,
    immediate_ref: Cell<bool>,
    completions: RefCell<VecDeque<Completion>>,
}

impl Loop {
    pub(crate) fn new() -> Self {
        Self {
            start_ns: Cell::new(0),
            now_ms: Cell::new(0),
            timer_due_ms: Cell::new(None),
            timer_ref: Cell::new(true),
            immediate_ref: Cell::new(false),
            completions: RefCell::new(VecDeque::new()),
        }
    }

    pub(crate) fn start(&self, sys: &Sys) {
        self.start_ns.set(sys.monotonic_ns());
        self.now_ms.set(0);
    }

    /// Milliseconds since the start, read anew.
    pub(crate) fn update_now(&self, sys: &Sys) -> u64 {
        self.now_ms.set(sys.monotonic_ns().saturating_sub(self.start_ns.get()) / 1_000_000);
        self.now_ms.get()
    }

    pub(crate) fn schedule(&self, sys: &Sys, ms: u64) {
        let now = self.update_now(sys);
        self.timer_due_ms.set(Some(now.saturating_add(ms)));
    }

    pub(crate) fn ref_timer(&self, on: bool) {
        self.timer_ref.set(on);
    }

    pub(crate) fn ref_immediate(&self, on: bool) {
        self.immediate_ref.set(on);
    }

    /// Queues what is to run in the next poll phase; it keeps the loop alive.
    pub(crate) fn complete(&self, c: Completion) {
        self.completions.borrow_mut().push_back(c);
    }

    fn alive(&self) -> bool {
        (self.timer_due_ms.get().is_some() && self.timer_ref.get())
            || self.immediate_ref.get()
            || !self.completions.borrow().is_empty()
    }
}

/// Calls into JavaScript from outside of it, then drains the task queues: Node's callback scope. `None` when it threw; the
/// exception has been dealt with.
pub(crate) fn call<'s>(
    scope: &mut Scope<'s, '_>,
    env: &Env,
    f: v8::Local<'s, v8::Function>,
    this: Value<'s>,
    args: &[Value<'s>],
) -> Option<Value<'s>> {
    if !env.can_call() {
        return None;
    }
    env.callback_depth.set(env.callback_depth.get() + 1);
    let result = f.call(scope, this, args);
    env.callback_depth.set(env.callback_depth.get() - 1);
    if result.is_some() && env.callback_depth.get() == 0 {
        drain(scope, env);
    }
    result
}

/// Runs microtasks, then ticks and rejections if there are any.
pub(crate) fn drain(scope: &mut Scope<'_, '_>, env: &Env) {
    if !env.can_call() {
        return;
    }
    let (tick, rejection) = (|| env.read::<u8>(Root::TickInfo, 0) != 0, || env.read::<u8>(Root::TickInfo, 1) != 0);
    if !tick() {
        scope.perform_microtask_checkpoint();
    }
    if !env.can_call() || (!tick() && !rejection()) {
        return;
    }
    let (Some(f), Some(process)) = (env.root_function(scope, Root::TickCallback), env.root(scope, Root::Process))
    else {
        return;
    };
    if f.call(scope, process, &[]).is_none() {
        // It threw: the rest of the queue runs after the next callback.
        env.write::<u8>(Root::TickInfo, 0, 1);
    }
}

fn run_timers(scope: &mut Scope<'_, '_>, env: &Env) {
    let now = env.event_loop.update_now(&env.sys);
    if env.event_loop.timer_due_ms.get().is_none_or(|due| due > now) {
        return;
    }
    env.event_loop.timer_due_ms.set(None);
    v8::scope!(let scope, scope);
    let (Some(f), Some(process)) = (env.root_function(scope, Root::ProcessTimers), env.root(scope, Root::Process))
    else {
        return;
    };
    env.callback_depth.set(env.callback_depth.get() + 1);
    let mut next = None;
    // A timer that threw leaves the others of its list to the next call.
    while next.is_none() && env.can_call() {
        let now = js::num(scope, env.event_loop.update_now(&env.sys) as f64);
        next = f.call(scope, process, &[now]);
    }
    env.callback_depth.set(env.callback_depth.get() - 1);
    // The answer is when to come again: negative when nothing that is due then keeps the process alive; zero for never.
    if let Some(at) = next.and_then(|n| n.number_value(scope))
        && at != 0.0
    {
        let due = at.abs().min(1e15) as u64;
        let now = env.event_loop.update_now(&env.sys);
        env.event_loop.timer_due_ms.set(Some(due.max(now + 1)));
        env.event_loop.ref_timer(at > 0.0);
    }
    drain(scope, env);
}

fn run_immediates(scope: &mut Scope<'_, '_>, env: &Env) {
    // Node runs its own immediates first, in a callback scope: ticks that an exception left behind run there.
    drain(scope, env);
    if !env.can_call() {
        return;
    }
    // The fields are kCount, kRefCount, kHasOutstanding.
    if env.read::<u32>(Root::ImmediateInfo, 0) == 0 {
        return;
    }
    v8::scope!(let scope, scope);
    let (Some(f), Some(process)) = (env.root_function(scope, Root::ProcessImmediate), env.root(scope, Root::Process))
    else {
        return;
    };
    loop {
        call(scope, env, f, process, &[]);
        if env.read::<u32>(Root::ImmediateInfo, 2) == 0 || !env.can_call() {
            break;
        }
    }
    if env.read::<u32>(Root::ImmediateInfo, 1) == 0 {
        env.event_loop.ref_immediate(false);
    }
}

/// Runs what has been completed. Only what was there at the start: what these add waits for the next turn.
fn run_completions(scope: &mut Scope<'_, '_>, env: &Env) {
    let n = env.event_loop.completions.borrow().len();
    for _ in 0..n {
        let Some(c) = env.event_loop.completions.borrow_mut().pop_front() else { break };
        if !env.can_call() {
            break;
        }
        v8::scope!(let scope, scope);
        c(scope, env);
    }
}

/// How long the poll phase may wait.
fn poll_timeout(env: &Env) -> Option<Duration> {
    let l = &env.event_loop;
    if !l.completions.borrow().is_empty() || env.read::<u32>(Root::ImmediateInfo, 1) > 0 {
        return None;
    }
    let due = l.timer_due_ms.get()?;
    let now = l.update_now(&env.sys);
    (due > now && l.alive()).then(|| Duration::from_millis(due - now))
}

/// Runs until nothing keeps the process alive, or it is told to end.
fn turn_until_idle(scope: &mut Scope<'_, '_>, env: &Env) {
    while env.can_call() && env.event_loop.alive() {
        run_timers(scope, env);
        run_completions(scope, env);
        if let Some(t) = poll_timeout(env) {
            env.sys.sleep(t);
        }
        if !env.can_call() || env.sys.killed() {
            break;
        }
        crate::platform::pump(scope);
        run_immediates(scope, env);
    }
}

/// `process.emit(event, code)`; false when it threw.
fn emit(scope: &mut Scope<'_, '_>, env: &Env, event: &str, exiting: bool) -> bool {
    if !env.can_call() {
        return false;
    }
    v8::scope!(let scope, scope);
    let Some(process) = env.root_object(scope, Root::Process) else { return false };
    if exiting {
        env.write::<i32>(Root::ExitInfo, 0, 1);
    }
    let Some(f) = js::get(scope, process, "emit").and_then(|f| f.try_cast::<v8::Function>().ok()) else { return false };
    let (event, code) = (js::string(scope, event), js::int(scope, env.exit_code(0)));
    if exiting {
        // Nothing that `exit` listeners schedule runs.
        f.call(scope, process.into(), &[event.into(), code]).is_some()
    } else {
        call(scope, env, f, process.into(), &[event.into(), code]).is_some()
    }
}

/// The whole life of a process after its main script returned; answers the exit code.
pub(crate) fn spin(scope: &mut Scope<'_, '_>) -> i32 {
    let env = env(scope);
    loop {
        turn_until_idle(scope, &env);
        if !env.can_call() || env.sys.killed() {
            break;
        }
        emit(scope, &env, "beforeExit", false);
        if !env.event_loop.alive() {
            break;
        }
    }
    if env.can_call() && !env.sys.killed() {
        emit(scope, &env, "exit", true);
    }
    env.exit.get().unwrap_or_else(|| env.exit_code(0))
}
