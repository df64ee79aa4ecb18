//! `internalBinding('process_methods')`.

use crate::env::{Root, env};
use crate::js::{self, Args, Ret, Scope};
use crate::registry::Registry;

use super::task_queue::set_function;

// split into 32-bit halves on purpose
fn hrtime<'s>(scope: &mut Scope<'s, '_>, _args: Args<'s>, _ret: Ret<'s>) {
    let env = env(scope);
    let ns = env.sys.monotonic_ns();
    let s = ns / 1_000_000_000;
    env.write::<u32>(Root::Hrtime, 0, (s >> 32) as u32);
    env.write::<u32>(Root::Hrtime, 1, (s & 0xffff_ffff) as u32);
    env.write::<u32>(Root::Hrtime, 2, (ns % 1_000_000_000) as u32);
}

fn hrtime_bigint<'s>(scope: &mut Scope<'s, '_>, _args: Args<'s>, _ret: Ret<'s>) {
    let env = env(scope);
    env.write::<u64>(Root::Hrtime, 0, env.sys.monotonic_ns());
}

fn cwd<'s>(scope: &mut Scope<'s, '_>, _args: Args<'s>, mut ret: Ret<'s>) {
    let env = env(scope);
    match env.sys.cwd() {
        Ok(d) => ret.set(js::string(scope, &d).into()),
        Err(e) => env.throw_uv(scope, e, "uv_cwd", None, None),
    }
}

fn chdir<'s>(scope: &mut Scope<'s, '_>, args: Args<'s>, _ret: Ret<'s>) {
    let Some(dir) = js::rust_string(scope, args.get(0)) else {
        return js::throw_argument(scope, "the directory must be a string");
    };
    let env = env(scope);
    if let Err(e) = env.sys.chdir(&dir) {
        let from = env.sys.cwd().unwrap_or_default();
        env.throw_uv(scope, e, "chdir", Some(from.as_bytes()), Some(dir.as_bytes()));
    }
}

fn umask<'s>(scope: &mut Scope<'s, '_>, args: Args<'s>, mut ret: Ret<'s>) {
    let env = env(scope);
    if args.get(0).is_undefined() {
        return ret.set_uint32(env.sys.umask(None));
    }
    let Some(mask) = js::integer(args.get(0), 0.0, 4_294_967_295.0) else {
        return js::throw_argument(scope, "the mask must be an unsigned integer");
    };
    // checked just above
    ret.set_uint32(env.sys.umask(Some(mask as u32 & 0o777)));
}

fn really_exit<'s>(scope: &mut Scope<'s, '_>, args: Args<'s>, _ret: Ret<'s>) {
    let code = args.get(0).int32_value(scope).unwrap_or(0);
    env(scope).stop(scope, code);
}

fn abort<'s>(scope: &mut Scope<'s, '_>, _args: Args<'s>, _ret: Ret<'s>) {
    env(scope).stop(scope, 134);
}

fn raw_debug<'s>(scope: &mut Scope<'s, '_>, args: Args<'s>, _ret: Ret<'s>) {
    let Some(text) = js::rust_string(scope, args.get(0)) else {
        return js::throw_argument(scope, "the message must be a string");
    };
    env(scope).sys.write_all(2, format!("{text}\n").as_bytes());
}

fn doubles(v: js::Value<'_>, values: &[f64]) {
    js::with_bytes(v, |b| {
        for (to, v) in b.as_chunks_mut::<8>().0.iter_mut().zip(values) {
            *to = v.to_le_bytes();
        }
    });
}

fn memory_usage<'s>(scope: &mut Scope<'s, '_>, args: Args<'s>, _ret: Ret<'s>) {
    let h = scope.get_heap_statistics();
    let (total, used, external) = (h.total_heap_size() as f64, h.used_heap_size() as f64, h.external_memory() as f64);
    doubles(args.get(0), &[total + external, total, used, external, external]);
}

fn rss<'s>(scope: &mut Scope<'s, '_>, _args: Args<'s>, mut ret: Ret<'s>) {
    let h = scope.get_heap_statistics();
    ret.set_double((h.total_heap_size() + h.external_memory()) as f64);
}

