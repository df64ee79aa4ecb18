//! What a layer says of the layers below it: whiteouts, opaque directories, redirects.
//!
//! A layer that has device nodes and extended attributes is marked as Linux's overlayfs marks it; any other by files with reserved names, as
//! image layers are.
//!
//! | | devices and attributes | names |
//! | --- | --- | --- |
//! | `NAME` is not there, whatever is below | character device 0:0 called `NAME` | file `.wh.NAME` beside it |
//! | nothing below this directory shows in it | `trusted.overlay.opaque` is `y` | file `.wh..wh..opq` in it |
//! | what is below this directory is at `/PATH` | `trusted.overlay.redirect` is `/PATH` | file `.wh..wh..redirect` in it, with `/PATH` |
//!
//! A `.wh.NAME` beside a `NAME` of the same layer means that the two are not merged with anything below. Of a name too long for `.wh.NAME` a hash stands for it.

use eyot_backend::{Attributes, Errno, NAME_BYTES_MAX, Node, NodeKind, OpenFlags, Ownership};

use crate::inode::Inode;
use crate::layer::Layer;
use crate::overlay::Overlay;

/// What the reserved names begin with.
pub(crate) const PREFIX: &str = ".wh.";
/// The directory in the upper's root for what is on its way into the tree, and the index of hard links.
pub(crate) const WORK: &str = ".wh..wh..work";
/// What the overlay's own extended attributes begin with.
pub(crate) const XATTR_PREFIX: &str = "trusted.overlay.";
const OPAQUE_FILE: &str = ".wh..wh..opq";
const REDIRECT_FILE: &str = ".wh..wh..redirect";
const OPAQUE_XATTR: &str = "trusted.overlay.opaque";
const REDIRECT_XATTR: &str = "trusted.overlay.redirect";
/// The longest redirect, in bytes: what an extended attribute holds.
const REDIRECT_BYTES_MAX: usize = 64 * 1024;
/// Who owns a mark.
pub(crate) const MARK_OWNER: Ownership = Ownership { mode: 0o600, uid: 0, gid: 0 };

/// Whether this is the device that stands for a name that is not there.
pub(crate) fn is_whiteout(attributes: &Attributes) -> bool {
    attributes.kind == NodeKind::CharacterDevice && attributes.device == 0
}

/// The name of the file that says that `name` is not there.
pub(crate) fn whiteout_name(name: &str) -> String {
    if PREFIX.len() + name.len() <= NAME_BYTES_MAX {
        return format!("{PREFIX}{name}");
    }
    // FNV-1a of 128 bits. The names are those of the lowers, so that nobody gains by a collision.
    let hash = name.bytes().fold(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d_u128, |hash, byte| {
        (hash ^ u128::from(byte)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b)
    });
    format!("{PREFIX}{PREFIX}.long.{hash:032x}")
}

/// One name, and one that cannot lead out of its directory.
pub(crate) fn check_name(name: &str) -> Result<(), Errno> {
    if name.len() > NAME_BYTES_MAX {
        return Err(Errno::Nametoolong);
    }
    if name.is_empty() || name == "." || name == ".." || name.bytes().any(|byte| byte == b'/' || byte == 0) {
        return Err(Errno::Inval);
    }
    Ok(())
}

impl Layer {
    /// Whether a directory of this layer hides what is below it.
    pub(crate) fn is_opaque(&self, dir: Node) -> Result<bool, Errno> {
        if self.marks_are_names {
            return self.has(dir, OPAQUE_FILE);
        }
        Ok(self.mark(dir, OPAQUE_XATTR)?.is_some_and(|value| value == b"y"))
    }

    /// Where the layers below have what is merged with this directory, if not under the same name.
    pub(crate) fn redirect(&self, dir: Node) -> Result<Option<String>, Errno> {
        let value = if self.marks_are_names {
            match self.look(dir, REDIRECT_FILE)? {
                Some((held, found)) if found.kind == NodeKind::File => Some(self.contents(held.node)?),
                _ => None,
            }
        } else {
            self.mark(dir, REDIRECT_XATTR)?
        };
        value.filter(|value| !value.is_empty()).map(|value| String::from_utf8(value).map_err(|_| Errno::Io)).transpose()
    }

