//! Each request of FUSE as a call of the trait.

use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};

use eyot_backend::{AttributeChanges, CHUNK_BYTES_MAX, Errno, NodeKind};
use fuser::{
    BsdFileFlags, FileHandle, FopenFlags, Generation, INodeNo, InitFlags, KernelConfig, LockOwner, OpenFlags,
    RenameFlags, ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory, ReplyDirectoryPlus, ReplyEmpty, ReplyEntry,
    ReplyOpen, ReplyStatfs, ReplyWrite, ReplyXattr, Request, TimeOrNow, WriteFlags,
};

use crate::bridge::Bridge;
use crate::convert::{self, known_name, new_name};
use crate::rights;

/// How many reads ahead and other requests nobody waits for may be under way.
const BACKGROUND_MAX: u16 = 64;
/// `O_EXCL`: open(2).
const EXCLUSIVE: i32 = 0o200;

impl fuser::Filesystem for Bridge {
    fn init(&mut self, _request: &Request, config: &mut KernelConfig) -> io::Result<()> {
        // Each of these is at most what is allowed; a kernel that allows less keeps its own.
        let _ = config.set_max_write(CHUNK_BYTES_MAX as u32);
        let _ = config.set_max_background(BACKGROUND_MAX);
        let mut wanted = InitFlags::FUSE_PARALLEL_DIROPS
            | InitFlags::FUSE_ASYNC_DIO
            | InitFlags::FUSE_HANDLE_KILLPRIV_V2
            | InitFlags::FUSE_DIRECT_IO_ALLOW_MMAP;
        if !self.attributes_are_ours {
            wanted |= InitFlags::FUSE_AUTO_INVAL_DATA;
        }
        if self.attributes_are_ours && self.names_are_ours {
            wanted |= InitFlags::FUSE_CACHE_SYMLINKS;
        }
        if self.attributes_are_ours && self.writes_back {
            wanted |= InitFlags::FUSE_WRITEBACK_CACHE;
        }
        // Attributes that come with a listing are of use only when they may be kept.
        if !self.entry_lifetime().is_zero() {
            wanted |= InitFlags::FUSE_DO_READDIRPLUS | InitFlags::FUSE_READDIRPLUS_AUTO;
        }
        let granted = wanted & config.capabilities();
        let _ = config.add_capabilities(granted);
        self.writes_back = granted.contains(InitFlags::FUSE_WRITEBACK_CACHE);
        self.maps_uncached = granted.contains(InitFlags::FUSE_DIRECT_IO_ALLOW_MMAP);
        Ok(())
    }

    fn destroy(&mut self) {
        for (node, count) in self.held.drain() {
            let _ = self.ask(|fs| {
                fs.forget(node, count);
                Ok(())
            });
        }
    }

    fn lookup(&self, _request: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let dir = self.numbers.node(parent);
        let answer = self.ask(|fs| fs.lookup(dir, known_name(name)?));
        if answer.as_ref().err() == Some(&fuser::Errno::ENOENT) && !self.absence_lifetime().is_zero() {
            // Number 0: the name is absent, and stays so for a while.
            return reply.entry_with_ttls(&Duration::ZERO, &self.absence_lifetime(), &absent(), Generation(0));
        }
        self.entry(answer, reply);
    }

    fn forget(&self, _request: &Request, ino: INodeNo, nlookup: u64) {
        self.forget_all(self.numbers.node(ino), nlookup);
    }

    fn getattr(&self, _request: &Request, ino: INodeNo, _fh: Option<FileHandle>, reply: ReplyAttr) {
        match self.ask(|fs| fs.getattr(self.numbers.node(ino))) {
            Ok(attributes) => reply.attr(&self.lifetime(&attributes), &self.numbers.attributes(&attributes)),
            Err(error) => reply.error(error),
        }
    }

    fn setattr(
        &self,
        request: &Request,
        ino: INodeNo,
        mode: Option<u32>,
        uid: Option<u32>,
        gid: Option<u32>,
        size: Option<u64>,
        atime: Option<TimeOrNow>,
        mtime: Option<TimeOrNow>,
        _ctime: Option<SystemTime>,
        _fh: Option<FileHandle>,
        _crtime: Option<SystemTime>,
        _chgtime: Option<SystemTime>,
        _bkuptime: Option<SystemTime>,
        _flags: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let node = self.numbers.node(ino);
        let mut changes = AttributeChanges {
            mode: mode.map(|mode| mode & 0o7777),
            uid,
            gid,
            size,
            accessed: atime.map(convert::timestamp),
            modified: mtime.map(convert::timestamp),
        };
        let answer = self.ask(|fs| {
            if changes.mode.is_none() && rights::strips(&changes, request.uid()) {
                changes.mode = rights::stripped(&fs.getattr(node)?);
            }
            fs.setattr(node, &changes)
        });
        match answer {
            Ok(attributes) => reply.attr(&self.lifetime(&attributes), &self.numbers.attributes(&attributes)),
            Err(error) => reply.error(error),
        }
    }

