//! Whether a database holds together.

use std::collections::{HashMap, HashSet};

use rusqlite::{Connection, params};

use crate::core::{Core, ROOT};
use crate::error::{Error, Fault, Res};
use crate::record::{Body, Record, record_of};
use crate::schema::INODE_COLUMNS;
use crate::writer::Writer;
use eyot_backend::check_name;

/// How many problems are told at most.
const PROBLEMS_MAX: usize = 1000;

/// What [`Sqlfs::check`](crate::Sqlfs::check) found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// What is wrong. Empty: nothing is.
    pub problems: Vec<Problem>,
    /// Whether there is more wrong than is told.
    pub is_cut: bool,
    /// How many inodes were looked at.
    pub inodes: u64,
    /// How many names.
    pub entries: u64,
    /// How many chunks, each of which was hashed.
    pub chunks: u64,
}

impl Report {
    /// Whether nothing is wrong.
    pub fn is_clean(&self) -> bool {
        self.problems.is_empty()
    }

    fn add(&mut self, problem: Problem) {
        if self.problems.len() < PROBLEMS_MAX {
            self.problems.push(problem);
        } else {
            self.is_cut = true;
        }
    }
}

/// One thing that is wrong. The numbers are those of inodes unless they say otherwise.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// SQLite finds its own structure damaged.
    #[error("sqlite: {0}")]
    Sqlite(String),
    /// A row that cannot be an inode.
    #[error("inode {ino} cannot be read")]
    BadInode {
        /// The inode.
        ino: i64,
    },
    /// A name that cannot be one.
    #[error("an entry of directory {dir} has a name that cannot be")]
    BadName {
        /// The directory.
        dir: i64,
        /// The entry's cookie.
        cookie: i64,
    },
    /// An entry of what is not a directory, or of nothing.
    #[error("an entry lies in {dir}, which is no directory")]
    StrayEntry {
        /// What should be a directory.
        dir: i64,
        /// The entry's cookie.
        cookie: i64,
    },
    /// An entry that leads nowhere.
    #[error("an entry of directory {dir} leads to inode {child}, which does not exist")]
    DanglingEntry {
        /// The directory.
        dir: i64,
        /// The entry's cookie.
        cookie: i64,
        /// Where it leads.
        child: i64,
    },
    /// A second name of a directory.
    #[error("directory {child} has a second name in {dir}")]
    SecondName {
        /// Where the second name is.
        dir: i64,
        /// Its cookie.
        cookie: i64,
        /// The directory it names.
        child: i64,
    },
    /// A directory that does not know where it is.
    #[error("directory {ino} lies in {expected}, but says {found}")]
    Parent {
        /// The directory.
        ino: i64,
        /// What it says.
        found: i64,
        /// Where its name is.
        expected: i64,
    },
    /// A wrong count of names.
    #[error("inode {ino} counts {found} links, but has {expected}")]
    Links {
        /// The inode.
        ino: i64,
        /// What it counts.
        found: u32,
        /// What there are.
        expected: u32,
    },
    /// An inode that no path from the root leads to.
    #[error("inode {ino} cannot be reached")]
    Unreachable {
        /// The inode.
        ino: i64,
    },
    /// An inode without a name that nobody holds.
    #[error("inode {ino} has no name and is not held")]
    Orphan {
        /// The inode.
        ino: i64,
    },
    /// An inode borrows from one that is not there.
    #[error("inode {ino} borrows from inode {origin}, which did not exist then")]
    Origin {
        /// The inode.
        ino: i64,
        /// From which it borrows.
        origin: i64,
    },
    /// A chunk that belongs to no file, or lies beyond its end.
    #[error("a chunk of inode {ino} lies where the file has none")]
    StrayExtent {
        /// The inode.
        ino: i64,
        /// The chunk's index in the file.
        index: i64,
    },
    /// A wrong sum of the bytes of a file's chunks.
    #[error("inode {ino} counts {found} bytes of chunks, but has {expected}")]
    Stored {
        /// The inode.
        ino: i64,
        /// What it counts.
        found: u64,
        /// What there are.
        expected: u64,
    },
    /// A chunk that a file has, or had for a snapshot, is not there.
    #[error("chunk {chunk} of inode {ino} is missing")]
    MissingChunk {
        /// The inode.
        ino: i64,
        /// The chunk's index in the file.
        index: i64,
        /// The chunk's own number.
        chunk: i64,
    },
    /// A wrong count of references.
    #[error("chunk {chunk} counts {found} references, but has {expected}")]
    References {
        /// The chunk's number.
        chunk: i64,
        /// What it counts.
        found: i64,
        /// What there are.
        expected: i64,
    },
    /// A chunk whose bytes are not those that were written.
    #[error("chunk {chunk} does not have the bytes that its hash says")]
    Contents {
        /// The chunk's number.
        chunk: i64,
    },
    /// Bytes of a chunk that is not there.
    #[error("there are bytes of chunk {chunk}, which does not exist")]
    StrayBytes {
        /// The chunk's number.
        chunk: i64,
    },
    /// A wrong sum over the whole.
    #[error("{bytes_found} bytes and {inodes_found} inodes are counted, but there are {bytes} and {inodes}")]
    Counters {
        /// Bytes as counted.
        bytes_found: u64,
        /// Bytes there are.
        bytes: u64,
        /// Inodes as counted.
        inodes_found: u64,
        /// Inodes there are.
        inodes: u64,
    },
}

