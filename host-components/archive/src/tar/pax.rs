//! Pax extended headers (POSIX.1-2001): records of `LENGTH KEY=VALUE\n`.

use crate::tree::Time;

/// What pax headers say of an entry.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pax {
    pub path: Option<Vec<u8>>,
    pub link: Option<Vec<u8>>,
    pub size: Option<u64>,
    pub uid: Option<u64>,
    pub gid: Option<u64>,
    pub modified: Option<Time>,
    pub accessed: Option<Time>,
    pub changed: Option<Time>,
    pub created: Option<Time>,
    pub device: (Option<u64>, Option<u64>),
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    pub sparse: Sparse,
}

/// What the keys `GNU.sparse.*` say.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sparse {
    pub major: Option<u64>,
    /// The file's size, from either version of the key.
    pub size: Option<u64>,
    /// The map of version 0.0, number by number, or that of 0.1.
    pub map: Vec<u64>,
    /// Any of the keys was there.
    pub there: bool,
}

impl Pax {
    /// Takes the records of a header; later ones replace earlier ones, and an empty value takes away. Says what is malformed.
    ///
    /// `hdrcharset` is not asked: names are bytes that must be UTF-8, whatever it says.
    pub(crate) fn read(&mut self, mut bytes: &[u8]) -> Result<(), &'static str> {
        while let Some(first) = bytes.first() {
            // Padding after the last record is seen now and then.
            if *first == 0 {
                break;
            }
            let space = bytes.iter().take(20).position(|&byte| byte == b' ').ok_or("a pax record without a length")?;
            let length = bytes.get(..space).and_then(decimal).ok_or("a pax record whose length is no number")?;
            let length = usize::try_from(length).map_err(|_| "a pax record longer than its header")?;
            let record = bytes.get(space + 1..length).ok_or("a pax record longer than its header")?;
            let record = record.strip_suffix(b"\n").ok_or("a pax record without an end")?;
            let equals = record.iter().position(|&byte| byte == b'=').ok_or("a pax record without a value")?;
            let (key, value) = (record.get(..equals), record.get(equals + 1..));
            self.set(key.unwrap_or_default(), value.unwrap_or_default())?;
            bytes = bytes.get(length..).unwrap_or_default();
        }
        Ok(())
    }

    fn set(&mut self, key: &[u8], value: &[u8]) -> Result<(), &'static str> {
        const NUMBER: &str = "a number of a pax record that is none";
        let number = || if value.is_empty() { Ok(None) } else { decimal(value).map(Some).ok_or(NUMBER) };
        let time = || if value.is_empty() { Ok(None) } else { time(value).map(Some).ok_or("a time that is none") };
        let bytes = || Some(value.to_vec()).filter(|value| !value.is_empty());
        match key {
            b"path" if !(self.sparse.there && self.path.is_some()) => self.path = bytes(),
            b"GNU.sparse.name" => (self.path, self.sparse.there) = (bytes(), true),
            b"linkpath" => self.link = bytes(),
            b"size" => self.size = number()?,
            b"uid" => self.uid = number()?,
            b"gid" => self.gid = number()?,
            b"mtime" => self.modified = time()?,
            b"atime" => self.accessed = time()?,
            b"ctime" => self.changed = time()?,
            b"LIBARCHIVE.creationtime" => self.created = time()?,
            b"SCHILY.devmajor" => self.device.0 = number()?,
            b"SCHILY.devminor" => self.device.1 = number()?,
            b"GNU.sparse.major" => (self.sparse.major, self.sparse.there) = (number()?, true),
            b"GNU.sparse.realsize" | b"GNU.sparse.size" => (self.sparse.size, self.sparse.there) = (number()?, true),
            b"GNU.sparse.offset" | b"GNU.sparse.numbytes" => {
                self.sparse.there = true;
                self.sparse.map.push(decimal(value).ok_or(NUMBER)?);
            }
            b"GNU.sparse.map" => {
                self.sparse.there = true;
                let numbers = value.split(|&byte| byte == b',').filter(|number| !number.is_empty());
                self.sparse.map = numbers.map(decimal).collect::<Option<_>>().ok_or(NUMBER)?;
            }
            _ => {
                if let Some(name) = key.strip_prefix(b"SCHILY.xattr.") {
                    self.xattrs.retain(|(own, _)| own != name);
                    self.xattrs.push((name.to_vec(), value.to_vec()));
                }
            }
        }
        Ok(())
    }

    /// The memory it takes, about.
    pub(crate) fn bytes(&self) -> u64 {
        let xattrs: usize = self.xattrs.iter().map(|(name, value)| name.len() + value.len() + 48).sum();
        (xattrs + self.sparse.map.len() * 8) as u64
    }
}

