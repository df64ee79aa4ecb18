//! Mount types and their settings: `wit/backend/mount.wit` as Rust, for backends that are compiled in and for components alike.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::{Errno, Filesystem};

/// What a setting's value must look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SettingKind {
    /// Any text.
    Text,
    /// A whole number, not negative, in decimal or as `0o17` in octal.
    Number,
    /// `true` or `false`.
    Boolean,
    /// A number of bytes, with an optional K, M, G or T (powers of 1,024).
    Size,
    /// A time: a number with the unit ms, s, m or h.
    Duration,
    /// A text that is never shown.
    Secret,
}

impl SettingKind {
    /// What to write, for messages.
    pub const fn usage(self) -> &'static str {
        match self {
            SettingKind::Text => "a text",
            SettingKind::Number => "a whole number, such as 7 or 0o755",
            SettingKind::Boolean => "true or false",
            SettingKind::Size => "a size in bytes, such as 512M",
            SettingKind::Duration => "a time, such as 200ms, 5s, 10m or 1h",
            SettingKind::Secret => "a text that is never shown",
        }
    }

    fn check(self, value: &str) -> bool {
        match self {
            SettingKind::Text | SettingKind::Secret => true,
            SettingKind::Number => number(value).is_some(),
            SettingKind::Boolean => matches!(value, "true" | "false"),
            SettingKind::Size => size(value).is_some(),
            SettingKind::Duration => duration(value).is_some(),
        }
    }
}

/// A setting that a mount type knows. `S` is the kind of text: `&'static str` where a backend describes itself, `String` where a component did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingDescription<S = &'static str> {
    /// The setting's name.
    pub key: S,
    /// What its value must look like.
    pub kind: SettingKind,
    /// Whether it must be given.
    pub required: bool,
    /// What holds when it is not given; for people.
    pub default_value: Option<S>,
    /// A sentence for people.
    pub help: S,
}

impl SettingDescription {
    /// A setting that may be given.
    pub const fn optional(
        key: &'static str,
        kind: SettingKind,
        default_value: &'static str,
        help: &'static str,
    ) -> Self {
        Self { key, kind, required: false, default_value: Some(default_value), help }
    }

    /// A setting that must be given.
    pub const fn required(key: &'static str, kind: SettingKind, help: &'static str) -> Self {
        Self { key, kind, required: true, default_value: None, help }
    }
}

/// Why a configuration was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The error number that a guest would see.
    pub errno: Errno,
    /// A sentence for the embedder, naming the key that is wrong.
    pub message: String,
}

impl Refusal {
    /// A wrong setting: `EINVAL`.
    pub fn wrong(message: impl Into<String>) -> Self {
        Self { errno: Errno::Inval, message: message.into() }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Refusal {}

/// The settings of one mount, checked against their descriptions. Values are never shown by `Debug`: some are secrets.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Settings(BTreeMap<String, String>);

impl Settings {
    /// Checks what was written. Errors: a key that is not known, given twice or missing, a value of another kind - each named.
    ///
    /// ```
    /// use eyot_backend::{SettingDescription, SettingKind, Settings};
    /// let known = [SettingDescription::optional("bytes_max", SettingKind::Size, "64M", "The most bytes.")];
    /// let settings = Settings::check(&known, [("bytes_max".to_owned(), "2K".to_owned())]).unwrap();
    /// assert_eq!(settings.size("bytes_max"), Some(2048));
    /// let wrong = Settings::check(&known, [("bytes_min".to_owned(), "1".to_owned())]).unwrap_err();
    /// assert!(wrong.message.contains("bytes_min") && wrong.message.contains("bytes_max"));
    /// ```
    pub fn check<S: AsRef<str>>(
        known: &[SettingDescription<S>],
        given: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, Refusal> {
        let mut settings = BTreeMap::new();
        for (key, value) in given {
            let Some(description) = known.iter().find(|description| description.key.as_ref() == key) else {
                return Err(Refusal::wrong(format!("{key}: there is no such setting; {}", names(known))));
            };
            if !description.kind.check(&value) {
                let shown = if description.kind == SettingKind::Secret { "its value" } else { value.as_str() };
                return Err(Refusal::wrong(format!("{key}: {shown} is not {}", description.kind.usage())));
            }
            if settings.insert(key.clone(), value).is_some() {
                return Err(Refusal::wrong(format!("{key}: given twice")));
            }
        }
        let missing = known.iter().find(|one| one.required && !settings.contains_key(one.key.as_ref()));
        match missing {
            Some(one) => Err(Refusal::wrong(format!("{}: missing; write {}", one.key.as_ref(), one.kind.usage()))),
            None => Ok(Self(settings)),
        }
    }

    /// A text or a secret.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    /// A number.
    pub fn number(&self, key: &str) -> Option<u64> {
        number(self.text(key)?)
    }

    /// A number of at most 32 bits. Errors: one that is larger.
    pub fn number32(&self, key: &str) -> Result<Option<u32>, Refusal> {
        let small = |number| u32::try_from(number).map_err(|_| Refusal::wrong(format!("{key}: {number} is too large")));
        self.number(key).map(small).transpose()
    }

    /// True or false.
    pub fn boolean(&self, key: &str) -> Option<bool> {
        Some(self.text(key)? == "true")
    }

    /// A number of bytes.
    pub fn size(&self, key: &str) -> Option<u64> {
        size(self.text(key)?)
    }

    /// A time.
    pub fn duration(&self, key: &str) -> Option<Duration> {
        duration(self.text(key)?)
    }

    /// Every setting that was given.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// A kind of mount: what it is called, what it can be told, and how it becomes a filesystem. Implemented once, it serves as a native mount
/// type and, with [`export_component!`](crate::export_component), as a component of the world `mount-backend`.
pub trait MountType: 'static {
    /// The filesystem it makes.
    type Filesystem: Filesystem;

    /// The settings that there are.
    const SETTINGS: &'static [SettingDescription];

    /// Makes the filesystem. `clock` is the time of day of the VM.
    fn mount(settings: &Settings, clock: fn() -> crate::Timestamp) -> Result<Self::Filesystem, Refusal>;
}

/// How many filesystems a [`LayerType`] is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LayerCount {
    /// Exactly one. A component that is made of one can be put together with it (`wac plug`).
    One,
    /// One or more, the topmost first.
    Any,
}

impl LayerCount {
    /// Refuses another number of layers.
    pub fn check(self, layers: usize) -> Result<(), Refusal> {
        match (self, layers) {
            (_, 0) => Err(Refusal::wrong("layers: missing; give at least one")),
            (LayerCount::One, 2..) => Err(Refusal::wrong(format!("layers: {layers} are given, and it stands on one"))),
            _ => Ok(()),
        }
    }
}

/// A kind of mount that is made of others: an overlay, or a layer that encrypts, compresses or counts. Implemented once, it serves as a native mount type
/// and, with [`export_layer!`](crate::export_layer), as a component of the world `layer-backend`.
pub trait LayerType: 'static {
    /// The filesystem it makes.
    type Filesystem: Filesystem;

    /// The settings that there are.
    const SETTINGS: &'static [SettingDescription];

    /// How many filesystems it is made of.
    const LAYERS: LayerCount;

    /// Makes the filesystem of `layers`, the topmost first. Their number was checked. `clock` is the time of day of the VM.
    fn mount(
        settings: &Settings,
        layers: Vec<Arc<dyn Filesystem>>,
        clock: fn() -> crate::Timestamp,
    ) -> Result<Self::Filesystem, Refusal>;
}

fn names<S: AsRef<str>>(known: &[SettingDescription<S>]) -> String {
    if known.is_empty() {
        return "it takes none".into();
    }
    let names: Vec<&str> = known.iter().map(|description| description.key.as_ref()).collect();
    format!("there are {}", names.join(", "))
}

fn number(text: &str) -> Option<u64> {
    let (digits, radix) = text.strip_prefix("0o").map_or((text, 10), |octal| (octal, 8));
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| u64::from_str_radix(digits, radix).ok()).flatten()
}

