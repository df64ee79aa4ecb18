//! The bytes of a regular file: chunks of 64 KiB, of which only those that were written exist.

use std::collections::BTreeMap;

use eyot_backend::Errno;

use crate::quota::Quota;

/// The bytes of one chunk.
const CHUNK_BYTES: usize = 64 * 1024;
/// What a chunk beyond the first takes at least.
const LATER_CHUNK_BYTES_MIN: usize = 16 * 1024;
/// What the first chunk takes at least, so that a small file stays small.
const FIRST_CHUNK_BYTES_MIN: usize = 64;
/// The largest file: what `off_t` holds.
pub(crate) const FILE_BYTES_MAX: u64 = i64::MAX as u64;

/// The file of the base image whose bytes show through where no chunk is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Under {
    /// The node's index in the image.
    pub index: u32,
    /// How many of the file's first bytes still show through; beyond are zeroes.
    pub limit: u64,
}

/// The contents of a file.
///
/// A chunk is a vector of at most [`CHUNK_BYTES`]; what it is shorter is zeroes. One without capacity does not exist, and there the image's file
/// shows through, or zeroes. The chunks at the beginning lie in `dense`; one that lies far beyond what is filled goes into `sparse`, so
/// that a file of 10 GiB with one byte at its end takes one chunk. A key of `sparse` is never below `dense`'s length.
#[derive(Default)]
pub(crate) struct FileData {
    size: u64,
    dense: Vec<Vec<u8>>,
    sparse: BTreeMap<u64, Vec<u8>>,
    chunks: usize,
    charged_bytes: u64,
    under: Option<Under>,
}

impl FileData {
    /// The contents of a file of the image.
    pub(crate) fn over(under: Under) -> Self {
        Self { size: under.limit, under: Some(under), ..Self::default() }
    }

    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// The bytes that the quota was charged.
    pub(crate) fn charged_bytes(&self) -> u64 {
        self.charged_bytes
    }

    pub(crate) fn under(&self) -> Option<Under> {
        self.under
    }

    /// The image's file, when these contents are still exactly its `whole` bytes.
    pub(crate) fn untouched(&self, whole: u64) -> Option<u32> {
        let under = self.under.filter(|under| under.limit == whole && self.size == whole)?;
        (self.chunks == 0).then_some(under.index)
    }

    /// Reads at `offset`; `under` are the bytes that show through. Answers how many bytes were read.
    pub(crate) fn read(&self, offset: u64, buffer: &mut [u8], under: &[u8]) -> usize {
        let left = usize::try_from(self.size.saturating_sub(offset)).unwrap_or(usize::MAX);
        let length = left.min(buffer.len());
        let (mut buffer, _) = buffer.split_at_mut(length);
        let mut at = offset;
        while !buffer.is_empty() {
            let (index, start) = position(at);
            let (part, rest) = buffer.split_at_mut(buffer.len().min(CHUNK_BYTES - start));
            match self.chunk(index) {
                Some(chunk) => copy_or_zero(chunk, start, part),
                None => copy_or_zero(under, usize::try_from(at).unwrap_or(usize::MAX), part),
            }
            at += part.len() as u64;
            buffer = rest;
        }
        length
    }

    /// Gives at most `length` bytes at `offset`, piece by piece from where they lie: [`read`](Self::read) without a copy.
    pub(crate) fn read_with(&self, offset: u64, length: usize, under: &[u8], give: &mut dyn FnMut(&[u8])) {
        static ZEROES: [u8; CHUNK_BYTES] = [0; CHUNK_BYTES];
        let left = usize::try_from(self.size.saturating_sub(offset)).unwrap_or(usize::MAX).min(length);
        let (mut at, end) = (offset, offset.saturating_add(left as u64));
        while at < end {
            let (index, start) = position(at);
            let part = usize::try_from(end - at).unwrap_or(usize::MAX).min(CHUNK_BYTES - start);
            let source = match self.chunk(index) {
                Some(chunk) => chunk.get(start..),
                None => usize::try_from(at).ok().and_then(|at| under.get(at..)),
            };
            let source = source.unwrap_or_default();
            let source = source.get(..part).unwrap_or(source);
            if !source.is_empty() {
                give(source);
            }
            if part > source.len() {
                give(ZEROES.get(..part - source.len()).unwrap_or_default());
            }
            at += part as u64;
        }
    }

