//! `eyot backend compose`: a layer and what lies below it become one component.

use std::io::Write;
use std::path::Path;

use wac_graph::types::Package;
use wac_graph::{CompositionGraph, EncodeOptions, PackageId, PlugError, plug};

use super::options::ComposeOptions;
use super::subject::read_component;
use crate::failure::Failure;

/// Writes the component; says what was joined.
pub fn run(options: &ComposeOptions) -> Result<u8, Failure> {
    let mut graph = CompositionGraph::new();
    let layer = register(&mut graph, "eyot:layer", &options.layer)?;
    let below = register(&mut graph, "eyot:below", &options.below)?;
    let joined = plug(&mut graph, vec![below], layer);
    joined.map_err(|error| failure(&graph, options, layer, below, &error))?;
    let bytes = graph
        .encode(EncodeOptions::default())
        .map_err(|error| Failure::setup(format!("{}: {error:#}", options.output.display())))?;
    write(&options.output, &bytes).map_err(|error| Failure::setup(format!("{}: {error}", options.output.display())))?;
    crate::print(&format!("{}: {} KiB\n", options.output.display(), bytes.len() / 1024))
}

fn register(graph: &mut CompositionGraph, name: &str, file: &Path) -> Result<PackageId, Failure> {
    let bytes = read_component(file)?;
    let wrong = |error: String| Failure::setup(format!("{}: {error}; build it again", file.display()));
    let package =
        Package::from_bytes(name, None, bytes, graph.types_mut()).map_err(|error| wrong(format!("{error:#}")))?;
    graph.register_package(package).map_err(|error| wrong(format!("{error:#}")))
}

/// The output appears whole or not at all.
fn write(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut partial = path.as_os_str().to_owned();
    partial.push(".partial");
    let written = std::fs::File::create(&partial).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    let written = written.and_then(|()| std::fs::rename(&partial, path));
    written.inspect_err(|_| drop(std::fs::remove_file(&partial)))
}

fn failure(
    graph: &CompositionGraph,
    options: &ComposeOptions,
    layer: PackageId,
    below: PackageId,
    error: &PlugError,
) -> Failure {
    let (upper, lower) = (options.layer.display(), options.below.display());
    if !matches!(error, PlugError::NoPlugHappened) {
        return Failure::setup(format!("{upper} and {lower} cannot be put together: {error}"));
    }
    let world = |package: PackageId| &graph.types()[graph[package].ty()];
    let names = |names: Vec<&str>| if names.is_empty() { "nothing".to_owned() } else { names.join(", ") };
    let imports = names(world(layer).imports.keys().map(String::as_str).collect());
    let exports = names(world(below).exports.keys().map(String::as_str).collect());
    Failure::setup(format!(
        "{upper} imports nothing that {lower} exports: it imports {imports}; the other exports {exports}. The layer comes first"
    ))
}
