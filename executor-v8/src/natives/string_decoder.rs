//! `internalBinding('string_decoder')`: text that arrives in pieces. The state lies in a buffer of the library's: four bytes of
//! an unfinished character, how many are missing, how many are kept, and the encoding.

use crate::js::{self, Args, Ret, Scope, Value};
use crate::registry::Registry;

use super::codec::{self, Encoding};

const MISSING: usize = 4;
const BUFFERED: usize = 5;
const ENCODING: usize = 6;
const SIZE: usize = 7;

struct State {
    kept: Vec<u8>,
    encoding: Encoding,
}

fn load(v: Value<'_>) -> Option<State> {
    js::with_bytes(v, |b| {
        let n = usize::from(*b.get(BUFFERED)?).min(4);
        Some(State { kept: b.get(..n)?.to_vec(), encoding: Encoding::from_number((*b.get(ENCODING)?).into())? })
    })?
    .filter(|_| js::with_bytes(v, |b| b.len() >= SIZE) == Some(true))
}

fn store(v: Value<'_>, kept: &[u8], missing: usize) {
    js::with_bytes(v, |b| {
        let n = kept.len().min(4);
        if let (Some(to), Some(from)) = (b.get_mut(..n), kept.get(..n)) {
            to.copy_from_slice(from);
        }
        if let Some(m) = b.get_mut(MISSING) {
            *m = u8::try_from(missing).unwrap_or(0);
        }
        if let Some(m) = b.get_mut(BUFFERED) {
            *m = u8::try_from(n).unwrap_or(0);
        }
    });
}

/// How many bytes at the end of UTF-8 text begin a character that is not finished, and how many are missing to finish it.
fn utf8_tail(bytes: &[u8]) -> (usize, usize) {
    for back in 1..=bytes.len().min(3) {
        let Some(b) = bytes.get(bytes.len() - back) else { break };
        let need = match b {
            0x80..=0xbf => continue,
            0xc2..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0..=0xf4 => 4,
            _ => return (0, 0),
        };
        if need <= back {
            return (0, 0);
        }
        // What follows the lead byte must be able to continue it, or it is malformed already.
        let second = bytes.get(bytes.len() - back + 1);
        let fits = second.is_none_or(|s| match b {
            0xe0 => *s >= 0xa0,
            0xed => *s <= 0x9f,
            0xf0 => *s >= 0x90,
            0xf4 => *s <= 0x8f,
            _ => true,
        });
        return if fits { (back, need - back) } else { (0, 0) };
    }
    (0, 0)
}

/// The unfinished end of `bytes` in an encoding: its length, and how many bytes are missing.
fn tail(bytes: &[u8], encoding: Encoding) -> (usize, usize) {
    match encoding {
        Encoding::Utf8 => utf8_tail(bytes),
        Encoding::Ucs2 => {
            let odd = bytes.len() % 2;
            let whole = bytes.len() - odd;
            let high = whole.checked_sub(1).and_then(|i| bytes.get(i)).is_some_and(|b| (0xd8..=0xdb).contains(b));
            match (high, odd) {
                (true, 0) => (2, 2),
                (true, _) => (3, 1),
                (false, 0) => (0, 0),
                (false, _) => (1, 1),
            }
        }
        Encoding::Base64 | Encoding::Base64Url => match bytes.len() % 3 {
            0 => (0, 0),
            n => (n, 3 - n),
        },
        _ => (0, 0),
    }
}

fn decode<'s>(scope: &mut Scope<'s, '_>, args: Args<'s>, mut ret: Ret<'s>) {
    let Some(state) = load(args.get(0)) else {
        return js::throw_argument(scope, "the decoder's state must be a buffer of its size");
    };
    let Some(input) = js::with_bytes(args.get(1), |b| b.to_vec()) else {
        return js::throw_argument(
            scope,
            "The \"buf\" argument must be an instance of Buffer, TypedArray, or DataView.",
        );
    };
    let mut bytes = state.kept;
    bytes.extend_from_slice(&input);
    let (kept, missing) = tail(&bytes, state.encoding);
    let (text, rest) = bytes.split_at(bytes.len() - kept);
    let Some(v) = codec::decode(scope, text, state.encoding) else { return };
    store(args.get(0), rest, missing);
    ret.set(v);
}

fn flush<'s>(scope: &mut Scope<'s, '_>, args: Args<'s>, mut ret: Ret<'s>) {
    let Some(mut state) = load(args.get(0)) else {
        return js::throw_argument(scope, "the decoder's state must be a buffer of its size");
    };
    if state.encoding == Encoding::Ucs2 && state.kept.len() % 2 == 1 {
        state.kept.pop();
    }
    let v = codec::decode(scope, &state.kept, state.encoding);
    store(args.get(0), &[], 0);
    if let Some(v) = v {
        ret.set(v);
    }
}

pub(super) fn register(r: &mut Registry) {
    r.add("string_decoder.decode", decode);
    r.add("string_decoder.flush", flush);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_unfinished_characters() {
        assert_eq!(utf8_tail("aé".as_bytes()), (0, 0));
        assert_eq!(utf8_tail(b"a\xc3"), (1, 1));
        assert_eq!(utf8_tail(b"\xe2\x82"), (2, 1));
        assert_eq!(utf8_tail(b"\xf0\x9f\x98"), (3, 1));
        assert_eq!(utf8_tail(b"\xe0\x80"), (0, 0));
        assert_eq!(utf8_tail(b"\xff"), (0, 0));
        assert_eq!(tail(b"a\x00b", Encoding::Ucs2), (1, 1));
        assert_eq!(tail(b"\x3d\xd8", Encoding::Ucs2), (2, 2));
        assert_eq!(tail(b"abcd", Encoding::Base64), (1, 2));
    }
}
