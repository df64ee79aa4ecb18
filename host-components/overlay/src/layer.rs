//! One layer, and what is held of its nodes.

use std::sync::Arc;

use eyot_backend::{Attributes, Capabilities, Errno, Filesystem, FilesystemInfo, Handle, Node, OpenFlags};

use crate::marks::Marks;

/// A backend that the overlay stacks.
pub(crate) struct Layer {
    pub(crate) fs: Arc<dyn Filesystem>,
    pub(crate) info: FilesystemInfo,
    pub(crate) marks: Marks,
}

impl Layer {
    pub(crate) fn new(fs: Arc<dyn Filesystem>) -> Self {
        let info = fs.info();
        let marks = Marks::of(&info);
        Self { fs, info, marks }
    }

    pub(crate) fn can(&self, capability: Capabilities) -> bool {
        self.info.capabilities.contains(capability)
    }

    pub(crate) fn root(&self) -> Node {
        self.info.root
    }

    /// Looks a name up. A directory that is gone, or is none any more, has no names: the layer changed under us.
    pub(crate) fn look(&self, dir: Node, name: &str) -> Result<Option<(Held, Attributes)>, Errno> {
        match self.fs.lookup(dir, name) {
            Ok(found) => self.hold(&found).map(|held| Some((held, found))),
            Err(Errno::Noent | Errno::Notdir | Errno::Stale | Errno::Nametoolong) => Ok(None),
            Err(errno) => Err(errno),
        }
    }

    /// Takes over the lookup that an answer counted.
    pub(crate) fn hold(&self, answer: &Attributes) -> Result<Held, Errno> {
        if answer.node == 0 {
            return Err(Errno::Io);
        }
        Ok(Held { fs: Arc::clone(&self.fs), node: answer.node, counted: answer.node != self.root() })
    }

    /// The root, which is not counted.
    pub(crate) fn hold_root(&self) -> Held {
        Held { fs: Arc::clone(&self.fs), node: self.root(), counted: false }
    }

    pub(crate) fn open(&self, node: Node, how: OpenFlags) -> Result<Opened, Errno> {
        let handle = self.fs.open(node, how)?;
        Ok(Opened { fs: Arc::clone(&self.fs), node, handle })
    }
}

/// One lookup of a layer's node, given back when dropped.
pub(crate) struct Held {
    fs: Arc<dyn Filesystem>,
    pub(crate) node: Node,
    counted: bool,
}

impl Held {
    pub(crate) fn fs(&self) -> &dyn Filesystem {
        &*self.fs
    }

    pub(crate) fn getattr(&self) -> Result<Attributes, Errno> {
        self.fs.getattr(self.node)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.counted {
            self.fs.forget(self.node, 1);
        }
    }
}

/// A layer's open file, released when dropped.
pub(crate) struct Opened {
    fs: Arc<dyn Filesystem>,
    pub(crate) node: Node,
    handle: Handle,
}

impl Opened {
    /// Reads; an answer of more than was asked for is an error.
    pub(crate) fn read(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, Errno> {
        let count = self.fs.read(self.node, self.handle, offset, buffer)?;
        if count > buffer.len() { Err(Errno::Io) } else { Ok(count) }
    }

    pub(crate) fn write(&self, offset: u64, bytes: &[u8]) -> Result<usize, Errno> {
        let count = self.fs.write(self.node, self.handle, offset, bytes)?;
        if count > bytes.len() { Err(Errno::Io) } else { Ok(count) }
    }

    pub(crate) fn write_all(&self, mut offset: u64, mut bytes: &[u8]) -> Result<(), Errno> {
        while !bytes.is_empty() {
            let count = self.write(offset, bytes)?;
            bytes = bytes.get(count..).filter(|_| count > 0).ok_or(Errno::Io)?;
            offset = offset.checked_add(count as u64).ok_or(Errno::Fbig)?;
        }
        Ok(())
    }

    pub(crate) fn fsync(&self, data_only: bool) -> Result<(), Errno> {
        self.fs.fsync(self.node, self.handle, data_only)
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        self.fs.release(self.node, self.handle);
    }
}
