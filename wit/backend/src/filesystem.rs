//! The trait of a filesystem: `wit/backend/filesystem.wit` as Rust.

use crate::{
    AttributeChanges, Attributes, DirectoryEntry, Errno, FilesystemInfo, FilesystemStatus, Handle, Node, NodeKind,
    OpenFlags, Ownership, RenameFlags, Watcher,
};

/// The whole of a file that does not change, in place: how a program image is loaded without a copy.
#[derive(Clone)]
pub struct Content {
    /// The bytes.
    pub bytes: std::sync::Arc<dyn AsRef<[u8]> + Send + Sync>,
    /// Their BLAKE3 hash, when it is known beforehand.
    pub blake3: Option<[u8; 32]>,
}

/// A filesystem of inodes.
///
/// **Lookup counts.** Every inode that `lookup`, `create`, `mkdir`, `symlink`, `link` or `make_node` answers is counted once more as held by the kernel;
/// [`forget`](Filesystem::forget) gives counts back. While an inode's count is above zero its number stays valid, even when its last
/// name is gone.
///
/// **Trust.** The kernel has checked names (UTF-8, 1 to 255 bytes, no `/`, no NUL, not `.` or `..`), permissions and sizes before a call, and checks
/// the answers.
///
/// A native backend is called from many threads at once and locks what it must; it never calls back into the kernel.
pub trait Filesystem: Send + Sync + 'static {
    /// What this filesystem is. Asked once, when it is mounted.
    fn info(&self) -> FilesystemInfo;

    /// Finds `name` in directory `dir`. Errors: `ENOENT`, `ENOTDIR`, `EIO`.
    fn lookup(&self, dir: Node, name: &str) -> Result<Attributes, Errno>;

    /// Gives back `count` lookups of `node`.
    fn forget(&self, node: Node, count: u64);

    /// The attributes of an inode.
    fn getattr(&self, node: Node) -> Result<Attributes, Errno>;

    /// Changes attributes and answers the new ones. Errors: `EISDIR` for a size on a directory, `ENOSPC`, `EROFS`, `EFBIG`.
    fn setattr(&self, node: Node, changes: &AttributeChanges) -> Result<Attributes, Errno>;

    /// Makes a regular file. Errors: `EEXIST`, `ENOENT` when the directory is gone, `ENOSPC`, `EROFS`.
    fn create(&self, dir: Node, name: &str, owner: Ownership) -> Result<Attributes, Errno>;

    /// Makes a directory.
    fn mkdir(&self, dir: Node, name: &str, owner: Ownership) -> Result<Attributes, Errno>;

    /// Makes a symlink.
    fn symlink(&self, dir: Node, name: &str, target: &str, owner: Ownership) -> Result<Attributes, Errno>;

    /// Makes a FIFO, a socket's name or a device node.
    fn make_node(
        &self,
        dir: Node,
        name: &str,
        kind: NodeKind,
        device: u64,
        owner: Ownership,
    ) -> Result<Attributes, Errno>;

    /// Makes `name` in `dir` another name of `target`. Errors: `EPERM` for a directory, `EEXIST`, `EMLINK`.
    fn link(&self, target: Node, dir: Node, name: &str) -> Result<Attributes, Errno>;

    /// Takes a name of anything but a directory away. Errors: `ENOENT`, `EISDIR`.
    fn unlink(&self, dir: Node, name: &str) -> Result<(), Errno>;

    /// Takes an empty directory away. Errors: `ENOENT`, `ENOTDIR`, `ENOTEMPTY`.
    fn rmdir(&self, dir: Node, name: &str) -> Result<(), Errno>;

    /// Moves an entry; the kernel has ruled out moving a directory below itself.
    fn rename(
        &self,
        from_dir: Node,
        from_name: &str,
        to_dir: Node,
        to_name: &str,
        how: RenameFlags,
    ) -> Result<(), Errno>;

    /// A symlink's target. Errors: `EINVAL` when it is no symlink.
    fn readlink(&self, node: Node) -> Result<String, Errno>;

    /// Opens a regular file.
    fn open(&self, node: Node, how: OpenFlags) -> Result<Handle, Errno>;

    /// The last use of an open file is over.
    fn release(&self, node: Node, handle: Handle);

    /// Reads at `offset` into `buffer`, which is at most [`CHUNK_BYTES_MAX`](crate::CHUNK_BYTES_MAX) long; answers how many bytes. Fewer only at the end of the file.
    fn read(&self, node: Node, handle: Handle, offset: u64, buffer: &mut [u8]) -> Result<usize, Errno>;

    /// As [`read`](Self::read), but hands the bytes on in order, piece by piece: how a component answers. A backend that has them in memory gives them from
    /// there. `give` calls nothing of the backend.
    fn read_with(
        &self,
        node: Node,
        handle: Handle,
        offset: u64,
        length: usize,
        give: &mut dyn FnMut(&[u8]),
    ) -> Result<(), Errno> {
        let length = length.min(crate::CHUNK_BYTES_MAX);
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(length).map_err(|_| Errno::Nomem)?;
        bytes.resize(length, 0);
        let count = self.read(node, handle, offset, &mut bytes)?;
        give(bytes.get(..count).ok_or(Errno::Io)?);
        Ok(())
    }

    /// Writes at `offset`, extending the file as needed; answers how many bytes were taken: at least one unless there were none.
    fn write(&self, node: Node, handle: Handle, offset: u64, bytes: &[u8]) -> Result<usize, Errno>;

    /// As [`write`](Self::write), with bytes that the backend may keep: how a component is asked.
    fn write_vec(&self, node: Node, handle: Handle, offset: u64, bytes: Vec<u8>) -> Result<usize, Errno> {
        self.write(node, handle, offset, &bytes)
    }

    /// Makes the file durable; with `data_only` as `fdatasync(2)`.
    fn fsync(&self, node: Node, handle: Handle, data_only: bool) -> Result<(), Errno>;

    /// Makes everything durable: syncfs(2). Called before the mount goes. A backend that holds nothing back has nothing to do.
    fn sync(&self) -> Result<(), Errno> {
        Ok(())
    }

    /// At most `entries_max` of the entries after `cookie` (0: from the start). An empty list is the end.
    fn readdir(&self, dir: Node, cookie: u64, entries_max: usize) -> Result<Vec<DirectoryEntry>, Errno>;

    /// How full the filesystem is.
    fn statfs(&self) -> Result<FilesystemStatus, Errno>;

    /// The value of an extended attribute. Errors: `ENODATA`, `ENOTSUP`.
    fn getxattr(&self, _node: Node, _name: &str) -> Result<Vec<u8>, Errno> {
        Err(Errno::Notsup)
    }

    /// Sets an extended attribute.
    fn setxattr(&self, _node: Node, _name: &str, _value: &[u8]) -> Result<(), Errno> {
        Err(Errno::Notsup)
    }

    /// The names of the extended attributes.
    fn listxattr(&self, _node: Node) -> Result<Vec<String>, Errno> {
        Err(Errno::Notsup)
    }

    /// Takes an extended attribute away.
    fn removexattr(&self, _node: Node, _name: &str) -> Result<(), Errno> {
        Err(Errno::Notsup)
    }

    /// Whether calls may wait for a disk or a network. The kernel then lets other guests go on meanwhile, which costs each call some microseconds.
    /// A backend that answers from memory, or as quickly as the host's page cache, says no.
    fn may_wait(&self) -> bool {
        false
    }

    /// Whether a call costs so much more than copying what it carries that the kernel should keep contents of files: a cache of pages, with read-ahead and, where
    /// attributes live for ever, write-back. A mount may say otherwise.
    fn worth_caching(&self) -> bool {
        self.may_wait()
    }

    /// Asks to be told, from now on, of changes that do not go through this mount. A mount calls it once, before anything else but [`info`](Filesystem::info).
    /// A backend that cannot tell does nothing; what it answers is believed for as long as its lifetimes say.
    fn watch(&self, _watcher: std::sync::Weak<dyn Watcher>) {}

    /// The whole of a regular file in place, when the backend holds it so and promises that these bytes never change (a later write makes new
    /// ones). Only for native backends: a component's files are read.
    fn content(&self, _node: Node) -> Option<Content> {
        None
    }
}
