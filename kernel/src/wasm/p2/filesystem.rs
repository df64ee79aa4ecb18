//! `wasi:filesystem`: a descriptor resource is a descriptor; every path goes to the kernel's resolver, which keeps it beneath its directory.

use wasmtime::component::Resource;

use super::RESOURCE_FD_MIN;
use super::bindings::wasi::wasi::filesystem::{preopens, types};
use super::bindings::wasi::wasi::io::error::Error as IoError;
use super::bindings::wasi::wasi::io::streams::{InputStream, OutputStream};
use super::clocks::datetime;
use super::directory::DirectoryStream;
use super::failure::{Failure, done, errno_of, error_code};
use super::streams::read_buffer;
use crate::Errno;
use crate::backend::{NodeKind, Timestamp};
use crate::process::{FdFlags, StatusFlags};
use crate::syscall::fs::At;
use crate::syscall::types::{FileStatus, NewTime, OpenFlags, PathFlags, RenameFlags, Start};
use crate::syscall::{descriptor, fs};
use crate::wasm::process::Guest;

/// Permission bits of new files and directories, before the umask.
const FILE_MODE: u32 = 0o666;
const DIRECTORY_MODE: u32 = 0o777;

type Fd = Resource<types::Descriptor>;
type FsResult<T> = Result<T, Failure>;

fn path_flags(flags: types::PathFlags) -> PathFlags {
    let mut out = PathFlags::BENEATH;
    out.set(PathFlags::FOLLOW, flags.contains(types::PathFlags::SYMLINK_FOLLOW));
    out
}

pub(super) fn descriptor_type(kind: NodeKind) -> types::DescriptorType {
    use types::DescriptorType as T;
    match kind {
        NodeKind::File => T::RegularFile,
        NodeKind::Directory => T::Directory,
        NodeKind::Symlink => T::SymbolicLink,
        NodeKind::Fifo => T::Fifo,
        NodeKind::Socket => T::Socket,
        NodeKind::CharacterDevice => T::CharacterDevice,
        NodeKind::BlockDevice => T::BlockDevice,
    }
}

fn new_time(time: types::NewTimestamp) -> Result<NewTime, Errno> {
    match time {
        types::NewTimestamp::NoChange => Ok(NewTime::Keep),
        types::NewTimestamp::Now => Ok(NewTime::Now),
        types::NewTimestamp::Timestamp(time) => {
            let seconds = i64::try_from(time.seconds).map_err(|_| Errno::Inval)?;
            Ok(NewTime::At(Timestamp { seconds, nanoseconds: time.nanoseconds }))
        }
    }
}

fn stat_out(status: &FileStatus) -> types::DescriptorStat {
    let attributes = &status.attributes;
    types::DescriptorStat {
        type_: descriptor_type(attributes.kind),
        link_count: attributes.links.into(),
        size: attributes.size,
        data_access_timestamp: datetime(attributes.accessed),
        data_modification_timestamp: datetime(attributes.modified),
        status_change_timestamp: datetime(attributes.changed),
    }
}

/// A hash that changes when the file does: of its place, its birth, its size and its last modification.
fn metadata_hash(status: &FileStatus) -> types::MetadataHashValue {
    let attributes = &status.attributes;
    let mut hasher = blake3::Hasher::new();
    for number in [status.device, attributes.node, attributes.size] {
        hasher.update(&number.to_le_bytes());
    }
    for time in [attributes.modified, attributes.created] {
        hasher.update(&time.seconds.to_le_bytes());
        hasher.update(&time.nanoseconds.to_le_bytes());
    }
    let mut halves = [0; 16];
    hasher.finalize_xof().fill(&mut halves);
    let whole = u128::from_le_bytes(halves);
    types::MetadataHashValue { lower: whole as u64, upper: (whole >> 64) as u64 }
}

