//! The types of `wit/kernel/types.wit` and of the interfaces' own records.

use bitflags::bitflags;

use crate::backend::{Attributes, NodeKind, Timestamp};

pub use crate::backend::{RenameFlags, Shutdown, SocketKind, SocketOption};
pub use crate::net::{Address, Domain, Received};
pub use crate::process::Readiness;

/// `stat(2)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileStatus {
    /// The mount's number.
    pub device: u64,
    /// What the file itself tells; for what is no file, made up by the kernel.
    pub attributes: Attributes,
    /// The size of a block for efficient use, in bytes.
    pub block_size: u32,
}

/// The kind of a file, as in attributes.
pub type FileKind = NodeKind;

/// A new value for one of a file's settable times.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NewTime {
    /// Leave it.
    #[default]
    Keep,
    /// The current time.
    Now,
    /// This time.
    At(Timestamp),
}

/// Where `seek` counts from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whence {
    /// The start of the file.
    Start,
    /// The present position.
    Current,
    /// The end of the file.
    End,
}

/// Where an open file made by `reopen` starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// At this offset.
    At(u64),
    /// At the end, before every write.
    End,
}

/// One thing to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PollRequest {
    /// The descriptor.
    pub fd: u32,
    /// For what; hang-up and error are always told.
    pub interest: Readiness,
}

/// One entry of a directory, `.` and `..` included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectoryEntry {
    /// The name.
    pub name: String,
    /// Where to go on after it; never 0.
    pub cookie: u64,
    /// The inode's number.
    pub inode: u64,
    /// What it is.
    pub kind: NodeKind,
}

/// The size of a terminal's window in characters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WindowSize {
    /// Rows.
    pub rows: u16,
    /// Columns.
    pub columns: u16,
}

/// What became of a child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitStatus {
    /// It ended with this exit code.
    Exited(u8),
    /// This signal ended it.
    Signaled(u8),
    /// This signal stopped it.
    Stopped(u8),
    /// It goes on after a stop.
    Continued,
}

/// What a socket is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SocketDescription {
    /// The family (`SO_DOMAIN`).
    pub domain: Domain,
    /// The kind (`SO_TYPE`).
    pub kind: SocketKind,
    /// Whether it listens (`SO_ACCEPTCONN`).
    pub listening: bool,
}

bitflags! {
    /// How a file is opened: `open(2)`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct OpenFlags: u32 {
        /// For reading.
        const READ = 1;
        /// For writing.
        const WRITE = 1 << 1;
        /// Make it when it is not there.
        const CREATE = 1 << 2;
        /// Fail with `EEXIST` when it is (with `CREATE`).
        const EXCLUSIVE = 1 << 3;
        /// Cut it to nothing.
        const TRUNCATE = 1 << 4;
        /// Writes go to the end.
        const APPEND = 1 << 5;
        /// Fail with `ENOTDIR` when it is no directory.
        const DIRECTORY = 1 << 6;
        /// Fail with `ELOOP` when the last part is a symlink.
        const NO_FOLLOW = 1 << 7;
        /// What would wait answers `EAGAIN`.
        const NON_BLOCKING = 1 << 8;
        /// Closed on exec.
        const CLOSE_ON_EXEC = 1 << 9;
        /// Only a place in the tree.
        const PATH_ONLY = 1 << 10;
        /// An unnamed file in the directory.
        const TEMPORARY = 1 << 11;
        /// Nothing above the starting directory is reached. Not of the WIT: WASI's rule, set by its translations.
        const BENEATH = 1 << 31;
    }

    /// How the last part of a path is taken.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct PathFlags: u32 {
        /// A symlink at the end is followed.
        const FOLLOW = 1;
        /// Nothing above the starting directory is reached. Not of the WIT: WASI's rule, set by its translations.
        const BENEATH = 1 << 31;
    }

    /// What `access` asks for.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct AccessMode: u32 {
        /// May be read.
        const READ = 1;
        /// May be written.
        const WRITE = 1 << 1;
        /// May be executed or searched.
        const EXECUTE = 1 << 2;
    }

    /// A descriptor's flags and its open file's, in one.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct DescriptorFlags: u32 {
        /// Closed when the process executes another program.
        const CLOSE_ON_EXEC = 1;
        /// What would wait answers `EAGAIN`.
        const NON_BLOCKING = 1 << 1;
        /// Every write goes to the end.
        const APPEND = 1 << 2;
    }

    /// How bytes are sent.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct SendFlags: u32 {
        /// Answer `EAGAIN` instead of waiting.
        const NO_WAIT = 1;
        /// A closed connection is `EPIPE` without SIGPIPE.
        const NO_SIGNAL = 1 << 1;
    }

    /// How bytes are received.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct ReceiveFlags: u32 {
        /// They stay there.
        const PEEK = 1;
        /// Wait until the buffer is full or nothing more comes.
        const WAIT_ALL = 1 << 1;
        /// Answer `EAGAIN` instead of waiting.
        const NO_WAIT = 1 << 2;
    }

    /// What `wait` waits for.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct WaitFlags: u32 {
        /// Answer at once.
        const NO_HANG = 1;
        /// Tell of stopped children too.
        const UNTRACED = 1 << 1;
        /// Tell of children that go on too.
        const CONTINUED = 1 << 2;
    }
}
