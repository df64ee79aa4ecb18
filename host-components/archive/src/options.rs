//! The limits of a mount.

use std::sync::Arc;

use crate::source::Spill;

/// How an archive is taken: limits, each with a default that suits images of several GB.
#[derive(Clone)]
pub struct ArchiveOptions {
    pub(crate) entries_max: u64,
    pub(crate) index_bytes_max: u64,
    pub(crate) depth_max: usize,
    pub(crate) cache_bytes: u64,
    pub(crate) decoders_max: usize,
    pub(crate) window_bytes_max: u64,
    pub(crate) stream_bytes_max: u64,
    pub(crate) expansion_max: u64,
    pub(crate) access_point_bytes: u64,
    pub(crate) access_points_bytes_max: u64,
    pub(crate) refuse_upward_paths: bool,
    pub(crate) hash_whole: bool,
    pub(crate) spill: Option<Arc<dyn Spill>>,
}

impl Default for ArchiveOptions {
    fn default() -> Self {
        Self {
            entries_max: 4_000_000,
            index_bytes_max: 1 << 30,
            depth_max: 1024,
            cache_bytes: 32 << 20,
            decoders_max: 8,
            window_bytes_max: 32 << 20,
            stream_bytes_max: 1 << 40,
            expansion_max: 2000,
            access_point_bytes: 2 << 20,
            access_points_bytes_max: 64 << 20,
            refuse_upward_paths: false,
            hash_whole: false,
            spill: None,
        }
    }
}

macro_rules! setters {
    ($($(#[$doc:meta])* $name:ident: $ty:ty;)*) => {
        $($(#[$doc])* #[must_use] pub fn $name(mut self, value: $ty) -> Self { self.$name = value; self })*
    };
}

impl ArchiveOptions {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    setters! {
        /// The most entries, those that later ones replace and directories that are only implied included (4,000,000). An archive with more is refused.
        entries_max: u64;
        /// The most memory of the index, in bytes (1 GiB). An archive that needs more is refused. It is never taken in advance.
        index_bytes_max: u64;
        /// How deep directories may lie (1024). What is deeper does not show.
        depth_max: usize;
        /// The most memory of decompressed blocks that are kept, in bytes (32 MiB).
        cache_bytes: u64;
        /// The most decoders at once (8). Each takes some 200 KiB, for Zstandard a window more. Threads beyond wait for one.
        decoders_max: usize;
        /// The largest window of Zstandard, in bytes (32 MiB; `zstd --ultra -21`, `-22` and `--long` ask for more).
        window_bytes_max: u64;
        /// The most bytes that a compressed tar may have when decompressed (1 TiB). A longer one is refused.
        stream_bytes_max: u64;
        /// How many times its size a compressed tar, or a file of a zip, may grow by decompression, past the first GiB (2000; deflate cannot exceed 1032).
        expansion_max: u64;
        /// How many decompressed bytes lie between two places where decompression can begin in gzip and deflate (2 MiB): the most that a read in the
        /// middle decompresses in vain. Each place takes 32 KiB of memory.
        access_point_bytes: u64;
        /// The most memory of those places for one archive, in bytes (64 MiB). When it is reached they are thinned out, and the distance doubles.
        access_points_bytes_max: u64;
        /// Refuses an archive with a path that has a component `..`, instead of leaving the entry out and counting it.
        refuse_upward_paths: bool;
        /// Hashes the whole archive for a saved index and when it is loaded, instead of its length and 128 samples. It costs a read of the whole archive.
        hash_whole: bool;
    }

    /// Where the contents of a compressed tar go that offers no access points: Zstandard with large frames, which is what `tar --zstd` makes. It is decompressed once,
    /// when it is mounted, into the spill, which must be empty, and read from there. Without a spill it is decompressed again from the frame's start whenever a read goes
    /// back to where no decoder is.
    #[must_use]
    pub fn spill(mut self, spill: Arc<dyn Spill>) -> Self {
        self.spill = Some(spill);
        self
    }
}
