//! Hard links of the lowers: all names of a file lead to one copy.
//!
//! A file that has several names in the lowers is copied to `index/ID` in the work directory, and linked to the name by which it was found. Its record is the file
//! `index/ID.LOST`: in it is a path by which the lowers have the file, and `LOST` says how many of its names there are covered by something in the upper. A
//! name that is still the lowers' leads through the index to the copy; one that is moved becomes a hard link of the copy. When the last of the lowers' names
//! is covered, the record goes. The count is in the name because a rename needs no space, so that it can be taken back when the disk is full.
//!
//! Because a layer's numbers hold only while somebody holds them, each record holds its file in the lowers for as long as the overlay lives.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use eyot_backend::{Attributes, Errno, NodeKind, OpenFlags};
use parking_lot::Mutex;

use crate::inode::{Inode, Makings, Record};
use crate::layer::Held;
use crate::marks::MARK_OWNER;
use crate::overlay::Overlay;
use crate::stack::child_path;
use crate::work::{Temp, names};

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
        let record = match names.record {
            Some(record) => record,
            None => {
                let (dir, name) = names.at.as_ref().ok_or(Errno::Io)?;
                self.new_record(&child_path(dir, name), names.lost)?
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
        let before = names.record;
        if lost < entry.links {
            let record = match before {
                Some(record) => self.note(record, lost)?,
                None => {
                    let record = self.new_record(&child_path(dir, name), lost)?;
                    self.index.inodes.lock().insert(record.id, Arc::clone(inode));
                    record
                }
            };
            names.record = Some(record);
        }
        names.losing += 1;
        Ok(Loss { links: entry.links })
    }

    /// The name could not be covered after all.
    pub(crate) fn undo_loss(&self, inode: &Inode) {
        let mut names = inode.names.lock();
        names.losing = names.losing.saturating_sub(1);
        let lost = names.lost.saturating_add(names.losing);
        let Some(record) = names.record else { return };
        if lost > 0 || inode.upper.get().is_some() {
            // The worst that comes of an error is a count that is too low.
            names.record = Some(self.note(record, lost).unwrap_or(record));
            return;
        }
        // Nothing is left to be kept together.
        names.record = None;
        let _ = self.remove_record(record);
        drop(names);
        let kept = self.index.inodes.lock().remove(&record.id);
        drop(kept);
    }

    /// After a name of the lowers was covered.
    pub(crate) fn end_loss(&self, loss: Loss, inode: &Inode) {
        let mut names = inode.names.lock();
        names.losing = names.losing.saturating_sub(1);
        names.lost = names.lost.saturating_add(1);
        let at = names.at.take();
        let record = if names.lost >= loss.links { names.record.take() } else { None };
        if let Some(record) = record {
            // What is left over here is nobody's, and would at most take space.
            let _ = self.remove_record(record);
        }
        drop(names);
        let kept = record.and_then(|record| self.index.inodes.lock().remove(&record.id));
        drop((at, kept));
    }

    /// Covers this name, if it still is the file's, and the lowers'.
    pub(crate) fn cover_name(&self, inode: &Arc<Inode>, dir: &Arc<Inode>, name: &str) -> Result<(), Errno> {
        self.copy_dir_up(dir)?;
        let _entries = dir.entries.write();
        if dir.is_dead() {
            return Ok(());
        }
        let before = self.upper()?.fs.getattr(dir.upper_node()?)?;
        match self.entry(dir, name)?.0 {
            Some(entry) if !entry.in_upper && Arc::ptr_eq(&entry.inode, inode) => {
                self.link_name(&entry.attributes, inode, dir, name)?;
            }
            _ => return Ok(()),
        }
        self.restore_times(dir.upper_node()?, &before);
        Ok(())
    }

    /// Covers a name of the lowers with a hard link of the copy that it leads to.
    pub(crate) fn link_name(
        &self,
        entry: &Attributes,
        inode: &Arc<Inode>,
        dir: &Inode,
        name: &str,
    ) -> Result<(), Errno> {
        let upper = self.upper()?;
        let loss = self.begin_loss(entry, inode, dir, name)?;
        let linked = upper.fs.link(inode.upper_node()?, dir.upper_node()?, name);
        let linked = linked.and_then(|linked| upper.hold(&linked)).inspect_err(|_| self.undo_loss(inode));
        // Without hard links in the upper the name cannot be moved, only copied.
        linked.map_err(|errno| if errno == Errno::Notsup { Errno::Xdev } else { errno })?;
        self.end_loss(loss, inode);
        dir.changed(0);
        Ok(())
    }

    fn new_record(&self, path: &str, lost: u32) -> Result<Record, Errno> {
        let record = Record { id: self.index.next(), lost };
        let temp = self.temp_file(MARK_OWNER)?;
        self.upper()?.open(temp.node(), OpenFlags::WRITE)?.write_all(0, path.as_bytes())?;
        temp.publish(self.index_dir()?, &record.name())?;
        Ok(record)
    }

    /// Notes another count.
    fn note(&self, record: Record, lost: u32) -> Result<Record, Errno> {
        let (index, new) = (self.index_dir()?, Record { lost, ..record });
        if record.lost != lost {
            self.upper()?.fs.rename(index, &record.name(), index, &new.name(), Default::default())?;
        }
        Ok(new)
    }

    fn remove_record(&self, record: Record) -> Result<(), Errno> {
        let (fs, index) = (&*self.upper()?.fs, self.index_dir()?);
        let removed = fs.unlink(index, &record.name());
        match fs.unlink(index, &record.id.to_string()) {
            Ok(()) | Err(Errno::Noent) => removed,
            Err(errno) => Err(errno),
        }
    }

    /// Takes over the index that an earlier overlay left. A record whose file the lowers no longer have is left alone.
    pub(crate) fn load_index(&self) -> Result<(), Errno> {
        let Some(index) = self.old_index()? else { return Ok(()) };
        let upper = self.layers.first().ok_or(Errno::Io)?;
        for name in names(upper, index.node)? {
            let (id, lost) = name.split_once('.').unwrap_or((&name, ""));
            let Ok(number) = id.parse::<u64>() else { continue };
            self.index.id_last.fetch_max(number.min(u64::MAX / 2), Ordering::Relaxed);
            let Ok(lost) = lost.parse() else { continue };
            let record = Record { id: number, lost };
            let Some((held, found)) = upper.look(index.node, &name)? else { continue };
            // A name that would not be found again is none of ours.
            if found.kind != NodeKind::File || record.name() != name {
                continue;
            }
            let Ok(path) = String::from_utf8(upper.contents(held.node)?) else { continue };
            let copy = upper.look(index.node, id)?;
            self.adopt(record, &path, copy.map(|(held, _)| held))?;
        }
        Ok(())
    }

    fn adopt(&self, record: Record, path: &str, copy: Option<Held>) -> Result<(), Errno> {
        let mut lowers = self.in_lowers(path)?;
        lowers.truncate(1);
        let Some(lower) = lowers.first() else { return Ok(()) };
        let kind = lower.held.getattr()?.kind;
        let same_kind = match &copy {
            Some(copy) => copy.getattr()?.kind == kind,
            None => true,
        };
        if kind == NodeKind::Directory || !same_kind {
            return Ok(());
        }
        let makings = Makings {
            kind,
            upper: None,
            lowers: lowers.into_iter().collect(),
            lower_path: None,
            at: None,
            redirected: false,
        };
        let inode = self.table.intern(makings)?;
        if let Some(copy) = copy {
            self.settle(&inode, copy)?;
        }
        let mut names = inode.names.lock();
        names.lost = record.lost;
        names.record = Some(record);
        drop(names);
        self.index.inodes.lock().insert(record.id, inode);
        Ok(())
    }
}

impl Record {
    /// Always as long, so that a rename needs no space.
    fn name(&self) -> String {
        format!("{}.{:010}", self.id, self.lost)
    }
}
