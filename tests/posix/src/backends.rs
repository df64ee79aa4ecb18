//! The backends that can be tested. A new one is one line here and a list in `expected/`.

use std::path::Path;
use std::sync::Arc;

use eyot_backend::{Errno, Filesystem};
use eyot_hostdir::Hostdir;
use eyot_kernel::plugin::{PluginConfig, PluginHost, PluginMount};
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

/// Names the component that is tested as `memfs-component`; `cargo xtask test` sets it.
const COMPONENT: &str = "EYOT_MEMFS_WASM";

/// All of them.
pub const BACKENDS: &[Backend] = &[
    Backend { name: "memfs", make: |_| Ok(Arc::new(Memfs::new())), needs: None },
    Backend { name: "overlay", make: |_| Ok(Arc::new(overlay().map_err(text)?)), needs: None },
    Backend { name: "sqlfs", make: |dir| Ok(Arc::new(Sqlfs::open(dir.join("files.db")).map_err(text)?)), needs: None },
    Backend { name: "memfs-component", make: |_| component(), needs: Some(COMPONENT) },
    Backend { name: "hostdir", make: |dir| Ok(Arc::new(Hostdir::new(dir, false).map_err(text)?)), needs: None },
];

/// memfs behind the plug-in host, as a mount has it.
fn component() -> Result<Arc<dyn Filesystem>, String> {
    let path = std::env::var_os(COMPONENT).ok_or_else(|| format!("{COMPONENT} names no component"))?;
    let bytes = std::fs::read(path).map_err(text)?;
    let mut config = PluginConfig::new("memfs.wasm");
    config.memory_bytes_max = 1 << 30;
    let plugin = PluginHost::new(None).and_then(|host| host.load(&bytes, config)).map_err(text)?;
    Ok(Arc::new(PluginMount::new("memfs.wasm", plugin, None)))
}

/// An overlay of two layers, the lower one empty.
fn overlay() -> Result<Overlay, Errno> {
    Overlay::new(Arc::new(Memfs::new()), vec![Arc::new(Memfs::new())])
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
