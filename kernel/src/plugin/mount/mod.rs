//! A mount whose backend can be replaced while it is used.
//!
//! [`PluginMount`] stands between the kernel and a backend. It counts what the backend does ([`MountMetrics`]), starts a component again that failed
//! (with growing waits, when it was told how), and lets another backend take over ([`replace`](PluginMount::replace)).
//!
//! **What a replacement means.** Calls that are under way end first; calls that come meanwhile wait. What was written to open files is made durable in
//! the old backend before it goes; if that fails, it stays. Afterwards every file and directory that the kernel holds goes on as what the new backend has
//! under the same name and of the same kind, and open files are opened there anew. What is not there answers `ESTALE` from then on, and so does what had
//! no name any more (an unlinked open file) or a name that the mount never learnt. A listing that was under way may repeat or miss entries. No call fails for any
//! other reason than these and what the backends themselves answer.

mod handles;
mod metrics;
mod nodes;
mod relay;
mod restart;

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Weak};
use std::time::Instant;

use parking_lot::{Mutex, RwLock, RwLockReadGuard};

pub use metrics::{Function, FunctionMetrics, MountMetrics};
pub use restart::Starter;

use super::{PluginError, PluginFilesystem};
use crate::Errno;
use crate::backend::{
    AttributeChanges, Attributes, Change, Content, DirectoryEntry, Filesystem, FilesystemInfo, FilesystemStatus,
    Handle, Node, NodeKind, OpenFlags, Ownership, RenameFlags, Watcher,
};
use handles::{OpenFile, OpenFiles};
use metrics::Metrics;
use nodes::Nodes;
use relay::{Relay, Wanted};
use restart::{BackOff, Supervisor, as_filesystem};

/// The backend that serves now.
struct Serving {
    fs: Arc<dyn Filesystem>,
    generation: u64,
    /// Hears of changes until another backend takes over.
    relay: Arc<Relay>,
}

/// A backend under a live mount, which can be replaced.
pub struct PluginMount {
    name: String,
    serving: RwLock<Serving>,
    nodes: Arc<Mutex<Nodes>>,
    files: OpenFiles,
    metrics: Metrics,
    supervisor: Mutex<Supervisor>,
    /// Set when a call found the backend retired; looked at before the next call.
    failed: AtomicBool,
    watcher: Wanted,
}

impl PluginMount {
    /// A mount that a component serves. With a `starter`, a component that fails is started again; without one the mount then answers `EIO` until it is
    /// replaced. (A component that keeps its files in its own memory has lost them: a fresh instance is empty.)
    pub fn new(name: impl Into<String>, plugin: PluginFilesystem, starter: Option<Starter>) -> Self {
        let plugin = Arc::new(plugin);
        Self::make(name.into(), as_filesystem(&plugin), Some(plugin), starter)
    }

    /// A mount that any backend serves, so that it can be replaced and measured.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use eyot_backend::{Filesystem, Ownership};
    /// use eyot_kernel::plugin::PluginMount;
    /// use eyot_memfs::Memfs;
    ///
    /// let mount = PluginMount::over("scratch", Arc::new(Memfs::new()));
    /// let root = mount.info().root;
    /// let file = mount.create(root, "f", Ownership { mode: 0o644, uid: 0, gid: 0 }).unwrap().node;
    /// mount.replace(Arc::new(Memfs::new())).unwrap();
    /// assert_eq!(mount.getattr(file), Err(eyot_backend::Errno::Stale)); // the new one has no `f`
    /// ```
    pub fn over(name: impl Into<String>, fs: Arc<dyn Filesystem>) -> Self {
        Self::make(name.into(), fs, None, None)
    }

