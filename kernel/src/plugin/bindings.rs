//! What `bindgen!` makes of `wit/backend`, and the way between its types and the backend's.

use eyot_backend as b;

wasmtime::component::bindgen!({
    path: "../wit/backend",
    // Not one of its own worlds: `bindgen!` of wasmtime 48 makes code that does not compile of an exported function called `lookup`.
    interfaces: "import eyot:backend/types@0.1.0; import eyot:backend/clock@0.1.0;",
});

pub(super) use eyot::backend::{clock, types};

/// The error that a component answered. (The WIT has one for each that a backend has reason to answer.)
pub(super) fn errno(error: types::Errno) -> b::Errno {
    use types::Errno as E;
    match error {
        E::Perm => b::Errno::Perm,
        E::Noent => b::Errno::Noent,
        E::Io => b::Errno::Io,
        E::Nxio => b::Errno::Nxio,
        E::Again => b::Errno::Again,
        E::Nomem => b::Errno::Nomem,
        E::Acces => b::Errno::Acces,
        E::Busy => b::Errno::Busy,
        E::Exist => b::Errno::Exist,
        E::Xdev => b::Errno::Xdev,
        E::Notdir => b::Errno::Notdir,
        E::Isdir => b::Errno::Isdir,
        E::Inval => b::Errno::Inval,
        E::Txtbsy => b::Errno::Txtbsy,
        E::Fbig => b::Errno::Fbig,
        E::Nospc => b::Errno::Nospc,
        E::Spipe => b::Errno::Spipe,
        E::Rofs => b::Errno::Rofs,
        E::Mlink => b::Errno::Mlink,
        E::Range => b::Errno::Range,
        E::Nametoolong => b::Errno::Nametoolong,
        E::Nosys => b::Errno::Nosys,
        E::Notempty => b::Errno::Notempty,
        E::Loop => b::Errno::Loop,
        E::Nodata => b::Errno::Nodata,
        E::Overflow => b::Errno::Overflow,
        E::Ilseq => b::Errno::Ilseq,
        E::Notsup => b::Errno::Notsup,
        E::Timedout => b::Errno::Timedout,
        E::Stale => b::Errno::Stale,
        E::Dquot => b::Errno::Dquot,
    }
}

pub(super) fn kind_in(kind: types::NodeKind) -> b::NodeKind {
    use types::NodeKind as K;
    match kind {
        K::File => b::NodeKind::File,
        K::Directory => b::NodeKind::Directory,
        K::Symlink => b::NodeKind::Symlink,
        K::Fifo => b::NodeKind::Fifo,
        K::Socket => b::NodeKind::Socket,
        K::CharacterDevice => b::NodeKind::CharacterDevice,
        K::BlockDevice => b::NodeKind::BlockDevice,
    }
}

pub(super) fn kind_out(kind: b::NodeKind) -> types::NodeKind {
    use types::NodeKind as K;
    match kind {
        b::NodeKind::File => K::File,
        b::NodeKind::Directory => K::Directory,
        b::NodeKind::Symlink => K::Symlink,
        b::NodeKind::Fifo => K::Fifo,
        b::NodeKind::Socket => K::Socket,
        b::NodeKind::CharacterDevice => K::CharacterDevice,
        b::NodeKind::BlockDevice => K::BlockDevice,
    }
}

pub(super) fn time_in(time: types::Timestamp) -> b::Timestamp {
    b::Timestamp { seconds: time.seconds, nanoseconds: time.nanoseconds }
}

pub(super) fn time_out(time: b::Timestamp) -> types::Timestamp {
    types::Timestamp { seconds: time.seconds, nanoseconds: time.nanoseconds }
}

pub(super) fn owner_out(owner: b::Ownership) -> types::Ownership {
    types::Ownership { mode: owner.mode, uid: owner.uid, gid: owner.gid }
}

pub(super) fn changes_out(changes: &b::AttributeChanges) -> types::AttributeChanges {
    types::AttributeChanges {
        mode: changes.mode,
        uid: changes.uid,
        gid: changes.gid,
        size: changes.size,
        accessed: changes.accessed.map(time_out),
        modified: changes.modified.map(time_out),
    }
}

pub(super) fn open_out(how: b::OpenFlags) -> types::OpenFlags {
    let mut flags = types::OpenFlags::empty();
    if how.contains(b::OpenFlags::READ) {
        flags |= types::OpenFlags::READ;
    }
    if how.contains(b::OpenFlags::WRITE) {
        flags |= types::OpenFlags::WRITE;
    }
    flags
}

pub(super) fn rename_out(how: b::RenameFlags) -> types::RenameFlags {
    let mut flags = types::RenameFlags::empty();
    if how.contains(b::RenameFlags::NO_REPLACE) {
        flags |= types::RenameFlags::NO_REPLACE;
    }
    if how.contains(b::RenameFlags::EXCHANGE) {
        flags |= types::RenameFlags::EXCHANGE;
    }
    flags
}

pub(super) fn capabilities_in(capabilities: types::Capabilities) -> b::Capabilities {
    use types::Capabilities as C;
    let pairs = [
        (C::WRITABLE, b::Capabilities::WRITABLE),
        (C::HARD_LINKS, b::Capabilities::HARD_LINKS),
        (C::SYMLINKS, b::Capabilities::SYMLINKS),
        (C::XATTRS, b::Capabilities::XATTRS),
        (C::ATOMIC_RENAME, b::Capabilities::ATOMIC_RENAME),
        (C::SPARSE, b::Capabilities::SPARSE),
        (C::CASE_SENSITIVE, b::Capabilities::CASE_SENSITIVE),
        (C::SPECIAL_FILES, b::Capabilities::SPECIAL_FILES),
        (C::EVENTS, b::Capabilities::EVENTS),
        (C::LOCKS, b::Capabilities::LOCKS),
    ];
    pairs.into_iter().filter(|(theirs, _)| capabilities.contains(*theirs)).map(|(_, ours)| ours).collect()
}
