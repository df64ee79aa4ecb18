//! Putting right what can be.

use eyot_backend::{NodeKind, Ownership};

use crate::check::{Problem, Report};
use crate::core::{Core, ROOT};
use crate::error::{Error, Fault, Res};
use crate::record::Body;
use crate::writer::Writer;

/// How often what was repaired is looked at again.
const ROUNDS_MAX: usize = 16;
/// Where what lost its name is found again.
const LOST_AND_FOUND: &str = "lost+found";

impl Core {
    /// Repairs until nothing more can be; answers what is still wrong.
    pub(crate) fn repair(&self) -> Result<Report, Error> {
        let told = |fault: Fault| fault.told("repair", &self.path);
        let mut w = self.writer.lock();
        let held = self.nodes.held();
        if held > 0 {
            return Err(Error::Busy { held });
        }
        self.commit_under(&mut w).map_err(told)?;
        let mut before = Report::default();
        for _ in 0..ROUNDS_MAX {
            let report = self.check_under(&w).map_err(told)?;
            if report.is_clean() || report == before {
                return Ok(report);
            }
            self.change_under(&mut w, |w| report.problems.iter().try_for_each(|problem| self.repair_one(w, problem)))
                .map_err(told)?;
            self.nodes.clear();
            self.cache.clear();
            // The rows are right by themselves now, so the sums over them can be counted.
            self.change_under(&mut w, |w| self.recount(w)).map_err(told)?;
            self.commit_under(&mut w).map_err(told)?;
            before = report;
        }
        self.check_under(&w).map_err(told)
    }

    fn repair_one(&self, w: &mut Writer, problem: &Problem) -> Res<()> {
        match problem {
            // What SQLite finds wrong is not for us to mend, and bytes that are gone are gone.
            Problem::Sqlite(_) | Problem::Contents { .. } | Problem::Counters { .. } => {}
            Problem::BadInode { ino } if *ino == ROOT => self.make_directory_row(w, ROOT, ROOT)?,
            Problem::BadInode { ino } => execute(w, "DELETE FROM inode WHERE ino = ?1", [*ino])?,
            Problem::BadName { dir, cookie } => {
                let sql = "UPDATE entry SET name = 'recovered-' || cookie, cookie = abs(cookie) WHERE dir = ?1 AND cookie = ?2";
                execute(w, sql, [*dir, *cookie])?;
            }
            Problem::StrayEntry { dir, cookie }
            | Problem::DanglingEntry { dir, cookie, .. }
            | Problem::SecondName { dir, cookie, .. } => {
                execute(w, "DELETE FROM entry WHERE dir = ?1 AND cookie = ?2", [*dir, *cookie])?;
            }
            Problem::Parent { ino, expected, .. } => {
                execute(w, "UPDATE inode SET parent = ?2 WHERE ino = ?1", [*ino, *expected])?;
            }
            Problem::Links { ino, expected: 0, .. } => self.name_again(w, *ino)?,
            Problem::Links { ino, expected, .. } => {
                execute(w, "UPDATE inode SET links = ?2 WHERE ino = ?1", [*ino, i64::from(*expected)])?;
            }
            Problem::Unreachable { ino } => {
                execute(w, "DELETE FROM entry WHERE child = ?1", [*ino])?;
                self.name_again(w, *ino)?;
            }
            Problem::Orphan { ino } => execute(w, "DELETE FROM inode WHERE ino = ?1", [*ino])?,
            Problem::Origin { ino, .. } => {
                let sql = "UPDATE inode SET origin = NULL, origin_epoch = NULL, \
                           links = CASE kind WHEN 1 THEN 2 ELSE links END WHERE ino = ?1";
                execute(w, sql, [*ino])?;
            }
            Problem::StrayExtent { ino, index } => {
                execute(w, "DELETE FROM extent WHERE ino = ?1 AND idx = ?2", [*ino, *index])?;
            }
            Problem::Stored { ino, expected, .. } => {
                let expected = i64::try_from(*expected).unwrap_or(i64::MAX);
                execute(w, "UPDATE inode SET stored = ?2 WHERE ino = ?1", [*ino, expected])?;
            }
            Problem::MissingChunk { chunk, .. } => {
                // A hole, which reads as zeroes, instead of a file that cannot be read at all.
                execute(w, "DELETE FROM extent WHERE chunk = ?1", [*chunk])?;
                execute(w, "DELETE FROM extent_old WHERE chunk = ?1", [*chunk])?;
                execute(w, "DELETE FROM chunk WHERE id = ?1", [*chunk])?;
            }
            Problem::References { chunk, expected, .. } => {
                execute(w, "UPDATE chunk SET refs = ?2 WHERE id = ?1", [*chunk, *expected])?;
            }
            Problem::StrayBytes { chunk } => execute(w, "DELETE FROM chunk_data WHERE id = ?1", [*chunk])?,
        }
        Ok(())
    }

    /// Gives an inode a name in `lost+found`.
    fn name_again(&self, w: &mut Writer, ino: i64) -> Res<()> {
        let place = match Self::find(&w.conn, ROOT, LOST_AND_FOUND)? {
            Some(entry) => entry.child,
            None => {
                let place = w.take_ino()?;
                self.make_directory_row(w, place, ROOT)?;
                self.insert_entry(w, ROOT, LOST_AND_FOUND, place)?;
                execute(w, "UPDATE inode SET links = links + 1 WHERE ino = ?1", [ROOT])?;
                self.ino_end.fetch_max(place.saturating_add(1), std::sync::atomic::Ordering::AcqRel);
                place
            }
        };
        if place == ino {
            return Ok(());
        }
        let name = format!("inode-{ino}");
        if Self::find(&w.conn, place, &name)?.is_none() {
            self.insert_entry(w, place, &name, ino)?;
        }
        execute(w, "UPDATE inode SET parent = ?2 WHERE ino = ?1 AND kind = 1", [ino, place])
    }

    fn make_directory_row(&self, w: &mut Writer, ino: i64, parent: i64) -> Res<()> {
        let owner = Ownership { mode: 0o700, uid: 0, gid: 0 };
        let mut record = self.new_record(NodeKind::Directory, Body::None, owner);
        record.parent = parent;
        w.write_row(ino, &mut record)
    }
}

fn execute<P: rusqlite::Params>(w: &Writer, sql: &str, params: P) -> Res<()> {
    w.conn.prepare_cached(sql)?.execute(params)?;
    Ok(())
}
