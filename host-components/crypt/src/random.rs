//! Random bytes.

use eyot_backend::Errno;
use parking_lot::Mutex;
use zeroize::Zeroize;

use crate::RandomSource;

/// How many bytes are fetched at once: asking costs more than the bytes.
const POOL_BYTES: usize = 1024;

/// Bytes from the operating system.
#[cfg(not(target_family = "wasm"))]
pub(crate) fn fill(bytes: &mut [u8]) -> Result<(), Errno> {
    getrandom::fill(bytes).map_err(|_| Errno::Io)
}

/// Bytes from the kernel.
#[cfg(target_family = "wasm")]
pub(crate) use eyot_preopen::random as fill;

/// Random bytes in small pieces, none of which is given twice.
pub(crate) struct Random {
    source: RandomSource,
    pool: Mutex<Pool>,
}

struct Pool {
    bytes: [u8; POOL_BYTES],
    /// Where those begin that were not given yet.
    next: usize,
}

impl Random {
    pub(crate) fn new(source: RandomSource) -> Self {
        Self { source, pool: Mutex::new(Pool { bytes: [0; POOL_BYTES], next: POOL_BYTES }) }
    }

    /// The next bytes.
    pub(crate) fn bytes<const N: usize>(&self) -> Result<[u8; N], Errno> {
        const { assert!(N <= POOL_BYTES) };
        let mut pool = self.pool.lock();
        if POOL_BYTES - pool.next < N {
            // Until the source has answered there are none.
            pool.next = POOL_BYTES;
            (self.source)(&mut pool.bytes)?;
            pool.next = 0;
        }
        let next = pool.next;
        let given = pool.bytes.get_mut(next..next + N).ok_or(Errno::Io)?;
        let mut bytes = [0; N];
        bytes.copy_from_slice(given);
        given.zeroize();
        pool.next += N;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn nothing_is_given_twice() {
        let random = Random::new(fill);
        let all: HashSet<[u8; 24]> = (0..1000).map(|_| random.bytes().unwrap()).collect();
        assert_eq!(all.len(), 1000);
        assert!(!all.contains(&[0; 24]));
    }

    #[test]
    fn a_source_that_fails_gives_nothing() {
        let random = Random::new(|_| Err(Errno::Io));
        for _ in 0..3 {
            assert_eq!(random.bytes::<16>(), Err(Errno::Io));
        }
    }
}
