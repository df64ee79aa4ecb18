//! The startup snapshot: the heap of an isolate that has booted Node's library, ready to be copied.

use std::borrow::Cow;
use std::rc::Rc;
use std::sync::OnceLock;

use crate::artefact::Artefact;
use crate::code_cache::CodeCache;
use crate::env::{Env, env};
use crate::js::Scope;
use crate::realm::{self, BootError};
use crate::sys::Sys;

/// Everything outside of the heap that a heap of ours may point at, in a fixed order: natives, interceptors, and the texts of
/// the built-ins. The list ends with a null.
pub(crate) fn external_references(artefact: &'static Artefact) -> Cow<'static, [v8::ExternalReference]> {
    // Only one artefact is ever used in a process (see `Engine`).
    static REFERENCES: OnceLock<List> = OnceLock::new();
    let list = REFERENCES.get_or_init(|| {
        let natives = crate::registry::registry().callbacks();
        let mut all: Vec<_> = natives.map(|c| v8::ExternalReference { function: c }).collect();
        all.extend(crate::natives::external_references());
        let texts = artefact.static_resources();
        all.extend(texts.map(|r| v8::ExternalReference { pointer: std::ptr::from_ref(r).cast_mut().cast() }));
        all.push(v8::ExternalReference { pointer: std::ptr::null_mut() });
        List(all)
    });
    Cow::Borrowed(&list.0)
}

struct List(Vec<v8::ExternalReference>);

// SAFETY: the pointers are of functions and of static data that is never written.
unsafe impl Send for List {}
// SAFETY: as above.
unsafe impl Sync for List {}

/// Bytes before the blob: a mark, and a hash of what the blob depends on besides V8 itself.
const HEADER: usize = 16 + 32;
const MARK: &[u8; 16] = b"EYOT-V8-SNAP-01\0";

/// A hash of what a blob depends on besides V8, which checks itself: the natives, by their places in the list, and the
/// artefact, by its index (ids, places and lengths of all texts) rather than by its nine megabytes.
fn dependencies(artefact: &Artefact) -> [u8; 32] {
    let mut h = blake3::Hasher::new();
    h.update(v8::VERSION_STRING.as_bytes());
    for name in crate::registry::registry().names() {
        h.update(name.as_bytes());
        h.update(&[0]);
    }
    h.update(artefact.index());
    *h.finalize().as_bytes()
}

/// The blob inside of `bytes`, if it fits this program, this artefact and this V8.
pub(crate) fn check(artefact: &Artefact, bytes: &'static [u8]) -> Option<&'static [u8]> {
    let blob = bytes.get(HEADER..)?;
    if bytes.get(..16)? != MARK || bytes.get(16..HEADER)? != dependencies(artefact) {
        return None;
    }
    v8::StartupData::from(blob).is_valid().then_some(blob)
}

/// Boots the library once and answers the heap as bytes for [`crate::Setup::snapshot`]. Must run in a host process that runs
/// no JavaScript of guests: V8's read-only memory is set up for making it.
///
/// # Errors
/// When the library does not boot, or V8 cannot write its heap.
pub fn build_snapshot(artefact: &'static Artefact) -> Result<Vec<u8>, BootError> {
    if !crate::platform::init_for_snapshot() {
        return Err(BootError("V8 runs already; a snapshot is made in a process of its own".into()));
    }
    let compiled = crate::code_cache::rehearse(artefact)?;
    let mut isolate = v8::Isolate::snapshot_creator(Some(external_references(artefact)), None);
    let mut fresh = Env::new(artefact, Sys::none());
    fresh.building_snapshot = true;
    fresh.code_cache = CodeCache::from_static(compiled.leak());
    let env = Rc::new(fresh);
    realm::attach(&mut isolate, Rc::clone(&env));
    crate::run::install_hooks(&mut isolate);
    {
        v8::scope!(let scope, &mut isolate);
        // The default context stays empty; ours is the first one added.
        let empty = v8::Context::new(scope, v8::ContextOptions::default());
        let context = v8::Context::new(scope, v8::ContextOptions::default());
        {
            let scope = &mut v8::ContextScope::new(scope, context);
            realm::boot(scope)?;
            preload(scope)?;
            scope.perform_microtask_checkpoint();
            let roots = env.roots_into_array(scope);
            scope.add_context_data(context, roots);
        }
        scope.set_default_context(empty);
        scope.add_context(context);
    }
    // What a job keeps alive for its weak references is a root of the isolate, and roots must not lead into a context.
    isolate.clear_kept_objects();
    isolate.remove_slot::<Rc<Env>>();
    drop(env);
    let blob =
        isolate.create_blob(v8::FunctionCodeHandling::Keep).ok_or_else(|| BootError("V8 wrote no snapshot".into()))?;
    let mut out = MARK.to_vec();
    out.extend_from_slice(&dependencies(artefact));
    out.extend_from_slice(&blob);
    Ok(out)
}

/// Built-ins that most scripts load.
const PRELOAD: &[&str] =
    &["internal/process/pre_execution", "internal/fs/sync_write_stream", "internal/main/run_main_module"];

/// Loads what most scripts need, so that it is in the heap already.
fn preload(scope: &mut Scope<'_, '_>) -> Result<(), BootError> {
    for id in PRELOAD {
        if id.starts_with("internal/main/") {
            // Compiled only: it is what starts a process.
            realm::compile(scope, id).ok_or_else(|| BootError(format!("{id} does not compile")))?;
        } else {
            realm::require(scope, id)?;
        }
    }
    Ok(())
}

/// Takes over a restored context.
pub(crate) fn restore(scope: &mut Scope<'_, '_>) -> Result<(), BootError> {
    let roots = scope
        .get_context_data_from_snapshot_once::<v8::Array>(0)
        .map_err(|e| BootError(format!("the snapshot lacks its roots: {e}")))?;
    env(scope).roots_from_array(scope, roots);
    Ok(())
}
