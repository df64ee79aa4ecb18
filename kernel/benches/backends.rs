//! What a backend's calls cost: memfs compiled in, and the same behind the plugin host.
//!
//! `EYOT_MEMFS_WASM=.../eyot_memfs.wasm cargo test --release -p eyot-kernel --bench backends` (`cargo test`, so that the tests' build is used).
//! What is measured, and how, is in `eyot_conformance::bench`.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use eyot_backend::Filesystem;
use eyot_conformance::bench::{compare, measure, time};
use eyot_kernel::plugin::{PluginConfig, PluginFilesystem};
use eyot_memfs::{BaseImage, ImageBuilder, Memfs, Meta};
use wasmtime::{Config, Engine};

fn main() {
    let only = std::env::args().nth(1).filter(|filter| !filter.starts_with('-'));
    let rows = |fs: &dyn Filesystem| measure(fs, only.as_deref()).expect("memfs can be filled");
    let native = rows(&Memfs::builder().bytes_max(1 << 30).build());
    match component() {
        Some(fs) => println!("{}", compare(("native", &native), ("component", &rows(&fs)))),
        None => println!("{}\n(EYOT_MEMFS_WASM is not set: no component)", compare(("-", &[]), ("native", &native))),
    }
    if only.is_none_or(|only| "creation".contains(&only)) {
        creation();
    }
}

fn component() -> Option<PluginFilesystem> {
    let path = std::env::var_os("EYOT_MEMFS_WASM")?;
    let mut config = Config::new();
    config.epoch_interruption(true);
    // As the plug-in host has it: with it, every call takes twice as long.
    config.concurrency_support(false);
    let engine = Engine::new(&config).expect("the engine starts");
    let bytes = std::fs::read(path).expect("EYOT_MEMFS_WASM can be read");
    let start = Instant::now();
    let mut config = PluginConfig::new("memfs.wasm");
    config.memory_bytes_max = 1 << 30;
    let fs = PluginFilesystem::load(&engine, &bytes, config).expect("memfs.wasm loads");
    println!("component compiled and started in {:?}", start.elapsed());
    Some(fs)
}

fn keep<T>(value: T) {
    let _ = black_box(value);
}

fn creation() {
    let mut builder = ImageBuilder::new();
    for index in 0..500 {
        builder.add_file(&format!("/usr/bin/program-{index}"), Meta::executable(), vec![1; 100]).expect("add");
    }
    let bytes = Arc::new(builder.to_vec().expect("build"));
    let image = Arc::new(BaseImage::open(bytes.clone()).expect("open"));
    let over = Memfs::over(Arc::clone(&image));
    let mut at = over.info().root;
    for name in ["usr", "bin"] {
        at = over.lookup(at, name).expect("lookup").node;
    }
    println!("empty memfs, made and dropped {:>9.0} ns", time(|| keep(Memfs::new())));
    println!("memfs over an image of 500    {:>9.0} ns", time(|| keep(Memfs::over(Arc::clone(&image)))));
    println!("opening that image            {:>9.0} ns", time(|| keep(BaseImage::open(bytes.clone()))));
    println!("lookup in the image           {:>9.0} ns", time(|| keep(over.lookup(at, "program-250"))));
}
