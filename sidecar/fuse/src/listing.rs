//! Listings of directories.
//!
//! An offset is the backend's cookie and two, because `.` and `..`, which backends don't list, come first.

use std::time::Duration;

use eyot_backend::{DirectoryEntry, Node};
use fuser::{Errno, Generation, INodeNo, ReplyDirectory, ReplyDirectoryPlus};

use crate::bridge::Bridge;
use crate::convert::file_type;

/// How many entries the backend is asked for at once: about what a page of the host's holds.
const ENTRIES: usize = 64;
/// The number of a directory's parent, which the backend does not tell. It is the one that libfuse gives when it knows none.
const UNKNOWN: INodeNo = INodeNo(0xffff_ffff);

/// Where `.` and `..` end.
const SELF_OFFSET: u64 = 1;
const PARENT_OFFSET: u64 = 2;

impl Bridge {
    /// Gives `add` the entries after `offset` until it is full or there are no more. An error after some entries is left for the next request.
    fn each_entry(
        &self,
        dir: Node,
        offset: u64,
        mut add: impl FnMut(&DirectoryEntry, u64) -> bool,
    ) -> Result<(), Errno> {
        let mut cookie = offset.saturating_sub(PARENT_OFFSET);
        let mut added = false;
        loop {
            let entries = match self.ask(|fs| fs.readdir(dir, cookie, ENTRIES)) {
                Err(_) if added => return Ok(()),
                answer => answer?,
            };
            let Some(last) = entries.last() else { return Ok(()) };
            // A backend that comes back to where it was would be listed for ever.
            if last.cookie == cookie {
                return Err(Errno::EIO);
            }
            cookie = last.cookie;
            for entry in &entries {
                let next = entry.cookie.checked_add(PARENT_OFFSET).ok_or(Errno::EOVERFLOW)?;
                if add(entry, next) {
                    return Ok(());
                }
                added = true;
            }
        }
    }

    pub(crate) fn list(&self, ino: INodeNo, offset: u64, mut reply: ReplyDirectory) {
        let dots = [(SELF_OFFSET, ino, "."), (PARENT_OFFSET, UNKNOWN, "..")];
        for (next, number, name) in dots {
            if offset < next && reply.add(number, next, fuser::FileType::Directory, name) {
                return reply.ok();
            }
        }
        let listed = self.each_entry(self.numbers.node(ino), offset, |entry, next| {
            let number = INodeNo(self.numbers.swap(entry.attributes.node));
            reply.add(number, next, file_type(entry.attributes.kind), &entry.name)
        });
        match listed {
            Ok(()) => reply.ok(),
            Err(error) => reply.error(error),
        }
    }

    pub(crate) fn list_with_attributes(&self, ino: INodeNo, offset: u64, mut reply: ReplyDirectoryPlus) {
        let dir = self.numbers.node(ino);
        if offset < PARENT_OFFSET {
            let attributes = match self.ask(|fs| fs.getattr(dir)) {
                Ok(attributes) => attributes,
                Err(error) => return reply.error(error),
            };
            // Of these two the host's kernel takes the name and the number and counts nothing.
            let mut attr = self.numbers.attributes(&attributes);
            for (next, number, name) in [(SELF_OFFSET, ino, "."), (PARENT_OFFSET, UNKNOWN, "..")] {
                attr.ino = number;
                if offset < next && reply.add(number, next, name, &Duration::ZERO, &attr, Generation(0)) {
                    return reply.ok();
                }
            }
        }
        let listed = self.each_entry(dir, offset, |entry, next| {
            // Each entry counts as a lookup, so it is one. What went meanwhile is left out.
            let Ok(attributes) = self.ask(|fs| fs.lookup(dir, &entry.name)) else { return false };
            let attr = self.numbers.attributes(&attributes);
            let lifetime = self.lifetime(&attributes).min(self.entry_lifetime());
            self.held.add(attributes.node);
            let full = reply.add(attr.ino, next, &entry.name, &lifetime, &attr, Generation(0));
            if full {
                self.forget_all(attributes.node, 1);
            }
            full
        });
        match listed {
            Ok(()) => reply.ok(),
            Err(error) => {
                // The counts of what was added are given back at the end of the mount; the backend is at fault.
                reply.error(error);
            }
        }
    }
}
