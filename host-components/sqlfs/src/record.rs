//! An inode's row, in memory and in the database.

use std::collections::BTreeMap;

use eyot_backend::{Attributes, Errno, Node, NodeKind, Ownership, Timestamp};
use rusqlite::Row;

use crate::dirty::DirtyChunk;
use crate::error::Res;
use crate::quota::INODE_BYTES;

/// The bits of a mode that a node has beside its kind.
pub(crate) const MODE_MASK: u32 = 0o7777;
/// The longest file.
pub(crate) const FILE_BYTES_MAX: u64 = i64::MAX as u64;
/// The size that a directory answers with, in bytes: directories have no contents of their own.
const DIRECTORY_SIZE_BYTES: u64 = 4096;
/// The longest that all extended attributes of an inode may be together, so that a row stays of a size to be written often.
pub(crate) const XATTRS_BYTES_MAX: usize = 256 << 10;

pub(crate) type Xattrs = BTreeMap<String, Vec<u8>>;

/// What an inode holds beside its attributes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Body {
    /// A short file's bytes, or a symlink's target.
    Inline(Vec<u8>),
    /// A file in chunks.
    Chunks,
    /// Nothing: a directory, a special file.
    None,
}

/// Whose entries or extents an inode has not copied yet: those of an inode, as they were in an epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    pub ino: i64,
    pub epoch: i64,
}

/// An inode.
#[derive(Clone)]
pub(crate) struct Record {
    pub kind: NodeKind,
    pub mode: u32,
    /// Names of this inode; for a directory 2 and its subdirectories. 0 once the last name is gone.
    pub links: u32,
    pub uid: u32,
    pub gid: u32,
    pub device: u64,
    pub size: u64,
    /// The bytes of its chunks in the database.
    pub stored: u64,
    /// A directory's parent.
    pub parent: i64,
    pub origin: Option<Origin>,
    pub accessed: Timestamp,
    pub modified: Timestamp,
    pub changed: Timestamp,
    pub created: Timestamp,
    pub xattrs: Option<Box<Xattrs>>,
    pub body: Body,

    /// The epoch since which the row is as it is.
    pub born: i64,
    /// What the row counts in the database; 0 when there is none yet.
    pub row_bytes: u64,
    /// What is reserved for what waits in memory.
    pub reserved: u64,
    /// Whether the row, or a chunk, waits to be written.
    pub dirty: bool,
    /// Chunks that wait to be written.
    pub chunks: BTreeMap<u64, DirtyChunk>,
    /// No chunk of this index or above is in the database.
    pub extents_end: u64,
    /// The batch in which its entries or extents in the database last changed.
    pub batch: u64,
}

impl Record {
    pub(crate) fn new(kind: NodeKind, body: Body, owner: Ownership, now: Timestamp) -> Self {
        let size = if let Body::Inline(bytes) = &body { bytes.len() as u64 } else { 0 };
        Self {
            kind,
            mode: owner.mode & MODE_MASK,
            links: if kind == NodeKind::Directory { 2 } else { 1 },
            uid: owner.uid,
            gid: owner.gid,
            device: 0,
            size,
            stored: 0,
            parent: 0,
            origin: None,
            accessed: now,
            modified: now,
            changed: now,
            created: now,
            xattrs: None,
            body,
            born: 0,
            row_bytes: 0,
            reserved: 0,
            dirty: false,
            chunks: BTreeMap::new(),
            extents_end: 0,
            batch: 0,
        }
    }

    pub(crate) fn is_directory(&self) -> bool {
        self.kind == NodeKind::Directory
    }

    pub(crate) fn directory(&self) -> Result<(), Errno> {
        if self.is_directory() { Ok(()) } else { Err(Errno::Notdir) }
    }

    /// A directory in which names can still be made.
    pub(crate) fn living_directory(&self) -> Result<(), Errno> {
        self.directory()?;
        if self.links == 0 { Err(Errno::Noent) } else { Ok(()) }
    }

    /// Refuses what is not a regular file, as read(2) and write(2) do.
    pub(crate) fn file(&self) -> Result<(), Errno> {
        match self.kind {
            NodeKind::File => Ok(()),
            NodeKind::Directory => Err(Errno::Isdir),
            _ => Err(Errno::Inval),
        }
    }

    /// Marks a change of the contents.
    pub(crate) fn touch(&mut self, now: Timestamp) {
        self.modified = now;
        self.changed = now;
    }

    /// Whether a read must be noted: as Linux's `relatime`, when nothing was read since the last change.
    pub(crate) fn wants_accessed(&self) -> bool {
        self.accessed <= self.modified || self.accessed <= self.changed
    }

