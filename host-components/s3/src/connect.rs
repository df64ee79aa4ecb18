//! Making a client of the options, and seeing whether there is a bucket.

use std::sync::Arc;
use std::time::Duration;

use eyot_backend::{Errno, Refusal};
use http::{HeaderMap, HeaderName, HeaderValue};
use object_store::aws::{AmazonS3Builder, AwsCredential, AwsCredentialProvider};
use object_store::client::{HttpClient, HttpConnector};
use object_store::{ClientOptions, StaticCredentialProvider};
use tokio::runtime::Handle;

use crate::client::{Client, Retry};
use crate::engine::wait_on;
use crate::failure::Failure;
use crate::options::{S3Credentials, S3Options};

/// Idle connections that are kept.
const IDLE_MAX: usize = 16;

/// Hands one client to whoever wants one, such as a provider of credentials.
#[derive(Debug)]
struct Connector(HttpClient);

impl HttpConnector for Connector {
    fn connect(&self, _options: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(self.0.clone())
    }
}

/// A client for these options. Nothing is sent yet.
pub(crate) fn client(options: &S3Options) -> Result<Client, Refusal> {
    check(options)?;
    let http = HttpClient::new(http_client(options)?);
    let base = base(options)?;
    let is_plain = base.starts_with("http:");
    Ok(Client {
        credentials: credentials(options, &http)?,
        http,
        base,
        bucket: options.bucket.clone(),
        region: options.region.clone(),
        sign_payload: options.sign_payload.unwrap_or(is_plain),
        request_payer: options.request_payer,
        object_headers: object_headers(options)?,
        retry: Retry { count_max: options.retries, time_max: options.retry_time },
        timeout: options.timeout.max(Duration::from_millis(10)),
    })
}

/// What would end up in an address or a header must be able to stand there.
fn check(options: &S3Options) -> Result<(), Refusal> {
    let is_name = |text: &str| {
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte))
    };
    if !is_name(&options.bucket) || options.bucket.len() > 255 || options.bucket.starts_with('.') {
        return Err(Refusal::wrong(format!("bucket: {:?} is no name of a bucket", options.bucket)));
    }
    if !is_name(&options.region) {
        return Err(Refusal::wrong(format!("region: {:?} is no name of a region", options.region)));
    }
    if !(5 << 20..=512 << 20).contains(&options.part_bytes) {
        return Err(Refusal::wrong("part_bytes: must be 5M to 512M"));
    }
    if let S3Credentials::Keys { access_key_id, secret_access_key, session_token } = &options.credentials {
        let visible = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        if !visible(access_key_id) || access_key_id.contains(['/', ',']) {
            return Err(Refusal::wrong("access_key_id: its value is no name of a key"));
        }
        // A line's end comes easily with a key from a file.
        if secret_access_key.is_empty() || secret_access_key.contains(char::is_control) {
            return Err(Refusal::wrong("secret_access_key: its value is no key"));
        }
        if session_token.as_deref().is_some_and(|token| !visible(token)) {
            return Err(Refusal::wrong("session_token: its value is no token"));
        }
    }
    Ok(())
}

/// What keys are appended to.
fn base(options: &S3Options) -> Result<String, Refusal> {
    let S3Options { bucket, region, virtual_hosted, .. } = options;
    let Some(endpoint) = &options.endpoint else {
        return Ok(if *virtual_hosted {
            format!("https://{bucket}.s3.{region}.amazonaws.com/")
        } else {
            format!("https://s3.{region}.amazonaws.com/{bucket}/")
        });
    };
    let wrong = |why: &str| Refusal::wrong(format!("endpoint: {endpoint}: {why}"));
    let url = reqwest::Url::parse(endpoint).map_err(|_| wrong("is no address, such as https://s3.example.org"))?;
    let Some(host) = url.host_str().filter(|host| !host.is_empty()) else { return Err(wrong("names no host")) };
    match url.scheme() {
        "https" => {}
        "http" if options.allow_http => {}
        "http" => return Err(wrong("is without TLS; set `allow_http` if that is meant")),
        _ => return Err(wrong("must begin with https:// or http://")),
    }
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
        return Err(wrong("must be a host, and perhaps a port and a path, and nothing else"));
    }
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    let (scheme, path) = (url.scheme(), url.path().trim_end_matches('/'));
    Ok(if *virtual_hosted {
        format!("{scheme}://{bucket}.{host}{port}{path}/")
    } else {
        format!("{scheme}://{host}{port}{path}/{bucket}/")
    })
}

