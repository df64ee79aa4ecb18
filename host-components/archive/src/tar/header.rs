//! The fields of a tar header (POSIX.1-1988 ustar, and GNU tar's form of it).

use crate::tree::Time;

/// Tar's unit, in bytes.
pub(crate) const BLOCK_BYTES: usize = 512;

/// A header.
pub(crate) struct Header<'a>(pub &'a [u8; BLOCK_BYTES]);

impl<'a> Header<'a> {
    fn field(&self, at: usize, length: usize) -> &'a [u8] {
        self.0.get(at..at + length).unwrap_or_default()
    }

    fn text(&self, at: usize, length: usize) -> &'a [u8] {
        let field = self.field(at, length);
        field.split(|&byte| byte == 0).next().unwrap_or_default()
    }

    /// Whether there are only zeroes, as at the end.
    pub(crate) fn is_zero(&self) -> bool {
        self.0.iter().all(|&byte| byte == 0)
    }

    /// Whether the checksum is right, counted as unsigned bytes or, as some old programs did, signed ones.
    pub(crate) fn checksum_is_right(&self) -> bool {
        const CHECKSUM: std::ops::Range<usize> = 148..156;
        let Some(named) = number(self.field(CHECKSUM.start, CHECKSUM.len())) else { return false };
        // Wrapping, because checked additions are not vectorised, and this is half of the time that opening takes; 512 bytes cannot overflow it.
        let sum = |bytes: &[u8]| bytes.iter().fold(0u32, |sum, &byte| sum.wrapping_add(u32::from(byte)));
        let large = |bytes: &[u8]| bytes.iter().filter(|&&byte| byte >= 0x80).count() as i64;
        let field = self.field(CHECKSUM.start, CHECKSUM.len());
        let blanks = CHECKSUM.len() as i64 * i64::from(b' ');
        let unsigned = i64::from(sum(self.0)) - i64::from(sum(field)) + blanks;
        let signed = || unsigned - 256 * (large(self.0) - large(field));
        named == unsigned || named == signed()
    }

    pub(crate) fn is_gnu(&self) -> bool {
        self.field(257, 8) == b"ustar  \0"
    }

    fn is_ustar(&self) -> bool {
        self.field(257, 6) == b"ustar\0"
    }

    /// The path, with ustar's prefix.
    pub(crate) fn path(&self) -> Vec<u8> {
        let name = self.text(0, 100);
        let prefix = if self.is_ustar() { self.text(345, 155) } else { b"" };
        if prefix.is_empty() { name.to_vec() } else { [prefix, b"/", name].concat() }
    }

    pub(crate) fn link(&self) -> &'a [u8] {
        self.text(157, 100)
    }

    pub(crate) fn kind(&self) -> u8 {
        self.0.get(156).copied().unwrap_or_default()
    }

    pub(crate) fn mode(&self) -> u32 {
        number(self.field(100, 8)).map_or(0, |mode| (mode & 0o7777) as u32)
    }

    pub(crate) fn uid(&self) -> Option<u64> {
        number(self.field(108, 8)).and_then(|id| u64::try_from(id).ok())
    }

    pub(crate) fn gid(&self) -> Option<u64> {
        number(self.field(116, 8)).and_then(|id| u64::try_from(id).ok())
    }

    /// The length of the data, unless the field is no number.
    pub(crate) fn size(&self) -> Option<u64> {
        number(self.field(124, 12)).and_then(|size| u64::try_from(size).ok())
    }

    pub(crate) fn modified(&self) -> Time {
        Time { seconds: number(self.field(136, 12)).unwrap_or(0), nanoseconds: 0 }
    }

    /// GNU's time of last access and of last change.
    pub(crate) fn gnu_times(&self) -> (Option<Time>, Option<Time>) {
        if !self.is_gnu() {
            return (None, None);
        }
        // Blank means not there.
        let time = |at| {
            let field = self.field(at, 12);
            let seconds = number(field).filter(|_| field.iter().any(|&byte| byte != 0 && byte != b' '))?;
            Some(Time { seconds, nanoseconds: 0 })
        };
        (time(345), time(357))
    }

    /// A device's number as Linux packs it into `dev_t`.
    pub(crate) fn device(&self) -> u64 {
        let part = |at| number(self.field(at, 8)).and_then(|part| u64::try_from(part).ok()).unwrap_or(0);
        make_device(part(329), part(337))
    }

    /// GNU's map of a sparse file: pairs, whether more follow in the next block, and the file's real size.
    pub(crate) fn gnu_sparse(&self) -> (Vec<(u64, u64)>, bool, Option<u64>) {
        let size = number(self.field(483, 12)).and_then(|size| u64::try_from(size).ok());
        (pairs(self.field(386, 96)), self.0.get(482).is_some_and(|&more| more != 0), size)
    }
}

