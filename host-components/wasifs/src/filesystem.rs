//! The backend, over descriptors of WASI.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use eyot_backend::{
    AttributeChanges, Attributes, Capabilities, DirectoryEntry, Errno, Filesystem, FilesystemInfo, FilesystemStatus,
    Handle, Node, NodeKind, OpenFlags, Ownership, RenameFlags,
};

use crate::bindings::types::{
    Descriptor, DescriptorFlags, DescriptorStat, ErrorCode, MetadataHashValue, OpenFlags as How, PathFlags,
};
use crate::convert::{errno, kind, new_time, time};
use crate::listing::Listing;
use crate::nodes::{Identity, Nodes, Place};

/// No symlink is ever followed here: that is the kernel's.
const NO_FOLLOW: PathFlags = PathFlags::empty();
/// Bytes of a unit of `blocks`.
const BLOCK_BYTES: u64 = 512;

/// What WASI does not tell of an inode.
pub(crate) struct Given {
    pub(crate) mode: u32,
    pub(crate) directory_mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) lifetime_ns: u64,
}

/// A preopen as a backend.
pub(crate) struct Wasifs {
    given: Given,
    writable: bool,
    state: Mutex<State>,
}

struct State {
    nodes: Nodes<Descriptor>,
    open: HashMap<Handle, Open>,
    last_handle: Handle,
    listings: HashMap<Node, Listing>,
}

struct Open {
    node: Node,
    descriptor: Arc<Descriptor>,
}

