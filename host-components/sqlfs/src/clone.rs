//! Trees by reference.
//!
//! A clone of a directory is one new inode that says: my entries are those of that inode, as they were in that epoch. Rows that change afterwards
//! are kept beside (see [`schema`](crate::schema)), so both sides can change and see nothing of each other. Who first looks into such a directory
//! settles it: its entries get inodes of their own with numbers of their own, which in turn borrow what is below them. A file of chunks borrows its extents
//! until it is first written or cut. So a clone costs the same however large the tree is, and looking around in it costs a directory at a time.
//!
//! **Hard links** must not fall apart. What is settled later gets one name only, so the directories on the way to names that share an inode are settled at once,
//! while it is known which names those are. A clone therefore costs as much as there are such names in the filesystem.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use eyot_backend::{Attributes, Errno, Node, NodeKind};
use rusqlite::{OptionalExtension, params};

use crate::core::{Core, ROOT};
use crate::error::Res;
use crate::namespace::entry_bytes;
use crate::nodes::Inode;
use crate::record::{Body, Origin, Record};
use crate::writer::Writer;
use eyot_backend::check_name;

/// Inodes of the clone by those that they are clones of, where more than one name leads there.
type Twins = HashMap<i64, Arc<Inode>>;

impl Writer {
    /// Refuses to borrow from an epoch that has not ended: a damaged database would see what is made as what is borrowed, without end.
    pub(crate) fn must_be_past(&self, origin: Origin) -> Result<(), Errno> {
        if origin.epoch < self.epoch { Ok(()) } else { Err(Errno::Io) }
    }
}

impl Core {
    /// Copies the tree at `source` by reference to `name` in `dir`; the copy counts as looked up once.
    pub(crate) fn clone_tree(&self, source: Node, dir: Node, name: &str) -> Res<Attributes> {
        check_name(name)?;
        let source = self.node(source)?;
        let parent = self.node(dir)?;
        let mut guard = self.writer.lock();
        let w = &mut *guard;
        self.change_under(w, |w| self.may_clone(w, &parent, name))?;
        self.write_all(w)?;
        self.change_under(w, |w| {
            let epoch = self.new_epoch(w)?;
            let from = Origin { ino: source.ino, epoch };
            let attributes = self.attach_clone(w, from, &parent, name)?;
            Ok(attributes)
        })
        .inspect(|_| self.flusher.wake())
    }

    /// Copies the root of a snapshot by reference to `name` in `dir`.
    pub(crate) fn clone_epoch(&self, w: &mut Writer, epoch: i64, dir: Node, name: &str) -> Res<Attributes> {
        check_name(name)?;
        let parent = self.node(dir)?;
        self.change_under(w, |w| self.may_clone(w, &parent, name))?;
        self.write_all(w)?;
        self.change_under(w, |w| self.attach_clone(w, Origin { ino: ROOT, epoch }, &parent, name))
    }

    fn may_clone(&self, w: &mut Writer, parent: &Arc<Inode>, name: &str) -> Res<()> {
        parent.read()?.living_directory()?;
        self.settle(w, parent)?;
        if Self::find(&w.conn, parent.ino, name)?.is_some() {
            return Err(Errno::Exist.into());
        }
        self.quota.inode_fits()?;
        Ok(self.quota.fits(entry_bytes(name) + crate::quota::INODE_BYTES)?)
    }

    /// Ends an epoch, so that what is in the database now can be looked at later; answers which one it was.
    pub(crate) fn new_epoch(&self, w: &mut Writer) -> Res<i64> {
        let epoch = w.epoch;
        w.epoch = epoch.checked_add(1).ok_or(Errno::Overflow)?;
        w.pinned_epoch = epoch;
        Ok(epoch)
    }

