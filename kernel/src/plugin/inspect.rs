//! What a component is, before anything is mounted: for its author, and for who is asked to mount it.

use std::fmt;

use eyot_backend::{FilesystemInfo, SettingDescription};
use wasmtime::component::Component;
use wasmtime::component::types::ComponentItem;

use super::exports::Mount;
use super::grants::{Needs, Provider, is_preopens, provider};
use super::load::{self, Stubs, printable};
use super::{PluginConfig, PluginError, PluginFilesystem, answers};

/// The package that backends are built for.
const PACKAGE: &str = "eyot:backend/";

/// The most interfaces, and the most names of one, that are told of a component.
const NAMES_MAX: usize = 1000;

/// Every version of `eyot:backend` that was published, and that this kernel loads.
pub const PUBLISHED: &[&str] = &["0.1.0"];

/// What a file is, by its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// A WebAssembly component.
    Component,
    /// A WebAssembly core module: what compilers make before `component new`.
    Module,
    /// WebAssembly of a version that is neither.
    OtherWasm,
    /// Nothing of WebAssembly.
    NoWasm,
}

impl FileKind {
    /// Looks at the first bytes.
    ///
    /// ```
    /// use eyot_kernel::plugin::FileKind;
    /// assert_eq!(FileKind::of(b"\0asm\x0d\0\x01\0"), FileKind::Component);
    /// assert_eq!(FileKind::of(b"\0asm\x01\0\0\0"), FileKind::Module);
    /// assert_eq!(FileKind::of(b"#!/bin/sh"), FileKind::NoWasm);
    /// ```
    pub fn of(bytes: &[u8]) -> Self {
        match bytes.get(..8) {
            Some([0, b'a', b's', b'm', 1, 0, 0, 0]) => FileKind::Module,
            Some([0, b'a', b's', b'm', _, _, 1, 0]) => FileKind::Component,
            Some([0, b'a', b's', b'm', ..]) => FileKind::OtherWasm,
            _ => FileKind::NoWasm,
        }
    }
}

/// A world of `eyot:backend`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum World {
    /// `filesystem-backend`: a filesystem without settings.
    Filesystem,
    /// `mount-backend`: one that is configured first.
    Mount,
    /// `layer-backend`: one that is made of others.
    Layer,
}

impl World {
    /// The name in WIT.
    pub const fn name(self) -> &'static str {
        match self {
            World::Filesystem => "filesystem-backend",
            World::Mount => "mount-backend",
            World::Layer => "layer-backend",
        }
    }
}

impl fmt::Display for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Whether a component gets what it imports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grant {
    /// Every backend gets it.
    ByDefault,
    /// The filesystems below it: the mount must be given layers.
    Layers,
    /// It starts with the directories that are granted, and with none unless they are.
    Preopens,
    /// Nothing here knows it.
    Unknown,
}

impl Grant {
    /// A word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Grant::ByDefault | Grant::Preopens => "granted by default",
            Grant::Layers => "must be granted",
            Grant::Unknown => "unknown",
        }
    }

    /// How it is granted, or what more of it, when that can be.
    pub const fn how(self) -> Option<&'static str> {
        match self {
            Grant::Layers => Some("layer=SPEC after --mount, or [[mounts.\"...\".layers]] in a file"),
            Grant::Preopens => Some("no directories until they are granted: preopen=/PATH=SPEC, or grants.preopens"),
            Grant::ByDefault | Grant::Unknown => None,
        }
    }
}

/// An interface that a component exports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// The full name, such as `eyot:backend/filesystem@0.1.0`.
    pub name: String,
    /// The functions in it.
    pub functions: Vec<String>,
}

/// An interface that a component imports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Import {
    /// What it is.
    pub interface: Interface,
    /// Whether it gets it.
    pub grant: Grant,
}

/// What a component is.
#[derive(Debug)]
pub struct Inspection {
    /// The version of `eyot:backend` that its exports name, if any do.
    pub version: Option<String>,
    /// The worlds that its exports fit, the larger first.
    pub worlds: Vec<World>,
    /// What it exports.
    pub exports: Vec<Interface>,
    /// What it imports.
    pub imports: Vec<Import>,
    /// The settings that it describes. `None`: it takes none. It was asked with everything that it is not granted replaced by functions that trap.
    pub settings: Option<Result<Vec<SettingDescription<String>>, PluginError>>,
    /// What it says of itself when it is started without settings, or why it cannot be. `None`: it needs settings, or layers that `config` does not have.
    pub info: Option<Result<FilesystemInfo, PluginError>>,
}

