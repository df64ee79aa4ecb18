//! Program images: checked, compiled and linked once, and found again by file or by content.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use parking_lot::Mutex;
use wasmtime::component::Component;
use wasmtime::{Engine, ExternType, InstancePre, Module};

use super::Shared;
use super::cache::{CodeCache, ContentHash, Entry, Unusable};
use super::component::{self, ComponentPre};
use super::engine::{TIERS, Tier};
use super::process::Guest;
use crate::Errno;
use crate::process::{Image, ImageIdentity, LoadError};

/// How many images are kept ready, used or not.
const IMAGES_MAX: usize = 256;

/// The stack of the thread that compiles: bigger than a fiber's.
const COMPILER_STACK_BYTES: usize = 8 << 20;

/// Every WebAssembly binary starts so; what follows says whether it is a module or a component.
pub(super) const MAGIC: &[u8] = b"\0asm";
const MODULE_VERSION: [u8; 4] = [1, 0, 0, 0];
const COMPONENT_LAYER: [u8; 2] = [1, 0];

/// A compiled and linked program.
#[derive(Clone)]
pub(super) enum Ready {
    Module(InstancePre<Guest>),
    Component(ComponentPre),
}

/// A program image: what runs in the first tier, and in the others once they are needed.
pub(super) struct Code {
    first: Ready,
    others: Mutex<[Option<Ready>; TIERS]>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Module,
    Component,
}

/// Machine code of either kind.
enum Machine {
    Module(Module),
    Component(Component),
}

/// A slot for an image that is loaded once, by whoever holds its lock first.
type Slot = Arc<Mutex<Option<Arc<Code>>>>;

/// The images that are ready.
pub(super) struct Images {
    by_identity: Mutex<Recent<ImageIdentity, Arc<Code>>>,
    by_hash: Mutex<Recent<ContentHash, Slot>>,
}

impl Images {
    pub(super) fn new() -> Self {
        Self { by_identity: Mutex::new(Recent::new(IMAGES_MAX)), by_hash: Mutex::new(Recent::new(IMAGES_MAX)) }
    }

    /// The code of a file that was loaded before.
    pub(super) fn recall(&self, identity: &ImageIdentity) -> Option<Arc<Code>> {
        self.by_identity.lock().get(identity).cloned()
    }

    /// The code of an image that is not known by its file: a hash for one with the same bytes, else from the cache or the compiler.
    pub(super) fn load(&self, shared: &Shared, image: &Image) -> Result<Arc<Code>, LoadError> {
        let bytes: &[u8] = (*image.content.bytes).as_ref();
        let hash = image.content.blake3.unwrap_or_else(|| *blake3::hash(bytes).as_bytes());
        let slot = self.by_hash.lock().get_or_insert_with(hash, Slot::default).clone();
        // Somebody else may be compiling it: that takes long.
        let mut slot = slot.try_lock().unwrap_or_else(|| blocking(|| slot.lock()));
        let code = match &*slot {
            Some(code) => code.clone(),
            None => {
                let code = Arc::new(off_fiber(|| load(shared, &image.path, bytes, hash))?);
                *slot = Some(code.clone());
                code
            }
        };
        drop(slot);
        self.by_identity.lock().insert(image.identity, code.clone());
        Ok(code)
    }
}

impl Code {
    /// What runs in this tier. The machine code of the first is taken over, nothing is compiled.
    pub(super) fn ready(&self, tier: &Tier) -> Result<Ready, wasmtime::Error> {
        if tier.index == 0 {
            return Ok(self.first.clone());
        }
        let mut others = self.others.lock();
        let Some(slot) = others.get_mut(tier.index) else {
            return Err(wasmtime::Error::msg("no such tier"));
        };
        if let Some(ready) = slot {
            return Ok(ready.clone());
        }
        let machine = match &self.first {
            Ready::Module(pre) => {
                let code = pre.module().serialize()?;
                // SAFETY: the bytes were serialised by this very process a moment ago.
                Machine::Module(unsafe { Module::deserialize(&tier.engine, code)? })
            }
            Ready::Component(pre) => {
                let code = pre.component().serialize()?;
                // SAFETY: as above.
                Machine::Component(unsafe { Component::deserialize(&tier.engine, code)? })
            }
        };
        let ready = link(tier, machine)?;
        *slot = Some(ready.clone());
        Ok(ready)
    }
}

