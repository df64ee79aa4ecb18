//! `cargo xtask bench`: set-up, then the benchmarks.

use crate::command::Run;
use crate::failure::Result;
use crate::setup;
use crate::v8::Choice;

/// Sets up and runs the built `tests/bench` with `args`.
pub fn run(args: &[String]) -> Result<()> {
    let ready = setup::run(Choice::Auto)?;
    Run::new(ready.places.target.join("release/bench"))
        .args(args)
        .cwd(&ready.places.root)
        .env("EYOT_CACHE", &ready.places.cache)
        .env("EYOT_HOME", ready.places.home())
        .fix("read what it says above")
        .show_ok()
}
