//! What a component writes to its standard streams: lines of the log.

use event_listener::EventListener;
use parking_lot::Mutex;

use crate::Errno;
use crate::plugin::load::printable;
use crate::process::{Readiness, Stream};
use crate::wait::SysResult;

/// The longest line; a longer one is told in pieces.
const LINE_BYTES_MAX: usize = 4096;

/// A standard stream of a component.
pub(super) struct Output {
    plugin: String,
    stream: &'static str,
    /// The line that is not at its end.
    line: Mutex<Vec<u8>>,
}

impl Output {
    pub(super) fn new(plugin: &str, stream: &'static str) -> Self {
        Self { plugin: plugin.to_owned(), stream, line: Mutex::default() }
    }

    fn tell(&self, line: &[u8]) {
        let line = printable(&String::from_utf8_lossy(line));
        if !line.is_empty() {
            tracing::info!(plugin = %self.plugin, stream = self.stream, "{line}");
        }
    }
}

impl Stream for Output {
    fn read(&self, _buffer: &mut [u8]) -> SysResult<usize> {
        Err(Errno::Badf.into())
    }

    fn write(&self, bytes: &[u8]) -> SysResult<usize> {
        let mut line = self.line.lock();
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            for part in piece.chunks(LINE_BYTES_MAX) {
                if line.len() + part.len() > LINE_BYTES_MAX {
                    self.tell(&std::mem::take(&mut *line));
                }
                line.extend_from_slice(part);
            }
            if piece.ends_with(b"\n") {
                self.tell(&std::mem::take(&mut *line));
            }
        }
        Ok(bytes.len())
    }

    fn readiness(&self) -> Readiness {
        Readiness::WRITABLE
    }

    fn listen(&self, _interest: Readiness) -> Option<EventListener> {
        None
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        let line = std::mem::take(self.line.get_mut());
        self.tell(&line);
    }
}
