//! Node-style JavaScript on V8 for Eyot: Node's own library, unmodified, over natives that are thin translations to the
//! kernel's system calls.

#![allow(dead_code)]

mod artefact;
mod code_cache;
mod dotenv;
mod env;
mod event_loop;
mod js;
mod natives;
mod platform;
mod realm;
mod registry;
mod run;
mod shape;
mod sys;
mod uv;

pub use artefact::{Artefact, ArtefactError};
pub use code_cache::CodeCache;
pub use realm::BootError;

/// Development harness.
pub fn dev_run(artefact: &'static Artefact, argv: Vec<String>) -> Result<i32, BootError> {
    run::run(artefact, sys::Sys::new(sys::Start { argv, env: std::env::vars().collect() }))
}