    fn make(
        name: String,
        fs: Arc<dyn Filesystem>,
        plugin: Option<Arc<PluginFilesystem>>,
        starter: Option<Starter>,
    ) -> Self {
        let root = fs.info().root;
        let nodes = Arc::new(Mutex::new(Nodes::new(root)));
        let watcher = Wanted::default();
        let relay = Relay::new(&watcher, &nodes, 0);
        Self {
            name,
            serving: RwLock::new(Serving { fs, generation: 0, relay }),
            nodes,
            files: OpenFiles::default(),
            metrics: Metrics::new(),
            supervisor: Mutex::new(Supervisor { starter, back_off: BackOff::new(), plugin }),
            failed: AtomicBool::new(false),
            watcher,
        }
    }

    /// Lets another component take over. Errors: as [`replace`](Self::replace).
    pub fn replace_plugin(&self, plugin: PluginFilesystem) -> Result<(), Errno> {
        let plugin = Arc::new(plugin);
        self.take_over(as_filesystem(&plugin), Some(plugin))?;
        self.metrics.replacements.fetch_add(1, Relaxed);
        Ok(())
    }

    /// Lets another backend take over. Errors: `ENOTDIR` when its root is no directory; what the old backend answered when its writes could not be made durable
    /// (it goes on serving then).
    pub fn replace(&self, fs: Arc<dyn Filesystem>) -> Result<(), Errno> {
        self.take_over(fs, None)?;
        self.metrics.replacements.fetch_add(1, Relaxed);
        Ok(())
    }

    /// What the backend was asked, and how it did.
    pub fn metrics(&self) -> MountMetrics {
        self.metrics.snapshot()
    }

    /// Whether the component that serves was retired, and none took over yet.
    pub fn is_retired(&self) -> bool {
        self.supervisor.lock().has_failed()
    }

    fn take_over(&self, fs: Arc<dyn Filesystem>, plugin: Option<Arc<PluginFilesystem>>) -> Result<(), Errno> {
        let root = fs.info().root;
        if fs.getattr(root)?.kind != NodeKind::Directory {
            return Err(Errno::Notdir);
        }
        if !self.supervisor.lock().has_failed() {
            self.write_back()?;
        }
        let mut serving = self.serving.write();
        // What a retired component still held is lost, and nothing can be asked of it.
        let lives = !self.supervisor.lock().has_failed();
        if lives {
            self.flush(&serving)?;
        }
        let generation = serving.generation + 1;
        let next = Serving { fs, generation, relay: Relay::new(&self.watcher, &self.nodes, generation) };
        let old = std::mem::replace(&mut *serving, next);
        let mut nodes = self.nodes.lock();
        let files = self.files.all();
        let theirs = |file: &Arc<OpenFile>| Some((nodes.known(file.node)?, file.of(old.generation)?));
        let open: Vec<(Node, Handle)> = files.iter().filter_map(theirs).collect();
        let counted = nodes.begin_generation(root);
        drop(nodes);
        self.supervisor.lock().plugin = plugin;
        self.failed.store(false, Relaxed);
        if self.watcher.lock().is_some() {
            serving.relay.listen(&*serving.fs);
        }
        drop(serving);
        self.tell();
        if lives {
            // A backend that serves elsewhere too gets back what it counted for us.
            open.into_iter().for_each(|(node, handle)| old.fs.release(node, handle));
            counted.into_iter().for_each(|(node, count)| old.fs.forget(node, count));
        }
        Ok(())
    }

    /// Makes durable what was written.
    fn flush(&self, serving: &Serving) -> Result<(), Errno> {
        for file in self.files.all().iter().filter(|file| file.is_writer()) {
            let Some(handle) = file.of(serving.generation) else { continue };
            let node = self.nodes.lock().theirs(file.node, &*serving.fs);
            let Ok(node) = node else { continue };
            match serving.fs.fsync(node, handle, false) {
                Ok(()) | Err(Errno::Notsup | Errno::Nosys | Errno::Stale | Errno::Rofs) => {}
                Err(errno) => return Err(errno),
            }
        }
        serving.fs.sync()
    }

