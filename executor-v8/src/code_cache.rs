//! V8's compiled form of the built-ins, so that they need not be compiled again in every process.
//!
//! The bytes: a count, then for each entry the built-in's index in the artefact, an offset and a length, all u32 in little
//! endian; then the data. V8 itself refuses data of another version, of other flags, or of another source.

/// A code cache, borrowed from static bytes.
pub struct CodeCache {
    entries: Vec<Option<&'static [u8]>>,
}

impl CodeCache {
    /// Reads a cache; `None` when the bytes are not one.
    #[must_use]
    pub fn from_static(bytes: &'static [u8]) -> Option<&'static Self> {
        let word = |i: usize| -> Option<usize> {
            let b = bytes.get(i.checked_mul(4)?..)?.first_chunk::<4>()?;
            usize::try_from(u32::from_le_bytes(*b)).ok()
        };
        let count = word(0)?;
        let mut entries: Vec<Option<&'static [u8]>> = Vec::new();
        for i in 0..count.min(4096) {
            let (index, at, len) = (word(1 + 3 * i)?, word(2 + 3 * i)?, word(3 + 3 * i)?);
            let data = bytes.get(at..at.checked_add(len)?)?;
            if index > 4096 {
                return None;
            }
            if entries.len() <= index {
                entries.resize(index + 1, None);
            }
            *entries.get_mut(index)? = Some(data);
        }
        Some(Box::leak(Box::new(Self { entries })))
    }

    pub(crate) fn get(&self, index: usize) -> Option<&'static [u8]> {
        self.entries.get(index).copied().flatten()
    }
}

/// Writes a cache from its entries.
pub(crate) fn write(entries: &[(usize, Vec<u8>)]) -> Vec<u8> {
    let word = |n: usize| u32::try_from(n).unwrap_or(u32::MAX).to_le_bytes();
    let mut out = word(entries.len()).to_vec();
    let mut at = 4 + entries.len() * 12;
    at = at.next_multiple_of(8);
    let start = at;
    for (index, data) in entries {
        out.extend(word(*index));
        out.extend(word(at));
        out.extend(word(data.len()));
        at = (at + data.len()).next_multiple_of(8);
    }
    out.resize(start, 0);
    for (_, data) in entries {
        out.extend_from_slice(data);
        out.resize(out.len().next_multiple_of(8), 0);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_wrote() {
        let bytes = write(&[(3, vec![1, 2, 3]), (0, vec![9; 20])]);
        let c = CodeCache::from_static(bytes.leak()).unwrap();
        assert_eq!(c.get(3), Some(&[1, 2, 3][..]));
        assert_eq!(c.get(0), Some(&[9; 20][..]));
        assert_eq!(c.get(1), None);
        assert!(CodeCache::from_static(&[9, 0, 0, 0]).is_none());
    }
}
