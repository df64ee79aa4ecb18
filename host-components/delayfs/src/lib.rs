//! Files in memory, each call to which waits: the model of a component of the world `async-mount-backend`.
//!
//! Built as `memfs` is: `cargo rustc --release -p eyot-delayfs --lib --crate-type cdylib --target wasm32-unknown-unknown` with the linker `wasm-component-ld`. For
//! any other target there is nothing in it.
#![cfg(target_family = "wasm")]

mod clock;
mod filesystem;
mod mount;

pub use filesystem::Delayed;
pub use mount::DelayMount;