    /// Has the kernel write what it holds back, while nothing is locked: it calls this mount. What is written meanwhile goes to the next backend.
    fn write_back(&self) -> Result<(), Errno> {
        let watcher = self.watcher.lock().clone();
        watcher.and_then(|watcher| watcher.upgrade()).map_or(Ok(()), |watcher| watcher.write_back())
    }

    /// Tells the kernel to believe nothing that it has seen.
    fn tell(&self) {
        let watcher = self.watcher.lock().clone();
        if let Some(watcher) = watcher.and_then(|watcher| watcher.upgrade()) {
            watcher.changed(&Change::Everything);
        }
    }

    /// The backend, for one call.
    fn serving(&self) -> RwLockReadGuard<'_, Serving> {
        if self.failed.load(Relaxed) {
            self.start_again();
        }
        self.serving.read()
    }

    /// Starts a component that failed once more, when it is time.
    #[cold]
    fn start_again(&self) {
        let starter = {
            let mut supervisor = self.supervisor.lock();
            let Some(starter) = supervisor.starter.clone() else { return };
            if !supervisor.has_failed() || !supervisor.back_off.may_try(Instant::now()) {
                return;
            }
            starter
        };
        let started = starter().and_then(|plugin| {
            let plugin = Arc::new(plugin);
            let failed = |errno: Errno| PluginError::Start { name: self.name.clone(), reason: errno.to_string() };
            self.take_over(as_filesystem(&plugin), Some(plugin)).map_err(failed)
        });
        match started {
            Ok(()) => {
                self.metrics.restarts.fetch_add(1, Relaxed);
                tracing::warn!(plugin = %self.name, "backend started again");
            }
            Err(error) => tracing::warn!(plugin = %self.name, %error, "backend could not be started again"),
        }
    }

    /// Makes one call and counts it.
    fn call<T>(&self, function: Function, call: impl FnOnce(&Serving) -> Result<T, Errno>) -> Result<T, Errno> {
        let serving = self.serving();
        let started = Instant::now();
        let result = call(&serving);
        self.metrics.count(function, started, &result);
        if matches!(result, Err(Errno::Io)) {
            self.look_whether_it_failed();
        }
        result
    }

    #[cold]
    fn look_whether_it_failed(&self) {
        if !self.failed.load(Relaxed) && self.supervisor.lock().has_failed() && !self.failed.swap(true, Relaxed) {
            self.metrics.retirements.fetch_add(1, Relaxed);
        }
    }

    fn theirs(&self, serving: &Serving, node: Node) -> Result<Node, Errno> {
        self.nodes.lock().theirs(node, &*serving.fs)
    }

    /// A call about one node that answers its attributes.
    fn about(
        &self,
        function: Function,
        node: Node,
        call: impl FnOnce(&dyn Filesystem, Node) -> Result<Attributes, Errno>,
    ) -> Result<Attributes, Errno> {
        self.call(function, |serving| {
            let theirs = self.theirs(serving, node)?;
            let attributes = call(&*serving.fs, theirs)?;
            Ok(Attributes { node, ..attributes })
        })
    }

    /// A call that finds or makes the name of a directory, and counts the node.
    fn hold(
        &self,
        function: Function,
        dir: Node,
        name: &str,
        call: impl FnOnce(&dyn Filesystem, Node) -> Result<Attributes, Errno>,
    ) -> Result<Attributes, Errno> {
        self.call(function, |serving| {
            let theirs = self.theirs(serving, dir)?;
            let attributes = call(&*serving.fs, theirs)?;
            let node = self.nodes.lock().hold(&attributes, dir, name);
            Ok(Attributes { node, ..attributes })
        })
    }

    /// A call about an open file.
    fn on_file<T>(
        &self,
        function: Function,
        handle: Handle,
        call: impl FnOnce(&dyn Filesystem, Node, Handle) -> Result<T, Errno>,
    ) -> Result<T, Errno> {
        self.call(function, |serving| {
            let file = self.files.get(handle)?;
            let node = self.theirs(serving, file.node)?;
            let handle = file.handle(serving.generation, node, &*serving.fs)?;
            call(&*serving.fs, node, handle)
        })
    }
}

