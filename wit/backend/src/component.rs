//! A component of the world `mount-backend`, made of any [`MountType`] by [`export_component!`](crate::export_component).

use std::marker::PhantomData;
use std::sync::OnceLock;

use crate as b;
use crate::{Filesystem, MountType, Settings};
use bindings::exports::eyot::backend::filesystem::Guest as FilesystemGuest;
use bindings::exports::eyot::backend::mount::{self as m, Guest as MountGuest};
use bindings::eyot::backend::types as w;

#[doc(hidden)]
#[allow(missing_docs, reason = "generated; the WIT has the documentation")]
pub mod bindings {
    wit_bindgen::generate!({
        path: ".",
        world: "mount-backend",
        pub_export_macro: true,
        export_macro_name: "export_mount_backend",
        default_bindings_module: "eyot_backend::component::bindings",
    });
}

/// Makes this crate's component: the mount type that is named becomes the exports `mount` and `filesystem`. Once in a crate of type `cdylib`.
///
/// ```ignore
/// eyot_backend::export_component!(MyMount);
/// ```
#[macro_export]
macro_rules! export_component {
    ($mount:ty) => {
        const _: () = {
            struct Place;

            impl $crate::component::Place for Place {
                type Mount = $mount;

                fn filesystem() -> &'static ::std::sync::OnceLock<<$mount as $crate::MountType>::Filesystem> {
                    static FILESYSTEM: ::std::sync::OnceLock<<$mount as $crate::MountType>::Filesystem> =
                        ::std::sync::OnceLock::new();
                    &FILESYSTEM
                }
            }

            type Glue = $crate::component::Glue<Place>;
    $crate::component::bindings::export_mount_backend!(Glue with_types_in $crate::component::bindings);
        };
    };
}

/// Where the one filesystem of a component is kept: a `static` of the crate that exports it.
#[doc(hidden)]
pub trait Place: 'static {
    type Mount: MountType;

    fn filesystem() -> &'static OnceLock<<Self::Mount as MountType>::Filesystem>;
}

/// The exports, over the filesystem at a place.
#[doc(hidden)]
pub struct Glue<P>(PhantomData<P>);

impl<P: Place> Glue<P> {
    /// The filesystem. One that was never configured has no settings; where that is refused there is nothing to go on with, and the trap says so.
    fn fs() -> &'static impl Filesystem {
        P::filesystem().get_or_init(|| {
            let made = Settings::check(P::Mount::SETTINGS, []).and_then(|none| P::Mount::mount(&none, now));
            made.unwrap_or_else(|refusal| panic!("used before it was configured: {refusal}"))
        })
    }
}

fn now() -> b::Timestamp {
    timestamp_in(bindings::eyot::backend::clock::now())
}

impl<P: Place> MountGuest for Glue<P> {
    fn settings() -> Vec<m::SettingDescription> {
        let describe = |setting: &b::SettingDescription| m::SettingDescription {
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
        };
        P::Mount::SETTINGS.iter().map(describe).collect()
    }

    fn configure(settings: Vec<m::Setting>) -> Result<(), m::Refusal> {
        let given = settings.into_iter().map(|setting| (setting.key, setting.value));
        let made = Settings::check(P::Mount::SETTINGS, given).and_then(|settings| P::Mount::mount(&settings, now));
        let kept = made.and_then(|filesystem| {
            let kept = P::filesystem().set(filesystem);
            kept.map_err(|_| b::Refusal { errno: b::Errno::Busy, message: "the filesystem is in use already".into() })
        });
        kept.map_err(|refusal| m::Refusal { code: errno(refusal.errno), message: refusal.message })
    }
}

impl<P: Place> FilesystemGuest for Glue<P> {
    fn info() -> w::FilesystemInfo {
        let info = Self::fs().info();
        w::FilesystemInfo {
            root: info.root,
            capabilities: w::Capabilities::from_bits_truncate(info.capabilities.bits() as _),
            entry_lifetime_ns: info.entry_lifetime_ns,
            absence_lifetime_ns: info.absence_lifetime_ns,
            kind: info.kind,
        }
    }

    fn lookup(dir: u64, name: String) -> Result<w::Attributes, w::Errno> {
        attributes(Self::fs().lookup(dir, &name))
    }

    fn forget(node: u64, count: u64) {
        Self::fs().forget(node, count);
    }

    fn getattr(node: u64) -> Result<w::Attributes, w::Errno> {
        attributes(Self::fs().getattr(node))
    }

    fn setattr(node: u64, changes: w::AttributeChanges) -> Result<w::Attributes, w::Errno> {
        let changes = b::AttributeChanges {
            mode: changes.mode,
            uid: changes.uid,
            gid: changes.gid,
            size: changes.size,
            accessed: changes.accessed.map(timestamp_in),
            modified: changes.modified.map(timestamp_in),
        };
        attributes(Self::fs().setattr(node, &changes))
    }

