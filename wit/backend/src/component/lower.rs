//! A filesystem below this component, reached through its imports.

use std::sync::Arc;

use super::bindings::eyot::backend::{capture, durable, filesystem, layers};
use super::convert::{attributes_in, changes_out, errno_in, info_in, kind_out, ownership_out};
use crate::{
    AttributeChanges, Attributes, CHUNK_BYTES_MAX, DirectoryEntry, Errno, Filesystem, FilesystemInfo, FilesystemStatus,
    Handle, Node, NodeKind, OpenFlags, Ownership, RenameFlags,
};

/// A filesystem that was granted to this component, or another component that it is put together with.
///
/// The nodes of all layers are numbered together, so that a call says by itself which layer it is for; `info` is what differs.
pub struct Lower {
    info: FilesystemInfo,
    /// Whether the layer may give what it reads by `transfer`, as a component that this one is put together with does.
    captures: bool,
}

impl Lower {
    /// The one filesystem below. It need not be granted: it may be another component (`wac plug`).
    pub fn only() -> Self {
        Self { info: info_in(filesystem::info()), captures: true }
    }

    /// Every filesystem that was granted, the topmost first.
    pub fn granted() -> Vec<Arc<dyn Filesystem>> {
        let lower = |info| Arc::new(Self { info: info_in(info), captures: false }) as Arc<dyn Filesystem>;
        layers::granted().into_iter().map(lower).collect()
    }
}

fn answered(
    result: Result<super::bindings::eyot::backend::types::Attributes, filesystem::Errno>,
) -> Result<Attributes, Errno> {
    result.map(attributes_in).map_err(errno_in)
}

impl Filesystem for Lower {
    fn info(&self) -> FilesystemInfo {
        self.info.clone()
    }

    fn lookup(&self, dir: Node, name: &str) -> Result<Attributes, Errno> {
        answered(filesystem::lookup(dir, name))
    }

    fn forget(&self, node: Node, count: u64) {
        filesystem::forget(node, count);
    }

    fn getattr(&self, node: Node) -> Result<Attributes, Errno> {
        answered(filesystem::getattr(node))
    }

    fn setattr(&self, node: Node, changes: &AttributeChanges) -> Result<Attributes, Errno> {
        answered(filesystem::setattr(node, changes_out(changes)))
    }

    fn create(&self, dir: Node, name: &str, owner: Ownership) -> Result<Attributes, Errno> {
        answered(filesystem::create(dir, name, ownership_out(owner)))
    }

    fn mkdir(&self, dir: Node, name: &str, owner: Ownership) -> Result<Attributes, Errno> {
        answered(filesystem::mkdir(dir, name, ownership_out(owner)))
    }

    fn symlink(&self, dir: Node, name: &str, target: &str, owner: Ownership) -> Result<Attributes, Errno> {
        answered(filesystem::symlink(dir, name, target, ownership_out(owner)))
    }

    fn make_node(
        &self,
        dir: Node,
        name: &str,
        kind: NodeKind,
        device: u64,
        owner: Ownership,
    ) -> Result<Attributes, Errno> {
        answered(filesystem::make_node(dir, name, kind_out(kind), device, ownership_out(owner)))
    }

    fn link(&self, target: Node, dir: Node, name: &str) -> Result<Attributes, Errno> {
        answered(filesystem::link(target, dir, name))
    }

    fn unlink(&self, dir: Node, name: &str) -> Result<(), Errno> {
        filesystem::unlink(dir, name).map_err(errno_in)
    }

    fn rmdir(&self, dir: Node, name: &str) -> Result<(), Errno> {
        filesystem::rmdir(dir, name).map_err(errno_in)
    }

    fn rename(
        &self,
        from_dir: Node,
        from_name: &str,
        to_dir: Node,
        to_name: &str,
        how: RenameFlags,
    ) -> Result<(), Errno> {
        let how = filesystem::RenameFlags::from_bits_truncate(how.bits() as _);
        filesystem::rename(from_dir, from_name, to_dir, to_name, how).map_err(errno_in)
    }