/// What is kept of an inode while all are looked at.
struct Seen {
    is_directory: bool,
    borrows: bool,
    links: u32,
    parent: i64,
    names: u32,
    subdirectories: u32,
}

impl Core {
    pub(crate) fn check(&self) -> Result<Report, Error> {
        let mut w = self.writer.lock();
        let checked = self.commit_under(&mut w).and_then(|()| self.check_under(&w));
        checked.map_err(|fault: Fault| fault.told("check", &self.path))
    }

    pub(crate) fn check_under(&self, w: &Writer) -> Res<Report> {
        let conn = &w.conn;
        let mut report = Report::default();
        check_sqlite(conn, &mut report)?;
        let mut seen = self.check_inodes(w, &mut report)?;
        let tree = check_entries(conn, &mut seen, &mut report)?;
        self.check_links(&seen, &mut report);
        check_reach(&seen, &tree, &mut report);
        self.check_extents(conn, &mut report)?;
        check_references(conn, &mut report)?;
        self.check_contents(conn, &mut report)?;
        let (bytes, inodes) = self.counted(conn)?;
        let (bytes_found, inodes_found) = (self.quota.stored(), self.quota.inodes());
        if (bytes, inodes) != (bytes_found, inodes_found) {
            report.add(Problem::Counters { bytes_found, bytes, inodes_found, inodes });
        }
        Ok(report)
    }

    fn check_inodes(&self, w: &Writer, report: &mut Report) -> Res<HashMap<i64, Seen>> {
        let conn = &w.conn;
        let mut seen = HashMap::new();
        let mut borrowers = Vec::new();
        let mut statement = conn.prepare(&format!("SELECT ino, {INODE_COLUMNS} FROM inode"))?;
        let mut rows = statement.query(())?;
        while let Some(row) = rows.next()? {
            let ino: i64 = row.get(0)?;
            report.inodes += 1;
            let Ok(record) = record_of(row, 1, self.chunk_bytes as u64) else {
                report.add(Problem::BadInode { ino });
                continue;
            };
            if let Some(origin) = record.origin {
                borrowers.push((ino, origin, record.is_directory(), record.body.clone()));
            }
            seen.insert(ino, Seen::new(&record));
        }
        for (ino, origin, is_directory, body) in borrowers {
            let lender = self.row_at(conn, origin.ino, origin.epoch).ok().flatten();
            let fits = |lender: &Record| lender.is_directory() == is_directory && lender.body == body;
            if w.must_be_past(origin).is_err() || !lender.as_ref().is_some_and(fits) {
                report.add(Problem::Origin { ino, origin: origin.ino });
            }
        }
        Ok(seen)
    }

