//! Where a file's bytes lie in the layer.

use eyot_backend::{CHUNK_BYTES_MAX, Errno};

/// The bytes of a file that are sealed together.
pub(crate) const BLOCK: usize = 4096;
/// What a block takes more in the layer.
pub(crate) const OVERHEAD: usize = 32;
/// A whole block in the layer.
pub(crate) const SEALED_BLOCK: usize = BLOCK + OVERHEAD;
/// What comes before the first block.
pub(crate) const HEADER: usize = 32;
/// The largest file that a layer can hold (`off_t`).
const LAYER_BYTES_MAX: u64 = i64::MAX as u64;
/// How many blocks go through one call of the layer.
pub(crate) const RUN_BLOCKS: u64 = (CHUNK_BYTES_MAX / SEALED_BLOCK) as u64;

/// The length of the file that takes `sealed` bytes in the layer. What is no whole block at the end does not count.
pub(crate) fn plain_size(sealed: u64) -> u64 {
    let blocks = sealed.saturating_sub(HEADER as u64);
    let (whole, rest) = (blocks / SEALED_BLOCK as u64, blocks % SEALED_BLOCK as u64);
    whole * BLOCK as u64 + rest.saturating_sub(OVERHEAD as u64)
}

/// What a file of `plain` bytes takes in the layer. Errors: `EFBIG`.
pub(crate) fn sealed_size(plain: u64) -> Result<u64, Errno> {
    if plain == 0 {
        return Ok(0);
    }
    let (whole, rest) = (plain / BLOCK as u64, plain % BLOCK as u64);
    let rest = if rest > 0 { rest + OVERHEAD as u64 } else { 0 };
    block_offset(whole)
        .and_then(|start| start.checked_add(rest))
        .filter(|&end| end <= LAYER_BYTES_MAX)
        .ok_or(Errno::Fbig)
}

/// Where a block begins in the layer; `None` beyond the end of the largest file.
pub(crate) fn block_offset(index: u64) -> Option<u64> {
    let offset = index.checked_mul(SEALED_BLOCK as u64)?.checked_add(HEADER as u64)?;
    (offset <= LAYER_BYTES_MAX).then_some(offset)
}

/// How many bytes of a file of `size` bytes are in a block.
pub(crate) fn block_length(index: u64, size: u64) -> usize {
    // At most BLOCK, so that it fits.
    size.saturating_sub(index.saturating_mul(BLOCK as u64)).min(BLOCK as u64) as usize
}

/// The block and the place in it of an offset.
pub(crate) fn split(offset: u64) -> (u64, usize) {
    (offset / BLOCK as u64, (offset % BLOCK as u64) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_go_there_and_back() {
        for plain in [0, 1, 4095, 4096, 4097, 8192, 1 << 20, (1 << 40) + 4095, 1 << 62] {
            assert_eq!(plain_size(sealed_size(plain).unwrap()), plain, "{plain}");
        }
        for (plain, sealed) in [(1, 65), (4096, 4160), (4097, 4193)] {
            assert_eq!(sealed_size(plain), Ok(sealed));
        }
    }

    #[test]
    fn what_is_too_large_is_said_to_be() {
        let largest = plain_size(LAYER_BYTES_MAX);
        assert!(sealed_size(largest).is_ok());
        for plain in [largest + 100, 1 << 63, u64::MAX] {
            assert_eq!(sealed_size(plain), Err(Errno::Fbig));
        }
        assert_eq!(block_offset(u64::MAX), None);
        assert_eq!(block_length(u64::MAX, 10), 0);
    }

    #[test]
    fn odd_ends_do_not_count() {
        for (sealed, plain) in [(1, 0), (32, 0), (33, 0), (64, 0), (65, 1), (4160, 4096), (4192, 4096), (4193, 4097)] {
            assert_eq!(plain_size(sealed), plain, "{sealed}");
        }
    }
}