/// The pairs of a block that continues GNU's map of a sparse file, and whether another follows.
pub(crate) fn more_pairs(block: &[u8; BLOCK_BYTES]) -> (Vec<(u64, u64)>, bool) {
    (pairs(block.get(..504).unwrap_or_default()), block.get(504).is_some_and(|&more| more != 0))
}

fn pairs(bytes: &[u8]) -> Vec<(u64, u64)> {
    let value = |field: &[u8]| number(field).and_then(|number| u64::try_from(number).ok());
    let mut found = Vec::new();
    for pair in bytes.chunks_exact(24) {
        let (offset, length) = pair.split_at(12);
        if offset.first() == Some(&0) || length.first() == Some(&0) {
            break;
        }
        // What is no number makes a map that cannot be true, and is refused as such.
        found.push((value(offset).unwrap_or(u64::MAX), value(length).unwrap_or(u64::MAX)));
    }
    found
}

/// `makedev(3)` of glibc.
pub(crate) fn make_device(major: u64, minor: u64) -> u64 {
    ((major & 0xffff_f000) << 32) | ((major & 0xfff) << 8) | ((minor & 0xffff_ff00) << 12) | (minor & 0xff)
}

/// A number: octal digits among blanks, or GNU's two's complement big-endian binary after a first byte of 0x80 or 0xff. Blank is 0.
fn number(field: &[u8]) -> Option<i64> {
    match field.first()? {
        0x80 | 0xff => {
            let negative = field.first() == Some(&0xff);
            let wide = field.iter().skip(1).try_fold(if negative { -1i128 } else { 0 }, |wide, &byte| {
                wide.checked_mul(256).map(|wide| wide | i128::from(byte))
            })?;
            i64::try_from(wide).ok()
        }
        _ => {
            let end = field.iter().position(|&byte| byte == 0).unwrap_or(field.len());
            let digits = field.get(..end)?.trim_ascii();
            digits.iter().try_fold(0i64, |value, &digit| match digit {
                b'0'..=b'7' => value.checked_mul(8)?.checked_add(i64::from(digit - b'0')),
                _ => None,
            })
        }
    }
}

/// Whether a first block is tar's: a right checksum and numbers where they should be, or zeroes.
pub(crate) fn looks_like_tar(block: &[u8; BLOCK_BYTES]) -> bool {
    let header = Header(block);
    header.is_zero() || (header.checksum_is_right() && header.size().is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_every_kind() {
        for (field, value) in [
            (&b"0000644\0"[..], Some(0o644)),
            (b"  644 \0 ", Some(0o644)),
            (b"\0\0\0\0\0\0\0\0", Some(0)),
            (b"        ", Some(0)),
            (b"77777777", Some(0o77_777_777)),
            (b"0008\0\0\0\0", None),
            (b"-1\0\0\0\0\0\0", None),
            (b"\x80\0\0\0\0\0\0\x05", Some(5)),
            (b"\xff\xff\xff\xff\xff\xff\xff\xfe", Some(-2)),
            (b"\x80\0\0\0\x80\0\0\0\0\0\0\0", None),
            (b"\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff", Some(i64::MAX)),
            (b"", None),
        ] {
            assert_eq!(number(field), value, "{field:?}");
        }
    }

    #[test]
    fn devices_are_packed_as_linux_does() {
        assert_eq!(make_device(1, 3), 0x103);
        assert_eq!(make_device(8, 0x12345), 0x1230_0845);
        assert_eq!(
            make_device(0x12345, 1),
            0x1_2000_0003_4501 & 0xffff_f000_0000_0000 | 0x3_4501 & 0xfff01 | 0x1_2000 << 32
        );
    }
}
