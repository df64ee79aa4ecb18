//! Builds the base image in the directory that is named, and says where it is.
//!
//! `cargo run --release -p eyot-coreutils-build --example base_image -- CACHE`

use eyot_coreutils_build::{Ctx, Progress, image, tools};

struct Lines;

impl Progress for Lines {
    fn step(&self, what: &str) {
        eprintln!("{what}");
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let cache = std::env::args_os().nth(1).ok_or("usage: base_image CACHE")?;
    let jobs = std::thread::available_parallelism().map_or(2, usize::from);
    let ctx =
        Ctx { recipes: env!("CARGO_MANIFEST_DIR").into(), cache: std::path::absolute(cache)?, jobs, progress: &Lines };
    println!("{}", image(&ctx)?.display());
    for tool in tools(&ctx)?.all {
        println!("{} {}", blake3::Hash::from(tool.blake3), tool.path.display());
    }
    Ok(())
}
