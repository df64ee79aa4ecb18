//! `internalBinding('task_queue')`: microtasks, ticks, promise rejections.

use crate::env::{Root, env};
use crate::js::{self, Args, Ret, Scope};
use crate::registry::Registry;

fn enqueue_microtask<'s>(scope: &mut Scope<'s, '_>, args: Args<'s>, _ret: Ret<'s>) {
    match args.get(0).try_cast::<v8::Function>() {
        Ok(f) => scope.enqueue_microtask(f),
        Err(_) => js::throw_argument(scope, "a microtask must be a function"),
    }
}

fn run_microtasks<'s>(scope: &mut Scope<'s, '_>, _args: Args<'s>, _ret: Ret<'s>) {
    scope.perform_microtask_checkpoint();
}

fn set_tick_callback<'s>(scope: &mut Scope<'s, '_>, args: Args<'s>, _ret: Ret<'s>) {
    set_function(scope, args, Root::TickCallback);
}

fn set_promise_reject_callback<'s>(scope: &mut Scope<'s, '_>, args: Args<'s>, _ret: Ret<'s>) {
    set_function(scope, args, Root::PromiseRejectCallback);
}

/// Keeps a function that the library hands over.
pub(super) fn set_function<'s>(scope: &mut Scope<'s, '_>, args: Args<'s>, root: Root) {
    if !args.get(0).is_function() {
        return js::throw_argument(scope, "the callback must be a function");
    }
    env(scope).set_root(scope, root, args.get(0));
}

pub(super) fn register(r: &mut Registry) {
    r.add("task_queue.enqueueMicrotask", enqueue_microtask);
    r.add("task_queue.runMicrotasks", run_microtasks);
    r.add("task_queue.setTickCallback", set_tick_callback);
    r.add("task_queue.setPromiseRejectCallback", set_promise_reject_callback);
}
