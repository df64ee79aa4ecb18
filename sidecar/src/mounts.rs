//! The types of mounts that the command offers.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use eyot_backend::{AttributeChanges, Errno, MountType, Refusal, Settings, Timestamp};
use eyot_hostdir::Hostdir;
use eyot_kernel::backend::Filesystem;
use eyot_kernel::vm::{MountRequest, MountTypes};
use eyot_memfs::MemfsMount;

use crate::executors;
use crate::home::Home;
use crate::retired::Retired;

/// Who programs run as.
pub const GUEST_USER: u32 = 1000;

/// A type of mount, for the command line.
pub struct Type {
    /// Its name.
    pub name: &'static str,
    /// What its source is, when it has one.
    pub source: Option<&'static str>,
    /// How it is written.
    pub usage: &'static str,
}

/// Every type, as the command line has it.
pub const TYPES: &[Type] = &[
    Type { name: "memfs", source: None, usage: "memfs" },
    Type { name: "host", source: Some("a directory"), usage: "host:DIR or host:DIR:ro" },
    Type { name: "component", source: Some("a file"), usage: "component:FILE" },
];

/// Makes filesystems of those types.
pub fn types(home: &Home) -> MountTypes {
    let home = home.clone();
    MountTypes::new()
        .with("memfs", memfs)
        .with("host", |request| {
            let dir = request.source("a directory of the host")?;
            no_settings(&request)?;
            host_directory(Path::new(dir), request.read_only)
        })
        .with("component", move |request| component(&home, request))
}

fn no_settings(request: &MountRequest<'_>) -> Result<(), Refusal> {
    Settings::check::<&str>(&[], request.settings.iter().cloned()).map(drop)
}

/// An empty filesystem in memory, whose root is the guest's unless it is said whose it is.
fn memfs(mut request: MountRequest<'_>) -> Result<Arc<dyn Filesystem>, Refusal> {
    request.stands_alone()?;
    for (key, value) in [("uid", GUEST_USER.to_string()), ("gid", GUEST_USER.to_string())] {
        if !request.settings.iter().any(|(known, _)| known == key) {
            request.settings.push((key.to_owned(), value));
        }
    }
    let settings = Settings::check(MemfsMount::SETTINGS, request.settings)?;
    Ok(Arc::new(MemfsMount::mount(&settings, Timestamp::now)?))
}

/// A directory of the host. What the guest sees is its own user's, so that it may do there what the user who runs the command may.
pub fn host_directory(dir: &Path, read_only: bool) -> Result<Arc<dyn Filesystem>, Refusal> {
    let fs = Hostdir::new(dir, read_only).map_err(|error| failed(&error))?;
    Ok(Arc::new(fs.owned_by(GUEST_USER, GUEST_USER)))
}

fn component(home: &Home, request: MountRequest<'_>) -> Result<Arc<dyn Filesystem>, Refusal> {
    let file = PathBuf::from(request.source("a file of the host")?);
    let loaded = executors::plugin(home, &file, request.settings).map_err(|error| failed(&error))?;
    let Some(fs) = loaded else { return Ok(Arc::new(Retired::new(GUEST_USER))) };
    let owner = AttributeChanges { uid: Some(GUEST_USER), gid: Some(GUEST_USER), ..AttributeChanges::default() };
    // The root is the guest's to write in. A backend that keeps no owners says who may by its mode.
    let _ = fs.setattr(fs.info().root, &owner);
    Ok(fs)
}

/// The host's own reason, as a refusal.
fn failed(reason: &dyn std::fmt::Display) -> Refusal {
    Refusal { errno: Errno::Io, message: reason.to_string() }
}
