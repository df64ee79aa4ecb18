//! The cases, one file for each subject.

use crate::case::{Case, Cases};

mod attributes;
mod concurrency;
mod content;
mod data;
mod directories;
mod faults;
mod fixture;
mod fixture_changes;
mod holes;
mod large;
mod limits;
mod links;
mod listing;
mod lookups;
mod model;
mod names;
mod odd_names;
mod rename;
mod rename_pairs;
mod robustness;
mod special;
mod symlinks;
mod times;
mod truncate;
mod xattrs;

/// Every case.
pub(crate) fn all() -> Vec<Case> {
    let mut cases = Cases::new();
    for add in [
        names::add,
        lookups::add,
        data::add,
        truncate::add,
        content::add,
        directories::add,
        listing::add,
        rename::add,
        rename_pairs::add,
        links::add,
        symlinks::add,
        attributes::add,
        times::add,
        xattrs::add,
        special::add,
        holes::add,
        large::add,
        odd_names::add,
        limits::add,
        concurrency::add,
        robustness::add,
        faults::add,
        model::add,
        fixture::add,
    ] {
        add(&mut cases);
    }
    cases.list
}

/// What most files here use.
pub(crate) mod prelude {
    pub(crate) use eyot_backend::{
        AttributeChanges, Attributes, CHUNK_BYTES_MAX, Capabilities, Errno, Node, NodeKind, OpenFlags, Ownership,
        RenameFlags, Timestamp,
    };

    pub(crate) use crate::case::{Cases, Condition, Group};
    pub(crate) use crate::random::{Random, pattern};
    pub(crate) use crate::subject::{DIR_OWNER, NONE, OWNER, Subject};
    pub(crate) use crate::verdict::{fail, holds, leave_out, same, same_bytes};

    /// What most cases need: a filesystem that can be changed.
    pub(crate) const W: Capabilities = Capabilities::WRITABLE;
    pub(crate) const HARD_LINKS: Capabilities = W.union(Capabilities::HARD_LINKS);
    pub(crate) const SYMLINKS: Capabilities = W.union(Capabilities::SYMLINKS);
    pub(crate) const XATTRS: Capabilities = W.union(Capabilities::XATTRS);
    pub(crate) const ATOMIC: Capabilities = W.union(Capabilities::ATOMIC_RENAME);
    pub(crate) const SPARSE: Capabilities = W.union(Capabilities::SPARSE);
    pub(crate) const CASE_SENSITIVE: Capabilities = W.union(Capabilities::CASE_SENSITIVE);
    pub(crate) const SPECIAL: Capabilities = W.union(Capabilities::SPECIAL_FILES);

    /// The kinds that a case can make, in a word each.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub(crate) enum Thing {
        File,
        Directory,
        FullDirectory,
        Symlink,
        Fifo,
    }

    impl Thing {
        pub(crate) const ALL: [Thing; 5] =
            [Thing::File, Thing::Directory, Thing::FullDirectory, Thing::Symlink, Thing::Fifo];
        /// All that is no directory.
        pub(crate) const LEAVES: [Thing; 3] = [Thing::File, Thing::Symlink, Thing::Fifo];

        pub(crate) fn name(self) -> &'static str {
            match self {
                Thing::File => "a file",
                Thing::Directory => "an empty directory",
                Thing::FullDirectory => "a directory with entries",
                Thing::Symlink => "a symlink",
                Thing::Fifo => "a FIFO",
            }
        }

        pub(crate) fn needs(self) -> Capabilities {
            match self {
                Thing::File | Thing::Directory | Thing::FullDirectory => W,
                Thing::Symlink => SYMLINKS,
                Thing::Fifo => SPECIAL,
            }
        }

        pub(crate) fn is_directory(self) -> bool {
            matches!(self, Thing::Directory | Thing::FullDirectory)
        }

        #[track_caller]
        pub(crate) fn make(self, s: &Subject, dir: Node, name: &str) -> Attributes {
            match self {
                Thing::File => s.create(dir, name).ok(),
                Thing::Directory => s.mkdir(dir, name).ok(),
                Thing::FullDirectory => {
                    let made = s.mkdir(dir, name).ok();
                    s.create(made.node, "inside").ok();
                    made
                }
                Thing::Symlink => s.symlink(dir, name, "nowhere").ok(),
                Thing::Fifo => s.make_node(dir, name, NodeKind::Fifo, 0).ok(),
            }
        }
    }
}
