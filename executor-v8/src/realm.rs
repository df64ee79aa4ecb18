//! Boots Node's library: the realm's own objects, then the library's bootstrap scripts, in Node's order.

use std::rc::Rc;

use crate::artefact::{Shape, Source};
use crate::env::{Env, Root, env};
use crate::js::{self, Args, Object, Ret, Scope, Value};
use crate::shape;

/// A boot that did not reach its end. The text is for people who build Eyot: a guest cannot cause it.
#[derive(Debug, thiserror::Error)]
#[error("Node's library does not run: {0}")]
pub struct BootError(pub(crate) String);

const PER_CONTEXT: [&str; 3] =
    ["internal/per_context/primordials", "internal/per_context/domexception", "internal/per_context/messageport"];

const BOOTSTRAP: [&str; 5] = [
    "internal/bootstrap/node",
    "internal/bootstrap/web/exposed-wildcard",
    "internal/bootstrap/web/exposed-window-or-worker",
    "internal/bootstrap/switches/is_main_thread",
    "internal/bootstrap/switches/does_own_process_state",
];

/// The parameters of the function that a built-in's source is the body of.
fn parameters(id: &str) -> &'static [&'static str] {
    if id.starts_with("internal/per_context/") {
        &["exports", "primordials", "privateSymbols", "perIsolateSymbols"]
    } else if id == "internal/bootstrap/realm" {
        &["process", "getLinkedBinding", "getInternalBinding", "primordials"]
    } else if id.starts_with("internal/bootstrap/") || id.starts_with("internal/main/") {
        &["process", "require", "internalBinding", "primordials"]
    } else {
        &["exports", "require", "module", "process", "internalBinding", "primordials"]
    }
}

pub(crate) fn source_string<'s>(scope: &Scope<'s, '_>, source: Source) -> Option<v8::Local<'s, v8::String>> {
    match source {
        Source::Ascii(r) => v8::String::new_from_onebyte_const(scope, r),
        Source::Latin1(b) => v8::String::new_external_onebyte_static(scope, b),
        Source::Utf16(u) => v8::String::new_external_twobyte_static(scope, u),
    }
}

/// Compiles the built-in `id`. `None` with a pending exception when it fails.
pub(crate) fn compile<'s>(scope: &Scope<'s, '_>, id: &str) -> Option<v8::Local<'s, v8::Function>> {
    let env = env(scope);
    let Some((index, source)) = env.artefact.index_of(id).and_then(|i| Some((i, env.artefact.source(i)?))) else {
        js::throw_error(scope, &format!("No such built-in module: {id}"));
        return None;
    };
    let text = source_string(scope, source)?;
    let name = js::string(scope, &format!("node:{id}"));
    let origin = v8::ScriptOrigin::new(scope, name.into(), 0, 0, true, -1, None, false, false, false, None);
    let params: Vec<v8::Local<'_, v8::String>> = parameters(id).iter().map(|p| js::key(scope, p)).collect();
    let cached = env.code_cache.and_then(|c| c.get(index));
    let (mut source, options) = match cached {
        Some(bytes) => (
            v8::script_compiler::Source::new_with_cached_data(text, Some(&origin), v8::CachedData::new(bytes)),
            v8::script_compiler::CompileOptions::ConsumeCodeCache,
        ),
        None => (
            v8::script_compiler::Source::new(text, Some(&origin)),
            v8::script_compiler::CompileOptions::NoCompileOptions,
        ),
    };
    let f = v8::script_compiler::compile_function(
        scope,
        &mut source,
        &params,
        &[],
        options,
        v8::script_compiler::NoCacheReason::NoReason,
    )?;
    if env.collect_compiled {
        env.compiled.borrow_mut().push((index, v8::Global::new(scope, f)));
    }
    Some(f)
}

/// What `internalBinding(name)` answers the first time it is asked.
fn get_internal_binding<'s>(scope: &mut Scope<'s, '_>, args: Args<'s>, mut ret: Ret<'s>) {
    let Some(name) = js::rust_string(scope, args.get(0)) else {
        return js::throw_argument(scope, "the binding's name must be a string");
    };
    if let Some(b) = binding(scope, &name) {
        ret.set(b.into());
    }
}

fn get_linked_binding<'s>(scope: &mut Scope<'s, '_>, args: Args<'s>, _ret: Ret<'s>) {
    let name = js::rust_string(scope, args.get(0)).unwrap_or_default();
    js::throw_with_code(scope, js::Kind::Error, "ERR_INVALID_MODULE", &format!("No such binding: {name}"));
}

fn binding<'s>(scope: &mut Scope<'s, '_>, name: &str) -> Option<Object<'s>> {
    let env = env(scope);
    let shape = match env.artefact.binding(name) {
        Ok(Some(s)) => s,
        Ok(None) => {
            js::throw_with_code(scope, js::Kind::Error, "ERR_INVALID_MODULE", &format!("No such binding: {name}"));
            return None;
        }
        Err(e) => {
            js::throw_error(scope, &e.to_string());
            return None;
        }
    };
    let built = shape::build(scope, &env, &shape, &mut name.to_owned());
    let o = built.try_cast::<v8::Object>().ok()?;
    crate::natives::adjust(scope, &env, name, o);
    Some(o)
}

