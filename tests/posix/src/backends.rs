//! The backends that can be tested. A new one is one line here and a list in `expected/`.

use std::path::Path;
use std::sync::Arc;

use eyot_backend::Filesystem;
use eyot_hostdir::Hostdir;
use eyot_memfs::Memfs;

/// A backend to test.
pub struct Backend {
    /// What `--backend` and its list are called.
    pub name: &'static str,
    /// Makes an empty filesystem; what it keeps on the host goes into this directory, which is empty.
    pub make: fn(&Path) -> Result<Arc<dyn Filesystem>, String>,
}

/// All of them.
pub const BACKENDS: &[Backend] = &[
    Backend { name: "memfs", make: |_| Ok(Arc::new(Memfs::new())) },
    Backend { name: "hostdir", make: |dir| Ok(Arc::new(Hostdir::new(dir, false).map_err(text)?)) },
];

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
