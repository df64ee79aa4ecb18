//! The wasm executor: WebAssembly modules as processes.
//!
//! ```text
//! engine.rs     wasmtime's engines, shared by all VMs          ticker.rs  ends a guest's turn
//! cache.rs      machine code on disk                           image.rs   images: checked, compiled, linked once
//! process.rs    a process: a future that runs programs         trap.rs    how it dies
//! call.rs       how host functions are called and wait
//! p1/           WASI 0.1                                       core_abi.rs  eyot:kernel for core modules
//! component.rs  the seam for components
//! ```
//! Host functions decode, call `syscall`, and encode; they hold no state of their own.

pub(crate) mod cache;
mod call;
mod component;
mod core_abi;
mod engine;
mod image;
mod p1;
pub(crate) mod p2;
pub(crate) mod process;
mod ticker;
mod trap;

#[cfg(test)]
pub(crate) mod tests;

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use cache::CodeCache;
use engine::Engines;
use image::Images;
use process::WasmProgram;
use wasmtime::Engine;

use crate::process::{Executor, Image, ImageHead, ImageIdentity, LoadError, Program};

/// How WebAssembly is run.
#[derive(Clone, Debug, Default)]
pub struct WasmConfig {
    /// Where compiled code is kept between runs: a directory of the host that is made when it is not there and becomes private to the user. None: nowhere.
    pub code_cache: Option<PathBuf>,
}

/// Runs WebAssembly. One serves any number of VMs; they share the engine and compiled code, and nothing else. Making one costs nothing: the
/// engine is made with the first program.
pub struct WasmExecutor {
    shared: Arc<Shared>,
}

/// What all programs of an executor share.
struct Shared {
    config: WasmConfig,
    engines: Engines,
    images: Images,
    cache: OnceLock<Option<CodeCache>>,
}

impl WasmExecutor {
    /// An executor.
    pub fn new(config: WasmConfig) -> Self {
        let shared = Shared { config, engines: Engines::new(), images: Images::new(), cache: OnceLock::new() };
        Self { shared: Arc::new(shared) }
    }
}

impl Shared {
    /// The code cache, opened when it is first needed. One that cannot be used is done without.
    fn cache(&self, engine: &Engine) -> Option<&CodeCache> {
        let open = || {
            let dir = self.config.code_cache.as_ref()?;
            match CodeCache::open(dir, engine) {
                Ok(cache) => Some(cache),
                Err(error) => {
                    tracing::warn!(dir = %dir.display(), %error, "no code cache: programs are compiled in every run");
                    None
                }
            }
        };
        self.cache.get_or_init(open).as_ref()
    }
}

impl Executor for WasmExecutor {
    fn name(&self) -> &'static str {
        "wasm"
    }

    fn accepts(&self, head: ImageHead<'_>) -> bool {
        head.interpreter.is_none() && head.bytes.starts_with(image::MAGIC)
    }

    fn recall(&self, identity: &ImageIdentity) -> Option<Box<dyn Program>> {
        let code = self.shared.images.recall(identity)?;
        Some(Box::new(WasmProgram { shared: self.shared.clone(), code }))
    }

    fn load(&self, image: &Image) -> Result<Box<dyn Program>, LoadError> {
        let code = self.shared.images.load(&self.shared, image)?;
        Ok(Box::new(WasmProgram { shared: self.shared.clone(), code }))
    }
}