    fn readlink(&self, _request: &Request, ino: INodeNo, reply: ReplyData) {
        match self.ask(|fs| fs.readlink(self.numbers.node(ino))) {
            Ok(target) => reply.data(target.as_bytes()),
            Err(error) => reply.error(error),
        }
    }

    fn mknod(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _umask: u32,
        rdev: u32,
        reply: ReplyEntry,
    ) {
        let Some(kind) = convert::kind(mode) else { return reply.error(fuser::Errno::EINVAL) };
        let answer = self.make(request, parent, name, (mode, kind), |fs, dir, name, owner| match kind {
            NodeKind::File => fs.create(dir, name, owner),
            kind => fs.make_node(dir, name, kind, rdev.into(), owner),
        });
        self.entry(answer, reply);
    }

    fn mkdir(&self, request: &Request, parent: INodeNo, name: &OsStr, mode: u32, _umask: u32, reply: ReplyEntry) {
        let answer = self.make(request, parent, name, (mode, NodeKind::Directory), |fs, dir, name, owner| {
            fs.mkdir(dir, name, owner)
        });
        self.entry(answer, reply);
    }

    fn unlink(&self, _request: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        done(self.ask(|fs| fs.unlink(self.numbers.node(parent), known_name(name)?)), reply);
    }

    fn rmdir(&self, _request: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        done(self.ask(|fs| fs.rmdir(self.numbers.node(parent), known_name(name)?)), reply);
    }

    fn symlink(&self, request: &Request, parent: INodeNo, link_name: &OsStr, target: &Path, reply: ReplyEntry) {
        let answer = self.make(request, parent, link_name, (0o777, NodeKind::Symlink), |fs, dir, name, owner| {
            fs.symlink(dir, name, target.to_str().ok_or(Errno::Ilseq)?, owner)
        });
        self.entry(answer, reply);
    }

    fn rename(
        &self,
        _request: &Request,
        parent: INodeNo,
        name: &OsStr,
        newparent: INodeNo,
        newname: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        let (from, to) = (self.numbers.node(parent), self.numbers.node(newparent));
        let answer = self.ask(|fs| {
            let how = convert::rename_flags(flags)?;
            fs.rename(from, known_name(name)?, to, new_name(newname)?, how)
        });
        done(answer, reply);
    }

    fn link(&self, _request: &Request, ino: INodeNo, newparent: INodeNo, newname: &OsStr, reply: ReplyEntry) {
        let (target, dir) = (self.numbers.node(ino), self.numbers.node(newparent));
        self.entry(self.ask(|fs| fs.link(target, dir, new_name(newname)?)), reply);
    }

    fn open(&self, _request: &Request, ino: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        let node = self.numbers.node(ino);
        let answer = self.ask(|fs| {
            let attributes = fs.getattr(node)?;
            Ok((fs.open(node, self.open_flags(flags))?, attributes))
        });
        match answer {
            Ok((handle, attributes)) => reply.opened(FileHandle(handle), self.caching(&attributes)),
            Err(error) => reply.error(error),
        }
    }

    fn create(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _umask: u32,
        flags: i32,
        reply: ReplyCreate,
    ) {
        let made = self
            .make(request, parent, name, (mode, NodeKind::File), |fs, dir, name, owner| fs.create(dir, name, owner));
        let attributes = match made {
            Ok(attributes) => attributes,
            // Somebody else made it since the host's kernel looked. On `ESTALE` it looks again, and opens the file as one that is there, with all its checks.
            Err(fuser::Errno::EEXIST) if flags & EXCLUSIVE == 0 => return reply.error(fuser::Errno::ESTALE),
            Err(error) => return reply.error(error),
        };
        let node = attributes.node;
        self.held.add(node);
        match self.ask(|fs| fs.open(node, self.open_flags(OpenFlags(flags)))) {
            Ok(handle) => {
                // One lifetime for both here, so the shorter one.
                let lifetime = self.lifetime(&attributes).min(self.entry_lifetime());
                let attr = self.numbers.attributes(&attributes);
                reply.created(&lifetime, &attr, Generation(0), FileHandle(handle), self.caching(&attributes));
            }
            Err(error) => {
                self.forget_all(node, 1);
                reply.error(error);
            }
        }
    }

    fn read(
        &self,
        _request: &Request,
        ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        size: u32,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        self.read_data(self.numbers.node(ino), fh.0, offset, size as usize, reply);
    }

