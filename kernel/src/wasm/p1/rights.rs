//! WASI 0.1's rights and file types, computed from what the kernel knows of an open file.

use crate::backend::NodeKind;
use crate::process::{Object, OpenFile, StatusFlags};

pub(super) const FD_DATASYNC: u64 = 1;
pub(super) const FD_READ: u64 = 1 << 1;
pub(super) const FD_SEEK: u64 = 1 << 2;
pub(super) const FD_FDSTAT_SET_FLAGS: u64 = 1 << 3;
pub(super) const FD_SYNC: u64 = 1 << 4;
pub(super) const FD_TELL: u64 = 1 << 5;
pub(super) const FD_WRITE: u64 = 1 << 6;
pub(super) const FD_ADVISE: u64 = 1 << 7;
pub(super) const FD_ALLOCATE: u64 = 1 << 8;
pub(super) const PATH_CREATE_DIRECTORY: u64 = 1 << 9;
pub(super) const PATH_CREATE_FILE: u64 = 1 << 10;
pub(super) const PATH_LINK_SOURCE: u64 = 1 << 11;
pub(super) const PATH_LINK_TARGET: u64 = 1 << 12;
pub(super) const PATH_OPEN: u64 = 1 << 13;
pub(super) const FD_READDIR: u64 = 1 << 14;
pub(super) const PATH_READLINK: u64 = 1 << 15;
pub(super) const PATH_RENAME_SOURCE: u64 = 1 << 16;
pub(super) const PATH_RENAME_TARGET: u64 = 1 << 17;
pub(super) const PATH_FILESTAT_GET: u64 = 1 << 18;
pub(super) const PATH_FILESTAT_SET_SIZE: u64 = 1 << 19;
pub(super) const PATH_FILESTAT_SET_TIMES: u64 = 1 << 20;
pub(super) const FD_FILESTAT_GET: u64 = 1 << 21;
pub(super) const FD_FILESTAT_SET_SIZE: u64 = 1 << 22;
pub(super) const FD_FILESTAT_SET_TIMES: u64 = 1 << 23;
pub(super) const PATH_SYMLINK: u64 = 1 << 24;
pub(super) const PATH_REMOVE_DIRECTORY: u64 = 1 << 25;
pub(super) const PATH_UNLINK_FILE: u64 = 1 << 26;
pub(super) const POLL_FD_READWRITE: u64 = 1 << 27;
pub(super) const SOCK_SHUTDOWN: u64 = 1 << 28;
pub(super) const SOCK_ACCEPT: u64 = 1 << 29;

/// What can be done with every directory.
const DIRECTORY: u64 = PATH_CREATE_DIRECTORY
    | PATH_CREATE_FILE
    | PATH_LINK_SOURCE
    | PATH_LINK_TARGET
    | PATH_OPEN
    | FD_READDIR
    | PATH_READLINK
    | PATH_RENAME_SOURCE
    | PATH_RENAME_TARGET
    | PATH_FILESTAT_GET
    | PATH_FILESTAT_SET_SIZE
    | PATH_FILESTAT_SET_TIMES
    | FD_FILESTAT_GET
    | FD_FILESTAT_SET_TIMES
    | PATH_SYMLINK
    | PATH_REMOVE_DIRECTORY
    | PATH_UNLINK_FILE
    | FD_SYNC
    | FD_DATASYNC;

/// What can be done with what has no position: pipes, terminals. A character device without `FD_SEEK` and `FD_TELL` is what C libraries take for a terminal.
const STREAM: u64 = FD_FDSTAT_SET_FLAGS | FD_FILESTAT_GET | POLL_FD_READWRITE;

/// What can be done with what has a position.
const SEEKABLE: u64 = STREAM | FD_SEEK | FD_TELL | FD_ADVISE | FD_SYNC | FD_DATASYNC | FD_FILESTAT_SET_TIMES;

/// What a file open for writing can do besides.
const WRITABLE: u64 = FD_WRITE | FD_ALLOCATE | FD_FILESTAT_SET_SIZE;

/// What files opened below a directory can have.
const INHERITED: u64 = DIRECTORY | SEEKABLE | FD_READ | WRITABLE;

/// The rights of an open file and of what is opened below it.
pub(super) fn of(file: &OpenFile) -> (u64, u64) {
    let flags = file.flags();
    let base = match file.object() {
        Object::Directory(_) => return (DIRECTORY, INHERITED),
        Object::Path(_) => return (FD_FILESTAT_GET, 0),
        Object::Regular(..) | Object::Snapshot(_) | Object::Device(_) => SEEKABLE,
        Object::Socket(_) => STREAM | SOCK_SHUTDOWN | SOCK_ACCEPT,
        _ => STREAM,
    };
    let writable = if matches!(file.object(), Object::Regular(..)) { WRITABLE } else { FD_WRITE };
    let read = if flags.contains(StatusFlags::READ) { FD_READ } else { 0 };
    let write = if flags.contains(StatusFlags::WRITE) { writable } else { 0 };
    (base | read | write, 0)
}

/// `filetype` of an open socket: the kind of socket is told apart.
pub(super) fn socket_type(file: &OpenFile) -> Option<u8> {
    match file.object() {
        Object::Socket(socket) if socket.kind() == crate::backend::SocketKind::Datagram => Some(5),
        Object::Socket(_) => Some(6),
        _ => None,
    }
}

/// `filetype`. Pipes have no name in it.
pub(super) const fn file_type(kind: NodeKind) -> u8 {
    match kind {
        NodeKind::Fifo => 0,
        NodeKind::BlockDevice => 1,
        NodeKind::CharacterDevice => 2,
        NodeKind::Directory => 3,
        NodeKind::File => 4,
        NodeKind::Socket => 6,
        NodeKind::Symlink => 7,
    }
}

/// The kind of an open file, without asking a backend.
pub(super) fn kind(file: &OpenFile) -> NodeKind {
    match file.object() {
        Object::Regular(..) | Object::Snapshot(_) => NodeKind::File,
        Object::Directory(_) => NodeKind::Directory,
        Object::Path(inode) => inode.kind(),
        Object::PipeReader(_) | Object::PipeWriter(_) | Object::PipeBoth(..) => NodeKind::Fifo,
        Object::Stream(stream) if !stream.is_terminal() => NodeKind::Fifo,
        Object::Socket(_) => NodeKind::Socket,
        Object::Stream(_) | Object::Device(_) => NodeKind::CharacterDevice,
    }
}
