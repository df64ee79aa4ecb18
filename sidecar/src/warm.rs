//! `eyot warm`: compiles what is in the base image ahead of time.

use crate::failure::Failure;
use crate::home::Home;
use crate::island;

/// Fills the machine-code cache.
pub fn run(home: &Home) -> Result<u8, Failure> {
    island::base_image(home)?;
    Ok(0)
}