impl Wasifs {
    pub(crate) fn new(root: Descriptor, writable: bool, given: Given) -> Result<Self, Errno> {
        let identity = identity(root.metadata_hash().map_err(errno)?);
        let nodes = Nodes::new(identity, root);
        let state = State { nodes, open: HashMap::new(), last_handle: 0, listings: HashMap::new() };
        Ok(Self { given, writable, state: Mutex::new(state) })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn directory(&self, node: Node) -> Result<Arc<Descriptor>, Errno> {
        self.state().nodes.directory(node)
    }

    fn attributes(&self, node: Node, stat: &DescriptorStat) -> Result<Attributes, Errno> {
        let kind = kind(stat.type_).ok_or(Errno::Io)?;
        let mode = match kind {
            NodeKind::Directory => self.given.directory_mode,
            NodeKind::Symlink => 0o777,
            _ => self.given.mode,
        };
        let modified = time(stat.data_modification_timestamp);
        Ok(Attributes {
            node,
            kind,
            mode,
            links: u32::try_from(stat.link_count).unwrap_or(u32::MAX),
            uid: self.given.uid,
            gid: self.given.gid,
            device: 0,
            size: stat.size,
            blocks: stat.size.div_ceil(BLOCK_BYTES),
            accessed: time(stat.data_access_timestamp),
            modified,
            changed: stat.status_change_timestamp.map_or(modified, |changed| time(Some(changed))),
            created: modified,
            lifetime_ns: self.given.lifetime_ns,
        })
    }

    /// Counts a lookup of a name that is there.
    fn hold(&self, dir: Node, name: &str) -> Result<Attributes, Errno> {
        let parent = self.directory(dir)?;
        let stat = parent.stat_at(NO_FOLLOW, name).map_err(errno)?;
        let identity = identity(parent.metadata_hash_at(NO_FOLLOW, name).map_err(errno)?);
        let kind = kind(stat.type_).ok_or(Errno::Io)?;
        let descriptor = if kind == NodeKind::Directory && !self.state().nodes.is_held(identity) {
            Some(self.open_directory(&parent, name)?)
        } else {
            None
        };
        let place = Place { dir, name: name.to_owned() };
        let node = self.state().nodes.hold(identity, kind, place, descriptor)?;
        self.attributes(node, &stat)
    }

    fn open_directory(&self, parent: &Descriptor, name: &str) -> Result<Descriptor, Errno> {
        let mut flags = DescriptorFlags::READ;
        flags.set(DescriptorFlags::MUTATE_DIRECTORY, self.writable);
        parent.open_at(NO_FOLLOW, name, How::DIRECTORY, flags).map_err(errno)
    }

    /// The descriptor by which an inode's name is reached, and the name. Errors: `ESTALE` when its name is gone.
    fn place(&self, node: Node) -> Result<(Arc<Descriptor>, String), Errno> {
        let state = self.state();
        let place = state.nodes.get(node)?.place.clone().ok_or(Errno::Stale)?;
        Ok((state.nodes.directory(place.dir)?, place.name))
    }

    /// Opens a file by its name, and makes sure that it still is the same one.
    fn open_by_name(&self, node: Node, flags: DescriptorFlags) -> Result<Descriptor, Errno> {
        let (parent, name) = self.place(node)?;
        let descriptor = parent.open_at(NO_FOLLOW, &name, How::empty(), flags).map_err(gone)?;
        let opened = identity(descriptor.metadata_hash().map_err(errno)?);
        if self.state().nodes.get(node)?.identity == opened { Ok(descriptor) } else { Err(Errno::Stale) }
    }

    fn file(&self, handle: Handle) -> Result<Arc<Descriptor>, Errno> {
        let state = self.state();
        state.open.get(&handle).map(|open| Arc::clone(&open.descriptor)).ok_or(Errno::Stale)
    }

    fn change(&self) -> Result<(), Errno> {
        if self.writable { Ok(()) } else { Err(Errno::Rofs) }
    }

    /// Modes and owners are what they are.
    fn check_fixed(&self, before: &Attributes, changes: &AttributeChanges) -> Result<(), Errno> {
        let differs = |new: Option<u32>, old: u32| new.is_some_and(|new| new != old);
        let changed =
            differs(changes.mode, before.mode) || differs(changes.uid, before.uid) || differs(changes.gid, before.gid);
        if changed { Err(Errno::Perm) } else { Ok(()) }
    }

    fn set_size(&self, node: Node, kind: NodeKind, size: u64) -> Result<(), Errno> {
        match kind {
            NodeKind::File => self.open_by_name(node, DescriptorFlags::WRITE)?.set_size(size).map_err(errno),
            NodeKind::Directory => Err(Errno::Isdir),
            _ => Err(Errno::Inval),
        }
    }

    fn set_times(&self, node: Node, changes: &AttributeChanges) -> Result<(), Errno> {
        let (accessed, modified) = (new_time(changes.accessed)?, new_time(changes.modified)?);
        let descriptor = self.state().nodes.get(node)?.descriptor.clone();
        if let Some(descriptor) = descriptor {
            return descriptor.set_times(accessed, modified).map_err(errno);
        }
        let (parent, name) = self.place(node)?;
        parent.set_times_at(NO_FOLLOW, &name, accessed, modified).map_err(gone)
    }
}

impl Filesystem for Wasifs {
    fn info(&self) -> FilesystemInfo {
        let mut capabilities = Capabilities::HARD_LINKS
            | Capabilities::SYMLINKS
            | Capabilities::ATOMIC_RENAME
            | Capabilities::CASE_SENSITIVE;
        capabilities.set(Capabilities::WRITABLE, self.writable);
        FilesystemInfo {
            root: self.state().nodes.root(),
            capabilities,
            entry_lifetime_ns: self.given.lifetime_ns,
            absence_lifetime_ns: self.given.lifetime_ns,
            kind: "wasifs".into(),
        }
    }

    fn lookup(&self, dir: Node, name: &str) -> Result<Attributes, Errno> {
        self.hold(dir, name)
    }

    fn forget(&self, node: Node, count: u64) {
        let mut state = self.state();
        state.nodes.forget(node, count);
        if state.nodes.get(node).is_err() {
            state.listings.remove(&node);
        }
    }

    fn getattr(&self, node: Node) -> Result<Attributes, Errno> {
        let descriptor = self.state().nodes.get(node)?.descriptor.clone();
        let stat = match descriptor {
            Some(descriptor) => descriptor.stat().map_err(errno)?,
            None => {
                let (parent, name) = self.place(node)?;
                parent.stat_at(NO_FOLLOW, &name).map_err(gone)?
            }
        };
        self.attributes(node, &stat)
    }

    fn setattr(&self, node: Node, changes: &AttributeChanges) -> Result<Attributes, Errno> {
        self.change()?;
        let before = self.getattr(node)?;
        self.check_fixed(&before, changes)?;
        if let Some(size) = changes.size {
            self.set_size(node, before.kind, size)?;
        }
        if changes.accessed.is_some() || changes.modified.is_some() {
            self.set_times(node, changes)?;
        }
        self.getattr(node)
    }

