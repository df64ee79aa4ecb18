//! An upload in parts, several on their way at once.

use std::ops::Range;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use parking_lot::{Condvar, Mutex};
use tokio::sync::OwnedSemaphorePermit;

use crate::client::{Client, Tries};
use crate::engine::Engine;
use crate::failure::Failure;

/// The most parts of an object.
pub(crate) const PARTS_COUNT_MAX: u64 = 10_000;

/// An upload that has begun. Dropped before its end, it is given up.
pub(crate) struct Upload {
    engine: Arc<Engine>,
    key: Arc<str>,
    id: Arc<str>,
    progress: Arc<Progress>,
    ended: bool,
}

/// How far the parts are.
#[derive(Default)]
struct Progress {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    etags: Vec<Option<String>>,
    under_way: usize,
    failed: Option<Failure>,
}

/// One part that is under way; however it ends, it is counted.
struct Part {
    progress: Arc<Progress>,
    index: usize,
    ended: Option<Result<String, Failure>>,
    _permit: OwnedSemaphorePermit,
}

impl Part {
    fn end(mut self, ended: Result<String, Failure>) {
        self.ended = Some(ended);
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        let mut state = self.progress.state.lock();
        state.under_way -= 1;
        match self.ended.take() {
            Some(Ok(etag)) => {
                if let Some(place) = state.etags.get_mut(self.index) {
                    *place = Some(etag);
                }
            }
            Some(Err(failure)) => state.failed = state.failed.take().or(Some(failure)),
            None => state.failed = Some(Failure::Interrupted("the mount is ending".into())),
        }
        drop(state);
        self.progress.changed.notify_all();
    }
}

impl Upload {
    pub(crate) fn begin(engine: &Arc<Engine>, key: &str, metadata: HeaderMap) -> Result<Self, Failure> {
        let key: Arc<str> = key.into();
        let of = Arc::clone(&key);
        let id = engine.wait(|client| async move { client.begin_upload(&of, &metadata).await })?;
        let progress = Arc::default();
        Ok(Self { engine: Arc::clone(engine), key, id: id.into(), progress, ended: false })
    }

    /// Takes room among the parts under way, and waits for it. Errors: a part that failed before.
    fn part(&mut self) -> Result<Part, Failure> {
        let parts = Arc::clone(&self.engine.parts);
        let ending = |_| Failure::Interrupted("the mount is ending".into());
        let permit = match Arc::clone(&parts).try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => self.engine.wait(|_| async move { parts.acquire_owned().await.map_err(ending) })?,
        };
        let mut state = self.progress.state.lock();
        if let Some(failure) = &state.failed {
            return Err(failure.clone());
        }
        if state.etags.len() as u64 >= PARTS_COUNT_MAX {
            return Err(Failure::Refused(eyot_backend::Errno::Fbig));
        }
        let index = state.etags.len();
        state.etags.push(None);
        state.under_way += 1;
        Ok(Part { progress: Arc::clone(&self.progress), index, ended: None, _permit: permit })
    }

    /// The next part is these bytes.
    pub(crate) fn put(&mut self, bytes: Bytes) -> Result<(), Failure> {
        let part = self.part()?;
        let (client, key, id) = (Arc::clone(&self.engine.client), Arc::clone(&self.key), Arc::clone(&self.id));
        self.engine.handle.spawn(async move {
            let ended = client.put_part(&key, &id, number(part.index), bytes).await;
            part.end(ended);
        });
        Ok(())
    }

    /// The next part is bytes that another object has, or this one had.
    pub(crate) fn copy(&mut self, from: Arc<str>, etag: Option<Arc<str>>, range: Range<u64>) -> Result<(), Failure> {
        let part = self.part()?;
        let (client, key, id) = (Arc::clone(&self.engine.client), Arc::clone(&self.key), Arc::clone(&self.id));
        self.engine.handle.spawn(async move {
            let number = number(part.index);
            let copied = client.copy_part(&key, &id, number, (&from, etag.as_deref()), range.clone()).await;
            part.end(match copied {
                // A server that cannot: the bytes go there and back.
                Err(failure) if matches!(failure.status(), Some(400 | 405 | 501)) => {
                    match get(&client, &from, etag.as_deref(), range).await {
                        Ok(bytes) => client.put_part(&key, &id, number, bytes).await,
                        Err(failure) => Err(failure),
                    }
                }
                ended => ended,
            });
        });
        Ok(())
    }

    /// Waits for all parts and makes the object, which is `size` bytes long; answers its ETag.
    pub(crate) fn end(mut self, size: u64) -> Result<Option<Arc<str>>, Failure> {
        let etags = self.wait()?;
        let (key, id) = (Arc::clone(&self.key), Arc::clone(&self.id));
        let etag = self.engine.wait(|client| async move { client.end_upload(&key, &id, &etags, size).await })?;
        self.ended = true;
        Ok(etag)
    }

    fn wait(&self) -> Result<Vec<String>, Failure> {
        let mut state = self.progress.state.lock();
        while state.under_way > 0 && state.failed.is_none() {
            self.progress.changed.wait(&mut state);
        }
        if let Some(failure) = &state.failed {
            return Err(failure.clone());
        }
        let etags: Option<Vec<String>> = state.etags.iter().cloned().collect();
        etags.ok_or(Failure::Nonsense("a part is missing"))
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        let (client, key, id) = (Arc::clone(&self.engine.client), Arc::clone(&self.key), Arc::clone(&self.id));
        self.engine.handle.spawn(async move {
            if let Err(failure) = client.drop_upload(&key, &id).await {
                tracing::warn!(key = &*key, upload = &*id, %failure, "s3: an upload that was given up is left over");
            }
        });
    }
}

/// The number of a part in S3's counting.
fn number(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX - 1) + 1
}

/// Some bytes of an object, with tries.
async fn get(client: &Client, key: &str, etag: Option<&str>, range: Range<u64>) -> Result<Bytes, Failure> {
    let length = usize::try_from(range.end - range.start).map_err(|_| Failure::Refused(eyot_backend::Errno::Fbig))?;
    let mut tries = Tries::new(client.retry);
    loop {
        let once = async {
            let mut answer = client.get_range(key, etag, range.clone()).await?;
            let bytes: Bytes = answer.whole(length).await?;
            let short = Failure::Interrupted("the answer ends too early".into());
            if bytes.len() == length { Ok(bytes) } else { Err(short) }
        };
        match once.await {
            Ok(bytes) => return Ok(bytes),
            Err(failure) => tries.again(failure).await?,
        }
    }
}

/// Room for a part that is filled bit by bit.
pub(crate) fn buffer(bytes: u64) -> BytesMut {
    BytesMut::with_capacity(usize::try_from(bytes).unwrap_or(0))
}
