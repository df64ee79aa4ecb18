//! How an answer of `fs` reaches JavaScript: values, exceptions, callbacks, promises; and `FileHandle`.

use eyot_kernel::backend::{FilesystemStatus, NodeKind, Timestamp};
use eyot_kernel::syscall::types::{DirectoryEntry, FileStatus};

use crate::env::{Env, Root, env};
use crate::js::{self, Args, Ret, Scope, Value};
use crate::registry::Registry;
use crate::sys::Errno;

use super::codec::{self, Encoding};

/// What a call answers.
pub(super) enum Out {
    Undefined,
    Number(f64),
    Text(String, Encoding),
    /// With BigInts or not.
    Stat(FileStatus, bool),
    StatFs(FilesystemStatus, bool),
    /// With kinds or not.
    Entries(Vec<DirectoryEntry>, Encoding, bool),
    FileHandle(u32),
    /// What a directory holds, for a handle to hand out.
    Directory(Vec<DirectoryEntry>),
    /// Names and kinds, alternating.
    Pairs(Vec<(String, i32)>, Encoding),
    Null,
}

impl Out {
    // below 2^53: it was a length of memory
    pub(super) fn size(n: usize) -> Self {
        Self::Number(n as f64)
    }
}

/// What a call failed with, and what its exception says.
pub(super) struct Failure {
    pub(super) errno: Errno,
    pub(super) syscall: &'static str,
    pub(super) path: Option<String>,
    pub(super) dest: Option<String>,
}

impl Failure {
    fn exception<'s>(&self, scope: &Scope<'s, '_>, env: &Env) -> Value<'s> {
        let bytes = |s: &Option<String>| s.as_ref().map(|s| s.as_bytes().to_vec());
        env.uv_exception(scope, self.errno, self.syscall, bytes(&self.path).as_deref(), bytes(&self.dest).as_deref())
    }
}

/// The type bits of a mode.
fn type_bits(kind: NodeKind) -> u32 {
    match kind {
        NodeKind::File => 0o100_000,
        NodeKind::Directory => 0o040_000,
        NodeKind::Symlink => 0o120_000,
        NodeKind::Fifo => 0o010_000,
        NodeKind::Socket => 0o140_000,
        NodeKind::CharacterDevice => 0o020_000,
        NodeKind::BlockDevice => 0o060_000,
    }
}

/// libuv's numbers for the kinds of directory entries.
pub(super) fn dirent_kind(kind: NodeKind) -> i32 {
    match kind {
        NodeKind::File => 1,
        NodeKind::Directory => 2,
        NodeKind::Symlink => 3,
        NodeKind::Fifo => 4,
        NodeKind::Socket => 5,
        NodeKind::CharacterDevice => 6,
        NodeKind::BlockDevice => 7,
    }
}

/// The 18 fields of a `Stats` in the library's order.
fn stat_fields(s: &FileStatus) -> [i64; 18] {
    let a = &s.attributes;
    let big = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    let t = |t: Timestamp| [t.seconds, i64::from(t.nanoseconds)];
    let [[as_, an], [ms, mn], [cs, cn], [bs, bn]] = [t(a.accessed), t(a.modified), t(a.changed), t(a.created)];
    [
        big(s.device),
        i64::from(type_bits(a.kind) | (a.mode & 0o7777)),
        i64::from(a.links),
        i64::from(a.uid),
        i64::from(a.gid),
        big(a.device),
        i64::from(s.block_size),
        big(a.node),
        big(a.size),
        big(a.blocks),
        as_,
        an,
        ms,
        mn,
        cs,
        cn,
        bs,
        bn,
    ]
}

fn statfs_fields(s: &FilesystemStatus) -> [i64; 7] {
    let big = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    // type, bsize, blocks, bfree, bavail, files, ffree
    [0, s.block_size.into(), big(s.blocks), big(s.blocks_free), big(s.blocks_free), big(s.files), big(s.files_free)]
}