    fn create(dir: u64, name: String, owner: w::Ownership) -> Result<w::Attributes, w::Errno> {
        attributes(Self::fs().create(dir, &name, ownership(owner)))
    }

    fn mkdir(dir: u64, name: String, owner: w::Ownership) -> Result<w::Attributes, w::Errno> {
        attributes(Self::fs().mkdir(dir, &name, ownership(owner)))
    }

    fn symlink(dir: u64, name: String, target: String, owner: w::Ownership) -> Result<w::Attributes, w::Errno> {
        attributes(Self::fs().symlink(dir, &name, &target, ownership(owner)))
    }

    fn make_node(
        dir: u64,
        name: String,
        kind: w::NodeKind,
        device: u64,
        owner: w::Ownership,
    ) -> Result<w::Attributes, w::Errno> {
        attributes(Self::fs().make_node(dir, &name, kind_in(kind), device, ownership(owner)))
    }

    fn link(target: u64, dir: u64, name: String) -> Result<w::Attributes, w::Errno> {
        attributes(Self::fs().link(target, dir, &name))
    }

    fn unlink(dir: u64, name: String) -> Result<(), w::Errno> {
        Self::fs().unlink(dir, &name).map_err(errno)
    }

    fn rmdir(dir: u64, name: String) -> Result<(), w::Errno> {
        Self::fs().rmdir(dir, &name).map_err(errno)
    }

    fn rename(
        from_dir: u64,
        from_name: String,
        to_dir: u64,
        to_name: String,
        how: w::RenameFlags,
    ) -> Result<(), w::Errno> {
        let how = b::RenameFlags::from_bits_truncate(u32::from(how.bits()));
        Self::fs().rename(from_dir, &from_name, to_dir, &to_name, how).map_err(errno)
    }

    fn readlink(node: u64) -> Result<String, w::Errno> {
        Self::fs().readlink(node).map_err(errno)
    }

    fn open(node: u64, how: w::OpenFlags) -> Result<u64, w::Errno> {
        Self::fs().open(node, b::OpenFlags::from_bits_truncate(u32::from(how.bits()))).map_err(errno)
    }

    fn release(node: u64, open_file: u64) {
        Self::fs().release(node, open_file);
    }

    fn read(node: u64, open_file: u64, offset: u64, length: u32) -> Result<Vec<u8>, w::Errno> {
        let give = &mut |bytes: &[u8]| bindings::eyot::backend::transfer::give(bytes);
        Self::fs().read_with(node, open_file, offset, length as usize, give).map_err(errno)?;
        Ok(Vec::new())
    }

    fn write(node: u64, open_file: u64, offset: u64, bytes: Vec<u8>) -> Result<u32, w::Errno> {
        Self::fs().write_vec(node, open_file, offset, bytes).map(|count| count as u32).map_err(errno)
    }

    fn fsync(node: u64, open_file: u64, data_only: bool) -> Result<(), w::Errno> {
        Self::fs().fsync(node, open_file, data_only).map_err(errno)
    }

    fn readdir(dir: u64, cookie: u64, max_entries: u32) -> Result<Vec<w::DirectoryEntry>, w::Errno> {
        let entries = Self::fs().readdir(dir, cookie, max_entries as usize).map_err(errno)?;
        let entries = entries.into_iter().map(|entry| w::DirectoryEntry {
            name: entry.name,
            cookie: entry.cookie,
            attributes: attributes_out(&entry.attributes),
        });
        Ok(entries.collect())
    }

    fn statfs() -> Result<w::FilesystemStatus, w::Errno> {
        let status = Self::fs().statfs().map_err(errno)?;
        Ok(w::FilesystemStatus {
            block_size: status.block_size,
            blocks: status.blocks,
            blocks_free: status.blocks_free,
            files: status.files,
            files_free: status.files_free,
            name_max: status.name_max,
        })
    }

    fn getxattr(node: u64, name: String) -> Result<Vec<u8>, w::Errno> {
        Self::fs().getxattr(node, &name).map_err(errno)
    }

    fn setxattr(node: u64, name: String, value: Vec<u8>) -> Result<(), w::Errno> {
        Self::fs().setxattr(node, &name, &value).map_err(errno)
    }

    fn listxattr(node: u64) -> Result<Vec<String>, w::Errno> {
        Self::fs().listxattr(node).map_err(errno)
    }

    fn removexattr(node: u64, name: String) -> Result<(), w::Errno> {
        Self::fs().removexattr(node, &name).map_err(errno)
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
