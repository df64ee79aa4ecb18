//! The check of what a component answers. What cannot be true is refused; the caller makes `EIO` of it.

use eyot_backend::{
    Attributes, DirectoryEntry, FilesystemInfo, FilesystemStatus, NAME_BYTES_MAX, Node, NodeKind, SettingDescription,
    SettingKind, Timestamp,
};

use super::bindings::{capabilities_in, kind_in, time_in, types};
use super::exports;
use super::load::printable;

/// The longest symlink target in bytes (`PATH_MAX` without its terminator).
const TARGET_BYTES_MAX: usize = 4095;
/// The longest value of an extended attribute (`XATTR_SIZE_MAX`).
const XATTR_BYTES_MAX: usize = 64 * 1024;
/// The longest list of names of extended attributes (`XATTR_LIST_MAX`).
const XATTR_LIST_BYTES_MAX: usize = 64 * 1024;
/// The most settings of a component.
const SETTINGS_MAX: usize = 256;
/// The longest kind of filesystem for `/proc/mounts`.
const KIND_BYTES_MAX: usize = 32;

/// What a component should not have answered, in words.
pub(super) type Lie = &'static str;

/// What the answer's node must be.
#[derive(Clone, Copy)]
pub(super) enum Expected {
    /// Whatever has the name.
    Any,
    /// This very node.
    Node(Node),
    /// A new node of this kind.
    Kind(NodeKind),
    /// This node, which is not a directory.
    Link(Node),
}

pub(super) fn info(info: types::FilesystemInfo) -> Result<FilesystemInfo, Lie> {
    if info.root == 0 {
        return Err("its root is node 0");
    }
    if info.kind.is_empty()
        || info.kind.len() > KIND_BYTES_MAX
        || !info.kind.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    {
        return Err("its kind is not a short name of letters, digits, -, _ and .");
    }
    Ok(FilesystemInfo {
        root: info.root,
        capabilities: capabilities_in(info.capabilities),
        entry_lifetime_ns: info.entry_lifetime_ns,
        absence_lifetime_ns: info.absence_lifetime_ns,
        kind: info.kind,
    })
}

/// The settings that a component says there are.
pub(super) fn settings(settings: Vec<exports::SettingDescription>) -> Result<Vec<SettingDescription<String>>, Lie> {
    if settings.len() > SETTINGS_MAX {
        return Err("more settings than anybody could give");
    }
    let check = |setting: exports::SettingDescription| {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        let begins = setting.key.as_bytes().first().is_some_and(u8::is_ascii_lowercase);
        if !begins || setting.key.len() > NAME_BYTES_MAX || !setting.key.bytes().all(plain) {
            return Err("a setting whose key is not lower-case letters, digits and _");
        }
        Ok(SettingDescription {
            key: setting.key,
            kind: match setting.kind {
                exports::SettingKind::Text => SettingKind::Text,
                exports::SettingKind::Number => SettingKind::Number,
                exports::SettingKind::Boolean => SettingKind::Boolean,
                exports::SettingKind::Size => SettingKind::Size,
                exports::SettingKind::Duration => SettingKind::Duration,
                exports::SettingKind::Secret => SettingKind::Secret,
            },
            required: setting.required,
            default_value: setting.default_value.map(|text| printable(&text)),
            help: printable(&setting.help),
        })
    };
    settings.into_iter().map(check).collect()
}

