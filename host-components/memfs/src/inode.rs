//! One inode that is the filesystem's own: made here, or copied from the image because it was changed.

use std::collections::BTreeMap;

use eyot_backend::{Attributes, Errno, Node, NodeKind, Ownership, Timestamp};

use crate::data::{FileData, Under};
use crate::directory::Directory;
use crate::image::{BaseImage, BaseNode};
use crate::quota::{Quota, XATTR_BYTES};

/// The bits of a mode that a node has beside its kind.
pub(crate) const MODE_MASK: u32 = 0o7777;

pub(crate) type Xattrs = BTreeMap<Box<str>, Box<[u8]>>;

/// What a node holds.
pub(crate) enum Body {
    File(FileData),
    Directory(Directory),
    Symlink(Box<str>),
    Special { kind: NodeKind, device: u64 },
}

pub(crate) struct Inode {
    pub body: Body,
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    /// Names of this inode; for a directory 2 and its subdirectories. 0 once the last name is gone.
    pub links: u32,
    pub accessed: Timestamp,
    pub modified: Timestamp,
    pub changed: Timestamp,
    pub created: Timestamp,
    pub xattrs: Option<Box<Xattrs>>,
    /// Whether this is a copy of the image's node, which the quota of inodes does not count.
    pub of_image: bool,
}

impl Inode {
    pub(crate) fn new(body: Body, owner: Ownership, now: Timestamp) -> Self {
        let links = if matches!(body, Body::Directory(_)) { 2 } else { 1 };
        Self {
            body,
            mode: owner.mode & MODE_MASK,
            uid: owner.uid,
            gid: owner.gid,
            links,
            accessed: now,
            modified: now,
            changed: now,
            created: now,
            xattrs: None,
            of_image: false,
        }
    }

    /// A copy of node `index` of the image, which is `base`. A file's bytes stay in the image.
    pub(crate) fn of_image(image: &BaseImage, index: u32, base: &BaseNode) -> Self {
        let body = match base.kind {
            NodeKind::File => Body::File(FileData::over(Under { index, limit: base.length })),
            NodeKind::Symlink => Body::Symlink(image.target(base).into()),
            NodeKind::Directory => {
                let mut directory = Directory::new();
                // The cookies come out as they were: an entry's place among the directory's entries, from 1.
                for entry in image.entries(base).filter_map(|entry| image.entry(entry)) {
                    let kind = image.node(entry.node).map_or(NodeKind::File, |node| node.kind);
                    directory.insert(entry.name, u64::from(entry.node) + 1, kind);
                }
                Body::Directory(directory)
            }
            kind => Body::Special { kind, device: base.device },
        };
        let owner = Ownership { mode: base.mode, uid: base.uid, gid: base.gid };
        Self { links: base.links, of_image: true, ..Self::new(body, owner, base.modified) }
    }

    pub(crate) fn kind(&self) -> NodeKind {
        match &self.body {
            Body::File(_) => NodeKind::File,
            Body::Directory(_) => NodeKind::Directory,
            Body::Symlink(_) => NodeKind::Symlink,
            Body::Special { kind, .. } => *kind,
        }
    }

    pub(crate) fn directory(&mut self) -> Result<&mut Directory, Errno> {
        match &mut self.body {
            Body::Directory(directory) => Ok(directory),
            _ => Err(Errno::Notdir),
        }
    }

    /// The directory, when names can still be made in it.
    pub(crate) fn living_directory(&mut self) -> Result<&mut Directory, Errno> {
        let gone = self.links == 0;
        self.directory().and_then(|directory| if gone { Err(Errno::Noent) } else { Ok(directory) })
    }

    pub(crate) fn attributes(&self, node: Node) -> Attributes {
        let (size, blocks, device) = match &self.body {
            Body::File(data) => (data.size(), blocks(data), 0),
            Body::Directory(_) => (crate::DIRECTORY_SIZE_BYTES, 0, 0),
            Body::Symlink(target) => (target.len() as u64, 0, 0),
            Body::Special { device, .. } => (0, 0, *device),
        };
        Attributes {
            node,
            kind: self.kind(),
            mode: self.mode,
            links: self.links,
            uid: self.uid,
            gid: self.gid,
            device,
            size,
            blocks,
            accessed: self.accessed,
            modified: self.modified,
            changed: self.changed,
            created: self.created,
            lifetime_ns: crate::ATTRIBUTES_LIFETIME_NS,
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

    /// Gives the quota back what this inode was charged.
    pub(crate) fn refund(&self, quota: &Quota) {
        let contents = match &self.body {
            Body::File(data) => data.charged_bytes(),
            Body::Directory(directory) => directory.charged_bytes(),
            Body::Symlink(target) => target.len() as u64,
            Body::Special { .. } => 0,
        };
        let xattrs = self.xattrs.iter().flat_map(|xattrs| xattrs.iter());
        quota.refund(contents + xattrs.map(|(name, value)| xattr_bytes(name, value)).sum::<u64>());
        if self.of_image {
            quota.refund(crate::quota::INODE_BYTES);
        } else {
            quota.refund_inode();
        }
    }
}

/// What an extended attribute is charged.
pub(crate) fn xattr_bytes(name: &str, value: &[u8]) -> u64 {
    XATTR_BYTES + (name.len() + value.len()) as u64
}

/// The space that a file takes, in units of 512 bytes and by whole pages; what shows through of the image counts.
fn blocks(data: &FileData) -> u64 {
    const PAGE_BYTES: u64 = 4096;
    let shown = data.under().map_or(0, |under| under.limit);
    data.charged_bytes().max(shown).div_ceil(PAGE_BYTES) * (PAGE_BYTES / 512)
}
