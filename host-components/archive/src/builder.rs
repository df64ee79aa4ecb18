//! Makes the index from entries in the order of the archive, as unpacking would make the tree: later entries replace earlier ones.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};

use crate::error::{ArchiveError, Warnings, shortened};
use crate::options::ArchiveOptions;
use crate::order::in_order;
use crate::tree::{EntryRecord, Extra, Kind, NONE, NodeRecord, Packed, Time, Tree};

/// The longest path and the longest target of a symlink, in bytes (`PATH_MAX` less its NUL).
pub(crate) const PATH_BYTES_MAX: usize = 4095;
/// The longest name, in bytes.
pub(crate) const NAME_BYTES_MAX: usize = 255;
/// The longest value of an extended attribute, in bytes (Linux's `XATTR_SIZE_MAX`).
pub(crate) const XATTR_BYTES_MAX: usize = 64 * 1024;
/// The root's index.
pub(crate) const ROOT: u32 = 0;

/// An entry of the archive that makes a node.
pub(crate) struct NewEntry<'a> {
    pub path: &'a [u8],
    pub kind: Kind,
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub modified: Time,
    pub body: Body<'a>,
    pub extra: Extra,
    /// Where in the archive, for messages.
    pub offset: u64,
}

/// What is behind a node.
pub(crate) enum Body<'a> {
    Nothing,
    Data { start: u64, length: u64, packed: Option<Packed> },
    Target(&'a [u8]),
    Device(u64),
}

/// An entry, and the directory that it is in.
pub(crate) struct Child {
    pub parent: u32,
    pub record: EntryRecord,
}

/// Why an entry does not show.
enum Skip {
    NotUtf8,
    Upward,
    BadName,
    BelowNoDirectory,
    OverDirectory,
    BadLink,
}

enum Stop {
    Skip(Skip),
    Error(ArchiveError),
}

impl From<ArchiveError> for Stop {
    fn from(error: ArchiveError) -> Self {
        Stop::Error(error)
    }
}

/// See the module.
pub(crate) struct TreeBuilder<'o> {
    options: &'o ArchiveOptions,
    tree: Tree,
    children: HashTable<Child>,
    hasher: DefaultHashBuilder,
    entries_seen: u64,
    bytes: u64,
    /// Where the entry at hand is.
    offset: u64,
    pub(crate) warnings: Warnings,
}

impl<'o> TreeBuilder<'o> {
    pub(crate) fn new(options: &'o ArchiveOptions) -> Self {
        let mut tree = Tree::default();
        tree.nodes.push(directory(0o755, Time::default()));
        Self {
            options,
            tree,
            children: HashTable::new(),
            hasher: DefaultHashBuilder::default(),
            entries_seen: 0,
            bytes: size_of::<NodeRecord>() as u64,
            offset: 0,
            warnings: Warnings::default(),
        }
    }

    /// Counts memory that the index takes, before it is taken.
    pub(crate) fn charge(&mut self, bytes: u64) -> Result<(), ArchiveError> {
        self.bytes = self.bytes.saturating_add(bytes);
        self.limit("index_bytes_max", self.bytes, self.options.index_bytes_max)
    }

    /// Counts an entry of the archive, also one that makes no node.
    pub(crate) fn count_entry(&mut self, offset: u64) -> Result<(), ArchiveError> {
        self.offset = offset;
        self.entries_seen += 1;
        self.limit("entries_max", self.entries_seen, self.options.entries_max)
    }

    fn limit(&self, limit: &'static str, value: u64, max: u64) -> Result<(), ArchiveError> {
        if value <= max {
            return Ok(());
        }
        Err(ArchiveError::Limit { limit, max, offset: self.offset, entry: String::new() })
    }

    /// Adds an entry, or counts why it does not show.
    pub(crate) fn add(&mut self, entry: NewEntry<'_>) -> Result<(), ArchiveError> {
        self.offset = entry.offset;
        let path = entry.path;
        let outcome = self.try_add(entry);
        self.settle(path, outcome)
    }

    /// Makes `path` another name of what `target` names now, or counts why not.
    pub(crate) fn link(&mut self, path: &[u8], target: &[u8], offset: u64) -> Result<(), ArchiveError> {
        self.offset = offset;
        let outcome = self.try_link(path, target);
        self.settle(path, outcome)
    }

