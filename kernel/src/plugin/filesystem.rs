//! The kernel's face of a component.

use std::sync::atomic::{AtomicBool, Ordering};

use eyot_backend::{
    AttributeChanges, Attributes, CHUNK_BYTES_MAX, DirectoryEntry, Errno, Filesystem, FilesystemInfo, FilesystemStatus,
    Handle, Node, NodeKind, OpenFlags, Ownership, RenameFlags,
};
use parking_lot::Mutex;
use wasmtime::Store;

use super::answers::{self, Expected, Lie};
use super::bindings::{self, types};
use super::exports::{Durable, Guest};
use super::load::{HostState, reason};
use super::transfer;
use super::watch;

/// The most entries that are asked for in one call, so that the answer's size is bounded.
const LISTING_ENTRIES_MAX: usize = 4096;

/// A filesystem that a component answers.
///
/// There is one instance, which holds the filesystem's state; calls wait for each other. A lock is held while the component computes, for at most
/// the configured time.
pub struct PluginFilesystem {
    name: String,
    info: FilesystemInfo,
    /// Whether its imports may wait.
    waits: bool,
    /// `None` once it was retired.
    live: Mutex<Option<Live>>,
    /// Whether a false answer was reported: once is enough.
    reported: AtomicBool,
}

/// A running instance.
pub(super) struct Live {
    pub(super) store: Store<HostState>,
    pub(super) guest: Guest,
    pub(super) durable: Option<Durable>,
}

/// What a call into the component gives: the engine's result around the component's own.
type Call<T> = wasmtime::Result<(Result<T, types::Errno>,)>;

impl PluginFilesystem {
    pub(super) fn new(name: String, info: FilesystemInfo, waits: bool, live: Live) -> Self {
        Self { name, info, waits, live: Mutex::new(Some(live)), reported: AtomicBool::new(false) }
    }

    /// Whether the component was retired: it trapped, timed out or broke the ABI, and every call answers `EIO`.
    pub fn is_retired(&self) -> bool {
        self.live.lock().is_none()
    }

    /// Calls the component's `filesystem` and checks its answer.
    fn call<T, U>(
        &self,
        function: &'static str,
        call: impl FnOnce(&Guest, &mut Store<HostState>) -> Call<T>,
        check: impl FnOnce(T) -> Result<U, Lie>,
    ) -> Result<U, Errno> {
        self.call_live(function, |live| call(&live.guest, &mut live.store), check)
    }

    fn call_live<T, U>(
        &self,
        function: &'static str,
        call: impl FnOnce(&mut Live) -> Call<T>,
        check: impl FnOnce(T) -> Result<U, Lie>,
    ) -> Result<U, Errno> {
        let mut slot = self.live.lock();
        let Some(live) = slot.as_mut() else { return Err(Errno::Io) };
        watch::begin_call(&mut live.store);
        let answer = match call(live) {
            Ok((answer,)) => answer,
            Err(error) => {
                let retired = slot.take();
                drop(slot);
                self.report_retirement(function, &error);
                drop(retired);
                return Err(Errno::Io);
            }
        };
        let captures_left = live.store.data_mut().captures.abandon();
        drop(slot);
        if captures_left {
            return Err(self.report_lie(function, "its answer while a capture had not ended"));
        }
        check(answer.map_err(bindings::errno)?).map_err(|lie| self.report_lie(function, lie))
    }

    #[cold]
    fn report_retirement(&self, function: &'static str, error: &wasmtime::Error) {
        let reason = reason(error);
        tracing::warn!(plugin = %self.name, function, %reason, "backend retired: its mounts answer EIO from now on");
    }

    #[cold]
    fn report_lie(&self, function: &'static str, lie: Lie) -> Errno {
        if !self.reported.swap(true, Ordering::Relaxed) {
            tracing::warn!(plugin = %self.name, function, answer = lie, "backend answered what cannot be true: EIO (reported once)");
        }
        Errno::Io
    }

