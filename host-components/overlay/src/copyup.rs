//! Copying up: what the lowers have is copied into the upper when it is first changed.
//!
//! The copy is made in the work directory, with the change that it is made for, and moved into the tree when it is whole. Nothing is locked
//! meanwhile but the one inode, against a second copy of it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use eyot_backend::{
    AttributeChanges, Attributes, CHUNK_BYTES_MAX, Capabilities, Errno, Node, NodeKind, OpenFlags, Ownership,
};

use crate::inode::Inode;
use crate::layer::Held;
use crate::marks::XATTR_PREFIX;
use crate::overlay::Overlay;
use crate::work::Temp;

impl Overlay {
    /// Makes sure that an inode is in the upper. Answers whether it was copied for this, and the changes are made.
    pub(crate) fn copy_up(&self, inode: &Arc<Inode>, changes: &AttributeChanges) -> Result<bool, Errno> {
        self.upper()?;
        if inode.upper.get().is_some() {
            return Ok(false);
        }
        if inode.is_dir() {
            self.copy_dir_up(inode)?;
            return Ok(false);
        }
        let at = inode.names.lock().at.clone();
        let links = inode.top()?.getattr()?.links;
        let only = at.as_ref().map(|(parent, _)| Arc::clone(parent)).filter(|_| links <= 1);
        if let Some(parent) = &only {
            self.copy_dir_up(parent)?;
        }
        {
            let _copying = inode.copying.lock();
            if inode.upper.get().is_some() {
                return Ok(false);
            }
            let temp = self.copy(inode, changes)?;
            match &only {
                Some(parent) => self.publish_file(inode, parent, temp)?,
                None => self.publish_linked(inode, links, temp)?,
            }
        }
        if let Some((parent, name)) = at.filter(|_| links > 1) {
            // The file is right without it, but for those who use the upper as a layer without the index.
            let _ = self.cover_name(inode, &parent, &name);
        }
        Ok(true)
    }

    /// Makes sure that a directory is in the upper, and those above it.
    pub(crate) fn copy_dir_up(&self, dir: &Arc<Inode>) -> Result<(), Errno> {
        let (mut above, mut next) = (Vec::new(), Some(Arc::clone(dir)));
        while let Some(at) = next.take().filter(|at| at.upper.get().is_none()) {
            next = at.names.lock().at.as_ref().map(|(parent, _)| Arc::clone(parent));
            above.push(at);
        }
        while let Some(dir) = above.pop() {
            self.copy_one_dir_up(&dir)?;
        }
        Ok(())
    }

    fn copy_one_dir_up(&self, dir: &Arc<Inode>) -> Result<(), Errno> {
        let _copying = dir.copying.lock();
        if dir.upper.get().is_some() {
            return Ok(());
        }
        let temp = self.copy(dir, &AttributeChanges::default())?;
        let at = dir.names.lock().at.clone();
        let Some((parent, name)) = at else {
            // It was removed, and is still held.
            return self.settle(dir, temp.unnamed()?);
        };
        self.publish_at(dir, &parent, &name, temp)
    }

    fn publish_file(&self, inode: &Arc<Inode>, parent: &Arc<Inode>, temp: Temp<'_>) -> Result<(), Errno> {
        let name = inode.names.lock().at.as_ref().map(|(_, name)| name.clone());
        match name {
            Some(name) => self.publish_at(inode, parent, &name, temp),
            None => self.settle(inode, temp.unnamed()?),
        }
    }

    /// Moves a copy to its place, unless the name was taken away meanwhile. The place's directory is in the upper.
    fn publish_at(&self, inode: &Arc<Inode>, parent: &Arc<Inode>, name: &str, temp: Temp<'_>) -> Result<(), Errno> {
        let _entries = parent.entries.write();
        if inode.names.lock().at.is_none() {
            return self.settle(inode, temp.unnamed()?);
        }
        let dir = parent.upper_node()?;
        let before = self.upper()?.fs.getattr(dir)?;
        let held = temp.publish(dir, name)?;
        self.restore_times(dir, &before);
        parent.changed(0);
        self.settle(inode, held)
    }

    /// From now on the inode is this node of the upper.
    pub(crate) fn settle(&self, inode: &Arc<Inode>, held: Held) -> Result<(), Errno> {
        let identity = (0, held.node);
        // Whoever finds the node finds this inode: nobody can, before its directory's lock is given back.
        self.table.alias(identity, inode);
        inode.upper.set(held).map_err(|_| Errno::Io)?;
        let at = inode.names.lock().at.take();
        drop(at);
        Ok(())
    }

