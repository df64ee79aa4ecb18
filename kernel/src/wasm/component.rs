//! The seam for components: they are loaded, cached and run as modules are; what they import is linked here.

use std::sync::Arc;

use wasmtime::component::{Component, InstancePre, Linker};
use wasmtime::{Engine, Store};

use super::engine::Tier;
use super::process::Guest;

/// A component with its imports linked.
#[derive(Clone)]
pub(super) struct ComponentPre {
    pre: Arc<InstancePre<Guest>>,
}

/// What components may import.
pub(super) fn linker(engine: &Engine) -> Result<Linker<Guest>, wasmtime::Error> {
    Ok(Linker::new(engine))
}

impl ComponentPre {
    /// Links a component. Errors: an import nobody provides, named.
    pub(super) fn link(tier: &Tier, component: Component) -> Result<Self, wasmtime::Error> {
        let pre = tier.component_linker.instantiate_pre(&component)?;
        Ok(Self { pre: Arc::new(pre) })
    }

    pub(super) fn component(&self) -> &Component {
        self.pre.component()
    }

    /// Runs it to its end.
    pub(super) async fn run(&self, _store: &mut Store<Guest>) -> Result<(), wasmtime::Error> {
        Err(wasmtime::Error::msg("components cannot be run yet"))
    }
}
