//! What every filesystem backend must do: several hundred cases, and a scorecard.
//!
//! The cases see a backend only through [`Filesystem`](eyot_backend::Filesystem), so the same list runs on a native backend, on a component behind the plugin
//! host, and on a host directory. A case that needs what the backend does not offer is left out, and the scorecard says so.
//!
//! ```no_run
//! use eyot_conformance::{Options, check_all, run};
//!
//! fn check(make: fn() -> std::sync::Arc<dyn eyot_backend::Filesystem>) {
//!     run(make); // for a crate's own tests: panics with what failed
//!     let card = check_all(make, &Options { only: Some("rename".into()), ..Options::default() });
//!     println!("{card}");
//! }
//! ```
//!
//! Each case runs on a fresh filesystem, on a thread of its own and with a deadline. A backend that panics or hangs fails its case and not the kit.
//! What a case demands is in POSIX, in Linux's manual pages or in `wit/backend`, and each case names its source.

pub mod bench;
#[cfg(feature = "broken")]
pub mod broken;
mod calls;
mod case;
mod cases;
mod faulty;
mod fixture;
#[cfg(feature = "forge")]
pub mod forge;
mod helpers;
mod options;
mod random;
mod runner;
mod scorecard;
mod subject;
mod verdict;
#[cfg(feature = "forge")]
pub mod waiting_forge;

use std::sync::Arc;

use eyot_backend::Filesystem;

pub use case::{Case, Group};
pub use faulty::Faulty;
pub use fixture::{FixtureBody, FixtureEntry, fixture, populate};
pub use options::{Kept, Options};
pub use runner::{check_all, check_layer};
pub use scorecard::{CaseResult, Outcome, Score, Scorecard};

/// Every case, of the short form and of the long, for all kinds of backends.
pub fn all_cases() -> Vec<Case> {
    cases::all()
}

/// The cases that [`run`] runs on a backend that offers everything.
pub fn checks() -> Vec<Case> {
    all_cases().into_iter().filter(Case::is_common).collect()
}

/// Runs the short form on filesystems from `make`, which are empty. Panics with the scorecard when a case fails, after all of them ran, and answers
/// how many ran.
pub fn run(make: impl Fn() -> Arc<dyn Filesystem>) -> usize {
    let card = check_all(make, &Options::default());
    assert!(card.is_clean(), "{card}");
    let total = card.total();
    println!("{card}");
    total.passed
}
