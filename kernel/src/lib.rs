//! Eyot's kernel: virtual machines in a process, for WebAssembly and other guests.
//!
//! A [`Vm`](vm::Vm) is an island: its own filesystem, process table, policy and limits. Guests hold descriptors that the kernel gave them and nothing of the host.
//! Start at [`vm::Vm::builder`].

pub mod backend;
pub mod clock;
mod kernel;
pub mod limits;
pub mod net;
pub mod plugin;
pub mod policy;
pub mod process;
pub mod runtime;
pub mod signal;
pub mod syscall;
pub mod vfs;
pub mod vm;
pub mod wait;
pub mod wasm;

pub use backend::Errno;
pub use vm::Vm;
