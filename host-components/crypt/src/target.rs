//! Targets of symlinks.

use data_encoding::BASE64URL_NOPAD;
use eyot_backend::{Attributes, Capabilities, Errno, Node, Ownership};

use crate::Crypt;
use crate::names::Stored;
use crate::sealed::SEAL;

/// The longest target (`PATH_MAX` without its terminator).
const TARGET_MAX: usize = 4095;
/// The longest that is in the symlink itself, sealed and in base64.
const SHORT_MAX: usize = TARGET_MAX * 3 / 4 - SEAL;
/// The target of a symlink whose own is in an extended attribute: no base64 is one character long.
const ELSEWHERE: &str = "~";
const ATTRIBUTE: &str = "user.eyot.target";
const WHAT: &[u8] = b"target";

/// Whether a symlink of this size in the layer has its target in an attribute.
pub(crate) fn is_elsewhere(size: u64) -> bool {
    size == ELSEWHERE.len() as u64
}

/// The length of a target that takes `size` characters in the layer.
pub(crate) fn length(size: u64) -> u64 {
    (size.min(TARGET_MAX as u64) * 3 / 4).saturating_sub(SEAL as u64)
}

impl Crypt {
    pub(crate) fn make_symlink(
        &self,
        dir: Node,
        stored: &Stored<'_>,
        target: &str,
        owner: Ownership,
    ) -> Result<Attributes, Errno> {
        match target.len() {
            0 => return Err(Errno::Noent),
            length if length > TARGET_MAX => return Err(Errno::Nametoolong),
            _ if target.as_bytes().contains(&0) => return Err(Errno::Inval),
            _ => {}
        }
        let is_long = target.len() > SHORT_MAX;
        if is_long && !self.info.capabilities.contains(Capabilities::XATTRS) {
            return Err(Errno::Nametoolong);
        }
        let sealed = self.sealer.seal(WHAT, target.as_bytes())?;
        let text = if is_long { ELSEWHERE.into() } else { BASE64URL_NOPAD.encode(&sealed) };
        let made = self.layer.symlink(dir, &stored.text, &text, owner)?;
        if is_long {
            let noted = self.layer.setxattr(made.node, ATTRIBUTE, &sealed);
            noted.inspect_err(|_| self.unmake(dir, stored, made))?;
        }
        self.note_made(dir, stored, made)
    }

    pub(crate) fn target(&self, node: Node) -> Result<String, Errno> {
        let text = self.layer.readlink(node)?;
        let sealed = if text == ELSEWHERE {
            self.long_target(node)?
        } else {
            BASE64URL_NOPAD.decode(text.as_bytes()).map_err(|_| Errno::Io)?
        };
        String::from_utf8(self.sealer.open(WHAT, &sealed)?).map_err(|_| Errno::Io)
    }

    pub(crate) fn long_target_length(&self, node: Node) -> Result<u64, Errno> {
        match self.long_target(node) {
            Ok(sealed) => Ok(sealed.len().saturating_sub(SEAL) as u64),
            // One whose making was cut short: it can be seen, so that it can be taken away.
            Err(Errno::Io) => Ok(0),
            Err(errno) => Err(errno),
        }
    }

    fn long_target(&self, node: Node) -> Result<Vec<u8>, Errno> {
        self.layer.getxattr(node, ATTRIBUTE).map_err(|errno| match errno {
            Errno::Nodata | Errno::Notsup => Errno::Io,
            other => other,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_follow_from_sizes() {
        for plain in 1..=SHORT_MAX {
            let size = BASE64URL_NOPAD.encode_len(plain + SEAL);
            assert!(size <= TARGET_MAX && !is_elsewhere(size as u64));
            assert_eq!(length(size as u64), plain as u64);
        }
        assert_eq!((SHORT_MAX, length(0), length(u64::MAX)), (3031, 0, 3031));
    }
}
