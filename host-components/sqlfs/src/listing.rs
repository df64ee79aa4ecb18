//! Listing a directory.

use eyot_backend::{DirectoryEntry, Errno, Node, NodeKind, Ownership, Timestamp};
use rusqlite::{Connection, params};

use crate::core::{Core, Source};
use crate::error::Res;
use crate::record::{Body, Record, record_of};
use eyot_backend::check_name;

/// The most entries of one listing.
const LISTING_ENTRIES_MAX: usize = 4096;
/// The columns of an inode without what may be long: a short file looks like one of chunks of its length.
const COLUMNS: &str = "i.born, i.kind, i.mode, i.links, i.uid, i.gid, i.device, i.size, \
                       CASE WHEN i.data IS NULL THEN i.stored ELSE i.size END, i.parent, i.origin, i.origin_epoch, i.times, \
                       NULL, CASE i.kind WHEN 2 THEN i.data ELSE NULL END";

impl Core {
    pub(crate) fn readdir(&self, dir: Node, cookie: u64, entries_max: usize) -> Res<Vec<DirectoryEntry>> {
        let inode = self.node(dir)?;
        let (source, note) = {
            let record = inode.read()?;
            record.directory()?;
            (if record.origin.is_some() { None } else { Some(self.source(&record)) }, record.wants_accessed())
        };
        let max = entries_max.min(LISTING_ENTRIES_MAX);
        let Ok(mut after) = i64::try_from(cookie) else { return Ok(Vec::new()) };
        if note {
            self.note_access(&inode);
        }
        if source.is_none() {
            self.change(|w| self.settle(w, &inode))?;
        }
        loop {
            let list = |conn: &Connection| self.rows(conn, inode.ino, after, max);
            // With the writer held what is only in memory stays there until it was looked at.
            let guard;
            let rows = match source {
                Some(Source::Committed) => self.readers.with(list)?,
                Some(Source::Batch) | None => {
                    guard = self.writer.lock();
                    list(&guard.conn)?
                }
            };
            let last = rows.last().map(|(entry, _)| entry.cookie);
            let entries: Vec<_> = rows.into_iter().filter_map(|row| self.finish(row)).collect();
            // An empty answer would mean the end.
            match last.and_then(|last| i64::try_from(last).ok()) {
                Some(last) if entries.is_empty() => after = last,
                _ => return Ok(entries),
            }
        }
    }

    /// The entries after a cookie with the attributes that the database has, and whether it has any. No inode is locked here: who has one
    /// locked may be waiting for this connection.
    fn rows(&self, conn: &Connection, dir: i64, after: i64, max: usize) -> Res<Vec<(DirectoryEntry, bool)>> {
        let sql = format!(
            "SELECT e.cookie, e.name, e.child, i.ino, {COLUMNS} FROM entry e LEFT JOIN inode i ON i.ino = e.child \
             WHERE e.dir = ?1 AND e.cookie > ?2 ORDER BY e.cookie LIMIT ?3"
        );
        let mut statement = conn.prepare_cached(&sql)?;
        let mut rows = statement.query(params![dir, after, max as i64])?;
        let mut entries = Vec::new();
        while let Some(row) = rows.next()? {
            let cookie = u64::try_from(row.get::<_, i64>(0)?).map_err(|_| Errno::Io)?;
            let name: String = row.get(1)?;
            check_name(&name).map_err(|_| Errno::Io)?;
            let child: i64 = row.get(2)?;
            let is_there = row.get::<_, Option<i64>>(3)?.is_some();
            let record = if is_there {
                record_of(row, 4, self.chunk_bytes as u64)?
            } else {
                // Made in this batch: memory has it.
                Record::new(NodeKind::File, Body::None, Ownership { mode: 0, uid: 0, gid: 0 }, Timestamp::default())
            };
            let attributes = record.attributes(child, self.options.lifetime_ns);
            entries.push((DirectoryEntry { name, cookie, attributes }, is_there));
        }
        Ok(entries)
    }

    /// Lets memory, which is newer, have the last word. What went meanwhile is left out.
    fn finish(&self, (mut entry, is_there): (DirectoryEntry, bool)) -> Option<DirectoryEntry> {
        match self.attributes_in_memory(entry.attributes.node as i64) {
            Some(attributes) => entry.attributes = attributes.ok()?,
            None if !is_there => return None,
            None => {}
        }
        Some(entry)
    }

    /// What memory knows of an inode, if it knows anything.
    fn attributes_in_memory(&self, ino: i64) -> Option<Result<eyot_backend::Attributes, Errno>> {
        let inode = self.nodes.peek(ino)?;
        if matches!(&*inode.state.read(), crate::nodes::State::Unknown) {
            return None;
        }
        Some(self.attributes(&inode))
    }
}
