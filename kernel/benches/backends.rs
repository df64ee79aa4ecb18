//! What a backend's calls cost: memfs compiled in, and the same behind the plugin host.
//!
//! With `EYOT_DELAYFS_WASM` set, also what a call costs whose component might wait and does not, for one caller and for 32.
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
    if only.as_ref().is_none_or(|only| "creation".contains(only)) {
        creation();
    }
    if only.is_none_or(|only| "waiting".contains(&only)) {
        waiting();
    }
}

fn component() -> Option<PluginFilesystem> {
    started("EYOT_MEMFS_WASM", &[])
}

fn started(variable: &str, settings: &[(&str, &str)]) -> Option<PluginFilesystem> {
    let path = std::env::var_os(variable)?;
    let mut config = Config::new();
    config.epoch_interruption(true);
    // As the plug-in host has it: with it, every call takes twice as long.
    config.concurrency_support(false);
    let engine = Engine::new(&config).expect("the engine starts");
    let bytes = std::fs::read(path).expect("the component can be read");
    let start = Instant::now();
    let mut config = PluginConfig::new(variable);
    config.memory_bytes_max = 1 << 30;
    config.settings = settings.iter().map(|&(key, value)| (key.into(), value.into())).collect();
    let fs = PluginFilesystem::load(&engine, &bytes, config).expect("the component loads");
    println!("component compiled and started in {:?}", start.elapsed());
    Some(fs)
}

/// Calls of a component of an asynchronous world, none of which waits.
fn waiting() {
    let Some(fs) = started("EYOT_DELAYFS_WASM", &[("delay", "0ms")]) else {
        println!("(EYOT_DELAYFS_WASM is not set: no component that may wait)");
        return;
    };
    const PIECE: usize = 64 << 10;
    const PIECES: usize = 256;
    let owner = eyot_backend::Ownership { mode: 0o644, uid: 0, gid: 0 };
    let file = fs.create(fs.info().root, "f", owner).expect("create").node;
    for piece in 0..PIECES {
        fs.write(file, 0, (piece * PIECE) as u64, &[7; PIECE]).expect("write");
    }
    println!("getattr of one that may wait  {:>9.0} ns", time(|| keep(fs.getattr(file))));
    for callers in [1, 32] {
        let begin = Instant::now();
        std::thread::scope(|scope| {
            for _ in 0..callers {
                scope.spawn(|| (0..10_000 / callers).for_each(|_| keep(fs.getattr(file))));
            }
        });
        let each = begin.elapsed().as_nanos() / (10_000 / callers * callers) as u128;
        let begin = Instant::now();
        std::thread::scope(|scope| {
            for caller in 0..callers {
                let fs = &fs;
                scope.spawn(move || {
                    let mut buffer = vec![0; PIECE];
                    for piece in 0..2 * PIECES / callers {
                        let offset = ((piece + caller * 8) % PIECES * PIECE) as u64;
                        keep(fs.read(file, 0, offset, &mut buffer));
                    }
                });
            }
        });
        let bytes = (2 * PIECES / callers * callers * PIECE) as f64;
        let rate = bytes / begin.elapsed().as_secs_f64() / f64::from(1 << 20);
        println!("  {callers:>2} callers: getattr {each:>7} ns a call, reads of 64 KiB {rate:>7.0} MiB/s");
    }
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
