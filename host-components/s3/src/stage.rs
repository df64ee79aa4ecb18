//! A file that is being changed: what was written, over the object as it was.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::Bytes;
use eyot_backend::Errno;
use http::HeaderMap;

use crate::cache::Source;
use crate::engine::Engine;
use crate::failure::Failure;
use crate::ranges::Ranges;
use crate::upload::{PARTS_COUNT_MAX, Upload};

/// The shortest part of an upload but the last.
const PART_BYTES_MIN: u64 = 5 << 20;

/// What was written and is not on the server.
pub(crate) struct Stage {
    engine: Arc<Engine>,
    store: Store,
    /// Where the store holds what was written.
    dirty: Ranges,
    pub(crate) size: u64,
    /// What lies below.
    base: Option<Source>,
    /// How much of the base is still to be seen: it shrinks when the file is cut.
    base_bytes: u64,
}

enum Store {
    /// Up to a part, while there is room for all.
    Memory { bytes: Vec<u8>, charged: u64 },
    /// A file without a name.
    Disk(File),
}

impl Stage {
    /// Over an object, or over nothing.
    pub(crate) fn new(engine: &Arc<Engine>, base: Option<Source>) -> Self {
        let size = base.as_ref().map_or(0, |base| base.size);
        let store = Store::Memory { bytes: Vec::new(), charged: 0 };
        Self { engine: Arc::clone(engine), store, dirty: Ranges::default(), size, base, base_bytes: size }
    }

    /// Whether nothing lies below and everything was written from the start on, without a gap.
    pub(crate) fn is_sequence(&self) -> bool {
        self.base.is_none() && self.dirty.covers(0..self.size)
    }

    pub(crate) fn write(&mut self, offset: u64, bytes: &[u8]) -> Result<(), Errno> {
        let end = offset.checked_add(bytes.len() as u64).ok_or(Errno::Fbig)?;
        self.make_room(end)?;
        match &mut self.store {
            Store::Memory { bytes: held, .. } => {
                let (from, to) = (offset as usize, end as usize);
                if held.len() < to {
                    held.resize(to, 0);
                }
                held.get_mut(from..to).ok_or(Errno::Io)?.copy_from_slice(bytes);
            }
            Store::Disk(file) => file.write_all_at(bytes, offset).map_err(|error| host_error(&error))?,
        }
        self.dirty.insert(offset..end);
        self.size = self.size.max(end);
        Ok(())
    }

    /// Sees to it that the store can hold bytes up to `end`: in memory, or else on the disk.
    fn make_room(&mut self, end: u64) -> Result<(), Errno> {
        let Store::Memory { bytes, charged } = &mut self.store else { return Ok(()) };
        if end <= *charged {
            return Ok(());
        }
        let wanted = end.next_multiple_of(64 << 10);
        if end <= self.engine.tuning.part_bytes && self.engine.take_memory(wanted - *charged) {
            *charged = wanted;
            return Ok(());
        }
        let made = match &self.engine.tuning.stage_directory {
            Some(directory) => tempfile::tempfile_in(directory),
            None => tempfile::tempfile(),
        };
        let file = made.map_err(|error| host_error(&error))?;
        for range in self.dirty.within(0..bytes.len() as u64) {
            let part = bytes.get(range.start as usize..range.end as usize).ok_or(Errno::Io)?;
            file.write_all_at(part, range.start).map_err(|error| host_error(&error))?;
        }
        self.engine.give_memory(*charged);
        self.store = Store::Disk(file);
        Ok(())
    }

    pub(crate) fn set_size(&mut self, size: u64) {
        self.base_bytes = self.base_bytes.min(size);
        self.dirty.cut(size);
        self.size = size;
    }

