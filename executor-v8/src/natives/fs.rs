//! `internalBinding('fs')`: decode, call the kernel, deliver.
//!
//! Each call answers in one of three ways, which its last argument chooses: at once (absent: a value, or an exception), through
//! an `FSReqCallback`, or through a promise. The latter two run the system call at once too and deliver in the loop's next
//! turn.

use eyot_kernel::syscall::types::{FileStatus, NewTime};

use crate::env::env;
use crate::js::{self, Args, Ret, Scope, Value};
use crate::registry::Registry;
use crate::sys::{self, EILSEQ, EINVAL, ENOENT, ENOTDIR, Errno};

use super::codec::{self, Encoding};
use super::fs_deliver::{Failure, Out, deliver};

/// A path argument: a string, or bytes. Text of the kernel is UTF-8; other bytes are an error of the call.
pub(super) fn path(scope: &Scope<'_, '_>, v: Value<'_>) -> Option<Result<String, Errno>> {
    if let Ok(s) = v.try_cast::<v8::String>() {
        return Some(Ok(s.to_rust_string_lossy(scope)));
    }
    js::with_bytes(v, |b| String::from_utf8(b.to_vec()).map_err(|_| EILSEQ))
}

fn fd(v: Value<'_>) -> Option<u32> {
    // within the bounds
    js::integer(v, 0.0, 2_147_483_647.0).map(|n| n as u32)
}

fn unsigned(v: Value<'_>) -> Option<u32> {
    js::integer(v, 0.0, 4_294_967_295.0).map(|n| n as u32)
}

/// An unsigned argument that may be left out.
fn optional(v: Value<'_>, default: u32) -> Option<u32> {
    if v.is_undefined() { Some(default) } else { unsigned(v) }
}

/// A size or an index.
fn size(v: Value<'_>) -> Option<usize> {
    js::integer(v, 0.0, 9_007_199_254_740_991.0).map(|n| n as usize)
}

/// A position in a file: a number or a BigInt; negative, null and undefined mean the current one.
fn position(v: Value<'_>) -> Option<u64> {
    if let Ok(b) = v.try_cast::<v8::BigInt>() {
        return u64::try_from(b.i64_value().0).ok();
    }
    js::integer(v, 0.0, 9_223_372_036_854_774_784.0).map(|n| n as u64)
}

/// An id of a user or group: -1 keeps what is.
fn id(v: Value<'_>) -> Option<Option<u32>> {
    let n = js::integer(v, -1.0, 4_294_967_295.0)?;
    Some((0.0..4_294_967_295.0).contains(&n).then_some(n as u32))
}

fn time(v: Value<'_>) -> Option<NewTime> {
    let s = v.try_cast::<v8::Number>().ok()?.value();
    if !s.is_finite() {
        return None;
    }
    let whole = s.floor();
    Some(NewTime::At(eyot_kernel::backend::Timestamp {
        seconds: whole as i64,
        nanoseconds: (((s - whole) * 1e6).round() as u32).min(999_999) * 1000,
    }))
}

fn bad(scope: &Scope<'_, '_>, what: &str) {
    js::throw_argument(scope, &format!("fs: {what}"));
}

macro_rules! take {
    ($scope:ident, $e:expr, $what:literal) => {
        match $e {
            Some(v) => v,
            None => return bad($scope, $what),
        }
    };
}

/// A call on one path.
macro_rules! on_path {
    ($($f:ident($syscall:literal, $req:literal) [$env:ident, $path:ident, $scope:ident, $args:ident $(, $extra:ident = $get:expr)*] $body:expr;)*) => {
        $(fn $f<'s>($scope: &mut Scope<'s, '_>, $args: Args<'s>, ret: Ret<'s>) {
            let $path = take!($scope, path($scope, $args.get(0)), "the path must be a string or a buffer");
            $(let $extra = take!($scope, $get, "a bad argument");)*
            let $env = env($scope);
            let result = match &$path {
                Ok($path) => $body,
                Err(e) => Err(*e),
            };
            let failure = |e| Failure { errno: e, syscall: $syscall, path: Some($path.clone().unwrap_or_default()), dest: None };
            deliver($scope, &$env, $args.get($req), ret, result.map_err(failure));
        })*
    };
}

