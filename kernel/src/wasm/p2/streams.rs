//! `wasi:io/streams`: a stream is a descriptor. Its position, if it has one, is its open file's; nothing is buffered here, so nothing is lost when a program ends.

use std::sync::Arc;

use wasmtime::component::Resource;

use super::RESOURCE_FD_MIN;
use super::bindings::wasi::wasi::io::streams::{self, InputStream, OutputStream};
use super::failure::{Failure, StreamFailure, waiting};
use super::poll::Pollable;
use crate::Errno;
use crate::process::{Object, Task};
use crate::syscall::descriptor;
use crate::syscall::types::{PollRequest, Readiness};
use crate::wait::SysError;
use crate::wasm::process::Guest;

/// The most bytes of one read: a guest names lengths that no host buffer should have.
pub(super) const READ_BYTES_MAX: u64 = 1 << 20;

/// What may be written at once to what can be written without end: a file.
const FILE_PERMIT_BYTES: u64 = 1 << 20;

/// What a pipe that is ready takes without a wait (`PIPE_BUF` on Linux).
const PIPE_PERMIT_BYTES: u64 = 4096;

/// The most bytes of the two calls that write and flush, as WASI has it.
const WRITE_AND_FLUSH_BYTES_MAX: usize = 4096;

static ZEROS: [u8; 4096] = [0; 4096];

type StreamResult<T> = Result<T, StreamFailure>;

/// A buffer for a read of at most `length` bytes.
pub(super) fn read_buffer(length: u64) -> Vec<u8> {
    vec![0; length.min(READ_BYTES_MAX) as usize]
}

/// Bytes that are there, none when there are none yet.
fn read_now(task: &Task, fd: u32, length: u64) -> StreamResult<Vec<u8>> {
    let mut buffer = read_buffer(length);
    match descriptor::read(task, fd, &mut buffer) {
        Ok(0) if !buffer.is_empty() => Err(StreamFailure::Closed),
        Ok(count) => {
            buffer.truncate(count);
            Ok(buffer)
        }
        Err(SysError::Wait(_) | SysError::Errno(Errno::Again)) => Ok(Vec::new()),
        Err(SysError::Errno(errno)) => Err(StreamFailure::Errno(errno)),
    }
}

async fn read_waiting(task: &Arc<Task>, fd: u32, length: u64) -> StreamResult<Vec<u8>> {
    let mut buffer = read_buffer(length);
    loop {
        match waiting(task, || descriptor::read(task, fd, &mut buffer)).await {
            Ok(0) if !buffer.is_empty() => return Err(StreamFailure::Closed),
            Ok(count) => {
                buffer.truncate(count);
                return Ok(buffer);
            }
            Err(Failure::Errno(Errno::Again)) => until_ready(task, fd, Readiness::READABLE).await?,
            Err(failure) => return Err(failure.into()),
        }
    }
}

/// Writes all of it.
async fn write_all(task: &Arc<Task>, fd: u32, mut bytes: &[u8]) -> StreamResult<()> {
    while !bytes.is_empty() {
        match waiting(task, || descriptor::write(task, fd, bytes)).await {
            Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
            Err(Failure::Errno(Errno::Again)) => until_ready(task, fd, Readiness::WRITABLE).await?,
            Err(failure) => return Err(failure.into()),
        }
    }
    Ok(())
}

async fn write_zeros(task: &Arc<Task>, fd: u32, length: u64) -> StreamResult<()> {
    let mut rest = length;
    while rest > 0 {
        let count = rest.min(ZEROS.len() as u64);
        write_all(task, fd, &ZEROS[..count as usize]).await?;
        rest -= count;
    }
    Ok(())
}

/// Waits for a descriptor that others have set to answer `EAGAIN`.
async fn until_ready(task: &Arc<Task>, fd: u32, interest: Readiness) -> StreamResult<()> {
    waiting(task, || descriptor::poll(task, &[PollRequest { fd, interest }], None)).await?;
    Ok(())
}

/// How much a write would take without a wait; 0: poll first.
fn permit(task: &Task, fd: u32) -> StreamResult<u64> {
    let file = task.file(fd).map_err(StreamFailure::Errno)?;
    let bytes = match file.object() {
        Object::Regular(..) | Object::Device(_) => FILE_PERMIT_BYTES,
        _ => PIPE_PERMIT_BYTES,
    };
    // A stream whose reader is gone takes a write too: that is when its writer is told, by a signal.
    let ready = file.readiness().intersects(Readiness::WRITABLE | Readiness::ERROR | Readiness::HANG_UP);
    Ok(if ready { bytes } else { 0 })
}

