//! `internalBinding('contextify')`: compiling and running scripts.

use crate::js::{self, Args, Ret, Scope, Value};
use crate::registry::Registry;
use crate::shape::{null_object, private_symbol};

/// What V8 says when a text is a module and not a script; the wording is V8's.
const MODULE_SYNTAX: [&str; 3] = [
    "Cannot use import statement outside a module",
    "Unexpected token 'export'",
    "Cannot use 'import.meta' outside a module",
];

/// Messages that a module's top-level `await`, or a module's own names, cause in a script.
const MODULE_ONLY: [&str; 7] = [
    "Identifier '__filename' has already been declared",
    "Identifier '__dirname' has already been declared",
    "Identifier 'module' has already been declared",
    "Identifier 'exports' has already been declared",
    "Identifier 'require' has already been declared",
    "await is only valid in async functions and the top level bodies of modules",
    "missing ) after argument list",
];

/// What internal field 1 of a `ContextifyScript` holds once field 0 holds a script.
const SCRIPT_TAG: i32 = 0x5c21;

const CJS_PARAMETERS: [&str; 5] = ["exports", "require", "module", "__filename", "__dirname"];

/// Where a text came from, for V8. The symbol tells a later `import()` who asks.
fn origin<'s>(
    scope: &Scope<'s, '_>,
    name: Value<'s>,
    line: i32,
    column: i32,
    id: Value<'s>,
    module: bool,
) -> v8::ScriptOrigin<'s> {
    let options = v8::PrimitiveArray::new(scope, 1);
    if let Ok(p) = id.try_cast::<v8::Primitive>() {
        options.set(scope, 0, p);
    }
    v8::ScriptOrigin::new(scope, name, line, column, true, -1, None, false, false, module, Some(options.into()))
}

fn no_options() -> (v8::script_compiler::CompileOptions, v8::script_compiler::NoCacheReason) {
    (v8::script_compiler::CompileOptions::NoCompileOptions, v8::script_compiler::NoCacheReason::NoReason)
}

fn compile_cjs<'s>(
    scope: &Scope<'s, '_>,
    content: v8::Local<'s, v8::String>,
    filename: Value<'s>,
) -> Option<v8::Local<'s, v8::Function>> {
    let id = v8::Symbol::for_api(scope, js::key(scope, "vm_dynamic_import_default_internal"));
    let origin = origin(scope, filename, 0, 0, id.into(), false);
    let mut source = v8::script_compiler::Source::new(content, Some(&origin));
    let params = CJS_PARAMETERS.map(|p| js::key(scope, p));
    let (options, reason) = no_options();
    v8::script_compiler::compile_function(scope, &mut source, &params, &[], options, reason)
}

/// Whether `content` compiles as a module.
fn is_module<'s>(scope: &mut Scope<'s, '_>, content: v8::Local<'s, v8::String>, filename: Value<'s>) -> bool {
    v8::tc_scope!(let tc, scope);
    let id = js::undefined(tc);
    let origin = origin(tc, filename, 0, 0, id, true);
    let mut source = v8::script_compiler::Source::new(content, Some(&origin));
    v8::script_compiler::compile_module(tc, &mut source).is_some()
}

/// Whether a text that failed as a script with `message` is a module.
fn retry_as_module<'s>(
    scope: &mut Scope<'s, '_>,
    message: &str,
    content: v8::Local<'s, v8::String>,
    filename: Value<'s>,
) -> bool {
    if MODULE_SYNTAX.iter().any(|m| message.contains(m)) {
        return true;
    }
    MODULE_ONLY.iter().any(|m| message.contains(m)) && is_module(scope, content, filename)
}

/// `compileFunctionForCJSLoader(content, filename, isSeaMain, shouldDetectModule)`.
fn compile_function_for_cjs_loader<'s>(scope: &mut Scope<'s, '_>, args: Args<'s>, mut ret: Ret<'s>) {
    let (Ok(content), true) = (args.get(0).try_cast::<v8::String>(), args.get(1).is_string()) else {
        return js::throw_argument(scope, "expected (string, string)");
    };
    let (filename, detect) = (args.get(1), args.get(3).is_true());
    let mut as_module = false;
    let compiled = {
        v8::tc_scope!(let tc, scope);
        match compile_cjs(tc, content, filename) {
            Some(f) => Some(f),
            None => {
                let (error, message) = (tc.exception(), tc.message());
                let text = message.map(|m| m.get(tc).to_rust_string_lossy(tc)).unwrap_or_default();
                if detect && !tc.has_terminated() {
                    as_module = retry_as_module(tc, &text, content, filename);
                }
                if !as_module {
                    if let (Some(e), Some(m)) = (error, message) {
                        super::errors::decorate(tc, e, m);
                    }
                    tc.rethrow();
                    return;
                }
                None
            }
        }
    };
    let result = null_object(scope);
    let no = js::boolean(scope, false);
    js::set(scope, result, "cachedDataRejected", no);
    let map = compiled.map_or_else(|| js::undefined(scope), |f| source_map_url(scope, f));
    js::set(scope, result, "sourceMapURL", map);
    let v = js::boolean(scope, as_module);
    js::set(scope, result, "canParseAsESM", v);
    let v = compiled.map_or_else(|| js::undefined(scope), Into::into);
    js::set(scope, result, "function", v);
    ret.set(result.into());
}

