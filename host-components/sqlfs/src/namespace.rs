//! Making, finding and taking away names.

use std::sync::Arc;

use eyot_backend::{Attributes, Errno, Node, NodeKind, Ownership, Timestamp};
use rusqlite::{Connection, OptionalExtension, params};

use crate::core::{Core, ROOT, Source};
use crate::error::Res;
use crate::nodes::{Inode, State};
use crate::quota::{ENTRY_BYTES, INODE_BYTES};
use crate::record::{Body, Record};
use crate::writer::Writer;
use eyot_backend::check_name;

/// An entry, without its name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    pub cookie: i64,
    pub born: i64,
    pub child: i64,
}

/// How often a name is looked for again that was taken away meanwhile.
const LOOKUPS_MAX: usize = 100;

impl Core {
    /// The entry `name` of a directory.
    pub(crate) fn find(conn: &Connection, dir: i64, name: &str) -> Res<Option<Entry>> {
        let sql = "SELECT cookie, born, child FROM entry INDEXED BY entry_name WHERE dir = ?1 AND name = ?2";
        let found = (conn.prepare_cached(sql)?).query_row(params![dir, name], |row| {
            Ok(Entry { cookie: row.get(0)?, born: row.get(1)?, child: row.get(2)? })
        });
        Ok(found.optional()?)
    }

    pub(crate) fn lookup(&self, dir: Node, name: &str) -> Res<Attributes> {
        let parent = self.node(dir)?;
        for _ in 0..LOOKUPS_MAX {
            let child = self.find_child(&parent, name)?.ok_or(Errno::Noent)?.child;
            match self.inode(child).and_then(|inode| {
                let lifetime_ns = self.options.lifetime_ns;
                Ok(inode.hold(|record| record.attributes(child, lifetime_ns))?)
            }) {
                // It was let go since the entry was read, or the entry leads nowhere.
                Err(crate::error::Fault::Errno(Errno::Stale)) => {}
                answer => return answer,
            }
        }
        Err(Errno::Io.into())
    }

    fn find_child(&self, parent: &Arc<Inode>, name: &str) -> Res<Option<Entry>> {
        let source = {
            let record = parent.read()?;
            record.directory()?;
            if record.origin.is_some() { None } else { Some(self.source(&record)) }
        };
        match source {
            Some(Source::Committed) => self.readers.with(|conn| Self::find(conn, parent.ino, name)),
            Some(Source::Batch) => Self::find(&self.writer.lock().conn, parent.ino, name),
            None => self.change(|w| {
                self.settle(w, parent)?;
                Self::find(&w.conn, parent.ino, name)
            }),
        }
    }

    /// Adds an entry whose name is not there yet.
    pub(crate) fn insert_entry(&self, w: &mut Writer, dir: i64, name: &str, child: i64) -> Res<()> {
        let cookie = w.take_cookie()?;
        let sql = "INSERT INTO entry (dir, cookie, born, name, child) VALUES (?1, ?2, ?3, ?4, ?5)";
        w.conn.prepare_cached(sql)?.execute(params![dir, cookie, w.epoch, name, child])?;
        self.quota.store(entry_bytes(name));
        Ok(())
    }

    /// Takes an entry away.
    pub(crate) fn remove_entry(&self, w: &mut Writer, dir: i64, name: &str, entry: Entry) -> Res<()> {
        Self::keep_entry(w, dir, entry)?;
        w.conn.prepare_cached("DELETE FROM entry WHERE dir = ?1 AND cookie = ?2")?.execute([dir, entry.cookie])?;
        self.quota.unstore(entry_bytes(name));
        Ok(())
    }

    /// Lets an entry name another inode. It keeps its cookie.
    pub(crate) fn replace_entry(w: &mut Writer, dir: i64, entry: Entry, child: i64) -> Res<()> {
        Self::keep_entry(w, dir, entry)?;
        let sql = "UPDATE entry SET child = ?3, born = ?4 WHERE dir = ?1 AND cookie = ?2";
        w.conn.prepare_cached(sql)?.execute([dir, entry.cookie, child, w.epoch])?;
        Ok(())
    }