    /// Makes a vector that is just one whole chunk that chunk, without a copy. Gives any other back, and one that the quota has no room for.
    pub(crate) fn adopt(&mut self, offset: u64, bytes: Vec<u8>, quota: &Quota) -> Result<usize, Vec<u8>> {
        let (index, start) = position(offset);
        let end = offset.checked_add(CHUNK_BYTES as u64).filter(|&end| end <= FILE_BYTES_MAX);
        let (0, CHUNK_BYTES, CHUNK_BYTES, Some(end)) = (start, bytes.len(), bytes.capacity(), end) else {
            return Err(bytes);
        };
        match self.existing(index) {
            // What the chunk was charged it goes on being charged.
            Some(chunk) if chunk.capacity() == CHUNK_BYTES => *chunk = bytes,
            Some(_) => return Err(bytes),
            None => {
                if quota.charge(CHUNK_BYTES as u64).is_err() {
                    return Err(bytes);
                }
                self.insert(index, bytes);
                self.chunks += 1;
                self.charged_bytes += CHUNK_BYTES as u64;
            }
        }
        self.size = self.size.max(end);
        Ok(CHUNK_BYTES)
    }

    /// Writes at `offset`; answers how many bytes were taken, which are fewer than given only when the quota or the largest file ends there.
    pub(crate) fn write(&mut self, offset: u64, bytes: &[u8], under: &[u8], quota: &Quota) -> Result<usize, Errno> {
        if bytes.is_empty() {
            return Ok(0);
        }
        let room = FILE_BYTES_MAX.checked_sub(offset).filter(|&room| room > 0).ok_or(Errno::Fbig)?;
        let mut rest = bytes.get(..usize::try_from(room).unwrap_or(usize::MAX)).unwrap_or(bytes);
        let mut at = offset;
        while !rest.is_empty() {
            let (index, start) = position(at);
            let (part, after) = rest.split_at(rest.len().min(CHUNK_BYTES - start));
            let taken = match self.write_chunk(index, start, part, under, quota) {
                Ok(taken) => taken,
                Err(error) if at == offset => return Err(error),
                Err(_) => break,
            };
            at += taken as u64;
            self.size = self.size.max(at);
            if taken < part.len() {
                break;
            }
            rest = after;
        }
        Ok((at - offset) as usize)
    }

    /// Cuts the file, or extends it with zeroes that take no space.
    pub(crate) fn set_size(&mut self, size: u64, quota: &Quota) -> Result<(), Errno> {
        if size > FILE_BYTES_MAX {
            return Err(Errno::Fbig);
        }
        if size < self.size {
            let (index, start) = position(size);
            let kept = index + u64::from(start > 0);
            let cut = usize::try_from(kept).unwrap_or(usize::MAX).min(self.dense.len());
            let mut freed = 0;
            for chunk in self.dense.drain(cut..).chain(self.sparse.split_off(&kept).into_values()) {
                freed += chunk.capacity() as u64;
                self.chunks -= usize::from(chunk.capacity() > 0);
            }
            if let Some(chunk) = self.existing(index) {
                let before = chunk.capacity();
                chunk.truncate(start);
                if chunk.capacity() / 4 >= start.next_power_of_two().max(FIRST_CHUNK_BYTES_MIN) {
                    chunk.shrink_to(start.next_power_of_two().max(FIRST_CHUNK_BYTES_MIN));
                }
                freed += before.saturating_sub(chunk.capacity()) as u64;
            }
            let freed = freed.min(self.charged_bytes);
            self.charged_bytes -= freed;
            quota.refund(freed);
            if let Some(under) = &mut self.under {
                under.limit = under.limit.min(size);
            }
        }
        self.size = size;
        Ok(())
    }

    fn chunk(&self, index: u64) -> Option<&Vec<u8>> {
        match usize::try_from(index).ok().and_then(|index| self.dense.get(index)) {
            Some(chunk) => Some(chunk).filter(|chunk| chunk.capacity() > 0),
            None => self.sparse.get(&index),
        }
    }

    fn existing(&mut self, index: u64) -> Option<&mut Vec<u8>> {
        match usize::try_from(index).ok().and_then(|index| self.dense.get_mut(index)) {
            Some(chunk) => Some(chunk).filter(|chunk| chunk.capacity() > 0),
            None => self.sparse.get_mut(&index),
        }
    }

    /// Writes within one chunk; answers how many bytes the quota let in, at least one.
    fn write_chunk(
        &mut self,
        index: u64,
        start: usize,
        bytes: &[u8],
        under: &[u8],
        quota: &Quota,
    ) -> Result<usize, Errno> {
        if let Some(chunk) = self.existing(index) {
            // The common case: there is room already.
            if start + bytes.len() <= chunk.capacity() {
                put(chunk, start, bytes);
                return Ok(bytes.len());
            }
            let capacity_before = chunk.capacity();
            let capacity = grow(chunk, start + 1, start + bytes.len(), index, quota)?;
            let taken = bytes.len().min(capacity - start);
            put(chunk, start, bytes.get(..taken).unwrap_or_default());
            self.charged_bytes += (capacity - capacity_before) as u64;
            return Ok(taken);
        }
        let shown = shown(under, index);
        let mut chunk = Vec::new();
        let end = start + bytes.len();
        let capacity = grow(&mut chunk, shown.len().max(start + 1), shown.len().max(end), index, quota)?;
        let taken = bytes.len().min(capacity - start);
        if start > 0 || taken < shown.len() {
            chunk.extend_from_slice(shown);
        }
        put(&mut chunk, start, bytes.get(..taken).unwrap_or_default());
        self.insert(index, chunk);
        self.chunks += 1;
        self.charged_bytes += capacity as u64;
        Ok(taken)
    }

