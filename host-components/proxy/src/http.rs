//! HTTP's `CONNECT`: RFC 9110, section 9.3.6.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use eyot_backend::Errno;

use crate::tunnel::{ANSWER_BYTES_MAX, Credentials, Next, Target};

pub(crate) struct Connect {
    /// None once it was said.
    request: Option<Vec<u8>>,
}

impl Connect {
    pub(crate) fn new(target: &Target, credentials: Option<&Credentials>) -> Self {
        let authority = match target {
            Target::Address(address) => address.to_string(),
            Target::Host(name, port) => format!("{name}:{port}"),
        };
        let mut request = format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n");
        if let Some(Credentials { user, password }) = credentials {
            let encoded = STANDARD.encode(format!("{user}:{password}"));
            request.push_str(&format!("Proxy-Authorization: Basic {encoded}\r\n"));
        }
        request.push_str("\r\n");
        Self { request: Some(request.into_bytes()) }
    }

    pub(crate) fn next(&mut self, heard: &[u8]) -> Result<Next, Errno> {
        if let Some(request) = self.request.take() {
            return Ok(Next::Say(request));
        }
        let Some(end) = heard.windows(4).position(|four| four == b"\r\n\r\n") else {
            return Ok(Next::Hear(ANSWER_BYTES_MAX));
        };
        match status(heard) {
            Some(200..=299) => Ok(Next::Open(end + 4)),
            // An interim answer: the true one follows. A proxy has no reason to send one to this.
            Some(100..=199) | None => Err(Errno::Proto),
            Some(401 | 403 | 407) => Err(Errno::Acces),
            Some(404 | 500 | 502 | 503) => Err(Errno::Hostunreach),
            Some(408 | 504) => Err(Errno::Timedout),
            Some(_) => Err(Errno::Connrefused),
        }
    }
}

/// The number of a status line: `HTTP/1.1 200 ...`.
fn status(heard: &[u8]) -> Option<u16> {
    let rest = heard.strip_prefix(b"HTTP/1.").filter(|rest| rest.len() > 5)?;
    match *rest {
        [b'0' | b'1', b' ', a, b, c, b' ' | b'\r', ..] if [a, b, c].iter().all(u8::is_ascii_digit) => {
            Some(u16::from(a - b'0') * 100 + u16::from(b - b'0') * 10 + u16::from(c - b'0'))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_lines_are_read_strictly() {
        assert_eq!(status(b"HTTP/1.1 200 OK\r\n"), Some(200));
        assert_eq!(status(b"HTTP/1.0 407\r\n\r\n"), Some(407));
        for wrong in [&b"HTTP/2 200 OK"[..], b"HTTP/1.1 20 OK", b"HTTP/1.1 2000 ", b"", b"SSH-2.0-x", b"HTTP/1."] {
            assert_eq!(status(wrong), None);
        }
    }
}
