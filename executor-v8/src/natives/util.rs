//! `internalBinding('util')`: looking into values, and small services.

use crate::env::{Root, env};
use crate::js::{self, Args, Ret, Scope, Value};
use crate::registry::Registry;

fn get_promise_details<'s>(scope: &mut Scope<'s, '_>, args: Args<'s>, mut ret: Ret<'s>) {
    let Ok(p) = args.get(0).try_cast::<v8::Promise>() else { return };
    let (state, result) = match p.state() {
        v8::PromiseState::Pending => (0, None),
        v8::PromiseState::Fulfilled => (1, Some(p.result(scope))),
        v8::PromiseState::Rejected => (2, Some(p.result(scope))),
    };
    let mut parts = vec![js::int(scope, state)];
    parts.extend(result);
    ret.set(v8::Array::new_with_elements(scope, &parts).into());
}

fn get_proxy_details<'s>(scope: &mut Scope<'s, '_>, args: Args<'s>, mut ret: Ret<'s>) {
    let Ok(p) = args.get(0).try_cast::<v8::Proxy>() else { return };
    let target = p.get_target(scope);
    // One argument or `true` asks for both, `false` for the target alone.
    if args.length() == 1 || args.get(1).is_true() {
        let parts = [target, p.get_handler(scope)];
        ret.set(v8::Array::new_with_elements(scope, &parts).into());
    } else {
        ret.set(target);
    }
}

fn get_caller_location<'s>(scope: &mut Scope<'s, '_>, _args: Args<'s>, mut ret: Ret<'s>) {
    let Some(trace) = v8::StackTrace::current_stack_trace(scope, 2) else { return };
    if trace.get_frame_count() != 2 {
        return;
    }
    let Some(frame) = trace.get_frame(scope, 1) else { return };
    let Some(file) = frame.get_script_name_or_source_url(scope) else { return };
    // lines and columns
    let parts =
        [js::num(scope, frame.get_line_number() as f64), js::num(scope, frame.get_column() as f64), file.into()];
    ret.set(v8::Array::new_with_elements(scope, &parts).into());
}

fn preview_entries<'s>(scope: &mut Scope<'s, '_>, args: Args<'s>, mut ret: Ret<'s>) {
    let Ok(o) = args.get(0).try_cast::<v8::Object>() else { return };
    let (entries, is_key_value) = o.preview_entries(scope);
    let Some(entries) = entries else { return };
    if args.length() < 2 {
        ret.set(entries.into());
    } else {
        let parts = [entries.into(), js::boolean(scope, is_key_value)];
        ret.set(v8::Array::new_with_elements(scope, &parts).into());
    }
}

fn get_own_non_index_properties<'s>(scope: &mut Scope<'s, '_>, args: Args<'s>, mut ret: Ret<'s>) {
    let Ok(o) = args.get(0).try_cast::<v8::Object>() else { return };
    // The filters are V8's own numbers: 0 all properties, 2 enumerable ones.
    let filter = match args.get(1).uint32_value(scope) {
        Some(2) => v8::PropertyFilter::ONLY_ENUMERABLE,
        _ => v8::PropertyFilter::ALL_PROPERTIES,
    };
    let how = v8::GetPropertyNamesArgsBuilder::new()
        .mode(v8::KeyCollectionMode::OwnOnly)
        .property_filter(filter)
        .index_filter(v8::IndexFilter::SkipIndices)
        .build();
    if let Some(names) = o.get_property_names(scope, how) {
        ret.set(names.into());
    }
}

fn get_constructor_name<'s>(scope: &mut Scope<'s, '_>, args: Args<'s>, mut ret: Ret<'s>) {
    let Ok(o) = args.get(0).try_cast::<v8::Object>() else {
        return js::throw_argument(scope, "the value must be an object");
    };
    let name = v8::Local::new(scope, o.get_constructor_name());
    ret.set(name.into());
}

fn get_call_sites<'s>(scope: &mut Scope<'s, '_>, args: Args<'s>, mut ret: Ret<'s>) {
    let Some(frames) = js::integer(args.get(0), 1.0, 200.0) else {
        return js::throw_argument(scope, "the frame count must be between 1 and 200");
    };
    // 1..=200
    let Some(trace) = v8::StackTrace::current_stack_trace(scope, frames as usize + 1) else { return };
    let mut sites = Vec::new();
    // The first frame is the library's own wrapper.
    for i in 1..trace.get_frame_count() {
        let Some(f) = trace.get_frame(scope, i) else { continue };
        let o = crate::shape::null_object(scope);
        let text = |v: Option<v8::Local<'s, v8::String>>| v.map_or_else(|| v8::String::empty(scope).into(), Into::into);
        let name: Value<'_> = text(f.get_function_name(scope));
        js::set(scope, o, "functionName", name);
        let id = js::string(scope, &f.get_script_id().to_string());
        js::set(scope, o, "scriptId", id.into());
        let file: Value<'_> = text(f.get_script_name_or_source_url(scope));
        js::set(scope, o, "scriptName", file);
        let (line, column) = (js::num(scope, f.get_line_number() as f64), js::num(scope, f.get_column() as f64));
        js::set(scope, o, "lineNumber", line);
        js::set(scope, o, "columnNumber", column);
        js::set(scope, o, "column", column);
        sites.push(o.into());
    }
    ret.set(v8::Array::new_with_elements(scope, &sites).into());
}

