//! A layer and the backend under it, put together into one component as `wac plug` does it, and mounted like any other.
//!
//! `EYOT_CRYPT_WASM` and `EYOT_MEMFS_WASM` name the two; `cargo xtask test` builds them and sets the variables.

use std::sync::Arc;

use eyot_backend::Filesystem;
use eyot_conformance::{Options, check_all};
use eyot_kernel::plugin::{PluginConfig, PluginFilesystem, PluginHost};
use wac_graph::types::Package;
use wac_graph::{CompositionGraph, EncodeOptions, plug};

fn component(variable: &str) -> Option<Vec<u8>> {
    let Some(path) = std::env::var_os(variable) else {
        eprintln!("left out: {variable} is not set (cargo xtask test builds the component and sets it)");
        return None;
    };
    Some(std::fs::read(&path).unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display())))
}

/// `wac plug SOCKET --plug PLUG`.
fn composed(socket: Vec<u8>, plugged: Vec<u8>) -> Vec<u8> {
    let mut graph = CompositionGraph::new();
    let mut register = |name: &str, bytes: Vec<u8>| {
        let package = Package::from_bytes(name, None, bytes, graph.types_mut()).unwrap();
        graph.register_package(package).unwrap()
    };
    let (socket, plugged) = (register("socket", socket), register("plug", plugged));
    plug(&mut graph, vec![plugged], socket).unwrap();
    graph.encode(EncodeOptions::default()).unwrap()
}

#[test]
fn an_encrypting_layer_plugged_into_memory_is_one_backend() {
    let (Some(crypt), Some(memfs)) = (component("EYOT_CRYPT_WASM"), component("EYOT_MEMFS_WASM")) else { return };
    let bytes = composed(crypt, memfs);
    let component = PluginHost::new(None).unwrap().compile(&bytes, "secret.wasm").unwrap();
    // No layer is granted: one that was still wanted would be a refusal.
    let make = || -> Arc<dyn Filesystem> {
        let mut config = PluginConfig::new("secret.wasm");
        config.settings = vec![("key".into(), "07".repeat(32))];
        Arc::new(PluginFilesystem::start(&component, config).unwrap())
    };
    let card = check_all(make, &Options::default());
    assert!(card.is_clean() && card.total().passed == eyot_conformance::checks().len(), "{card}");
}
