//! That what the WIT says, the code does.

use std::path::{Path, PathBuf};

use wasmtime::component::ResourceType;
use wit_parser::{Resolve, TypeDefKind, WorldItem};

use super::super::{INTERFACES, provides};
use super::component;
use crate::wasm::process::Guest;

fn in_project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

#[test]
fn every_function_of_the_wit_is_a_system_call() {
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_dir(in_project("wit/kernel")).unwrap();
    let mut missing = Vec::new();
    let mut count = 0;
    for (name, id) in &resolve.packages[package].interfaces {
        let file = in_project("kernel/src/syscall").join(format!("{}.rs", name.replace('-', "_")));
        let source = std::fs::read_to_string(&file).unwrap_or_default();
        for function in resolve.interfaces[*id].functions.keys() {
            count += 1;
            if !source.contains(&format!("pub fn {}(", function.replace('-', "_"))) {
                missing.push(format!("{name}.{function}"));
            }
        }
    }
    assert!(count > 60, "the WIT was read: {count}");
    assert!(missing.is_empty(), "wit/kernel has functions that kernel/src/syscall does not: {missing:?}");
}

#[test]
fn the_world_guest_imports_what_components_are_given() {
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_dir(in_project("wit/kernel")).unwrap();
    let world = &resolve.worlds[resolve.packages[package].worlds["guest"]];
    for (key, item) in &world.imports {
        let WorldItem::Interface { .. } = item else { panic!("the world imports more than interfaces") };
        let name = resolve.name_world_key(key);
        assert!(INTERFACES.contains(&name.as_str()), "{name}");
    }
    assert_eq!(INTERFACES.iter().filter(|name| name.starts_with("eyot:")).count(), world.imports.len());
}

#[test]
fn what_is_said_to_be_provided_is_linked() {
    let engine = wasmtime::Engine::default();
    let mut linker = wasmtime::component::Linker::<Guest>::new(&engine);
    super::super::add_to_linker(&mut linker, |guest| guest).unwrap();
    let resolve = component::resolve(component::VERSION);
    for name in INTERFACES {
        let interface = resolve.interfaces.iter().find(|(id, _)| resolve.id_of(*id).as_deref() == Some(name));
        let (_, interface) = interface.unwrap_or_else(|| panic!("no WIT has {name}"));
        let mut linked = linker.instance(name).unwrap();
        for (function, _) in &interface.functions {
            // What is not settled is not linked.
            let defined = linked.func_wrap(function, |_, (): ()| Ok(()));
            assert!(defined.is_err() || function == "network-error-code", "{name} lacks {function}");
        }
        for (ty, id) in &interface.types {
            if matches!(resolve.types[*id].kind, TypeDefKind::Resource) {
                let defined = linked.resource(ty, ResourceType::host::<()>(), |_, _| Ok(()));
                assert!(defined.is_err(), "{name} lacks {ty}");
            }
        }
    }
}

#[test]
fn versions_that_fit_are_provided() {
    for name in ["wasi:cli/stdin@0.2.0", "wasi:cli/stdin@0.2.99", "wasi:io/poll@0.2.3", "eyot:kernel/fs@0.1.7"] {
        assert!(provides(name), "{name}");
    }
    let others = [
        "wasi:cli/stdin",
        "wasi:cli/stdin@0.3.0",
        "wasi:cli/stdin@0.20.0",
        "wasi:cli/stdin@0.2.0-rc-2023-11-10",
        "wasi:cli/stdin@1.2.0",
        "wasi:cli/nothing@0.2.0",
        "foo:bar/baz@1.0.0",
        "",
        "@",
    ];
    for name in others {
        assert!(!provides(name), "{name}");
    }
}
