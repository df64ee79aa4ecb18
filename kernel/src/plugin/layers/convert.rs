//! The way from the backend's types to those of `wit/backend`, for what a component is answered, and back, for what it passes.

use eyot_backend as b;

use super::super::bindings::{time_in, time_out, types};

macro_rules! same_names {
    ($($name:ident)*) => {
        /// The errors that the interface has no name for are `io`.
        pub(super) fn errno_out(errno: b::Errno) -> types::Errno {
            match errno {
                $(b::Errno::$name => types::Errno::$name,)*
                _ => types::Errno::Io,
            }
        }
    };
}

same_names! {
    Perm Noent Nxio Again Nomem Acces Busy Exist Xdev Notdir Isdir Inval Txtbsy Fbig Nospc Spipe Rofs Mlink Range Nametoolong Nosys Notempty Loop Nodata
    Overflow Ilseq Notsup Timedout Stale Dquot
}

/// A set of flags of one type as one of another, bit by bit by name.
macro_rules! flags {
    ($from:expr, $theirs:path => $ours:path, $($flag:ident)*) => {{
        use $ours as Ours;
        use $theirs as Theirs;
        let from = $from;
        let mut to = Ours::empty();
        $(if from.contains(Theirs::$flag) {
            to |= Ours::$flag;
        })*
        to
    }};
}

pub(super) fn capabilities_out(from: b::Capabilities) -> types::Capabilities {
    flags!(from, b::Capabilities => types::Capabilities,
        WRITABLE HARD_LINKS SYMLINKS XATTRS ATOMIC_RENAME SPARSE CASE_SENSITIVE SPECIAL_FILES EVENTS LOCKS)
}

pub(super) fn open_in(from: types::OpenFlags) -> b::OpenFlags {
    flags!(from, types::OpenFlags => b::OpenFlags, READ WRITE)
}

pub(super) fn rename_in(from: types::RenameFlags) -> b::RenameFlags {
    flags!(from, types::RenameFlags => b::RenameFlags, NO_REPLACE EXCHANGE)
}

pub(super) fn owner_in(from: types::Ownership) -> b::Ownership {
    b::Ownership { mode: from.mode, uid: from.uid, gid: from.gid }
}

pub(super) fn changes_in(from: types::AttributeChanges) -> b::AttributeChanges {
    b::AttributeChanges {
        mode: from.mode,
        uid: from.uid,
        gid: from.gid,
        size: from.size,
        accessed: from.accessed.map(time_in),
        modified: from.modified.map(time_in),
    }
}

pub(super) fn info_out(from: &b::FilesystemInfo) -> types::FilesystemInfo {
    types::FilesystemInfo {
        root: from.root,
        capabilities: capabilities_out(from.capabilities),
        entry_lifetime_ns: from.entry_lifetime_ns,
        absence_lifetime_ns: from.absence_lifetime_ns,
        kind: from.kind.clone(),
    }
}

pub(super) fn attributes_out(from: b::Attributes) -> types::Attributes {
    types::Attributes {
        node: from.node,
        kind: super::super::bindings::kind_out(from.kind),
        mode: from.mode,
        links: from.links,
        uid: from.uid,
        gid: from.gid,
        device: from.device,
        size: from.size,
        blocks: from.blocks,
        accessed: time_out(from.accessed),
        modified: time_out(from.modified),
        changed: time_out(from.changed),
        created: time_out(from.created),
        lifetime_ns: from.lifetime_ns,
    }
}

pub(super) fn entries_out(from: Vec<b::DirectoryEntry>) -> Vec<types::DirectoryEntry> {
    let out = |entry: b::DirectoryEntry| types::DirectoryEntry {
        name: entry.name,
        cookie: entry.cookie,
        attributes: attributes_out(entry.attributes),
    };
    from.into_iter().map(out).collect()
}

pub(super) fn status_out(from: b::FilesystemStatus) -> types::FilesystemStatus {
    types::FilesystemStatus {
        block_size: from.block_size,
        blocks: from.blocks,
        blocks_free: from.blocks_free,
        files: from.files,
        files_free: from.files_free,
        name_max: from.name_max,
    }
}