/// Numbers in an array: the shared one for an answer at once, a new one for a later answer.
// what a Number can hold is what Node gives
fn numbers<'s>(
    scope: &Scope<'s, '_>,
    env: &Env,
    fields: &[i64],
    bigint: bool,
    shared: Option<(Root, Root)>,
) -> Option<Value<'s>> {
    if let Some((plain, big)) = shared {
        let root = if bigint { big } else { plain };
        for (i, f) in fields.iter().enumerate() {
            if bigint {
                env.write::<i64>(root, i, *f);
            } else {
                env.write::<f64>(root, i, *f as f64);
            }
        }
        return env.root(scope, root);
    }
    let buffer = v8::ArrayBuffer::new(scope, fields.len() * 8);
    let array: Value<'_> = if bigint {
        v8::BigInt64Array::new(scope, buffer, 0, fields.len())?.into()
    } else {
        v8::Float64Array::new(scope, buffer, 0, fields.len())?.into()
    };
    js::with_bytes(array, |b| {
        for (to, f) in b.as_chunks_mut::<8>().0.iter_mut().zip(fields) {
            *to = if bigint { f.to_le_bytes() } else { (*f as f64).to_le_bytes() };
        }
    });
    Some(array)
}

fn value<'s>(scope: &mut Scope<'s, '_>, env: &Env, out: Out, at_once: bool) -> Option<Value<'s>> {
    Some(match out {
        Out::Undefined => js::undefined(scope),
        Out::Number(n) => js::num(scope, n),
        Out::Text(s, e) => codec::decode(scope, s.as_bytes(), e)?,
        Out::Stat(s, bigint) => {
            let shared = at_once.then_some((Root::StatValues, Root::BigintStatValues));
            numbers(scope, env, &stat_fields(&s), bigint, shared)?
        }
        Out::StatFs(s, bigint) => {
            let shared = at_once.then_some((Root::StatFsValues, Root::BigintStatFsValues));
            numbers(scope, env, &statfs_fields(&s), bigint, shared)?
        }
        Out::Entries(entries, e, with_kinds) => {
            let mut names = Vec::with_capacity(entries.len());
            for entry in &entries {
                names.push(codec::decode(scope, entry.name.as_bytes(), e)?);
            }
            let names = v8::Array::new_with_elements(scope, &names);
            if !with_kinds {
                return Some(names.into());
            }
            let kinds: Vec<Value<'_>> = entries.iter().map(|e| js::int(scope, dirent_kind(e.kind))).collect();
            let kinds = v8::Array::new_with_elements(scope, &kinds);
            v8::Array::new_with_elements(scope, &[names.into(), kinds.into()]).into()
        }
        Out::Null => js::null(scope),
        Out::Directory(entries) => super::fs_dir::handle(scope, env, &entries)?,
        Out::Pairs(pairs, e) => {
            let mut flat = Vec::with_capacity(pairs.len() * 2);
            for (name, kind) in &pairs {
                flat.push(codec::decode(scope, name.as_bytes(), e)?);
                flat.push(js::int(scope, *kind));
            }
            v8::Array::new_with_elements(scope, &flat).into()
        }
        Out::FileHandle(fd) => {
            let class = env.root_function(scope, Root::FileHandleClass)?;
            let fd = js::num(scope, fd.into());
            class.new_instance(scope, &[fd])?.into()
        }
    })
}

/// Answers a call: at once, or through the request.
pub(super) fn deliver<'s>(
    scope: &mut Scope<'s, '_>,
    env: &Env,
    request: Value<'s>,
    mut ret: Ret<'s>,
    result: Result<Out, Failure>,
) {
    if request.is_undefined() {
        match result {
            Ok(Out::Undefined) => {}
            Ok(Out::Number(n)) => ret.set_double(n),
            Ok(out) => {
                if let Some(v) = value(scope, env, out, true) {
                    ret.set(v);
                }
            }
            Err(f) => {
                let e = f.exception(scope, env);
                scope.throw_exception(e);
            }
        }
        return;
    }
    if request.is_symbol() {
        let Some(resolver) = v8::PromiseResolver::new(scope) else { return };
        ret.set(resolver.get_promise(scope).into());
        return settle_later(scope, env, resolver, result);
    }
    let Ok(request) = request.try_cast::<v8::Object>() else {
        return js::throw_argument(scope, "fs: the request must be an object");
    };
    let request = v8::Global::new(scope, request);
    env.event_loop.complete(Box::new(move |scope, env| {
        let request = v8::Local::new(scope, &request);
        let Some(f) = js::get(scope, request, "oncomplete").and_then(|f| f.try_cast::<v8::Function>().ok()) else {
            return;
        };
        let args = match result {
            Ok(Out::Undefined) => vec![js::null(scope)],
            Ok(out) => match value(scope, env, out, false) {
                Some(v) => vec![js::null(scope), v],
                None => return,
            },
            Err(f) => vec![f.exception(scope, env)],
        };
        crate::event_loop::call(scope, env, f, request.into(), &args);
    }));
}

