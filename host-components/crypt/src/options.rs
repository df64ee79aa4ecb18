//! What a volume is opened with.

use std::fmt;

use eyot_backend::Errno;

/// Fills a buffer with bytes that nobody can guess.
pub type RandomSource = fn(&mut [u8]) -> Result<(), Errno>;

/// What opens a volume.
#[derive(Clone, Copy)]
pub enum Secret<'a> {
    /// A text, from which Argon2id makes the key.
    Passphrase(&'a str),
    /// A key of 32 random bytes.
    Key(&'a [u8; 32]),
}

impl fmt::Debug for Secret<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Secret::Passphrase(_) => "Passphrase",
            Secret::Key(_) => "Key",
        })
    }
}

/// How a new volume is made, and where random bytes come from.
#[derive(Clone, Debug)]
pub struct CryptOptions {
    /// Whether a new volume encrypts names.
    pub names: bool,
    /// How much memory Argon2id takes to make the key of a new volume from a passphrase, in KiB. Whoever opens the volume needs as much.
    pub memory_kib: u32,
    /// How many passes over it.
    pub passes: u32,
    /// Where random bytes come from.
    pub random: RandomSource,
}

impl CryptOptions {
    /// What Argon2id takes when nothing is said, in KiB: with [`PASSES`](Self::PASSES) what OWASP asks for at least.
    pub const MEMORY_KIB: u32 = 19 * 1024;
    /// How many passes it makes when nothing is said.
    pub const PASSES: u32 = 2;
}

impl Default for CryptOptions {
    /// Names are encrypted; the random numbers of the host.
    fn default() -> Self {
        Self { names: true, memory_kib: Self::MEMORY_KIB, passes: Self::PASSES, random: crate::random::fill }
    }
}