    pub(crate) fn attributes(&self, node: i64, lifetime_ns: u64) -> Attributes {
        let size = if self.is_directory() { DIRECTORY_SIZE_BYTES } else { self.size };
        Attributes {
            node: node as Node,
            kind: self.kind,
            mode: self.mode,
            links: self.links,
            uid: self.uid,
            gid: self.gid,
            device: self.device,
            size,
            blocks: self.space_bytes().div_ceil(4096).saturating_mul(8),
            accessed: self.accessed,
            modified: self.modified,
            changed: self.changed,
            created: self.created,
            lifetime_ns,
        }
    }

    /// The space that the contents take, those that wait in memory included.
    fn space_bytes(&self) -> u64 {
        match &self.body {
            Body::Inline(bytes) if self.kind == NodeKind::File => bytes.len() as u64,
            Body::Inline(_) | Body::None => 0,
            Body::Chunks => {
                let waiting: u64 = self.chunks.values().map(|chunk| chunk.bytes.len() as u64).sum();
                let replaced = self.chunks.values().map(|chunk| chunk.stored_bytes).sum();
                self.stored.saturating_sub(replaced).saturating_add(waiting)
            }
        }
    }
}

const KINDS: [NodeKind; 7] = [
    NodeKind::File,
    NodeKind::Directory,
    NodeKind::Symlink,
    NodeKind::Fifo,
    NodeKind::Socket,
    NodeKind::CharacterDevice,
    NodeKind::BlockDevice,
];

pub(crate) fn kind_code(kind: NodeKind) -> i64 {
    KINDS.iter().position(|&known| known == kind).unwrap_or_default() as i64
}

fn kind_of(code: i64) -> Result<NodeKind, Errno> {
    usize::try_from(code).ok().and_then(|code| KINDS.get(code).copied()).ok_or(Errno::Io)
}

/// The four times in a row: seconds and nanoseconds of each, little-endian.
pub(crate) fn times_blob(record: &Record) -> [u8; 48] {
    let mut blob = [0; 48];
    let times = [record.accessed, record.modified, record.changed, record.created];
    for (place, time) in blob.chunks_exact_mut(12).zip(times) {
        let (seconds, nanoseconds) = place.split_at_mut(8);
        seconds.copy_from_slice(&time.seconds.to_le_bytes());
        nanoseconds.copy_from_slice(&time.nanoseconds.to_le_bytes());
    }
    blob
}

fn times_of(blob: &[u8]) -> Result<[Timestamp; 4], Errno> {
    let mut times = [Timestamp::default(); 4];
    if blob.len() != 48 {
        return Err(Errno::Io);
    }
    for (time, place) in times.iter_mut().zip(blob.chunks_exact(12)) {
        let (seconds, nanoseconds) = place.split_at(8);
        time.seconds = i64::from_le_bytes(seconds.try_into().map_err(|_| Errno::Io)?);
        time.nanoseconds = u32::from_le_bytes(nanoseconds.try_into().map_err(|_| Errno::Io)?);
        if time.nanoseconds >= 1_000_000_000 {
            return Err(Errno::Io);
        }
    }
    Ok(times)
}

/// Extended attributes in a row: for each the lengths of name and value, then both.
pub(crate) fn xattrs_blob(xattrs: &Xattrs) -> Vec<u8> {
    let mut blob = Vec::with_capacity(xattrs_bytes(xattrs));
    for (name, value) in xattrs {
        blob.extend_from_slice(&(name.len() as u32).to_le_bytes());
        blob.extend_from_slice(&(value.len() as u32).to_le_bytes());
        blob.extend_from_slice(name.as_bytes());
        blob.extend_from_slice(value);
    }
    blob
}

/// How long that is.
pub(crate) fn xattrs_bytes(xattrs: &Xattrs) -> usize {
    xattrs.iter().map(|(name, value)| 8 + name.len() + value.len()).sum()
}

fn xattrs_of(mut blob: &[u8]) -> Result<Option<Box<Xattrs>>, Errno> {
    let mut xattrs = Xattrs::new();
    while !blob.is_empty() {
        let name_bytes = take_number(&mut blob)?;
        let value_bytes = take_number(&mut blob)?;
        let name = take(&mut blob, name_bytes)?;
        let value = take(&mut blob, value_bytes)?;
        let name = std::str::from_utf8(name).map_err(|_| Errno::Io)?;
        xattrs.insert(name.to_owned(), value.to_owned());
    }
    Ok((!xattrs.is_empty()).then(|| Box::new(xattrs)))
}

