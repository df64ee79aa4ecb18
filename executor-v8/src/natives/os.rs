//! `internalBinding('os')` and `internalBinding('credentials')`: what the VM says about itself.

use crate::env::env;
use crate::js::{self, Args, Ret, Scope};
use crate::registry::Registry;

fn os_information<'s>(scope: &mut Scope<'s, '_>, _args: Args<'s>, mut ret: Ret<'s>) {
    // sysname, version, release, machine: what uname(2) of the VM answers.
    let parts = ["Linux", "#1 SMP Eyot", "6.1.0-eyot", "x86_64"].map(|s| js::string(scope, s).into());
    ret.set(v8::Array::new_with_elements(scope, &parts).into());
}

fn hostname<'s>(scope: &mut Scope<'s, '_>, _args: Args<'s>, mut ret: Ret<'s>) {
    ret.set(js::string(scope, &env(scope).sys.hostname()).into());
}

fn home<'s>(scope: &mut Scope<'s, '_>, _args: Args<'s>, mut ret: Ret<'s>) {
    let home = env(scope).sys.getenv("HOME").unwrap_or_else(|| "/home/user".into());
    ret.set(js::string(scope, &home).into());
}

fn uptime<'s>(scope: &mut Scope<'s, '_>, _args: Args<'s>, mut ret: Ret<'s>) {
    ret.set_double(env(scope).sys.monotonic_ns() as f64 / 1e9);
}

fn cpus<'s>(scope: &mut Scope<'s, '_>, _args: Args<'s>, mut ret: Ret<'s>) {
    // One processor is what a process of one thread sees; seven values for each.
    let mut v = vec![js::string(scope, "eyot").into()];
    v.extend((0..6).map(|_| js::int(scope, 0)));
    ret.set(v8::Array::new_with_elements(scope, &v).into());
}

fn available_parallelism<'s>(_scope: &mut Scope<'s, '_>, _args: Args<'s>, mut ret: Ret<'s>) {
    ret.set_uint32(1);
}

fn load_average<'s>(_scope: &mut Scope<'s, '_>, args: Args<'s>, _ret: Ret<'s>) {
    js::with_bytes(args.get(0), |b| b.fill(0));
}

fn total_memory<'s>(scope: &mut Scope<'s, '_>, _args: Args<'s>, mut ret: Ret<'s>) {
    ret.set_double(scope.get_heap_statistics().heap_size_limit() as f64);
}

fn free_memory<'s>(scope: &mut Scope<'s, '_>, _args: Args<'s>, mut ret: Ret<'s>) {
    let h = scope.get_heap_statistics();
    ret.set_double(h.heap_size_limit().saturating_sub(h.used_heap_size()) as f64);
}

fn user_info<'s>(scope: &mut Scope<'s, '_>, _args: Args<'s>, mut ret: Ret<'s>) {
    let env = env(scope);
    let o = crate::shape::null_object(scope);
    let (uid, gid) = (env.sys.uid(), env.sys.gid());
    let v = js::num(scope, uid.into());
    js::set(scope, o, "uid", v);
    let v = js::num(scope, gid.into());
    js::set(scope, o, "gid", v);
    let name = env.sys.getenv("USER").unwrap_or_else(|| if uid == 0 { "root".into() } else { "user".into() });
    let v = js::string(scope, &name);
    js::set(scope, o, "username", v.into());
    let v = js::string(scope, &env.sys.getenv("HOME").unwrap_or_else(|| "/home/user".into()));
    js::set(scope, o, "homedir", v.into());
    let v = js::string(scope, &env.sys.getenv("SHELL").unwrap_or_else(|| "/bin/sh".into()));
    js::set(scope, o, "shell", v.into());
    ret.set(o.into());
}

fn no_interfaces<'s>(scope: &mut Scope<'s, '_>, _args: Args<'s>, mut ret: Ret<'s>) {
    ret.set(v8::Array::new(scope, 0).into());
}

fn get_priority<'s>(_scope: &mut Scope<'s, '_>, _args: Args<'s>, mut ret: Ret<'s>) {
    ret.set_int32(0);
}

fn safe_getenv<'s>(scope: &mut Scope<'s, '_>, args: Args<'s>, mut ret: Ret<'s>) {
    let Some(name) = js::rust_string(scope, args.get(0)) else {
        return js::throw_argument(scope, "the name must be a string");
    };
    if let Some(v) = env(scope).sys.getenv(&name) {
        ret.set(js::string(scope, &v).into());
    }
}

fn temp_dir<'s>(scope: &mut Scope<'s, '_>, _args: Args<'s>, mut ret: Ret<'s>) {
    let env = env(scope);
    let dir = ["TMPDIR", "TMP", "TEMP"].into_iter().find_map(|n| env.sys.getenv(n)).unwrap_or_else(|| "/tmp".into());
    let dir = if dir.len() > 1 { dir.trim_end_matches('/') } else { &dir };
    ret.set(js::string(scope, dir).into());
}

fn uid<'s>(scope: &mut Scope<'s, '_>, _args: Args<'s>, mut ret: Ret<'s>) {
    ret.set_uint32(env(scope).sys.uid());
}

fn gid<'s>(scope: &mut Scope<'s, '_>, _args: Args<'s>, mut ret: Ret<'s>) {
    ret.set_uint32(env(scope).sys.gid());
}

fn euid<'s>(scope: &mut Scope<'s, '_>, args: Args<'s>, ret: Ret<'s>) {
    uid(scope, args, ret);
}

fn egid<'s>(scope: &mut Scope<'s, '_>, args: Args<'s>, ret: Ret<'s>) {
    gid(scope, args, ret);
}

fn groups<'s>(scope: &mut Scope<'s, '_>, _args: Args<'s>, mut ret: Ret<'s>) {
    let gid = js::num(scope, env(scope).sys.gid().into());
    ret.set(v8::Array::new_with_elements(scope, &[gid]).into());
}

pub(super) fn register(r: &mut Registry) {
    r.add("os.getOSInformation", os_information);
    r.add("os.getHostname", hostname);
    r.add("os.getHomeDirectory", home);
    r.add("os.getUptime", uptime);
    r.add("os.getCPUs", cpus);
    r.add("os.getAvailableParallelism", available_parallelism);
    r.add("os.getLoadAvg", load_average);
    r.add("os.getTotalMem", total_memory);
    r.add("os.getFreeMem", free_memory);
    r.add("os.getUserInfo", user_info);
    r.add("os.getInterfaceAddresses", no_interfaces);
    r.add("os.getPriority", get_priority);
    r.add("credentials.safeGetenv", safe_getenv);
    r.add("credentials.getTempDir", temp_dir);
    r.add("credentials.getuid", uid);
    r.add("credentials.geteuid", euid);
    r.add("credentials.getgid", gid);
    r.add("credentials.getegid", egid);
    r.add("credentials.getgroups", groups);
}
