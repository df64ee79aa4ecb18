//! `cargo xtask bench`: set-up, then the benchmarks.

use crate::build::cargo_in;
use crate::failure::Result;
use crate::setup;
use crate::v8::{Choice, V8};

/// Sets up and runs `tests/bench` with `args`.
pub fn run(args: &[String]) -> Result<()> {
    let ready = setup::run(Choice::Auto)?;
    let run =
        cargo_in(&ready.places, &ready.v8).args(["run", "--release", "--package", "eyot-tests", "--bin", "bench"]);
    match &ready.v8 {
        V8::Ready(_) => run,
        V8::Missing(_) => run.arg("--no-default-features"),
    }
    .arg("--")
    .args(args)
    .show_ok()
}
