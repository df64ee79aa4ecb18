//! Open file descriptions: what descriptors share (open(2), "Open file descriptions").

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

use bitflags::bitflags;
use parking_lot::Mutex;

use super::device::Device;
use super::{PipeReader, PipeWriter, Stream};
use crate::Errno;
use crate::backend::{CHUNK_BYTES_MAX, Handle};
use crate::limits::{Accountant, Charge, Limit};
use crate::net::{Socket, Take};
use crate::vfs::{CachedFile, Dentry, Inode};
use crate::wait::{SysError, SysResult, Wait};

bitflags! {
    /// What an open file may be used for, and how.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct StatusFlags: u32 {
        /// Reading is allowed.
        const READ = 1;
        /// Writing is allowed.
        const WRITE = 1 << 1;
        /// Every write goes to the end.
        const APPEND = 1 << 2;
        /// What would wait answers `EAGAIN`.
        const NON_BLOCKING = 1 << 3;
        /// Only a place in the tree (`O_PATH`).
        const PATH = 1 << 4;
    }

    /// What a descriptor is ready for.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Readiness: u32 {
        /// A read would not wait.
        const READABLE = 1;
        /// A write would not wait.
        const WRITABLE = 1 << 1;
        /// The other side is gone.
        const HANG_UP = 1 << 2;
        /// The descriptor is in error or not open.
        const ERROR = 1 << 3;
    }
}

/// What an open file is.
pub enum Object {
    /// A regular file, with the backend's handle.
    Regular(Arc<Inode>, Handle),
    /// A directory.
    Directory(Arc<Inode>),
    /// A place in the tree, opened as a path only.
    Path(Arc<Inode>),
    /// The reading end of a pipe.
    PipeReader(PipeReader),
    /// The writing end of a pipe.
    PipeWriter(PipeWriter),
    /// Both ends of a FIFO.
    PipeBoth(PipeReader, PipeWriter),
    /// A device.
    Device(Device),
    /// A stream of the embedder's.
    Stream(Arc<dyn Stream>),
    /// A socket.
    Socket(Arc<Socket>),
    /// A file whose contents were made when it was opened.
    Snapshot(Vec<u8>),
}

/// An open file description.
pub struct OpenFile {
    object: Object,
    /// A regular file's way through the cache of pages, where its mount has one.
    cached: Option<Arc<CachedFile>>,
    flags: AtomicU32,
    position: Mutex<u64>,
    dentry: Option<Arc<Dentry>>,
    serial: u64,
    _charge: Charge,
}

/// The largest offset, as on Linux: that of a signed 64-bit number.
const OFFSET_MAX: u64 = i64::MAX as u64;

impl OpenFile {
    /// An open file. Errors: `ENFILE` when the VM has too many.
    pub fn new(
        accountant: &Arc<Accountant>,
        object: Object,
        flags: StatusFlags,
        dentry: Option<Arc<Dentry>>,
    ) -> Result<Arc<Self>, Errno> {
        let charge = match accountant.charge(Limit::OpenFiles, 1) {
            Ok(charge) => charge,
            Err(errno) => {
                if let Object::Regular(inode, handle) = &object {
                    inode.fs().release(inode.node(), *handle);
                }
                return Err(errno);
            }
        };
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let serial = NEXT.fetch_add(1, Relaxed);
        let cached = match &object {
            Object::Regular(inode, handle) => CachedFile::new(inode, *handle, flags.contains(StatusFlags::WRITE)),
            _ => None,
        };
        let flags = AtomicU32::new(flags.bits());
        Ok(Arc::new(Self { object, cached, flags, position: Mutex::new(0), dentry, serial, _charge: charge }))
    }

    /// A number of its own, in place of an inode's for what has no inode.
    pub fn serial(&self) -> u64 {
        self.serial
    }

    /// What it is.
    pub fn object(&self) -> &Object {
        &self.object
    }

    /// Where it was opened in the tree.
    pub fn dentry(&self) -> Option<&Arc<Dentry>> {
        self.dentry.as_ref()
    }

