//! Components: loaded, cached and run as modules are. What they may import is in [`p2`](super::p2).

use wasmtime::component::types::{ComponentFunc, ComponentItem};
use wasmtime::component::{Component, Linker};
use wasmtime::{Engine, Store};

use super::engine::Tier;
use super::p2::{self, CommandPre};
use super::process::{Guest, Stop};

/// What a command exports, without its version.
const RUN: &str = "wasi:cli/run";

/// A component with its imports linked.
#[derive(Clone)]
pub(super) struct ComponentPre(CommandPre<Guest>);

/// What components may import.
pub(super) fn linker(engine: &Engine) -> Result<Linker<Guest>, wasmtime::Error> {
    let mut linker = Linker::new(engine);
    p2::add_to_linker(&mut linker, |guest| guest)?;
    Ok(linker)
}

/// The imports that nobody provides, by their full names.
pub(super) fn missing_imports(component: &Component) -> Vec<String> {
    let ty = component.component_type();
    let imports = ty.imports(component.engine());
    imports.filter(|(name, _)| !p2::provides(name)).map(|(name, _)| name.to_owned()).collect()
}

/// Whether it is a program and not a library.
pub(super) fn check_exports(component: &Component) -> Result<(), String> {
    let ty = component.component_type();
    let exports = || ty.exports(component.engine());
    for (name, item) in exports() {
        let Some((interface, version)) = name.split_once('@') else { continue };
        if interface != RUN {
            continue;
        }
        if !version.starts_with("0.2.") {
            return Err(format!("it exports '{name}': Eyot runs commands of WASI 0.2"));
        }
        let ComponentItem::ComponentInstance(instance) = item.ty else {
            return Err(format!("its '{name}' is no interface"));
        };
        return match instance.get_export(component.engine(), "run").map(|export| export.ty) {
            Some(ComponentItem::ComponentFunc(run)) if has_no_parameters(&run) => Ok(()),
            _ => Err(format!("its '{name}' has no function 'run' without parameters")),
        };
    }
    let names: Vec<_> = exports().map(|(name, _)| name.to_owned()).take(3).collect();
    let instead = if names.is_empty() { "nothing".to_owned() } else { names.join(", ") };
    Err(format!("it is no program: it does not export '{RUN}@0.2' (it exports {instead})"))
}

fn has_no_parameters(run: &ComponentFunc) -> bool {
    run.params().len() == 0
}

impl ComponentPre {
    /// Links a component. Errors: an import that does not fit.
    pub(super) fn link(tier: &Tier, component: &Component) -> Result<Self, wasmtime::Error> {
        CommandPre::new(tier.component_linker.instantiate_pre(component)?).map(Self)
    }

    pub(super) fn component(&self) -> &Component {
        self.0.instance_pre().component()
    }

    /// Runs it to its end. A `run` that answers an error is exit code 1.
    pub(super) async fn run(&self, store: &mut Store<Guest>) -> Result<(), wasmtime::Error> {
        let command = self.0.instantiate_async(&mut *store).await?;
        match command.wasi_cli_run().call_run(store).await? {
            Ok(()) => Ok(()),
            Err(()) => Err(Stop::Exit(1).into()),
        }
    }
}
