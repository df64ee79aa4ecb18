//! Small things that are sealed as a whole: values of extended attributes, targets of symlinks.

use std::sync::Arc;

use chacha20poly1305::{AeadInOut, KeyInit, XChaCha20Poly1305, XNonce};
use eyot_backend::Errno;

use crate::keys::{Key, SEALED, subkey};
use crate::random::Random;

/// What a sealed thing takes more.
pub(crate) const SEAL: usize = NONCE + 16;
/// The random bytes at its beginning.
pub(crate) const NONCE: usize = 24;

/// Seals and opens.
pub(crate) struct Sealer {
    cipher: XChaCha20Poly1305,
    random: Arc<Random>,
}

impl Sealer {
    pub(crate) fn new(master: &Key, random: Arc<Random>) -> Self {
        Self { cipher: XChaCha20Poly1305::new((&*subkey(master, SEALED)).into()), random }
    }

    /// Nonce, ciphertext, tag. `what` is what it is, so that one thing cannot be taken for another.
    pub(crate) fn seal(&self, what: &[u8], plain: &[u8]) -> Result<Vec<u8>, Errno> {
        let nonce = XNonce::from(self.random.bytes::<NONCE>()?);
        let mut bytes = Vec::with_capacity(plain.len() + SEAL);
        bytes.extend_from_slice(&nonce);
        bytes.extend_from_slice(plain);
        let (_, place) = bytes.split_at_mut(NONCE);
        let tag = self.cipher.encrypt_inout_detached(&nonce, what, place.into()).map_err(|_| Errno::Io)?;
        bytes.extend_from_slice(&tag);
        Ok(bytes)
    }

    /// What was sealed. Errors: `EIO`.
    pub(crate) fn open(&self, what: &[u8], sealed: &[u8]) -> Result<Vec<u8>, Errno> {
        let (nonce, rest) = sealed.split_first_chunk::<NONCE>().ok_or(Errno::Io)?;
        let (bytes, tag) = rest.split_last_chunk::<16>().ok_or(Errno::Io)?;
        let mut plain = bytes.to_vec();
        let opened = self.cipher.decrypt_inout_detached(nonce.into(), what, plain.as_mut_slice().into(), tag.into());
        opened.map(|()| plain).map_err(|_| Errno::Io)
    }
}
