//! The command line of `eyot backend`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use eyot_kernel::vm::MountConfig;

use super::check_name;
use crate::values;

#[derive(Debug, Subcommand)]
pub enum BackendCommand {
    /// Make a project: a small, complete backend to change into yours
    #[command(after_help = NEW_HELP)]
    New(NewOptions),
    /// Check a backend against what every filesystem must do, and print a scorecard
    #[command(after_help = TEST_HELP)]
    Test(TestOptions),
    /// Measure a backend's calls beside the in-memory filesystem's
    #[command(after_help = BENCH_HELP)]
    Bench(BenchOptions),
    /// Show what a component is: its version, what it imports and exports, its settings
    #[command(after_help = INSPECT_HELP)]
    Inspect(InspectOptions),
    /// Put a layer and what lies below it together into one component
    #[command(after_help = COMPOSE_HELP)]
    Compose(ComposeOptions),
}

pub const HELP: &str = "\
A backend is a WebAssembly component that answers for a filesystem: it exports eyot:backend/filesystem, and is
mounted with `--mount /m=component:FILE.wasm`. The guide is docs/backends.md.

Examples:
  eyot backend new notes --lang rust && cd notes && cargo build --release
  eyot backend test target/wasm32-unknown-unknown/release/notes.wasm
  eyot backend bench memfs.wasm
  eyot backend inspect memfs.wasm --json";

const NEW_HELP: &str = "\
Makes the directory NAME with the sources, the WIT, and a README with the one command that builds it.

What each language needs:
  rust     cargo, and the target: rustup target add wasm32-unknown-unknown
  c        clang and wasm-ld with a WASI sysroot, wit-bindgen (crate wit-bindgen-cli), wasm-tools
  js       node and npm
  python   python3 and componentize-py (PyPI)

Examples:
  eyot backend new notes --lang rust
  eyot backend new notes --lang js --world mount     with settings";

const TEST_HELP: &str = "\
Each case runs on a fresh instance with 1 GiB of memory and a second for each call. Exit code: 0 when every
case holds, 1 when one does not, or when the component cannot be started.

Examples:
  eyot backend test notes.wasm
  eyot backend test notes.wasm --filter rename --seed 7
  eyot backend test store.wasm --setting bytes_max=64M --json > card.json
  eyot backend test overlay.wasm --layer memfs --layer memfs";

const BENCH_HELP: &str = "\
The component and the memfs that is compiled into eyot are measured in the same run, call by call. The component
must start empty and be writable.

Examples:
  eyot backend bench notes.wasm
  eyot backend bench notes.wasm --filter read --json";

const INSPECT_HELP: &str = "\
Nothing is granted to the component while it is asked for its settings: layers below it are replaced by functions
that fail, and there are no directories. Exit code: 0 for a backend that can be mounted, 1 for anything else.

Examples:
  eyot backend inspect memfs.wasm
  eyot backend inspect memfs.wasm --json | jq .settings";

const COMPOSE_HELP: &str = "\
What LAYER imports and BELOW exports is joined; what is left of their imports is the new component's. It is what
`wac plug LAYER --plug BELOW` does. crypt.wasm, which encrypts what lies below, is such a layer.

Examples:
  eyot backend compose crypt.wasm memfs.wasm -o secret.wasm";

#[derive(Debug, Args)]
pub struct ComposeOptions {
    /// The component that imports
    #[arg(value_name = "LAYER.wasm")]
    pub layer: PathBuf,
    /// The component whose exports it imports
    #[arg(value_name = "BELOW.wasm")]
    pub below: PathBuf,
    /// The file to write
    #[arg(short, long, value_name = "OUT.wasm")]
    pub output: PathBuf,
}

#[derive(Debug, Args)]
pub struct NewOptions {
    /// The project's name, and the directory that is made: lower-case letters, digits and `-`
    #[arg(value_parser = check_name)]
    pub name: String,
    /// The language
    #[arg(long, value_enum)]
    pub lang: Language,
    /// What it is: a filesystem, or one with settings
    #[arg(long, value_enum, default_value = "filesystem")]
    pub world: WorldOption,
}

#[derive(Debug, Args)]
pub struct InspectOptions {
    /// The component
    #[arg(value_name = "FILE.wasm")]
    pub file: PathBuf,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// What an instance is given.
#[derive(Debug, Default, Args)]
pub struct Given {
    /// A setting of the backend; `eyot backend inspect` lists them
    #[arg(long = "setting", value_name = "KEY=VALUE", value_parser = setting)]
    pub settings: Vec<(String, String)>,
    /// A filesystem below it, the topmost first; each instance gets new ones
    #[arg(long = "layer", value_name = "SPEC", value_parser = values::mount_spec)]
    pub layers: Vec<MountConfig>,
    /// A directory that it starts with
    #[arg(long = "preopen", value_name = "/PATH=SPEC", value_parser = values::preopen)]
    pub preopens: Vec<(String, MountConfig)>,
}

#[derive(Debug, Args)]
pub struct TestOptions {
    /// The component
    #[arg(value_name = "FILE.wasm")]
    pub file: PathBuf,
    #[command(flatten)]
    pub given: Given,
    /// Only the cases whose group or name contains this
    #[arg(long, value_name = "TEXT")]
    pub filter: Option<String>,
    /// Where the random cases start: the same number gives the same calls
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// More rounds, larger files, and the cases that take long
    #[arg(long)]
    pub long: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct BenchOptions {
    /// The component
    #[arg(value_name = "FILE.wasm")]
    pub file: PathBuf,
    #[command(flatten)]
    pub given: Given,
    /// Only the calls whose name contains this
    #[arg(long, value_name = "TEXT")]
    pub filter: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// A language that there is a template for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Language {
    /// Rust, with wit-bindgen
    Rust,
    /// C, with clang and wit-bindgen
    C,
    /// JavaScript, with componentize-js
    Js,
    /// Python, with componentize-py
    Python,
}

/// A world of `eyot:backend`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum WorldOption {
    /// A filesystem that needs no settings
    Filesystem,
    /// One that is told its settings when it is mounted
    Mount,
}

fn setting(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("write KEY=VALUE, for example bytes_max=64M".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_read() {
        assert_eq!(setting("a=b=c"), Ok(("a".into(), "b=c".into())));
        assert_eq!(setting("a="), Ok(("a".into(), String::new())));
        assert!(setting("a").is_err() && setting("=b").is_err());
    }
}
