//! One file's cipher, and its blocks.

use chacha20poly1305::aead::inout::InOutBuf;
use chacha20poly1305::{AeadInOut, KeyInit, Tag, XChaCha20Poly1305, XNonce};
use eyot_backend::Errno;

use crate::keys::Key;
use crate::layout::{HEADER, OVERHEAD};

/// The random bytes before a block.
pub(crate) const SALT: usize = 16;
const TAG: usize = OVERHEAD - SALT;
const MAGIC: &[u8; 8] = b"eyotfile";

/// What the blocks of one file are sealed with.
pub(crate) struct Cipher(XChaCha20Poly1305);

/// What a block in the layer turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opened {
    /// Bytes.
    Bytes,
    /// Nothing was ever written there.
    Hole,
}

impl Cipher {
    /// The cipher of the file that has this header. Errors: `EIO`.
    pub(crate) fn of_header(contents: &Key, header: &[u8; HEADER]) -> Result<Self, Errno> {
        let (magic, rest) = header.split_at(MAGIC.len());
        let (id, reserved) = rest.split_at(16);
        if magic != MAGIC || reserved.iter().any(|&byte| byte != 0) {
            return Err(Errno::Io);
        }
        let key = zeroize::Zeroizing::new(*blake3::keyed_hash(contents, id).as_bytes());
        Ok(Self(XChaCha20Poly1305::new((&*key).into())))
    }

    /// A new file's header.
    pub(crate) fn new_header(id: [u8; 16]) -> [u8; HEADER] {
        let mut header = [0; HEADER];
        header[..8].copy_from_slice(MAGIC);
        header[8..24].copy_from_slice(&id);
        header
    }

    /// Seals a block in place: room for the salt, the bytes, room for the tag.
    pub(crate) fn seal(&self, index: u64, salt: &[u8; SALT], block: &mut [u8]) -> Result<(), Errno> {
        let (room, plain, tag) = parts_mut(block)?;
        room.copy_from_slice(salt);
        let made = self.0.encrypt_inout_detached(&nonce(salt, index), &[], plain.into()).map_err(|_| Errno::Io)?;
        tag.copy_from_slice(&made);
        Ok(())
    }

    /// Seals `plain` into a block of the layer, as long as it and the overhead.
    pub(crate) fn seal_from(&self, index: u64, salt: &[u8; SALT], plain: &[u8], block: &mut [u8]) -> Result<(), Errno> {
        let (room, sealed, tag) = parts_mut(block)?;
        room.copy_from_slice(salt);
        let buffers = InOutBuf::new(plain, sealed).map_err(|_| Errno::Io)?;
        let made = self.0.encrypt_inout_detached(&nonce(salt, index), &[], buffers).map_err(|_| Errno::Io)?;
        tag.copy_from_slice(&made);
        Ok(())
    }

    /// Opens a block in place: the bytes are then between salt and tag. Errors: `EIO` for what was not sealed so.
    pub(crate) fn open(&self, index: u64, block: &mut [u8]) -> Result<Opened, Errno> {
        if is_hole(block) {
            return Ok(Opened::Hole);
        }
        let (salt, plain, tag) = parts_mut(block)?;
        let (nonce, tag) = (nonce(salt, index), Tag::try_from(&*tag).map_err(|_| Errno::Io)?);
        self.0.decrypt_inout_detached(&nonce, &[], plain.into(), &tag).map_err(|_| Errno::Io)?;
        Ok(Opened::Bytes)
    }

    /// Opens a block of the layer into `plain`, which is as long as what it holds.
    pub(crate) fn open_into(&self, index: u64, block: &[u8], plain: &mut [u8]) -> Result<(), Errno> {
        if is_hole(block) {
            plain.fill(0);
            return Ok(());
        }
        let (salt, rest) = block.split_at_checked(SALT).ok_or(Errno::Io)?;
        let (sealed, tag) = rest.split_last_chunk::<TAG>().ok_or(Errno::Io)?;
        let buffers = InOutBuf::new(sealed, plain).map_err(|_| Errno::Io)?;
        self.0.decrypt_inout_detached(&nonce(salt, index), &[], buffers, tag.into()).map_err(|_| Errno::Io)
    }
}

