//! A filesystem that encrypts: whatever backend lies under a [`Crypt`] holds only what the key opens.
//!
//! # What it is good for, and what not
//!
//! Whoever has the layer's bytes - a disk, a bucket, another machine's backend - and not the key, learns no contents, no names (unless `names` is off), no targets of
//! symlinks and no extended attributes, and cannot make up any: what was altered answers `EIO`.
//!
//! What is **not** hidden: how many files and directories there are and how they lie in each other, the size of each file to the byte, times, owners and modes, links, device numbers,
//! the lengths of names and targets, whether two names (anywhere in the tree) are the same, how many extended attributes there are, and which 4 KiB of a file are read, written or were never
//! written. Who watches the layer for long sees which of them change.
//!
//! What is **not** prevented: a layer that lies can take files away, put them under other names, change attributes, cut a file at the end of a block, put a hole (zeroes) where
//! a block was, and bring back what a block, an attribute or a whole file held before. It cannot move a block to another place or another file, or mix halves of blocks. There is no tree of hashes over everything, which is what
//! it would take.
//!
//! The key is in the memory of whoever mounts, and so is everything that is read. In a component both are in the component's memory.
//!
//! # The format, version 1
//!
//! All numbers are little-endian. Subkeys come from the master key by BLAKE3's `derive_key`, one for each use (`keys.rs` names the contexts).
//!
//! **The volume.** A file `.eyot-crypt` in the layer's root, which nobody sees through the mount, holds 112 bytes:
//!
//! | offset | bytes | |
//! | --- | --- | --- |
//! | 0 | 8 | `eyotcryp` |
//! | 8 | 1 | version, 1 |
//! | 9 | 1 | bit 0: names are encrypted |
//! | 10 | 2 | how the secret becomes a key: 0 it is the key, 1 Argon2id (version 0x13); a zero |
//! | 12 | 12 | Argon2id's memory in KiB, passes, lanes |
//! | 24 | 16 | Argon2id's salt |
//! | 40 | 24 | nonce |
//! | 64 | 48 | the master key: 32 random bytes, sealed with XChaCha20-Poly1305; the 40 bytes at the beginning are authenticated with it |
//!
//! **Contents.** An empty file is empty. Any other begins with 32 bytes: `eyotfile`, a random number of 16 bytes from which the file's own key comes (keyed BLAKE3), 8 zeroes. Blocks follow: each block of 4,096 bytes (the last
//! may be shorter) takes 32 bytes more: 16 random bytes, the ciphertext, a tag of 16. It is XChaCha20-Poly1305 with the file's key; the nonce is the random bytes and the block's number. A block whose bytes in the
//! layer are all zero is a hole, and reads as zeroes: so holes stay holes. Cutting a file to nothing throws its key away.
//!
//! **Names** are encrypted with AES-256-SIV and written in base64 for URLs: up to 175 bytes fit into 255. A longer one is written as `~` and a hash; the whole of it is in the
//! extended attribute `user.eyot.name.HASH` of what has that name. On a layer without extended attributes longer names are `ENAMETOOLONG`.
//!
//! **Targets** of symlinks are sealed with XChaCha20-Poly1305 and written in base64; those above 3,031 bytes are in an extended attribute `user.eyot.target`.
//!
//! **Extended attributes** are the layer's attributes `user.eyot.x.HASH`; the name is sealed together with the value. What does not fit into 64 KiB is in a second one, `user.eyot.t.NONCE`.
//!
//! # What else there is to know
//!
//! - Numbers of inodes, lookup counts, attributes, links and locks are the layer's own: the crate keeps nothing but the keys of open files.
//! - A write of less than a block reads the block first. Writing whole blocks of 4 KiB at multiples of 4 KiB reads nothing.
//! - An operation that fails has changed nothing that shows, as far as the layer lets it be undone. If the machine dies in the middle of a write, the block that was being written may be lost
//!   (`EIO`) if the layer does not write 4,128 bytes at once, also where the plain layer would have kept half of it.
//! - One mount at a time writes to a volume. Others, and changes made to the layer by anybody else, may see `EIO` for a while.
//! - Names in the layer that the key does not open do not show.

mod attributes;
mod block;
mod error;
mod file;
mod filesystem;
mod keys;
mod layout;
mod mount;
mod names;
mod options;
mod random;
mod resize;
mod sealed;
mod target;
mod undo;
mod volume;
mod watch;
mod write;
mod xattr;

use std::sync::Arc;

use eyot_backend::{Errno, Filesystem, FilesystemInfo, Node};

pub use error::Error;
pub use mount::CryptMount;
pub use options::{CryptOptions, RandomSource, Secret};

/// A filesystem over another one, which holds only what the key opens. The [crate](crate) says what that keeps from whom.
///
/// ```
/// use std::sync::Arc;
/// use eyot_backend::{Filesystem, OpenFlags, Ownership};
/// use eyot_crypt::{Crypt, CryptOptions, Secret};
/// use eyot_memfs::Memfs;
///
/// let layer = Arc::new(Memfs::new());
/// let fs = Crypt::open(layer.clone(), Secret::Passphrase("correct horse"), &CryptOptions::default())?;
/// let file = fs.create(fs.info().root, "letter", Ownership { mode: 0o600, uid: 0, gid: 0 })?.node;
/// let open = fs.open(file, OpenFlags::READ | OpenFlags::WRITE)?;
/// fs.write(file, open, 0, b"Dear Bob")?;
/// assert!(layer.lookup(layer.info().root, "letter").is_err());
///
/// let wrong = Crypt::open(layer, Secret::Passphrase("battery staple"), &CryptOptions::default());
/// assert!(matches!(wrong, Err(eyot_crypt::Error::WrongSecret)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Crypt {
    pub(crate) layer: Arc<dyn Filesystem>,
    pub(crate) info: FilesystemInfo,
    /// The inode of the volume's own file.
    own: Node,
    pub(crate) names: Arc<names::Names>,
    pub(crate) sealer: sealed::Sealer,
    pub(crate) files: file::Files,
    pub(crate) scratch: file::Scratch,
    pub(crate) random: Arc<random::Random>,
    pub(crate) watching: watch::Watching,
}

impl Crypt {
    /// Opens the volume that `layer` holds; makes one when the layer is empty. What `options` say of a new volume does not matter for one that is there.
    pub fn open(layer: Arc<dyn Filesystem>, secret: Secret<'_>, options: &CryptOptions) -> Result<Self, Error> {
        let info = layer.info();
        let volume = volume::open(&*layer, &info, secret, options)?;
        let names = names::Names::new(&volume, &info);
        let random = Arc::new(random::Random::new(options.random));
        Ok(Self {
            sealer: sealed::Sealer::new(&volume.master, Arc::clone(&random)),
            files: file::Files::new(&volume.master),
            names: Arc::new(names),
            scratch: file::Scratch::default(),
            random,
            watching: watch::Watching::default(),
            info,
            own: volume.node,
            layer,
        })
    }
}

impl Crypt {
    /// A node that may be the guest's. Errors: `ESTALE` for the volume's own file.
    pub(crate) fn given(&self, node: Node) -> Result<Node, Errno> {
        if node == self.own { Err(Errno::Stale) } else { Ok(node) }
    }
}

impl Drop for Crypt {
    fn drop(&mut self) {
        self.layer.forget(self.own, 1);
    }
}
