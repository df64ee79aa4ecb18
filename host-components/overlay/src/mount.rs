//! The overlay as a mount type: its settings, the same for the native backend and for the component.

use std::sync::Arc;

use eyot_backend::{Filesystem, LayerCount, LayerType, Refusal, SettingDescription, SettingKind, Settings, Timestamp};

use crate::Overlay;

/// The mount type `overlay`: layers, of which the topmost takes the changes.
///
/// ```
/// use std::sync::Arc;
/// use eyot_backend::{Filesystem, LayerType, Settings, Timestamp};
/// use eyot_memfs::Memfs;
/// use eyot_overlay::OverlayMount;
/// let layers: Vec<Arc<dyn Filesystem>> = vec![Arc::new(Memfs::new()), Arc::new(Memfs::new())];
/// let fs = OverlayMount::mount(&Settings::default(), layers, Timestamp::now).unwrap();
/// assert_eq!(fs.info().kind, "overlay");
/// ```
#[derive(Debug)]
pub struct OverlayMount;

impl LayerType for OverlayMount {
    type Filesystem = Overlay;

    const SETTINGS: &'static [SettingDescription] = &[SettingDescription::optional(
        "read_only",
        SettingKind::Boolean,
        "false",
        "Whether the topmost layer takes no changes, either.",
    )];

    const LAYERS: LayerCount = LayerCount::Any;

    fn mount(
        settings: &Settings,
        layers: Vec<Arc<dyn Filesystem>>,
        _clock: fn() -> Timestamp,
    ) -> Result<Overlay, Refusal> {
        let stacked = if settings.boolean("read_only").unwrap_or(false) {
            Overlay::read_only(layers)
        } else {
            let mut layers = layers.into_iter();
            let upper = layers.next().ok_or_else(|| Refusal::wrong("layers: missing; give at least one"))?;
            Overlay::new(upper, layers.collect())
        };
        stacked.map_err(|errno| Refusal { errno, message: format!("the layers cannot be stacked: {errno}") })
    }
}

#[cfg(all(target_family = "wasm", feature = "component"))]
eyot_backend::export_layer!(OverlayMount);

#[cfg(test)]
mod tests {
    use eyot_backend::{Capabilities, Errno, Ownership};
    use eyot_memfs::Memfs;

    use super::*;

    const OWNER: Ownership = Ownership { mode: 0o644, uid: 0, gid: 0 };

    fn mount(given: &[(&str, &str)], layers: usize) -> Result<Overlay, Refusal> {
        let given = given.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        let settings = Settings::check(OverlayMount::SETTINGS, given)?;
        let layers = (0..layers).map(|_| Arc::new(Memfs::new()) as Arc<dyn Filesystem>).collect();
        OverlayMount::mount(&settings, layers, Timestamp::now)
    }

    #[test]
    fn the_topmost_takes_changes_unless_told_otherwise() {
        let fs = mount(&[], 2).unwrap();
        assert!(fs.create(fs.info().root, "f", OWNER).is_ok());
        let fs = mount(&[("read_only", "true")], 2).unwrap();
        assert!(!fs.info().capabilities.contains(Capabilities::WRITABLE));
        assert_eq!(fs.create(fs.info().root, "f", OWNER).err(), Some(Errno::Rofs));
    }

    #[test]
    fn layers_are_needed() {
        assert!(mount(&[], 0).err().unwrap().message.starts_with("layers: missing"));
        assert!(mount(&[], 129).err().unwrap().message.contains("cannot be stacked"));
        assert!(mount(&[("upper", "x")], 1).err().unwrap().message.starts_with("upper"));
        assert!(LayerCount::One.check(2).unwrap_err().message.contains("stands on one"));
        assert_eq!((LayerCount::One.check(1), LayerCount::Any.check(2)), (Ok(()), Ok(())));
    }
}
