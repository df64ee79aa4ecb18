//! The bytes of one file: on the server, staged, or streaming there.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use eyot_backend::Errno;
use http::HeaderMap;
use tokio::sync::OwnedSemaphorePermit;

use crate::cache::Source;
use crate::engine::{Engine, log};
use crate::failure::Failure;
use crate::requests::Object;
use crate::stage::Stage;
use crate::upload::{Upload, buffer};

/// What S3 takes: 5 TiB.
pub(crate) const SIZE_MAX: u64 = 5 << 40;
/// What is kept in the cache after a write, at most.
const FILL_BYTES_MAX: u64 = 1 << 20;

/// Where the bytes of a file are.
#[derive(Default)]
pub(crate) enum Content {
    /// In the object, if there is one.
    #[default]
    Clean,
    /// Here, over the object as it was.
    Staged(Stage),
    /// On their way, in order.
    Streaming(Stream),
}

/// A new file that is written from its start on, without a gap: its parts go as soon as they are full.
pub(crate) struct Stream {
    upload: Upload,
    tail: BytesMut,
    size: u64,
    _permit: OwnedSemaphorePermit,
}

/// A file's bytes and what is to become of them.
#[derive(Default)]
pub(crate) struct Body {
    pub(crate) content: Content,
    /// They differ from the object, or there is none yet.
    pub(crate) dirty: bool,
    /// The file has no name any more: nothing is uploaded.
    pub(crate) orphan: bool,
    /// Bytes were lost; whoever makes sure of them hears of it.
    pub(crate) lost: Option<Errno>,
}

/// Which object a body belongs to.
pub(crate) struct Place<'a> {
    pub(crate) engine: &'a Arc<Engine>,
    pub(crate) key: &'a str,
    pub(crate) object: &'a Object,
}

impl Place<'_> {
    fn source(&self) -> Option<Source> {
        (self.object.size > 0).then(|| self.engine.cache.source(self.key, self.object))
    }
}

impl Body {
    /// A file that is not on the server yet.
    pub(crate) fn new(engine: &Arc<Engine>) -> Self {
        Self { content: Content::Staged(Stage::new(engine, None)), dirty: true, orphan: false, lost: None }
    }

    /// How long the file is, when that is known here.
    pub(crate) fn size(&self) -> Option<u64> {
        match &self.content {
            Content::Clean => None,
            Content::Staged(stage) => Some(stage.size),
            Content::Streaming(stream) => Some(stream.size),
        }
    }

    /// The stage, which is laid over the object when there is none.
    fn stage(&mut self, place: &Place<'_>) -> Result<&mut Stage, Errno> {
        if matches!(self.content, Content::Clean) {
            self.content = Content::Staged(Stage::new(place.engine, place.source()));
        }
        match &mut self.content {
            Content::Staged(stage) => Ok(stage),
            _ => Err(Errno::Io),
        }
    }

    /// Writes. A stream must have been sealed before, unless the write goes on where it ends.
    pub(crate) fn write(
        &mut self,
        place: &Place<'_>,
        metadata: &HeaderMap,
        offset: u64,
        bytes: &[u8],
    ) -> Result<(), Errno> {
        if offset.checked_add(bytes.len() as u64).is_none_or(|end| end > SIZE_MAX) {
            return Err(Errno::Fbig);
        }
        if let Content::Streaming(stream) = &mut self.content {
            return match stream.append(place.engine.tuning.part_bytes, bytes) {
                Ok(()) => Ok(()),
                Err(failure) => Err(self.lose(place.key, &failure)),
            };
        }
        let part = place.engine.tuning.part_bytes;
        let orphan = self.orphan;
        let stage = self.stage(place)?;
        let begins_stream =
            !orphan && offset == stage.size && offset + bytes.len() as u64 > part && stage.is_sequence();
        if begins_stream && let Some(stream) = Stream::begin(place, metadata, stage)? {
            self.content = Content::Streaming(stream);
            self.dirty = true;
            return self.write(place, metadata, offset, bytes);
        }
        stage.write(offset, bytes)?;
        self.dirty = true;
        Ok(())
    }

    pub(crate) fn set_size(&mut self, place: &Place<'_>, size: u64) -> Result<(), Errno> {
        if size > SIZE_MAX {
            return Err(Errno::Fbig);
        }
        if size == 0 {
            // What lay below is of no interest any more.
            self.content = Content::Staged(Stage::new(place.engine, None));
        } else {
            self.stage(place)?.set_size(size);
        }
        self.dirty = true;
        Ok(())
    }

    /// Fetches what is only on the server, so that the object may go.
    pub(crate) fn keep(&mut self, place: &Place<'_>) -> Result<(), Errno> {
        self.stage(place)?.detach()?;
        Ok(())
    }

