//! The kernel's face of a component whose calls may wait.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use eyot_backend::{
    AttributeChanges, Attributes, CHUNK_BYTES_MAX, DirectoryEntry, Errno, Filesystem, FilesystemInfo, FilesystemStatus,
    Handle, Node, NodeKind, OpenFlags, Ownership, RenameFlags, Watcher,
};
use wasmtime::StoreContextMut;
use wasmtime::component::{ComponentNamedList, Lift, Lower};

use super::changes::Teller;
use super::driver::{Call, Driver};
use super::exports::{Begun, Guest};
use super::life::Begin;
use super::reply::{NoAnswer, Reply, pair};
use crate::plugin::answers::{self, Expected, Lie};
use crate::plugin::bindings::{self, types};
use crate::plugin::filesystem::LISTING_ENTRIES_MAX;
use crate::plugin::load::HostState;
use crate::plugin::report::Reporter;
use crate::runtime;

type Access<'a> = StoreContextMut<'a, HostState>;

/// A filesystem that a component of an asynchronous world answers.
pub(in crate::plugin) struct WaitingPlugin {
    info: FilesystemInfo,
    driver: Arc<Driver>,
    teller: Option<Arc<Teller>>,
    time_max: Duration,
    reporter: Reporter,
}

impl Drop for WaitingPlugin {
    fn drop(&mut self) {
        self.driver.close();
    }
}

impl WaitingPlugin {
    pub(super) fn new(name: String, driver: Arc<Driver>, begin: Begin, time_max: Duration) -> Self {
        let Begin { info, teller } = begin;
        Self { info, driver, teller, time_max, reporter: Reporter::new(name) }
    }

    pub(in crate::plugin) fn is_retired(&self) -> bool {
        self.driver.is_retired()
    }

