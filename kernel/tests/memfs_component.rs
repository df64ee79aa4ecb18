//! `memfs.wasm` behind the plugin host does what memfs compiled in does.
//!
//! `EYOT_MEMFS_WASM` names the component; `cargo xtask test` builds it and sets the variable. Without it these tests say so and check nothing.

use std::sync::Arc;

use eyot_backend::{Errno, Filesystem, Ownership};
use eyot_kernel::plugin::{PluginConfig, PluginError, PluginFilesystem};
use wasmtime::component::Component;
use wasmtime::{Config, Engine};

const OWNER: Ownership = Ownership { mode: 0o644, uid: 0, gid: 0 };

fn component() -> Option<Component> {
    let Some(path) = std::env::var_os("EYOT_MEMFS_WASM") else {
        eprintln!("left out: EYOT_MEMFS_WASM is not set (cargo xtask test builds the component and sets it)");
        return None;
    };
    let mut config = Config::new();
    config.epoch_interruption(true);
    let engine = Engine::new(&config).unwrap();
    let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()));
    Some(Component::from_binary(&engine, &bytes).unwrap())
}

fn with_settings(component: &Component, settings: &[(&str, &str)]) -> Result<PluginFilesystem, PluginError> {
    let mut config = PluginConfig::new("memfs.wasm");
    config.settings = settings.iter().map(|&(key, value)| (key.into(), value.into())).collect();
    PluginFilesystem::start(component, config)
}

#[test]
fn it_conforms_as_the_native_one_does() {
    let Some(component) = component() else { return };
    let ran = eyot_conformance::run(|| Arc::new(with_settings(&component, &[]).unwrap()));
    assert_eq!(ran, eyot_conformance::checks().len(), "memfs offers everything");
}

#[test]
fn it_takes_its_limits_as_settings() {
    let Some(component) = component() else { return };
    let fs = with_settings(&component, &[("bytes_max", "100000"), ("inodes_max", "2"), ("mode", "0o1777")]).unwrap();
    assert_eq!(fs.getattr(1).unwrap().mode, 0o1777);
    let file = fs.create(1, "f", OWNER).unwrap().node;
    let taken = fs.write(file, 0, 0, &[1; 200_000]).unwrap();
    assert!((90_000..100_000).contains(&taken), "{taken}");
    assert_eq!(fs.write(file, 0, taken as u64, b"more"), Err(Errno::Nospc));
    fs.unlink(1, "f").unwrap();
    fs.forget(file, 1);
    fs.create(1, "a", OWNER).unwrap();
    fs.create(1, "b", OWNER).unwrap();
    assert_eq!(fs.create(1, "c", OWNER), Err(Errno::Nospc));
    assert!(!fs.is_retired());
}

#[test]
fn it_refuses_settings_that_it_does_not_have() {
    let Some(component) = component() else { return };
    for (key, value, expected) in [
        ("colour", "blue", "colour: there is no such setting"),
        ("uid", "blue", "uid: blue is not a whole number"),
        ("mode", "9999999999", "mode: 9999999999 is too large"),
    ] {
        let message = with_settings(&component, &[(key, value)]).err().unwrap().to_string();
        assert!(message.contains("refused its settings") && message.contains(expected), "{message}");
    }
}

/// The component's memory ends before its own limit does: an error, or the end of that instance, but never the host's.
#[test]
fn it_survives_the_end_of_its_memory_or_is_retired() {
    let Some(component) = component() else { return };
    let config = PluginConfig { memory_bytes_max: 16 << 20, ..PluginConfig::new("memfs.wasm") };
    let fs = PluginFilesystem::start(&component, config).unwrap();
    let file = fs.create(1, "f", OWNER).unwrap().node;
    let mut offset = 0;
    let error = loop {
        match fs.write(file, 0, offset, &[7; 100_000]) {
            Ok(count) => offset += count as u64,
            Err(error) => break error,
        }
        assert!(offset < 16 << 20, "more was written than there is memory");
    };
    assert!(offset > 4 << 20, "only {offset} bytes were written");
    match fs.is_retired() {
        true => assert_eq!(error, Errno::Io),
        false => assert_eq!(error, Errno::Nospc),
    }
}
