//! One request: signed, sent, tried again with growing waits, its answer read within bounds.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use object_store::aws::{AwsAuthorizer, AwsCredentialProvider};
use object_store::client::{HttpClient, HttpError, HttpRequest, HttpRequestBody};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::failure::{Failure, Status};
use crate::xml;

/// What S3 wants encoded: everything but the unreserved characters.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
const ENCODED_KEY: &AsciiSet = &ENCODED.remove(b'/');
/// The longest answer that is kept whole: a listing of a thousand of the longest keys, each byte escaped.
const ANSWER_BYTES_MAX: usize = 16 << 20;
/// The longest error that is read.
const ERROR_BYTES_MAX: usize = 64 << 10;
/// A body that comes more slowly than this does not come in time.
const BYTES_PER_SECOND_MIN: u64 = 32 << 10;
const WAIT_FIRST: Duration = Duration::from_millis(50);
const WAIT_MAX: Duration = Duration::from_secs(5);

/// How often and how long a request is tried again.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Retry {
    pub(crate) count_max: u32,
    pub(crate) time_max: Duration,
}

/// A bucket on a server.
#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) http: HttpClient,
    /// What a key is appended to, with a slash at the end.
    pub(crate) base: String,
    pub(crate) bucket: String,
    pub(crate) region: String,
    /// `None`: requests are not signed.
    pub(crate) credentials: Option<AwsCredentialProvider>,
    pub(crate) sign_payload: bool,
    pub(crate) request_payer: bool,
    /// Sent with each request that makes an object.
    pub(crate) object_headers: HeaderMap,
    pub(crate) retry: Retry,
    /// How long to wait for an answer, and between two pieces of it.
    pub(crate) timeout: Duration,
}

/// A request before it is signed.
#[derive(Clone)]
pub(crate) struct Request {
    method: Method,
    uri: String,
    headers: HeaderMap,
    body: Bytes,
}

impl Request {
    /// About the bucket, or one key of it.
    pub(crate) fn new(client: &Client, method: Method, key: &str) -> Self {
        let uri = format!("{}{}", client.base, utf8_percent_encode(key, ENCODED_KEY));
        Self { method, uri, headers: HeaderMap::new(), body: Bytes::new() }
    }

    pub(crate) fn query(mut self, name: &str, value: &str) -> Self {
        self.uri.push(if self.uri.contains('?') { '&' } else { '?' });
        self.uri.push_str(name);
        self.uri.push('=');
        self.uri.extend(utf8_percent_encode(value, ENCODED));
        self
    }

    /// A header whose value is known to be one, or the request is not sent.
    pub(crate) fn header(mut self, name: HeaderName, value: &str) -> Result<Self, Failure> {
        let value = HeaderValue::from_str(value).map_err(|_| Failure::Refused(eyot_backend::Errno::Inval))?;
        self.headers.insert(name, value);
        Ok(self)
    }

    pub(crate) fn headers(mut self, headers: &HeaderMap) -> Self {
        for (name, value) in headers {
            self.headers.insert(name.clone(), value.clone());
        }
        self
    }

    pub(crate) fn body(mut self, body: Bytes) -> Self {
        self.body = body;
        self
    }
}

/// An answer of which the body is still to come.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    body: BoxStream<'static, Result<Bytes, HttpError>>,
    timeout: Duration,
}

impl Answer {
    /// The next bytes; `None` at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Failure> {
        match tokio::time::timeout(self.timeout, self.body.next()).await {
            Err(_) => Err(Failure::Timeout),
            Ok(None) => Ok(None),
            Ok(Some(Ok(piece))) => Ok(Some(piece)),
            Ok(Some(Err(error))) => Err(Failure::from_http(&error)),
        }
    }

    /// The whole body, of at most so many bytes.
    pub(crate) async fn whole(&mut self, bytes_max: usize) -> Result<Bytes, Failure> {
        let deadline = Instant::now() + time_for(bytes_max as u64, self.timeout);
        let mut all = BytesMut::new();
        while let Some(piece) = self.next().await? {
            if all.len() + piece.len() > bytes_max {
                return Err(Failure::Nonsense("an answer is longer than it may be"));
            }
            if Instant::now() > deadline {
                return Err(Failure::Timeout);
            }
            all.extend_from_slice(&piece);
        }
        Ok(all.freeze())
    }
}

/// How long so many bytes may take.
pub(crate) fn time_for(bytes: u64, timeout: Duration) -> Duration {
    timeout + Duration::from_secs(bytes / BYTES_PER_SECOND_MIN)
}

/// An answer that is there as a whole.
pub(crate) struct Whole {
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// The waits between tries of one request.
pub(crate) struct Tries {
    retry: Retry,
    started: Instant,
    pub(crate) count: u32,
    wait: Duration,
}

impl Tries {
    pub(crate) fn new(retry: Retry) -> Self {
        Self { retry, started: Instant::now(), count: 0, wait: WAIT_FIRST }
    }