    /// Puts a call that carries, or asks for, so many bytes into the queue, and runs the instance.
    fn put<P, R>(
        &self,
        bytes: usize,
        deadline: Instant,
        begin: impl FnOnce(&Guest, &mut Access<'_>) -> wasmtime::Result<Begun<P, R>> + Send + 'static,
    ) -> Result<Reply<R>, NoAnswer>
    where
        P: ComponentNamedList + Lower + Send + Sync + 'static,
        R: ComponentNamedList + Lift + Send + Sync + 'static,
    {
        let permit = self.driver.admission.admit(bytes, deadline)?;
        let (answer, reply) = pair();
        self.driver.put(Box::new(Call { begin, answer, permit, driver: self.driver.clone() }));
        self.driver.discard_if_over();
        Ok(reply)
    }

    /// Makes a call and waits for its answer.
    fn ask<P, R>(
        &self,
        bytes: usize,
        begin: impl FnOnce(&Guest, &mut Access<'_>) -> wasmtime::Result<Begun<P, R>> + Send + 'static,
    ) -> Result<R, Errno>
    where
        P: ComponentNamedList + Lower + Send + Sync + 'static,
        R: ComponentNamedList + Lift + Send + Sync + 'static,
    {
        let deadline = Instant::now() + self.time_max;
        let asked = self.put(bytes, deadline, begin).and_then(|reply| match reply.now() {
            Some(answer) => answer,
            None => runtime::wait(|| reply.wait_until(deadline)).inspect_err(|no_answer| {
                if *no_answer == NoAnswer::TimedOut {
                    self.driver.give_up();
                }
            }),
        });
        asked.map_err(|no_answer| match no_answer {
            NoAnswer::TimedOut => Errno::Timedout,
            NoAnswer::Gone => Errno::Io,
        })
    }

    /// Calls the component and checks its answer.
    fn call<P, T, U>(
        &self,
        function: &'static str,
        bytes: usize,
        begin: impl FnOnce(&Guest, &mut Access<'_>) -> wasmtime::Result<Begun<P, (Result<T, types::Errno>,)>>
        + Send
        + 'static,
        check: impl FnOnce(T) -> Result<U, Lie>,
    ) -> Result<U, Errno>
    where
        P: ComponentNamedList + Lower + Send + Sync + 'static,
        T: Lift + Send + Sync + 'static,
    {
        let (answer,) = self.ask(bytes, begin)?;
        check(answer.map_err(bindings::errno)?).map_err(|lie| self.reporter.lied(function, lie))
    }
}

impl Filesystem for WaitingPlugin {
    fn info(&self) -> FilesystemInfo {
        self.info.clone()
    }

    fn may_wait(&self) -> bool {
        true
    }

    fn watch(&self, watcher: Weak<dyn Watcher>) {
        if let Some(teller) = &self.teller {
            teller.watch(watcher);
        }
    }

    fn lookup(&self, dir: Node, name: &str) -> Result<Attributes, Errno> {
        let name = name.to_owned();
        let check = |found| answers::attributes(found, Expected::Any);
        self.call("lookup", 0, move |guest, access| guest.lookup(access, dir, name), check)
    }

    /// Nobody waits for it: calls are begun in the order in which they come.
    fn forget(&self, node: Node, count: u64) {
        let deadline = Instant::now() + self.time_max;
        let _ = self.put(0, deadline, move |guest, access| guest.forget(access, node, count));
    }

    fn getattr(&self, node: Node) -> Result<Attributes, Errno> {
        let check = |found| answers::attributes(found, Expected::Node(node));
        self.call("getattr", 0, move |guest, access| guest.getattr(access, node), check)
    }

    fn setattr(&self, node: Node, changes: &AttributeChanges) -> Result<Attributes, Errno> {
        let changes = bindings::changes_out(changes);
        let check = |changed| answers::attributes(changed, Expected::Node(node));
        self.call("setattr", 0, move |guest, access| guest.setattr(access, node, changes), check)
    }

    fn create(&self, dir: Node, name: &str, owner: Ownership) -> Result<Attributes, Errno> {
        let (name, owner) = (name.to_owned(), bindings::owner_out(owner));
        let check = |made| answers::attributes(made, Expected::Kind(NodeKind::File));
        self.call("create", 0, move |guest, access| guest.create(access, dir, name, owner), check)
    }

    fn mkdir(&self, dir: Node, name: &str, owner: Ownership) -> Result<Attributes, Errno> {
        let (name, owner) = (name.to_owned(), bindings::owner_out(owner));
        let check = |made| answers::attributes(made, Expected::Kind(NodeKind::Directory));
        self.call("mkdir", 0, move |guest, access| guest.mkdir(access, dir, name, owner), check)
    }

    fn symlink(&self, dir: Node, name: &str, target: &str, owner: Ownership) -> Result<Attributes, Errno> {
        let (name, target, owner) = (name.to_owned(), target.to_owned(), bindings::owner_out(owner));
        let check = |made| answers::attributes(made, Expected::Kind(NodeKind::Symlink));
        self.call("symlink", 0, move |guest, access| guest.symlink(access, dir, name, target, owner), check)
    }

    fn make_node(
        &self,
        dir: Node,
        name: &str,
        kind: NodeKind,
        device: u64,
        owner: Ownership,
    ) -> Result<Attributes, Errno> {
        let (name, theirs, owner) = (name.to_owned(), bindings::kind_out(kind), bindings::owner_out(owner));
        let check = |made| answers::attributes(made, Expected::Kind(kind));
        let begin =
            move |guest: &Guest, access: &mut Access<'_>| guest.make_node(access, dir, name, theirs, device, owner);
        self.call("make-node", 0, begin, check)
    }

    fn link(&self, target: Node, dir: Node, name: &str) -> Result<Attributes, Errno> {
        let name = name.to_owned();
        let check = |linked| answers::attributes(linked, Expected::Link(target));
        self.call("link", 0, move |guest, access| guest.link(access, target, dir, name), check)
    }

    fn unlink(&self, dir: Node, name: &str) -> Result<(), Errno> {
        let name = name.to_owned();
        self.call("unlink", 0, move |guest, access| guest.unlink(access, dir, name), Ok)
    }

    fn rmdir(&self, dir: Node, name: &str) -> Result<(), Errno> {
        let name = name.to_owned();
        self.call("rmdir", 0, move |guest, access| guest.rmdir(access, dir, name), Ok)
    }

    fn rename(
        &self,
        from_dir: Node,
        from_name: &str,
        to_dir: Node,
        to_name: &str,
        how: RenameFlags,
    ) -> Result<(), Errno> {
        let (from_name, to_name, how) = (from_name.to_owned(), to_name.to_owned(), bindings::rename_out(how));
        let begin = move |guest: &Guest, access: &mut Access<'_>| {
            guest.rename(access, from_dir, from_name, to_dir, to_name, how)
        };
        self.call("rename", 0, begin, Ok)
    }

    fn readlink(&self, node: Node) -> Result<String, Errno> {
        self.call("readlink", 0, move |guest, access| guest.readlink(access, node), answers::target)
    }

    fn open(&self, node: Node, how: OpenFlags) -> Result<Handle, Errno> {
        let how = bindings::open_out(how);
        self.call("open", 0, move |guest, access| guest.open(access, node, how), Ok)
    }

    fn release(&self, node: Node, handle: Handle) {
        let _ = self.ask(0, move |guest, access| guest.release(access, node, handle));
    }

    fn read(&self, node: Node, handle: Handle, offset: u64, buffer: &mut [u8]) -> Result<usize, Errno> {
        let length = buffer.len().min(CHUNK_BYTES_MAX);
        let begin =
            move |guest: &Guest, access: &mut Access<'_>| guest.read(access, node, handle, offset, length as u32);
        self.call("read", length, begin, |bytes: Vec<u8>| {
            let target = buffer.get_mut(..length).and_then(|buffer| buffer.get_mut(..bytes.len()));
            target.ok_or("more bytes than were asked for")?.copy_from_slice(&bytes);
            Ok(bytes.len())
        })
    }

    fn write(&self, node: Node, handle: Handle, offset: u64, bytes: &[u8]) -> Result<usize, Errno> {
        let bytes = bytes.get(..CHUNK_BYTES_MAX).unwrap_or(bytes);
        let mut owned = Vec::new();
        owned.try_reserve_exact(bytes.len()).map_err(|_| Errno::Nomem)?;
        owned.extend_from_slice(bytes);
        let begin = move |guest: &Guest, access: &mut Access<'_>| guest.write(access, node, handle, offset, owned);
        self.call("write", bytes.len(), begin, |count| answers::written(count, bytes.len()))
    }

    fn fsync(&self, node: Node, handle: Handle, data_only: bool) -> Result<(), Errno> {
        self.call("fsync", 0, move |guest, access| guest.fsync(access, node, handle, data_only), Ok)
    }

    fn sync(&self) -> Result<(), Errno> {
        self.call("sync", 0, move |guest, access| guest.sync(access), Ok)
    }

    fn readdir(&self, dir: Node, cookie: u64, entries_max: usize) -> Result<Vec<DirectoryEntry>, Errno> {
        let entries_max = entries_max.min(LISTING_ENTRIES_MAX);
        let check = |entries| answers::entries(entries, cookie, entries_max);
        self.call("readdir", 0, move |guest, access| guest.readdir(access, dir, cookie, entries_max as u32), check)
    }

    fn statfs(&self) -> Result<FilesystemStatus, Errno> {
        self.call("statfs", 0, move |guest, access| guest.statfs(access), answers::status)
    }

    fn getxattr(&self, node: Node, name: &str) -> Result<Vec<u8>, Errno> {
        let name = name.to_owned();
        self.call("getxattr", 0, move |guest, access| guest.getxattr(access, node, name), answers::xattr)
    }

    fn setxattr(&self, node: Node, name: &str, value: &[u8]) -> Result<(), Errno> {
        let (name, bytes, value) = (name.to_owned(), value.len(), value.to_vec());
        self.call("setxattr", bytes, move |guest, access| guest.setxattr(access, node, name, value), Ok)
    }

    fn listxattr(&self, node: Node) -> Result<Vec<String>, Errno> {
        self.call("listxattr", 0, move |guest, access| guest.listxattr(access, node), answers::xattr_names)
    }

    fn removexattr(&self, node: Node, name: &str) -> Result<(), Errno> {
        let name = name.to_owned();
        self.call("removexattr", 0, move |guest, access| guest.removexattr(access, node, name), Ok)
    }
}
