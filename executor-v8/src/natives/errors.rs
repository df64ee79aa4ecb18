//! `internalBinding('errors')`: what happens to an exception that nobody catches, in Node's words.

use crate::env::{Env, Root, env};
use crate::js::{self, Args, Ret, Scope, Value};
use crate::registry::Registry;
use crate::shape::private_symbol;

use super::task_queue::set_function;

fn set_prepare_stack_trace<'s>(scope: &mut Scope<'s, '_>, args: Args<'s>, _ret: Ret<'s>) {
    set_function(scope, args, Root::PrepareStackTrace);
}

fn set_enhance_stack<'s>(scope: &mut Scope<'s, '_>, args: Args<'s>, _ret: Ret<'s>) {
    if !args.get(0).is_function() || !args.get(1).is_function() {
        return js::throw_argument(scope, "the callbacks must be functions");
    }
    let env = env(scope);
    env.set_root(scope, Root::EnhanceBeforeInspector, args.get(0));
    env.set_root(scope, Root::EnhanceAfterInspector, args.get(1));
}

fn no_side_effects_to_string<'s>(scope: &mut Scope<'s, '_>, args: Args<'s>, mut ret: Ret<'s>) {
    if let Some(s) = args.get(0).to_detail_string(scope) {
        ret.set(s.into());
    }
}

fn trigger<'s>(scope: &mut Scope<'s, '_>, args: Args<'s>, _ret: Ret<'s>) {
    let error = args.get(0);
    let message = v8::Exception::create_message(scope, error);
    trigger_uncaught(scope, error, Some(message), args.get(1).is_true());
}

fn error_source_positions<'s>(scope: &mut Scope<'s, '_>, args: Args<'s>, mut ret: Ret<'s>) {
    let message = v8::Exception::create_message(scope, args.get(0));
    let o = v8::Object::new(scope);
    let line = message.get_source_line(scope).map_or_else(|| js::undefined(scope), Into::into);
    js::set(scope, o, "sourceLine", line);
    let resource = message.get_script_resource_name(scope).unwrap_or_else(|| js::undefined(scope));
    js::set(scope, o, "scriptResourceName", resource);
    // line numbers
    let line = js::num(scope, message.get_line_number(scope).unwrap_or(0) as f64);
    js::set(scope, o, "lineNumber", line);
    let column = js::num(scope, message.get_start_column() as f64);
    js::set(scope, o, "startColumn", column);
    ret.set(o.into());
}

/// V8 asks for the text of a stack: Node's library answers.
pub(crate) fn prepare_stack_trace<'s, 'i>(
    scope: &mut Scope<'s, 'i>,
    error: Value<'s>,
    sites: v8::Local<'s, v8::Array>,
) -> Value<'s> {
    let env = env(scope);
    if env.can_call()
        && let Some(f) = env.root_function(scope, Root::PrepareStackTrace)
    {
        let global = scope.get_current_context().global(scope).into();
        let undefined = js::undefined(scope);
        v8::tc_scope!(let tc, scope);
        if let Some(v) = f.call(tc, undefined, &[global, error, sites.into()]) {
            return v;
        }
        // What the user's formatter threw is what reading `stack` throws.
        if tc.has_caught() && !tc.has_terminated() {
            tc.rethrow();
            return js::undefined(tc);
        }
    }
    js::undefined(scope)
}

/// V8 reports a rejected promise without a handler, or a late handler: the library keeps the books.
pub(crate) unsafe extern "C" fn on_promise_reject(message: v8::PromiseRejectMessage<'_>) {
    v8::callback_scope!(unsafe scope, &message);
    let env = env(scope);
    let Some(f) = env.root_function(scope, Root::PromiseRejectCallback) else { return };
    if !env.can_call() {
        return;
    }
    let kind = match message.get_event() {
        v8::PromiseRejectEvent::PromiseRejectWithNoHandler => 0,
        v8::PromiseRejectEvent::PromiseHandlerAddedAfterReject => 1,
        v8::PromiseRejectEvent::PromiseRejectAfterResolved => 2,
        v8::PromiseRejectEvent::PromiseResolveAfterResolved => 3,
    };
    let (kind, promise) = (js::int(scope, kind), message.get_promise());
    let value = message.get_value().unwrap_or_else(|| js::undefined(scope));
    let undefined = js::undefined(scope);
    v8::tc_scope!(let tc, scope);
    if f.call(tc, undefined, &[kind, promise.into(), value]).is_none() && tc.has_caught() && !tc.has_terminated() {
        let e = tc.exception().map(|e| e.to_rust_string_lossy(tc)).unwrap_or_default();
        write_stderr(&env, &format!("Exception in PromiseRejectCallback:\n{e}\n"));
    }
}

/// V8 reports an exception that left the outermost JavaScript frame.
pub(crate) unsafe extern "C" fn on_message(message: v8::Local<'_, v8::Message>, error: v8::Local<'_, v8::Value>) {
    v8::callback_scope!(unsafe scope, message);
    let (message, error) = (v8::Local::new(scope, message), v8::Local::new(scope, error));
    trigger_uncaught(scope, error, Some(message), false);
}

