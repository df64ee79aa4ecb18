//! `internalBinding('timers')`: the one timer and the immediates of a process; the library keeps the lists.

use crate::env::{Root, env};
use crate::js::{self, Args, Ret, Scope};
use crate::registry::Registry;

fn setup_timers<'s>(scope: &mut Scope<'s, '_>, args: Args<'s>, _ret: Ret<'s>) {
    if !args.get(0).is_function() || !args.get(1).is_function() {
        return js::throw_argument(scope, "the timer callbacks must be functions");
    }
    let env = env(scope);
    env.set_root(scope, Root::ProcessImmediate, args.get(0));
    env.set_root(scope, Root::ProcessTimers, args.get(1));
}

fn now<'s>(scope: &mut Scope<'s, '_>, _args: Args<'s>, mut ret: Ret<'s>) {
    let env = env(scope);
    // milliseconds since the start of the process
    ret.set_double(env.event_loop.update_now(&env.sys) as f64);
}

fn schedule_timer<'s>(scope: &mut Scope<'s, '_>, args: Args<'s>, _ret: Ret<'s>) {
    let Some(ms) = js::integer(args.get(0), f64::MIN, f64::MAX) else {
        return js::throw_argument(scope, "the duration must be an integer");
    };
    let env = env(scope);
    // At least one millisecond, as in Node; the library never asks for more than 2^31.
    env.event_loop.schedule(&env.sys, ms.clamp(1.0, 1e15) as u64);
}

fn toggle_timer_ref<'s>(scope: &mut Scope<'s, '_>, args: Args<'s>, _ret: Ret<'s>) {
    env(scope).event_loop.ref_timer(args.get(0).is_true());
}

fn toggle_immediate_ref<'s>(scope: &mut Scope<'s, '_>, args: Args<'s>, _ret: Ret<'s>) {
    env(scope).event_loop.ref_immediate(args.get(0).is_true());
}

pub(super) fn register(r: &mut Registry) {
    r.add("timers.setupTimers", setup_timers);
    r.add("timers.getLibuvNow", now);
    r.add("timers.scheduleTimer", schedule_timer);
    r.add("timers.toggleTimerRef", toggle_timer_ref);
    r.add("timers.toggleImmediateRef", toggle_immediate_ref);
}
