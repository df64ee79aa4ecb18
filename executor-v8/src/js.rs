//! Small helpers over V8's API, so that natives read as what they do.

pub(crate) type Scope<'s, 'i> = v8::PinScope<'s, 'i>;
pub(crate) type Args<'s> = v8::FunctionCallbackArguments<'s>;
pub(crate) type Ret<'s> = v8::ReturnValue<'s, v8::Value>;
pub(crate) type Value<'s> = v8::Local<'s, v8::Value>;
pub(crate) type Object<'s> = v8::Local<'s, v8::Object>;

/// A string; the empty one where V8 refuses (longer than its limit), which no caller's text reaches.
pub(crate) fn string<'s>(scope: &Scope<'s, '_>, s: &str) -> v8::Local<'s, v8::String> {
    let made = if s.is_ascii() {
        v8::String::new_from_one_byte(scope, s.as_bytes(), v8::NewStringType::Normal)
    } else {
        v8::String::new(scope, s)
    };
    made.unwrap_or_else(|| v8::String::empty(scope))
}

/// An internalised string, for property names.
pub(crate) fn key<'s>(scope: &Scope<'s, '_>, s: &str) -> v8::Local<'s, v8::String> {
    v8::String::new_from_utf8(scope, s.as_bytes(), v8::NewStringType::Internalized)
        .unwrap_or_else(|| v8::String::empty(scope))
}

/// A string from bytes that may not be UTF-8; what is malformed becomes U+FFFD, as in Node.
pub(crate) fn string_lossy<'s>(scope: &Scope<'s, '_>, bytes: &[u8]) -> Option<v8::Local<'s, v8::String>> {
    if bytes.is_ascii() {
        v8::String::new_from_one_byte(scope, bytes, v8::NewStringType::Normal)
    } else {
        v8::String::new_from_utf8(scope, bytes, v8::NewStringType::Normal)
    }
}

pub(crate) fn num<'s>(scope: &Scope<'s, '_>, n: f64) -> Value<'s> {
    v8::Number::new(scope, n).into()
}

pub(crate) fn int<'s>(scope: &Scope<'s, '_>, n: i32) -> Value<'s> {
    v8::Integer::new(scope, n).into()
}

pub(crate) fn boolean<'s>(scope: &Scope<'s, '_>, b: bool) -> Value<'s> {
    v8::Boolean::new(scope, b).into()
}

pub(crate) fn undefined<'s>(scope: &Scope<'s, '_>) -> Value<'s> {
    v8::undefined(scope).into()
}

pub(crate) fn null<'s>(scope: &Scope<'s, '_>) -> Value<'s> {
    v8::null(scope).into()
}

/// Sets a data property; a failure (a pending exception) is left for the caller's caller.
pub(crate) fn set(scope: &Scope<'_, '_>, o: Object<'_>, name: &str, v: Value<'_>) {
    let k = key(scope, name);
    o.create_data_property(scope, k.into(), v);
}

/// Sets a read-only property.
pub(crate) fn set_read_only(scope: &Scope<'_, '_>, o: Object<'_>, name: &str, v: Value<'_>) {
    let k = key(scope, name);
    o.define_own_property(scope, k.into(), v, v8::PropertyAttribute::READ_ONLY);
}

pub(crate) fn get<'s>(scope: &Scope<'s, '_>, o: Object<'_>, name: &str) -> Option<Value<'s>> {
    let k = key(scope, name);
    o.get(scope, k.into())
}

/// A function over a raw callback, without a prototype, named `name`.
pub(crate) fn function<'s>(
    scope: &Scope<'s, '_>,
    name: &str,
    callback: v8::FunctionCallback,
    data: Option<Value<'s>>,
) -> Value<'s> {
    let mut b = v8::FunctionTemplate::builder_raw(callback).constructor_behavior(v8::ConstructorBehavior::Throw);
    if let Some(d) = data {
        b = b.data(d);
    }
    let t = b.build(scope);
    let k = key(scope, name);
    t.set_class_name(k);
    match t.get_function(scope) {
        Some(f) => {
            f.set_name(k);
            f.into()
        }
        None => undefined(scope),
    }
}

