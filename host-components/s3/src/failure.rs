//! Why a request failed, and which error number a guest sees.

use std::fmt;

use eyot_backend::Errno;
use object_store::client::{HttpError, HttpErrorKind};

/// Why a request failed.
#[derive(Clone, Debug)]
pub(crate) enum Failure {
    /// The server said no.
    Status(Box<Status>),
    /// There was no connection: no such host, refused, no agreement on TLS.
    Connect(String),
    /// An answer, or its next bytes, did not come in time.
    Timeout,
    /// The connection broke.
    Interrupted(String),
    /// The answer cannot be true.
    Nonsense(&'static str),
    /// What was asked for cannot be asked.
    Refused(Errno),
}

/// What the server said.
#[derive(Clone, Debug)]
pub(crate) struct Status {
    /// The number of HTTP.
    pub(crate) number: u16,
    /// S3's name, such as `NoSuchKey`; empty when it sent none.
    pub(crate) code: String,
    /// The server's sentence.
    pub(crate) message: String,
    /// The region where the bucket is, when it is elsewhere.
    pub(crate) region: Option<String>,
}

impl Failure {
    pub(crate) fn from_http(error: &HttpError) -> Self {
        let told = tell(error);
        match error.kind() {
            HttpErrorKind::Timeout => Self::Timeout,
            HttpErrorKind::Connect => Self::Connect(told),
            _ => Self::Interrupted(told),
        }
    }

    /// The HTTP status, when there was one.
    pub(crate) fn status(&self) -> Option<u16> {
        match self {
            Self::Status(status) => Some(status.number),
            _ => None,
        }
    }

    /// S3's code, or nothing.
    pub(crate) fn code(&self) -> &str {
        match self {
            Self::Status(status) => &status.code,
            _ => "",
        }
    }

    /// The object is not there.
    pub(crate) fn is_absent(&self) -> bool {
        self.status() == Some(404) && self.code() != "NoSuchBucket"
    }

    /// The object is not the one that was asked for any more.
    pub(crate) fn is_changed(&self) -> bool {
        matches!(self.status(), Some(412 | 416)) || matches!(self, Self::Refused(Errno::Stale))
    }

    /// Whether the same request may succeed later.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Self::Status(status) => {
                matches!(status.number, 408 | 429 | 500 | 502 | 503 | 504)
                    || matches!(&*status.code, "SlowDown" | "InternalError" | "RequestTimeout" | "OperationAborted")
            }
            Self::Connect(_) | Self::Timeout | Self::Interrupted(_) => true,
            Self::Nonsense(_) | Self::Refused(_) => false,
        }
    }

    /// What a guest sees.
    pub(crate) fn errno(&self) -> Errno {
        match self {
            Self::Status(status) => status.errno(),
            Self::Timeout => Errno::Timedout,
            Self::Connect(_) | Self::Interrupted(_) | Self::Nonsense(_) => Errno::Io,
            Self::Refused(errno) => *errno,
        }
    }
}

impl Status {
    fn errno(&self) -> Errno {
        match &*self.code {
            "NoSuchBucket" | "NoSuchUpload" => return Errno::Io,
            "EntityTooLarge" => return Errno::Fbig,
            "KeyTooLongError" | "KeyTooLong" => return Errno::Nametoolong,
            "QuotaExceeded" | "InsufficientStorage" | "XMinioStorageFull" | "NotEnoughSpace" => return Errno::Nospc,
            _ => {}
        }
        match self.number {
            401 | 403 => Errno::Acces,
            404 => Errno::Noent,
            408 | 504 => Errno::Timedout,
            409 => Errno::Busy,
            412 | 416 => Errno::Stale,
            413 => Errno::Fbig,
            501 => Errno::Notsup,
            507 => Errno::Nospc,
            _ => Errno::Io,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => {
                write!(f, "the server answered {}", status.number)?;
                if !status.code.is_empty() {
                    write!(f, " {}", status.code)?;
                }
                if !status.message.is_empty() {
                    write!(f, ": {}", status.message)?;
                }
                Ok(())
            }
            Self::Connect(why) => write!(f, "no connection: {why}"),
            Self::Timeout => f.write_str("no answer in time"),
            Self::Interrupted(why) => write!(f, "the connection broke: {why}"),
            Self::Nonsense(why) => f.write_str(why),
            Self::Refused(errno) => write!(f, "{errno}"),
        }
    }
}

/// An error with its causes: the outermost alone says little.
fn tell(error: &dyn std::error::Error) -> String {
    let mut told = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let more = inner.to_string();
        if !told.ends_with(&more) {
            told.push_str(": ");
            told.push_str(&more);
        }
        cause = inner.source();
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(number: u16, code: &str) -> Failure {
        Failure::Status(Box::new(Status { number, code: code.into(), message: String::new(), region: None }))
    }

    #[test]
    fn error_numbers() {
        let wanted = [
            (404, "NoSuchKey", Errno::Noent),
            (404, "NoSuchBucket", Errno::Io),
            (403, "AccessDenied", Errno::Acces),
            (401, "", Errno::Acces),
            (412, "PreconditionFailed", Errno::Stale),
            (416, "InvalidRange", Errno::Stale),
            (507, "", Errno::Nospc),
            (403, "QuotaExceeded", Errno::Nospc),
            (400, "EntityTooLarge", Errno::Fbig),
            (400, "KeyTooLongError", Errno::Nametoolong),
            (501, "NotImplemented", Errno::Notsup),
            (504, "", Errno::Timedout),
            (400, "Whatever", Errno::Io),
        ];
        for (number, code, errno) in wanted {
            assert_eq!(status(number, code).errno(), errno, "{number} {code}");
        }
        assert_eq!(Failure::Timeout.errno(), Errno::Timedout);
    }

    #[test]
    fn what_may_pass() {
        assert!(status(503, "SlowDown").may_pass() && status(500, "").may_pass() && Failure::Timeout.may_pass());
        assert!(!status(403, "").may_pass() && !status(404, "").may_pass() && !Failure::Nonsense("x").may_pass());
        assert!(status(404, "NoSuchKey").is_absent() && !status(404, "NoSuchBucket").is_absent());
    }
}
