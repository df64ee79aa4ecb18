//! A server of S3 in memory that keeps to the letter of what the filesystem relies on: listings in pages and in order, directories that are nothing but keys,
//! conditions, copies with and without new metadata, uploads in parts.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use s3s::dto::*;
use s3s::{S3, S3Request, S3Response, S3Result, s3_error};

/// The bucket that there is.
pub const BUCKET: &str = "bucket";

#[derive(Clone)]
pub struct Stored {
    pub body: Bytes,
    pub etag: String,
    pub modified: SystemTime,
    pub metadata: HashMap<String, String>,
    pub content_type: Option<String>,
}

struct Begun {
    key: String,
    metadata: HashMap<String, String>,
    content_type: Option<String>,
    parts: BTreeMap<i32, (String, Bytes)>,
}

#[derive(Default)]
pub struct State {
    pub objects: BTreeMap<String, Stored>,
    uploads: HashMap<String, Begun>,
    /// How often each kind of request was made.
    pub counts: BTreeMap<&'static str, u64>,
}

impl State {
    pub fn uploads(&self) -> usize {
        self.uploads.len()
    }

    /// As somebody else would.
    pub fn put(&mut self, key: &str, body: impl Into<Bytes>) {
        self.store(key, body.into(), HashMap::new(), None, None);
    }

    fn store(
        &mut self,
        key: &str,
        body: Bytes,
        metadata: HashMap<String, String>,
        content_type: Option<String>,
        parts: Option<usize>,
    ) -> String {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let number = COUNT.fetch_add(1, SeqCst);
        let etag = parts.map_or_else(|| format!("{number:032x}"), |parts| format!("{number:032x}-{parts}"));
        let stored = Stored { body, etag: etag.clone(), modified: SystemTime::now(), metadata, content_type };
        self.objects.insert(key.to_owned(), stored);
        etag
    }
}

/// The server.
#[derive(Clone, Default)]
pub struct Model(Arc<Mutex<State>>);

impl Model {
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(&self, bucket: &str, what: &'static str) -> S3Result<MutexGuard<'_, State>> {
        if bucket != BUCKET {
            return Err(s3_error!(NoSuchBucket));
        }
        let mut state = self.state();
        *state.counts.entry(what).or_default() += 1;
        Ok(state)
    }
}

async fn collect(body: Option<StreamingBlob>) -> S3Result<Bytes> {
    let mut all = BytesMut::new();
    let Some(mut body) = body else { return Ok(Bytes::new()) };
    while let Some(piece) = body.next().await {
        all.extend_from_slice(&piece.map_err(|_| s3_error!(IncompleteBody))?);
    }
    Ok(all.freeze())
}

fn matches(condition: Option<&ETagCondition>, etag: &str) -> S3Result<()> {
    match condition {
        Some(ETagCondition::ETag(wanted)) if wanted.value() != etag => Err(s3_error!(PreconditionFailed)),
        _ => Ok(()),
    }
}

fn source(source: &CopySource) -> S3Result<(&str, &str)> {
    match source {
        CopySource::Bucket { bucket, key, .. } => Ok((bucket, key)),
        _ => Err(s3_error!(NotImplemented)),
    }
}

fn check_key(key: &str) -> S3Result<()> {
    if key.len() > 1024 { Err(s3_error!(KeyTooLongError)) } else { Ok(()) }
}

#[async_trait::async_trait]
impl S3 for Model {
    async fn head_object(&self, req: S3Request<HeadObjectInput>) -> S3Result<S3Response<HeadObjectOutput>> {
        let input = req.input;
        let state = self.enter(&input.bucket, "head")?;
        let found = state.objects.get(&*input.key).ok_or_else(|| s3_error!(NoSuchKey))?.clone();
        Ok(S3Response::new(HeadObjectOutput {
            content_length: Some(found.body.len() as i64),
            e_tag: Some(ETag::Strong(found.etag)),
            last_modified: Some(found.modified.into()),
            metadata: Some(found.metadata),
            content_type: found.content_type,
            ..Default::default()
        }))
    }

