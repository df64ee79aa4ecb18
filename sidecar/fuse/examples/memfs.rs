//! Mounts an empty filesystem in memory: `cargo run --release -p eyot-fuse --example memfs -- DIR`. It ends when it is unmounted (`umount DIR`).

use std::sync::Arc;

use eyot_backend::Ownership;
use eyot_memfs::Memfs;

fn main() {
    let Some(path) = std::env::args_os().nth(1) else {
        eprintln!("usage: memfs DIR");
        std::process::exit(2);
    };
    let owner =
        Ownership { mode: 0o755, uid: rustix::process::getuid().as_raw(), gid: rustix::process::getgid().as_raw() };
    let memfs = Memfs::builder().root(owner).build();
    if let Err(error) = eyot_fuse::serve(Arc::new(memfs), path, eyot_fuse::Options::default()) {
        eprintln!("{error}");
        std::process::exit(1);
    }
}
