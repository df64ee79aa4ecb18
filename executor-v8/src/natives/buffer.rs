//! `internalBinding('buffer')`.

use crate::env::{Root, env};
use crate::js::{self, Args, Ret, Scope, Value};
use crate::registry::Registry;

use super::codec::{self, Encoding};

/// A position argument: absent means `default`; otherwise a non-negative integer, clamped to `max`.
fn position(scope: &Scope<'_, '_>, v: Value<'_>, default: usize, max: usize) -> Option<usize> {
    if v.is_undefined() {
        return Some(default);
    }
    let n = v.integer_value(scope)?;
    Some(usize::try_from(n).ok()?.min(max))
}

fn out_of_range(scope: &Scope<'_, '_>) {
    js::throw_with_code(scope, js::Kind::Range, "ERR_OUT_OF_RANGE", "Index out of range");
}

fn slice<'s>(scope: &mut Scope<'s, '_>, args: &Args<'s>, ret: &mut Ret<'s>, encoding: Encoding) {
    let this: Value<'_> = args.this().into();
    let Ok(view) = this.try_cast::<v8::ArrayBufferView>() else {
        return js::throw_argument(scope, "argument must be a buffer");
    };
    let len = view.byte_length();
    if len == 0 {
        return ret.set_empty_string();
    }
    let (Some(start), Some(end)) =
        (position(scope, args.get(0), 0, usize::MAX), position(scope, args.get(1), len, len))
    else {
        return out_of_range(scope);
    };
    let end = end.max(start);
    let scope: &Scope<'s, '_> = scope;
    match js::with_bytes(this, |b| b.get(start..end).map(|b| codec::decode(scope, b, encoding))) {
        Some(Some(Some(v))) => ret.set(v),
        Some(Some(None)) => {}
        _ => out_of_range(scope),
    }
}

/// Writes `s` into `dest[offset..offset + length]` and answers how many bytes were written.
fn write<'s>(scope: &mut Scope<'s, '_>, dest: Value<'s>, args: [Value<'s>; 3], ret: &mut Ret<'s>, encoding: Encoding) {
    let [s, offset, length] = args;
    let Ok(s) = s.try_cast::<v8::String>() else {
        return js::throw_argument(scope, "argument must be a string");
    };
    let Ok(view) = dest.try_cast::<v8::ArrayBufferView>() else {
        return js::throw_argument(scope, "argument must be a buffer");
    };
    let total = view.byte_length();
    let Some(offset) = position(scope, offset, 0, usize::MAX) else { return out_of_range(scope) };
    let Some(room) = total.checked_sub(offset) else {
        return js::throw_with_code(
            scope,
            js::Kind::Range,
            "ERR_BUFFER_OUT_OF_BOUNDS",
            "\"offset\" is outside of buffer bounds",
        );
    };
    let Some(room) = position(scope, length, room, room) else { return out_of_range(scope) };
    if room == 0 {
        return ret.set_uint32(0);
    }
    let isolate: &Scope<'s, '_> = scope;
    let written = if encoding == Encoding::Utf8 {
        js::with_bytes(dest, |b| {
            let b = b.get_mut(offset..offset + room)?;
            Some(s.write_utf8_v2(isolate, b, v8::WriteFlags::kReplaceInvalidUtf8, None))
        })
    } else {
        let bytes = codec::encode(scope, s, encoding);
        js::with_bytes(dest, |b| {
            let n = bytes.len().min(room);
            // Half a UTF-16 unit is never written.
            let n = if encoding == Encoding::Ucs2 { n & !1 } else { n };
            b.get_mut(offset..offset + n)?.copy_from_slice(bytes.get(..n)?);
            Some(n)
        })
    };
    match written {
        Some(Some(n)) => ret.set_double(n as f64),
        _ => out_of_range(scope),
    }
}

macro_rules! slices {
    ($($f:ident $encoding:ident;)*) => {
        $(fn $f<'s>(scope: &mut Scope<'s, '_>, args: Args<'s>, mut ret: Ret<'s>) {
            slice(scope, &args, &mut ret, Encoding::$encoding);
        })*
    };
}
slices! {
    ascii_slice Ascii; base64_slice Base64; base64url_slice Base64Url; latin1_slice Latin1; hex_slice Hex; ucs2_slice Ucs2;
    utf8_slice Utf8;
}