fn http_client(options: &S3Options) -> Result<reqwest::Client, Refusal> {
    let failed =
        |why: &dyn std::fmt::Display| Refusal { errno: Errno::Io, message: format!("no client for HTTP: {why}") };
    // Which provider of cryptography is used must not depend on who else is in the process.
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        let _ = rustls::crypto::ring::default_provider().install_default();
    }
    reqwest::Client::builder()
        .user_agent(concat!("eyot-s3/", env!("CARGO_PKG_VERSION")))
        // A signature is for one host: what sends us elsewhere is an error that says so.
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(options.timeout.min(Duration::from_secs(10)))
        .pool_max_idle_per_host(IDLE_MAX)
        .pool_idle_timeout(Duration::from_secs(20))
        .tcp_nodelay(true)
        .http1_only()
        .https_only(!options.allow_http)
        .build()
        .map_err(|error| failed(&error))
}

fn credentials(options: &S3Options, http: &HttpClient) -> Result<Option<AwsCredentialProvider>, Refusal> {
    match &options.credentials {
        S3Credentials::Anonymous => Ok(None),
        S3Credentials::Keys { access_key_id, secret_access_key, session_token } => {
            let credential = AwsCredential {
                key_id: access_key_id.clone(),
                secret_key: secret_access_key.clone(),
                token: session_token.clone(),
            };
            Ok(Some(Arc::new(StaticCredentialProvider::new(credential))))
        }
        S3Credentials::Environment => {
            let built = AmazonS3Builder::from_env()
                .with_bucket_name(&options.bucket)
                .with_region(&options.region)
                .with_http_connector(Connector(http.clone()))
                .build();
            let wrong = |error| {
                Refusal::wrong(format!("access_key_id: none is given, and the host's environment has none: {error}"))
            };
            Ok(Some(Arc::clone(built.map_err(wrong)?.credentials())))
        }
    }
}

fn object_headers(options: &S3Options) -> Result<HeaderMap, Refusal> {
    let mut headers = HeaderMap::new();
    let given = [
        ("storage_class", "x-amz-storage-class", &options.storage_class),
        ("server_side_encryption", "x-amz-server-side-encryption", &options.server_side_encryption),
        ("kms_key_id", "x-amz-server-side-encryption-aws-kms-key-id", &options.kms_key_id),
    ];
    for (key, header, value) in given {
        let Some(value) = value else { continue };
        let value = HeaderValue::from_str(value).ok().filter(|value| value.to_str().is_ok());
        let value = value.ok_or_else(|| Refusal::wrong(format!("{key}: its value cannot be sent")))?;
        headers.insert(HeaderName::from_static(header), value);
    }
    Ok(headers)
}

/// Looks whether there is a bucket that may be listed: wrong settings are found out now, and not by a guest.
pub(crate) fn probe(handle: &Handle, client: &Arc<Client>, prefix: &str) -> Result<(), Refusal> {
    let (mut asked, prefix) = (Client::clone(client), prefix.to_owned());
    // A server that is there answers; one try more, for a connection that broke by chance.
    asked.retry.count_max = asked.retry.count_max.min(1);
    let probed = wait_on(handle, async move {
        match tokio::time::timeout(asked.timeout, asked.list_page(&prefix, true, 1, None)).await {
            Ok(ended) => ended,
            Err(_) => Err(Failure::Timeout),
        }
    });
    probed.map(drop).map_err(|failure| refuse(client, &failure))
}

