//! Makes an image.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io::{self, Write};

use eyot_backend::{NodeKind, Timestamp};

use super::{
    BaseNode, DATA_ALIGN, ENTRY_BYTES, HEADER_BYTES, HEADER_FIELDS_BYTES, MAGIC, NODE_BYTES, encode_entry, encode_node,
    index_hash,
};
use eyot_backend::{check_name, check_target};

/// Permissions, owner and time of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meta {
    /// The low 12 bits of `st_mode`.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// All four of the node's times.
    pub modified: Timestamp,
}

impl Default for Meta {
    fn default() -> Self {
        Self::file()
    }
}

impl Meta {
    /// Mode 0644, owned by root, of 1970: the same input makes the same image.
    pub const fn file() -> Self {
        Self { mode: 0o644, uid: 0, gid: 0, modified: Timestamp { seconds: 0, nanoseconds: 0 } }
    }

    /// Mode 0755: a directory or a program.
    pub const fn executable() -> Self {
        Self { mode: 0o755, ..Self::file() }
    }

    /// With other permission bits.
    pub const fn with_mode(self, mode: u32) -> Self {
        Self { mode, ..self }
    }

    /// With another owner.
    pub const fn with_owner(self, uid: u32, gid: u32) -> Self {
        Self { uid, gid, ..self }
    }

    /// With another time.
    pub const fn with_modified(self, modified: Timestamp) -> Self {
        Self { modified, ..self }
    }
}

/// Why something could not be put into an image.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A part of the path is no name: empty, too long, `.`, `..`, or with a NUL.
    #[error("{path:?} is not a path for an image: use names of 1 to 255 bytes, without . and .., separated by /")]
    Path {
        /// The path as it was given.
        path: String,
    },
    /// The name is taken.
    #[error("{path} is in the image already")]
    Exists {
        /// The path as it was given.
        path: String,
    },
    /// The target of a hard link is not there, or is a directory.
    #[error("{path} is not in the image, or is a directory: a hard link needs a file that was added before")]
    LinkTarget {
        /// The path as it was given.
        path: String,
    },
    /// A part of the path is not a directory.
    #[error("a part of {path} is in the image as something else than a directory")]
    NotADirectory {
        /// The path as it was given.
        path: String,
    },
    /// A symlink's target is empty, longer than 4095 bytes or holds a NUL.
    #[error("the target of the symlink {path} is empty, longer than 4095 bytes or holds a NUL")]
    Target {
        /// The symlink's path.
        path: String,
    },
    /// Permission bits above 07777 or nanoseconds of a second or more.
    #[error("the mode or time of {path} is out of range")]
    Meta {
        /// The path as it was given.
        path: String,
    },
    /// More nodes or names than 32 bits can number.
    #[error("the image has more nodes or longer names than the format holds (4 GiB of names)")]
    TooLarge,
    /// The writer failed.
    #[error("cannot write the image: {0}")]
    Write(#[from] io::Error),
}

enum Body {
    Directory(BTreeMap<String, usize>),
    File { extent: usize },
    Symlink(String),
    Special { kind: NodeKind, device: u64 },
}

struct Item {
    meta: Meta,
    links: u32,
    body: Body,
}

/// Bytes that one or more files have.
struct Extent {
    bytes: Vec<u8>,
    blake3: [u8; 32],
    start: u64,
}

/// Collects a tree and writes it as an image. Files with the same bytes share them. Paths are separated by `/`; a leading `/` changes nothing; directories
/// on the way that were not added are made with [`Meta::executable`] (and take another [`Meta`] when they are added later).
///
/// The same calls with the same arguments make the same bytes.
pub struct ImageBuilder {
    items: Vec<Item>,
    extents: Vec<Extent>,
    extent_of: HashMap<[u8; 32], usize>,
    data_bytes: u64,
    implied: Vec<usize>,
}

const ROOT: usize = 0;

impl Default for ImageBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl ImageBuilder {
    /// An image of an empty root directory.
    pub fn new() -> Self {
        let root = Item { meta: Meta::executable(), links: 2, body: Body::Directory(BTreeMap::new()) };
        Self { items: vec![root], extents: Vec::new(), extent_of: HashMap::new(), data_bytes: 0, implied: vec![ROOT] }
    }