    fn insert(&mut self, index: u64, chunk: Vec<u8>) {
        let dense_max = 64 + 2 * self.chunks;
        match usize::try_from(index) {
            Ok(index) if index < self.dense.len().max(dense_max) => {
                while self.dense.len() <= index {
                    let next = self.sparse.remove(&(self.dense.len() as u64)).unwrap_or_default();
                    self.dense.push(next);
                }
                if let Some(slot) = self.dense.get_mut(index) {
                    *slot = chunk;
                }
            }
            _ => {
                self.sparse.insert(index, chunk);
            }
        }
    }
}

/// The chunk at `offset`, and the offset in it.
fn position(offset: u64) -> (u64, usize) {
    (offset / CHUNK_BYTES as u64, (offset % CHUNK_BYTES as u64) as usize)
}

/// The part of the image's file that shows through in chunk `index`.
fn shown(under: &[u8], index: u64) -> &[u8] {
    let start = usize::try_from(index).ok().and_then(|index| index.checked_mul(CHUNK_BYTES)).unwrap_or(usize::MAX);
    let rest = under.get(start..).unwrap_or_default();
    rest.get(..CHUNK_BYTES).unwrap_or(rest)
}

/// Copies from `start` of `source`, and zeroes where it ends.
fn copy_or_zero(source: &[u8], start: usize, target: &mut [u8]) {
    let source = source.get(start..).unwrap_or_default();
    let length = source.len().min(target.len());
    let (copied, zeroed) = target.split_at_mut(length);
    copied.copy_from_slice(source.get(..length).unwrap_or_default());
    zeroed.fill(0);
}

/// Makes room in a chunk for `wanted` bytes, or at least for `least`, and charges it; answers the new capacity.
fn grow(chunk: &mut Vec<u8>, least: usize, wanted: usize, index: u64, quota: &Quota) -> Result<usize, Errno> {
    let have = chunk.capacity();
    let min = if index == 0 { FIRST_CHUNK_BYTES_MIN } else { LATER_CHUNK_BYTES_MIN };
    let roomy = wanted.next_power_of_two().clamp(min, CHUNK_BYTES);
    let least = least.max(have);
    let charged = quota.charge_up_to((roomy - have) as u64, (least - have) as u64)?;
    let capacity = have + charged as usize;
    if capacity > have && chunk.try_reserve_exact(capacity - chunk.len()).is_err() {
        quota.refund(charged);
        return Err(Errno::Nospc);
    }
    Ok(capacity)
}

