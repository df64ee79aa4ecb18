//! Builds a binding from its shape in the artefact: data as it is, natives where we have them, and for the rest inert
//! functions that load silently and say what they are when they are called.

use crate::artefact::Shape;
use crate::env::{Env, Root};
use crate::js::{self, Args, Ret, Scope, Value};
use crate::registry::registry;

/// Called in place of every native that is not built.
pub(crate) fn inert<'s>(scope: &mut Scope<'s, '_>, args: Args<'s>, _ret: Ret<'s>) {
    let what = js::rust_string(scope, args.data()).unwrap_or_default();
    js::throw_with_code(scope, js::Kind::Error, "ENOSYS", &format!("{what} is not built yet"));
}

/// Called in place of a native whose whole effect lies outside of what a guest can see.
pub(crate) fn nothing<'s>(_scope: &mut Scope<'s, '_>, _args: Args<'s>, _ret: Ret<'s>) {}

fn data_of<'s>(scope: &Scope<'s, '_>, path: &str) -> Value<'s> {
    let (binding, rest) = path.split_once('.').unwrap_or((path, ""));
    js::string(scope, &format!("internalBinding('{binding}').{}", rest.replace('#', ".prototype."))).into()
}

fn callback(path: &str) -> (v8::FunctionCallback, bool) {
    let r = registry();
    match r.get(path) {
        Some(c) => (c, true),
        None => (r.get("inert").unwrap_or_else(|| unreachable!("the inert native is registered")), false),
    }
}

/// A native function for the place `path`.
pub(crate) fn function<'s>(scope: &Scope<'s, '_>, path: &str, name: &str) -> Value<'s> {
    let (c, real) = callback(path);
    let data = (!real).then(|| data_of(scope, path));
    js::function(scope, name, c, data)
}

/// A native class for the place `path`. Instances have two internal fields for natives.
fn class<'s>(scope: &Scope<'s, '_>, path: &str, name: &str, methods: &[String], accessors: &[String]) -> Value<'s> {
    let (c, real) = callback(path);
    let mut b = v8::FunctionTemplate::builder_raw(c);
    if !real {
        b = b.data(data_of(scope, path));
    }
    let t = b.build(scope);
    t.set_class_name(js::key(scope, name));
    t.instance_template(scope).set_internal_field_count(2);
    let proto = t.prototype_template(scope);
    for m in methods {
        let path = format!("{path}#{m}");
        let (c, real) = callback(&path);
        let mut b = v8::FunctionTemplate::builder_raw(c).constructor_behavior(v8::ConstructorBehavior::Throw);
        if !real {
            b = b.data(data_of(scope, &path));
        }
        let ft = b.build(scope);
        let k = js::key(scope, m);
        ft.set_class_name(k);
        proto.set(k.into(), ft.into());
    }
    // An accessor that is not built is absent: looking at an object must not throw.
    for a in accessors {
        if let Some(c) = registry().get(&format!("{path}#get {a}")) {
            let getter =
                v8::FunctionTemplate::builder_raw(c).constructor_behavior(v8::ConstructorBehavior::Throw).build(scope);
            proto.set_accessor_property(js::key(scope, a).into(), Some(getter), None, v8::PropertyAttribute::NONE);
        }
    }
    match t.get_function(scope) {
        Some(f) => f.into(),
        None => js::undefined(scope),
    }
}

fn typed_array<'s>(scope: &Scope<'s, '_>, kind: &str, len: usize) -> Option<Value<'s>> {
    // The buffer is made first, so that it never lies inside V8's own heap, where it could move.
    let bytes = |size: usize| Some(v8::ArrayBuffer::new(scope, len.checked_mul(size)?));
    Some(match kind {
        "Uint8Array" => v8::Uint8Array::new(scope, bytes(1)?, 0, len)?.into(),
        "Int32Array" => v8::Int32Array::new(scope, bytes(4)?, 0, len)?.into(),
        "Uint32Array" => v8::Uint32Array::new(scope, bytes(4)?, 0, len)?.into(),
        "Float64Array" => v8::Float64Array::new(scope, bytes(8)?, 0, len)?.into(),
        "BigInt64Array" => v8::BigInt64Array::new(scope, bytes(8)?, 0, len)?.into(),
        "BigUint64Array" => v8::BigUint64Array::new(scope, bytes(8)?, 0, len)?.into(),
        _ => return None,
    })
}

fn private<'s>(scope: &Scope<'s, '_>, name: &str) -> Value<'s> {
    let p = v8::Private::for_api(scope, Some(js::key(scope, name)));
    // SAFETY: a private symbol is a symbol inside V8, and Node's library uses it as a property key like one. Both are one
    // pointer; the cast only changes the static type.
    unsafe { std::mem::transmute::<v8::Local<'s, v8::Private>, Value<'s>>(p) }
}

/// The private symbol `name` (without `node:`), as V8's own type.
pub(crate) fn private_symbol<'s>(scope: &Scope<'s, '_>, name: &str) -> v8::Local<'s, v8::Private> {
    v8::Private::for_api(scope, Some(js::key(scope, name)))
}

/// The value that `shape` describes. `path` names the place, for natives and shared arrays.
pub(crate) fn build<'s>(scope: &Scope<'s, '_>, env: &Env, shape: &Shape, path: &mut String) -> Value<'s> {
    match shape {
        Shape::V { v } => match v {
            serde_json::Value::Bool(b) => js::boolean(scope, *b),
            serde_json::Value::Number(n) => js::num(scope, n.as_f64().unwrap_or(f64::NAN)),
            serde_json::Value::String(s) => js::string(scope, s).into(),
            _ => js::null(scope),
        },
        Shape::Num { v } => js::num(scope, v.parse().unwrap_or(f64::NAN)),
        Shape::U => js::undefined(scope),
        Shape::Big { v } => {
            v.parse::<i64>().map_or_else(|_| js::undefined(scope), |n| v8::BigInt::new_from_i64(scope, n).into())
        }
        Shape::Sym { v } if path.starts_with("util.privateSymbols.") => private(scope, v),
        // One symbol per description in the isolate: bindings share them.
        Shape::Sym { v } => v8::Symbol::for_api(scope, js::key(scope, v)).into(),
        Shape::F { n } => function(scope, path, n),
        Shape::C { n, methods, accessors } => class(scope, path, n, methods, accessors),
        Shape::Ta { c, l } => {
            let Some(a) = typed_array(scope, c, *l) else { return js::undefined(scope) };
            if let Some(root) = Root::aliased(path) {
                env.set_root(scope, root, a);
            }
            a
        }
        Shape::Arr { v } => {
            let items: Vec<Value<'_>> = v.iter().map(|x| build(scope, env, x, path)).collect();
            v8::Array::new_with_elements(scope, &items).into()
        }
        Shape::Map { v } => {
            let m = v8::Map::new(scope);
            for (k, x) in v {
                let (k, x) = (build(scope, env, k, path), build(scope, env, x, path));
                m.set(scope, k, x);
            }
            m.into()
        }
        Shape::O { np, v } => {
            let o = if *np { null_object(scope) } else { v8::Object::new(scope) };
            let len = path.len();
            for (k, x) in v {
                path.push('.');
                path.push_str(k);
                let x = build(scope, env, x, path);
                path.truncate(len);
                js::set(scope, o, k, x);
            }
            o.into()
        }
    }
}

/// An object without a prototype.
pub(crate) fn null_object<'s>(scope: &Scope<'s, '_>) -> js::Object<'s> {
    v8::Object::with_prototype_and_properties(scope, js::null(scope), &[], &[])
}
