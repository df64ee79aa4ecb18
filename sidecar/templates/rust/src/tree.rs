//! The filesystem: inodes in a map.

use std::collections::{BTreeMap, HashMap};

use crate::eyot::backend::clock;
use crate::eyot::backend::types::*;

/// The root directory's node.
pub const ROOT: Node = 1;
/// How many bytes of contents there may be.
pub const BYTES_MAX_DEFAULT: u64 = 64 << 20;
const INODES_MAX: usize = 100_000;
const BLOCK_BYTES: u32 = 4096;
const NAME_BYTES_MAX: usize = 255;
const TARGET_BYTES_MAX: usize = 4095;
const SIZE_MAX: u64 = i64::MAX as u64;

/// All there is.
pub struct Tree {
    inodes: HashMap<Node, Inode>,
    next_node: Node,
    bytes_used: u64,
    bytes_max: u64,
}

struct Inode {
    body: Body,
    mode: u32,
    uid: u32,
    gid: u32,
    links: u32,
    /// How many times the kernel holds it. While it does, the number stays valid, with or without a name.
    lookups: u64,
    accessed: Timestamp,
    modified: Timestamp,
    changed: Timestamp,
    created: Timestamp,
}

enum Body {
    File(Vec<u8>),
    Directory(Directory),
    Symlink(String),
}

#[derive(Default)]
struct Directory {
    names: BTreeMap<String, u64>,
    /// The same names by their cookies, which a listing goes on from.
    entries: BTreeMap<u64, (String, Node)>,
    cookie_last: u64,
    parent: Option<Node>,
}

impl Directory {
    fn get(&self, name: &str) -> Option<Node> {
        let cookie = self.names.get(name)?;
        self.entries.get(cookie).map(|(_, node)| *node)
    }

    fn insert(&mut self, name: &str, node: Node) {
        self.cookie_last += 1;
        self.names.insert(name.into(), self.cookie_last);
        self.entries.insert(self.cookie_last, (name.into(), node));
    }

    fn remove(&mut self, name: &str) {
        if let Some(cookie) = self.names.remove(name) {
            self.entries.remove(&cookie);
        }
    }
}

impl Inode {
    fn attributes(&self, node: Node) -> Attributes {
        let size = match &self.body {
            Body::File(bytes) => bytes.len() as u64,
            Body::Directory(_) => 0,
            Body::Symlink(target) => target.len() as u64,
        };
        Attributes {
            node,
            kind: match self.body {
                Body::File(_) => NodeKind::File,
                Body::Directory(_) => NodeKind::Directory,
                Body::Symlink(_) => NodeKind::Symlink,
            },
            mode: self.mode,
            links: self.links,
            uid: self.uid,
            gid: self.gid,
            device: 0,
            size,
            blocks: size.div_ceil(512),
            accessed: self.accessed,
            modified: self.modified,
            changed: self.changed,
            created: self.created,
            lifetime_ns: u64::MAX,
        }
    }

    fn is_directory(&self) -> bool {
        matches!(self.body, Body::Directory(_))
    }

    fn touch(&mut self) {
        self.changed = clock::now();
        self.modified = self.changed;
    }
}

impl Tree {
    /// An empty filesystem.
    pub fn new(bytes_max: u64) -> Self {
        let mut tree = Self { inodes: HashMap::new(), next_node: ROOT, bytes_used: 0, bytes_max };
        let root = tree.make(Body::Directory(Directory::default()), Ownership { mode: 0o755, uid: 0, gid: 0 });
        debug_assert!(root.is_ok());
        tree
    }

    fn make(&mut self, body: Body, owner: Ownership) -> Result<Node, Errno> {
        if self.inodes.len() >= INODES_MAX {
            return Err(Errno::Nospc);
        }
        let (node, now) = (self.next_node, clock::now());
        self.next_node += 1;
        let links = if matches!(body, Body::Directory(_)) { 2 } else { 1 };
        let inode = Inode {
            body,
            mode: owner.mode & 0o7777,
            uid: owner.uid,
            gid: owner.gid,
            links,
            lookups: 0,
            accessed: now,
            modified: now,
            changed: now,
            created: now,
        };
        self.inodes.insert(node, inode);
        Ok(node)
    }

    fn find(&self, node: Node) -> Result<&Inode, Errno> {
        self.inodes.get(&node).ok_or(Errno::Stale)
    }

