//! The backends that can be tested. A new one is one line here and a list in `expected/`.

use std::path::Path;
use std::sync::Arc;

use eyot_backend::{Errno, Filesystem};
use eyot_hostdir::Hostdir;
use eyot_kernel::plugin::{PluginConfig, PluginHost, PluginMount, Preopen};
use eyot_memfs::Memfs;
use eyot_overlay::Overlay;
use eyot_sqlfs::Sqlfs;

/// A backend to test.
pub struct Backend {
    /// What `--backend` and its list are called.
    pub name: &'static str,
    /// Makes an empty filesystem; what it keeps on the host goes into this directory, which is empty.
    pub make: fn(&Path) -> Result<Arc<dyn Filesystem>, String>,
    /// A variable of the environment without which there is nothing to test.
    pub needs: Option<&'static str>,
}

/// The variables that name the components; `cargo xtask test` sets them.
const MEMFS: &str = "EYOT_MEMFS_WASM";
const OVERLAY: &str = "EYOT_OVERLAY_WASM";
const CRYPT: &str = "EYOT_CRYPT_WASM";
const SQLFS: &str = "EYOT_SQLFS_WASM";
const HOSTDIR: &str = "EYOT_HOSTDIR_WASM";

/// All of them.
pub const BACKENDS: &[Backend] = &[
    Backend { name: "memfs", make: |_| Ok(Arc::new(Memfs::new())), needs: None },
    Backend { name: "overlay", make: |_| Ok(Arc::new(overlay().map_err(text)?)), needs: None },
    Backend { name: "sqlfs", make: |dir| Ok(Arc::new(Sqlfs::open(dir.join("files.db")).map_err(text)?)), needs: None },
    Backend { name: "hostdir", make: |dir| Ok(Arc::new(Hostdir::new(dir, false).map_err(text)?)), needs: None },
    Backend { name: "memfs-component", make: |_| component(MEMFS, config()), needs: Some(MEMFS) },
    Backend { name: "overlay-component", make: |_| component(OVERLAY, layers(2)), needs: Some(OVERLAY) },
    Backend { name: "crypt-component", make: |_| component(CRYPT, encrypted()), needs: Some(CRYPT) },
    Backend { name: "sqlfs-component", make: |dir| component(SQLFS, database(dir)?), needs: Some(SQLFS) },
    Backend { name: "hostdir-component", make: |dir| component(HOSTDIR, directory("/", dir)?), needs: Some(HOSTDIR) },
];

/// A component behind the plug-in host, as a mount has it.
fn component(variable: &str, config: PluginConfig) -> Result<Arc<dyn Filesystem>, String> {
    let path = std::env::var_os(variable).ok_or_else(|| format!("{variable} names no component"))?;
    let bytes = std::fs::read(path).map_err(text)?;
    let name = config.name.clone();
    let plugin = PluginHost::new(None).and_then(|host| host.load(&bytes, config)).map_err(text)?;
    Ok(Arc::new(PluginMount::new(name, plugin, None)))
}

fn config() -> PluginConfig {
    let mut config = PluginConfig::new("component");
    config.memory_bytes_max = 1 << 30;
    // A granted directory of the host may take its time for an fsync.
    config.call_time_max = std::time::Duration::from_secs(10);
    config
}

/// Empty layers in memory.
fn layers(count: usize) -> PluginConfig {
    let layers = (0..count).map(|_| Arc::new(Memfs::new()) as Arc<dyn Filesystem>).collect();
    PluginConfig { layers, ..config() }
}

fn encrypted() -> PluginConfig {
    PluginConfig { settings: vec![("passphrase".into(), "correct horse".into())], ..layers(1) }
}

/// A directory of the host, granted at a path.
fn directory(path: &str, dir: &Path) -> Result<PluginConfig, String> {
    let filesystem = Arc::new(Hostdir::new(dir, false).map_err(text)?);
    let preopens = vec![Preopen { path: path.into(), filesystem, read_only: false }];
    Ok(PluginConfig { preopens, ..config() })
}

/// A database in a directory of the host.
fn database(dir: &Path) -> Result<PluginConfig, String> {
    let settings = vec![("path".into(), "/data/files.db".into())];
    Ok(PluginConfig { settings, ..directory("/data", dir)? })
}

/// An overlay of two layers, the lower one empty.
fn overlay() -> Result<Overlay, Errno> {
    Overlay::new(Arc::new(Memfs::new()), vec![Arc::new(Memfs::new())])
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
