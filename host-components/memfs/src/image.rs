//! The base image: a read-only tree in one file that is used where it lies, as a map of the file or as bytes in memory.
//!
//! ```text
//! header    96 bytes: magic, lengths, BLAKE3 of the header's fields and the index
//! nodes     96 bytes each; node 0 is the root; a directory's number is greater than its parent's
//! entries   16 bytes each; a directory's are contiguous and sorted by name; directories follow each other in the order of their numbers
//! strings   names and symlink targets, UTF-8, without terminators
//! data      the files' bytes, each file at a multiple of 4096
//! ```
//! All numbers are little-endian. [`BaseImage::open`] validates the whole index, so that nothing that reads it afterwards can go wrong; it does
//! not touch the data. The header's hash covers the index, and the index holds the hash of every file: [`BaseImage::hash`] names the
//! image's whole contents, and [`BaseImage::verify`] checks the data against it.

use std::ops::Range;
use std::sync::Arc;

use eyot_backend::{Attributes, Content, NodeKind, Timestamp};

mod builder;
mod validate;

pub use builder::{BuildError, ImageBuilder, Meta};

/// The bytes of an image: a memory map, a `Vec<u8>`, or anything else that answers the same slice every time.
///
/// A map of a file that somebody else shortens while it is in use ends the host's process with `SIGBUS`: keep images where only the embedder writes.
pub type ImageBytes = Arc<dyn AsRef<[u8]> + Send + Sync>;

const MAGIC: [u8; 8] = *b"eyotimg\x01";
const HEADER_BYTES: usize = 96;
const HEADER_FIELDS_BYTES: usize = 64;
const NODE_BYTES: usize = 96;
const ENTRY_BYTES: usize = 16;
const DATA_ALIGN: u64 = 4096;

/// Why an image was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImageError {
    /// It does not begin as an image does.
    #[error("not an Eyot base image (or one of another version): the first 8 bytes are not \"eyotimg\" and version 1")]
    NotAnImage,
    /// It is shorter or longer than its header says.
    #[error(
        "the image is {actual} bytes long but its header says {expected}: it was truncated or is damaged; build or fetch it again"
    )]
    Length {
        /// What the header says.
        expected: u64,
        /// What there is.
        actual: u64,
    },
    /// The hash of the index is not the one in the header.
    #[error("the image's index does not have the hash that its header names: it is damaged; build or fetch it again")]
    IndexHash,
    /// A file's bytes do not have the hash that the index names.
    #[error(
        "the bytes of node {node} do not have the hash that the image's index names: it is damaged; build or fetch it again"
    )]
    DataHash {
        /// The file's number, from 1.
        node: u64,
    },
    /// The index cannot be true.
    #[error("the image's index is malformed: {what} (at {part} {index})")]
    Malformed {
        /// What is wrong.
        what: &'static str,
        /// Of which kind the culprit is: node or entry.
        part: &'static str,
        /// The culprit's index.
        index: u32,
    },
}

/// Where the parts of an image lie.
#[derive(Debug, Clone)]
struct Layout {
    node_count: u32,
    entry_count: u32,
    nodes: Range<usize>,
    entries: Range<usize>,
    strings: Range<usize>,
    data: Range<usize>,
}

/// One node of an image, decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BaseNode {
    pub kind: NodeKind,
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub links: u32,
    pub modified: Timestamp,
    pub device: u64,
    /// File: offset in the data part. Directory: index of the first entry. Symlink: offset in the strings.
    pub start: u64,
    /// File and symlink: length in bytes. Directory: number of entries.
    pub length: u64,
    pub blake3: [u8; 32],
}

/// One entry of a directory in an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BaseEntry<'a> {
    pub name: &'a str,
    /// The node's index, from 0.
    pub node: u32,
}

/// An immutable tree of files, shared by every VM that is built over it.
///
/// ```
/// use eyot_memfs::{BaseImage, ImageBuilder, Meta};
/// use std::sync::Arc;
///
/// let mut builder = ImageBuilder::new();
/// builder.add_file("/etc/motd", Meta::file(), b"hello\n".to_vec())?;
/// builder.add_symlink("/etc/issue", "motd", Meta::file())?;
/// let image = BaseImage::open(Arc::new(builder.to_vec()?))?;
/// assert_eq!(image.node_count(), 4); // "/", "/etc" and the two
/// image.verify()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct BaseImage {
    bytes: ImageBytes,
    layout: Layout,
    hash: [u8; 32],
}

