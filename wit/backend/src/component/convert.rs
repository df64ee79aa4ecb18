//! The way between the types of the WIT and those of this crate.

use super::bindings::exports::eyot::backend::mount as m;
use super::bindings::eyot::backend::types as w;
use crate as b;

pub(super) fn timestamp_in(time: w::Timestamp) -> b::Timestamp {
    b::Timestamp { seconds: time.seconds, nanoseconds: time.nanoseconds }
}

pub(super) fn timestamp_out(time: b::Timestamp) -> w::Timestamp {
    w::Timestamp { seconds: time.seconds, nanoseconds: time.nanoseconds }
}

pub(super) fn ownership(owner: w::Ownership) -> b::Ownership {
    b::Ownership { mode: owner.mode, uid: owner.uid, gid: owner.gid }
}

pub(super) fn attributes(result: Result<b::Attributes, b::Errno>) -> Result<w::Attributes, w::Errno> {
    result.map(|attributes| attributes_out(&attributes)).map_err(errno)
}

pub(super) fn kind_in(kind: w::NodeKind) -> b::NodeKind {
    match kind {
        w::NodeKind::File => b::NodeKind::File,
        w::NodeKind::Directory => b::NodeKind::Directory,
        w::NodeKind::Symlink => b::NodeKind::Symlink,
        w::NodeKind::Fifo => b::NodeKind::Fifo,
        w::NodeKind::Socket => b::NodeKind::Socket,
        w::NodeKind::CharacterDevice => b::NodeKind::CharacterDevice,
        w::NodeKind::BlockDevice => b::NodeKind::BlockDevice,
    }
}

pub(super) fn attributes_out(from: &b::Attributes) -> w::Attributes {
    w::Attributes {
        node: from.node,
        kind: kind_out(from.kind),
        mode: from.mode,
        links: from.links,
        uid: from.uid,
        gid: from.gid,
        device: from.device,
        size: from.size,
        blocks: from.blocks,
        accessed: timestamp_out(from.accessed),
        modified: timestamp_out(from.modified),
        changed: timestamp_out(from.changed),
        created: timestamp_out(from.created),
        lifetime_ns: from.lifetime_ns,
    }
}

macro_rules! same_names {
    ($($name:ident)*) => {
        /// The WIT names only what a backend has reason to answer; anything else would be a mistake here.
        pub(super) fn errno(error: b::Errno) -> w::Errno {
            match error {
                $(b::Errno::$name => w::Errno::$name,)*
                _ => w::Errno::Io,
            }
        }

        /// What a layer answered.
        pub(super) fn errno_in(error: w::Errno) -> b::Errno {
            match error {
                $(w::Errno::$name => b::Errno::$name,)*
                w::Errno::Io => b::Errno::Io,
            }
        }
    };
}

same_names! {
    Perm Noent Nxio Again Nomem Acces Busy Exist Xdev Notdir Isdir Inval Txtbsy Fbig Nospc Spipe Rofs Mlink Range Nametoolong Nosys Notempty Loop Nodata
    Overflow Ilseq Notsup Timedout Stale Dquot
}

pub(super) fn kind_out(kind: b::NodeKind) -> w::NodeKind {
    match kind {
        b::NodeKind::File => w::NodeKind::File,
        b::NodeKind::Directory => w::NodeKind::Directory,
        b::NodeKind::Symlink => w::NodeKind::Symlink,
        b::NodeKind::Fifo => w::NodeKind::Fifo,
        b::NodeKind::Socket => w::NodeKind::Socket,
        b::NodeKind::CharacterDevice => w::NodeKind::CharacterDevice,
        b::NodeKind::BlockDevice => w::NodeKind::BlockDevice,
    }
}

pub(super) fn ownership_out(owner: b::Ownership) -> w::Ownership {
    w::Ownership { mode: owner.mode, uid: owner.uid, gid: owner.gid }
}

pub(super) fn changes_in(changes: w::AttributeChanges) -> b::AttributeChanges {
    b::AttributeChanges {
        mode: changes.mode,
        uid: changes.uid,
        gid: changes.gid,
        size: changes.size,
        accessed: changes.accessed.map(timestamp_in),
        modified: changes.modified.map(timestamp_in),
    }
}

pub(super) fn changes_out(changes: &b::AttributeChanges) -> w::AttributeChanges {
    w::AttributeChanges {
        mode: changes.mode,
        uid: changes.uid,
        gid: changes.gid,
        size: changes.size,
        accessed: changes.accessed.map(timestamp_out),
        modified: changes.modified.map(timestamp_out),
    }
}

pub(super) fn attributes_in(from: w::Attributes) -> b::Attributes {
    b::Attributes {
        node: from.node,
        kind: kind_in(from.kind),
        mode: from.mode,
        links: from.links,
        uid: from.uid,
        gid: from.gid,
        device: from.device,
        size: from.size,
        blocks: from.blocks,
        accessed: timestamp_in(from.accessed),
        modified: timestamp_in(from.modified),
        changed: timestamp_in(from.changed),
        created: timestamp_in(from.created),
        lifetime_ns: from.lifetime_ns,
    }
}

/// The bits of flags are in the same order on both sides.
pub(super) fn info_in(from: w::FilesystemInfo) -> b::FilesystemInfo {
    b::FilesystemInfo {
        root: from.root,
        capabilities: b::Capabilities::from_bits_truncate(u32::from(from.capabilities.bits())),
        entry_lifetime_ns: from.entry_lifetime_ns,
        absence_lifetime_ns: from.absence_lifetime_ns,
        kind: from.kind,
    }
}

pub(super) fn info_out(info: b::FilesystemInfo) -> w::FilesystemInfo {
    w::FilesystemInfo {
        root: info.root,
        capabilities: w::Capabilities::from_bits_truncate(info.capabilities.bits() as _),
        entry_lifetime_ns: info.entry_lifetime_ns,
        absence_lifetime_ns: info.absence_lifetime_ns,
        kind: info.kind,
    }
}

pub(super) fn describe(setting: &b::SettingDescription) -> m::SettingDescription {
    m::SettingDescription {
        key: setting.key.into(),
        kind: match setting.kind {
            b::SettingKind::Text => m::SettingKind::Text,
            b::SettingKind::Number => m::SettingKind::Number,
            b::SettingKind::Boolean => m::SettingKind::Boolean,
            b::SettingKind::Size => m::SettingKind::Size,
            b::SettingKind::Duration => m::SettingKind::Duration,
            b::SettingKind::Secret => m::SettingKind::Secret,
        },
        required: setting.required,
        default_value: setting.default_value.map(str::to_owned),
        help: setting.help.into(),
    }
}
