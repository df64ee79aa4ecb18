//! The component that a command is about: read, recognised and compiled.

use std::path::Path;
use std::sync::Arc;

use eyot_kernel::backend::Filesystem;
use eyot_kernel::plugin::{
    FileKind, Inspection, PUBLISHED, PluginConfig, PluginError, PluginFilesystem, PluginHost, Preopen,
};
use eyot_kernel::vm::{MountConfig, MountError};

use super::options::Given;
use crate::failure::Failure;
use crate::home::Home;
use crate::mounts;
use crate::retired::Retired;

/// The memory of an instance that is tested or measured: as much as the largest case needs.
const MEMORY_BYTES_MAX: usize = 1 << 30;

/// A component that was compiled.
pub struct Subject {
    /// The file, as it was named.
    pub name: String,
    /// Its size.
    pub bytes: usize,
    host: PluginHost,
    content: Vec<u8>,
}

impl Subject {
    /// Reads a file; one that is no component is refused with what to do.
    pub fn read(home: &Home, file: &Path) -> Result<Self, Failure> {
        let name = file.display().to_string();
        let content = std::fs::read(file).map_err(|error| {
            Failure::setup(format!("{name}: {error}; build the backend first, and name the .wasm file it makes"))
        })?;
        recognise(&name, &content)?;
        let host = PluginHost::new(home.code()).map_err(|error| Failure::setup(error.to_string()))?;
        Ok(Self { name, bytes: content.len(), host, content })
    }

    fn config(&self) -> PluginConfig {
        let mut config = PluginConfig::new(self.name.as_str());
        config.memory_bytes_max = MEMORY_BYTES_MAX;
        config
    }

    /// What it is.
    pub fn inspect(&self) -> Result<Inspection, Failure> {
        let component = self.host.compile(&self.content, &self.name).map_err(|error| failure(&error))?;
        Ok(Inspection::of(&component, &self.config()))
    }

    /// A maker of fresh instances, after one was started to see that it can be. Where a later one cannot, everything on it is `EIO`.
    pub fn maker(&self, home: &Home, given: &Given) -> Result<impl Fn() -> Arc<dyn Filesystem>, Failure> {
        let component = self.host.compile(&self.content, &self.name).map_err(|error| failure(&error))?;
        let types = mounts::types(home, mounts::GUEST);
        let (settings, layers, preopens) = (given.settings.clone(), given.layers.clone(), given.preopens.clone());
        let base = self.config();
        // What it is granted is made anew for each, so that none sees what another left.
        let config = move || -> Result<PluginConfig, MountError> {
            let layers = layers.iter().map(|layer| types.make(layer)).collect::<Result<_, _>>()?;
            let preopen = |(path, mount): &(String, MountConfig)| {
                let filesystem = types.make(mount)?;
                Ok(Preopen { path: path.clone(), filesystem, read_only: mount.read_only })
            };
            let preopens = preopens.iter().map(preopen).collect::<Result<_, _>>()?;
            Ok(PluginConfig { settings: settings.clone(), layers, preopens, ..base.clone() })
        };
        let first = config().map_err(|error| Failure::usage(error.to_string()))?;
        PluginFilesystem::start(&component, first).map_err(|error| failure(&error))?;
        let start = move || {
            let config = config().map_err(|error| error.to_string())?;
            PluginFilesystem::start(&component, config).map_err(|error| error.to_string())
        };
        Ok(move || match start() {
            Ok(fs) => Arc::new(fs) as Arc<dyn Filesystem>,
            Err(error) => {
                eprintln!("eyot: {error}");
                Arc::new(Retired::new(0))
            }
        })
    }
}

/// Refuses what is no component.
fn recognise(name: &str, content: &[u8]) -> Result<(), Failure> {
    let what = match FileKind::of(content) {
        FileKind::Component => return Ok(()),
        FileKind::Module => {
            "is a core module of WebAssembly, not a component; make one with `wasm-tools component new`, or with the \
             linker wasm-component-ld"
        }
        FileKind::OtherWasm => "is WebAssembly of a version that is not known here; build it with current tools",
        FileKind::NoWasm if content.is_empty() => "is empty; build the backend again",
        FileKind::NoWasm => {
            "is not WebAssembly; a backend is a component, a .wasm file: `eyot backend new` makes a project that builds one"
        }
    };
    Err(Failure::setup(format!("{name} {what}")))
}

/// What the plug-in host says, and what to do about it.
pub fn failure(error: &PluginError) -> Failure {
    let advice = match error {
        PluginError::Invalid { .. } => "; build it again, and check it with `wasm-tools validate`",
        PluginError::Imports { layers: true, .. } => "; with `eyot backend test`, --layer SPEC gives it one",
        PluginError::Imports { .. } => "; build it without them: `eyot backend inspect` says what there is",
        PluginError::NoUse { .. } => "; leave that out",
        PluginError::Grant { .. } => "; grant another directory",
        PluginError::Exports { .. } => {
            return Failure::setup(format!("{error}; build it for a world of eyot:backend {}", PUBLISHED.join(" or ")));
        }
        PluginError::Refused { .. } => "; `eyot backend inspect` lists its settings, --setting KEY=VALUE gives one",
        PluginError::NoSettings { .. } => "; leave --setting out",
        PluginError::Start { .. } | PluginError::Info { .. } => "; correct `info` or what runs before it",
    };
    Failure::setup(format!("{error}{advice}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_component_is_told_what_to_do() {
        let message = |bytes: &[u8]| recognise("x.wasm", bytes).unwrap_err().message;
        assert!(message(b"\0asm\x01\0\0\0").contains("wasm-tools component new"));
        assert!(message(b"").contains("is empty"));
        assert!(message(b"#!/bin/sh").contains("eyot backend new"));
        assert!(message(b"\0asm\x02\0\0\0").contains("not known"));
        assert!(recognise("x.wasm", b"\0asm\x0d\0\x01\0").is_ok());
    }
}