    fn made(
        &self,
        function: &'static str,
        kind: NodeKind,
        call: impl FnOnce(&Guest, &mut Store<HostState>) -> Call<types::Attributes>,
    ) -> Result<Attributes, Errno> {
        self.call(function, call, |made| answers::attributes(made, Expected::Kind(kind)))
    }
}

impl Filesystem for PluginFilesystem {
    fn info(&self) -> FilesystemInfo {
        self.info.clone()
    }

    fn lookup(&self, dir: Node, name: &str) -> Result<Attributes, Errno> {
        let check = |found| answers::attributes(found, Expected::Any);
        self.call("lookup", |guest, store| guest.lookup(store, dir, name), check)
    }

    fn forget(&self, node: Node, count: u64) {
        let call = |guest: &Guest, store: &mut Store<HostState>| guest.forget(store, node, count).map(|()| (Ok(()),));
        let _ = self.call("forget", call, Ok);
    }

    fn getattr(&self, node: Node) -> Result<Attributes, Errno> {
        let check = |found| answers::attributes(found, Expected::Node(node));
        self.call("getattr", |guest, store| guest.getattr(store, node), check)
    }

    fn setattr(&self, node: Node, changes: &AttributeChanges) -> Result<Attributes, Errno> {
        let changes = bindings::changes_out(changes);
        let check = |changed| answers::attributes(changed, Expected::Node(node));
        self.call("setattr", |guest, store| guest.setattr(store, node, changes), check)
    }

    fn create(&self, dir: Node, name: &str, owner: Ownership) -> Result<Attributes, Errno> {
        let owner = bindings::owner_out(owner);
        self.made("create", NodeKind::File, |guest, store| guest.create(store, dir, name, owner))
    }

    fn mkdir(&self, dir: Node, name: &str, owner: Ownership) -> Result<Attributes, Errno> {
        let owner = bindings::owner_out(owner);
        self.made("mkdir", NodeKind::Directory, |guest, store| guest.mkdir(store, dir, name, owner))
    }

    fn symlink(&self, dir: Node, name: &str, target: &str, owner: Ownership) -> Result<Attributes, Errno> {
        let owner = bindings::owner_out(owner);
        self.made("symlink", NodeKind::Symlink, |guest, store| guest.symlink(store, dir, name, target, owner))
    }

    fn make_node(
        &self,
        dir: Node,
        name: &str,
        kind: NodeKind,
        device: u64,
        owner: Ownership,
    ) -> Result<Attributes, Errno> {
        let (theirs, owner) = (bindings::kind_out(kind), bindings::owner_out(owner));
        self.made("make-node", kind, |guest, store| guest.make_node(store, dir, name, theirs, device, owner))
    }

    fn link(&self, target: Node, dir: Node, name: &str) -> Result<Attributes, Errno> {
        let check = |linked| answers::attributes(linked, Expected::Link(target));
        self.call("link", |guest, store| guest.link(store, target, dir, name), check)
    }

    fn unlink(&self, dir: Node, name: &str) -> Result<(), Errno> {
        self.call("unlink", |guest, store| guest.unlink(store, dir, name), Ok)
    }

    fn rmdir(&self, dir: Node, name: &str) -> Result<(), Errno> {
        self.call("rmdir", |guest, store| guest.rmdir(store, dir, name), Ok)
    }

    fn rename(
        &self,
        from_dir: Node,
        from_name: &str,
        to_dir: Node,
        to_name: &str,
        how: RenameFlags,
    ) -> Result<(), Errno> {
        let how = bindings::rename_out(how);
        let call = |guest: &Guest, store: &mut Store<HostState>| {
            guest.rename(store, from_dir, from_name, to_dir, to_name, how)
        };
        self.call("rename", call, Ok)
    }

    fn readlink(&self, node: Node) -> Result<String, Errno> {
        self.call("readlink", |guest, store| guest.readlink(store, node), answers::target)
    }