    async fn get_object(&self, req: S3Request<GetObjectInput>) -> S3Result<S3Response<GetObjectOutput>> {
        let input = req.input;
        let state = self.enter(&input.bucket, "get")?;
        let found = state.objects.get(&*input.key).ok_or_else(|| s3_error!(NoSuchKey))?.clone();
        drop(state);
        matches(input.if_match.as_ref(), &found.etag)?;
        let size = found.body.len() as u64;
        let (body, range) = match input.range {
            Some(range) => {
                let range = range.check(size).map_err(|_| s3_error!(InvalidRange))?;
                let told = format!("bytes {}-{}/{size}", range.start, range.end - 1);
                (found.body.slice(range.start as usize..range.end as usize), Some(told))
            }
            None => (found.body.clone(), None),
        };
        Ok(S3Response::new(GetObjectOutput {
            content_length: Some(body.len() as i64),
            body: Some(s3s::Body::from(body).into()),
            content_range: range,
            e_tag: Some(ETag::Strong(found.etag)),
            last_modified: Some(found.modified.into()),
            metadata: Some(found.metadata),
            ..Default::default()
        }))
    }

    async fn put_object(&self, req: S3Request<PutObjectInput>) -> S3Result<S3Response<PutObjectOutput>> {
        let input = req.input;
        drop(self.enter(&input.bucket, "put")?);
        check_key(&input.key)?;
        let body = collect(input.body).await?;
        if input.content_length.is_some_and(|length| length != body.len() as i64) {
            return Err(s3_error!(IncompleteBody));
        }
        let metadata = input.metadata.unwrap_or_default();
        let etag = self.state().store(&input.key, body, metadata, input.content_type, None);
        Ok(S3Response::new(PutObjectOutput { e_tag: Some(ETag::Strong(etag)), ..Default::default() }))
    }

    async fn delete_object(&self, req: S3Request<DeleteObjectInput>) -> S3Result<S3Response<DeleteObjectOutput>> {
        self.enter(&req.input.bucket, "delete")?.objects.remove(&*req.input.key);
        Ok(S3Response::new(DeleteObjectOutput::default()))
    }

    async fn copy_object(&self, req: S3Request<CopyObjectInput>) -> S3Result<S3Response<CopyObjectOutput>> {
        let input = req.input;
        let mut state = self.enter(&input.bucket, "copy")?;
        check_key(&input.key)?;
        let (_, from) = source(&input.copy_source)?;
        let found = state.objects.get(from).ok_or_else(|| s3_error!(NoSuchKey))?.clone();
        matches(input.copy_source_if_match.as_ref(), &found.etag)?;
        let replaces = input.metadata_directive.is_some_and(|how| how.as_str() == MetadataDirective::REPLACE);
        if from == &*input.key && !replaces {
            return Err(s3_error!(InvalidRequest));
        }
        let (metadata, content_type) = if replaces {
            (input.metadata.unwrap_or_default(), input.content_type)
        } else {
            (found.metadata, found.content_type)
        };
        let etag = state.store(&input.key, found.body, metadata, content_type, None);
        let result = CopyObjectResult { e_tag: Some(ETag::Strong(etag)), ..Default::default() };
        Ok(S3Response::new(CopyObjectOutput { copy_object_result: Some(result), ..Default::default() }))
    }

    async fn create_multipart_upload(
        &self,
        req: S3Request<CreateMultipartUploadInput>,
    ) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
        let input = req.input;
        let mut state = self.enter(&input.bucket, "begin")?;
        check_key(&input.key)?;
        let id = format!("upload-{}", state.counts["begin"]);
        let begun = Begun {
            key: input.key,
            metadata: input.metadata.unwrap_or_default(),
            content_type: input.content_type,
            parts: BTreeMap::new(),
        };
        state.uploads.insert(id.clone(), begun);
        Ok(S3Response::new(CreateMultipartUploadOutput { upload_id: Some(id), ..Default::default() }))
    }

    async fn upload_part(&self, req: S3Request<UploadPartInput>) -> S3Result<S3Response<UploadPartOutput>> {
        let input = req.input;
        drop(self.enter(&input.bucket, "part")?);
        let body = collect(input.body).await?;
        let mut state = self.state();
        let etag = format!("part-{}", state.counts["part"]);
        let upload = state.uploads.get_mut(&*input.upload_id).ok_or_else(|| s3_error!(NoSuchUpload))?;
        upload.parts.insert(input.part_number, (etag.clone(), body));
        Ok(S3Response::new(UploadPartOutput { e_tag: Some(ETag::Strong(etag)), ..Default::default() }))
    }