    /// Copies an inode of the lowers into the work directory, with these changes made to the copy.
    fn copy(&self, inode: &Inode, changes: &AttributeChanges) -> Result<Temp<'_>, Errno> {
        let source = &inode.lowers.first().ok_or(Errno::Io)?.held;
        let attributes = source.getattr()?;
        let owner = Ownership { mode: attributes.mode, uid: attributes.uid, gid: attributes.gid };
        let temp = match inode.kind {
            NodeKind::File => self.temp_file(owner)?,
            NodeKind::Directory => self.temp(|fs, dir, name| fs.mkdir(dir, name, owner))?,
            NodeKind::Symlink => {
                let target = source.fs().readlink(source.node)?;
                self.temp(|fs, dir, name| fs.symlink(dir, name, &target, owner))?
            }
            kind => self.temp(|fs, dir, name| fs.make_node(dir, name, kind, attributes.device, owner))?,
        };
        if inode.kind == NodeKind::File {
            let size = attributes.size.min(changes.size.unwrap_or(u64::MAX));
            self.copy_bytes(inode, temp.node(), size)?;
        }
        self.copy_xattrs(inode, temp.node())?;
        self.copy_attributes(&attributes, &temp)?;
        if *changes != AttributeChanges::default() {
            self.upper()?.fs.setattr(temp.node(), changes)?;
        }
        Ok(temp)
    }

    fn copy_bytes(&self, inode: &Inode, to: Node, size: u64) -> Result<(), Errno> {
        if size == 0 {
            return Ok(());
        }
        let upper = self.upper()?;
        let from = inode.lowers.first().ok_or(Errno::Io)?;
        let source = self.layers.get(from.layer).ok_or(Errno::Io)?.open(from.held.node, OpenFlags::READ)?;
        let target = upper.open(to, OpenFlags::WRITE)?;
        let mut buffer = vec![0; usize::try_from(size).unwrap_or(usize::MAX).min(CHUNK_BYTES_MAX)];
        let (mut offset, mut end) = (0, 0);
        while offset < size {
            let want = usize::try_from(size - offset).unwrap_or(usize::MAX).min(buffer.len());
            let chunk = buffer.get_mut(..want).ok_or(Errno::Io)?;
            let count = source.read(offset, chunk)?;
            if count == 0 {
                // It has become shorter under us.
                break;
            }
            let bytes = chunk.get(..count).ok_or(Errno::Io)?;
            // Whole chunks of zeroes are left out: a sparse file stays one, roughly.
            if bytes.iter().any(|&byte| byte != 0) {
                target.write_all(offset, bytes)?;
                end = offset + count as u64;
            }
            offset += count as u64;
        }
        if end < offset {
            let size = AttributeChanges { size: Some(offset), ..AttributeChanges::default() };
            upper.fs.setattr(to, &size)?;
        }
        // The name must never lead to less than the lower had, even after a crash of the host.
        target.fsync(true)
    }

    fn copy_xattrs(&self, inode: &Inode, to: Node) -> Result<(), Errno> {
        let upper = self.upper()?;
        let from = inode.lowers.first().ok_or(Errno::Io)?;
        let lower = self.layers.get(from.layer).ok_or(Errno::Io)?;
        if !upper.can(Capabilities::XATTRS) || !lower.can(Capabilities::XATTRS) {
            return Ok(());
        }
        let names = match lower.fs.listxattr(from.held.node) {
            Err(Errno::Notsup) => return Ok(()),
            names => names?,
        };
        for name in names.iter().filter(|name| !name.starts_with(XATTR_PREFIX)) {
            match lower.fs.getxattr(from.held.node, name) {
                Ok(value) => upper.fs.setxattr(to, name, &value)?,
                Err(Errno::Nodata) => {}
                Err(errno) => return Err(errno),
            }
        }
        Ok(())
    }

    /// Gives a copy the attributes that it was not made with. What the upper can never take stays as the upper has it.
    fn copy_attributes(&self, from: &Attributes, temp: &Temp<'_>) -> Result<(), Errno> {
        let (fs, made) = (&*self.upper()?.fs, temp.attributes());
        let set = |changes: AttributeChanges| match fs.setattr(temp.node(), &changes) {
            Ok(_) | Err(Errno::Perm | Errno::Notsup | Errno::Inval | Errno::Loop) => Ok(()),
            Err(errno) => Err(errno),
        };
        if (made.uid, made.gid) != (from.uid, from.gid) {
            set(AttributeChanges { uid: Some(from.uid), gid: Some(from.gid), ..Default::default() })?;
        }
        if made.mode != from.mode {
            set(AttributeChanges { mode: Some(from.mode), ..Default::default() })?;
        }
        let (accessed, modified) = (Some(from.accessed), Some(from.modified));
        set(AttributeChanges { accessed, modified, ..Default::default() })
    }

    /// Gives a directory its times back after something was put into it that was, to those who look, there before.
    pub(crate) fn restore_times(&self, dir: Node, before: &Attributes) {
        let (accessed, modified) = (Some(before.accessed), Some(before.modified));
        let changes = AttributeChanges { accessed, modified, ..Default::default() };
        // A backend that cannot set times has its own idea of them.
        let _ = self.upper().and_then(|upper| upper.fs.setattr(dir, &changes));
    }

    /// Whether a directory of the lowers was renamed, or is about to be: notes in the upper where they have it.
    pub(crate) fn remember_origin(&self, dir: &Inode, to: &Inode) -> Result<(), Errno> {
        let node = dir.upper_node()?;
        match dir.lower_path.as_deref() {
            Some(path) => {
                if !dir.redirected.load(Ordering::Acquire) {
                    self.set_redirect(node, path)?;
                    dir.redirected.store(true, Ordering::Release);
                }
                Ok(())
            }
            // What the lowers have where it goes must not show in it.
            None if !to.lowers.is_empty() => self.set_opaque(node),
            None => Ok(()),
        }
    }
}
