//! Hard links of the lowers: all names of a file lead to one copy.
//!
//! A file that has several names in the lowers is copied to `index/ID` in the work directory, and not to any of its names; `index/ID.of` says how
//! many of its names in the lowers are covered by something in the upper, and by which path it is found there. A name that is still the
//! lowers' leads through the index to the copy; one that is moved becomes a hard link of the copy. When the last of the lowers' names is covered, the record goes.
//!
//! Because a layer's numbers hold only while somebody holds them, each record holds its file in the lowers for as long as the overlay lives.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use eyot_backend::{Attributes, Errno, NodeKind, OpenFlags};
use parking_lot::Mutex;

use crate::inode::{Inode, Makings, Record};
use crate::marks::MARK_OWNER;
use crate::overlay::Overlay;
use crate::stack::child_path;
use crate::work::{Temp, names};

/// What the name of a record ends in.
const RECORD_SUFFIX: &str = ".of";

/// The inodes that have a record.
#[derive(Default)]
pub(crate) struct Index {
    inodes: Mutex<HashMap<u64, Arc<Inode>>>,
    id_last: AtomicU64,
}

impl Index {
    fn next(&self) -> u64 {
        self.id_last.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(crate) fn clear(&self) {
        let inodes = std::mem::take(&mut *self.inodes.lock());
        drop(inodes);
    }

    pub(crate) fn len(&self) -> usize {
        self.inodes.lock().len()
    }
}

/// A name of the lowers that is about to be covered.
pub(crate) struct Loss {
    /// How many names the file has in the lowers.
    links: u32,
}

impl Overlay {
    /// Puts the copy of a file that has several names, or none any more, where it belongs.
    pub(crate) fn publish_linked(&self, inode: &Arc<Inode>, links: u32, temp: Temp<'_>) -> Result<(), Errno> {
        let mut names = inode.names.lock();
        if links <= names.lost {
            drop(names);
            return self.settle(inode, temp.unnamed()?);
        }
        let record = match &names.record {
            Some(record) => record.clone(),
            None => {
                let (dir, name) = names.at.as_ref().ok_or(Errno::Io)?;
                let record = Record { id: self.index.next(), path: child_path(dir, name).into() };
                self.write_record(&record, names.lost)?;
                record
            }
        };
        let held = temp.publish(self.index_dir()?, &record.id.to_string())?;
        self.index.inodes.lock().insert(record.id, Arc::clone(inode));
        names.record = Some(record);
        drop(names);
        self.settle(inode, held)
    }

    /// Before a name of a file in the lowers is covered: notes it in the index, if the file has others. `entry` is what the lowers say of it.
    pub(crate) fn begin_loss(
        &self,
        entry: &Attributes,
        inode: &Arc<Inode>,
        dir: &Inode,
        name: &str,
    ) -> Result<Loss, Errno> {
        let mut names = inode.names.lock();
        let lost = names.lost.saturating_add(names.losing).saturating_add(1);
        if lost < entry.links {
            let known = names.record.clone();
            let record = known.unwrap_or_else(|| Record { id: self.index.next(), path: child_path(dir, name).into() });
            self.write_record(&record, lost)?;
            if names.record.is_none() {
                self.index.inodes.lock().insert(record.id, Arc::clone(inode));
                names.record = Some(record);
            }
        }
        names.losing += 1;
        Ok(Loss { links: entry.links })
    }

    /// The name could not be covered after all.
    pub(crate) fn undo_loss(&self, inode: &Inode) {
        let mut names = inode.names.lock();
        names.losing = names.losing.saturating_sub(1);
        if let Some(record) = &names.record {
            // The worst that comes of an error is a count that is too low.
            let _ = self.write_record(record, names.lost.saturating_add(names.losing));
        }
    }

    /// After a name of the lowers was covered.
    pub(crate) fn end_loss(&self, loss: Loss, inode: &Inode) {
        let mut names = inode.names.lock();
        names.losing = names.losing.saturating_sub(1);
        names.lost = names.lost.saturating_add(1);
        let at = names.at.take();
        let record = if names.lost >= loss.links { names.record.take() } else { None };
        if let Some(record) = &record {
            // What is left over here is nobody's, and would at most take space.
            let _ = self.remove_record(record.id);
        }
        drop(names);
        let kept = record.and_then(|record| self.index.inodes.lock().remove(&record.id));
        drop((at, kept));
    }