    fn open(&self, node: Node, how: OpenFlags) -> Result<Handle, Errno> {
        let how = bindings::open_out(how);
        self.call("open", |guest, store| guest.open(store, node, how), Ok)
    }

    fn release(&self, node: Node, handle: Handle) {
        let call = |guest: &Guest, store: &mut Store<HostState>| guest.release(store, node, handle).map(|()| (Ok(()),));
        let _ = self.call("release", call, Ok);
    }

    fn read(&self, node: Node, handle: Handle, offset: u64, buffer: &mut [u8]) -> Result<usize, Errno> {
        let length = buffer.len().min(CHUNK_BYTES_MAX);
        let buffer = buffer.get_mut(..length).unwrap_or_default();
        let mut given = 0;
        let call = |guest: &Guest, store: &mut Store<HostState>| {
            let (answer, count) =
                transfer::during(store, buffer, |store| guest.read(store, node, handle, offset, length as u32));
            given = count;
            answer
        };
        let bytes = self.call("read", call, |bytes| {
            let count = bytes.len();
            if count > length { Err("more bytes than were asked for") } else { Ok(bytes) }
        })?;
        if bytes.is_empty() {
            return Ok(given);
        }
        let Some(target) = buffer.get_mut(given..).and_then(|rest| rest.get_mut(..bytes.len())) else {
            return Err(self.report_lie("read", "more bytes than were asked for"));
        };
        target.copy_from_slice(&bytes);
        Ok(given + bytes.len())
    }

    fn write(&self, node: Node, handle: Handle, offset: u64, bytes: &[u8]) -> Result<usize, Errno> {
        let bytes = bytes.get(..CHUNK_BYTES_MAX).unwrap_or(bytes);
        let call = |guest: &Guest, store: &mut Store<HostState>| guest.write(store, node, handle, offset, bytes);
        self.call("write", call, |count| answers::written(count, bytes.len()))
    }

    fn fsync(&self, node: Node, handle: Handle, data_only: bool) -> Result<(), Errno> {
        self.call("fsync", |guest, store| guest.fsync(store, node, handle, data_only), Ok)
    }

    /// A component that does not export `durable` holds nothing back.
    fn sync(&self) -> Result<(), Errno> {
        let sync = |live: &mut Live| match &live.durable {
            Some(durable) => durable.sync(&mut live.store),
            None => Ok((Ok(()),)),
        };
        self.call_live("sync", sync, Ok)
    }

    fn may_wait(&self) -> bool {
        self.waits
    }

    fn readdir(&self, dir: Node, cookie: u64, entries_max: usize) -> Result<Vec<DirectoryEntry>, Errno> {
        let entries_max = entries_max.min(LISTING_ENTRIES_MAX);
        let check = |entries| answers::entries(entries, cookie, entries_max);
        self.call("readdir", |guest, store| guest.readdir(store, dir, cookie, entries_max as u32), check)
    }

    fn statfs(&self) -> Result<FilesystemStatus, Errno> {
        self.call("statfs", |guest, store| guest.statfs(store), answers::status)
    }

    fn getxattr(&self, node: Node, name: &str) -> Result<Vec<u8>, Errno> {
        self.call("getxattr", |guest, store| guest.getxattr(store, node, name), answers::xattr)
    }

    fn setxattr(&self, node: Node, name: &str, value: &[u8]) -> Result<(), Errno> {
        self.call("setxattr", |guest, store| guest.setxattr(store, node, name, value), Ok)
    }

    fn listxattr(&self, node: Node) -> Result<Vec<String>, Errno> {
        self.call("listxattr", |guest, store| guest.listxattr(store, node), answers::xattr_names)
    }

    fn removexattr(&self, node: Node, name: &str) -> Result<(), Errno> {
        self.call("removexattr", |guest, store| guest.removexattr(store, node, name), Ok)
    }
}
