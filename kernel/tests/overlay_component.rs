//! `overlay.wasm` over layers behind the plugin host does what the overlay compiled in does.
//!
//! `EYOT_OVERLAY_WASM` names the component, and `EYOT_MEMFS_WASM` a layer for it; `cargo xtask test` builds both and sets the variables. Without them these
//! tests say so and check nothing.

use std::sync::Arc;

use eyot_backend::{Errno, Filesystem, Ownership};
use eyot_kernel::plugin::{Grant, Inspection, PluginConfig, PluginError, PluginFilesystem, World};
use eyot_memfs::Memfs;
use wasmtime::component::Component;
use wasmtime::{Config, Engine};

const OWNER: Ownership = Ownership { mode: 0o644, uid: 0, gid: 0 };

fn engine() -> Engine {
    let mut config = Config::new();
    config.epoch_interruption(true);
    Engine::new(&config).unwrap()
}

fn component(engine: &Engine, variable: &str) -> Option<Component> {
    let Some(path) = std::env::var_os(variable) else {
        eprintln!("left out: {variable} is not set (cargo xtask test builds the component and sets it)");
        return None;
    };
    let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()));
    Some(Component::from_binary(engine, &bytes).unwrap())
}

fn over(
    component: &Component,
    layers: Vec<Arc<dyn Filesystem>>,
    settings: &[(&str, &str)],
) -> Result<PluginFilesystem, PluginError> {
    let settings = settings.iter().map(|&(key, value)| (key.into(), value.into())).collect();
    PluginFilesystem::start(component, PluginConfig { layers, settings, ..PluginConfig::new("overlay.wasm") })
}

fn memfs() -> Arc<dyn Filesystem> {
    Arc::new(Memfs::new())
}

#[test]
fn it_conforms_over_two_layers() {
    let Some(component) = component(&engine(), "EYOT_OVERLAY_WASM") else { return };
    let ran = eyot_conformance::run(|| Arc::new(over(&component, vec![memfs(), memfs()], &[]).unwrap()));
    assert!(ran > 700, "{ran}");
}

/// Components over components: `memfs.wasm` twice below `overlay.wasm`.
#[test]
fn it_stands_on_components() {
    let engine = engine();
    let Some(overlay) = component(&engine, "EYOT_OVERLAY_WASM") else { return };
    let Some(memfs) = component(&engine, "EYOT_MEMFS_WASM") else { return };
    let start = || -> Arc<dyn Filesystem> {
        Arc::new(PluginFilesystem::start(&memfs, PluginConfig::new("memfs.wasm")).unwrap())
    };
    let lower = start();
    let file = lower.create(1, "below", OWNER).unwrap().node;
    lower.write(file, 0, 0, b"from below").unwrap();
    let fs = over(&overlay, vec![start(), lower.clone()], &[]).unwrap();
    let root = fs.info().root;
    let found = fs.lookup(root, "below").unwrap().node;
    let handle = fs.open(found, eyot_backend::OpenFlags::READ | eyot_backend::OpenFlags::WRITE).unwrap();
    assert_eq!(fs.write(found, handle, 0, b"Over"), Ok(4));
    let mut buffer = [0; 20];
    assert_eq!(fs.read(found, handle, 0, &mut buffer), Ok(10));
    assert_eq!(&buffer[..10], b"Over below");
    assert_eq!(lower.read(file, 0, 0, &mut buffer), Ok(10));
    assert_eq!(&buffer[..10], b"from below", "what is below is never changed");
    assert_eq!(fs.sync(), Ok(()));
}

#[test]
fn its_layers_and_settings_are_its_own() {
    let Some(component) = component(&engine(), "EYOT_OVERLAY_WASM") else { return };
    assert!(matches!(over(&component, Vec::new(), &[]), Err(PluginError::Imports { layers: true, .. })));
    let fs = over(&component, vec![memfs(), memfs()], &[("read_only", "true")]).unwrap();
    assert_eq!(fs.create(fs.info().root, "f", OWNER).err(), Some(Errno::Rofs));
    let inspection = Inspection::of(&component, &PluginConfig::new("overlay.wasm"));
    assert_eq!(inspection.worlds.first(), Some(&World::Layer));
    assert_eq!(inspection.settings.unwrap().unwrap()[0].key, "read_only");
    assert!(inspection.imports.iter().all(|import| import.grant != Grant::Unknown));
}

/// What is left of an instance goes with it: its layers know of no lookups any more.
#[test]
fn it_gives_its_layers_back() {
    let Some(component) = component(&engine(), "EYOT_OVERLAY_WASM") else { return };
    let lower = Arc::new(Memfs::new());
    let file = lower.create(1, "f", OWNER).unwrap().node;
    lower.forget(file, 1);
    let fs = over(&component, vec![memfs(), lower.clone()], &[]).unwrap();
    fs.lookup(fs.info().root, "f").unwrap();
    lower.unlink(1, "f").unwrap();
    assert!(lower.getattr(file).is_ok(), "the overlay holds it");
    drop(fs);
    assert_eq!(lower.getattr(file), Err(Errno::Stale));
}
