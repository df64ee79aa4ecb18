//! Which pages go when there is no room: those of the whole VM in the order in which they came, but what was used since is left once (a clock).

use std::collections::VecDeque;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use super::chunk::Chunk;

/// How many entries there are at least before those whose chunk is gone are looked for.
const SWEEP_MIN: usize = 64;

/// The chunks that may go, oldest first.
#[derive(Default)]
pub(super) struct Clock {
    ring: Mutex<Ring>,
}

#[derive(Default)]
struct Ring {
    chunks: VecDeque<Weak<Chunk>>,
    sweep_at: usize,
}

impl Clock {
    pub(super) fn push(&self, chunk: &Arc<Chunk>) {
        let mut ring = self.ring.lock();
        if ring.chunks.len() >= ring.sweep_at {
            ring.chunks.retain(|chunk| chunk.strong_count() > 0);
            ring.sweep_at = (ring.chunks.len() * 2).max(SWEEP_MIN);
        }
        ring.chunks.push_back(Arc::downgrade(chunk));
    }

    /// Lets one chunk go. Answers whether one did. Called without locks: the last use of an inode may end here, which calls its backend.
    pub(super) fn evict_one(&self) -> bool {
        // Twice around: the first time everything may have been used.
        let mut steps = self.ring.lock().chunks.len() * 2 + 1;
        while steps > 0 {
            steps -= 1;
            let next = self.ring.lock().chunks.pop_front();
            let Some(next) = next else { return false };
            let Some(chunk) = next.upgrade() else { continue };
            if !chunk.take_used() {
                let Some(owner) = chunk.owner() else { return true };
                if owner.pages().is_some_and(|pages| pages.evict(&chunk)) {
                    return true;
                }
            }
            self.ring.lock().chunks.push_back(next);
        }
        false
    }
}
