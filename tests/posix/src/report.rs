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
        let backend = "memfs";
        let list = Expected::default();
        let outcomes = |outcome| BTreeMap::from([("a".to_owned(), outcome)]);
        let report = |outcome, list| Report::new("s", backend, &outcomes(outcome), list, true);
        assert!(report(Outcome::Passed, &list).is_good());
        assert!(!report(Outcome::Failed("x".into()), &list).is_good());
        assert_eq!(report(Outcome::Skipped("why".into()), &list).skipped["why"], 1);
    }
}
