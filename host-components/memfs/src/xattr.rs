//! Extended attributes: xattr(7). Namespaces and permissions are the kernel's affair.

use eyot_backend::{Errno, NAME_BYTES_MAX, Node};

use crate::inode::{Inode, xattr_bytes};
use crate::memfs::{Memfs, View};

/// The longest value (`XATTR_SIZE_MAX`).
const VALUE_BYTES_MAX: usize = 64 * 1024;

impl Memfs {
    pub(crate) fn xattr(&self, node: Node, name: &str) -> Result<Vec<u8>, Errno> {
        self.view(node, |view| {
            own(&view).and_then(|xattrs| xattrs.get(name)).map(|value| value.to_vec()).ok_or(Errno::Nodata)
        })
    }

    pub(crate) fn xattrs(&self, node: Node) -> Result<Vec<String>, Errno> {
        self.view(node, |view| Ok(own(&view).into_iter().flatten().map(|(name, _)| name.to_string()).collect()))
    }

    pub(crate) fn set_xattr(&self, node: Node, name: &str, value: &[u8]) -> Result<(), Errno> {
        if name.is_empty() || name.len() > NAME_BYTES_MAX || name.as_bytes().contains(&0) {
            return Err(Errno::Range);
        }
        if value.len() > VALUE_BYTES_MAX {
            return Err(Errno::Nospc);
        }
        let now = self.clock.now();
        let mut locked = self.lock(node)?;
        let inode = locked.inode()?;
        self.quota.charge(xattr_bytes(name, value))?;
        let before = inode.xattrs.get_or_insert_default().insert(name.into(), value.into());
        if let Some(before) = before {
            self.quota.refund(xattr_bytes(name, &before));
        }
        inode.changed = now;
        Ok(())
    }

    pub(crate) fn remove_xattr(&self, node: Node, name: &str) -> Result<(), Errno> {
        let now = self.clock.now();
        let mut locked = self.lock(node)?;
        let inode = locked.inode()?;
        let value = inode.xattrs.as_mut().and_then(|xattrs| xattrs.remove(name)).ok_or(Errno::Nodata)?;
        self.quota.refund(xattr_bytes(name, &value));
        inode.changed = now;
        Ok(())
    }
}

/// The image's nodes have none.
fn own<'a>(view: &'a View<'a>) -> Option<&'a crate::inode::Xattrs> {
    match view {
        View::Own(Inode { xattrs, .. }) => xattrs.as_deref(),
        View::Image(..) => None,
    }
}
