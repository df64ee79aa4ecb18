//! What a run says in the end.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::expected::Expected;

/// What became of one case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It passed.
    Passed,
    /// It failed, for this reason.
    Failed(String),
    /// It was not run, for this reason.
    Skipped(String),
}

/// What became of a suite on a backend.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The suite.
    pub suite: &'static str,
    /// The backend.
    pub backend: String,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// How many passed.
    pub passed: usize,
    /// What failed and may, with why it may.
    pub expected: BTreeMap<String, String>,
    /// What failed and may not, with what it said.
    pub failed: BTreeMap<String, String>,
    /// What may fail and passed, or may fail and was not run: the list must shrink.
    pub stale: Vec<String>,
    /// How many were not run, by the reason.
    pub skipped: BTreeMap<String, usize>,
}

impl Report {
    /// Compares outcomes with a list. With `whole`, cases of the list that were not run are reported.
    pub fn new(
        suite: &'static str,
        backend: &str,
        outcomes: &BTreeMap<String, Outcome>,
        expected: &Expected,
        whole: bool,
    ) -> Self {
        let mut report = Self {
            suite,
            backend: backend.into(),
            seconds: 0.0,
            passed: 0,
            expected: BTreeMap::new(),
            failed: BTreeMap::new(),
            stale: Vec::new(),
            skipped: BTreeMap::new(),
        };
        for (case, outcome) in outcomes {
            match (outcome, expected.reason(case)) {
                (Outcome::Passed, None) => report.passed += 1,
                (Outcome::Passed, Some(_)) => report.stale.push(case.clone()),
                (Outcome::Failed(_), Some(reason)) => {
                    report.expected.insert(case.clone(), reason.into());
                }
                (Outcome::Failed(said), None) => {
                    report.failed.insert(case.clone(), said.clone());
                }
                (Outcome::Skipped(why), _) => *report.skipped.entry(why.clone()).or_default() += 1,
            }
        }
        if whole {
            let ran = |case: &&str| matches!(outcomes.get(*case), Some(Outcome::Passed | Outcome::Failed(_)));
            report.stale.extend(expected.cases().filter(|case| !ran(case)).map(str::to_owned));
        }
        report
    }

    /// Whether nothing failed that may not, and the list has nothing too much.
    pub fn is_good(&self) -> bool {
        self.failed.is_empty() && self.stale.is_empty()
    }

    /// For people.
    pub fn print(&self) {
        for (case, said) in &self.failed {
            println!("FAILED  {case}");
            for line in said.lines() {
                println!("        {line}");
            }
        }
        for case in &self.stale {
            println!("STALE   {case}: it is on the list of what may fail and did not fail; take it off");
        }
        for (reason, count) in &self.skipped {
            println!("skipped {count}: {reason}");
        }
        println!(
            "{} on {}: {} passed, {} failed, {} failed as expected, {} stale, {} skipped, in {:.1} s",
            self.suite,
            self.backend,
            self.passed,
            self.failed.len(),
            self.expected.len(),
            self.stale.len(),
            self.skipped.values().sum::<usize>(),
            self.seconds
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_on_the_list_may_fail_and_it_must() {
        let failed = || Outcome::Failed("said".into());
        let report = |outcomes: &[(&str, Outcome)], whole| {
            let outcomes = outcomes.iter().map(|(case, outcome)| ((*case).to_owned(), outcome.clone())).collect();
            Report::new("s", "b", &outcomes, &Expected::parse("may::fail  a reason\n").unwrap(), whole)
        };
        let good = report(&[("a", Outcome::Passed), ("may::fail", failed())], true);
        assert!(good.is_good() && good.passed == 1 && good.expected["may::fail"] == "a reason");
        let new = report(&[("a", failed()), ("may::fail", failed())], true);
        assert!(!new.is_good() && new.failed["a"] == "said");
        let mended = report(&[("may::fail", Outcome::Passed)], true);
        assert!(!mended.is_good() && mended.stale == ["may::fail"]);
        let skipped = Outcome::Skipped("why".into());
        let lost = report(&[("may::fail", skipped.clone())], true);
        assert!(!lost.is_good() && lost.stale == ["may::fail"] && lost.skipped["why"] == 1);
        assert!(report(&[], false).is_good(), "a part of the suite says nothing of the rest");
    }
}