/// A number of bytes with an optional K, M, G or T (powers of 1,024), as settings of the kind [`Size`](SettingKind::Size) are written.
pub fn parse_size(text: &str) -> Option<u64> {
    size(text)
}

fn size(text: &str) -> Option<u64> {
    let digits = text.find(|char: char| !char.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(digits);
    let shift = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        "t" | "tb" | "tib" => 40,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(1 << shift)
}

fn duration(text: &str) -> Option<Duration> {
    let digits = text.find(|char: char| !char.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(digits);
    let unit_ms = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(unit_ms).map(Duration::from_millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &[SettingDescription] = &[
        SettingDescription::required("bucket", SettingKind::Text, "The bucket."),
        SettingDescription::optional("mode", SettingKind::Number, "0o755", "The root's mode."),
        SettingDescription::optional("cache", SettingKind::Size, "64M", "The cache."),
        SettingDescription::optional("wait", SettingKind::Duration, "5s", "The deadline."),
        SettingDescription::optional("lazy", SettingKind::Boolean, "false", "Whether it waits."),
        SettingDescription::optional("key", SettingKind::Secret, "none", "The key."),
    ];

    fn check(given: &[(&str, &str)]) -> Result<Settings, Refusal> {
        Settings::check(KNOWN, given.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())))
    }

    #[test]
    fn values_are_typed() {
        let given = [("bucket", "b"), ("mode", "0o17"), ("cache", "2k"), ("wait", "3m"), ("lazy", "true")];
        let settings = check(&given).unwrap();
        assert_eq!(settings.text("bucket"), Some("b"));
        assert_eq!(settings.number("mode"), Some(15));
        assert_eq!(settings.size("cache"), Some(2048));
        assert_eq!(settings.duration("wait"), Some(Duration::from_secs(180)));
        assert_eq!(settings.boolean("lazy"), Some(true));
        assert_eq!(settings.text("key"), None);
        assert_eq!(check(&[("bucket", ""), ("mode", "4294967296")]).unwrap().number32("mode").ok(), None);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let wrong: [(&[(&str, &str)], &str); 8] = [
            (&[], "bucket: missing"),
            (&[("bucket", "b"), ("bucket", "c")], "bucket: given twice"),
            (&[("bucket", "b"), ("buket", "c")], "buket: there is no such setting; there are bucket, mode"),
            (&[("bucket", "b"), ("mode", "-1")], "mode: -1 is not a whole number"),
            (&[("bucket", "b"), ("mode", "0o9")], "mode: 0o9 is not"),
            (&[("bucket", "b"), ("cache", "99999999999999T")], "cache: 99999999999999T is not a size"),
            (&[("bucket", "b"), ("wait", "5")], "wait: 5 is not a time"),
            (&[("bucket", "b"), ("lazy", "yes")], "lazy: yes is not true or false"),
        ];
        for (given, message) in wrong {
            let refusal = check(given).unwrap_err();
            assert!(refusal.message.contains(message), "{refusal}");
        }
    }

    #[test]
    fn secrets_are_not_shown() {
        let settings = check(&[("bucket", "b"), ("key", "hunter2")]).unwrap();
        assert!(!format!("{settings:?}").contains("hunter2"));
    }
}
