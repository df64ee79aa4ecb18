//! V8's compiled form of the built-ins, so that they need not be compiled again in every process.
//!
//! The bytes: a count, then for each entry the built-in's index in the artefact, an offset and a length, all u32 in little
//! endian; then the data. V8 itself refuses data of another version, of other flags, or of another source.

use std::rc::Rc;

use crate::artefact::Artefact;
use crate::env::Env;
use crate::js::Scope;
use crate::realm::{self, BootError};
use crate::sys::Sys;

/// A code cache, borrowed from static bytes.
pub(crate) struct CodeCache {
    entries: Vec<Option<&'static [u8]>>,
}

impl CodeCache {
    /// Reads a cache; `None` when the bytes are not one.
    pub(crate) fn from_static(bytes: &'static [u8]) -> Option<&'static Self> {
        let word = |i: usize| -> Option<usize> {
            let b = bytes.get(i.checked_mul(4)?..)?.first_chunk::<4>()?;
            usize::try_from(u32::from_le_bytes(*b)).ok()
        };
        let count = word(0)?;
        let mut entries: Vec<Option<&'static [u8]>> = Vec::new();
        for i in 0..count.min(4096) {
            let (index, at, len) = (word(1 + 3 * i)?, word(2 + 3 * i)?, word(3 + 3 * i)?);
            let data = bytes.get(at..at.checked_add(len)?)?;
            if index > 4096 {
                return None;
            }
            if entries.len() <= index {
                entries.resize(index + 1, None);
            }
            *entries.get_mut(index)? = Some(data);
        }
        Some(Box::leak(Box::new(Self { entries })))
    }

    pub(crate) fn get(&self, index: usize) -> Option<&'static [u8]> {
        self.entries.get(index).copied().flatten()
    }
}

/// Boots the library, loads every public built-in, and answers what V8 compiled, as bytes for [`crate::Setup::code_cache`].
/// Best made in a host process that runs no guests: where a snapshot is used, all isolates must come from it.
///
/// # Errors
/// When the library does not boot.
pub fn build_code_cache(artefact: &'static Artefact) -> Result<Vec<u8>, BootError> {
    crate::platform::init();
    record(artefact, |scope| {
        for id in artefact.ids().iter().filter(|id| !id.starts_with("internal/")) {
            // One that cannot be loaded here (the inspector, for one) is compiled where it is asked for.
            let _ = realm::require(scope, id);
        }
        Ok(())
    })
}

/// What V8 compiles of the library on the way through a small script; see `rehearsal.rs`.
pub(crate) fn rehearse(artefact: &'static Artefact) -> Result<Vec<u8>, BootError> {
    record(artefact, |scope| match crate::run::main(scope) {
        0 => Ok(()),
        code => Err(BootError(format!("the rehearsal ended with code {code}"))),
    })
}

/// Boots the library in an isolate of its own, runs `act`, and answers what was compiled.
fn record(
    artefact: &'static Artefact,
    act: impl FnOnce(&mut Scope<'_, '_>) -> Result<(), BootError>,
) -> Result<Vec<u8>, BootError> {
    let mut isolate = v8::Isolate::new(v8::CreateParams::default());
    let mut env = Env::new(artefact, Sys::none());
    env.collect_compiled = true;
    let env = Rc::new(env);
    realm::attach(&mut isolate, Rc::clone(&env));
    crate::run::install_hooks(&mut isolate);
    crate::run::listen_for_messages(&mut isolate);
    env.event_loop.start(&env.sys);
    v8::scope!(let scope, &mut isolate);
    let context = v8::Context::new(scope, v8::ContextOptions::default());
    let scope = &mut v8::ContextScope::new(scope, context);
    realm::boot(scope)?;
    act(scope)?;
    let mut entries = Vec::new();
    for (index, f) in env.compiled.take() {
        let f = v8::Local::new(scope, &f);
        if let Some(data) = f.create_code_cache() {
            entries.push((index, data.to_vec()));
        }
    }
    Ok(write(&entries))
}

/// Writes a cache from its entries.
fn write(entries: &[(usize, Vec<u8>)]) -> Vec<u8> {
    let word = |n: usize| u32::try_from(n).unwrap_or(u32::MAX).to_le_bytes();
    let mut out = word(entries.len()).to_vec();
    let mut at = 4 + entries.len() * 12;
    at = at.next_multiple_of(8);
    let start = at;
    for (index, data) in entries {
        out.extend(word(*index));
        out.extend(word(at));
        out.extend(word(data.len()));
        at = (at + data.len()).next_multiple_of(8);
    }
    out.resize(start, 0);
    for (_, data) in entries {
        out.extend_from_slice(data);
        out.resize(out.len().next_multiple_of(8), 0);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_wrote() {
        let bytes = write(&[(3, vec![1, 2, 3]), (0, vec![9; 20])]);
        let c = CodeCache::from_static(bytes.leak()).unwrap();
        assert_eq!(c.get(3), Some(&[1, 2, 3][..]));
        assert_eq!(c.get(0), Some(&[9; 20][..]));
        assert_eq!(c.get(1), None);
        assert!(CodeCache::from_static(&[9, 0, 0, 0]).is_none());
    }
}
