//! Sqlfs as a mount type of a component: its database is a file of a granted directory.

use std::cell::Cell;
use std::path::Path;
use std::sync::Mutex;

use eyot_backend::{
    Errno, Filesystem, MountType, Ownership, Refusal, SettingDescription, SettingKind, Settings, Timestamp,
    wrap_filesystem,
};

use crate::Sqlfs;

/// What an instance has room for: its memory is 256 MiB unless the mount says otherwise.
const DIRTY_BYTES_MAX: u64 = 16 << 20;
const CACHE_BYTES_MAX: usize = 16 << 20;
const INODES_CACHED_MAX: usize = 16 << 10;

/// The mount type `sqlfs` as a component.
#[derive(Debug)]
pub struct SqlfsMount;

/// A [`Sqlfs`] that commits between calls what has waited for long enough, since a component has no thread that would. What waits when no call comes any more is
/// committed by `sync`, which is called before a mount goes.
pub struct Timed {
    fs: Sqlfs,
    clock: fn() -> Timestamp,
    /// When the last commit was looked for, in nanoseconds.
    last: Mutex<Cell<i64>>,
}

impl Timed {
    fn around<T>(&self, call: impl FnOnce(&dyn Filesystem) -> T) -> T {
        let answer = call(&self.fs);
        if self.fs.core.flusher.has_work() {
            self.commit_if_due();
        }
        answer
    }

    fn commit_if_due(&self) {
        let (now, wait) = ((self.clock)().as_nanos(), self.fs.core.options.commit_after.as_nanos());
        let Ok(last) = self.last.lock() else { return };
        let waited = now.saturating_sub(last.get());
        if u128::try_from(waited).is_ok_and(|waited| waited < wait) {
            return;
        }
        last.set(now);
        self.fs.core.flusher.takes_work();
        // What fails here fails again in the next call, where it can be told.
        let _ = self.fs.core.commit();
    }
}

wrap_filesystem!(impl for Timed, around);

impl MountType for SqlfsMount {
    type Filesystem = Timed;

    const SETTINGS: &'static [SettingDescription] = &[
        SettingDescription::required(
            "path",
            SettingKind::Text,
            "The database: an absolute path in the directories that were granted; made when it is not there.",
        ),
        SettingDescription::optional(
            "bytes_max",
            SettingKind::Size,
            "64G",
            "The most bytes of contents and names; ENOSPC beyond.",
        ),
        SettingDescription::optional(
            "inodes_max",
            SettingKind::Number,
            "16777216",
            "The most files and directories; ENOSPC beyond.",
        ),
        SettingDescription::optional("mode", SettingKind::Number, "0o755", "The permission bits of a new root."),
    ];

    fn mount(settings: &Settings, clock: fn() -> Timestamp) -> Result<Timed, Refusal> {
        let path = settings.text("path").unwrap_or_default();
        if !path.starts_with('/') {
            return Err(Refusal::wrong(format!("path: {path} is not absolute")));
        }
        let mode = settings.number32("mode")?.unwrap_or(0o755);
        if mode > 0o7777 {
            return Err(Refusal::wrong(format!("mode: 0o{mode:o} has bits beyond 0o7777")));
        }
        let mut builder = Sqlfs::builder()
            .clock(clock)
            .root(Ownership { mode, uid: 0, gid: 0 })
            .dirty_bytes_max(DIRTY_BYTES_MAX)
            .cache_bytes_max(CACHE_BYTES_MAX)
            .inodes_cached_max(INODES_CACHED_MAX);
        if let Some(bytes) = settings.size("bytes_max") {
            builder = builder.bytes_max(bytes);
        }
        if let Some(inodes) = settings.number("inodes_max") {
            builder = builder.inodes_max(inodes);
        }
        let opened = builder.open(Path::new(path));
        let fs = opened.map_err(|error| Refusal { errno: Errno::Io, message: format!("path: {error}") })?;
        Ok(Timed { fs, clock, last: Mutex::default() })
    }
}

eyot_backend::export_component!(SqlfsMount);