fn source_map_url<'s>(scope: &Scope<'s, '_>, f: v8::Local<'s, v8::Function>) -> Value<'s> {
    f.get_script_origin(scope).source_map_url().unwrap_or_else(|| js::undefined(scope))
}

/// `containsModuleSyntax(code, filename, resourceName, cjsVar)`.
fn contains_module_syntax<'s>(scope: &mut Scope<'s, '_>, args: Args<'s>, mut ret: Ret<'s>) {
    let Ok(content) = args.get(0).try_cast::<v8::String>() else {
        return js::throw_argument(scope, "the code must be a string");
    };
    let filename = if args.get(1).is_string() { args.get(1) } else { js::string(scope, "[eval1]").into() };
    let text = {
        v8::tc_scope!(let tc, scope);
        if compile_cjs(tc, content, filename).is_some() {
            return ret.set_bool(false);
        }
        tc.message().map(|m| m.get(tc).to_rust_string_lossy(tc)).unwrap_or_default()
    };
    let is = retry_as_module(scope, &text, content, filename);
    ret.set_bool(is);
}

fn only_this_context(scope: &Scope<'_, '_>, context: Value<'_>) -> bool {
    if context.is_null_or_undefined() {
        return true;
    }
    js::throw_with_code(scope, js::Kind::Error, "ENOSYS", "vm contexts are not built yet");
    false
}

/// `compileFunction(code, filename, line, column, cachedData, produceCachedData, context, extensions, params, id)`.
fn compile_function<'s>(scope: &mut Scope<'s, '_>, args: Args<'s>, mut ret: Ret<'s>) {
    let Ok(code) = args.get(0).try_cast::<v8::String>() else {
        return js::throw_argument(scope, "the code must be a string");
    };
    if !only_this_context(scope, args.get(6)) {
        return;
    }
    let (line, column) = (args.get(2).int32_value(scope).unwrap_or(0), args.get(3).int32_value(scope).unwrap_or(0));
    let mut params = Vec::new();
    if let Ok(list) = args.get(8).try_cast::<v8::Array>() {
        for i in 0..list.length() {
            let Some(p) = list.get_index(scope, i).and_then(|p| p.try_cast::<v8::String>().ok()) else {
                return js::throw_argument(scope, "the parameters must be strings");
            };
            params.push(p);
        }
    }
    let mut extensions = Vec::new();
    if let Ok(list) = args.get(7).try_cast::<v8::Array>() {
        for i in 0..list.length() {
            let Some(o) = list.get_index(scope, i).and_then(|o| o.try_cast::<v8::Object>().ok()) else {
                return js::throw_argument(scope, "the extensions must be objects");
            };
            extensions.push(o);
        }
    }
    let id = args.get(9);
    let origin = origin(scope, args.get(1), line, column, id, false);
    let mut source = v8::script_compiler::Source::new(code, Some(&origin));
    let (options, reason) = no_options();
    let compiled = {
        v8::tc_scope!(let tc, scope);
        match v8::script_compiler::compile_function(tc, &mut source, &params, &extensions, options, reason) {
            Some(f) => f,
            None => {
                if let (Some(e), Some(m)) = (tc.exception(), tc.message()) {
                    super::errors::decorate(tc, e, m);
                }
                tc.rethrow();
                return;
            }
        }
    };
    if id.is_symbol() {
        compiled.set_private(scope, private_symbol(scope, "node:host_defined_option_symbol"), id);
    }
    let result = null_object(scope);
    js::set(scope, result, "function", compiled.into());
    let map = source_map_url(scope, compiled);
    js::set(scope, result, "sourceMapURL", map);
    ret.set(result.into());
}

