//! `cargo xtask lint`: clippy over everything that can be built here, warnings as errors.

use crate::build::{cargo_in, members};
use crate::failure::Result;
use crate::setup;
use crate::v8::Choice;

/// Sets up and lints.
pub fn run() -> Result<()> {
    let ready = setup::run(Choice::Auto)?;
    cargo_in(&ready.places, &ready.v8)
        .arg("clippy")
        .args(members(&ready.v8))
        .args(["--all-targets", "--", "-D", "warnings"])
        .show_ok()
}