    /// Waits before another try, or hands the failure back when there is none.
    pub(crate) async fn again(&mut self, failure: Failure) -> Result<(), Failure> {
        let over = self.count >= self.retry.count_max || self.started.elapsed() + self.wait > self.retry.time_max;
        if !failure.may_pass() || over {
            return Err(failure);
        }
        self.count += 1;
        tracing::debug!(%failure, attempt = self.count, "s3: tries again");
        // Not all that wait for one server come back at one moment.
        let spread = u32::try_from(RandomState::new().hash_one(self.count) % 500).unwrap_or(0);
        tokio::time::sleep(self.wait + self.wait * spread / 1000).await;
        self.wait = (self.wait * 2).min(WAIT_MAX);
        Ok(())
    }

    /// What was tried got somewhere: the next failure is the first again.
    pub(crate) fn reset(&mut self) {
        *self = Self::new(self.retry);
    }
}

impl Client {
    /// Sends a request once and waits for the head of the answer. Everything but a success is a failure.
    pub(crate) async fn send_once(&self, request: &Request) -> Result<Answer, Failure> {
        let signed = self.sign(request).await?;
        // A long body takes its time on the way there.
        let patience = time_for(request.body.len() as u64, self.timeout);
        let response = match tokio::time::timeout(patience, self.http.execute(signed)).await {
            Err(_) => return Err(Failure::Timeout),
            Ok(Err(error)) => return Err(Failure::from_http(&error)),
            Ok(Ok(response)) => response,
        };
        let (parts, body) = response.into_parts();
        let status = parts.status.as_u16();
        let mut answer = Answer { status, headers: parts.headers, body: body.bytes_stream(), timeout: self.timeout };
        if parts.status.is_success() { Ok(answer) } else { Err(refusal(&mut answer).await) }
    }

    /// Sends a request until it succeeds or there is no use in it, and reads the answer.
    pub(crate) async fn send(&self, request: &Request) -> Result<Whole, Failure> {
        let mut tries = Tries::new(self.retry);
        loop {
            match self.attempt(request).await {
                Ok(whole) => return Ok(whole),
                Err(failure) => tries.again(failure).await?,
            }
        }
    }

    async fn attempt(&self, request: &Request) -> Result<Whole, Failure> {
        let mut answer = self.send_once(request).await?;
        let body = if request.method == Method::HEAD { Bytes::new() } else { answer.whole(ANSWER_BYTES_MAX).await? };
        // Requests that take long are answered 200 before it is known how they end.
        let may_lie = request.method == Method::POST || request.headers.contains_key("x-amz-copy-source");
        if may_lie && body.windows(6).take(512).any(|window| window == b"<Error") {
            return Err(said(500, &answer.headers, &body));
        }
        Ok(Whole { headers: answer.headers, body })
    }

    async fn sign(&self, request: &Request) -> Result<HttpRequest, Failure> {
        let uri: Uri = request.uri.parse().map_err(|_| Failure::Refused(eyot_backend::Errno::Inval))?;
        let mut http = HttpRequest::new(HttpRequestBody::from(request.body.clone()));
        *http.method_mut() = request.method.clone();
        *http.uri_mut() = uri;
        *http.headers_mut() = request.headers.clone();
        let Some(credentials) = &self.credentials else { return Ok(http) };
        let credential = credentials.get_credential().await.map_err(|error| {
            tracing::warn!(%error, "s3: no credentials");
            Failure::Refused(eyot_backend::Errno::Acces)
        })?;
        let digest = self.sign_payload.then(|| ring::digest::digest(&ring::digest::SHA256, &request.body));
        AwsAuthorizer::new(&credential, "s3", &self.region)
            .with_sign_payload(self.sign_payload)
            .with_request_payer(self.request_payer)
            .try_authorize(&mut http, digest.as_ref().map(AsRef::as_ref))
            .map_err(|_| Failure::Nonsense("a request could not be signed"))?;
        Ok(http)
    }

    /// How a key is named as the source of a copy.
    pub(crate) fn copy_source(&self, key: &str) -> String {
        format!("{}/{}", self.bucket, utf8_percent_encode(key, ENCODED_KEY))
    }
}

async fn refusal(answer: &mut Answer) -> Failure {
    let body = answer.whole(ERROR_BYTES_MAX).await.unwrap_or_default();
    said(answer.status, &answer.headers, &body)
}

fn said(number: u16, headers: &HeaderMap, body: &[u8]) -> Failure {
    let part = |name| xml::first(body, name).ok().flatten().unwrap_or_default();
    let region = headers.get("x-amz-bucket-region").and_then(|region| region.to_str().ok()).map(str::to_owned);
    let short = |mut text: String| {
        text.retain(|char| !char.is_control());
        text.chars().take(200).collect::<String>()
    };
    let region = region.or_else(|| Some(part("Region")).filter(|region| !region.is_empty())).map(short);
    Failure::Status(Box::new(Status { number, code: short(part("Code")), message: short(part("Message")), region }))
}

/// A client that others share.
pub(crate) type Shared = Arc<Client>;
