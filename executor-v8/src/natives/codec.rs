//! Text and bytes: the encodings of Node, and `internalBinding('encoding_binding')`.

use crate::env::{Root, env};
use crate::js::{self, Args, Ret, Scope, Value};
use crate::registry::Registry;

/// Node's encodings; the numbers are those of its `enum encoding`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Encoding {
    Ascii,
    Utf8,
    Base64,
    Ucs2,
    Latin1,
    Hex,
    Buffer,
    Base64Url,
}

impl Encoding {
    pub(crate) fn from_number(n: u32) -> Option<Self> {
        Some(match n {
            0 => Self::Ascii,
            1 => Self::Utf8,
            2 => Self::Base64,
            3 => Self::Ucs2,
            4 => Self::Latin1,
            5 => Self::Hex,
            6 => Self::Buffer,
            7 => Self::Base64Url,
            _ => return None,
        })
    }

    /// An encoding argument: a name or a number; `default` for everything else.
    pub(crate) fn of(scope: &Scope<'_, '_>, v: Value<'_>, default: Self) -> Self {
        if let Ok(n) = v.try_cast::<v8::Uint32>() {
            return Self::from_number(n.value()).unwrap_or(default);
        }
        let Some(name) = js::rust_string(scope, v) else { return default };
        match name.to_ascii_lowercase().as_str() {
            "utf8" | "utf-8" => Self::Utf8,
            "ascii" => Self::Ascii,
            "base64" => Self::Base64,
            "base64url" => Self::Base64Url,
            "latin1" | "binary" => Self::Latin1,
            "hex" => Self::Hex,
            "ucs2" | "ucs-2" | "utf16le" | "utf-16le" => Self::Ucs2,
            "buffer" => Self::Buffer,
            _ => default,
        }
    }
}

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const BASE64_URL: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

pub(crate) fn base64_encode(bytes: &[u8], url: bool) -> Vec<u8> {
    let table = if url { BASE64_URL } else { BASE64 };
    let digit = |n: u32| table.get((n & 63) as usize).copied().unwrap_or(b'=');
    let mut out = Vec::with_capacity(bytes.len().div_ceil(3) * 4);
    for c in bytes.chunks(3) {
        let at = |i: usize| u32::from(c.get(i).copied().unwrap_or(0));
        let n = (at(0) << 16) | (at(1) << 8) | at(2);
        out.push(digit(n >> 18));
        out.push(digit(n >> 12));
        for (i, shift) in [(1, 6), (2, 0)] {
            if c.len() > i {
                out.push(digit(n >> shift));
            } else if !url {
                out.push(b'=');
            }
        }
    }
    out
}

/// Decodes both alphabets; what is in neither is skipped, and `=` ends the text, as in Node.
pub(crate) fn base64_decode(text: &[u16]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() / 4 * 3 + 3);
    let (mut acc, mut bits) = (0_u32, 0_u32);
    for unit in text {
        let Ok(c) = u8::try_from(*unit) else { continue };
        let d = match c {
            b'A'..=b'Z' => c - b'A',
            b'a'..=b'z' => c - b'a' + 26,
            b'0'..=b'9' => c - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            b'=' => break,
            _ => continue,
        };
        acc = ((acc << 6) | u32::from(d)) & 0x00ff_ffff;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            out.push(((acc >> bits) & 0xff) as u8);
        }
    }
    out
}

fn hex_decode(text: &[u16]) -> Vec<u8> {
    let digit = |u: u16| char::from_u32(u.into()).and_then(|c| c.to_digit(16));
    let mut out = Vec::with_capacity(text.len() / 2);
    for pair in text.chunks_exact(2) {
        let [a, b] = pair else { break };
        let (Some(a), Some(b)) = (digit(*a), digit(*b)) else { break };
        out.push((a * 16 + b) as u8);
    }
    out
}

