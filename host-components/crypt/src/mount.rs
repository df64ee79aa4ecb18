//! What a mount of this layer can be told.

use std::sync::Arc;

use eyot_backend::{Filesystem, LayerCount, LayerType, Refusal, SettingDescription, SettingKind, Settings, Timestamp};
use zeroize::Zeroizing;

use crate::{Crypt, CryptOptions, Secret};

/// The mount type `crypt`, over one other filesystem.
///
/// ```
/// use std::sync::Arc;
/// use eyot_backend::{Filesystem, LayerType, Settings, Timestamp};
/// use eyot_crypt::CryptMount;
/// use eyot_memfs::Memfs;
///
/// let settings = Settings::check(CryptMount::SETTINGS, [("passphrase".to_owned(), "correct horse".to_owned())]).unwrap();
/// let fs = CryptMount::mount(&settings, vec![Arc::new(Memfs::new())], Timestamp::now).unwrap();
/// assert_eq!(fs.info().kind, "crypt");
/// ```
#[derive(Debug)]
pub struct CryptMount;

impl LayerType for CryptMount {
    type Filesystem = Crypt;

    const LAYERS: LayerCount = LayerCount::One;

    const SETTINGS: &'static [SettingDescription] = &[
        SettingDescription::optional("passphrase", SettingKind::Secret, "none", "What the key is made of."),
        SettingDescription::optional(
            "key",
            SettingKind::Secret,
            "none",
            "Instead of a passphrase the key itself, in 64 hexadecimal digits.",
        ),
        SettingDescription::optional(
            "names",
            SettingKind::Boolean,
            "true",
            "Whether names are encrypted; counts when the volume is made.",
        ),
        SettingDescription::optional(
            "kdf_memory",
            SettingKind::Size,
            "19M",
            "The memory that making a key of the passphrase takes; counts when the volume is made.",
        ),
        SettingDescription::optional(
            "kdf_passes",
            SettingKind::Number,
            "2",
            "How often that memory is gone over; counts when the volume is made.",
        ),
    ];

    fn mount(
        settings: &Settings,
        layers: Vec<Arc<dyn Filesystem>>,
        _clock: fn() -> Timestamp,
    ) -> Result<Crypt, Refusal> {
        let layer = layers.into_iter().next().ok_or_else(|| Refusal::wrong("layers: missing; give one"))?;
        let key;
        let secret = match (settings.text("passphrase"), settings.text("key")) {
            (Some(passphrase), None) if !passphrase.is_empty() => Secret::Passphrase(passphrase),
            (None, Some(text)) => {
                key = parse_key(text)?;
                Secret::Key(&key)
            }
            (Some(_), Some(_)) => {
                return Err(Refusal::wrong("key: there is a passphrase already; give one of the two"));
            }
            (Some(_), None) => return Err(Refusal::wrong("passphrase: it is empty")),
            (None, None) => return Err(Refusal::wrong("passphrase: missing; give one, or a key")),
        };
        let too_large = || Refusal::wrong("kdf_memory: more than can be taken");
        let memory_kib = settings.size("kdf_memory").map(|bytes| u32::try_from(bytes / 1024)).transpose();
        let options = CryptOptions {
            names: settings.boolean("names").unwrap_or(true),
            memory_kib: memory_kib.map_err(|_| too_large())?.unwrap_or(CryptOptions::MEMORY_KIB),
            passes: settings.number32("kdf_passes")?.unwrap_or(CryptOptions::PASSES),
            random: crate::random::fill,
        };
        Ok(Crypt::open(layer, secret, &options)?)
    }
}

fn parse_key(text: &str) -> Result<Zeroizing<[u8; 32]>, Refusal> {
    let wrong = || Refusal::wrong("key: it has to be 64 hexadecimal digits");
    let mut key = Zeroizing::new([0; 32]);
    if text.len() != 64 {
        return Err(wrong());
    }
    let decoded = data_encoding::HEXLOWER_PERMISSIVE.decode_mut(text.as_bytes(), &mut *key);
    decoded.map(|_| key).map_err(|_| wrong())
}

#[cfg(all(target_family = "wasm", feature = "component"))]
eyot_backend::export_layer!(CryptMount);

#[cfg(test)]
mod tests {
    use super::*;
    use eyot_backend::Errno;
    use eyot_memfs::Memfs;

    fn mount(layer: &Arc<Memfs>, given: &[(&str, &str)]) -> Result<Crypt, Refusal> {
        let given = given.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        let settings = Settings::check(CryptMount::SETTINGS, given)?;
        CryptMount::mount(&settings, vec![layer.clone()], Timestamp::now)
    }

    #[test]
    fn what_is_wrong_is_named_and_secrets_are_not_shown() {
        let layer = Arc::new(Memfs::new());
        let (long, short) = ("0".repeat(63) + "g", "abc");
        for (given, named) in [
            (vec![], "passphrase: missing"),
            (vec![("passphrase", "")], "passphrase: it is empty"),
            (vec![("passphrase", "a"), ("key", "b")], "key: there is a passphrase"),
            (vec![("key", &*long)], "key: it has to be 64"),
            (vec![("key", short)], "key: it has to be 64"),
            (vec![("passphrase", "hunter2"), ("kdf_memory", "1T")], "the key derivation wants"),
            (vec![("passphrase", "hunter2"), ("kdf_passes", "0")], "the key derivation wants"),
        ] {
            let refusal = mount(&layer, &given).err().unwrap();
            assert!(refusal.message.contains(named), "{refusal}");
            assert!(!refusal.message.contains("hunter2") && !refusal.message.contains("abc"));
        }
        assert!(mount(&layer, &[("key", &"aB".repeat(32)), ("names", "false")]).is_ok());
        assert_eq!(mount(&layer, &[("key", &"0".repeat(64))]).err().unwrap().errno, Errno::Acces);
        assert!(mount(&layer, &[("passphrase", "a")]).err().unwrap().message.contains("made with a key"));
    }
}
