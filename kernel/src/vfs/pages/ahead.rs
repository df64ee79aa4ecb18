//! Whether a file is read in order, and how far ahead it is then read.

use super::chunk::BLOCK;
use crate::backend::CHUNK_BYTES_MAX;

/// The first window, in bytes.
const WINDOW_MIN: u64 = 64 << 10;
/// The largest window where the backend computes: what it gives should still be near when it is read.
const WINDOW_NEAR_MAX: u64 = 128 << 10;
/// The largest window where the backend waits.
const WINDOW_FAR_MAX: u64 = CHUNK_BYTES_MAX as u64;

/// How one open file is read.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    /// Where the next read begins, if it goes on in order.
    next: u64,
    /// How much is read at once; 0: only what is asked for.
    window: u64,
    /// Up to where it was read ahead.
    end: u64,
}

impl Ahead {
    /// A read of `length` bytes at `offset` begins. Answers how many bytes a fill should bring, at least.
    pub(super) fn window(&mut self, offset: u64, length: usize) -> u64 {
        if offset != self.next {
            *self = Self::default();
        } else if self.window == 0 {
            self.window = WINDOW_MIN;
        }
        self.next = offset.saturating_add(length as u64);
        self.window
    }

    /// The file was filled up to `end`, for this read or ahead of the next ones.
    pub(super) fn filled(&mut self, end: u64, far: bool) {
        if self.window > 0 {
            self.window = (self.window * 2).min(if far { WINDOW_FAR_MAX } else { WINDOW_NEAR_MAX });
            self.end = end;
        }
    }

    /// What should be read now, so that it is there when the reader comes to it: where it begins, and how many bytes.
    pub(super) fn due(&self) -> Option<(u64, u64)> {
        let near = self.end.saturating_sub(self.next) <= self.window / 2;
        (self.window > 0 && self.end >= self.next && self.end > 0 && near).then_some((self.end, self.window))
    }

    /// A fill failed: the next one brings what is asked for, and no more.
    pub(super) fn failed(&mut self) {
        *self = Self { next: self.next, ..Self::default() };
    }
}

/// The number of blocks that hold `bytes` from the block's begin on.
pub(super) fn blocks(bytes: u64) -> u64 {
    bytes.div_ceil(BLOCK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_double_while_reads_go_on_in_order() {
        let mut ahead = Ahead::default();
        let mut offset = 0;
        let mut seen = Vec::new();
        for _ in 0..6 {
            let window = ahead.window(offset, 4096);
            seen.push(window >> 10);
            offset += 4096;
            ahead.filled(offset + window, true);
        }
        assert_eq!(seen, [64, 128, 256, 512, 1024, 1024]);
        assert_eq!(ahead.window(1 << 30, 4096), 0, "a jump");
        assert_eq!(ahead.due(), None);
        assert_eq!(ahead.window((1 << 30) + 4096, 4096), WINDOW_MIN, "and on from there");
    }

    #[test]
    fn the_next_window_is_due_at_half_of_the_last() {
        let mut ahead = Ahead::default();
        assert_eq!(ahead.window(0, 16 << 10), 64 << 10);
        ahead.filled(64 << 10, true);
        assert_eq!(ahead.due(), Some((64 << 10, 128 << 10)));
        ahead.filled(192 << 10, true);
        assert_eq!(ahead.due(), None, "half a window of 256 KiB is still ahead");
        ahead.window(16 << 10, 64 << 10);
        assert_eq!(ahead.due(), Some((192 << 10, 256 << 10)));
        ahead.failed();
        assert_eq!(ahead.due(), None);
    }

    #[test]
    fn no_offset_overflows() {
        let mut ahead = Ahead::default();
        assert_eq!(ahead.window(u64::MAX, usize::MAX), 0);
        assert_eq!(ahead.window(u64::MAX, usize::MAX), WINDOW_MIN);
        ahead.filled(u64::MAX, false);
        assert_eq!(ahead.due(), Some((u64::MAX, WINDOW_NEAR_MAX)));
    }
}
