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
//!
//! An overlay that is a layer keeps such devices, attributes and names for itself. It is marked by names that begin with `.wh2.`; one that has such a
//! layer itself, by `.wh3.`; and so on. An overlay's kind tells which it is: `overlay`, `overlay2`, ...

use eyot_backend::{
    Attributes, Capabilities, Errno, FilesystemInfo, NAME_BYTES_MAX, Node, NodeKind, OpenFlags, Ownership,
};

use crate::inode::Inode;
use crate::layer::Layer;
use crate::overlay::Overlay;

/// What the overlay's own extended attributes begin with.
pub(crate) const XATTR_PREFIX: &str = "trusted.overlay.";
/// What an overlay calls itself.
const KIND: &str = "overlay";
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

/// How a layer is marked.
pub(crate) struct Marks {
    /// Whether by names, and not by devices and extended attributes.
    pub(crate) are_names: bool,
    /// How many overlays lie in each other here: 0 when it is none.
    pub(crate) depth: u32,
    /// What the reserved names begin with.
    pub(crate) prefix: String,
    /// The directory in the upper's root for what is on its way into the tree, and the index of hard links.
    pub(crate) work: String,
    opaque: String,
    redirect: String,
}

impl Marks {
    pub(crate) fn of(info: &FilesystemInfo) -> Self {
        let wanted = Capabilities::SPECIAL_FILES | Capabilities::XATTRS;
        let depth: u32 = match info.kind.strip_prefix(KIND) {
            Some("") => 1,
            Some(depth) => depth.parse().unwrap_or(0),
            None => 0,
        };
        let prefix = if depth == 0 { ".wh.".to_owned() } else { format!(".wh{}.", depth.saturating_add(1)) };
        Self {
            are_names: depth > 0 || !info.capabilities.contains(wanted),
            depth,
            work: format!("{prefix}{prefix}.work"),
            opaque: format!("{prefix}{prefix}.opq"),
            redirect: format!("{prefix}{prefix}.redirect"),
            prefix,
        }
    }

    /// The name of the file that says that `name` is not there.
    pub(crate) fn whiteout(&self, name: &str) -> String {
        let prefix = &self.prefix;
        if !self.is_long(name) {
            return format!("{prefix}{name}");
        }
        // FNV-1a of 128 bits. The names are those of the lowers, so that nobody gains by a collision.
        let hash = name.bytes().fold(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d_u128, |hash, byte| {
            (hash ^ u128::from(byte)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b)
        });
        format!("{prefix}{prefix}.long.{hash:032x}")
    }

    /// Whether a hash stands for this name.
    pub(crate) fn is_long(&self, name: &str) -> bool {
        self.prefix.len() + name.len() > NAME_BYTES_MAX
    }
}

/// What an overlay over these layers calls itself.
pub(crate) fn kind(layers: &[Layer]) -> String {
    match layers.iter().map(|layer| layer.marks.depth).max() {
        None | Some(0) => KIND.into(),
        Some(depth) => format!("{KIND}{}", depth.saturating_add(1)),
    }
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
        if self.marks.are_names {
            return self.has(dir, &self.marks.opaque);
        }
        Ok(self.mark(dir, OPAQUE_XATTR)?.is_some_and(|value| value == b"y"))
    }

    /// Where the layers below have what is merged with this directory, if not under the same name.
    pub(crate) fn redirect(&self, dir: Node) -> Result<Option<String>, Errno> {
        let value = if self.marks.are_names {
            match self.look(dir, &self.marks.redirect)? {
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
        if self.marks.are_names { self.has(dir, &self.marks.whiteout(name)) } else { Ok(false) }
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
        self.is_reserved_in(self.is_root(dir), name)
    }

    /// The same of a name in the root, or in any other directory.
    pub(crate) fn is_reserved_in(&self, root: bool, name: &str) -> bool {
        // No prefix is without this, so that most names are looked at once.
        name.starts_with(".wh")
            && self.layers.iter().any(|layer| {
                let marks = &layer.marks;
                marks.are_names && name.starts_with(&marks.prefix) || name == marks.work && root
            })
    }

    /// Lets a directory of the upper hide what is below it.
    pub(crate) fn set_opaque(&self, dir: Node) -> Result<(), Errno> {
        let upper = self.upper()?;
        if !upper.marks.are_names {
            return upper.fs.setxattr(dir, OPAQUE_XATTR, b"y");
        }
        self.put_file(dir, &upper.marks.opaque)
    }

    /// Lets a directory of the upper be merged with what the lowers have at `path`.
    pub(crate) fn set_redirect(&self, dir: Node, path: &str) -> Result<(), Errno> {
        if path.len() > REDIRECT_BYTES_MAX {
            return Err(Errno::Nametoolong);
        }
        let upper = self.upper()?;
        if !upper.marks.are_names {
            return upper.fs.setxattr(dir, REDIRECT_XATTR, path.as_bytes());
        }
        let temp = self.temp_file(MARK_OWNER)?;
        upper.open(temp.node(), OpenFlags::WRITE)?.write_all(0, path.as_bytes())?;
        temp.publish(dir, &upper.marks.redirect).map(drop)
    }

    /// Puts the file that says that a name is not there.
    pub(crate) fn put_whiteout_file(&self, dir: Node, name: &str) -> Result<(), Errno> {
        self.put_file(dir, &self.upper()?.marks.whiteout(name))
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

    fn marks(kind: &str, capabilities: Capabilities) -> Marks {
        Marks::of(&FilesystemInfo {
            root: 1,
            capabilities,
            entry_lifetime_ns: 0,
            absence_lifetime_ns: 0,
            kind: kind.into(),
        })
    }

    #[test]
    fn every_name_has_a_whiteout_that_is_a_name() {
        let marks = marks("hostdir", Capabilities::empty());
        assert_eq!(marks.whiteout("a"), ".wh.a");
        let (long, longest) = ("n".repeat(251), "n".repeat(255));
        assert_eq!(marks.whiteout(&long), format!(".wh.{long}"));
        assert!(marks.whiteout(&longest).starts_with(".wh..wh..long."));
        assert_ne!(marks.whiteout(&longest), marks.whiteout(&"m".repeat(255)));
        for name in [&long, &longest] {
            assert_eq!(check_name(&marks.whiteout(name)), Ok(()));
        }
    }

    #[test]
    fn overlays_in_overlays_do_not_share_their_marks() {
        let prefixes = ["memfs", "overlay", "overlay2", "overlay3"].map(|kind| marks(kind, Capabilities::all()).prefix);
        assert_eq!(prefixes, [".wh.", ".wh2.", ".wh3.", ".wh4."]);
        assert!(!marks("memfs", Capabilities::all()).are_names && marks("overlay", Capabilities::all()).are_names);
        assert!(marks("hostdir", Capabilities::all() - Capabilities::XATTRS).are_names);
        assert_eq!(marks("hostdir", Capabilities::empty()).work, ".wh..wh..work");
    }
}