impl Inspection {
    /// Looks at a component, and starts it for a moment to ask it for its settings and what it is. `config` has the limits.
    pub fn of(component: &Component, config: &PluginConfig) -> Self {
        let ty = component.component_type();
        let engine = component.engine();
        let interface = |name: &str, item: &ComponentItem| {
            let functions = match item {
                ComponentItem::ComponentInstance(instance) => instance
                    .exports(engine)
                    .filter(|(_, item)| matches!(item.ty, ComponentItem::ComponentFunc(_)))
                    .map(|(name, _)| printable(name))
                    .take(NAMES_MAX)
                    .collect(),
                _ => Vec::new(),
            };
            Interface { name: printable(name), functions }
        };
        let exports: Vec<_> =
            ty.exports(engine).map(|(name, item)| interface(name, &item.ty)).take(NAMES_MAX).collect();
        let imports = ty
            .imports(engine)
            .map(|(name, item)| Import { grant: grant(name, &item.ty), interface: interface(name, &item.ty) });
        let imports: Vec<_> = imports.take(NAMES_MAX).collect();
        let version = exports.iter().find_map(|export| version_of(&export.name)).map(str::to_owned);
        let is_layer = imports.iter().any(|import: &Import| import.grant == Grant::Layers);
        let worlds = worlds(&exports, is_layer, version.as_deref());
        let mut inspection = Self { version, worlds, exports, imports, settings: None, info: None };
        if !inspection.worlds.is_empty() {
            inspection.ask(component, config);
        }
        inspection
    }

    fn ask(&mut self, component: &Component, config: &PluginConfig) {
        if self.worlds.contains(&World::Mount) {
            self.settings = Some(settings(component, config));
        }
        let needs_settings = match &self.settings {
            Some(Ok(settings)) => settings.iter().any(|setting| setting.required),
            Some(Err(_)) => true,
            None => false,
        };
        let needs_layers = self.worlds.contains(&World::Layer) && config.layers.is_empty();
        if !needs_settings && !needs_layers {
            let config = PluginConfig { settings: Vec::new(), ..config.clone() };
            self.info = Some(PluginFilesystem::start(component, config).map(|fs| eyot_backend::Filesystem::info(&fs)));
        }
    }

    /// Whether this kernel knows the version that it was built for.
    pub fn is_known_version(&self) -> bool {
        self.version.as_deref().is_some_and(|version| PUBLISHED.contains(&version))
    }
}

fn version_of(name: &str) -> Option<&str> {
    Some(name.strip_prefix(PACKAGE)?.split_once('@')?.1)
}

fn worlds(exports: &[Interface], is_layer: bool, version: Option<&str>) -> Vec<World> {
    let Some(version) = version else { return Vec::new() };
    let has = |interface: &str| exports.iter().any(|export| export.name == format!("{PACKAGE}{interface}@{version}"));
    if !has("filesystem") {
        return Vec::new();
    }
    let fits = [(is_layer, World::Layer), (has("mount"), World::Mount), (true, World::Filesystem)];
    fits.into_iter().filter(|(fits, _)| *fits).map(|(_, world)| world).collect()
}

fn grant(name: &str, item: &ComponentItem) -> Grant {
    match provider(name, item) {
        Some(Provider::Process) if is_preopens(name) => Grant::Preopens,
        Some(Provider::Host | Provider::Process) => Grant::ByDefault,
        Some(Provider::Layers) => Grant::Layers,
        None => Grant::Unknown,
    }
}

fn settings(component: &Component, config: &PluginConfig) -> Result<Vec<SettingDescription<String>>, PluginError> {
    let (needs, _) = Needs::of(component);
    // Without layers, calls to them fail like those to what nobody serves.
    let needs = Needs { layers: needs.layers && !config.layers.is_empty(), ..needs };
    let (mut store, instance) = load::instantiate(component, config, needs, Stubs::Traps)?;
    let mount = Mount::load(&mut store, &instance)
        .map_err(|reason| PluginError::Exports { name: config.name.clone(), reason })?;
    let (known,) = mount
        .settings(&mut store)
        .map_err(|error| PluginError::Start { name: config.name.clone(), reason: load::reason(&error) })?;
    answers::settings(known).map_err(|what| PluginError::Info { name: config.name.clone(), what })
}