fn throw(scope: &Scope<'_, '_>, e: Value<'_>) {
    // The exception lives in the isolate from here on.
    let e = v8::Local::new(scope, e);
    scope.throw_exception(e);
}

pub(crate) fn throw_error(scope: &Scope<'_, '_>, message: &str) {
    let m = string(scope, message);
    let e = v8::Exception::error(scope, m);
    throw(scope, e);
}

/// Throws as Node's C++ does: `name [code]`-less message with a `code` property.
pub(crate) fn throw_with_code(scope: &Scope<'_, '_>, kind: Kind, code: &str, message: &str) {
    let m = string(scope, message);
    let e = match kind {
        Kind::Error => v8::Exception::error(scope, m),
        Kind::Type => v8::Exception::type_error(scope, m),
        Kind::Range => v8::Exception::range_error(scope, m),
    };
    if let Ok(o) = e.try_cast::<v8::Object>() {
        let c = string(scope, code);
        set(scope, o, "code", c.into());
    }
    throw(scope, e);
}

/// The constructor of an error.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    Error,
    Type,
    Range,
}

/// A wrong argument from the library or from a guest that reached a native directly.
pub(crate) fn throw_argument(scope: &Scope<'_, '_>, message: &str) {
    throw_with_code(scope, Kind::Type, "ERR_INVALID_ARG_TYPE", message);
}

/// The bytes of a view or buffer, while `f` runs. `None` when `v` is neither. `f` must not call JavaScript: it could detach
/// or resize what is borrowed.
pub(crate) fn with_bytes<T>(v: Value<'_>, f: impl FnOnce(&mut [u8]) -> T) -> Option<T> {
    if let Ok(view) = v.try_cast::<v8::ArrayBufferView>() {
        let (data, len) = (view.data().cast::<u8>(), view.byte_length());
        if len == 0 || data.is_null() {
            return Some(f(&mut []));
        }
        // SAFETY: V8 guarantees `len` bytes at the view's data pointer until JavaScript runs again, which `f` does not do;
        // the isolate's thread is the only one with access unless the buffer is shared, where a race is the guest's own and
        // stays within the same bytes.
        return Some(f(unsafe { std::slice::from_raw_parts_mut(data, len) }));
    }
    let (data, len) = if let Ok(b) = v.try_cast::<v8::ArrayBuffer>() {
        (b.data(), b.byte_length())
    } else if let Ok(b) = v.try_cast::<v8::SharedArrayBuffer>() {
        (b.get_backing_store().data(), b.byte_length())
    } else {
        return None;
    };
    match data {
        // SAFETY: as above, for the whole buffer.
        Some(p) if len > 0 => Some(f(unsafe { std::slice::from_raw_parts_mut(p.as_ptr().cast::<u8>(), len) })),
        _ => Some(f(&mut [])),
    }
}

/// A Rust string of `v` if it is a string.
pub(crate) fn rust_string(scope: &Scope<'_, '_>, v: Value<'_>) -> Option<String> {
    let s = v.try_cast::<v8::String>().ok()?;
    Some(s.to_rust_string_lossy(scope))
}

/// Text of any value for messages; never runs guest code for strings, may for objects.
pub(crate) fn display(scope: &Scope<'_, '_>, v: Value<'_>) -> Option<String> {
    v.to_string(scope).map(|s| s.to_rust_string_lossy(scope))
}

/// A finite integer argument within `min..=max`.
pub(crate) fn integer(v: Value<'_>, min: f64, max: f64) -> Option<f64> {
    let n = v.try_cast::<v8::Number>().ok()?.value();
    (n.fract() == 0.0 && n >= min && n <= max).then_some(n)
}
