//! Progress: one line per step. On a terminal the running step has a spinner, its elapsed time and the last line its
//! command printed; elsewhere, and under `CI`, plain lines, with a sign of life every half minute.

use std::io::IsTerminal;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// How often a long step says that it is alive when there is no terminal.
const HEARTBEAT: Duration = Duration::from_secs(30);

/// Where progress is shown.
#[derive(Debug, Clone, Copy)]
pub struct Ui {
    spinner: bool,
}

impl Ui {
    /// Looks at standard error and at `CI`.
    pub fn new() -> Self {
        let ci = std::env::var_os("CI").is_some_and(|v| !v.is_empty());
        Self { spinner: std::io::stderr().is_terminal() && !ci }
    }

    /// Begins a step.
    pub fn step(&self, name: impl Into<String>) -> Step {
        let name = name.into();
        let bar = self.spinner.then(|| {
            let bar = ProgressBar::new_spinner();
            let style = ProgressStyle::with_template("{spinner} {prefix} {elapsed} {wide_msg:.dim}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
            bar.set_prefix(name.clone());
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        Step { name, bar, begun: Instant::now(), spoke: Mutex::new(Instant::now()) }
    }

    /// A line of its own, such as a warning.
    pub fn say(&self, line: impl AsRef<str>) {
        eprintln!("{}", line.as_ref());
    }
}

/// A running step; finish it with [`Step::done`] or [`Step::skipped`]. A step that is dropped has failed, and the
/// failure that follows says why.
#[derive(Debug)]
pub struct Step {
    name: String,
    bar: Option<ProgressBar>,
    begun: Instant,
    spoke: Mutex<Instant>,
}

impl Step {
    /// What is being done right now.
    pub fn note(&self, line: &str) {
        let line = line.trim();
        if line.is_empty() {
            return;
        }
        if let Some(bar) = &self.bar {
            bar.set_message(line.to_owned());
            return;
        }
        let Ok(mut spoke) = self.spoke.lock() else { return };
        if spoke.elapsed() >= HEARTBEAT {
            *spoke = Instant::now();
            eprintln!("  ..  {} ({} s): {line}", self.name, self.begun.elapsed().as_secs());
        }
    }

    /// Announces work that is going to print by itself (a cargo build): the spinner makes way.
    pub fn hand_over(&self, what: &str) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        eprintln!("  ..  {}: {what}", self.name);
    }

    /// The step was carried out.
    pub fn done(self, result: &str) {
        let took = self.begun.elapsed();
        self.close(" ok ", &format!("{result} ({:.1} s)", took.as_secs_f64()));
    }

    /// There was nothing to do.
    pub fn skipped(self, result: &str) {
        self.close(" ok ", result);
    }

    /// The step could not be carried out and the rest goes on without it.
    pub fn missing(self, why: &str) {
        self.close(" -- ", why);
    }

    fn close(self, mark: &str, text: &str) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        eprintln!(" {mark} {}: {text}", self.name);
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar
            && !bar.is_finished()
        {
            bar.finish_and_clear();
        }
    }
}
