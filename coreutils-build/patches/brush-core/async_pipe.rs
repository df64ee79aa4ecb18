//! Reading a pipe whose writers may be this process's other tasks.

use std::io::{self, Read};
use std::os::fd::AsRawFd;

pub(crate) struct AsyncPipeReader {
    inner: std::io::PipeReader,
}

impl AsyncPipeReader {
    pub(crate) fn new(fd: std::io::PipeReader) -> io::Result<Self> {
        Ok(Self { inner: fd })
    }

    pub(crate) async fn read_to_string(&mut self) -> io::Result<String> {
        let mut bytes = Vec::new();
        let mut block = [0_u8; 16 * 1024];
        loop {
            eyot_guest::descriptor(self.inner.as_raw_fd(), eyot_guest::Interest::Read).await;
            match self.inner.read(&mut block)? {
                0 => break,
                count => bytes.extend_from_slice(&block[..count]),
            }
        }
        Ok(match String::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
        })
    }
}
