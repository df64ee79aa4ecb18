//! The directory in the upper's root in which things are made before they are moved into the tree, so that a name leads to the whole of a thing or to
//! nothing of it.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use eyot_backend::{Attributes, Errno, Filesystem, Node, NodeKind, Ownership, RenameFlags};
use parking_lot::Mutex;

use crate::layer::{Held, Layer};
use crate::overlay::Overlay;

/// Where things are made.
const TEMP: &str = "tmp";
/// Where the index of hard links is.
const INDEX: &str = "index";
/// How many entries of a layer's directory are asked for at once.
const PAGE_ENTRIES: usize = 1024;

/// The work directory, made when it is first needed.
#[derive(Default)]
pub(crate) struct Work {
    dirs: OnceLock<Dirs>,
    making: Mutex<()>,
    name_next: AtomicU64,
}

struct Dirs {
    temp: Held,
    index: Held,
}

/// Something that is not in the tree yet: taken away when dropped before.
pub(crate) struct Temp<'a> {
    overlay: &'a Overlay,
    dir: Node,
    name: String,
    held: Option<Held>,
    attributes: Attributes,
}

impl Temp<'_> {
    pub(crate) fn node(&self) -> Node {
        self.attributes.node
    }

    pub(crate) fn attributes(&self) -> &Attributes {
        &self.attributes
    }

    /// The directory and the name that it has meanwhile.
    pub(crate) fn place(&self) -> (Node, &str) {
        (self.dir, &self.name)
    }

    /// Moves it into the tree, over what has the name, if that can be replaced.
    pub(crate) fn publish(mut self, dir: Node, name: &str) -> Result<Held, Errno> {
        let upper = self.overlay.upper()?;
        upper.fs.rename(self.dir, &self.name, dir, name, RenameFlags::empty())?;
        self.held.take().ok_or(Errno::Io)
    }

    /// Moves it into the tree, and what was there to here, to be taken away.
    pub(crate) fn swap(mut self, dir: Node, name: &str) -> Result<Held, Errno> {
        self.overlay.swap(self.place(), (dir, name))?;
        self.overlay.discard(&self.name);
        self.held.take().ok_or(Errno::Io)
    }

    /// Takes the name away; what it was lives while it is held.
    pub(crate) fn unnamed(mut self) -> Result<Held, Errno> {
        self.overlay.discard(&self.name);
        self.held.take().ok_or(Errno::Io)
    }
}

impl Drop for Temp<'_> {
    fn drop(&mut self) {
        if self.held.is_some() {
            self.overlay.discard(&self.name);
        }
    }
}

impl Overlay {
    /// The directory for what is not in the tree yet.
    pub(crate) fn temp_dir(&self) -> Result<Node, Errno> {
        self.work_dirs().map(|dirs| dirs.temp.node)
    }

    /// The directory of the index.
    pub(crate) fn index_dir(&self) -> Result<Node, Errno> {
        self.work_dirs().map(|dirs| dirs.index.node)
    }

    /// A name in the directory for what is not in the tree yet.
    pub(crate) fn temp_name(&self) -> String {
        format!("t{}", self.work.name_next.fetch_add(1, Ordering::Relaxed))
    }

