//! What a backend answers: the trait and types of the `eyot-backend` crate.

pub use eyot_backend::*;
