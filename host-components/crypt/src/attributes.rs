//! Attributes of the layer as the guest sees them: with the sizes of what was encrypted.

use eyot_backend::{Attributes, Errno, Node, NodeKind};

use crate::names::{Stored, long_attribute};
use crate::{Crypt, layout, target};

impl Crypt {
    /// Attributes of an inode that is held.
    pub(crate) fn show(&self, of: Attributes) -> Result<Attributes, Errno> {
        let size = match of.kind {
            NodeKind::File => layout::plain_size(of.size),
            NodeKind::Symlink if target::is_elsewhere(of.size) => self.long_target_length(of.node)?,
            NodeKind::Symlink => target::length(of.size),
            _ => of.size,
        };
        Ok(Attributes { size, ..of })
    }

    /// Attributes of an inode whose lookup was just counted; the count goes back when they cannot be shown.
    pub(crate) fn show_held(&self, of: Attributes) -> Result<Attributes, Errno> {
        self.show(of).inspect_err(|_| self.layer.forget(of.node, 1))
    }

    /// Attributes of an inode that nobody need hold, which has this name.
    pub(crate) fn show_listed(&self, dir: Node, text: &str, of: Attributes) -> Result<Attributes, Errno> {
        if of.kind == NodeKind::Symlink && target::is_elsewhere(of.size) {
            return self.visit(dir, text, |held| self.show(held));
        }
        self.show(of)
    }

    /// Holds what has a name in the layer for as long as `with` takes.
    pub(crate) fn visit<T>(
        &self,
        dir: Node,
        text: &str,
        with: impl FnOnce(Attributes) -> Result<T, Errno>,
    ) -> Result<T, Errno> {
        let found = self.layer.lookup(dir, text)?;
        let done = with(found);
        self.layer.forget(found.node, 1);
        done
    }

    /// The name of which the layer has only the hash; `None` when it is not one of this volume, or gone.
    pub(crate) fn long_name(&self, dir: Node, text: &str) -> Result<Option<String>, Errno> {
        let attribute = long_attribute(text);
        match self.visit(dir, text, |found| self.layer.getxattr(found.node, &attribute)) {
            Ok(sealed) => Ok(self.names.long(text, &sealed)),
            Err(Errno::Noent | Errno::Nodata | Errno::Notsup) => Ok(None),
            Err(errno) => Err(errno),
        }
    }

    /// Notes the whole of a name with the inode that has it, when the name is only a hash.
    pub(crate) fn note_name(&self, node: Node, stored: &Stored<'_>) -> Result<(), Errno> {
        match stored.attribute() {
            Some((attribute, whole)) => self.layer.setxattr(node, &attribute, whole),
            None => Ok(()),
        }
    }

    /// Notes the name of what was just made; takes it away again if that fails.
    pub(crate) fn note_made(&self, dir: Node, stored: &Stored<'_>, made: Attributes) -> Result<Attributes, Errno> {
        self.note_name(made.node, stored).inspect_err(|_| self.unmake(dir, stored, made))?;
        self.show_held(made)
    }

    /// Takes away what was just made and could not be completed.
    pub(crate) fn unmake(&self, dir: Node, stored: &Stored<'_>, made: Attributes) {
        // The error that is told is the first one.
        let _ = match made.kind {
            NodeKind::Directory => self.layer.rmdir(dir, &stored.text),
            _ => self.layer.unlink(dir, &stored.text),
        };
        self.layer.forget(made.node, 1);
    }
}