/// How a file is opened.
fn open_flags(path: types::PathFlags, how: types::OpenFlags, flags: types::DescriptorFlags) -> OpenFlags {
    let directory = how.contains(types::OpenFlags::DIRECTORY);
    let mut out = OpenFlags::BENEATH | OpenFlags::CLOSE_ON_EXEC;
    out.set(OpenFlags::NO_FOLLOW, !path.contains(types::PathFlags::SYMLINK_FOLLOW));
    out.set(OpenFlags::CREATE, how.contains(types::OpenFlags::CREATE));
    out.set(OpenFlags::DIRECTORY, directory);
    out.set(OpenFlags::EXCLUSIVE, how.contains(types::OpenFlags::EXCLUSIVE));
    out.set(OpenFlags::TRUNCATE, how.contains(types::OpenFlags::TRUNCATE));
    out.set(OpenFlags::READ, directory || flags.contains(types::DescriptorFlags::READ));
    // Writing to a directory itself means nothing: libraries ask for all they could get.
    out.set(OpenFlags::WRITE, !directory && flags.contains(types::DescriptorFlags::WRITE));
    out
}

impl Guest {
    fn access(&self, fd: &Fd, wanted: StatusFlags) -> FsResult<()> {
        let file = self.task.file(fd.rep())?;
        if file.flags().contains(wanted) { Ok(()) } else { Err(Errno::Badf.into()) }
    }

    /// The path of a directory that the process started with.
    fn path_of(&self, fd: u32) -> String {
        let file = self.task.file(fd).ok();
        let dentry = file.as_ref().and_then(|file| file.dentry());
        dentry.and_then(|dentry| self.task.kernel().vfs.path_of(dentry).ok()).unwrap_or_else(|| "/".to_owned())
    }

    /// Whether changes to what a descriptor leads to are worth making durable: WASI lets the others succeed.
    fn sync_file(&self, fd: &Fd, data_only: bool) -> FsResult<()> {
        if !self.task.file(fd.rep())?.flags().contains(StatusFlags::WRITE) {
            return Ok(());
        }
        done(descriptor::sync(&self.task, fd.rep(), data_only))
    }

    fn stream(&self, fd: &Fd, access: StatusFlags, start: Start) -> FsResult<u32> {
        self.access(fd, access)?;
        done(descriptor::reopen(&self.task, fd.rep(), start, RESOURCE_FD_MIN))
    }

    fn status_at(&self, fd: &Fd, flags: types::PathFlags, path: &str) -> FsResult<FileStatus> {
        done(fs::stat(&self.task, Some(fd.rep()), path, path_flags(flags)))
    }
}

impl types::Host for Guest {
    fn convert_error_code(&mut self, failure: Failure) -> wasmtime::Result<types::ErrorCode> {
        self.fs_error(failure)
    }

    fn filesystem_error_code(&mut self, error: Resource<IoError>) -> wasmtime::Result<Option<types::ErrorCode>> {
        Ok(Some(error_code(errno_of(&error))))
    }
}

impl types::HostDescriptor for Guest {
    fn read_via_stream(&mut self, fd: Fd, offset: u64) -> FsResult<Resource<InputStream>> {
        self.stream(&fd, StatusFlags::READ, Start::At(offset)).map(Resource::new_own)
    }

    fn write_via_stream(&mut self, fd: Fd, offset: u64) -> FsResult<Resource<OutputStream>> {
        self.stream(&fd, StatusFlags::WRITE, Start::At(offset)).map(Resource::new_own)
    }

    fn append_via_stream(&mut self, fd: Fd) -> FsResult<Resource<OutputStream>> {
        self.stream(&fd, StatusFlags::WRITE, Start::End).map(Resource::new_own)
    }

    /// Advice is taken note of and nothing more: what the kernel keeps is in memory already.
    fn advise(&mut self, fd: Fd, offset: u64, length: u64, _: types::Advice) -> FsResult<()> {
        let status = done(descriptor::stat(&self.task, fd.rep()))?;
        match status.attributes.kind {
            NodeKind::File if offset.checked_add(length).is_some() => Ok(()),
            NodeKind::File => Err(Errno::Inval.into()),
            NodeKind::Directory => Err(Errno::Badf.into()),
            _ => Err(Errno::Spipe.into()),
        }
    }