    fn attach_clone(&self, w: &mut Writer, from: Origin, parent: &Arc<Inode>, name: &str) -> Res<Attributes> {
        let now = self.now();
        let above_links = self.directories_above_links(w, from)?;
        let record = self.row_at(&w.conn, from.ino, from.epoch)?.ok_or(Errno::Io)?;
        let is_directory = record.is_directory();
        if record.links == 0 {
            return Err(Errno::Noent.into());
        }
        let top = self.put_clone(w, from, record, parent.ino)?;
        self.insert_entry(w, parent.ino, name, top.ino)?;
        self.entries_changed(w, parent, i32::from(is_directory), now)?;
        if above_links.contains(&from.ino) {
            self.settle_links(w, &top, from, &above_links)?;
        }
        let attributes = top.hold(|record| record.attributes(top.ino, self.options.lifetime_ns))?;
        Ok(attributes)
    }

    /// Makes the inode that is the clone of `from`, whose row then was `record`.
    fn put_clone(&self, w: &mut Writer, from: Origin, mut record: Record, parent: i64) -> Res<Arc<Inode>> {
        let ino = w.take_ino()?;
        let borrows = record.is_directory() || record.body == Body::Chunks;
        record.origin = if borrows { record.origin.or(Some(from)) } else { None };
        record.parent = if record.is_directory() { parent } else { 0 };
        record.links = match record.kind {
            NodeKind::Directory => record.links.max(2),
            _ => 1,
        };
        record.row_bytes = 0;
        record.batch = w.batch;
        w.write_row(ino, &mut record)?;
        self.quota.store(record.row_bytes);
        self.quota.inode_came();
        let inode = self.put_inode(ino, record, 0)?;
        // Only the batch has its row yet.
        w.pinned.push(Arc::clone(&inode));
        Ok(inode)
    }

    /// Gives a directory entries of its own instead of those of its origin. That is whole in itself: an operation that settles a directory and then
    /// is refused has done no harm.
    pub(crate) fn settle(&self, w: &mut Writer, dir: &Arc<Inode>) -> Res<()> {
        let Some(origin) = dir.read()?.origin else { return Ok(()) };
        w.must_be_past(origin)?;
        let is_first = w.conn.total_changes() == w.whole_at;
        self.settle_with(w, dir, origin, &HashSet::new(), &mut HashMap::new())?;
        if is_first {
            w.whole_at = w.conn.total_changes();
        }
        Ok(())
    }

    /// The same; names that share an inode (`shared`) share one again. Answers the children that are directories, with whose
    /// clones they are.
    fn settle_with(
        &self,
        w: &mut Writer,
        dir: &Arc<Inode>,
        origin: Origin,
        shared: &HashSet<i64>,
        twins: &mut Twins,
    ) -> Res<Vec<(Arc<Inode>, i64)>> {
        let mut directories = Vec::new();
        let mut after = 0;
        loop {
            let page = self.entries_at(w, origin, after)?;
            let Some(last) = page.last().map(|(cookie, ..)| *cookie) else { break };
            after = last;
            for (_, name, child) in page {
                if let Some(twin) = twins.get(&child).map(Arc::clone) {
                    self.insert_entry(w, dir.ino, &name, twin.ino)?;
                    let mut record = twin.write()?;
                    record.links = record.links.checked_add(1).ok_or(Errno::Io)?;
                    self.mark(&twin, &mut record);
                    continue;
                }
                let from = Origin { ino: child, epoch: origin.epoch };
                let record = self.row_at(&w.conn, child, origin.epoch)?.ok_or(Errno::Io)?;
                let is_directory = record.is_directory();
                let made = self.put_clone(w, from, record, dir.ino)?;
                self.insert_entry(w, dir.ino, &name, made.ino)?;
                if shared.contains(&child) {
                    twins.insert(child, Arc::clone(&made));
                }
                if is_directory {
                    directories.push((made, child));
                }
            }
        }
        let mut record = dir.write()?;
        record.origin = None;
        record.batch = w.batch;
        self.mark(dir, &mut record);
        Ok(directories)
    }

