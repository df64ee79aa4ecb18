//! The settings.

use std::time::Duration;

use eyot_backend::{
    AsyncMountType, Filesystem, Ownership, Refusal, SettingDescription, SettingKind, Settings, Timestamp,
};
use eyot_memfs::Memfs;

use crate::Delayed;

/// The longest wait of one call.
const DELAY_MAX: Duration = Duration::from_secs(3600);

/// The mount type.
pub struct DelayMount;

impl AsyncMountType for DelayMount {
    type Filesystem = Delayed;

    const SETTINGS: &'static [SettingDescription] = &[
        SettingDescription::optional(
            "delay",
            SettingKind::Duration,
            "50ms",
            "How long each call waits; 0ms: not at all.",
        ),
        SettingDescription::optional(
            "tick",
            SettingKind::Duration,
            "none",
            "How often the file `ticks` changes, which nobody writes: the number of changes is its contents.",
        ),
    ];

    async fn mount(settings: Settings, clock: fn() -> Timestamp) -> Result<Delayed, Refusal> {
        let delay = settings.duration("delay").unwrap_or(Duration::from_millis(50));
        if delay > DELAY_MAX {
            return Err(Refusal::wrong("delay: more than an hour"));
        }
        let root = Ownership { mode: 0o755, uid: 0, gid: 0 };
        let files = Memfs::builder().clock(clock).root(root).build();
        let Some(tick) = settings.duration("tick") else { return Ok(Delayed::new(files, delay)) };
        let owner = Ownership { mode: 0o444, uid: 0, gid: 0 };
        let made = files.create(files.info().root, "ticks", owner);
        let ticks = made.map_err(|errno| Refusal { errno, message: "the file `ticks` cannot be made".into() })?;
        Ok(Delayed::new(files, delay).ticking(ticks.node, tick))
    }
}

eyot_backend::export_async_component!(DelayMount);
