//! `internalBinding('v8')`, `mksnapshot`, `trace_events`, `options`, `config`, `uv`, `permission`, `report`: small ones.

use crate::env::{Root, env};
use crate::js::{self, Args, Ret, Scope};
use crate::registry::Registry;
use crate::shape::nothing;
use crate::sys::Entry;

fn heap_statistics<'s>(scope: &mut Scope<'s, '_>, _args: Args<'s>, _ret: Ret<'s>) {
    let h = scope.get_heap_statistics();
    let fields = [
        h.total_heap_size(),
        h.total_heap_size_executable(),
        h.total_physical_size(),
        h.total_available_size(),
        h.used_heap_size(),
        h.heap_size_limit(),
        h.malloced_memory(),
        h.peak_malloced_memory(),
        usize::from(h.does_zap_garbage()),
        h.number_of_native_contexts(),
        h.number_of_detached_contexts(),
        h.total_global_handles_size(),
        h.used_global_handles_size(),
        h.external_memory(),
    ];
    let env = env(scope);
    for (i, f) in fields.into_iter().enumerate() {
        env.write::<f64>(Root::HeapStatistics, i, f as f64);
    }
}

fn cached_data_version_tag<'s>(_scope: &mut Scope<'s, '_>, _args: Args<'s>, mut ret: Ret<'s>) {
    ret.set_uint32(v8::script_compiler::cached_data_version_tag());
}

fn is_one_byte<'s>(_scope: &mut Scope<'s, '_>, args: Args<'s>, mut ret: Ret<'s>) {
    ret.set_bool(args.get(0).try_cast::<v8::String>().is_ok_and(|s| s.is_onebyte()));
}

fn no<'s>(_scope: &mut Scope<'s, '_>, _args: Args<'s>, mut ret: Ret<'s>) {
    ret.set_bool(false);
}

fn yes<'s>(_scope: &mut Scope<'s, '_>, _args: Args<'s>, mut ret: Ret<'s>) {
    ret.set_bool(true);
}

fn empty_string<'s>(_scope: &mut Scope<'s, '_>, _args: Args<'s>, mut ret: Ret<'s>) {
    ret.set_empty_string();
}

fn category_buffer<'s>(scope: &mut Scope<'s, '_>, _args: Args<'s>, mut ret: Ret<'s>) {
    let b = v8::ArrayBuffer::new(scope, 1);
    if let Some(a) = v8::Uint8Array::new(scope, b, 0, 1) {
        ret.set(a.into());
    }
}

macro_rules! tables {
    ($($f:ident $name:literal;)*) => {
        $(fn $f<'s>(scope: &mut Scope<'s, '_>, _args: Args<'s>, mut ret: Ret<'s>) {
            let env = env(scope);
            match env.artefact.result($name) {
                Ok(Some(s)) => ret.set(crate::shape::build(scope, &env, &s, &mut $name.to_owned())),
                Ok(None) => js::throw_with_code(scope, js::Kind::Error, "ENOSYS", concat!($name, " is not built yet")),
                Err(e) => js::throw_error(scope, &e.to_string()),
            }
        })*
        fn register_tables(r: &mut Registry) {
            $(r.add($name, $f);)*
        }
    };
}

/// The options of this run: Node's defaults, and what the command line said.
fn cli_options_values<'s>(scope: &mut Scope<'s, '_>, _args: Args<'s>, mut ret: Ret<'s>) {
    let env = env(scope);
    let name = "options.getCLIOptionsValues";
    let shape = match env.artefact.result(name) {
        Ok(Some(s)) => s,
        Ok(None) => return js::throw_with_code(scope, js::Kind::Error, "ENOSYS", "the artefact has no options"),
        Err(e) => return js::throw_error(scope, &e.to_string()),
    };
    let values = crate::shape::build(scope, &env, &shape, &mut name.to_owned());
    if let (Entry::Text { code, print }, Ok(o)) = (env.sys.program(), values.try_cast::<v8::Object>()) {
        let code = js::string(scope, code);
        js::set(scope, o, "--eval", code.into());
        let print = js::boolean(scope, *print);
        js::set(scope, o, "--print", print);
    }
    ret.set(values);
}

tables! {
    cli_options_info "options.getCLIOptionsInfo";
    embedder_options "options.getEmbedderOptions";
    env_options_input_type "options.getEnvOptionsInputType";
    namespace_options_input_type "options.getNamespaceOptionsInputType";
    error_map "uv.getErrorMap";
}

fn options_as_flags<'s>(scope: &mut Scope<'s, '_>, _args: Args<'s>, mut ret: Ret<'s>) {
    ret.set(v8::Array::new(scope, 0).into());
}

fn errname<'s>(scope: &mut Scope<'s, '_>, args: Args<'s>, mut ret: Ret<'s>) {
    let Some(n) = args.get(0).int32_value(scope) else { return };
    let env = env(scope);
    let name = env.sys_error(n.saturating_neg()).0;
    ret.set(js::string(scope, &name).into());
}

fn default_locale<'s>(scope: &mut Scope<'s, '_>, _args: Args<'s>, mut ret: Ret<'s>) {
    ret.set(js::string(scope, "en-US").into());
}

/// What a `Serializer` has written: its header alone, because writing values is not built (`writeValue` says so).
fn serializer_buffer<'s>(scope: &mut Scope<'s, '_>, _args: Args<'s>, mut ret: Ret<'s>) {
    ret.set(super::codec::buffer_of(scope, vec![0xff, 0x0f]));
}

/// Defines `DOMException` on a target when it is first read.
fn expose_dom_exception<'s>(scope: &mut Scope<'s, '_>, args: Args<'s>, _ret: Ret<'s>) {
    let Ok(target) = args.get(0).try_cast::<v8::Object>() else {
        return js::throw_argument(scope, "the target must be an object");
    };
    let class = env(scope).root_object(scope, Root::PerContextExports).and_then(|e| js::get(scope, e, "DOMException"));
    if let Some(c) = class {
        let k = js::key(scope, "DOMException");
        target.define_own_property(scope, k.into(), c, v8::PropertyAttribute::DONT_ENUM);
    }
}

pub(super) fn register(r: &mut Registry) {
    register_tables(r);
    r.add("options.getCLIOptionsValues", cli_options_values);
    r.add("v8.updateHeapStatisticsBuffer", heap_statistics);
    r.add("v8.cachedDataVersionTag", cached_data_version_tag);
    r.add("v8.isStringOneByteRepresentation", is_one_byte);
    r.add("trace_events.isTraceCategoryEnabled", no);
    r.add("trace_events.getCategoryEnabledBuffer", category_buffer);
    r.add("trace_events.getEnabledCategories", nothing);
    r.add("permission.has", yes);
    r.add("sea.isSea", no);
    r.add("sea.isExperimentalSeaWarningNeeded", no);
    r.add("options.getOptionsAsFlags", options_as_flags);
    r.add("uv.errname", errname);
    r.add("config.getDefaultLocale", default_locale);
    r.add("messaging.exposeLazyDOMExceptionProperty", expose_dom_exception);
    r.add("report.shouldReportOnUncaughtException", no);
    r.add("report.setReportOnUncaughtException", nothing);
    r.add("serdes.Serializer#releaseBuffer", serializer_buffer);
    r.add("report.getDirectory", empty_string);
    r.add("report.getFilename", empty_string);
}
