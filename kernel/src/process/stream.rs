//! Byte streams that the embedder lends a VM: its terminal, a log, a socket.

use event_listener::EventListener;

use super::Readiness;
use crate::Errno;
use crate::syscall::types::WindowSize;
use crate::wait::SysResult;

/// A byte stream outside the VM, given to a process as a descriptor.
///
/// No call blocks: what is not ready answers [`SysError::Wait`](crate::wait::SysError::Wait) with the event that the embedder will notify.
pub trait Stream: Send + Sync + 'static {
    /// Reads what is there; 0 is the end. Errors: `EBADF` when it is not for reading.
    fn read(&self, buffer: &mut [u8]) -> SysResult<usize>;

    /// Writes what fits. Errors: `EBADF` when it is not for writing, `EPIPE` when the other side is gone.
    fn write(&self, bytes: &[u8]) -> SysResult<usize>;

    /// What could be done now without waiting.
    fn readiness(&self) -> Readiness;

    /// Listens for a change of readiness. The listener must be made so that a change after this call is noticed. `None`: it is always ready.
    fn listen(&self, interest: Readiness) -> Option<EventListener>;

    /// Whether it is a terminal.
    fn is_terminal(&self) -> bool {
        false
    }

    /// The terminal's window. Errors: `ENOTTY`.
    fn window_size(&self) -> Result<WindowSize, Errno> {
        Err(Errno::Notty)
    }
}