    fn check_links(&self, seen: &HashMap<i64, Seen>, report: &mut Report) {
        for (&ino, inode) in seen {
            let expected = match (inode.is_directory, inode.names) {
                // What a directory borrows is counted when it is settled.
                (true, _) if inode.borrows && (inode.names > 0 || ino == ROOT) => inode.links.max(2),
                (true, 0) if ino != ROOT => 0,
                (true, _) => inode.subdirectories.saturating_add(2),
                (false, names) => names,
            };
            if inode.links != expected {
                report.add(Problem::Links { ino, found: inode.links, expected });
            } else if inode.links == 0 && !self.nodes.peek(ino).is_some_and(|inode| inode.is_held()) {
                report.add(Problem::Orphan { ino });
            }
        }
    }

    fn check_extents(&self, conn: &Connection, report: &mut Report) -> Res<()> {
        let stray = "SELECT e.ino, e.idx FROM extent e LEFT JOIN inode i ON i.ino = e.ino \
                     WHERE i.ino IS NULL OR i.kind <> 0 OR i.data IS NOT NULL OR i.origin IS NOT NULL \
                     OR e.idx < 0 OR e.idx >= (i.size - 1) / ?1 + 1 LIMIT ?2";
        let mut statement = conn.prepare(stray)?;
        let rows = statement.query_map(params![self.chunk_bytes as i64, PROBLEMS_MAX as i64], |row| {
            Ok(Problem::StrayExtent { ino: row.get(0)?, index: row.get(1)? })
        })?;
        for problem in rows {
            report.add(problem?);
        }
        let missing = "SELECT e.ino, e.idx, e.chunk FROM (SELECT ino, idx, chunk FROM extent UNION ALL \
                       SELECT ino, idx, chunk FROM extent_old) e LEFT JOIN chunk c ON c.id = e.chunk \
                       LEFT JOIN chunk_data d ON d.id = e.chunk WHERE c.id IS NULL OR d.id IS NULL LIMIT ?1";
        let mut statement = conn.prepare(missing)?;
        let rows = statement.query_map([PROBLEMS_MAX as i64], |row| {
            Ok(Problem::MissingChunk { ino: row.get(0)?, index: row.get(1)?, chunk: row.get(2)? })
        })?;
        for problem in rows {
            report.add(problem?);
        }
        let sums = "SELECT i.ino, i.stored, (SELECT ifnull(sum(c.bytes), 0) FROM extent e JOIN chunk c ON c.id = e.chunk \
                    WHERE e.ino = i.ino) AS n FROM inode i WHERE i.origin IS NULL AND i.stored <> n LIMIT ?1";
        let mut statement = conn.prepare(sums)?;
        let mut rows = statement.query([PROBLEMS_MAX as i64])?;
        while let Some(row) = rows.next()? {
            let number = |column| row.get::<_, i64>(column).map(|value| u64::try_from(value).unwrap_or_default());
            report.add(Problem::Stored { ino: row.get(0)?, found: number(1)?, expected: number(2)? });
        }
        Ok(())
    }

    fn check_contents(&self, conn: &Connection, report: &mut Report) -> Res<()> {
        let sql = "SELECT c.id, c.bytes, c.hash, d.data FROM chunk c JOIN chunk_data d ON d.id = c.id";
        let mut statement = conn.prepare(sql)?;
        let mut rows = statement.query(())?;
        while let Some(row) = rows.next()? {
            report.chunks += 1;
            let (chunk, bytes): (i64, i64) = (row.get(0)?, row.get(1)?);
            let data = row.get_ref(3)?.as_blob().unwrap_or_default();
            let hash = row.get_ref(2)?.as_blob().unwrap_or_default();
            let fits = data.len() <= self.chunk_bytes && data.len() as i64 == bytes;
            if !fits || blake3::hash(data).as_bytes() != hash {
                report.add(Problem::Contents { chunk });
            }
        }
        let stray = "SELECT d.id FROM chunk_data d LEFT JOIN chunk c ON c.id = d.id WHERE c.id IS NULL LIMIT ?1";
        let mut statement = conn.prepare(stray)?;
        for chunk in statement.query_map([PROBLEMS_MAX as i64], |row| row.get(0))? {
            report.add(Problem::StrayBytes { chunk: chunk? });
        }
        Ok(())
    }
}