on_path! {
    access("access", 2) [env, p, scope, args, mode = optional(args.get(1), 0)] env.sys.access(p, mode).map(|()| Out::Undefined);
    open("open", 3) [env, p, scope, args, flags = args.get(1).int32_value(scope), mode = optional(args.get(2), 0o666)]
        env.sys.open(p, flags, mode).map(|fd| Out::Number(fd.into()));
    open_file_handle("open", 3) [env, p, scope, args, flags = args.get(1).int32_value(scope), mode = optional(args.get(2), 0o666)]
        env.sys.open(p, flags, mode).map(Out::FileHandle);
    rmdir("rmdir", 1) [env, p, scope, args] env.sys.rmdir(p).map(|()| Out::Undefined);
    unlink("unlink", 1) [env, p, scope, args] env.sys.unlink(p).map(|()| Out::Undefined);
    statfs("statfs", 2) [env, p, scope, args] env.sys.statfs(p).map(|s| Out::StatFs(s, args.get(1).is_true()));
    readlink("readlink", 2) [env, p, scope, args, e = Some(Encoding::of(scope, args.get(1), Encoding::Utf8))]
        env.sys.readlink(p).map(|s| Out::Text(s, e));
    realpath("realpath", 2) [env, p, scope, args, e = Some(Encoding::of(scope, args.get(1), Encoding::Utf8))]
        env.sys.realpath(p).map(|s| Out::Text(s, e));
    chmod("chmod", 2) [env, p, scope, args, mode = unsigned(args.get(1))] env.sys.chmod(p, mode).map(|()| Out::Undefined);
    chown("chown", 3) [env, p, scope, args, uid = id(args.get(1)), gid = id(args.get(2))]
        env.sys.chown(p, true, uid, gid).map(|()| Out::Undefined);
    lchown("lchown", 3) [env, p, scope, args, uid = id(args.get(1)), gid = id(args.get(2))]
        env.sys.chown(p, false, uid, gid).map(|()| Out::Undefined);
    utimes("utime", 3) [env, p, scope, args, a = time(args.get(1)), m = time(args.get(2))]
        env.sys.utimes(p, true, a, m).map(|()| Out::Undefined);
    lutimes("lutime", 3) [env, p, scope, args, a = time(args.get(1)), m = time(args.get(2))]
        env.sys.utimes(p, false, a, m).map(|()| Out::Undefined);
    readdir("scandir", 3) [env, p, scope, args, e = Some(Encoding::of(scope, args.get(1), Encoding::Utf8))]
        env.sys.read_dir(p).map(|v| Out::Entries(v, e, args.get(2).is_true()));
    mkdir("mkdir", 3) [env, p, scope, args, mode = unsigned(args.get(1))]
        if args.get(2).is_true() {
            mkdirp(&env.sys, p, mode).map(|first| first.map_or(Out::Undefined, |f| Out::Text(f, Encoding::Utf8)))
        } else {
            env.sys.mkdir(p, mode).map(|()| Out::Undefined)
        };
}

/// Makes a directory and what is missing above it; answers the first that was made.
fn mkdirp(sys: &sys::Sys, path: &str, mode: u32) -> Result<Option<String>, Errno> {
    let mut pending = vec![path.to_owned()];
    let mut first = None;
    while let Some(p) = pending.last().cloned() {
        match sys.mkdir(&p, mode) {
            Ok(()) => {
                first.get_or_insert_with(|| p.clone());
                pending.pop();
            }
            Err(ENOENT) => {
                let up = p.trim_end_matches('/').rsplit_once('/').map(|(d, _)| d);
                match up {
                    Some(d) if !d.is_empty() && d.len() < p.len() => pending.push(d.to_owned()),
                    _ => return Err(ENOENT),
                }
            }
            Err(e) => match sys.stat(&p) {
                Ok(s) if s.attributes.kind == eyot_kernel::backend::NodeKind::Directory => {
                    pending.pop();
                }
                // A file in the way of what is still to be made is no directory.
                Ok(_) if pending.len() > 1 => return Err(ENOTDIR),
                _ => return Err(e),
            },
        }
    }
    Ok(first)
}