/// The UTF-16 units of a string.
pub(crate) fn units(scope: &Scope<'_, '_>, s: v8::Local<'_, v8::String>) -> Vec<u16> {
    let mut buf = vec![0_u16; s.length()];
    s.write_v2(scope, 0, &mut buf, v8::WriteFlags::default());
    buf
}

/// The bytes of a string in an encoding.
pub(crate) fn encode(scope: &Scope<'_, '_>, s: v8::Local<'_, v8::String>, encoding: Encoding) -> Vec<u8> {
    match encoding {
        Encoding::Utf8 | Encoding::Buffer => {
            let mut buf = vec![0; s.utf8_length(scope)];
            let n = s.write_utf8_v2(scope, &mut buf, v8::WriteFlags::kReplaceInvalidUtf8, None);
            buf.truncate(n);
            buf
        }
        Encoding::Ascii | Encoding::Latin1 => {
            let mut buf = vec![0; s.length()];
            s.write_one_byte_v2(scope, 0, &mut buf, v8::WriteFlags::default());
            buf
        }
        Encoding::Ucs2 => units(scope, s).into_iter().flat_map(u16::to_le_bytes).collect(),
        Encoding::Base64 | Encoding::Base64Url => base64_decode(&units(scope, s)),
        Encoding::Hex => hex_decode(&units(scope, s)),
    }
}

/// The string that bytes spell in an encoding. `None` with a pending exception when it is too long.
pub(crate) fn decode<'s>(scope: &Scope<'s, '_>, bytes: &[u8], encoding: Encoding) -> Option<Value<'s>> {
    let normal = v8::NewStringType::Normal;
    let s = match encoding {
        Encoding::Utf8 => js::string_lossy(scope, bytes),
        Encoding::Latin1 => v8::String::new_from_one_byte(scope, bytes, normal),
        Encoding::Ascii if bytes.is_ascii() => v8::String::new_from_one_byte(scope, bytes, normal),
        Encoding::Ascii => {
            let masked: Vec<u8> = bytes.iter().map(|b| b & 0x7f).collect();
            v8::String::new_from_one_byte(scope, &masked, normal)
        }
        Encoding::Ucs2 => {
            let units: Vec<u16> = bytes.as_chunks::<2>().0.iter().map(|c| u16::from_le_bytes(*c)).collect();
            v8::String::new_from_two_byte(scope, &units, normal)
        }
        Encoding::Hex => {
            const DIGITS: &[u8; 16] = b"0123456789abcdef";
            let digit = |n: u8| DIGITS.get(usize::from(n & 15)).copied().unwrap_or(0);
            let text: Vec<u8> = bytes.iter().flat_map(|b| [digit(b >> 4), digit(*b)]).collect();
            v8::String::new_from_one_byte(scope, &text, normal)
        }
        Encoding::Base64 | Encoding::Base64Url => {
            v8::String::new_from_one_byte(scope, &base64_encode(bytes, encoding == Encoding::Base64Url), normal)
        }
        Encoding::Buffer => return Some(buffer_of(scope, bytes.to_vec())),
    };
    if s.is_none() {
        js::throw_with_code(
            scope,
            js::Kind::Error,
            "ERR_STRING_TOO_LONG",
            "Cannot create a string longer than 0x1fffffe8 characters",
        );
    }
    Some(s?.into())
}

/// A `Buffer` that owns `bytes`.
pub(crate) fn buffer_of<'s>(scope: &Scope<'s, '_>, bytes: Vec<u8>) -> Value<'s> {
    let len = bytes.len();
    let store = v8::ArrayBuffer::new_backing_store_from_vec(bytes).make_shared();
    let ab = v8::ArrayBuffer::with_backing_store(scope, &store);
    let Some(array) = v8::Uint8Array::new(scope, ab, 0, len) else { return js::undefined(scope) };
    if let Some(p) = env(scope).root(scope, Root::BufferPrototype) {
        array.set_prototype(scope, p);
    }
    array.into()
}

