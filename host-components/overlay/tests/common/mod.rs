//! What the tests share: trees made and read back, and a layer that is watched.
#![allow(dead_code, reason = "each test uses some of it")]

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use eyot_backend::*;
use eyot_memfs::Memfs;
use parking_lot::Mutex;

pub const FILE: Ownership = Ownership { mode: 0o644, uid: 1000, gid: 1000 };
pub const DIR: Ownership = Ownership { mode: 0o755, uid: 1000, gid: 1000 };
pub const NONE: RenameFlags = RenameFlags::empty();

/// What is at one path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    pub kind: NodeKind,
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub links: u32,
    pub device: u64,
    /// The bytes of a file, the target of a symlink.
    pub content: Vec<u8>,
    pub xattrs: BTreeMap<String, Vec<u8>>,
    /// The first path of the same file.
    pub same_as: Option<String>,
}

pub type Tree = BTreeMap<String, Seen>;

/// Everything that a filesystem shows, by listings and lookups, which must agree.
pub fn dump(fs: &dyn Filesystem) -> Tree {
    let mut dump = Dump { fs, tree: Tree::new(), first: HashMap::new(), held: Vec::new() };
    dump.dir(fs.info().root, "");
    let Dump { tree, held, .. } = dump;
    held.into_iter().for_each(|node| fs.forget(node, 1));
    tree
}

struct Dump<'a> {
    fs: &'a dyn Filesystem,
    tree: Tree,
    first: HashMap<Node, String>,
    held: Vec<Node>,
}

impl Dump<'_> {
    fn dir(&mut self, dir: Node, path: &str) {
        // By name, so that the first path of a file does not depend on the order of the listing.
        let listed: BTreeMap<_, _> = list(self.fs, dir, 3).into_iter().collect();
        assert_eq!(listed.len(), list(self.fs, dir, 1000).len(), "{path}: a name is listed twice");
        for (name, listed) in listed {
            let path = format!("{path}/{name}");
            let found = self.fs.lookup(dir, &name).unwrap_or_else(|errno| panic!("{path} is listed, but {errno:?}"));
            self.held.push(found.node);
            let plain = |a: &Attributes| (a.kind, a.mode, a.uid, a.gid, a.links, a.size, a.device, a.modified);
            assert_eq!(plain(&listed), plain(&found), "{path}: the listing and the lookup differ");
            assert_eq!(self.fs.getattr(found.node).map(|found| plain(&found)), Ok(plain(&found)), "{path}");
            let seen = self.seen(&found, &path);
            assert!(self.tree.insert(path.clone(), seen).is_none(), "{path} is listed twice");
            if found.kind == NodeKind::Directory {
                self.dir(found.node, &path);
            }
        }
    }

    fn seen(&mut self, found: &Attributes, path: &str) -> Seen {
        let content = match found.kind {
            NodeKind::File => read(self.fs, found.node),
            NodeKind::Symlink => self.fs.readlink(found.node).unwrap().into_bytes(),
            _ => Vec::new(),
        };
        let names = self.fs.listxattr(found.node).unwrap_or_default();
        let xattrs = names.into_iter().map(|name| (name.clone(), self.fs.getxattr(found.node, &name).unwrap()));
        let xattrs = xattrs.collect();
        let first = self.first.entry(found.node).or_insert_with(|| path.into());
        Seen {
            kind: found.kind,
            mode: found.mode,
            uid: found.uid,
            gid: found.gid,
            links: found.links,
            device: found.device,
            content,
            xattrs,
            same_as: (first != path).then(|| first.clone()),
        }
    }
}

/// The whole of a listing, by pages of this many entries.
pub fn list(fs: &dyn Filesystem, dir: Node, page_entries: usize) -> Vec<(String, Attributes)> {
    let (mut entries, mut cookie) = (Vec::new(), 0);
    loop {
        let page = fs.readdir(dir, cookie, page_entries).unwrap();
        assert!(page.len() <= page_entries && page.iter().all(|entry| entry.cookie != 0));
        let Some(last) = page.last() else { return entries };
        cookie = last.cookie;
        entries.extend(page.into_iter().map(|entry| (entry.name, entry.attributes)));
    }
}

