//! Names as the layer has them, and back.

use std::borrow::Cow;

use aes_siv::KeyInit;
use aes_siv::siv::Aes256Siv;
use data_encoding::BASE64URL_NOPAD;
use eyot_backend::{Capabilities, Errno, FilesystemInfo, NAME_BYTES_MAX, Node};
use parking_lot::{Mutex, MutexGuard};
use zeroize::Zeroizing;

use crate::keys::{HASHES, Key, NAMES, long_subkey, subkey};
use crate::volume::{self, Volume};

/// What a name takes more when it is encrypted.
const SIV: usize = 16;
/// The longest name that fits when it is encrypted and written in base64.
pub(crate) const SHORT_MAX: usize = NAME_BYTES_MAX * 3 / 4 - SIV;
/// What a hash of a longer name begins with: no character of base64.
const LONG: char = '~';
/// The extended attribute that has the whole of a longer name; the hash follows.
const LONG_ATTRIBUTE: &str = "user.eyot.name.";

/// A name as the layer has it.
#[derive(Debug)]
pub(crate) struct Stored<'a> {
    pub(crate) text: Cow<'a, str>,
    /// The whole name, encrypted, when the text is only its hash.
    pub(crate) long: Option<Vec<u8>>,
}

impl Stored<'_> {
    /// The extended attribute for the whole name, and its value.
    pub(crate) fn attribute(&self) -> Option<(String, &[u8])> {
        self.long.as_deref().map(|whole| (long_attribute(&self.text), whole))
    }
}

/// The extended attribute that has the name of which this is the hash.
pub(crate) fn long_attribute(text: &str) -> String {
    format!("{LONG_ATTRIBUTE}{}", text.trim_start_matches(LONG))
}

/// What a name of the layer says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Shown {
    /// This.
    Name(String),
    /// The whole of it is in an extended attribute.
    Long,
    /// It is not a name of this volume.
    Foreign,
}

/// Encrypts names, or leaves them.
pub(crate) struct Names {
    /// The cipher's key; the cipher itself cannot be shared.
    key: Option<Zeroizing<[u8; 64]>>,
    hashes: Key,
    root: Node,
    /// Whether the layer has room for what does not fit.
    has_attributes: bool,
    /// Held while a longer name is given or taken, since files with several names may share the attribute.
    longer: Mutex<()>,
}

impl Names {
    pub(crate) fn new(volume: &Volume, info: &FilesystemInfo) -> Self {
        let key = volume.names.then(|| long_subkey(&volume.master, NAMES));
        Self {
            key,
            hashes: subkey(&volume.master, HASHES),
            root: info.root,
            has_attributes: info.capabilities.contains(Capabilities::XATTRS),
            longer: Mutex::new(()),
        }
    }

    /// The longest name.
    pub(crate) fn bytes_max(&self) -> usize {
        if self.key.is_none() || self.has_attributes { NAME_BYTES_MAX } else { SHORT_MAX }
    }

    /// The name of something that may be there. Errors: `ENOENT` for the volume's own.
    pub(crate) fn find<'a>(&self, dir: Node, name: &'a str) -> Result<Stored<'a>, Errno> {
        if self.is_own(dir, name) { Err(Errno::Noent) } else { self.stored(name) }
    }

    /// The name of something that is to be there. Errors: `EPERM` for the volume's own.
    pub(crate) fn make<'a>(&self, dir: Node, name: &'a str) -> Result<Stored<'a>, Errno> {
        if self.is_own(dir, name) { Err(Errno::Perm) } else { self.stored(name) }
    }

    fn is_own(&self, dir: Node, name: &str) -> bool {
        self.key.is_none() && dir == self.root && volume::is_own(name)
    }

    fn stored<'a>(&self, name: &'a str) -> Result<Stored<'a>, Errno> {
        check(name)?;
        let Some(key) = &self.key else { return Ok(Stored { text: name.into(), long: None }) };
        let sealed = Aes256Siv::new((&**key).into()).encrypt([b"name"], name.as_bytes()).map_err(|_| Errno::Io)?;
        if name.len() <= SHORT_MAX {
            return Ok(Stored { text: BASE64URL_NOPAD.encode(&sealed).into(), long: None });
        }
        if !self.has_attributes {
            return Err(Errno::Nametoolong);
        }
        Ok(Stored { text: self.hash(&sealed).into(), long: Some(sealed) })
    }

    fn hash(&self, sealed: &[u8]) -> String {
        let hash = blake3::keyed_hash(&self.hashes, sealed);
        format!("{LONG}{}", BASE64URL_NOPAD.encode(hash.as_bytes()))
    }

    /// A keyed hash of the name of an extended attribute.
    pub(crate) fn attribute_hash(&self, name: &str) -> String {
        let mut hasher = blake3::Hasher::new_keyed(&self.hashes);
        hasher.update(b"attribute\0").update(name.as_bytes());
        BASE64URL_NOPAD.encode(hasher.finalize().as_bytes())
    }

    /// What a name of the layer says.
    pub(crate) fn shown(&self, dir: Node, text: &str) -> Shown {
        if dir == self.root && volume::is_own(text) {
            return Shown::Foreign;
        }
        match &self.key {
            None => Shown::Name(text.to_owned()),
            Some(_) if text.starts_with(LONG) => Shown::Long,
            Some(_) => match BASE64URL_NOPAD.decode(text.as_bytes()) {
                Ok(sealed) => self.open(&sealed).map_or(Shown::Foreign, Shown::Name),
                Err(_) => Shown::Foreign,
            },
        }
    }

    /// The name of which `text` is the hash and `sealed` the whole; `None` when it is not.
    pub(crate) fn long(&self, text: &str, sealed: &[u8]) -> Option<String> {
        if self.hash(sealed) == text { self.open(sealed) } else { None }
    }

    fn open(&self, sealed: &[u8]) -> Option<String> {
        let plain = Aes256Siv::new((&**self.key.as_ref()?).into()).decrypt([b"name"], sealed).ok()?;
        String::from_utf8(plain).ok().filter(|name| check(name).is_ok())
    }

    /// Must be held while a name that needs an attribute is given to something that has a name already.
    pub(crate) fn lock_longer(&self) -> MutexGuard<'_, ()> {
        self.longer.lock()
    }
}

