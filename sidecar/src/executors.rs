//! The engines and the plug-in host, each made only when it is first needed: a script never pays for the WebAssembly engine's
//! start, nor a module for V8's.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use eyot_kernel::backend::Filesystem;
use eyot_kernel::plugin::{PluginConfig, PluginError, PluginHost, PluginMount};
use eyot_kernel::process::Executor;
use eyot_kernel::vm::MountRequest;
use eyot_kernel::wasm::{WasmConfig, WasmExecutor};

use crate::home::Home;

/// Every executor of a VM.
pub fn all(home: &Home) -> Vec<Arc<dyn Executor>> {
    // Making one costs nothing: the engine itself comes with the first program.
    let wasm = WasmExecutor::new(WasmConfig { code_cache: home.code() });
    vec![Arc::new(wasm), Arc::new(crate::node::LazyNode::new(home))]
}

/// A backend loaded from a component file, with its settings and what it is granted. `None`: it failed at its first calls; why is said.
pub fn plugin(home: &Home, file: &Path, request: MountRequest<'_>) -> Result<Option<Arc<dyn Filesystem>>, String> {
    static HOST: OnceLock<Result<PluginHost, String>> = OnceLock::new();
    let host = HOST.get_or_init(|| PluginHost::new(home.code()).map_err(|e| e.to_string()));
    let name = file.display().to_string();
    let bytes = std::fs::read(file).map_err(|e| format!("{name}: {e}"))?;
    let failed = |what: String| {
        eprintln!("eyot: {what}; everything on its mount fails with EIO");
        Ok(None)
    };
    let MountRequest { settings, layers, preopens, .. } = request;
    let config = PluginConfig { settings, layers, preopens, ..PluginConfig::new(name.clone()) };
    match host.as_ref().map_err(Clone::clone)?.load(&bytes, config) {
        Ok(plugin) => match plugin.getattr(plugin.info().root) {
            Ok(_) => Ok(Some(Arc::new(PluginMount::new(name, plugin, None)))),
            Err(errno) => failed(format!("{name} does not know its own root: {errno}")),
        },
        Err(error @ PluginError::Start { .. }) => failed(error.to_string()),
        Err(error) => Err(error.to_string()),
    }
}
