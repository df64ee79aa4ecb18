//! Cargo, called the way setup found it must be: with the caller's own V8 if there is one, without JavaScript where V8 is
//! missing, always in the one profile everything uses.

use crate::command::Run;
use crate::failure::Result;
use crate::places::{Places, cargo};
use crate::ui::Ui;
use crate::v8::{self, V8};

/// A cargo command in the checkout.
pub fn cargo_in(places: &Places, v8: &V8) -> Run {
    let run =
        Run::new(cargo()).cwd(&places.root).fix("mend what the compiler says above and run the same command again");
    // Cargo passed us the value that .cargo/v8.toml had when we were started; setup may have written another since.
    match (v8, v8::archive_of_user(&places.root)) {
        (V8::Ready(_), Some(_)) => run,
        _ => run.env_remove(v8::ARCHIVE),
    }
}

/// The options that choose the members to build and test.
pub fn members(v8: &V8) -> &'static [&'static str] {
    match v8 {
        V8::Ready(_) => &["--release", "--workspace"],
        V8::Missing(_) => &["--release", "--workspace", "--exclude", "eyot-executor-v8", "--no-default-features"],
    }
}

/// Builds the command `eyot`, and the benchmarks with it. Always the whole workspace: cargo settles the features of shared
/// dependencies by what is selected, and another selection would mean building both engines once more.
pub fn eyot(places: &Places, ui: &Ui, v8: &V8) -> Result<()> {
    let step = ui.step("eyot");
    // One small test among what is built: with it cargo settles features as it does for all tests. Without, the tests' own tools would want more of crates that
    // the engines are made of, and both engines would be built a second time for the tests.
    let run = cargo_in(places, v8).arg("build").args(members(v8)).args(["--bins", "--test", "specification"]);
    step.hand_over(run.line());
    run.show_ok()?;
    step.done(&places.eyot().display().to_string());
    Ok(())
}
