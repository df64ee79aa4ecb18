//! The types of mounts that the command offers.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use eyot_archive::{Archive, ArchiveOptions, FileSource};
use eyot_backend::{
    AttributeChanges, Errno, LayerType, MountType, Ownership, Refusal, SettingDescription, SettingKind, Settings,
    Timestamp,
};
use eyot_crypt::CryptMount;
use eyot_hostdir::Hostdir;
use eyot_kernel::backend::Filesystem;
use eyot_kernel::vm::{MountRequest, MountTypes};
use eyot_memfs::MemfsMount;
use eyot_overlay::OverlayMount;
use eyot_s3::S3Mount;
use eyot_sqlfs::Sqlfs;

use crate::executors;
use crate::home::Home;
use crate::retired::Retired;

/// Who programs run as, and whose the files are.
#[derive(Clone, Copy, Debug)]
pub struct Owner {
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

/// The user of the VM.
pub const GUEST: Owner = Owner { uid: 1000, gid: 1000 };

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
    Type { name: "overlay", source: Some("what lies below"), usage: "overlay:SPEC" },
    Type { name: "crypt", source: None, usage: "crypt,layer=SPEC" },
    Type { name: "archive", source: Some("a file"), usage: "archive:FILE" },
    Type { name: "s3", source: Some("a bucket"), usage: "s3:BUCKET[/PREFIX]" },
    Type { name: "sqlfs", source: Some("a file"), usage: "sqlfs:FILE" },
];

/// Makes filesystems of those types, whose files are `owner`'s.
pub fn types(home: &Home, owner: Owner) -> MountTypes {
    let home = home.clone();
    MountTypes::new()
        .with("memfs", move |request| memfs(request, owner))
        .with("host", move |request| {
            no_layers(&request)?;
            no_settings(&request)?;
            host_directory(Path::new(request.source("a directory of the host")?), request.read_only, owner)
        })
        .with_grants("component", move |request| component(&home, request, owner))
        .with("overlay", overlay)
        .with_layer_type::<CryptMount>("crypt")
        .with("archive", archive)
        .with("s3", move |request| s3(request, owner))
        .with("sqlfs", move |request| sqlfs(request, owner))
}

fn no_settings(request: &MountRequest<'_>) -> Result<(), Refusal> {
    Settings::check::<&str>(&[], request.settings.iter().cloned()).map(drop)
}

fn no_layers(request: &MountRequest<'_>) -> Result<(), Refusal> {
    if request.layers.is_empty() { Ok(()) } else { Err(Refusal::wrong("layers: this type of mount has none")) }
}

/// An empty filesystem in memory, whose root is the owner's unless it is said whose it is.
fn memfs(mut request: MountRequest<'_>, owner: Owner) -> Result<Arc<dyn Filesystem>, Refusal> {
    request.stands_alone()?;
    for (key, value) in [("uid", owner.uid.to_string()), ("gid", owner.gid.to_string())] {
        if !request.settings.iter().any(|(known, _)| known == key) {
            request.settings.push((key.to_owned(), value));
        }
    }
    let settings = Settings::check(MemfsMount::SETTINGS, request.settings)?;
    Ok(Arc::new(MemfsMount::mount(&settings, Timestamp::now)?))
}

/// A directory of the host. What is seen is all the owner's, so that a guest may do there what the user who runs the command may.
pub fn host_directory(dir: &Path, read_only: bool, owner: Owner) -> Result<Arc<dyn Filesystem>, Refusal> {
    let fs = Hostdir::new(dir, read_only).map_err(|error| failed(&error))?;
    Ok(Arc::new(fs.owned_by(owner.uid, owner.gid)))
}

fn component(home: &Home, request: MountRequest<'_>, owner: Owner) -> Result<Arc<dyn Filesystem>, Refusal> {
    let file = PathBuf::from(request.source("a file of the host")?);
    let loaded = executors::plugin(home, &file, request).map_err(|error| failed(&error))?;
    let Some(fs) = loaded else { return Ok(Arc::new(Retired::new(owner.uid))) };
    let owner = AttributeChanges { uid: Some(owner.uid), gid: Some(owner.gid), ..AttributeChanges::default() };
    // The root is the owner's to write in. A backend that keeps no owners says who may by its mode.
    let _ = fs.setattr(fs.info().root, &owner);
    Ok(fs)
}

