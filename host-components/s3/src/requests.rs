//! The requests of S3 that a filesystem needs, about one object each.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use eyot_backend::Timestamp;
use http::header::{CONTENT_LENGTH, CONTENT_RANGE, ETAG, IF_MATCH, LAST_MODIFIED, RANGE};
use http::{HeaderMap, HeaderName, Method};

use crate::client::{Answer, Client, Request};
use crate::failure::Failure;
use crate::metadata::Metadata;
use crate::xml;

static COPY_SOURCE: HeaderName = HeaderName::from_static("x-amz-copy-source");
static COPY_SOURCE_IF_MATCH: HeaderName = HeaderName::from_static("x-amz-copy-source-if-match");
static COPY_SOURCE_RANGE: HeaderName = HeaderName::from_static("x-amz-copy-source-range");
static METADATA_DIRECTIVE: HeaderName = HeaderName::from_static("x-amz-metadata-directive");

/// What is known of an object.
#[derive(Clone, Debug, Default)]
pub(crate) struct Object {
    pub(crate) size: u64,
    pub(crate) etag: Option<Arc<str>>,
    /// When the server took it.
    pub(crate) modified: Timestamp,
    /// What its headers say; `None` when only a listing told of it.
    pub(crate) metadata: Option<Arc<Metadata>>,
}

impl Object {
    /// Whether two answers are of the same version. A listing tells the time more precisely than a header does.
    pub(crate) fn is(&self, other: &Self) -> bool {
        let same_etag = match (&self.etag, &other.etag) {
            (Some(one), Some(two)) => one == two,
            _ => true,
        };
        let unknown = self.modified.seconds == 0 || other.modified.seconds == 0;
        same_etag && self.size == other.size && (unknown || self.modified.seconds == other.modified.seconds)
    }

