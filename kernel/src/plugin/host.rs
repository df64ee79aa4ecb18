//! Where component backends run: engines of their own and the code cache.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use wasmtime::component::Component;
use wasmtime::{Config, Engine};

use super::load::reason;
use super::{PluginConfig, PluginError, PluginFilesystem};
use crate::wasm::cache::{CodeCache, Unusable};

/// How deep a component's calls may nest, in bytes of native stack. A guest's fiber has 512 KiB beyond what the guest itself may use, for the kernel's
/// calls and a component's.
const WASM_STACK_BYTES: usize = 384 << 10;

/// Starts component backends. One serves any number of mounts and VMs; each mount has an instance of its own.
pub struct PluginHost {
    plain: Place,
    /// Made when the first component comes that needs it.
    concurrent: OnceLock<Result<Place, String>>,
    code_cache: Option<PathBuf>,
}

/// An engine, and its code on disk.
struct Place {
    engine: Engine,
    cache: Option<CodeCache>,
}

/// Whether components may have many calls in flight. An engine that allows it takes twice as long for every call.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Calls {
    OneByOne,
    Concurrent,
}

impl Place {
    fn new(calls: Calls, code_cache: Option<&Path>) -> Result<Self, String> {
        let mut config = Config::new();
        config.epoch_interruption(true);
        config.wasm_component_model(true);
        config.max_wasm_stack(WASM_STACK_BYTES);
        config.concurrency_support(calls == Calls::Concurrent);
        let engine = Engine::new(&config).map_err(|error| format!("{error:#}"))?;
        let cache = code_cache.and_then(|dir| match CodeCache::open(dir, &engine) {
            Ok(cache) => Some(cache),
            Err(error) => {
                tracing::warn!(dir = %dir.display(), %error, "no code cache: plug-ins are compiled in every run");
                None
            }
        });
        Ok(Self { engine, cache })
    }

    /// Finds a component's code in the cache, or compiles it.
    fn compile(&self, bytes: &[u8], hash: &[u8; 32], name: &str) -> wasmtime::Result<Component> {
        if let Some(component) = self.cached(hash) {
            return Ok(component);
        }
        let component = Component::from_binary(&self.engine, bytes)?;
        if let Some(cache) = &self.cache {
            let stored = component.serialize().map(|code| cache.store(hash, &code));
            if !matches!(stored, Ok(Ok(()))) {
                tracing::warn!(name, "a plug-in's code could not be kept: it will be compiled again next time");
            }
        }
        Ok(component)
    }

    fn cached(&self, hash: &[u8; 32]) -> Option<Component> {
        let cache = self.cache.as_ref()?;
        let entry = match cache.load(hash) {
            Ok(entry) => entry,
            Err(Unusable::Absent) => return None,
            Err(Unusable::Broken(reason)) => {
                tracing::warn!(reason, "a damaged entry of the code cache is made anew");
                cache.discard(hash);
                return None;
            }
        };
        // SAFETY: `CodeCache::load` opened a file that only this user can have written, in a directory that only this user can
        // change, whose name holds this engine's hash, and which is as long as it was when it was written.
        let component = unsafe { Component::deserialize_file(&self.engine, &entry.path) };
        component.map_err(|_| cache.discard(hash)).ok()
    }
}

impl PluginHost {
    /// A host, with a directory for compiled code that is made when it is not there; one that cannot be used is done without.
    ///
    /// # Errors
    /// When the engine cannot be made.
    pub fn new(code_cache: Option<PathBuf>) -> Result<Self, PluginError> {
        let plain = Place::new(Calls::OneByOne, code_cache.as_deref());
        let plain = plain.map_err(|reason| PluginError::Invalid { name: "the plug-in host".into(), reason })?;
        Ok(Self { plain, concurrent: OnceLock::new(), code_cache })
    }

    /// Compiles a component, or finds its code in the cache, and starts it.
    ///
    /// # Errors
    /// As [`PluginFilesystem::load`].
    pub fn load(&self, bytes: &[u8], config: PluginConfig) -> Result<PluginFilesystem, PluginError> {
        PluginFilesystem::start(&self.compile(bytes, &config.name)?, config)
    }

    /// Compiles a component, or finds its code in the cache: for one that is to be started many times. `name` is for messages.
    ///
    /// # Errors
    /// When it is no valid component.
    pub fn compile(&self, bytes: &[u8], name: &str) -> Result<Component, PluginError> {
        let hash = *blake3::hash(bytes).as_bytes();
        let error = match self.plain.compile(bytes, &hash, name) {
            Ok(component) => return Ok(component),
            Err(error) => error,
        };
        // Not valid there; it may be one of those that need the other engine.
        match self.concurrent.get_or_init(|| Place::new(Calls::Concurrent, self.code_cache.as_deref())) {
            Ok(place) => place.compile(bytes, &hash, name).map_err(|error| invalid(name, &error)),
            Err(_) => Err(invalid(name, &error)),
        }
    }
}

fn invalid(name: &str, error: &wasmtime::Error) -> PluginError {
    PluginError::Invalid { name: name.to_owned(), reason: reason(error) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_component_is_refused_with_its_name() {
        let host = PluginHost::new(None).unwrap();
        let error = host.load(b"\0asm", PluginConfig::new("broken.wasm")).err().unwrap();
        assert!(error.to_string().contains("broken.wasm"), "{error}");
    }

    #[test]
    fn a_component_with_concurrent_calls_gets_the_engine_for_it() {
        let host = PluginHost::new(None).unwrap();
        let plain = host.compile(&wat::parse_str("(component)").unwrap(), "plain.wasm").unwrap();
        let concurrent = "(component (type $s (stream u8)) (core func $new (canon stream.new $s)))";
        let concurrent = host.compile(&wat::parse_str(concurrent).unwrap(), "concurrent.wasm").unwrap();
        assert!(!wasmtime::Engine::same(plain.engine(), concurrent.engine()));
        assert!(host.compile(b"\0asm\x0d\0\x01\0\xff", "broken.wasm").is_err());
    }

    #[test]
    fn code_is_kept_and_damage_is_made_anew() {
        let dir = tempfile::tempdir().unwrap();
        let host = PluginHost::new(Some(dir.path().to_owned())).unwrap();
        let bytes = wat::parse_str("(component)").unwrap();
        // Valid, but no backend: it is compiled and kept before that is found out.
        assert!(host.load(&bytes, PluginConfig::new("empty.wasm")).is_err());
        let hash = *blake3::hash(&bytes).as_bytes();
        assert!(host.plain.cached(&hash).is_some());
        let file = std::fs::read_dir(dir.path()).unwrap().next().unwrap().unwrap().path();
        std::fs::write(file, b"damaged").unwrap();
        assert!(host.plain.cached(&hash).is_none());
        assert!(host.load(&bytes, PluginConfig::new("empty.wasm")).is_err());
        assert!(host.plain.cached(&hash).is_some());
    }
}