    /// Adds a directory, or gives its [`Meta`] to one that exists only because something was added below it (the root, too).
    pub fn add_dir(&mut self, path: &str, meta: Meta) -> Result<(), BuildError> {
        check_meta(path, meta)?;
        let existing = self.find(path)?;
        if let Some(existing) = existing
            && let Some(at) = self.implied.iter().position(|&implied| implied == existing)
        {
            self.implied.swap_remove(at);
            if let Some(item) = self.items.get_mut(existing) {
                item.meta = meta;
            }
            return Ok(());
        }
        self.add(path, meta, Body::Directory(BTreeMap::new())).map(drop)
    }

    /// Adds a regular file.
    pub fn add_file(&mut self, path: &str, meta: Meta, bytes: Vec<u8>) -> Result<(), BuildError> {
        let blake3 = *blake3::hash(&bytes).as_bytes();
        let known = self.extent_of.get(&blake3).copied();
        let extent = known.unwrap_or(self.extents.len());
        self.add(path, meta, Body::File { extent })?;
        if known.is_none() {
            let start = self.data_bytes;
            self.data_bytes += (bytes.len() as u64).next_multiple_of(DATA_ALIGN);
            self.extent_of.insert(blake3, extent);
            self.extents.push(Extent { bytes, blake3, start });
        }
        Ok(())
    }

    /// Adds a symlink. Its mode is 0777, whatever `meta` says.
    pub fn add_symlink(&mut self, path: &str, target: &str, meta: Meta) -> Result<(), BuildError> {
        check_target(target).map_err(|_| BuildError::Target { path: path.into() })?;
        self.add(path, meta.with_mode(0o777), Body::Symlink(target.into())).map(drop)
    }

    /// Adds another name of what is at `existing`, which is not a directory.
    pub fn add_hardlink(&mut self, path: &str, existing: &str) -> Result<(), BuildError> {
        let wrong = || BuildError::LinkTarget { path: existing.into() };
        let target = self.find(existing)?.ok_or_else(wrong)?;
        let item = self.items.get(target).filter(|item| !matches!(item.body, Body::Directory(_))).ok_or_else(wrong)?;
        let links = item.links.checked_add(1).ok_or(BuildError::TooLarge)?;
        self.name(path, target)?;
        if let Some(item) = self.items.get_mut(target) {
            item.links = links;
        }
        Ok(())
    }

    /// Adds a FIFO, a socket's name or a device node with device number `device` (0 but for devices).
    pub fn add_special(&mut self, path: &str, kind: NodeKind, device: u64, meta: Meta) -> Result<(), BuildError> {
        if matches!(kind, NodeKind::File | NodeKind::Directory | NodeKind::Symlink) {
            return Err(BuildError::Path { path: path.into() });
        }
        self.add(path, meta, Body::Special { kind, device }).map(drop)
    }

    /// Whether something is at `path`.
    pub fn contains(&self, path: &str) -> bool {
        matches!(self.find(path), Ok(Some(_)))
    }

    /// The image as bytes in memory.
    pub fn to_vec(&self) -> Result<Vec<u8>, BuildError> {
        let mut out = Vec::new();
        self.write_to(&mut out)?;
        Ok(out)
    }

    /// Writes the image; answers the hash that names it ([`BaseImage::hash`](super::BaseImage::hash)). Give a file a buffered writer.
    pub fn write_to<W: Write>(&self, mut out: W) -> Result<[u8; 32], BuildError> {
        let index = self.index()?;
        let (header, hash) = self.header(&index)?;
        out.write_all(&header)?;
        out.write_all(&index.bytes)?;
        pad(&mut out, (header.len() + index.bytes.len()) as u64)?;
        for extent in &self.extents {
            out.write_all(&extent.bytes)?;
            pad(&mut out, extent.bytes.len() as u64)?;
        }
        out.flush()?;
        Ok(hash)
    }

    fn add(&mut self, path: &str, meta: Meta, body: Body) -> Result<usize, BuildError> {
        check_meta(path, meta)?;
        let links = if matches!(body, Body::Directory(_)) { 2 } else { 1 };
        let item = self.items.len();
        self.name(path, item)?;
        self.items.push(Item { meta, links, body });
        if links == 2
            && let Ok((parent, _)) = self.parent(path)
            && let Some(parent) = self.items.get_mut(parent)
        {
            parent.links += 1;
        }
        Ok(item)
    }