impl Filesystem for PluginMount {
    fn info(&self) -> FilesystemInfo {
        let root = self.nodes.lock().root();
        FilesystemInfo { root, ..self.serving().fs.info() }
    }

    fn may_wait(&self) -> bool {
        self.serving.read().fs.may_wait()
    }

    fn worth_caching(&self) -> bool {
        self.serving.read().fs.worth_caching()
    }

    fn watch(&self, watcher: Weak<dyn Watcher>) {
        *self.watcher.lock() = Some(watcher);
        let serving = self.serving.read();
        serving.relay.listen(&*serving.fs);
    }

    fn lookup(&self, dir: Node, name: &str) -> Result<Attributes, Errno> {
        self.hold(Function::Lookup, dir, name, |fs, dir| fs.lookup(dir, name))
    }

    fn forget(&self, node: Node, count: u64) {
        let _ = self.call(Function::Forget, |serving| {
            let counted = self.nodes.lock().forget(node, count);
            if let Some((theirs, count)) = counted {
                serving.fs.forget(theirs, count);
            }
            Ok(())
        });
    }

    fn getattr(&self, node: Node) -> Result<Attributes, Errno> {
        self.about(Function::Getattr, node, |fs, node| fs.getattr(node))
    }

    fn setattr(&self, node: Node, changes: &AttributeChanges) -> Result<Attributes, Errno> {
        self.about(Function::Setattr, node, |fs, node| fs.setattr(node, changes))
    }

    fn create(&self, dir: Node, name: &str, owner: Ownership) -> Result<Attributes, Errno> {
        self.hold(Function::Create, dir, name, |fs, dir| fs.create(dir, name, owner))
    }

    fn mkdir(&self, dir: Node, name: &str, owner: Ownership) -> Result<Attributes, Errno> {
        self.hold(Function::Mkdir, dir, name, |fs, dir| fs.mkdir(dir, name, owner))
    }

    fn symlink(&self, dir: Node, name: &str, target: &str, owner: Ownership) -> Result<Attributes, Errno> {
        self.hold(Function::Symlink, dir, name, |fs, dir| fs.symlink(dir, name, target, owner))
    }

    fn make_node(
        &self,
        dir: Node,
        name: &str,
        kind: NodeKind,
        device: u64,
        owner: Ownership,
    ) -> Result<Attributes, Errno> {
        self.hold(Function::MakeNode, dir, name, |fs, dir| fs.make_node(dir, name, kind, device, owner))
    }

    fn link(&self, target: Node, dir: Node, name: &str) -> Result<Attributes, Errno> {
        self.call(Function::Link, |serving| {
            let theirs = self.theirs(serving, target)?;
            let parent = self.theirs(serving, dir)?;
            let attributes = serving.fs.link(theirs, parent, name)?;
            let node = self.nodes.lock().hold(&attributes, dir, name);
            Ok(Attributes { node, ..attributes })
        })
    }

    fn unlink(&self, dir: Node, name: &str) -> Result<(), Errno> {
        self.call(Function::Unlink, |serving| {
            serving.fs.unlink(self.theirs(serving, dir)?, name)?;
            self.nodes.lock().unname(dir, name);
            Ok(())
        })
    }

    fn rmdir(&self, dir: Node, name: &str) -> Result<(), Errno> {
        self.call(Function::Rmdir, |serving| {
            serving.fs.rmdir(self.theirs(serving, dir)?, name)?;
            self.nodes.lock().unname(dir, name);
            Ok(())
        })
    }

