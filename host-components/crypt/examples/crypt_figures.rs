//! What encryption costs: `cargo run --release -p eyot-crypt --example crypt_figures`.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use eyot_backend::{Filesystem, OpenFlags, Ownership};
use eyot_crypt::{Crypt, CryptOptions, Secret};
use eyot_memfs::Memfs;

const OWNER: Ownership = Ownership { mode: 0o644, uid: 0, gid: 0 };
const ROUNDS: u64 = 256;

fn main() {
    println!("{:<22} {:>12} {:>12} {:>12} {:>12}", "", "memfs", "encrypted", "MiB/s", "MiB/s");
    let plain: Arc<dyn Filesystem> = Arc::new(Memfs::new());
    let layer = Arc::new(Memfs::new());
    let options = CryptOptions::default();
    let crypt: Arc<dyn Filesystem> = Arc::new(Crypt::open(layer, Secret::Key(&[7; 32]), &options).unwrap());
    for size in [4 << 10, 64 << 10, 1 << 20] {
        let ((plain_write, plain_read), (write, read)) = (contents(&*plain, size), contents(&*crypt, size));
        for (what, before, after) in [("write", plain_write, write), ("read", plain_read, read)] {
            let name = format!("{what} {} KiB", size >> 10);
            println!(
                "{name:<22} {before:>12.1?} {after:>12.1?} {:>12.0} {:>12.0}",
                rate(size, before),
                rate(size, after)
            );
        }
    }
    println!("{:<22} {:>12.1?} {:>12.1?}", "lookup and forget", names(&*plain), names(&*crypt));
    let started = Instant::now();
    Crypt::open(Arc::new(Memfs::new()), Secret::Passphrase("correct horse"), &options).unwrap();
    println!("{:<22} {:>12} {:>12.1?}", "a passphrase's key", "", started.elapsed());
}

fn rate(size: usize, took: Duration) -> f64 {
    size as f64 / took.as_secs_f64() / f64::from(1 << 20)
}

fn contents(fs: &dyn Filesystem, size: usize) -> (Duration, Duration) {
    let node = fs.create(fs.info().root, &format!("file-{size}"), OWNER).unwrap().node;
    let handle = fs.open(node, OpenFlags::READ | OpenFlags::WRITE).unwrap();
    let mut bytes = vec![7; size];
    let rounds = ROUNDS.min((64 << 20) / size as u64);
    let mut at_each = |call: &mut dyn FnMut(u64, &mut [u8])| {
        let started = Instant::now();
        for round in 0..rounds {
            call(round * size as u64, &mut bytes);
        }
        started.elapsed() / rounds as u32
    };
    // Twice, so that the layer has its memory.
    let mut write = |offset, bytes: &mut [u8]| assert_eq!(fs.write(node, handle, offset, bytes), Ok(bytes.len()));
    at_each(&mut write);
    let write = at_each(&mut write);
    let read = at_each(&mut |offset, bytes| assert_eq!(fs.read(node, handle, offset, bytes), Ok(bytes.len())));
    (write, read)
}

fn names(fs: &dyn Filesystem) -> Duration {
    fs.create(fs.info().root, "a name", OWNER).unwrap();
    let started = Instant::now();
    for _ in 0..10_000 {
        let found = fs.lookup(fs.info().root, black_box("a name")).unwrap();
        fs.forget(found.node, 1);
    }
    started.elapsed() / 10_000
}
