//! Chunks that were read in part and may be read on.

use std::sync::Arc;

use lru::LruCache;
use parking_lot::Mutex;

/// An inode and the index of one of its chunks.
type Key = (i64, u64);

/// The chunks that were used last, up to a number of bytes. Who changes a chunk takes it out while it holds the inode.
pub(crate) struct ChunkCache {
    shards: Vec<Mutex<Shard>>,
    shard_bytes_max: usize,
}

struct Shard {
    chunks: LruCache<Key, Arc<[u8]>>,
    bytes: usize,
}

const SHARDS: usize = 8;
/// What a chunk counts beside its bytes, so that many short ones are bounded too.
const CHUNK_EXTRA_BYTES: usize = 128;

impl ChunkCache {
    pub(crate) fn new(bytes_max: usize) -> Self {
        let shard = || Mutex::new(Shard { chunks: LruCache::unbounded(), bytes: 0 });
        Self { shards: (0..SHARDS).map(|_| shard()).collect(), shard_bytes_max: bytes_max / SHARDS }
    }

    fn shard(&self, (ino, index): Key) -> Option<&Mutex<Shard>> {
        self.shards.get((ino as usize).wrapping_mul(31).wrapping_add(index as usize) % SHARDS)
    }

    pub(crate) fn get(&self, key: Key) -> Option<Arc<[u8]>> {
        self.shard(key)?.lock().chunks.get(&key).cloned()
    }

    pub(crate) fn put(&self, key: Key, bytes: &[u8]) {
        let weight = bytes.len() + CHUNK_EXTRA_BYTES;
        if weight > self.shard_bytes_max {
            return;
        }
        let bytes: Arc<[u8]> = bytes.into();
        let Some(shard) = self.shard(key) else { return };
        let mut shard = shard.lock();
        if let Some(before) = shard.chunks.put(key, bytes) {
            shard.bytes -= before.len() + CHUNK_EXTRA_BYTES;
        }
        shard.bytes += weight;
        while shard.bytes > self.shard_bytes_max {
            let Some((_, oldest)) = shard.chunks.pop_lru() else { break };
            shard.bytes -= oldest.len() + CHUNK_EXTRA_BYTES;
        }
    }

    pub(crate) fn remove(&self, key: Key) {
        let Some(shard) = self.shard(key) else { return };
        let mut shard = shard.lock();
        if let Some(before) = shard.chunks.pop(&key) {
            shard.bytes -= before.len() + CHUNK_EXTRA_BYTES;
        }
    }

    /// Takes every chunk of a file from `index` on out.
    pub(crate) fn remove_from(&self, ino: i64, index: u64) {
        for shard in &self.shards {
            let mut shard = shard.lock();
            let gone: Vec<Key> =
                shard.chunks.iter().map(|(key, _)| *key).filter(|&(of, at)| of == ino && at >= index).collect();
            for key in gone {
                if let Some(before) = shard.chunks.pop(&key) {
                    shard.bytes -= before.len() + CHUNK_EXTRA_BYTES;
                }
            }
        }
    }

    pub(crate) fn clear(&self) {
        for shard in &self.shards {
            let mut shard = shard.lock();
            shard.chunks = LruCache::unbounded();
            shard.bytes = 0;
        }
    }

    /// How many bytes are kept.
    #[cfg(test)]
    fn bytes(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().bytes).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_keeps_what_fits_and_forgets_what_changed() {
        let cache = ChunkCache::new(8 * 1000);
        for index in 0..1000 {
            cache.put((7, index), &[index as u8; 100]);
        }
        assert!(cache.bytes() <= 8 * 1000 && cache.bytes() > 4 * 1000);
        assert_eq!(cache.get((7, 999)).as_deref(), Some(&[231; 100][..]));
        cache.put((7, 999), &[1; 200]);
        assert_eq!(cache.get((7, 999)).as_deref(), Some(&[1; 200][..]));
        cache.remove((7, 999));
        assert!(cache.get((7, 999)).is_none() && cache.get((7, 998)).is_some());
        cache.put((8, 1), &[1; 10_000]);
        assert!(cache.get((8, 1)).is_none(), "what is larger than the cache is not kept");
        cache.remove_from(7, 0);
        assert_eq!(cache.bytes(), 0);
        cache.put((8, 1), &[1; 100]);
        cache.clear();
        assert!(cache.get((8, 1)).is_none());
    }
}
