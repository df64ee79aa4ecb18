//! Why an archive could not be taken, and what was left out of one that was.

use eyot_backend::Errno;

/// Why an archive was refused. Offsets count from the start of the archive's file, or for what lies inside a compressed tar from the start of the
/// decompressed bytes; `entry` is the name of the entry that was being read, as far as it was known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ArchiveError {
    /// The beginning is that of no known format.
    #[error(
        "not an archive that can be mounted: it begins with {begins:02x?}, which is neither tar, gzip, Zstandard nor zip; check that the file is whole and that it is an archive"
    )]
    UnknownFormat {
        /// The first bytes.
        begins: Vec<u8>,
    },
    /// Compressed, but not a compressed tar.
    #[error(
        "it is compressed with {format}, but what is inside is no tar; decompress it first, or pack what is inside with tar"
    )]
    NotATarInside {
        /// The compression.
        format: &'static str,
    },
    /// The source failed.
    #[error("the archive cannot be read at offset {offset}: {errno}; check the file or the device it is on")]
    Read {
        /// Where.
        offset: u64,
        /// What the source answered.
        errno: Errno,
    },
    /// It ends too soon.
    #[error("the archive is cut short: {what} at offset {offset}{} goes beyond its end; fetch or pack it again", named(.entry))]
    Truncated {
        /// What was being read.
        what: &'static str,
        /// Where it begins.
        offset: u64,
        /// The entry, or nothing.
        entry: String,
    },
    /// Something cannot be true.
    #[error("the archive is damaged at offset {offset}{}: {what}; fetch or pack it again", named(.entry))]
    Damaged {
        /// What is wrong.
        what: &'static str,
        /// Where.
        offset: u64,
        /// The entry, or nothing.
        entry: String,
    },
    /// A feature that is not there.
    #[error("the archive uses {what} (at offset {offset}{}), which is not supported; pack it without", named(.entry))]
    Unsupported {
        /// The feature.
        what: &'static str,
        /// Where.
        offset: u64,
        /// The entry, or nothing.
        entry: String,
    },
    /// A limit of [`ArchiveOptions`](crate::ArchiveOptions) was reached.
    #[error("the archive exceeds the limit {limit} = {max} at offset {offset}{}; raise it if you trust the archive", named(.entry))]
    Limit {
        /// The limit's name: a method of `ArchiveOptions`.
        limit: &'static str,
        /// Its value.
        max: u64,
        /// Where.
        offset: u64,
        /// The entry, or nothing.
        entry: String,
    },
    /// A path with `..`, where the options want that refused.
    #[error(
        "the archive names {path:?}, which leads upwards, at offset {offset}; don't trust it, or mount it without refuse_upward_paths"
    )]
    UpwardPath {
        /// The path.
        path: String,
        /// Where.
        offset: u64,
    },
    /// The spill failed.
    #[error(
        "decompressed data cannot be written to the spill at offset {offset}: {errno}; check the space there, or mount without a spill"
    )]
    Spill {
        /// Where.
        offset: u64,
        /// What the spill answered.
        errno: Errno,
    },
    /// A saved index is no index, or damaged.
    #[error("the saved index cannot be used: {what}; delete it and make it again")]
    IndexDamaged {
        /// What is wrong.
        what: &'static str,
    },
    /// A saved index belongs to another archive.
    #[error("the saved index was made for another archive, or the archive has changed since: {what}; make it again")]
    IndexStale {
        /// What differs.
        what: &'static str,
    },
}

impl ArchiveError {
    /// What a guest would be told.
    pub fn errno(&self) -> Errno {
        match self {
            Self::Read { errno, .. } | Self::Spill { errno, .. } => *errno,
            Self::Limit { .. } => Errno::Fbig,
            Self::Unsupported { .. } => Errno::Notsup,
            Self::UpwardPath { .. } => Errno::Inval,
            Self::IndexDamaged { .. } | Self::IndexStale { .. } => Errno::Stale,
            _ => Errno::Io,
        }
    }

    /// The same, with the entry's name where there was none.
    pub(crate) fn in_entry(mut self, name: &str) -> Self {
        if let Self::Truncated { entry, .. }
        | Self::Damaged { entry, .. }
        | Self::Unsupported { entry, .. }
        | Self::Limit { entry, .. } = &mut self
            && entry.is_empty()
        {
            *entry = shortened(name);
        }
        self
    }
}

/// A name for a message: not longer than a line or two.
pub(crate) fn shortened(name: &str) -> String {
    const SHOWN_CHARS: usize = 200;
    match name.char_indices().nth(SHOWN_CHARS) {
        Some((at, _)) => format!("{}...", name.get(..at).unwrap_or_default()),
        None => name.to_owned(),
    }
}

fn named(entry: &str) -> String {
    if entry.is_empty() { String::new() } else { format!(" (entry {entry:?})") }
}

/// What of an archive does not show, counted by reason. All zero for a well-made one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct Warnings {
    /// Names or symlink targets that are not UTF-8.
    pub not_utf8: u64,
    /// Paths with a component `..`.
    pub upward_paths: u64,
    /// Components over 255 bytes, paths or targets over 4095, paths deeper than the limit, empty names or targets, names with a NUL.
    pub bad_names: u64,
    /// Entries below something that is no directory.
    pub below_no_directory: u64,
    /// Entries that would replace a directory that is not empty, or the root.
    pub over_directory: u64,
    /// Hard links to what is not there, to themselves, or to a directory.
    pub bad_links: u64,
    /// Extended attributes that are too long or have no valid name.
    pub bad_xattrs: u64,
    /// Entries of a kind that has no file: volume labels, parts of other volumes.
    pub no_files: u64,
}

impl Warnings {
    /// How many in all.
    pub fn total(&self) -> u64 {
        let parts = [
            self.not_utf8,
            self.upward_paths,
            self.bad_names,
            self.below_no_directory,
            self.over_directory,
            self.bad_links,
            self.bad_xattrs,
            self.no_files,
        ];
        parts.into_iter().fold(0, u64::saturating_add)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_say_what_where_and_what_would_do() {
        let error = ArchiveError::Truncated { what: "the data", offset: 512, entry: String::new() };
        assert_eq!(
            error.clone().in_entry("a/b").to_string(),
            "the archive is cut short: the data at offset 512 (entry \"a/b\") goes beyond its end; fetch or pack it again"
        );
        assert!(!error.to_string().contains("entry"));
        let limit = ArchiveError::Limit { limit: "entries_max", max: 3, offset: 0, entry: "x".into() };
        assert!(limit.in_entry("y").to_string().contains("entries_max = 3 at offset 0 (entry \"x\"); raise it"));
        assert_eq!(shortened(&"ü".repeat(300)).chars().count(), 203);
    }
}
