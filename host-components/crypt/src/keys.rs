//! Keys, and how they come from one another.

use argon2::{Algorithm, Argon2, Params, Version};
use eyot_backend::Errno;
use zeroize::Zeroizing;

use crate::error::Error;

/// A key.
pub(crate) type Key = Zeroizing<[u8; 32]>;

/// What the contents' keys come from.
pub(crate) const CONTENTS: &str = "eyot-crypt v1 contents";
/// What names are encrypted with.
pub(crate) const NAMES: &str = "eyot-crypt v1 names";
/// What the hashes of names are made with.
pub(crate) const HASHES: &str = "eyot-crypt v1 hashes of names";
/// What attributes and targets are sealed with.
pub(crate) const SEALED: &str = "eyot-crypt v1 attributes and targets";

/// The most memory that a volume's description may ask for: a hostile layer wrote it, perhaps.
pub(crate) const MEMORY_KIB_MAX: u32 = 128 * 1024;
/// The most passes.
pub(crate) const PASSES_MAX: u32 = 64;

/// The key for one use.
pub(crate) fn subkey(master: &Key, context: &str) -> Key {
    Zeroizing::new(blake3::derive_key(context, &**master))
}

/// A longer key for one use.
pub(crate) fn long_subkey(master: &Key, context: &str) -> Zeroizing<[u8; 64]> {
    let mut key = Zeroizing::new([0; 64]);
    blake3::Hasher::new_derive_key(context).update(&**master).finalize_xof().fill(&mut *key);
    key
}

/// How a passphrase becomes a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Derivation {
    pub(crate) memory_kib: u32,
    pub(crate) passes: u32,
    pub(crate) lanes: u32,
    pub(crate) salt: [u8; 16],
}

impl Derivation {
    /// The key of a passphrase.
    pub(crate) fn key(&self, passphrase: &str) -> Result<Key, Error> {
        let refused = Error::KeyDerivation { wanted_kib: self.memory_kib, passes: self.passes };
        if self.memory_kib > MEMORY_KIB_MAX || self.passes > PASSES_MAX || self.lanes != 1 {
            return Err(refused);
        }
        let params = Params::new(self.memory_kib, self.passes, self.lanes, Some(32)).map_err(|_| refused.clone())?;
        let blocks = params.block_count();
        let mut memory = Vec::new();
        memory.try_reserve_exact(blocks).map_err(|_| Error::Layer(Errno::Nomem))?;
        memory.resize(blocks, argon2::Block::default());
        let mut key = Zeroizing::new([0; 32]);
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into_with_memory(passphrase.as_bytes(), &self.salt, &mut *key, &mut memory)
            .map_err(|_| refused)?;
        Ok(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subkeys_differ_by_their_use() {
        let master = Zeroizing::new([7; 32]);
        let all = [CONTENTS, NAMES, HASHES, SEALED].map(|context| *subkey(&master, context));
        for (index, one) in all.iter().enumerate() {
            assert!(all[index + 1..].iter().all(|other| other != one));
        }
        assert_eq!(long_subkey(&master, NAMES)[..32], *subkey(&master, NAMES));
    }

    #[test]
    fn what_a_layer_may_ask_of_the_derivation_is_bounded() {
        let fine = Derivation { memory_kib: 64, passes: 1, lanes: 1, salt: [1; 16] };
        assert_ne!(*fine.key("a").unwrap(), *fine.key("b").unwrap());
        assert_ne!(*fine.key("a").unwrap(), *Derivation { salt: [2; 16], ..fine }.key("a").unwrap());
        for wrong in [
            Derivation { memory_kib: u32::MAX, ..fine },
            Derivation { memory_kib: 0, ..fine },
            Derivation { passes: u32::MAX, ..fine },
            Derivation { passes: 0, ..fine },
            Derivation { lanes: 0, ..fine },
            Derivation { lanes: 1 << 20, ..fine },
        ] {
            assert!(matches!(wrong.key("a"), Err(Error::KeyDerivation { .. })), "{wrong:?}");
        }
    }
}