    /// Makes `path` a name of `item`.
    fn name(&mut self, path: &str, item: usize) -> Result<(), BuildError> {
        let (dir_path, name) = split(path)?;
        let taken = || BuildError::Exists { path: path.into() };
        if self.find(path)?.is_some() {
            return Err(taken());
        }
        // A directory made on the way is pushed before the item itself: then the item's number is another.
        let items_before = self.items.len();
        let dir = self.make_dirs(path, &dir_path)?;
        let item = if item == items_before { self.items.len() } else { item };
        match self.items.get_mut(dir).map(|dir| &mut dir.body) {
            Some(Body::Directory(entries)) => entries.insert(name.into(), item).map_or(Ok(()), |_| Err(taken())),
            _ => Err(BuildError::NotADirectory { path: path.into() }),
        }
    }

    fn make_dirs(&mut self, path: &str, names: &[&str]) -> Result<usize, BuildError> {
        let mut dir = ROOT;
        for name in names {
            let next = self.items.len();
            match self.items.get_mut(dir).map(|dir| (&mut dir.body, &mut dir.links)) {
                Some((Body::Directory(entries), links)) => match entries.get(*name) {
                    Some(&child) => dir = child,
                    None => {
                        entries.insert((*name).into(), next);
                        *links += 1;
                        let body = Body::Directory(BTreeMap::new());
                        self.items.push(Item { meta: Meta::executable(), links: 2, body });
                        self.implied.push(next);
                        dir = next;
                    }
                },
                _ => return Err(BuildError::NotADirectory { path: path.into() }),
            }
        }
        Ok(dir)
    }