fn check_length(length: u64, max: u64, what: &str) -> StreamResult<()> {
    if length <= max {
        return Ok(());
    }
    Err(StreamFailure::Trap(wasmtime::Error::msg(format!("{what}: {length} bytes are more than the {max} allowed"))))
}

impl Guest {
    fn drop_stream(&self, fd: u32) -> wasmtime::Result<()> {
        // A stream over a standard descriptor lends it.
        if fd < RESOURCE_FD_MIN { Ok(()) } else { self.close_dropped(fd) }
    }
}

impl streams::HostInputStream for Guest {
    fn read(&mut self, stream: Resource<InputStream>, length: u64) -> StreamResult<Vec<u8>> {
        read_now(&self.task, stream.rep(), length)
    }

    async fn blocking_read(&mut self, stream: Resource<InputStream>, length: u64) -> StreamResult<Vec<u8>> {
        read_waiting(self.task(), stream.rep(), length).await
    }

    fn skip(&mut self, stream: Resource<InputStream>, length: u64) -> StreamResult<u64> {
        read_now(&self.task, stream.rep(), length).map(|bytes| bytes.len() as u64)
    }

    async fn blocking_skip(&mut self, stream: Resource<InputStream>, length: u64) -> StreamResult<u64> {
        read_waiting(self.task(), stream.rep(), length).await.map(|bytes| bytes.len() as u64)
    }

    fn subscribe(&mut self, stream: Resource<InputStream>) -> wasmtime::Result<Resource<Pollable>> {
        self.subscribe_fd(stream.rep(), Readiness::READABLE)
    }

    fn drop(&mut self, stream: Resource<InputStream>) -> wasmtime::Result<()> {
        self.drop_stream(stream.rep())
    }
}

impl streams::HostOutputStream for Guest {
    fn check_write(&mut self, stream: Resource<OutputStream>) -> StreamResult<u64> {
        permit(&self.task, stream.rep())
    }

    /// Waits only when others filled the stream since it was checked, or the program did not check.
    async fn write(&mut self, stream: Resource<OutputStream>, bytes: Vec<u8>) -> StreamResult<()> {
        write_all(self.task(), stream.rep(), &bytes).await
    }

    async fn blocking_write_and_flush(&mut self, stream: Resource<OutputStream>, bytes: Vec<u8>) -> StreamResult<()> {
        check_length(bytes.len() as u64, WRITE_AND_FLUSH_BYTES_MAX as u64, "blocking-write-and-flush")?;
        write_all(self.task(), stream.rep(), &bytes).await
    }

    fn flush(&mut self, stream: Resource<OutputStream>) -> StreamResult<()> {
        self.task.file(stream.rep()).map(drop).map_err(StreamFailure::Errno)
    }

    fn blocking_flush(&mut self, stream: Resource<OutputStream>) -> StreamResult<()> {
        self.flush(stream)
    }

    fn subscribe(&mut self, stream: Resource<OutputStream>) -> wasmtime::Result<Resource<Pollable>> {
        self.subscribe_fd(stream.rep(), Readiness::WRITABLE)
    }

    async fn write_zeroes(&mut self, stream: Resource<OutputStream>, length: u64) -> StreamResult<()> {
        check_length(length, FILE_PERMIT_BYTES, "write-zeroes")?;
        write_zeros(self.task(), stream.rep(), length).await
    }

    async fn blocking_write_zeroes_and_flush(
        &mut self,
        stream: Resource<OutputStream>,
        length: u64,
    ) -> StreamResult<()> {
        check_length(length, WRITE_AND_FLUSH_BYTES_MAX as u64, "blocking-write-zeroes-and-flush")?;
        write_zeros(self.task(), stream.rep(), length).await
    }

    async fn splice(
        &mut self,
        stream: Resource<OutputStream>,
        source: Resource<InputStream>,
        length: u64,
    ) -> StreamResult<u64> {
        let length = length.min(permit(&self.task, stream.rep())?);
        let bytes = read_now(&self.task, source.rep(), length)?;
        write_all(self.task(), stream.rep(), &bytes).await?;
        Ok(bytes.len() as u64)
    }

    async fn blocking_splice(
        &mut self,
        stream: Resource<OutputStream>,
        source: Resource<InputStream>,
        length: u64,
    ) -> StreamResult<u64> {
        let bytes = read_waiting(self.task(), source.rep(), length).await?;
        write_all(self.task(), stream.rep(), &bytes).await?;
        Ok(bytes.len() as u64)
    }

    fn drop(&mut self, stream: Resource<OutputStream>) -> wasmtime::Result<()> {
        self.drop_stream(stream.rep())
    }
}
