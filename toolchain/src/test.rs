//! `cargo xtask test`: set-up, then every test of the workspace, the whole-system tests among them, then the examples in
//! the documentation. The last line is the sum.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use crate::build::{cargo_in, members};
use crate::command::Run;
use crate::failure::{Failure, OrFail, Result};
use crate::places::cargo;
use crate::v8::{Choice, V8};
use crate::{setup, templates};

/// How many tests passed and failed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Sum {
    passed: u64,
    failed: u64,
}

impl Sum {
    fn add(&mut self, other: Sum) {
        self.passed += other.passed;
        self.failed += other.failed;
    }
}

/// Sets up and runs them; `filter` chooses tests by name and leaves the documentation out.
pub fn run(filter: &[String]) -> Result<()> {
    let ready = setup::run(Choice::Auto)?;
    let untested = templates::tools(&ready.places, &ready.ui)?;
    let mut sum = Sum::default();
    let nextest = Run::new(cargo()).args(["nextest", "--version"]).output().is_ok();
    let base = |words: &[&str]| {
        let run = cargo_in(&ready.places, &ready.v8).args(words).args(members(&ready.v8));
        let run = ready.components.iter().fold(run, |run, built| run.env(&built.variable, &built.path));
        run.env("EYOT_HOME", ready.places.home()).env("EYOT_CACHE", &ready.places.cache)
    };
    if nextest {
        let run =
            base(&["nextest", "run"]).args(["--no-fail-fast", "--no-tests", "pass", "--color", "never"]).args(filter);
        sum.add(counted(run, nextest_sum)?);
    } else {
        ready.ui.say(
            "cargo-nextest is not installed (`cargo install cargo-nextest --locked`, some minutes): using `cargo test`",
        );
        let run = base(&["test"]).args(["--all-targets", "--no-fail-fast"]).args(filter);
        sum.add(counted(run, harness_sum)?);
    }
    if filter.is_empty() {
        sum.add(counted(base(&["test"]).args(["--doc", "--no-fail-fast"]), harness_sum)?);
    }
    if let V8::Missing(failure) = &ready.v8 {
        ready.ui.say(failure.line());
    }
    if !untested.is_empty() {
        ready.ui.say(format!("not tested, for want of tools: a backend in {}", untested.join(", in ")));
    }
    println!("{} passed, {} failed", sum.passed, sum.failed);
    if sum.failed > 0 {
        return Err(Failure::new(
            "tests fail",
            format!("{} of them, named above", sum.failed),
            "run one with `cargo xtask test NAME`",
        ));
    }
    Ok(())
}

/// Runs a command, passes its output on and counts what it says. A command that fails without a failed test counts as one:
/// it did not build, or was killed.
fn counted(run: Run, read: fn(&str) -> Option<Sum>) -> Result<Sum> {
    let line = run.line().to_owned();
    println!("$ {line}");
    let mut command: Command = run.into_command();
    // Both streams carry summaries (nextest's is on stderr): one pipe for both keeps their order.
    let (reader, writer) = std::io::pipe().or_fail("cannot make a pipe", "run it again")?;
    let second = writer.try_clone().or_fail("cannot make a pipe", "run it again")?;
    let mut child = command
        .stdin(Stdio::null())
        .stdout(writer)
        .stderr(second)
        .spawn()
        .or_fail(format!("cannot run `{line}`"), "check the installation of cargo")?;
    // The command holds the writing ends too; without this the pipe would never end.
    drop(command);
    let mut sum = Sum::default();
    for text in BufReader::new(reader).lines() {
        let Ok(text) = text else { continue };
        println!("{text}");
        if let Some(part) = read(&text) {
            sum.add(part);
        }
    }
    let status = child.wait().or_fail(format!("cannot wait for `{line}`"), "run it again")?;
    if !status.success() && sum.failed == 0 {
        eprintln!("`{line}` ended with {status} and no failed test: counted as one failure");
        sum.failed += 1;
    }
    Ok(sum)
}

/// Nextest's summary: `Summary [ 1.2s] 12 tests run: 9 passed (1 slow), 2 failed, 1 timed out, 3 skipped`.
fn nextest_sum(line: &str) -> Option<Sum> {
    let (_, counts) = line.trim_start().strip_prefix("Summary [")?.split_once("run:")?;
    let mut sum = Sum::default();
    for part in counts.split(',') {
        let mut words = part.split_whitespace();
        let Some(number) = words.next().and_then(|n| n.parse::<u64>().ok()) else { continue };
        match words.next() {
            Some("passed") => sum.passed += number,
            Some("failed" | "timed" | "exec") => sum.failed += number,
            _ => {}
        }
    }
    Some(sum)
}

/// The built-in harness's summary: `test result: ok. 3 passed; 0 failed; ...`.
fn harness_sum(line: &str) -> Option<Sum> {
    let (_, counts) = line.trim_start().strip_prefix("test result: ")?.split_once(". ")?;
    let count = |name: &str| counts.split(';').find_map(|part| part.trim().strip_suffix(name)?.trim().parse().ok());
    Some(Sum { passed: count("passed")?, failed: count("failed")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nextest_is_understood() {
        let line =
            "     Summary [   3.404s] 14 tests run: 11 passed (2 slow, 1 flaky), 2 failed, 1 timed out, 3 skipped";
        assert_eq!(nextest_sum(line), Some(Sum { passed: 11, failed: 3 }));
        let line = "     Summary [   0.012s] 1 test run: 1 passed, 0 skipped";
        assert_eq!(nextest_sum(line), Some(Sum { passed: 1, failed: 0 }));
        let line = "     Summary [   0.012s] 2/7 tests run: 1 passed, 1 exec failed, 0 skipped";
        assert_eq!(nextest_sum(line), Some(Sum { passed: 1, failed: 1 }));
        assert_eq!(nextest_sum("        PASS [   0.005s] xtask test::tests::nextest"), None);
    }

    #[test]
    fn the_harness_is_understood() {
        let line = "test result: FAILED. 3 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s";
        assert_eq!(harness_sum(line), Some(Sum { passed: 3, failed: 1 }));
        assert_eq!(harness_sum("test a::b ... ok"), None);
    }

    #[test]
    fn a_command_that_fails_without_a_word_is_a_failure() {
        let sum = counted(Run::new("sh").args(["-c", "exit 1"]), harness_sum).unwrap();
        assert_eq!(sum, Sum { passed: 0, failed: 1 });
        let sum =
            counted(Run::new("sh").args(["-c", "echo 'test result: ok. 2 passed; 0 failed; 0 ignored'"]), harness_sum);
        assert_eq!(sum.unwrap(), Sum { passed: 2, failed: 0 });
    }
}
