//! What may fail, and why.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The cases of one backend that may fail, each with its reason.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Expected(BTreeMap<String, String>);

impl Expected {
    /// Reads the list of a backend. Lines that are empty or begin with `#` say nothing; all others are a case, white space, and a reason.
    pub fn of(backend: &str) -> Result<Self, String> {
        let path = Self::path(backend);
        let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        Self::parse(&text).map_err(|error| format!("{}: {error}", path.display()))
    }

    /// Where the list of a backend is.
    pub fn path(backend: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("expected").join(format!("{backend}.txt"))
    }

    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut cases = BTreeMap::new();
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (case, reason) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
            if reason.trim().is_empty() {
                return Err(format!("line {number}: {case} has no reason"));
            }
            if cases.insert(case.to_owned(), reason.trim().to_owned()).is_some() {
                return Err(format!("line {number}: {case} is there twice"));
            }
        }
        Ok(Self(cases))
    }

    /// Why this case may fail.
    pub fn reason(&self, case: &str) -> Option<&str> {
        self.0.get(case).map(String::as_str)
    }

    /// The cases on the list.
    pub fn cases(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_case_and_a_reason() {
        let list = Expected::parse("# why\n\nchmod::a  it cannot\nchmod::b\tnor this\n").unwrap();
        assert_eq!(list.reason("chmod::a"), Some("it cannot"));
        assert_eq!(list.cases().collect::<Vec<_>>(), ["chmod::a", "chmod::b"]);
        assert_eq!(list.reason("chmod::c"), None);
        assert!(Expected::parse("chmod::a\n").unwrap_err().contains("no reason"));
        assert!(Expected::parse("a x\na y\n").unwrap_err().contains("line 2"));
    }

    #[test]
    fn every_backend_has_a_list() {
        for backend in crate::backends::BACKENDS {
            Expected::of(backend.name).unwrap();
        }
    }
}