impl Seen {
    fn new(record: &Record) -> Self {
        Self {
            is_directory: record.is_directory(),
            borrows: record.origin.is_some() && record.body == Body::None,
            links: record.links,
            parent: record.parent,
            names: 0,
            subdirectories: 0,
        }
    }
}

fn check_sqlite(conn: &Connection, report: &mut Report) -> Res<()> {
    let mut statement = conn.prepare("PRAGMA integrity_check(100)")?;
    let mut rows = statement.query(())?;
    while let Some(row) = rows.next()? {
        let text: String = row.get(0)?;
        if text != "ok" {
            report.add(Problem::Sqlite(text));
        }
    }
    Ok(())
}

/// Looks at every name; answers which directories lie in which.
fn check_entries(conn: &Connection, seen: &mut HashMap<i64, Seen>, report: &mut Report) -> Res<HashMap<i64, Vec<i64>>> {
    let mut tree: HashMap<i64, Vec<i64>> = HashMap::new();
    let mut statement = conn.prepare("SELECT dir, cookie, name, child FROM entry ORDER BY dir, cookie")?;
    let mut rows = statement.query(())?;
    while let Some(row) = rows.next()? {
        let (dir, cookie, child): (i64, i64, i64) = (row.get(0)?, row.get(1)?, row.get(3)?);
        report.entries += 1;
        if row.get_ref(2)?.as_str().map_or(true, |name| check_name(name).is_err()) || cookie <= 0 {
            report.add(Problem::BadName { dir, cookie });
        }
        if !seen.get(&dir).is_some_and(|dir| dir.is_directory && !dir.borrows) {
            report.add(Problem::StrayEntry { dir, cookie });
            continue;
        }
        let Some(inode) = seen.get_mut(&child) else {
            report.add(Problem::DanglingEntry { dir, cookie, child });
            continue;
        };
        inode.names = inode.names.saturating_add(1);
        if !inode.is_directory {
            continue;
        }
        if inode.names > 1 || child == ROOT {
            report.add(Problem::SecondName { dir, cookie, child });
            continue;
        }
        if inode.parent != dir {
            report.add(Problem::Parent { ino: child, found: inode.parent, expected: dir });
        }
        tree.entry(dir).or_default().push(child);
        if let Some(above) = seen.get_mut(&dir) {
            above.subdirectories = above.subdirectories.saturating_add(1);
        }
    }
    Ok(tree)
}

/// Looks for directories that are named, but not from the root: they go in circles.
fn check_reach(seen: &HashMap<i64, Seen>, tree: &HashMap<i64, Vec<i64>>, report: &mut Report) {
    let mut reached = HashSet::from([ROOT]);
    let mut waiting = vec![ROOT];
    while let Some(dir) = waiting.pop() {
        for &child in tree.get(&dir).into_iter().flatten() {
            if reached.insert(child) {
                waiting.push(child);
            }
        }
    }
    for (&ino, inode) in seen {
        if inode.is_directory && inode.names > 0 && !reached.contains(&ino) {
            report.add(Problem::Unreachable { ino });
        }
    }
    if !seen.get(&ROOT).is_some_and(|root| root.is_directory) {
        report.add(Problem::BadInode { ino: ROOT });
    }
}

fn check_references(conn: &Connection, report: &mut Report) -> Res<()> {
    let sql = "SELECT c.id, c.refs, count(e.chunk) AS n FROM chunk c LEFT JOIN \
               (SELECT chunk FROM extent UNION ALL SELECT chunk FROM extent_old) e ON e.chunk = c.id \
               GROUP BY c.id HAVING c.refs <> n LIMIT ?1";
    let mut statement = conn.prepare(sql)?;
    let rows = statement.query_map([PROBLEMS_MAX as i64], |row| {
        Ok(Problem::References { chunk: row.get(0)?, found: row.get(1)?, expected: row.get(2)? })
    })?;
    for problem in rows {
        report.add(problem?);
    }
    Ok(())
}