/// Layers: the topmost takes the changes, unless the mount is read-only.
fn overlay(mut request: MountRequest<'_>) -> Result<Arc<dyn Filesystem>, Refusal> {
    request.has_no_source()?;
    OverlayMount::LAYERS.check(request.layers.len())?;
    if request.read_only && !request.settings.iter().any(|(key, _)| key == "read_only") {
        request.settings.push(("read_only".to_owned(), "true".to_owned()));
    }
    let settings = Settings::check(OverlayMount::SETTINGS, request.settings)?;
    Ok(Arc::new(OverlayMount::mount(&settings, request.layers, Timestamp::now)?))
}

/// What `archive` can be told.
const ARCHIVE_SETTINGS: &[SettingDescription] =
    &[SettingDescription::optional("cache_bytes", SettingKind::Size, "32M", "Memory for what was decompressed.")];

/// A tar or zip archive, which is never unpacked.
fn archive(request: MountRequest<'_>) -> Result<Arc<dyn Filesystem>, Refusal> {
    no_layers(&request)?;
    let file = request.source("a tar or zip archive of the host")?.to_owned();
    let settings = Settings::check(ARCHIVE_SETTINGS, request.settings)?;
    let mut options = ArchiveOptions::new();
    if let Some(bytes) = settings.size("cache_bytes") {
        options = options.cache_bytes(bytes);
    }
    let source = FileSource::open(Path::new(&file)).map_err(|error| failed(&format!("{file}: {error}")))?;
    let archive = Archive::open(Arc::new(source), &options).map_err(|error| failed(&format!("{file}: {error}")))?;
    Ok(Arc::new(archive))
}

/// A bucket, or a directory of one, whose files are the owner's unless they say whose they are.
fn s3(mut request: MountRequest<'_>, owner: Owner) -> Result<Arc<dyn Filesystem>, Refusal> {
    no_layers(&request)?;
    let source = request.source("a bucket, as BUCKET or BUCKET/PREFIX")?.to_owned();
    let (bucket, prefix) = source.split_once('/').unwrap_or((&source, ""));
    let known = [("bucket", bucket), ("prefix", prefix)].map(|(key, value)| (key.to_owned(), value.to_owned()));
    request.settings.extend(known.into_iter().filter(|(_, value)| !value.is_empty()));
    for (key, value) in [("uid", owner.uid.to_string()), ("gid", owner.gid.to_string())] {
        if !request.settings.iter().any(|(known, _)| known == key) {
            request.settings.push((key.to_owned(), value));
        }
    }
    if request.read_only && !request.settings.iter().any(|(key, _)| key == "read_only") {
        request.settings.push(("read_only".to_owned(), "true".to_owned()));
    }
    let settings = Settings::check(S3Mount::SETTINGS, request.settings)?;
    Ok(Arc::new(S3Mount::mount(&settings, Timestamp::now)?))
}

/// What `sqlfs` can be told.
const SQLFS_SETTINGS: &[SettingDescription] = &[
    SettingDescription::optional(
        "bytes_max",
        SettingKind::Size,
        "no bound",
        "The most bytes of contents; ENOSPC beyond.",
    ),
    SettingDescription::optional(
        "inodes_max",
        SettingKind::Number,
        "no bound",
        "The most files and directories; ENOSPC beyond.",
    ),
];

/// A filesystem in one SQLite database, made when it is not there.
fn sqlfs(request: MountRequest<'_>, owner: Owner) -> Result<Arc<dyn Filesystem>, Refusal> {
    no_layers(&request)?;
    let file = request.source("a database file of the host")?.to_owned();
    let settings = Settings::check(SQLFS_SETTINGS, request.settings)?;
    let mut builder = Sqlfs::builder().root(Ownership { mode: 0o755, uid: owner.uid, gid: owner.gid });
    if let Some(bytes) = settings.size("bytes_max") {
        builder = builder.bytes_max(bytes);
    }
    if let Some(inodes) = settings.number("inodes_max") {
        builder = builder.inodes_max(inodes);
    }
    Ok(Arc::new(builder.open(&file).map_err(|error| failed(&error))?))
}

/// The host's own reason, as a refusal.
fn failed(reason: &dyn std::fmt::Display) -> Refusal {
    Refusal { errno: Errno::Io, message: reason.to_string() }
}
