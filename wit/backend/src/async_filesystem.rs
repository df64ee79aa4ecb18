//! The trait of a filesystem whose calls wait: `wit/backend/filesystem-async.wit` as Rust, for components.

use crate::{
    AttributeChanges, Attributes, Change, DirectoryEntry, Errno, FilesystemInfo, FilesystemStatus, Handle, Node,
    NodeKind, OpenFlags, Ownership, Refusal, RenameFlags, SettingDescription, Settings, Timestamp,
};

/// A filesystem of inodes whose calls wait for a disk or a network.
///
/// It is [`Filesystem`](crate::Filesystem) with calls of which many are in flight at once, on one thread: a call that awaits lets others go on, and what it borrowed
/// from a `RefCell` meanwhile they find borrowed. What is said there of lookup counts and of trust holds here too. A call that is given up by the kernel goes on
/// here; so whoever waits for another machine should have a deadline of its own.
#[allow(async_fn_in_trait, reason = "a component has one thread: its futures need not be `Send`")]
pub trait AsyncFilesystem: 'static {
    /// What this filesystem is. Asked once.
    fn info(&self) -> FilesystemInfo;

    /// Finds `name` in directory `dir`. Errors: `ENOENT`, `ENOTDIR`, `EIO`.
    async fn lookup(&self, dir: Node, name: &str) -> Result<Attributes, Errno>;

    /// Gives back `count` lookups of `node`.
    async fn forget(&self, node: Node, count: u64);

    /// The attributes of an inode.
    async fn getattr(&self, node: Node) -> Result<Attributes, Errno>;

    /// Changes attributes and answers the new ones. Errors: `EISDIR` for a size on a directory, `ENOSPC`, `EROFS`, `EFBIG`.
    async fn setattr(&self, node: Node, changes: &AttributeChanges) -> Result<Attributes, Errno>;

    /// Makes a regular file. Errors: `EEXIST`, `ENOENT` when the directory is gone, `ENOSPC`, `EROFS`.
    async fn create(&self, dir: Node, name: &str, owner: Ownership) -> Result<Attributes, Errno>;

    /// Makes a directory.
    async fn mkdir(&self, dir: Node, name: &str, owner: Ownership) -> Result<Attributes, Errno>;

    /// Makes a symlink.
    async fn symlink(&self, dir: Node, name: &str, target: &str, owner: Ownership) -> Result<Attributes, Errno>;

    /// Makes a FIFO, a socket's name or a device node.
    async fn make_node(
        &self,
        dir: Node,
        name: &str,
        kind: NodeKind,
        device: u64,
        owner: Ownership,
    ) -> Result<Attributes, Errno>;

    /// Makes `name` in `dir` another name of `target`. Errors: `EPERM` for a directory, `EEXIST`, `EMLINK`.
    async fn link(&self, target: Node, dir: Node, name: &str) -> Result<Attributes, Errno>;

    /// Takes a name of anything but a directory away. Errors: `ENOENT`, `EISDIR`.
    async fn unlink(&self, dir: Node, name: &str) -> Result<(), Errno>;

    /// Takes an empty directory away. Errors: `ENOENT`, `ENOTDIR`, `ENOTEMPTY`.
    async fn rmdir(&self, dir: Node, name: &str) -> Result<(), Errno>;

    /// Moves an entry; the kernel has ruled out moving a directory below itself.
    async fn rename(
        &self,
        from_dir: Node,
        from_name: &str,
        to_dir: Node,
        to_name: &str,
        how: RenameFlags,
    ) -> Result<(), Errno>;

    /// A symlink's target. Errors: `EINVAL` when it is no symlink.
    async fn readlink(&self, node: Node) -> Result<String, Errno>;

    /// Opens a regular file.
    async fn open(&self, node: Node, how: OpenFlags) -> Result<Handle, Errno>;

    /// The last use of an open file is over.
    async fn release(&self, node: Node, handle: Handle);

    /// At most `length` bytes (never more than [`CHUNK_BYTES_MAX`](crate::CHUNK_BYTES_MAX)) at `offset`. Fewer only at the end of the file.
    async fn read(&self, node: Node, handle: Handle, offset: u64, length: usize) -> Result<Vec<u8>, Errno>;

    /// Writes at `offset`, extending the file as needed; answers how many bytes were taken: at least one unless there were none.
    async fn write(&self, node: Node, handle: Handle, offset: u64, bytes: Vec<u8>) -> Result<usize, Errno>;

    /// Makes the file durable; with `data_only` as `fdatasync(2)`.
    async fn fsync(&self, node: Node, handle: Handle, data_only: bool) -> Result<(), Errno>;

    /// Makes everything durable: syncfs(2). A backend that holds nothing back has nothing to do.
    async fn sync(&self) -> Result<(), Errno> {
        Ok(())
    }

    /// At most `entries_max` of the entries after `cookie` (0: from the start). An empty list is the end.
    async fn readdir(&self, dir: Node, cookie: u64, entries_max: usize) -> Result<Vec<DirectoryEntry>, Errno>;

    /// How full the filesystem is.
    async fn statfs(&self) -> Result<FilesystemStatus, Errno>;

    /// The value of an extended attribute. Errors: `ENODATA`, `ENOTSUP`.
    async fn getxattr(&self, _node: Node, _name: &str) -> Result<Vec<u8>, Errno> {
        Err(Errno::Notsup)
    }

    /// Sets an extended attribute.
    async fn setxattr(&self, _node: Node, _name: &str, _value: &[u8]) -> Result<(), Errno> {
        Err(Errno::Notsup)
    }

    /// The names of the extended attributes.
    async fn listxattr(&self, _node: Node) -> Result<Vec<String>, Errno> {
        Err(Errno::Notsup)
    }

    /// Takes an extended attribute away.
    async fn removexattr(&self, _node: Node, _name: &str) -> Result<(), Errno> {
        Err(Errno::Notsup)
    }

    /// Tells what changes behind the kernel's back, for as long as it can. Called when [`info`](Self::info) names the capability `EVENTS`. When it ends, nothing
    /// more is told.
    async fn watch(&self, _changes: &mut dyn ChangeSink) {}
}

/// Takes what a backend tells of changes.
pub trait ChangeSink {
    /// Tells of a change that has happened. The future ends when the kernel has read it, with `false` when the kernel reads no more.
    fn tell(&mut self, change: Change) -> std::pin::Pin<Box<dyn Future<Output = bool> + '_>>;
}

/// A kind of mount whose filesystem waits: with [`export_async_component!`](crate::export_async_component) it is a component of the world `async-mount-backend`.
#[allow(async_fn_in_trait, reason = "a component has one thread: its futures need not be `Send`")]
pub trait AsyncMountType: 'static {
    /// The filesystem it makes.
    type Filesystem: AsyncFilesystem;

    /// The settings that there are.
    const SETTINGS: &'static [SettingDescription];

    /// Makes the filesystem; it may connect to what it needs. `clock` is the time of day of the VM.
    async fn mount(settings: Settings, clock: fn() -> Timestamp) -> Result<Self::Filesystem, Refusal>;
}
