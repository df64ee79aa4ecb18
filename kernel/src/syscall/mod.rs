//! The system calls: one file for each interface of `wit/kernel`, one function for each call.
//!
//! Each is of one shape: *check* (permission and policy, which give a proof), *charge* (limits, which give a receipt), *act*. Decoding was the executor's. A call
//! that would have to wait answers [`SysError::Wait`](crate::wait::SysError::Wait); see [`wait`](crate::wait).

pub mod clock;
pub mod descriptor;
pub mod fs;
pub mod pipe;
pub mod process;
pub mod random;
pub mod signal;
pub mod socket;
pub mod terminal;
pub mod types;