    fn create(&self, dir: Node, name: &str, _owner: Ownership) -> Result<Attributes, Errno> {
        self.change()?;
        let flags = DescriptorFlags::READ | DescriptorFlags::WRITE;
        self.directory(dir)?.open_at(NO_FOLLOW, name, How::CREATE | How::EXCLUSIVE, flags).map_err(errno)?;
        self.hold(dir, name)
    }

    fn mkdir(&self, dir: Node, name: &str, _owner: Ownership) -> Result<Attributes, Errno> {
        self.change()?;
        self.directory(dir)?.create_directory_at(name).map_err(errno)?;
        self.hold(dir, name)
    }

    fn symlink(&self, dir: Node, name: &str, target: &str, _owner: Ownership) -> Result<Attributes, Errno> {
        self.change()?;
        self.directory(dir)?.symlink_at(target, name).map_err(errno)?;
        self.hold(dir, name)
    }

    fn make_node(&self, _: Node, _: &str, _: NodeKind, _: u64, _: Ownership) -> Result<Attributes, Errno> {
        self.change()?;
        Err(Errno::Notsup)
    }

    fn link(&self, target: Node, dir: Node, name: &str) -> Result<Attributes, Errno> {
        self.change()?;
        if self.state().nodes.get(target)?.kind == NodeKind::Directory {
            return Err(Errno::Perm);
        }
        let (parent, old) = self.place(target)?;
        let to = self.directory(dir)?;
        parent.link_at(NO_FOLLOW, &old, &to, name).map_err(errno)?;
        let linked = self.hold(dir, name)?;
        if linked.node == target { Ok(linked) } else { Err(Errno::Stale) }
    }

    fn unlink(&self, dir: Node, name: &str) -> Result<(), Errno> {
        self.change()?;
        self.directory(dir)?.unlink_file_at(name).map_err(errno)?;
        self.state().nodes.unnamed(dir, name);
        Ok(())
    }

    fn rmdir(&self, dir: Node, name: &str) -> Result<(), Errno> {
        self.change()?;
        self.directory(dir)?.remove_directory_at(name).map_err(errno)?;
        self.state().nodes.unnamed(dir, name);
        Ok(())
    }

    fn rename(&self, from_dir: Node, from: &str, to_dir: Node, to: &str, how: RenameFlags) -> Result<(), Errno> {
        self.change()?;
        if how.contains(RenameFlags::EXCHANGE) {
            return Err(Errno::Notsup);
        }
        let (source, target) = (self.directory(from_dir)?, self.directory(to_dir)?);
        if how.contains(RenameFlags::NO_REPLACE) && target.stat_at(NO_FOLLOW, to).is_ok() {
            return Err(Errno::Exist);
        }
        source.rename_at(from, &target, to).map_err(errno)?;
        if (from_dir, from) != (to_dir, to) {
            self.state().nodes.renamed((from_dir, from), (to_dir, to));
        }
        Ok(())
    }

    fn readlink(&self, node: Node) -> Result<String, Errno> {
        if self.state().nodes.get(node)?.kind != NodeKind::Symlink {
            return Err(Errno::Inval);
        }
        let (parent, name) = self.place(node)?;
        parent.readlink_at(&name).map_err(gone)
    }

    fn open(&self, node: Node, how: OpenFlags) -> Result<Handle, Errno> {
        match self.state().nodes.get(node)?.kind {
            NodeKind::File => {}
            NodeKind::Directory => return Err(Errno::Isdir),
            _ => return Err(Errno::Inval),
        }
        let mut flags = DescriptorFlags::empty();
        flags.set(DescriptorFlags::READ, how.contains(OpenFlags::READ) || !how.contains(OpenFlags::WRITE));
        flags.set(DescriptorFlags::WRITE, how.contains(OpenFlags::WRITE));
        if flags.contains(DescriptorFlags::WRITE) {
            self.change()?;
        }
        let descriptor = Arc::new(self.open_by_name(node, flags)?);
        let mut state = self.state();
        state.last_handle += 1;
        let handle = state.last_handle;
        state.nodes.set_descriptor(node, Some(Arc::clone(&descriptor)));
        state.open.insert(handle, Open { node, descriptor });
        Ok(handle)
    }

