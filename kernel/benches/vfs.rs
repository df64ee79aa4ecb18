//! What reads and writes of a guest cost through the whole kernel: descriptor, cache of pages, backend.
//!
//! `EYOT_MEMFS_WASM=.../memfs.wasm cargo test --release -p eyot-kernel --bench vfs` (`cargo test`, so that the tests' build is used).
//! memfs compiled in has no cache; behind the plugin host it is measured with each way of caching.

#[path = "../tests/common/mod.rs"]
mod common;

use std::sync::Arc;

use common::World;
use eyot_backend::Filesystem;
use eyot_conformance::bench::time;
use eyot_kernel::plugin::{PluginConfig, PluginFilesystem};
use eyot_kernel::process::Task;
use eyot_kernel::syscall::types::OpenFlags;
use eyot_kernel::syscall::{descriptor, fs};
use eyot_kernel::vm::{Caching, MountOptions};
use eyot_memfs::Memfs;
use wasmtime::component::Component;
use wasmtime::{Config, Engine};

/// The size of the file: what fits into the cache as it is by default.
const DATA_BYTES: u64 = 16 << 20;

fn main() {
    run("native", Caching::Auto, Arc::new(Memfs::builder().bytes_max(1 << 30).build()));
    let Some(component) = component() else {
        return println!("(EYOT_MEMFS_WASM is not set: no component)");
    };
    for (name, cache) in
        [("component, none", Caching::None), ("component, read", Caching::Read), ("component, auto", Caching::Auto)]
    {
        run(name, cache, start(&component));
    }
}

fn component() -> Option<Component> {
    let path = std::env::var_os("EYOT_MEMFS_WASM")?;
    let mut config = Config::new();
    config.epoch_interruption(true);
    let engine = Engine::new(&config).expect("the engine starts");
    let bytes = std::fs::read(path).expect("EYOT_MEMFS_WASM can be read");
    Some(Component::from_binary(&engine, &bytes).expect("it compiles"))
}

fn start(component: &Component) -> Arc<dyn Filesystem> {
    let mut config = PluginConfig::new("memfs.wasm");
    config.memory_bytes_max = 1 << 30;
    Arc::new(PluginFilesystem::start(component, config).expect("memfs.wasm starts"))
}

fn run(name: &'static str, cache: Caching, backend: Arc<dyn Filesystem>) {
    let options = MountOptions { cache, ..MountOptions::default() };
    let world = World::with(|builder| builder.mount("/m", backend, options));
    world.vm.write_file("/m/data", &vec![7; DATA_BYTES as usize], 0o644).expect("the file can be written");
    world.run(move |task| measure(name, task));
}

fn measure(name: &str, task: &Task) {
    let open =
        |path: &str, flags| task.blocking(|| fs::open(task, None, path, flags, 0o644)).expect("the file can be opened");
    let fd = open("/m/data", OpenFlags::READ | OpenFlags::WRITE);
    let mut buffer = vec![7_u8; 1 << 20];
    for length in [4 << 10, 64 << 10, 1 << 20] {
        let mut offset = 0;
        let sequential = time(|| {
            let count = task.blocking(|| descriptor::pread(task, fd, &mut buffer[..length], offset)).expect("a read");
            assert_eq!(count, length);
            offset = (offset + length as u64) % DATA_BYTES;
        });
        let mut state = 1_u64;
        let random = time(|| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let offset = (state >> 33) % (DATA_BYTES / length as u64) * length as u64;
            task.blocking(|| descriptor::pread(task, fd, &mut buffer[..length], offset)).expect("a read");
        });
        row(name, "read", length, sequential, random);
        let mut offset = 0;
        let sequential = time(|| {
            task.blocking(|| descriptor::pwrite(task, fd, &buffer[..length], offset)).expect("a write");
            offset = (offset + length as u64) % DATA_BYTES;
        });
        let random = time(|| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let offset = (state >> 33) % (DATA_BYTES / length as u64) * length as u64;
            task.blocking(|| descriptor::pwrite(task, fd, &buffer[..length], offset)).expect("a write");
        });
        row(name, "write", length, sequential, random);
    }
    let log = open("/m/log", OpenFlags::WRITE | OpenFlags::CREATE | OpenFlags::APPEND);
    let mut written = 0_u64;
    let append = time(|| {
        if written >= DATA_BYTES {
            written = 0;
            task.blocking(|| descriptor::set_size(task, log, 0)).expect("it can be cut");
        }
        written += task.blocking(|| descriptor::write(task, log, &buffer[..100])).expect("a write") as u64;
    });
    println!("{name:<24} {:<14} {append:>9.0} ns", "append 100");
    let create = time(|| {
        let fd = open("/m/new", OpenFlags::WRITE | OpenFlags::CREATE | OpenFlags::TRUNCATE);
        task.blocking(|| descriptor::write(task, fd, &buffer[..1000])).expect("a write");
        task.blocking(|| descriptor::close(task, fd)).expect("a close");
    });
    println!("{name:<24} {:<14} {create:>9.0} ns", "write file");
    let stat = time(|| {
        task.blocking(|| descriptor::stat(task, fd)).expect("a stat");
    });
    println!("{name:<24} {:<14} {stat:>9.0} ns", "fstat");
}

fn row(name: &str, what: &str, length: usize, sequential: f64, random: f64) {
    let what = format!("{what} {} KiB", length >> 10);
    println!("{name:<24} {what:<14} {sequential:>9.0} ns sequential {random:>9.0} ns random");
}
