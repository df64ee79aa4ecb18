//! What came of the cases: for a terminal, or as data.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use crate::case::Group;
use crate::options::Options;

/// How a case ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// It holds.
    Passed,
    /// It does not.
    Failed {
        /// What was expected and what came.
        message: String,
        /// The last calls before, oldest first, with what they answered.
        calls: Vec<String>,
        /// The place in the kit.
        at: Option<String>,
    },
    /// It does not apply to this backend.
    LeftOut {
        /// Why not.
        reason: String,
    },
    /// It did not end.
    TimedOut {
        /// When it was given up, in milliseconds.
        after_ms: u64,
    },
}

/// One case and how it ended.
#[derive(Clone, Debug, Serialize)]
pub struct CaseResult {
    /// What it is about.
    pub group: Group,
    /// What must hold.
    pub name: Cow<'static, str>,
    /// Who says so.
    pub law: &'static str,
    /// How it ended.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// How long it took, in microseconds.
    pub took_us: u64,
}

/// The cases of one group, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Score {
    /// How many hold.
    pub passed: usize,
    /// How many do not.
    pub failed: usize,
    /// How many did not end.
    pub timed_out: usize,
    /// How many do not apply.
    pub left_out: usize,
}

/// What came of the cases.
///
/// `Display` is a table for a terminal, with what failed below it; `Serialize` has everything.
#[derive(Clone, Debug, Serialize)]
pub struct Scorecard {
    /// What the backend calls itself.
    pub kind: String,
    /// What it says it can do.
    pub capabilities: Vec<String>,
    /// The seed of the random cases.
    pub seed: u64,
    /// Whether it was the long form.
    pub long: bool,
    /// How long all of it took, in milliseconds.
    pub took_ms: u64,
    /// Each case.
    pub results: Vec<CaseResult>,
}

impl Scorecard {
    pub(crate) fn new(options: &Options) -> Self {
        Self {
            kind: String::new(),
            capabilities: Vec::new(),
            seed: options.seed,
            long: options.long,
            took_ms: 0,
            results: Vec::new(),
        }
    }

    /// The counts of all cases together.
    pub fn total(&self) -> Score {
        Score::of(self.results.iter())
    }

    /// The counts of each group that has cases.
    pub fn groups(&self) -> Vec<(Group, Score)> {
        let of = |group| self.results.iter().filter(move |result| result.group == group);
        let counted = Group::ALL.iter().map(|&group| (group, Score::of(of(group))));
        counted.filter(|(_, score)| *score != Score::default()).collect()
    }

    /// The cases that failed or did not end.
    pub fn failures(&self) -> impl Iterator<Item = &CaseResult> {
        self.results.iter().filter(|result| result.outcome.is_failure())
    }

    /// Whether nothing failed and everything ended.
    pub fn is_clean(&self) -> bool {
        self.failures().next().is_none()
    }
}

impl Outcome {
    /// Whether the case failed or did not end.
    pub fn is_failure(&self) -> bool {
        matches!(self, Outcome::Failed { .. } | Outcome::TimedOut { .. })
    }
}

impl Score {
    fn of<'a>(results: impl Iterator<Item = &'a CaseResult>) -> Self {
        let mut score = Self::default();
        for result in results {
            match result.outcome {
                Outcome::Passed => score.passed += 1,
                Outcome::Failed { .. } => score.failed += 1,
                Outcome::TimedOut { .. } => score.timed_out += 1,
                Outcome::LeftOut { .. } => score.left_out += 1,
            }
        }
        score
    }

    fn row(&self, f: &mut fmt::Formatter<'_>, name: &str) -> fmt::Result {
        let dash = |count: usize| if count == 0 { "-".to_owned() } else { count.to_string() };
        writeln!(
            f,
            "{name:<22}{:>7}{:>8}{:>11}{:>10}",
            dash(self.passed),
            dash(self.failed),
            dash(self.timed_out),
            dash(self.left_out)
        )
    }
}

impl fmt::Display for Scorecard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let form = if self.long { "long" } else { "short" };
        let seconds = self.took_ms as f64 / 1000.0;
        let count = self.results.len();
        writeln!(f, "{}: {count} cases, {form} form, seed {}, {seconds:.1} s\n", self.kind, self.seed)?;
        writeln!(f, "{:<22}{:>7}{:>8}{:>11}{:>10}", "group", "passed", "failed", "timed out", "left out")?;
        for (group, score) in self.groups() {
            score.row(f, group.name())?;
        }
        self.total().row(f, "all")?;
        self.reasons(f)?;
        for result in self.failures() {
            writeln!(f, "\n{result}")?;
        }
        Ok(())
    }
}

impl Scorecard {
    /// Why cases were left out, with how many.
    fn reasons(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut reasons = BTreeMap::<&str, usize>::new();
        for result in &self.results {
            if let Outcome::LeftOut { reason } = &result.outcome {
                *reasons.entry(reason).or_default() += 1;
            }
        }
        if !reasons.is_empty() {
            writeln!(f, "\nleft out:")?;
        }
        for (reason, count) in reasons {
            writeln!(f, "  {count:>4}  {reason}")?;
        }
        Ok(())
    }
}

impl fmt::Display for CaseResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.outcome {
            Outcome::Passed => write!(f, "passed: {}: {}", self.group, self.name),
            Outcome::LeftOut { reason } => write!(f, "left out: {}: {} ({reason})", self.group, self.name),
            Outcome::TimedOut { after_ms } => {
                write!(f, "TIMED OUT: {}: {}\n  given up after {after_ms} ms", self.group, self.name)?;
                write!(f, "\n  by: {}", self.law)
            }
            Outcome::Failed { message, calls, at } => {
                write!(f, "FAILED: {}: {}\n  {}", self.group, self.name, message.replace('\n', "\n  "))?;
                write!(f, "\n  by: {}", self.law)?;
                for call in calls {
                    write!(f, "\n  after: {call}")?;
                }
                at.as_ref().map_or(Ok(()), |at| write!(f, "\n  case: {at}"))
            }
        }
    }
}
