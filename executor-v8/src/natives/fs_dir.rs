//! `internalBinding('fs_dir')`: directories read in steps.
//!
//! A handle keeps the listing it was opened with, as an array in internal field 0, and how far it was read in field 1.

use eyot_kernel::syscall::types::DirectoryEntry;

use crate::env::{Env, Root, env};
use crate::js::{self, Args, Object, Ret, Scope, Value};
use crate::registry::Registry;
use crate::sys::Errno;

use super::codec::Encoding;
use super::fs::path;
use super::fs_deliver::{Failure, Out, deliver, dirent_kind};

const EBADF: Errno = Errno(9);

pub(super) fn adjust(scope: &Scope<'_, '_>, env: &Env, o: Object<'_>) {
    if let Some(c) = js::get(scope, o, "DirHandle") {
        env.set_root(scope, Root::DirHandleClass, c);
    }
}

/// A handle over a listing.
pub(super) fn handle<'s>(scope: &mut Scope<'s, '_>, env: &Env, entries: &[DirectoryEntry]) -> Option<Value<'s>> {
    let class = env.root_function(scope, Root::DirHandleClass)?;
    let handle = class.new_instance(scope, &[])?;
    let mut flat = Vec::with_capacity(entries.len() * 2);
    for e in entries {
        flat.push(js::string(scope, &e.name).into());
        flat.push(js::int(scope, dirent_kind(e.kind)));
    }
    let list = v8::Array::new_with_elements(scope, &flat);
    handle.set_internal_field(0, list.into());
    handle.set_internal_field(1, js::int(scope, 0).into());
    Some(handle.into())
}

fn dir_handle<'s>(scope: &mut Scope<'s, '_>, args: Args<'s>, _ret: Ret<'s>) {
    if !args.is_construct_call() {
        js::throw_with_code(
            scope,
            js::Kind::Type,
            "ERR_CONSTRUCT_CALL_REQUIRED",
            "Cannot call constructor without `new`",
        );
    }
}

fn open<'s>(scope: &mut Scope<'s, '_>, args: &Args<'s>, ret: Ret<'s>, request: Value<'s>) {
    let Some(p) = path(scope, args.get(0)) else {
        return js::throw_argument(scope, "fs: the path must be a string or a buffer");
    };
    let env = env(scope);
    let result = p.as_ref().map_err(|e| *e).and_then(|p| env.sys.read_dir(p));
    let failure = |errno| Failure { errno, syscall: "opendir", path: Some(p.clone().unwrap_or_default()), dest: None };
    deliver(scope, &env, request, ret, result.map(Out::Directory).map_err(failure));
}

/// `opendir(path, encoding, req)`.
fn opendir<'s>(scope: &mut Scope<'s, '_>, args: Args<'s>, ret: Ret<'s>) {
    open(scope, &args, ret, args.get(2));
}

/// `opendirSync(path)`.
fn opendir_sync<'s>(scope: &mut Scope<'s, '_>, args: Args<'s>, ret: Ret<'s>) {
    let request = js::undefined(scope);
    open(scope, &args, ret, request);
}

fn listing<'s>(scope: &Scope<'s, '_>, this: Object<'s>) -> Option<(v8::Local<'s, v8::Array>, u32)> {
    if this.internal_field_count() != 2 {
        return None;
    }
    let field = |i| this.get_internal_field(scope, i)?.try_cast::<v8::Value>().ok();
    Some((field(0)?.try_cast().ok()?, field(1)?.try_cast::<v8::Uint32>().ok()?.value()))
}

/// The next entries, at most `max`; none at the end.
fn next<'s>(scope: &Scope<'s, '_>, this: Object<'s>, max: u32) -> Result<Vec<(String, i32)>, Errno> {
    let (list, at) = listing(scope, this).ok_or(EBADF)?;
    let end = at.saturating_add(max.clamp(1, 4096).saturating_mul(2)).min(list.length());
    let mut out = Vec::new();
    for i in (at..end).step_by(2) {
        let name = list.get_index(scope, i).and_then(|v| js::rust_string(scope, v)).ok_or(EBADF)?;
        let kind = list.get_index(scope, i + 1).and_then(|v| v.int32_value(scope)).ok_or(EBADF)?;
        out.push((name, kind));
    }
    this.set_internal_field(1, v8::Integer::new_from_unsigned(scope, end).into());
    Ok(out)
}

/// `handle.read(encoding, count, req)`.
fn read<'s>(scope: &mut Scope<'s, '_>, args: Args<'s>, ret: Ret<'s>) {
    let encoding = Encoding::of(scope, args.get(0), Encoding::Utf8);
    let count = args.get(1).uint32_value(scope).unwrap_or(32);
    let result = next(scope, args.this(), count);
    let failure = |errno| Failure { errno, syscall: "scandir", path: None, dest: None };
    let result = result.map(|v| if v.is_empty() { Out::Null } else { Out::Pairs(v, encoding) }).map_err(failure);
    let env = env(scope);
    deliver(scope, &env, args.get(2), ret, result);
}

/// `handle.close(req)`.
fn close<'s>(scope: &mut Scope<'s, '_>, args: Args<'s>, ret: Ret<'s>) {
    let this = args.this();
    let open = listing(scope, this).is_some();
    if open {
        this.set_internal_field(0, js::undefined(scope).into());
    }
    let failure = |errno| Failure { errno, syscall: "closedir", path: None, dest: None };
    let result = if open { Ok(Out::Undefined) } else { Err(failure(EBADF)) };
    let env = env(scope);
    deliver(scope, &env, args.get(0), ret, result);
}

pub(super) fn register(r: &mut Registry) {
    r.add("fs_dir.opendir", opendir);
    r.add("fs_dir.opendirSync", opendir_sync);
    r.add("fs_dir.DirHandle", dir_handle);
    r.add("fs_dir.DirHandle#read", read);
    r.add("fs_dir.DirHandle#close", close);
}
