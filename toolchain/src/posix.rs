//! `cargo xtask posix`: set-up, then pjdfstest and fsx over FUSE.

use crate::command::Run;
use crate::failure::Result;
use crate::setup;
use crate::v8::Choice;

/// Sets up and runs the built `eyot-posix` with `args`.
pub fn run(args: &[String]) -> Result<()> {
    let ready = setup::run(Choice::Auto)?;
    let run = Run::new(ready.places.target.join("release/eyot-posix"));
    let run = ready.components.iter().fold(run, |run, built| run.env(&built.variable, &built.path));
    run.args(args)
        .cwd(&ready.places.root)
        .env("EYOT_CACHE", &ready.places.cache)
        .fix("read what it says above; it needs root and FUSE")
        .show_ok()
}