pub fn names(fs: &dyn Filesystem, dir: Node) -> Vec<String> {
    let mut names: Vec<_> = list(fs, dir, 100).into_iter().map(|(name, _)| name).collect();
    names.sort();
    names
}

/// The bytes of a file.
pub fn read(fs: &dyn Filesystem, node: Node) -> Vec<u8> {
    let size = fs.getattr(node).unwrap().size as usize;
    let handle = fs.open(node, OpenFlags::READ).unwrap();
    let mut bytes = vec![0xa5; size + 1];
    let mut done = 0;
    while done < size {
        let end = bytes.len().min(done + CHUNK_BYTES_MAX);
        match fs.read(node, handle, done as u64, &mut bytes[done..end]).unwrap() {
            0 => break,
            count => done += count,
        }
    }
    fs.release(node, handle);
    bytes.truncate(done);
    bytes
}

pub fn write(fs: &dyn Filesystem, node: Node, offset: u64, bytes: &[u8]) -> Result<(), Errno> {
    let handle = fs.open(node, OpenFlags::WRITE)?;
    let mut done = 0;
    let result = loop {
        if done == bytes.len() {
            break Ok(());
        }
        match fs.write(node, handle, offset + done as u64, &bytes[done..]) {
            Ok(count) => done += count,
            Err(errno) => break Err(errno),
        }
    };
    fs.release(node, handle);
    result
}

/// The inode at a path, looked up once more, with nothing on the way held.
pub fn walk(fs: &dyn Filesystem, path: &str) -> Result<Attributes, Errno> {
    let mut at = fs.getattr(fs.info().root)?;
    for name in path.split('/').filter(|name| !name.is_empty()) {
        let found = fs.lookup(at.node, name);
        if at.node != fs.info().root {
            fs.forget(at.node, 1);
        }
        at = found?;
    }
    Ok(at)
}

/// Like [`walk`], for the number only, and nothing stays held.
pub fn peek(fs: &dyn Filesystem, path: &str) -> Result<Attributes, Errno> {
    let found = walk(fs, path)?;
    if found.node != fs.info().root {
        fs.forget(found.node, 1);
    }
    Ok(found)
}

pub fn text(fs: &dyn Filesystem, path: &str) -> Result<String, Errno> {
    let node = walk(fs, path)?.node;
    let bytes = read(fs, node);
    fs.forget(node, 1);
    Ok(String::from_utf8(bytes).unwrap())
}

/// Makes a tree: `d/` is a directory, `f=text` a file, `l>target` a symlink, `h:f` a hard link of `f`, `p|` a FIFO. Directories on the way are made.
pub fn plant(fs: &dyn Filesystem, entries: &[&str]) {
    for entry in entries {
        let end = entry.find(['=', '>', ':', '|']).unwrap_or(entry.len());
        let (path, what) = entry.split_at(end);
        let mut dir = fs.info().root;
        let (above, name) = path.trim_end_matches('/').rsplit_once('/').unwrap_or(("", path.trim_end_matches('/')));
        for part in above.split('/').filter(|part| !part.is_empty()) {
            dir = fs.lookup(dir, part).or_else(|_| fs.mkdir(dir, part, DIR)).unwrap().node;
        }
        match (what.chars().next(), what.get(1..).unwrap_or_default()) {
            (Some('='), text) => {
                let made = fs.create(dir, name, FILE).unwrap();
                write(fs, made.node, 0, text.as_bytes()).unwrap();
            }
            (Some('>'), target) => drop(fs.symlink(dir, name, target, FILE).unwrap()),
            (Some(':'), other) => drop(fs.link(walk(fs, other).unwrap().node, dir, name).unwrap()),
            (Some('|'), _) => drop(fs.make_node(dir, name, NodeKind::Fifo, 0, FILE).unwrap()),
            _ => drop(fs.mkdir(dir, name, DIR)),
        }
    }
}

pub fn planted(entries: &[&str]) -> Arc<Memfs> {
    let fs = Arc::new(Memfs::new());
    plant(&*fs, entries);
    fs
}

