//! `internalBinding('async_wrap')`: the stack of asynchronous contexts. The library keeps it in shared arrays and calls here
//! only when they are full.

use crate::env::{Env, Root, env};
use crate::js::{self, Args, Object, Ret, Scope};
use crate::registry::Registry;

// Places in the shared arrays, as Node's library names them.
const STACK_LENGTH: usize = 5; // async_hook_fields[kStackLength]
const CHECK: usize = 6; // async_hook_fields[kCheck]
const EXECUTION_ID: usize = 0; // async_id_fields[kExecutionAsyncId]
const TRIGGER_ID: usize = 1; // async_id_fields[kTriggerAsyncId]
const COUNTER: usize = 2; // async_id_fields[kAsyncIdCounter]
const DEFAULT_TRIGGER_ID: usize = 3; // async_id_fields[kDefaultTriggerAsyncId]
/// Deeper nesting than this is refused: each level is a callback inside a callback.
const STACK_MAX: usize = 1 << 20;

pub(super) fn adjust(scope: &mut Scope<'_, '_>, env: &Env, o: Object<'_>) {
    env.write::<u32>(Root::AsyncHookFields, CHECK, 1);
    env.write::<f64>(Root::AsyncIdFields, COUNTER, 1.0);
    env.write::<f64>(Root::AsyncIdFields, DEFAULT_TRIGGER_ID, -1.0);
    let resources = v8::Array::new(scope, 0);
    js::set(scope, o, "execution_async_resources", resources.into());
    env.set_root(scope, Root::ExecutionResources, resources.into());
    env.set_root(scope, Root::AsyncHooks, o.into());
}

fn grow(scope: &Scope<'_, '_>, env: &Env, len: usize) -> Option<()> {
    let old = env.root(scope, Root::AsyncIdStack)?.try_cast::<v8::Float64Array>().ok()?;
    let size = len.checked_mul(3)?.max(16).checked_mul(2)?;
    let buffer = v8::ArrayBuffer::new(scope, size.checked_mul(8)?);
    let new = v8::Float64Array::new(scope, buffer, 0, size)?;
    let mut bytes = vec![0; old.byte_length()];
    old.copy_contents(&mut bytes);
    js::with_bytes(new.into(), |b| {
        if let Some(b) = b.get_mut(..bytes.len()) {
            b.copy_from_slice(&bytes);
        }
    });
    env.set_root(scope, Root::AsyncIdStack, new.into());
    let o = env.root_object(scope, Root::AsyncHooks)?;
    js::set(scope, o, "async_ids_stack", new.into());
    Some(())
}

/// Enters an asynchronous context.
pub(crate) fn push(scope: &Scope<'_, '_>, env: &Env, id: f64, trigger: f64, resource: Option<js::Value<'_>>) {
    let len = env.read::<u32>(Root::AsyncHookFields, STACK_LENGTH) as usize;
    if len >= STACK_MAX {
        return js::throw_with_code(
            scope,
            js::Kind::Range,
            "ERR_OUT_OF_RANGE",
            "too many nested asynchronous contexts",
        );
    }
    let capacity =
        env.root(scope, Root::AsyncIdStack).and_then(|v| v.try_cast::<v8::TypedArray>().ok()).map_or(0, |a| a.length());
    if len * 2 + 2 > capacity && grow(scope, env, len).is_none() {
        return;
    }
    env.write::<f64>(Root::AsyncIdStack, 2 * len, env.read(Root::AsyncIdFields, EXECUTION_ID));
    env.write::<f64>(Root::AsyncIdStack, 2 * len + 1, env.read(Root::AsyncIdFields, TRIGGER_ID));
    env.write::<u32>(Root::AsyncHookFields, STACK_LENGTH, u32::try_from(len + 1).unwrap_or(u32::MAX));
    env.write::<f64>(Root::AsyncIdFields, EXECUTION_ID, id);
    env.write::<f64>(Root::AsyncIdFields, TRIGGER_ID, trigger);
    if let (Some(r), Some(list)) = (resource, env.root_object(scope, Root::ExecutionResources)) {
        list.set_index(scope, u32::try_from(len).unwrap_or(u32::MAX), r);
    }
}

/// Leaves the context `id`; false when nothing was left to leave.
pub(crate) fn pop(scope: &Scope<'_, '_>, env: &Env, _id: f64) -> bool {
    let len = env.read::<u32>(Root::AsyncHookFields, STACK_LENGTH) as usize;
    let Some(len) = len.checked_sub(1) else { return false };
    env.write::<f64>(Root::AsyncIdFields, EXECUTION_ID, env.read(Root::AsyncIdStack, 2 * len));
    env.write::<f64>(Root::AsyncIdFields, TRIGGER_ID, env.read(Root::AsyncIdStack, 2 * len + 1));
    env.write::<u32>(Root::AsyncHookFields, STACK_LENGTH, u32::try_from(len).unwrap_or(0));
    if let Some(list) = env.root(scope, Root::ExecutionResources).and_then(|v| v.try_cast::<v8::Array>().ok())
        && list.length() as usize > len
    {
        let k = js::key(scope, "length");
        let n = js::num(scope, f64::from(u32::try_from(len).unwrap_or(0)));
        list.set(scope, k.into(), n);
    }
    len > 0
}