    fn find_mut(&mut self, node: Node) -> Result<&mut Inode, Errno> {
        self.inodes.get_mut(&node).ok_or(Errno::Stale)
    }

    fn directory(&self, node: Node) -> Result<&Directory, Errno> {
        match &self.find(node)?.body {
            Body::Directory(directory) => Ok(directory),
            _ => Err(Errno::Notdir),
        }
    }

    fn directory_mut(&mut self, node: Node) -> Result<&mut Directory, Errno> {
        match &mut self.find_mut(node)?.body {
            Body::Directory(directory) => Ok(directory),
            _ => Err(Errno::Notdir),
        }
    }

    /// A regular file's bytes.
    pub fn file(&self, node: Node) -> Result<&[u8], Errno> {
        match &self.find(node)?.body {
            Body::File(bytes) => Ok(bytes),
            Body::Directory(_) => Err(Errno::Isdir),
            Body::Symlink(_) => Err(Errno::Inval),
        }
    }

    fn entry(&self, dir: Node, name: &str) -> Result<Node, Errno> {
        self.directory(dir)?.get(name).ok_or(Errno::Noent)
    }

    /// Checks that a directory can get a new name.
    fn room_for(&self, dir: Node, name: &str) -> Result<(), Errno> {
        let exists = self.directory(dir)?.get(name).is_some();
        check_name(name)?;
        if exists {
            return Err(Errno::Exist);
        }
        if self.find(dir)?.links == 0 { Err(Errno::Noent) } else { Ok(()) }
    }

    fn add_name(&mut self, dir: Node, name: &str, node: Node) -> Result<(), Errno> {
        self.directory_mut(dir)?.insert(name, node);
        if let Body::Directory(directory) = &mut self.find_mut(node)?.body {
            directory.parent = Some(dir);
            self.find_mut(dir)?.links += 1;
        }
        Ok(())
    }

    fn drop_name(&mut self, dir: Node, name: &str, node: Node) -> Result<(), Errno> {
        self.directory_mut(dir)?.remove(name);
        if self.find(node)?.is_directory() {
            self.find_mut(dir)?.links -= 1;
        }
        Ok(())
    }

    /// The last step of `unlink`, `rmdir` and a rename that replaces.
    fn lose_link(&mut self, node: Node) -> Result<(), Errno> {
        let inode = self.find_mut(node)?;
        inode.links = if inode.is_directory() { 0 } else { inode.links - 1 };
        inode.changed = clock::now();
        self.reap(node);
        Ok(())
    }

    /// Lets an inode go that has neither a name nor a holder.
    fn reap(&mut self, node: Node) {
        let is_gone = |inode: &Inode| inode.links == 0 && inode.lookups == 0 && node != ROOT;
        if !self.inodes.get(&node).is_some_and(is_gone) {
            return;
        }
        if let Some(Inode { body: Body::File(bytes), .. }) = self.inodes.remove(&node) {
            self.bytes_used -= bytes.len() as u64;
        }
    }

    fn touch(&mut self, node: Node) -> Result<(), Errno> {
        self.find_mut(node)?.touch();
        Ok(())
    }

    /// An answer that the kernel holds from now on.
    fn held(&mut self, node: Node) -> Result<Attributes, Errno> {
        let inode = self.find_mut(node)?;
        inode.lookups += 1;
        Ok(inode.attributes(node))
    }

    fn is_within(&self, dir: Node, ancestor: Node) -> bool {
        let parent = |node: &Node| self.directory(*node).ok()?.parent;
        std::iter::successors(Some(dir), parent).any(|node| node == ancestor)
    }

    fn add(&mut self, dir: Node, name: &str, body: Body, owner: Ownership) -> Result<Attributes, Errno> {
        self.room_for(dir, name)?;
        let node = self.make(body, owner)?;
        self.add_name(dir, name, node)?;
        self.touch(dir)?;
        self.held(node)
    }

    /// Makes a file this long: cuts, or extends with zeroes.
    fn resize(&mut self, node: Node, size: u64) -> Result<(), Errno> {
        let was = self.file(node)?.len() as u64;
        if size > SIZE_MAX {
            return Err(Errno::Fbig);
        }
        let used = self.bytes_used - was + size;
        if size > was && used > self.bytes_max {
            return Err(Errno::Nospc);
        }
        let Body::File(bytes) = &mut self.find_mut(node)?.body else { return Err(Errno::Io) };
        let more = size.saturating_sub(was) as usize;
        bytes.try_reserve(more).map_err(|_| Errno::Nospc)?;
        bytes.resize(size as usize, 0);
        if bytes.len() < bytes.capacity() / 4 {
            bytes.shrink_to_fit();
        }
        self.bytes_used = used;
        Ok(())
    }
}

