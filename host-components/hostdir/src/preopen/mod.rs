//! A granted directory as a filesystem: what the component serves.

mod files;
mod filesystem;
pub(crate) mod host;
mod mount;
mod names;

pub use mount::PreopenedMount;

use std::time::Duration;

use eyot_backend::Errno;

use crate::nodes::Nodes;
use files::Files;
use names::Names;

/// A directory that was granted to this component, with all that lies in it.
///
/// **Nothing is walked.** Each call to the kernel names one entry of one directory that is open already, and none follows a symlink.
///
/// **What it can do** is what the filesystem can that was granted: owners, permissions, devices, links and renames go through to it, and so do its errors. It offers everything
/// but extended attributes, for which `eyot:kernel` has no calls.
///
/// **Others may change it**, as with a directory of the host: nothing is believed for longer than the call unless the setting `believed_for` says so. What was replaced while it was
/// held answers `ESTALE`, or goes on as it was when it is open.
pub struct Preopened {
    nodes: Nodes,
    files: Files,
    names: Names,
    lifetime_ns: u64,
}

impl Preopened {
    /// Takes the directory of this absolute path.
    pub fn open(path: &str, believed_for: Duration) -> Result<Self, Errno> {
        let nodes = Nodes::new(host::root(path)?)?;
        let lifetime_ns = u64::try_from(believed_for.as_nanos()).unwrap_or(u64::MAX);
        Ok(Self { nodes, files: Files::default(), names: Names::default(), lifetime_ns })
    }
}
