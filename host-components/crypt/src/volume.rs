//! The file in the layer's root that says how the volume is opened.

use chacha20poly1305::{AeadInOut, KeyInit, Tag, XChaCha20Poly1305, XNonce};
use eyot_backend::{
    Capabilities, Errno, Filesystem, FilesystemInfo, Node, NodeKind, OpenFlags, Ownership, RenameFlags,
};
use zeroize::Zeroizing;

use crate::error::Error;
use crate::keys::{Derivation, Key};
use crate::options::{CryptOptions, Secret};

/// The file's name.
pub(crate) const NAME: &str = ".eyot-crypt";
/// Its name while it is being made.
pub(crate) const NAME_NEW: &str = ".eyot-crypt.new";

const MAGIC: &[u8; 8] = b"eyotcryp";
const VERSION: u8 = 1;
const NAMES_ENCRYPTED: u8 = 1;
const KDF_NONE: u8 = 0;
const KDF_ARGON2ID: u8 = 1;
/// What is authenticated: everything before the nonce.
const CLEAR: usize = 40;
const SEALED_AT: usize = 64;
const BYTES: usize = 112;

/// An open volume.
pub(crate) struct Volume {
    pub(crate) master: Key,
    pub(crate) names: bool,
    /// The inode of the volume's file, which stays looked up: its number is nobody else's then.
    pub(crate) node: Node,
}

/// Whether a name of the root is the volume's own.
pub(crate) fn is_own(name: &str) -> bool {
    name == NAME || name == NAME_NEW
}

/// Opens the volume of a layer, or makes one.
pub(crate) fn open(
    layer: &dyn Filesystem,
    info: &FilesystemInfo,
    secret: Secret<'_>,
    options: &CryptOptions,
) -> Result<Volume, Error> {
    match layer.lookup(info.root, NAME) {
        Ok(found) => {
            let is_file = found.kind == NodeKind::File;
            let read = if is_file { read(layer, found.node) } else { Err(Error::Damaged("it is no file")) };
            let opened = read.and_then(|bytes| unseal(&bytes, secret, found.node));
            opened.and_then(|volume| check(info, volume)).inspect_err(|_| layer.forget(found.node, 1))
        }
        Err(Errno::Noent) => make(layer, info, secret, options),
        Err(errno) => Err(errno.into()),
    }
}

fn check(info: &FilesystemInfo, volume: Volume) -> Result<Volume, Error> {
    if volume.names && !info.capabilities.contains(Capabilities::CASE_SENSITIVE) {
        return Err(Error::CaseFolded);
    }
    Ok(volume)
}

fn read(layer: &dyn Filesystem, node: Node) -> Result<[u8; BYTES], Error> {
    let handle = layer.open(node, OpenFlags::READ)?;
    // One more, so that a longer one is noticed.
    let mut bytes = [0; BYTES + 1];
    let got = layer.read(node, handle, 0, &mut bytes);
    layer.release(node, handle);
    match (got?, bytes.first_chunk::<BYTES>()) {
        (BYTES, Some(bytes)) => Ok(*bytes),
        _ => Err(Error::Damaged("it has not 112 bytes")),
    }
}

fn make(
    layer: &dyn Filesystem,
    info: &FilesystemInfo,
    secret: Secret<'_>,
    options: &CryptOptions,
) -> Result<Volume, Error> {
    if layer.readdir(info.root, 0, 2)?.iter().any(|entry| !is_own(&entry.name)) {
        return Err(Error::NoVolume);
    }
    if !info.capabilities.contains(Capabilities::WRITABLE) {
        return Err(Error::ReadOnly);
    }
    if options.names && !info.capabilities.contains(Capabilities::CASE_SENSITIVE) {
        return Err(Error::CaseFolded);
    }
    let mut master = Zeroizing::new([0; 32]);
    (options.random)(&mut *master)?;
    let mut volume = Volume { master, names: options.names, node: 0 };
    let bytes = seal(&volume, secret, options)?;
    match layer.unlink(info.root, NAME_NEW) {
        Ok(()) | Err(Errno::Noent) => {}
        Err(errno) => return Err(errno.into()),
    }
    let root = layer.getattr(info.root)?;
    let owner = Ownership { mode: 0o600, uid: root.uid, gid: root.gid };
    let node = layer.create(info.root, NAME_NEW, owner)?.node;
    let made = write(layer, node, &bytes)
        .and_then(|()| layer.rename(info.root, NAME_NEW, info.root, NAME, RenameFlags::empty()));
    made.inspect_err(|_| layer.forget(node, 1))?;
    volume.node = node;
    Ok(volume)
}

