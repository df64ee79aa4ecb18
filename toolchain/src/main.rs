//! `cargo xtask`: sets a machine up for Eyot, builds everything, and runs the demo, the tests and the benchmarks.

mod apt;
mod bench;
mod build;
mod cache;
mod command;
mod components;
mod demo;
mod doctor;
mod failure;
mod fetch;
mod home;
mod lint;
mod node;
mod places;
mod posix;
mod setup;
mod templates;
mod test;
mod ui;
mod v8;
mod v8_source;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::v8::Choice;

#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", about, after_help = EXAMPLES, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  cargo xtask demo                 set up what is missing, then show Eyot at work
  cargo xtask test                 set up what is missing, then run every test
  cargo xtask test vfs::           only the tests with this in their name
  cargo xtask setup --v8 none      everything but JavaScript
  cargo xtask doctor               what is there, what is missing, what to do

Environment:
  EYOT_CACHE         where downloads and builds are kept ($XDG_CACHE_HOME/eyot, else ~/.cache/eyot)
  EYOT_V8_DIR        a directory with V8's library, its bindings and SHA256SUMS
  EYOT_BASE_IMAGE    a base image that was built elsewhere, instead of building the shell and the tools
  RUSTY_V8_MIRROR    a mirror of upstream's V8 libraries";

#[derive(Debug, Subcommand)]
enum Command {
    /// Make this machine ready: V8, Node's library, the guests' tools, the command `eyot`, and what backends in C, JavaScript and Python are built with
    Setup {
        /// Where V8's library comes from
        #[arg(long, value_enum, default_value = "auto", value_name = "SOURCE")]
        v8: Choice,
    },
    /// Show a pipeline, a WASI program, a Node-style script and a plug-in mount, and check what they print
    Demo,
    /// Run every test; the last line is the sum
    Test {
        /// Only tests with this in their name
        filter: Vec<String>,
    },
    /// Run clippy over everything, warnings as errors
    Lint,
    /// Run the benchmarks of tests/bench and print their table
    Bench {
        /// Passed on to the benchmarks
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Run pjdfstest and fsx on the backends, each mounted by FUSE (needs root)
    #[command(
        after_help = "Example:\n  cargo xtask posix --long              all of it, 1,000,000 operations of fsx on each backend\n  cargo xtask posix --backend sqlfs"
    )]
    Posix {
        /// Passed on; --help lists what there is
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Check everything and say what to do
    Doctor {
        /// Print JSON instead of a table
        #[arg(long)]
        json: bool,
    },
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Setup { v8 } => setup::run(v8).and_then(|ready| {
            templates::tools(&ready.places, &ready.ui)?;
            ready.ui.say(format!("ready: {}", ready.places.eyot().display()));
            Ok(())
        }),
        Command::Demo => demo::run(),
        Command::Test { filter } => test::run(&filter),
        Command::Lint => lint::run(),
        Command::Bench { args } => bench::run(&args),
        Command::Posix { args } => posix::run(&args),
        Command::Doctor { json } => doctor::run(json),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::FAILURE
        }
    }
}