    fn readlink(&self, node: Node) -> Result<String, Errno> {
        filesystem::readlink(node).map_err(errno_in)
    }

    fn open(&self, node: Node, how: OpenFlags) -> Result<Handle, Errno> {
        filesystem::open(node, filesystem::OpenFlags::from_bits_truncate(how.bits() as _)).map_err(errno_in)
    }

    fn release(&self, node: Node, handle: Handle) {
        filesystem::release(node, handle);
    }

    fn read(&self, node: Node, handle: Handle, offset: u64, buffer: &mut [u8]) -> Result<usize, Errno> {
        let mut filled = 0;
        let mut fits = true;
        let length = buffer.len();
        self.read_with(node, handle, offset, length, &mut |bytes| match buffer
            .get_mut(filled..)
            .and_then(|rest| rest.get_mut(..bytes.len()))
        {
            Some(rest) => {
                rest.copy_from_slice(bytes);
                filled += bytes.len();
            }
            None => fits = false,
        })?;
        if fits { Ok(filled) } else { Err(Errno::Io) }
    }

    fn read_with(
        &self,
        node: Node,
        handle: Handle,
        offset: u64,
        length: usize,
        give: &mut dyn FnMut(&[u8]),
    ) -> Result<(), Errno> {
        let length = length.min(CHUNK_BYTES_MAX) as u32;
        if !self.captures {
            let bytes = filesystem::read(node, handle, offset, length).map_err(errno_in)?;
            give(&bytes);
            return Ok(());
        }
        capture::begin(length);
        let returned = filesystem::read(node, handle, offset, length);
        let given = capture::end();
        let returned = returned.map_err(errno_in)?;
        for bytes in [given, returned] {
            if !bytes.is_empty() {
                give(&bytes);
            }
        }
        Ok(())
    }

    fn write(&self, node: Node, handle: Handle, offset: u64, bytes: &[u8]) -> Result<usize, Errno> {
        filesystem::write(node, handle, offset, bytes).map(|count| count as usize).map_err(errno_in)
    }

    fn fsync(&self, node: Node, handle: Handle, data_only: bool) -> Result<(), Errno> {
        filesystem::fsync(node, handle, data_only).map_err(errno_in)
    }

    fn sync(&self) -> Result<(), Errno> {
        durable::sync().map_err(errno_in)
    }

    fn readdir(&self, dir: Node, cookie: u64, entries_max: usize) -> Result<Vec<DirectoryEntry>, Errno> {
        let entries_max = u32::try_from(entries_max).unwrap_or(u32::MAX);
        let entries = filesystem::readdir(dir, cookie, entries_max).map_err(errno_in)?;
        let entry = |entry: filesystem::DirectoryEntry| DirectoryEntry {
            name: entry.name,
            cookie: entry.cookie,
            attributes: attributes_in(entry.attributes),
        };
        Ok(entries.into_iter().map(entry).collect())
    }

    /// The topmost layer's, whichever layer this is.
    fn statfs(&self) -> Result<FilesystemStatus, Errno> {
        let status = filesystem::statfs().map_err(errno_in)?;
        Ok(FilesystemStatus {
            block_size: status.block_size,
            blocks: status.blocks,
            blocks_free: status.blocks_free,
            files: status.files,
            files_free: status.files_free,
            name_max: status.name_max,
        })
    }

    fn getxattr(&self, node: Node, name: &str) -> Result<Vec<u8>, Errno> {
        filesystem::getxattr(node, name).map_err(errno_in)
    }

    fn setxattr(&self, node: Node, name: &str, value: &[u8]) -> Result<(), Errno> {
        filesystem::setxattr(node, name, value).map_err(errno_in)
    }

    fn listxattr(&self, node: Node) -> Result<Vec<String>, Errno> {
        filesystem::listxattr(node).map_err(errno_in)
    }

    fn removexattr(&self, node: Node, name: &str) -> Result<(), Errno> {
        filesystem::removexattr(node, name).map_err(errno_in)
    }
}