pub(super) fn attributes(from: types::Attributes, expected: Expected) -> Result<Attributes, Lie> {
    let kind = kind_in(from.kind);
    if from.node == 0 {
        return Err("node 0");
    }
    match expected {
        Expected::Any => {}
        Expected::Node(node) if node == from.node => {}
        Expected::Link(node) if node == from.node && kind != NodeKind::Directory => {}
        Expected::Kind(wanted) if wanted == kind => {}
        Expected::Kind(_) => return Err("a node of another kind than was made"),
        Expected::Node(_) | Expected::Link(_) => return Err("the attributes of another node"),
    }
    if from.mode > 0o7777 {
        return Err("permission bits above 07777");
    }
    if from.size > i64::MAX as u64 {
        return Err("a size beyond the largest file");
    }
    Ok(Attributes {
        node: from.node,
        kind,
        mode: from.mode,
        links: from.links,
        uid: from.uid,
        gid: from.gid,
        device: from.device,
        size: from.size,
        blocks: from.blocks,
        accessed: time(from.accessed)?,
        modified: time(from.modified)?,
        changed: time(from.changed)?,
        created: time(from.created)?,
        lifetime_ns: from.lifetime_ns,
    })
}

fn time(time: types::Timestamp) -> Result<Timestamp, Lie> {
    if time.nanoseconds >= 1_000_000_000 { Err("nanoseconds of a second or more") } else { Ok(time_in(time)) }
}

/// A page of a listing that was asked for after `cookie`.
pub(super) fn entries(
    entries: Vec<types::DirectoryEntry>,
    cookie: u64,
    entries_max: usize,
) -> Result<Vec<DirectoryEntry>, Lie> {
    if entries.len() > entries_max {
        return Err("more entries than were asked for");
    }
    if entries.last().is_some_and(|entry| entry.cookie == cookie) {
        return Err("a listing that does not go on");
    }
    let check = |entry: types::DirectoryEntry| {
        if entry.cookie == 0 {
            return Err("cookie 0");
        }
        name(&entry.name)?;
        let attributes = attributes(entry.attributes, Expected::Any)?;
        Ok(DirectoryEntry { name: entry.name, cookie: entry.cookie, attributes })
    };
    entries.into_iter().map(check).collect()
}

fn name(name: &str) -> Result<(), Lie> {
    let forbidden = |byte| byte == b'/' || byte == 0;
    if name.is_empty() || name.len() > NAME_BYTES_MAX || name == "." || name == ".." || name.bytes().any(forbidden) {
        return Err("a name that is none");
    }
    Ok(())
}

pub(super) fn target(target: String) -> Result<String, Lie> {
    if target.is_empty() || target.len() > TARGET_BYTES_MAX || target.as_bytes().contains(&0) {
        return Err("a symlink's target that is empty, too long or holds a NUL");
    }
    Ok(target)
}

/// How many of `given` bytes were written.
pub(super) fn written(count: u32, given: usize) -> Result<usize, Lie> {
    let count = count as usize;
    if count > given {
        return Err("more bytes written than there were");
    }
    if count == 0 && given > 0 {
        return Err("nothing written, and no error");
    }
    Ok(count)
}

pub(super) fn status(status: types::FilesystemStatus) -> Result<FilesystemStatus, Lie> {
    if status.block_size == 0 || status.blocks_free > status.blocks || status.files_free > status.files {
        return Err("more free than there is, or blocks of no size");
    }
    Ok(FilesystemStatus {
        block_size: status.block_size,
        blocks: status.blocks,
        blocks_free: status.blocks_free,
        files: status.files,
        files_free: status.files_free,
        name_max: status.name_max.min(NAME_BYTES_MAX as u32),
    })
}

pub(super) fn xattr(value: Vec<u8>) -> Result<Vec<u8>, Lie> {
    if value.len() > XATTR_BYTES_MAX { Err("an extended attribute that is too long") } else { Ok(value) }
}

pub(super) fn xattr_names(names: Vec<String>) -> Result<Vec<String>, Lie> {
    let is_name = |name: &String| !name.is_empty() && name.len() <= NAME_BYTES_MAX && !name.as_bytes().contains(&0);
    let length: usize = names.iter().map(|name| name.len() + 1).sum();
    if length > XATTR_LIST_BYTES_MAX || !names.iter().all(is_name) {
        return Err("names of extended attributes that are none");
    }
    Ok(names)
}
