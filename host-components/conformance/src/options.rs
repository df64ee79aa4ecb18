//! What to check, and how hard.

use std::time::Duration;

/// What to check, and how hard.
///
/// ```
/// use eyot_conformance::Options;
///
/// let options = Options { only: Some("rename".into()), seed: 7, ..Options::default() };
/// assert!(!options.long);
/// ```
#[derive(Clone, Debug)]
pub struct Options {
    /// Only the cases whose group or name contains this, without regard to case.
    pub only: Option<String>,
    /// Where the random cases start. The same seed gives the same operations.
    pub seed: u64,
    /// The long form: more rounds, larger files, and the cases that take long.
    pub long: bool,
    /// How many cases run at once.
    pub jobs: usize,
    /// How long one case may take.
    pub deadline: Duration,
    /// The filesystems are not empty: each holds the tree of [`fixture`](crate::fixture()), of which this much is kept. A filesystem that can be
    /// changed is then checked in a directory of its own beside the tree.
    pub populated: Option<Kept>,
    /// Each filesystem has no room for more bytes than this. Without it no case fills a filesystem up: it might be somebody's disk.
    pub bytes_max: Option<u64>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            only: None,
            seed: 1,
            long: false,
            jobs: std::thread::available_parallelism().map_or(1, |count| count.get().min(4)),
            deadline: Duration::from_secs(20),
            populated: None,
            bytes_max: None,
        }
    }
}

impl Options {
    /// The long form: some minutes for a filesystem in memory.
    pub fn long() -> Self {
        Self { long: true, deadline: Duration::from_secs(300), ..Self::default() }
    }
}

/// What a backend keeps of the [`fixture`](crate::fixture()): an archive format does not hold everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Permission bits.
    pub modes: bool,
    /// Owner and group.
    pub owners: bool,
    /// Modification times, in steps of so many nanoseconds; `None`: not at all.
    pub times_step_ns: Option<u64>,
    /// Hard links are one file with a count.
    pub hard_links: bool,
    /// Symlinks.
    pub symlinks: bool,
    /// FIFOs and device nodes.
    pub special_files: bool,
    /// Extended attributes.
    pub xattrs: bool,
}

impl Kept {
    /// Everything, to the nanosecond.
    pub const ALL: Self = Self {
        modes: true,
        owners: true,
        times_step_ns: Some(1),
        hard_links: true,
        symlinks: true,
        special_files: true,
        xattrs: true,
    };
}
