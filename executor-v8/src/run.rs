//! One process from its isolate's birth to its exit code.

use std::ffi::c_void;
use std::rc::Rc;

use crate::artefact::Artefact;
use crate::env::Env;
use crate::realm::{self, BootError};
use crate::sys::Sys;

/// What every isolate of this crate calls back into, whether it booted or was restored.
fn install_hooks(isolate: &mut v8::OwnedIsolate) {
    isolate.set_microtasks_policy(v8::MicrotasksPolicy::Explicit);
    isolate.set_capture_stack_trace_for_uncaught_exceptions(true, 10);
    isolate.set_prepare_stack_trace_callback(crate::natives::prepare_stack_trace);
    isolate.set_promise_reject_callback(crate::natives::on_promise_reject);
    isolate.add_message_listener(crate::natives::on_message);
}

/// V8 calls this when the heap is nearly full even after collecting. It must answer a limit with room to unwind in, because
/// V8 ends the host where an allocation finally fails; the guest is ended instead.
unsafe extern "C" fn near_heap_limit(data: *mut c_void, current: usize, _initial: usize) -> usize {
    // SAFETY: the data is the `Guard` of this isolate, which lives on the frame that owns the isolate.
    let guard = unsafe { &*data.cast::<Guard>() };
    guard.env.out_of_memory.set(true);
    guard.handle.terminate_execution();
    current.saturating_add(64 << 20)
}

struct Guard {
    env: Rc<Env>,
    handle: v8::IsolateHandle,
}

/// Boots plainly and runs the main script; answers the exit code.
pub(crate) fn run(artefact: &'static Artefact, sys: Sys) -> Result<i32, BootError> {
    crate::platform::init();
    let env = Rc::new(Env::new(artefact, sys));
    let params = v8::CreateParams::default().heap_limits(0, 256 << 20);
    let mut isolate = v8::Isolate::new(params);
    let guard = Guard { env: Rc::clone(&env), handle: isolate.thread_safe_handle() };
    isolate.add_near_heap_limit_callback(near_heap_limit, (&raw const guard).cast_mut().cast());
    realm::attach(&mut isolate, Rc::clone(&env));
    install_hooks(&mut isolate);
    env.event_loop.start(&env.sys);
    let code = {
        v8::scope!(let scope, &mut isolate);
        let context = v8::Context::new(scope, v8::ContextOptions::default());
        let scope = &mut v8::ContextScope::new(scope, context);
        realm::boot(scope)?;
        let t = std::time::Instant::now();
        crate::natives::start_clock(&env);
        env.callback_depth.set(1);
        let main = realm::run_main(scope, "internal/main/run_main_module").is_some();
        env.callback_depth.set(0);
        if main {
            crate::event_loop::drain(scope, &env);
        }
        let _ = t;
        crate::event_loop::spin(scope)
    };
    Ok(code)
}
