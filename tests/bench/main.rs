//! The benchmarks: the rows of the project's targets that exist so far, each beside a peer measured in the same run.
//!
//! `cargo xtask bench [--json] [--quick] [FILTER]`. Every figure is a distribution: p50, p95, p99 over the runs that the row names. The ratio is that of
//! the medians, Eyot over its peer.

mod guests;
mod mounts;
mod rows;
mod stats;
mod world;

use std::process::ExitCode;

use rows::Row;

const HELP: &str = "\
The benchmarks of Eyot, beside peers measured in the same run.

Usage: bench [--json] [--quick] [FILTER]

  --json    one JSON object per row
  --quick   a tenth of the runs
  FILTER    only rows whose name contains this text

Examples:
  cargo xtask bench
  cargo xtask bench -- --quick spawn
";

fn main() -> ExitCode {
    let mut options = Options::default();
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            "--json" => options.json = true,
            "--quick" => options.quick = true,
            "--help" | "-h" => {
                print!("{HELP}");
                return ExitCode::SUCCESS;
            }
            filter if !filter.starts_with('-') => options.filter = filter.to_owned(),
            other => {
                eprintln!("bench: unknown option {other}; --help lists them");
                return ExitCode::from(2);
            }
        }
    }
    if !options.json {
        println!("{}", Row::heading());
    }
    let mut failed = false;
    for (name, measure) in rows::ALL {
        if !name.contains(&options.filter) {
            continue;
        }
        match measure(&options) {
            Ok(row) if options.json => println!("{}", row.json(name)),
            Ok(row) => println!("{}", row.line(name)),
            Err(error) => {
                failed = true;
                eprintln!("{name}: {error}");
            }
        }
    }
    if !options.json {
        println!(
            "\nratio: median of Eyot over median of the peer; below 1 Eyot is faster. Targets: docs/performance.md."
        );
    }
    ExitCode::from(u8::from(failed))
}

/// What was asked for.
#[derive(Default)]
pub struct Options {
    json: bool,
    quick: bool,
    filter: String,
}

impl Options {
    /// How often something is done that would be done `runs` times.
    pub fn runs(&self, runs: usize) -> usize {
        if self.quick { (runs / 10).max(3) } else { runs }
    }
}
