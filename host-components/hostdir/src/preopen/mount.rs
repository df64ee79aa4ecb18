//! The mount type.

use std::time::Duration;

use eyot_backend::{MountType, Refusal, SettingDescription, SettingKind, Settings, Timestamp};

use super::Preopened;

/// The mount type `hostdir` as a component.
#[derive(Debug)]
pub struct PreopenedMount;

impl MountType for PreopenedMount {
    type Filesystem = Preopened;

    const SETTINGS: &'static [SettingDescription] = &[
        SettingDescription::optional(
            "path",
            SettingKind::Text,
            "/",
            "The directory: an absolute path in the directories that were granted.",
        ),
        SettingDescription::optional(
            "believed_for",
            SettingKind::Duration,
            "0s",
            "For how long names and attributes are believed: for a directory that nobody else changes, or that may be seen late.",
        ),
    ];

    fn mount(settings: &Settings, _clock: fn() -> Timestamp) -> Result<Preopened, Refusal> {
        let path = settings.text("path").unwrap_or("/");
        let believed_for = settings.duration("believed_for").unwrap_or(Duration::ZERO);
        Preopened::open(path, believed_for)
            .map_err(|errno| Refusal { errno, message: format!("path: {path} cannot be taken: {errno}") })
    }
}

#[cfg(feature = "component")]
eyot_backend::export_component!(PreopenedMount);