/// A call on one descriptor.
macro_rules! on_fd {
    ($($f:ident($syscall:literal, $req:literal) [$env:ident, $fd:ident, $scope:ident, $args:ident $(, $extra:ident = $get:expr)*] $body:expr;)*) => {
        $(fn $f<'s>($scope: &mut Scope<'s, '_>, $args: Args<'s>, ret: Ret<'s>) {
            let $fd = take!($scope, fd($args.get(0)), "the descriptor must be a non-negative integer");
            $(let $extra = take!($scope, $get, "a bad argument");)*
            let $env = env($scope);
            let result = $body;
            let failure = |e| Failure { errno: e, syscall: $syscall, path: None, dest: None };
            deliver($scope, &$env, $args.get($req), ret, result.map_err(failure));
        })*
    };
}

on_fd! {
    close("close", 1) [env, fd, scope, args] env.sys.close(fd).map(|()| Out::Undefined);
    fsync("fsync", 1) [env, fd, scope, args] env.sys.fsync(fd, false).map(|()| Out::Undefined);
    fdatasync("fdatasync", 1) [env, fd, scope, args] env.sys.fsync(fd, true).map(|()| Out::Undefined);
    ftruncate("ftruncate", 2) [env, fd, scope, args, len = position(args.get(1))] env.sys.ftruncate(fd, len).map(|()| Out::Undefined);
    fchmod("fchmod", 2) [env, fd, scope, args, mode = unsigned(args.get(1))] env.sys.fchmod(fd, mode).map(|()| Out::Undefined);
    fchown("fchown", 3) [env, fd, scope, args, uid = id(args.get(1)), gid = id(args.get(2))]
        env.sys.fchown(fd, uid, gid).map(|()| Out::Undefined);
    futimes("futime", 3) [env, fd, scope, args, a = time(args.get(1)), m = time(args.get(2))]
        env.sys.futimes(fd, a, m).map(|()| Out::Undefined);
    read("read", 5) [env, fd, scope, args, offset = size(args.get(2)), len = size(args.get(3))] {
        let at = position(args.get(4));
        // Straight into the guest's memory: no JavaScript runs before the call is over.
        js::with_bytes(args.get(1), |b| match offset.checked_add(len).and_then(|end| b.get_mut(offset..end)) {
            Some(b) => env.sys.read(fd, b, at),
            None => Err(EINVAL),
        }).unwrap_or(Err(EINVAL)).map(Out::size)
    };
    write_buffer("write", 5) [env, fd, scope, args, offset = size(args.get(2)), len = size(args.get(3))] {
        let at = position(args.get(4));
        js::with_bytes(args.get(1), |b| match offset.checked_add(len).and_then(|end| b.get(offset..end)) {
            Some(b) => env.sys.write(fd, b, at),
            None => Err(EINVAL),
        }).unwrap_or(Err(EINVAL)).map(Out::size)
    };
    write_string("write", 4) [env, fd, scope, args, s = args.get(1).try_cast::<v8::String>().ok()] {
        let bytes = codec::encode(scope, s, Encoding::of(scope, args.get(3), Encoding::Utf8));
        env.sys.write(fd, &bytes, position(args.get(2))).map(Out::size)
    };
    read_buffers("read", 3) [env, fd, scope, args, list = args.get(1).try_cast::<v8::Array>().ok()]
        vectored(scope, list, position(args.get(2)), |b, at| env.sys.read(fd, b, at));
    write_buffers("write", 3) [env, fd, scope, args, list = args.get(1).try_cast::<v8::Array>().ok()]
        vectored(scope, list, position(args.get(2)), |b, at| env.sys.write(fd, b, at));
}

/// Goes through a list of buffers until one is not filled, or emptied, whole.
fn vectored(
    scope: &Scope<'_, '_>,
    list: v8::Local<'_, v8::Array>,
    mut at: Option<u64>,
    mut act: impl FnMut(&mut [u8], Option<u64>) -> Result<usize, Errno>,
) -> Result<Out, Errno> {
    let mut total = 0_usize;
    for i in 0..list.length() {
        let Some(v) = list.get_index(scope, i) else { return Err(EINVAL) };
        let Some((n, len)) = js::with_bytes(v, |b| (act(b, at), b.len())) else { return Err(EINVAL) };
        let n = match n {
            Ok(n) => n,
            Err(e) if total == 0 => return Err(e),
            Err(_) => break,
        };
        total = total.saturating_add(n);
        at = at.map(|a| a.saturating_add(n as u64));
        if n < len {
            break;
        }
    }
    Ok(Out::size(total))
}

