//! Cookies for listings of an interface that has none.

use std::collections::{BTreeMap, HashMap};

/// The most names of one directory that are kept.
const NAMES_MAX: usize = 1 << 20;

/// The names of a directory in the order in which they were first seen. A name's cookie stays the same for as long as the name is there.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    by_cookie: BTreeMap<u64, String>,
    by_name: HashMap<String, u64>,
    last: u64,
}

impl Listing {
    /// Takes over what the directory holds now. What came anew is listed after what was there; `false`: there are too many names.
    pub(crate) fn refresh(&mut self, names: Vec<String>) -> bool {
        if names.len() > NAMES_MAX {
            return false;
        }
        let mut before = std::mem::take(&mut self.by_name);
        for name in names {
            let cookie = before.remove(&name).unwrap_or_else(|| {
                self.last += 1;
                self.by_cookie.insert(self.last, name.clone());
                self.last
            });
            self.by_name.insert(name, cookie);
        }
        for cookie in before.into_values() {
            self.by_cookie.remove(&cookie);
        }
        true
    }

    /// The names after a cookie (0: from the start), with theirs.
    pub(crate) fn after(&self, cookie: u64) -> impl Iterator<Item = (u64, &str)> {
        let rest = cookie.checked_add(1).map(|from| self.by_cookie.range(from..));
        rest.into_iter().flatten().map(|(cookie, name)| (*cookie, name.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(listing: &Listing, cookie: u64) -> Vec<&str> {
        listing.after(cookie).map(|(_, name)| name).collect()
    }

    #[test]
    fn cookies_stay_while_names_come_and_go() {
        let mut listing = Listing::default();
        assert!(listing.refresh(vec!["a".into(), "b".into(), "c".into()]));
        let (b, _) = listing.after(0).nth(1).unwrap();
        assert!(listing.refresh(vec!["d".into(), "c".into(), "b".into()]));
        assert_eq!(names(&listing, 0), ["b", "c", "d"]);
        assert_eq!(names(&listing, b), ["c", "d"]);
        assert_eq!(names(&listing, u64::MAX), [""; 0]);
        // A name that went and came back is a new one.
        assert!(listing.refresh(vec!["d".into(), "a".into()]));
        assert_eq!(names(&listing, 0), ["d", "a"]);
    }
}
