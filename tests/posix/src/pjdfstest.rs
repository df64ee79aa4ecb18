//! `pjdfstest`: some four hundred cases, one call of POSIX each.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::backends::Backend;
use crate::expected::Expected;
use crate::report::{Outcome, Report};
use crate::tools::Tool;
use crate::{Cache, NotRun, World, users};

const TOOL: Tool = Tool { name: "pjdfstest", version: "0.2.2" };

/// What Linux has and filesystems here must have. Not there: flags of files (`chflags`) and birth times in `stat` are BSD's, NFSv4 ACLs nobody's here.
const FEATURES: [&str; 4] = ["posix_fallocate", "rename_ctime", "utime_now", "utimensat"];
/// What the reasons say that are good enough for a case not to be run. (`LINK_MAX`: the C library knows it by the type of the filesystem, and not for FUSE.)
const SKIPS: [&str; 5] = ["chflags", "nfsv4_acls", "stat_st_birthtime", "chflags_sf_snapshot", "LINK_MAX"];
/// In the names of the cases that remount read-only. That is refused while a file is open for writing, and other cases leave some open; so these run in a process of their own.
const REMOUNTING: &str = "erofs";

/// Runs the cases whose names have `filter` in them, and tells each outcome as it comes.
pub fn run(
    backend: &Backend,
    cache: Cache,
    filter: Option<&str>,
    mut tell: impl FnMut(&str, &Outcome),
) -> Result<Report, NotRun> {
    if !users::am_root() {
        return Err(NotRun::Impossible("pjdfstest becomes other users, which only root can".into()));
    }
    let expected = Expected::of(backend.name).map_err(NotRun::Broken)?;
    let program = TOOL.path().map_err(NotRun::Broken)?;
    // Two filesystems, because some calls must not lead from one to another.
    let (world, other) = (World::new(backend, cache)?, World::new(backend, cache)?);
    let broken = |error: std::io::Error| NotRun::Broken(error.to_string());
    let config = tempfile::NamedTempFile::new().map_err(broken)?;

    let start = Instant::now();
    let mut outcomes = BTreeMap::new();
    for remounting in [false, true] {
        fs::write(config.path(), configuration(remounting)?).map_err(broken)?;
        let mut command = Command::new(&program);
        command.arg("-c").arg(config.path()).arg("-p").arg(world.path()).arg("-s").arg(other.path());
        command.args(if remounting { Some(REMOUNTING) } else { filter });
        let wanted =
            |case: &str| case.contains(REMOUNTING) == remounting && filter.is_none_or(|filter| case.contains(filter));
        outcomes.extend(run_once(command, wanted, &mut tell)?);
    }
    let mut report = Report::new("pjdfstest", backend.name, &outcomes, &expected, filter.is_none());
    report.seconds = start.elapsed().as_secs_f64();
    Ok(report)
}

fn run_once(
    mut command: Command,
    wanted: impl Fn(&str) -> bool,
    tell: &mut impl FnMut(&str, &Outcome),
) -> Result<BTreeMap<String, Outcome>, NotRun> {
    let broken = |error: std::io::Error| NotRun::Broken(error.to_string());
    command.env("NO_COLOR", "1").env("RUST_BACKTRACE", "0");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().map_err(broken)?;
    let mut tell = |case: &str, outcome: &Outcome| {
        if wanted(case) {
            tell(case, outcome);
        }
    };
    let mut cases = Cases::default();
    if let Some(output) = child.stdout.take() {
        for line in BufReader::new(output).lines() {
            cases.line(&line.map_err(broken)?, &mut tell);
        }
    }
    let status = child.wait().map_err(broken)?;
    if !cases.finish(&mut tell) {
        return Err(NotRun::Broken(format!("pjdfstest broke off: {status}")));
    }
    cases.outcomes.retain(|case, _| wanted(case));
    Ok(cases.outcomes)
}

fn configuration(remounting: bool) -> Result<String, NotRun> {
    let Some([first, second]) = users::dummies() else {
        return Err(NotRun::Impossible("pjdfstest needs two users who are not root".into()));
    };
    let mut text = String::from("[features]\n");
    for feature in FEATURES {
        text.push_str(&format!("{feature} = {{}}\n"));
    }
    // The pause is longer than the steps of the host's coarse clock.
    text.push_str(&format!("[settings]\nnaptime = 0.01\nallow_remount = {remounting}\n[dummy_auth]\n"));
    text.push_str(&format!("entries = {:?}\n", [[first.0, first.1], [second.0, second.1]]));
    Ok(text)
}

/// The output, understood line by line: a case's name and outcome, and below it what it says.
#[derive(Default)]
struct Cases {
    outcomes: BTreeMap<String, Outcome>,
    open: Option<(String, Outcome)>,
    finished: bool,
}

impl Cases {
    fn line(&mut self, line: &str, tell: &mut impl FnMut(&str, &Outcome)) {
        if line.starts_with("Summary") {
            self.finished = true;
        } else if let Some((name, outcome)) = case(line) {
            self.close(tell);
            self.open = Some((name.to_owned(), outcome));
        } else if let Some((_, Outcome::Failed(said) | Outcome::Skipped(said))) = &mut self.open
            && !self.finished
            && !line.trim().is_empty()
        {
            if !said.is_empty() {
                said.push('\n');
            }
            said.push_str(line.trim());
        }
    }

    fn close(&mut self, tell: &mut impl FnMut(&str, &Outcome)) {
        let Some((name, mut outcome)) = self.open.take() else { return };
        if let Outcome::Skipped(why) = &outcome
            && !SKIPS.iter().any(|skip| why.contains(skip))
        {
            outcome = Outcome::Failed(format!("not run, and it should: {why}"));
        }
        tell(&name, &outcome);
        self.outcomes.insert(name, outcome);
    }

    /// Whether the suite came to its end.
    fn finish(&mut self, tell: &mut impl FnMut(&str, &Outcome)) -> bool {
        self.close(tell);
        self.finished
    }
}

fn case(line: &str) -> Option<(&str, Outcome)> {
    if line.starts_with(char::is_whitespace) {
        return None;
    }
    let (name, outcome) = line.split_once(char::is_whitespace)?;
    let outcome = match outcome.trim() {
        "ok" => Outcome::Passed,
        "FAILED" => Outcome::Failed(String::new()),
        "skipped" => Outcome::Skipped(String::new()),
        _ => return None,
    };
    name.contains("::").then_some((name, outcome))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_output_is_understood() {
        let output = "chmod::a      ok\nchmod::b    FAILED\n\tassertion failed\n  left: 1\n\nchmod::c  skipped\n\trequires features: chflags\n\
            chmod::d  skipped\n\tNo secondary file-system\n\nSummary: 2 failed\nchmod::e said\n";
        let mut cases = Cases::default();
        let mut told = Vec::new();
        let mut tell = |case: &str, _: &Outcome| told.push(case.to_owned());
        output.lines().for_each(|line| cases.line(line, &mut tell));
        assert!(cases.finish(&mut tell));
        assert!(!Cases::default().finish(&mut tell), "an output that breaks off");
        assert_eq!(told, ["chmod::a", "chmod::b", "chmod::c", "chmod::d"]);
        assert_eq!(cases.outcomes["chmod::a"], Outcome::Passed);
        assert_eq!(cases.outcomes["chmod::b"], Outcome::Failed("assertion failed\nleft: 1".into()));
        assert_eq!(cases.outcomes["chmod::c"], Outcome::Skipped("requires features: chflags".into()));
        assert!(matches!(&cases.outcomes["chmod::d"], Outcome::Failed(said) if said.contains("secondary")));
    }
}