/// Forgets all contexts, after an error that was handled.
pub(crate) fn clear(scope: &Scope<'_, '_>, env: &Env) {
    env.write::<f64>(Root::AsyncIdFields, EXECUTION_ID, 0.0);
    env.write::<f64>(Root::AsyncIdFields, TRIGGER_ID, 0.0);
    env.write::<u32>(Root::AsyncHookFields, STACK_LENGTH, 0);
    if let Some(list) = env.root_object(scope, Root::ExecutionResources) {
        let k = js::key(scope, "length");
        let zero = js::int(scope, 0);
        list.set(scope, k.into(), zero);
    }
}

/// The main script runs in asynchronous context 1, which nothing triggered.
pub(crate) fn enter_main(scope: &Scope<'_, '_>, env: &Env) {
    push(scope, env, 1.0, 0.0, None);
}

/// Leaves the main script's context, also after it threw.
pub(crate) fn leave_main(scope: &Scope<'_, '_>, env: &Env) {
    clear(scope, env);
}

fn push_async_context<'s>(scope: &mut Scope<'s, '_>, args: Args<'s>, _ret: Ret<'s>) {
    let (Some(id), Some(trigger)) = (args.get(0).number_value(scope), args.get(1).number_value(scope)) else { return };
    push(scope, &env(scope), id, trigger, Some(args.get(2)));
}

fn pop_async_context<'s>(scope: &mut Scope<'s, '_>, args: Args<'s>, mut ret: Ret<'s>) {
    let Some(id) = args.get(0).number_value(scope) else { return };
    ret.set_bool(pop(scope, &env(scope), id));
}

fn execution_async_resource<'s>(scope: &mut Scope<'s, '_>, args: Args<'s>, mut ret: Ret<'s>) {
    let Some(index) = args.get(0).uint32_value(scope) else { return };
    if let Some(v) = env(scope).root_object(scope, Root::ExecutionResources).and_then(|l| l.get_index(scope, index)) {
        ret.set(v);
    }
}

fn clear_async_id_stack<'s>(scope: &mut Scope<'s, '_>, _args: Args<'s>, _ret: Ret<'s>) {
    clear(scope, &env(scope));
}

fn setup_hooks<'s>(_scope: &mut Scope<'s, '_>, _args: Args<'s>, _ret: Ret<'s>) {
    // The hooks are called for handles that Rust makes; those call the library's functions directly.
}

fn set_callback_trampoline<'s>(scope: &mut Scope<'s, '_>, args: Args<'s>, _ret: Ret<'s>) {
    let f = if args.get(0).is_function() { args.get(0) } else { js::null(scope) };
    env(scope).set_root(scope, Root::AsyncTrampoline, f);
}

fn set_promise_hooks<'s>(scope: &mut Scope<'s, '_>, args: Args<'s>, _ret: Ret<'s>) {
    let hook = |i| args.get(i).try_cast::<v8::Function>().ok();
    scope.set_promise_hooks(hook(0), hook(1), hook(2), hook(3));
}

fn get_async_id<'s>(_scope: &mut Scope<'s, '_>, _args: Args<'s>, mut ret: Ret<'s>) {
    ret.set_double(0.0);
}

fn get_continuation<'s>(scope: &mut Scope<'s, '_>, _args: Args<'s>, mut ret: Ret<'s>) {
    ret.set(scope.get_continuation_preserved_embedder_data());
}

fn set_continuation<'s>(scope: &mut Scope<'s, '_>, args: Args<'s>, _ret: Ret<'s>) {
    scope.set_continuation_preserved_embedder_data(args.get(0));
}

pub(super) fn register(r: &mut Registry) {
    r.add("async_wrap.setupHooks", setup_hooks);
    r.add("async_wrap.setCallbackTrampoline", set_callback_trampoline);
    r.add("async_wrap.pushAsyncContext", push_async_context);
    r.add("async_wrap.popAsyncContext", pop_async_context);
    r.add("async_wrap.executionAsyncResource", execution_async_resource);
    r.add("async_wrap.clearAsyncIdStack", clear_async_id_stack);
    r.add("async_wrap.setPromiseHooks", set_promise_hooks);
    r.add("fs.FSReqCallback#getAsyncId", get_async_id);
    r.add("async_context_frame.getContinuationPreservedEmbedderData", get_continuation);
    r.add("async_context_frame.setContinuationPreservedEmbedderData", set_continuation);
}
