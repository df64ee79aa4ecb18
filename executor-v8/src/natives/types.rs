//! `internalBinding('types')`: what kind of value something is.

use crate::js::{Args, Ret, Scope};
use crate::registry::Registry;

macro_rules! predicates {
    ($($name:literal $f:ident $method:ident;)*) => {
        $(fn $f<'s>(_scope: &mut Scope<'s, '_>, args: Args<'s>, mut ret: Ret<'s>) {
            ret.set_bool(args.get(0).$method());
        })*
        fn register_predicates(r: &mut Registry) {
            $(r.add($name, $f);)*
        }
    };
}

predicates! {
    "types.isArgumentsObject" is_arguments is_arguments_object;
    "types.isArrayBuffer" is_array_buffer is_array_buffer;
    "types.isAsyncFunction" is_async_function is_async_function;
    "types.isBigIntObject" is_bigint_object is_big_int_object;
    "types.isBooleanObject" is_boolean_object is_boolean_object;
    "types.isDataView" is_data_view is_data_view;
    "types.isDate" is_date is_date;
    "types.isExternal" is_external is_external;
    "types.isGeneratorFunction" is_generator_function is_generator_function;
    "types.isGeneratorObject" is_generator_object is_generator_object;
    "types.isMap" is_map is_map;
    "types.isMapIterator" is_map_iterator is_map_iterator;
    "types.isModuleNamespaceObject" is_module_namespace is_module_namespace_object;
    "types.isNativeError" is_native_error is_native_error;
    "types.isNumberObject" is_number_object is_number_object;
    "types.isPromise" is_promise is_promise;
    "types.isProxy" is_proxy is_proxy;
    "types.isRegExp" is_regexp is_reg_exp;
    "types.isSet" is_set is_set;
    "types.isSetIterator" is_set_iterator is_set_iterator;
    "types.isSharedArrayBuffer" is_shared_array_buffer is_shared_array_buffer;
    "types.isStringObject" is_string_object is_string_object;
    "types.isSymbolObject" is_symbol_object is_symbol_object;
    "types.isWeakMap" is_weak_map is_weak_map;
    "types.isWeakSet" is_weak_set is_weak_set;
}

fn is_any_array_buffer<'s>(_scope: &mut Scope<'s, '_>, args: Args<'s>, mut ret: Ret<'s>) {
    let v = args.get(0);
    ret.set_bool(v.is_array_buffer() || v.is_shared_array_buffer());
}

fn is_boxed_primitive<'s>(_scope: &mut Scope<'s, '_>, args: Args<'s>, mut ret: Ret<'s>) {
    let v = args.get(0);
    ret.set_bool(
        v.is_number_object()
            || v.is_string_object()
            || v.is_boolean_object()
            || v.is_big_int_object()
            || v.is_symbol_object(),
    );
}

fn is_event_target<'s>(_scope: &mut Scope<'s, '_>, _args: Args<'s>, mut ret: Ret<'s>) {
    ret.set_bool(false);
}

pub(super) fn register(r: &mut Registry) {
    register_predicates(r);
    r.add("types.isAnyArrayBuffer", is_any_array_buffer);
    r.add("types.isBoxedPrimitive", is_boxed_primitive);
    r.add("types.isEventTarget", is_event_target);
}
