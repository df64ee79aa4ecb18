//! Mounts an empty filesystem in memory: `cargo run --release -p eyot-fuse --example memfs -- DIR`. It ends when it is unmounted (`umount DIR`).

use std::sync::Arc;

use eyot_memfs::Memfs;

fn main() {
    let Some(path) = std::env::args_os().nth(1) else {
        eprintln!("usage: memfs DIR");
        std::process::exit(2);
    };
    if let Err(error) = eyot_fuse::serve(Arc::new(Memfs::new()), path, eyot_fuse::Options::default()) {
        eprintln!("{error}");
        std::process::exit(1);
    }
}