    /// Makes something that is not in the tree yet.
    pub(crate) fn temp(
        &self,
        make: impl FnOnce(&dyn Filesystem, Node, &str) -> Result<Attributes, Errno>,
    ) -> Result<Temp<'_>, Errno> {
        let (upper, dir, name) = (self.upper()?, self.temp_dir()?, self.temp_name());
        let attributes = make(&*upper.fs, dir, &name)?;
        let held = Some(upper.hold(&attributes)?);
        Ok(Temp { overlay: self, dir, name, held, attributes })
    }

    pub(crate) fn temp_file(&self, owner: Ownership) -> Result<Temp<'_>, Errno> {
        self.temp(|fs, dir, name| fs.create(dir, name, owner))
    }

    /// Takes away what has this name in the directory for what is not in the tree: a file, or a directory in which there are only marks. What cannot be taken
    /// away now is when the overlay is next made.
    pub(crate) fn discard(&self, name: &str) {
        let (Ok(upper), Ok(dir)) = (self.upper(), self.temp_dir()) else { return };
        let _ = discard(upper, dir, name);
    }

    /// Lets two names of the upper change places.
    pub(crate) fn swap(&self, one: (Node, &str), other: (Node, &str)) -> Result<(), Errno> {
        let fs = &*self.upper()?.fs;
        match fs.rename(one.0, one.1, other.0, other.1, RenameFlags::EXCHANGE) {
            Err(Errno::Inval | Errno::Notsup | Errno::Nosys) => {}
            done => return done,
        }
        // A backend that cannot do it at once.
        let (temp, name, none) = (self.temp_dir()?, self.temp_name(), RenameFlags::empty());
        fs.rename(one.0, one.1, temp, &name, none)?;
        let back = |errno| {
            let _ = fs.rename(temp, &name, one.0, one.1, none);
            errno
        };
        fs.rename(other.0, other.1, one.0, one.1, none).map_err(back)?;
        fs.rename(temp, &name, other.0, other.1, none)
    }

    fn work_dirs(&self) -> Result<&Dirs, Errno> {
        if let Some(dirs) = self.work.dirs.get() {
            return Ok(dirs);
        }
        let _making = self.work.making.lock();
        if self.work.dirs.get().is_none() {
            let upper = self.upper()?;
            let before = upper.fs.getattr(upper.root())?;
            let work = directory(upper, upper.root(), &upper.marks.work)?;
            let dirs = Dirs { temp: directory(upper, work.node, TEMP)?, index: directory(upper, work.node, INDEX)? };
            self.restore_times(upper.root(), &before);
            let _ = self.work.dirs.set(dirs);
        }
        self.work.dirs.get().ok_or(Errno::Io)
    }

    /// Takes the work directory that an earlier overlay left, and clears up what it left behind.
    pub(crate) fn adopt_work(&self) -> Result<(), Errno> {
        let upper = self.layers.first().ok_or(Errno::Io)?;
        if upper.look(upper.root(), &upper.marks.work)?.is_none() || !self.writable {
            return Ok(());
        }
        let temp = self.temp_dir()?;
        for name in names(upper, temp)? {
            let _ = discard(upper, temp, &name);
        }
        Ok(())
    }

    /// The index that an earlier overlay left, also in an upper that cannot be changed.
    pub(crate) fn old_index(&self) -> Result<Option<Held>, Errno> {
        let upper = self.layers.first().ok_or(Errno::Io)?;
        let Some((work, _)) = upper.look(upper.root(), &upper.marks.work)? else { return Ok(None) };
        Ok(upper.look(work.node, INDEX)?.map(|(index, _)| index))
    }
}

/// A directory that is there, or is made.
fn directory(upper: &Layer, dir: Node, name: &str) -> Result<Held, Errno> {
    if let Some((held, found)) = upper.look(dir, name)? {
        return if found.kind == NodeKind::Directory { Ok(held) } else { Err(Errno::Notdir) };
    }
    let made = upper.fs.mkdir(dir, name, Ownership { mode: 0o700, uid: 0, gid: 0 })?;
    upper.hold(&made)
}

fn discard(upper: &Layer, dir: Node, name: &str) -> Result<(), Errno> {
    let fs = &*upper.fs;
    match fs.unlink(dir, name) {
        Err(Errno::Isdir | Errno::Perm) => {}
        done => return done,
    }
    match fs.rmdir(dir, name) {
        Err(Errno::Notempty | Errno::Exist) => {}
        done => return done,
    }
    let Some((held, _)) = upper.look(dir, name)? else { return Ok(()) };
    for mark in names(upper, held.node)? {
        fs.unlink(held.node, &mark)?;
    }
    fs.rmdir(dir, name)
}

/// The names that a layer's directory has.
pub(crate) fn names(layer: &Layer, dir: Node) -> Result<Vec<String>, Errno> {
    let (mut names, mut cookie) = (Vec::new(), 0);
    loop {
        let page = layer.fs.readdir(dir, cookie, PAGE_ENTRIES)?;
        let Some(last) = page.last() else { return Ok(names) };
        cookie = last.cookie;
        names.extend(page.into_iter().map(|entry| entry.name));
        if names.len() > crate::listing::ENTRIES_MAX {
            return Err(Errno::Overflow);
        }
    }
}