    /// Cookie, name and inode of entries as they were, after a cookie.
    fn entries_at(&self, w: &Writer, origin: Origin, after: i64) -> Res<Vec<(i64, String, i64)>> {
        let sql = "SELECT cookie, name, child FROM entry WHERE dir = ?1 AND cookie > ?3 AND born <= ?2 UNION ALL \
                   SELECT cookie, name, child FROM entry_old WHERE dir = ?1 AND cookie > ?3 AND born <= ?2 AND died > ?2 \
                   ORDER BY cookie LIMIT 1024";
        let mut statement = w.conn.prepare_cached(sql)?;
        let rows = statement
            .query_map(params![origin.ino, origin.epoch, after], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        let page = rows.collect::<Result<Vec<(i64, String, i64)>, _>>()?;
        for (_, name, _) in &page {
            check_name(name).map_err(|_| Errno::Io)?;
        }
        Ok(page)
    }

    /// The directories at and below `top`, as they were, from which one comes to names that share an inode.
    fn directories_above_links(&self, w: &Writer, top: Origin) -> Res<HashSet<i64>> {
        let mut above = HashSet::new();
        for ino in self.shared_inodes(w, top.epoch)? {
            for dir in self.dirs_naming(w, ino, top.epoch)? {
                self.mark_path(w, dir, top, &mut above)?;
            }
        }
        Ok(above)
    }

    /// Inodes that had more than one name then.
    fn shared_inodes(&self, w: &Writer, epoch: i64) -> Res<HashSet<i64>> {
        let sql = "SELECT ino FROM inode WHERE links > 1 AND kind <> 1 AND born <= ?1 UNION ALL \
                   SELECT ino FROM inode_old WHERE links > 1 AND kind <> 1 AND born <= ?1 AND died > ?1";
        let mut statement = w.conn.prepare_cached(sql)?;
        let rows = statement.query_map([epoch], |row| row.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    fn dirs_naming(&self, w: &Writer, ino: i64, epoch: i64) -> Res<Vec<i64>> {
        let sql = "SELECT dir FROM entry WHERE child = ?1 AND born <= ?2 UNION ALL \
                   SELECT dir FROM entry_old WHERE child = ?1 AND born <= ?2 AND died > ?2";
        let mut statement = w.conn.prepare_cached(sql)?;
        let rows = statement.query_map([ino, epoch], |row| row.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Adds the directories from `dir` up to `top`, when it lies below.
    fn mark_path(&self, w: &Writer, dir: i64, top: Origin, above: &mut HashSet<i64>) -> Res<()> {
        let mut path = HashSet::new();
        let mut at = dir;
        // In a damaged database the parents may go in a circle.
        while path.insert(at) {
            if at == top.ino || above.contains(&at) {
                above.extend(path);
                return Ok(());
            }
            if at == ROOT {
                return Ok(());
            }
            at = self.parent_at(w, at, top.epoch)?;
        }
        Err(Errno::Io.into())
    }

    fn parent_at(&self, w: &Writer, dir: i64, epoch: i64) -> Res<i64> {
        let sql = "SELECT parent FROM inode WHERE ino = ?1 AND born <= ?2 UNION ALL \
                   SELECT parent FROM inode_old WHERE ino = ?1 AND born <= ?2 AND died > ?2 LIMIT 1";
        let parent = w.conn.prepare_cached(sql)?.query_row([dir, epoch], |row| row.get(0)).optional()?;
        Ok(parent.ok_or(Errno::Io)?)
    }

    /// Settles those directories of a fresh clone from which one comes to names that share an inode.
    fn settle_links(&self, w: &mut Writer, top: &Arc<Inode>, from: Origin, above: &HashSet<i64>) -> Res<()> {
        let shared = self.shared_inodes(w, from.epoch)?;
        let mut twins = Twins::new();
        let mut settled = HashSet::new();
        let mut waiting = vec![(Arc::clone(top), from.ino)];
        while let Some((dir, of)) = waiting.pop() {
            let Some(origin) = dir.read()?.origin else { continue };
            // A directory that itself borrowed then has no names that share.
            if !above.contains(&of) || origin.ino != of || origin.epoch != from.epoch {
                continue;
            }
            // A directory has one name; in a damaged database it may lie in itself.
            if !settled.insert(of) {
                return Err(Errno::Io.into());
            }
            waiting.extend(self.settle_with(w, &dir, origin, &shared, &mut twins)?);
        }
        Ok(())
    }
}