/// Puts `bytes` at `start` of a chunk that has room for them.
fn put(chunk: &mut Vec<u8>, start: usize, bytes: &[u8]) {
    if start > chunk.len() {
        chunk.resize(start, 0);
    }
    let overlap = (chunk.len() - start).min(bytes.len());
    let (over, beyond) = bytes.split_at(overlap);
    if let Some(target) = chunk.get_mut(start..start + overlap) {
        target.copy_from_slice(over);
    }
    chunk.extend_from_slice(beyond);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quota() -> Quota {
        Quota::new(1 << 30, 1)
    }

    fn all(data: &FileData, under: &[u8]) -> Vec<u8> {
        let mut buffer = vec![0xee; data.size() as usize];
        assert_eq!(data.read(0, &mut buffer, under), buffer.len());
        buffer
    }

    #[test]
    fn ten_gibibytes_of_nothing_take_one_chunk() {
        let (mut data, quota) = (FileData::default(), quota());
        data.set_size(10 << 30, &quota).unwrap();
        assert_eq!(quota.bytes().0, 0);
        assert_eq!(data.write((10 << 30) - 1, b"z", &[], &quota), Ok(1));
        assert!(quota.bytes().0 <= CHUNK_BYTES as u64 && data.dense.is_empty());
        let mut buffer = [1; 3];
        assert_eq!(data.read((10 << 30) - 2, &mut buffer, &[]), 2);
        assert_eq!(buffer, [0, b'z', 1]);
        data.set_size(0, &quota).unwrap();
        assert_eq!((quota.bytes().0, data.charged_bytes(), data.chunks), (0, 0, 0));
    }

    #[test]
    fn the_largest_offset_is_the_last() {
        let (mut data, quota) = (FileData::default(), quota());
        assert_eq!(data.write(FILE_BYTES_MAX, b"x", &[], &quota), Err(Errno::Fbig));
        assert_eq!(data.write(u64::MAX, b"x", &[], &quota), Err(Errno::Fbig));
        assert_eq!(data.write(FILE_BYTES_MAX - 2, b"xyz", &[], &quota), Ok(2));
        assert_eq!(data.set_size(FILE_BYTES_MAX + 1, &quota), Err(Errno::Fbig));
        assert_eq!(data.read(u64::MAX, &mut [0; 8], &[]), 0);
        assert_eq!(data.read(FILE_BYTES_MAX - 1, &mut [0; 8], &[]), 1);
    }

    #[test]
    fn the_image_shows_through_until_it_is_written_over() {
        let under: Vec<u8> = (0..200_000).map(|at| (at % 251) as u8).collect();
        let (mut data, quota) = (FileData::over(Under { index: 0, limit: under.len() as u64 }), quota());
        let mut model = under.clone();
        assert_eq!(all(&data, &under), model);
        assert_eq!(data.untouched(200_000), Some(0));
        data.write(70_000, b"changed", &under, &quota).unwrap();
        model[70_000..70_007].copy_from_slice(b"changed");
        assert_eq!(all(&data, &under), model);
        assert_eq!(data.untouched(200_000), None);
        data.set_size(150_000, &quota).unwrap();
        let limit = data.under().unwrap().limit as usize;
        data.set_size(200_000, &quota).unwrap();
        model[150_000..].fill(0);
        assert_eq!(all(&data, &under[..limit]), model);
    }

    #[test]
    fn a_write_takes_what_fits_and_then_fails() {
        let (mut data, quota) = (FileData::default(), Quota::new(100_000, 1));
        assert_eq!(data.write(0, &[1; 200_000], &[], &quota), Ok(100_000));
        assert_eq!((data.size(), quota.bytes().0), (100_000, 100_000));
        assert_eq!(data.write(100_000, b"x", &[], &quota), Err(Errno::Nospc));
        assert_eq!(data.write(0, &[2; 100_000], &[], &quota), Ok(100_000), "writing over needs no space");
        assert_eq!(data.write(99_999, b"ab", &[], &quota), Ok(1));
        data.set_size(10, &quota).unwrap();
        assert!(quota.bytes().0 < 200);
        assert_eq!(data.charged_bytes(), quota.bytes().0);
    }

    /// Random operations against a plain vector.
    #[test]
    fn it_is_a_vector_with_holes() {
        let mut seed = 42_u64;
        let mut random = move |below: u64| {
            seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (seed >> 33) % below
        };
        for round in 0..25 {
            let quota = quota();
            let base: Vec<u8> = (0..random(300_000)).map(|at| (at % 253) as u8 + 1).collect();
            let mut data = FileData::over(Under { index: 0, limit: base.len() as u64 });
            let mut model = base.clone();
            for step in 0..40 {
                let under = &base[..data.under().unwrap().limit as usize];
                let offset = if random(8) == 0 { random(1 << 22) } else { random(400_000) };
                if random(4) == 0 {
                    data.set_size(offset, &quota).unwrap();
                    model.resize(offset as usize, 0);
                } else {
                    let whole = random(3) == 0;
                    let offset = if whole { offset - offset % CHUNK_BYTES as u64 } else { offset };
                    let length = if whole { CHUNK_BYTES } else { random(100_000) as usize };
                    let bytes = vec![random(256) as u8; length];
                    let adopted = if whole { data.adopt(offset, bytes.clone(), &quota) } else { Err(bytes.clone()) };
                    let count = match adopted {
                        Ok(count) => count,
                        Err(bytes) => data.write(offset, &bytes, under, &quota).unwrap(),
                    };
                    assert_eq!(count, bytes.len());
                    let end = offset as usize + bytes.len();
                    if model.len() < end && !bytes.is_empty() {
                        model.resize(end, 0);
                    }
                    if let Some(target) = model.get_mut(offset as usize..end) {
                        target.copy_from_slice(&bytes);
                    }
                }
                let under = &base[..data.under().unwrap().limit as usize];
                assert_eq!(data.size(), model.len() as u64);
                assert!(all(&data, under) == model, "round {round}, step {step}");
                let (from, length) = (random(400_000), random(200_000) as usize);
                let mut given = Vec::new();
                data.read_with(from, length, under, &mut |bytes| given.extend_from_slice(bytes));
                let rest = model.get(from as usize..).unwrap_or_default();
                assert!(given == rest[..length.min(rest.len())], "round {round}, step {step}: {length} at {from}");
                assert_eq!(data.charged_bytes(), quota.bytes().0);
            }
            data.set_size(0, &quota).unwrap();
            assert_eq!((data.charged_bytes(), quota.bytes().0, data.chunks), (0, 0, 0));
        }
    }
}
