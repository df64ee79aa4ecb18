//! What a backend's calls cost: memfs compiled in, and the same behind the plugin host.
//!
//! `EYOT_MEMFS_WASM=.../eyot_memfs.wasm cargo test --release -p eyot-kernel --bench backends` (`cargo test`, so that the tests' build is used).
//! Each figure is the fastest tenth of 40 rounds of as many calls as take about 2 ms, which is steady on a busy machine.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use eyot_backend::{Filesystem, Ownership};
use eyot_kernel::plugin::{PluginConfig, PluginFilesystem};
use eyot_memfs::{BaseImage, ImageBuilder, Memfs, Meta};
use wasmtime::{Config, Engine};

const OWNER: Ownership = Ownership { mode: 0o644, uid: 0, gid: 0 };
const ROUNDS: usize = 40;

fn main() {
    let native = measure(&Memfs::builder().bytes_max(1 << 30).build());
    let component = component().map(|fs| measure(&fs));
    println!("{:<28} {:>12} {:>12} {:>8}", "call", "native", "component", "ratio");
    for (index, (name, ns, bytes)) in native.iter().enumerate() {
        let theirs = component.as_ref().and_then(|rows| rows.get(index)).map(|(_, ns, _)| *ns);
        let rate = |ns: f64| if *bytes > 0 { format!("{:.1} GB/s", *bytes as f64 / ns) } else { String::new() };
        print!("{name:<28} {:>9.0} ns", ns);
        match theirs {
            Some(theirs) => {
                println!(" {theirs:>9.0} ns {:>7.1}x  {} {}", theirs / ns, rate(*ns), rate(theirs));
            }
            None => println!(" {:>12} {:>8}  {}", "-", "-", rate(*ns)),
        }
    }
    if wanted("creation") {
        creation();
    }
}

fn component() -> Option<PluginFilesystem> {
    let path = std::env::var_os("EYOT_MEMFS_WASM")?;
    let mut config = Config::new();
    config.epoch_interruption(true);
    let engine = Engine::new(&config).expect("the engine starts");
    let bytes = std::fs::read(path).expect("EYOT_MEMFS_WASM can be read");
    let start = Instant::now();
    let mut config = PluginConfig::new("memfs.wasm");
    config.memory_bytes_max = 1 << 30;
    let fs = PluginFilesystem::load(&engine, &bytes, config).expect("memfs.wasm loads");
    println!("component compiled and started in {:?}", start.elapsed());
    Some(fs)
}

/// Whether a row is to be measured: its name holds the first argument.
fn wanted(name: &str) -> bool {
    std::env::args().nth(1).filter(|filter| !filter.starts_with('-')).is_none_or(|filter| name.contains(&filter))
}

fn keep<T>(value: T) {
    let _ = black_box(value);
}

/// Nanoseconds per call.
fn time(mut call: impl FnMut()) -> f64 {
    let start = Instant::now();
    let mut count = 0_u32;
    while start.elapsed() < Duration::from_millis(2) {
        call();
        count += 1;
    }
    let mut rounds: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            for _ in 0..count {
                call();
            }
            start.elapsed().as_nanos() as f64 / f64::from(count)
        })
        .collect();
    rounds.sort_by(f64::total_cmp);
    rounds[ROUNDS / 10]
}

fn measure(fs: &dyn Filesystem) -> Vec<(&'static str, f64, usize)> {
    let root = fs.info().root;
    for index in 0..1000 {
        let made = fs.create(root, &format!("file-{index}"), OWNER).expect("create");
        fs.forget(made.node, 1);
    }
    let file = fs.create(root, "data", OWNER).expect("create").node;
    let size = 16 << 20;
    let mut buffer = vec![7_u8; 1 << 20];
    for offset in (0..size).step_by(1 << 20) {
        assert_eq!(fs.write(file, 0, offset, &buffer), Ok(1 << 20));
    }
    fs.read(file, 0, 0, &mut buffer).expect("read");
    let mut rows = Vec::new();
    let mut row = |name: &'static str, bytes: usize, call: &mut dyn FnMut()| {
        if wanted(name) {
            rows.push((name, time(call), bytes));
        }
    };
    row("getattr", 0, &mut || keep(fs.getattr(file)));
    row("lookup + forget (1000 names)", 0, &mut || {
        let found = fs.lookup(root, "file-777").expect("lookup");
        fs.forget(found.node, 1);
    });
    row("create + unlink + forget", 0, &mut || {
        let made = fs.create(root, "new", OWNER).expect("create");
        fs.unlink(root, "new").expect("unlink");
        fs.forget(made.node, 1);
    });
    row("readdir of 100", 0, &mut || keep(fs.readdir(root, 0, 100)));
    row("read 4 KiB, same place", 4096, &mut || keep(fs.read(file, 0, 8192, &mut buffer[..4096])));
    row("write 4 KiB, same place", 4096, &mut || keep(fs.write(file, 0, 8192, &buffer[..4096])));
    for (read, write, length) in [
        ("read 64 KiB, sequential", "write 64 KiB, sequential", 64 << 10),
        ("read 1 MiB, sequential", "write 1 MiB, sequential", 1 << 20),
    ] {
        let mut offset = 0;
        let mut next = || {
            offset = (offset + length as u64) % size;
            offset
        };
        row(read, length, &mut || keep(fs.read(file, 0, next(), &mut buffer[..length])));
        row(write, length, &mut || keep(fs.write(file, 0, next(), &buffer[..length])));
    }
    let log = fs.create(root, "log", OWNER).expect("create").node;
    let mut end = 0;
    row("append 100 bytes", 100, &mut || {
        // From the start again after 64 MiB, so that the quota is not what is measured.
        if end >= 64 << 20 {
            end = 0;
            let empty = eyot_backend::AttributeChanges { size: Some(0), ..Default::default() };
            fs.setattr(log, &empty).expect("truncate");
        }
        end += fs.write(log, 0, end, &buffer[..100]).expect("append") as u64;
    });
    rows
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
