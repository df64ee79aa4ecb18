//! One process from its isolate's birth to its exit code.

use std::ffi::c_void;
use std::rc::Rc;
use std::sync::{Arc, OnceLock};

use eyot_kernel::limits::Limit;
use eyot_kernel::process::Task;

use crate::artefact::Artefact;
use crate::code_cache::CodeCache;
use crate::env::Env;
use crate::executor::Setup;
use crate::js::Scope;
use crate::memory::Memory;
use crate::realm::{self, BootError};
use crate::snapshot;
use crate::sys::{Entry, Sys};

/// What all processes of this host process share.
pub(crate) struct Engine {
    pub(crate) artefact: &'static Artefact,
    snapshot: Option<&'static [u8]>,
    code_cache: Option<&'static CodeCache>,
}

impl Engine {
    /// The engine. The first setup of the host process counts.
    pub(crate) fn get(setup: Setup) -> &'static Self {
        static ENGINE: OnceLock<Engine> = OnceLock::new();
        ENGINE.get_or_init(|| {
            crate::platform::init();
            Self {
                artefact: setup.artefact,
                snapshot: setup.snapshot.and_then(|bytes| snapshot::check(setup.artefact, bytes)),
                code_cache: setup.code_cache.and_then(CodeCache::from_static),
            }
        })
    }

    pub(crate) fn has_snapshot(&self) -> bool {
        self.snapshot.is_some()
    }
}

/// What every isolate of this crate calls back into, whether it booted or was restored.
pub(crate) fn install_hooks(isolate: &mut v8::OwnedIsolate) {
    isolate.set_microtasks_policy(v8::MicrotasksPolicy::Explicit);
    isolate.set_capture_stack_trace_for_uncaught_exceptions(true, 10);
    isolate.set_prepare_stack_trace_callback(crate::natives::prepare_stack_trace);
    isolate.set_promise_reject_callback(crate::natives::on_promise_reject);
}

/// The listener lies in the heap, so a snapshot must be made without it.
pub(crate) fn listen_for_messages(isolate: &mut v8::OwnedIsolate) {
    isolate.add_message_listener(crate::natives::on_message);
}

struct Guard {
    env: Rc<Env>,
    handle: v8::IsolateHandle,
    memory: Memory,
}

/// V8 calls this after each collection: what the heap takes now is charged to the VM.
unsafe extern "C" fn after_collection(
    isolate: v8::UnsafeRawIsolatePtr,
    _kind: v8::GCType,
    _flags: v8::GCCallbackFlags,
    data: *mut c_void,
) {
    // SAFETY: the data is the `Guard` of this isolate, which outlives it in `run`.
    let guard = unsafe { &*data.cast::<Guard>() };
    // SAFETY: V8 passes the isolate that has just collected, on its own thread.
    let mut isolate = unsafe { v8::Isolate::from_raw_isolate_ptr(isolate) };
    if !guard.memory.set_heap(isolate.get_heap_statistics().total_heap_size()) {
        guard.env.out_of_memory.set(true);
        guard.handle.terminate_execution();
    }
}

/// V8 calls this when the heap is nearly full even after collecting. It must answer a limit with room to unwind in, because
/// V8 ends the host where an allocation finally fails; the guest is ended instead.
unsafe extern "C" fn near_heap_limit(data: *mut c_void, current: usize, initial: usize) -> usize {
    // SAFETY: the data is the `Guard` of this isolate, which outlives it in `run`.
    let guard = unsafe { &*data.cast::<Guard>() };
    guard.env.out_of_memory.set(true);
    guard.handle.terminate_execution();
    // One large allocation may still be under way before the termination is seen.
    current.saturating_add(initial.max(64 << 20))
}