macro_rules! writes {
    ($($f:ident $encoding:ident;)*) => {
        $(fn $f<'s>(scope: &mut Scope<'s, '_>, args: Args<'s>, mut ret: Ret<'s>) {
            write(scope, args.this().into(), [args.get(0), args.get(1), args.get(2)], &mut ret, Encoding::$encoding);
        })*
    };
}
writes! { base64_write Base64; base64url_write Base64Url; hex_write Hex; ucs2_write Ucs2; }

macro_rules! static_writes {
    ($($f:ident $encoding:ident;)*) => {
        $(fn $f<'s>(scope: &mut Scope<'s, '_>, args: Args<'s>, mut ret: Ret<'s>) {
            write(scope, args.get(0), [args.get(1), args.get(2), args.get(3)], &mut ret, Encoding::$encoding);
        })*
    };
}
static_writes! { ascii_write_static Ascii; latin1_write_static Latin1; utf8_write_static Utf8; }

fn byte_length_utf8<'s>(scope: &mut Scope<'s, '_>, args: Args<'s>, mut ret: Ret<'s>) {
    match args.get(0).try_cast::<v8::String>() {
        Ok(s) => ret.set_double(s.utf8_length(scope) as f64),
        Err(_) => js::throw_argument(scope, "argument must be a string"),
    }
}

/// Bytes of two views at once: the first is copied, because both may be the same memory.
fn two<T>(a: Value<'_>, b: Value<'_>, f: impl FnOnce(&[u8], &mut [u8]) -> T) -> Option<T> {
    let a = js::with_bytes(a, |a| (a.as_ptr(), a.len()))?;
    js::with_bytes(b, |b| {
        let overlap = (a.0 as usize) < b.as_ptr() as usize + b.len() && (b.as_ptr() as usize) < a.0 as usize + a.1;
        // SAFETY: `with_bytes` vouched for the memory, no JavaScript has run since, and the overlapping case is copied.
        let bytes = unsafe { std::slice::from_raw_parts(a.0, a.1) };
        if overlap {
            let copy = bytes.to_vec();
            f(&copy, b)
        } else {
            f(bytes, b)
        }
    })
}

fn usize_arg(scope: &Scope<'_, '_>, v: Value<'_>) -> Option<usize> {
    position(scope, v, 0, usize::MAX)
}

/// `copy(source, target, targetStart, sourceStart, count)`.
fn copy<'s>(scope: &mut Scope<'s, '_>, args: Args<'s>, mut ret: Ret<'s>) {
    let (Some(to), Some(from), Some(n)) =
        (usize_arg(scope, args.get(2)), usize_arg(scope, args.get(3)), usize_arg(scope, args.get(4)))
    else {
        return out_of_range(scope);
    };
    let done = copy_bytes(args.get(0), from, args.get(1), to, n);
    match done {
        Some(()) => ret.set_double(n as f64),
        None => out_of_range(scope),
    }
}

/// A `memmove` between two checked ranges.
fn copy_bytes(source: Value<'_>, from: usize, target: Value<'_>, to: usize, n: usize) -> Option<()> {
    let src = js::with_bytes(source, |s| s.get(from..from.checked_add(n)?).map(<[u8]>::as_ptr))??;
    let dst = js::with_bytes(target, |t| t.get_mut(to..to.checked_add(n)?).map(<[u8]>::as_mut_ptr))??;
    // SAFETY: both ranges were just checked and no JavaScript has run since; `copy` allows overlap.
    unsafe { std::ptr::copy(src, dst, n) };
    Some(())
}

/// `copyArrayBuffer(destination, destinationOffset, source, sourceOffset, count)`.
fn copy_array_buffer<'s>(scope: &mut Scope<'s, '_>, args: Args<'s>, _ret: Ret<'s>) {
    let (Some(to), Some(from), Some(n)) =
        (usize_arg(scope, args.get(1)), usize_arg(scope, args.get(3)), usize_arg(scope, args.get(4)))
    else {
        return out_of_range(scope);
    };
    if copy_bytes(args.get(2), from, args.get(0), to, n).is_none() {
        out_of_range(scope);
    }
}

fn compare<'s>(scope: &mut Scope<'s, '_>, args: Args<'s>, mut ret: Ret<'s>) {
    match two(args.get(0), args.get(1), |a, b| a.cmp(b) as i32) {
        Some(n) => ret.set_int32(n),
        None => js::throw_argument(scope, "arguments must be buffers"),
    }
}

