//! The one error type of the build tool: what failed, why, and what the reader can do about it.

use std::fmt;

/// A failure as it is shown to a person. All three parts are whole sentences or phrases without a final newline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What could not be done.
    pub what: String,
    /// The cause, as exactly as it is known.
    pub why: String,
    /// What to do next.
    pub fix: String,
}

/// The result of everything in this crate.
pub type Result<T, E = Failure> = std::result::Result<T, E>;

impl Failure {
    /// Puts the three parts together.
    pub fn new(what: impl Into<String>, why: impl fmt::Display, fix: impl Into<String>) -> Self {
        Self { what: what.into(), why: why.to_string(), fix: fix.into() }
    }

    /// The failure on one line, for a table or a warning.
    pub fn line(&self) -> String {
        format!("{}: {}; {}", self.what, self.why.replace('\n', " "), self.fix)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "error: {}", self.what)?;
        for (i, line) in self.why.lines().enumerate() {
            writeln!(f, "{}{line}", if i == 0 { "  why: " } else { "       " })?;
        }
        write!(f, "  do:  {}", self.fix)
    }
}

impl std::error::Error for Failure {}

/// Turns any displayable error into a [`Failure`].
pub trait OrFail<T> {
    /// `what` failed; the error itself is the why; `fix` is what to do.
    fn or_fail(self, what: impl Into<String>, fix: impl Into<String>) -> Result<T>;
}

impl<T, E: fmt::Display> OrFail<T> for std::result::Result<T, E> {
    fn or_fail(self, what: impl Into<String>, fix: impl Into<String>) -> Result<T> {
        self.map_err(|error| Failure::new(what, error, fix))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_three_parts_are_shown() {
        let text = Failure::new("cannot build", "line one\nline two", "try again").to_string();
        assert_eq!(text, "error: cannot build\n  why: line one\n       line two\n  do:  try again");
    }
}
