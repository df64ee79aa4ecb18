//! Placeholder.

pub mod plugin;
