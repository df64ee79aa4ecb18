//! Names of files and keys of objects.

use eyot_backend::{Errno, NAME_BYTES_MAX};

/// The longest key of S3, in bytes.
pub(crate) const KEY_BYTES_MAX: usize = 1024;
/// What rclone appends to the name of an object that holds a symlink's target.
pub(crate) const LINK_SUFFIX: &str = ".rclonelink";

/// Whether this can be the name of a file.
pub(crate) fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= NAME_BYTES_MAX
        && name != "."
        && name != ".."
        && !name.bytes().any(|byte| byte == b'/' || byte == 0)
}

/// The setting `prefix` as keys begin: nothing, or names with a slash behind each. `None` when it can be no directory.
pub(crate) fn prefix(text: &str) -> Option<String> {
    let inner = text.trim_matches('/');
    if inner.is_empty() {
        return Some(String::new());
    }
    let fits = inner.split('/').all(is_name) && inner.len() < KEY_BYTES_MAX / 2;
    fits.then(|| format!("{inner}/"))
}

/// Checks a name that is to be made.
pub(crate) fn check_new(name: &str, links: bool) -> Result<(), Errno> {
    if name.len() > NAME_BYTES_MAX {
        return Err(Errno::Nametoolong);
    }
    // It would come back as a symlink.
    if !is_name(name) || links && name.ends_with(LINK_SUFFIX) {
        return Err(Errno::Inval);
    }
    Ok(())
}

/// Checks the length of a key.
pub(crate) fn check_length(key: String) -> Result<String, Errno> {
    if key.len() > KEY_BYTES_MAX { Err(Errno::Nametoolong) } else { Ok(key) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for good in ["a", " ", "...", "%2e", "ü", "a\nb", "-"] {
            assert!(is_name(good), "{good:?}");
        }
        for bad in ["", ".", "..", "a/b", "a\0b", &"n".repeat(256)] {
            assert!(!is_name(bad), "{bad:?}");
        }
        assert_eq!(check_new("x.rclonelink", true), Err(Errno::Inval));
        assert_eq!(check_new("x.rclonelink", false), Ok(()));
        assert_eq!(check_new(&"n".repeat(256), true), Err(Errno::Nametoolong));
    }

    #[test]
    fn prefixes() {
        assert_eq!(prefix("").as_deref(), Some(""));
        assert_eq!(prefix("/").as_deref(), Some(""));
        assert_eq!(prefix("a/b").as_deref(), Some("a/b/"));
        assert_eq!(prefix("/a/").as_deref(), Some("a/"));
        assert_eq!(prefix("a//b"), None);
        assert_eq!(prefix("a/../b"), None);
    }
}