    fn sync_data(&mut self, fd: Fd) -> FsResult<()> {
        self.sync_file(&fd, true)
    }

    fn get_flags(&mut self, fd: Fd) -> FsResult<types::DescriptorFlags> {
        let file = self.task.file(fd.rep())?;
        let mut flags = types::DescriptorFlags::empty();
        if file.flags().contains(StatusFlags::READ) {
            flags |= types::DescriptorFlags::READ;
        }
        if file.flags().contains(StatusFlags::WRITE) {
            flags |= types::DescriptorFlags::WRITE;
        }
        // What may be changed in a directory, permissions and mounts decide when it is tried.
        if file.inode().is_some_and(|inode| inode.is_dir()) {
            flags |= types::DescriptorFlags::MUTATE_DIRECTORY;
        }
        Ok(flags)
    }

    fn get_type(&mut self, fd: Fd) -> FsResult<types::DescriptorType> {
        let status = done(descriptor::stat(&self.task, fd.rep()))?;
        Ok(descriptor_type(status.attributes.kind))
    }

    fn set_size(&mut self, fd: Fd, size: u64) -> FsResult<()> {
        done(descriptor::set_size(&self.task, fd.rep(), size))
    }

    fn set_times(&mut self, fd: Fd, accessed: types::NewTimestamp, modified: types::NewTimestamp) -> FsResult<()> {
        done(descriptor::set_times(&self.task, fd.rep(), new_time(accessed)?, new_time(modified)?))
    }

    fn read(&mut self, fd: Fd, length: u64, offset: u64) -> FsResult<(Vec<u8>, bool)> {
        let mut buffer = read_buffer(length);
        let count = done(descriptor::pread(&self.task, fd.rep(), &mut buffer, offset))?;
        let end = count == 0 && !buffer.is_empty();
        buffer.truncate(count);
        Ok((buffer, end))
    }

    fn write(&mut self, fd: Fd, bytes: Vec<u8>, offset: u64) -> FsResult<u64> {
        done(descriptor::pwrite(&self.task, fd.rep(), &bytes, offset)).map(|count| count as u64)
    }

    fn read_directory(&mut self, fd: Fd) -> FsResult<Resource<DirectoryStream>> {
        // Asks for nothing, to be told when it is no directory.
        done(descriptor::readdir(&self.task, fd.rep(), 0, 0))?;
        let own = done(descriptor::dup(&self.task, fd.rep(), RESOURCE_FD_MIN))?;
        self.resources.push(DirectoryStream::new(own)).map_err(|error| {
            let _ = descriptor::close(&self.task, own);
            error.into()
        })
    }

    fn sync(&mut self, fd: Fd) -> FsResult<()> {
        self.sync_file(&fd, false)
    }

    fn create_directory_at(&mut self, fd: Fd, path: String) -> FsResult<()> {
        done(fs::mkdir_at(&self.task, Some(fd.rep()), &path, PathFlags::BENEATH, DIRECTORY_MODE))
    }

    fn stat(&mut self, fd: Fd) -> FsResult<types::DescriptorStat> {
        done(descriptor::stat(&self.task, fd.rep())).map(|status| stat_out(&status))
    }

    fn stat_at(&mut self, fd: Fd, flags: types::PathFlags, path: String) -> FsResult<types::DescriptorStat> {
        self.status_at(&fd, flags, &path).map(|status| stat_out(&status))
    }

    fn set_times_at(
        &mut self,
        fd: Fd,
        flags: types::PathFlags,
        path: String,
        accessed: types::NewTimestamp,
        modified: types::NewTimestamp,
    ) -> FsResult<()> {
        let (accessed, modified) = (new_time(accessed)?, new_time(modified)?);
        done(fs::set_times(&self.task, Some(fd.rep()), &path, path_flags(flags), accessed, modified))
    }