    fn settle(&mut self, path: &[u8], outcome: Result<(), Stop>) -> Result<(), ArchiveError> {
        let skip = match outcome {
            Ok(()) => return Ok(()),
            Err(Stop::Error(error)) => return Err(error.in_entry(&String::from_utf8_lossy(path))),
            Err(Stop::Skip(skip)) => skip,
        };
        if matches!(skip, Skip::Upward) && self.options.refuse_upward_paths {
            let path = shortened(&String::from_utf8_lossy(path));
            return Err(ArchiveError::UpwardPath { path, offset: self.offset });
        }
        let counter = match skip {
            Skip::NotUtf8 => &mut self.warnings.not_utf8,
            Skip::Upward => &mut self.warnings.upward_paths,
            Skip::BadName => &mut self.warnings.bad_names,
            Skip::BelowNoDirectory => &mut self.warnings.below_no_directory,
            Skip::OverDirectory => &mut self.warnings.over_directory,
            Skip::BadLink => &mut self.warnings.bad_links,
        };
        *counter += 1;
        Ok(())
    }

    fn try_add(&mut self, entry: NewEntry<'_>) -> Result<(), Stop> {
        let names = self.names(entry.path)?;
        let mut record = NodeRecord {
            kind: entry.kind,
            mode: (entry.mode & 0o7777) as u16,
            uid: entry.uid,
            gid: entry.gid,
            links: 1,
            modified: entry.modified,
            start: 0,
            length: 0,
            extra: NONE,
            packed: NONE,
        };
        match entry.body {
            Body::Nothing => {}
            Body::Device(device) => record.start = device,
            Body::Data { start, length, packed } => {
                (record.start, record.length) = (start, length);
                if let Some(packed) = packed {
                    self.charge(size_of::<Packed>() as u64 + 8)?;
                    record.packed = index(self.tree.packed.len())?;
                    self.tree.packed.push(packed);
                }
            }
            Body::Target(target) => {
                let target = text(target)?;
                if target.is_empty() || target.len() > PATH_BYTES_MAX || target.contains('\0') {
                    return Err(Stop::Skip(Skip::BadName));
                }
                record.start = self.add_string(target)?.into();
                record.length = target.len() as u64;
            }
        }
        if entry.extra != Extra::default() {
            self.charge(entry.extra.bytes())?;
            record.extra = index(self.tree.extras.len())?;
            self.tree.extras.push(entry.extra);
        }
        let Some((&name, above)) = names.split_last() else {
            return self.set_root(record);
        };
        let parent = self.directories(above, record.modified)?;
        self.place(parent, name, record)
    }

    /// The archive has an entry for the root itself.
    fn set_root(&mut self, record: NodeRecord) -> Result<(), Stop> {
        if record.kind != Kind::Directory {
            return Err(Stop::Skip(Skip::OverDirectory));
        }
        self.replace_directory(ROOT, record);
        Ok(())
    }

    fn replace_directory(&mut self, node: u32, record: NodeRecord) {
        if let Some(own) = self.tree.nodes.get_mut(node as usize) {
            *own = NodeRecord { links: own.links, start: own.start, length: own.length, ..record };
        }
    }

    fn place(&mut self, parent: u32, name: &str, record: NodeRecord) -> Result<(), Stop> {
        if let Some(there) = self.child(parent, name)
            && record.kind == Kind::Directory
            && self.kind(there) == Some(Kind::Directory)
        {
            self.replace_directory(there, record);
            return Ok(());
        }
        self.charge(size_of::<NodeRecord>() as u64)?;
        let node = index(self.tree.nodes.len())?;
        self.give_name(parent, name, node)?;
        self.tree.nodes.push(record);
        // Directories that are only implied count too; the root does not.
        self.limit("entries_max", self.tree.nodes.len() as u64 - 1, self.options.entries_max)?;
        Ok(())
    }

    /// Lets `name` lead to `node`, instead of where it led.
    fn give_name(&mut self, parent: u32, name: &str, node: u32) -> Result<(), Stop> {
        if let Some(there) = self.child(parent, name) {
            let old = self.tree.nodes.get_mut(there as usize);
            let old = old.ok_or(Stop::Skip(Skip::BadLink))?;
            if old.kind == Kind::Directory && old.length > 0 {
                return Err(Stop::Skip(Skip::OverDirectory));
            }
            old.links = old.links.saturating_sub(1);
            let hash = self.hasher.hash_one((parent, name));
            let (tree, children) = (&self.tree, &mut self.children);
            if let Some(child) = children.find_mut(hash, |child| is(tree, child, parent, name)) {
                child.record.node = node;
            }
            return Ok(());
        }
        // An entry, and its place in the table.
        self.charge((size_of::<EntryRecord>() + 2 * size_of::<Child>()) as u64)?;
        let name_start = self.add_string(name)?;
        let name_length = u8::try_from(name.len()).map_err(|_| Stop::Skip(Skip::BadName))?;
        let record = EntryRecord { name_start, name_length, node };
        let hash = self.hasher.hash_one((parent, name));
        let (tree, hasher) = (&self.tree, &self.hasher);
        self.children.insert_unique(hash, Child { parent, record }, |child| {
            hasher.hash_one((child.parent, tree.name(&child.record)))
        });
        if let Some(parent) = self.tree.nodes.get_mut(parent as usize) {
            parent.length += 1;
        }
        Ok(())
    }

