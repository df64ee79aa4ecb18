//! `process.env`: an object whose properties are the process's environment.

use v8::{Intercepted, Local, MapFnTo, PropertyCallbackArguments, ReturnValue};

use crate::env::env;
use crate::js::{self, Object, Scope};

fn name_of(scope: &Scope<'_, '_>, key: Local<'_, v8::Name>) -> Option<String> {
    let s = key.try_cast::<v8::String>().ok()?;
    Some(s.to_rust_string_lossy(scope))
}

fn get<'s>(
    scope: &mut Scope<'s, '_>,
    key: Local<'s, v8::Name>,
    _args: PropertyCallbackArguments<'s>,
    mut ret: ReturnValue<'_, v8::Value>,
) -> Intercepted {
    let Some(value) = name_of(scope, key).and_then(|n| env(scope).sys.getenv(&n)) else { return Intercepted::kNo };
    ret.set(js::string(scope, &value).into());
    Intercepted::kYes
}

fn set<'s>(
    scope: &mut Scope<'s, '_>,
    key: Local<'s, v8::Name>,
    value: Local<'s, v8::Value>,
    _args: PropertyCallbackArguments<'s>,
    mut ret: ReturnValue<'_, v8::Boolean>,
) -> Intercepted {
    let Some(name) = name_of(scope, key) else {
        js::throw_with_code(scope, js::Kind::Type, "ERR_INVALID_ARG_TYPE", "Cannot convert a Symbol value to a string");
        return Intercepted::kYes;
    };
    // The conversion may run the guest's `toString` and throw.
    let Some(value) = js::display(scope, value) else { return Intercepted::kYes };
    env(scope).sys.setenv(&name, &value);
    ret.set_bool(true);
    Intercepted::kYes
}

fn query<'s>(
    scope: &mut Scope<'s, '_>,
    key: Local<'s, v8::Name>,
    _args: PropertyCallbackArguments<'s>,
    mut ret: ReturnValue<'_, v8::Integer>,
) -> Intercepted {
    if name_of(scope, key).and_then(|n| env(scope).sys.getenv(&n)).is_none() {
        return Intercepted::kNo;
    }
    ret.set_uint32(0);
    Intercepted::kYes
}

fn delete<'s>(
    scope: &mut Scope<'s, '_>,
    key: Local<'s, v8::Name>,
    _args: PropertyCallbackArguments<'s>,
    mut ret: ReturnValue<'_, v8::Boolean>,
) -> Intercepted {
    if let Some(name) = name_of(scope, key) {
        env(scope).sys.unsetenv(&name);
    }
    // Deleting what is not there succeeds, as everywhere in JavaScript.
    ret.set_bool(true);
    Intercepted::kYes
}

fn enumerate<'s>(scope: &mut Scope<'s, '_>, _args: PropertyCallbackArguments<'s>, mut ret: ReturnValue<'_, v8::Array>) {
    let names: Vec<Local<'_, v8::Value>> =
        env(scope).sys.env_names().iter().map(|n| js::string(scope, n).into()).collect();
    ret.set(v8::Array::new_with_elements(scope, &names));
}

fn define<'s>(
    scope: &mut Scope<'s, '_>,
    key: Local<'s, v8::Name>,
    d: &v8::PropertyDescriptor,
    args: PropertyCallbackArguments<'s>,
    ret: ReturnValue<'_, v8::Boolean>,
) -> Intercepted {
    let refuse = |scope: &Scope<'_, '_>, message: &str| {
        js::throw_with_code(scope, js::Kind::Type, "ERR_INVALID_OBJECT_DEFINE_PROPERTY", message);
        Intercepted::kYes
    };
    if d.has_get() || d.has_set() {
        return refuse(scope, "'process.env' does not accept an accessor(getter/setter) descriptor");
    }
    if !d.has_value() {
        return refuse(scope, "'process.env' only accepts a configurable, writable, and enumerable data descriptor");
    }
    let all = d.has_configurable()
        && d.configurable()
        && d.has_writable()
        && d.writable()
        && d.has_enumerable()
        && d.enumerable();
    if !all {
        return refuse(scope, "'process.env' only accepts a configurable, writable, and enumerable data descriptor");
    }
    let value = Local::new(scope, d.value());
    set(scope, key, value, args, ret)
}

/// The object itself.
pub(super) fn create<'s>(scope: &Scope<'s, '_>) -> Option<Object<'s>> {
    let t = v8::ObjectTemplate::new(scope);
    t.set_named_property_handler(
        v8::NamedPropertyHandlerConfiguration::new()
            .getter(get)
            .setter(set)
            .query(query)
            .deleter(delete)
            .enumerator(enumerate)
            .definer(define)
            .flags(v8::PropertyHandlerFlags::HAS_NO_SIDE_EFFECT),
    );
    t.new_instance(scope)
}

/// The callbacks that a snapshot must be able to name, besides the natives.
pub(crate) fn external_references() -> Vec<v8::ExternalReference> {
    vec![
        v8::ExternalReference { named_getter: get.map_fn_to() },
        v8::ExternalReference { named_setter: set.map_fn_to() },
        v8::ExternalReference { named_query: query.map_fn_to() },
        v8::ExternalReference { named_deleter: delete.map_fn_to() },
        v8::ExternalReference { enumerator: enumerate.map_fn_to() },
        v8::ExternalReference { named_definer: define.map_fn_to() },
        v8::ExternalReference {
            pointer: {
                let f: v8::AccessorNameGetterCallback = super::util::lazy_property.map_fn_to();
                f as *mut std::ffi::c_void
            },
        },
    ]
}