    /// Fills the buffer from `offset` on; the file must be long enough.
    pub(crate) fn read(&self, offset: u64, buffer: &mut [u8]) -> Result<(), Failure> {
        let end = offset + buffer.len() as u64;
        if !self.dirty.covers(offset..end) {
            buffer.fill(0);
            let below = end.min(self.base_bytes);
            if let (Some(base), true) = (&self.base, below > offset) {
                let engine = &self.engine;
                let part = buffer.get_mut(..(below - offset) as usize).unwrap_or_default();
                engine.cache.read((&engine.handle, &engine.client), base, offset, part, None)?;
            }
        }
        for range in self.dirty.within(offset..end) {
            let place = buffer.get_mut((range.start - offset) as usize..(range.end - offset) as usize);
            let place = place.unwrap_or_default();
            match &self.store {
                Store::Memory { bytes, .. } => {
                    let held = bytes.get(range.start as usize..range.end as usize);
                    place.copy_from_slice(held.ok_or(Failure::Refused(Errno::Io))?);
                }
                Store::Disk(file) => {
                    file.read_exact_at(place, range.start).map_err(|error| Failure::Refused(host_error(&error)))?;
                }
            }
        }
        Ok(())
    }

    /// Some of the file as bytes of their own.
    pub(crate) fn bytes(&self, offset: u64, length: u64) -> Result<Bytes, Failure> {
        let length = usize::try_from(length).map_err(|_| Failure::Refused(Errno::Fbig))?;
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(length).map_err(|_| Failure::Refused(Errno::Nomem))?;
        bytes.resize(length, 0);
        self.read(offset, &mut bytes)?;
        Ok(bytes.into())
    }

    /// Takes what lies below into the store, so that the object may go.
    pub(crate) fn detach(&mut self) -> Result<(), Errno> {
        let mut at = 0;
        while at < self.base_bytes.min(self.size) {
            let length = (self.base_bytes.min(self.size) - at).min(1 << 20);
            let piece = self.bytes(at, length).map_err(|failure| crate::engine::log("keep", "", &failure))?;
            let size = self.size;
            self.write(at, &piece)?;
            self.size = size;
            at += length;
        }
        (self.base, self.base_bytes) = (None, 0);
        Ok(())
    }

    /// Makes the object what the file is; answers its ETag.
    pub(crate) fn upload(&self, key: &str, metadata: &HeaderMap) -> Result<(Option<Arc<str>>, Option<Bytes>), Failure> {
        let part = self.engine.tuning.part_bytes;
        if self.size <= part {
            let (bytes, key, metadata) = (self.bytes(0, self.size)?, key.to_owned(), metadata.clone());
            let sent = bytes.clone();
            let etag = self.engine.wait(|client| async move { client.put(&key, sent, &metadata).await })?;
            return Ok((etag, Some(bytes)));
        }
        let part = part.max(self.size.div_ceil(PARTS_COUNT_MAX).next_multiple_of(1 << 20));
        let mut upload = Upload::begin(&self.engine, key, metadata.clone())?;
        let mut at = 0;
        while at < self.size {
            let end = self.size.min(at + part);
            match &self.base {
                Some(base) if self.is_untouched(at, end) => {
                    upload.copy(Arc::clone(&base.key), base.etag.clone(), at..end)?;
                }
                _ => upload.put(self.bytes(at, end - at)?)?,
            }
            at = end;
        }
        Ok((upload.end(self.size)?, None))
    }

    /// Whether a part is just what the object has there.
    fn is_untouched(&self, at: u64, end: u64) -> bool {
        let is_long = end - at >= PART_BYTES_MIN || end == self.size;
        is_long && end <= self.base_bytes && !self.dirty.touches(at..end)
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if let Store::Memory { charged, .. } = &self.store {
            self.engine.give_memory(*charged);
        }
    }
}

fn host_error(error: &std::io::Error) -> Errno {
    tracing::warn!(%error, "s3: a file cannot be staged");
    error.raw_os_error().and_then(Errno::from_linux).filter(|errno| *errno == Errno::Nospc).unwrap_or(Errno::Io)
}
