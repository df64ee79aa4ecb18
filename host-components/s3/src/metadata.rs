//! What POSIX knows of a file and S3 does not, in the metadata of its object.
//!
//! The names and forms are those of s3fs: `mode` in decimal with the bits of the kind, `uid`, `gid`, and `mtime`, `atime` as seconds with a fraction.
//! rclone's `mtime` has the same form, and its `mode` in octal, with a leading zero, is understood.

use eyot_backend::{NodeKind, Ownership, Timestamp};
use http::{HeaderMap, HeaderName, HeaderValue};

const PREFIX: &str = "x-amz-meta-";
/// What all metadata of one object may take together; S3 takes 2 KiB of names and values.
const BYTES_MAX: usize = 8 << 10;
/// Headers of an object that a copy with new metadata would lose.
const KEPT: [HeaderName; 5] = [
    http::header::CONTENT_TYPE,
    http::header::CONTENT_ENCODING,
    http::header::CONTENT_DISPOSITION,
    http::header::CONTENT_LANGUAGE,
    http::header::CACHE_CONTROL,
];

/// What an object's headers say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Metadata {
    pub(crate) mode: Option<u32>,
    pub(crate) uid: Option<u32>,
    pub(crate) gid: Option<u32>,
    pub(crate) modified: Option<Timestamp>,
    pub(crate) accessed: Option<Timestamp>,
    /// Everything else: other people's metadata, the content's type. It is kept when the object is written anew.
    pub(crate) others: HeaderMap,
}

impl Metadata {
    /// Of a new file or directory.
    pub(crate) fn new(owner: Ownership, modified: Timestamp) -> Self {
        Self {
            mode: Some(owner.mode & 0o7777),
            uid: Some(owner.uid),
            gid: Some(owner.gid),
            modified: Some(modified),
            ..Self::default()
        }
    }

    /// From an answer. What makes no sense is as if it were not there.
    pub(crate) fn from_headers(headers: &HeaderMap) -> Self {
        let mut found = Self::default();
        let mut bytes = 0;
        for (name, value) in headers {
            let ours = name.as_str().strip_prefix(PREFIX);
            if ours.is_none() && !KEPT.contains(name) {
                continue;
            }
            bytes += name.as_str().len() + value.len();
            let Ok(text) = value.to_str() else { continue };
            if bytes > BYTES_MAX {
                break;
            }
            match ours {
                Some("mode") => found.mode = parse_mode(text),
                Some("uid") => found.uid = text.parse().ok(),
                Some("gid") => found.gid = text.parse().ok(),
                Some("mtime") => found.modified = parse_time(text),
                Some("atime") => found.accessed = parse_time(text),
                _ => {
                    found.others.insert(name.clone(), value.clone());
                }
            }
        }
        found
    }

    /// As headers of a request that makes the object. With `posix` unset only what others had written.
    pub(crate) fn to_headers(&self, kind: NodeKind, posix: bool) -> HeaderMap {
        let mut headers = self.others.clone();
        if !posix {
            return headers;
        }
        let mut put = |name: &'static str, value: Option<String>| {
            if let Some(value) = value.and_then(|value| HeaderValue::from_str(&value).ok()) {
                headers.insert(HeaderName::from_static(name), value);
            }
        };
        put("x-amz-meta-mode", self.mode.map(|mode| (mode | kind.mode_bits()).to_string()));
        put("x-amz-meta-uid", self.uid.map(|uid| uid.to_string()));
        put("x-amz-meta-gid", self.gid.map(|gid| gid.to_string()));
        put("x-amz-meta-mtime", self.modified.map(write_time));
        put("x-amz-meta-atime", self.accessed.map(write_time));
        headers
    }
}

fn parse_mode(text: &str) -> Option<u32> {
    let radix = if text.len() > 1 && text.starts_with('0') { 8 } else { 10 };
    u32::from_str_radix(text, radix).ok().map(|mode| mode & 0o7777)
}

/// Seconds with an optional fraction.
fn parse_time(text: &str) -> Option<Timestamp> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let seconds: i64 = whole.parse().ok()?;
    let digits = fraction.get(..fraction.len().min(9))?;
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let nanos: u32 = if digits.is_empty() { 0 } else { digits.parse().ok()? };
    let nanos = i64::from(nanos * 10_u32.pow(9 - u32::try_from(digits.len()).ok()?));
    if text.starts_with('-') && nanos > 0 {
        return Some(Timestamp {
            seconds: seconds.checked_sub(1)?,
            nanoseconds: u32::try_from(1_000_000_000 - nanos).ok()?,
        });
    }
    Some(Timestamp { seconds, nanoseconds: u32::try_from(nanos).ok()? })
}

fn write_time(time: Timestamp) -> String {
    let Timestamp { seconds, nanoseconds } = time;
    if seconds < 0 && nanoseconds > 0 {
        // The fraction counts away from zero, as people write it.
        let whole = seconds.saturating_add(1);
        let sign = if whole == 0 { "-" } else { "" };
        return format!("{sign}{whole}.{:09}", 1_000_000_000_u32.saturating_sub(nanoseconds));
    }
    if nanoseconds == 0 { seconds.to_string() } else { format!("{seconds}.{nanoseconds:09}") }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap()))
            .collect()
    }

    #[test]
    fn what_s3fs_and_rclone_write_is_read() {
        let s3fs =
            headers(&[("x-amz-meta-mode", "33188"), ("x-amz-meta-uid", "7"), ("x-amz-meta-mtime", "1600000000")]);
        let found = Metadata::from_headers(&s3fs);
        assert_eq!((found.mode, found.uid, found.gid), (Some(0o644), Some(7), None));
        assert_eq!(found.modified, Some(Timestamp { seconds: 1_600_000_000, nanoseconds: 0 }));
        let rclone = headers(&[("x-amz-meta-mode", "0100755"), ("x-amz-meta-mtime", "1600000000.5")]);
        let found = Metadata::from_headers(&rclone);
        assert_eq!(found.mode, Some(0o755));
        assert_eq!(found.modified, Some(Timestamp { seconds: 1_600_000_000, nanoseconds: 500_000_000 }));
    }

    #[test]
    fn what_others_wrote_is_kept() {
        let given = headers(&[("content-type", "text/css"), ("x-amz-meta-colour", "red"), ("etag", "x")]);
        let kept = Metadata::from_headers(&given).to_headers(NodeKind::File, true);
        assert_eq!(kept.len(), 2);
        assert_eq!(kept["x-amz-meta-colour"], "red");
    }

    #[test]
    fn nonsense_is_as_if_it_were_not_there() {
        for (name, value) in [
            ("x-amz-meta-mode", "rwx"),
            ("x-amz-meta-uid", "-1"),
            ("x-amz-meta-mtime", "1.x"),
            ("x-amz-meta-mtime", ""),
        ] {
            assert_eq!(Metadata::from_headers(&headers(&[(name, value)])), Metadata::default(), "{name}: {value}");
        }
        let long = "x".repeat(9000);
        assert_eq!(Metadata::from_headers(&headers(&[("x-amz-meta-a", &long)])).others.len(), 0);
    }

    proptest! {
        #[test]
        fn times_come_back(seconds in -100_000_000_000_i64..100_000_000_000, nanoseconds in 0_u32..1_000_000_000) {
            let time = Timestamp { seconds, nanoseconds };
            prop_assert_eq!(parse_time(&write_time(time)), Some(time));
        }

        #[test]
        fn no_text_breaks_it(text in ".*") {
            let _ = (parse_time(&text), parse_mode(&text));
        }
    }
}
