//! `eyot mount`: a filesystem of Eyot's on a directory of the host.

use std::path::Path;

use eyot_fuse::{Mount, Options};
use eyot_kernel::vm::MountConfig;

use crate::failure::Failure;
use crate::home::Home;
use crate::mounts::{self, Owner};
use crate::signals;

/// Serves the filesystem until it is unmounted or a signal comes.
pub fn serve(home: &Home, config: &MountConfig, point: &Path, allow_other: bool) -> Result<u8, Failure> {
    // Its files are this user's: nobody else uses the mount, unless they are let in.
    let owner = Owner { uid: rustix::process::getuid().as_raw(), gid: rustix::process::getgid().as_raw() };
    let fs = mounts::types(home, owner).make(config).map_err(|error| Failure::usage(error.to_string()))?;
    let options = Options {
        read_only: config.read_only,
        allow_other,
        name: config.kind.clone(),
        // Whoever else changes a directory of the host, or an archive, is not seen through the page cache.
        exclusive: matches!(config.kind.as_str(), "memfs" | "sqlfs"),
        ..Options::default()
    };
    let mount = Mount::new(fs.clone(), point, options).map_err(|error| Failure::setup(error.to_string()))?;
    eprintln!("eyot: {} is mounted at {}; Ctrl-C or `umount` ends it", config.kind, point.display());
    let unmounter = mount.unmounter();
    signals::forward(move |_| unmounter.unmount())
        .map_err(|error| Failure::setup(format!("signals can't be handled: {error}")))?;
    let ended = mount.wait();
    drop(mount);
    let synced = fs.sync();
    ended.map_err(|error| Failure::setup(error.to_string()))?;
    synced.map_err(|errno| Failure::setup(format!("what was written last could not be made durable: {errno}")))?;
    Ok(0)
}