/// `compareOffset(source, target, targetStart, sourceStart, targetEnd, sourceEnd)`.
fn compare_offset<'s>(scope: &mut Scope<'s, '_>, args: Args<'s>, mut ret: Ret<'s>) {
    let n: Option<Vec<usize>> = (2..6).map(|i| usize_arg(scope, args.get(i))).collect();
    let Some(&[target_start, source_start, target_end, source_end]) = n.as_deref() else { return out_of_range(scope) };
    let order = two(args.get(0), args.get(1), |s, t| {
        let s = s.get(source_start..source_end.min(s.len()).max(source_start))?;
        let t = t.get(target_start..target_end.min(t.len()).max(target_start))?;
        Some(s.cmp(t) as i32)
    });
    match order {
        Some(Some(n)) => ret.set_int32(n),
        _ => out_of_range(scope),
    }
}

/// `fill(buffer, value, start, end, encoding)`: -2 out of bounds, -1 nothing to fill with.
fn fill<'s>(scope: &mut Scope<'s, '_>, args: Args<'s>, mut ret: Ret<'s>) {
    let (Some(start), Some(end)) = (usize_arg(scope, args.get(2)), usize_arg(scope, args.get(3))) else {
        return ret.set_int32(-2);
    };
    let pattern = if let Ok(s) = args.get(1).try_cast::<v8::String>() {
        codec::encode(scope, s, Encoding::of(scope, args.get(4), Encoding::Utf8))
    } else if let Some(b) = js::with_bytes(args.get(1), |b| b.to_vec()) {
        b
    } else {
        let Some(n) = args.get(1).uint32_value(scope) else { return };
        vec![(n & 255) as u8]
    };
    let result = js::with_bytes(args.get(0), |b| {
        let Some(b) = b.get_mut(start..end) else { return -2 };
        if b.is_empty() {
            return 0;
        }
        if pattern.is_empty() {
            return -1;
        }
        for chunk in b.chunks_mut(pattern.len()) {
            if let Some(p) = pattern.get(..chunk.len()) {
                chunk.copy_from_slice(p);
            }
        }
        0
    });
    match result {
        Some(0) => {}
        Some(n) => ret.set_int32(n),
        None => js::throw_argument(scope, "argument must be a buffer"),
    }
}

/// Where a search starts, and what it answers when the needle is empty. Both follow `String.prototype.indexOf`.
fn find(hay: &[u8], needle: &[u8], offset: f64, forward: bool, step: usize) -> f64 {
    let len = hay.len() as f64;
    let start = if offset < 0.0 { offset + len } else { offset };
    let start = if start < 0.0 {
        if !forward {
            return -1.0;
        }
        0.0
    } else {
        start
    };
    if needle.is_empty() {
        return start.min(len);
    }
    if hay.is_empty() || needle.len() > hay.len() {
        return -1.0;
    }
    let start = start.min(len) as usize;
    let last = hay.len() - needle.len();
    let hit = |i: &usize| i.is_multiple_of(step) && hay.get(*i..*i + needle.len()) == Some(needle);
    let found = if forward {
        if start > last { None } else { (start..=last).find(|i| hit(i)) }
    } else {
        (0..=start.min(last)).rev().find(|i| hit(i))
    };
    found.map_or(-1.0, |i| i as f64)
}

fn index_of<'s>(
    scope: &mut Scope<'s, '_>,
    args: &Args<'s>,
    ret: &mut Ret<'s>,
    needle: &[u8],
    encoding: Encoding,
    forward: Value<'s>,
) {
    let Some(offset) = args.get(2).number_value(scope) else { return };
    let step = if encoding == Encoding::Ucs2 { 2 } else { 1 };
    let offset = if offset.is_nan() { 0.0 } else { offset };
    match js::with_bytes(args.get(0), |hay| find(hay, needle, offset, forward.is_true(), step)) {
        Some(n) => ret.set_double(n),
        None => js::throw_argument(scope, "argument must be a buffer"),
    }
}

fn index_of_string<'s>(scope: &mut Scope<'s, '_>, args: Args<'s>, mut ret: Ret<'s>) {
    let Ok(s) = args.get(1).try_cast::<v8::String>() else {
        return js::throw_argument(scope, "argument must be a string");
    };
    let encoding = Encoding::of(scope, args.get(3), Encoding::Utf8);
    let needle = codec::encode(scope, s, encoding);
    index_of(scope, &args, &mut ret, &needle, encoding, args.get(4));
}