fn is_inside_node_modules<'s>(scope: &mut Scope<'s, '_>, args: Args<'s>, mut ret: Ret<'s>) {
    let limit = args.get(0).uint32_value(scope).filter(|n| *n > 0).unwrap_or(10).min(200);
    let Some(trace) = v8::StackTrace::current_stack_trace(scope, limit as usize) else { return };
    let mut inside = false;
    for i in 0..trace.get_frame_count() {
        let Some(name) = trace.get_frame(scope, i).and_then(|f| f.get_script_name(scope)) else { continue };
        let name = name.to_rust_string_lossy(scope);
        if name.is_empty() || name.starts_with("node:") {
            continue;
        }
        // The first frame of the user's decides.
        inside = name.contains("/node_modules/") || name.contains("\\node_modules\\");
        break;
    }
    ret.set_bool(inside);
}

fn sleep<'s>(scope: &mut Scope<'s, '_>, args: Args<'s>, _ret: Ret<'s>) {
    let Some(ms) = args.get(0).uint32_value(scope) else { return };
    let env = env(scope);
    env.sys.sleep(std::time::Duration::from_millis(ms.into()));
}

fn array_buffer_view_has_buffer<'s>(scope: &mut Scope<'s, '_>, args: Args<'s>, mut ret: Ret<'s>) {
    match args.get(0).try_cast::<v8::ArrayBufferView>() {
        Ok(v) => ret.set_bool(v.has_buffer()),
        Err(_) => js::throw_argument(scope, "the value must be a view of a buffer"),
    }
}

fn construct_shared_array_buffer<'s>(scope: &mut Scope<'s, '_>, args: Args<'s>, mut ret: Ret<'s>) {
    let Some(len) = js::integer(args.get(0), 0.0, 9_007_199_254_740_991.0) else {
        return js::throw_argument(scope, "the length must be an integer");
    };
    // checked just above
    match v8::SharedArrayBuffer::new(scope, len as usize) {
        Some(b) => ret.set(b.into()),
        None => js::throw_with_code(scope, js::Kind::Range, "ERR_OUT_OF_RANGE", "Array buffer allocation failed"),
    }
}

/// The kind of a descriptor, as an index into the library's list: TCP, TTY, UDP, FILE, PIPE, UNKNOWN, INVALID.
fn guess_handle_type<'s>(scope: &mut Scope<'s, '_>, args: Args<'s>, mut ret: Ret<'s>) {
    let Some(fd) = js::integer(args.get(0), 0.0, 2_147_483_647.0) else {
        return js::throw_argument(scope, "the descriptor must be a non-negative integer");
    };
    // checked just above
    ret.set_uint32(env(scope).sys.handle_type(fd as u32));
}

/// Defines properties of a target that load a built-in when they are first read.
fn define_lazy_properties<'s>(scope: &mut Scope<'s, '_>, args: Args<'s>, _ret: Ret<'s>) {
    let (Ok(target), Ok(id), Ok(keys)) = (
        args.get(0).try_cast::<v8::Object>(),
        args.get(1).try_cast::<v8::String>(),
        args.get(2).try_cast::<v8::Array>(),
    ) else {
        return js::throw_argument(scope, "expected (object, string, array)");
    };
    let enumerable = !args.get(3).is_false();
    for i in 0..keys.length() {
        let Some(name) = keys.get_index(scope, i).and_then(|k| k.try_cast::<v8::Name>().ok()) else {
            return js::throw_argument(scope, "the keys must be strings");
        };
        target.set_lazy_data_property_with_data(
            scope,
            name,
            lazy_property,
            id.into(),
            if enumerable { v8::PropertyAttribute::NONE } else { v8::PropertyAttribute::DONT_ENUM },
            v8::SideEffectType::HasNoSideEffect,
            v8::SideEffectType::HasSideEffect,
        );
    }
}

/// The getter behind `defineLazyProperties`; its data is the built-in's id.
pub(crate) fn lazy_property<'s>(
    scope: &mut Scope<'s, '_>,
    name: v8::Local<'s, v8::Name>,
    args: v8::PropertyCallbackArguments<'s>,
    mut ret: v8::ReturnValue<'_, v8::Value>,
) {
    let env = env(scope);
    let Some(require) = env.root_function(scope, Root::Require) else { return };
    let undefined = js::undefined(scope);
    let Some(exports) = require.call(scope, undefined, &[args.data()]) else { return };
    if let Some(v) = exports.try_cast::<v8::Object>().ok().and_then(|o| o.get(scope, name.into())) {
        ret.set(v);
    }
}

/// `util.parseEnv`: the lines of a `.env` file as an object.
fn parse_env<'s>(scope: &mut Scope<'s, '_>, args: Args<'s>, mut ret: Ret<'s>) {
    let Some(text) = js::rust_string(scope, args.get(0)) else {
        return js::throw_argument(scope, "the content must be a string");
    };
    let o = v8::Object::new(scope);
    for (k, v) in crate::dotenv::parse(&text) {
        let v = js::string(scope, &v);
        js::set(scope, o, &k, v.into());
    }
    ret.set(o.into());
}

pub(super) fn register(r: &mut Registry) {
    r.add("util.getPromiseDetails", get_promise_details);
    r.add("util.getProxyDetails", get_proxy_details);
    r.add("util.getCallerLocation", get_caller_location);
    r.add("util.previewEntries", preview_entries);
    r.add("util.getOwnNonIndexProperties", get_own_non_index_properties);
    r.add("util.getConstructorName", get_constructor_name);
    r.add("util.getCallSites", get_call_sites);
    r.add("util.isInsideNodeModules", is_inside_node_modules);
    r.add("util.sleep", sleep);
    r.add("util.arrayBufferViewHasBuffer", array_buffer_view_has_buffer);
    r.add("util.constructSharedArrayBuffer", construct_shared_array_buffer);
    r.add("util.guessHandleType", guess_handle_type);
    r.add("util.defineLazyProperties", define_lazy_properties);
    r.add("util.parseEnv", parse_env);
}