    /// Covers a name of the lowers with a hard link of the copy that it leads to.
    pub(crate) fn link_name(&self, entry: &Attributes, inode: &Arc<Inode>, dir: &Inode, name: &str) -> Result<(), Errno> {
        let upper = self.upper()?;
        let loss = self.begin_loss(entry, inode, dir, name)?;
        let linked = upper.fs.link(inode.upper_node()?, dir.upper_node()?, name);
        let linked = linked.and_then(|linked| upper.hold(&linked)).inspect_err(|_| self.undo_loss(inode));
        // Without hard links in the upper the name cannot be moved, only copied.
        linked.map_err(|errno| if errno == Errno::Notsup { Errno::Xdev } else { errno })?;
        self.end_loss(loss, inode);
        Ok(())
    }

    fn write_record(&self, record: &Record, lost: u32) -> Result<(), Errno> {
        let temp = self.temp_file(MARK_OWNER)?;
        let text = format!("{lost}\n{}", record.path);
        self.upper()?.open(temp.node(), OpenFlags::WRITE)?.write_all(0, text.as_bytes())?;
        temp.publish(self.index_dir()?, &format!("{}{RECORD_SUFFIX}", record.id)).map(drop)
    }

    fn remove_record(&self, id: u64) -> Result<(), Errno> {
        let (fs, index) = (&*self.upper()?.fs, self.index_dir()?);
        let record = fs.unlink(index, &format!("{id}{RECORD_SUFFIX}"));
        match fs.unlink(index, &id.to_string()) {
            Ok(()) | Err(Errno::Noent) => record,
            Err(errno) => Err(errno),
        }
    }

    /// Takes over the index that an earlier overlay left. A record whose file the lowers no longer have is left alone.
    pub(crate) fn load_index(&self) -> Result<(), Errno> {
        let Some(index) = self.old_index()? else { return Ok(()) };
        let upper = self.layers.first().ok_or(Errno::Io)?;
        for name in names(upper, index.node)? {
            let number = name.strip_suffix(RECORD_SUFFIX).unwrap_or(&name);
            let Ok(id) = number.parse::<u64>() else { continue };
            self.index.id_last.fetch_max(id.min(u64::MAX / 2), Ordering::Relaxed);
            if number.len() == name.len() {
                continue;
            }
            let Some((held, found)) = upper.look(index.node, &name)? else { continue };
            if found.kind != NodeKind::File {
                continue;
            }
            let text = String::from_utf8(upper.contents(held.node)?).ok();
            let Some((lost, path)) = text.as_deref().and_then(|text| text.split_once('\n')) else { continue };
            let Ok(lost) = lost.parse() else { continue };
            let copy = upper.look(index.node, number)?;
            self.adopt(Record { id, path: path.into() }, lost, copy.map(|(held, _)| held))?;
        }
        Ok(())
    }

    fn adopt(&self, record: Record, lost: u32, copy: Option<crate::layer::Held>) -> Result<(), Errno> {
        let mut lowers = self.in_lowers(&record.path)?;
        lowers.truncate(1);
        let Some(lower) = lowers.first() else { return Ok(()) };
        let (identity, kind) = (lower.identity(), lower.held.getattr()?.kind);
        let same_kind = match &copy {
            Some(copy) => copy.getattr()?.kind == kind,
            None => true,
        };
        if kind == NodeKind::Directory || !same_kind {
            return Ok(());
        }
        let makings = Makings { kind, upper: None, lowers, lower_path: None, at: None, redirected: false };
        let inode = self.table.intern(makings)?;
        debug_assert!(self.table.find(identity).is_some());
        if let Some(copy) = copy {
            self.settle(&inode, copy)?;
        }
        let mut names = inode.names.lock();
        names.lost = lost;
        let id = record.id;
        names.record = Some(record);
        drop(names);
        self.index.inodes.lock().insert(id, inode);
        Ok(())
    }
}