/// Whether a block of the layer was never written. One that was has a salt of zeroes once in 2^128 times, and then bytes that are none.
pub(crate) fn is_hole(block: &[u8]) -> bool {
    block.iter().all(|&byte| byte == 0)
}

/// The bytes of a block, without salt and tag.
pub(crate) fn plain_mut(block: &mut [u8]) -> Result<&mut [u8], Errno> {
    parts_mut(block).map(|(_, plain, _)| plain)
}

/// Salt, bytes and tag of a block.
type Parts<'a> = (&'a mut [u8], &'a mut [u8], &'a mut [u8]);

fn parts_mut(block: &mut [u8]) -> Result<Parts<'_>, Errno> {
    let (salt, rest) = block.split_at_mut_checked(SALT).ok_or(Errno::Io)?;
    let length = rest.len().checked_sub(TAG).filter(|&length| length > 0).ok_or(Errno::Io)?;
    let (plain, tag) = rest.split_at_mut_checked(length).ok_or(Errno::Io)?;
    Ok((salt, plain, tag))
}

fn nonce(salt: &[u8], index: u64) -> XNonce {
    let mut nonce = XNonce::default();
    for (to, from) in nonce.iter_mut().zip(salt.iter().take(SALT).copied().chain(index.to_le_bytes())) {
        *to = from;
    }
    nonce
}

#[cfg(test)]
mod tests {
    use super::*;
    use zeroize::Zeroizing;

    fn cipher(id: u8) -> Cipher {
        Cipher::of_header(&Zeroizing::new([3; 32]), &Cipher::new_header([id; 16])).unwrap()
    }

    fn sealed(index: u64, plain: &[u8]) -> Vec<u8> {
        let mut block = vec![0; plain.len() + OVERHEAD];
        cipher(1).seal_from(index, &[9; 16], plain, &mut block).unwrap();
        block
    }

    #[test]
    fn blocks_go_there_and_back() {
        for length in [1, 15, 4095, 4096] {
            let plain: Vec<u8> = (0..length).map(|at| at as u8 | 1).collect();
            let block = sealed(5, &plain);
            let mut back = vec![0; length];
            cipher(1).open_into(5, &block, &mut back).unwrap();
            assert_eq!(back, plain);
            let mut place = vec![0; length + OVERHEAD];
            plain_mut(&mut place).unwrap().copy_from_slice(&plain);
            cipher(1).seal(5, &[9; 16], &mut place).unwrap();
            assert_eq!(place, block);
            assert_eq!(cipher(1).open(5, &mut place), Ok(Opened::Bytes));
            assert_eq!(plain_mut(&mut place).unwrap(), plain);
        }
    }

    #[test]
    fn every_bit_counts_and_so_do_the_place_and_the_file() {
        let block = sealed(5, b"sixteen bytes of text");
        for bit in 0..block.len() * 8 {
            let mut other = block.clone();
            other[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(cipher(1).open(5, &mut other), Err(Errno::Io), "bit {bit}");
        }
        assert_eq!(cipher(1).open(6, &mut block.clone()), Err(Errno::Io));
        assert_eq!(cipher(2).open(5, &mut block.clone()), Err(Errno::Io));
        for length in 1..block.len() {
            assert_eq!(cipher(1).open(5, &mut block[..length].to_vec()), Err(Errno::Io), "{length} bytes");
        }
    }

    #[test]
    fn holes_are_zeroes_and_headers_are_checked() {
        assert_eq!(cipher(1).open(0, &mut [0; 50]), Ok(Opened::Hole));
        let mut header = Cipher::new_header([1; 16]);
        header[31] = 1;
        assert!(Cipher::of_header(&Zeroizing::new([3; 32]), &header).is_err());
        assert!(Cipher::of_header(&Zeroizing::new([3; 32]), &[0; HEADER]).is_err());
    }
}
