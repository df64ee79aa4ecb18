//! Listing a directory.

use std::sync::Arc;

use eyot_backend::{DirectoryEntry, Errno, Node};
use rusqlite::{Connection, params};

use crate::core::{Core, Source};
use crate::error::Res;
use crate::name::check_name;
use crate::nodes::Inode;
use crate::record::record_of;

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
            let list = |conn: &Connection| self.list(conn, &inode, after, max);
            let (entries, last) = match source {
                Some(Source::Committed) => self.readers.with(list)?,
                Some(Source::Batch) | None => list(&self.writer.lock().conn)?,
            };
            // An empty answer would mean the end.
            match last {
                Some(last) if entries.is_empty() => after = last,
                _ => return Ok(entries),
            }
        }
    }

    /// The entries after a cookie, and the last cookie that was seen. What went meanwhile is left out.
    fn list(
        &self,
        conn: &Connection,
        dir: &Arc<Inode>,
        after: i64,
        max: usize,
    ) -> Res<(Vec<DirectoryEntry>, Option<i64>)> {
        let sql = format!(
            "SELECT e.cookie, e.name, e.child, i.ino, {COLUMNS} FROM entry e LEFT JOIN inode i ON i.ino = e.child \
             WHERE e.dir = ?1 AND e.cookie > ?2 ORDER BY e.cookie LIMIT ?3"
        );
        let mut statement = conn.prepare_cached(&sql)?;
        let mut rows = statement.query(params![dir.ino, after, max as i64])?;
        let (mut entries, mut last) = (Vec::new(), None);
        while let Some(row) = rows.next()? {
            let cookie: i64 = row.get(0)?;
            last = Some(cookie);
            let name: String = row.get(1)?;
            check_name(&name).map_err(|_| Errno::Io)?;
            let child: i64 = row.get(2)?;
            let attributes = match self.attributes_in_memory(child) {
                Some(Ok(attributes)) => attributes,
                Some(Err(_)) => continue,
                None if row.get::<_, Option<i64>>(3)?.is_none() => continue,
                None => record_of(row, 4, self.chunk_bytes as u64)?.attributes(child, self.options.lifetime_ns),
            };
            let cookie = u64::try_from(cookie).map_err(|_| Errno::Io)?;
            entries.push(DirectoryEntry { name, cookie, attributes });
        }
        Ok((entries, last))
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
