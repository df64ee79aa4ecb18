//! The natives, one file per binding (or per family of small ones). Each is a translation: check the arguments, call the
//! kernel or V8, answer.

mod async_wrap;
mod buffer;
mod builtins;
mod codec;
mod contextify;
mod crypto;
mod env_proxy;
mod errors;
mod fs;
mod fs_deliver;
mod fs_dir;
mod modules;
mod os;
mod performance;
mod process_methods;
pub(crate) mod process_object;
mod string_decoder;
mod task_queue;
mod timers;
mod types;
mod url;
mod util;
mod v8_binding;

pub(crate) use async_wrap::{enter_main, leave_main};
pub(crate) use env_proxy::external_references;
pub(crate) use errors::{on_message, on_promise_reject, prepare_stack_trace};
pub(crate) use performance::start as start_clock;

use crate::env::{Env, Root};
use crate::js::{self, Object, Scope};
use crate::registry::Registry;
use crate::shape;

/// Natives whose effect is outside of what this build offers, and that Node's library calls while it loads or starts: hooks
/// for the inspector, tracing, source maps of coverage, and the like.
const NOTHING: &[&str] = &[
    "errors.setGetSourceMapErrorSource",
    "errors.setSourceMapsEnabled",
    "errors.setMaybeCacheGeneratedSourceMap",
    "trace_events.setTraceCategoryStateUpdateHandler",
    "trace_events.trace",
    "wasm_web_api.setImplementation",
    "performance.setupObservers",
    "performance.notify",
    "performance.installGarbageCollectionTracking",
    "performance.removeGarbageCollectionTracking",
    "mksnapshot.setSerializeCallback",
    "mksnapshot.setDeserializeCallback",
    "mksnapshot.setDeserializeMainFunction",
    "mksnapshot.runEmbedderPreload",
    "messaging.setDeserializerCreateObjectFunction",
    "modules.flushCompileCache",
    "async_wrap.queueDestroyAsyncId",
    "async_wrap.registerDestroyHook",
    "v8.setFlagsFromString",
    "v8.setHeapSnapshotNearHeapLimit",
    "module_wrap.setImportModuleDynamicallyCallback",
    "module_wrap.setInitializeImportMetaObjectCallback",
    "crypto.startLoadingCertificatesOffThread",
    "cares_wrap.ChannelWrap",
    "http2.setCallbackFunctions",
    "serdes.Serializer",
    "serdes.Serializer#_setTreatArrayBufferViewsAsHostObjects",
    "serdes.Serializer#writeHeader",
    "profiler.setCoverageDirectory",
    "profiler.setSourceMapCacheGetter",
];

/// Lists every native, in a fixed order.
pub(crate) fn register(r: &mut Registry) {
    r.add("inert", shape::inert);
    for name in NOTHING {
        r.add(name, shape::nothing);
    }
    crate::realm::register(r);
    async_wrap::register(r);
    buffer::register(r);
    builtins::register(r);
    codec::register(r);
    contextify::register(r);
    crypto::register(r);
    errors::register(r);
    fs::register(r);
    fs_deliver::register(r);
    fs_dir::register(r);
    modules::register(r);
    os::register(r);
    performance::register(r);
    process_methods::register(r);
    process_object::register(r);
    string_decoder::register(r);
    task_queue::register(r);
    timers::register(r);
    types::register(r);
    url::register(r);
    util::register(r);
    v8_binding::register(r);
}

/// What a binding holds beyond its shape.
pub(crate) fn adjust(scope: &mut Scope<'_, '_>, env: &Env, name: &str, o: Object<'_>) {
    match name {
        "builtins" => builtins::adjust(scope, env, o),
        "config" => {
            // No inspector is offered, and no OpenSSL in FIPS mode.
            let no = js::boolean(scope, false);
            js::set(scope, o, "hasInspector", no);
            js::set(scope, o, "fipsMode", no);
        }
        "buffer" => {
            let f = shape::function(scope, "buffer.setBufferPrototype", "setBufferPrototype");
            js::set(scope, o, "setBufferPrototype", f);
        }
        "messaging" => {
            let exports = env.root_object(scope, Root::PerContextExports);
            if let Some(c) = exports.and_then(|e| js::get(scope, e, "DOMException")) {
                js::set(scope, o, "DOMException", c);
            }
        }
        "fs" => fs_deliver::adjust(scope, env, o),
        "fs_dir" => fs_dir::adjust(scope, env, o),
        "async_wrap" => async_wrap::adjust(scope, env, o),
        "mksnapshot" => {
            if env.building_snapshot
                && let Some(b) = js::get(scope, o, "isBuildingSnapshotBuffer")
            {
                js::with_bytes(b, |b| b.fill(1));
            }
        }
        "util" => {
            if let Some(b) =
                js::get(scope, o, "shouldAbortOnUncaughtToggle").and_then(|v| v.try_cast::<v8::Object>().ok())
            {
                let one = js::int(scope, 1);
                b.set_index(scope, 0, one);
            }
        }
        _ => {}
    }
}