/// A call on two paths.
fn on_two<'s>(
    scope: &mut Scope<'s, '_>,
    args: &Args<'s>,
    ret: Ret<'s>,
    (syscall, req): (&'static str, i32),
    act: impl FnOnce(&sys::Sys, &str, &str) -> Result<(), Errno>,
) {
    let (Some(a), Some(b)) = (path(scope, args.get(0)), path(scope, args.get(1))) else {
        return bad(scope, "the paths must be strings or buffers");
    };
    let env = env(scope);
    let result = match (&a, &b) {
        (Ok(a), Ok(b)) => act(&env.sys, a, b),
        (Err(e), _) | (_, Err(e)) => Err(*e),
    };
    let failure = |e| Failure {
        errno: e,
        syscall,
        path: Some(a.clone().unwrap_or_default()),
        dest: Some(b.clone().unwrap_or_default()),
    };
    let result = result.map(|()| Out::Undefined).map_err(failure);
    deliver(scope, &env, args.get(req), ret, result);
}

fn rename<'s>(scope: &mut Scope<'s, '_>, args: Args<'s>, ret: Ret<'s>) {
    on_two(scope, &args, ret, ("rename", 2), |s, a, b| s.rename(a, b));
}

fn link<'s>(scope: &mut Scope<'s, '_>, args: Args<'s>, ret: Ret<'s>) {
    on_two(scope, &args, ret, ("link", 2), |s, a, b| s.link(a, b));
}

fn symlink<'s>(scope: &mut Scope<'s, '_>, args: Args<'s>, ret: Ret<'s>) {
    on_two(scope, &args, ret, ("symlink", 3), |s, a, b| s.symlink(a, b));
}

fn copy_file<'s>(scope: &mut Scope<'s, '_>, args: Args<'s>, ret: Ret<'s>) {
    let exclusive = args.get(2).int32_value(scope).unwrap_or(0) & 1 != 0;
    on_two(scope, &args, ret, ("copyfile", 3), |s, a, b| s.copy_file(a, b, exclusive));
}

/// `stat` and `lstat`: `(path, bigint, req, throwIfNoEntry)`.
fn stat_with<'s>(
    scope: &mut Scope<'s, '_>,
    args: &Args<'s>,
    ret: Ret<'s>,
    syscall: &'static str,
    act: impl FnOnce(&sys::Sys, &str) -> Result<FileStatus, Errno>,
) {
    let p = take!(scope, path(scope, args.get(0)), "the path must be a string or a buffer");
    let env = env(scope);
    let result = p.as_ref().map_err(|e| *e).and_then(|p| act(&env.sys, p));
    if args.get(2).is_undefined() && args.get(3).is_false() && matches!(result, Err(ENOENT | ENOTDIR)) {
        return;
    }
    let failure = |e| Failure { errno: e, syscall, path: Some(p.clone().unwrap_or_default()), dest: None };
    let result = result.map(|s| Out::Stat(s, args.get(1).is_true())).map_err(failure);
    deliver(scope, &env, args.get(2), ret, result);
}

fn stat<'s>(scope: &mut Scope<'s, '_>, args: Args<'s>, ret: Ret<'s>) {
    stat_with(scope, &args, ret, "stat", |s, p| s.stat(p));
}

fn lstat<'s>(scope: &mut Scope<'s, '_>, args: Args<'s>, ret: Ret<'s>) {
    stat_with(scope, &args, ret, "lstat", |s, p| s.lstat(p));
}

/// `fstat(fd, bigint, req, shouldNotThrow)`.
fn fstat<'s>(scope: &mut Scope<'s, '_>, args: Args<'s>, ret: Ret<'s>) {
    let fd = take!(scope, fd(args.get(0)), "the descriptor must be a non-negative integer");
    let env = env(scope);
    let result = env.sys.fstat(fd);
    if args.get(2).is_undefined() && args.get(3).is_true() && result.is_err() {
        return;
    }
    let failure = |e| Failure { errno: e, syscall: "fstat", path: None, dest: None };
    let result = result.map(|s| Out::Stat(s, args.get(1).is_true())).map_err(failure);
    deliver(scope, &env, args.get(2), ret, result);
}

