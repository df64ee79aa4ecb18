//! `eyot backend`: the way of somebody who writes a filesystem backend - a project to begin with, its test, its speed, and what it asks for.

mod bench;
mod compose;
mod inspect;
mod new;
pub mod options;
mod subject;
mod table;
mod template;
mod test;

pub use new::check_name;

use crate::failure::Failure;
use crate::home::Home;
use options::BackendCommand;

/// Runs one of the commands; answers the exit code.
pub fn run(home: &Home, command: BackendCommand) -> Result<u8, Failure> {
    match command {
        BackendCommand::New(options) => new::run(&options),
        BackendCommand::Inspect(options) => inspect::run(home, &options),
        BackendCommand::Compose(options) => compose::run(&options),
        BackendCommand::Test(options) => test::run(home, &options),
        BackendCommand::Bench(options) => bench::run(home, &options),
    }
}

/// Prints a value as JSON, in lines.
fn print_json(value: &impl serde::Serialize) -> Result<u8, Failure> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|error| Failure::setup(format!("the result cannot be written as JSON: {error}")))?;
    crate::print(&format!("{text}\n"))
}
