//! A component of the world `mount-backend`, made of any [`MountType`] by [`export_component!`](crate::export_component).

use std::marker::PhantomData;
use std::sync::OnceLock;

use crate as b;
use crate::{Filesystem, MountType, Settings};
use bindings::exports::eyot::backend::filesystem::Guest as FilesystemGuest;
use bindings::exports::eyot::backend::mount::{self as m, Guest as MountGuest};
use bindings::eyot::backend::types as w;

conversions!();

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
        P::Mount::SETTINGS.iter().map(describe).collect()
    }

    fn configure(settings: Vec<m::Setting>) -> Result<(), m::Refusal> {
        let given = settings.into_iter().map(|setting| (setting.key, setting.value));
        let made = Settings::check(P::Mount::SETTINGS, given).and_then(|settings| P::Mount::mount(&settings, now));
        let kept = made.and_then(|filesystem| {
            let kept = P::filesystem().set(filesystem);
            kept.map_err(|_| b::Refusal { errno: b::Errno::Busy, message: "the filesystem is in use already".into() })
        });
        kept.map_err(refusal_out)
    }
}

impl<P: Place> FilesystemGuest for Glue<P> {
    fn info() -> w::FilesystemInfo {
        info_out(Self::fs().info())
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
        attributes(Self::fs().setattr(node, &changes_in(changes)))
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
        Self::fs().rename(from_dir, &from_name, to_dir, &to_name, rename_in(how)).map_err(errno)
    }

    fn readlink(node: u64) -> Result<String, w::Errno> {
        Self::fs().readlink(node).map_err(errno)
    }

    fn open(node: u64, how: w::OpenFlags) -> Result<u64, w::Errno> {
        Self::fs().open(node, open_in(how)).map_err(errno)
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
        Self::fs().readdir(dir, cookie, max_entries as usize).map(entries_out).map_err(errno)
    }

    fn statfs() -> Result<w::FilesystemStatus, w::Errno> {
        Self::fs().statfs().map(status_out).map_err(errno)
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