    fn try_link(&mut self, path: &[u8], target: &[u8]) -> Result<(), Stop> {
        let names = self.names(path)?;
        let target_names = self.names(target).map_err(|stop| match stop {
            Stop::Skip(_) => Stop::Skip(Skip::BadLink),
            error => error,
        })?;
        let mut at = Some(ROOT);
        for name in target_names {
            at = at.and_then(|dir| self.child(dir, name));
        }
        let node = at.filter(|&node| self.kind(node) != Some(Kind::Directory)).ok_or(Stop::Skip(Skip::BadLink))?;
        let Some((&name, above)) = names.split_last() else { return Err(Stop::Skip(Skip::BadLink)) };
        let modified = self.tree.nodes.get(node as usize).map_or(Time::default(), |node| node.modified);
        let parent = self.directories(above, modified)?;
        if self.child(parent, name) == Some(node) {
            // A link of a file to itself changes nothing.
            return Err(Stop::Skip(Skip::BadLink));
        }
        self.give_name(parent, name, node)?;
        if let Some(node) = self.tree.nodes.get_mut(node as usize) {
            node.links = node.links.saturating_add(1);
        }
        Ok(())
    }

    /// The components of a path.
    fn names<'p>(&self, path: &'p [u8]) -> Result<Vec<&'p str>, Stop> {
        let path = text(path)?;
        if path.len() > PATH_BYTES_MAX || path.contains('\0') {
            return Err(Stop::Skip(Skip::BadName));
        }
        let names: Vec<_> = path.split('/').filter(|name| !name.is_empty() && *name != ".").collect();
        if names.contains(&"..") {
            return Err(Stop::Skip(Skip::Upward));
        }
        if names.len() > self.options.depth_max || names.iter().any(|name| name.len() > NAME_BYTES_MAX) {
            return Err(Stop::Skip(Skip::BadName));
        }
        Ok(names)
    }

    /// Finds directories, or makes them as the path implies.
    fn directories(&mut self, names: &[&str], modified: Time) -> Result<u32, Stop> {
        let mut at = ROOT;
        for name in names {
            at = match self.child(at, name) {
                Some(there) if self.kind(there) == Some(Kind::Directory) => there,
                Some(_) => return Err(Stop::Skip(Skip::BelowNoDirectory)),
                None => {
                    let made = index(self.tree.nodes.len())?;
                    self.place(at, name, directory(0o755, modified))?;
                    made
                }
            };
        }
        Ok(at)
    }

    fn kind(&self, node: u32) -> Option<Kind> {
        self.tree.nodes.get(node as usize).map(|node| node.kind)
    }

    fn child(&self, parent: u32, name: &str) -> Option<u32> {
        let hash = self.hasher.hash_one((parent, name));
        self.children.find(hash, |child| is(&self.tree, child, parent, name)).map(|child| child.record.node)
    }

    fn add_string(&mut self, text: &str) -> Result<u32, ArchiveError> {
        self.charge(text.len() as u64)?;
        let start = index(self.tree.strings.len())?;
        self.tree.strings.push_str(text);
        Ok(start)
    }

    /// The index in its final order.
    pub(crate) fn finish(self) -> (Tree, Warnings) {
        (in_order(self.tree, self.children.into_iter().collect()), self.warnings)
    }
}

fn is(tree: &Tree, child: &Child, parent: u32, name: &str) -> bool {
    child.parent == parent && tree.name(&child.record) == name
}

fn text(bytes: &[u8]) -> Result<&str, Stop> {
    std::str::from_utf8(bytes).map_err(|_| Stop::Skip(Skip::NotUtf8))
}

fn index(length: usize) -> Result<u32, ArchiveError> {
    let limit =
        || ArchiveError::Limit { limit: "index_bytes_max", max: u64::from(u32::MAX), offset: 0, entry: String::new() };
    u32::try_from(length).ok().filter(|&index| index != NONE).ok_or_else(limit)
}

fn directory(mode: u16, modified: Time) -> NodeRecord {
    let kind = Kind::Directory;
    NodeRecord { kind, mode, uid: 0, gid: 0, links: 1, modified, start: 0, length: 0, extra: NONE, packed: NONE }
}