/// The kernel has checked names; here a mistake would be hidden by the cipher.
fn check(name: &str) -> Result<(), Errno> {
    if name.len() > NAME_BYTES_MAX {
        return Err(Errno::Nametoolong);
    }
    if name.is_empty() || name == "." || name == ".." || name.bytes().any(|byte| byte == b'/' || byte == 0) {
        return Err(Errno::Inval);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use zeroize::Zeroizing;

    fn names(encrypted: bool, has_attributes: bool) -> Names {
        let volume = Volume { master: Zeroizing::new([5; 32]), names: encrypted, node: 2 };
        let mut capabilities = Capabilities::all();
        capabilities.set(Capabilities::XATTRS, has_attributes);
        let (entry_lifetime_ns, absence_lifetime_ns) = (0, 0);
        let kind = String::new();
        Names::new(&volume, &FilesystemInfo { root: 1, capabilities, entry_lifetime_ns, absence_lifetime_ns, kind })
    }

    proptest! {
        #[test]
        fn names_come_back(name in "[^/\0]{1,255}") {
            prop_assume!(check(&name).is_ok());
            let names = names(true, true);
            let stored = names.make(1, &name).unwrap();
            prop_assert!(stored.text.len() <= NAME_BYTES_MAX && check(&stored.text).is_ok());
            prop_assert!(!stored.text.contains(&name) || name.len() < 4);
            let shown = match names.shown(1, &stored.text) {
                Shown::Long => names.long(&stored.text, stored.long.as_deref().unwrap()).unwrap(),
                Shown::Name(name) => name,
                Shown::Foreign => String::new(),
            };
            prop_assert_eq!(shown, name);
        }

        #[test]
        fn nothing_that_was_not_encrypted_is_a_name(text in "[A-Za-z0-9_~-]{1,80}") {
            let names = names(true, true);
            prop_assert!(!matches!(names.shown(1, &text), Shown::Name(_)));
        }
    }

    #[test]
    fn the_longest_names() {
        let (short, long) = ("n".repeat(SHORT_MAX), "n".repeat(SHORT_MAX + 1));
        assert_eq!(SHORT_MAX, 175);
        let with = names(true, true);
        assert!(with.make(1, &short).unwrap().long.is_none());
        assert!(with.make(1, &long).unwrap().long.is_some());
        assert_eq!(with.make(1, &"n".repeat(256)).err(), Some(Errno::Nametoolong));
        let without = names(true, false);
        assert!(without.make(1, &short).is_ok());
        assert_eq!(without.make(1, &long).err(), Some(Errno::Nametoolong));
        assert_eq!((with.bytes_max(), without.bytes_max(), names(false, false).bytes_max()), (255, 175, 255));
    }

    #[test]
    fn the_volumes_own_file_is_out_of_reach() {
        for encrypted in [true, false] {
            assert_eq!(names(encrypted, true).shown(1, ".eyot-crypt"), Shown::Foreign);
        }
        let plain = names(false, true);
        assert_eq!(plain.find(1, ".eyot-crypt").err(), Some(Errno::Noent));
        assert_eq!(plain.make(1, ".eyot-crypt.new").err(), Some(Errno::Perm));
        assert_eq!(plain.make(2, ".eyot-crypt").unwrap().text, ".eyot-crypt");
        assert_ne!(names(true, true).make(1, ".eyot-crypt").unwrap().text, ".eyot-crypt");
    }
}
