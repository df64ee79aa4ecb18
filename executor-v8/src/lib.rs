//! Node-style JavaScript on V8 for Eyot: Node's own library, unmodified, over natives that are thin translations to the
//! kernel's system calls.

mod artefact;
mod code_cache;
mod dotenv;
mod env;
mod event_loop;
mod executor;
mod js;
mod memory;
mod natives;
mod platform;
mod realm;
mod registry;
mod rehearsal;
mod run;
mod shape;
mod snapshot;
mod sys;
mod uv;

pub use artefact::{Artefact, ArtefactError};
pub use code_cache::build_code_cache;
pub use executor::{Setup, V8Executor, accepts};
pub use realm::BootError;
pub use snapshot::build_snapshot;
