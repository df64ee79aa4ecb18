//! Snapshots: epochs with a name.

use eyot_backend::{Attributes, Errno, Node, Timestamp};
use rusqlite::{OptionalExtension, params};

use crate::core::Core;
use crate::error::{Error, Fault, Res};
use crate::writer::Writer;

/// A snapshot of the whole filesystem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Its name.
    pub name: String,
    /// When it was made.
    pub created: Timestamp,
}

/// The longest name of a snapshot, in bytes.
const NAME_BYTES_MAX: usize = 255;

impl Writer {
    /// The last epoch that a snapshot or a clone looks at.
    pub(crate) fn find_pinned_epoch(&self) -> Res<i64> {
        let sql = "SELECT max(ifnull((SELECT max(epoch) FROM snapshot), 0), \
                   ifnull((SELECT max(origin_epoch) FROM inode WHERE origin_epoch IS NOT NULL), 0), \
                   ifnull((SELECT max(origin_epoch) FROM inode_old WHERE origin_epoch IS NOT NULL), 0))";
        Ok(self.conn.query_row(sql, (), |row| row.get(0))?)
    }

    fn snapshot_epoch(&self, name: &str) -> Res<Option<i64>> {
        let sql = "SELECT epoch FROM snapshot WHERE name = ?1";
        Ok(self.conn.prepare_cached(sql)?.query_row([name], |row| row.get(0)).optional()?)
    }
}

impl Core {
    pub(crate) fn snapshot(&self, name: &str) -> Result<(), Error> {
        let told = |fault: Fault| fault.told("make a snapshot", &self.path);
        if name.is_empty() || name.len() > NAME_BYTES_MAX || name.contains('\0') {
            return Err(told(Errno::Inval.into()));
        }
        {
            let mut w = self.writer.lock();
            if w.snapshot_epoch(name).map_err(told)?.is_some() {
                return Err(Error::SnapshotExists { name: name.to_owned() });
            }
            let created = self.now();
            self.write_all(&mut w).map_err(told)?;
            self.change_under(&mut w, |w| {
                let epoch = self.new_epoch(w)?;
                let sql = "INSERT INTO snapshot (name, epoch, created) VALUES (?1, ?2, ?3)";
                w.conn.execute(sql, params![name, epoch, created.as_nanos()])?;
                Ok(())
            })
            .map_err(told)?;
        }
        self.sync()
    }

    pub(crate) fn snapshots(&self) -> Result<Vec<Snapshot>, Error> {
        let list = || -> Res<Vec<Snapshot>> {
            let w = self.writer.lock();
            let mut statement = w.conn.prepare("SELECT name, created FROM snapshot ORDER BY epoch, name")?;
            let rows = statement
                .query_map((), |row| Ok(Snapshot { name: row.get(0)?, created: Timestamp::from_nanos(row.get(1)?) }))?;
            Ok(rows.collect::<Result<_, _>>()?)
        };
        list().map_err(|fault| fault.told("list the snapshots", &self.path))
    }

    pub(crate) fn delete_snapshot(&self, name: &str) -> Result<(), Error> {
        let deleted = self.change(|w| {
            let deleted = w.conn.execute("DELETE FROM snapshot WHERE name = ?1", [name])?;
            w.pinned_epoch = w.find_pinned_epoch()?;
            Ok(deleted)
        });
        match deleted.map_err(|fault| fault.told("delete a snapshot", &self.path))? {
            0 => Err(Error::NoSnapshot { name: name.to_owned() }),
            _ => self.sync(),
        }
    }

    pub(crate) fn clone_snapshot(&self, snapshot: &str, dir: Node, name: &str) -> Result<Attributes, Error> {
        let told = |fault: Fault| fault.told("clone a snapshot", &self.path);
        let mut w = self.writer.lock();
        let epoch = w.snapshot_epoch(snapshot).map_err(told)?;
        let epoch = epoch.ok_or_else(|| Error::NoSnapshot { name: snapshot.to_owned() })?;
        self.clone_epoch(&mut w, epoch, dir, name).map_err(told)
    }

    /// Makes everything what it was. What changed since is kept for the snapshots that were made meanwhile.
    pub(crate) fn restore(&self, name: &str) -> Result<(), Error> {
        let told = |fault: Fault| fault.told("restore a snapshot", &self.path);
        {
            let mut w = self.writer.lock();
            let held = self.nodes.held();
            if held > 0 {
                return Err(Error::Busy { held });
            }
            let epoch = w.snapshot_epoch(name).map_err(told)?;
            let epoch = epoch.ok_or_else(|| Error::NoSnapshot { name: name.to_owned() })?;
            self.write_all(&mut w).map_err(told)?;
            self.change_under(&mut w, |w| {
                for table in ["inode", "entry", "extent"] {
                    restore_table(w, table, epoch)?;
                }
                recount_chunks(w)
            })
            .map_err(told)?;
            w.pinned.clear();
            self.nodes.clear();
            self.cache.clear();
            // What is read from here on must be what is committed.
            self.commit_under(&mut w).map_err(told)?;
            self.change_under(&mut w, |w| self.delete_orphans(w)).map_err(told)?;
            self.change_under(&mut w, |w| self.recount(w)).map_err(told)?;
            self.commit_under(&mut w).map_err(told)?;
        }
        self.sync()
    }
}

/// Lets the rows of a table be those that were true in an epoch.
fn restore_table(w: &mut Writer, table: &str, epoch: i64) -> Res<()> {
    let (key, rest) = match table {
        "inode" => ("ino", crate::schema::INODE_COLUMNS.replacen("born, ", "", 1)),
        "entry" => ("dir, cookie", "name, child".to_owned()),
        _ => ("ino, idx", "chunk".to_owned()),
    };
    let keep = format!(
        "INSERT OR REPLACE INTO {table}_old ({key}, died, born, {rest}) SELECT {key}, ?1, born, {rest} FROM {table} \
         WHERE born > ?2 AND born <= ?3"
    );
    w.conn.execute(&keep, [w.epoch, epoch, w.pinned_epoch])?;
    w.conn.execute(&format!("DELETE FROM {table} WHERE born > ?1"), [epoch])?;
    let bring = format!(
        "INSERT INTO {table} ({key}, born, {rest}) SELECT {key}, ?1, {rest} FROM {table}_old WHERE born <= ?2 AND died > ?2"
    );
    w.conn.execute(&bring, [w.epoch, epoch])?;
    Ok(())
}

/// Counts the references of every chunk anew.
pub(crate) fn recount_chunks(w: &Writer) -> Res<()> {
    let sql = "UPDATE chunk SET refs = n.n FROM (SELECT c.id, count(e.chunk) AS n FROM chunk c LEFT JOIN \
               (SELECT chunk FROM extent UNION ALL SELECT chunk FROM extent_old) e ON e.chunk = c.id GROUP BY c.id) AS n \
               WHERE chunk.id = n.id AND chunk.refs <> n.n";
    w.conn.execute(sql, ())?;
    Ok(())
}
