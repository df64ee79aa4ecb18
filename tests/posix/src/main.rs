//! `eyot-posix`: runs pjdfstest and fsx on a backend.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use eyot_posix::backends::{self, BACKENDS, Backend};
use eyot_posix::report::Outcome;
use eyot_posix::{Cache, NotRun, fsx, pjdfstest};

/// Runs pjdfstest and fsx on a backend, mounted by FUSE, and compares with what may fail.
#[derive(Parser)]
struct Arguments {
    /// The backend; all of them when nothing is said.
    #[arg(long, value_parser = backends::BACKENDS.iter().map(|backend| backend.name).collect::<Vec<_>>())]
    backend: Option<String>,
    /// The suite; both when nothing is said.
    #[arg(long)]
    suite: Option<Suite>,
    /// How many operations fsx does: 100,000 when nothing is said.
    #[arg(long)]
    ops: Option<u64>,
    /// The long form: 1,000,000 operations of fsx.
    #[arg(long, conflicts_with = "ops")]
    long: bool,
    /// The seed of fsx.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Only the cases of pjdfstest that have this in their names.
    #[arg(long)]
    filter: Option<String>,
    /// What the host's kernel keeps.
    #[arg(long, default_value = "lifetimes")]
    cache: Cache,
    /// The reports as JSON, one a line.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Suite {
    Pjdfstest,
    Fsx,
}

/// How many operations fsx does in the long form, and when nothing is said.
const OPERATIONS_LONG: u64 = 1_000_000;
const OPERATIONS: u64 = 100_000;

impl Arguments {
    fn operations(&self) -> u64 {
        self.ops.unwrap_or(if self.long { OPERATIONS_LONG } else { OPERATIONS })
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let chosen = arguments.backend.as_deref();
    let mut good = true;
    for backend in BACKENDS.iter().filter(|backend| chosen.is_none_or(|name| name == backend.name)) {
        for suite in [Suite::Pjdfstest, Suite::Fsx] {
            // A filter names cases, and fsx has none.
            let wanted =
                arguments.suite.map_or(suite == Suite::Pjdfstest || arguments.filter.is_none(), |one| one == suite);
            if wanted {
                good &= run(backend, suite, &arguments);
            }
        }
    }
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn run(backend: &Backend, suite: Suite, arguments: &Arguments) -> bool {
    let mut progress = Progress { shown: 0, on: std::io::stderr().is_terminal() };
    let outcome = match suite {
        Suite::Pjdfstest => {
            let tell = |case: &str, _: &Outcome| progress.show(case);
            pjdfstest::run(backend, arguments.cache, arguments.filter.as_deref(), tell).map(|report| {
                let text = serde_json::to_string(&report);
                (report.is_good(), text, Box::new(move || report.print()) as Box<dyn FnOnce()>)
            })
        }
        Suite::Fsx => {
            let tell = |count: u64| {
                if count.is_multiple_of(1000) {
                    progress.show(&format!("fsx: {count} of {}", arguments.operations()));
                }
            };
            fsx::run(backend, arguments.cache, arguments.operations(), arguments.seed, tell).map(|report| {
                let text = serde_json::to_string(&report);
                (report.is_good(), text, Box::new(move || report.print()) as Box<dyn FnOnce()>)
            })
        }
    };
    progress.clear();
    match outcome {
        Ok((good, Ok(text), _)) if arguments.json => {
            println!("{text}");
            good
        }
        Ok((good, _, print)) => {
            print();
            good
        }
        Err(NotRun::Impossible(why) | NotRun::Broken(why)) => {
            eprintln!("{}: not run: {why}", backend.name);
            false
        }
    }
}

/// One line on a terminal that is written over.
struct Progress {
    shown: usize,
    on: bool,
}

impl Progress {
    fn show(&mut self, text: &str) {
        if self.on {
            eprint!("\r{text:<width$}", width = self.shown);
            self.shown = text.len();
            let _ = std::io::stderr().flush();
        }
    }

    fn clear(&mut self) {
        if self.on {
            eprint!("\r{:width$}\r", "", width = self.shown);
        }
    }
}