    fn keep_entry(w: &Writer, dir: i64, entry: Entry) -> Res<()> {
        if w.is_pinned(entry.born) {
            let sql = "INSERT OR REPLACE INTO entry_old (dir, cookie, died, born, name, child) \
                       SELECT dir, cookie, ?3, born, name, child FROM entry WHERE dir = ?1 AND cookie = ?2";
            w.conn.prepare_cached(sql)?.execute([dir, entry.cookie, w.epoch])?;
        }
        Ok(())
    }

    /// Notes that the entries of a directory changed, and how its count of subdirectories did.
    pub(crate) fn entries_changed(
        &self,
        w: &Writer,
        dir: &Arc<Inode>,
        subdirectories: i32,
        now: Timestamp,
    ) -> Result<(), Errno> {
        let mut record = dir.write()?;
        record.links = record.links.saturating_add_signed(subdirectories);
        record.batch = w.batch;
        record.touch(now);
        self.mark(dir, &mut record);
        Ok(())
    }

    /// Makes a new inode with its first name; it counts as looked up once.
    pub(crate) fn make(&self, dir: Node, name: &str, mut record: Record) -> Res<Attributes> {
        check_name(name)?;
        let parent = self.node(dir)?;
        let subdirectories = i32::from(record.is_directory());
        self.change(|w| {
            let links = {
                let parent = parent.read()?;
                parent.living_directory()?;
                parent.links
            };
            self.settle(w, &parent)?;
            if Self::find(&w.conn, parent.ino, name)?.is_some() {
                return Err(Errno::Exist.into());
            }
            links.checked_add_signed(subdirectories).ok_or(Errno::Mlink)?;
            self.quota.inode_fits()?;
            let contents = if let Body::Inline(bytes) = &record.body { bytes.len() as u64 } else { 0 };
            self.quota.fits(entry_bytes(name) + INODE_BYTES + contents)?;
            self.quota.reserve_always(INODE_BYTES + contents);
            record.reserved = INODE_BYTES + contents;
            if record.is_directory() {
                record.parent = parent.ino;
            }
            let ino = w.take_ino()?;
            self.insert_entry(w, parent.ino, name, ino)?;
            self.quota.inode_came();
            record.dirty = true;
            record.batch = w.batch;
            let attributes = record.attributes(ino, self.options.lifetime_ns);
            let inode = self.put_inode(ino, record, 1)?;
            self.dirty.lock().push(inode);
            self.entries_changed(w, &parent, subdirectories, attributes.created)?;
            Ok(attributes)
        })
    }

    /// Makes another name of an inode.
    pub(crate) fn add_name(&self, target: Node, dir: Node, name: &str) -> Res<Attributes> {
        check_name(name)?;
        let inode = self.node(target)?;
        if inode.read()?.is_directory() {
            return Err(Errno::Perm.into());
        }
        let parent = self.node(dir)?;
        let now = self.now();
        self.change(|w| {
            parent.read()?.living_directory()?;
            self.settle(w, &parent)?;
            if Self::find(&w.conn, parent.ino, name)?.is_some() {
                return Err(Errno::Exist.into());
            }
            let links = inode.read()?.links;
            if links == 0 {
                return Err(Errno::Noent.into());
            }
            let links = links.checked_add(1).ok_or(Errno::Mlink)?;
            self.quota.fits(entry_bytes(name))?;
            self.insert_entry(w, parent.ino, name, inode.ino)?;
            {
                let mut record = inode.write()?;
                record.links = links;
                record.changed = now;
                self.mark(&inode, &mut record);
            }
            self.entries_changed(w, &parent, 0, now)?;
            Ok(inode.hold(|record| record.attributes(inode.ino, self.options.lifetime_ns))?)
        })
    }

    /// Takes a name of anything but a directory away.
    pub(crate) fn remove_name(&self, dir: Node, name: &str) -> Res<()> {
        let parent = self.node(dir)?;
        let now = self.now();
        self.change(|w| {
            parent.read()?.directory()?;
            self.settle(w, &parent)?;
            let entry = Self::find(&w.conn, parent.ino, name)?.ok_or(Errno::Noent)?;
            let child = self.entry_inode(entry)?;
            if child.read()?.is_directory() {
                return Err(Errno::Isdir.into());
            }
            self.remove_entry(w, parent.ino, name, entry)?;
            self.drop_link(w, &child, now)?;
            Ok(self.entries_changed(w, &parent, 0, now)?)
        })
    }

