//! What a component may be granted, and what each import needs.

use std::fmt;
use std::sync::Arc;

use eyot_backend::Filesystem;
use wasmtime::component::Component;
use wasmtime::component::types::ComponentItem;

use super::{PluginConfig, PluginError};
use crate::wasm;

/// A directory that a component starts with, as a program does.
#[derive(Clone)]
pub struct Preopen {
    /// The component's name for it: an absolute path, such as `/data`.
    pub path: String,
    /// What it is.
    pub filesystem: Arc<dyn Filesystem>,
    /// Whether changes fail with `EROFS`.
    pub read_only: bool,
}

impl fmt::Debug for Preopen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Preopen").field("path", &self.path).field("read_only", &self.read_only).finish_non_exhaustive()
    }
}

impl Preopen {
    /// Whether a path can be that of a preopened directory: absolute, and written plainly.
    pub(crate) fn is_path(path: &str) -> bool {
        let plain = |name: &str| !name.is_empty() && name != "." && name != ".." && !name.contains('\0');
        path == "/" || path.len() < 4096 && path.strip_prefix('/').is_some_and(|rest| rest.split('/').all(plain))
    }
}

/// Who serves an import.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Provider {
    /// The plug-in host, for every component.
    Host,
    /// The layers of the mount.
    Layers,
    /// The kernel, as it serves programs: the component is a process of a VM of its own, which has nothing but the preopened directories.
    Process,
}

/// The interfaces of `eyot:backend` that every component gets: they reach nothing.
const BY_DEFAULT: [&str; 5] = ["types", "clock", "transfer", "capture", "durable"];
/// Those that the layers answer.
const OF_LAYERS: [&str; 2] = ["filesystem", "layers"];

/// Who serves an import of this name and kind; `None`: nobody.
pub(super) fn provider(import: &str, item: &ComponentItem) -> Option<Provider> {
    if !matches!(item, ComponentItem::ComponentInstance(_)) {
        return None;
    }
    let own = import.strip_prefix("eyot:backend/").and_then(|rest| rest.split_once('@'));
    match own {
        Some((name, version)) if version.starts_with("0.1.") && BY_DEFAULT.contains(&name) => Some(Provider::Host),
        Some((name, version)) if version.starts_with("0.1.") && OF_LAYERS.contains(&name) => Some(Provider::Layers),
        Some(_) => None,
        None => wasm::p2::provides(import).then_some(Provider::Process),
    }
}

/// Whether an interface reaches the directories that a process starts with.
pub(super) fn is_preopens(import: &str) -> bool {
    import.starts_with("wasi:filesystem/preopens@") || import.starts_with("eyot:kernel/fs@")
}

/// What a component needs, by its imports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Needs {
    pub(super) layers: bool,
    pub(super) process: bool,
    /// Whether preopened directories are of use to it.
    pub(super) preopens: bool,
}

impl Needs {
    /// What a component needs, and the names of what nobody serves.
    pub(super) fn of(component: &Component) -> (Self, Vec<String>) {
        let (mut needs, mut unknown) = (Self::default(), Vec::new());
        let ty = component.component_type();
        for (import, item) in ty.imports(component.engine()) {
            match provider(import, &item.ty) {
                Some(Provider::Host) => {}
                Some(Provider::Layers) => needs.layers = true,
                Some(Provider::Process) => {
                    needs.process = true;
                    needs.preopens |= is_preopens(import);
                }
                None => unknown.push(import.to_owned()),
            }
        }
        (needs, unknown)
    }

    /// Compares what a component needs with what it was granted. Errors: what was not granted, and what it has no use for.
    pub(super) fn check(component: &Component, config: &PluginConfig) -> Result<Self, PluginError> {
        let (needs, unknown) = Self::of(component);
        let name = || config.name.clone();
        let layers = needs.layers && config.layers.is_empty();
        if layers || !unknown.is_empty() {
            return Err(PluginError::Imports { name: name(), imports: unknown, layers });
        }
        if !needs.layers && !config.layers.is_empty() {
            return Err(PluginError::NoUse { name: name(), grant: "layers", interface: "eyot:backend/filesystem" });
        }
        if !needs.preopens && !config.preopens.is_empty() {
            let interface = "wasi:filesystem/preopens or eyot:kernel/fs";
            return Err(PluginError::NoUse { name: name(), grant: "preopened directories", interface });
        }
        Ok(needs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_preopened_directories_are_plain() {
        for good in ["/", "/data", "/a/b c"] {
            assert!(Preopen::is_path(good), "{good}");
        }
        for bad in ["", "data", "/data/", "//", "/a//b", "/a/./b", "/..", "/a\0"] {
            assert!(!Preopen::is_path(bad), "{bad}");
        }
    }
}