    /// Whether a file of this layer says that the name is not there.
    pub(crate) fn has_whiteout_file(&self, dir: Node, name: &str) -> Result<bool, Errno> {
        if self.marks_are_names { self.has(dir, &whiteout_name(name)) } else { Ok(false) }
    }

    fn has(&self, dir: Node, name: &str) -> Result<bool, Errno> {
        Ok(self.look(dir, name)?.is_some())
    }

    fn mark(&self, dir: Node, name: &str) -> Result<Option<Vec<u8>>, Errno> {
        match self.fs.getxattr(dir, name) {
            Ok(value) => Ok(Some(value)),
            // The last is of a layer that changed under us.
            Err(Errno::Nodata | Errno::Notsup | Errno::Stale) => Ok(None),
            Err(errno) => Err(errno),
        }
    }

    /// The contents of a mark or a record.
    pub(crate) fn contents(&self, node: Node) -> Result<Vec<u8>, Errno> {
        let opened = self.open(node, OpenFlags::READ)?;
        let mut bytes = vec![0; REDIRECT_BYTES_MAX + 1];
        let count = opened.read(0, &mut bytes)?;
        bytes.truncate(count);
        if count > REDIRECT_BYTES_MAX { Err(Errno::Io) } else { Ok(bytes) }
    }
}

impl Overlay {
    /// Whether guests can neither see nor make this name here.
    pub(crate) fn is_reserved(&self, dir: &Inode, name: &str) -> bool {
        if self.names_are_reserved { name.starts_with(PREFIX) } else { name == WORK && self.is_root(dir) }
    }

    /// Lets a directory of the upper hide what is below it.
    pub(crate) fn set_opaque(&self, dir: Node) -> Result<(), Errno> {
        let upper = self.upper()?;
        if !upper.marks_are_names {
            return upper.fs.setxattr(dir, OPAQUE_XATTR, b"y");
        }
        self.put_file(dir, OPAQUE_FILE)
    }

    /// Lets a directory of the upper be merged with what the lowers have at `path`.
    pub(crate) fn set_redirect(&self, dir: Node, path: &str) -> Result<(), Errno> {
        if path.len() > REDIRECT_BYTES_MAX {
            return Err(Errno::Nametoolong);
        }
        let upper = self.upper()?;
        if !upper.marks_are_names {
            return upper.fs.setxattr(dir, REDIRECT_XATTR, path.as_bytes());
        }
        let temp = self.temp_file(MARK_OWNER)?;
        upper.open(temp.node(), OpenFlags::WRITE)?.write_all(0, path.as_bytes())?;
        temp.publish(dir, REDIRECT_FILE).map(drop)
    }

    /// Puts the file that says that a name is not there.
    pub(crate) fn put_whiteout_file(&self, dir: Node, name: &str) -> Result<(), Errno> {
        self.put_file(dir, &whiteout_name(name))
    }

    /// Makes the device that says that a name is not there.
    pub(crate) fn put_whiteout_device(&self, dir: Node, name: &str) -> Result<(), Errno> {
        let upper = self.upper()?;
        let owner = Ownership { mode: 0, ..MARK_OWNER };
        let made = upper.fs.make_node(dir, name, NodeKind::CharacterDevice, 0, owner)?;
        upper.hold(&made).map(drop)
    }

    fn put_file(&self, dir: Node, name: &str) -> Result<(), Errno> {
        let upper = self.upper()?;
        match upper.fs.create(dir, name, MARK_OWNER) {
            Ok(made) => upper.hold(&made).map(drop),
            Err(Errno::Exist) => Ok(()),
            Err(errno) => Err(errno),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_has_a_whiteout_that_is_a_name() {
        assert_eq!(whiteout_name("a"), ".wh.a");
        let (long, longest) = ("n".repeat(251), "n".repeat(255));
        assert_eq!(whiteout_name(&long), format!(".wh.{long}"));
        assert_eq!(whiteout_name(&longest), ".wh..wh..long.".to_owned() + &whiteout_name(&longest)[14..]);
        assert_ne!(whiteout_name(&longest), whiteout_name(&"m".repeat(255)));
        for name in [&long, &longest] {
            assert_eq!(check_name(&whiteout_name(name)), Ok(()));
        }
    }
}