fn index_of_buffer<'s>(scope: &mut Scope<'s, '_>, args: Args<'s>, mut ret: Ret<'s>) {
    let Some(needle) = js::with_bytes(args.get(1), |b| b.to_vec()) else {
        return js::throw_argument(scope, "argument must be a buffer");
    };
    let encoding = Encoding::of(scope, args.get(3), Encoding::Utf8);
    index_of(scope, &args, &mut ret, &needle, encoding, args.get(4));
}

fn index_of_number<'s>(scope: &mut Scope<'s, '_>, args: Args<'s>, mut ret: Ret<'s>) {
    let Some(n) = args.get(1).uint32_value(scope) else { return };
    index_of(scope, &args, &mut ret, &[(n & 255) as u8], Encoding::Utf8, args.get(3));
}

fn swap<'s>(scope: &mut Scope<'s, '_>, args: &Args<'s>, ret: &mut Ret<'s>, size: usize) {
    if js::with_bytes(args.get(0), |b| b.chunks_exact_mut(size).for_each(<[u8]>::reverse)).is_none() {
        return js::throw_argument(scope, "argument must be a buffer");
    }
    ret.set(args.get(0));
}

fn swap16<'s>(scope: &mut Scope<'s, '_>, args: Args<'s>, mut ret: Ret<'s>) {
    swap(scope, &args, &mut ret, 2);
}

fn swap32<'s>(scope: &mut Scope<'s, '_>, args: Args<'s>, mut ret: Ret<'s>) {
    swap(scope, &args, &mut ret, 4);
}

fn swap64<'s>(scope: &mut Scope<'s, '_>, args: Args<'s>, mut ret: Ret<'s>) {
    swap(scope, &args, &mut ret, 8);
}

fn detached(scope: &Scope<'_, '_>, v: Value<'_>) -> bool {
    let gone = v.try_cast::<v8::ArrayBuffer>().is_ok_and(|b| b.was_detached());
    if gone {
        js::throw_with_code(
            scope,
            js::Kind::Type,
            "ERR_INVALID_STATE",
            "Invalid state: Cannot validate on a detached buffer",
        );
    }
    gone
}

fn is_utf8<'s>(scope: &mut Scope<'s, '_>, args: Args<'s>, mut ret: Ret<'s>) {
    if !detached(scope, args.get(0)) {
        ret.set_bool(js::with_bytes(args.get(0), |b| v8::simdutf::validate_utf8(b)).unwrap_or(false));
    }
}

fn is_ascii<'s>(scope: &mut Scope<'s, '_>, args: Args<'s>, mut ret: Ret<'s>) {
    if !detached(scope, args.get(0)) {
        ret.set_bool(js::with_bytes(args.get(0), |b| b.is_ascii()).unwrap_or(false));
    }
}

/// `btoa`: -1 when a character is above U+00FF.
fn btoa<'s>(scope: &mut Scope<'s, '_>, args: Args<'s>, mut ret: Ret<'s>) {
    let Ok(s) = args.get(0).try_cast::<v8::String>() else {
        return js::throw_argument(scope, "argument must be a string");
    };
    if !s.contains_only_onebyte() {
        return ret.set_int32(-1);
    }
    let bytes = codec::encode(scope, s, Encoding::Latin1);
    if let Some(v) = codec::decode(scope, &bytes, Encoding::Base64) {
        ret.set(v);
    }
}

/// `atob` by the forgiving decoder of the infra standard: -1 a bad character, -2 a bad length, -3 anything else.
fn atob<'s>(scope: &mut Scope<'s, '_>, args: Args<'s>, mut ret: Ret<'s>) {
    let Ok(s) = args.get(0).try_cast::<v8::String>() else {
        return js::throw_argument(scope, "argument must be a string");
    };
    let mut text = codec::units(scope, s);
    text.retain(|u| !matches!(u, 0x20 | 0x09 | 0x0a | 0x0c | 0x0d));
    if text.len().is_multiple_of(4) {
        for _ in 0..2 {
            if text.last() == Some(&u16::from(b'=')) {
                text.pop();
            }
        }
    }
    let good = |u: &u16| u8::try_from(*u).is_ok_and(|c| c.is_ascii_alphanumeric() || c == b'+' || c == b'/');
    if !text.iter().all(good) {
        return ret.set_int32(-1);
    }
    if text.len() % 4 == 1 {
        return ret.set_int32(-2);
    }
    let bytes = codec::base64_decode(&text);
    if let Some(v) = codec::decode(scope, &bytes, Encoding::Latin1) {
        ret.set(v);
    }
}