fn write(layer: &dyn Filesystem, node: Node, bytes: &[u8]) -> Result<(), Errno> {
    let handle = layer.open(node, OpenFlags::READ | OpenFlags::WRITE)?;
    let written = match layer.write(node, handle, 0, bytes) {
        Ok(count) if count == bytes.len() => layer.fsync(node, handle, false),
        Ok(_) => Err(Errno::Nospc),
        Err(errno) => Err(errno),
    };
    layer.release(node, handle);
    written
}

/// The key that the master key is sealed with.
fn key_of(secret: Secret<'_>, derivation: Option<&Derivation>) -> Result<Key, Error> {
    match (secret, derivation) {
        (Secret::Key(key), None) => Ok(Zeroizing::new(*key)),
        (Secret::Passphrase(text), Some(derivation)) => derivation.key(text),
        (Secret::Key(_), Some(_)) => Err(Error::OtherSecret { made_with: "passphrase" }),
        (Secret::Passphrase(_), None) => Err(Error::OtherSecret { made_with: "key" }),
    }
}

fn seal(volume: &Volume, secret: Secret<'_>, options: &CryptOptions) -> Result<[u8; BYTES], Error> {
    let mut bytes = [0; BYTES];
    let mut random = [0; 40];
    (options.random)(&mut random)?;
    let (salt, nonce) = random.split_at(16);
    let derivation = match secret {
        Secret::Key(_) => None,
        Secret::Passphrase(_) => {
            let mut derivation =
                Derivation { memory_kib: options.memory_kib, passes: options.passes, lanes: 1, salt: [0; 16] };
            derivation.salt.copy_from_slice(salt);
            Some(derivation)
        }
    };
    bytes[..8].copy_from_slice(MAGIC);
    bytes[8] = VERSION;
    bytes[9] = if volume.names { NAMES_ENCRYPTED } else { 0 };
    if let Some(derivation) = &derivation {
        bytes[10] = KDF_ARGON2ID;
        bytes[12..16].copy_from_slice(&derivation.memory_kib.to_le_bytes());
        bytes[16..20].copy_from_slice(&derivation.passes.to_le_bytes());
        bytes[20..24].copy_from_slice(&derivation.lanes.to_le_bytes());
        bytes[24..40].copy_from_slice(&derivation.salt);
    }
    let key = key_of(secret, derivation.as_ref())?;
    bytes[CLEAR..SEALED_AT].copy_from_slice(nonce);
    bytes[SEALED_AT..SEALED_AT + 32].copy_from_slice(&*volume.master);
    let nonce = XNonce::try_from(nonce).map_err(|_| Errno::Io)?;
    let (clear, rest) = bytes.split_at_mut(CLEAR);
    let sealed = &mut rest[SEALED_AT - CLEAR..SEALED_AT - CLEAR + 32];
    let cipher = XChaCha20Poly1305::new((&*key).into());
    let tag = cipher.encrypt_inout_detached(&nonce, clear, sealed.into()).map_err(|_| Errno::Io)?;
    bytes[SEALED_AT + 32..].copy_from_slice(&tag);
    Ok(bytes)
}

fn unseal(bytes: &[u8; BYTES], secret: Secret<'_>, node: Node) -> Result<Volume, Error> {
    if &bytes[..8] != MAGIC {
        return Err(Error::Damaged("it does not begin as one"));
    }
    if bytes[8] != VERSION {
        return Err(Error::Version(bytes[8]));
    }
    if bytes[9] & !NAMES_ENCRYPTED != 0 || bytes[11] != 0 {
        return Err(Error::Damaged("it has flags that do not exist"));
    }
    let number = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    let derivation = match bytes[10] {
        KDF_NONE => None,
        KDF_ARGON2ID => {
            let mut salt = [0; 16];
            salt.copy_from_slice(&bytes[24..40]);
            Some(Derivation { memory_kib: number(12), passes: number(16), lanes: number(20), salt })
        }
        _ => return Err(Error::Damaged("it names a key derivation that does not exist")),
    };
    let key = key_of(secret, derivation.as_ref())?;
    let nonce = XNonce::try_from(&bytes[CLEAR..SEALED_AT]).map_err(|_| Errno::Io)?;
    let tag = Tag::try_from(&bytes[SEALED_AT + 32..]).map_err(|_| Errno::Io)?;
    let mut master = Zeroizing::new([0; 32]);
    master.copy_from_slice(&bytes[SEALED_AT..SEALED_AT + 32]);
    let cipher = XChaCha20Poly1305::new((&*key).into());
    let opened = cipher.decrypt_inout_detached(&nonce, &bytes[..CLEAR], master.as_mut_slice().into(), &tag);
    opened.map_err(|_| Error::WrongSecret)?;
    Ok(Volume { master, names: bytes[9] & NAMES_ENCRYPTED != 0, node })
}