    /// Takes an empty directory away.
    pub(crate) fn remove_directory(&self, dir: Node, name: &str) -> Res<()> {
        let parent = self.node(dir)?;
        let now = self.now();
        self.change(|w| {
            parent.read()?.directory()?;
            self.settle(w, &parent)?;
            let entry = Self::find(&w.conn, parent.ino, name)?.ok_or(Errno::Noent)?;
            let child = self.entry_inode(entry)?;
            child.read()?.directory()?;
            if entry.child == parent.ino || entry.child == ROOT {
                return Err(Errno::Inval.into());
            }
            self.must_be_empty(w, &child)?;
            self.remove_entry(w, parent.ino, name, entry)?;
            self.drop_link(w, &child, now)?;
            Ok(self.entries_changed(w, &parent, -1, now)?)
        })
    }

    /// The inode that an entry names. An entry that leads nowhere is damage.
    pub(crate) fn entry_inode(&self, entry: Entry) -> Res<Arc<Inode>> {
        self.inode(entry.child).map_err(|fault| match fault {
            crate::error::Fault::Errno(Errno::Stale) => Errno::Io.into(),
            fault => fault,
        })
    }

    pub(crate) fn must_be_empty(&self, w: &mut Writer, dir: &Arc<Inode>) -> Res<()> {
        self.settle(w, dir)?;
        let sql = "SELECT EXISTS (SELECT 1 FROM entry WHERE dir = ?1)";
        if w.conn.prepare_cached(sql)?.query_row([dir.ino], |row| row.get(0))? {
            return Err(Errno::Notempty.into());
        }
        Ok(())
    }

    /// One name fewer; an empty directory loses its only one. Without a name and a lookup the inode goes.
    pub(crate) fn drop_link(&self, w: &mut Writer, inode: &Arc<Inode>, now: Timestamp) -> Res<()> {
        {
            let mut record = inode.write()?;
            record.links = if record.is_directory() { 0 } else { record.links.saturating_sub(1) };
            record.changed = now;
            self.mark(inode, &mut record);
        }
        self.let_go(w, inode)
    }

    /// Takes lookups back, and lets the inode go when neither a lookup nor a name is left.
    pub(crate) fn forget(&self, node: Node, count: u64) {
        use std::sync::atomic::Ordering::{AcqRel, Acquire};
        let Ok(ino) = self.ino(node) else { return };
        if ino == ROOT {
            return;
        }
        let Some(inode) = self.nodes.peek(ino) else { return };
        let before = inode.held.fetch_update(AcqRel, Acquire, |held| Some(held.saturating_sub(count)));
        if before.is_ok_and(|before| before > count) {
            return;
        }
        if inode.read().is_ok_and(|record| record.links == 0) {
            // What cannot be let go now is at the next opening.
            let _ = self.change(|w| self.let_go(w, &inode));
        }
    }

    /// Lets an inode without names and lookups go.
    fn let_go(&self, w: &mut Writer, inode: &Arc<Inode>) -> Res<()> {
        let mut state = inode.state.write();
        let State::Here(record) = &mut *state else { return Ok(()) };
        if record.links > 0 || inode.is_held() || inode.ino == ROOT {
            return Ok(());
        }
        w.pinned.push(Arc::clone(inode));
        self.delete_inode(w, inode.ino, record)?;
        *state = State::Gone;
        Ok(())
    }

    /// Takes an inode's row and chunks away. Snapshots keep what they look at.
    pub(crate) fn delete_inode(&self, w: &mut Writer, ino: i64, record: &mut Record) -> Res<()> {
        if record.kind == NodeKind::File {
            self.drop_contents(w, ino, record)?;
        }
        self.quota.release(std::mem::take(&mut record.reserved));
        if record.row_bytes > 0 {
            if w.is_pinned(record.born) {
                w.keep_row(ino)?;
            }
            w.conn.prepare_cached("DELETE FROM inode WHERE ino = ?1")?.execute([ino])?;
            self.quota.unstore(record.row_bytes);
        }
        self.quota.inode_went();
        Ok(())
    }
}

/// What an entry with this name counts.
pub(crate) fn entry_bytes(name: &str) -> u64 {
    ENTRY_BYTES + name.len() as u64
}

impl Core {
    /// An inode to be made: with these contents, owned so.
    pub(crate) fn new_record(&self, kind: NodeKind, body: Body, owner: Ownership) -> Record {
        Record::new(kind, body, owner, self.now())
    }
}
