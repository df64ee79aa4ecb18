//! The index: nodes, entries and names in four flat arrays. A node's index is its number less one; the root is first.

use std::cmp::Ordering;
use std::ops::Range;

use eyot_backend::{Attributes, NodeKind, Timestamp};
use serde::{Deserialize, Serialize};

/// No index.
pub(crate) const NONE: u32 = u32::MAX;
/// The size that a directory answers with, in bytes.
const DIRECTORY_SIZE_BYTES: u64 = 4096;

/// A point in time, as it is saved.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Time {
    pub seconds: i64,
    pub nanoseconds: u32,
}

impl From<Time> for Timestamp {
    fn from(time: Time) -> Self {
        Timestamp { seconds: time.seconds, nanoseconds: time.nanoseconds }
    }
}

/// What a node is, as it is saved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Kind {
    File,
    Directory,
    Symlink,
    Fifo,
    Socket,
    CharacterDevice,
    BlockDevice,
}

impl From<Kind> for NodeKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::File => NodeKind::File,
            Kind::Directory => NodeKind::Directory,
            Kind::Symlink => NodeKind::Symlink,
            Kind::Fifo => NodeKind::Fifo,
            Kind::Socket => NodeKind::Socket,
            Kind::CharacterDevice => NodeKind::CharacterDevice,
            Kind::BlockDevice => NodeKind::BlockDevice,
        }
    }
}

/// One inode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NodeRecord {
    pub kind: Kind,
    pub mode: u16,
    pub uid: u32,
    pub gid: u32,
    pub links: u32,
    pub modified: Time,
    /// File: where its data begins (tar: in the tar; zip: its local header). Directory: the first entry. Symlink: in the strings, except in zip, where
    /// it is a file's. Device: its number.
    pub start: u64,
    /// File and symlink: its length. Directory: how many entries.
    pub length: u64,
    /// Index in `extras`, or `NONE`.
    pub extra: u32,
    /// Index in `packed`, or `NONE`.
    pub packed: u32,
}

/// One entry of a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct EntryRecord {
    pub name_start: u32,
    pub name_length: u8,
    pub node: u32,
}

/// A stretch of a sparse file that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Segment {
    /// Offset in the file.
    pub offset: u64,
    pub length: u64,
    /// Offset of its bytes in the tar.
    pub start: u64,
}

/// What only some inodes have.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Extra {
    pub accessed: Option<Time>,
    pub changed: Option<Time>,
    pub created: Option<Time>,
    pub xattrs: Vec<(String, Vec<u8>)>,
    /// `Some`: the file is sparse, and this is what is there, in order.
    pub segments: Option<Vec<Segment>>,
}

impl Extra {
    /// The memory it takes, about.
    pub(crate) fn bytes(&self) -> u64 {
        let xattrs: usize = self.xattrs.iter().map(|(name, value)| name.len() + value.len() + 64).sum();
        let segments = self.segments.as_ref().map_or(0, |it| it.len() * size_of::<Segment>());
        (size_of::<Self>() + xattrs + segments) as u64
    }
}

/// How a file lies in a zip.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Packed {
    pub method: u16,
    pub encrypted: bool,
    pub crc32: u32,
    /// Its length in the archive.
    pub length: u64,
}

/// The whole index.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tree {
    pub nodes: Vec<NodeRecord>,
    /// Each directory's entries together and sorted by name.
    pub entries: Vec<EntryRecord>,
    pub strings: String,
    pub extras: Vec<Extra>,
    pub packed: Vec<Packed>,
}

impl Tree {
    /// The node with the number `number`, and its index.
    pub(crate) fn node(&self, number: u64) -> Option<(u32, &NodeRecord)> {
        let index = number.checked_sub(1)?;
        Some((u32::try_from(index).ok()?, self.nodes.get(usize::try_from(index).ok()?)?))
    }

    pub(crate) fn extra(&self, node: &NodeRecord) -> Option<&Extra> {
        self.extras.get(node.extra as usize)
    }

    pub(crate) fn packed(&self, node: &NodeRecord) -> Option<&Packed> {
        self.packed.get(node.packed as usize)
    }

    /// The entries of a directory, as indices.
    pub(crate) fn range(node: &NodeRecord) -> Range<usize> {
        let start = usize::try_from(node.start).unwrap_or(usize::MAX);
        start..start.saturating_add(usize::try_from(node.length).unwrap_or(0))
    }

    pub(crate) fn entries(&self, dir: &NodeRecord) -> &[EntryRecord] {
        self.entries.get(Self::range(dir)).unwrap_or_default()
    }

    pub(crate) fn name(&self, entry: &EntryRecord) -> &str {
        let start = entry.name_start as usize;
        self.strings.get(start..start.saturating_add(entry.name_length.into())).unwrap_or_default()
    }

    /// The target of a symlink, when it is in the strings.
    pub(crate) fn target(&self, node: &NodeRecord) -> &str {
        self.strings.get(Self::range(node)).unwrap_or_default()
    }

    /// Finds `name` in a directory: the node's index.
    pub(crate) fn find(&self, dir: &NodeRecord, name: &str) -> Option<u32> {
        let entries = self.entries(dir);
        let at = entries.binary_search_by(|entry| {
            let own = self.name(entry);
            if own == name { Ordering::Equal } else { own.cmp(name) }
        });
        Some(entries.get(at.ok()?)?.node)
    }

    /// The attributes of the node with this index.
    pub(crate) fn attributes(&self, index: u32, node: &NodeRecord) -> Attributes {
        let size = match node.kind {
            Kind::File | Kind::Symlink => node.length,
            Kind::Directory => DIRECTORY_SIZE_BYTES,
            _ => 0,
        };
        let extra = self.extra(node);
        let there = match extra.and_then(|extra| extra.segments.as_ref()) {
            Some(segments) => segments.iter().map(|segment| segment.length).sum(),
            None if node.kind == Kind::File => node.length,
            None => 0,
        };
        let modified = Timestamp::from(node.modified);
        let or_modified = |time: Option<Time>| time.map_or(modified, Timestamp::from);
        Attributes {
            node: u64::from(index) + 1,
            kind: node.kind.into(),
            mode: u32::from(node.mode),
            links: node.links,
            uid: node.uid,
            gid: node.gid,
            device: if matches!(node.kind, Kind::CharacterDevice | Kind::BlockDevice) { node.start } else { 0 },
            size,
            blocks: there.div_ceil(512),
            accessed: or_modified(extra.and_then(|extra| extra.accessed)),
            modified,
            changed: or_modified(extra.and_then(|extra| extra.changed)),
            created: or_modified(extra.and_then(|extra| extra.created)),
            lifetime_ns: u64::MAX,
        }
    }
}
