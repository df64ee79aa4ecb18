//! The `process` object as Node's C++ makes it, before the library adds the rest.

use crate::artefact::ArtefactError;
use crate::env::{Env, Root, env};
use crate::js::{self, Args, Object, Ret, Scope, Value};
use crate::registry::Registry;
use crate::shape::private_symbol;

/// A plain `process` whose constructor is called `process`.
pub(crate) fn create<'s>(scope: &Scope<'s, '_>, env: &Env) -> Result<Value<'s>, ArtefactError> {
    let table = env.artefact.process()?;
    let damaged = || ArtefactError::Format("no process object can be made from it".into());
    let t =
        v8::FunctionTemplate::builder_raw(crate::registry::registry().get("inert").ok_or_else(damaged)?).build(scope);
    t.set_class_name(js::key(scope, "process"));
    // The instance is made from the template, so the inert constructor is not called.
    let process = t.get_function(scope).and_then(|f| {
        let o = v8::Object::new(scope);
        let proto = js::get(scope, f.into(), "prototype")?;
        o.set_prototype(scope, proto);
        Some(o)
    });
    let process = process.ok_or_else(damaged)?;

    let buffer = v8::ArrayBuffer::new(scope, 12);
    let fields = v8::Int32Array::new(scope, buffer, 0, 3).ok_or_else(damaged)?;
    env.set_root(scope, Root::ExitInfo, fields.into());
    process.set_private(scope, private_symbol(scope, "node:exit_info_private_symbol"), fields.into());

    let version = js::string(scope, &table.version);
    js::set_read_only(scope, process, "version", version.into());
    let versions = v8::Object::new(scope);
    let mut names: Vec<_> = table.versions.iter().collect();
    // `node` first, then by name, as Node prints them.
    names.sort_by_key(|(k, _)| (k.as_str() != "node", k.as_str()));
    for (k, v) in names {
        let v = if k == "v8" { v8::VERSION_STRING } else { v.as_str() };
        let v = js::string(scope, v);
        js::set_read_only(scope, versions, k, v.into());
    }
    js::set_read_only(scope, process, "versions", versions.into());
    let arch = js::string(scope, &table.arch);
    js::set_read_only(scope, process, "arch", arch.into());
    let platform = js::string(scope, &table.platform);
    js::set_read_only(scope, process, "platform", platform.into());
    let release = v8::Object::new(scope);
    for k in ["name", "lts", "sourceUrl", "headersUrl"] {
        if let Some(v) = table.release.get(k) {
            let v = js::string(scope, v);
            js::set_read_only(scope, release, k, v.into());
        }
    }
    js::set_read_only(scope, process, "release", release.into());
    let proxy = super::env_proxy::create(scope).ok_or_else(damaged)?;
    js::set(scope, process, "env", proxy.into());
    Ok(process.into())
}

/// Takes back the claim of OpenSSL. The library looks at it once, while it boots, to decide whether `crypto` may be required
/// at all; it may, though nothing in it is built. Programs look at it to decide what to use.
pub(crate) fn disclaim_openssl(scope: &Scope<'_, '_>, env: &Env) {
    let process = env.root_object(scope, Root::Process);
    let versions = process.and_then(|p| js::get(scope, p, "versions")).and_then(|v| v.try_cast::<v8::Object>().ok());
    if let Some(versions) = versions {
        for k in ["openssl", "ncrypto"] {
            let k = js::key(scope, k);
            versions.delete(scope, k.into());
        }
    }
}

fn strings<'s>(scope: &Scope<'s, '_>, list: &[String]) -> Value<'s> {
    let v: Vec<Value<'_>> = list.iter().map(|s| js::string(scope, s).into()).collect();
    v8::Array::new_with_elements(scope, &v).into()
}

/// `patchProcessObject(process)`: what differs from run to run.
fn patch<'s>(scope: &mut Scope<'s, '_>, args: Args<'s>, _ret: Ret<'s>) {
    let Ok(process) = args.get(0).try_cast::<v8::Object>() else {
        return js::throw_argument(scope, "the process must be an object");
    };
    let env = env(scope);
    let set = |scope: &Scope<'_, '_>, o: Object<'_>, k: &str, v: Value<'_>| js::set(scope, o, k, v);
    let title = js::string(scope, "node");
    set(scope, process, "title", title.into());
    let argv = strings(scope, &env.sys.argv());
    set(scope, process, "argv", argv);
    let exec_argv = strings(scope, &[]);
    set(scope, process, "execArgv", exec_argv);
    let pid = js::num(scope, env.sys.pid().into());
    js::set_read_only(scope, process, "pid", pid);
    let ppid = js::num(scope, env.sys.ppid().into());
    js::set_read_only(scope, process, "ppid", ppid);
    let exec_path = js::string(scope, env.sys.exec_path());
    set(scope, process, "execPath", exec_path.into());
    let port = js::int(scope, 9229);
    set(scope, process, "debugPort", port);
}

pub(super) fn register(r: &mut Registry) {
    r.add("process_methods.patchProcessObject", patch);
}
