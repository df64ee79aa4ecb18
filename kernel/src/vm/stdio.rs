//! What a command's standard streams are.

use std::io;
use std::sync::Arc;

use crate::Errno;
use crate::limits::Accountant;
use crate::process::device::Device;
use crate::process::{Object, OpenFile, PipeReader, PipeWriter, StatusFlags, Stream};
use crate::wait::{SysError, SysResult};

/// What one of a command's standard streams is.
#[derive(Clone)]
pub enum Stdio {
    /// `/dev/null`.
    Null,
    /// A pipe whose other end the embedder gets from the started process.
    Piped,
    /// A stream of the embedder's.
    Stream(Arc<dyn Stream>),
    /// An open file, such as another command's stream.
    File(Arc<OpenFile>),
}

/// The embedder's end of a pipe into the VM. Dropped, the guest sees the end.
pub struct PipeInput(PipeWriter);

/// The embedder's end of a pipe out of the VM.
pub struct PipeOutput(PipeReader);

/// The embedder's end of what one stream became.
pub(super) enum OtherEnd {
    None,
    Input(PipeInput),
    Output(PipeOutput),
}

impl Stdio {
    pub(super) fn open(&self, accountant: &Arc<Accountant>, input: bool) -> Result<(Arc<OpenFile>, OtherEnd), Errno> {
        let both = StatusFlags::READ | StatusFlags::WRITE;
        let open = |object, flags| OpenFile::new(accountant, object, flags, None);
        match self {
            Stdio::Null => Ok((open(Object::Device(Device::Null), both)?, OtherEnd::None)),
            Stdio::Stream(stream) => Ok((open(Object::Stream(stream.clone()), both)?, OtherEnd::None)),
            Stdio::File(file) => Ok((file.clone(), OtherEnd::None)),
            Stdio::Piped => {
                let (reader, writer) = crate::process::Pipe::pair(accountant)?;
                if input {
                    let file = open(Object::PipeReader(reader), StatusFlags::READ)?;
                    Ok((file, OtherEnd::Input(PipeInput(writer))))
                } else {
                    let file = open(Object::PipeWriter(writer), StatusFlags::WRITE)?;
                    Ok((file, OtherEnd::Output(PipeOutput(reader))))
                }
            }
        }
    }
}

fn block<T>(mut call: impl FnMut() -> SysResult<T>) -> io::Result<T> {
    loop {
        match call() {
            Ok(value) => return Ok(value),
            Err(SysError::Wait(wait)) => wait.park(),
            Err(SysError::Errno(errno)) => return Err(io::Error::from_raw_os_error(errno.linux())),
        }
    }
}

impl io::Write for PipeInput {
    /// Waits while the pipe is full. Fails with `EPIPE` when the guest closed it.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        block(|| self.0.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl io::Read for PipeOutput {
    /// Waits while the pipe is empty; 0 when every writer in the VM is gone.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        block(|| self.0.read(buffer))
    }
}