/// A layer that is watched: what is held and open in it, whether it was changed; and that fails when it is told to.
pub struct Probe {
    fs: Arc<dyn Filesystem>,
    held: Mutex<HashMap<Node, u64>>,
    open: AtomicI64,
    changes: AtomicU64,
    /// How many more changes succeed, if not all.
    changes_left: AtomicI64,
    entry_lifetime_ns: u64,
    without: Capabilities,
}

impl Probe {
    /// A layer that cannot do this.
    pub fn without(mut self, without: Capabilities) -> Self {
        self.without = without;
        self
    }

    /// A layer whose names hold so long.
    pub fn lasting(mut self, entry_lifetime_ns: u64) -> Self {
        self.entry_lifetime_ns = entry_lifetime_ns;
        self
    }

    pub fn new(fs: Arc<dyn Filesystem>) -> Self {
        let entry_lifetime_ns = fs.info().entry_lifetime_ns;
        Self {
            fs,
            held: Mutex::default(),
            open: AtomicI64::new(0),
            changes: AtomicU64::new(0),
            changes_left: AtomicI64::new(i64::MAX),
            entry_lifetime_ns,
            without: Capabilities::empty(),
        }
    }

    /// How many lookups are held, of how many nodes.
    pub fn held(&self) -> (u64, usize) {
        let held = self.held.lock();
        (held.values().sum(), held.len())
    }

    pub fn open_files(&self) -> i64 {
        self.open.load(Ordering::SeqCst)
    }

    pub fn changes(&self) -> u64 {
        self.changes.load(Ordering::SeqCst)
    }

    /// Lets so many changes pass, and every later one that needs space fail with `ENOSPC`.
    pub fn fail_after(&self, changes: i64) {
        self.changes_left.store(changes, Ordering::SeqCst);
    }

    fn change(&self) -> Result<(), Errno> {
        self.changes.fetch_add(1, Ordering::SeqCst);
        let left = self.changes_left.fetch_sub(1, Ordering::SeqCst);
        if left <= 0 { Err(Errno::Nospc) } else { Ok(()) }
    }

    fn hold(&self, answer: Attributes) -> Attributes {
        *self.held.lock().entry(answer.node).or_default() += 1;
        answer
    }
}

impl Filesystem for Probe {
    fn info(&self) -> FilesystemInfo {
        let info = self.fs.info();
        let capabilities = info.capabilities - self.without;
        FilesystemInfo { entry_lifetime_ns: self.entry_lifetime_ns, capabilities, ..info }
    }

    fn lookup(&self, dir: Node, name: &str) -> Result<Attributes, Errno> {
        self.fs.lookup(dir, name).map(|found| self.hold(found))
    }

    fn forget(&self, node: Node, count: u64) {
        {
            let mut held = self.held.lock();
            let left = held.get(&node).copied().unwrap_or(0).checked_sub(count);
            match left.unwrap_or_else(|| panic!("{node} was forgotten more often than looked up")) {
                0 => drop(held.remove(&node)),
                left => drop(held.insert(node, left)),
            }
        }
        self.fs.forget(node, count);
    }

    fn getattr(&self, node: Node) -> Result<Attributes, Errno> {
        assert!(node == self.fs.info().root || self.held.lock().contains_key(&node), "{node} is not held");
        self.fs.getattr(node)
    }

    fn setattr(&self, node: Node, changes: &AttributeChanges) -> Result<Attributes, Errno> {
        self.change()?;
        self.fs.setattr(node, changes)
    }

    fn create(&self, dir: Node, name: &str, owner: Ownership) -> Result<Attributes, Errno> {
        self.change()?;
        self.fs.create(dir, name, owner).map(|made| self.hold(made))
    }

    fn mkdir(&self, dir: Node, name: &str, owner: Ownership) -> Result<Attributes, Errno> {
        self.change()?;
        self.fs.mkdir(dir, name, owner).map(|made| self.hold(made))
    }

    fn symlink(&self, dir: Node, name: &str, target: &str, owner: Ownership) -> Result<Attributes, Errno> {
        self.change()?;
        self.fs.symlink(dir, name, target, owner).map(|made| self.hold(made))
    }

