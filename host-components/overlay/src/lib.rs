//! An overlay: any filesystem backends stacked so that they look like one ([`Overlay`]), as Linux's overlayfs does it.
//!
//! **Layers.** The upper takes all changes; the lowers are never written to. A name is looked for in the layers from the top; directories of one name are merged.
//! What the upper says of the lowers - that a name is not there (a whiteout), that nothing below a directory shows (an opaque directory), that what is below a
//! renamed directory is somewhere else (a redirect) - is stored in the upper, so that a new overlay over the same layers shows the same tree. Lowers may have such marks too: they may
//! have been uppers, or be layers of an image.
//!
//! **Marks.** In a layer that has device nodes and extended attributes they are Linux's: a character device 0:0, `trusted.overlay.opaque`, `trusted.overlay.redirect`. In any
//! other they are files with names that begin with `.wh.`; if any layer is such a one, names of that kind do not show (`ENOENT`) and cannot be made (`EPERM`) anywhere. Guests
//! can neither see nor set extended attributes `trusted.overlay.*` (`ENODATA`, `EPERM`), nor make a character device 0:0 (`EPERM`). The directory `.wh..wh..work` in the
//! upper's root, hidden likewise, is for what is on its way into the tree, and for the index of hard links. Another overlay as a layer is marked by names of its own, `.wh2.` and so on.
//!
//! **Copying up** happens on the first change of a file's contents, attributes, names or extended attributes, and on opening it for writing. The copy appears when it is
//! whole. If it fails (`ENOSPC`) the lower's file stays as it was. Whole mebibytes of zeroes are not written. An open file, and a held inode, go on with the copy: a
//! reader that had the file open sees what is written later. What the upper cannot take (an owner, a set-user-id bit, extended attributes) the copy has as the upper has it.
//!
//! **Hard links** of a lower stay one file: see `index.rs`. The copy is in the index, and at those of its names that were used; the others lead there through the index until they
//! are covered. An upper that becomes a lower of another overlay shows, like Linux's, such a file's old contents under its other names. `links` counts all names
//! that the lower file has, also those that another layer hides. Renaming such a name needs hard links in the upper, else it is `EXDEV`.
//!
//! **Renaming** a directory of the lowers copies nothing but the directory itself: a redirect says where its contents are. So there is no `EXDEV`, but `ENAMETOOLONG` for
//! one whose path in the lowers is longer than 64 KiB. A file is copied.
//!
//! **Failures.** An operation that fails, for want of space or otherwise, has changed nothing that shows. A crash of the host between two steps leaves
//! something in the work directory, which the next overlay clears up, and at worst a rename half done: the new name is right, and what was there before has the old one. That needs
//! an upper whose renames are atomic and can exchange. With another, what was being moved when the host crashed can be lost.
//!
//! **Numbers** of inodes are the overlay's own: they stay while the inode is held, also when it is copied up. A file that was copied up and then let go of has another one the next time.
//!
//! **Changes under us.** A lower that somebody changes shows its changes sooner or later, and never crashes the overlay; which names of a merged directory are seen then is not promised.
//! Two overlays must not have the same upper at once.
//!
//! The crate needs nothing of the operating system: it is compiled in, or a component of the world `layer-backend` over the layers that it is granted.

mod copyup;
mod files;
mod filesystem;
mod index;
mod inode;
mod layer;
mod listing;
mod marks;
mod mount;
mod namespace;
mod overlay;
mod rename;
mod stack;
mod table;
mod work;

pub use mount::OverlayMount;
pub use overlay::{LAYERS_MAX, Overlay};
