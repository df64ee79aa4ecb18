//! `internalBinding('crypto')`: the two calls that the library makes while it loads. Nothing else of it is built.

use crate::js::{self, Args, Ret, Scope};
use crate::registry::Registry;

/// Gives `callback` a native base class to derive from, and answers what it answers.
fn class_for<'s>(scope: &mut Scope<'s, '_>, args: &Args<'s>, ret: &mut Ret<'s>, name: &str) {
    let Ok(callback) = args.get(0).try_cast::<v8::Function>() else {
        return js::throw_argument(scope, "the callback must be a function");
    };
    let Some(raw) = crate::registry::registry().get("inert") else { return };
    let what = js::string(scope, &format!("internalBinding('crypto').{name}"));
    let template = v8::FunctionTemplate::builder_raw(raw).data(what.into()).build(scope);
    template.set_class_name(js::key(scope, name));
    let Some(class) = template.get_function(scope) else { return };
    let undefined = js::undefined(scope);
    if let Some(v) = callback.call(scope, undefined, &[class.into()]) {
        ret.set(v);
    }
}

fn native_key_object<'s>(scope: &mut Scope<'s, '_>, args: Args<'s>, mut ret: Ret<'s>) {
    class_for(scope, &args, &mut ret, "NativeKeyObject");
}

fn crypto_key<'s>(scope: &mut Scope<'s, '_>, args: Args<'s>, mut ret: Ret<'s>) {
    class_for(scope, &args, &mut ret, "NativeCryptoKey");
}

fn fips<'s>(_scope: &mut Scope<'s, '_>, _args: Args<'s>, mut ret: Ret<'s>) {
    ret.set_int32(0);
}

pub(super) fn register(r: &mut Registry) {
    r.add("crypto.createNativeKeyObjectClass", native_key_object);
    r.add("crypto.createCryptoKeyClass", crypto_key);
    r.add("crypto.getFipsCrypto", fips);
}