    fn from_headers(headers: &HeaderMap) -> Result<Self, Failure> {
        let size = text(headers, &CONTENT_LENGTH).and_then(|length| length.parse().ok());
        Ok(Self {
            size: size.ok_or(Failure::Nonsense("an answer has no length"))?,
            etag: etag(headers),
            modified: text(headers, &LAST_MODIFIED).and_then(parse_http_date).unwrap_or_default(),
            metadata: Some(Arc::new(Metadata::from_headers(headers))),
        })
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn etag(headers: &HeaderMap) -> Option<Arc<str>> {
    text(headers, &ETAG).filter(|etag| !etag.is_empty() && etag.len() <= 256).map(Arc::from)
}

fn parse_http_date(date: &str) -> Option<Timestamp> {
    let parsed = chrono::DateTime::parse_from_rfc2822(date).ok()?;
    Some(Timestamp { seconds: parsed.timestamp(), nanoseconds: 0 })
}

/// Where the bytes of a ranged answer begin and the size of the whole object.
fn content_range(headers: &HeaderMap) -> Option<(u64, u64)> {
    let (range, size) = text(headers, &CONTENT_RANGE)?.strip_prefix("bytes ")?.split_once('/')?;
    Some((range.split_once('-')?.0.parse().ok()?, size.parse().ok()?))
}

impl Client {
    /// What there is to know of an object.
    pub(crate) async fn head(&self, key: &str) -> Result<Object, Failure> {
        let answer = self.send(&Request::new(self, Method::HEAD, key)).await?;
        Object::from_headers(&answer.headers)
    }

    /// Asks once for some of an object's bytes, of exactly this version.
    pub(crate) async fn get_range(&self, key: &str, etag: Option<&str>, range: Range<u64>) -> Result<Answer, Failure> {
        let wanted = format!("bytes={}-{}", range.start, range.end.saturating_sub(1));
        let mut request = Request::new(self, Method::GET, key).header(RANGE, &wanted)?;
        if let Some(etag) = etag {
            request = request.header(IF_MATCH, etag)?;
        }
        let answer = self.send_once(&request).await?;
        // What stands between may keep to the range and not to the condition.
        if let (Some(wanted), Some(got)) = (etag, text(&answer.headers, &ETAG))
            && wanted != got
        {
            return Err(Failure::Refused(eyot_backend::Errno::Stale));
        }
        let begins = match answer.status {
            206 => content_range(&answer.headers).map(|(start, _)| start),
            // A server that knows no ranges.
            _ => Some(0),
        };
        if begins == Some(range.start) { Ok(answer) } else { Err(Failure::Nonsense("an answer is of another range")) }
    }

    /// A small object whole.
    pub(crate) async fn get_small(&self, key: &str, bytes_max: usize) -> Result<Bytes, Failure> {
        let answer = self.send(&Request::new(self, Method::GET, key)).await?;
        if answer.body.len() > bytes_max { Err(Failure::Nonsense("an object is too large")) } else { Ok(answer.body) }
    }

    /// Makes or replaces an object.
    pub(crate) async fn put(&self, key: &str, body: Bytes, metadata: &HeaderMap) -> Result<Option<Arc<str>>, Failure> {
        let request = Request::new(self, Method::PUT, key).headers(&self.object_headers).headers(metadata).body(body);
        Ok(etag(&self.send(&request).await?.headers))
    }

    /// Takes an object away. One that is not there is no error.
    pub(crate) async fn delete(&self, key: &str) -> Result<(), Failure> {
        match self.send(&Request::new(self, Method::DELETE, key)).await {
            Err(failure) if failure.is_absent() => Ok(()),
            ended => ended.map(drop),
        }
    }

    /// Copies an object on the server, of at most 5 GiB. With `metadata` the copy has those headers instead of the source's.
    pub(crate) async fn copy(
        &self,
        from: &str,
        to: &str,
        etag: Option<&str>,
        metadata: Option<&HeaderMap>,
    ) -> Result<Option<Arc<str>>, Failure> {
        let mut request = Request::new(self, Method::PUT, to)
            .headers(&self.object_headers)
            .header(COPY_SOURCE.clone(), &self.copy_source(from))?;
        if let Some(etag) = etag {
            request = request.header(COPY_SOURCE_IF_MATCH.clone(), etag)?;
        }
        if let Some(metadata) = metadata {
            request = request.headers(metadata).header(METADATA_DIRECTIVE.clone(), "REPLACE")?;
        }
        let answer = self.send(&request).await?;
        Ok(xml::first(&answer.body, "ETag")?.map(Arc::from))
    }

    /// Begins an upload in parts.
    pub(crate) async fn begin_upload(&self, key: &str, metadata: &HeaderMap) -> Result<String, Failure> {
        let request =
            Request::new(self, Method::POST, key).query("uploads", "").headers(&self.object_headers).headers(metadata);
        let id = xml::first(&self.send(&request).await?.body, "UploadId")?;
        id.filter(|id| !id.is_empty() && id.len() <= 4096).ok_or(Failure::Nonsense("an upload has no name"))
    }

    /// Uploads a part, counted from 1.
    pub(crate) async fn put_part(&self, key: &str, upload: &str, part: u32, body: Bytes) -> Result<String, Failure> {
        let request = Request::new(self, Method::PUT, key)
            .query("partNumber", &part.to_string())
            .query("uploadId", upload)
            .headers(&self.encryption_headers())
            .body(body);
        let answer = self.send(&request).await?;
        etag(&answer.headers).map(|etag| etag.to_string()).ok_or(Failure::Nonsense("a part has no ETag"))
    }

    /// Makes a part of bytes that an object of the bucket has.
    pub(crate) async fn copy_part(
        &self,
        key: &str,
        upload: &str,
        part: u32,
        from: (&str, Option<&str>),
        range: Range<u64>,
    ) -> Result<String, Failure> {
        let range = format!("bytes={}-{}", range.start, range.end.saturating_sub(1));
        let mut request = Request::new(self, Method::PUT, key)
            .query("partNumber", &part.to_string())
            .query("uploadId", upload)
            .header(COPY_SOURCE.clone(), &self.copy_source(from.0))?
            .header(COPY_SOURCE_RANGE.clone(), &range)?;
        if let Some(etag) = from.1 {
            request = request.header(COPY_SOURCE_IF_MATCH.clone(), etag)?;
        }
        let etag = xml::first(&self.send(&request).await?.body, "ETag")?;
        etag.filter(|etag| !etag.is_empty()).ok_or(Failure::Nonsense("a part has no ETag"))
    }

    /// Makes the object of its parts. `size` is its length, by which an answer that was lost is found out.
    pub(crate) async fn end_upload(
        &self,
        key: &str,
        upload: &str,
        parts: &[String],
        size: u64,
    ) -> Result<Option<Arc<str>>, Failure> {
        let mut body = String::from("<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">");
        for (number, etag) in (1..).zip(parts) {
            let etag = xml::escape(etag);
            body.push_str(&format!("<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>"));
        }
        body.push_str("</CompleteMultipartUpload>");
        let request = Request::new(self, Method::POST, key).query("uploadId", upload).body(body.into());
        match self.send(&request).await {
            Ok(answer) => Ok(xml::first(&answer.body, "ETag")?.map(Arc::from)),
            // It may have been completed by a try whose answer was lost.
            Err(failure) if failure.code() == "NoSuchUpload" => {
                let object = self.head(key).await.map_err(|_| failure.clone())?;
                let of_parts = object.etag.as_deref().is_some_and(|etag| etag.contains(&format!("-{}", parts.len())));
                if object.size == size && of_parts { Ok(object.etag) } else { Err(failure) }
            }
            Err(failure) => Err(failure),
        }
    }

    /// Gives an upload up, so that its parts take no room.
    pub(crate) async fn drop_upload(&self, key: &str, upload: &str) -> Result<(), Failure> {
        let request = Request::new(self, Method::DELETE, key).query("uploadId", upload);
        match self.send(&request).await {
            Err(failure) if failure.is_absent() => Ok(()),
            ended => ended.map(drop),
        }
    }

    /// A customer's own key goes with each part; other settings only with what begins the upload.
    fn encryption_headers(&self) -> HeaderMap {
        let customer = |name: &HeaderName| name.as_str().starts_with("x-amz-server-side-encryption-customer");
        let own = self.object_headers.iter().filter(|(name, _)| customer(name));
        own.map(|(name, value)| (name.clone(), value.clone())).collect()
    }
}