    /// The inode behind it.
    pub fn inode(&self) -> Option<&Arc<Inode>> {
        match &self.object {
            Object::Regular(inode, _) | Object::Directory(inode) | Object::Path(inode) => Some(inode),
            _ => self.dentry.as_ref().map(|dentry| dentry.inode()),
        }
    }

    /// What `/proc/PID/fd` shows of a file that has no place in the tree.
    pub fn description(&self) -> String {
        let number = self.serial;
        match &self.object {
            Object::PipeReader(_) | Object::PipeWriter(_) | Object::PipeBoth(..) => format!("pipe:[{number}]"),
            Object::Stream(stream) if stream.is_terminal() => "/dev/tty".into(),
            Object::Stream(_) => format!("stream:[{number}]"),
            Object::Socket(_) => format!("socket:[{number}]"),
            _ => format!("anon_inode:[{number}]"),
        }
    }

    /// Its flags.
    pub fn flags(&self) -> StatusFlags {
        StatusFlags::from_bits_truncate(self.flags.load(Relaxed))
    }

    /// Sets `APPEND` and `NON_BLOCKING`; the others are fixed.
    pub fn set_flags(&self, flags: StatusFlags) {
        let settable = StatusFlags::APPEND | StatusFlags::NON_BLOCKING;
        let fixed = self.flags() - settable;
        self.flags.store((fixed | (flags & settable)).bits(), Relaxed);
    }

    fn check(&self, access: StatusFlags) -> Result<(), Errno> {
        if self.flags().contains(access) { Ok(()) } else { Err(Errno::Badf) }
    }

    /// read(2): at the position, which moves.
    pub fn read(&self, buffer: &mut [u8]) -> SysResult<usize> {
        self.check_readable()?;
        match &self.object {
            Object::Regular(..) | Object::Snapshot(_) => {
                let mut position = self.position.lock();
                let count = self.read_at(buffer, *position)?;
                *position += count as u64;
                Ok(count)
            }
            Object::Device(device) => Ok(device.read(buffer)?),
            Object::PipeReader(pipe) | Object::PipeBoth(pipe, _) => self.unless_non_blocking(pipe.read(buffer)),
            Object::Stream(stream) => self.unless_non_blocking(stream.read(buffer)),
            Object::Socket(socket) => {
                self.unless_non_blocking(socket.recv(buffer, Take::default()).map(|received| received.count))
            }
            Object::Directory(_) | Object::Path(_) | Object::PipeWriter(_) => Err(Errno::Badf.into()),
        }
    }

    /// write(2): at the position, which moves. Answers how many bytes were taken.
    pub fn write(&self, bytes: &[u8]) -> SysResult<usize> {
        self.check(StatusFlags::WRITE)?;
        match &self.object {
            Object::Regular(inode, handle) => {
                let mut position = self.position.lock();
                if self.flags().contains(StatusFlags::APPEND) {
                    let _appending = inode.append.lock();
                    let end = inode.size()?;
                    let count = self.write_at(inode, *handle, bytes, end)?;
                    *position = end + count as u64;
                    return Ok(count);
                }
                let count = self.write_at(inode, *handle, bytes, *position)?;
                *position += count as u64;
                Ok(count)
            }
            Object::Device(device) => Ok(device.write(bytes)?),
            Object::PipeWriter(pipe) | Object::PipeBoth(_, pipe) => self.unless_non_blocking(pipe.write(bytes)),
            Object::Stream(stream) => self.unless_non_blocking(stream.write(bytes)),
            Object::Socket(socket) => self.unless_non_blocking(socket.send(bytes)),
            Object::Directory(_) | Object::Path(_) | Object::PipeReader(_) | Object::Snapshot(_) => {
                Err(Errno::Badf.into())
            }
        }
    }

    /// pread(2). Errors: `ESPIPE`.
    pub fn pread(&self, buffer: &mut [u8], offset: u64) -> SysResult<usize> {
        self.check_readable()?;
        check_offset(offset)?;
        match &self.object {
            Object::Regular(..) | Object::Snapshot(_) => Ok(self.read_at(buffer, offset)?),
            Object::Device(device) => Ok(device.read(buffer)?),
            _ => Err(Errno::Spipe.into()),
        }
    }