    fn make_node(
        &self,
        dir: Node,
        name: &str,
        kind: NodeKind,
        device: u64,
        owner: Ownership,
    ) -> Result<Attributes, Errno> {
        self.change()?;
        if self.without.contains(Capabilities::SPECIAL_FILES) {
            return Err(Errno::Notsup);
        }
        self.fs.make_node(dir, name, kind, device, owner).map(|made| self.hold(made))
    }

    fn link(&self, target: Node, dir: Node, name: &str) -> Result<Attributes, Errno> {
        self.change()?;
        if self.without.contains(Capabilities::HARD_LINKS) {
            return Err(Errno::Notsup);
        }
        self.fs.link(target, dir, name).map(|made| self.hold(made))
    }

    fn unlink(&self, dir: Node, name: &str) -> Result<(), Errno> {
        self.changes.fetch_add(1, Ordering::SeqCst);
        self.fs.unlink(dir, name)
    }

    fn rmdir(&self, dir: Node, name: &str) -> Result<(), Errno> {
        self.changes.fetch_add(1, Ordering::SeqCst);
        self.fs.rmdir(dir, name)
    }

    fn rename(&self, a: Node, from: &str, b: Node, to: &str, how: RenameFlags) -> Result<(), Errno> {
        // What takes another's place needs none of its own, nor does another name of the same length.
        let replaces = a == b && from.len() == to.len()
            || self.fs.lookup(b, to).map(|target| self.fs.forget(target.node, 1)).is_ok();
        self.change().or_else(|errno| if replaces { Ok(()) } else { Err(errno) })?;
        if how.contains(RenameFlags::EXCHANGE) && self.without.contains(Capabilities::ATOMIC_RENAME) {
            return Err(Errno::Inval);
        }
        self.fs.rename(a, from, b, to, how)
    }

    fn readlink(&self, node: Node) -> Result<String, Errno> {
        self.fs.readlink(node)
    }

    fn open(&self, node: Node, how: OpenFlags) -> Result<Handle, Errno> {
        let handle = self.fs.open(node, how)?;
        self.open.fetch_add(1, Ordering::SeqCst);
        Ok(handle)
    }

    fn release(&self, node: Node, handle: Handle) {
        self.open.fetch_sub(1, Ordering::SeqCst);
        self.fs.release(node, handle);
    }

    fn read(&self, node: Node, handle: Handle, offset: u64, buffer: &mut [u8]) -> Result<usize, Errno> {
        assert!(self.held.lock().contains_key(&node), "{node} is not held");
        self.fs.read(node, handle, offset, buffer)
    }

    fn write(&self, node: Node, handle: Handle, offset: u64, bytes: &[u8]) -> Result<usize, Errno> {
        self.change()?;
        self.fs.write(node, handle, offset, bytes)
    }

    fn fsync(&self, node: Node, handle: Handle, data_only: bool) -> Result<(), Errno> {
        self.fs.fsync(node, handle, data_only)
    }

    fn readdir(&self, dir: Node, cookie: u64, entries_max: usize) -> Result<Vec<DirectoryEntry>, Errno> {
        assert!(dir == self.fs.info().root || self.held.lock().contains_key(&dir), "{dir} is not held");
        self.fs.readdir(dir, cookie, entries_max)
    }

    fn statfs(&self) -> Result<FilesystemStatus, Errno> {
        self.fs.statfs()
    }

    fn getxattr(&self, node: Node, name: &str) -> Result<Vec<u8>, Errno> {
        if self.without.contains(Capabilities::XATTRS) { Err(Errno::Notsup) } else { self.fs.getxattr(node, name) }
    }

    fn setxattr(&self, node: Node, name: &str, value: &[u8]) -> Result<(), Errno> {
        self.change()?;
        if self.without.contains(Capabilities::XATTRS) {
            return Err(Errno::Notsup);
        }
        self.fs.setxattr(node, name, value)
    }

    fn listxattr(&self, node: Node) -> Result<Vec<String>, Errno> {
        if self.without.contains(Capabilities::XATTRS) { Err(Errno::Notsup) } else { self.fs.listxattr(node) }
    }

    fn removexattr(&self, node: Node, name: &str) -> Result<(), Errno> {
        self.change()?;
        self.fs.removexattr(node, name)
    }

    fn content(&self, node: Node) -> Option<Content> {
        self.fs.content(node)
    }
}