/// A number without a sign.
pub(crate) fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u64, |value, &digit| match digit {
        b'0'..=b'9' => value.checked_mul(10)?.checked_add(u64::from(digit - b'0')),
        _ => None,
    })
}

/// Seconds with a fraction; what is below a nanosecond is cut off downwards.
fn time(value: &[u8]) -> Option<Time> {
    let (negative, value) = match value.strip_prefix(b"-") {
        Some(value) => (true, value),
        None => (false, value),
    };
    let mut parts = value.splitn(2, |&byte| byte == b'.');
    let seconds = i64::try_from(decimal(parts.next()?)?).ok()?;
    let fraction = parts.next().unwrap_or_default();
    if !fraction.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let digit = |at: usize| u32::from(fraction.get(at).map_or(0, |&digit| digit - b'0'));
    let nanoseconds = (0..9).fold(0, |value, at| value * 10 + digit(at));
    let below = fraction.iter().skip(9).any(|&digit| digit != b'0');
    if !negative {
        return Some(Time { seconds, nanoseconds });
    }
    // Counted forward from the whole second below.
    let nanoseconds = nanoseconds + u32::from(below);
    match nanoseconds {
        0 => Some(Time { seconds: -seconds, nanoseconds: 0 }),
        _ => Some(Time { seconds: (-seconds).checked_sub(1)?, nanoseconds: 1_000_000_000 - nanoseconds }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_count_forward() {
        for (text, seconds, nanoseconds) in [
            ("0", 0, 0),
            ("1234567890.123456789", 1_234_567_890, 123_456_789),
            ("1.5", 1, 500_000_000),
            ("1.0000000019", 1, 1),
            ("-1", -1, 0),
            ("-1.25", -2, 750_000_000),
            ("-0.5", -1, 500_000_000),
            ("-0.0000000001", -1, 999_999_999),
            ("7.", 7, 0),
        ] {
            assert_eq!(time(text.as_bytes()), Some(Time { seconds, nanoseconds }), "{text}");
        }
        for text in ["", "-", ".", "1.x", "1e3", "99999999999999999999"] {
            assert_eq!(time(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn values_may_have_anything_in_them() {
        let mut pax = Pax::default();
        pax.read(b"32 SCHILY.xattr.user.a=x\ny=z\0\n\xff\n12 path=a=b\n\0\0").unwrap();
        assert_eq!(pax.xattrs, [(b"user.a".to_vec(), b"x\ny=z\0\n\xff".to_vec())]);
        assert_eq!(pax.path.as_deref(), Some(&b"a=b"[..]));
        pax.read(b"8 path=\n").unwrap();
        assert_eq!(pax.path, None);
    }

    #[test]
    fn malformed_records_are_refused() {
        for bytes in [
            &b"path=a\n"[..],
            b"99 path=a\n",
            b"10 path=a",
            b"3 \n",
            b"0 path=a\n",
            b"2 path=a\n",
            b"x path=a\n",
            b"9 size=x\n",
            b"8 noval\n",
            b"99999999999999999999999 a=b\n",
        ] {
            assert!(Pax::default().read(bytes).is_err(), "{bytes:?}");
        }
    }
}