fn private_symbols<'s>(scope: &Scope<'s, '_>, env: &Env) -> Result<Value<'s>, BootError> {
    let shape = env.artefact.binding("util").map_err(|e| BootError(e.to_string()))?;
    if let Some(Shape::O { v, .. }) = shape
        && let Some((_, symbols)) = v.iter().find(|(k, _)| k == "privateSymbols")
    {
        return Ok(shape::build(scope, env, symbols, &mut "util.privateSymbols".to_owned()));
    }
    Err(BootError("the artefact has no private symbols".into()))
}

/// Text of the exception that ended a boot step.
fn describe(tc: &mut v8::PinnedRef<'_, v8::TryCatch<'_, '_, v8::HandleScope<'_>>>, step: &str) -> BootError {
    let text = tc.stack_trace().or_else(|| tc.exception()).map(|v| v.to_rust_string_lossy(tc)).unwrap_or_default();
    BootError(format!("{step}: {text}"))
}

fn run<'s>(scope: &mut Scope<'s, '_>, id: &str, args: &[Value<'s>]) -> Result<Value<'s>, BootError> {
    v8::tc_scope!(let tc, scope);
    let undefined = js::undefined(tc);
    match compile(tc, id).and_then(|f| f.call(tc, undefined, args)) {
        Some(v) => Ok(v),
        None => Err(describe(tc, id)),
    }
}

/// Builds the realm in the current context and runs the library up to, not including, `prepareMainThreadExecution`.
pub(crate) fn boot(scope: &mut Scope<'_, '_>) -> Result<(), BootError> {
    let env = env(scope);
    prepare_globals(scope);
    let primordials: Value<'_> = shape::null_object(scope).into();
    let exports: Value<'_> = shape::null_object(scope).into();
    let privates = private_symbols(scope, &env)?;
    let symbols = match env.artefact.binding("symbols") {
        Ok(Some(s)) => shape::build(scope, &env, &s, &mut "symbols".to_owned()),
        Ok(None) => return Err(BootError("the artefact has no symbols".into())),
        Err(e) => return Err(BootError(e.to_string())),
    };
    env.set_root(scope, Root::Primordials, primordials);
    env.set_root(scope, Root::PerContextExports, exports);
    env.set_root(scope, Root::PrivateSymbols, privates);
    for id in PER_CONTEXT {
        run(scope, id, &[exports, primordials, privates, symbols])?;
    }

    let process = crate::natives::process_object::create(scope, &env).map_err(|e| BootError(e.to_string()))?;
    env.set_root(scope, Root::Process, process);
    let registry = crate::registry::registry();
    let (Some(linked), Some(internal)) = (registry.get("getLinkedBinding"), registry.get("getInternalBinding")) else {
        return Err(BootError("the binding loaders are not registered".into()));
    };
    let linked = js::function(scope, "getLinkedBinding", linked, None);
    let internal = js::function(scope, "getInternalBinding", internal, None);
    run(scope, "internal/bootstrap/realm", &[process, linked, internal, primordials])?;
    let (Some(internal_binding), Some(require)) =
        (env.root(scope, Root::InternalBinding), env.root(scope, Root::Require))
    else {
        return Err(BootError("internal/bootstrap/realm did not set its loaders".into()));
    };
    for id in BOOTSTRAP {
        run(scope, id, &[process, require, internal_binding, primordials])?;
    }
    crate::natives::process_object::disclaim_openssl(scope, &env);
    Ok(())
}

/// Loads the built-in `id` through the library's own `require`.
pub(crate) fn require(scope: &mut Scope<'_, '_>, id: &str) -> Result<(), BootError> {
    let env = env(scope);
    v8::tc_scope!(let tc, scope);
    let undefined = js::undefined(tc);
    let name = js::string(tc, id);
    let Some(require) = env.root_function(tc, Root::Require) else {
        return Err(BootError("the library has no require".into()));
    };
    match require.call(tc, undefined, &[name.into()]) {
        Some(_) => Ok(()),
        None => Err(describe(tc, id)),
    }
}

/// What Node's C++ does to a fresh context before any library code runs.
fn prepare_globals(scope: &Scope<'_, '_>) {
    let global = scope.get_current_context().global(scope);
    let delete = |object: &str, name: &str| {
        if let Some(o) = js::get(scope, global, object).and_then(|v| v.try_cast::<v8::Object>().ok()) {
            let k = js::key(scope, name);
            o.delete(scope, k.into());
        }
    };
    delete("Intl", "v8BreakIterator");
    delete("Atomics", "wake");
}

/// Runs the script that a process starts with: it prepares the process and runs the program at `process.argv[1]`.
/// `None` when an exception, or the end of the process, came out of it.
pub(crate) fn run_main<'s>(scope: &mut Scope<'s, '_>, id: &str) -> Option<Value<'s>> {
    let env = env(scope);
    let f = compile(scope, id)?;
    let args = [Root::Process, Root::Require, Root::InternalBinding, Root::Primordials].map(|r| env.root(scope, r));
    let [Some(process), Some(require), Some(internal_binding), Some(primordials)] = args else { return None };
    let undefined = js::undefined(scope);
    f.call(scope, undefined, &[process, require, internal_binding, primordials])
}

pub(crate) fn register(r: &mut crate::registry::Registry) {
    r.add("getInternalBinding", get_internal_binding);
    r.add("getLinkedBinding", get_linked_binding);
}

/// Puts the environment into the isolate's slot.
pub(crate) fn attach(isolate: &mut v8::Isolate, env: Rc<Env>) {
    isolate.set_slot::<Rc<Env>>(env);
}
