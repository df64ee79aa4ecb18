//! What is known of an inode and of a filesystem, in the names of `wit/backend/types.wit`.

use bitflags::bitflags;

/// The number of an inode: unique within one mount while anybody holds it. 0 is never a node.
pub type Node = u64;

/// What a backend gave out for an open file; 0 from a backend that keeps nothing per open.
pub type Handle = u64;

/// A point in time since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp {
    /// Whole seconds; negative before 1970.
    pub seconds: i64,
    /// Nanoseconds counted forward from `seconds`, below 1,000,000,000.
    pub nanoseconds: u32,
}

impl Timestamp {
    /// The host's time of day.
    ///
    /// ```
    /// assert!(eyot_backend::Timestamp::now().seconds > 1_700_000_000);
    /// ```
    #[cfg(not(target_family = "wasm"))]
    pub fn now() -> Self {
        std::time::SystemTime::now().into()
    }

    /// Nanoseconds since 1970, saturating at the ends of what `i64` holds (years 1677 and 2262).
    pub const fn as_nanos(self) -> i64 {
        self.seconds.saturating_mul(1_000_000_000).saturating_add(self.nanoseconds as i64)
    }

    /// From nanoseconds since 1970.
    pub const fn from_nanos(nanos: i64) -> Self {
        Self { seconds: nanos.div_euclid(1_000_000_000), nanoseconds: nanos.rem_euclid(1_000_000_000) as u32 }
    }
}

impl From<std::time::SystemTime> for Timestamp {
    fn from(time: std::time::SystemTime) -> Self {
        match time.duration_since(std::time::UNIX_EPOCH) {
            Ok(after) => {
                Self { seconds: i64::try_from(after.as_secs()).unwrap_or(i64::MAX), nanoseconds: after.subsec_nanos() }
            }
            Err(before) => {
                Self::from_nanos(i64::try_from(before.duration().as_nanos()).map_or(i64::MIN, |nanos| -nanos))
            }
        }
    }
}

/// What an inode is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NodeKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A FIFO.
    Fifo,
    /// A Unix-domain socket's name.
    Socket,
    /// A character device.
    CharacterDevice,
    /// A block device.
    BlockDevice,
}

impl NodeKind {
    /// The file type bits of `st_mode` (`S_IFMT`, inode(7)).
    pub const fn mode_bits(self) -> u32 {
        match self {
            NodeKind::File => 0o100000,
            NodeKind::Directory => 0o040000,
            NodeKind::Symlink => 0o120000,
            NodeKind::Fifo => 0o010000,
            NodeKind::Socket => 0o140000,
            NodeKind::CharacterDevice => 0o020000,
            NodeKind::BlockDevice => 0o060000,
        }
    }
}

/// All that `stat(2)` tells of an inode but its device number, which is the mount's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attributes {
    /// The inode's number.
    pub node: Node,
    /// What it is.
    pub kind: NodeKind,
    /// The low 12 bits of `st_mode`.
    pub mode: u32,
    /// Number of hard links.
    pub links: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Device number (`st_rdev`) of a device node, else 0.
    pub device: u64,
    /// Length in bytes.
    pub size: u64,
    /// Space taken, in units of 512 bytes.
    pub blocks: u64,
    /// Last read.
    pub accessed: Timestamp,
    /// Last change of the contents.
    pub modified: Timestamp,
    /// Last change of the inode.
    pub changed: Timestamp,
    /// Birth.
    pub created: Timestamp,
    /// For how many nanoseconds these attributes may be believed: 0 not at all, `u64::MAX` until this mount changes them or the backend tells.
    pub lifetime_ns: u64,
}

/// A change to attributes: what is `None` stays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AttributeChanges {
    /// New permission bits.
    pub mode: Option<u32>,
    /// New owner.
    pub uid: Option<u32>,
    /// New group.
    pub gid: Option<u32>,
    /// New length in bytes.
    pub size: Option<u64>,
    /// New access time.
    pub accessed: Option<Timestamp>,
    /// New modification time.
    pub modified: Option<Timestamp>,
}

/// Who owns a new inode, and its permission bits (umask applied).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ownership {
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

/// One entry of a directory; never `.` or `..`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectoryEntry {
    /// The entry's name.
    pub name: String,
    /// Where to go on after this entry; never 0; stays good while other entries come and go.
    pub cookie: u64,
    /// The inode's attributes.
    pub attributes: Attributes,
}

/// What `statvfs(3)` tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FilesystemStatus {
    /// Size of a block in bytes.
    pub block_size: u32,
    /// Blocks in all.
    pub blocks: u64,
    /// Blocks free.
    pub blocks_free: u64,
    /// Inodes in all.
    pub files: u64,
    /// Inodes free.
    pub files_free: u64,
    /// Longest name in bytes.
    pub name_max: u32,
}

/// What the kernel must know of a filesystem before its first call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilesystemInfo {
    /// The root directory; it counts as looked up once and is never forgotten.
    pub root: Node,
    /// What the filesystem can do.
    pub capabilities: Capabilities,
    /// For how many nanoseconds a name that was found, made or listed leads where it led; `u64::MAX`: for ever.
    pub entry_lifetime_ns: u64,
    /// For how many nanoseconds a name that was not there stays absent.
    pub absence_lifetime_ns: u64,
    /// A short name for `/proc/mounts`.
    pub kind: String,
}

bitflags! {
    /// What a filesystem can do; the bits are in the order of the WIT flags.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub struct Capabilities: u32 {
        /// It can be changed at all.
        const WRITABLE = 1;
        /// `link` works.
        const HARD_LINKS = 1 << 1;
        /// `symlink` works.
        const SYMLINKS = 1 << 2;
        /// Extended attributes.
        const XATTRS = 1 << 3;
        /// `rename` replaces its target in one step.
        const ATOMIC_RENAME = 1 << 4;
        /// Holes take no space.
        const SPARSE = 1 << 5;
        /// Names that differ only by case are different.
        const CASE_SENSITIVE = 1 << 6;
        /// FIFOs, sockets' names and device nodes can be made.
        const SPECIAL_FILES = 1 << 7;
        /// It tells when others change its files.
        const EVENTS = 1 << 8;
        /// It arbitrates locks with whoever else uses its files.
        const LOCKS = 1 << 9;
    }

    /// How a file is opened.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub struct OpenFlags: u32 {
        /// For reading.
        const READ = 1;
        /// For writing.
        const WRITE = 1 << 1;
    }

    /// How `rename` treats an existing target (`renameat2(2)`).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct RenameFlags: u32 {
        /// Fail with `EEXIST` when the target is there.
        const NO_REPLACE = 1;
        /// Swap the two.
        const EXCHANGE = 1 << 1;
    }
}
