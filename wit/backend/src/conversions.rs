//! The way between the types of this crate and those that `generate!` makes of a world.

/// Functions for the generated types. Each world has types of its own, so this is put into each module that has a world, which names its modules of types `w` and of
/// mount's types `m`, and this crate `b`.
macro_rules! conversions {
    () => {
        fn describe(setting: &b::SettingDescription) -> m::SettingDescription {
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

        fn refusal_out(refusal: b::Refusal) -> m::Refusal {
            m::Refusal { code: errno(refusal.errno), message: refusal.message }
        }

        fn info_out(info: b::FilesystemInfo) -> w::FilesystemInfo {
            w::FilesystemInfo {
                root: info.root,
                capabilities: w::Capabilities::from_bits_truncate(info.capabilities.bits() as _),
                entry_lifetime_ns: info.entry_lifetime_ns,
                absence_lifetime_ns: info.absence_lifetime_ns,
                kind: info.kind,
            }
        }

        fn changes_in(changes: w::AttributeChanges) -> b::AttributeChanges {
            b::AttributeChanges {
                mode: changes.mode,
                uid: changes.uid,
                gid: changes.gid,
                size: changes.size,
                accessed: changes.accessed.map(timestamp_in),
                modified: changes.modified.map(timestamp_in),
            }
        }

        fn open_in(how: w::OpenFlags) -> b::OpenFlags {
            b::OpenFlags::from_bits_truncate(u32::from(how.bits()))
        }

        fn rename_in(how: w::RenameFlags) -> b::RenameFlags {
            b::RenameFlags::from_bits_truncate(u32::from(how.bits()))
        }

        fn entries_out(entries: Vec<b::DirectoryEntry>) -> Vec<w::DirectoryEntry> {
            let entry_out = |entry: b::DirectoryEntry| w::DirectoryEntry {
                name: entry.name,
                cookie: entry.cookie,
                attributes: attributes_out(&entry.attributes),
            };
            entries.into_iter().map(entry_out).collect()
        }

        fn status_out(status: b::FilesystemStatus) -> w::FilesystemStatus {
            w::FilesystemStatus {
                block_size: status.block_size,
                blocks: status.blocks,
                blocks_free: status.blocks_free,
                files: status.files,
                files_free: status.files_free,
                name_max: status.name_max,
            }
        }

        fn timestamp_in(time: w::Timestamp) -> b::Timestamp {
            b::Timestamp { seconds: time.seconds, nanoseconds: time.nanoseconds }
        }

        fn timestamp_out(time: b::Timestamp) -> w::Timestamp {
            w::Timestamp { seconds: time.seconds, nanoseconds: time.nanoseconds }
        }

        fn ownership(owner: w::Ownership) -> b::Ownership {
            b::Ownership { mode: owner.mode, uid: owner.uid, gid: owner.gid }
        }

        fn attributes(result: Result<b::Attributes, b::Errno>) -> Result<w::Attributes, w::Errno> {
            result.map(|attributes| attributes_out(&attributes)).map_err(errno)
        }

        fn kind_in(kind: w::NodeKind) -> b::NodeKind {
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
        fn attributes_out(from: &b::Attributes) -> w::Attributes {
            w::Attributes {
                node: from.node,
                kind: match from.kind {
                    b::NodeKind::File => w::NodeKind::File,
                    b::NodeKind::Directory => w::NodeKind::Directory,
                    b::NodeKind::Symlink => w::NodeKind::Symlink,
                    b::NodeKind::Fifo => w::NodeKind::Fifo,
                    b::NodeKind::Socket => w::NodeKind::Socket,
                    b::NodeKind::CharacterDevice => w::NodeKind::CharacterDevice,
                    b::NodeKind::BlockDevice => w::NodeKind::BlockDevice,
                },
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

        /// The WIT names only what a backend has reason to answer; anything else would be a mistake here.
        fn errno(error: b::Errno) -> w::Errno {
            match error {
                b::Errno::Perm => w::Errno::Perm,
                b::Errno::Noent => w::Errno::Noent,
                b::Errno::Nxio => w::Errno::Nxio,
                b::Errno::Again => w::Errno::Again,
                b::Errno::Nomem => w::Errno::Nomem,
                b::Errno::Acces => w::Errno::Acces,
                b::Errno::Busy => w::Errno::Busy,
                b::Errno::Exist => w::Errno::Exist,
                b::Errno::Xdev => w::Errno::Xdev,
                b::Errno::Notdir => w::Errno::Notdir,
                b::Errno::Isdir => w::Errno::Isdir,
                b::Errno::Inval => w::Errno::Inval,
                b::Errno::Txtbsy => w::Errno::Txtbsy,
                b::Errno::Fbig => w::Errno::Fbig,
                b::Errno::Nospc => w::Errno::Nospc,
                b::Errno::Spipe => w::Errno::Spipe,
                b::Errno::Rofs => w::Errno::Rofs,
                b::Errno::Mlink => w::Errno::Mlink,
                b::Errno::Range => w::Errno::Range,
                b::Errno::Nametoolong => w::Errno::Nametoolong,
                b::Errno::Nosys => w::Errno::Nosys,
                b::Errno::Notempty => w::Errno::Notempty,
                b::Errno::Loop => w::Errno::Loop,
                b::Errno::Nodata => w::Errno::Nodata,
                b::Errno::Overflow => w::Errno::Overflow,
                b::Errno::Ilseq => w::Errno::Ilseq,
                b::Errno::Notsup => w::Errno::Notsup,
                b::Errno::Timedout => w::Errno::Timedout,
                b::Errno::Stale => w::Errno::Stale,
                b::Errno::Dquot => w::Errno::Dquot,
                _ => w::Errno::Io,
            }
        }
    };
}