    /// pwrite(2). With `APPEND` the bytes go to the end all the same, as Linux has it. Errors: `ESPIPE`.
    pub fn pwrite(&self, bytes: &[u8], offset: u64) -> SysResult<usize> {
        self.check(StatusFlags::WRITE)?;
        check_offset(offset)?;
        match &self.object {
            Object::Regular(inode, handle) if self.flags().contains(StatusFlags::APPEND) => {
                let _appending = inode.append.lock();
                Ok(self.write_at(inode, *handle, bytes, inode.size()?)?)
            }
            Object::Regular(inode, handle) => Ok(self.write_at(inode, *handle, bytes, offset)?),
            Object::Device(device) => Ok(device.write(bytes)?),
            _ => Err(Errno::Spipe.into()),
        }
    }

    /// lseek(2): the new position is what `place` makes of the present one and, when it asks, of the end.
    pub fn seek(&self, from: crate::syscall::types::Whence, offset: i64) -> Result<u64, Errno> {
        use crate::syscall::types::Whence;
        if self.flags().contains(StatusFlags::PATH) {
            return Err(Errno::Badf);
        }
        let size = match &self.object {
            Object::Regular(inode, _) => Some(inode),
            Object::Snapshot(_) | Object::Directory(_) => None,
            // Devices can be sought, to no effect (null(4)).
            Object::Device(_) => return Ok(0),
            _ => return Err(Errno::Spipe),
        };
        let mut position = self.position.lock();
        let base = match (from, size, &self.object) {
            (Whence::Start, ..) => 0,
            (Whence::Current, ..) => *position,
            (Whence::End, Some(inode), _) => inode.size()?,
            (Whence::End, None, Object::Snapshot(bytes)) => bytes.len() as u64,
            (Whence::End, None, _) => return Err(Errno::Inval),
        };
        let target = base.checked_add_signed(offset).filter(|&target| target <= OFFSET_MAX).ok_or(Errno::Inval)?;
        *position = target;
        Ok(target)
    }

    /// The position, for a directory's cookie.
    pub fn position(&self) -> u64 {
        *self.position.lock()
    }

    /// What could be done now without waiting.
    pub fn readiness(&self) -> Readiness {
        match &self.object {
            Object::PipeReader(pipe) => pipe.readiness(),
            Object::PipeWriter(pipe) => pipe.readiness(),
            Object::PipeBoth(reader, writer) => reader.readiness() | writer.readiness(),
            Object::Stream(stream) => stream.readiness(),
            Object::Socket(socket) => socket.readiness(),
            Object::Path(_) => Readiness::ERROR,
            _ => Readiness::READABLE | Readiness::WRITABLE,
        }
    }

    /// Adds to a wait what tells of a change of readiness; of what is always ready nothing.
    pub fn listen(&self, interest: Readiness, wait: Wait) -> Wait {
        match &self.object {
            Object::PipeReader(pipe) => wait.or(pipe.listen()),
            Object::PipeWriter(pipe) => wait.or(pipe.listen()),
            Object::PipeBoth(reader, writer) => wait.or(reader.listen()).or(writer.listen()),
            Object::Stream(stream) => match stream.listen(interest) {
                Some(listener) => wait.or(listener),
                None => wait,
            },
            Object::Socket(socket) => socket.listen_ready(interest, wait),
            _ => wait,
        }
    }

    fn check_readable(&self) -> Result<(), Errno> {
        if matches!(self.object, Object::Directory(_)) && !self.flags().contains(StatusFlags::PATH) {
            return Err(Errno::Isdir);
        }
        self.check(StatusFlags::READ)
    }