    /// Whether the stream has to be sealed before anything else happens to the file.
    pub(crate) fn is_streaming(&self) -> bool {
        matches!(self.content, Content::Streaming(_))
    }

    /// Where a stream ends.
    pub(crate) fn goes_on_at(&self, offset: u64) -> bool {
        matches!(&self.content, Content::Streaming(stream) if stream.size == offset)
    }

    /// Brings the file to the server; answers what it is there, or nothing when it is there already. `metadata` is for an object that is made by this
    /// call; a stream began with its own.
    pub(crate) fn upload(&mut self, place: &Place<'_>, metadata: &HeaderMap) -> Result<Option<Uploaded>, Errno> {
        if let Some(errno) = self.lost.take() {
            return Err(errno);
        }
        if self.orphan || !self.dirty {
            return Ok(None);
        }
        match std::mem::take(&mut self.content) {
            Content::Clean => Ok(None),
            Content::Streaming(stream) => {
                let size = stream.size;
                match stream.end() {
                    Ok(etag) => {
                        self.dirty = false;
                        Ok(Some(Uploaded { etag, size, streamed: true }))
                    }
                    Err(failure) => {
                        self.lose(place.key, &failure);
                        Err(self.lost.take().unwrap_or(Errno::Io))
                    }
                }
            }
            Content::Staged(stage) => match stage.upload(place.key, metadata) {
                Ok((etag, bytes)) => {
                    self.dirty = false;
                    let size = stage.size;
                    fill(place, size, etag.as_ref(), bytes);
                    Ok(Some(Uploaded { etag, size, streamed: false }))
                }
                Err(failure) => {
                    // Nothing is lost: it is tried again at the next occasion.
                    self.content = Content::Staged(stage);
                    Err(log("upload", place.key, &failure))
                }
            },
        }
    }

    /// A stream broke: what was sent is gone.
    fn lose(&mut self, key: &str, failure: &Failure) -> Errno {
        let errno = log("upload", key, failure);
        (self.content, self.dirty, self.lost) = (Content::Clean, false, Some(errno));
        errno
    }
}

/// What is on the server after an upload.
pub(crate) struct Uploaded {
    pub(crate) etag: Option<Arc<str>>,
    pub(crate) size: u64,
    /// Its metadata is from when it began.
    pub(crate) streamed: bool,
}

fn fill(place: &Place<'_>, size: u64, etag: Option<&Arc<str>>, bytes: Option<Bytes>) {
    if let (Some(bytes), Some(etag), true) = (bytes, etag, size <= FILL_BYTES_MAX) {
        let object = Object { size, etag: Some(Arc::clone(etag)), ..Object::default() };
        place.engine.cache.fill(&place.engine.cache.source(place.key, &object), &bytes);
    }
}

impl Stream {
    /// Begins with what is staged, when there is room for one more stream.
    fn begin(place: &Place<'_>, metadata: &HeaderMap, stage: &Stage) -> Result<Option<Self>, Errno> {
        let Ok(permit) = Arc::clone(&place.engine.streams).try_acquire_owned() else { return Ok(None) };
        let failed = |failure: Failure| log("upload", place.key, &failure);
        // The time of the last write is not known yet: the server's own stands for it.
        let mut metadata = metadata.clone();
        metadata.remove("x-amz-meta-mtime");
        let upload = Upload::begin(place.engine, place.key, metadata).map_err(failed)?;
        let mut tail = buffer(place.engine.tuning.part_bytes);
        tail.extend_from_slice(&stage.bytes(0, stage.size).map_err(failed)?);
        Ok(Some(Self { upload, tail, size: stage.size, _permit: permit }))
    }

    fn append(&mut self, part_bytes: u64, mut bytes: &[u8]) -> Result<(), Failure> {
        self.size += bytes.len() as u64;
        while !bytes.is_empty() {
            let room = usize::try_from(part_bytes).unwrap_or(usize::MAX).saturating_sub(self.tail.len());
            let (now, later) = bytes.split_at(bytes.len().min(room));
            self.tail.extend_from_slice(now);
            bytes = later;
            if self.tail.len() as u64 >= part_bytes {
                let full = std::mem::replace(&mut self.tail, BytesMut::new());
                self.upload.put(full.freeze())?;
                self.tail = buffer(part_bytes);
            }
        }
        Ok(())
    }

    fn end(mut self) -> Result<Option<Arc<str>>, Failure> {
        if !self.tail.is_empty() {
            let tail = std::mem::take(&mut self.tail);
            self.upload.put(tail.freeze())?;
        }
        self.upload.end(self.size)
    }
}
