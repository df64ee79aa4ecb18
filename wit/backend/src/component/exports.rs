//! The exports of a component.

use super::bindings::exports::eyot::backend::durable::Guest as DurableGuest;
use super::bindings::exports::eyot::backend::filesystem::Guest as FilesystemGuest;
use super::bindings::exports::eyot::backend::mount::{self as m, Guest as MountGuest};
use super::bindings::eyot::backend::transfer;
use super::bindings::eyot::backend::types as w;
use super::convert::{self, attributes, attributes_out, describe, errno, kind_in, ownership};
use super::{Glue, Place};
use crate::{self as b, Filesystem, Settings};

impl<P: Place> MountGuest for Glue<P> {
    fn settings() -> Vec<m::SettingDescription> {
        Self::SETTINGS.iter().map(describe).collect()
    }

    fn configure(settings: Vec<m::Setting>) -> Result<(), m::Refusal> {
        let given = settings.into_iter().map(|setting| (setting.key, setting.value));
        let made = Settings::check(Self::SETTINGS, given).and_then(|settings| Self::make(&settings));
        let kept = made.and_then(|filesystem| {
            let kept = P::filesystem().set(filesystem);
            kept.map_err(|_| b::Refusal { errno: b::Errno::Busy, message: "the filesystem is in use already".into() })
        });
        kept.map_err(|refusal| m::Refusal { code: errno(refusal.errno), message: refusal.message })
    }
}

impl<P: Place> DurableGuest for Glue<P> {
    fn sync() -> Result<(), w::Errno> {
        Self::fs().sync().map_err(errno)
    }
}

impl<P: Place> FilesystemGuest for Glue<P> {
    fn info() -> w::FilesystemInfo {
        convert::info_out(Self::fs().info())
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
        attributes(Self::fs().setattr(node, &convert::changes_in(changes)))
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
        let give = &mut |bytes: &[u8]| transfer::give(bytes);
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
