//! WASI for a component: the kernel's own, in a VM of its own.
//!
//! A component that imports `wasi:*` or `eyot:kernel/*` is a process of a VM that is made for its mount, and is served by the layer that serves programs:
//! there is one implementation. That VM has nothing but the preopened directories that were granted: no `/dev`, no `/proc`, no environment, no arguments,
//! no programs and nobody to run them. Standard input is at its end; what is written to the standard streams goes to the log.

mod output;
mod points;
mod process;

#[cfg(test)]
mod tests;

pub(super) use process::Process;

use wasmtime::Result;
use wasmtime::component::Linker;

use super::load::HostState;
use crate::wasm::p2;

/// Links everything that programs may import. The store's data must have a process.
pub(super) fn link(linker: &mut Linker<HostState>) -> Result<()> {
    p2::add_to_linker(linker, |state| match &mut state.process {
        Some(process) => process.guest(),
        None => unreachable!("only a component that was given a process is linked to this"),
    })
}