    /// fsync(2) and fdatasync(2). Errors: `EBADF`, `EINVAL` (pipes and the like), and the backend's: also, once, what it answered to what was held back.
    pub fn sync(&self, data_only: bool) -> Result<(), Errno> {
        match (&self.object, &self.cached) {
            (Object::Regular(..), Some(cached)) => cached.sync(data_only),
            (Object::Regular(inode, handle), None) => inode.fs().fsync(inode.node(), *handle, data_only),
            (Object::Directory(_) | Object::Snapshot(_), _) => Ok(()),
            (Object::Path(_), _) => Err(Errno::Badf),
            _ => Err(Errno::Inval),
        }
    }

    /// What a close(2) of a descriptor does before the file may go: what was written goes to the backend. Errors: as [`sync`](Self::sync).
    pub fn flush(&self) -> Result<(), Errno> {
        self.cached.as_ref().map_or(Ok(()), |cached| cached.close())
    }

    fn write_at(&self, inode: &Inode, handle: Handle, bytes: &[u8], offset: u64) -> Result<usize, Errno> {
        if !bytes.is_empty() && offset >= OFFSET_MAX {
            return Err(Errno::Fbig);
        }
        match &self.cached {
            Some(cached) => cached.write(bytes, offset),
            None => write_chunks(inode, handle, bytes, offset),
        }
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize, Errno> {
        if let Some(cached) = &self.cached {
            return cached.read(buffer, offset);
        }
        match &self.object {
            Object::Regular(inode, handle) => read_chunks(inode, *handle, buffer, offset),
            Object::Snapshot(bytes) => {
                let start = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
                let count = (bytes.len() - start).min(buffer.len());
                buffer[..count].copy_from_slice(&bytes[start..start + count]);
                Ok(count)
            }
            _ => Err(Errno::Spipe),
        }
    }

    fn unless_non_blocking(&self, result: SysResult<usize>) -> SysResult<usize> {
        match result {
            Err(SysError::Wait(Wait { .. })) if self.flags().contains(StatusFlags::NON_BLOCKING) => {
                Err(Errno::Again.into())
            }
            other => other,
        }
    }
}

/// Reads in pieces that a backend takes, until the buffer is full or the file ends.
fn read_chunks(inode: &Inode, handle: Handle, buffer: &mut [u8], offset: u64) -> Result<usize, Errno> {
    let mut done = 0;
    for chunk in buffer.chunks_mut(CHUNK_BYTES_MAX) {
        let count = match inode.fs().read(inode.node(), handle, offset.saturating_add(done as u64), chunk) {
            Ok(count) if count <= chunk.len() => count,
            Ok(_) => return Err(Errno::Io),
            // What was read is told; the error comes again with the next call.
            Err(errno) => return if done > 0 { Ok(done) } else { Err(errno) },
        };
        done += count;
        if count < chunk.len() {
            break;
        }
    }
    inode.was_read();
    Ok(done)
}

fn write_chunks(inode: &Inode, handle: Handle, bytes: &[u8], offset: u64) -> Result<usize, Errno> {
    let mut done = 0;
    for chunk in bytes.chunks(CHUNK_BYTES_MAX) {
        let written = inode.fs().write(inode.node(), handle, offset.saturating_add(done as u64), chunk);
        inode.changed();
        let count = match written {
            Ok(count) if count <= chunk.len() && count > 0 => count,
            Ok(_) => return Err(Errno::Io),
            Err(errno) => return if done > 0 { Ok(done) } else { Err(errno) },
        };
        done += count;
        if count < chunk.len() {
            break;
        }
    }
    Ok(done)
}

fn check_offset(offset: u64) -> Result<(), Errno> {
    if offset > OFFSET_MAX { Err(Errno::Inval) } else { Ok(()) }
}

impl Drop for OpenFile {
    fn drop(&mut self) {
        match (&self.object, &self.cached) {
            // Closed by the end of a process, or by another file that took its descriptor: nobody is left to be told of an error, but it is kept with the file.
            // The last use of what is cached releases the handle.
            (_, Some(cached)) => drop(cached.close()),
            (Object::Regular(inode, handle), None) => inode.fs().release(inode.node(), *handle),
            _ => {}
        }
    }
}