fn set_buffer_prototype<'s>(scope: &mut Scope<'s, '_>, args: Args<'s>, _ret: Ret<'s>) {
    if !args.get(0).is_object() {
        return js::throw_argument(scope, "the prototype must be an object");
    }
    env(scope).set_root(scope, Root::BufferPrototype, args.get(0));
}

/// The library turns zero filling off around allocations it will overwrite. Memory of a guest is always zeroed here, so the
/// toggle is connected to nothing.
fn zero_fill_toggle<'s>(scope: &mut Scope<'s, '_>, _args: Args<'s>, mut ret: Ret<'s>) {
    let b = v8::ArrayBuffer::new(scope, 4);
    if let Some(a) = v8::Uint32Array::new(scope, b, 0, 1) {
        ret.set(a.into());
    }
}

fn create_unsafe_array_buffer<'s>(scope: &mut Scope<'s, '_>, args: Args<'s>, mut ret: Ret<'s>) {
    // Through the constructor, which throws Node's RangeError where memory is short.
    let global = scope.get_current_context().global(scope);
    let Some(f) = js::get(scope, global, "ArrayBuffer").and_then(|v| v.try_cast::<v8::Function>().ok()) else { return };
    if let Some(b) = f.new_instance(scope, &[args.get(0)]) {
        ret.set(b.into());
    }
}

fn set_detach_key<'s>(scope: &mut Scope<'s, '_>, args: Args<'s>, _ret: Ret<'s>) {
    match args.get(0).try_cast::<v8::ArrayBuffer>() {
        Ok(b) => b.set_detach_key(args.get(1)),
        Err(_) => js::throw_argument(scope, "argument must be an ArrayBuffer"),
    }
}

pub(super) fn register(r: &mut Registry) {
    r.add("buffer.asciiSlice", ascii_slice);
    r.add("buffer.base64Slice", base64_slice);
    r.add("buffer.base64urlSlice", base64url_slice);
    r.add("buffer.latin1Slice", latin1_slice);
    r.add("buffer.hexSlice", hex_slice);
    r.add("buffer.ucs2Slice", ucs2_slice);
    r.add("buffer.utf8Slice", utf8_slice);
    r.add("buffer.base64Write", base64_write);
    r.add("buffer.base64urlWrite", base64url_write);
    r.add("buffer.hexWrite", hex_write);
    r.add("buffer.ucs2Write", ucs2_write);
    r.add("buffer.asciiWriteStatic", ascii_write_static);
    r.add("buffer.latin1WriteStatic", latin1_write_static);
    r.add("buffer.utf8WriteStatic", utf8_write_static);
    r.add("buffer.byteLengthUtf8", byte_length_utf8);
    r.add("buffer.copy", copy);
    r.add("buffer.copyArrayBuffer", copy_array_buffer);
    r.add("buffer.compare", compare);
    r.add("buffer.compareOffset", compare_offset);
    r.add("buffer.fill", fill);
    r.add("buffer.indexOfString", index_of_string);
    r.add("buffer.indexOfBuffer", index_of_buffer);
    r.add("buffer.indexOfNumber", index_of_number);
    r.add("buffer.swap16", swap16);
    r.add("buffer.swap32", swap32);
    r.add("buffer.swap64", swap64);
    r.add("buffer.isUtf8", is_utf8);
    r.add("buffer.isAscii", is_ascii);
    r.add("buffer.btoa", btoa);
    r.add("buffer.atob", atob);
    r.add("buffer.setBufferPrototype", set_buffer_prototype);
    r.add("buffer.getZeroFillToggle", zero_fill_toggle);
    r.add("buffer.createUnsafeArrayBuffer", create_unsafe_array_buffer);
    r.add("buffer.setDetachKey", set_detach_key);
}

#[cfg(test)]
mod tests {
    use super::find;

    #[test]
    fn searches_from_both_ends() {
        let hay = b"abcabc";
        assert_eq!(find(hay, b"bc", 0.0, true, 1), 1.0);
        assert_eq!(find(hay, b"bc", 2.0, true, 1), 4.0);
        assert_eq!(find(hay, b"bc", -1.0, false, 1), 4.0);
        assert_eq!(find(hay, b"bc", 3.0, false, 1), 1.0);
        assert_eq!(find(hay, b"x", 0.0, true, 1), -1.0);
        assert_eq!(find(hay, b"", 9.0, true, 1), 6.0);
        assert_eq!(find(hay, b"abcabcabc", 0.0, true, 1), -1.0);
        assert_eq!(find(hay, b"a", f64::INFINITY, true, 1), -1.0);
    }
}