    fn parent<'p>(&self, path: &'p str) -> Result<(usize, &'p str), BuildError> {
        let (dirs, name) = split(path)?;
        let mut dir = ROOT;
        for part in dirs {
            match self.items.get(dir).map(|dir| &dir.body) {
                Some(Body::Directory(entries)) => match entries.get(part) {
                    Some(&child) => dir = child,
                    None => return Err(BuildError::LinkTarget { path: path.into() }),
                },
                _ => return Err(BuildError::NotADirectory { path: path.into() }),
            }
        }
        Ok((dir, name))
    }

    fn find(&self, path: &str) -> Result<Option<usize>, BuildError> {
        if path.split('/').all(str::is_empty) {
            return Ok(Some(ROOT));
        }
        let (dir, name) = match self.parent(path) {
            Ok(found) => found,
            Err(BuildError::LinkTarget { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        match self.items.get(dir).map(|dir| &dir.body) {
            Some(Body::Directory(entries)) => Ok(entries.get(name).copied()),
            _ => Err(BuildError::NotADirectory { path: path.into() }),
        }
    }

    /// Numbers the nodes, directories first by breadth, and lays the three tables of the index out.
    fn index(&self) -> Result<Index, BuildError> {
        let order = self.order();
        let mut numbers = vec![0_u32; self.items.len()];
        for (number, &item) in order.iter().enumerate() {
            if let Some(slot) = numbers.get_mut(item) {
                *slot = u32::try_from(number).map_err(|_| BuildError::TooLarge)?;
            }
        }
        let (mut nodes, mut entries, mut strings) = (Vec::new(), Vec::new(), Strings::default());
        for item in order.iter().filter_map(|&item| self.items.get(item)) {
            let mut node = BaseNode {
                kind: NodeKind::File,
                mode: item.meta.mode,
                uid: item.meta.uid,
                gid: item.meta.gid,
                links: item.links,
                modified: item.meta.modified,
                device: 0,
                start: 0,
                length: 0,
                blake3: [0; 32],
            };
            match &item.body {
                Body::Directory(names) => {
                    node.kind = NodeKind::Directory;
                    node.start = (entries.len() / ENTRY_BYTES) as u64;
                    node.length = names.len() as u64;
                    for (name, &child) in names {
                        let start = strings.add(name)?;
                        let number = numbers.get(child).copied().unwrap_or_default();
                        encode_entry(start, name.len() as u16, number, &mut entries);
                    }
                }
                Body::File { extent } => {
                    if let Some(extent) = self.extents.get(*extent) {
                        node.start = extent.start;
                        node.length = extent.bytes.len() as u64;
                        node.blake3 = extent.blake3;
                    }
                }
                Body::Symlink(target) => {
                    node.kind = NodeKind::Symlink;
                    node.start = u64::from(strings.add(target)?);
                    node.length = target.len() as u64;
                }
                Body::Special { kind, device } => {
                    node.kind = *kind;
                    node.device = *device;
                }
            }
            encode_node(&node, &mut nodes);
        }
        let counts = (nodes.len() / NODE_BYTES, entries.len() / ENTRY_BYTES);
        let counts = (u32::try_from(counts.0), u32::try_from(counts.1));
        let (Ok(node_count), Ok(entry_count)) = counts else { return Err(BuildError::TooLarge) };
        let strings_len = strings.bytes.len() as u64;
        nodes.append(&mut entries);
        nodes.append(&mut strings.bytes);
        Ok(Index { bytes: nodes, node_count, entry_count, strings_len })
    }

    /// The items in the order of their numbers: by breadth, so that a directory comes after its parent.
    fn order(&self) -> Vec<usize> {
        let mut order = Vec::with_capacity(self.items.len());
        let mut seen = vec![false; self.items.len()];
        let mut queue = VecDeque::from([ROOT]);
        while let Some(item) = queue.pop_front() {
            if seen.get_mut(item).is_none_or(|seen| std::mem::replace(seen, true)) {
                continue;
            }
            order.push(item);
            if let Some(Body::Directory(entries)) = self.items.get(item).map(|item| &item.body) {
                queue.extend(entries.values());
            }
        }
        order
    }

    fn header(&self, index: &Index) -> Result<(Vec<u8>, [u8; 32]), BuildError> {
        let data_start = ((HEADER_BYTES + index.bytes.len()) as u64).next_multiple_of(DATA_ALIGN);
        let total = data_start.checked_add(self.data_bytes).ok_or(BuildError::TooLarge)?;
        let mut header = Vec::with_capacity(HEADER_BYTES);
        header.extend_from_slice(&MAGIC);
        header.extend_from_slice(&total.to_le_bytes());
        header.extend_from_slice(&index.node_count.to_le_bytes());
        header.extend_from_slice(&index.entry_count.to_le_bytes());
        for word in [index.strings_len, data_start, self.data_bytes] {
            header.extend_from_slice(&word.to_le_bytes());
        }
        header.resize(HEADER_FIELDS_BYTES, 0);
        let hash = index_hash(&header, &index.bytes);
        header.extend_from_slice(&hash);
        Ok((header, hash))
    }
}

struct Index {
    bytes: Vec<u8>,
    node_count: u32,
    entry_count: u32,
    strings_len: u64,
}

/// The strings, each once.
#[derive(Default)]
struct Strings<'a> {
    bytes: Vec<u8>,
    starts: HashMap<&'a str, u32>,
}

impl<'a> Strings<'a> {
    fn add(&mut self, string: &'a str) -> Result<u32, BuildError> {
        if let Some(&start) = self.starts.get(string) {
            return Ok(start);
        }
        let start = u32::try_from(self.bytes.len()).map_err(|_| BuildError::TooLarge)?;
        self.bytes.extend_from_slice(string.as_bytes());
        self.starts.insert(string, start);
        Ok(start)
    }
}

fn check_meta(path: &str, meta: Meta) -> Result<(), BuildError> {
    if meta.mode > 0o7777 || meta.modified.nanoseconds >= 1_000_000_000 {
        return Err(BuildError::Meta { path: path.into() });
    }
    Ok(())
}

/// The names on the way to the last one, and the last one.
fn split(path: &str) -> Result<(Vec<&str>, &str), BuildError> {
    let wrong = || BuildError::Path { path: path.into() };
    let mut names: Vec<&str> = path.split('/').filter(|name| !name.is_empty()).collect();
    if names.iter().any(|name| check_name(name).is_err()) {
        return Err(wrong());
    }
    let last = names.pop().ok_or_else(wrong)?;
    Ok((names, last))
}

fn pad<W: Write>(mut out: W, length: u64) -> io::Result<()> {
    let missing = length.next_multiple_of(DATA_ALIGN) - length;
    out.write_all(&[0_u8; DATA_ALIGN as usize][..missing as usize])
}
