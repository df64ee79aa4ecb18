//! `eyot:kernel/fs`.

use super::super::bindings::kernel::eyot::kernel::fs::{
    AccessMode, FileKind, FileStatus, FilesystemStatus, Host, NewTime, OpenFlags, PathFlags, RenameFlags,
};
use super::super::failure::{Failure, done};
use super::convert;
use crate::syscall::fs::{self, At};
use crate::syscall::types;
use crate::wasm::process::Guest;

type Answer<T> = Result<T, Failure>;

/// Paths of `eyot:kernel` are not kept beneath their directory.
const PLAIN: types::PathFlags = types::PathFlags::empty();

impl Host for Guest {
    fn open(&mut self, dir: Option<u32>, path: String, flags: OpenFlags, mode: u32) -> Answer<u32> {
        done(fs::open(&self.task, dir, &path, convert::open_flags_in(flags), mode))
    }

    fn stat(&mut self, dir: Option<u32>, path: String, flags: PathFlags) -> Answer<FileStatus> {
        done(fs::stat(&self.task, dir, &path, convert::path_flags_in(flags))).map(convert::status_out)
    }

    fn access(&mut self, dir: Option<u32>, path: String, mode: AccessMode) -> Answer<()> {
        done(fs::access(&self.task, dir, &path, convert::access_mode_in(mode)))
    }

    fn mkdir(&mut self, dir: Option<u32>, path: String, mode: u32) -> Answer<()> {
        done(fs::mkdir(&self.task, dir, &path, mode))
    }

    fn make_node(&mut self, dir: Option<u32>, path: String, kind: FileKind, mode: u32, device: u64) -> Answer<()> {
        done(fs::make_node(&self.task, dir, &path, convert::kind_in(kind), mode, device))
    }

    fn symlink(&mut self, target: String, dir: Option<u32>, path: String) -> Answer<()> {
        done(fs::symlink(&self.task, &target, dir, &path, PLAIN))
    }

    fn link(
        &mut self,
        from_dir: Option<u32>,
        from_path: String,
        flags: PathFlags,
        to_dir: Option<u32>,
        to_path: String,
    ) -> Answer<()> {
        done(fs::link(&self.task, from_dir, &from_path, convert::path_flags_in(flags), to_dir, &to_path))
    }

    fn unlink(&mut self, dir: Option<u32>, path: String) -> Answer<()> {
        done(fs::unlink(&self.task, dir, &path, PLAIN))
    }

    fn rmdir(&mut self, dir: Option<u32>, path: String) -> Answer<()> {
        done(fs::rmdir(&self.task, dir, &path, PLAIN))
    }

    fn rename(
        &mut self,
        from_dir: Option<u32>,
        from_path: String,
        to_dir: Option<u32>,
        to_path: String,
        flags: RenameFlags,
    ) -> Answer<()> {
        let from = At { dir: from_dir, path: &from_path };
        let to = At { dir: to_dir, path: &to_path };
        done(fs::rename(&self.task, from, to, convert::rename_flags_in(flags), PLAIN))
    }

    fn readlink(&mut self, dir: Option<u32>, path: String) -> Answer<String> {
        done(fs::readlink(&self.task, dir, &path, PLAIN))
    }

    fn set_times(
        &mut self,
        dir: Option<u32>,
        path: String,
        flags: PathFlags,
        accessed: NewTime,
        modified: NewTime,
    ) -> Answer<()> {
        let (accessed, modified) = (convert::new_time_in(accessed), convert::new_time_in(modified));
        done(fs::set_times(&self.task, dir, &path, convert::path_flags_in(flags), accessed, modified))
    }

    fn set_mode(&mut self, dir: Option<u32>, path: String, flags: PathFlags, mode: u32) -> Answer<()> {
        done(fs::set_mode(&self.task, dir, &path, convert::path_flags_in(flags), mode))
    }

    fn set_owner(
        &mut self,
        dir: Option<u32>,
        path: String,
        flags: PathFlags,
        uid: Option<u32>,
        gid: Option<u32>,
    ) -> Answer<()> {
        done(fs::set_owner(&self.task, dir, &path, convert::path_flags_in(flags), uid, gid))
    }

    fn set_size(&mut self, dir: Option<u32>, path: String, size: u64) -> Answer<()> {
        done(fs::set_size(&self.task, dir, &path, size))
    }

    fn statfs(&mut self, dir: Option<u32>, path: String) -> Answer<FilesystemStatus> {
        let status = done(fs::statfs(&self.task, dir, &path))?;
        Ok(FilesystemStatus {
            block_size: status.block_size,
            blocks: status.blocks,
            blocks_free: status.blocks_free,
            files: status.files,
            files_free: status.files_free,
            name_max: status.name_max,
        })
    }

    fn real_path(&mut self, dir: Option<u32>, path: String) -> Answer<String> {
        done(fs::real_path(&self.task, dir, &path))
    }
}