/// The calls, as `wit/filesystem.wit` describes them.
impl Tree {
    pub fn lookup(&mut self, dir: Node, name: &str) -> Result<Attributes, Errno> {
        self.held(self.entry(dir, name)?)
    }

    pub fn forget(&mut self, node: Node, count: u64) {
        if let Some(inode) = self.inodes.get_mut(&node) {
            inode.lookups = inode.lookups.saturating_sub(count);
            self.reap(node);
        }
    }

    pub fn getattr(&self, node: Node) -> Result<Attributes, Errno> {
        Ok(self.find(node)?.attributes(node))
    }

    pub fn setattr(&mut self, node: Node, changes: &AttributeChanges) -> Result<Attributes, Errno> {
        let times = [changes.accessed, changes.modified];
        if times.iter().flatten().any(|time| time.nanoseconds >= 1_000_000_000) {
            return Err(Errno::Inval);
        }
        if let Some(size) = changes.size {
            self.resize(node, size)?;
            self.touch(node)?;
        }
        let inode = self.find_mut(node)?;
        inode.mode = changes.mode.map_or(inode.mode, |mode| mode & 0o7777);
        inode.uid = changes.uid.unwrap_or(inode.uid);
        inode.gid = changes.gid.unwrap_or(inode.gid);
        inode.accessed = changes.accessed.unwrap_or(inode.accessed);
        inode.modified = changes.modified.unwrap_or(inode.modified);
        inode.changed = clock::now();
        Ok(inode.attributes(node))
    }

    pub fn create(&mut self, dir: Node, name: &str, owner: Ownership) -> Result<Attributes, Errno> {
        self.add(dir, name, Body::File(Vec::new()), owner)
    }

    pub fn mkdir(&mut self, dir: Node, name: &str, owner: Ownership) -> Result<Attributes, Errno> {
        self.add(dir, name, Body::Directory(Directory::default()), owner)
    }

    pub fn symlink(&mut self, dir: Node, name: &str, target: String, owner: Ownership) -> Result<Attributes, Errno> {
        if target.is_empty() {
            return Err(Errno::Noent);
        }
        if target.len() > TARGET_BYTES_MAX {
            return Err(Errno::Nametoolong);
        }
        self.add(dir, name, Body::Symlink(target), Ownership { mode: 0o777, ..owner })
    }

    pub fn link(&mut self, target: Node, dir: Node, name: &str) -> Result<Attributes, Errno> {
        if self.find(target)?.is_directory() {
            return Err(Errno::Perm);
        }
        self.room_for(dir, name)?;
        let inode = self.find_mut(target)?;
        if inode.links == 0 {
            return Err(Errno::Noent);
        }
        inode.links += 1;
        inode.changed = clock::now();
        self.add_name(dir, name, target)?;
        self.touch(dir)?;
        self.held(target)
    }

    pub fn unlink(&mut self, dir: Node, name: &str) -> Result<(), Errno> {
        let node = self.entry(dir, name)?;
        if self.find(node)?.is_directory() {
            return Err(Errno::Isdir);
        }
        self.drop_name(dir, name, node)?;
        self.touch(dir)?;
        self.lose_link(node)
    }

    pub fn rmdir(&mut self, dir: Node, name: &str) -> Result<(), Errno> {
        let node = self.entry(dir, name)?;
        if !self.directory(node)?.entries.is_empty() {
            return Err(Errno::Notempty);
        }
        self.drop_name(dir, name, node)?;
        self.touch(dir)?;
        self.lose_link(node)
    }

