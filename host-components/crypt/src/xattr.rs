//! Extended attributes: the name is sealed together with the value, under a hash of the name.

use eyot_backend::{Errno, NAME_BYTES_MAX, Node};

use crate::Crypt;
use crate::sealed::{NONCE, SEAL};

/// The longest value (`XATTR_SIZE_MAX`), here and in the layer.
const VALUE_MAX: usize = 64 * 1024;
/// What the layer's attributes begin with; the hash of the name follows.
const PREFIX: &str = "user.eyot.x.";
/// Those for what does not fit; the beginning of the nonce follows.
const TAIL_PREFIX: &str = "user.eyot.t.";
const WHAT: &[u8] = b"attribute";
/// The first byte of a value in the layer.
const WHOLE: u8 = 0;
const HAS_TAIL: u8 = 1;

/// The attribute with the rest of the value that begins with `stored`, if there is one.
fn tail_of(stored: &[u8]) -> Option<String> {
    let (&HAS_TAIL, rest) = stored.split_first()? else { return None };
    let nonce = rest.get(..NONCE.min(16))?;
    Some(format!("{TAIL_PREFIX}{}", data_encoding::HEXLOWER.encode(nonce)))
}

impl Crypt {
    fn attribute(&self, name: &str) -> String {
        format!("{PREFIX}{}", self.names.attribute_hash(name))
    }

    /// Name and value of an attribute of the layer.
    fn open_attribute(&self, node: Node, attribute: &str) -> Result<(String, Vec<u8>), Errno> {
        let mut stored = self.layer.getxattr(node, attribute)?;
        if let Some(tail) = tail_of(&stored) {
            let tail = self.layer.getxattr(node, &tail);
            stored.extend(tail.map_err(|errno| if errno == Errno::Nodata { Errno::Io } else { errno })?);
        }
        let mut plain = self.sealer.open(WHAT, stored.get(1..).ok_or(Errno::Io)?)?;
        let length = usize::from(*plain.first().ok_or(Errno::Io)?);
        let name = plain.get(1..=length).ok_or(Errno::Io)?.to_vec();
        plain.drain(..=length);
        Ok((String::from_utf8(name).map_err(|_| Errno::Io)?, plain))
    }

    pub(crate) fn attribute_value(&self, node: Node, name: &str) -> Result<Vec<u8>, Errno> {
        let (named, value) = self.open_attribute(node, &self.attribute(name))?;
        if named == name { Ok(value) } else { Err(Errno::Io) }
    }

    pub(crate) fn attribute_names(&self, node: Node) -> Result<Vec<String>, Errno> {
        let mut names = Vec::new();
        for attribute in self.layer.listxattr(node)? {
            if !attribute.starts_with(PREFIX) {
                continue;
            }
            match self.open_attribute(node, &attribute) {
                Ok((name, _)) if self.attribute(&name) == attribute => names.push(name),
                // Taken away meanwhile.
                Err(Errno::Nodata) => {}
                Ok(_) => return Err(Errno::Io),
                Err(errno) => return Err(errno),
            }
        }
        Ok(names)
    }

    pub(crate) fn set_attribute(&self, node: Node, name: &str, value: &[u8]) -> Result<(), Errno> {
        let length = u8::try_from(name.len()).ok().filter(|&length| length > 0).ok_or(Errno::Range)?;
        if name.len() > NAME_BYTES_MAX || name.as_bytes().contains(&0) {
            return Err(Errno::Range);
        }
        if value.len() > VALUE_MAX {
            return Err(Errno::Nospc);
        }
        let attribute = self.attribute(name);
        let mut plain = Vec::with_capacity(1 + name.len() + value.len());
        plain.push(length);
        plain.extend_from_slice(name.as_bytes());
        plain.extend_from_slice(value);
        let has_tail = plain.len() + SEAL + 1 > VALUE_MAX;
        let mut stored = vec![if has_tail { HAS_TAIL } else { WHOLE }];
        stored.extend(self.sealer.seal(WHAT, &plain)?);
        // The rest first, under a name that only the new value knows: until that is there, the old one is whole.
        let tail = has_tail.then(|| stored.split_off(VALUE_MAX.min(stored.len())));
        let tail = tail.and_then(|rest| tail_of(&stored).map(|tail| (tail, rest)));
        let before = self.old_tail(node, &attribute)?;
        if let Some((tail, rest)) = &tail {
            self.layer.setxattr(node, tail, rest)?;
        }
        self.layer.setxattr(node, &attribute, &stored).inspect_err(|_| {
            if let Some((tail, _)) = &tail {
                let _ = self.layer.removexattr(node, tail);
            }
        })?;
        self.drop_tail(node, before);
        Ok(())
    }

    pub(crate) fn remove_attribute(&self, node: Node, name: &str) -> Result<(), Errno> {
        let attribute = self.attribute(name);
        let before = self.old_tail(node, &attribute)?;
        self.layer.removexattr(node, &attribute)?;
        self.drop_tail(node, before);
        Ok(())
    }

    fn old_tail(&self, node: Node, attribute: &str) -> Result<Option<String>, Errno> {
        match self.layer.getxattr(node, attribute) {
            Ok(stored) => Ok(tail_of(&stored)),
            Err(Errno::Nodata) => Ok(None),
            Err(errno) => Err(errno),
        }
    }

    /// What nothing leads to any more. If it stays, it takes room and nothing else.
    fn drop_tail(&self, node: Node, tail: Option<String>) {
        if let Some(tail) = tail {
            let _ = self.layer.removexattr(node, &tail);
        }
    }
}