    async fn upload_part_copy(
        &self,
        req: S3Request<UploadPartCopyInput>,
    ) -> S3Result<S3Response<UploadPartCopyOutput>> {
        let input = req.input;
        let mut state = self.enter(&input.bucket, "part copy")?;
        let (_, from) = source(&input.copy_source)?;
        let found = state.objects.get(from).ok_or_else(|| s3_error!(NoSuchKey))?.clone();
        matches(input.copy_source_if_match.as_ref(), &found.etag)?;
        let body = match input.copy_source_range {
            Some(range) => {
                let range = Range::parse(&range).map_err(|_| s3_error!(InvalidRange))?;
                let range = range.check(found.body.len() as u64).map_err(|_| s3_error!(InvalidRange))?;
                found.body.slice(range.start as usize..range.end as usize)
            }
            None => found.body,
        };
        let etag = format!("copy-{}", state.counts["part copy"]);
        let upload = state.uploads.get_mut(&*input.upload_id).ok_or_else(|| s3_error!(NoSuchUpload))?;
        upload.parts.insert(input.part_number, (etag.clone(), body));
        let result = CopyPartResult { e_tag: Some(ETag::Strong(etag)), ..Default::default() };
        Ok(S3Response::new(UploadPartCopyOutput { copy_part_result: Some(result), ..Default::default() }))
    }

    async fn complete_multipart_upload(
        &self,
        req: S3Request<CompleteMultipartUploadInput>,
    ) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
        let input = req.input;
        let mut state = self.enter(&input.bucket, "end")?;
        let upload = state.uploads.remove(&*input.upload_id).ok_or_else(|| s3_error!(NoSuchUpload))?;
        let named = input.multipart_upload.and_then(|upload| upload.parts).unwrap_or_default();
        let mut body = BytesMut::new();
        let count = named.len();
        for (index, part) in named.into_iter().enumerate() {
            let number = part.part_number.unwrap_or_default();
            let (etag, bytes) = upload.parts.get(&number).ok_or_else(|| s3_error!(InvalidPart))?;
            if part.e_tag.is_none_or(|named| named.value() != etag) {
                return Err(s3_error!(InvalidPart));
            }
            if index + 1 < count && bytes.len() < 5 << 20 {
                return Err(s3_error!(EntityTooSmall));
            }
            body.extend_from_slice(bytes);
        }
        let etag = state.store(&upload.key, body.freeze(), upload.metadata, upload.content_type, Some(count));
        Ok(S3Response::new(CompleteMultipartUploadOutput { e_tag: Some(ETag::Strong(etag)), ..Default::default() }))
    }

    async fn abort_multipart_upload(
        &self,
        req: S3Request<AbortMultipartUploadInput>,
    ) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
        let mut state = self.enter(&req.input.bucket, "abort")?;
        state.uploads.remove(&*req.input.upload_id).ok_or_else(|| s3_error!(NoSuchUpload))?;
        Ok(S3Response::new(AbortMultipartUploadOutput::default()))
    }

    async fn list_objects_v2(&self, req: S3Request<ListObjectsV2Input>) -> S3Result<S3Response<ListObjectsV2Output>> {
        let input = req.input;
        let state = self.enter(&input.bucket, "list")?;
        let prefix = input.prefix.clone().unwrap_or_default();
        let max = input.max_keys.unwrap_or(1000).clamp(0, 1000) as usize;
        let after = input.continuation_token.clone().unwrap_or_default();
        let (mut contents, mut common, mut last, mut more) =
            (Vec::new(), Vec::<CommonPrefix>::new(), String::new(), false);
        for (key, stored) in state.objects.range(prefix.clone()..).take_while(|(key, _)| key.starts_with(&prefix)) {
            let cut = input.delimiter.as_deref().and_then(|delimiter| {
                key[prefix.len()..].find(delimiter).map(|at| &key[..prefix.len() + at + delimiter.len()])
            });
            let shown = cut.unwrap_or(key);
            if !after.is_empty() && shown <= after.as_str() || cut.is_some() && last == shown {
                continue;
            }
            if contents.len() + common.len() == max {
                more = true;
                break;
            }
            last = shown.to_owned();
            match cut {
                Some(cut) => common.push(CommonPrefix { prefix: Some(cut.to_owned()) }),
                None => contents.push(Object {
                    key: Some(key.clone()),
                    size: Some(stored.body.len() as i64),
                    e_tag: Some(ETag::Strong(stored.etag.clone())),
                    last_modified: Some(stored.modified.into()),
                    ..Default::default()
                }),
            }
        }
        Ok(S3Response::new(ListObjectsV2Output {
            is_truncated: Some(more),
            next_continuation_token: more.then_some(last),
            key_count: Some((contents.len() + common.len()) as i32),
            contents: Some(contents),
            common_prefixes: Some(common),
            ..Default::default()
        }))
    }
}