fn encode_into<'s>(scope: &mut Scope<'s, '_>, args: Args<'s>, _ret: Ret<'s>) {
    let (Ok(s), true) = (args.get(0).try_cast::<v8::String>(), args.get(1).is_uint8_array()) else {
        return js::throw_argument(scope, "expected (string, Uint8Array)");
    };
    let mut read = 0;
    let isolate: &v8::Isolate = scope;
    let written = js::with_bytes(args.get(1), |b| {
        s.write_utf8_v2(isolate, b, v8::WriteFlags::kReplaceInvalidUtf8, Some(&mut read))
    });
    let env = env(scope);
    env.write::<u32>(Root::EncodeIntoResults, 0, u32::try_from(read).unwrap_or(u32::MAX));
    env.write::<u32>(Root::EncodeIntoResults, 1, u32::try_from(written.unwrap_or(0)).unwrap_or(u32::MAX));
}

fn encode_utf8_string<'s>(scope: &mut Scope<'s, '_>, args: Args<'s>, mut ret: Ret<'s>) {
    let Ok(s) = args.get(0).try_cast::<v8::String>() else {
        return js::throw_argument(scope, "expected a string");
    };
    let bytes = encode(scope, s, Encoding::Utf8);
    let len = bytes.len();
    let store = v8::ArrayBuffer::new_backing_store_from_vec(bytes).make_shared();
    let ab = v8::ArrayBuffer::with_backing_store(scope, &store);
    if let Some(a) = v8::Uint8Array::new(scope, ab, 0, len) {
        ret.set(a.into());
    }
}

/// `decodeUTF8(input, ignoreBOM, fatal)`.
fn decode_utf8<'s>(scope: &mut Scope<'s, '_>, args: Args<'s>, mut ret: Ret<'s>) {
    let (ignore_bom, fatal) = (args.get(1).is_true(), args.get(2).is_true());
    let scope_ref: &Scope<'s, '_> = scope;
    let text = js::with_bytes(args.get(0), |b| {
        let b: &[u8] = b;
        if fatal && !v8::simdutf::validate_utf8(b) {
            return Err(());
        }
        let b = if ignore_bom { b } else { b.strip_prefix(b"\xef\xbb\xbf").unwrap_or(b) };
        Ok(decode(scope_ref, b, Encoding::Utf8))
    });
    match text {
        None => js::throw_argument(
            scope,
            "The \"list\" argument must be an instance of SharedArrayBuffer, ArrayBuffer or ArrayBufferView.",
        ),
        Some(Err(())) => js::throw_with_code(
            scope,
            js::Kind::Type,
            "ERR_ENCODING_INVALID_ENCODED_DATA",
            "The encoded data was not valid for encoding utf-8",
        ),
        Some(Ok(v)) => {
            if let Some(v) = v {
                ret.set(v);
            }
        }
    }
}

/// windows-1252, which the encoding standard means by `latin1`.
fn decode_latin1<'s>(scope: &mut Scope<'s, '_>, args: Args<'s>, mut ret: Ret<'s>) {
    const HIGH: [u16; 32] = [
        0x20ac, 0x81, 0x201a, 0x192, 0x201e, 0x2026, 0x2020, 0x2021, 0x2c6, 0x2030, 0x160, 0x2039, 0x152, 0x8d, 0x17d,
        0x8f, 0x90, 0x2018, 0x2019, 0x201c, 0x201d, 0x2022, 0x2013, 0x2014, 0x2dc, 0x2122, 0x161, 0x203a, 0x153, 0x9d,
        0x17e, 0x178,
    ];
    let text = js::with_bytes(args.get(0), |b| {
        let unit = |b: &u8| match b {
            0x80..=0x9f => HIGH.get(usize::from(b - 0x80)).copied().unwrap_or(0xfffd),
            _ => u16::from(*b),
        };
        b.iter().map(unit).collect::<Vec<u16>>()
    });
    match text {
        None => {
            js::throw_argument(scope, "The \"list\" argument must be an instance of ArrayBuffer or ArrayBufferView.")
        }
        Some(units) => {
            if let Some(s) = v8::String::new_from_two_byte(scope, &units, v8::NewStringType::Normal) {
                ret.set(s.into());
            }
        }
    }
}