    fn release(&self, _node: Node, handle: Handle) {
        let mut state = self.state();
        if let Some(closed) = state.open.remove(&handle) {
            let other = state.open.values().find(|open| open.node == closed.node);
            let other = other.map(|open| Arc::clone(&open.descriptor));
            state.nodes.set_descriptor(closed.node, other);
        }
    }

    fn read(&self, _node: Node, handle: Handle, offset: u64, buffer: &mut [u8]) -> Result<usize, Errno> {
        let file = self.file(handle)?;
        let mut filled = 0;
        while filled < buffer.len() {
            let at = offset.checked_add(filled as u64).ok_or(Errno::Inval)?;
            let (bytes, end) = file.read((buffer.len() - filled) as u64, at).map_err(errno)?;
            let rest = buffer.get_mut(filled..).and_then(|rest| rest.get_mut(..bytes.len())).ok_or(Errno::Io)?;
            rest.copy_from_slice(&bytes);
            filled += bytes.len();
            if end || bytes.is_empty() {
                break;
            }
        }
        Ok(filled)
    }

    fn write(&self, _node: Node, handle: Handle, offset: u64, bytes: &[u8]) -> Result<usize, Errno> {
        let taken = self.file(handle)?.write(bytes, offset).map_err(errno)?;
        usize::try_from(taken).ok().filter(|taken| *taken <= bytes.len()).ok_or(Errno::Io)
    }

    fn fsync(&self, _node: Node, handle: Handle, data_only: bool) -> Result<(), Errno> {
        let file = self.file(handle)?;
        if data_only { file.sync_data() } else { file.sync() }.map_err(errno)
    }

    fn readdir(&self, dir: Node, cookie: u64, entries_max: usize) -> Result<Vec<DirectoryEntry>, Errno> {
        let parent = self.directory(dir)?;
        if cookie == 0 {
            let names = names(&parent)?;
            if !self.state().listings.entry(dir).or_default().refresh(names) {
                return Err(Errno::Overflow);
            }
        }
        let mut last = cookie;
        let mut entries = Vec::new();
        while entries.len() < entries_max {
            let next = {
                let state = self.state();
                let mut after = state.listings.get(&dir).into_iter().flat_map(|listing| listing.after(last));
                after.next().map(|(cookie, name)| (cookie, name.to_owned()))
            };
            let Some((cookie, name)) = next else { break };
            last = cookie;
            // What went meanwhile, or is of no kind that there is, is left out.
            if let Some(attributes) = self.entry(&parent, &name)? {
                entries.push(DirectoryEntry { name, cookie, attributes });
            }
        }
        Ok(entries)
    }

    fn statfs(&self) -> Result<FilesystemStatus, Errno> {
        Err(Errno::Notsup)
    }
}

impl Wasifs {
    fn entry(&self, parent: &Descriptor, name: &str) -> Result<Option<Attributes>, Errno> {
        let found = parent.stat_at(NO_FOLLOW, name).and_then(|stat| {
            let hash = parent.metadata_hash_at(NO_FOLLOW, name)?;
            Ok((stat, identity(hash).number()))
        });
        match found {
            Ok((stat, node)) if kind(stat.type_).is_some() => self.attributes(node, &stat).map(Some),
            Ok(_) | Err(ErrorCode::NoEntry) => Ok(None),
            Err(code) => Err(errno(code)),
        }
    }
}

/// All names of a directory.
fn names(dir: &Descriptor) -> Result<Vec<String>, Errno> {
    let stream = dir.read_directory().map_err(errno)?;
    let mut names = Vec::new();
    while let Some(entry) = stream.read_directory_entry().map_err(errno)? {
        if entry.name != "." && entry.name != ".." {
            names.push(entry.name);
        }
    }
    Ok(names)
}

fn identity(hash: MetadataHashValue) -> Identity {
    Identity { lower: hash.lower, upper: hash.upper }
}

/// The name by which an inode was known is gone, so the inode cannot be reached.
fn gone(code: ErrorCode) -> Errno {
    match code {
        ErrorCode::NoEntry | ErrorCode::NotDirectory => Errno::Stale,
        code => errno(code),
    }
}