/// Which setting is probably wrong.
fn refuse(client: &Client, failure: &Failure) -> Refusal {
    let (bucket, at) = (&client.bucket, client.base.as_str());
    let message = match failure {
        Failure::Connect(why) | Failure::Interrupted(why) => format!("endpoint: no connection to {at}: {why}"),
        Failure::Timeout => format!("endpoint: {at} does not answer in time"),
        Failure::Nonsense(why) => format!("endpoint: what answers at {at} is no S3 server: {why}"),
        Failure::Refused(_) => "access_key_id: none is given, and the host's environment and role give none".to_owned(),
        Failure::Status(status) => match (&*status.code, status.number) {
            ("NoSuchBucket", _) => format!("bucket: there is no bucket {bucket} at {at}"),
            ("InvalidBucketName", _) => format!("bucket: the server does not take {bucket} as a name"),
            ("InvalidAccessKeyId", _) => "access_key_id: the server does not know it".to_owned(),
            ("SignatureDoesNotMatch", _) => "secret_access_key: it does not belong to the access_key_id".to_owned(),
            ("ExpiredToken" | "InvalidToken" | "TokenRefreshRequired", _) => {
                format!("session_token: {failure}")
            }
            ("RequestTimeTooSkewed", _) => format!("the host's clock is wrong: {failure}"),
            (
                "AuthorizationHeaderMalformed"
                | "PermanentRedirect"
                | "TemporaryRedirect"
                | "IllegalLocationConstraintException",
                _,
            )
            | (_, 300..=399) => match &status.region {
                Some(region) => format!("region: the bucket is in {region}"),
                None => format!("region or endpoint: the bucket is elsewhere: {failure}"),
            },
            (_, 401 | 403) => format!("access_key_id: it may not list the bucket {bucket}: {failure}"),
            (_, 404) => format!("bucket or endpoint: there is nothing at {at}"),
            _ => format!("endpoint: {at}: {failure}"),
        },
    };
    Refusal { errno: failure.errno(), message }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(endpoint: Option<&str>, virtual_hosted: bool, allow_http: bool) -> Result<String, String> {
        let mut options = S3Options::new("b");
        (options.endpoint, options.virtual_hosted, options.allow_http) =
            (endpoint.map(str::to_owned), virtual_hosted, allow_http);
        base(&options).map_err(|refusal| refusal.message)
    }

    #[test]
    fn addresses() {
        assert_eq!(at(None, false, false).unwrap(), "https://s3.us-east-1.amazonaws.com/b/");
        assert_eq!(at(None, true, false).unwrap(), "https://b.s3.us-east-1.amazonaws.com/");
        assert_eq!(at(Some("http://127.0.0.1:1"), false, true).unwrap(), "http://127.0.0.1:1/b/");
        assert_eq!(at(Some("https://h/p/"), false, false).unwrap(), "https://h/p/b/");
        assert_eq!(at(Some("https://h:9"), true, false).unwrap(), "https://b.h:9/");
        assert!(at(Some("http://h"), false, false).unwrap_err().contains("allow_http"));
        for wrong in ["", "h", "ftp://h", "https://", "https://u:p@h", "https://h?x", "https://h#x", "https://h h"] {
            assert!(at(Some(wrong), false, true).unwrap_err().starts_with("endpoint: "), "{wrong}");
        }
    }

    #[test]
    fn what_cannot_be_sent_is_named() {
        let refused = |change: fn(&mut S3Options)| {
            let mut options = S3Options::new("b");
            options.credentials = S3Credentials::Anonymous;
            change(&mut options);
            check(&options).err().or(object_headers(&options).err()).map(|refusal| refusal.message).unwrap_or_default()
        };
        assert!(refused(|options| options.bucket = "a/b".into()).starts_with("bucket: "));
        assert!(refused(|options| options.bucket = String::new()).starts_with("bucket: "));
        assert!(refused(|options| options.region = "a\nb".into()).starts_with("region: "));
        assert!(refused(|options| options.part_bytes = 1).starts_with("part_bytes: "));
        assert!(refused(|options| options.storage_class = Some("a\nb".into())).starts_with("storage_class: "));
        let keys = |id: &str, secret: &str, token: Option<&str>| S3Credentials::Keys {
            access_key_id: id.into(),
            secret_access_key: secret.into(),
            session_token: token.map(str::to_owned),
        };
        let mut options = S3Options::new("b");
        for (credentials, key) in [
            (keys("a b", "s", None), "access_key_id"),
            (keys("a/b", "s", None), "access_key_id"),
            (keys("a", "s\n", None), "secret_access_key"),
            (keys("a", "s", Some("t\r\n")), "session_token"),
        ] {
            options.credentials = credentials;
            assert!(check(&options).unwrap_err().message.starts_with(key), "{key}");
        }
    }
}