/// Runs one process to its end; answers the exit code.
pub(crate) fn run(engine: &'static Engine, task: &Arc<Task>, sys: Sys) -> Result<i32, (Sys, BootError)> {
    let limit = task.accountant().max(Limit::MemoryBytesPerProcess);
    let limit = usize::try_from(limit).unwrap_or(usize::MAX).clamp(16 << 20, 4 << 30);
    let memory = match Memory::new(task, limit) {
        Ok(memory) => memory,
        Err(e) => return Err((sys, BootError(format!("it cannot start: the VM's memory: {e}")))),
    };
    let mut env = Env::new(engine.artefact, sys);
    env.code_cache = engine.code_cache;
    let env = Rc::new(env);

    let mut params = v8::CreateParams::default()
        .heap_limits(0, limit)
        .array_buffer_allocator(memory.allocator())
        .external_references(snapshot::external_references(engine.artefact));
    if let Some(bytes) = engine.snapshot {
        params = params.snapshot_blob(v8::StartupData::from(bytes));
    }
    let mut isolate = v8::Isolate::new(params);
    let handle = isolate.thread_safe_handle();
    let guard = Guard { env: Rc::clone(&env), handle: handle.clone(), memory };
    let data: *mut c_void = (&raw const guard).cast_mut().cast();
    isolate.add_near_heap_limit_callback(near_heap_limit, data);
    isolate.add_gc_epilogue_callback(after_collection, data, v8::GCType::kGCTypeAll);
    realm::attach(&mut isolate, Rc::clone(&env));
    install_hooks(&mut isolate);
    listen_for_messages(&mut isolate);
    // From any thread: a kill ends JavaScript wherever it is. A handle of an isolate that is gone does nothing.
    task.on_kill(move || {
        handle.terminate_execution();
    });
    // As Node has it: a write to a pipe without readers is an error of the write. (No such signal is the only error.)
    let _ = eyot_kernel::syscall::signal::set_disposition(task, eyot_kernel::signal::PIPE, true);
    env.event_loop.start(&env.sys);
    let outcome = {
        v8::scope!(let scope, &mut isolate);
        live(scope, engine)
    };
    drop(isolate);
    drop(guard);
    let out_of_memory = env.out_of_memory.get();
    let outcome = outcome.map(|code| if out_of_memory { out_of_memory_report(&env, limit) } else { code });
    match outcome {
        Ok(code) => Ok(code),
        Err(e) => match Rc::try_unwrap(env) {
            Ok(env) => Err((env.sys, e)),
            Err(_) => Ok(70),
        },
    }
}

/// What Node says when its heap is exhausted, without the lines about its native stack; exit code of SIGABRT.
fn out_of_memory_report(env: &Env, _limit: usize) -> i32 {
    let text = "\n<--- Last few GCs --->\n\n\nFATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory\n";
    env.sys.write_all(2, text.as_bytes());
    134
}

fn live(scope: &mut v8::PinnedRef<'_, v8::HandleScope<'_, ()>>, engine: &Engine) -> Result<i32, BootError> {
    let restored = engine.snapshot.is_some();
    let context = if restored {
        v8::Context::from_snapshot(scope, 0, v8::ContextOptions::default())
            .ok_or_else(|| BootError("the snapshot has no context".into()))?
    } else {
        v8::Context::new(scope, v8::ContextOptions::default())
    };
    let scope = &mut v8::ContextScope::new(scope, context);
    if restored {
        snapshot::restore(scope)?;
    } else {
        realm::boot(scope)?;
    }
    Ok(main(scope))
}

/// The main script, the loop, the end.
pub(crate) fn main(scope: &mut Scope<'_, '_>) -> i32 {
    let env = crate::env::env(scope);
    crate::natives::start_clock(&env);
    crate::natives::enter_main(scope, &env);
    let id = match env.sys.program() {
        Entry::File => "internal/main/run_main_module",
        Entry::Text { .. } => "internal/main/eval_string",
        Entry::Stdin => "internal/main/eval_stdin",
    };
    env.callback_depth.set(1);
    let ran = realm::run_main(scope, id).is_some();
    env.callback_depth.set(0);
    crate::natives::leave_main(scope, &env);
    if ran {
        crate::event_loop::drain(scope, &env);
    }
    crate::event_loop::spin(scope)
}
