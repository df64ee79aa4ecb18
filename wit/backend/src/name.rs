//! What a name and a symlink's target may be.

use crate::{Errno, NAME_BYTES_MAX};

/// The longest symlink target in bytes (`PATH_MAX` without its terminator).
pub const TARGET_BYTES_MAX: usize = 4095;

/// Checks the name of a new entry. The kernel has done so; a mistake there must not make an entry that nobody can take away, and what
/// a backend reads from elsewhere may be no name at all. Errors: `ENAMETOOLONG`, `EINVAL`.
pub fn check_name(name: &str) -> Result<(), Errno> {
    if name.len() > NAME_BYTES_MAX {
        return Err(Errno::Nametoolong);
    }
    if name.is_empty() || name == "." || name == ".." || name.bytes().any(|byte| byte == b'/' || byte == 0) {
        return Err(Errno::Inval);
    }
    Ok(())
}

/// Checks the target of a new symlink (symlink(2)): `ENOENT` when empty, `ENAMETOOLONG` when too long.
pub fn check_target(target: &str) -> Result<(), Errno> {
    if target.is_empty() {
        return Err(Errno::Noent);
    }
    if target.len() > TARGET_BYTES_MAX {
        return Err(Errno::Nametoolong);
    }
    if target.as_bytes().contains(&0) {
        return Err(Errno::Inval);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_cannot_be_entries_are_refused() {
        for name in ["", ".", "..", "a/b", "/", "nul\0"] {
            assert_eq!(check_name(name), Err(Errno::Inval), "{name:?}");
        }
        assert_eq!(check_name(&"n".repeat(256)), Err(Errno::Nametoolong));
        for name in ["a", "...", ".hidden", "ü", " ", "new\nline", &"n".repeat(255)] {
            assert_eq!(check_name(name), Ok(()), "{name:?}");
        }
    }

    #[test]
    fn targets_are_anything_but_empty_long_or_cut_short() {
        assert_eq!(check_target(""), Err(Errno::Noent));
        assert_eq!(check_target(&"t".repeat(4096)), Err(Errno::Nametoolong));
        assert_eq!(check_target("a\0b"), Err(Errno::Inval));
        assert_eq!(check_target("../a//b/."), Ok(()));
    }
}
