//! Extended attributes: xattr(7).

use std::ffi::OsStr;

use eyot_backend::Errno;
use fuser::{INodeNo, ReplyXattr};

use crate::bridge::Bridge;

/// `XATTR_CREATE` and `XATTR_REPLACE`: setxattr(2).
const CREATE: i32 = 1;
const REPLACE: i32 = 2;

/// What the kernel of a host would act upon and this mount does not: ACLs are not checked, and file capabilities have no effect.
fn is_refused(name: &OsStr) -> bool {
    name.to_str().is_some_and(|name| name == "security.capability" || name.starts_with("system."))
}

impl Bridge {
    pub(crate) fn xattr(&self, ino: INodeNo, name: &OsStr, size: u32, reply: ReplyXattr) {
        if !self.has_xattrs {
            // Not asked again.
            return reply.error(fuser::Errno::ENOSYS);
        }
        let value = self.ask(|fs| match name.to_str() {
            _ if name == "security.capability" => Err(Errno::Nodata),
            _ if is_refused(name) => Err(Errno::Notsup),
            Some(name) => fs.getxattr(self.numbers.node(ino), name),
            None => Err(Errno::Nodata),
        });
        send(value, size, reply);
    }

    pub(crate) fn xattrs(&self, ino: INodeNo, size: u32, reply: ReplyXattr) {
        if !self.has_xattrs {
            return reply.error(fuser::Errno::ENOSYS);
        }
        let names = self.ask(|fs| fs.listxattr(self.numbers.node(ino)));
        let list = names.map(|names| names.iter().flat_map(|name| name.bytes().chain([0])).collect());
        send(list, size, reply);
    }

    pub(crate) fn set_xattr(&self, ino: INodeNo, name: &OsStr, value: &[u8], flags: i32) -> Result<(), fuser::Errno> {
        if !self.has_xattrs {
            return Err(fuser::Errno::ENOSYS);
        }
        let node = self.numbers.node(ino);
        self.ask(|fs| {
            if is_refused(name) {
                return Err(Errno::Notsup);
            }
            let name = name.to_str().ok_or(Errno::Ilseq)?;
            // The host's kernel holds the inode's lock, so that nobody comes in between through this mount.
            if flags & (CREATE | REPLACE) != 0 {
                match (fs.getxattr(node, name), flags) {
                    (Ok(_), flags) if flags & CREATE != 0 => return Err(Errno::Exist),
                    (Err(Errno::Nodata), flags) if flags & REPLACE != 0 => return Err(Errno::Nodata),
                    (Ok(_) | Err(Errno::Nodata), _) => {}
                    (Err(error), _) => return Err(error),
                }
            }
            fs.setxattr(node, name, value)
        })
    }

    pub(crate) fn remove_xattr(&self, ino: INodeNo, name: &OsStr) -> Result<(), fuser::Errno> {
        if !self.has_xattrs {
            return Err(fuser::Errno::ENOSYS);
        }
        self.ask(|fs| match name.to_str() {
            _ if is_refused(name) => Err(Errno::Notsup),
            Some(name) => fs.removexattr(self.numbers.node(ino), name),
            None => Err(Errno::Nodata),
        })
    }
}

/// The bytes, or how many they are when there is no room asked for.
fn send(value: Result<Vec<u8>, fuser::Errno>, size: u32, reply: ReplyXattr) {
    match value {
        Err(error) => reply.error(error),
        Ok(value) => match u32::try_from(value.len()) {
            Err(_) => reply.error(fuser::Errno::E2BIG),
            Ok(length) if size == 0 => reply.size(length),
            Ok(length) if length > size => reply.error(fuser::Errno::ERANGE),
            Ok(_) => reply.data(&value),
        },
    }
}
