//! What a mount can be told, as Rust.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// Whose name requests are made in.
#[derive(Clone, Default, PartialEq, Eq)]
pub enum S3Credentials {
    /// The host's: the variables `AWS_ACCESS_KEY_ID` and so on, a web identity, a container's or an instance's role.
    #[default]
    Environment,
    /// Nobody's: requests are not signed.
    Anonymous,
    /// These.
    Keys {
        /// The name of the key.
        access_key_id: String,
        /// The key.
        secret_access_key: String,
        /// What temporary keys come with.
        session_token: Option<String>,
    },
}

impl fmt::Debug for S3Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Environment => "Environment",
            Self::Anonymous => "Anonymous",
            Self::Keys { .. } => "Keys",
        })
    }
}

/// A bucket and how to use it. [`S3Options::new`] has the defaults of the settings of [`S3Mount`](crate::S3Mount), which say what each means.
///
/// ```
/// let mut options = eyot_s3::S3Options::new("bucket");
/// options.endpoint = Some("http://127.0.0.1:9000".into());
/// options.allow_http = true;
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct S3Options {
    /// The bucket.
    pub bucket: String,
    /// The directory of the bucket that is mounted; empty: all of it.
    pub prefix: String,
    /// The bucket's region.
    pub region: String,
    /// The server, when it is not Amazon's of the region.
    pub endpoint: Option<String>,
    /// Whose name requests are made in.
    pub credentials: S3Credentials,
    /// Whether an endpoint without TLS is taken.
    pub allow_http: bool,
    /// The bucket is part of the host's name, not of the path.
    pub virtual_hosted: bool,
    /// Nothing is changed.
    pub read_only: bool,
    /// Whether bodies are signed; `None`: where there is no TLS.
    pub sign_payload: Option<bool>,
    /// The requester pays.
    pub request_payer: bool,
    /// The storage class of new objects.
    pub storage_class: Option<String>,
    /// How the server encrypts new objects: `AES256` or `aws:kms`.
    pub server_side_encryption: Option<String>,
    /// The key for that.
    pub kms_key_id: Option<String>,
    /// Modes, owners and times are kept in the metadata of objects.
    pub posix: bool,
    /// A listing asks for the headers of each entry, so that it tells modes, owners and times.
    pub exact_listings: bool,
    /// Symlinks are kept as rclone keeps them.
    pub symlinks: bool,
    /// Of files that say nothing.
    pub file_mode: u32,
    /// Of directories that say nothing.
    pub dir_mode: u32,
    /// Of what says nothing.
    pub uid: u32,
    /// Of what says nothing.
    pub gid: u32,
    /// For how long a directory's names are believed.
    pub list_lifetime: Duration,
    /// For how long attributes are believed.
    pub attributes_lifetime: Duration,
    /// Memory for what was read.
    pub cache_bytes: u64,
    /// The length of an upload's parts, and of the largest file that is uploaded whole.
    pub part_bytes: u64,
    /// Memory for files that are being changed; what does not fit goes to temporary files.
    pub stage_bytes: u64,
    /// Where temporary files go.
    pub stage_directory: Option<PathBuf>,
    /// How long to wait for an answer.
    pub timeout: Duration,
    /// How often a request is tried again.
    pub retries: u32,
    /// For how long a request is tried again.
    pub retry_time: Duration,
    /// The most entries of a directory.
    pub entries_max: usize,
    /// The most objects that a directory's rename copies.
    pub rename_entries_max: usize,
    /// The longest file whose bytes are fetched when its name goes while it is held but not open.
    pub keep_unlinked_bytes: u64,
    /// The longest object that is copied by one request: 5 GiB.
    #[doc(hidden)]
    pub copy_bytes_max: u64,
}

impl S3Options {
    /// A bucket, and the defaults.
    pub fn new(bucket: impl Into<String>) -> Self {
        Self {
            bucket: bucket.into(),
            prefix: String::new(),
            region: "us-east-1".into(),
            endpoint: None,
            credentials: S3Credentials::Environment,
            allow_http: false,
            virtual_hosted: false,
            read_only: false,
            sign_payload: None,
            request_payer: false,
            storage_class: None,
            server_side_encryption: None,
            kms_key_id: None,
            posix: true,
            exact_listings: false,
            symlinks: true,
            file_mode: 0o644,
            dir_mode: 0o755,
            uid: 0,
            gid: 0,
            list_lifetime: Duration::from_secs(5),
            attributes_lifetime: Duration::from_secs(5),
            cache_bytes: 64 << 20,
            part_bytes: 8 << 20,
            stage_bytes: 32 << 20,
            stage_directory: None,
            timeout: Duration::from_secs(20),
            retries: 12,
            retry_time: Duration::from_secs(60),
            entries_max: 1_000_000,
            rename_entries_max: 10_000,
            keep_unlinked_bytes: 0,
            copy_bytes_max: 5 << 30,
        }
    }
}

/// What the parts that move bytes must know.
#[derive(Clone, Debug)]
pub(crate) struct Tuning {
    pub(crate) cache_bytes: u64,
    pub(crate) part_bytes: u64,
    pub(crate) stage_bytes: u64,
    pub(crate) stage_directory: Option<PathBuf>,
}
