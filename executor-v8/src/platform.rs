//! V8, once per host process: ICU's data, flags, the platform; and the guards that keep a guest's trouble inside its isolate.

use std::sync::OnceLock;

/// Flags that hold for every isolate. A snapshot and a code cache are only valid under the same flags.
const FLAGS: &[&str] = &[
    // With unrolling, V8 takes the interrupt check out of some loops that never end (`for (;;) new Array(1000).fill(1.5)`), and
    // neither a kill nor the end of the heap can stop them any more.
    "--no-turboshaft-loop-unrolling",
    "--stack-size=984",
];

/// What keeps compiled machine code out of a heap that is to be written: V8 cannot serialise it.
const NO_MACHINE_CODE: &[&str] = &["--no-sparkplug", "--no-maglev", "--no-turbofan"];

static DONE: OnceLock<()> = OnceLock::new();

/// Initialises V8 for the making of a snapshot. False when V8 runs already, for something else.
pub(crate) fn init_for_snapshot() -> bool {
    if DONE.get().is_some() {
        return false;
    }
    for f in NO_MACHINE_CODE {
        v8::V8::set_flags_from_string(f);
    }
    init();
    true
}

/// Initialises V8. Safe to call from any thread, any number of times.
pub(crate) fn init() {
    DONE.get_or_init(|| {
        // An error means that ICU has its data already, which is as good.
        let _ = v8::icu::set_common_data_78(deno_core_icudata::ICU_DATA);
        for f in FLAGS {
            v8::V8::set_flags_from_string(f);
        }
        // Unprotected: isolates run on threads that are no children of the one that comes here first.
        let platform = v8::new_unprotected_default_platform(2, false).make_shared();
        v8::V8::initialize_platform(platform);
        v8::V8::initialize();
    });
}

/// Runs the tasks that V8 left for this isolate's thread: finalizers, finished background compilations.
pub(crate) fn pump(scope: &mut crate::js::Scope<'_, '_>) {
    let platform = v8::V8::get_current_platform();
    while v8::Platform::pump_message_loop(&platform, scope, false) {}
}
