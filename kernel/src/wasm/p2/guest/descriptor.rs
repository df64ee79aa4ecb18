//! `eyot:kernel/descriptor`.

use super::super::bindings::kernel::eyot::kernel::descriptor::{
    DescriptorFlags, DirectoryEntry, FileStatus, Host, NewTime, PollRequest, Readiness, Whence,
};
use super::super::failure::{Failure, done, unless_killed, waiting};
use super::super::streams::read_buffer;
use super::convert;
use crate::syscall::{descriptor, types};
use crate::wasm::process::Guest;

type Answer<T> = Result<T, Failure>;

impl Host for Guest {
    async fn read(&mut self, fd: u32, length: u32) -> Answer<Vec<u8>> {
        let task = self.task();
        let mut buffer = read_buffer(length.into());
        let count = waiting(task, || descriptor::read(task, fd, &mut buffer)).await?;
        buffer.truncate(count);
        Ok(buffer)
    }

    async fn write(&mut self, fd: u32, bytes: Vec<u8>) -> Answer<u32> {
        let task = self.task();
        let count = waiting(task, || descriptor::write(task, fd, &bytes)).await?;
        // No more than the list's length, which a u32 counts.
        Ok(count as u32)
    }

    fn pread(&mut self, fd: u32, length: u32, offset: u64) -> Answer<Vec<u8>> {
        let mut buffer = read_buffer(length.into());
        let count = done(descriptor::pread(&self.task, fd, &mut buffer, offset))?;
        buffer.truncate(count);
        Ok(buffer)
    }

    fn pwrite(&mut self, fd: u32, bytes: Vec<u8>, offset: u64) -> Answer<u32> {
        let result = done(descriptor::pwrite(&self.task, fd, &bytes, offset)).map(|count| count as u32);
        unless_killed(&self.task, result)
    }

    fn seek(&mut self, fd: u32, offset: i64, whence: Whence) -> Answer<u64> {
        done(descriptor::seek(&self.task, fd, offset, convert::whence_in(whence)))
    }

    fn stat(&mut self, fd: u32) -> Answer<FileStatus> {
        done(descriptor::stat(&self.task, fd)).map(convert::status_out)
    }

    fn set_size(&mut self, fd: u32, size: u64) -> Answer<()> {
        done(descriptor::set_size(&self.task, fd, size))
    }

    fn allocate(&mut self, fd: u32, offset: u64, length: u64) -> Answer<()> {
        done(descriptor::allocate(&self.task, fd, offset, length))
    }

    fn set_times(&mut self, fd: u32, accessed: NewTime, modified: NewTime) -> Answer<()> {
        let (accessed, modified) = (convert::new_time_in(accessed), convert::new_time_in(modified));
        done(descriptor::set_times(&self.task, fd, accessed, modified))
    }

    fn set_mode(&mut self, fd: u32, mode: u32) -> Answer<()> {
        done(descriptor::set_mode(&self.task, fd, mode))
    }

    fn set_owner(&mut self, fd: u32, uid: Option<u32>, gid: Option<u32>) -> Answer<()> {
        done(descriptor::set_owner(&self.task, fd, uid, gid))
    }

    fn sync(&mut self, fd: u32, data_only: bool) -> Answer<()> {
        done(descriptor::sync(&self.task, fd, data_only))
    }

    fn readdir(&mut self, fd: u32, cookie: u64, max_entries: u32) -> Answer<Vec<DirectoryEntry>> {
        let entries = done(descriptor::readdir(&self.task, fd, cookie, max_entries as usize))?;
        let out = |entry: types::DirectoryEntry| DirectoryEntry {
            name: entry.name,
            cookie: entry.cookie,
            inode: entry.inode,
            kind: convert::kind_out(entry.kind),
        };
        Ok(entries.into_iter().map(out).collect())
    }

    fn close(&mut self, fd: u32) -> Answer<()> {
        done(descriptor::close(&self.task, fd))
    }

    fn dup(&mut self, fd: u32, min: u32) -> Answer<u32> {
        done(descriptor::dup(&self.task, fd, min))
    }

    fn dup2(&mut self, from: u32, to: u32) -> Answer<()> {
        done(descriptor::dup2(&self.task, from, to))
    }

    fn get_flags(&mut self, fd: u32) -> Answer<DescriptorFlags> {
        done(descriptor::get_flags(&self.task, fd)).map(convert::descriptor_flags_out)
    }

    fn set_flags(&mut self, fd: u32, flags: DescriptorFlags) -> Answer<()> {
        done(descriptor::set_flags(&self.task, fd, convert::descriptor_flags_in(flags)))
    }

    async fn poll(&mut self, requests: Vec<PollRequest>, deadline_ns: Option<u64>) -> Answer<Vec<Readiness>> {
        let task = self.task();
        let request = |request: PollRequest| types::PollRequest {
            fd: request.fd,
            interest: convert::readiness_in(request.interest),
        };
        let requests: Vec<_> = requests.into_iter().map(request).collect();
        let ready = waiting(task, || descriptor::poll(task, &requests, deadline_ns)).await?;
        Ok(ready.into_iter().map(convert::readiness_out).collect())
    }
}