    fn link_at(&mut self, fd: Fd, flags: types::PathFlags, path: String, new_fd: Fd, new_path: String) -> FsResult<()> {
        done(fs::link(&self.task, Some(fd.rep()), &path, path_flags(flags), Some(new_fd.rep()), &new_path))
    }

    fn open_at(
        &mut self,
        fd: Fd,
        path_flags: types::PathFlags,
        path: String,
        how: types::OpenFlags,
        flags: types::DescriptorFlags,
    ) -> FsResult<Fd> {
        let flags = open_flags(path_flags, how, flags);
        done(fs::open(&self.task, Some(fd.rep()), &path, flags, FILE_MODE)).map(Resource::new_own)
    }

    fn readlink_at(&mut self, fd: Fd, path: String) -> FsResult<String> {
        let target = done(fs::readlink(&self.task, Some(fd.rep()), &path, PathFlags::BENEATH))?;
        // WASI's rule: an absolute target is not shown.
        if target.starts_with('/') { Err(Errno::Perm.into()) } else { Ok(target) }
    }

    fn remove_directory_at(&mut self, fd: Fd, path: String) -> FsResult<()> {
        done(fs::rmdir(&self.task, Some(fd.rep()), &path, PathFlags::BENEATH))
    }

    fn rename_at(&mut self, fd: Fd, path: String, new_fd: Fd, new_path: String) -> FsResult<()> {
        let from = At { dir: Some(fd.rep()), path: &path };
        let to = At { dir: Some(new_fd.rep()), path: &new_path };
        done(fs::rename(&self.task, from, to, RenameFlags::empty(), PathFlags::BENEATH))
    }

    fn symlink_at(&mut self, fd: Fd, target: String, path: String) -> FsResult<()> {
        if target.starts_with('/') {
            return Err(Errno::Perm.into());
        }
        done(fs::symlink(&self.task, &target, Some(fd.rep()), &path, PathFlags::BENEATH))
    }

    fn unlink_file_at(&mut self, fd: Fd, path: String) -> FsResult<()> {
        done(fs::unlink(&self.task, Some(fd.rep()), &path, PathFlags::BENEATH))
    }

    fn is_same_object(&mut self, fd: Fd, other: Fd) -> wasmtime::Result<bool> {
        let place = |fd: &Fd| done(descriptor::stat(&self.task, fd.rep())).map(|s| (s.device, s.attributes.node)).ok();
        Ok(place(&fd).is_some_and(|one| place(&other) == Some(one)))
    }

    fn metadata_hash(&mut self, fd: Fd) -> FsResult<types::MetadataHashValue> {
        done(descriptor::stat(&self.task, fd.rep())).map(|status| metadata_hash(&status))
    }

    fn metadata_hash_at(
        &mut self,
        fd: Fd,
        flags: types::PathFlags,
        path: String,
    ) -> FsResult<types::MetadataHashValue> {
        self.status_at(&fd, flags, &path).map(|status| metadata_hash(&status))
    }

    fn drop(&mut self, fd: Fd) -> wasmtime::Result<()> {
        self.close_dropped(fd.rep())
    }
}

impl preopens::Host for Guest {
    /// Descriptors of their own on the directories that the process started with, so that dropping one takes nothing from the next call.
    fn get_directories(&mut self) -> wasmtime::Result<Vec<(Fd, String)>> {
        let fds = self.task.fds();
        let preopen = |fd: &u32| fds.get(*fd).is_ok_and(|entry| entry.flags.contains(FdFlags::PREOPEN));
        let preopens: Vec<u32> = fds.numbers().filter(preopen).collect();
        drop(fds);
        let mut directories = Vec::with_capacity(preopens.len());
        for fd in preopens {
            let name = self.path_of(fd);
            match done(descriptor::dup(&self.task, fd, RESOURCE_FD_MIN)) {
                Ok(own) => directories.push((Resource::new_own(own), name)),
                Err(Failure::Errno(errno)) => return Err(wasmtime::Error::msg(format!("get-directories: {errno}"))),
                Err(Failure::Trap(error)) => return Err(error),
            }
        }
        Ok(directories)
    }
}
