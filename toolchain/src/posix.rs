//! `cargo xtask posix`: set-up, then pjdfstest and fsx over FUSE.

use crate::command::Run;
use crate::failure::Result;
use crate::setup;
use crate::v8::Choice;

/// Sets up and runs the built `eyot-posix` with `args`.
pub fn run(args: &[String]) -> Result<()> {
    let ready = setup::run(Choice::Auto)?;
    Run::new(ready.places.target.join("release/eyot-posix"))
        .args(args)
        .cwd(&ready.places.root)
        .env("EYOT_CACHE", &ready.places.cache)
        .env("EYOT_MEMFS_WASM", &ready.memfs)
        .fix("read what it says above; it needs root and FUSE")
        .show_ok()
}