    fn write(
        &self,
        _request: &Request,
        ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        data: &[u8],
        write_flags: WriteFlags,
        flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        match self.write_data(self.numbers.node(ino), fh.0, offset, data, (write_flags, flags)) {
            Ok(count) => reply.written(count),
            Err(error) => reply.error(error),
        }
    }

    fn flush(&self, _request: &Request, _ino: INodeNo, _fh: FileHandle, _lock_owner: LockOwner, reply: ReplyEmpty) {
        // Nothing is kept back that closing would have to write; so told, the host's kernel doesn't ask again.
        reply.error(fuser::Errno::ENOSYS);
    }

    fn release(
        &self,
        _request: &Request,
        ino: INodeNo,
        fh: FileHandle,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        _flush: bool,
        reply: ReplyEmpty,
    ) {
        let answer = self.ask(|fs| {
            fs.release(self.numbers.node(ino), fh.0);
            Ok(())
        });
        done(answer, reply);
    }

    fn fsync(&self, _request: &Request, ino: INodeNo, fh: FileHandle, datasync: bool, reply: ReplyEmpty) {
        done(self.ask(|fs| fs.fsync(self.numbers.node(ino), fh.0, datasync)), reply);
    }

    fn opendir(&self, _request: &Request, _ino: INodeNo, _flags: OpenFlags, reply: ReplyOpen) {
        if self.names_are_ours {
            // No need to ask for each directory: the host's kernel then opens them itself, and keeps their listings until it changes them.
            reply.error(fuser::Errno::ENOSYS);
        } else {
            reply.opened(FileHandle(0), FopenFlags::empty());
        }
    }

    fn readdir(&self, _request: &Request, ino: INodeNo, _fh: FileHandle, offset: u64, reply: ReplyDirectory) {
        self.list(ino, offset, reply);
    }

    fn readdirplus(&self, _request: &Request, ino: INodeNo, _fh: FileHandle, offset: u64, reply: ReplyDirectoryPlus) {
        self.list_with_attributes(ino, offset, reply);
    }

    fn fsyncdir(&self, _request: &Request, ino: INodeNo, _fh: FileHandle, datasync: bool, reply: ReplyEmpty) {
        let answer = self.ask(|fs| match fs.fsync(self.numbers.node(ino), 0, datasync) {
            // It cannot make directories durable: fsync(2) has a word for that.
            Err(Errno::Badf | Errno::Isdir | Errno::Notsup | Errno::Nosys) => Err(Errno::Inval),
            answer => answer,
        });
        done(answer, reply);
    }

    fn statfs(&self, _request: &Request, _ino: INodeNo, reply: ReplyStatfs) {
        match self.ask(|fs| fs.statfs()) {
            Ok(status) => reply.statfs(
                status.blocks,
                status.blocks_free,
                status.blocks_free,
                status.files,
                status.files_free,
                status.block_size,
                status.name_max,
                status.block_size,
            ),
            Err(error) => reply.error(error),
        }
    }

    fn setxattr(
        &self,
        _request: &Request,
        ino: INodeNo,
        name: &OsStr,
        value: &[u8],
        flags: i32,
        _position: u32,
        reply: ReplyEmpty,
    ) {
        done(self.set_xattr(ino, name, value, flags), reply);
    }

    fn getxattr(&self, _request: &Request, ino: INodeNo, name: &OsStr, size: u32, reply: ReplyXattr) {
        self.xattr(ino, name, size, reply);
    }

    fn listxattr(&self, _request: &Request, ino: INodeNo, size: u32, reply: ReplyXattr) {
        self.xattrs(ino, size, reply);
    }

    fn removexattr(&self, _request: &Request, ino: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        done(self.remove_xattr(ino, name), reply);
    }

    // The others stay as they are in the trait: `ENOSYS`. The host's kernel then answers them itself and doesn't ask again: locks it keeps, `access` it decides by `default_permissions`,
    // `copy_file_range` it does by reading and writing, `lseek` takes the whole file for data, `fallocate` and `O_TMPFILE` are `EOPNOTSUPP`, `ioctl` is `ENOTTY`.
}

fn done(answer: Result<(), fuser::Errno>, reply: ReplyEmpty) {
    match answer {
        Ok(()) => reply.ok(),
        Err(error) => reply.error(error),
    }
}

/// The attributes of nothing, number 0.
fn absent() -> fuser::FileAttr {
    let start = SystemTime::UNIX_EPOCH;
    fuser::FileAttr {
        ino: INodeNo(0),
        size: 0,
        blocks: 0,
        atime: start,
        mtime: start,
        ctime: start,
        crtime: start,
        kind: fuser::FileType::RegularFile,
        perm: 0,
        nlink: 0,
        uid: 0,
        gid: 0,
        rdev: 0,
        blksize: 0,
        flags: 0,
    }
}
