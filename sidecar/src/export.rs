//! `eyot mount`: a filesystem of Eyot's, or the tree of a VM, on a directory of the host.

use std::path::Path;
use std::sync::Arc;

use eyot_backend::Filesystem;
use eyot_fuse::{Mount, Options};
use eyot_kernel::vm::MountConfig;

use crate::cli::VmOptions;
use crate::failure::Failure;
use crate::home::Home;
use crate::island;
use crate::mounts::{self, Owner};
use crate::signals;

/// Its files are this user's: nobody else uses the mount, unless they are let in.
fn owner() -> Owner {
    Owner { uid: rustix::process::getuid().as_raw(), gid: rustix::process::getgid().as_raw() }
}

/// Serves the filesystem until it is unmounted or a signal comes.
pub fn filesystem(home: &Home, config: &MountConfig, point: &Path, allow_other: bool) -> Result<u8, Failure> {
    let fs = mounts::types(home, owner()).make(config).map_err(|error| Failure::usage(error.to_string()))?;
    let options = Options {
        read_only: config.read_only,
        allow_other,
        name: config.kind.clone(),
        // Whoever else changes a directory of the host, or an archive, is not seen through the page cache.
        exclusive: matches!(config.kind.as_str(), "memfs" | "sqlfs"),
        ..Options::default()
    };
    serve(fs, &config.kind, point, options)
}

/// Serves the whole tree of a VM, in which nothing runs.
pub fn vm(home: &Home, options: &VmOptions, point: &Path, allow_other: bool) -> Result<u8, Failure> {
    let vm = island::new(home, options)?;
    let tree = vm.tree("/").map_err(|errno| Failure::setup(format!("the VM's tree cannot be served: {errno}")))?;
    let Owner { uid, gid } = owner();
    let options = Options { allow_other, name: "eyot-vm".into(), ..Options::default() };
    serve(Arc::new(tree.shown_as(uid, gid)), "the VM's tree", point, options)
}

fn serve(fs: Arc<dyn Filesystem>, what: &str, point: &Path, options: Options) -> Result<u8, Failure> {
    let mount = Mount::new(fs.clone(), point, options).map_err(|error| Failure::setup(error.to_string()))?;
    eprintln!("eyot: {what} is mounted at {}; Ctrl-C or `umount` ends it", point.display());
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