fn settle_later(
    scope: &Scope<'_, '_>,
    env: &Env,
    resolver: v8::Local<'_, v8::PromiseResolver>,
    result: Result<Out, Failure>,
) {
    let resolver = v8::Global::new(scope, resolver);
    env.event_loop.complete(Box::new(move |scope, env| {
        let resolver = v8::Local::new(scope, &resolver);
        match result {
            Ok(out) => {
                if let Some(v) = value(scope, env, out, false) {
                    resolver.resolve(scope, v);
                }
            }
            Err(f) => {
                let e = f.exception(scope, env);
                resolver.reject(scope, e);
            }
        }
        crate::event_loop::drain(scope, env);
    }));
}

fn fs_req_callback<'s>(scope: &mut Scope<'s, '_>, args: Args<'s>, _ret: Ret<'s>) {
    if !args.is_construct_call() {
        js::throw_with_code(
            scope,
            js::Kind::Type,
            "ERR_CONSTRUCT_CALL_REQUIRED",
            "Cannot call constructor without `new`",
        );
    }
}

// --- FileHandle: internal field 0 holds the descriptor, or -1 once it is closed or released ---

fn file_handle<'s>(scope: &mut Scope<'s, '_>, args: Args<'s>, _ret: Ret<'s>) {
    if !args.is_construct_call() {
        return js::throw_with_code(
            scope,
            js::Kind::Type,
            "ERR_CONSTRUCT_CALL_REQUIRED",
            "Cannot call constructor without `new`",
        );
    }
    let Some(fd) = js::integer(args.get(0), 0.0, 2_147_483_647.0) else {
        return js::throw_argument(scope, "the descriptor must be a non-negative integer");
    };
    args.this().set_internal_field(0, js::num(scope, fd).into());
}

fn handle_fd<'s>(scope: &Scope<'s, '_>, this: js::Object<'s>) -> Option<i32> {
    if this.internal_field_count() != 2 {
        return None;
    }
    let v = this.get_internal_field(scope, 0)?.try_cast::<v8::Value>().ok()?;
    v.try_cast::<v8::Int32>().ok().map(|n| n.value())
}

fn file_handle_fd<'s>(scope: &mut Scope<'s, '_>, args: Args<'s>, mut ret: Ret<'s>) {
    ret.set_int32(handle_fd(scope, args.this()).unwrap_or(-1));
}

/// Takes the descriptor out of the handle; `None` when it has none.
fn take_fd<'s>(scope: &Scope<'s, '_>, this: js::Object<'s>) -> Option<u32> {
    let fd = u32::try_from(handle_fd(scope, this)?).ok()?;
    this.set_internal_field(0, js::int(scope, -1).into());
    Some(fd)
}

fn file_handle_close<'s>(scope: &mut Scope<'s, '_>, args: Args<'s>, mut ret: Ret<'s>) {
    let Some(resolver) = v8::PromiseResolver::new(scope) else { return };
    ret.set(resolver.get_promise(scope).into());
    let env = env(scope);
    let result = match take_fd(scope, args.this()) {
        Some(fd) => env.sys.close(fd),
        None => Err(Errno(9)),
    };
    let failure = |errno| Failure { errno, syscall: "close", path: None, dest: None };
    settle_later(scope, &env, resolver, result.map(|()| Out::Undefined).map_err(failure));
}

fn file_handle_release<'s>(scope: &mut Scope<'s, '_>, args: Args<'s>, mut ret: Ret<'s>) {
    match take_fd(scope, args.this()) {
        Some(fd) => ret.set_uint32(fd),
        None => ret.set_int32(-1),
    }
}

fn zero<'s>(_scope: &mut Scope<'s, '_>, _args: Args<'s>, mut ret: Ret<'s>) {
    ret.set_int32(0);
}

/// Keeps the class, so that `openFileHandle` can make one.
pub(super) fn adjust(scope: &Scope<'_, '_>, env: &Env, o: js::Object<'_>) {
    if let Some(c) = js::get(scope, o, "FileHandle") {
        env.set_root(scope, Root::FileHandleClass, c);
    }
}

pub(super) fn register(r: &mut Registry) {
    r.add("fs.FSReqCallback", fs_req_callback);
    r.add("fs.FileHandle", file_handle);
    r.add("fs.FileHandle#get fd", file_handle_fd);
    r.add("fs.FileHandle#close", file_handle_close);
    r.add("fs.FileHandle#releaseFD", file_handle_release);
    r.add("fs.FileHandle#getAsyncId", zero);
}