fn take<'a>(blob: &mut &'a [u8], count: usize) -> Result<&'a [u8], Errno> {
    let (taken, rest) = blob.split_at_checked(count).ok_or(Errno::Io)?;
    *blob = rest;
    Ok(taken)
}

fn take_number(blob: &mut &[u8]) -> Result<usize, Errno> {
    let bytes = take(blob, 4)?;
    Ok(u32::from_le_bytes(bytes.try_into().map_err(|_| Errno::Io)?) as usize)
}

/// Reads an inode from [`INODE_COLUMNS`](crate::schema::INODE_COLUMNS), which begin at column `at`. What cannot be is `EIO`.
pub(crate) fn record_of(row: &Row<'_>, at: usize, chunk_bytes: u64) -> Res<Record> {
    let number = |column: usize| row.get::<_, i64>(at + column);
    let small = |column: usize| number(column).map(|value| u32::try_from(value).map_err(|_| Errno::Io));
    let size = |column: usize| number(column).map(|value| u64::try_from(value).map_err(|_| Errno::Io));
    let kind = kind_of(number(1)?)?;
    let [accessed, modified, changed, created] = times_of(row.get_ref(at + 12)?.as_blob().map_err(|_| Errno::Io)?)?;
    let xattrs = row.get_ref(at + 13)?.as_blob_or_null().map_err(|_| Errno::Io)?;
    let data = row.get_ref(at + 14)?.as_blob_or_null().map_err(|_| Errno::Io)?;
    let body = match (kind, data) {
        (NodeKind::File | NodeKind::Symlink, Some(data)) => Body::Inline(data.to_owned()),
        (NodeKind::File, None) => Body::Chunks,
        (NodeKind::Symlink, None) => return Err(Errno::Io.into()),
        _ => Body::None,
    };
    let origin = match (row.get::<_, Option<i64>>(at + 10)?, row.get::<_, Option<i64>>(at + 11)?) {
        (Some(ino), Some(epoch)) => Some(Origin { ino, epoch }),
        (None, None) => None,
        _ => return Err(Errno::Io.into()),
    };
    let record = Record {
        kind,
        mode: small(2)?? & MODE_MASK,
        links: small(3)??,
        uid: small(4)??,
        gid: small(5)??,
        device: number(6)? as u64,
        size: size(7)??,
        stored: size(8)??,
        parent: number(9)?,
        origin,
        accessed,
        modified,
        changed,
        created,
        row_bytes: row_bytes(xattrs.map_or(0, <[u8]>::len), data.map_or(0, <[u8]>::len)),
        xattrs: xattrs_of(xattrs.unwrap_or_default())?,
        born: number(0)?,
        extents_end: if body == Body::Chunks { size(7)??.div_ceil(chunk_bytes) } else { 0 },
        body,
        reserved: 0,
        dirty: false,
        chunks: BTreeMap::new(),
        batch: 0,
    };
    // A short file or a symlink is as long as its bytes are.
    if matches!(&record.body, Body::Inline(bytes) if bytes.len() as u64 != record.size) {
        return Err(Errno::Io.into());
    }
    Ok(record)
}

/// What a row counts.
pub(crate) fn row_bytes(xattrs: usize, data: usize) -> u64 {
    INODE_BYTES + (xattrs + data) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn xattrs_and_times_round_trip_and_nonsense_is_refused() {
        let mut xattrs = Xattrs::new();
        xattrs.insert("user.a".into(), vec![0, 255]);
        xattrs.insert("user.empty".into(), Vec::new());
        let blob = xattrs_blob(&xattrs);
        assert_eq!(blob.len(), xattrs_bytes(&xattrs));
        assert_eq!(xattrs_of(&blob).unwrap().as_deref(), Some(&xattrs));
        assert_eq!(xattrs_of(&[]).unwrap(), None);
        for cut in 1..blob.len() {
            let whole_first = cut == 8 + 6 + 2;
            assert_eq!(xattrs_of(&blob[..cut]).is_ok(), whole_first, "{cut}");
        }
        assert!(xattrs_of(&[0xff; 64]).is_err());
        let record = Record {
            modified: Timestamp { seconds: i64::MIN, nanoseconds: 999_999_999 },
            ..Record::new(
                NodeKind::File,
                Body::Chunks,
                Ownership { mode: 0, uid: 0, gid: 0 },
                Timestamp { seconds: i64::MAX, nanoseconds: 1 },
            )
        };
        let times = times_of(&times_blob(&record)).unwrap();
        assert_eq!(times, [record.accessed, record.modified, record.changed, record.created]);
        assert!(times_of(&[0xff; 48]).is_err() && times_of(&[0; 47]).is_err());
    }
}
