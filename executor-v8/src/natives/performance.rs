//! `internalBinding('performance')`: the clock since the process started, and its milestones.

use crate::env::{Env, Root, env};
use crate::js::{Args, Ret, Scope};
use crate::registry::Registry;

// Places in `milestones`, as the library names them.
const TIME_ORIGIN_TIMESTAMP: usize = 0; // microseconds since 1970
const TIME_ORIGIN: usize = 1; // nanoseconds of the monotonic clock
const BOOTSTRAP_COMPLETE: usize = 7;

/// Starts the clock of this process.
// what Node stores, too
pub(crate) fn start(env: &Env) {
    let now = env.sys.monotonic_ns() as f64;
    for i in 0..BOOTSTRAP_COMPLETE {
        env.write::<f64>(Root::Milestones, i, -1.0);
    }
    env.write::<f64>(Root::Milestones, TIME_ORIGIN_TIMESTAMP, env.sys.realtime_ns() as f64 / 1e3);
    for i in TIME_ORIGIN..BOOTSTRAP_COMPLETE {
        env.write::<f64>(Root::Milestones, i, now);
    }
}

fn mark_bootstrap_complete<'s>(scope: &mut Scope<'s, '_>, _args: Args<'s>, _ret: Ret<'s>) {
    let env = env(scope);
    env.write::<f64>(Root::Milestones, BOOTSTRAP_COMPLETE, env.sys.monotonic_ns() as f64);
}

fn now<'s>(scope: &mut Scope<'s, '_>, _args: Args<'s>, mut ret: Ret<'s>) {
    let env = env(scope);
    ret.set_double((env.sys.monotonic_ns() as f64 - env.read::<f64>(Root::Milestones, TIME_ORIGIN)) / 1e6);
}

fn loop_idle_time<'s>(_scope: &mut Scope<'s, '_>, _args: Args<'s>, mut ret: Ret<'s>) {
    ret.set_double(0.0);
}

pub(super) fn register(r: &mut Registry) {
    r.add("performance.markBootstrapComplete", mark_bootstrap_complete);
    r.add("performance.now", now);
    r.add("performance.loopIdleTime", loop_idle_time);
}
