//! Fetching a run of blocks with one request, and going on where an answer broke off.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use bytes::{Bytes, BytesMut};

use crate::cache::{BLOCK_BYTES, BlockKey, Cache, Pending, Source};
use crate::client::{Answer, Shared, Tries, time_for};
use crate::failure::Failure;

/// Blocks in a row that somebody waits for. Whatever becomes of it, they hear of it.
pub(crate) struct Run {
    cache: Arc<Cache>,
    source: Source,
    /// Those that have not come yet.
    left: VecDeque<(BlockKey, Arc<Pending>)>,
    /// The bytes of the first of them so far.
    block: BytesMut,
}

impl Run {
    pub(crate) fn new(cache: Arc<Cache>, source: Source, blocks: Vec<(BlockKey, Arc<Pending>)>) -> Self {
        Self { cache, source, left: blocks.into(), block: BytesMut::new() }
    }

    /// Where the next byte belongs.
    fn at(&self) -> u64 {
        self.left.front().map_or(0, |((_, block), _)| block * BLOCK_BYTES + self.block.len() as u64)
    }

    fn end(&self) -> u64 {
        self.left.back().map_or(0, |((_, block), _)| ((block + 1) * BLOCK_BYTES).min(self.source.size))
    }

    /// How long the first block is.
    fn block_length(&self) -> usize {
        self.left
            .front()
            .map_or(0, |((_, block), _)| self.source.size.saturating_sub(block * BLOCK_BYTES).min(BLOCK_BYTES))
            as usize
    }

    /// Takes bytes that came. Errors: more than were asked for.
    fn take(&mut self, mut piece: Bytes) -> Result<(), Failure> {
        while !piece.is_empty() {
            let length = self.block_length();
            if self.left.is_empty() || length == 0 {
                return Err(Failure::Nonsense("an answer is longer than it may be"));
            }
            if self.block.capacity() == 0 {
                self.block.reserve(length);
            }
            let part = piece.split_to(piece.len().min(length - self.block.len()));
            self.block.extend_from_slice(&part);
            if self.block.len() == length {
                let bytes = std::mem::take(&mut self.block).freeze();
                if let Some((key, pending)) = self.left.pop_front() {
                    self.cache.end(key, &pending, Ok(bytes));
                }
            }
        }
        Ok(())
    }

    fn fail(&mut self, failure: &Failure) {
        for (key, pending) in self.left.drain(..) {
            self.cache.end(key, &pending, Err(failure.clone()));
        }
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        self.fail(&Failure::Interrupted("the mount is ending".into()));
    }
}

/// Fetches the blocks of a run.
pub(crate) async fn fetch(client: Shared, mut run: Run) {
    let cache = Arc::clone(&run.cache);
    let Ok(_permit) = cache.fetches.acquire().await else { return };
    let mut tries = Tries::new(client.retry);
    while !run.left.is_empty() {
        let before = run.left.len();
        let Err(failure) = once(&client, &mut run).await else { continue };
        if run.left.len() < before {
            tries.reset();
        }
        if let Err(failure) = tries.again(failure).await {
            run.fail(&failure);
        }
    }
}

/// Asks for what is left, and takes what comes.
async fn once(client: &Shared, run: &mut Run) -> Result<(), Failure> {
    let range = run.at()..run.end();
    let deadline = Instant::now() + time_for(range.end.saturating_sub(range.start), client.timeout);
    let (key, etag) = (Arc::clone(&run.source.key), run.source.etag.clone());
    let mut answer: Answer = client.get_range(&key, etag.as_deref(), range).await?;
    while let Some(piece) = answer.next().await? {
        run.take(piece)?;
        if Instant::now() > deadline {
            return Err(Failure::Timeout);
        }
    }
    if run.left.is_empty() { Ok(()) } else { Err(Failure::Interrupted("the answer ends too early".into())) }
}
