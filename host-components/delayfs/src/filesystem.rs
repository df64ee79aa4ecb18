//! The filesystem: memfs, after a wait.

use std::time::Duration;

use eyot_backend::{
    AsyncFilesystem, AttributeChanges, Attributes, CHUNK_BYTES_MAX, Capabilities, Change, ChangeSink, DirectoryEntry,
    Errno, Filesystem, FilesystemInfo, FilesystemStatus, Handle, Node, NodeKind, OpenFlags, Ownership, RenameFlags,
};
use eyot_memfs::Memfs;

use crate::clock::wait;

/// Files in memory, each call to which waits.
pub struct Delayed {
    files: Memfs,
    delay: Duration,
    /// A file that changes by itself, and how often.
    ticks: Option<(Node, Duration)>,
}

impl Delayed {
    pub(crate) fn new(files: Memfs, delay: Duration) -> Self {
        Self { files, delay, ticks: None }
    }

    pub(crate) fn ticking(self, node: Node, tick: Duration) -> Self {
        Self { ticks: Some((node, tick)), ..self }
    }

    /// Puts the number of changes into the file.
    fn count(&self, node: Node, ticks: u64) -> Result<(), Errno> {
        self.files.write(node, 0, 0, format!("{ticks:08}\n").as_bytes()).map(drop)
    }
}

/// Calls that wait and are then memfs's.
macro_rules! delayed {
    ($($name:ident($($arg:ident: $ty:ty),*) -> $answer:ty;)*) => {
        $(async fn $name(&self, $($arg: $ty),*) -> $answer {
            wait(self.delay).await;
            self.files.$name($($arg),*)
        })*
    };
}

impl AsyncFilesystem for Delayed {
    fn info(&self) -> FilesystemInfo {
        let mut info = self.files.info();
        info.kind = "delayfs".into();
        info.capabilities.set(Capabilities::EVENTS, self.ticks.is_some());
        info
    }

    delayed! {
        lookup(dir: Node, name: &str) -> Result<Attributes, Errno>;
        getattr(node: Node) -> Result<Attributes, Errno>;
        setattr(node: Node, changes: &AttributeChanges) -> Result<Attributes, Errno>;
        create(dir: Node, name: &str, owner: Ownership) -> Result<Attributes, Errno>;
        mkdir(dir: Node, name: &str, owner: Ownership) -> Result<Attributes, Errno>;
        symlink(dir: Node, name: &str, target: &str, owner: Ownership) -> Result<Attributes, Errno>;
        make_node(dir: Node, name: &str, kind: NodeKind, device: u64, owner: Ownership) -> Result<Attributes, Errno>;
        link(target: Node, dir: Node, name: &str) -> Result<Attributes, Errno>;
        unlink(dir: Node, name: &str) -> Result<(), Errno>;
        rmdir(dir: Node, name: &str) -> Result<(), Errno>;
        rename(from_dir: Node, from_name: &str, to_dir: Node, to_name: &str, how: RenameFlags) -> Result<(), Errno>;
        readlink(node: Node) -> Result<String, Errno>;
        open(node: Node, how: OpenFlags) -> Result<Handle, Errno>;
        release(node: Node, handle: Handle) -> ();
        fsync(node: Node, handle: Handle, data_only: bool) -> Result<(), Errno>;
        sync() -> Result<(), Errno>;
        readdir(dir: Node, cookie: u64, entries_max: usize) -> Result<Vec<DirectoryEntry>, Errno>;
        statfs() -> Result<FilesystemStatus, Errno>;
        getxattr(node: Node, name: &str) -> Result<Vec<u8>, Errno>;
        setxattr(node: Node, name: &str, value: &[u8]) -> Result<(), Errno>;
        listxattr(node: Node) -> Result<Vec<String>, Errno>;
        removexattr(node: Node, name: &str) -> Result<(), Errno>;
    }

    async fn forget(&self, node: Node, count: u64) {
        self.files.forget(node, count);
    }

    async fn read(&self, node: Node, handle: Handle, offset: u64, length: usize) -> Result<Vec<u8>, Errno> {
        wait(self.delay).await;
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(length.min(CHUNK_BYTES_MAX)).map_err(|_| Errno::Nomem)?;
        self.files.read_with(node, handle, offset, length, &mut |piece| bytes.extend_from_slice(piece))?;
        Ok(bytes)
    }

    async fn write(&self, node: Node, handle: Handle, offset: u64, bytes: Vec<u8>) -> Result<usize, Errno> {
        wait(self.delay).await;
        self.files.write_vec(node, handle, offset, bytes)
    }

    async fn watch(&self, changes: &mut dyn ChangeSink) {
        let Some((node, tick)) = self.ticks else { return };
        let mut ticks = 0;
        loop {
            ticks += 1;
            wait(tick.max(Duration::from_millis(1))).await;
            if self.count(node, ticks).is_err() || !changes.tell(Change::Node(node)).await {
                return;
            }
        }
    }
}