fn heap_limit<'s>(scope: &mut Scope<'s, '_>, _args: Args<'s>, mut ret: Ret<'s>) {
    ret.set_double(scope.get_heap_statistics().heap_size_limit() as f64);
}

fn cpu_usage<'s>(scope: &mut Scope<'s, '_>, args: Args<'s>, _ret: Ret<'s>) {
    let user = env(scope).sys.cpu_ns() as f64 / 1e3;
    doubles(args.get(0), &[user, 0.0]);
}

fn resource_usage<'s>(scope: &mut Scope<'s, '_>, args: Args<'s>, _ret: Ret<'s>) {
    let user = env(scope).sys.cpu_ns() as f64 / 1e3;
    let mut v = [0.0; 16];
    v[0] = user;
    doubles(args.get(0), &v);
}

fn uptime<'s>(scope: &mut Scope<'s, '_>, _args: Args<'s>, mut ret: Ret<'s>) {
    let env = env(scope);
    // The time origin is a milestone of `performance`.
    ret.set_double((env.sys.monotonic_ns() as f64 - env.read::<f64>(Root::Milestones, 1)).max(0.0) / 1e9);
}

fn kill<'s>(scope: &mut Scope<'s, '_>, args: Args<'s>, mut ret: Ret<'s>) {
    let (Some(pid), Some(signal)) = (args.get(0).int32_value(scope), args.get(1).int32_value(scope)) else { return };
    ret.set_int32(env(scope).sys.kill(pid, signal).err().map_or(0, |e| -e.0));
}

fn set_emit_warning_sync<'s>(scope: &mut Scope<'s, '_>, args: Args<'s>, _ret: Ret<'s>) {
    set_function(scope, args, Root::EmitWarningSync);
}

fn empty_array<'s>(scope: &mut Scope<'s, '_>, _args: Args<'s>, mut ret: Ret<'s>) {
    ret.set(v8::Array::new(scope, 0).into());
}

/// `process.loadEnvFile(path)`: what is set already stays.
fn load_env_file<'s>(scope: &mut Scope<'s, '_>, args: Args<'s>, _ret: Ret<'s>) {
    let path = js::rust_string(scope, args.get(0)).unwrap_or_else(|| ".env".into());
    let env = env(scope);
    match env.sys.read_file(path.as_bytes()) {
        Ok(text) => {
            for (k, v) in crate::dotenv::parse(&String::from_utf8_lossy(&text)) {
                if env.sys.getenv(&k).is_none() {
                    env.sys.setenv(&k, &v);
                }
            }
        }
        Err(e) => env.throw_uv(scope, e, "open", Some(path.as_bytes()), None),
    }
}

pub(super) fn register(r: &mut Registry) {
    r.add("process_methods.hrtime", hrtime);
    r.add("process_methods.hrtimeBigInt", hrtime_bigint);
    r.add("process_methods.cwd", cwd);
    r.add("process_methods.chdir", chdir);
    r.add("process_methods.umask", umask);
    r.add("process_methods.reallyExit", really_exit);
    r.add("process_methods.abort", abort);
    r.add("process_methods._rawDebug", raw_debug);
    r.add("process_methods.memoryUsage", memory_usage);
    r.add("process_methods.rss", rss);
    r.add("process_methods.constrainedMemory", heap_limit);
    r.add("process_methods.availableMemory", heap_limit);
    r.add("process_methods.cpuUsage", cpu_usage);
    r.add("process_methods.threadCpuUsage", cpu_usage);
    r.add("process_methods.resourceUsage", resource_usage);
    r.add("process_methods.uptime", uptime);
    r.add("process_methods._kill", kill);
    r.add("process_methods.setEmitWarningSync", set_emit_warning_sync);
    r.add("process_methods._getActiveRequests", empty_array);
    r.add("process_methods._getActiveHandles", empty_array);
    r.add("process_methods.getActiveResourcesInfo", empty_array);
    r.add("process_methods.loadEnvFile", load_env_file);
}