/// `mkdtemp(prefix, encoding, req)`.
fn mkdtemp<'s>(scope: &mut Scope<'s, '_>, args: Args<'s>, ret: Ret<'s>) {
    const LETTERS: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let prefix = take!(scope, path(scope, args.get(0)), "the prefix must be a string or a buffer");
    let encoding = Encoding::of(scope, args.get(1), Encoding::Utf8);
    let env = env(scope);
    let made = prefix.as_ref().map_err(|e| *e).and_then(|p| {
        for _ in 0..100 {
            let mut random = [0_u8; 6];
            getrandom::fill(&mut random).map_err(|_| Errno(5))?;
            let tail: String =
                random.iter().map(|b| char::from(LETTERS.get(usize::from(b % 62)).copied().unwrap_or(b'A'))).collect();
            let name = format!("{p}{tail}");
            match env.sys.mkdir(&name, 0o700) {
                Ok(()) => return Ok(Out::Text(name, encoding)),
                Err(sys::EEXIST) => {}
                Err(e) => return Err(e),
            }
        }
        Err(sys::EEXIST)
    });
    let failure = |e| Failure {
        errno: e,
        syscall: "mkdtemp",
        path: Some(format!("{}XXXXXX", prefix.clone().unwrap_or_default())),
        dest: None,
    };
    deliver(scope, &env, args.get(2), ret, made.map_err(failure));
}

fn exists_sync<'s>(scope: &mut Scope<'s, '_>, args: Args<'s>, mut ret: Ret<'s>) {
    let there = matches!(path(scope, args.get(0)), Some(Ok(p)) if env(scope).sys.access(&p, 0).is_ok());
    ret.set_bool(there);
}

/// The loader's question: 0 a file, 1 a directory, negative neither.
fn internal_module_stat<'s>(scope: &mut Scope<'s, '_>, args: Args<'s>, mut ret: Ret<'s>) {
    // Older libraries pass a receiver first.
    let arg = if args.get(0).is_string() { args.get(0) } else { args.get(1) };
    let Some(Ok(p)) = path(scope, arg) else { return ret.set_int32(-ENOENT.0) };
    ret.set_int32(match env(scope).sys.stat(&p) {
        Ok(s) => i32::from(s.attributes.kind == eyot_kernel::backend::NodeKind::Directory),
        Err(e) => -e.0,
    });
}

/// Runs `act` on a descriptor argument, or on a path that is opened for it.
fn with_file<'s, T>(
    scope: &Scope<'s, '_>,
    v: Value<'s>,
    (flags, mode): (i32, u32),
    syscall: &'static str,
    act: impl FnOnce(&sys::Sys, u32) -> Result<T, Errno>,
) -> Option<T> {
    let env = env(scope);
    let failure = |e: Errno, syscall, p: Option<&str>| env.throw_uv(scope, e, syscall, p.map(str::as_bytes), None);
    if let Some(fd) = fd(v) {
        return act(&env.sys, fd).map_err(|e| failure(e, syscall, None)).ok();
    }
    let Some(p) = path(scope, v) else {
        bad(scope, "the path must be a string, a buffer or a descriptor");
        return None;
    };
    let fd = match p.as_ref().map_err(|e| *e).and_then(|p| env.sys.open(p, flags, mode)) {
        Ok(fd) => fd,
        Err(e) => {
            failure(e, "open", Some(p.as_deref().unwrap_or("")));
            return None;
        }
    };
    let result = act(&env.sys, fd);
    let _ = env.sys.close(fd);
    result.map_err(|e| failure(e, syscall, None)).ok()
}

/// `readFileUtf8(path or descriptor, flags)`.
fn read_file_utf8<'s>(scope: &mut Scope<'s, '_>, args: Args<'s>, mut ret: Ret<'s>) {
    let flags = args.get(1).int32_value(scope).unwrap_or(0);
    let Some(bytes) = with_file(scope, args.get(0), (flags, 0o666), "read", |s, fd| s.read_to_end(fd)) else { return };
    if let Some(v) = codec::decode(scope, &bytes, Encoding::Utf8) {
        ret.set(v);
    }
}