fn load(shared: &Shared, path: &str, bytes: &[u8], hash: ContentHash) -> Result<Code, LoadError> {
    let noexec = |message: String| LoadError { errno: Errno::Noexec, message: format!("{path}: {message}") };
    let kind = kind_of(bytes).map_err(&noexec)?;
    let tier = shared
        .engines
        .first()
        .map_err(|error| LoadError { errno: Errno::Nomem, message: format!("{path}: no wasm engine: {error:#}") })?;
    let cache = shared.cache(&tier.engine);
    let machine = match cache.and_then(|cache| from_cache(cache, &tier.engine, kind, &hash)) {
        Some(machine) => machine,
        None => compile(cache, &tier.engine, kind, path, bytes, &hash)
            .map_err(|error| noexec(format!("not a valid WebAssembly file: {error:#}")))?,
    };
    let missing = missing_imports(tier, &machine);
    if !missing.is_empty() {
        return Err(noexec(format!("it imports '{}', which nothing here provides", missing.join("', '"))));
    }
    check_exports(&machine).map_err(&noexec)?;
    let first = link(tier, machine).map_err(|error| noexec(format!("it does not fit Eyot's interfaces: {error:#}")))?;
    Ok(Code { first, others: Mutex::new([const { None }; TIERS]) })
}

fn kind_of(bytes: &[u8]) -> Result<Kind, String> {
    let Some(version) = bytes.strip_prefix(MAGIC).and_then(|rest| rest.first_chunk::<4>()) else {
        return Err(format!("not a valid WebAssembly file: it ends after {} bytes, in its head", bytes.len()));
    };
    match *version {
        MODULE_VERSION => Ok(Kind::Module),
        [_, _, layer @ ..] if layer == COMPONENT_LAYER => Ok(Kind::Component),
        version => Err(format!("WebAssembly of the unknown version {:#x}", u32::from_le_bytes(version))),
    }
}

fn from_cache(cache: &CodeCache, engine: &Engine, kind: Kind, hash: &ContentHash) -> Option<Machine> {
    let reason = match cache.load(hash) {
        Ok(entry) => match deserialize(engine, kind, entry) {
            Ok(machine) => return Some(machine),
            Err(error) => format!("{error:#}"),
        },
        Err(Unusable::Absent) => return None,
        Err(Unusable::Broken(reason)) => reason,
    };
    tracing::warn!(reason, "a damaged entry of the code cache is made anew");
    cache.discard(hash);
    None
}

fn deserialize(engine: &Engine, kind: Kind, entry: Entry) -> Result<Machine, wasmtime::Error> {
    // SAFETY: `CodeCache::load` opened a file that only this user can have written, in a directory that only this user can
    // change, whose name holds this engine's hash, and which is as long as it was when it was written.
    unsafe {
        match kind {
            Kind::Module => Module::deserialize_open_file(engine, entry.file).map(Machine::Module),
            Kind::Component => Component::deserialize_file(engine, &entry.path).map(Machine::Component),
        }
    }
}

fn compile(
    cache: Option<&CodeCache>,
    engine: &Engine,
    kind: Kind,
    path: &str,
    bytes: &[u8],
    hash: &ContentHash,
) -> Result<Machine, wasmtime::Error> {
    let started = std::time::Instant::now();
    tracing::info!(path, bytes = bytes.len(), "compiling");
    let code = match kind {
        Kind::Module => engine.precompile_module(bytes)?,
        Kind::Component => engine.precompile_component(bytes)?,
    };
    tracing::info!(path, milliseconds = started.elapsed().as_millis() as u64, "compiled");
    if let Some(cache) = cache {
        // A backend may have named the hash; what goes into the cache goes under the true one.
        let stored = if blake3::hash(bytes).as_bytes() == hash { cache.store(hash, &code) } else { Ok(()) };
        match stored {
            Ok(()) => {
                if let Some(machine) = from_cache(cache, engine, kind, hash) {
                    return Ok(machine);
                }
            }
            Err(error) => {
                tracing::warn!(%error, "compiled code could not be kept: it will be compiled again next time")
            }
        }
    }
    // SAFETY: the bytes come from this engine's own compiler.
    unsafe {
        match kind {
            Kind::Module => Module::deserialize(engine, &code).map(Machine::Module),
            Kind::Component => Component::deserialize(engine, &code).map(Machine::Component),
        }
    }
}

/// Whether it is a program and not a library.
fn check_exports(machine: &Machine) -> Result<(), String> {
    let module = match machine {
        Machine::Module(module) => module,
        Machine::Component(component) => return component::check_exports(component),
    };
    match module.get_export("_start") {
        Some(ExternType::Func(start)) if start.params().len() == 0 && start.results().len() == 0 => Ok(()),
        Some(_) => Err("its '_start' is no function without parameters and results".into()),
        None if module.get_export("_initialize").is_some() => {
            Err("it is a WASI reactor (it exports '_initialize'): a library to be called, not a program to be run"
                .into())
        }
        None => Err("it is no program: it exports no '_start' function".into()),
    }
}

