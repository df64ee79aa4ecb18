//! Mounts an empty filesystem in memory, or a directory of the host once more: `cargo run --release -p eyot-fuse --example serve -- POINT [DIR]`.
//! It ends when it is unmounted (`umount POINT`).

use std::error::Error;
use std::path::Path;
use std::sync::Arc;

use eyot_backend::{Filesystem, Ownership};
use eyot_fuse::Options;
use eyot_hostdir::Hostdir;
use eyot_memfs::Memfs;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args_os().skip(1);
    let point = arguments.next().ok_or("usage: serve POINT [DIR]")?;
    let (uid, gid) = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
    let mut options = Options::default();
    let fs: Arc<dyn Filesystem> = match arguments.next() {
        Some(dir) => Arc::new(Hostdir::new(Path::new(&dir), false)?.owned_by(uid, gid)),
        None => {
            options.exclusive = true;
            Arc::new(Memfs::builder().root(Ownership { mode: 0o755, uid, gid }).build())
        }
    };
    Ok(eyot_fuse::serve(fs, point, options)?)
}
