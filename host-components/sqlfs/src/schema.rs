//! The database: its tables, and how one is recognised.
//!
//! Each of `inode`, `entry` and `extent` has a twin with `_old` that holds what a row was before a change that a snapshot or a clone must
//! not see. A row was true in the epochs from `born` to before `died`; rows of the first table are still true.

use rusqlite::Connection;

/// `EYOT` in ASCII: which program a database belongs to.
pub(crate) const APPLICATION_ID: i64 = 0x4559_4f54;
/// The format written here.
pub(crate) const FORMAT: i64 = 1;

/// The columns that `inode` and `inode_old` share, but the number.
pub(crate) const INODE_COLUMNS: &str =
    "born, kind, mode, links, uid, gid, device, size, stored, parent, origin, origin_epoch, times, xattrs, data";

const STATEMENTS: &[&str] = &[
    "CREATE TABLE meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID",
    // `stored`: bytes of contents. `parent`: of a directory. `origin` and `origin_epoch`: entries or extents are those of that inode then.
    // `times`: accessed, modified, changed, created. `data`: a symlink's target, a short file; NULL for a file of chunks.
    "CREATE TABLE inode (ino INTEGER PRIMARY KEY, born INTEGER NOT NULL, kind INTEGER NOT NULL, mode INTEGER NOT NULL, \
     links INTEGER NOT NULL, uid INTEGER NOT NULL, gid INTEGER NOT NULL, device INTEGER NOT NULL, size INTEGER NOT NULL, \
     stored INTEGER NOT NULL, parent INTEGER NOT NULL, origin INTEGER, origin_epoch INTEGER, times BLOB NOT NULL, \
     xattrs BLOB, data BLOB) STRICT",
    "CREATE INDEX inode_orphan ON inode (links) WHERE links = 0",
    "CREATE INDEX inode_linked ON inode (links) WHERE links > 1 AND kind <> 1",
    "CREATE INDEX inode_lazy ON inode (origin_epoch) WHERE origin_epoch IS NOT NULL",
    "CREATE TABLE inode_old (ino INTEGER NOT NULL, died INTEGER NOT NULL, born INTEGER NOT NULL, kind INTEGER NOT NULL, \
     mode INTEGER NOT NULL, links INTEGER NOT NULL, uid INTEGER NOT NULL, gid INTEGER NOT NULL, device INTEGER NOT NULL, \
     size INTEGER NOT NULL, stored INTEGER NOT NULL, parent INTEGER NOT NULL, origin INTEGER, origin_epoch INTEGER, \
     times BLOB NOT NULL, xattrs BLOB, data BLOB, PRIMARY KEY (ino, died)) STRICT",
    "CREATE INDEX inode_old_linked ON inode_old (links) WHERE links > 1 AND kind <> 1",
    "CREATE INDEX inode_old_lazy ON inode_old (origin_epoch) WHERE origin_epoch IS NOT NULL",
    "CREATE TABLE entry (dir INTEGER NOT NULL, cookie INTEGER NOT NULL, born INTEGER NOT NULL, name TEXT NOT NULL, \
     child INTEGER NOT NULL, PRIMARY KEY (dir, cookie)) STRICT, WITHOUT ROWID",
    "CREATE UNIQUE INDEX entry_name ON entry (dir, name)",
    "CREATE INDEX entry_child ON entry (child)",
    "CREATE TABLE entry_old (dir INTEGER NOT NULL, cookie INTEGER NOT NULL, died INTEGER NOT NULL, born INTEGER NOT NULL, \
     name TEXT NOT NULL, child INTEGER NOT NULL, PRIMARY KEY (dir, cookie, died)) STRICT, WITHOUT ROWID",
    "CREATE INDEX entry_old_child ON entry_old (child)",
    "CREATE TABLE extent (ino INTEGER NOT NULL, idx INTEGER NOT NULL, born INTEGER NOT NULL, chunk INTEGER NOT NULL, \
     PRIMARY KEY (ino, idx)) STRICT, WITHOUT ROWID",
    "CREATE TABLE extent_old (ino INTEGER NOT NULL, idx INTEGER NOT NULL, died INTEGER NOT NULL, born INTEGER NOT NULL, \
     chunk INTEGER NOT NULL, PRIMARY KEY (ino, idx, died)) STRICT, WITHOUT ROWID",
    "CREATE TABLE chunk (id INTEGER PRIMARY KEY, refs INTEGER NOT NULL, bytes INTEGER NOT NULL, hash BLOB NOT NULL) STRICT",
    "CREATE UNIQUE INDEX chunk_hash ON chunk (hash)",
    "CREATE INDEX chunk_dead ON chunk (refs) WHERE refs = 0",
    // Beside `chunk`, so that counting a reference does not write the bytes again.
    "CREATE TABLE chunk_data (id INTEGER PRIMARY KEY, data BLOB NOT NULL) STRICT",
    "CREATE TABLE snapshot (name TEXT PRIMARY KEY, epoch INTEGER NOT NULL, created INTEGER NOT NULL) STRICT, WITHOUT ROWID",
];

/// What a file turned out to be.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Recognised {
    /// Nothing in it yet.
    Empty,
    Ours,
    Newer(i64),
    Foreign(String),
}

/// Makes the tables. In the caller's transaction, so that a database has all of them or none.
pub(crate) fn create(conn: &Connection) -> rusqlite::Result<()> {
    for statement in STATEMENTS {
        conn.execute(statement, ())?;
    }
    conn.pragma_update(None, "application_id", APPLICATION_ID)?;
    conn.pragma_update(None, "user_version", FORMAT)
}

/// Finds out whose database it is. The tables must be to the letter those that are made here: a trigger or a view more is a stranger's.
pub(crate) fn recognise(conn: &Connection) -> rusqlite::Result<Recognised> {
    let number = |pragma| conn.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0));
    let (application, format) = (number("application_id")?, number("user_version")?);
    let mut statement = conn.prepare("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL LIMIT 1000")?;
    let mut found = statement.query_map((), |row| row.get::<_, Option<String>>(0))?.collect::<Result<Vec<_>, _>>()?;
    if application == 0 && format == 0 && found.is_empty() {
        return Ok(Recognised::Empty);
    }
    if application != APPLICATION_ID {
        return Ok(Recognised::Foreign(format!("its application id is {application:#x}, not {APPLICATION_ID:#x}")));
    }
    if format > FORMAT {
        return Ok(Recognised::Newer(format));
    }
    let mut expected: Vec<_> = STATEMENTS.iter().map(|sql| Some((*sql).to_owned())).collect();
    found.sort();
    expected.sort();
    if format != FORMAT || found != expected {
        return Ok(Recognised::Foreign(format!("its tables are not those of format {FORMAT}")));
    }
    Ok(Recognised::Ours)
}