fn host_of<'s>(scope: &mut Scope<'s, '_>, args: Args<'s>, mut ret: Ret<'s>, unicode: bool) {
    let Some(text) = js::rust_string(scope, args.get(0)) else {
        return js::throw_argument(scope, "expected a string");
    };
    let out = if unicode { ada_url::Idna::unicode(&text) } else { ada_url::Idna::ascii(&text) };
    ret.set(js::string(scope, &out).into());
}

fn to_ascii<'s>(scope: &mut Scope<'s, '_>, args: Args<'s>, ret: Ret<'s>) {
    host_of(scope, args, ret, false);
}

fn to_unicode<'s>(scope: &mut Scope<'s, '_>, args: Args<'s>, ret: Ret<'s>) {
    host_of(scope, args, ret, true);
}

/// `icu.getStringWidth(text, ambiguousAsFullWidth, expandEmoji)`: columns on a terminal.
fn get_string_width<'s>(scope: &mut Scope<'s, '_>, args: Args<'s>, mut ret: Ret<'s>) {
    let Some(text) = js::rust_string(scope, args.get(0)) else { return };
    let width: u32 = text.chars().map(char_width).sum();
    ret.set_uint32(width);
}

/// Columns of one character: none for combining and invisible ones, two for wide ones.
fn char_width(c: char) -> u32 {
    match u32::from(c) {
        0..=0x1f
        | 0x7f..=0x9f
        | 0x300..=0x36f
        | 0x200b..=0x200f
        | 0x20d0..=0x20ff
        | 0xfe00..=0xfe0f
        | 0xfe20..=0xfe2f
        | 0xe0100..=0xe01ef => 0,
        0x1100..=0x115f
        | 0x2329..=0x232a
        | 0x2e80..=0x303e
        | 0x3041..=0x33ff
        | 0x3400..=0x4dbf
        | 0x4e00..=0x9fff
        | 0xa000..=0xa4cf
        | 0xac00..=0xd7a3
        | 0xf900..=0xfaff
        | 0xfe30..=0xfe6f
        | 0xff00..=0xff60
        | 0xffe0..=0xffe6
        | 0x1f300..=0x1f64f
        | 0x1f900..=0x1f9ff
        | 0x20000..=0x3fffd => 2,
        _ => 1,
    }
}

pub(super) fn register(r: &mut Registry) {
    r.add("encoding_binding.encodeInto", encode_into);
    r.add("encoding_binding.encodeUtf8String", encode_utf8_string);
    r.add("encoding_binding.decodeUTF8", decode_utf8);
    r.add("encoding_binding.decodeLatin1", decode_latin1);
    r.add("encoding_binding.toASCII", to_ascii);
    r.add("encoding_binding.toUnicode", to_unicode);
    r.add("icu.getStringWidth", get_string_width);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utf16(s: &str) -> Vec<u16> {
        s.encode_utf16().collect()
    }

    #[test]
    fn base64_both_ways() {
        for (bytes, text) in
            [(&b""[..], ""), (b"a", "YQ=="), (b"ab", "YWI="), (b"abc", "YWJj"), (&[0xfb, 0xff], "+/8=")]
        {
            assert_eq!(base64_encode(bytes, false), text.as_bytes());
            assert_eq!(base64_decode(&utf16(text)), bytes);
        }
        assert_eq!(base64_encode(&[0xfb, 0xff], true), b"-_8");
        assert_eq!(base64_decode(&utf16("Y W\nJ-")), [0x61, 0x62, 0x7e]);
    }

    #[test]
    fn hex_stops_at_the_first_bad_pair() {
        assert_eq!(hex_decode(&utf16("0aFfzz00")), [0x0a, 0xff]);
        assert_eq!(hex_decode(&utf16("abc")), [0xab]);
    }
}
