//! `internalBinding('builtins')`: the library's own sources.

use crate::env::{Env, Root, env};
use crate::js::{self, Args, Object, Ret, Scope};
use crate::registry::Registry;

fn compile_function<'s>(scope: &mut Scope<'s, '_>, args: Args<'s>, mut ret: Ret<'s>) {
    let Some(id) = js::rust_string(scope, args.get(0)) else {
        return js::throw_argument(scope, "the built-in's id must be a string");
    };
    if let Some(f) = crate::realm::compile(scope, &id) {
        ret.set(f.into());
    }
}

fn set_internal_loaders<'s>(scope: &mut Scope<'s, '_>, args: Args<'s>, _ret: Ret<'s>) {
    let env = env(scope);
    if !args.get(0).is_function() || !args.get(1).is_function() {
        return js::throw_argument(scope, "the loaders must be functions");
    }
    // The library sets them once; a guest that reaches the binding later must not replace them.
    if env.root(scope, Root::InternalBinding).is_none() {
        env.set_root(scope, Root::InternalBinding, args.get(0));
        env.set_root(scope, Root::Require, args.get(1));
    }
}

fn has_cached_builtins<'s>(_scope: &mut Scope<'s, '_>, _args: Args<'s>, mut ret: Ret<'s>) {
    ret.set_bool(true);
}

fn natives<'s>(scope: &mut Scope<'s, '_>, _args: Args<'s>, mut ret: Ret<'s>) {
    let env = env(scope);
    let o = v8::Object::new(scope);
    for id in env.artefact.ids() {
        let text = env.artefact.index_of(id).and_then(|i| env.artefact.source(i));
        if let Some(t) = text.and_then(|s| crate::realm::source_string(scope, s)) {
            js::set(scope, o, id, t.into());
        }
    }
    ret.set(o.into());
}

pub(super) fn adjust(scope: &mut Scope<'_, '_>, env: &Env, o: Object<'_>) {
    let ids: Vec<js::Value<'_>> = env.artefact.ids().iter().map(|id| js::string(scope, id).into()).collect();
    let ids = v8::Array::new_with_elements(scope, &ids);
    js::set(scope, o, "builtinIds", ids.into());
    // An accessor: nearly nobody asks, and the answer is large.
    if let Some(c) = crate::registry::registry().get("builtins.natives") {
        let getter = js::function(scope, "natives", c, None);
        let d = v8::PropertyDescriptor::new_from_get_set(getter, js::undefined(scope));
        let k = js::key(scope, "natives");
        o.define_property(scope, k.into(), &d);
    }
}

pub(super) fn register(r: &mut Registry) {
    r.add("builtins.compileFunction", compile_function);
    r.add("builtins.setInternalLoaders", set_internal_loaders);
    r.add("builtins.hasCachedBuiltins", has_cached_builtins);
    r.add("builtins.natives", natives);
}
