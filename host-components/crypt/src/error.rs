//! Why a volume cannot be opened.

use eyot_backend::{Errno, Refusal};

/// Why a volume cannot be opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The layer failed.
    #[error("the layer below failed: {0}")]
    Layer(#[from] Errno),
    /// The layer has files, and none of them says that it is a volume.
    #[error("the layer below is neither empty nor an encrypted volume: it has files, but no .eyot-crypt")]
    NoVolume,
    /// There is no volume, and none can be made.
    #[error("the layer below is read-only and holds no encrypted volume")]
    ReadOnly,
    /// The key or the passphrase does not open the volume, or somebody altered it.
    #[error("this is not the volume's secret, or its .eyot-crypt was altered")]
    WrongSecret,
    /// The volume was made with a passphrase and a key was given, or the other way round.
    #[error("the volume was made with a {made_with}, which must be given")]
    OtherSecret {
        /// What must be given.
        made_with: &'static str,
    },
    /// The file that describes the volume is not one.
    #[error(".eyot-crypt is damaged: {0}")]
    Damaged(&'static str),
    /// The volume is of a later version.
    #[error("the volume has the format {0}; this program knows 1")]
    Version(u8),
    /// The layer cannot hold what the volume needs.
    #[error("names cannot be encrypted on a layer that takes upper and lower case for the same; turn `names` off")]
    CaseFolded,
    /// The key derivation was told what it cannot do.
    #[error("the key derivation wants {wanted_kib} KiB of memory and {passes} passes, which is out of its bounds")]
    KeyDerivation {
        /// How much memory, in KiB.
        wanted_kib: u32,
        /// How many passes.
        passes: u32,
    },
}

impl Error {
    /// The error number that a guest would see.
    pub fn errno(&self) -> Errno {
        match self {
            Error::Layer(errno) => *errno,
            Error::WrongSecret | Error::OtherSecret { .. } => Errno::Acces,
            Error::ReadOnly => Errno::Rofs,
            Error::Damaged(_) => Errno::Io,
            Error::Version(_) | Error::CaseFolded => Errno::Notsup,
            Error::NoVolume | Error::KeyDerivation { .. } => Errno::Inval,
        }
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Refusal { errno: error.errno(), message: error.to_string() }
    }
}