/// Gives an uncaught exception to `process._fatalException`; when nobody handles it, prints it and ends the process.
pub(crate) fn trigger_uncaught<'s>(
    scope: &mut Scope<'s, '_>,
    error: Value<'s>,
    message: Option<v8::Local<'s, v8::Message>>,
    from_promise: bool,
) {
    let env = env(scope);
    if !env.can_call() {
        return;
    }
    let handler = env
        .root_object(scope, Root::Process)
        .and_then(|p| js::get(scope, p, "_fatalException").map(|f| (p, f)))
        .and_then(|(p, f)| f.try_cast::<v8::Function>().ok().map(|f| (p, f)));
    let Some((process, f)) = handler else {
        // Someone replaced the handler by something else: Node's exit code for that is 6.
        report(scope, &env, error, message);
        return env.stop(scope, 6);
    };
    let from_promise = js::boolean(scope, from_promise);
    let handled = {
        v8::tc_scope!(let tc, scope);
        let handled = f.call(tc, process.into(), &[error, from_promise]);
        if handled.is_none() && env.can_call() && tc.has_caught() && !tc.has_terminated() {
            // The handler itself threw: exit code 7.
            let (e, m) = (tc.exception(), tc.message());
            if let Some(e) = e {
                report(tc, &env, e, m);
            }
            env.stop(tc, 7);
        }
        handled
    };
    match handled {
        Some(v) if v.is_false() => {
            report(scope, &env, error, message);
            let code = env.exit_code(1);
            env.stop(scope, code);
        }
        _ => {}
    }
}

fn write_stderr(env: &Env, text: &str) {
    env.sys.write_all(2, text.as_bytes());
}

/// `file:line`, the source line, and carets under what went wrong; each on a line of its own.
fn arrow(scope: &Scope<'_, '_>, message: v8::Local<'_, v8::Message>) -> Option<String> {
    let line = message.get_source_line(scope)?.to_rust_string_lossy(scope);
    if line.contains("node-do-not-add-exception-line") {
        return None;
    }
    let file = message.get_script_resource_name(scope).and_then(|v| js::rust_string(scope, v)).unwrap_or_default();
    let number = message.get_line_number(scope)?;
    let mut text = format!("{file}:{number}\n{line}\n");
    let (start, end) = (message.get_start_column(), message.get_end_column());
    if start > end || end > line.encode_utf16().count() {
        return Some(text);
    }
    for c in line.chars().take(start.min(1000)) {
        text.push(if c == '\t' { '\t' } else { ' ' });
    }
    for _ in start..end.min(start.saturating_add(1000)) {
        text.push('^');
    }
    text.push('\n');
    Some(text)
}

/// Puts the arrow into the error's stack, as Node does for syntax errors.
pub(super) fn decorate(scope: &Scope<'_, '_>, error: Value<'_>, message: v8::Local<'_, v8::Message>) {
    let Ok(o) = error.try_cast::<v8::Object>() else { return };
    let decorated = private_symbol(scope, "node:decorated");
    if o.get_private(scope, decorated).is_some_and(|v| v.is_true()) {
        return;
    }
    let Some(arrow) = arrow(scope, message) else { return };
    let Some(stack) = js::get(scope, o, "stack").and_then(|s| js::rust_string(scope, s)) else { return };
    let text = js::string(scope, &format!("{arrow}\n{stack}"));
    let k = js::key(scope, "stack");
    o.set(scope, k.into(), text.into());
    o.set_private(scope, decorated, js::boolean(scope, true));
}

/// Calls one of the library's functions that improve the stack of a fatal error; returns what the stack is then.
fn enhance<'s>(scope: &mut Scope<'s, '_>, env: &Env, root: Root, error: Value<'s>) -> Option<Value<'s>> {
    let f = env.root_function(scope, root)?;
    let undefined = js::undefined(scope);
    v8::tc_scope!(let tc, scope);
    f.call(tc, undefined, &[error])
}

/// Prints a fatal exception the way Node does.
fn report<'s>(scope: &mut Scope<'s, '_>, env: &Env, error: Value<'s>, message: Option<v8::Local<'s, v8::Message>>) {
    let object = error.try_cast::<v8::Object>().ok();
    let mut stack = None;
    let mut decorated = false;
    if let Some(o) = object {
        let key = private_symbol(scope, "node:decorated");
        decorated = o.get_private(scope, key).is_some_and(|v| v.is_true());
        enhance(scope, env, Root::EnhanceBeforeInspector, error);
        stack = enhance(scope, env, Root::EnhanceAfterInspector, error);
    }
    let mut text = String::new();
    let source = message.and_then(|m| arrow(scope, m));
    let native_error = error.is_native_error();
    if let Some(source) = &source
        && !native_error
        && !decorated
    {
        text.push('\n');
        text.push_str(source);
    }
    match stack.and_then(|s| js::rust_string(scope, s)).filter(|s| !s.is_empty()) {
        Some(trace) => {
            if let Some(source) = &source
                && native_error
                && !decorated
            {
                text.push_str(source);
                text.push('\n');
            }
            text.push_str(&trace);
            text.push('\n');
        }
        None => {
            let field = |scope: &Scope<'_, '_>, name: &str| {
                object
                    .and_then(|o| js::get(scope, o, name))
                    .filter(|v| !v.is_undefined())
                    .and_then(|v| js::display(scope, v))
            };
            v8::tc_scope!(let tc, scope);
            match (field(tc, "name"), field(tc, "message")) {
                (Some(name), Some(message)) => text.push_str(&format!("{name}: {message}\n")),
                _ => {
                    let shown = js::display(tc, error).unwrap_or_else(|| "<toString() threw exception>".into());
                    text.push_str(&shown);
                    text.push('\n');
                }
            }
            text.push_str("(Use `node --trace-uncaught ...` to show where the exception was thrown)\n");
        }
    }
    text.push_str(&format!("\nNode.js v{}\n", env.artefact.node_version()));
    write_stderr(env, &text);
}

pub(super) fn register(r: &mut Registry) {
    r.add("errors.setPrepareStackTraceCallback", set_prepare_stack_trace);
    r.add("errors.setEnhanceStackForFatalException", set_enhance_stack);
    r.add("errors.noSideEffectsToString", no_side_effects_to_string);
    r.add("errors.triggerUncaughtException", trigger);
    r.add("errors.getErrorSourcePositions", error_source_positions);
}
