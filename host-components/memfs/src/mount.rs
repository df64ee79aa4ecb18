//! Memfs as a mount type: its settings, the same for the native backend and for the component.

use eyot_backend::{MountType, Ownership, Refusal, SettingDescription, SettingKind, Settings, Timestamp};

use crate::Memfs;

/// The mount type `memfs`: an empty filesystem in memory.
///
/// ```
/// use eyot_backend::{Filesystem, MountType, Settings, Timestamp};
/// use eyot_memfs::MemfsMount;
/// let settings = Settings::check(MemfsMount::SETTINGS, [("mode".to_owned(), "0o700".to_owned())]).unwrap();
/// let fs = MemfsMount::mount(&settings, Timestamp::now).unwrap();
/// assert_eq!(fs.getattr(fs.info().root).unwrap().mode, 0o700);
/// ```
#[derive(Debug)]
pub struct MemfsMount;

impl MountType for MemfsMount {
    type Filesystem = Memfs;

    const SETTINGS: &'static [SettingDescription] = &[
        SettingDescription::optional(
            "bytes_max",
            SettingKind::Size,
            "1G",
            "The most bytes of contents and names; ENOSPC beyond.",
        ),
        SettingDescription::optional(
            "inodes_max",
            SettingKind::Number,
            "1048576",
            "The most files and directories; ENOSPC beyond.",
        ),
        SettingDescription::optional(
            "mode",
            SettingKind::Number,
            "0o755",
            "The permission bits of the root directory.",
        ),
        SettingDescription::optional("uid", SettingKind::Number, "0", "The owner of the root directory."),
        SettingDescription::optional("gid", SettingKind::Number, "0", "The group of the root directory."),
    ];

    fn mount(settings: &Settings, clock: fn() -> Timestamp) -> Result<Memfs, Refusal> {
        let mode = settings.number32("mode")?.unwrap_or(0o755);
        if mode > 0o7777 {
            return Err(Refusal::wrong(format!("mode: 0o{mode:o} has bits beyond 0o7777")));
        }
        let (uid, gid) = (settings.number32("uid")?.unwrap_or(0), settings.number32("gid")?.unwrap_or(0));
        let mut builder = Memfs::builder().clock(clock).root(Ownership { mode, uid, gid });
        if let Some(bytes) = settings.size("bytes_max") {
            builder = builder.bytes_max(bytes);
        }
        if let Some(inodes) = settings.number("inodes_max") {
            builder = builder.inodes_max(inodes);
        }
        Ok(builder.build())
    }
}

#[cfg(all(target_family = "wasm", feature = "component"))]
eyot_backend::export_component!(MemfsMount);

#[cfg(test)]
mod tests {
    use eyot_backend::Filesystem;

    use super::*;

    fn mount(given: &[(&str, &str)]) -> Result<Memfs, Refusal> {
        let given = given.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        MemfsMount::mount(&Settings::check(MemfsMount::SETTINGS, given)?, Timestamp::now)
    }

    #[test]
    fn settings_reach_the_filesystem() {
        let fs = mount(&[("mode", "0o750"), ("uid", "7"), ("gid", "8"), ("inodes_max", "1")]).unwrap();
        let root = fs.getattr(fs.info().root).unwrap();
        assert_eq!((root.mode, root.uid, root.gid), (0o750, 7, 8));
        let owner = Ownership { mode: 0o644, uid: 0, gid: 0 };
        assert!(fs.create(root.node, "a", owner).is_ok());
        assert_eq!(fs.create(root.node, "b", owner).err(), Some(eyot_backend::Errno::Nospc));
    }

    #[test]
    fn wrong_settings_are_named() {
        for (key, value) in [("mode", "0o10000"), ("uid", "4294967296"), ("size", "1")] {
            assert!(mount(&[(key, value)]).err().unwrap().message.starts_with(key));
        }
    }
}