/// `writeFileUtf8(path or descriptor, data, flag, mode)`.
fn write_file_utf8<'s>(scope: &mut Scope<'s, '_>, args: Args<'s>, _ret: Ret<'s>) {
    let data = take!(scope, args.get(1).try_cast::<v8::String>().ok(), "the data must be a string");
    let (flags, mode) = (args.get(2).int32_value(scope).unwrap_or(0), unsigned(args.get(3)).unwrap_or(0o666));
    let bytes = codec::encode(scope, data, Encoding::Utf8);
    with_file(scope, args.get(0), (flags, mode), "write", |s, fd| s.write_whole(fd, &bytes));
}

/// `rmSync(path, maxRetries, recursive, retryDelay)`.
fn rm_sync<'s>(scope: &mut Scope<'s, '_>, args: Args<'s>, _ret: Ret<'s>) {
    let p = take!(scope, path(scope, args.get(0)), "the path must be a string or a buffer");
    let env = env(scope);
    let recursive = args.get(2).is_true();
    let result = p.as_ref().map_err(|e| *e).and_then(|p| match env.sys.lstat(p) {
        Err(ENOENT) => Ok(()),
        Err(e) => Err(e),
        Ok(s) if s.attributes.kind != eyot_kernel::backend::NodeKind::Directory => env.sys.unlink(p),
        Ok(_) if recursive => env.sys.remove_tree(p, 2048),
        Ok(_) => {
            js::throw_with_code(scope, js::Kind::Error, "ERR_FS_EISDIR", &format!("Path is a directory: {p}"));
            Ok(())
        }
    });
    if let Err(e) = result {
        env.throw_uv(scope, e, "rm", Some(p.unwrap_or_default().as_bytes()), None);
    }
}

/// What a file without an extension holds: 0 JavaScript, 1 WebAssembly.
fn format_of_extensionless<'s>(scope: &mut Scope<'s, '_>, args: Args<'s>, mut ret: Ret<'s>) {
    let Some(Ok(p)) = path(scope, args.get(0)) else { return ret.set_int32(0) };
    let env = env(scope);
    let mut magic = [0; 4];
    let Ok(fd) = env.sys.open(&p, 0, 0) else { return ret.set_int32(0) };
    let n = env.sys.read(fd, &mut magic, None);
    let _ = env.sys.close(fd);
    ret.set_int32(i32::from(n == Ok(4) && magic == *b"\0asm"));
}

pub(super) fn register(r: &mut Registry) {
    r.add("fs.access", access);
    r.add("fs.open", open);
    r.add("fs.openFileHandle", open_file_handle);
    r.add("fs.close", close);
    r.add("fs.read", read);
    r.add("fs.readBuffers", read_buffers);
    r.add("fs.writeBuffer", write_buffer);
    r.add("fs.writeBuffers", write_buffers);
    r.add("fs.writeString", write_string);
    r.add("fs.rename", rename);
    r.add("fs.ftruncate", ftruncate);
    r.add("fs.rmdir", rmdir);
    r.add("fs.mkdir", mkdir);
    r.add("fs.readdir", readdir);
    r.add("fs.stat", stat);
    r.add("fs.lstat", lstat);
    r.add("fs.fstat", fstat);
    r.add("fs.statfs", statfs);
    r.add("fs.link", link);
    r.add("fs.symlink", symlink);
    r.add("fs.readlink", readlink);
    r.add("fs.unlink", unlink);
    r.add("fs.realpath", realpath);
    r.add("fs.copyFile", copy_file);
    r.add("fs.chmod", chmod);
    r.add("fs.fchmod", fchmod);
    r.add("fs.chown", chown);
    r.add("fs.fchown", fchown);
    r.add("fs.lchown", lchown);
    r.add("fs.utimes", utimes);
    r.add("fs.futimes", futimes);
    r.add("fs.lutimes", lutimes);
    r.add("fs.mkdtemp", mkdtemp);
    r.add("fs.fsync", fsync);
    r.add("fs.fdatasync", fdatasync);
    r.add("fs.existsSync", exists_sync);
    r.add("fs.internalModuleStat", internal_module_stat);
    r.add("fs.readFileUtf8", read_file_utf8);
    r.add("fs.writeFileUtf8", write_file_utf8);
    r.add("fs.rmSync", rm_sync);
    r.add("fs.getFormatOfExtensionlessFile", format_of_extensionless);
}
