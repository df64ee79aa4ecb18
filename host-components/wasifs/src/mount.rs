//! The adapter as a mount type.

use std::time::Duration;

use eyot_backend::{Errno, MountType, Refusal, SettingDescription, SettingKind, Settings, Timestamp};

use crate::bindings::preopens;
use crate::bindings::types::DescriptorFlags;
use crate::filesystem::{Given, Wasifs};

/// The mount type `wasifs`.
struct WasifsMount;

impl MountType for WasifsMount {
    type Filesystem = Wasifs;

    const SETTINGS: &'static [SettingDescription] = &[
        SettingDescription::optional("preopen", SettingKind::Text, "the only one", "The name of the preopen to serve."),
        SettingDescription::optional("mode", SettingKind::Number, "0o666", "The permission bits of files."),
        SettingDescription::optional(
            "directory_mode",
            SettingKind::Number,
            "0o777",
            "The permission bits of directories.",
        ),
        SettingDescription::optional("uid", SettingKind::Number, "0", "The owner of everything."),
        SettingDescription::optional("gid", SettingKind::Number, "0", "The group of everything."),
        SettingDescription::optional(
            "lifetime",
            SettingKind::Duration,
            "0s",
            "For how long names and attributes may be believed.",
        ),
    ];

    fn mount(settings: &Settings, _clock: fn() -> Timestamp) -> Result<Wasifs, Refusal> {
        let mode = |key: &str, default| match settings.number32(key)? {
            Some(mode) if mode > 0o7777 => Err(Refusal::wrong(format!("{key}: 0o{mode:o} has bits beyond 0o7777"))),
            mode => Ok(mode.unwrap_or(default)),
        };
        let lifetime = settings.duration("lifetime").unwrap_or(Duration::ZERO);
        let given = Given {
            mode: mode("mode", 0o666)?,
            directory_mode: mode("directory_mode", 0o777)?,
            uid: settings.number32("uid")?.unwrap_or(0),
            gid: settings.number32("gid")?.unwrap_or(0),
            lifetime_ns: u64::try_from(lifetime.as_nanos()).unwrap_or(u64::MAX),
        };
        let mut preopens = preopens::get_directories();
        let names: Vec<String> = preopens.iter().map(|(_, name)| name.clone()).collect();
        let index = match settings.text("preopen") {
            Some(wanted) => names.iter().position(|name| name == wanted),
            None => (names.len() == 1).then_some(0),
        };
        let Some(index) = index else { return Err(refuse(&names)) };
        let (root, _) = preopens.swap_remove(index);
        let writable = root.get_flags().is_ok_and(|flags| flags.contains(DescriptorFlags::MUTATE_DIRECTORY));
        let failed = |errno: Errno| Refusal { errno, message: format!("the preopen cannot be read: {errno}") };
        Wasifs::new(root, writable, given).map_err(failed)
    }
}

fn refuse(names: &[String]) -> Refusal {
    if names.is_empty() {
        let message =
            "there is no preopen: grant one, or put a component that exports wasi:filesystem together with this one"
                .into();
        return Refusal { errno: Errno::Noent, message };
    }
    Refusal::wrong(format!("preopen: name one of {}", names.join(", ")))
}

eyot_backend::export_component!(WasifsMount);