/// `new ContextifyScript(code, filename, line, column, cachedData, produceCachedData, context)`.
fn contextify_script<'s>(scope: &mut Scope<'s, '_>, args: Args<'s>, _ret: Ret<'s>) {
    if !args.is_construct_call() {
        return js::throw_with_code(
            scope,
            js::Kind::Type,
            "ERR_CONSTRUCT_CALL_REQUIRED",
            "Cannot call constructor without `new`",
        );
    }
    let (Ok(code), true) = (args.get(0).try_cast::<v8::String>(), args.get(1).is_string()) else {
        return js::throw_argument(scope, "expected (string, string)");
    };
    let (line, column) = (args.get(2).int32_value(scope).unwrap_or(0), args.get(3).int32_value(scope).unwrap_or(0));
    // The last argument is the symbol of the script's importer; the one before, a context to parse for.
    let id = if args.get(7).is_symbol() { args.get(7) } else { js::undefined(scope) };
    let this = args.this();
    let origin = origin(scope, args.get(1), line, column, id, false);
    let mut source = v8::script_compiler::Source::new(code, Some(&origin));
    let (options, reason) = no_options();
    let script = {
        v8::tc_scope!(let tc, scope);
        match v8::script_compiler::compile_unbound_script(tc, &mut source, options, reason) {
            Some(s) => s,
            None => {
                if let (Some(e), Some(m)) = (tc.exception(), tc.message()) {
                    super::errors::decorate(tc, e, m);
                }
                tc.rethrow();
                return;
            }
        }
    };
    this.set_internal_field(0, script.into());
    this.set_internal_field(1, js::int(scope, SCRIPT_TAG).into());
    if id.is_symbol() {
        this.set_private(scope, private_symbol(scope, "node:host_defined_option_symbol"), id);
    }
    let map = script.get_source_mapping_url(scope);
    js::set(scope, this, "sourceMapURL", map);
    let rejected = js::undefined(scope);
    js::set(scope, this, "cachedDataRejected", rejected);
}

/// The script of an instance. The fields of a foreign object, or of one whose constructor threw, hold none.
fn script_of<'s>(scope: &Scope<'s, '_>, this: js::Object<'s>) -> Option<v8::Local<'s, v8::UnboundScript>> {
    if this.internal_field_count() != 2 {
        return None;
    }
    let tag = this.get_internal_field(scope, 1)?.try_cast::<v8::Value>().ok()?.try_cast::<v8::Int32>().ok()?;
    if tag.value() != SCRIPT_TAG {
        return None;
    }
    let data = this.get_internal_field(scope, 0)?;
    // SAFETY: JavaScript cannot write internal fields, and the constructor alone writes this tag, together with a script.
    Some(unsafe { std::mem::transmute::<v8::Local<'s, v8::Data>, v8::Local<'s, v8::UnboundScript>>(data) })
}

/// `script.runInContext(context, timeout, displayErrors, breakOnSigint, breakOnFirstLine)`.
fn run_in_context<'s>(scope: &mut Scope<'s, '_>, args: Args<'s>, mut ret: Ret<'s>) {
    let this = args.this();
    let Some(script) = script_of(scope, this) else {
        return js::throw_with_code(scope, js::Kind::Type, "ERR_INVALID_THIS", "Illegal invocation");
    };
    if !only_this_context(scope, args.get(0)) {
        return;
    }
    if let Some(v) = script.bind_to_current_context(scope).run(scope) {
        ret.set(v);
    }
}

fn create_cached_data<'s>(scope: &mut Scope<'s, '_>, _args: Args<'s>, mut ret: Ret<'s>) {
    ret.set(super::codec::buffer_of(scope, Vec::new()));
}

fn no<'s>(_scope: &mut Scope<'s, '_>, _args: Args<'s>, mut ret: Ret<'s>) {
    ret.set_bool(false);
}

/// `module_wrap.throwIfPromiseRejected` and the like look at a promise; kept with the scripts.
fn throw_if_rejected<'s>(scope: &mut Scope<'s, '_>, args: Args<'s>, _ret: Ret<'s>) {
    if let Ok(p) = args.get(0).try_cast::<v8::Promise>()
        && p.state() == v8::PromiseState::Rejected
    {
        let e = p.result(scope);
        scope.throw_exception(e);
    }
}

pub(super) fn register(r: &mut Registry) {
    r.add("contextify.compileFunctionForCJSLoader", compile_function_for_cjs_loader);
    r.add("contextify.containsModuleSyntax", contains_module_syntax);
    r.add("contextify.compileFunction", compile_function);
    r.add("contextify.ContextifyScript", contextify_script);
    r.add("contextify.ContextifyScript#runInContext", run_in_context);
    r.add("contextify.ContextifyScript#createCachedData", create_cached_data);
    r.add("contextify.startSigintWatchdog", crate::shape::nothing);
    r.add("contextify.stopSigintWatchdog", no);
    r.add("contextify.watchdogHasPendingSigint", no);
    r.add("module_wrap.throwIfPromiseRejected", throw_if_rejected);
}
