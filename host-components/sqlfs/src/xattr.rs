//! Extended attributes: xattr(7). Namespaces and permissions are the kernel's affair.

use eyot_backend::{Errno, NAME_BYTES_MAX, Node};

use crate::core::Core;
use crate::error::Res;
use crate::record::{XATTRS_BYTES_MAX, xattrs_bytes};

/// The longest value (`XATTR_SIZE_MAX`).
const VALUE_BYTES_MAX: usize = 64 * 1024;

impl Core {
    pub(crate) fn xattr(&self, node: Node, name: &str) -> Res<Vec<u8>> {
        let inode = self.node(node)?;
        let record = inode.read()?;
        let value = record.xattrs.as_ref().and_then(|xattrs| xattrs.get(name));
        Ok(value.cloned().ok_or(Errno::Nodata)?)
    }

    pub(crate) fn xattrs(&self, node: Node) -> Res<Vec<String>> {
        let inode = self.node(node)?;
        let record = inode.read()?;
        Ok(record.xattrs.iter().flat_map(|xattrs| xattrs.keys().cloned()).collect())
    }

    pub(crate) fn set_xattr(&self, node: Node, name: &str, value: &[u8]) -> Res<()> {
        self.usable()?;
        if name.is_empty() || name.len() > NAME_BYTES_MAX || name.as_bytes().contains(&0) {
            return Err(Errno::Range.into());
        }
        if value.len() > VALUE_BYTES_MAX {
            return Err(Errno::Nospc.into());
        }
        let now = self.now();
        let inode = self.node(node)?;
        let mut record = inode.write()?;
        let before = record.xattrs.as_deref().map_or(0, xattrs_bytes);
        let replaced =
            record.xattrs.as_ref().and_then(|xattrs| xattrs.get(name)).map(|value| 8 + name.len() + value.len());
        let after = before - replaced.unwrap_or_default() + 8 + name.len() + value.len();
        if after > XATTRS_BYTES_MAX {
            return Err(Errno::Nospc.into());
        }
        let growth = after.saturating_sub(before) as u64;
        self.quota.reserve(growth)?;
        record.reserved += growth;
        record.xattrs.get_or_insert_default().insert(name.to_owned(), value.to_owned());
        record.changed = now;
        self.mark(&inode, &mut record);
        drop(record);
        self.flusher.wake();
        Ok(())
    }

    pub(crate) fn remove_xattr(&self, node: Node, name: &str) -> Res<()> {
        self.usable()?;
        let now = self.now();
        let inode = self.node(node)?;
        let mut record = inode.write()?;
        record.xattrs.as_mut().and_then(|xattrs| xattrs.remove(name)).ok_or(Errno::Nodata)?;
        if record.xattrs.as_ref().is_some_and(|xattrs| xattrs.is_empty()) {
            record.xattrs = None;
        }
        record.changed = now;
        self.mark(&inode, &mut record);
        drop(record);
        self.flusher.wake();
        Ok(())
    }
}