impl std::fmt::Debug for BaseImage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BaseImage")
            .field("nodes", &self.layout.node_count)
            .field("data_bytes", &self.data_bytes())
            .finish_non_exhaustive()
    }
}

impl BaseImage {
    /// Validates an image's index and takes it into use. The data is not read: the caller vouches that it is what the index says, or calls
    /// [`verify`](Self::verify). The hashes of the index are handed on as they are, and a kernel keys compiled code by them, so an image from
    /// a stranger must be verified.
    pub fn open(bytes: ImageBytes) -> Result<Self, ImageError> {
        let (layout, hash) = validate::validate((*bytes).as_ref())?;
        Ok(Self { bytes, layout, hash })
    }

    /// Hashes every file and compares with the index.
    pub fn verify(&self) -> Result<(), ImageError> {
        for index in 0..self.layout.node_count {
            let Some(node) = self.node(index) else { continue };
            if node.kind == NodeKind::File && *blake3::hash(self.data(&node)).as_bytes() != node.blake3 {
                return Err(ImageError::DataHash { node: u64::from(index) + 1 });
            }
        }
        Ok(())
    }

    /// The hash that names the image's contents.
    pub fn hash(&self) -> [u8; 32] {
        self.hash
    }

    /// How many inodes there are.
    pub fn node_count(&self) -> u32 {
        self.layout.node_count
    }

    /// How many bytes the files' data takes.
    pub fn data_bytes(&self) -> u64 {
        self.layout.data.len() as u64
    }

    /// The node with index `index` (from 0).
    pub(crate) fn node(&self, index: u32) -> Option<BaseNode> {
        if index >= self.layout.node_count {
            return None;
        }
        decode_node(self.part(&self.layout.nodes), index)
    }

    /// The entries of a directory, as indices for [`entry`](Self::entry).
    pub(crate) fn entries(&self, dir: &BaseNode) -> Range<u32> {
        let start = u32::try_from(dir.start).unwrap_or(u32::MAX);
        start..start.saturating_add(u32::try_from(dir.length).unwrap_or(0))
    }

    /// The entry with index `index` of all entries.
    pub(crate) fn entry(&self, index: u32) -> Option<BaseEntry<'_>> {
        decode_entry(self.part(&self.layout.entries), self.part(&self.layout.strings), index)
    }

    /// Finds `name` in a directory: the entry's index.
    pub(crate) fn find(&self, dir: &BaseNode, name: &str) -> Option<(u32, BaseEntry<'_>)> {
        let Range { start: mut low, end: mut high } = self.entries(dir);
        while low < high {
            let middle = low + (high - low) / 2;
            let entry = self.entry(middle)?;
            match entry.name.cmp(name) {
                std::cmp::Ordering::Equal => return Some((middle, entry)),
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        None
    }

    /// The bytes of a file.
    pub(crate) fn data(&self, file: &BaseNode) -> &[u8] {
        slice(self.part(&self.layout.data), file.start, file.length).unwrap_or_default()
    }

    /// The target of a symlink.
    pub(crate) fn target(&self, symlink: &BaseNode) -> &str {
        slice(self.part(&self.layout.strings), symlink.start, symlink.length)
            .and_then(|bytes| std::str::from_utf8(bytes).ok())
            .unwrap_or_default()
    }

    /// A file's bytes in place.
    pub(crate) fn content(&self, file: &BaseNode) -> Content {
        let start = self.layout.data.start.saturating_add(usize::try_from(file.start).unwrap_or(usize::MAX));
        let end = start.saturating_add(usize::try_from(file.length).unwrap_or(0));
        let bytes = Arc::new(FileBytes { image: Arc::clone(&self.bytes), range: start..end });
        Content { bytes, blake3: Some(file.blake3) }
    }

    fn part(&self, range: &Range<usize>) -> &[u8] {
        (*self.bytes).as_ref().get(range.clone()).unwrap_or_default()
    }
}

impl BaseNode {
    /// The attributes as node number `number`.
    pub(crate) fn attributes(&self, number: u64) -> Attributes {
        let size = match self.kind {
            NodeKind::File | NodeKind::Symlink => self.length,
            NodeKind::Directory => crate::DIRECTORY_SIZE_BYTES,
            _ => 0,
        };
        let blocks = if self.kind == NodeKind::File { size.div_ceil(DATA_ALIGN) * (DATA_ALIGN / 512) } else { 0 };
        Attributes {
            node: number,
            kind: self.kind,
            mode: self.mode,
            links: self.links,
            uid: self.uid,
            gid: self.gid,
            device: self.device,
            size,
            blocks,
            accessed: self.modified,
            modified: self.modified,
            changed: self.modified,
            created: self.modified,
            lifetime_ns: crate::ATTRIBUTES_LIFETIME_NS,
        }
    }
}

/// Part of an image, as an owner of its own.
struct FileBytes {
    image: ImageBytes,
    range: Range<usize>,
}

impl AsRef<[u8]> for FileBytes {
    fn as_ref(&self) -> &[u8] {
        (*self.image).as_ref().get(self.range.clone()).unwrap_or_default()
    }
}

fn slice(bytes: &[u8], start: u64, length: u64) -> Option<&[u8]> {
    let start = usize::try_from(start).ok()?;
    bytes.get(start..start.checked_add(usize::try_from(length).ok()?)?)
}

fn u16_at(record: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(record.get(at..at + 2)?.try_into().ok()?))
}