    pub fn rename(
        &mut self,
        from: Node,
        from_name: &str,
        to: Node,
        to_name: &str,
        how: RenameFlags,
    ) -> Result<(), Errno> {
        if how == RenameFlags::NO_REPLACE | RenameFlags::EXCHANGE {
            return Err(Errno::Inval);
        }
        check_name(from_name)?;
        check_name(to_name)?;
        let source = self.entry(from, from_name)?;
        let target = self.directory(to)?.get(to_name);
        if how.contains(RenameFlags::EXCHANGE) {
            return self.exchange((from, from_name, source), (to, to_name, target.ok_or(Errno::Noent)?));
        }
        if self.find(to)?.links == 0 {
            return Err(Errno::Noent);
        }
        if self.is_within(to, source) {
            return Err(Errno::Inval);
        }
        if let Some(target) = target {
            if how.contains(RenameFlags::NO_REPLACE) {
                return Err(Errno::Exist);
            }
            if target == source {
                return Ok(());
            }
            match (self.find(source)?.is_directory(), &self.find(target)?.body) {
                (true, Body::Directory(directory)) if !directory.entries.is_empty() => return Err(Errno::Notempty),
                (true, Body::File(_) | Body::Symlink(_)) => return Err(Errno::Notdir),
                (false, Body::Directory(_)) => return Err(Errno::Isdir),
                _ => {}
            }
            self.drop_name(to, to_name, target)?;
            self.lose_link(target)?;
        }
        self.drop_name(from, from_name, source)?;
        self.add_name(to, to_name, source)?;
        self.find_mut(source)?.changed = clock::now();
        self.touch(from)?;
        self.touch(to)
    }

    fn exchange(&mut self, one: (Node, &str, Node), other: (Node, &str, Node)) -> Result<(), Errno> {
        if one.2 == other.2 {
            return Ok(());
        }
        if self.is_within(other.0, one.2) || self.is_within(one.0, other.2) {
            return Err(Errno::Inval);
        }
        self.drop_name(one.0, one.1, one.2)?;
        self.drop_name(other.0, other.1, other.2)?;
        self.add_name(one.0, one.1, other.2)?;
        self.add_name(other.0, other.1, one.2)?;
        self.find_mut(one.2)?.changed = clock::now();
        self.find_mut(other.2)?.changed = clock::now();
        self.touch(one.0)?;
        self.touch(other.0)
    }

    pub fn readlink(&self, node: Node) -> Result<String, Errno> {
        match &self.find(node)?.body {
            Body::Symlink(target) => Ok(target.clone()),
            _ => Err(Errno::Inval),
        }
    }

    pub fn read(&self, node: Node, offset: u64, length: u32) -> Result<&[u8], Errno> {
        let bytes = self.file(node)?;
        let start = offset.min(bytes.len() as u64) as usize;
        let rest = &bytes[start..];
        Ok(&rest[..rest.len().min(length as usize)])
    }

    pub fn write(&mut self, node: Node, offset: u64, bytes: &[u8]) -> Result<u32, Errno> {
        let size = self.file(node)?.len() as u64;
        let end = offset.checked_add(bytes.len() as u64).filter(|end| *end <= SIZE_MAX).ok_or(Errno::Fbig)?;
        if bytes.is_empty() {
            return Ok(0);
        }
        if end > size {
            self.resize(node, end)?;
        }
        let inode = self.find_mut(node)?;
        if let Body::File(contents) = &mut inode.body {
            contents[offset as usize..end as usize].copy_from_slice(bytes);
        }
        inode.touch();
        Ok(bytes.len() as u32)
    }

    pub fn readdir(&self, dir: Node, cookie: u64, max_entries: u32) -> Result<Vec<DirectoryEntry>, Errno> {
        let after = self.directory(dir)?.entries.range(cookie.saturating_add(1)..).take(max_entries as usize);
        after
            .map(|(cookie, (name, node))| {
                let attributes = self.find(*node)?.attributes(*node);
                Ok(DirectoryEntry { name: name.clone(), cookie: *cookie, attributes })
            })
            .collect()
    }

    pub fn statfs(&self) -> FilesystemStatus {
        FilesystemStatus {
            block_size: BLOCK_BYTES,
            blocks: self.bytes_max / u64::from(BLOCK_BYTES),
            blocks_free: (self.bytes_max - self.bytes_used) / u64::from(BLOCK_BYTES),
            files: INODES_MAX as u64,
            files_free: (INODES_MAX - self.inodes.len()) as u64,
            name_max: NAME_BYTES_MAX as u32,
        }
    }
}

fn check_name(name: &str) -> Result<(), Errno> {
    if name.is_empty() || name == "." || name == ".." || name.contains(['/', '\0']) {
        return Err(Errno::Inval);
    }
    if name.len() > NAME_BYTES_MAX { Err(Errno::Nametoolong) } else { Ok(()) }
}