    fn rename(
        &self,
        from_dir: Node,
        from_name: &str,
        to_dir: Node,
        to_name: &str,
        how: RenameFlags,
    ) -> Result<(), Errno> {
        self.call(Function::Rename, |serving| {
            let from = self.theirs(serving, from_dir)?;
            let to = self.theirs(serving, to_dir)?;
            serving.fs.rename(from, from_name, to, to_name, how)?;
            let exchange = how.contains(RenameFlags::EXCHANGE);
            self.nodes.lock().moved((from_dir, from_name), (to_dir, to_name), exchange);
            Ok(())
        })
    }

    fn readlink(&self, node: Node) -> Result<String, Errno> {
        self.call(Function::Readlink, |serving| serving.fs.readlink(self.theirs(serving, node)?))
    }

    fn open(&self, node: Node, how: OpenFlags) -> Result<Handle, Errno> {
        self.call(Function::Open, |serving| {
            let theirs = serving.fs.open(self.theirs(serving, node)?, how)?;
            Ok(self.files.insert(node, how, serving.generation, theirs))
        })
    }

    fn release(&self, _node: Node, handle: Handle) {
        let _ = self.call(Function::Release, |serving| {
            let Some(file) = self.files.remove(handle) else { return Ok(()) };
            if let Some(handle) = file.of(serving.generation)
                && let Ok(node) = self.theirs(serving, file.node)
            {
                serving.fs.release(node, handle);
            }
            Ok(())
        });
    }

    fn read(&self, _node: Node, handle: Handle, offset: u64, buffer: &mut [u8]) -> Result<usize, Errno> {
        let count = self.on_file(Function::Read, handle, |fs, node, handle| fs.read(node, handle, offset, buffer))?;
        self.metrics.bytes_read.fetch_add(count as u64, Relaxed);
        Ok(count)
    }

    fn write(&self, _node: Node, handle: Handle, offset: u64, bytes: &[u8]) -> Result<usize, Errno> {
        let count = self.on_file(Function::Write, handle, |fs, node, handle| fs.write(node, handle, offset, bytes))?;
        self.metrics.bytes_written.fetch_add(count as u64, Relaxed);
        Ok(count)
    }

    fn fsync(&self, _node: Node, handle: Handle, data_only: bool) -> Result<(), Errno> {
        self.on_file(Function::Fsync, handle, |fs, node, handle| fs.fsync(node, handle, data_only))
    }

    fn sync(&self) -> Result<(), Errno> {
        self.serving().fs.sync()
    }

    fn readdir(&self, dir: Node, cookie: u64, entries_max: usize) -> Result<Vec<DirectoryEntry>, Errno> {
        self.call(Function::Readdir, |serving| {
            let mut entries = serving.fs.readdir(self.theirs(serving, dir)?, cookie, entries_max)?;
            let nodes = self.nodes.lock();
            for entry in &mut entries {
                entry.attributes.node = nodes.shown(entry.attributes.node);
            }
            Ok(entries)
        })
    }

    fn statfs(&self) -> Result<FilesystemStatus, Errno> {
        self.call(Function::Statfs, |serving| serving.fs.statfs())
    }

    fn getxattr(&self, node: Node, name: &str) -> Result<Vec<u8>, Errno> {
        self.call(Function::Getxattr, |serving| serving.fs.getxattr(self.theirs(serving, node)?, name))
    }

    fn setxattr(&self, node: Node, name: &str, value: &[u8]) -> Result<(), Errno> {
        self.call(Function::Setxattr, |serving| serving.fs.setxattr(self.theirs(serving, node)?, name, value))
    }

    fn listxattr(&self, node: Node) -> Result<Vec<String>, Errno> {
        self.call(Function::Listxattr, |serving| serving.fs.listxattr(self.theirs(serving, node)?))
    }

    fn removexattr(&self, node: Node, name: &str) -> Result<(), Errno> {
        self.call(Function::Removexattr, |serving| serving.fs.removexattr(self.theirs(serving, node)?, name))
    }

    fn content(&self, node: Node) -> Option<Content> {
        let serving = self.serving();
        let theirs = self.theirs(&serving, node).ok()?;
        serving.fs.content(theirs)
    }
}