fn u32_at(record: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(record.get(at..at + 4)?.try_into().ok()?))
}

fn u64_at(record: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(record.get(at..at + 8)?.try_into().ok()?))
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

fn decode_node(nodes: &[u8], index: u32) -> Option<BaseNode> {
    let record = slice(nodes, u64::from(index) * NODE_BYTES as u64, NODE_BYTES as u64)?;
    Some(BaseNode {
        kind: *KINDS.get(u32_at(record, 0)? as usize)?,
        mode: u32_at(record, 4)?,
        uid: u32_at(record, 8)?,
        gid: u32_at(record, 12)?,
        links: u32_at(record, 16)?,
        modified: Timestamp { nanoseconds: u32_at(record, 20)?, seconds: u64_at(record, 24)? as i64 },
        device: u64_at(record, 32)?,
        start: u64_at(record, 40)?,
        length: u64_at(record, 48)?,
        blake3: record.get(64..96)?.try_into().ok()?,
    })
}

fn encode_node(node: &BaseNode, out: &mut Vec<u8>) {
    let kind = KINDS.iter().position(|&kind| kind == node.kind).unwrap_or_default() as u32;
    for word in [kind, node.mode, node.uid, node.gid, node.links, node.modified.nanoseconds] {
        out.extend_from_slice(&word.to_le_bytes());
    }
    out.extend_from_slice(&node.modified.seconds.to_le_bytes());
    for word in [node.device, node.start, node.length, 0] {
        out.extend_from_slice(&word.to_le_bytes());
    }
    out.extend_from_slice(&node.blake3);
}

fn decode_entry<'a>(entries: &[u8], strings: &'a [u8], index: u32) -> Option<BaseEntry<'a>> {
    let record = slice(entries, u64::from(index) * ENTRY_BYTES as u64, ENTRY_BYTES as u64)?;
    let name = slice(strings, u64::from(u32_at(record, 0)?), u64::from(u16_at(record, 4)?))?;
    Some(BaseEntry { name: std::str::from_utf8(name).ok()?, node: u32_at(record, 8)? })
}

fn encode_entry(name_start: u32, name_length: u16, node: u32, out: &mut Vec<u8>) {
    out.extend_from_slice(&name_start.to_le_bytes());
    out.extend_from_slice(&name_length.to_le_bytes());
    out.extend_from_slice(&[0; 2]);
    out.extend_from_slice(&node.to_le_bytes());
    out.extend_from_slice(&[0; 4]);
}

fn index_hash(header_fields: &[u8], index: &[u8]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(header_fields);
    hasher.update(index);
    *hasher.finalize().as_bytes()
}

#[cfg(test)]
mod tests;