/// The imports that nobody provides: of a module as `module.function`, of a component as they are.
fn missing_imports(tier: &Tier, machine: &Machine) -> Vec<String> {
    let module = match machine {
        Machine::Module(module) => module,
        Machine::Component(component) => return component::missing_imports(component),
    };
    let mut missing: Vec<String> = module
        .imports()
        .filter(|import| !tier.linker.provides(import.module(), import.name()))
        .map(|import| format!("{}.{}", import.module(), import.name()))
        .collect();
    missing.dedup();
    missing
}

fn link(tier: &Tier, machine: Machine) -> Result<Ready, wasmtime::Error> {
    match machine {
        Machine::Module(module) => tier.linker.link(&module).map(Ready::Module),
        Machine::Component(component) => ComponentPre::link(tier, &component).map(Ready::Component),
    }
}

/// Does long work with a stack of its own: the caller may be a guest's fiber, whose stack is small and whose thread others wait for.
fn off_fiber<T: Send>(work: impl FnOnce() -> Result<T, LoadError> + Send) -> Result<T, LoadError> {
    let run = || {
        std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().name("eyot-load".into()).stack_size(COMPILER_STACK_BYTES);
            let nomem = || LoadError { errno: Errno::Nomem, message: "no thread to load a program with".into() };
            let handle = thread.spawn_scoped(scope, work).map_err(|_| nomem())?;
            handle.join().unwrap_or_else(|_| {
                Err(LoadError { errno: Errno::Noexec, message: "the WebAssembly compiler failed on this file".into() })
            })
        })
    };
    blocking(run)
}

/// Does what takes long on the caller's thread, while others of the runtime's tasks go on elsewhere.
fn blocking<T>(work: impl FnOnce() -> T) -> T {
    match tokio::runtime::Handle::try_current() {
        Ok(handle) if handle.runtime_flavor() == tokio::runtime::RuntimeFlavor::MultiThread => {
            tokio::task::block_in_place(work)
        }
        _ => work(),
    }
}

/// A map that forgets what was used longest ago.
struct Recent<K, V> {
    entries: HashMap<K, (V, u64)>,
    clock: u64,
    max: usize,
}

impl<K: Hash + Eq + Copy, V> Recent<K, V> {
    fn new(max: usize) -> Self {
        Self { entries: HashMap::new(), clock: 0, max }
    }

    fn get(&mut self, key: &K) -> Option<&V> {
        self.clock += 1;
        let (value, used) = self.entries.get_mut(key)?;
        *used = self.clock;
        Some(value)
    }

    fn insert(&mut self, key: K, value: V) {
        self.clock += 1;
        if self.entries.len() >= self.max && !self.entries.contains_key(&key) {
            let oldest = self.entries.iter().min_by_key(|(_, (_, used))| *used).map(|(key, _)| *key);
            if let Some(oldest) = oldest {
                self.entries.remove(&oldest);
            }
        }
        self.entries.insert(key, (value, self.clock));
    }

    fn get_or_insert_with(&mut self, key: K, make: impl FnOnce() -> V) -> &V {
        if !self.entries.contains_key(&key) {
            self.insert(key, make());
        }
        self.clock += 1;
        let clock = self.clock;
        let (value, used) = self.entries.get_mut(&key).expect("inserted above");
        *used = clock;
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_recently_used_is_forgotten() {
        let mut recent = Recent::new(2);
        recent.insert(1, 'a');
        recent.insert(2, 'b');
        assert_eq!(recent.get(&1), Some(&'a'));
        assert_eq!(recent.get_or_insert_with(3, || 'c'), &'c');
        assert_eq!(recent.get(&2), None);
        assert_eq!(recent.get(&1), Some(&'a'));
        assert_eq!(recent.get_or_insert_with(3, || 'd'), &'c');
    }

    #[test]
    fn heads_are_told_apart() {
        assert_eq!(kind_of(b"\0asm\x01\0\0\0"), Ok(Kind::Module));
        assert_eq!(kind_of(b"\0asm\x0d\0\x01\0"), Ok(Kind::Component));
        assert!(kind_of(b"\0asm\x02\0\0\0").unwrap_err().contains("version 0x2"));
        assert!(kind_of(b"\0asm").unwrap_err().contains("after 4 bytes"));
    }
}
