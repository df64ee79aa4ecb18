//! An archive as a mount type of a component: a file of a granted directory.

use std::sync::Arc;

use eyot_backend::{Errno, MountType, Refusal, SettingDescription, SettingKind, Settings, Timestamp};
use eyot_preopen::{Fd, FileKind, OpenFlags};

use crate::{Archive, ArchiveOptions, Source};

/// What an instance has room for: its memory is 256 MiB unless the mount says otherwise.
const INDEX_BYTES_MAX: u64 = 96 << 20;
const CACHE_BYTES: u64 = 32 << 20;
const ACCESS_POINTS_BYTES_MAX: u64 = 16 << 20;
/// One call at a time needs one; others keep their place in another stream.
const DECODERS_MAX: usize = 4;

/// The mount type `archive` as a component.
#[derive(Debug)]
pub struct ArchiveMount;

impl MountType for ArchiveMount {
    type Filesystem = Archive;

    const SETTINGS: &'static [SettingDescription] = &[
        SettingDescription::required(
            "path",
            SettingKind::Text,
            "The archive: an absolute path in the directories that were granted.",
        ),
        SettingDescription::optional("cache_bytes", SettingKind::Size, "32M", "The memory for unpacked blocks."),
    ];

    fn mount(settings: &Settings, _clock: fn() -> Timestamp) -> Result<Archive, Refusal> {
        let path = settings.text("path").unwrap_or_default();
        let failed = |errno: Errno| Refusal { errno, message: format!("path: {path} cannot be opened: {errno}") };
        let source = Preopened::open(path).map_err(failed)?;
        let options = ArchiveOptions::new()
            .index_bytes_max(INDEX_BYTES_MAX)
            .cache_bytes(settings.size("cache_bytes").unwrap_or(CACHE_BYTES))
            .access_points_bytes_max(ACCESS_POINTS_BYTES_MAX)
            .decoders_max(DECODERS_MAX);
        let opened = Archive::open(Arc::new(source), &options);
        opened.map_err(|error| Refusal { errno: error.errno(), message: format!("path: {path}: {error}") })
    }
}

/// An archive in a granted directory.
struct Preopened {
    file: Fd,
    /// When it was opened: what is appended later is not part of the archive.
    length: u64,
}

impl Preopened {
    fn open(path: &str) -> Result<Self, Errno> {
        if !path.starts_with('/') {
            return Err(Errno::Inval);
        }
        let file = Fd::open(path, OpenFlags::READ)?;
        let status = file.status()?;
        match status.kind {
            FileKind::File => Ok(Self { file, length: status.size }),
            FileKind::Directory => Err(Errno::Isdir),
            _ => Err(Errno::Inval),
        }
    }
}

impl Source for Preopened {
    fn len(&self) -> u64 {
        self.length
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, Errno> {
        let rest = usize::try_from(self.length.saturating_sub(offset)).unwrap_or(usize::MAX);
        let count = rest.min(buffer.len());
        self.file.read_at(offset, buffer.get_mut(..count).unwrap_or_default())
    }
}

eyot_backend::export_component!(ArchiveMount);
